"""What an import would change: GLPI's wishes against the lines that hold on the day. Pure: nothing is written here."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import chain
from typing import Final, Literal

from thinwatt_collector.inventory import check
from thinwatt_collector.inventory.files import Entry
from thinwatt_collector.inventory.glpi.assets import Read
from thinwatt_collector.inventory.glpi.lines import OWN, Book, Cells, Line, entries, open_book
from thinwatt_collector.inventory.glpi.mapping import Meanings
from thinwatt_collector.inventory.glpi.places import Gazetteer, name_places
from thinwatt_collector.inventory.glpi.wishes import FOUND_BY, Left, Wish, Wishes, told_apart, wishes
from thinwatt_collector.inventory.messages import Problem
from thinwatt_collector.inventory.tables import records

Kind = Literal[
    "new", "back", "replaced", "moved", "changed", "renamed", "stocked", "scrapped", "gone", "corrected", "yours"
]
KINDS: Final[tuple[Kind, ...]] = (
    *("new", "back", "replaced", "moved", "changed", "renamed"),
    *("stocked", "scrapped", "gone", "corrected", "yours"),
)
DATED: Final = ("room", "model", "class")
"""Columns whose change has a day; a price or a day of purchase was always what it is."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one machine: which column, from what, to what; ``at`` is the file and line of a line of yours."""

    kind: Kind
    name: str
    column: str = ""
    before: str = ""
    after: str = ""
    at: str = ""


@dataclass(slots=True)
class Plan:
    """What an import found, and what it would write.

    Attributes:
        read: what was read.
        tables: own files' lines after it, by table; ``touched``: those that differ from what is there.
        unchanged: machines of which nothing changes.
        known: lines that held before it, of the import's own.
        near: names that may be two of one thing, once it is written.
        errors: what ``check`` would then call an error, and how many of them there are already (``errors_before``).
        taken: what an unknown state is taken as.
        nowhere: machines in use without a location; stood_in: with the day of use for that of purchase.
        unread: field and text of cells that cannot be read, each with how many.
        away: machines in stock, and scrapped.
        torn: lines of the import's own files that would be lost, since they have no name.
    """

    day: date
    read: Read
    wishes: Wishes
    places: Gazetteer
    changes: list[Change] = field(default_factory=list)
    tables: dict[str, list[Cells]] = field(default_factory=dict)
    touched: list[str] = field(default_factory=list)
    unchanged: int = 0
    known: int = 0
    in_use: int = 0
    first: bool = True
    later: int = 0
    near: list[Problem] = field(default_factory=list)
    errors: list[Problem] = field(default_factory=list)
    errors_before: int = 0
    taken: str = "use"
    nowhere: int = 0
    stood_in: int = 0
    unread: Counter[tuple[str, str]] = field(default_factory=Counter)
    away: Counter[str] = field(default_factory=Counter)
    torn: list[Entry] = field(default_factory=list)

    def of(self, kind: Kind) -> list[Change]:
        """Return the changes of a kind."""
        return [change for change in self.changes if change.kind == kind]


def plan(read: Read, meanings: Meanings, others: Sequence[Entry], day: date) -> Plan:
    """Return what an import would change.

    Args:
        read: GLPI's assets.
        meanings: of GLPI's words.
        others: all entries of the inventory's folder, the import's own among them.
        day: from which on changes hold.
    """
    inventory, _ = records(others)
    book = open_book(inventory, day)
    wished = wishes(read.assets, meanings, inventory, day)
    in_use = [wish for wish in wished.wished if wish.state == "use"]
    stands = [(wish.place, wish.establishment) for wish in in_use if wish.place]
    found = Plan(day, read, wished, name_places(stands, inventory, day, meanings.establishment))
    found.first, found.later, found.in_use = book.first, book.later, len(in_use)
    found.taken = meanings.unknown_state
    found.known = sum(line.own for line in book.open)
    found.nowhere = sum(wish.place is None for wish in in_use)
    found.stood_in = sum(wish.stood_in and wish.bought is not None for wish in in_use)
    for asset in read.assets:
        found.unread.update((name, text) for name, text in asset.unread.items())
        late = asset.bought or asset.used
        if late and late > day:
            found.unread["future", late.isoformat()] += 1
    before = {table: [dict(cells) for cells in lines] for table, lines in book.tables.items()}
    _machines(found, book)
    for table, lines in found.places.added.items():
        book.tables[table] += lines
    for model, (kind, _) in wished.unknown_models.items():
        book.tables["models"].append({"name": model, "class": kind})
    found.tables = book.tables
    found.touched = [table for table in book.tables if book.tables[table] != before[table]]
    _check(found, others)
    found.torn = [entry for entry in others if entry.origin.file in OWN.values() and "name" not in entry.cells]
    return found


