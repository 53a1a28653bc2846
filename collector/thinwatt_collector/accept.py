"""Which rows of which frames are new: PROTOCOL's rules of acceptance, pure, over many frames at once.

A stream's *position* is the last tick in the ledger. A frame says which tick came before it (``after``), so a frame
that leaves a hole is seen and not booked; rows at or below the position were booked before and count nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

NEW: Final = 0
DUPLICATE: Final = 1
HOLE: Final = 2

Ticks = NDArray[np.int64]
Times = NDArray[np.int64]


def judge(position: Ticks, after: Ticks, last: Ticks) -> NDArray[np.int8]:
    """Return ``NEW``, ``DUPLICATE`` or ``HOLE`` for each frame, shape (frames,).

    Args:
        position: the ledger's position of each frame's stream.
        after: the tick before the frame's first row, as the agent knows it.
        last: the tick of the frame's last row.

    >>> judge(np.array([6, 6, 6, 6]), np.array([6, 0, 7, 3]), np.array([12, 6, 12, 9])).tolist()
    [0, 1, 2, 0]
    """
    verdict = np.where(last <= position, DUPLICATE, np.where(after > position, HOLE, NEW))
    return verdict.astype(np.int8)


def in_order(ticks: Ticks, times: Times, after: Ticks) -> NDArray[np.bool_]:
    """Return which frames have strictly rising ticks behind ``after`` and times that do not fall; shape (frames,).

    Args:
        ticks: shape (frames, rows).
        times: shape (frames, rows) [ns].
        after: shape (frames,).
    """
    rising = (ticks[:, 0] > after) & (times[:, 0] >= 0) & (after >= 0)
    if ticks.shape[1] > 1:
        # Compared, not subtracted: a difference of hostile times does not fit 64 bits and turns positive.
        rising &= (ticks[:, 1:] > ticks[:, :-1]).all(axis=1) & (times[:, 1:] >= times[:, :-1]).all(axis=1)
    return rising


def rest_on_state(
    ticks: Ticks,
    times: Times,
    matrix: NDArray[np.float64],
    position: Ticks,
    position_time: Times,
    state: NDArray[np.float64],
) -> tuple[Times, NDArray[np.float64]]:
    """Return times and matrix with the state put in front and in place of the rows already booked.

    Differences along the last axis then count each new row once and every row at or below the position as nothing.

    Args:
        ticks: shape (frames, rows).
        times: shape (frames, rows) [ns].
        matrix: cumulative columns, shape (frames, columns, rows).
        position: shape (frames,).
        position_time: time of the row at the position [ns], shape (frames,).
        state: cumulative columns at the position, shape (frames, columns).

    Returns:
        Times of shape (frames, 1 + rows) and columns of shape (frames, columns, 1 + rows).
    """
    frames, columns, rows = matrix.shape
    out = np.empty((frames, columns, rows + 1))
    out[:, :, 0] = state
    out[:, :, 1:] = matrix
    when = np.empty((frames, rows + 1), np.int64)
    when[:, 0] = position_time
    when[:, 1:] = times
    booked = ticks <= position[:, None]
    if booked.any():
        np.copyto(out[:, :, 1:], state[:, :, None], where=booked[:, None, :])
        np.copyto(when[:, 1:], position_time[:, None], where=booked)
    return when, out
