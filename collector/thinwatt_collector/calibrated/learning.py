"""From metered machines of a hardware model to its calibration, or to why there is none: pure.

Beside the meter of a machine the ledger keeps what the models that were assumed say of it, in two parts: at rest, and
moving (see the package). So each hour of a metered machine is an equation with two unknowns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.calibrated import Learnt, Way
from thinwatt_collector.models.calibration import FEWEST, calibrate

K: Final = 5
"""Law 7: what is told of endpoints is told of five at least, and a calibration is told to everybody."""
ENOUGH: Final = 6.0
"""Hours in which meter and model were there, for a machine to count."""
TOGETHER: Final = 0.01
"""Meter and model cover the same time but for this share of it."""
STEADY: Final = 0.01
"""A load whose standard deviation is less, of the whole range, says nothing of other loads."""
RESIDUAL: Final = 0.25
"""A model that misses hours of its own machines by more, of their mean, is none."""
WITHIN: Final = 5.0
"""So many times what was assumed, or so little: then the meter measures something else."""
SAME: Final = 0.5
"""A change of less than half the uncertainty is none."""
NARROWER: Final = 0.9
"""Nor is an interval that is hardly narrower."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Metered machines of one hardware model, hour by hour; NaN where there is nothing.

    Attributes:
        wall: what the meter says, shape (machines, hours) [J].
        rest: what the assumed model says of it at rest, likewise [J].
        moving: what it says above that, likewise [J].
        seconds: that both cover, likewise [s].
    """

    wall: NDArray[np.float64]
    rest: NDArray[np.float64]
    moving: NDArray[np.float64]
    seconds: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Assumed:
    """What was assumed before any meter.

    Attributes:
        powers: see :class:`~thinwatt_collector.calibrated.Learnt`.
        spread: relative standard uncertainty [1].
        meter: that of the meters, common to them [1].
        fault: what a faulty machine draws more than it should [1].
    """

    powers: tuple[float, ...]
    spread: float
    meter: float
    fault: float = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """What was learnt; the attributes are those of :class:`~thinwatt_collector.calibrated.Learnt`."""

    rest: float
    moving: float
    rest_watts: float
    own: float
    common: float
    residual: float
    off: float
    machines: int
    hours: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no calibration: a key of ``words.REFUSED``, and the numbers in it."""

    why: str
    machines: int
    number: float = 0.0
    limit: float = 0.0


def fewest(kind: str, nobodys: frozenset[str]) -> int:
    """Return how many metered machines of a class are needed."""
    return FEWEST if kind in nobodys else K


def learn(sample: Sample, assumed: Assumed, way: Way, needed: int) -> Found | Refusal:
    """Return what metered machines say of their hardware model.

    Args:
        sample: of the machines.
        assumed: of the model.
        way: what is brought to the wall.
        needed: how many machines at least.
    """
    known = np.isfinite(sample.wall + sample.rest + sample.moving) & (sample.seconds > 0)
    hours = np.where(known, sample.seconds, 0.0).sum(axis=1) / 3600.0
    good = hours >= ENOUGH
    machines = int(good.sum())
    if machines < needed:
        return Refusal("few", machines, machines, needed)
    if not assumed.spread > 0 or not np.isfinite(assumed.powers).all():
        return Refusal("nothing", machines)
    wall, rest, moving, seconds = (
        np.where(known, part, np.nan)[good] for part in (sample.wall, sample.rest, sample.moving, sample.seconds)
    )
    if (varies := _variation(rest, moving, seconds, assumed, way)) < STEADY:
        return Refusal("steady", machines, varies, STEADY)
    spread = np.full(2, assumed.spread)
    try:
        found = calibrate(np.stack((rest, moving), axis=2), wall, np.ones(2), spread, assumed.meter, assumed.fault)
    except ValueError:
        return Refusal("few", machines, machines, needed)
    costs = found.costs
    if np.hypot(found.own, found.common) >= assumed.spread:
        return Refusal("unlike", machines, float(np.hypot(found.own, found.common)), assumed.spread)
    if found.residual > RESIDUAL:
        return Refusal("residual", machines, found.residual, RESIDUAL)
    # What was never there (a base beside counters of the whole platform) keeps what was assumed.
    low, high = float(costs.min()), float(costs.max())
    if low < 1 / WITHIN or high > WITHIN:
        return Refusal("absurd", machines, low if low < 1 / WITHIN else high, WITHIN)
    if way == "components" and assumed.powers[1] > costs[1]:
        return Refusal("supply", machines, assumed.powers[1] / float(costs[1]))
    told, said = float(np.nansum(wall)), float(np.nansum(rest + moving))
    total = float(np.nansum(seconds))
    at_rest, usual = float(np.nansum(rest)) / total, _rest_watts(assumed, way)
    return Found(
        rest=float(costs[0]),
        moving=float(costs[1]),
        rest_watts=usual if abs(at_rest / usual - 1.0) <= 2 * TOGETHER else at_rest,
        own=found.own,
        common=found.common,
        residual=found.residual,
        off=said / told - 1.0,
        machines=found.machines,
        hours=round(total / 3600.0),
    )


def _rest_watts(assumed: Assumed, way: Way) -> float:
    """Return the power at rest, at the wall [W]; counters of the whole platform have less beside them."""
    first, *more = assumed.powers
    return first if way == "load" else first / more[0]


def _variation(
    rest: NDArray[np.float64],
    moving: NDArray[np.float64],
    seconds: NDArray[np.float64],
    assumed: Assumed,
    way: Way,
) -> float:
    """Return the standard deviation of what moves: of the whole range for a load, else of the mean [1]."""
    watts = moving / seconds
    whole = assumed.powers[-1] - assumed.powers[0] if way == "load" else float(np.nanmean((rest + moving) / seconds))
    return float(np.nanstd(watts)) / whole if whole > 0 else 0.0


def news(found: Found, before: Learnt | None) -> bool:
    """Return whether what was learnt differs from what is known by more than either may be off."""
    if before is None:
        return True
    old, new = (np.array([c.rest * found.rest_watts, c.moving * found.rest_watts]) for c in (before, found))
    moved = float(np.abs(new - old).max() / max(float(old.max()), 1e-9))
    return moved > SAME * found.common or float(np.hypot(found.own, found.common)) < NARROWER * before.uncertainty
