"""Intensities made of readings: a series by slot, and a yearly record in the shape of one.

What a publisher left out is filled in, by name and flagged, from the same series: a figure of another method would be
another thing. Up to an hour, as where clocks go back in autumn, it is the mean of the neighbours; longer, and before
the first and after the last reading, the mean of the week published before and the week published after. Nothing is
ever filled in with 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.factors import Factor, FactorError, Intensity, Kind
from thinwatt_collector.factors.grid.readings import Readings, best
from thinwatt_collector.models.carbon import profile
from thinwatt_collector.models.energy import SLOT_SECONDS
from thinwatt_collector.units import Flags, GramsPerJoule, Slots

BETWEEN: Final = 3_600 // SLOT_SECONDS
"""A hole of an hour is filled from its neighbours [slots]."""
WEEK: Final = 7 * 86_400 // SLOT_SECONDS
ENOUGH: Final = 0.95
"""Share of a year's slots that must be published for its profile not to be a fallback."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A state of a publisher's figures: its word in the archive, for people, and whether it is its last word or not.

    ``sure`` is false of what is only expected or estimated: it is flagged as a fallback until better comes.
    """

    word: str
    told: str
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Publication:
    """What a series is of.

    Attributes:
        kind, method: see :class:`thinwatt_collector.factors.Intensity`.
        name: what the publisher calls the figure.
        source: publisher and address.
        revisions: by rank, the worst first.
        uncertainty: relative standard uncertainty of a figure [1].
    """

    kind: Kind
    method: str
    name: str
    source: str
    revisions: Sequence[Revision]
    uncertainty: float


class Series:
    """Intensity by slot as a publisher told it. Immutable.

    Args:
        of: what it is.
        zone: of the grid.
        readings: any number a slot; of each slot the best counts.
        as_of: what was told later is left out [UTC, s].

    Raises:
        FactorError: nothing was told.
    """

    def __init__(self, of: Publication, zone: str, readings: Readings, as_of: float = math.inf) -> None:
        known = best(readings, as_of)
        if not len(known):
            raise FactorError(f"{of.name}: no reading of zone {zone}")
        self.of, self.zone, self.kind, self.method = of, zone, of.kind, of.method
        self._known, self._sum = known, np.concatenate([[0.0], np.cumsum(known.intensity)])
        self._sure = np.array([r.sure for r in of.revisions])
        self.vintage = _iso(int(known.told.max()))
        mean = float(known.intensity.mean()) or math.inf
        apart = float(np.abs(np.diff(known.intensity)).mean() if len(known) > 1 else 0.0) / mean
        self._factors = [self._factor(rank) for rank in range(len(of.revisions))] + [
            self._filled("mean of the neighbours", apart),
            self._filled("mean of the weeks around", float(known.intensity.std()) / mean),
        ]
        there = np.unique(known.rank).tolist()
        self.factors: Sequence[Factor] = tuple(self._factors[rank] for rank in there) + tuple(self._factors[-2:])

    @property
    def span(self) -> tuple[int, int]:
        """The first slot and the one after the last."""
        return int(self._known.slot[0]), int(self._known.slot[-1]) + 1

    def at(self, slots: Slots) -> tuple[GramsPerJoule, Flags]:
        """Return the intensity of slots and which of them are fallbacks.

        Args:
            slots: epoch // 900, shape (n,).

        Returns:
            Intensity [g/J] and flags, shapes (n,).
        """
        value, origin = self._of(np.asarray(slots, np.int64))
        return value, ~np.append(self._sure, [False, False])[origin]

    def published(self, slots: Slots) -> Flags:
        """Return which slots the publisher has told of, in any revision."""
        return self._of(np.asarray(slots, np.int64))[1] < len(self._sure)

    def factor_of(self, slot: int) -> Factor:
        """Return where the intensity of a slot comes from."""
        return self._factors[int(self._of(np.array([slot]))[1][0])]

    def _of(self, slots: Slots) -> tuple[GramsPerJoule, NDArray[np.int64]]:
        """Return intensities, and the number of the factor that each is of."""
        known, n = self._known, len(self._known)
        after = np.searchsorted(known.slot, slots)
        right, left = np.minimum(after, n - 1), np.maximum(after - 1, 0)
        own = (known.slot[right] == slots) & (after < n)
        hole = (after > 0) & (after < n) & (known.slot[right] - known.slot[left] - 1 <= BETWEEN)
        low, high = np.maximum(after - WEEK, 0), np.minimum(after + WEEK, n)
        weeks = (self._sum[high] - self._sum[low]) / (high - low)
        between = (known.intensity[left] + known.intensity[right]) / 2
        value = np.where(own, known.intensity[right], np.where(hole, between, weeks))
        revisions = len(self._sure)
        return value, np.where(own, known.rank[right], np.where(hole, revisions, revisions + 1))

    def _factor(self, rank: int) -> Factor:
        of = self._known.at(np.flatnonzero(self._known.rank == rank))
        if not len(of):
            return self._filled(self.of.revisions[rank].told, 0.0)
        vintage = f"{_iso(int(of.slot[0]) * SLOT_SECONDS)[:10]}/{_iso(int(of.slot[-1]) * SLOT_SECONDS)[:10]}"
        told, mean = _iso(int(of.told.max())), float(of.intensity.mean())
        return self._made(self.of.revisions[rank].told, vintage, told, mean, 0.0)

    def _filled(self, version: str, spread: float) -> Factor:
        """Return the factor of what is filled in, which is less sure by the relative spread of the series [1]."""
        first, last = int(self._known.slot[0]), int(self._known.slot[-1])
        vintage = f"{_iso(first * SLOT_SECONDS)[:10]}/{_iso(last * SLOT_SECONDS)[:10]}"
        return self._made(version, vintage, self.vintage, float(self._known.intensity.mean()), spread)

    def _made(self, version: str, vintage: str, published: str, mean: float, spread: float) -> Factor:
        of = self.of
        return Factor(of.name, version, vintage, published, mean, math.hypot(of.uncertainty, spread), of.source)


class Profile:
    """A yearly record in the shape of a live series: a load that never changes gets exactly the year's mean.

    The mean of a year's shape is taken over all of its slots, those filled in too. So it keeps the record's total for
    such a load also while the year is not over; it is then a fallback, and restated as the year goes on.

    Args:
        method: label of the figures.
        name: of what it is.
        shape: the live series.
        record: the yearly figures.
        clock: whose years they are.

    Raises:
        FactorError: shape and record are of different zones.
    """

    kind: Kind = "profile"

    def __init__(self, method: str, name: str, shape: Series, record: Intensity, clock: ZoneInfo) -> None:
        if shape.zone != record.zone:
            raise FactorError(f"a profile of zone {shape.zone} cannot be scaled to a record of {record.zone}")
        self.method, self.zone, self._name = method, shape.zone, name
        self._shape, self._record, self._clock = shape, record, clock
        self.vintage = max(shape.vintage, record.vintage)
        self._years: dict[int, tuple[int, int, float, bool]] = {}
        self._made: dict[tuple[int, int], Factor] = {}
        self.factors: Sequence[Factor] = tuple(self._factor(f, f) for f in record.factors)

    def at(self, slots: Slots) -> tuple[GramsPerJoule, Flags]:
        """Return the intensity of slots [g/J] and which of them are fallbacks, shapes (n,)."""
        slots = np.asarray(slots, np.int64)
        (shape, filled), (mean, fallback) = self._shape.at(slots), self._record.at(slots)
        value, flags = np.empty(slots.shape), filled | fallback
        left = np.ones(slots.shape, np.bool_)
        while left.any():
            first, last, of_shape, whole = self._year(int(slots.flat[np.argmax(left)]))
            mine = (slots >= first) & (slots < last)
            value[mine] = profile(shape[mine], mean[mine], of_shape)
            flags[mine] |= not whole
            left &= ~mine
        return value, flags

    def factor_of(self, slot: int) -> Factor:
        """Return where the intensity of a slot comes from: the record that it is scaled to."""
        return self._factor(self._record.factor_of(slot), self._shape.factor_of(slot))

    def _factor(self, record: Factor, shape: Factor) -> Factor:
        key = (id(record), id(shape))
        if key not in self._made:
            version = record.version if shape is record else f"{record.version}; shape: {shape.name}, {shape.version}"
            source = record.source if shape is record else f"{record.source}; {shape.source}"
            published = max(record.published, shape.published)
            doubt = math.hypot(record.uncertainty, shape.uncertainty)
            self._made[key] = Factor(
                f"{self._name}: {record.name}", version, record.vintage, published, record.intensity, doubt, source
            )
        return self._made[key]

    def _year(self, slot: int) -> tuple[int, int, float, bool]:
        """Return a slot's year: its first slot and the next year's, the shape's mean [g/J], whether it is published."""
        year = datetime.fromtimestamp(slot * SLOT_SECONDS, self._clock).year
        if year not in self._years:
            first, last = (
                int(datetime(y, 1, 1, tzinfo=self._clock).timestamp()) // SLOT_SECONDS for y in (year, year + 1)
            )
            slots = np.arange(first, last)
            mean = float(self._shape.at(slots)[0].mean())
            self._years[year] = first, last, mean, bool(self._shape.published(slots).mean() >= ENOUGH)
        return self._years[year]


def _iso(utc: int) -> str:
    return f"{datetime.fromtimestamp(utc, UTC):%Y-%m-%dT%H:%M:%SZ}"
