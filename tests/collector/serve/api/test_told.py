"""From rows of the ledger to groups: who is in which, all year, and what is left out."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from thinwatt_collector.inventory.annual import ANY, WEEK, WEEKS, Where
from thinwatt_collector.inventory.files import parse_toml
from thinwatt_collector.inventory.places import Places
from thinwatt_collector.inventory.tables import records
from thinwatt_collector.inventory.watched import Standing
from thinwatt_collector.serve.api.books import Census, Known
from thinwatt_collector.serve.api.rows import Rows, texts
from thinwatt_collector.serve.api.told import (
    Connected,
    Line,
    Told,
    connected,
    grouped,
    nowhere,
    silent_when_off,
    weeks,
    window,
)

PARIS = ZoneInfo("Europe/Paris")
NOW = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp())
LIMITS = window(NOW, PARIS)
DAY = 86_400


def place(building: str, room: str, model: str = "m") -> Where:
    return Where("desktop", model, "N", building, room)


def told(*rows: tuple[int, Where, float, int], basis: str = "measured") -> Told:
    """Rows of a week's first day: joules and devices, which are covered all week."""
    n = len(rows)
    joules: NDArray[np.float64] = np.array([row[2] for row in rows], np.float64)
    devices = np.array([row[3] for row in rows], np.int64)
    covered = (devices * WEEK).astype(np.float64)
    begin = LIMITS[np.array([row[0] for row in rows], np.int64)]
    dims = {"basis": texts([basis] * n)}
    return Told(
        Rows(begin, dims, joules, joules, 0.1 * joules, covered, devices), np.arange(n), [row[1] for row in rows]
    )


def all_of(rows: Told) -> dict[Where, Where]:
    return grouped(set(rows.where), {})


def test_the_window_is_52_weeks_that_ended_before_yesterday() -> None:
    assert len(LIMITS) == WEEKS + 1
    assert datetime.fromtimestamp(int(LIMITS[-1]), PARIS).isoformat() == "2026-11-23T00:00:00+01:00"
    assert datetime.fromtimestamp(int(LIMITS[0]), PARIS).isoformat() == "2025-11-24T00:00:00+01:00"


def test_rows_come_into_their_group_and_week() -> None:
    rows = told((0, place("B", "1"), 10.0, 2), (3, place("B", "1"), 20.0, 3), (3, place("B", "2"), 5.0, 1))
    found = weeks(rows, rows, LIMITS, all_of(rows))
    room = found[place("B", "1")]
    assert (room.joules[0], room.joules[3], room.joules.sum()) == (10.0, 20.0, 30.0)
    assert (room.devices[3], room.covered[3]) == (3, 3 * WEEK)
    assert list(room.by_basis) == ["measured"]
    assert room.by_basis["measured"] == pytest.approx((30.0, 3.0))
    assert found[place("B", "2")].joules[3] == 5.0


def test_parts_of_a_week_add_up_and_their_devices_are_the_most_of_any() -> None:
    rows = told((0, place("B", "1"), 10.0, 2), (0, place("B", "1"), 20.0, 3), (0, place("B", "1", "n"), 1.0, 4))
    later = replace(rows, rows=replace(rows.rows, begin=rows.rows.begin + np.array([0, DAY, DAY])))
    kept = {of: place("B", "1", ANY) for of in rows.where}
    (found,) = weeks(later, later, LIMITS, kept).values()
    assert (found.joules[0], found.devices[0]) == (31.0, 3 + 4)


def test_what_is_told_with_others_in_one_week_is_told_with_them_in_all() -> None:
    alone, other, mixed, far = place("B", "1"), place("B", "2"), place("B", ANY, ANY), place("C", "3")
    kept = grouped([alone, other, mixed, far], {})
    assert kept == {alone: mixed, other: mixed, mixed: mixed, far: far}
    anywhere = Where("desktop", ANY, "N", ANY, ANY)
    assert set(grouped([alone, anywhere, far], {}).values()) == {anywhere}


def test_a_room_of_which_some_rows_tell_no_model_is_one_group() -> None:
    """Folded rows have none."""
    one, two, folded = place("B", "1", "a"), place("B", "1", "b"), place("B", "1", ANY)
    assert grouped([one, two], {}) == {one: one, two: two}
    assert set(grouped([one, two, folded], {}).values()) == {folded}


PLACES = st.builds(
    lambda model, building, room: place(building, ANY if building == ANY else room, model),
    st.sampled_from(["a", "b", ANY]),
    st.sampled_from(["B", "C", ANY]),
    st.sampled_from(["1", "2", ANY]),
)


