"""The lines of ours that an import writes: ``devices.glpi.csv`` and its like. Those of other files it only reads.

A line is never removed. What changed on a day ends it the day before, and a new line begins; a line that began on the
very day is rewritten, since it has not held for a day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from thinwatt_collector.inventory.files import TABLES, Entry, Origin
from thinwatt_collector.inventory.glpi.assets import plain_serial
from thinwatt_collector.inventory.tables import Inventory, Record

OWN: Final[Mapping[str, str]] = {table: f"{table}.glpi.csv" for table in TABLES}
MACHINES: Final = ("hosts", "devices")
IMPORTED: Final = frozenset(
    {"name", "model", "class", "room", "purchased", "price", "serial", "asset", "retired", "valid_from", "valid_to"}
)
"""Columns of a machine's line that an import fills; the others are a person's."""
Cells = dict[str, str]


@dataclass(slots=True)
class Line:
    """A line of hosts or devices, open on the day of the import.

    Attributes:
        own: whether it stands in a file of the import.
        cells: as they will be written; of another file's line they are never changed.
        record: as it was read.
    """

    table: str
    own: bool
    cells: Cells
    record: Record

    @property
    def keys(self) -> tuple[str, str, str]:
        """Return number, serial and name as they are compared, as of a wish."""
        return self.record.text("asset"), plain_serial(self.record.text("serial")), self.record.name


@dataclass(slots=True)
class Book:
    """All lines of an inventory as an import sees them on its day.

    Attributes:
        tables: of the import's own files, all their lines in order, as they will be written.
        open: lines of machines that hold on the day.
        names: of machines, their own lines ever, by table and name and in order.
        ends: last day on which an own line holds, by the ``id`` of its cells.
        first: whether nothing was ever imported.
        later: own lines that begin after the day.
    """

    day: date
    tables: dict[str, list[Cells]]
    open: list[Line] = field(default_factory=list)
    names: dict[tuple[str, str], list[Cells]] = field(default_factory=dict)
    ends: dict[int, date] = field(default_factory=dict)
    first: bool = True
    later: int = 0

    @property
    def yesterday(self) -> date:
        """Return the last day on which what ends today holds."""
        return self.day - timedelta(days=1)

    def end(self, line: Line, retired: date | None) -> None:
        """Let a line hold no more, from the day on; ``retired``: the machine is not there any more since that day."""
        begun = line.record.day("valid_from") or date.min
        last = self.yesterday
        if retired:
            sure = begun < retired <= self.day and retired > (line.record.day("purchased") or date.min)
            on = retired if sure else self.day
            line.cells["retired"] = on.isoformat()
            last = on - timedelta(days=1)
        self.ends[id(line.cells)] = last = max(last, begun)
        line.cells["valid_to"] = last.isoformat()

    def change(self, line: Line, cells: Cells) -> Cells:
        """Let other cells hold from the day on; return those that then do."""
        if line.record.day("valid_from") == self.day:
            line.cells.update(cells)
            return line.cells
        new = line.cells | cells | {"valid_from": self.day.isoformat()}
        self.end(line, None)
        self.tables[line.table].append(new)
        return new

    def begin(self, table: str, cells: Cells, same: bool) -> None:
        """Add a line: from the day on; from always on with the first import, since nothing is known of before.

        ``same``: the machine had lines before; what a person wrote beside it stays.
        """
        since = {} if self.first else {"valid_from": self.day.isoformat()}
        before = self.names.get((table, cells["name"]), [])
        kept = {k: v for k, v in before[-1].items() if k not in IMPORTED} if same and before else {}
        if before and self.ends[id(before[-1])] >= self.day:  # it began and ended today
            before[-1].clear()
            before[-1].update(kept | cells | since)
        else:
            self.tables[table].append(kept | cells | since)


def open_book(inventory: Inventory, day: date) -> Book:
    """Return the lines of an inventory as they stand on a day."""
    book = Book(day, {table: [] for table in TABLES})
    for table in TABLES:
        records = sorted(
            (r for r in inventory.records(table) if r.entry.origin.file == OWN[table]),
            key=lambda r: r.entry.origin.line(),
        )
        own: dict[int, Cells] = {}
        for record in records:
            own[id(record)] = cells = {name: str(cell) for name, cell in record.entry.cells.items()}
            book.tables[table].append(cells)
            book.first = book.first and table not in MACHINES
            book.later += (record.day("valid_from") or date.min) > day
        if table in MACHINES:
            for record in inventory.records(table):
                _add(book, table, record, own.get(id(record)), day)
    return book


def _add(book: Book, table: str, record: Record, own: Cells | None, day: date) -> None:
    first, last = record.span
    retired = record.day("retired")
    if own is not None:
        book.names.setdefault((table, record.name), []).append(own)
        book.ends[id(own)] = last
    if first <= day <= last and not (retired and retired <= day) and record.day("valid_to") != day:
        cells = {name: str(cell) for name, cell in record.entry.cells.items()} if own is None else own
        book.open.append(Line(table, own is not None, cells, record))


def entries(tables: Mapping[str, Iterable[Cells]]) -> list[Entry]:
    """Return own lines as the reader of files would find them after they are written."""
    return [
        Entry(table, dict(cells), Origin(OWN[table], number))
        for table, lines in tables.items()
        for number, cells in enumerate(lines, 2)
    ]
