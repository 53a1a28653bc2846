"""Copies of a ledger's file: what is damaged, newer or no ledger takes the place of nothing that is good."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

from tests.collector.ledger.transactions import energy, named, stream_row, transaction
from thinwatt_collector.ledger import LedgerError, copies
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger, verify, wal_of
from thinwatt_collector.ledger.migrating import migrations

BLOCK = 1 << 18


def joules(path: Path) -> float:
    """Return what is in a ledger, looked at in a copy."""
    copy = path.with_name(f"{path.name}.looked-at")
    for of, to in ((path, copy), (wal_of(path), wal_of(copy))):
        if of.exists():
            shutil.copyfile(of, to)
    opened = DuckDBLedger(copy)
    found = sum(amounts[0] for amounts in energy(opened).values())
    opened.close()
    copy.unlink()
    return found


def fill(ledger: DuckDBLedger, slots: int = 4) -> None:
    rows = [(0, d, k, s, 1.5) for d in range(2) for s in range(2) for k in range(slots)]
    ledger.commit(transaction([(stream_row(1, 6), 0, False)], rows, [(0, 0, 100.0)], **named()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed ledger of 24 J."""
    made = DuckDBLedger(tmp_path / "ledger.duckdb")
    fill(made)
    made.close()
    return made.path


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A ledger of 24 J whose collector was killed: they are in its log only."""
    alive = DuckDBLedger(tmp_path / "alive.duckdb")
    fill(alive)
    made = tmp_path / "ledger.duckdb"
    shutil.copyfile(alive.path, made)
    shutil.copyfile(wal_of(alive.path), wal_of(made))
    alive.close()
    return made


def everything(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    made = DuckDBLedger(tmp_path_factory.mktemp("large") / "ledger.duckdb")
    fill(made, 20_000)
    made.seal(10_000)
    made.close()
    return made.path.read_bytes()


def test_whatever_byte_is_wrong_a_copy_is_refused_or_says_the_same(large: bytes, tmp_path: Path) -> None:
    """In each block of the file one byte: what the copy holds is what was written, or it is no copy."""
    source, made, refused = tmp_path / "ledger.duckdb", tmp_path / "made", 0
    source.write_bytes(large)
    rng = random.Random(5)
    for at in range(0, len(large), BLOCK):
        damaged = bytearray(large)
        damaged[at + rng.randrange(min(BLOCK, len(large) - at))] ^= 0x55
        source.write_bytes(damaged)
        copies.alone(source, made)
        try:
            copies.intact(made)
        except LedgerError:
            refused += 1
        else:
            assert joules(made) == 1.5 * 80_000
    assert refused > 5


def test_what_only_the_log_holds_is_in_the_copy_and_the_ledger_is_not_touched(killed: Path, tmp_path: Path) -> None:
    before = everything(tmp_path)
    copies.alone(killed, tmp_path / "copy")
    assert not wal_of(tmp_path / "copy").exists()
    assert copies.intact(tmp_path / "copy") == migrations()[-1][0]
    assert joules(tmp_path / "copy") == 24.0
    assert {k: v for k, v in everything(tmp_path).items() if k != "copy"} == before


def test_a_copy_that_is_damaged_does_not_take_the_place_of_an_older_one(path: Path, tmp_path: Path) -> None:
    target, made = tmp_path / "backup", tmp_path / "backup.new"
    target.write_bytes(b"the last good one")
    made.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(LedgerError, match="no backup was written"):
        copies.accepted(made, target)
    assert target.read_bytes() == b"the last good one"
    assert not made.exists()
    shutil.copyfile(path, made)
    assert copies.accepted(made, target) == path.stat().st_size
    assert joules(target) == 24.0


def test_without_a_ledger_there_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger"):
        copies.alone(tmp_path / "absent", tmp_path / "made")
    assert everything(tmp_path) == {}


def test_a_ledger_that_another_process_has_open_is_neither_copied_nor_replaced(path: Path, tmp_path: Path) -> None:
    """A rename would leave that collector with a file that nobody finds."""
    shutil.copyfile(path, tmp_path / "backup")
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdin is not None
        other.stdout.readline()
        inode = path.stat().st_ino
        with pytest.raises(LedgerError, match=r"another process has .* open"):
            copies.alone(path, tmp_path / "made")
        with pytest.raises(LedgerError, match=r"another process has .* open"):
            copies.restore(tmp_path / "backup", path)
        assert path.stat().st_ino == inode
        other.stdin.close()
    assert {p.name for p in tmp_path.iterdir()} <= {"ledger.duckdb", "ledger.duckdb.wal", "backup"}


def refuse(backup: Path, ledger: Path, match: str) -> None:
    before = everything(ledger.parent)
    with pytest.raises(LedgerError, match=match):
        copies.restore(backup, ledger)
    assert everything(ledger.parent) == before


def test_what_can_not_be_used_is_not_restored_and_the_ledger_stays(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "junk").write_bytes(b"no ledger" * 1000)
    refuse(other / "junk", path, "is no ledger")
    (other / "empty").write_bytes(b"")
    refuse(other / "empty", path, "is no ledger")
    refuse(other / "absent", path, "is no ledger")
    with duckdb.connect(str(other / "foreign")) as connection:
        connection.execute("CREATE TABLE t (x INTEGER)")
    refuse(other / "foreign", path, "is no ledger")
    with duckdb.connect(str(other / "unversioned")) as connection:
        connection.execute("CREATE TABLE schema_version (version INTEGER); CREATE TABLE stream (x INTEGER)")
    refuse(other / "unversioned", path, "is no ledger")
    shutil.copyfile(path, other / "newer")
    with duckdb.connect(str(other / "newer")) as connection:
        connection.execute("INSERT INTO schema_version VALUES (999)")
    refuse(other / "newer", path, "version 999.*upgrade thinwatt")
    refuse(path, path, "is the ledger itself")
    (other / "link").symlink_to(path)
    refuse(other / "link", path, "is the ledger itself")


def test_a_backup_that_can_be_opened_and_not_be_read_whole_is_not_restored(large: bytes, tmp_path: Path) -> None:
    backup, path, hidden = tmp_path / "elsewhere" / "backup", tmp_path / "ledger.duckdb", 0
    backup.parent.mkdir()
    DuckDBLedger(path).close()
    for at in range(BLOCK, len(large), BLOCK):
        backup.write_bytes(large[:at] + bytes([large[at] ^ 0x55]) + large[at + 1 :])
        with suppress(LedgerError):
            verify(backup)
            with suppress(LedgerError):
                copies.intact(backup)
                continue
            refuse(backup, path, "damaged")
            hidden += 1
    assert hidden > 5


def test_a_restored_ledger_is_the_backup_and_the_old_one_is_kept_with_its_log(killed: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    empty = DuckDBLedger(backup)
    empty.close()
    version, kept = copies.restore(backup, killed)
    assert version == migrations()[-1][0]
    assert kept is not None
    assert joules(killed) == 0.0
    assert not wal_of(killed).exists()
    assert joules(kept) == 24.0


def test_a_backup_with_a_log_beside_it_is_restored_with_what_the_log_holds(killed: Path, tmp_path: Path) -> None:
    """Somebody copied the files by hand."""
    before = everything(tmp_path)
    target = tmp_path / "state" / "ledger.duckdb"
    assert copies.restore(killed, target)[1] is None
    assert joules(target) == 24.0
    assert [p.name for p in target.parent.iterdir()] == ["ledger.duckdb"]
    assert everything(tmp_path) == before


def test_on_a_file_system_without_links_the_old_ledger_is_kept_all_the_same(
    killed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    DuckDBLedger(tmp_path / "backup").close()
    monkeypatch.setattr(Path, "hardlink_to", unsupported)
    _, kept = copies.restore(tmp_path / "backup", killed)
    assert kept is not None
    assert (joules(killed), joules(kept)) == (0.0, 24.0)


def test_a_ledger_that_is_no_file_is_copied_with_the_tools_of_its_server() -> None:
    with pytest.raises(LedgerError, match="pg_dump"):
        copies.file_of("postgresql://ledger")
    assert copies.file_of("duckdb:/a/b") == Path("/a/b")
