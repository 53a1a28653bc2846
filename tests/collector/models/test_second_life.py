"""Second lives: whichever rule, the making is borne once, and each life bears what the two-line formula says."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinwatt_collector.models import embodied, second_life
from thinwatt_collector.models.rules import RULES, Rule
from thinwatt_collector.models.second_life import Lives

YEAR = 365.25 * 86_400.0
NEVER = np.array([np.inf])
masses = st.floats(0.0, 1e7)
years = st.floats(0.05, 30.0)


def lives(
    making: float = 300.0,
    lifetime: float = 5.0,
    before: float = 0.0,
    turn: float = np.inf,
    last: float | None = None,
    out: float = np.inf,
    passes: bool = False,
) -> Lives:
    """Return one device, bought at 0; masses in kg, times in years."""
    end = lifetime if last is None else last
    a, b, c, d, e, f = (np.array([x * YEAR]) for x in (0.0, lifetime, before, turn, end, out))
    return Lives(np.array([making]), a, b, c, d, e, f, np.array([passes]))


def of_years(device: Lives, begin: float, end: float, rule: Rule) -> float:
    return float(second_life.borne(device, np.array([begin * YEAR]), np.array([end * YEAR]), rule)[0])


@given(masses, masses, years, years, st.sampled_from(RULES))
def test_lives_that_go_as_planned_bear_what_the_formula_says(
    making: float, parts: float, first: float, second: float, rule: Rule
) -> None:
    device = lives(making, first, turn=first, last=first + second)
    one, other = embodied.second_life(np.array(making), np.array(parts), np.array(first), np.array(second), rule)
    again = second_life.again(np.array([parts]), np.array([first * YEAR]), np.array([second * YEAR]), NEVER)
    borne = of_years(device, first, 100.0, rule) + float(
        second_life.bears(again, np.array([first * YEAR]), np.array([100 * YEAR]))[0]
    )
    assert of_years(device, -10.0, first, rule) == pytest.approx(float(one), rel=1e-9, abs=1e-6)
    assert borne == pytest.approx(float(other), rel=1e-9, abs=1e-6)


def test_the_worked_pc_year_by_year() -> None:
    # 300 kg, five years, reconditioned with 24 kg for three more: 300 + 24, 187.5 + 136.5, 243.75 + 80.25.
    pc = lives(300.0, 5.0, turn=5.0, last=8.0)
    first = {rule: [round(of_years(pc, y, y + 1, rule), 9) for y in range(9)] for rule in RULES}
    assert first["cutoff"] == [60.0] * 5 + [0.0] * 4
    assert first["linear"] == [37.5] * 8 + [0.0]
    assert first["50_50"] == [48.75] * 5 + [18.75] * 3 + [0.0]


def test_what_is_given_away_early() -> None:
    # After four of five years to somebody who keeps it for four: one fifth is written off, or one half passed on.
    given_away = lives(300.0, 5.0, last=8.0, out=4.0, passes=True)
    found = {rule: [float(x[0]) for x in second_life.ends(given_away, rule)] for rule in RULES}
    assert found == {
        "cutoff": [pytest.approx(60.0), 0.0],
        "linear": [0.0, pytest.approx(150.0)],
        "50_50": [pytest.approx(30.0), pytest.approx(75.0)],
    }


def test_what_was_bought_reconditioned_bears_its_second_life_only() -> None:
    used = lives(300.0, 5.0, before=5.0, last=3.0)
    assert [round(of_years(used, -10, 10, rule), 9) for rule in RULES] == [0.0, 112.5, 56.25]
    taken = [second_life.taken_on(of) for of in (second_life.first_bears(used), second_life.all_bear(used))]
    assert [float(x[0]) for x in taken] == [0.0, pytest.approx(112.5)]


@given(
    making=masses,
    lifetime=years,
    before=st.just(0.0) | years,
    turn=st.none() | st.floats(0.0, 30.0),
    out=st.none() | st.floats(0.0, 40.0),
    more=years,
    passes=st.booleans(),
    cuts=st.lists(st.floats(-5.0, 90.0), max_size=8),
    rule=st.sampled_from(RULES),
)
def test_periods_and_ends_bear_what_was_taken_on(  # each argument is one fact about a device
    making: float,
    lifetime: float,
    before: float,
    turn: float | None,
    out: float | None,
    more: float,
    passes: bool,
    cuts: list[float],
    rule: Rule,
) -> None:
    left_at = np.inf if out is None else out
    second = np.inf if turn is None or turn > left_at else turn
    ends = [lifetime if not before else more]
    ends += [second + more] if np.isfinite(second) else []
    ends += [left_at + more] if passes and np.isfinite(left_at) else []
    device = lives(making, lifetime, before, second, max(ends), left_at, passes and np.isfinite(left_at))
    edges = np.sort(np.array([-200.0, *cuts, 200.0]))
    borne = sum(of_years(device, a, b, rule) for a, b in pairwise(edges.tolist()))
    off, on = (float(x[0]) for x in second_life.ends(device, rule))
    first, evenly = second_life.weights(rule)
    taken = first * second_life.taken_on(second_life.first_bears(device))
    taken = taken + evenly * second_life.taken_on(second_life.all_bear(device))
    assert borne + off + on == pytest.approx(float(taken[0]), rel=1e-9, abs=1e-6)
    assert min(borne, off, on) >= -1e-9 * making
    assert on == 0 or passes


def test_the_cutoff_never_restates_what_was_told() -> None:
    bare = lives()
    for later in (lives(turn=6.0, last=9.0), lives(out=4.0), lives(out=4.0, last=8.0, passes=True)):
        assert of_years(later, 0.0, 3.0, "cutoff") == of_years(bare, 0.0, 3.0, "cutoff")


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="cutoff, linear, 50_50"):
        second_life.weights("fair")  # type: ignore[arg-type]  # the wrong word is the point
    with pytest.raises(ValueError, match="end before they begin"):
        second_life.all_bear(lives(last=0.0))
    with pytest.raises(ValueError, match="ends before"):
        second_life.bears(second_life.first_bears(lives()), np.array([1.0]), np.array([0.0]))
    assert float(second_life.left(second_life.first_bears(replace(lives(), out=NEVER)))[0]) == 0.0
