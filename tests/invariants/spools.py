"""What an agent has been told, read from its spool's files while it runs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from thinwatt_agent import segment
from thinwatt_agent.store import SUFFIX, Memory


def answered(state: Path) -> dict[bytes, int]:
    """Return the answered position of every stream that an agent's spool notes, given its state folder."""
    found: dict[bytes, int] = {}
    for path in sorted((state / "spool").glob(f"*{SUFFIX}")):
        with suppress(FileNotFoundError):  # answered to its end meanwhile
            for note in segment.parse(path.name, Memory(), path.read_bytes()).notes:
                found[note.stream] = note.position
    return found
