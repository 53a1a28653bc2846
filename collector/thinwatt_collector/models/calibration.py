"""Machines without a wall meter learn from those of their hardware model that have one.

The energy of a machine in an interval is taken as a sum of what it did times what that costs: seconds in each state
times watts, energy of metered components and seconds on times (1 / efficiency, base power), or seconds at a load spread
over the knots of a curve. All of these are linear, so one fit serves: least squares towards what was assumed before any
meter, each coefficient as firmly as it was known. A state that no metered machine was ever in keeps what was assumed.

Machines of one model are not alike, and that is what a fit's residual does not show. So the fit is judged by machines:
how far the metered energy of each is from what the fit says of it. The spread of that is what an unmetered machine may
be off by; the error of its mean is common to all of them, and does not shrink with their number. A fault that is rare,
such as a power supply that wastes more than the machine draws, is in few samples or in none: it has a part of its own.

References:
    Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634 (least squares towards a prior). GUM (JCGM 100:2008) 4.2
    and G.3 (spread of a sample and of its mean, Student's t for few of them). Cochran 1977, Sampling Techniques,
    chapter 6 (the ratio of sums: one odd machine weighs by its energy, not by its oddity).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.models.power import LOAD_KNOTS
from thinwatt_collector.units import Joules, Ratio, Seconds

FEWEST: Final = 3
"""With fewer metered machines nobody knows how they differ."""
UNSEEN: Final = np.sqrt(0.5)
"""Where n machines show no fault, the share of faulty ones has a standard deviation of √½ / n (Jeffreys' prior)."""
TINY: Final = 1e-12
"""Of the mean square: no meter is better than that, and no division by 0."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What metered machines say of their hardware model.

    Attributes:
        costs: of each feature, shape (k,) [J per unit of the feature].
        own: relative standard uncertainty of one unmetered machine beside others of its model [1].
        common: of the model: the same error for all its machines [1].
        residual: root mean square of what the fit misses in an interval of a metered machine, of its mean energy [1].
        machines: metered ones.
    """

    costs: NDArray[np.float64]
    own: float
    common: float
    residual: float
    machines: int


def calibrate(
    features: NDArray[np.float64],
    wall: Joules,
    assumed: NDArray[np.float64],
    spread: Ratio,
    meter: float,
    fault: float = 0.0,
) -> Calibration:
    """Return the calibration of a hardware model.

    Args:
        features: what each metered machine did in each interval, shape (machines, intervals, k) [s or J]; an interval
            with NaN anywhere is left out.
        wall: what its meter said, shape (machines, intervals) [J]; NaN where it failed.
        assumed: what a unit of each feature was taken to cost, shape (k,) [W, or J/J].
        spread: relative standard uncertainty of ``assumed``, shape (k,), above 0 [1].
        meter: relative standard uncertainty of the meters, common to them [1].
        fault: what a machine with a fault, of which few metered ones may be an example, draws more than it should [1].

    Raises:
        ValueError: fewer than three machines with energy, shapes that do not fit, or a spread of 0.

    Four thin clients, 1,000 s idle and 2,000 s active each, taken for 5 and 8 W:

    >>> seconds = np.broadcast_to(np.array([[1000.0, 0.0], [0.0, 2000.0]]), (4, 2, 2))
    >>> drew = np.array([[6e3, 18e3], [6.6e3, 19.8e3], [5.4e3, 16.2e3], [6e3, 18e3]])
    >>> found = calibrate(seconds, drew, np.array([5.0, 8.0]), np.array([0.35, 0.35]), 0.01)
    >>> found.costs.round(1).tolist(), round(found.own, 3), round(found.common, 3)
    ([5.9, 9.1], 0.132, 0.067)
    """
    if features.ndim != 3 or wall.shape != features.shape[:2] or assumed.shape != features.shape[2:]:
        raise ValueError("features (machines, intervals, k), wall (machines, intervals) and assumed (k,) do not fit")
    if np.any(spread <= 0) or np.any(assumed < 0):
        raise ValueError("what was assumed is not negative, and nobody knew it exactly")
    known = np.isfinite(wall) & np.isfinite(features).all(axis=2)
    f, y = np.where(known[..., None], features, 0.0), np.where(known, wall, 0.0)
    heard = np.flatnonzero((y.sum(axis=1) > 0) & known.any(axis=1))
    machines = len(heard)
    if machines < FEWEST:
        raise ValueError(f"{machines} metered machines: from {FEWEST} on their differences can be told")
    f, y, known = f[heard], y[heard], known[heard]
    costs = _fit(f, y, known, assumed, spread)
    told, said = y.sum(axis=1), (f @ costs).sum(axis=1)
    ratio = float(told.sum() / said.sum())
    costs, said = costs * ratio, said * ratio
    own = float(np.sqrt(((told - said) ** 2).sum() / (machines - 1)) / told.mean()) * _few(machines)
    missed = np.where(known, y - f @ costs, 0.0)
    mean = float(y.sum() / known.sum())
    return Calibration(
        costs=costs,
        own=own,
        common=float(np.sqrt(own**2 / machines + meter**2 + (fault * UNSEEN / machines) ** 2)),
        residual=float(np.sqrt((missed**2).sum() / known.sum())) / mean,
        machines=machines,
    )


def _fit(
    f: NDArray[np.float64],
    y: Joules,
    known: NDArray[np.bool_],
    assumed: NDArray[np.float64],
    spread: Ratio,
) -> NDArray[np.float64]:
    """Return the costs nearest to what meters say and to what was assumed; none is negative, shape (k,).

    How far a meter is to be believed is what the best of all fits misses. Intervals of one machine share its own
    deviation: each machine counts for one such error, not for a thousand.
    """
    # Each feature in units of what it was assumed to cost: the prior is then the same for all but their spreads.
    scale = np.where(assumed > 0, assumed, 1.0)
    prior = np.where(assumed > 0, 1.0, 0.0)
    rows, target = f[known] * scale, y[known]
    best, _, rank, _ = np.linalg.lstsq(rows, target, rcond=None)
    missed = float(((target - rows @ best) ** 2).sum()) / max(len(rows) - int(rank), 1)
    noise = max(missed * len(rows) / len(f), TINY * float((target**2).mean()))
    return _nearest(rows, target, noise, prior, spread) * scale


def _nearest(
    rows: NDArray[np.float64], target: Joules, noise: float, prior: NDArray[np.float64], spread: Ratio
) -> NDArray[np.float64]:
    free = np.ones(len(prior), np.bool_)
    found = np.zeros(len(prior))
    while free.any():
        a = rows[:, free]
        gram = a.T @ a / noise + np.diag(1.0 / spread[free] ** 2)
        found[:] = 0.0
        found[free] = np.linalg.solve(gram, a.T @ target / noise + prior[free] / spread[free] ** 2)
        if not (found < 0).any():
            break
        free &= found >= 0
    return found


def _few(machines: int) -> float:
    """Return how much wider Student's 95 % is than a normal's.

    Cornish and Fisher's expansion about the normal: 3 % below the table for three machines, 1 % for four, none for ten.
    """
    n, z = machines - 1, 1.959963984540054
    t = z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    return t / z


def at_knots(load: Ratio, seconds: Seconds) -> Seconds:
    """Return the seconds that count for each knot of a power curve: a machine at 30 % is half at 10 and half at 50 %.

    Args:
        load: shape (...) [1].
        seconds: shape (...) [s].

    Returns:
        Shape (..., 4), to be multiplied by the powers at :data:`LOAD_KNOTS`.

    >>> at_knots(np.array([0.3, 1.2]), np.array([10.0, 10.0])).round(6).tolist()
    [[0.0, 5.0, 5.0, 0.0], [0.0, 0.0, 0.0, 10.0]]
    """
    inside = np.clip(load, 0.0, 1.0)
    right = np.clip(np.searchsorted(LOAD_KNOTS, inside, side="left"), 1, len(LOAD_KNOTS) - 1)
    share = (inside - LOAD_KNOTS[right - 1]) / (LOAD_KNOTS[right] - LOAD_KNOTS[right - 1])
    found = np.zeros((*np.shape(load), len(LOAD_KNOTS)))
    np.put_along_axis(found, right[..., None], (share * seconds)[..., None], axis=-1)
    np.put_along_axis(found, right[..., None] - 1, ((1.0 - share) * seconds)[..., None], axis=-1)
    return found
