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

FALL_TOLERANCE: Final = 1e-9
BEFORE: Final = 3600.0
"""What a stream may cover of the time before it began [s]: a new process goes on from the last good reading of the one
before, and no agent bridges more without a reading (its ``max_gap`` is an hour at most)."""
DEVICE_POWER: Final = 100_000.0
"""Unless the site says otherwise no device draws more [W]: docs/decisions/what-an-agent-may-claim.md."""

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


def sound(columns: NDArray[np.float64], counters: NDArray[np.intp], largest: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which frames' counters rise from a number that is none too large; shape (frames,).

    What falls by a rounding is held at what it was, in ``columns``.

    Args:
        columns: cumulative columns with the state in front, in one piece, shape (frames, columns, 1 + rows).
        counters: which of the columns may not fall.
        largest: what each of these may be at most.
    """
    if _all_rise(columns, counters, largest):
        return np.ones(len(columns), np.bool_)  # as nearly always; NaN holds no comparison
    ours = columns[:, counters]
    least = -FALL_TOLERANCE * np.abs(ours[:, :, 1:])
    with np.errstate(invalid="ignore"):
        step = np.diff(ours, axis=2)
        held = (step >= least).all(axis=(1, 2))
        if (step < 0).any():
            columns[:, counters] = np.maximum.accumulate(ours, axis=2)
        within = (ours.min(axis=(1, 2)) >= 0) & (ours.max(axis=2) <= largest).all(axis=1)
    return np.asarray(held & within)


def _all_rise(columns: NDArray[np.float64], counters: NDArray[np.intp], largest: NDArray[np.float64]) -> bool:
    """Say whether no counter falls or leaves its bounds; every number is compared with the next in memory, at once."""
    if not len(counters) or not len(columns):
        return True
    gauges = np.ones(columns.shape[1], np.bool_)
    gauges[counters] = False
    no_step = np.zeros(columns.shape[1:], np.bool_)
    no_step[:, -1] = True  # from the last row of a column to the first of the next
    no_step[gauges] = True
    most = np.full(columns.shape[1], np.inf)
    most[counters] = largest
    rises = np.empty(columns.shape, np.bool_)
    flat = columns.reshape(-1)
    with np.errstate(invalid="ignore"):
        np.greater_equal(flat[1:], flat[:-1], out=rises.reshape(-1)[:-1])
        rises.reshape(-1)[-1] = True
        np.logical_or(rises, no_step, out=rises)
        # NaN falls below nothing and exceeds nothing: it was no rise.
        low = columns[:, :, 0] < np.where(gauges, -np.inf, 0.0)
        return bool(rises.all() and not low.any() and not (columns[:, :, -1] > most).any())


def lasting(times: Times, base: Times) -> NDArray[np.float64]:
    """Return what each row may cover at most since tick 0 of its stream [s], (frames, 1 + rows).

    Args:
        times: of the rows with the state's in front [ns], (frames, 1 + rows).
        base: of tick 0 [ns], (frames,).
    """
    return (times - base[:, None]) / 1e9 + BEFORE


def possible(
    columns: NDArray[np.float64], seconds: NDArray[np.float64], which: NDArray[np.intp], most: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which frames' amounts fit into the time since their streams began; shape (frames,).

    Args:
        columns: cumulative columns with the state in front, (frames, columns, 1 + rows).
        seconds: that each row may cover at most, not falling, (frames, 1 + rows).
        which: of the columns are joules or covered seconds.
        most: what one second may add to each of these: W, or 1.
    """
    last = columns[:, which, -1]
    fits = np.asarray((last <= most * seconds[:, :1]).all(axis=1))  # as nearly always; counters do not fall
    some = np.flatnonzero(~fits)
    if len(some):
        ours = columns[some][:, which]
        fits[some] = (ours <= most[:, None] * seconds[some, None, :]).all(axis=(1, 2))
    return fits
