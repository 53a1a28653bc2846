"""All of a ledger into a new one, from a file to a server or back: whole and compared, or not at all.

What is booked is copied bit by bit, so counters go on where they stood and agents notice nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from thinwatt_collector.ledger import LedgerError, open_ledger
from thinwatt_collector.ledger.address import SCHEMES, address_of, text_of
from thinwatt_collector.ledger.duckdb_file import wal_of
from thinwatt_collector.ledger.session import Session, given
from thinwatt_collector.ledger.tables import Tables

SLOTS: Final = "source joules:real variance:real bias:real covered:real"
PARTS: Final = f"{SLOTS} slots devices"
TABLES: Final = {
    "wire_schema": "id:bytes document:text",
    "device": "id name:text agent:text class:text model:text simulated:truth",
    "source": "id name:text part:text scope:text basis:text",
    "stream": "agent:text stream:bytes schema_id:bytes boot:bytes base pos t_pos utc_offset uncertain:truth seen "
    "state:bytes",
    "label": "id family:text labels:text",
    "booked": "label total:real",
    "event": "utc kind:text subject:text text:text",
    "open_slot": f"device slot {SLOTS}",
    "sealed_slot": f"device slot {SLOTS}",
    "kept_slot": f"device slot {PARTS}",
    "hour_slot": f"device hour {PARTS}",
    "day_slot": f"device day {PARTS}",
    "local_day": "day past folded:truth",
    "day_zone": "name:text complete:truth",
    "slots_kept": "hour",
    "folded_device": "id class:text simulated:truth dimension:text label:text",
}
"""Every table and its columns, whole numbers where nothing else is said."""
EXACT: Final = ("SELECT label, total FROM booked ORDER BY label", "SELECT pos, agent, stream FROM stream")
"""What must be the same to the last bit."""
SUM: Final = {
    "whole": "CAST(coalesce(sum({c}), 0) AS DOUBLE PRECISION)",
    "real": "coalesce(sum({c}), 0)",
    "truth": "count(*) FILTER (WHERE {c})",
    "text": "CAST(coalesce(sum(length({c})), 0) AS DOUBLE PRECISION)",
    "bytes": "CAST(coalesce(sum(octet_length({c})), 0) AS DOUBLE PRECISION)",
}
PIECE: Final = 100_000
"""Rows that are in memory at one time."""
MEMORY: Final = 1 << 30

Told = Callable[[str, int, int], None]
"""Is told the table, rows that are moved, rows that there are."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved: rows of each table, and joules that were compared."""

    rows: dict[str, int]
    joules: float


def move(source: str, target: str, told: Told = lambda *_: None) -> Moved:
    """Copy the ledger at ``source`` into a new one at ``target``, and compare them.

    Args:
        source: ``duckdb:PATH`` or ``postgresql://…``; left as it is, but for its version.
        target: likewise, where no ledger is yet, or an empty one on a server.
        told: how far it is.

    Raises:
        LedgerError: a collector has one of them open, there is something at the target already, or the two are not
            the same at the end; there is no new ledger then.
    """
    source, target = _place(source), _place(target)
    if source == target:
        raise LedgerError("both are the same ledger: name another target")
    kind, _, path = source.partition(":")
    if kind == "duckdb" and not Path(path).exists():
        raise LedgerError(f"there is no ledger {path}")
    with _opened(source) as old, _made(target) as new:
        _empty(new, target)
        with old.snapshot(), new.whole():
            rows = _copy(old, new, told)
            joules = _compare(old, new)
    return Moved(rows, joules)


def _place(where: str) -> str:
    kind, _, path = where.partition(":")
    if kind in SCHEMES:
        try:
            return text_of(address_of(where, Path.cwd()))
        except ValueError as error:
            raise LedgerError(str(error)) from error
    if kind != "duckdb" or not path:
        raise LedgerError(f"{where!r} is no ledger: write duckdb:PATH or postgresql://USER@HOST/DATABASE")
    return f"duckdb:{Path(path).resolve()}"


@contextmanager
def _opened(where: str) -> Iterator[Session]:
    """Open a ledger that nobody else has open, and keep others out."""
    ledger = open_ledger(where, MEMORY)
    assert isinstance(ledger, Tables)  # noqa: S101  # both engines are
    try:
        if not ledger.alone():
            raise LedgerError(f"a collector runs on {ledger}: stop it first, the agents keep what they measure")
        yield ledger.session
    finally:
        ledger.close()


@contextmanager
def _made(where: str) -> Iterator[Session]:
    """Open a new ledger; a file appears when everything is in it."""
    kind, _, path = where.partition(":")
    if kind != "duckdb":
        with _opened(where) as session:
            yield session
        return
    file = Path(path)
    partial = file.with_name(f"{file.name}.partial")
    if file.exists():
        raise LedgerError(f"{file} is there already: name another file, or move it away")
    if not file.parent.is_dir():
        raise LedgerError(f"the folder {file.parent} is not there: make it")
    _remove(partial)
    try:
        with _opened(f"duckdb:{partial}") as session:
            yield session
            session.execute("FORCE CHECKPOINT")
        partial.rename(file)
    finally:
        _remove(partial)


def _remove(partial: Path) -> None:
    for path in (partial, wal_of(partial)):
        with suppress(FileNotFoundError):
            path.unlink()


def _empty(session: Session, where: str) -> None:
    for table in TABLES:
        if table != "slots_kept" and session.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchall():
            shown = where.partition("&password_file=")[0]
            raise LedgerError(f"{shown} is not empty, there are rows in {table}: name another file or schema")


def _copy(old: Session, new: Session, told: Told) -> dict[str, int]:
    counts = {t: int(old.execute(f"SELECT count(*) FROM {t}").fetchall()[0][0]) for t in TABLES}
    done, total = 0, sum(counts.values())
    new.execute("DELETE FROM slots_kept")
    for table in TABLES:
        names = ", ".join(name for name, _ in _columns(table))
        for piece in old.pieces(table, names, PIECE):
            rows = len(next(iter(piece.values())))
            if rows:
                with given(new, {f"moved_{table}": piece}):
                    new.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM moved_{table}")
            done += rows
            told(table, done, total)
    return counts


def _columns(table: str) -> list[tuple[str, str]]:
    return [(name, kind or "whole") for name, _, kind in (column.partition(":") for column in TABLES[table].split())]


def _compare(old: Session, new: Session) -> float:
    """Compare counts and sums of every column, and what is booked bit by bit; return the joules."""
    joules = 0.0
    for table in TABLES:
        sums = ", ".join(SUM[kind].format(c=name) for name, kind in _columns(table))
        (was,), (is_now,) = (s.execute(f"SELECT count(*), {sums} FROM {table}").fetchall() for s in (old, new))
        names = ["rows", *(name for name, _ in _columns(table))]
        for name, a, b in zip(names, was, is_now, strict=True):
            # Sums of many numbers depend on the order in the last digits; counts do not.
            if not math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-9):
                raise LedgerError(f"{table}: {name} add up to {a} and to {b} in the new one: nothing was moved")
        if table in ("open_slot", "sealed_slot", "hour_slot"):
            joules += float(was[names.index("joules")])
    for question in EXACT:
        first, second = (sorted(map(_plain, s.execute(question).fetchall())) for s in (old, new))
        if first != second:
            raise LedgerError(f"{question}: not the same in the new one: nothing was moved")
    return joules


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(bytes(value) if isinstance(value, bytes | bytearray) else value for value in row)
