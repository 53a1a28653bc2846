"""Commands beside a running collector, and without one: the same rows, told by whoever answers."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import duckdb
import pytest

from tests.collector.test_main import command, running, site, web
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger

__all__ = ["running", "site"]  # fixtures

DAY = "2026-03-02"
FIRST = 1_772_406_000 // 900
"""Midnight of that day in Paris."""


@pytest.fixture
def filled(site: Path) -> Path:
    """A ledger with a day of a host and of a single PC, for whose figures the role public is too many."""
    (site.parent / "state").mkdir(exist_ok=True)
    ledger = DuckDBLedger(site.parent / "state" / "ledger.duckdb")
    c = ledger._connection
    c.execute(
        "INSERT INTO device VALUES (0, 'vdi-1', 'vdi-1', 'host', 'R640', FALSE), (1, 'pc', 'pc', 'desktop', '', FALSE)"
    )
    c.execute("INSERT INTO source VALUES (0, 'booked', '', 'wall', 'measured')")
    c.execute(
        "INSERT INTO sealed_slot SELECT d, ? + s, 0, 36000 * (d + 1), 0, 0, 900 FROM range(2) a(d), range(96) b(s)",
        [FIRST],
    )
    ledger.close()
    return site


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def exported(site: Path, *more: str) -> subprocess.CompletedProcess[str]:
    target = str(site.parent / "day.csv")
    return command("export", target, "--begin", DAY, "--end", "2026-03-03", *more, config=site)


def test_the_owner_gets_all_rows_without_a_collector(filled: Path) -> None:
    done = exported(filled, "--by", "class")
    assert done.returncode == 0, done.stderr
    found = {row["class"]: float(row["kwh"]) for row in rows(filled.parent / "day.csv")}
    assert found == pytest.approx({"host": 0.96, "desktop": 1.92})
    assert not list(filled.parent.glob("*.partial"))


def test_the_same_beside_a_running_one(filled: Path, running: subprocess.Popen[bytes]) -> None:
    done = exported(filled, "--where", "class=desktop")
    assert done.returncode == 0, done.stderr
    assert [row["class"] for row in rows(filled.parent / "day.csv")] == ["desktop"]
    target = filled.parent / "hours.parquet"
    done = command("export", str(target), "--begin", DAY, "--end", "2026-03-03", "--grain", "hour", config=filled)
    assert done.returncode == 0, done.stderr
    with duckdb.connect() as engine:
        total = engine.execute("SELECT sum(kwh) FROM read_parquet(?)", [str(target)]).fetchall()
    assert total == [(pytest.approx(2.88),)]
    assert running.poll() is None


def test_its_socket_is_the_owners_alone_and_goes_with_it(filled: Path, running: subprocess.Popen[bytes]) -> None:
    socket = filled.parent / "state" / "api.sock"
    deadline = time.monotonic() + 20
    while not socket.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    mode = socket.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert mode & 0o077 == 0
    public = json.loads(web(filled, f"/api/v1/energy?begin={DAY}&end=2026-03-03&by=class"))
    assert {row["class"] for row in public["rows"] if row["kwh"] is not None} == {"host"}, "the port is not the owner's"
    running.send_signal(signal.SIGTERM)
    assert running.wait(20) == 0
    assert not socket.exists()


def test_after_a_kill_the_next_collector_takes_the_socket(filled: Path, running: subprocess.Popen[bytes]) -> None:
    running.kill()
    running.wait()
    assert (filled.parent / "state" / "api.sock").exists()
    assert exported(filled).returncode == 0, "nobody answers on it, and the ledger is free"


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--by", "colour"], "colour"),
        (["--where", "host"], "NAME=TEXT"),
        (["--begin", "soon"], "begin"),
        (["--where", "colour=red"], "colour"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(arguments: list[str], told: str, filled: Path) -> None:
    done = exported(filled, *arguments)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (filled.parent / "day.csv").exists()


def test_files_of_no_known_kind_and_ledgers_that_are_not_there(site: Path) -> None:
    done = command("export", str(site.parent / "day.xlsx"), config=site)
    assert done.returncode == 1
    assert ".csv or .parquet" in done.stderr
    done = command("export", str(site.parent / "day.csv"), config=site)
    assert done.returncode == 1
    assert "there is no ledger" in done.stderr
    assert not (site.parent / "state" / "ledger.duckdb").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a full disk of its own: root")
def test_a_file_that_cannot_be_written_leaves_none(filled: Path) -> None:
    done = command("export", "/proc/day.csv", "--begin", DAY, config=filled)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_status_for_people_and_for_programs(filled: Path, running: subprocess.Popen[bytes]) -> None:
    time.sleep(0.5)
    done = command("status", config=filled)
    assert done.returncode == 0, done.stderr
    for word in ("ready", "1 desktop, 1 host", "0 of them silent", "ledger.duckdb"):
        assert word in done.stdout
    found = json.loads(command("status", "--json", config=filled).stdout)
    assert found["devices"] == {"desktop": 1, "host": 1}
    assert found["ready"] is True
    running.send_signal(signal.SIGTERM)
    running.wait(20)
    done = command("status", config=filled)
    assert done.returncode == 1
    assert "no collector runs" in done.stderr


def test_a_folder_that_is_not_there_is_named_and_not_the_collector(filled: Path) -> None:
    done = command("export", str(filled.parent / "nowhere" / "day.csv"), "--begin", DAY, config=filled)
    assert done.returncode != 0
    assert f"the folder {filled.parent / 'nowhere'} is not there" in done.stderr
    assert "nobody answers" not in done.stderr
