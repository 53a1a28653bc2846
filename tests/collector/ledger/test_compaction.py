"""Compaction that is killed goes on where it was, and nothing is counted twice or lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from thinwatt_collector.ledger.compaction import Plan, compact
from thinwatt_collector.ledger.days import DAY
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger

FIRST = 20_000 * 96
NOW = (20_000 + 40) * DAY
ENDLESS = f"""
import sys
from pathlib import Path
from thinwatt_collector.ledger.compaction import compact
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger
connection = DuckDBLedger(Path(sys.argv[1]))._connection
print("open", flush=True)
while compact(connection, {NOW}, 700):
    print("piece", flush=True)
"""
TOTAL = "SELECT sum(joules), sum(variance), sum(bias), sum(covered) FROM energy"


def test_after_a_kill_it_goes_on_and_the_sums_stay(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    ledger = DuckDBLedger(path)
    c = ledger._connection
    c.execute(
        "INSERT INTO device SELECT i, 'd' || i, 'a', if(i < 5, 'host', 'desktop'), 'm', FALSE FROM range(20) r(i)"
    )
    c.execute("INSERT INTO source VALUES (0, 'booked', '', 'wall', 'measured')")
    c.execute(
        f"INSERT INTO sealed_slot SELECT d, {FIRST} + s, 0, d + s / 7.0, s, d, 900 FROM range(20) a(d), range(480) b(s)"  # noqa: S608  # a name of ours
    )
    expected = c.execute(TOTAL).fetchall()[0]
    ledger.close()
    for pieces in (0, 1, 2, 3, 5, 4):
        child = subprocess.Popen([sys.executable, "-c", ENDLESS, str(path)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        for _ in range(pieces + 1):
            child.stdout.readline()
        child.kill()
        child.wait()
        child.stdout.close()
        ledger = DuckDBLedger(path)
        assert ledger._connection.execute(TOTAL).fetchall()[0] == pytest.approx(expected, rel=1e-12)
        ledger.close()
    ledger = DuckDBLedger(path)
    while compact(ledger._connection, NOW, 700):
        pass
    assert compact(ledger._connection, NOW, 700, Plan()) == 0
    c = ledger._connection
    assert c.execute(TOTAL).fetchall()[0] == pytest.approx(expected, rel=1e-12)
    for table in ("day_slot", "hour_slot", "kept_slot"):
        sums = f"SELECT sum(joules), sum(slots), min(device), max(devices) FROM {table}"  # noqa: S608  # a name of ours
        assert c.execute(sums).fetchall()[0] == (pytest.approx(expected[0], rel=1e-12), 20 * 480, -1, 15)
    assert c.execute("SELECT count(*) FROM sealed_slot").fetchall() == [(0,)]
    ledger.close()