def _machines(found: Plan, book: Book) -> None:
    """Go through the wishes: what is known again, what is new, and what is gone."""
    at = _known_again(found.wishes, book.open)
    ever = {name for _, name in book.names}
    lines = {id(line) for line in at.values()}
    names = _names(found, at)
    for wish in found.wishes.wished:
        known = at.get(id(wish))
        if wish.state != "use":
            _away(found, book, wish, known)
        elif known and not known.own:
            _yours(found, wish, known)
        elif known is None and id(wish) in names:
            found.changes.append(Change("new", names[id(wish)], "room", "", _room(found, wish)))
    ended = {change.name for change in found.changes if change.kind in ("stocked", "scrapped")}
    replaced = ended | _ends(found, book, lines, names)
    for wish in found.wishes.wished:
        known, name = at.get(id(wish)), names.get(id(wish), "")
        if wish.state == "use" and name and (known is None or known.own):
            _write(found, book, wish, known, name, name not in replaced)
    for i, change in enumerate(found.changes):
        if change.kind == "new" and change.name in ever:
            kind: Kind = "replaced" if change.name in replaced else "back"
            found.changes[i] = Change(kind, change.name, change.column, "", change.after)


def _known_again(found: Wishes, lines: Sequence[Line]) -> dict[int, Line]:
    """Return the line of each wish and of each asset that is not read, by ``id``: by number, else serial, else name.

    Two that share a name are two machines where both tell a number, or both a serial, and these differ; so are two of
    one number that share neither serial nor name: GLPI was set up anew.
    """
    at: dict[int, Line] = {}
    taken: set[int] = set()
    wished = sorted(found.wished, key=lambda wish: wish.state != "use")
    seekers: list[tuple[int, tuple[str, str, str]]] = [(id(wish), wish.keys) for wish in wished]
    seekers += [(id(left), _keys(left)) for left in found.left if not left.reason.startswith("same-")]
    for n, _ in enumerate(FOUND_BY):
        index: dict[str, list[Line]] = defaultdict(list)
        for line in lines:
            if line.keys[n] and id(line) not in taken:
                index[line.keys[n]].append(line)
        for who, keys in seekers:
            if who in at or not keys[n]:
                continue
            same = (x for x in index[keys[n]] if id(x) not in taken and not _differ(x.keys, keys, n))
            if known := next(same, None):
                at[who] = known
                taken.add(id(known))
    return at


def _keys(left: Left) -> tuple[str, str, str]:
    return Wish(left.asset, left.name).keys


def _differ(one: tuple[str, str, str], other: tuple[str, str, str], n: int) -> bool:
    number, serial, name = (bool(a and b and a != b) for a, b in zip(one, other, strict=True))
    return (serial and name, False, number or serial)[n]


def _names(found: Plan, at: dict[int, Line]) -> dict[int, str]:
    """Return the name here of each machine in use; of several that share one, all but the known one get a mark."""
    groups: dict[str, list[Wish]] = defaultdict(list)
    for wish in found.wishes.wished:
        if wish.state == "use":
            groups[wish.name].append(wish)
    names: dict[int, str] = {}
    used: set[str] = set()
    for name, group in groups.items():
        owner = next((w for w in group if id(w) in at and at[id(w)].record.name == name), None)
        alone = owner or (group[0] if len(group) == 1 else next((w for w in group if not told_apart(name, w)), None))
        for wish in group:
            called = name if wish is alone else told_apart(name, wish)
            line = at.get(id(wish))
            if line and line.record.name.startswith(f"{name} ("):  # marked by an earlier import
                called = line.record.name
            if not called or called in used:
                found.wishes.left.append(Left(wish.asset, "same-name", name, name))
                continue
            used.add(called)
            names[id(wish)] = called
    return names


def _room(found: Plan, wish: Wish) -> str:
    return found.places.rooms[wish.place] if wish.place else ""


def _away(found: Plan, book: Book, wish: Wish, line: Line | None) -> None:
    found.away[wish.state] += 1
    if line is None:
        return
    kind: Kind = "stocked" if wish.state == "stock" else "scrapped"
    if not line.own:
        found.changes.append(Change("yours", line.record.name, "state", "", wish.asset.state, line.record.where))
        return
    book.end(line, (wish.asset.scrapped or book.day) if kind == "scrapped" else None)
    found.changes.append(Change(kind, line.record.name, "retired", "", line.cells.get("retired", "")))


def _yours(found: Plan, wish: Wish, line: Line) -> None:
    same = True
    for column, told in _dated(found, wish).items():
        ours = line.record.text(column)
        if told and ours and told != ours:
            same = False
            found.changes.append(Change("yours", line.record.name, column, ours, told, line.record.where))
    found.unchanged += same


