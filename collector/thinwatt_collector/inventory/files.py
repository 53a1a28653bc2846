"""A folder's files to cells: TOML, and CSV as any office program writes it."""

from __future__ import annotations

import csv
import difflib
import io
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from thinwatt_agent.places import line_of
from thinwatt_collector.inventory.aliases import aliases
from thinwatt_collector.inventory.aliases import column as column_of
from thinwatt_collector.inventory.messages import Problem
from thinwatt_collector.words import Phrase

LIMIT: Final = 64 * 2**20
"""A larger file is none that somebody wrote [B]."""
TABLES: Final = (
    *("establishments", "sites", "buildings", "rooms"),
    *("pools", "models", "hosts", "seats", "devices", "events"),
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an entry stands.

    Attributes:
        file: in the folder.
        first: its line in a CSV file; 0 in a TOML file, where ``text``, ``table`` and ``n`` tell it when asked.
    """

    file: str
    first: int = 0
    text: str = ""
    table: str = ""
    n: int = 0

    def line(self, key: str = "") -> int:
        """Return the line of a key of this entry, or of the entry."""
        return self.first or line_of(self.text, (self.table, key) if key else (self.table,), self.n)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a CSV file, one table of a TOML file: cells by column; none is empty."""

    table: str
    cells: dict[str, Any]
    origin: Origin

    def problem(self, message: str, key: str = "", **fields: object) -> Problem:
        """Return a problem of this entry."""
        at = self.origin
        return Problem(message, at.file, at.line(key), key, {"table": self.table, **fields})


Found = tuple[list[Entry], list[Problem]]


def read_folder(folder: Path) -> Found:
    """Return the entries of all ``*.toml`` and ``*.csv`` of a folder, in the order of their names."""
    try:
        paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".toml", ".csv"))
    except OSError as error:
        return [], [Problem("folder", str(folder), 1, "", {"detail": Phrase("no-folder", {"why": error.strerror})})]
    if not paths:
        return [], [Problem("folder", str(folder), 1, "", {"detail": Phrase("no-files")})]
    entries: list[Entry] = []
    problems: list[Problem] = []
    for path in paths:
        found, wrong = _read(path)
        entries += found
        problems += wrong
    return entries, problems


def _read(path: Path) -> Found:
    limit = f"{LIMIT // 2**20} MiB"
    try:
        if path.stat().st_size > LIMIT:
            return [], [Problem("file-unread", path.name, 1, "", {"detail": Phrase("too-large"), "limit": limit})]
        data = path.read_bytes()
    except OSError as error:
        return [], [Problem("file-unread", path.name, 1, "", {"detail": error.strerror, "limit": limit})]
    return (parse_toml if path.suffix.lower() == ".toml" else parse_csv)(data, path.name)


@lru_cache(maxsize=65_536)
def plain(name: str) -> str:
    """Return a name without accents and capitals, of letters, digits and underscores.

    >>> plain(" Durée de vie "), plain("Bât. B")
    ('duree_de_vie', 'bat_b')
    """
    bare = "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(c))
    return "_".join(re.findall(r"\w+", bare.replace("_", " ")))


def _table(written: str) -> str:
    found = plain(written)
    return aliases("table").get(found, found)


def hint(word: str, known: Iterable[str], kind: str = "") -> Phrase:
    """Return the end of a message about an unknown name: the known one that is close, or all of them."""
    names = sorted(known)
    if close := difflib.get_close_matches(word, names, 1):
        return Phrase("meant.close", {"close": close[0], "kind": kind})
    return Phrase("meant.known", {"known": ", ".join(names), "kind": kind})


