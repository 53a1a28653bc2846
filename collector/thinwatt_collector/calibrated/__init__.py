"""What metered machines have taught of their hardware models: which model holds from when on, and which held before.

The energy of a machine is taken as two parts: what it draws *at rest* (an idle machine; everything beside the metered
components) and what *moves* with its load (or with the components' counters). Both are known from what was assumed
before any meter; a calibration says what each of them is worth in joules at the wall. So a calibrated model is

    joules = rest × rest_watts × covered seconds + moving × (the assumed model's joules − rest_watts × covered seconds)

which is linear in what the ledger keeps of a slot, its joules and its covered seconds: what was booked by one model can
be worked out by another without the load of then, exactly, also for sums over slots and machines (:func:`restated`).

A calibration holds from a local midnight on that came after everything booked when it was learnt. So the model by which
a slot was booked follows from the slot alone, whenever its rows came.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.units import Joules, Ratio, Seconds, Watts

Way = Literal["components", "load"]
WAYS: Final[tuple[Way, ...]] = ("components", "load")
"""From counters of components to the wall, and from the load."""


class Hardware(NamedTuple):
    """What a calibration is of; made-up machines say nothing of real ones."""

    kind: str
    model: str
    simulated: bool


@dataclass(frozen=True, slots=True)
class Learnt:
    """A calibration.

    Attributes:
        version: of this hardware and way, from 1 on.
        kind: class.
        model: hardware model.
        simulated: whether its machines are made up.
        way: what it brings to the wall.
        valid_from: UTC [s].
        rest: joules at the wall for a joule assumed at rest [J/J].
        moving: joules at the wall for a joule assumed above rest [J/J].
        rest_watts: what was assumed at rest, at the wall [W].
        assumed: of ``load`` the power at 0, 10, 50 and 100 % [W]; of ``components`` base [W] and efficiency [1].
        own: relative standard uncertainty of one machine beside others of its model [1].
        common: the same for all of them [1].
        residual: root mean square of what an interval of a metered machine is missed by, of its mean [1].
        off: by how much what was assumed missed the metered machines [1].
        machines: metered ones that it was learnt from.
        hours: of them, added up.
        begin: of what was looked at, UTC [s].
        end: likewise.
        learnt: when, UTC [s].
        restates: from when to when [s] it changed what was shown as restated, from how much to how much [J]; None:
            nothing. Of endpoints it may be the energy of few, so it is not everybody's.
    """

    version: int
    kind: str
    model: str
    simulated: bool
    way: Way
    valid_from: int
    rest: float
    moving: float
    rest_watts: float
    assumed: tuple[float, ...]
    own: float
    common: float
    residual: float
    off: float
    machines: int
    hours: int
    begin: int
    end: int
    learnt: int
    restates: tuple[int, int, float, float] | None = None

    @property
    def hardware(self) -> Hardware:
        """What it is of."""
        return Hardware(self.kind, self.model, self.simulated)

    @property
    def uncertainty(self) -> float:
        """Relative standard uncertainty of one unmetered machine [1]."""
        return float(np.hypot(self.own, self.common))

    def of(self, machines: NDArray[np.int64]) -> Ratio:
        """Return the relative standard uncertainty of the sum of so many machines [1]."""
        found: Ratio = np.hypot(self.own / np.sqrt(np.maximum(machines, 1)), self.common)
        return found

    @property
    def watts(self) -> Watts:
        """Power at the knots of the load, shape (4,); NaN of components [W]."""
        if self.way != "load":
            return np.full(4, np.nan)
        assumed = np.array(self.assumed)
        found: Watts = self.rest * assumed[0] + self.moving * (assumed - assumed[0])
        return found

    @property
    def base(self) -> float:
        """Power beside the metered components, before the power supply [W]; NaN of load."""
        return self.assumed[0] * self.rest / self.moving if self.way == "components" else np.nan

    @property
    def efficiency(self) -> float:
        """Joules of components for a joule at the wall [1]; NaN of load."""
        return self.assumed[1] / self.moving if self.way == "components" else np.nan


def restated(joules: Joules, covered: Seconds, before: Learnt | None, now: Learnt) -> Joules:
    """Return what the model of now says of energy that another one said.

    Args:
        joules: by the model of before, any shape [J].
        covered: seconds of machines that it is of [s].
        before: None: what was assumed before any calibration.
        now: of the same hardware and way.

    Idle 100 W, 20 W more by the load, for 1,000 s; at rest it draws 1.1 times as much, above it half:

    >>> found = Learnt(1, "host", "X", False, "load", 0, 1.1, 0.5, 100.0, (100.0, 120.0, 200.0, 300.0),
    ...                0.02, 0.01, 0.01, 0.0, 5, 100, 0, 0, 0)
    >>> round(float(restated(np.array(120e3), np.array(1e3), None, found)), 6)
    120000.0
    >>> round(float(restated(np.array(115e3), np.array(1e3), found, found)), 6)
    115000.0
    """
    rest, moving, watts = (before.rest, before.moving, before.rest_watts) if before else (1.0, 1.0, now.rest_watts)
    above = (joules - rest * watts * covered) / moving
    found: Joules = np.maximum(now.rest * now.rest_watts * covered + now.moving * above, 0.0)
    return found


class Calibrations:
    """All calibrations, in the order in which they hold; immutable.

    Args:
        learnt: every one that was ever taken.
    """

    def __init__(self, learnt: Iterable[Learnt] = ()) -> None:
        self.every = tuple(sorted(learnt, key=lambda c: (c.valid_from, c.version)))
        self.epochs = tuple(sorted({c.valid_from for c in self.every}))
        self._chains: dict[tuple[Hardware, Way], list[Learnt]] = {}
        for each in self.every:
            self._chains.setdefault((each.hardware, each.way), []).append(each)
        self.hardware = tuple(dict.fromkeys(c.hardware for c in self.every))

    def __bool__(self) -> bool:
        return bool(self.every)

    def epoch(self, time: float) -> int:
        """Return how many epochs have begun at a time [s]: 0 before the first calibration."""
        return bisect_right(self.epochs, time)

    def at(self, hardware: Hardware, way: Way, time: float) -> Learnt | None:
        """Return the calibration that holds at a time [s]."""
        chain = self._chains.get((hardware, way), [])
        count = bisect_right([c.valid_from for c in chain], time)
        return chain[count - 1] if count else None

    def now(self, hardware: Hardware, way: Way) -> Learnt | None:
        """Return the newest calibration, even if it holds from tomorrow on."""
        chain = self._chains.get((hardware, way))
        return chain[-1] if chain else None

    def newest(self) -> list[Learnt]:
        """Return the newest of each hardware and way."""
        return [chain[-1] for _, chain in sorted(self._chains.items())]

    def spans(self, begin: int, end: int) -> list[tuple[int, int]]:
        """Return the parts of [begin, end) in which the same calibrations hold."""
        limits = [begin, *(at for at in self.epochs if begin < at < end), end]
        return list(pairwise(limits))

    def with_more(self, learnt: Iterable[Learnt]) -> Calibrations:
        """Return these and more."""
        return Calibrations((*self.every, *learnt))

    def restated_as(self, hardware: Hardware, basis: str, time: float) -> tuple[Learnt | None, Learnt] | None:
        """Return by what energy of a slot was booked and by what it is worked out now; None where nothing changes.

        Args:
            hardware: of the machines.
            basis: that it was booked on.
            time: within the slot [s].
        """
        components, load = (self.now(hardware, way) for way in WAYS)
        if basis == "modelled" and components:
            before, now = self.at(hardware, "components", time), components
        elif basis == "modelled" and load and (held := self.at(hardware, "load", time)):
            before, now = held, load
        elif basis == "assumed" and load and self.at(hardware, "load", time) is None:
            before, now = None, load
        else:
            return None
        return before, now