def _ends(found: Plan, book: Book, known: set[int], names: dict[int, str]) -> set[str]:
    """End the own lines that GLPI knows nothing of any more; return the names whose machine was exchanged."""
    replaced = set()
    wanted = set(names.values())
    for line in book.open:
        if line.own and id(line) not in known:
            book.end(line, book.day)
            if line.record.name in wanted:
                replaced.add(line.record.name)
            else:
                found.changes.append(Change("gone", line.record.name, "room", line.record.text("room")))
    return replaced


def _dated(found: Plan, wish: Wish) -> Cells:
    """Return the cells that have a day. The class stands there only where no model tells it."""
    return {"room": _room(found, wish), "model": wish.model, "class": "" if wish.model else wish.kind}


def _facts(wish: Wish) -> Cells:
    """Return the cells that are of the machine itself; nothing for what GLPI does not tell."""
    told = {
        "purchased": wish.bought.isoformat() if wish.bought else "",
        "price": f"{wish.asset.price:.2f}" if wish.asset.price else "",
        "serial": wish.asset.serial,
        "asset": wish.asset.number,
    }
    return {column: cell for column, cell in told.items() if cell}


def _write(found: Plan, book: Book, wish: Wish, line: Line | None, name: str, same: bool) -> None:
    dated = {column: cell for column, cell in _dated(found, wish).items() if cell}
    if wish.table == "hosts" or (line and line.record.text("model")):
        dated.pop("class", None)  # a host is one by its table; a model that GLPI tells no more tells the class still
    facts = _facts(wish)
    if line is None or line.table != wish.table:
        if line:
            book.end(line, None)
            book.hand_over(line.table, line.record.name)
            found.changes.append(Change("changed", name, "class", line.table, wish.table))
        elif (was := _former(book, wish)) and was[1] != name:
            book.hand_over(*was)
        book.begin(wish.table, {"name": name, **dated, **facts}, same)
        return
    changes = [
        Change("moved" if column == "room" else "changed", name, column, line.cells.get(column, ""), cell)
        for column, cell in dated.items()
        if line.cells.get(column, "") != cell
    ]
    corrected = [
        Change("corrected", name, column, line.cells.get(column, ""), cell)
        for column, cell in facts.items()
        if not _same(line, column, cell)
    ]
    cells = line.cells
    if name != line.record.name:
        changes.append(Change("renamed", line.record.name, "name", line.record.name, name))
        cells = _rename(book, line, name, dated)
    elif changes:
        cells = book.change(line, dated)
        if "model" in dated:
            cells.pop("class", None)
    cells.update({change.column: change.after for change in corrected})
    found.changes += changes + corrected
    found.unchanged += not (changes or corrected)


def _former(book: Book, wish: Wish) -> tuple[str, str] | None:
    """Return table and name under which a machine stood here before it left, None where it never did."""
    found = (book.former.get((n, key)) for n, key in enumerate(wish.keys[:2]) if key)
    was = next((name for name in found if name), None)
    return None if was is None or any(line.record.name == was[1] for line in book.open) else was


def _rename(book: Book, line: Line, name: str, dated: Cells) -> Cells:
    """Let a machine be called otherwise from the day on. The new name takes the purchase along, so that it is one."""
    cells = book.change(line, {"name": name, **dated})
    if cells is line.cells:  # it began today: what the old name had before is another line
        same = book.names[line.table, line.record.name]
        same[:] = [old for old in same if old is not cells]
    book.hand_over(line.table, line.record.name)
    return cells


def _same(line: Line, column: str, cell: str) -> bool:
    told = line.record.told.get(column)
    if isinstance(told, date):
        return told.isoformat() == cell
    if isinstance(told, float):
        return abs(told - float(cell)) < 0.005
    return str(told or "") == cell


def _check(found: Plan, others: Sequence[Entry]) -> None:
    """Look at the inventory as it would be, with the eyes of ``inventory check``."""
    rest = [entry for entry in others if entry.origin.file not in OWN.values()]
    new = entries(found.tables)
    after, wrong = records([*rest, *new])
    names = {line["name"] for lines in found.places.added.values() for line in lines}
    names |= found.wishes.unknown_models.keys()
    for problem in chain(wrong, check.whole(after, found.day)):
        if problem.id == "near-name" and {problem.fields["value"], problem.fields["other"]} & names:
            found.near.append(problem)
        elif problem.severity == "error":
            found.errors.append(problem)
    if found.errors:
        now, wrong = records(others)
        found.errors_before = sum(p.severity == "error" for p in chain(wrong, check.whole(now, found.day)))
