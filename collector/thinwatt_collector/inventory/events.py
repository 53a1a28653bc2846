"""What happened to devices (bought, reassigned, reconditioned, given, sold, scrapped), and the lives that come of it.

A line of hosts or devices with a ``count`` is a lot, and an event may be of some of it. Which of them, nobody says:
those with the fewest events before it.

A device leaves on the day it is ``retired`` by its line, or else with the event that says where it went. Between the
two it is out of service and in stock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from thinwatt_collector.inventory.tables import EVENTS, Inventory, Record

MACHINES: Final = ("hosts", "devices")
LEAVES: Final = ("given", "sold", "scrapped")
"""Events after which a device is here no more."""
REUSED: Final = ("given", "sold")
"""Of these, those after which somebody else uses it."""
UNKNOWN: Final = "retired"
"""The fate of what its line says is retired, and no event says where it went."""


@dataclass(frozen=True, slots=True)
class Life:
    """Machines alike of one line, with one history.

    Attributes:
        line: the newest one of that name.
        count: how many [1].
        bought: when; None where nobody says.
        again: their reconditionings, by date.
        used: whether they were reconditioned when they were bought: their first life was somebody else's.
        out: first day on which they were out of service; None: they are in service.
        fate: what became of them: one of :data:`LEAVES`, :data:`UNKNOWN`, "" for nothing yet.
        gone: the day of that event; None without one.
        last: the event itself.
    """

    line: Record
    count: int
    bought: date | None
    again: tuple[Record, ...] = ()
    used: bool = False
    out: date | None = None
    fate: str = ""
    gone: date | None = None
    last: Record | None = None

    def there_on(self, day: date) -> bool:
        """Return whether they are in service on a day; without a day of purchase always until they are not."""
        return (self.bought or date.min) <= day < (self.out or date.max)


def known(record: Record) -> bool:
    """Return whether an event tells day and kind, so that it can be counted."""
    return record.day("date") is not None and "event" in record.told


def events_of(inventory: Inventory, name: str) -> list[Record]:
    """Return the events of a device that can be counted, as they happened.

    Of one day: a purchase first, a departure last.
    """
    found = [record for record in inventory.tables.get("events", {}).get(name, ()) if known(record)]
    return sorted(found, key=lambda r: (r.day("date") or date.min, _order(r.text("event"))))


def _order(event: str) -> int:
    return EVENTS.index(event)


def lives(inventory: Inventory) -> Iterator[Life]:
    """Yield the lives of all machines of an inventory; each machine is in one of them."""
    for table in MACHINES:
        for name, lines in inventory.tables.get(table, {}).items():
            yield from lives_of(lines, events_of(inventory, name) if _is_now(inventory, name, table) else ())


def _is_now(inventory: Inventory, name: str, table: str) -> bool:
    """Return whether a name is now of this table: a PC that became a host has lines in both, and events once."""
    since = {of: max(line.span[0] for line in inventory.tables[of][name]) for of in _tables(inventory, name)}
    return max(since, key=lambda of: (since[of], of)) == table


def _tables(inventory: Inventory, name: str) -> list[str]:
    return [table for table in MACHINES if inventory.tables.get(table, {}).get(name)]


def lives_of(lines: Sequence[Record], events: Sequence[Record]) -> list[Life]:
    """Return the lives of the machines of one name.

    Args:
        lines: of that name, in any order.
        events: of that name, as they happened.
    """
    newest = max(lines, key=lambda record: record.span[0])
    bought = purchase(lines, events)
    whole = Life(newest, int(newest.told.get("count", 1)), bought)
    parts = [whole]
    for event in events:
        if (step := _step(event, bought)) is not None:
            parts = _taken(parts, event, step)
    retired = newest.day("retired")
    if retired is None:
        return parts
    return [replace(p, out=min(p.out or retired, retired), fate=p.fate or UNKNOWN) for p in parts]


def purchase(lines: Sequence[Record], events: Sequence[Record]) -> date | None:
    """Return the day of purchase: of its event, else of the newest line."""
    told = next((event.day("date") for event in events if event.text("event") == "bought"), None)
    return told or max(lines, key=lambda record: record.span[0]).day("purchased")


def _step(event: Record, bought: date | None) -> str | None:
    """Return what an event changes of a life; None: nothing, as of one that only moved."""
    kind = event.text("event")
    if kind in LEAVES:
        return "leaves"
    if kind == "reconditioned":
        return "used" if event.day("date") == bought else "again"
    return None


def _taken(parts: Sequence[Life], event: Record, step: str) -> list[Life]:
    """Return lives after an event of some machines: those here with the fewest events before it."""
    left = int(event.told.get("count", sum(p.count for p in parts if not p.fate)))
    found = []
    for part in sorted(parts, key=lambda p: (bool(p.fate), len(p.again), p.used)):
        took = 0 if part.fate else min(left, part.count)
        left -= took
        if took:
            found.append(_changed(replace(part, count=took), event, step))
        if part.count > took:
            found.append(replace(part, count=part.count - took))
    return found


def _changed(part: Life, event: Record, step: str) -> Life:
    day = event.day("date")
    if step == "leaves":
        return replace(part, out=day, fate=event.text("event"), gone=day, last=event)
    again = (*part.again, event)
    return replace(part, again=again, used=part.used or step == "used")


def in_service(inventory: Inventory, day: date) -> dict[tuple[str, str], int]:
    """Return of how many machines events say that they are in service on a day, by table and name.

    Names without events are not in it: their lines tell all there is.
    """
    found: dict[tuple[str, str], int] = defaultdict(int)
    for name in inventory.tables.get("events", {}):
        for table in _tables(inventory, name):
            if _is_now(inventory, name, table):
                mine = lives_of(inventory.tables[table][name], events_of(inventory, name))
                found[table, name] = sum(life.count for life in mine if life.there_on(day))
    return found
