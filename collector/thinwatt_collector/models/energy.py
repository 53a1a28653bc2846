"""From power and time to energy, and from intervals to slots.

The rules are those of careful metering: measured time steps, never nominal ones; what was not measured is left out
and told as uncovered, never counted as zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.units import Flags, Joules, Ratio, Seconds, Slots, Watts

SLOT_SECONDS: Final = 900
"""Width of a slot [s]: a quarter of an hour, the step of the French grid's own figures."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Intervals between one sample and the one before it, shape (..., n - 1).

    ``seconds`` [s] and ``watts`` [W], the mean of both ends, are NaN where either end is missing; ``watts_before`` [W]
    is the power at the interval's beginning.
    """

    seconds: Seconds
    watts: Watts
    watts_before: Watts


def trapezoid(t: Seconds, p: Watts, max_gap: float) -> tuple[Joules, Seconds]:
    """Return the energy under samples of power, and the time that they cover.

    Straight lines between samples, over the measured time between them. A missing sample (NaN) is as if it had never
    been due: its neighbours meet, unless they are further apart than ``max_gap``. Longer intervals are not counted, in
    energy or in time.

    Args:
        t: times, not falling, shape (n,) [s].
        p: power, NaN where a sample is missing, shape (..., n) [W].
        max_gap: the longest interval that is believed [s].

    Returns:
        Energy [J] and covered time [s], each of the shape of ``p`` without its last axis.

    Raises:
        ValueError: times fall or are missing.

    Two gaps would be told from one by the covered time alone:

    >>> t = np.array([0.0, 10.0, 20.0, 30.0, 120.0, 130.0])
    >>> joules, covered = trapezoid(t, np.array([100.0, 110.0, 120.0, 115.0, 200.0, 210.0]), 30.0)
    >>> float(joules), float(covered), round(float(covered) / 130.0, 6)
    (5425.0, 40.0, 0.307692)
    """
    steps = _steps(t, p)
    counted = _short(steps, max_gap)
    return _sum(counted, steps.watts * steps.seconds), _sum(counted, steps.seconds)


def gap_linear(t: Seconds, p: Watts, max_gap: float) -> tuple[Joules, Seconds]:
    """Return the energy that straight lines across the gaps would give, and the length of the gaps.

    An imputation: it stands beside the measured energy under its own label, and is never booked.

    Args:
        t: as for :func:`trapezoid`, shape (n,) [s].
        p: shape (..., n) [W].
        max_gap: the longest interval that is believed [s]; longer ones are gaps.

    Returns:
        Energy [J] and time [s] of the gaps between the first and the last sample.

    >>> t = np.array([0.0, 10.0, 20.0, 30.0, 120.0, 130.0])
    >>> joules, gap = gap_linear(t, np.array([100.0, 110.0, 120.0, 115.0, 200.0, 210.0]), 30.0)
    >>> float(joules), float(gap)
    (14175.0, 90.0)
    """
    steps = _steps(t, p)
    gaps = _long(steps, max_gap)
    return _sum(gaps, steps.watts * steps.seconds), _sum(gaps, steps.seconds)


def gap_hold_last(t: Seconds, p: Watts, max_gap: float) -> tuple[Joules, Seconds]:
    """Return the energy that the last power before each gap would give if it had lasted, and the length of the gaps.

    An imputation, like :func:`gap_linear` and with its parameters.

    >>> t = np.array([0.0, 10.0, 20.0, 30.0, 120.0, 130.0])
    >>> float(gap_hold_last(t, np.array([100.0, 110.0, 120.0, 115.0, 200.0, 210.0]), 30.0)[0])
    10350.0
    """
    steps = _steps(t, p)
    gaps = _long(steps, max_gap)
    return _sum(gaps, steps.watts_before * steps.seconds), _sum(gaps, steps.seconds)


def coverage(covered: Seconds, elapsed: Seconds) -> Ratio:
    """Return the share of time that was covered [1]; NaN where no time has passed.

    >>> coverage(np.array([40.0, 0.0]), np.array([160.0, 0.0])).tolist()
    [0.25, nan]
    """
    with np.errstate(invalid="ignore"):
        share: Ratio = covered / np.where(elapsed > 0, elapsed, np.nan)
    return share


def overlap(start: Seconds, end: Seconds, edges: Seconds) -> Seconds:
    """Return how long each interval lies in each bin.

    Args:
        start: beginnings, shape (n,) [s].
        end: ends, not before the beginnings, shape (n,) [s].
        edges: of the bins, rising, shape (m + 1,) [s].

    Returns:
        Shape (n, m) [s].

    From 10:07:30 to 11:22:30, in half hours from 10:00 on (times since 10:00):

    >>> overlap(np.array([450.0]), np.array([4950.0]), np.arange(5) * 1800.0).tolist()
    [[1350.0, 1800.0, 1350.0, 0.0]]
    """
    begins = np.maximum(np.expand_dims(start, -1), edges[:-1])
    lasted: Seconds = np.clip(np.minimum(np.expand_dims(end, -1), edges[1:]) - begins, 0, None)
    return lasted


def slots(t: Seconds, width: float = SLOT_SECONDS) -> Slots:
    """Return the slots that UTC times lie in: epoch seconds // 900.

    Args:
        t: since the epoch, any shape [s].
        width: of a slot [s].

    >>> slots(np.array([0.0, 899.9, 900.0, -0.1])).tolist()
    [0, 0, 1, -1]
    """
    return _whole(t / width, np.floor)


@dataclass(frozen=True, slots=True)
class Shares:
    """What intervals leave in slots, one row for each pair that touch: shapes (k,) and (k, ...).

    ``interval`` is the index of the interval, ``slot`` the slot, ``delta`` its share, ``seconds`` [s] its time.
    """

    interval: NDArray[np.intp]
    slot: Slots
    delta: NDArray[np.float64]
    seconds: Seconds


def split(start: Seconds, end: Seconds, delta: NDArray[np.float64], width: float = SLOT_SECONDS) -> Shares:
    """Return the shares of intervals in slots, in proportion to time.

    Args:
        start: beginnings, UTC, shape (n,) [s].
        end: ends, not before the beginnings, shape (n,) [s].
        delta: what each interval holds [J, s, …], shape (n,) or (n, columns). Of an interval without length all of it
            lies in the slot of its beginning.
        width: of a slot [s].

    Returns:
        Sorted by interval and slot; the shares of an interval add up to its ``delta``.

    Raises:
        ValueError: an end before its beginning.

    >>> shares = split(np.array([870.0]), np.array([990.0]), np.array([4.0]))
    >>> shares.slot.tolist(), shares.delta.tolist(), shares.seconds.tolist()
    ([0, 1], [1.0, 3.0], [30.0, 90.0])
    """
    if np.any(end < start):
        raise ValueError("an interval ends before it begins: hand over start and end in this order")
    first = slots(start, width)
    # An interval that ends where a slot begins has nothing in that slot.
    last = np.maximum(_whole(end / width, np.ceil) - 1, first)
    pieces = last - first + 1
    interval = np.repeat(np.arange(len(first)), pieces)
    number = np.arange(len(interval)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    slot = first[interval] + number
    # A time of less than a tick before a slot divides to its very edge: nothing lasts less than no time.
    lasted = np.maximum(np.minimum(end[interval], (slot + 1) * width) - np.maximum(start[interval], slot * width), 0.0)
    span = end[interval] - start[interval]
    share = np.where(span > 0, lasted / np.where(span > 0, span, np.nan), 1.0)
    parts = delta[interval] * share.reshape(share.shape + (1,) * (np.ndim(delta) - 1))
    return Shares(interval, slot, parts, lasted)


def pue_energy(joules: Joules, pue: Ratio) -> Joules:
    """Return the energy of a room for what its equipment drew.

    Args:
        joules: of the equipment [J].
        pue: power usage effectiveness of the room, 1 or more [1]. Never of a room without cooling of its own.

    Raises:
        ValueError: a PUE below 1.

    References:
        ISO/IEC 30134-2:2016, power usage effectiveness.

    >>> kwh = 3.6e6
    >>> room = pue_energy(np.array(1234.5 * kwh), np.array(1.35))
    >>> round(float(room / kwh), 6), round(float(room / kwh) - 1234.5, 6)
    (1666.575, 432.075)
    """
    if np.any(pue < 1):
        raise ValueError("a PUE is 1 or more: energy of the room divided by that of its equipment")
    return joules * pue


def _steps(t: Seconds, p: Watts) -> Steps:
    """Return the intervals that end at each sample but the first; NaN where a sample is missing."""
    if np.any(np.isnan(t)) or np.any(t[1:] < t[:-1]):
        raise ValueError("times fall or are missing: sort the samples by time and leave out those without one")
    shape = np.shape(p)
    samples = shape[-1]
    flat = p.reshape(math.prod(shape[:-1]), samples)
    there = ~np.isnan(flat)
    # The number of the last sample that is there, up to each sample; -1 before the first.
    latest = np.maximum.accumulate(np.where(there, np.arange(samples), -1), axis=1)
    before, known = latest[:, :-1], there[:, 1:] & (latest[:, :-1] >= 0)
    rows = np.arange(len(latest))[:, None]
    begins = flat[rows, before]
    seconds = np.where(known, t[1:] - t[before], np.nan)
    inner = (*shape[:-1], max(samples - 1, 0))
    mean = (begins + flat[:, 1:]) / 2
    return Steps(seconds.reshape(inner), mean.reshape(inner), begins.reshape(inner))


def _short(steps: Steps, max_gap: float) -> Flags:
    counted: Flags = steps.seconds <= max_gap
    return counted


def _long(steps: Steps, max_gap: float) -> Flags:
    gaps: Flags = steps.seconds > max_gap
    return gaps


def _sum(which: Flags, amounts: NDArray[np.float64]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = np.sum(np.where(which, amounts, 0.0), axis=-1)
    return total


def _whole(ratio: Any, rounded: np.ufunc) -> Slots:
    """Return ratios as integers; of a pint quantity, in a test, only if it has no dimension left."""
    plain = ratio.m_as("") if hasattr(ratio, "m_as") else ratio
    whole: Slots = rounded(plain).astype(np.int64)
    return whole