@given(st.lists(st.tuples(st.integers(0, 3), PLACES), min_size=1, max_size=12, unique=True))
def test_no_joule_is_lost_and_no_group_is_within_another(rows: list[tuple[int, Where]]) -> None:
    found = told(*((week, of, float(2**n), 5) for n, (week, of) in enumerate(rows)))
    by_group = weeks(found, found, LIMITS, all_of(found))
    assert sum(of.joules.sum() for of in by_group.values()) == 2 ** len(rows) - 1
    for one, other in itertools.permutations(by_group, 2):
        assert any(a != b and ANY not in (a, b) for a, b in zip(one, other, strict=True))


NOWHERE = Where("desktop", ANY, "", "", "")


@pytest.mark.parametrize("first, groups, joules", [(1, {place("B", "1")}, 30.0), (3, {Where("desktop")}, 40.0)])
def test_weeks_before_the_inventory_are_of_any_place_if_they_are_most_and_else_left_out(
    first: int, groups: set[Where], joules: float
) -> None:
    rows = told(*((n, NOWHERE if n < first else place("B", "1"), 10.0, 5) for n in range(4)))
    who = Connected({known("d", "gw"): Line("d", place("B", "1"))}, {}, simulated=False)
    found = weeks(rows, rows, LIMITS, grouped(set(rows.where), nowhere(rows, who)))
    assert set(found) == groups
    assert sum(of.joules.sum() for of in found.values()) == joules
    assert nowhere(rows, replace(who, unlisted={"desktop": 1})) == {}, "they may be of those that have no line"
    homeless = Line("e", Where("desktop", "m", "", "", ""))
    assert nowhere(rows, replace(who, lines={**who.lines, known("e", "gw"): homeless})) == {}
    apart = weeks(rows, rows, LIMITS, grouped(set(rows.where), {}))
    assert set(apart) == {NOWHERE, place("B", "1")}


INVENTORY = """
[[sites]]
name = "N"
establishment = "U"
[[buildings]]
name = "B"
site = "N"
[[rooms]]
name = "1"
building = "B"
[[devices]]
name = "desk 1"
agent = "gw/pc-1"
model = "M"
class = "desktop"
room = "1"
[[devices]]
name = "pc-2"
class = "desktop"
room = "1"
[[devices]]
name = "pc-3"
class = "desktop"
retired = 2026-01-01
[[hosts]]
name = "srv"
room = "1"
"""


def standing() -> Standing:
    inventory, _ = records(parse_toml(INVENTORY.encode(), "x.toml")[0])
    return Standing(inventory, Places(inventory, PARIS), 1)


def known(name: str, agent: str, kind: str = "desktop", simulated: bool = False) -> Known:
    return Known(name, agent, kind, "m", simulated)


def test_devices_of_the_ledger_are_lines_of_the_inventory_and_others_are_counted() -> None:
    there = [known("gw/pc-1", "gw"), known("pc-2", "pc-2"), known("pc-3", "pc-3"), known("pc-9", "pc-9")]
    who = connected(standing(), Census([*there, known("vm", "vm", "virtual_machine")]), date(2026, 11, 24), NOW)
    assert {device.name: line.name for device, line in who.lines.items()} == {"gw/pc-1": "desk 1", "pc-2": "pc-2"}
    assert who.unlisted == {"desktop": 2}, "one is retired, one never was there; a virtual machine is its host's"
    assert who.by_line == {"desk 1": 1, "pc-2": 1}
    assert not who.simulated
    desk, other = who.lines.values()
    assert (desk.where, other.where) == (Where("desktop", "M", "N", "B", "1"), Where("desktop", "", "N", "B", "1"))


def test_who_speaks_for_himself_is_silent_when_off_if_most_do() -> None:
    room = [Line(f"d{n}", Where("desktop", "M", "N", "B", "1")) for n in range(3)]
    mixed = [known("a", "a"), known("b", "b"), known("gw/c", "gw")]
    where, host = Where("desktop", ANY, "N", "B", "1"), Where("host", ANY, "N", "B", "1")
    who = Connected(dict(zip(mixed, room, strict=True)), {}, simulated=False)
    assert list(silent_when_off(who, [where, host, where._replace(room=ANY)])) == [where, where._replace(room=ANY)]
    who = Connected(dict(zip([mixed[0], mixed[2]], room[:2], strict=True)), {}, simulated=False)
    assert list(silent_when_off(who, [where])) == []
