"""The ledger is looked after beside commits and readers: in pieces, with the same sums, and with a log that ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.collector.ledger.engines import enter
from tests.collector.ledger.transactions import named, stream_row, transaction
from thinwatt_collector.factors import table
from thinwatt_collector.ledger import LedgerError, duckdb_file
from thinwatt_collector.ledger.compaction import Plan
from thinwatt_collector.ledger.days import DAY
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger
from thinwatt_collector.ledger.tables import Tables
from thinwatt_collector.models.devices import DeviceTable
from thinwatt_collector.readers import LedgerBooks
from thinwatt_collector.serve.api.books import UnreadableError
from thinwatt_collector.step import Step
from thinwatt_collector.upkeep import EVERY, PIECE, REST, Upkeep, zone_of_days

FIRST = 20_000 * 96
NOW = (20_000 + 40) * DAY
SUMS = "SELECT sum(joules), sum(covered) FROM energy"


class Clock:
    """Time that passes when somebody says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def utc(self) -> float:
        return NOW + self.now


@pytest.fixture
def file(tmp_path: Path) -> Iterator[DuckDBLedger]:
    made = DuckDBLedger(tmp_path / "ledger.duckdb")
    yield made
    made.close()


def books_of(ledger: Tables) -> LedgerBooks:
    return LedgerBooks(ledger, Step(ledger, DeviceTable.packaged().of, table.load({"zone": "FR"})))


@pytest.fixture
def books(ledger: Tables) -> LedgerBooks:
    return books_of(ledger)


def rows_of(ledger: Tables, statement: str) -> Any:
    return ledger.session.execute(statement).fetchall()[0]


