"""A year of the campus as of a day: energy, price and carbon, what told it, and what to connect next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from math import hypot, nan
from typing import Final

import numpy as np

from thinwatt_collector.factors import FactorError, table
from thinwatt_collector.inventory.annual import YEAR, Reading, Where
from thinwatt_collector.inventory.devices import Device, devices_on
from thinwatt_collector.inventory.heard import NOTHING, Heard, closest, doubts
from thinwatt_collector.inventory.profiles import Profile, profile, times
from thinwatt_collector.inventory.tables import Inventory, Record
from thinwatt_collector.inventory.terms import Price
from thinwatt_collector.models.devices import CLASSES
from thinwatt_collector.models.energy import SLOT_SECONDS
from thinwatt_collector.models.estimate import Cells, Estimate, Numbers, Readings, Sparse, interval
from thinwatt_collector.units import Ratio, scale

KWH: Final = scale("kWh", "J")
SAMPLE: Final = 10
"""As many devices of a model, spread over its rooms, tell most of what its devices have in common."""
ZONE: Final = "FR"


@dataclass(frozen=True, slots=True)
class Range:
    """A figure with the ends of its 95 % interval, all in one unit."""

    expected: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Cell:
    """Machines that are alike: class, model, place, and whether an agent may come.

    Attributes:
        where: class, model and place, all told.
        pool: of hosts.
        devices: how many [1].
        with_agent: of them.
        by_design: of them, that are without one by design [1].
        energy: expected of all of them in a year [J].
    """

    where: Where
    pool: str
    devices: int
    with_agent: int
    by_design: int
    energy: float

    @property
    def free(self) -> int:
        """Return how many may still get an agent."""
        return self.devices - self.with_agent - self.by_design


Named = tuple[str, ...]
Sort = Callable[[Sequence[Cell]], Sequence[Named | None]]
"""From all cells to the group that each is in, None for no group."""


@dataclass(frozen=True, slots=True)
class Group:
    """Some cells' part of the estimate, energy in J a year."""

    name: Named
    devices: int
    with_agent: int
    by_design: int
    energy: Range


@dataclass(frozen=True, slots=True)
class Advice:
    """What to connect next: agents on ``devices`` machines take ``narrower`` J a year off the interval's width.

    ``of`` is how many machines without an agent the group has; fewer devices are a sample, spread over their rooms.
    ``share`` is the part of the whole width that goes away.
    """

    name: Named
    devices: int
    of: int
    energy: float
    narrower: float
    share: float


@dataclass(frozen=True, slots=True)
class Campus:
    """A year's estimate: energy [J], carbon [g], price [EUR].

    Attributes:
        measured: part of the expected energy that agents with a meter told [1].
        modelled: part that agents told by a model [1].
        priced: part of the expected energy whose tariff is known [1]; the price is of that part.
        devices: how many are counted [1].
        with_agent: of them.
        unplaced: devices without a room that the inventory knows.
        unknown: devices of no class, which no figure counts.
        tariffs: price [EUR/kWh] and its day, of the places that have one.
        factor: carbon's factor, in words.
        method: that the factor was made by.
    """

    day: date
    energy: Range
    carbon: Range
    price: Range
    measured: float
    modelled: float
    priced: float
    devices: int
    with_agent: int
    unplaced: int
    unknown: int
    tariffs: tuple[str, ...]
    factor: str
    method: str


