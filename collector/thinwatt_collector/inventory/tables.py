"""Cells to records: :data:`COLUMNS` is the only place that knows a column; it reads, makes errors and the example."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from thinwatt_collector.inventory.aliases import aliases
from thinwatt_collector.inventory.files import TABLES, Entry, hint, plain, read_folder
from thinwatt_collector.inventory.messages import Problem
from thinwatt_collector.models.devices import CLASSES, STATES
from thinwatt_collector.words import Phrase

AGENT: Final = ("yes", "planned", "none")
"""``none``: no agent by design; that is no gap."""
EVENTS: Final = ("bought", "reassigned", "reconditioned", "given", "sold", "scrapped")
"""What can happen to a device, in the order in which it may on one day."""


class CellError(ValueError):
    """A cell that cannot be read; carries the message's id and fields."""

    def __init__(self, message: str, **fields: object) -> None:
        super().__init__(message)
        self.message, self.fields = message, fields


@dataclass(frozen=True, slots=True)
class Column:
    """One column: how a cell is read, whose name it holds, what it means.

    Attributes:
        read: cell → what it says; raises :class:`CellError`.
        example: as somebody may write it.
        of: the table whose names it holds.
        needed: an entry without it cannot be used.
    """

    read: Callable[[Any], Any]
    example: str
    help: str
    of: str = ""
    needed: bool = False


def text(cell: Any) -> str:
    """Return a cell as text; a number is one, in a spreadsheet."""
    if isinstance(cell, bool) or not isinstance(cell, (str, int, float)) or not str(cell).strip():
        raise CellError("text-wrong", value=cell)
    return str(cell)


def day(cell: Any) -> date:
    """Return a date: 2025-01-31, 31/01/2025 as in France, or TOML's own."""
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    written = str(cell)
    try:
        if told := re.fullmatch(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})(?: 0?0:00(?::00)?)?", written, re.ASCII):
            return date(int(told[3]), int(told[2]), int(told[1]))
        if told := re.fullmatch(r"(\d{4}-\d{2}-\d{2})(?:[ T]00:00(?::00)?)?", written, re.ASCII):
            return date.fromisoformat(told[1])
    except ValueError:
        pass
    raise CellError("date-wrong", value=cell)


def number(what: str, low: float, high: float, unit: str = "", whole: bool = False) -> Callable[[Any], float]:
    """Return a reader of numbers in one unit, which may stand behind them: 0.21, "0,21", "0,21 EUR/kWh"."""
    pattern = re.compile(rf"([+-]?\d[\d ]*(?:[.,]\d+)?)\s*(?:{re.escape(unit)})?", re.ASCII | re.IGNORECASE)

    def read(cell: Any) -> float:
        if isinstance(cell, bool) or not isinstance(cell, (str, int, float)):
            raise CellError("number-wrong", value=cell, what=what)
        told = pattern.fullmatch(str(cell).replace("€", "EUR").strip())
        if told is None or len(str(cell)) > 40:
            raise CellError("number-wrong", value=cell, what=what)
        found = float(told[1].replace(" ", "").replace(",", "."))
        if not low <= found <= high or (whole and found != math.floor(found)):
            raise CellError("number-range", value=cell, what=what, low=f"{low:g}", high=f"{high:g}")
        return found

    return read


def choice(kind: str, *known: str) -> Callable[[Any], str]:
    """Return a reader of one of some words, or of the French for one of them."""

    def read(cell: Any) -> str:
        word = str(cell).casefold().replace("-", "_").replace(" ", "_")
        word = aliases(kind).get(plain(str(cell)).replace("_", " "), word)
        if word not in known:
            raise CellError("choice-wrong", value=cell, known=", ".join(known))
        return word

    return read


def agent(cell: Any) -> str:
    """Return yes, planned or none, or the name in the ledger of what a gateway speaks for: ``gateway/device``."""
    found = str(cell).strip()
    return found if re.fullmatch(r"[^\s/]+/\S(.*\S)?", found) else choice("agent", *AGENT)(cell)


