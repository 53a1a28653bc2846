"""How many people's sessions there are, by state: counts, never names.

From the session files of systemd-logind; where there are none, the login records of utmp, which know no state.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from thinwatt_agent.counters import Instant
from thinwatt_agent.files import LARGEST, fields
from thinwatt_agent.sources import Gauge, Held, Read, Values

ABSENT = "neither /run/systemd/sessions nor /run/utmp: no login service on this machine"
STATES: Final = {b"active": "active", b"online": "disconnected", b"closing": "closing"}
"""logind's states; ``online`` is logged in and not in front: what a VDI calls disconnected."""
PARTS: Final = tuple(STATES.values())
# struct utmp of glibc with 32-bit times, as on every Debian architecture until 13: type, pad, pid, …
UTMP: Final = struct.Struct("<h2xi32s4s32s256shhiii4i20x")
USER_PROCESS: Final = 7


def probe(root: Path, options: Mapping[str, Any]) -> Read | None:  # noqa: ARG001 - the sources' common form
    """Return the number of sessions by state, and session seconds."""
    count = _counter(root)
    if not count:
        return None
    gauges = tuple(Gauge("sessions", "1", part) for part in PARTS)
    seconds = tuple(Held("session_seconds", "s", part) for part in PARTS)

    def read(_: Instant) -> Values:
        return list(count()) * 2

    return Read(gauges + seconds, read)


def _counter(root: Path) -> Callable[[], list[float]] | None:
    folder = root / "run/systemd/sessions"
    if folder.is_dir():
        return lambda: logind(folder)
    for place in ("run/utmp", "var/run/utmp"):
        if (root / place).is_file():
            path = root / place
            return lambda: utmp(path.read_bytes()[:LARGEST])
    return None


def logind(folder: Path) -> list[float]:
    """Count the sessions of people below ``folder``; greeters, lock screens and services are none.

    Raises:
        OSError: The folder can't be read.
    """
    found = dict.fromkeys(PARTS, 0.0)
    for path in folder.iterdir():
        session = fields(_regular(path), b"=")
        state = STATES.get(session.get(b"STATE", b""))
        if state and session.get(b"CLASS", b"user").startswith(b"user"):
            found[state] += 1
    return list(found.values())


def _regular(path: Path) -> bytes:
    """Return a regular file's bytes; beside each session lies a FIFO that would block, and sessions end meanwhile."""
    try:
        return path.read_bytes()[:LARGEST] if stat.S_ISREG(path.stat().st_mode) else b""
    except FileNotFoundError:
        return b""


def utmp(data: bytes) -> list[float]:
    """Count the login records of users.

    Raises:
        ValueError: The file does not consist of records.
    """
    if len(data) % UTMP.size:
        raise ValueError(f"utmp has {len(data)} bytes, no multiple of {UTMP.size}")
    logins = sum(record[0] == USER_PROCESS for record in UTMP.iter_unpack(data))
    return [float(logins) if part == "active" else 0.0 for part in PARTS]
