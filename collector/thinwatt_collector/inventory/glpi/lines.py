"""The lines of ours that an import writes: ``devices.glpi.csv`` and its like. Those of other files it only reads.

What changed on a day ends a line the day before, and a new line begins: what was true of a day is never rewritten. Only
a line that began on the very day, by an import a few hours ago, is rewritten or taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from thinwatt_collector.inventory.files import TABLES, Entry, Origin
from thinwatt_collector.inventory.glpi.assets import plain_serial
from thinwatt_collector.inventory.tables import CellError, Inventory, Record, day

IMPORTED_TABLES: Final = tuple(table for table in TABLES if table != "events")
"""What became of a device is written by people."""
OWN: Final[Mapping[str, str]] = {table: f"{table}.glpi.csv" for table in IMPORTED_TABLES}
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
        former: table and name of a machine whose own line has ended, by ``(0, number)`` and ``(1, serial)``.
        first: whether nothing was ever imported.
        later: own lines that begin after the day.
    """

    day: date
    tables: dict[str, list[Cells]]
    open: list[Line] = field(default_factory=list)
    names: dict[tuple[str, str], list[Cells]] = field(default_factory=dict)
    former: dict[tuple[int, str], tuple[str, str]] = field(default_factory=dict)
    first: bool = True
    later: int = 0

    @property
    def yesterday(self) -> date:
        """Return the last day on which what ends today holds."""
        return self.day - timedelta(days=1)

    def end(self, line: Line, retired: date | None) -> None:
        """Let a line hold no more, from the day on; ``retired``: the machine is not there any more since that day."""
        begun = line.record.day("valid_from") or date.min
        if begun == self.day:
            for lines in (self.tables[line.table], self.names[line.table, line.record.name]):
                lines[:] = [cells for cells in lines if cells is not line.cells]
            return
        last = self.yesterday
        if retired:
            sure = begun < retired <= self.day and retired > (line.record.day("purchased") or date.min)
            on = retired if sure else self.day
            line.cells["retired"] = on.isoformat()
            last = on - timedelta(days=1)
        line.cells["valid_to"] = max(last, begun).isoformat()

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
        self.tables[table].append(kept | cells | since)

    def hand_over(self, table: str, name: str) -> None:
        """Let what a name was bought for go: its machine is called otherwise from the day on, and bought once."""
        for old in self.names.get((table, name), [])[-1:]:
            bought = old.get("purchased", "")
            if bought and "valid_from" not in old and _day(bought) <= _day(old.get("valid_to", "")):
                old["valid_from"] = bought  # it counted from the day of purchase on
            old["retired"] = self.day.isoformat()
            for column in ("purchased", "price"):
                old.pop(column, None)


def open_book(inventory: Inventory, day: date) -> Book:
    """Return the lines of an inventory as they stand on a day."""
    book = Book(day, {table: [] for table in IMPORTED_TABLES})
    for table in IMPORTED_TABLES:
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
    if first <= day <= last and not (retired and retired <= day):
        cells = {name: str(cell) for name, cell in record.entry.cells.items()} if own is None else own
        book.open.append(Line(table, own is not None, cells, record))
    elif own is not None:
        for n, key in enumerate(Line(table, True, own, record).keys[:2]):
            if key:
                book.former[n, key] = table, record.name


def _day(cell: str) -> date:
    try:
        return day(cell)
    except CellError:
        return date.max


def entries(tables: Mapping[str, Iterable[Cells]]) -> list[Entry]:
    """Return own lines as the reader of files would find them after they are written."""
    return [
        Entry(table, dict(cells), Origin(OWN[table], number))
        for table, lines in tables.items()
        for number, cells in enumerate(lines, 2)
    ]
