"""Compaction that is killed goes on where it was, and nothing is counted twice or lost."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.collector.ledger.engines import Engine, enter
from thinwatt_collector.ledger.compaction import Plan, compact
from thinwatt_collector.ledger.days import DAY

FIRST = 20_000 * 96
NOW = (20_000 + 40) * DAY
ENDLESS = f"""
import sys
from thinwatt_collector.ledger import open_ledger
from thinwatt_collector.ledger.compaction import compact
session = open_ledger(sys.argv[1], 1 << 30).session
print("open", flush=True)
while compact(session, {NOW}, 700):
    print("piece", flush=True)
"""
TOTAL = "SELECT sum(joules), sum(variance), sum(bias), sum(covered) FROM energy"


def test_after_a_kill_it_goes_on_and_the_sums_stay(engine: Engine) -> None:
    place = engine.place()
    ledger = engine.open(place)
    c = ledger.session
    enter(c, "device", [(i, f"d{i}", "a", "host" if i < 5 else "desktop", "m", False) for i in range(20)])
    enter(c, "source", [(0, "booked", "", "wall", "measured")])
    rows = [(d, FIRST + s, 0, d + s / 7.0, float(s), float(d), 900.0) for d in range(20) for s in range(480)]
    enter(c, "sealed_slot", rows)
    expected = c.execute(TOTAL).fetchall()[0]
    ledger.close()
    for pieces in (0, 1, 2, 3, 5, 4):
        child = subprocess.Popen([sys.executable, "-c", ENDLESS, place], stdout=subprocess.PIPE)
        assert child.stdout is not None
        for _ in range(pieces + 1):
            child.stdout.readline()
        child.kill()
        child.wait()
        child.stdout.close()
        ledger = engine.open(place)
        assert ledger.session.execute(TOTAL).fetchall()[0] == pytest.approx(expected, rel=1e-12)
        ledger.close()
    ledger = engine.open(place)
    while compact(ledger.session, NOW, 700):
        pass
    assert compact(ledger.session, NOW, 700, Plan()) == 0
    c = ledger.session
    assert c.execute(TOTAL).fetchall()[0] == pytest.approx(expected, rel=1e-12)
    for table in ("day_slot", "hour_slot", "kept_slot"):
        sums = f"SELECT sum(joules), sum(slots), min(device), max(devices) FROM {table}"  # noqa: S608  # a name of ours
        assert c.execute(sums).fetchall()[0] == (pytest.approx(expected[0], rel=1e-12), 20 * 480, -1, 15)
    assert c.execute("SELECT count(*) FROM sealed_slot").fetchall() == [(0,)]
    ledger.close()
