"""A file that says, for as long as this boot lasts, that frames were sent which no disk has."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Marker:
    """The marker of one spool, in the first of ``folders`` that takes it; they are emptied by a reboot.

    One of them may be open to everybody: a file there that is not our own says nothing, and is never written to.

    Args:
        folders: such as ``/run`` and ``/dev/shm``.
        name: what tells this spool from others on the machine, such as its folder's path.
        boot: this boot's id.
    """

    def __init__(self, folders: Sequence[Path], name: str, boot: bytes) -> None:
        self._paths = [folder / f"thinwatt-agent-{zlib.crc32(name.encode()):08x}.memory" for folder in folders]
        self._text = boot.hex().encode()
        self.is_set = self._stands()

    def set(self) -> None:
        """Put the marker; nothing happens where no folder takes it."""
        if self.is_set:
            return
        for path in self._paths:
            with suppress(OSError):
                self._remove(path)  # one of another boot, where the folder outlived it
                descriptor = os.open(path, _CREATE, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(self._text)
                self.is_set = True
                return

    def clear(self) -> None:
        """Remove the marker."""
        if self.is_set:
            for path in self._paths:
                with suppress(OSError):
                    self._remove(path)
            self.is_set = self._stands()

    def _remove(self, path: Path) -> None:
        if self._ours(path) is not None:
            path.unlink()

    def _stands(self) -> bool:
        return any(self._ours(path) == self._text for path in self._paths)

    def _ours(self, path: Path) -> bytes | None:
        """Return what the file holds; None if there is none or it is not an ordinary file of our own."""
        try:
            descriptor = os.open(path, _READ)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
            return file.read(100) if ours else None