_NAME: Final = Column(text, "'B305'", "its name, once in this table", needed=True)
_DATES: Final = {
    "valid_from": Column(day, "2025-01-31", "first day on which this line holds; empty: always did"),
    "valid_to": Column(day, "2026-08-31", "last day on which it holds; empty: still does"),
}
_TARIFF: Final = {
    "tariff": Column(number("price", 0.0, 5.0, "EUR/kWh"), "0.21", "price of electricity [EUR/kWh]"),
    "tariff_date": Column(day, "2025-02-01", "first day on which that was paid"),
    "zone": Column(text, "FR", "zone of the grid, for the emission factor; empty: that of what it stands in"),
}
_LIFE: Final = {
    "purchased": Column(day, "2023-09-01", "day of purchase; it counts from then on"),
    "retired": Column(day, "2026-06-30", "first day on which it was there no more"),
    "agent": Column(agent, "none", "yes, planned, or none: no agent by design, which is no gap; or gateway/device"),
    "price": Column(number("price", 0.0, 1e7, "EUR"), "640", "what it cost [EUR]; empty: not known"),
    "serial": Column(text, "'5CG0123ABC'", "its maker's serial number"),
    "asset": Column(text, "'1042'", "its number in the site's asset management, such as GLPI"),
}


def _of(table: str, needed: bool = False) -> Column:
    return Column(text, f"a name in {table}", f"where it belongs: a name in {table}", table, needed)


_COUNT: Final = Column(number("number of devices", 1, 1e6, whole=True), "25", "how many alike; empty: 1")
_PARTS: Final = {
    "processors": Column(number("number of processors", 1, 16, whole=True), "2", "of a server without a sheet"),
    "die": Column(
        number("area", 1.0, 5000.0, "mm2"), "523", "silicon of one processor [mm2]; with memory: counts parts"
    ),
    "memory": Column(number("memory", 1.0, 1e5, "GB"), "384", "all of it [GB]"),
    "modules": Column(number("number of modules", 1, 256, whole=True), "12", "of memory"),
    "ssds": Column(number("number of disks", 0, 1000, whole=True), "2", "solid-state disks"),
    "ssd": Column(number("size", 1.0, 1e6, "GB"), "960", "size of one [GB]"),
    "hdds": Column(number("number of disks", 0, 1000, whole=True), "0", "hard disks"),
    "supplies": Column(number("number of supplies", 1, 16, whole=True), "2", "power supplies"),
    "supply_weight": Column(number("weight", 0.1, 50.0, "kg"), "3", "weight of one [kg]"),
    "case": Column(choice("case", "rack", "blade"), "rack", "rack or blade"),
}
COLUMNS: Final[Mapping[str, Mapping[str, Column]]] = MappingProxyType(
    {
        "establishments": {"name": _NAME, **_DATES},
        "sites": {"name": _NAME, "establishment": _of("establishments", True), **_TARIFF, **_DATES},
        "buildings": {"name": _NAME, "site": _of("sites", True), **_DATES},
        "rooms": {
            "name": _NAME,
            "building": _of("buildings", True),
            "pue": Column(number("PUE", 1.0, 5.0), "1.45", "energy of the room / of its machines; empty: not cooled"),
            **_TARIFF,
            **_DATES,
        },
        "pools": {"name": _NAME, "establishment": _of("establishments"), **_DATES},
        "models": {
            "name": _NAME,
            "class": Column(choice("class", *CLASSES), "thin_client", ", ".join(CLASSES), needed=True),
            "released": Column(day, "2020-01-01", "first day on sale"),
            **{s: Column(number("power", 0.0, 5000.0, "W"), "5.2", f"{s} at the wall [W]") for s in STATES},
            "embodied": Column(number("mass", 0.0, 1e5, "kg"), "106", "making, transport, end of life [kgCO2e]"),
            "lifetime": Column(number("lifetime", 0.5, 30.0, "years"), "7", "years it is meant to serve"),
            **_PARTS,
        },
        "hosts": {
            "name": _NAME,
            "model": _of("models"),
            "room": _of("rooms"),
            "pool": _of("pools"),
            **_LIFE,
            **_DATES,
        },
        "seats": {"name": _NAME, "room": _of("rooms", True), "pool": _of("pools"), "count": _COUNT, **_DATES},
        "devices": {
            "name": _NAME,
            "model": _of("models"),
            "class": Column(choice("class", *CLASSES), "desktop", "needed where no model tells it"),
            "room": _of("rooms"),
            "seat": _of("seats"),
            "count": _COUNT,
            **_LIFE,
            **_DATES,
        },
        "events": {
            "device": Column(text, "'B305 clients'", "whose: a name in hosts or devices", needed=True),
            "date": Column(day, "2026-06-30", "the day on which it happened", needed=True),
            "event": Column(choice("event", *EVENTS), "given", ", ".join(EVENTS), needed=True),
            "count": Column(
                number("number of devices", 1, 1e6, whole=True), "10", "how many of a lot; empty: all that are left"
            ),
            "to": Column(text, "'a school'", "the place or owner that it went to; no person"),
            "embodied": Column(number("mass", 0.0, 1e5, "kg"), "24", "reconditioned: work and new parts [kgCO2e]"),
            "lifetime": Column(
                number("lifetime", 0.1, 30.0, "years"), "3", "years that it is meant to serve from then on"
            ),
            "cost": Column(number("price", 0.0, 1e7, "EUR"), "80", "what it cost, or brought in if sold [EUR]"),
            "note": Column(text, "'with 16 GB'", "anything else; no person"),
        },
    }
)
NAMED: Final = MappingProxyType({"events": "device"})
"""The column that says whose a line is, where it is not ``name``."""


