"""The ledger in a DuckDB file: whole or not at all, read again by the next process, copied while it is open."""

from __future__ import annotations

import itertools
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from tests.collector.ledger.transactions import Place, energy, named, stream_row, transaction
from tests.collector.sending import Bench, Sender
from tests.invariants.memory_ledger import MemoryLedger
from thinwatt_collector.ledger import LedgerError
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger, migrations, verify


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[DuckDBLedger]:
    made = DuckDBLedger(tmp_path / "state" / "ledger.duckdb")
    yield made
    made.close()


def everything(ledger: DuckDBLedger) -> dict[str, list[str]]:
    tables = ("wire_schema", "device", "source", "stream", "label", "booked", "event", "open_slot", "sealed_slot")
    return {name: sorted(map(repr, ledger._rows(f"FROM {name}"))) for name in tables}


def first(ledger: DuckDBLedger) -> None:
    """One stream at position 6 with 100 J in two slots, and its total."""
    t = transaction(
        [(stream_row(1, 6), 0, False)], [(0, 0, 7, 0, 60.0), (0, 0, 8, 0, 40.0)], [(0, 0, 100.0)], **named()
    )
    assert ledger.commit(t).tolist() == [0]


# Opening


def test_an_empty_folder_becomes_a_ledger_of_the_newest_version_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "ledger.duckdb"
    for _ in range(3):
        opened = DuckDBLedger(path)
        found = everything(opened)
        opened.close()
        assert not any(found.values())
    assert verify(path) == migrations()[-1][0]
    assert [version for version, _ in migrations()] == list(range(1, len(migrations()) + 1))


def test_a_ledger_of_a_newer_thinwatt_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "l.duckdb"
    opened = DuckDBLedger(path)
    first(opened)
    opened.close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO schema_version VALUES (999)")
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=r"version 999.*upgrade thinwatt"):
        DuckDBLedger(path)
    assert path.read_bytes() == before
    with duckdb.connect(str(path)) as connection:  # It was closed again.
        assert connection.execute("SELECT count(*) FROM stream").fetchall() == [(1,)]


def test_time_and_gaps_of_an_older_ledger_are_marked_as_their_device_is(tmp_path: Path) -> None:
    path, awkward = tmp_path / "l.duckdb", 'salle "é"\\'
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE schema_version (version INTEGER NOT NULL)")
        for _, text in migrations()[:2]:
            connection.execute(text)
        connection.execute("INSERT INTO schema_version VALUES (1), (2)")
        for i, (name, simulated) in enumerate([(awkward, True), ("b", False)]):
            connection.execute("INSERT INTO device VALUES (?, ?, ?, 'host', '', ?)", [i, name, name, simulated])
            for k, family in enumerate(("DEVICE_COVERED", "DEVICE_GAP", "SOURCE_ENERGY")):
                labels = json.dumps({"device": name})
                connection.execute("INSERT INTO label VALUES (?, ?, ?)", [3 * i + k, family, labels])
                connection.execute("INSERT INTO booked VALUES (?, ?)", [3 * i + k, 10.0 * i + k])
    opened = DuckDBLedger(path)
    found = {(family, text): total for _, family, text, total in opened.dimensions().labels}
    opened.close()
    assert found == {
        (family, json.dumps(labels | ({} if family == "SOURCE_ENERGY" else {"simulated": mark}))): 10.0 * i + k
        for i, (labels, mark) in enumerate([({"device": awkward}, "true"), ({"device": "b"}, "false")])
        for k, family in enumerate(("DEVICE_COVERED", "DEVICE_GAP", "SOURCE_ENERGY"))
    }


def test_what_is_no_ledger_is_named(tmp_path: Path) -> None:
    path = tmp_path / "text.duckdb"
    path.write_text("not a database, but rather a text that is longer than a header of DuckDB would be " * 99)
    with pytest.raises(LedgerError, match=r"text\.duckdb"):
        DuckDBLedger(path)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as sqlite:
        sqlite.execute("CREATE TABLE t (x)")
    sqlite.close()
    with pytest.raises(LedgerError, match=r"other\.sqlite"):
        verify(other)
    with pytest.raises(LedgerError, match="absent"):
        verify(tmp_path / "absent.duckdb")


