"""From rows of the ledger to groups: who is in which, all year, and what is left out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from thinwatt_collector.inventory.annual import ANY, DAYS, Where
from thinwatt_collector.inventory.files import parse_toml
from thinwatt_collector.inventory.places import Places
from thinwatt_collector.inventory.tables import records
from thinwatt_collector.inventory.watched import Standing
from thinwatt_collector.serve.api.books import Census, Known
from thinwatt_collector.serve.api.privacy import OTHER
from thinwatt_collector.serve.api.rows import Rows, texts
from thinwatt_collector.serve.api.told import (
    GROUPS,
    Connected,
    Line,
    connected,
    days,
    models,
    nowhere,
    placed_again,
    silent_when_off,
    window,
)

PARIS = ZoneInfo("Europe/Paris")
NOW = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp())
LIMITS = window(NOW, PARIS)


def rows(*told: tuple[int, str, str, str, float, int], basis: str = "measured") -> Rows:
    """Rows of desktops of day, model, building, room, joules and devices, which are covered all day."""
    n = len(told)
    column = [texts(of) for of in zip(*told, strict=True)]
    dims = {"class": texts(["desktop"] * n), "simulated": texts(["false"] * n), "site": texts(["N"] * n)}
    dims |= {"model": column[1], "building": column[2], "room": column[3], "basis": texts([basis] * n)}
    devices = column[5].astype(np.int64)
    joules: NDArray[np.float64] = column[4].astype(np.float64)
    begin = LIMITS[column[0].astype(np.int64)]
    return Rows(begin, dims, joules, joules, 0.1 * joules, (devices * 86_400).astype(np.float64), devices)


def test_the_window_is_52_weeks_that_ended_before_yesterday() -> None:
    assert len(LIMITS) == DAYS + 1
    assert datetime.fromtimestamp(int(LIMITS[-1]), PARIS).isoformat() == "2026-11-23T00:00:00+01:00"
    assert datetime.fromtimestamp(int(LIMITS[0]), PARIS).isoformat() == "2025-11-24T00:00:00+01:00"


def test_rows_come_into_their_group_and_day() -> None:
    told = rows((0, "own", "B", "1", 10.0, 2), (3, "own", "B", "1", 20.0, 3), (3, "own", "B", "2", 5.0, 1))
    found = days(told, told, LIMITS, {("desktop", "1"): {"own": "listed"}})
    room = found[Where("desktop", "listed", "N", "B", "1")]
    assert (room.joules[0], room.joules[3], room.joules.sum()) == (10.0, 20.0, 30.0)
    assert (room.devices[3], room.covered[3]) == (3, 3 * 86_400)
    assert list(room.by_basis) == ["measured"]
    assert room.by_basis["measured"] == pytest.approx((30.0, 3.0))
    assert found[Where("desktop", ANY, "N", "B", "2")].joules[3] == 5.0


def test_what_is_told_with_others_on_one_day_is_told_with_them_on_all() -> None:
    told = rows(
        (0, "m", "B", "1", 10.0, 5),
        (0, "m", "B", "2", 20.0, 5),
        (1, "m", "B", OTHER, 30.0, 9),
        (1, "m", "C", "3", 7.0, 5),
    )
    found = days(told, told, LIMITS, {})
    assert set(found) == {Where("desktop", ANY, "N", "B", ANY), Where("desktop", ANY, "N", "C", "3")}
    assert found[Where("desktop", ANY, "N", "B", ANY)].joules[:2].tolist() == [30.0, 30.0]
    told = rows((0, "m", "B", "1", 10.0, 5), (1, "m", OTHER, OTHER, 30.0, 9), (2, "m", "C", "3", 7.0, 5))
    assert set(days(told, told, LIMITS, {})) == {Where("desktop", ANY, "N", ANY, ANY)}


@pytest.mark.parametrize("first, groups", [(1, {"1"}), (3, {ANY})])
def test_days_before_the_inventory_are_of_any_place_if_they_are_most_and_else_left_out(
    first: int, groups: set[str]
) -> None:
    told = rows(*((n, "m", *(("", "") if n < first else ("B", "1")), 10.0, 5) for n in range(4)))
    told.dims["site"][:first] = ""
    room = Line("d", "desktop", "M", "1")
    who = Connected({known("d", "gw"): room}, {}, simulated=False)
    lost = nowhere(told, who)
    found = days(placed_again(told, lost), placed_again(told, lost), LIMITS, {})
    assert {of.room for of in found} == groups
    assert sum(of.joules.sum() for of in found.values()) == (40.0 if groups == {ANY} else 30.0)
    unlisted = replace(who, unlisted={"desktop": 1})
    assert nowhere(told, unlisted) == {}, "they may be of those that have no line"
    assert nowhere(told, replace(who, lines={known("d", "gw"): replace(room, room="")})) == {}


def test_a_room_of_which_some_rows_tell_no_model_is_one_group() -> None:
    """Folded rows have none."""
    names = {("desktop", "1"): {"a": "A", "b": "B"}}
    apart = rows((0, "a", "B", "1", 10.0, 5), (0, "b", "B", "1", 20.0, 5))
    assert len(days(apart, apart, LIMITS, names)) == 2
    folded = rows((0, "a", "B", "1", 10.0, 5), (0, "b", "B", "1", 20.0, 5), (1, "", "B", "1", 33.0, 10))
    found = days(folded, folded, LIMITS, names)
    assert set(found) == {Where("desktop", ANY, "N", "B", "1")}
    assert found[Where("desktop", ANY, "N", "B", "1")].devices[:2].tolist() == [10, 10]


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab"), st.sampled_from(["B", "C", OTHER]),
                          st.sampled_from(["1", "2", OTHER])), min_size=1, max_size=12, unique=True))  # fmt: skip
def test_no_joule_is_lost_and_no_group_is_within_another(places: list[tuple[int, str, str, str]]) -> None:
    told = rows(*((d, m, b, OTHER if b == OTHER else r, float(2**n), 5) for n, (d, m, b, r) in enumerate(places)))
    found = days(told, told, LIMITS, {("desktop", "1"): {"a": "A"}, ("desktop", "2"): {"a": "A", "b": "B"}})
    assert sum(of.joules.sum() for of in found.values()) == 2 ** len(places) - 1
    for one in found:
        for other in found:
            assert one == other or any(a != b and ANY not in (a, b) for a, b in zip(one, other, strict=True))


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
    assert models(who) == {}, "one name of two models"


def test_who_speaks_for_himself_is_silent_when_off_if_most_do() -> None:
    room = [Line(f"d{n}", "desktop", "M", "1") for n in range(3)]
    mixed = [known("a", "a"), known("b", "b"), known("gw/c", "gw")]
    where, host = Where("desktop", ANY, "N", "B", "1"), Where("host", ANY, "N", "B", "1")
    who = Connected(dict(zip(mixed, room, strict=True)), {}, simulated=False)
    assert list(silent_when_off(who, [where, host, where._replace(room=ANY)])) == [where, where._replace(room=ANY)]
    who = Connected(dict(zip([mixed[0], mixed[2]], room[:2], strict=True)), {}, simulated=False)
    assert list(silent_when_off(who, [where])) == []
    assert GROUPS[:3] == ("class", "model", "simulated")
