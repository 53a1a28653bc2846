"""A disk that can fail, for tests: what is on it outlives the process."""

from __future__ import annotations

import errno

from thinwatt_agent.marker import Marker
from thinwatt_agent.store import Memory


class FaultyDisk(Memory):
    """``trouble``: "" writes all, "full" no new bytes, "read-only" nothing at all, "gone" can't even be opened."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble = ""
        self.writes = 0

    def open(self) -> FaultyDisk:
        if self.trouble == "gone":
            raise OSError(errno.ENOENT, "no such folder")
        return self

    def _check(self, *troubles: str) -> None:
        if self.trouble in troubles:
            raise OSError(errno.EROFS if self.trouble == "read-only" else errno.ENOSPC, f"the disk is {self.trouble}")

    def append(self, name: str, data: bytes, durable: bool = True) -> None:
        self._check("full", "read-only", "gone")
        self.writes += durable
        super().append(name, data, durable)

    def write(self, name: str, data: bytes) -> None:
        self._check("full", "read-only", "gone")
        self.writes += 1
        super().write(name, data)

    def remove(self, name: str) -> None:
        self._check("read-only", "gone")
        super().remove(name)

    def cut(self, name: str, size: int) -> None:
        self._check("read-only", "gone")
        super().cut(name, size)

    def read(self, name: str, offset: int = 0, length: int = -1) -> bytes:
        self._check("gone")
        return super().read(name, offset, length)

    @property
    def size(self) -> int:
        return sum(map(len, self._data.values()))


class KeptMarker(Marker):
    """A marker in memory that outlives the process, as ``/run`` does."""

    def __init__(self) -> None:
        super().__init__((), "", bytes(16))

    def set(self) -> None:
        self.is_set = True

    def clear(self) -> None:
        self.is_set = False
