"""A campus on a day, before its first agent: energy, price and carbon of a year, and what to connect next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from math import hypot, nan
from typing import Final

import numpy as np

from thinwatt_collector.factors import FactorError, table
from thinwatt_collector.inventory.profiles import Profile, profile, times
from thinwatt_collector.inventory.tables import Inventory, Record
from thinwatt_collector.models.devices import CLASSES
from thinwatt_collector.models.energy import SLOT_SECONDS
from thinwatt_collector.models.estimate import Cells, Estimate, deviation, estimate, interval, removed
from thinwatt_collector.units import Ratio, scale

YEAR: Final = timedelta(days=365).total_seconds()
"""8,760 h [s]."""
KWH: Final = scale("kWh", "J")
SAMPLE: Final = 10
"""As many devices of a model, spread over its rooms, tell most of what its devices have in common."""
ZONE: Final = "FR"


@dataclass(frozen=True, slots=True)
class Device:
    """A line of hosts or devices as it stands on a day: ``count`` machines alike."""

    name: str
    kind: str
    model: str
    room: str
    pool: str
    count: int
    by_design: bool

    @property
    def place(self) -> tuple[str, str]:
        """Return what its habits come from: the pool of a host, the room of an endpoint."""
        return ("pool", self.pool) if self.pool else ("room", self.room)


@dataclass(frozen=True, slots=True)
class Range:
    """A figure with the ends of its 95 % interval, all in one unit."""

    expected: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Group:
    """A class's part of the estimate, energy in J a year."""

    kind: str
    devices: int
    by_design: int
    connected: int
    energy: float


@dataclass(frozen=True, slots=True)
class Advice:
    """What to connect next: agents on ``devices`` machines take ``narrower`` J a year off the interval's width."""

    what: str
    name: str
    devices: int
    of: int
    energy: float
    narrower: float


@dataclass(frozen=True, slots=True)
class Campus:
    """A year's estimate: energy [J], carbon [g], price [EUR], and what would make them surer.

    Attributes:
        measured: part of the expected energy that agents told [1].
        priced: part of the expected energy whose tariff is known [1]; the price is of that part.
        unplaced: devices without a room that the inventory knows.
        unknown: devices of no class, which no figure counts.
        tariffs: price [EUR/kWh] and its day, of the rooms that have one.
        factor: carbon's factor, in words.
        method: that the factor was made by.
    """

    day: date
    energy: Range
    carbon: Range
    price: Range
    measured: float
    priced: float
    unplaced: int
    unknown: int
    groups: tuple[Group, ...]
    advice: tuple[Advice, ...]
    tariffs: tuple[str, ...]
    factor: str
    method: str


def devices_on(inventory: Inventory, day: date) -> list[Device]:
    """Return what stands there on a day: bought by then, not retired, its line valid."""
    found = []
    for kind in ("hosts", "devices"):
        for record in inventory.records(kind):
            bought, retired = record.day("purchased") or date.min, record.day("retired") or date.max
            if record.span[0] <= day <= record.span[1] and bought <= day < retired:
                found.append(_device(inventory, record))
    return found


def _device(inventory: Inventory, record: Record) -> Device:
    model = inventory.tables["models"].get(record.text("model"))
    of_model = model[0].text("class") if model else ""
    return Device(
        name=record.name,
        kind="host" if record.table == "hosts" else record.text("class") or of_model,
        model=record.text("model"),
        room=record.text("room"),
        pool=record.text("pool"),
        count=int(record.told.get("count", 1)),
        by_design=record.text("agent") == "none",
    )