class Fleet:
    """A year of 8,760 h of today's fleet.

    Args:
        inventory: what stands where.
        day: whose state counts.
        heard: what agents told.
        price: where neither room nor site has one.
    """

    def __init__(self, inventory: Inventory, day: date, heard: Heard = NOTHING, price: Price | None = None) -> None:
        self._inventory, self._day = inventory, day
        everything = devices_on(inventory, day)
        members: dict[tuple[str, str, str, str, bool], list[Device]] = defaultdict(list)
        for d in everything:
            if d.kind in CLASSES:
                members[d.kind, d.model, d.room, d.pool, d.by_design].append(d)
        self._first = [same[0] for same in members.values()]
        places = [self._places(d) for d in self._first]
        told_prices = [[_price(p) for p in at if "tariff" in p.told] + ([price] if price else []) for at in places]
        self._prices = [next((p for p in of if p.holds(day)), None) for of in told_prices]
        self._price = np.array([p.eur_per_kwh if p else nan for p in self._prices]) / KWH
        self._zones = [next((p.text("zone") for p in at if p.text("zone")), ZONE) for at in places]
        self._pue = np.array([at[0].told.get("pue", 1.0) if at else 1.0 for at in places], float)
        self._cells = self._alike([self._profile(d) for d in self._first], members.values())
        where = [_where(d, at) for d, at in zip(self._first, places, strict=True)]
        with_agent = [sum(min(heard.connected.get(d.name, 0), d.count) for d in same) for same in members.values()]
        self._readings, told = self._told(heard.readings, where, np.array(with_agent, float))
        self._found = Estimate(self._cells, self._readings)
        energy = self._found.energy.tolist()
        self.cells = [
            Cell(where[g], d.pool, n, with_agent[g], (n - with_agent[g]) * d.by_design, energy[g])
            for g, (d, n) in enumerate(zip(self._first, map(int, self._cells.devices), strict=True))
        ]
        self._basis = self._shares(told)
        self._unknown = sum(d.count for d in everything if d.kind not in CLASSES)
        self._unplaced = sum(c.devices for c, at in zip(self.cells, places, strict=True) if not at)

    def _profile(self, d: Device) -> Profile:
        return profile(d.kind, d.model, next(iter(self._inventory.tables["models"].get(d.model, ())), None))

    def _places(self, d: Device) -> list[Record]:
        """Return a machine's room and what it stands in, from the inside out."""
        found: list[Record] = []
        name = d.room
        for table_, key in (("rooms", "building"), ("buildings", "site"), ("sites", "")):
            record = self._inventory.on(self._day, table_, name)
            if record is None:
                break
            found.append(record)
            name = record.text(key)
        return found

    def _alike(self, profiles: list[Profile], members: Iterable[list[Device]]) -> Cells:
        errors: list[dict[str, float]] = []
        for d, p in zip(self._first, profiles, strict=True):
            # Where nobody says the place, each model stands for itself.
            place = " ".join(d.place) if d.place[1] else f"nowhere {d.model}"
            errors.append({**p.common, f"habits of {d.kind} in {place}": p.room})
        u_pue = times()["", "pue"].uncertainty
        around = [{d.room: u_pue} if factor > 1.0 else {} for d, factor in zip(self._first, self._pue, strict=True)]
        return Cells(
            energy=np.array([p.power for p in profiles], float) * self._pue * YEAR,
            devices=np.array([sum(d.count for d in same) for same in members], float),
            loadings=_matrix(errors),
            own=np.array([p.own for p in profiles], float),
            meter=np.array([p.meter for p in profiles], float),
            around=_matrix(around),
        )

    def _told(
        self, readings: Sequence[Reading], where: Sequence[Where], with_agent: Ratio
    ) -> tuple[Readings, list[Reading]]:
        """Return the readings that are of some machine of this fleet, each cell in the closest one."""
        near = closest(readings, where, with_agent)
        used = {r: n for n, r in enumerate(sorted({r for r in near if r >= 0}))}
        of = np.array([used.get(r, -1) for r in near], np.int64)
        told = [readings[r] for r in used]
        there = np.bincount(of[of >= 0], with_agent[of >= 0], len(told))
        share = np.array([min(1.0, r.devices / n) for r, n in zip(told, there, strict=True)])
        measured = np.where(of >= 0, with_agent * share[of] if told else 0.0, 0.0)
        at = self._cells.energy / self._pue
        expected = np.bincount(of[of >= 0], (measured * at)[of >= 0], len(told))
        energy = np.array([r.energy for r in told]) * there * share
        return (
            Readings(
                of=of,
                measured=measured,
                told=energy / expected if told else np.zeros(0),
                alone=np.array([r.own_unseen * times()[r.where.kind, "own_season"].uncertainty for r in told]),
                shared=_matrix([doubts(r) for r in told]),
            ),
            told,
        )

    def _shares(self, told: Sequence[Reading]) -> tuple[float, float]:
        """Return the parts of the expected energy that are measured and modelled."""
        total = self._found.total
        if not total or not told:
            return 0.0, 0.0
        there = self._readings.of >= 0
        part = (self._found.energy * self._readings.measured / self._cells.devices)[there]
        basis = np.array([r.basis for r in told])[self._readings.of[there]]
        measured, modelled = (part @ basis / total).tolist()
        return measured, modelled

    def _range(self, price: Ratio, spread: float = 0.0) -> Range:
        """Return a total priced by cell, with the energy's own interval and the price's spread."""
        total = float(self._found.energy @ price)
        return Range(total, *interval(total, hypot(self._found.deviation(price), spread * total)))

    def whole(self) -> Campus:
        """Return the estimate of all of it."""
        energy, known = self._found.energy, ~np.isnan(self._price)
        intensity, spread, words = self._intensity()
        total = self._found.total
        return Campus(
            day=self._day,
            energy=self._range(np.ones(len(energy))),
            carbon=self._range(intensity, spread),
            price=self._range(np.nan_to_num(self._price)),
            measured=self._basis[0],
            modelled=self._basis[1],
            priced=float(energy @ known) / total if total else 0.0,
            devices=sum(c.devices for c in self.cells),
            with_agent=sum(c.with_agent for c in self.cells),
            unplaced=self._unplaced,
            unknown=self._unknown,
            tariffs=tuple(sorted({_words(p) for p in self._prices if p})),
            factor=words,
            method=table.METHOD,
        )

    def _intensity(self) -> tuple[Ratio, float, str]:
        """Return the carbon intensity by cell [g/J], its relative standard deviation, the factor in words."""
        slot = int(datetime(self._day.year, self._day.month, self._day.day, 12, tzinfo=UTC).timestamp() // SLOT_SECONDS)
        by_zone: dict[str, table.YearlyTable] = {}
        for zone in {*self._zones, ZONE}:
            try:
                by_zone[zone] = table.load({"zone": zone})
            except FactorError:
                by_zone[zone] = table.load({"zone": zone, "fallback_zone": ZONE})
        factors = {zone: found.factor_of(slot) for zone, found in by_zone.items()}
        used = sorted(set(self._zones)) or [ZONE]
        flagged = {zone for zone in used if bool(by_zone[zone].at(np.array([slot]))[1][0])}
        words = "; ".join(
            f"{zone}: {factors[zone].name}, {factors[zone].version}{', as fallback' if zone in flagged else ''}"
            for zone in used
        )
        spread = max(factors[zone].uncertainty for zone in used)
        return np.array([factors[zone].intensity for zone in self._zones], float), spread, words

    def groups(self, sort: Sort) -> list[Group]:
        """Return the estimate by group, in the order of their names."""
        at = _members(sort(self.cells))
        number = np.full(len(self.cells), -1, np.int64)
        for n, which in enumerate(at.values()):
            number[which] = n
        spread = self._found.deviations(number, len(at)).tolist()
        rows = []
        for (name, which), deviation in zip(at.items(), spread, strict=True):
            mine = [self.cells[g] for g in which]
            devices, with_agent = sum(c.devices for c in mine), sum(c.with_agent for c in mine)
            total = sum(c.energy for c in mine)
            energy = Range(total, *interval(total, deviation))
            rows.append(Group(name, devices, with_agent, sum(c.by_design for c in mine), energy))
        return sorted(rows, key=lambda g: g.name)

    def advice(self, *sorts: Sort, samples: bool = False) -> list[Advice]:
        """Return what to connect next, what narrows the interval most first; each line is by itself.

        Args:
            sorts: what may be connected together.
            samples: take of each group a few devices only, spread evenly.
        """
        asked, rows = [], []
        for sort in sorts:
            for name, cells in _members(sort(self.cells)).items():
                which = np.array([g for g in cells if self.cells[g].free > 0], np.int64)
                if not len(which):
                    continue
                free = np.array([self.cells[g].free for g in which], float)
                of = float(free.sum())
                more = free * (min(SAMPLE, of) / of if samples else 1.0)
                energy = sum(self.cells[g].energy * self.cells[g].free / self.cells[g].devices for g in which)
                asked.append((which, more))
                rows.append((name, round(more.sum()), round(of), energy))
        return self._ranked(rows, asked)

    def _ranked(
        self, rows: Sequence[tuple[Named, int, int, float]], asked: Sequence[tuple[Numbers, Ratio]]
    ) -> list[Advice]:
        if not asked:
            return []
        total = self._range(np.ones(len(self.cells)))
        width = total.high - total.low
        narrower = self._found.removed(asked).tolist()
        found = [Advice(*row, less, less / width if width else 0.0) for row, less in zip(rows, narrower, strict=True)]
        return ranked(found)


def ranked(found: Iterable[Advice]) -> list[Advice]:
    """Return advice in its order: what narrows the interval most first; of what does alike, by name."""
    return sorted(found, key=lambda a: (-float(f"{a.narrower:.9g}"), a.name))


def _where(d: Device, places: Sequence[Record]) -> Where:
    names = {record.table: record.name for record in places}
    return Where(d.kind, d.model, names.get("sites", ""), names.get("buildings", ""), d.room)


def _price(record: Record) -> Price:
    return Price(record.number("tariff"), record.day("tariff_date"), f"{record.table} {record.name}")


def _words(price: Price) -> str:
    return f"{price.eur_per_kwh:g} EUR/kWh ({f'from {price.since}' if price.since else 'undated'})"


def _members(names: Sequence[Named | None]) -> dict[Named, list[int]]:
    found: dict[Named, list[int]] = defaultdict(list)
    for g, name in enumerate(names):
        if name is not None:
            found[name].append(g)
    return found


def _matrix(rows: Sequence[Mapping[str, float]]) -> Sparse:
    """Return a column for each name, in the order they came, shape (rows, names)."""
    names = {name: n for n, name in enumerate(dict.fromkeys(name for row in rows for name in row))}
    told = [(n, names[name], value) for n, row in enumerate(rows) for name, value in row.items()]
    row, column, value = (np.array(of) for of in zip(*told, strict=True)) if told else (np.zeros(0, np.int64),) * 3
    return Sparse(row, column, value.astype(np.float64), (len(rows), len(names)))