def decode(data: bytes, file: str) -> tuple[str, list[Problem]]:
    """Return the text of a file as an office program or a database saved it, its lines as Unix ends them."""
    marks = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    encoding = marks.get(data[:2], "utf-8-sig")
    for attempt in (encoding, "cp1252"):
        try:
            return _lines(data.decode(attempt)), []
        except UnicodeDecodeError:
            continue
    text = _lines(data.decode("cp1252", errors="replace"))
    line = text[: text.find("\ufffd")].count("\n") + 1
    return text, [Problem("encoding", file, line, "", {})]


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_csv(data: bytes, file: str) -> Found:
    """Return the entries of a CSV file, whose name tells the table up to its first dot. Any bytes will do.

    The delimiter is the one of ``;``, tab and ``,`` that the first line has most of; a line ``sep=;`` above it counts.
    """
    table = _table(Path(file).stem.partition(".")[0])
    if table not in TABLES:
        return [], [
            Problem("table-unknown", file, 1, "", {"value": Path(file).stem, "meant": hint(table, TABLES, "table")})
        ]
    text, problems = decode(data, file)
    delimiter, told = dialect(text)
    return _entries(rows(text, delimiter, file, problems), table, file, delimiter, told, problems)


def dialect(text: str) -> tuple[str, bool]:
    """Return the delimiter, and whether a line ``sep=;`` above the headings tells it; what is in quotes counts not.

    >>> dialect('"Site, room";Name'), dialect("sep=|")
    ((';', False), ('|', True))
    """
    head = text.split("\n", 1)[0]
    if told := re.fullmatch(r"\"?sep=(.)\"?", head.strip(" ")):
        return (told[1] if told[1] not in '"\n' else ";"), True
    return max(";\t,", key=re.sub(r'"[^"]*"', "", head).count), False


def rows(
    text: str, delimiter: str, file: str, problems: list[Problem], strict: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Yield first line and cells of every row that is not empty; each cell in one line, without spaces around it.

    ``strict``: quotes that are never closed are a problem, not a cell with the rest of the file in it.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict)
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, [_tidy(cell) for cell in cells]
            line = reader.line_num + 1
    except csv.Error as error:
        problems.append(Problem("csv-broken", file, line, "", {"detail": error}))


def _tidy(cell: str) -> str:
    return " ".join(unicodedata.normalize("NFC", cell).split())


def _entries(
    body: Iterator[tuple[int, list[str]]],
    table: str,
    file: str,
    delimiter: str,
    told: bool,
    problems: list[Problem],
) -> Found:
    if told:
        next(body, None)
    line, head = next(body, (1, []))
    columns = [column_of(table, plain(cell)) for cell in head]
    for i, column in enumerate(columns):
        if column and column in columns[:i]:
            problems.append(Problem("column-double", file, line, column, {}))
    found = []
    for at, cells in body:
        if len(cells) > len(columns) and any(cells[len(columns) :]):
            fields: dict[str, object] = {"found": len(cells), "wanted": len(columns), "delimiter": delimiter}
            problems.append(Problem("cells-too-many", file, at, "", fields))
        named = {c: cell for c, cell in zip(columns, cells, strict=False) if c and cell}
        found.append(Entry(table, named, Origin(file, at)))
    return found, problems


def parse_toml(data: bytes, file: str) -> Found:
    """Return the entries of a TOML file: ``[[rooms]]`` and so on, several tables if you like. Any bytes will do."""
    text, problems = decode(data, file)
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        told = re.search(r"at line (\d+), column \d+", str(error))
        line = int(told[1]) if told else text.rstrip("\n").count("\n") + 1  # "at end of document"
        return [], [*problems, Problem("toml-broken", file, line, "", {"detail": error})]
    entries: list[Entry] = []
    for written, content in document.items():
        table, line = _table(written), line_of(text, (written,))
        if table not in TABLES:
            fields: dict[str, object] = {"value": written, "meant": hint(table, TABLES, "table")}
            problems.append(Problem("table-unknown", file, line, "", fields))
        elif not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
            problems.append(Problem("table-shape", file, line, "", {"value": written}))
        else:
            origins = (Origin(file, 0, text, written, n) for n in range(len(content)))
            entries += [Entry(table, _cells(table, one), at) for one, at in zip(content, origins, strict=True)]
    return entries, problems


def _cells(table: str, one: dict[str, Any]) -> dict[str, Any]:
    return {
        column_of(table, plain(key)): _tidy(cell) if isinstance(cell, str) else cell
        for key, cell in one.items()
        if cell != ""
    }
