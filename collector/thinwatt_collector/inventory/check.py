"""What is wrong with an inventory as a whole, and what to write instead."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from functools import reduce
from itertools import combinations
from pathlib import Path
from typing import Final

from thinwatt_collector.factors import FactorError, table
from thinwatt_collector.inventory import events_check, names
from thinwatt_collector.inventory.files import hint
from thinwatt_collector.inventory.messages import Problem
from thinwatt_collector.inventory.tables import COLUMNS, NAMED, Inventory, Record, load
from thinwatt_collector.models.devices import model_of
from thinwatt_collector.words import Phrase

SLIPS: Final = frozenset({"establishments", "sites", "buildings", "rooms", "pools", "models"})
"""Tables whose names people type; those of machines differ by a letter on purpose."""
PAST: Final = ("purchased", "retired", "released", "tariff_date", "date")
"""Days that have come."""
PARENTS: Final = {"rooms": "building", "buildings": "site"}
"""What a place stands in, so that two of one name are two in different ones."""
ORDERED: Final = (("purchased", "retired"), ("valid_from", "valid_to"))


def check(folder: Path, today: date) -> list[Problem]:
    """Return everything to mend in a folder, by file and line."""
    inventory, problems = load(folder)
    return sorted([*problems, *whole(inventory, today)], key=lambda p: p.order)


def whole(inventory: Inventory, today: date) -> Iterator[Problem]:
    """Yield what is wrong between the records of an inventory."""
    referred = _referred(inventory)
    for kind in COLUMNS:
        for record in inventory.records(kind):
            yield from _dates(record, today)
            yield from _parents(inventory, record)
        if kind not in NAMED:
            yield from _doubles(inventory, kind)
            yield from _near(inventory, kind, referred)
    yield from events_check.check(inventory)
    yield from _model_dates(inventory)
    yield from _factors(inventory)
    yield from _places(inventory)


def _dates(record: Record, today: date) -> Iterator[Problem]:
    for key in PAST:
        found = record.day(key)
        if found and found > today:
            yield record.entry.problem("date-future", key, value=found)
    for first, last in ORDERED:
        start, end = record.day(first), record.day(last)
        if start and end and end < start:
            yield record.entry.problem("date-order", last, value=end, other=first, limit=start)


def _life(record: Record) -> tuple[date, date]:
    start, end = record.span
    return max(start, record.day("purchased") or date.min), min(end, record.day("retired") or date.max)


def _parents(inventory: Inventory, record: Record) -> Iterator[Problem]:
    for key, column in COLUMNS[record.table].items():
        name = record.text(key)
        if not column.of or not name:
            continue
        versions = inventory.tables[column.of].get(name)
        if not versions:
            yield _orphan(inventory, record, key, column.of, name)
            continue
        start, end = _life(record)
        if start <= end and (gap := _outside(start, end, sorted(v.span for v in versions))):
            held = reduce(lambda a, b: Phrase("span.and", {"one": a, "other": b}), (_span(*v.span) for v in versions))
            fields = {"target": column.of, "held": held, "where": versions[0].where, "asked": _span(*gap)}
            yield record.entry.problem("orphan-dates", key, value=name, **fields)


def _orphan(inventory: Inventory, record: Record, key: str, target: str, name: str) -> Problem:
    known = inventory.tables[target]
    near = names.nearest(name, known)
    if near is not None:
        remedy, close = Phrase("write.name", {"key": key, "near": near}), Phrase("meant.like")
    else:
        remedy, close = Phrase("write.add", {"target": target, "key": key}), hint(name, known)
    told: Phrase | str = close if close.key != "meant.known" else ""
    return record.entry.problem("orphan", key, value=name, target=target, meant=told, remedy=remedy)


def _outside(start: date, end: date, spans: list[tuple[date, date]]) -> tuple[date, date] | None:
    """Return a part of start … end that no span holds, None where they hold all of it. Days are inclusive."""
    for first, last in spans:
        if first > start:
            break
        if last >= start:
            if last >= end:
                return None
            start = date.fromordinal(last.toordinal() + 1)
    return start, end


def _span(start: date, end: date) -> Phrase:
    if start == date.min:
        return Phrase("span.always") if end == date.max else Phrase("span.until", {"end": end})
    return (
        Phrase("span.from", {"start": start}) if end == date.max else Phrase("span.both", {"start": start, "end": end})
    )


def _doubles(inventory: Inventory, kind: str) -> Iterator[Problem]:
    for same in inventory.tables[kind].values():
        told = set()
        for one, other in combinations(sorted(same, key=lambda r: r.span), 2):
            if other.span[0] <= one.span[1] and one.span[0] <= other.span[1]:
                first, second = sorted((one, other), key=lambda r: (r.entry.origin.file, r.entry.origin.line()))
                if second.where not in told:
                    told.add(second.where)
                    yield second.entry.problem("double", "name", value=second.name, where=first.where)


def _referred(inventory: Inventory) -> Counter[tuple[str, str]]:
    return Counter(
        (column.of, record.text(key))
        for kind, columns in COLUMNS.items()
        for record in inventory.records(kind)
        for key, column in columns.items()
        if column.of and record.text(key)
    )


def _near(inventory: Inventory, kind: str, referred: Counter[tuple[str, str]]) -> Iterator[Problem]:
    known = inventory.tables[kind]
    short: dict[str, list[Record]] = defaultdict(list)
    for same in known.values():
        short[_short(same[0])].append(same[0])
    near = [(a, b) for one, other in names.pairs(short, slips=kind in SLIPS) for a in short[one] for b in short[other]]
    near += [pair for same in short.values() for pair in combinations(same, 2)]
    for one, other in sorted((sorted(pair, key=lambda r: r.name) for pair in near), key=lambda p: [r.name for r in p]):
        if not _one_parent(inventory, one, other):
            continue
        # The better one is what more refer to, then the longer, which tells more.
        keep, drop = sorted((one, other), key=lambda r: (-referred[kind, r.name], -len(r.name), r.name))
        users = referred[kind, drop.name]
        elsewhere = Phrase("elsewhere", {"keep": keep.name, "users": users}) if users else ""
        yield drop.entry.problem(
            "near-name",
            "name",
            value=drop.name,
            other=keep.name,
            where=keep.where,
            keep=keep.name,
            drop=drop.name,
            elsewhere=elsewhere,
        )


def _short(record: Record) -> str:
    """Return a name without what it stands in: "B305" of the room "Bât. B / B305" in the building "Bât. B"."""
    parent, between = record.text(PARENTS.get(record.table, "")), " / "
    rest = record.name.removeprefix(parent + between) if parent else record.name
    while (cut := parent.partition(between)[2]) and rest == record.name:
        parent = cut
        rest = record.name.removeprefix(parent + between)
    return rest


def _one_parent(inventory: Inventory, one: Record, other: Record) -> bool:
    """Return whether two rooms may stand in one building, two buildings on one site: "101" of two buildings are two."""
    column = PARENTS.get(one.table, "")
    a, b = one.text(column), other.text(column)
    if not a or not b or a == b or names.alike(a, b):
        return True
    first, second = (inventory.tables[COLUMNS[one.table][column].of].get(name) for name in (a, b))
    if first is None or second is None or not names.alike(_short(first[0]), _short(second[0])):
        return False
    return _one_parent(inventory, first[0], second[0])


def _model_dates(inventory: Inventory) -> Iterator[Problem]:
    for kind in ("hosts", "devices"):
        for record in inventory.records(kind):
            bought, model = record.day("purchased"), inventory.tables["models"].get(record.text("model"))
            released = model[0].day("released") if model else None
            if model and bought and released and bought < released:
                fields = {"value": bought, "model": model[0].name, "limit": released, "where": model[0].where}
                yield record.entry.problem("before-model", "purchased", **fields)


def _factors(inventory: Inventory) -> Iterator[Problem]:
    for model in inventory.records("models"):
        kind = model.text("class")
        if kind and not model.told.keys() & {"idle", "active"} and not model_of(kind, model.name).of:
            yield model.entry.problem("default-power", "name", value=kind)
        if kind and "embodied" not in model.told:
            yield model.entry.problem("no-embodied", "name")
    for record in inventory.records("devices"):
        if not record.text("class") and not record.text("model"):
            yield record.entry.problem("no-power", "class", value=record.name)
    for kind in ("sites", "rooms"):
        for record in inventory.records(kind):
            yield from _zone_and_tariff(record)
    priced = {r.text("building") for r in inventory.records("rooms") if "tariff" in r.told}
    for site in inventory.records("sites"):
        buildings = {b.name for b in inventory.records("buildings") if b.text("site") == site.name}
        if "tariff" not in site.told and not buildings & priced:
            yield site.entry.problem("no-tariff", "name")


def _zone_and_tariff(record: Record) -> Iterator[Problem]:
    if zone := record.text("zone"):
        try:
            table.load({"zone": zone})
        except FactorError:
            yield record.entry.problem("no-zone-factor", "zone", value=zone, known="FR, or leave it empty")
    if "tariff" in record.told and "tariff_date" not in record.told:
        yield record.entry.problem("tariff-undated", "tariff")


def _places(inventory: Inventory) -> Iterator[Problem]:
    told = set()
    for kind in ("hosts", "devices"):
        for record in inventory.records(kind):
            if not record.text("room"):
                yield record.entry.problem("nowhere", "name")
    for host in inventory.records("hosts"):
        rooms = inventory.tables["rooms"].get(host.text("room"), ())
        for room in rooms:
            if "pue" not in room.told and room.where not in told:
                told.add(room.where)
                yield room.entry.problem("host-room-pue", "pue", value=room.name)
