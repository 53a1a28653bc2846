"""What is wrong with the events of an inventory: whom they are of, their order, their days."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from thinwatt_collector.inventory import names
from thinwatt_collector.inventory.events import LEAVES, MACHINES, events_of, known, lives_of, purchase
from thinwatt_collector.inventory.files import hint
from thinwatt_collector.inventory.messages import Problem
from thinwatt_collector.inventory.tables import Inventory, Record
from thinwatt_collector.words import Phrase

SAME = ("date", "event", "count", "to")
"""Two lines that agree in these are one event twice."""


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield what is wrong with the events of an inventory."""
    for name, told in inventory.tables["events"].items():
        lines = [line for table in MACHINES for line in inventory.tables[table].get(name, ())]
        if not lines:
            yield from (_unknown(inventory, event) for event in told)
            continue
        yield from _doubles(told)
        yield from _order(lines, events_of(inventory, name))
        yield from (
            event.entry.problem("no-reconditioning", "embodied")
            for event in told
            if known(event) and event.text("event") == "reconditioned" and "embodied" not in event.told
        )


def _unknown(inventory: Inventory, event: Record) -> Problem:
    machines = [name for table in MACHINES for name in inventory.tables[table]]
    near = names.nearest(event.name, machines)
    if near is not None:
        remedy, close = Phrase("write.name", {"key": "device", "near": near}), Phrase("meant.like")
    else:
        remedy, close = Phrase("write.add", {"target": "devices", "key": "device"}), hint(event.name, machines)
    told: Phrase | str = close if close.key != "meant.known" else ""
    return event.entry.problem("event-unknown", "device", value=event.name, meant=told, remedy=remedy)


def _doubles(events: Sequence[Record]) -> Iterator[Problem]:
    first: dict[tuple[object, ...], Record] = {}
    for event in events:
        of = tuple(event.told.get(column) for column in SAME)
        if first.setdefault(of, event) is not event:
            yield event.entry.problem("event-double", "date", value=event.name, where=first[of].where)


def _order(lines: Sequence[Record], events: Sequence[Record]) -> Iterator[Problem]:
    """Yield what can't have happened as it is told: each event is looked at with those before it."""
    newest = max(lines, key=lambda record: record.span[0])
    bought, retired, limit = purchase(lines, events), newest.day("retired"), newest.day("purchased")
    told: set[tuple[str, date]] = set()
    for n, event in enumerate(events):
        day, kind = event.day("date"), event.text("event")
        if day is None or (_key(event) in told and _repeated(event, events[:n])):
            continue
        told.add(_key(event))
        if bought is not None and day < bought:
            yield event.entry.problem("event-before", "date", event=kind, value=day, limit=bought)
        elif kind == "bought":
            if limit is not None and limit != day:
                fields = {"event": kind, "value": day, "other": "purchased", "limit": limit, "where": newest.where}
                yield event.entry.problem("event-apart", "date", **fields)
            if earlier := next((e for e in events[:n] if e.text("event") == "bought"), None):
                yield _after(event, earlier)
        elif kind in LEAVES and retired is not None and day < retired and "count" not in event.told:
            fields = {"event": kind, "value": day, "other": "retired", "limit": retired, "where": newest.where}
            yield event.entry.problem("event-apart", "date", **fields)
        yield from _too_many(lines, events[:n], event)


def _key(event: Record) -> tuple[str, date]:
    return event.text("event"), event.day("date") or date.min


def _repeated(event: Record, before: Sequence[Record]) -> bool:
    """Return whether an event stands there twice, which :func:`_doubles` tells."""
    return any(all(e.told.get(column) == event.told.get(column) for column in SAME) for e in before)


def _too_many(lines: Sequence[Record], before: Sequence[Record], event: Record) -> Iterator[Problem]:
    """Yield what an event takes that is not there any more."""
    kind = event.text("event")
    if kind == "bought":
        return
    bare = [life for life in lives_of(lines, before) if not life.gone]
    left = sum(life.count for life in bare)
    if left == 0:
        last = next(e for e in reversed(before) if e.text("event") in LEAVES)
        yield _after(event, last)
    elif (count := int(event.told.get("count", 0))) > left:
        yield event.entry.problem("event-many", "count", event=kind, value=count, limit=left)


def _after(event: Record, before: Record) -> Problem:
    fields = {
        "event": event.text("event"),
        "value": event.day("date"),
        "before": before.text("event"),
        "limit": before.day("date"),
        "where": before.where,
    }
    return event.entry.problem("event-order", "date", **fields)
