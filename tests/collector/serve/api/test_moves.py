"""Law 7 where machines move: dated moves inside a window and an inventory edited between two looks, by the real engine.

Energy is told as in ``test_privacy.py``: the n-th reading is of 2**n J, so each sum says which readings are in it.
"""

from __future__ import annotations

import itertools
from datetime import date
from pathlib import Path
from typing import get_args

import hypothesis.strategies as st
from hypothesis import HealthCheck, event, example, given, settings

from tests.collector.serve.api.conftest import DAY, SOURCES, Campus, Shelf
from tests.collector.serve.api.test_places import line, moved, standing
from tests.collector.serve.api.test_privacy import MOST, Fleet, Reading, assert_no_few
from thinwatt_collector.factors import table
from thinwatt_collector.inventory.terms import Price
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger
from thinwatt_collector.serve.api.calendar import Grain, clocks
from thinwatt_collector.serve.api.energy import Accounts
from thinwatt_collector.serve.api.published import Published
from thinwatt_collector.serve.api.question import question

ROOMS = ("B1", "B2", "C1", "")
FIRST = date(2026, 11, 22)
Stay = tuple[str, str, int]
"""The room before, the room after, and on which day of the window the machine moves."""
STAYS = st.tuples(st.sampled_from(ROOMS[:3]), st.sampled_from(ROOMS[:3]), st.integers(0, 2))
WINDOWS = [("2026-11-22", "2026-11-24"), ("2026-11-22", "2026-11-23"), ("2026-11-23", "2026-11-24")]
PCS = {"class": ("desktop",)}
BYS = [(), ("room",), ("building", "model"), ("site", "basis"), ("room", "model", "basis")]


def inventory(stays: list[Stay]) -> str:
    lines = ""
    for n, (before, after, day) in enumerate(stays):
        first = str(date.fromordinal(FIRST.toordinal() + day))
        lines += moved(f"pc-{n}", before, after, first) if before != after else line(f"pc-{n}", before)
    return lines


SIX_AND_ONE_WHO_MOVES = [("B1", "B1", 0)] * 5 + [("B2", "B2", 0)] * 5 + [("B1", "B2", 1)]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(5, 12).flatmap(lambda n: st.tuples(*[st.lists(STAYS, min_size=n, max_size=n)] * 2)),
    st.lists(st.sampled_from([32, 33, 60]), min_size=1, max_size=2, unique=True),
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 1)), max_size=6),
    st.lists(st.booleans(), min_size=12, max_size=12),
    st.integers(0, 9),
)
@example((SIX_AND_ONE_WHO_MOVES, SIX_AND_ONE_WHO_MOVES), [32, 60], [], [False] * 12, 0)
@example((SIX_AND_ONE_WHO_MOVES, [("B2", "B2", 0)] * 11), [32], [(0, 1)], [False] * 12, 3)
def test_no_question_about_machines_that_move_is_answered_with_fewer_than_five(
    plans: tuple[list[Stay], list[Stay]],
    slots: list[int],
    away: list[tuple[int, int]],
    other: list[bool],
    late: int,
) -> None:
    """Two days; everybody asks after the first and after the second, then again when the inventory was edited.

    Args:
        plans: where each machine stands, by the inventory and by the edited one.
        slots: of each day, in which the machines are on.
        away: who is off all of which day.
        other: who is of another hardware model.
        late: readings that come when all days were asked for once.
    """
    fleet, ledger = plans[0], DuckDBLedger(Path(":memory:"))
    for number, name, basis in SOURCES:
        ledger._connection.execute("INSERT INTO source VALUES (?, ?, '', 'wall', ?)", [number, name, basis])
    campus = Campus(ledger)
    devices = [campus.device(f"pc-{n}", "desktop", "ab"[other[n]]) for n in range(len(fleet))]
    on = [(d, day, s) for day in (0, 1) for s in slots for d in devices if (d, day) not in away][:MOST]
    readings = tuple(Reading(d, day * 96 + s, "modelled") for d, day, s in on)
    known = standing(inventory(plans[0]), Price(0.3, None, "collector"))
    accounts = Accounts(
        table.load({"zone": "FR"}),
        Published(clocks("Europe/Paris"), None, lambda: known),
        lambda: known,
        "Europe/Paris",
    )
    numbers: list[float] = []

    def asked(now: int) -> None:
        reader = Shelf(ledger).reader()
        for (begin, end), by, grain in itertools.product(WINDOWS, BYS, get_args(Grain)):
            q = question(begin, end, grain, "Europe/Paris", by, PCS, "public", now)
            rows = accounts.energy(reader, q, "public", now, "booked").rows
            numbers.extend(x for x in rows.joules.tolist() if x == x)  # noqa: PLR0124  # NaN is withheld
        for room in ROOMS:
            q = question(*WINDOWS[0], "day", "Europe/Paris", ("model",), PCS | {"room": (room,)}, "public", now)
            numbers.extend(accounts.energy(reader, q, "public", now, "booked").rows.joules.tolist())
        reader.close()

    def book(some: slice) -> None:
        for n in range(len(readings))[some]:
            campus.energy(readings[n].device, [DAY // 900 + readings[n].slot], 2.0**n)

    book(slice(0, max(len(readings) - late, 0)))
    for hours in (20, 27, 51):
        asked(DAY + hours * 3600)
    book(slice(max(len(readings) - late, 0), None))
    known = standing(inventory(plans[1]), Price(0.2, None, "collector"))
    for days in (3, 5, 10):
        asked(DAY + days * 86_400)
    ledger.close()
    event(f"{min(len({x for x in numbers if x}), 9)} different figures or more")
    assert_no_few(Fleet((("desktop", ""),) * len(devices), readings), numbers)