def test_a_second_process_can_not_open_it(ledger: DuckDBLedger, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from thinwatt_collector.ledger import LedgerError\n"
        "from thinwatt_collector.ledger.duckdb_file import DuckDBLedger\n"
        "try: DuckDBLedger(Path(sys.argv[1]))\n"
        "except LedgerError as error: print(error); sys.exit(7)\n"
    )
    for _ in range(3):  # nor after a backup: whoever closes a file that he reads ends his process's locks on it
        found = subprocess.run([sys.executable, "-c", code, ledger.path], capture_output=True, text=True, check=False)
        assert found.returncode == 7, found.stderr
        assert str(ledger.path) in found.stdout
        ledger.backup(str(tmp_path / "copy.duckdb"))
    ledger.reopen()
    ledger.backup(str(tmp_path / "copy.duckdb"))
    assert subprocess.run([sys.executable, "-c", code, ledger.path], capture_output=True, check=False).returncode == 7


def test_a_backup_does_not_take_the_place_of_the_ledger(ledger: DuckDBLedger, tmp_path: Path) -> None:
    first(ledger)
    (tmp_path / "link").symlink_to(ledger.path)
    for target in (ledger.path, tmp_path / "link"):
        with pytest.raises(LedgerError, match="the ledger itself"):
            ledger.backup(str(target))
    inode = ledger.path.stat().st_ino
    ledger.reopen()
    assert ledger.path.stat().st_ino == inode


def test_everything_is_there_when_it_is_opened_again(ledger: DuckDBLedger) -> None:
    first(ledger)
    before = everything(ledger)
    ledger.reopen()
    assert everything(ledger) == before
    (row,) = ledger.streams([("a", stream_row(1).stream), ("a", stream_row(2).stream), ("b", stream_row(1).stream)])
    assert row == stream_row(1, 6)
    known = ledger.dimensions()
    assert known.schemas == {b"schema".ljust(8): "[]"}
    assert known.labels == [(0, "ENERGY", '{"class": "0"}', 100.0), (1, "ENERGY", '{"class": "1"}', 0.0)]
    assert [row[1] for row in known.devices] == ["d0", "d1"]


def test_last_rows_are_those_of_each_boot(ledger: DuckDBLedger) -> None:
    rows = [stream_row(1, 6), stream_row(2, 9), stream_row(3, 2, boot=b"2" * 16), stream_row(4, 50, agent="b")]
    ledger.commit(transaction([(row, 0, False) for row in rows], **named()))
    assert sorted(ledger.last_rows(["a", "c"])) == [("a", b"2" * 16, 1020, 20), ("a", b"boot".ljust(16), 1090, 90)]
    assert list(ledger.last_rows([])) == []


# Transactions


def test_a_position_that_is_not_as_expected_moves_nothing(ledger: DuckDBLedger) -> None:
    first(ledger)
    before = everything(ledger)
    for old, saved in ((0, False), (0, True), (3, True), (9, True)):
        stale = transaction([(stream_row(1, 12), old, saved)], [(0, 0, 7, 0, 5.0)], [(0, 0, 5.0)])
        assert ledger.commit(stale).tolist() == []
    assert everything(ledger) == before


def test_of_two_streams_only_the_one_that_moves_brings_its_energy(ledger: DuckDBLedger) -> None:
    first(ledger)
    both = transaction(
        [(stream_row(1, 12), 3, True), (stream_row(2, 5), 0, False)],
        [(0, 0, 7, 0, 1000.0), (1, 0, 7, 0, 7.0), (1, 1, 7, 1, 8.0)],
        [(0, 0, 1000.0), (1, 0, 7.0), (1, 1, 8.0)],
    )
    assert ledger.commit(both).tolist() == [1]
    assert energy(ledger)[0, 7, 0] == pytest.approx((67.0, 67.0, 67.0, 67.0 / 50))
    assert energy(ledger)[1, 7, 1][0] == 8.0
    assert [total for *_, total in ledger.dimensions().labels] == [107.0, 8.0]
    positions = {row.stream: row.position for row in ledger.streams([("a", stream_row(n).stream) for n in (1, 2)])}
    assert positions == {stream_row(1).stream: 6, stream_row(2).stream: 5}


def test_the_same_transaction_twice_counts_once(ledger: DuckDBLedger) -> None:
    first(ledger)
    again = transaction([(stream_row(1, 6), 0, False)], [(0, 0, 7, 0, 60.0)], [(0, 0, 60.0)])
    assert ledger.commit(again).tolist() == []
    assert sum(amounts[0] for amounts in energy(ledger).values()) == 100.0


