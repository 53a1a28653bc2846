"""Which rows of frames are counted by which calibration: by when they are of, not by when they came. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """Some frames, or some rows of one, that lie in one epoch.

    ``frames`` are their numbers or all of them, ``rows`` their rows with the one before in front, ``epoch`` how many
    epochs have begun.
    """

    frames: Ints | slice
    rows: slice
    epoch: int


def parts(utc: Ints, epochs: Sequence[int]) -> Iterator[Part]:
    """Yield the parts of frames by epoch; all of them at once, nearly always.

    An interval between two rows belongs to the epoch in which it begins.

    Args:
        utc: times of rows with the state's in front, not falling, shape (frames, 1 + rows) [ns].
        epochs: when each begins, rising [s].

    >>> of = np.array([[1, 2, 3], [1, 5, 9], [6, 7, 8]]) * SECOND
    >>> [(p.frames.tolist(), p.rows.start, p.rows.stop, p.epoch) for p in parts(of, [5])]
    [([0], 0, None, 0), ([2], 0, None, 1), ([1], 0, 2, 0), ([1], 1, 3, 1)]
    """
    if not epochs:
        yield Part(slice(None), slice(0, None), 0)
        return
    begins = np.asarray(epochs, np.int64) * SECOND
    of = np.searchsorted(begins, utc[:, :-1], side="right")
    first, last = of[:, 0], of[:, -1]
    if (first[0] == first).all() and (first == last).all():
        yield Part(slice(None), slice(0, None), int(first[0]))
        return
    whole = first == last
    for epoch in np.unique(first[whole]).tolist():
        yield Part(np.flatnonzero(whole & (first == epoch)), slice(0, None), int(epoch))
    for frame in np.flatnonzero(~whole).tolist():
        limits = [0, *(np.flatnonzero(np.diff(of[frame])) + 1).tolist(), of.shape[1]]
        for begin, end in pairwise(limits):
            yield Part(np.array([frame]), slice(begin, end + 1), int(of[frame, begin]))