@dataclass(frozen=True, slots=True)
class Record:
    """One entry whose cells could be read.

    Attributes:
        told: what each column says; a column that is empty or could not be read is not in it.
    """

    table: str
    name: str
    told: Mapping[str, Any]
    entry: Entry = field(compare=False)

    def text(self, column: str) -> str:
        """Return a text, "" where none is told."""
        return str(self.told.get(column, ""))

    def day(self, column: str) -> date | None:
        """Return a day, None where none is told."""
        found = self.told.get(column)
        return found if isinstance(found, date) else None

    def number(self, column: str) -> float:
        """Return a number, NaN where none is told."""
        return float(self.told.get(column, math.nan))

    @property
    def span(self) -> tuple[date, date]:
        """Return first and last day on which this line holds."""
        return self.day("valid_from") or date.min, self.day("valid_to") or date.max

    @property
    def where(self) -> str:
        """Return file and line."""
        return f"{self.entry.origin.file}:{self.entry.origin.line()}"


@dataclass(frozen=True, slots=True)
class Inventory:
    """All records of a folder by table and name: several of one name are one thing at different times."""

    tables: Mapping[str, Mapping[str, Sequence[Record]]]

    def records(self, table: str) -> list[Record]:
        """Return the records of a table, as they were read."""
        return [record for same in self.tables.get(table, {}).values() for record in same]

    def on(self, day: date, table: str, name: str) -> Record | None:
        """Return what was true of a thing on a day."""
        found = (r for r in self.tables.get(table, {}).get(name, ()) if r.span[0] <= day <= r.span[1])
        return next(found, None)


def load(folder: Path) -> tuple[Inventory, list[Problem]]:
    """Return the inventory of a folder and what could not be read of it."""
    entries, problems = read_folder(folder)
    found, wrong = records(entries)
    return found, problems + wrong


def records(entries: Sequence[Entry]) -> tuple[Inventory, list[Problem]]:
    """Return the records of entries and what is wrong with single cells."""
    problems: list[Problem] = []
    tables: dict[str, dict[str, list[Record]]] = {table: defaultdict(list) for table in TABLES}
    told: set[tuple[str, str]] = set()
    for entry in entries:
        columns = COLUMNS[entry.table]
        for name in entry.cells.keys() - columns.keys():
            if (entry.origin.file, name) not in told:
                told.add((entry.origin.file, name))
                problems.append(entry.problem("column-unknown", name, meant=hint(name, columns, "column")))
        row = {name: cell for name in columns if (cell := _read(entry, name, columns[name], problems)) is not None}
        if (whose := row.get(NAMED.get(entry.table, "name"))) is not None:
            tables[entry.table][whose].append(Record(entry.table, whose, row, entry))
    return Inventory(tables), problems


def _read(entry: Entry, name: str, column: Column, problems: list[Problem]) -> Any:
    if name not in entry.cells:
        if column.needed:
            problems.append(
                entry.problem("missing", name, example=Phrase("set", {"key": name, "value": column.example}))
            )
        return None
    try:
        return column.read(entry.cells[name])
    except CellError as error:
        problems.append(entry.problem(error.message, name, **{"example": column.example, **error.fields}))
        return None