def two_months(ledger: Tables, devices: int = 12, open_ones: bool = True) -> None:
    """Twenty days of some hosts and PCs, sealed, and the slots of the last hours, open."""
    known = [(i, f"d{i}", "a", "host" if i < 5 else "desktop", "m", False) for i in range(devices)]
    enter(ledger.session, "device", known)
    enter(ledger.session, "source", [(0, "booked", "", "wall", "measured")])
    sealed = [(d, FIRST + s, 0, d + s / 7.0, float(s), float(d), 900.0) for d in range(devices) for s in range(20 * 96)]
    enter(ledger.session, "sealed_slot", sealed)
    if open_ones:
        recent = [(d, NOW // 900 - s, 0, float(d), 0.0, 0.0, 900.0) for d in range(devices) for s in range(8)]
        enter(ledger.session, "open_slot", recent)


def change_much(ledger: DuckDBLedger) -> None:
    """Change rows over and over, as commits do with totals."""
    ledger._connection.execute("INSERT INTO booked SELECT i, 0 FROM range(20000) r(i)")
    for _ in range(30):
        ledger._connection.execute("UPDATE booked SET total = total + 1")


def test_all_that_is_due_is_done_in_pieces_and_no_joule_moves(ledger: Tables, books: LedgerBooks) -> None:
    two_months(ledger, devices=60)
    before = rows_of(ledger, SUMS)
    clock = Clock()
    upkeep = Upkeep(ledger, books, Plan, clock, clock.utc)
    assert not upkeep.turn(), "nothing is due right at the start"
    pieces = 0
    clock.now = EVERY
    assert upkeep.turn(), "the first look seals"
    while rows_of(ledger, "SELECT count(*) FROM sealed_slot")[0] > 6 * 60 or pieces < 3:
        clock.now += 0.5
        pieces += upkeep.turn()
        assert rows_of(ledger, SUMS) == pytest.approx(before, rel=1e-12)
        assert clock.now < EVERY + 600
    assert pieces >= 60 * 20 * 96 // PIECE
    assert rows_of(ledger, "SELECT count(*) FROM hour_slot")[0] > 0
    assert rows_of(ledger, "SELECT count(*) FROM open_slot")[0] < 8 * 60


def test_a_piece_is_followed_by_a_rest(file: DuckDBLedger) -> None:
    asked: list[float] = []

    class Slow(DuckDBLedger):
        def compact(self, now: float, limit: int, plan: Plan) -> int:
            asked.append(clock.now)
            clock.now += 2.0
            return 1

    clock = Clock()
    file.__class__ = Slow
    upkeep = Upkeep(file, books_of(file), Plan, clock, clock.utc)
    clock.now = EVERY
    upkeep.turn()  # the look
    for _ in range(40):
        clock.now += 1.0
        upkeep.turn()
    assert len(asked) >= 3
    assert all(b - a >= 2.0 * (1 + REST) for a, b in pairwise(asked))


def test_a_refusal_is_the_ledgers_error_and_nothing_is_half_done(
    ledger: Tables, books: LedgerBooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_months(ledger)
    before = rows_of(ledger, SUMS)
    clock = Clock()
    upkeep = Upkeep(ledger, books, Plan, clock, clock.utc)

    def broken(*_: object) -> int:
        raise LedgerError("the disk is full")

    clock.now = EVERY
    upkeep.turn()
    monkeypatch.setattr(ledger, "compact", broken)
    clock.now += 1.0
    with pytest.raises(LedgerError, match="disk is full"):
        upkeep.turn()
    monkeypatch.undo()
    clock.now += EVERY
    upkeep.turn()
    assert rows_of(ledger, SUMS) == pytest.approx(before, rel=1e-12)


def test_a_log_that_readers_keep_open_ends_when_the_last_one_leaves(
    file: DuckDBLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, books = file, books_of(file)
    monkeypatch.setattr(duckdb_file, "LONG_LOG", 1 << 20)
    ledger._connection.execute("SET checkpoint_threshold = '1GB'")  # as if somebody had read at every commit
    clock = Clock()
    upkeep = Upkeep(ledger, books, Plan, clock, clock.utc)
    reader = books.reader()
    reader._session.execute("BEGIN TRANSACTION")
    reader.first()
    change_much(ledger)
    assert ledger._log_size() > 1 << 20
    clock.now = EVERY
    upkeep.turn()
    waited: list[object] = []

    def ask() -> None:
        other = books.reader()
        waited.append(other.first())
        other.close()

    asker = threading.Thread(target=ask)
    asker.start()
    asker.join(0.3)
    assert not waited, "a new reader waits"
    clock.now += 1.0
    upkeep.turn()
    assert ledger._log_size() > 1 << 20, "the old one still reads"
    reader.close()
    clock.now += 1.0
    upkeep.turn()
    assert ledger._log_size() < 1 << 20
    asker.join(5.0)
    assert waited == [None]


def test_a_reader_that_waits_too_long_is_told_why(books: LedgerBooks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thinwatt_collector.readers.ROUND_WITHIN", 0.05)
    assert books.pause()
    with pytest.raises(UnreadableError, match="writes its log"):
        books.reader()
    books.resume()
    books.reader().close()


def test_commits_and_readers_go_on_beside_it(ledger: Tables, books: LedgerBooks) -> None:
    two_months(ledger, devices=40, open_ones=False)
    now = NOW // 900
    names = {name: of for name, of in named().items() if name in ("schemas", "labels")}
    ledger.commit(
        transaction([(stream_row(1, 1, seen=NOW * 10**9), 0, False)], [(0, 0, now, 0, 1.0)], [(0, 0, 1.0)], **names)
    )
    clock, stop = Clock(), threading.Event()
    wrong: list[float] = []
    before = rows_of(ledger, SUMS)[0]
    upkeep = Upkeep(ledger, books, Plan, clock, clock.utc)

    def read() -> None:
        while not stop.is_set():
            reader = books.reader()
            found = reader.energy(FIRST * 900, FIRST * 900 + 20 * DAY, "day", "Europe/Paris", ("class",), {})
            if abs(found.joules.sum() / sealed - 1) > 1e-9:
                wrong.append(found.joules.sum())
            reader.close()

    sealed = before - 1.0
    reading = threading.Thread(target=read)
    reading.start()
    for position in range(1, 80):
        clock.now += 2.0 if clock.now else EVERY
        upkeep.turn()
        row = transaction(
            [(stream_row(1, position + 1, seen=NOW * 10**9), position, True)], [(0, 0, now, 0, 1.0)], [(0, 0, 1.0)]
        )
        assert ledger.commit(row).tolist() == [0]
    stop.set()
    reading.join()
    assert not wrong
    assert rows_of(ledger, SUMS)[0] == pytest.approx(before + 79, rel=1e-12)
    assert rows_of(ledger, "SELECT count(*) FROM hour_slot")[0] > 0


@pytest.mark.parametrize("zone, expected", [("Europe/Paris", "Europe/Paris"), ("Asia/Kolkata", "UTC")])
def test_days_that_are_no_whole_hours_are_added_up_from_hours(zone: str, expected: str) -> None:
    assert zone_of_days(zone) == expected


def test_the_engine_is_one_that_waits_for_readers(file: DuckDBLedger) -> None:
    """What all of this is for: should the engine ever write changed rows into its file beside readers, it can go."""
    reader = file.reader()
    reader.execute("BEGIN TRANSACTION")
    reader.execute("SELECT count(*) FROM booked").fetchall()
    change_much(file)
    before = file._log_size()
    with suppress(duckdb.Error):
        file._connection.execute("CHECKPOINT")
    assert file._log_size() == before
    reader.close()