def campus(inventory: Inventory, day: date, told: Mapping[str, float] | None = None) -> Campus:
    """Return the estimate of a year like today's fleet.

    Args:
        inventory: what stands where.
        day: whose state counts.
        told: energy of a year of the devices that have an agent, each machine of the line, by name [J]; NaN where it
            is connected but has not told enough yet to say a year.
    """
    told = told or {}
    everything = devices_on(inventory, day)
    known = [d for d in everything if d.kind in CLASSES]
    fleet = _Fleet(inventory, day, known, told)
    found = estimate(fleet.cells, fleet.measured, fleet.told)
    energy = fleet.range(found, np.ones(len(found.energy)), 0.0)
    intensity, spread, words = fleet.intensity()
    measured = sum(found.energy[g] * fleet.measured[g] / fleet.cells.devices[g] for g in range(len(found.energy)))
    tariff = np.nan_to_num(fleet.tariff)
    return Campus(
        day=day,
        energy=energy,
        carbon=fleet.range(found, intensity, spread),
        price=fleet.range(found, tariff / KWH, 0.0),
        measured=float(measured) / found.total if found.total else 0.0,
        priced=float(found.energy @ ~np.isnan(fleet.tariff)) / found.total if found.total else 0.0,
        unplaced=sum(d.count for d in known if inventory.on(day, "rooms", d.room) is None),
        unknown=sum(d.count for d in everything if d.kind not in CLASSES),
        groups=fleet.groups(found),
        advice=fleet.advice(found),
        tariffs=fleet.tariffs(),
        factor=words,
        method=table.METHOD,
    )