def test_a_number_that_another_collector_gave_fails_the_whole_transaction(ledger: DuckDBLedger) -> None:
    first(ledger)
    before = everything(ledger)
    move = [(stream_row(2, 1), 0, False)]
    for names in (
        {"devices": [(1, "another", "b", "host", "", False)]},
        {"devices": [(5, "d1", "b", "host", "", False)]},
        {"sources": [(1, "another", "", "", "")]},
        {"labels": [(1, "ENERGY", '{"class": "another"}')]},
        {"labels": [(7, "ENERGY", '{"class": "1"}')]},
    ):
        with pytest.raises(LedgerError):
            ledger.commit(transaction(move, [(0, 0, 7, 0, 5.0)], [(0, 0, 5.0)], **names))
        assert everything(ledger) == before
    assert ledger.commit(transaction(move, devices=[(1, "d1", "a", "desktop", "y", True)])).tolist() == [0]
    assert ledger.dimensions().devices[1] == (1, "d1", "a", "desktop", "y", True)


def failing_after(statements: int, error: Exception) -> Callable[..., object]:
    work, calls = DuckDBLedger._batch, itertools.count()

    def batch(*arguments: Any) -> object:
        if next(calls) == statements:
            raise error
        return work(*arguments)

    return batch


def test_a_failure_at_any_statement_leaves_nothing_half_done(
    ledger: DuckDBLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    first(ledger)
    before = everything(ledger)
    t = transaction(
        [(stream_row(1, 12), 6, True), (stream_row(2, 5), 0, False)],
        [(0, 0, 7, 0, 1.0), (1, 1, 7, 1, 8.0)],
        [(0, 0, 1.0), (1, 2, 8.0)],
        devices=[(2, "d2", "a", "host", "", False)],
        sources=[(2, "s2", "", "", "")],
        labels=[(2, "GAP", "{}")],
        schemas=[(b"2" * 8, "[]")],
    )
    for error in (duckdb.Error("disk"), OSError("disk"), ValueError("bug")):
        for statements in range(8):
            with monkeypatch.context() as patch:
                patch.setattr(DuckDBLedger, "_batch", failing_after(statements, error))
                with pytest.raises(ValueError if isinstance(error, ValueError) else LedgerError):
                    ledger.commit(t)
            assert everything(ledger) == before
    assert ledger.commit(t).tolist() == [0, 1]


def test_after_it_was_closed_everything_says_so_until_it_is_reopened(ledger: DuckDBLedger) -> None:
    first(ledger)
    ledger.close()
    for call in (
        lambda: ledger.commit(transaction([(stream_row(2, 1), 0, False)])),
        lambda: ledger.streams([("a", b"x")]),
        lambda: ledger.last_rows(["a"]),
        ledger.dimensions,
        lambda: ledger.seal(9),
        lambda: ledger.forget_streams(9),
        lambda: ledger.backup(str(ledger.path) + ".copy"),
    ):
        with pytest.raises(LedgerError):
            call()
    ledger.reopen()
    assert len(ledger.streams([("a", stream_row(1).stream)])) == 1


# Sealing


def test_sealing_moves_slots_and_late_energy_enters_them_again(ledger: DuckDBLedger) -> None:
    first(ledger)
    before = energy(ledger)
    ledger.seal(8)
    assert energy(ledger) == before
    assert set(energy(ledger, "open_slot")) == {(0, 8, 0)}
    for position in (12, 18, 24):
        late = transaction([(stream_row(1, position), position - 6, True)], [(0, 0, 7, 0, 5.0)])
        assert ledger.commit(late).tolist() == [0]
        assert (0, 7, 0) in energy(ledger, "open_slot")
        ledger.seal(8)
    ledger.seal(100)
    assert not energy(ledger, "open_slot")
    assert energy(ledger)[0, 7, 0][0] == 75.0
    assert energy(ledger)[0, 8, 0][0] == 40.0


def test_sealing_and_late_energy_beside_a_reader(ledger: DuckDBLedger) -> None:
    """A reader keeps its view; rows deleted under it and entered again are no duplicate keys."""
    first(ledger)
    reader = ledger._connection.cursor()
    reader.execute("BEGIN TRANSACTION")
    assert reader.execute("SELECT sum(joules) FROM energy").fetchall() == [(100.0,)]
    ledger.seal(100)
    assert ledger.commit(transaction([(stream_row(1, 12), 6, True)], [(0, 0, 7, 0, 5.0)])).tolist() == [0]
    ledger.seal(100)
    assert ledger.commit(transaction([(stream_row(1, 18), 12, True)], [(0, 0, 7, 0, 5.0)])).tolist() == [0]
    assert reader.execute("SELECT sum(joules) FROM energy").fetchall() == [(100.0,)]
    reader.close()
    assert sum(amounts[0] for amounts in energy(ledger).values()) == 110.0


def test_streams_silent_for_long_are_forgotten_and_their_energy_is_not(ledger: DuckDBLedger) -> None:
    first(ledger)
    ledger.forget_streams(6)
    assert len(ledger.streams([("a", stream_row(1).stream)])) == 1
    ledger.forget_streams(7)
    assert not ledger.streams([("a", stream_row(1).stream)])
    assert sum(amounts[0] for amounts in energy(ledger).values()) == 100.0


# Copies


def test_a_backup_of_an_open_ledger_is_a_ledger_that_says_the_same(ledger: DuckDBLedger, tmp_path: Path) -> None:
    first(ledger)
    ledger.seal(8)
    before = everything(ledger)
    target = tmp_path / "copy.duckdb"
    for _ in range(2):
        assert ledger.backup(str(target)) == target.stat().st_size
        copy = DuckDBLedger(target)
        assert everything(copy) == before
        copy.close()
    assert ledger.commit(transaction([(stream_row(1, 12), 6, True)])).tolist() == [0]
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".partial"] == []


