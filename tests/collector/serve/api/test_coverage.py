"""/coverage against the ledger: covered and gap time of any window, grain and group are those of its slots."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from tests.collector.serve.api.conftest import DAY, SOURCES, Campus, Shelf
from thinwatt_collector.factors import table
from thinwatt_collector.inventory.watched import nothing_known
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger
from thinwatt_collector.serve.api import answers, calendar
from thinwatt_collector.serve.api.calendar import Grain
from thinwatt_collector.serve.api.coverage import coverage, settled
from thinwatt_collector.serve.api.energy import Accounts
from thinwatt_collector.serve.api.published import Published
from thinwatt_collector.serve.api.question import question

PARIS = ZoneInfo("Europe/Paris")
SLOTS = st.integers(0, 3 * 96 - 1)
ROWS = st.dictionaries(st.tuples(st.integers(0, 5), SLOTS), st.integers(0, 900), min_size=1, max_size=40)
KINDS = ("host", "host", "desktop", "desktop", "thin_client", "desktop")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS, SLOTS, SLOTS, st.sampled_from(get_args(Grain)), st.sampled_from(["Europe/Paris", "UTC", "Asia/Kolkata"]))
def test_covered_and_gap_time_are_those_of_the_ledgers_slots(
    rows: dict[tuple[int, int], int], one: int, other: int, grain: Grain, zone: str
) -> None:
    """In each bucket: what the slots in it cover, and the rest of those in which a device was heard."""
    ledger = DuckDBLedger(Path(":memory:"))
    for number, name, basis in SOURCES:
        ledger._connection.execute("INSERT INTO source VALUES (?, ?, '', 'wall', ?)", [number, name, basis])
    campus = Campus(ledger)
    devices = [campus.device(f"d{n}", kind, "m") for n, kind in enumerate(KINDS)]
    for (n, slot), covered in rows.items():
        campus.energy(devices[n], [DAY // 900 + slot], 1000.0, source=0, covered=float(covered))
    begin, end = DAY + 900 * min(one, other), DAY + 900 * (max(one, other) + 1)
    now = DAY + 3 * 86_400 + 3600
    first, last = (datetime.fromtimestamp(t, UTC).isoformat() for t in (begin, end))
    clocks = calendar.clocks(zone)
    edges = calendar.edges(begin, end, grain, clocks)
    expected: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for (n, slot), covered in rows.items():
        at = DAY + 900 * slot
        if begin <= at < end:
            bucket = max(int(edges[edges <= at].max()), begin)
            of = expected[calendar.text(bucket, clocks), KINDS[n]]
            of[0], of[1] = of[0] + covered, of[1] + 900 - covered
    accounts = Accounts(table.load({"zone": "FR"}), Published(PARIS), nothing_known, "Europe/Paris")
    asked = question(first, last, grain, zone, ("class",), {}, "technical", now)
    found = coverage(accounts, reader := Shelf(ledger).reader(), asked, "technical", now)
    reader.close()
    columns = answers.coverage_columns(*found, asked)
    told = {
        (begin, kind): [covered, gap]
        for begin, kind, covered, gap in zip(
            *(columns[name].tolist() for name in ("begin", "class", "covered_seconds", "gap_seconds")), strict=True
        )
    }
    assert told == {key: pytest.approx(of) for key, of in expected.items()}
    ledger.close()


@pytest.mark.parametrize("seconds, end", [(0, -900), (119, -900), (120, 0), (899, 0), (1020, 900)])
def test_a_slot_counts_when_nothing_of_it_is_on_its_way_any_more(seconds: int, end: int) -> None:
    assert settled(DAY + seconds) == DAY + end
