"""A file that says, for as long as this boot lasts, that frames were sent which no disk has."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


class Marker:
    """The marker of one spool, in the first of ``folders`` that takes it; they are emptied by a reboot.

    Args:
        folders: such as ``/run`` and ``/dev/shm``.
        name: what tells this spool from others on the machine, such as its folder's path.
        boot: this boot's id.
    """

    def __init__(self, folders: Sequence[Path], name: str, boot: bytes) -> None:
        self._paths = [folder / f"thinwatt-agent-{zlib.crc32(name.encode()):08x}.memory" for folder in folders]
        self._text = boot.hex()
        self.is_set = any(self._stands(path) for path in self._paths)

    def set(self) -> None:
        """Put the marker; nothing happens where no folder takes it."""
        if self.is_set:
            return
        for path in self._paths:
            with suppress(OSError):
                path.write_text(self._text)
                self.is_set = True
                return

    def clear(self) -> None:
        """Remove the marker."""
        if self.is_set:
            for path in self._paths:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            self.is_set = any(self._stands(path) for path in self._paths)

    def _stands(self, path: Path) -> bool:
        try:
            return path.read_text() == self._text
        except (OSError, ValueError):
            return False
