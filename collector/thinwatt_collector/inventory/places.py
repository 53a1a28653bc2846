"""Where a device of the ledger stands, and what its joules come to there: by its name, and since when. Pure.

A line of the inventory is found by the name that the device has in the ledger: ``agent = "gateway/device"`` says it,
else it is the line's own name. What changes, changes at a local midnight: a device that moved on a day counts in each
room for its time. Where no line holds, the place is unknown ("") and the price that of the whole collector.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from thinwatt_collector.inventory.tables import AGENT, Inventory, Record
from thinwatt_collector.inventory.terms import Price, Pue, Terms, terms_of
from thinwatt_collector.models.energy import SLOT_SECONDS

LEVELS: Final = ("establishment", "site", "building", "room", "pool")
"""What a place is told by; each of them may be unknown: ""."""
SURROUNDINGS: Final = ("sites", "buildings", "rooms", "pools", "seats")
"""Tables whose dated changes move or reprice what stands there."""
ALWAYS: Final = -(2**62)
FOR_EVER: Final = 2**62
EMPTY: Final = Inventory({})


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands, what its electricity costs and its room's PUE; "" and None where nobody says."""

    establishment: str = ""
    site: str = ""
    building: str = ""
    room: str = ""
    pool: str = ""
    price: Price | None = None
    pue: Pue | None = None

    def level(self, name: str) -> str:
        """Return what it is called at one of :data:`LEVELS`."""
        return str(getattr(self, name))

    @property
    def terms(self) -> Terms:
        """What its joules come to."""
        return Terms(self.price, self.pue)

    @property
    def key(self) -> str:
        """Return it as a text, which :func:`place_of` reads.

        >>> place_of(Place(room="B1", price=Price(0.19, date(2026, 2, 1), "site North")).key).price
        Price(eur_per_kwh=0.19, since=datetime.date(2026, 2, 1), where='site North')
        """
        return _key(self)


@lru_cache(maxsize=1 << 16)
def _key(place: Place) -> str:
    return json.dumps([*(place.level(name) for name in LEVELS), place.terms.key], ensure_ascii=False)


@lru_cache(maxsize=1 << 16)
def place_of(key: str) -> Place:
    """Return the place that a text tells; "" tells of none."""
    if not key:
        return Place()
    establishment, site, building, room, pool, told = json.loads(key)
    terms = terms_of(told)
    return Place(establishment, site, building, room, pool, terms.price, terms.pue)


@lru_cache(maxsize=1 << 16)
def coarser(key: str, levels: tuple[str, ...]) -> str:
    """Return the key of a place of which some levels only are told, the price and the PUE."""
    place = place_of(key)
    return Place(**{level: place.level(level) for level in levels}, price=place.price, pue=place.pue).key


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


class Whereabouts(Protocol):
    """Where devices of the ledger stand, in the keys of places."""

    def __contains__(self, name: object) -> bool:
        """Return whether a line is of this device."""

    def within(self, names: Sequence[str], begin: int, end: int) -> tuple[list[str], list[int]]:
        """Return for each device the key of the place where it stands all the time from begin to end [UTC s].

        Of one that changes its place or price meanwhile, or of whom no line is, it is ""; the times of changes are
        returned beside: between two of them :meth:`key_at` tells.
        """

    def key_at(self, name: str, time: int) -> str:
        """Return the key of the place where a device stands at a time [UTC s]."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """Where devices stood on one day, as it was known then: later news of the inventory change nothing in it."""

    keys: Mapping[str, str]
    nowhere: str

    def __contains__(self, name: object) -> bool:
        return name in self.keys

    def within(self, names: Sequence[str], begin: int, end: int) -> tuple[list[str], list[int]]:  # noqa: ARG002  # pinned: the same at all times
        """Return the key of each device's place; none changes it."""
        return [self.keys.get(name, self.nowhere) for name in names], []

    def key_at(self, name: str, time: int) -> str:  # noqa: ARG002  # all the day
        """Return the key of a device's place."""
        return self.keys.get(name, self.nowhere)


@dataclass(frozen=True, slots=True)
class Coarse:
    """Where devices stand, told by some levels and the price only: what is not asked for makes no rows."""

    of: Whereabouts
    levels: tuple[str, ...]

    def __contains__(self, name: object) -> bool:
        return name in self.of

    def within(self, names: Sequence[str], begin: int, end: int) -> tuple[list[str], list[int]]:
        """Return where each device stands all the time, and the times of changes: see :class:`Whereabouts`."""
        keys, cuts = self.of.within(names, begin, end)
        return [coarser(key, self.levels) if key else "" for key in keys], cuts

    def key_at(self, name: str, time: int) -> str:
        """Return the key of the place where a device stands at a time [UTC s]."""
        return coarser(self.of.key_at(name, time), self.levels)


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

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def stays(self, name: str) -> Sequence[Stay]:
        """Return where a device of the ledger stood, one after the other, for all times."""
        return self._known.get(name, self._nowhere)

    def at(self, name: str, time: int) -> Stay:
        """Return where a device stands at a time [UTC s]."""
        stays = self.stays(name)
        return stays[bisect.bisect_right(stays, time, key=lambda s: s.begin) - 1]

    def key_at(self, name: str, time: int) -> str:
        """Return the key of the place where a device stands at a time [UTC s]."""
        return self.at(name, time).place.key

    def pinned(self, time: int) -> Pinned:
        """Return where all devices stand at a time [UTC s]."""
        return Pinned({name: self.key_at(name, time) for name in self._known}, self.key_at("", time))

    def within(self, names: Sequence[str], begin: int, end: int) -> tuple[list[str], list[int]]:
        """Return where each device stands all the time, and the times of changes: see :class:`Whereabouts`."""
        keys, cuts = [], {s.begin for s in self._nowhere}
        for name in names:
            stays = self._known.get(name)
            if stays is None:
                keys.append("")
                continue
            first = stays[bisect.bisect_right(stays, begin, key=lambda s: s.begin) - 1]
            keys.append(first.place.key if first.end >= end else "")
            if first.end < end:
                cuts.update(s.begin for s in stays)
        return keys, sorted(at for at in cuts if begin < at < end)

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
        room_itself = around.get("rooms")
        return Place(
            establishment=establishment,
            site=site.name if site else "",
            building=around["buildings"].name if "buildings" in around else "",
            room=room_itself.name if room_itself else "",
            pool=of_pool.name if of_pool else "",
            price=next((p for p in [*prices, self._price] if p and p.holds(day)), None),
            pue=_pue(room_itself) if room_itself else None,
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


def _pue(room: Record) -> Pue | None:
    ratio = room.number("pue") if "pue" in room.told else 1.0
    return Pue(ratio, f"room {room.name}") if ratio > 1.0 else None
