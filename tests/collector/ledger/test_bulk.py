"""Many slots at once: what compaction would have left behind."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.collector.ledger.engines import Engine
from thinwatt_collector.ledger import LedgerError
from thinwatt_collector.ledger.bulk import Series, add
from thinwatt_collector.ledger.compaction import Plan, compact
from thinwatt_collector.ledger.tables import Tables

ZONE = "Europe/Paris"
TABLES = {
    "kept_slot": "device, slot, source, joules, variance, bias, covered, slots, devices",
    "hour_slot": "device, hour, source, joules, variance, bias, covered, slots, devices",
    "day_slot": "device, day, source, joules, variance, bias, covered, slots, devices",
    "local_day": "day, past, folded",
    "day_zone": "name, complete",
    "sealed_slot": "device, slot, source, joules, variance, bias, covered",
}


def slot(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) // 900


def series(first: int, slots: int, seed: int) -> Series:
    random = np.random.default_rng(seed)
    shape = 5, slots
    covered = np.where(random.random(shape) < 0.4, 0, random.integers(1, 901, shape)).astype(np.float64)
    joules = np.where(covered > 0, random.integers(0, 10**6, shape), 0).astype(np.float64)
    ids = np.array([3, 3, 1, 8, 9]), np.array([0, 2, 0, 1, 1])
    return Series(first, *ids, joules, np.rint(joules / 20), covered)


def content(ledger: Tables) -> dict[str, list[tuple[object, ...]]]:
    return {
        table: sorted(ledger.session.execute(f"SELECT {columns} FROM {table}").fetchall())  # noqa: S608  # names of ours
        for table, columns in TABLES.items()
    }


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    days=st.sampled_from([("2025-10-24T22:00", "2025-10-27T23:00"), ("2026-03-27T23:00", "2026-03-29T22:00")]),
)
def test_old_days_lie_where_compaction_would_have_put_them(engine: Engine, seed: int, days: tuple[str, str]) -> None:
    first, past = (slot(day) for day in days)
    drawn = series(first, past - first, seed)
    straight, later = (engine.open() for _ in range(2))
    counts = [add(straight.session, drawn, ZONE), add(later.session, drawn)]
    assert counts[0] == counts[1] == np.count_nonzero(drawn.covered)
    plan = Plan(zone=ZONE, keep_endpoints=10**9)
    while compact(later.session, past * 900 + 86400 * 2, plan=plan):
        pass
    assert content(straight) == content(later)
    assert compact(straight.session, past * 900 + 86400 * 2, plan=plan) == 0
    for ledger in (straight, later):
        ledger.close()


def test_a_series_that_is_not_whole_days_is_not_taken_as_old(ledger: Tables) -> None:
    before = content(ledger)
    for first, slots in ((slot("2026-03-16T00:00"), 96), (slot("2026-03-15T23:00"), 92)):
        with pytest.raises(ValueError, match="whole days of Europe/Paris"):
            add(ledger.session, series(first, slots, 1), ZONE)
    assert content(ledger) == before


def test_days_of_two_zones_do_not_mix(ledger: Tables) -> None:
    add(ledger.session, series(slot("2026-03-16T00:00"), 96, 1), "UTC")
    before = content(ledger)
    with pytest.raises(ValueError, match="those of UTC"):
        add(ledger.session, series(slot("2026-03-16T23:00"), 96, 1), ZONE)
    assert content(ledger) == before


def test_a_ledger_that_refuses_has_nothing_of_it(ledger: Tables) -> None:
    ledger.session.execute("DROP TABLE day_slot")
    with pytest.raises(LedgerError, match="refused a history"):
        add(ledger.session, series(slot("2026-03-15T23:00"), 96, 1), ZONE)
    assert ledger.session.execute("SELECT count(*) FROM kept_slot").fetchall() == [(0,)]
