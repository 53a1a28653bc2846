"""The list of agents that are let in: names, each with one or several public keys.

One line a key: ``name key``. Names that stand more than once have several keys, so that one can be replaced without a
moment outside. Lines that start with ``#`` are comments. A wrong line lets nobody in and is told with its number; it
costs no other line. The file is looked at once a second and read again when it changed.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from thinwatt_agent.keys import is_key

log = logging.getLogger(__name__)

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
EVERY: Final = 1_000_000_000
"""How often the file is looked at [ns]."""

Keys = dict[str, str]
"""Public key (Z85) → name."""


def parse(text: str) -> tuple[Keys, list[str]]:
    r"""Return the keys in ``text`` and what is wrong with its other lines.

    >>> parse("# hosts\nhost-1 rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\nhost-2 abc")
    ({'rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7': 'host-1'}, ['line 3: no key of 40 Z85 characters behind the name'])
    """
    keys: Keys = {}
    wrong = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or line.lstrip().startswith("#"):
            continue
        name, key = words[0], words[1] if len(words) == 2 else ""
        if not NAME.fullmatch(name):
            wrong.append(f"line {number}: a name has up to 64 letters, digits, '.', '_' and '-'")
        elif not is_key(key):
            wrong.append(f"line {number}: no key of 40 Z85 characters behind the name")
        elif keys.get(key, name) != name:
            wrong.append(f"line {number}: this key stands above under the name {keys[key]!r}")
        else:
            keys[key] = name
    return keys, wrong


def user_id(name: str, key: str) -> str:
    """Return what the authentication puts on every message: a revoked key is known even where its name has others."""
    return f"{name} {key}"


class AllowList:
    """Who is let in, as the file says now. Read by two threads: what is read is replaced as a whole.

    Raises:
        FileNotFoundError: at the start; later a missing file leaves the last list in force, and is told.
    """

    def __init__(self, path: Path, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.path = path
        self.names: dict[str, str] = {}
        self.keys: Keys = {}
        self._clock = clock
        self._stamp = self._look()
        self._next = clock() + EVERY
        self._read()

    def refresh(self) -> None:
        """Read the file again if a second has passed since the last look and it changed."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + EVERY
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._read()
        except OSError as error:
            if self._stamp:
                log.error("%s can't be read (%s): the list as it was stays in force", self.path, error.strerror)
            self._stamp = ()

    def _look(self) -> tuple[int, ...]:
        found = self.path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> None:
        keys, wrong = parse(self.path.read_text("utf-8", errors="replace"))
        for text in wrong:
            log.error("%s %s; this line lets nobody in", self.path, text)
        self.keys = keys
        self.names = {user_id(name, key): name for key, name in keys.items()}
        log.info("%s: %d keys of %d names are let in", self.path, len(keys), len(set(keys.values())))
