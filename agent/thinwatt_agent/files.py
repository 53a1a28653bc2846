"""Small files of the kernel, read again and again: kept open, read with one ``pread`` a time.

Opening ``/proc/stat`` costs as much as reading it. A file that fails is closed and opened anew at the next read, so
devices may come and go.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

LARGEST: Final = 1 << 20
CHUNK: Final = 1 << 16
# The kernel gives lists (/proc/net/dev, /proc/diskstats) by the page, as many whole records as fit; whatever is shorter
# than this is whole, and is not read on: behind a file of /sys, the end is found by asking the hardware once more.
SHORT: Final = 3072


class File:
    """One file, opened at its first read."""

    __slots__ = ("_fd", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def read(self) -> bytes:
        """Return the contents, at most 1 MiB.

        Raises:
            OSError: The file is missing, denied or its driver failed; the next call tries again from the start.
        """
        try:
            if self._fd < 0:
                self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            data = chunk = os.pread(self._fd, CHUNK, 0)
            while chunk and SHORT <= len(data) < LARGEST:
                chunk = os.pread(self._fd, CHUNK, len(data))
                data += chunk
        except OSError:
            self.close()
            raise
        return data[:LARGEST]

    def integer(self) -> int | None:
        """Return the decimal number that the file holds; None where it holds none or can't be read."""
        try:
            return whole(self.read())
        except OSError:
            return None

    def close(self) -> None:
        """Close the file; it may be read again."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __del__(self) -> None:
        self.close()


def whole(data: bytes) -> int | None:
    r"""Return the integer that is all of ``data`` but for some white space around it, else None.

    >>> whole(b"262143328850\n"), whole(b"-5"), whole(b""), whole(b"12\x0034"), whole(b"1_000"), whole(b"4 5")
    (262143328850, -5, None, None, None, None)
    """
    text = data.strip()
    digits = text[1:] if text[:1] == b"-" else text
    return int(text) if digits.isdigit() and len(digits) < 40 and len(data) < SHORT else None


def text(path: Path) -> str:
    """Return the file's text without white space around it, "" where it can't be read."""
    try:
        return path.read_bytes()[:LARGEST].decode("utf-8", "replace").strip()
    except OSError:
        return ""


def number(path: Path) -> int | None:
    """Return the integer in the file, None where there is none or it can't be read."""
    try:
        return whole(path.read_bytes()[:4096])
    except OSError:
        return None


def children(path: Path) -> list[str]:
    """Return the names in a folder in natural order (``hwmon2`` before ``hwmon10``), none where there is no folder."""
    try:
        return sorted((child.name for child in path.iterdir()), key=natural)
    except OSError:
        return []


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key of a name with numbers in it.

    >>> sorted(["hwmon10", "hwmon2", "intel-rapl:0:1", "intel-rapl:0"], key=natural)
    ['hwmon2', 'hwmon10', 'intel-rapl:0', 'intel-rapl:0:1']
    """
    parts: list[tuple[int, int, str]] = []
    run = ""
    for character in [*name, ""]:
        if run and (not character or character.isdigit() != run[-1].isdigit()):
            parts.append((0, int(run), "") if run.isdigit() else (1, 0, run))
            run = ""
        run += character
    return parts


def fields(data: bytes, separator: bytes) -> dict[bytes, bytes]:
    r"""Return key → rest of lines ``key<separator>rest``.

    >>> fields(b"MemTotal:  24684096 kB\nMemFree: 1 kB", b":")[b"MemTotal"]
    b'24684096 kB'
    """
    split = (line.partition(separator) for line in data.splitlines())
    return {key.strip(): rest.strip() for key, _, rest in split}
