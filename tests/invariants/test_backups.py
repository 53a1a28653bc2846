"""Backups on real processes and real disks: whole at any moment, and nothing is lost for them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.invariants import laws
from tests.invariants.processes import PATIENCE, ROOT, Collector, Site, fill, relieve, site, wait_for
from tests.invariants.settling import booked_more, settle
from thinwatt_collector.ledger import LedgerError, copies

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts file systems")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as found:
        yield found


def refused(collector: Collector, *command: str) -> str:
    """Run a command that can't do it and return the one line that it says."""
    call = [sys.executable, "-m", "thinwatt_collector", *command, "--config", str(collector.config)]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 1, done.stdout
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


@pytest.mark.slow
def test_a_backup_holds_the_laws_at_any_moment_and_can_be_gone_on_with(here: Site, tmp_path: Path) -> None:
    collector = here.collector(commit="0.1 s")
    machine = here.machine("one", [(collector.port, "collector")])
    agents = here.agents(machine)
    collector.up()
    agents.start()
    last, target = 0, tmp_path / "copy"
    for _ in range(5):
        booked_more(collector)
        collector.ask("backup", str(target))
        books = laws.read(target)
        laws.check(books, [machine])
        assert books.of("one")[-1].pos > last
        last = books.of("one")[-1].pos
    assert refused(collector, "restore", str(target)).endswith("stop it first\n")
    assert "the ledger itself" in refused(collector, "backup", str(collector.ledger))
    booked_more(collector)
    collector.kill()
    assert "restored from" in collector.ask("restore", str(target))
    collector.up()
    books = settle(collector, [agents])  # the agent sends again what the backup did not hold
    assert books.of("one")[-1].pos > last


@needs_root
@pytest.mark.root
@pytest.mark.slow
def test_a_backup_onto_a_full_disk_is_refused_and_the_old_one_and_the_collector_stay(here: Site) -> None:
    small = here.small_disk("small", 32 << 20)
    collector = here.collector()
    machine = here.machine("one", [(collector.port, "collector")])
    agents = here.agents(machine)
    collector.up()
    agents.start()
    booked_more(collector)
    target = small / "copy"
    collector.ask("backup", str(target))
    before = target.read_bytes()
    fill(small)
    said = refused(collector, "backup", str(target))
    assert "no backup was written" in said
    assert "No space left" in said
    assert target.read_bytes() == before
    assert {p.name for p in small.iterdir()} == {"copy", "copy.calibrations.jsonl", "ballast"}
    booked_more(collector)
    collector.down()
    assert "No space left" in refused(collector, "backup", str(target))
    assert target.read_bytes() == before
    relieve(small)
    collector.ask("backup", str(target))
    collector.up()
    settle(collector, [agents])


@needs_root
@pytest.mark.root
@pytest.mark.slow
def test_beside_a_ledger_whose_disk_is_full_nothing_is_lost_for_a_backup(here: Site, tmp_path: Path) -> None:
    """The engine writes its log into the file first, and may have no room for it."""
    small = here.small_disk("small", 24 << 20)
    collector = here.collector(ledger=small / "ledger.duckdb")
    machine = here.machine("one", [(collector.port, "collector")])
    agents = here.agents(machine)
    collector.up()
    agents.start()
    booked_more(collector)
    fill(small)
    call = [sys.executable, "-m", "thinwatt_collector", "backup", str(tmp_path / "copy"), "--config"]
    done = subprocess.run(
        [*call, str(collector.config)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    if done.returncode == 0:
        laws.check(laws.read(tmp_path / "copy"), [machine])
    else:
        assert "backup" in done.stderr
        assert not (tmp_path / "copy").exists()
    relieve(small)
    wait_for(lambda: "the ledger fails" not in collector.page("/readyz")[1], "the ledger works again")
    settle(collector, [agents])


@needs_root
@pytest.mark.root
@pytest.mark.slow
def test_a_restore_onto_a_full_disk_leaves_the_ledger_as_it_was(here: Site, tmp_path: Path) -> None:
    small = here.small_disk("small", 24 << 20)
    collector = here.collector(ledger=small / "ledger.duckdb")
    machine = here.machine("one", [(collector.port, "collector")])
    agents = here.agents(machine)
    collector.up()
    agents.start()
    booked_more(collector)
    collector.ask("backup", str(tmp_path / "copy"))
    booked_more(collector)
    collector.kill()
    fill(small)
    before = {p.name: p.read_bytes() for p in small.iterdir()}
    assert "No space left" in refused(collector, "restore", str(tmp_path / "copy"))
    assert {p.name: p.read_bytes() for p in small.iterdir()} == before
    relieve(small)
    collector.up()
    settle(collector, [agents])


def test_a_damaged_ledger_gives_no_backup_and_is_not_touched(here: Site, tmp_path: Path) -> None:
    collector = here.collector()
    here.machine("one", [(collector.port, "collector")])
    collector.up()
    collector.down()
    target = tmp_path / "copy"
    collector.ask("backup", str(target))
    good = target.read_bytes()
    whole = collector.ledger.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"no ledger" * 1000, *_one_block_wrong(whole, tmp_path / "scratch")):
        collector.ledger.write_bytes(damaged)
        said = refused(collector, "backup", str(target))
        assert "no backup was written" in said
        assert "restore the last good one" in said
        assert collector.ledger.read_bytes() == damaged
        assert target.read_bytes() == good
    shutil.copyfile(collector.ledger, tmp_path / "damaged")
    collector.ask("restore", str(target))
    assert "was not restored" in refused(collector, "restore", str(tmp_path / "damaged"))
    collector.up()


def _one_block_wrong(whole: bytes, scratch: Path) -> Iterator[bytes]:
    """Yield a ledger with one byte wrong, in each block of its file that holds anything."""
    for at in range(12 << 10, len(whole), 1 << 18):
        damaged = whole[: at + 9] + bytes([whole[at + 9] ^ 0x55]) + whole[at + 10 :]
        scratch.write_bytes(damaged)
        try:
            copies.intact(scratch)
        except LedgerError:
            yield damaged
