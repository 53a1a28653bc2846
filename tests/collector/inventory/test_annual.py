"""From some weeks to a year: compared in the same weeks, silent when off, and nothing said of too little."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinwatt_collector.inventory.annual import ENOUGH, WEEK, WEEKS, YEAR, Reading, Weeks, Where, levels, readings

PCS, OFFICES = Where("desktop", room="A"), Where("desktop", room="B")
TERM = np.where(np.arange(WEEKS) % 8 < 6, 1.0, 0.3) * np.where(np.arange(WEEKS) >= 43, 0.2, 1.0)
"""A season: breaks, and holidays from week 43 on."""


def watched(watts: Any, count: int = 10, weeks: slice = slice(None), covered: float = 1.0) -> Weeks:
    """Devices that something beside them meters, of ``watts`` each by week."""
    there = np.zeros(WEEKS)
    there[weeks] = 1.0
    seconds = there * count * WEEK * covered
    joules = seconds * watts
    return Weeks(joules, seconds, there * count, {"measured": (float(joules.sum()), 0.1 * float(joules.sum()))})


def test_a_whole_year_is_its_mean_and_leaves_no_doubt() -> None:
    (found,) = readings({PCS: watched(20 * TERM, covered=0.98)}, ())
    assert found == Reading(PCS, 10, found.energy, 0.0, 0.0, 0.0, (1.0, 0.0))
    assert found.energy == pytest.approx(20 * TERM.mean() * YEAR)


@given(st.integers(0, WEEKS - ENOUGH), st.integers(ENOUGH, WEEKS))
def test_who_came_late_is_compared_with_the_others_in_the_same_weeks(begin: int, count: int) -> None:
    mine = slice(begin, min(begin + count, WEEKS))
    year, late = readings({PCS: watched(20 * TERM), OFFICES: watched(10 * TERM, weeks=mine)}, ())
    assert year.energy == pytest.approx(20 * TERM.mean() * YEAR, rel=1e-6)
    assert late.energy == pytest.approx(10 * TERM.mean() * YEAR, rel=1e-6)
    assert late.unseen == 0.0
    assert late.own_unseen == pytest.approx(1 - (mine.stop - mine.start) / WEEKS)


def test_of_holidays_alone_nobody_knows_a_year_and_the_part_that_is_missing_is_told() -> None:
    (found,) = readings({PCS: watched(20 * TERM, weeks=slice(44, 52))}, ())
    assert found.energy < 0.3 * 20 * TERM.mean() * YEAR
    assert found.unseen == found.own_unseen == pytest.approx(1 - 8 / 52)


@pytest.mark.parametrize("count, told", [(ENOUGH - 1, 0), (ENOUGH, 1)])
def test_less_than_enough_weeks_say_nothing(count: int, told: int) -> None:
    assert len(readings({PCS: watched(20 * TERM, weeks=slice(20, 20 + count))}, ())) == told


def test_devices_of_which_most_is_a_gap_say_nothing() -> None:
    assert not readings({PCS: watched(20 * TERM, covered=0.4)}, ())


def test_who_speaks_for_himself_is_silent_when_off() -> None:
    """Eight hours of 30 W on five days a week, and silence. The mean of what is covered would be 30 W all year."""
    on = np.where(abs(np.arange(WEEKS) - 25) < 3, 0.0, 1.0)
    seconds = on * 10 * 5 * 8 * 3600.0
    weeks = Weeks(seconds * 30.0, seconds, on * 10, {"modelled": (1.0, 0.26)})
    assert not readings({PCS: weeks}, ()), "a meter beside them that covers a quarter of the time has gaps"
    (found,) = readings({PCS: weeks}, {PCS})
    working = on.mean() * 40 / 168
    off = 0.8  # W, data/devices.csv
    assert found.energy == pytest.approx((working * 30.0 + (1 - working) * off) * YEAR)
    assert found.unseen == 0.0
    assert found.doubt == pytest.approx(0.26)
    assert (found.devices, found.basis) == (10, (0.0, 1.0))


def test_silence_before_the_first_week_and_after_the_last_is_not_known_to_be_off() -> None:
    days = watched(20 * TERM, weeks=slice(10, 30))
    (found,) = readings({PCS: days}, {PCS})
    assert found.own_unseen == pytest.approx(1 - 20 / 52)


def test_devices_that_came_later_make_no_week_of_the_first_ones_larger() -> None:
    """Two PCs, then ten: power is of one device, whoever is there."""
    two, ten = watched(20.0, count=2, weeks=slice(0, 26)), watched(20.0, count=10, weeks=slice(26, 52))
    both = Weeks(two.joules + ten.joules, two.covered + ten.covered, two.devices + ten.devices, two.by_basis)
    for silent in ((), {PCS}):
        (found,) = readings({PCS: both}, silent)
        assert found.energy == pytest.approx(20.0 * YEAR)
        assert (found.devices, found.own_unseen) == (10, 0.0)


def test_as_many_tell_a_year_as_were_there_for_enough_weeks() -> None:
    nine, one = watched(20.0, count=9), watched(20.0, count=1, weeks=slice(WEEKS - ENOUGH + 1, WEEKS))
    both = Weeks(nine.joules + one.joules, nine.covered + one.covered, nine.devices + one.devices, nine.by_basis)
    assert readings({PCS: both}, ())[0].devices == 9


def test_who_has_just_come_takes_no_week_from_those_who_were_there() -> None:
    """Thirty new ones in the last two days of a week, in which of their time less than half is known."""
    five, new = watched(20.0, count=5), watched(20.0, count=30, weeks=slice(51, 52), covered=2 / 7)
    both = Weeks(five.joules + new.joules, five.covered + new.covered, five.devices + new.devices, five.by_basis)
    (found,) = readings({PCS: both}, ())
    assert (found.devices, found.own_unseen) == (5, 0.0)
    assert found.energy == pytest.approx(20.0 * YEAR)


def test_an_unused_device_told_zero_and_a_zero_is_something() -> None:
    (found,) = readings({PCS: watched(0.0)}, ())
    assert (found.energy, found.devices) == (0.0, 10)


@given(st.data())
def test_energies_of_each_group_and_each_week_come_out_as_they_are(data: st.DataObject) -> None:
    n, d = data.draw(st.integers(1, 5)), data.draw(st.integers(2, 8))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    seconds = rng.uniform(1.0, 2.0, (n, d))
    level, season = rng.uniform(1.0, 9.0, n), rng.uniform(0.2, 3.0, d)
    season /= season.mean()
    seconds[rng.random((n, d)) < 0.3] = 0.0
    seconds[0] = 1.0  # one saw all of it, so that all can be compared
    joules = seconds * np.outer(level, season)
    kept = seconds.sum(axis=1) > 0
    assert levels(joules, seconds)[kept] == pytest.approx(level[kept], rel=1e-5)


def test_whom_one_was_never_seen_beside_tells_nothing_of_ones_own_season() -> None:
    """Older weeks are known of the class only, and the last month of each room: they have no week in common."""
    of_class, room = readings(
        {PCS: watched(20 * TERM, weeks=slice(0, 48)), OFFICES: watched(9.0, weeks=slice(48, 52))}, ()
    )
    assert of_class.unseen == pytest.approx(4 / 52)
    assert room.unseen == room.own_unseen == pytest.approx(48 / 52)


@given(st.integers(0, 51), st.integers(1, 51))
def test_one_more_group_never_makes_the_part_that_nobody_saw_larger(begin: int, count: int) -> None:
    before = readings({PCS: watched(20 * TERM, weeks=slice(0, 30))}, ())[0]
    mine = slice(begin, min(begin + count, WEEKS))
    after = readings({PCS: watched(20 * TERM, weeks=slice(0, 30)), OFFICES: watched(5 * TERM, weeks=mine)}, ())[0]
    assert after.unseen <= before.unseen
    assert after.own_unseen == before.own_unseen
