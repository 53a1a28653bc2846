"""Months of the campus as a ledger: the same twice, all of it simulated, and its counters are its sums."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from tests.collector.demo.test_campus import few
from thinwatt_collector.demo.campus.history import Written, first_day, pieces, write, write_truth
from thinwatt_collector.demo.campus.simulation import Campus
from thinwatt_collector.ledger import LedgerError, open_ledger
from thinwatt_collector.ledger.history import energy

UNTIL = int(datetime(2026, 3, 30, 10, 37, tzinfo=UTC).timestamp())
FIRST = date(2026, 3, 24)
BEGIN = int(datetime(2026, 3, 23, 23, tzinfo=UTC).timestamp())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Written]:
    path = tmp_path_factory.mktemp("campus") / "ledger.duckdb"
    return path, write(path, Campus(1, few()), FIRST, UNTIL)


def rows(path: Path) -> list[tuple[object, ...]]:
    ledger = open_ledger(f"duckdb:{path}", 2**28)
    try:
        return [
            row
            for table in ("energy", "hour_slot", "day_slot", "device", "source", "label", "booked", "event")
            for row in ledger.reader().execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall()  # noqa: S608  # names of ours
        ]
    finally:
        ledger.close()


def test_the_same_seed_writes_the_same_rows_and_the_same_truth(made: tuple[Path, Written], tmp_path: Path) -> None:
    path, written = made
    again = write(tmp_path / "again.duckdb", Campus(1, few()), FIRST, UNTIL)
    assert rows(tmp_path / "again.duckdb") == rows(path)
    texts = []
    for i, each in enumerate((written, again)):
        write_truth(tmp_path / f"{i}.csv", few(), each)
        texts.append((tmp_path / f"{i}.csv").read_bytes())
    assert texts[0] == texts[1]


def test_every_device_is_there_by_name_and_simulated(made: tuple[Path, Written]) -> None:
    ledger = open_ledger(f"duckdb:{made[0]}", 2**28)
    known = ledger.dimensions()
    ledger.close()
    told = {(d.name, d.kind) for d in few().devices if d.has_agent == "yes"}
    assert {(name, kind) for _, name, _, kind, _, _ in known.devices} == told
    assert all(simulated for *_, simulated in known.devices)
    marked = [json.loads(labels) for _, _, labels, _ in known.labels]
    assert all(labels.get("simulated", "true") == "true" for labels in marked)
    assert {source[1] for source in known.sources} == {"booked", "sessions", "shared"}


def test_the_counters_are_the_sums_of_the_slots(made: tuple[Path, Written]) -> None:
    path, written = made
    ledger = open_ledger(f"duckdb:{path}", 2**28)
    known = ledger.dimensions()
    table = energy(ledger.reader(), BEGIN, UNTIL // 900 * 900, "month", "Europe/Paris", ("device", "basis"))
    ledger.close()
    counted = {
        (labels["device"], labels["basis"]): total
        for labels, total in (
            (json.loads(t), total) for _, family, t, total in known.labels if family == "DEVICE_ENERGY"
        )
    }
    summed: Counter[tuple[str, str]] = Counter()
    for device, basis, joules in zip(table.dims["device"], table.dims["basis"], table.joules.tolist(), strict=True):
        summed[device, basis] += joules
    assert {key: total for key, total in summed.items() if total} == counted
    by_class = sum(total for _, family, _, total in known.labels if family == "ENERGY")
    assert by_class == sum(counted.values()) == np.nansum(written.reported)
    seconds = {f: sum(t for _, family, _, t in known.labels if family == f) for f in ("COVERED", "GAP", "DEVICE_GAP")}
    window = (UNTIL // 900 * 900 - BEGIN) * len(few().spoken_for)
    assert seconds["COVERED"] == np.nansum(written.covered)
    assert seconds["COVERED"] + seconds["GAP"] == pytest.approx(window, rel=1e-5)
    assert seconds["GAP"] == seconds["DEVICE_GAP"] > 0


def test_where_the_energy_of_hosts_went_is_all_of_it(made: tuple[Path, Written]) -> None:
    ledger = open_ledger(f"duckdb:{made[0]}", 2**28)
    known, reader = ledger.dimensions(), ledger.reader()
    reader.execute(
        "CREATE TEMP VIEW of_host AS SELECT e.device, slot, s.name AS told, s.part, joules, covered FROM energy e "
        "JOIN source s ON s.id = e.source JOIN device d ON d.id = e.device WHERE d.class = 'host'"
    )
    slots, joules, off, lines = reader.execute(
        "SELECT count(*), sum(booked), max(abs(booked - lines) / booked), min(parts) FROM ("
        "SELECT sum(joules) FILTER (told = 'booked') AS booked, sum(joules) FILTER (told = 'shared') AS lines, "
        "count(*) FILTER (told = 'shared') AS parts FROM of_host GROUP BY device, slot) WHERE booked > 0"
    ).fetchall()[0]
    of_state = "SELECT part, sum(covered) / 3600 FROM of_host WHERE told = 'sessions' GROUP BY part"
    hours = dict(reader.execute(of_state).fetchall())
    reader.close()
    ledger.close()
    assert slots > 6 * 500
    assert off < 1e-9
    assert lines >= 5, "four pools' idle parts, and what nobody reserved"
    counted = sum(total for _, family, _, total in known.labels if family == "SHARED")
    assert counted == pytest.approx(joules, rel=1e-12)
    block = Campus(1, few()).block(FIRST, date(2026, 3, 31))
    seated = block.activity.sessions[: UNTIL // 900 - block.first].sum() / 4
    assert sum(of for part, of in hours.items() if part.endswith("/active")) == pytest.approx(seated, rel=1e-9)
    for pool in ("tp", "distance"):
        assert hours[f"{pool}/told"] == hours[f"{pool}/present"] > hours[f"{pool}/active"] > 0


def test_old_days_are_days_and_the_newest_are_slots_until_now(made: tuple[Path, Written]) -> None:
    ledger = open_ledger(f"duckdb:{made[0]}", 2**28)
    ask = ledger.reader().execute
    days = ask("SELECT count(*), max(past) FROM local_day").fetchall()
    newest = ask("SELECT min(slot), max(slot) FROM sealed_slot").fetchall()
    ledger.close()
    sunday = int(datetime(2026, 3, 28, 23, tzinfo=UTC).timestamp())
    assert days == [(5, sunday // 3600)]
    assert newest == [(sunday // 900, UNTIL // 900 - 1)]


def test_the_truth_names_every_device_and_month(made: tuple[Path, Written], tmp_path: Path) -> None:
    write_truth(tmp_path / "truth.csv", few(), made[1])
    with (tmp_path / "truth.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [row["device"] for row in table] == [device.name for device in few().devices]
    assert {row["month"] for row in table} == {"2026-03"}
    silent = {device.name for device in few().devices if device.has_agent != "yes"}
    assert {row["device"] for row in table if (row["ledger_joules"], row["covered_seconds"]) == ("", "")} == silent
    assert all(float(row["true_joules"]) > 0 for row in table), "they draw all the same"
    metered = [row for row in table if row["basis"] == "measured" and row["class"] == "host"]
    for row in metered:
        assert float(row["ledger_joules"]) == pytest.approx(0.98 * float(row["true_joules"]), rel=0.05)


def test_a_ledger_that_is_there_is_left_alone(made: tuple[Path, Written]) -> None:
    before = made[0].read_bytes()
    with pytest.raises(LedgerError, match="is there already"):
        write(made[0], Campus(2, few()), FIRST, UNTIL)
    assert made[0].read_bytes() == before


def test_half_a_ledger_is_removed(tmp_path: Path) -> None:
    def stop(_: float) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "ledger.duckdb"
    with pytest.raises(KeyboardInterrupt):
        write(path, Campus(1, few()), FIRST, UNTIL, stop)
    assert list(tmp_path.iterdir()) == []
    write(path, Campus(1, few()), date(2026, 3, 30), UNTIL)
    assert path.exists()


def test_months_are_counted_back_by_the_calendar() -> None:
    assert first_day(UNTIL, 1) == date(2026, 2, 28)
    assert first_day(UNTIL, 12) == date(2025, 3, 30)
    assert list(pieces(date(2026, 2, 27), UNTIL)) == [
        (date(2026, 2, 27), date(2026, 3, 1), True),
        (date(2026, 3, 1), date(2026, 3, 29), True),
        (date(2026, 3, 29), date(2026, 3, 31), False),
    ]


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "thinwatt_collector.demo.campus", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


def test_what_the_command_is_asked_wrongly_it_says(tmp_path: Path) -> None:
    assert "FOLDER" in call("--help").stdout
    for wrong in (["--months", "0"], ["--months", "x"], ["--until", "yesterday"]):
        done = call(*wrong, str(tmp_path / "x"))
        assert done.returncode == 2
        assert wrong[1] in done.stderr
    (tmp_path / "ledger.duckdb").write_text("mine")
    done = call("--months", "1", "--until", "2026-03-20", str(tmp_path))
    assert done.returncode == 1
    assert "is there already" in done.stderr
    assert (tmp_path / "ledger.duckdb").read_text() == "mine"


@pytest.mark.slow
def test_twelve_months_by_the_command(tmp_path: Path) -> None:
    """37 million slots; how long it took is printed, 60 s are meant to be enough on two cores."""
    done = call("--months", "12", "--seed", "1", "--until", "2026-09-01", str(tmp_path))
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    ledger = open_ledger(f"duckdb:{tmp_path / 'ledger.duckdb'}", 2**29)
    ((count, devices, slots),) = (
        ledger.reader().execute("SELECT count(*), count(DISTINCT device), count(DISTINCT slot) FROM energy").fetchall()
    )
    ledger.close()
    assert (devices, slots) == (936, 365 * 96)
    assert count > 936 * 365 * 96 * 0.99
