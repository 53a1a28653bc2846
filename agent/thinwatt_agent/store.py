"""Where segments of the spool lie: a folder, or memory where there is no disk. The same few operations.

A write that fails leaves what was there. ``append`` and ``write`` return when the bytes are on the disk.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

SUFFIX: Final = ".spool"


class Store(Protocol):
    """Named byte strings."""

    def names(self) -> list[str]:
        """Return the names of all segments."""

    def read(self, name: str, offset: int = 0, length: int = -1) -> bytes:
        """Return ``length`` bytes from ``offset``, all of them by default."""

    def append(self, name: str, data: bytes, durable: bool = True) -> None:
        """Add bytes at the end."""

    def write(self, name: str, data: bytes) -> None:
        """Put ``data`` in the place of whatever has that name, as a whole or not at all."""

    def cut(self, name: str, size: int) -> None:
        """Keep the first ``size`` bytes only."""

    def remove(self, name: str) -> None:
        """Forget a segment."""

    def close(self) -> None:
        """Let go of everything."""


class Memory:
    """Segments in memory: gone with the process."""

    def __init__(self) -> None:
        self._data: dict[str, bytearray] = {}

    def names(self) -> list[str]:
        """Return the names of all segments."""
        return sorted(self._data)

    def read(self, name: str, offset: int = 0, length: int = -1) -> bytes:
        """Return ``length`` bytes from ``offset``, all of them by default."""
        data = self._data[name]
        return bytes(memoryview(data)[offset : len(data) if length < 0 else offset + length])

    def append(self, name: str, data: bytes, durable: bool = True) -> None:  # noqa: ARG002 - nothing is durable here
        """Add bytes at the end."""
        self._data.setdefault(name, bytearray()).extend(data)

    def write(self, name: str, data: bytes) -> None:
        """Put ``data`` in the place of whatever has that name."""
        self._data[name] = bytearray(data)

    def remove(self, name: str) -> None:
        """Forget a segment."""
        self._data.pop(name, None)

    def cut(self, name: str, size: int) -> None:
        """Keep the first ``size`` bytes only."""
        del self._data[name][size:]

    def close(self) -> None:
        """Keep everything: it is gone when the process is."""


class Disk:
    """Segments as files of one folder, which one process at a time holds.

    Raises:
        BlockingIOError: another process holds the folder.
        OSError: there is no such folder and none can be made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        self.folder = folder
        self._open: tuple[str, int] = ("", -1)
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._folder)
            raise

    def names(self) -> list[str]:
        """Return the names of all segments; what an interrupted write left is removed."""
        found = []
        for path in self.folder.iterdir():
            if path.suffix == ".part":
                with suppress(OSError):
                    path.unlink()
            elif path.suffix == SUFFIX:
                found.append(path.name)
        return sorted(found)

    def read(self, name: str, offset: int = 0, length: int = -1) -> bytes:
        """Return ``length`` bytes from ``offset``, all of them by default."""
        with (self.folder / name).open("rb", buffering=0) as file:
            return file.read() if length < 0 else os.pread(file.fileno(), length, offset)

    def append(self, name: str, data: bytes, durable: bool = True) -> None:
        """Add bytes at the end; on failure the file is cut back to what it was."""
        fd = self._descriptor(name)
        size = os.fstat(fd).st_size
        try:
            _all(fd, data)
            if durable:
                os.fdatasync(fd)
        except OSError:
            self._close()
            os.truncate(self.folder / name, size)
            raise

    def write(self, name: str, data: bytes) -> None:
        """Put ``data`` in the place of whatever has that name, as a whole or not at all."""
        if self._open[0] == name:
            self._close()
        part = self.folder / f"{name}.part"
        try:
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
            try:
                _all(fd, data)
                os.fsync(fd)
            finally:
                os.close(fd)
            part.replace(self.folder / name)
            os.fsync(self._folder)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def remove(self, name: str) -> None:
        """Forget a segment."""
        if self._open[0] == name:
            self._close()
        (self.folder / name).unlink(missing_ok=True)

    def cut(self, name: str, size: int) -> None:
        """Keep the first ``size`` bytes only."""
        os.truncate(self.folder / name, size)

    def close(self) -> None:
        """Let go of the folder."""
        self._close()
        os.close(self._folder)

    def _descriptor(self, name: str) -> int:
        if self._open[0] != name:
            self._close()
            self._open = name, os.open(self.folder / name, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        return self._open[1]

    def _close(self) -> None:
        _, fd = self._open
        self._open = "", -1
        if fd >= 0:
            os.close(fd)


def _all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
