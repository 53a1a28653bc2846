"""A wall clock that can be stepped for one process alone: the file given holds what it is off by [s]."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from pathlib import Path
from unittest import mock


def steppable(file: Path) -> AbstractContextManager[object]:
    """Have this process see a wall clock that is off by what ``file`` says at that moment; other clocks stay."""
    true_clock = time.time_ns

    def stepped() -> int:
        try:
            return true_clock() + int(file.read_text() or 0) * 1_000_000_000
        except OSError:
            return true_clock()

    return mock.patch.object(time, "time_ns", stepped)


def step(file: Path, seconds: int) -> None:
    """Set what the wall clock is off by, all at once."""
    part = file.with_suffix(".part")
    part.write_text(str(seconds))
    part.replace(file)