class _Fleet:
    """Devices of a day as cells: alike in class, model, place and whether an agent may come."""

    def __init__(self, inventory: Inventory, day: date, devices: Iterable[Device], told: Mapping[str, float]) -> None:
        self._inventory, self._day = inventory, day
        members: dict[tuple[str, str, str, str, bool], list[Device]] = defaultdict(list)
        for d in devices:
            members[d.kind, d.model, d.room, d.pool, d.by_design].append(d)
        self.members = list(members.values())
        self.first = [same[0] for same in self.members]
        self.measured = np.array([sum(d.count for d in same if d.name in told) for same in self.members], float)
        rooms = [inventory.on(day, "rooms", d.room) for d in self.first]
        pue = np.array([room.told.get("pue", 1.0) if room else 1.0 for room in rooms], float)
        self.told = np.array([_mean(same, told) for same in self.members], float) * pue
        places = [self._places(room) for room in rooms]
        self.tariff = np.array([next((p.number("tariff") for p in at if "tariff" in p.told), nan) for at in places])
        self.zones = [next((p.text("zone") for p in at if p.text("zone")), ZONE) for at in places]
        self._priced = [next((p for p in at if "tariff" in p.told), None) for at in places]
        self.cells = self._cells([self._profile(d) for d in self.first], pue)

    def _profile(self, d: Device) -> Profile:
        return profile(d.kind, d.model, next(iter(self._inventory.tables["models"].get(d.model, ())), None))

    def _places(self, room: Record | None) -> list[Record]:
        """Return a room and what it stands in, from the inside out."""
        found = [room] if room else []
        for table_, key in (("buildings", "building"), ("sites", "site")):
            outer = self._inventory.on(self._day, table_, found[-1].text(key)) if found else None
            if outer is None:
                break
            found.append(outer)
        return found

    def _cells(self, profiles: list[Profile], pue: Ratio) -> Cells:
        errors: list[dict[str, float]] = []
        for d, p in zip(self.first, profiles, strict=True):
            # Where nobody says the place, each model stands for itself.
            place = " ".join(d.place) if d.place[1] else f"nowhere {d.model}"
            errors.append({**p.common, f"habits of {d.kind} in {place}": p.room})
        u_pue = times()["", "pue"].uncertainty
        around = [{d.room: u_pue} if factor > 1.0 else {} for d, factor in zip(self.first, pue, strict=True)]
        return Cells(
            energy=np.array([p.power for p in profiles], float) * pue * YEAR,
            devices=np.array([sum(d.count for d in same) for same in self.members], float),
            loadings=_matrix(errors),
            own=np.array([p.own for p in profiles], float),
            meter=np.array([p.meter for p in profiles], float),
            around=_matrix(around),
        )

    def range(self, found: Estimate, price: Ratio, spread: float) -> Range:
        """Return a total priced by cell, with the energy's own interval and the price's spread."""
        priced = replace(self.cells, energy=self.cells.energy * price)
        total = float(found.energy @ price)
        spread_of_energy = deviation(priced, self.measured)
        return Range(total, *interval(total, hypot(spread_of_energy, spread * total)))

    def intensity(self) -> tuple[Ratio, float, str]:
        """Return the carbon intensity by cell [g/J], its relative standard deviation, the factor in words."""
        slot = int(datetime(self._day.year, self._day.month, self._day.day, 12, tzinfo=UTC).timestamp() // SLOT_SECONDS)
        by_zone: dict[str, table.YearlyTable] = {}
        for zone in {*self.zones, ZONE}:
            try:
                by_zone[zone] = table.load({"zone": zone})
            except FactorError:
                by_zone[zone] = table.load({"zone": zone, "fallback_zone": ZONE})
        factors = {zone: found.factor_of(slot) for zone, found in by_zone.items()}
        used = sorted(set(self.zones)) or [ZONE]
        flagged = {zone for zone in used if bool(by_zone[zone].at(np.array([slot]))[1][0])}
        words = "; ".join(
            f"{zone}: {factors[zone].name}, {factors[zone].version}{', as fallback' if zone in flagged else ''}"
            for zone in used
        )
        spread = max(factors[zone].uncertainty for zone in used)
        return np.array([factors[zone].intensity for zone in self.zones], float), spread, words

    def tariffs(self) -> tuple[str, ...]:
        """Return the prices used, each with its day."""
        told = {
            f"{p.number('tariff'):g} EUR/kWh ({f'from {d}' if (d := p.day('tariff_date')) else 'undated'})"
            for p in self._priced
            if p is not None
        }
        return tuple(sorted(told))

    def groups(self, found: Estimate) -> tuple[Group, ...]:
        """Return the estimate by class."""
        rows = []
        for kind in CLASSES:
            mine = [g for g, d in enumerate(self.first) if d.kind == kind]
            if mine:
                count = self.cells.devices[mine]
                none = sum(int(self.cells.devices[g]) for g in mine if self.first[g].by_design)
                connected = int(self.measured[mine].sum())
                rows.append(Group(kind, int(count.sum()), none, connected, float(found.energy[mine].sum())))
        return tuple(rows)

    def advice(self, found: Estimate) -> tuple[Advice, ...]:
        """Return what to connect next, what narrows the interval most first."""
        free = self.cells.devices - self.measured
        named: dict[tuple[str, str], list[int]] = defaultdict(list)
        for g, d in enumerate(self.first):
            if not d.by_design and free[g] > 0:
                for what, name in (("room", d.room), ("pool", d.pool), ("model", d.model)):
                    if name:
                        named[what, name].append(g)
        if not named:
            return ()
        asked, rows = [], []
        for (what, name), cells in named.items():
            which = np.array(cells, np.int64)
            of = float(free[which].sum())
            more = free[which] * (min(SAMPLE, of) / of if what == "model" else 1.0)
            asked.append((which, more))
            energy = float((found.energy[which] * free[which] / self.cells.devices[which]).sum())
            rows.append((what, name, round(more.sum()), round(of), energy))
        widths = removed(self.cells, self.measured, asked).tolist()
        ranked = [Advice(*row, narrower) for row, narrower in zip(rows, widths, strict=True)]
        return tuple(sorted(ranked, key=lambda a: (-a.narrower, a.what, a.name)))


def _mean(same: Iterable[Device], told: Mapping[str, float]) -> float:
    """Return the mean of what the connected ones of a cell told, NaN if none told anything yet."""
    heard = [(told[d.name], d.count) for d in same if d.name in told and not np.isnan(told[d.name])]
    count = sum(n for _, n in heard)
    return sum(energy * n for energy, n in heard) / count if count else nan


def _matrix(rows: list[dict[str, float]]) -> Ratio:
    """Return a column for each name, in the order they came, shape (rows, names)."""
    names = {name: i for i, name in enumerate(dict.fromkeys(name for row in rows for name in row))}
    found = np.zeros((len(rows), len(names)))
    for i, row in enumerate(rows):
        for name, value in row.items():
            found[i, names[name]] = value
    return found
