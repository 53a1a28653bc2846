"""Where a device of the ledger stands, and what its electricity costs there: by its name, and since when. Pure.

A line of the inventory is found by the name that the device has in the ledger: ``agent = "gateway/device"`` says it,
else it is the line's own name. What changes, changes at a local midnight: a device that moved on a day counts in each
room for its time. Where no line holds, the place is unknown ("") and the price that of the whole collector.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from thinwatt_collector.inventory.tables import AGENT, Inventory, Record
from thinwatt_collector.models.energy import SLOT_SECONDS

LEVELS: Final = ("establishment", "site", "building", "room", "pool")
"""What a place is told by; each of them may be unknown: ""."""
SURROUNDINGS: Final = ("sites", "buildings", "rooms", "pools", "seats")
"""Tables whose dated changes move or reprice what stands there."""
ALWAYS: Final = -(2**62)
FOR_EVER: Final = 2**62
EMPTY: Final = Inventory({})


@dataclass(frozen=True, slots=True)
class Price:
    """A price of electricity [EUR/kWh], the first day on which it was paid, and what says so."""

    eur_per_kwh: float
    since: date | None
    where: str

    def holds(self, day: date) -> bool:
        """Return whether it was paid on a day; without a first day, always."""
        return self.since is None or self.since <= day


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands and what its electricity costs; "" and None where nobody says."""

    establishment: str = ""
    site: str = ""
    building: str = ""
    room: str = ""
    pool: str = ""
    price: Price | None = None

    def level(self, name: str) -> str:
        """Return what it is called at one of :data:`LEVELS`."""
        return str(getattr(self, name))


@dataclass(frozen=True, slots=True)
class Stay:
    """From when [UTC s, on a slot] until before when a device stands somewhere, and the line that says so."""

    begin: int
    end: int
    place: Place
    line: Record | None


def ledger_name(record: Record) -> str:
    """Return the name that a host or device has in the ledger."""
    told = record.text("agent")
    return told if told and told not in AGENT else record.name


class Places:
    """Where every device stands at every time. Immutable: threads may share it.

    Args:
        inventory: what stands where.
        zone: by whose clocks a day begins.
        price: of the whole collector, where neither room nor site has one.
    """

    def __init__(self, inventory: Inventory, zone: ZoneInfo, price: Price | None = None) -> None:
        self._inventory, self._zone, self._price = inventory, zone, price
        self._resolved: dict[tuple[str, str, date], Place] = {}
        self._lines: dict[str, list[Record]] = {}
        for table in ("hosts", "devices"):
            for record in inventory.records(table):
                self._lines.setdefault(ledger_name(record), []).append(record)
        self._days = self._surrounding_days()
        self._nowhere = self._stays([])
        self._known = {name: self._stays(lines) for name, lines in self._lines.items()}

    @property
    def names(self) -> Sequence[str]:
        """Return the names of the devices that some line is of."""
        return tuple(self._known)

    def stays(self, name: str) -> Sequence[Stay]:
        """Return where a device of the ledger stood, one after the other, for all times."""
        return self._known.get(name, self._nowhere)

    def at(self, name: str, time: int) -> Stay:
        """Return where a device stands at a time [UTC s]."""
        stays = self.stays(name)
        return stays[bisect.bisect_right(stays, time, key=lambda s: s.begin) - 1]

    def changes(self, begin: int, end: int) -> list[int]:
        """Return the times within (begin, end) at which a device, known or not, changes its place or price [UTC s]."""
        every = (s.begin for stays in (self._nowhere, *self._known.values()) for s in stays)
        return sorted({at for at in every if begin < at < end})

    def _surrounding_days(self) -> set[date]:
        found = {day for kind in SURROUNDINGS for record in self._inventory.records(kind) for day in _days(record)}
        return found | ({self._price.since} if self._price and self._price.since else set())

    def _stays(self, lines: Sequence[Record]) -> tuple[Stay, ...]:
        days = sorted(self._days | {day for record in lines for day in _days(record)})
        stays: list[Stay] = []
        for first, last in pairwise([None, *days, None]):
            day = first or date.min
            line = next((r for r in lines if r.span[0] <= day <= r.span[1]), None)
            place = self._place(line, day)
            begin = ALWAYS if first is None else self._midnight(first)
            end = FOR_EVER if last is None else self._midnight(last)
            if stays and (stays[-1].place, stays[-1].line) == (place, line):
                stays[-1] = replace(stays[-1], end=end)
            else:
                stays.append(Stay(begin, end, place, line))
        return tuple(stays)

    def _midnight(self, day: date) -> int:
        at = datetime(day.year, day.month, day.day, tzinfo=self._zone).astimezone(UTC).timestamp()
        return int(at) // SLOT_SECONDS * SLOT_SECONDS

    def _place(self, line: Record | None, day: date) -> Place:
        room = line.text("room") if line else ""
        pool = line.text("pool") if line else ""
        if line is not None and not pool and line.text("seat"):
            seat = self._inventory.on(day, "seats", line.text("seat"))
            pool, room = (seat.text("pool"), room or seat.text("room")) if seat else ("", room)
        key = room, pool, day
        if key not in self._resolved:
            self._resolved[key] = self._resolve(*key)
        return self._resolved[key]

    def _resolve(self, room: str, pool: str, day: date) -> Place:
        around = {record.table: record for record in self._around(room, day)}
        of_pool = self._inventory.on(day, "pools", pool)
        site = around.get("sites")
        establishment = site.text("establishment") if site else of_pool.text("establishment") if of_pool else ""
        prices = [_price(around[table]) for table in ("rooms", "sites") if table in around]
        return Place(
            establishment=establishment,
            site=site.name if site else "",
            building=around["buildings"].name if "buildings" in around else "",
            room=around["rooms"].name if "rooms" in around else "",
            pool=of_pool.name if of_pool else "",
            price=next((p for p in [*prices, self._price] if p and p.holds(day)), None),
        )

    def _around(self, room: str, day: date) -> Iterator[Record]:
        """Yield a room and what it stands in, from the inside out."""
        name = room
        for table, key in (("rooms", "building"), ("buildings", "site"), ("sites", "")):
            record = self._inventory.on(day, table, name)
            if record is None:
                return
            yield record
            name = record.text(key)


def _days(record: Record) -> Iterator[date]:
    """Yield the days on which what a line says begins to hold, or holds no more."""
    if first := record.day("valid_from"):
        yield first
    if (last := record.day("valid_to")) and last < date.max:
        yield last + timedelta(days=1)
    if paid := record.day("tariff_date"):
        yield paid


def _price(record: Record) -> Price | None:
    if "tariff" not in record.told:
        return None
    return Price(record.number("tariff"), record.day("tariff_date"), f"{record.table.removesuffix('s')} {record.name}")
