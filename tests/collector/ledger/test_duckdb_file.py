"""The ledger in a DuckDB file: whole or not at all, read again by the next process, copied while it is open."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import duckdb
import pytest

from tests.collector.ledger.transactions import everything, first, stream_row, transaction
from thinwatt_collector.ledger import LedgerError
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger, verify
from thinwatt_collector.ledger.migrating import migrations


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[DuckDBLedger]:
    made = DuckDBLedger(tmp_path / "state" / "ledger.duckdb")
    yield made
    made.close()


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


def test_the_engine_draws_no_bars_into_the_journal(tmp_path: Path) -> None:
    ledger = DuckDBLedger(tmp_path / "ledger.duckdb")
    reader = ledger.reader()
    assert reader.execute("SELECT current_setting('enable_progress_bar')").fetchall() == [(False,)]
    reader.close()
    ledger.close()