def test_a_backup_that_can_not_be_written_leaves_nothing_and_keeps_the_old_one(
    ledger: DuckDBLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first(ledger)
    target = tmp_path / "copy.duckdb"
    ledger.backup(str(target))
    old = target.read_bytes()

    def torn(source: BinaryIO, aim: BinaryIO, _: int) -> None:
        aim.write(source.read(5000))

    monkeypatch.setattr(shutil, "copyfileobj", torn)
    with pytest.raises(LedgerError, match="no backup was written"):
        ledger.backup(str(target))
    assert target.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []
    with pytest.raises(LedgerError, match="no backup was written"):
        ledger.backup(str(tmp_path / "no" / "folder.duckdb"))


def test_the_size_counts_what_is_not_checkpointed_yet(ledger: DuckDBLedger) -> None:
    before = ledger.size()
    first(ledger)
    assert ledger.size() > before


# Against the plain one

AMOUNT = st.floats(0, 1e6, allow_subnormal=False)
MOVE = st.tuples(st.integers(1, 3), st.integers(0, 3), st.integers(1, 4))
TRANSACTION = st.tuples(
    st.lists(MOVE, max_size=3, unique_by=lambda move: move[0]),
    st.lists(st.tuples(st.integers(0, 2), *[st.integers(0, 1)] * 3, AMOUNT), max_size=6),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), AMOUNT), max_size=4),
)
STEPS = st.lists(st.one_of(TRANSACTION, st.integers(0, 3)), max_size=12)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_it_does_what_the_plain_ledger_of_the_model_does(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[list[tuple[int, int, int]], list[Place], list[tuple[int, int, float]]] | int],
) -> None:
    real, plain = DuckDBLedger(tmp_path_factory.mktemp("l") / "l.duckdb"), MemoryLedger()
    try:
        for ledger in (real, plain):
            ledger.commit(transaction(**named()))
        for step in steps:
            if isinstance(step, int):
                real.seal(step)
                plain.seal(step)
                continue
            moves, places, totals = step
            known = {row.stream for row in plain.streams([("a", stream_row(n).stream) for n in (1, 2, 3)])}
            # A stream that is not in the ledger is at position 0 in every collector's memory.
            moving = [(n, old if stream_row(n).stream in known else 0, by) for n, old, by in moves]
            rows = [(stream_row(n, old + by), old, stream_row(n).stream in known) for n, old, by in moving]
            ours = [place for place in places if place[0] < len(rows)]
            t = transaction(rows, ours, [total for total in totals if total[0] < len(rows)])
            assert real.commit(t).tolist() == plain.commit(t).tolist()
        wanted = [("a", stream_row(n).stream) for n in (1, 2, 3)]
        assert sorted(real.streams(wanted), key=repr) == sorted(plain.streams(wanted), key=repr)
        assert sorted(real.last_rows(["a"])) == sorted(plain.last_rows(["a"]))
        assert real.dimensions() == plain.dimensions()
        found, expected = energy(real), plain.energy()
        assert set(found) == set(expected)
        for key, amounts in expected.items():
            assert found[key] == pytest.approx(amounts, rel=1e-12)
    finally:
        real.close()


def test_totals_in_memory_are_those_of_the_ledger_to_the_last_bit(ledger: DuckDBLedger) -> None:
    bench, s = Bench(ledger), Sender()
    bench.hello(s)
    joules, shown = 0.0, [0.0]
    for n in range(1, 60):
        joules += 0.1 * n / 7
        assert bench.book(s, s.frame(n - 1, [(n, 37.7 * n, [joules, 37.7 * n])])) == n
        shown = bench.step.fleet.totals.values.tolist()
        assert shown == [total for *_, total in ledger.dimensions().labels]
    bench.restart()
    assert bench.step.fleet.totals.values.tolist() == shown
    assert bench.totals()["ENERGY", "measured, host"] == pytest.approx(joules, rel=1e-12)
