"""Intensities made of readings: what is filled in is named and flagged, and days of 23 and 25 hours are whole."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.collector.factors import rte
from thinwatt_collector import units
from thinwatt_collector.factors import FactorError, Intensity, fixed, table
from thinwatt_collector.factors.grid.readings import Readings
from thinwatt_collector.factors.grid.series import BETWEEN, WEEK, Profile, Publication, Revision, Series

PER = units.scale("g/kWh", "g/J")
LONDON = ZoneInfo("Europe/London")
REVISIONS = (Revision("expected", "expected", sure=False), Revision("real", "real"))
OF = Publication("live", "a_method", "a figure", "a publisher", REVISIONS, 0.01)


def readings(slots: list[int] | range, g_per_kwh: list[float], rank: int = 1) -> Readings:
    n = len(slots)
    return Readings(np.array(slots, np.int64), np.array(g_per_kwh) * PER, np.full(n, rank), np.full(n, 1_750_000_000))


def series(slots: list[int] | range, g_per_kwh: list[float], rank: int = 1, zone: str = "FR") -> Series:
    return Series(OF, zone, readings(slots, g_per_kwh, rank))


def answers(found: Intensity, *slots: int) -> tuple[list[float], list[bool], list[str]]:
    value, flags = found.at(np.array(slots))
    return (value / PER).round(6).tolist(), flags.tolist(), [found.factor_of(s).version for s in slots]


def test_what_is_published_is_answered_as_it_was_published() -> None:
    assert answers(series(range(10, 13), [50.0, 0.0, 70.0]), 12, 10, 11) == (
        [70.0, 50.0, 0.0],
        [False] * 3,
        ["real"] * 3,
    )


def test_a_hole_of_an_hour_is_the_mean_of_its_neighbours_and_flagged() -> None:
    found = series([0, 1, 2 + BETWEEN, 3 + BETWEEN], [10.0, 20.0, 40.0, 50.0])
    assert answers(found, *range(2, 2 + BETWEEN)) == ([30.0] * 4, [True] * 4, ["mean of the neighbours"] * 4)


def test_a_longer_hole_is_the_mean_of_the_weeks_around_it() -> None:
    slots = [*range(WEEK + 5), *range(3 * WEEK, 4 * WEEK + 9)]
    values = [999.0] * 5 + [20.0] * WEEK + [60.0] * WEEK + [999.0] * 9
    found = series(slots, values)
    assert answers(found, WEEK + 5, 2 * WEEK) == ([40.0] * 2, [True] * 2, ["mean of the weeks around"] * 2)


def test_before_the_first_and_after_the_last_reading_it_is_the_nearest_week() -> None:
    found = series(range(2 * WEEK), [20.0] * WEEK + [60.0] * WEEK)
    assert answers(found, -1, -9999, 2 * WEEK, 10**7)[0] == [20.0, 20.0, 60.0, 60.0]
    assert answers(found, -1, 2 * WEEK)[1] == [True, True]


def test_what_is_only_expected_is_flagged_until_the_real_figure_comes() -> None:
    expected = readings(range(4), [10.0] * 4, 0)
    assert answers(Series(OF, "FR", expected), 1) == ([10.0], [True], ["expected"])
    both = Readings(
        *(np.concatenate([getattr(expected, c), getattr(readings([1], [30.0]), c)]) for c in Readings.__slots__)
    )
    assert answers(Series(OF, "FR", both), 1, 2) == ([30.0, 10.0], [False, True], ["real", "expected"])


def test_filled_in_figures_are_less_sure_than_published_ones() -> None:
    found = series([0, 1, 4, 5], [10.0, 90.0, 10.0, 90.0])
    own, between, weeks = (found.factor_of(s).uncertainty for s in (0, 2, 99))
    assert own == pytest.approx(0.01)
    assert between > 0.5
    assert weeks > 0.5


def test_nothing_told_is_an_error_and_no_zero() -> None:
    with pytest.raises(FactorError, match="no reading of zone FR"):
        series([], [])
    with pytest.raises(FactorError, match="no reading"):
        Series(OF, "FR", readings([1], [5.0]), as_of=1_749_999_999)


@given(
    st.lists(
        st.tuples(st.integers(0, 3000), st.floats(1.0, 900.0)), min_size=1, max_size=200, unique_by=lambda p: p[0]
    ),
    st.lists(st.integers(-2000, 5000), min_size=1, max_size=50),
)
def test_an_answer_is_published_or_flagged_never_0_and_within_what_was_published(
    told: list[tuple[int, float]], asked: list[int]
) -> None:
    found = series([s for s, _ in told], [v for _, v in told])
    value, flags = found.at(np.array(asked))
    by_slot = dict(told)
    for slot, v, flagged in zip(asked, (value / PER).tolist(), flags.tolist(), strict=True):
        assert flagged is (slot not in by_slot)
        assert flagged or v == pytest.approx(by_slot[slot])
        assert min(by_slot.values()) * (1 - 1e-9) <= v <= max(by_slot.values()) * (1 + 1e-9)
    again, _ = found.at(np.array(asked[::-1]))
    assert np.array_equal(again[::-1], value), "the order of the question does not matter"


def yearly(zone: str) -> Intensity:
    mean = {
        "intensity": "46.1 g/kWh",
        "name": "n",
        "version": "v",
        "published": "2025-01-01",
        "valid_from": "1990-01-01",
    }
    return fixed.load({"zone": zone, "uncertainty": "10 %", "publisher": "p"} | mean)


def profiles() -> Iterator[tuple[Profile, ZoneInfo]]:
    slots = range(rte.slot(datetime(2000, 1, 1, tzinfo=UTC)), rte.slot(datetime(2000, 3, 1, tzinfo=UTC)))
    shape = np.random.default_rng(4).uniform(20.0, 90.0, len(slots)).tolist()
    for clock in (rte.PARIS, LONDON):
        yield Profile("p", "profile", series(slots, shape), yearly("FR"), clock), clock


PROFILES = list(profiles())
RECORD = table.load({"zone": "FR"})


@pytest.mark.parametrize("clock", [rte.PARIS, LONDON], ids=str)
@given(st.integers(1990, 2037))
@settings(max_examples=48)
def test_days_of_23_and_25_hours_lose_and_double_no_quarter_of_an_hour(clock: ZoneInfo, year: int) -> None:
    """The grams of a flat load by local days add up to those of the year, slot by slot, whatever the source."""
    every = list(rte.days(date(year, 1, 1), date(year + 1, 1, 1)))
    limits = [rte.midnights(day, clock) for day in every]
    slots = np.concatenate([np.arange(*limit) for limit in limits])
    assert np.array_equal(slots, np.arange(limits[0][0], limits[-1][1])), "each quarter once, in its order"
    odd = {day: (b - a) // 4 for day, (a, b) in zip(every, limits, strict=True) if b - a != 96}
    assert sorted(odd.values()) == [23, 25]
    sources: list[Intensity] = [RECORD, *(p for p, c in PROFILES if c is clock)]
    for found in sources:
        whole = found.at(slots)[0].sum()
        assert sum(found.at(np.arange(*limit))[0].sum() for limit in limits) == pytest.approx(whole, rel=1e-12)


@given(st.integers(1995, 2030), st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_a_load_that_never_changes_gets_exactly_the_year_mean_of_a_profile(year: int, seed: int) -> None:
    first, last = rte.midnights(date(year, 1, 1))[0], rte.midnights(date(year, 12, 31))[1]
    slots = np.arange(first, last)
    random = np.random.default_rng(seed)
    there = slots[random.random(len(slots)) > 0.1]
    shape = series(there.tolist(), random.uniform(5.0, 300.0, len(there)).tolist())
    found = Profile("p", "profile", shape, yearly("FR"), rte.PARIS)
    value, _ = found.at(slots)
    assert value.mean() / PER == pytest.approx(46.1, rel=1e-12)
    assert np.corrcoef(value, shape.at(slots)[0])[0, 1] == pytest.approx(1.0), "and the shape is that of the grid"


def test_a_year_that_is_not_published_whole_is_a_fallback_all_over_and_still_has_the_mean() -> None:
    first, last = rte.midnights(date(2025, 1, 1))[0], rte.midnights(date(2025, 12, 31))[1]
    half = range(first, first + (last - first) // 2)
    found = Profile("p", "profile", series(half, [50.0 + i % 96 for i in range(len(half))]), RECORD, rte.PARIS)
    value, flags = found.at(np.arange(first, last))
    assert flags.all()
    assert value.mean() * 3600.0 == pytest.approx(0.0461, rel=1e-12)
    whole = Profile("p", "profile", series(range(first, last), [50.0] * (last - first)), RECORD, rte.PARIS)
    value, flags = whole.at(np.array([first - 1, first, last - 1, last]))
    assert flags.tolist() == [True, False, False, True]
    assert (value * 3600.0).tolist() == pytest.approx([0.0519, 0.0461, 0.0461, 0.0461])


def test_a_profile_says_what_it_is_made_of() -> None:
    found, _ = PROFILES[0]
    factor = found.factor_of(0)
    assert (found.kind, found.method, found.zone) == ("profile", "p", "FR")
    assert (factor.name, factor.version) == ("profile: n", "v; shape: a figure, mean of the weeks around")
    assert factor.source == "p; a publisher"
    assert factor is found.factor_of(1)
    with pytest.raises(FactorError, match="zone GB cannot be scaled to a record of FR"):
        Profile("p", "profile", series([1], [1.0], zone="GB"), RECORD, rte.PARIS)
