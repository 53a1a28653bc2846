"""Making: declared, bottom-up, amortised or bought, in one life or in two; nothing lost between periods and rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinwatt_collector.models import embodied
from thinwatt_collector.models.rules import RULES, Rule

DAY = 86_400.0
YEAR = 365.25 * DAY
masses = st.floats(0.0, 1e7)
years = st.floats(0.01, 30.0)


@given(masses, st.floats(-20, 20), years, st.lists(st.floats(-40, 40), min_size=0, max_size=12))
def test_periods_side_by_side_bear_the_making_once(total: float, bought: float, life: float, cuts: list[float]) -> None:
    edges = np.sort(np.array([-100.0, *cuts, 100.0])) * YEAR
    parts = embodied.amortised(np.array(total), np.array(bought * YEAR), np.array(life * YEAR), edges[:-1], edges[1:])
    assert parts.sum() == pytest.approx(total, rel=1e-9, abs=1e-9)
    assert np.all(parts >= 0)


@given(masses, st.floats(-20, 20), st.lists(st.floats(-40, 40), min_size=0, max_size=12))
def test_a_purchase_is_in_one_period(total: float, bought: float, cuts: list[float]) -> None:
    edges = np.sort(np.array([-100.0, *cuts, 100.0])) * YEAR
    assert embodied.purchased(np.array(total), np.array(bought * YEAR), edges[:-1], edges[1:]).sum() == total


@given(masses, masses, years, years, st.sampled_from(RULES))
def test_two_lives_bear_all_of_it(making: float, again: float, first: float, second: float, rule: Rule) -> None:
    parts = embodied.second_life(
        np.array(making), np.array(again), np.array(first * YEAR), np.array(second * YEAR), rule
    )
    assert float(sum(parts)) == pytest.approx(making + again, rel=1e-12)
    assert min(parts) >= 0


@given(masses, masses, years, years)
def test_half_and_half_is_the_mean_of_the_others(making: float, again: float, first: float, second: float) -> None:
    lives = np.array(making), np.array(again), np.array(first), np.array(second)
    cutoff, linear, half = (embodied.second_life(*lives, rule) for rule in ("cutoff", "linear", "50_50"))
    for a, b, mean in zip(cutoff, linear, half, strict=True):
        assert mean == pytest.approx((a + b) / 2, rel=1e-9, abs=1e-9)


def test_a_share_of_a_period_is_days_of_a_year_of_365_and_a_quarter() -> None:
    bought, life = np.array(0.0), np.array(5 * YEAR)
    quarter = embodied.amortised(np.array(300.0), bought, life, np.array(10 * DAY), np.array(102 * DAY))
    assert float(quarter) == pytest.approx(60.0 * 92 / 365.25, rel=1e-12)


def test_years_beyond_the_plan_bear_nothing_and_are_told() -> None:
    bought, life, now = np.array([0.0, 2 * YEAR]), np.array([4 * YEAR, 4 * YEAR]), np.array(5 * YEAR)
    assert embodied.amortised(np.array(300.0), bought, life, np.array(4.5 * YEAR), now).round(6).tolist() == [0.0, 37.5]
    assert embodied.beyond(bought, life, now).tolist() == [YEAR, 0.0]


def test_what_makes_no_sense_is_refused() -> None:
    one, none = np.array(1.0), np.array(0.0)
    with pytest.raises(ValueError, match="dividing by 100"):
        embodied.declared(one, np.array(29.0))
    with pytest.raises(ValueError, match="lifetime of no length"):
        embodied.amortised(one, none, none, none, one)
    with pytest.raises(ValueError, match="ends before"):
        embodied.amortised(one, none, one, one, none)
    with pytest.raises(ValueError, match="cutoff, linear, 50_50"):
        embodied.second_life(one, one, one, one, "fair")  # type: ignore[arg-type]  # the wrong word is the point
    with pytest.raises(ValueError, match="no length together"):
        embodied.second_life(one, one, none, none)
    with pytest.raises(ValueError, match="nothing was served"):
        embodied.sci(one, one, one, none)


def test_a_seat_year_of_the_published_comparison() -> None:
    # 300 seats; a PC of 300 kg for 5 years; a thin client of 106 kg for 7; four hosts of 1,278 kg and 2,000 kg shared.
    def a_year(kilograms: float, life: float) -> float:
        return float(
            embodied.amortised(np.array(kilograms), np.array(0.0), np.array(life * YEAR), np.array(0.0), np.array(YEAR))
        )

    assert a_year(300.0, 5) == pytest.approx(60.0)
    assert a_year(106.0, 7) == pytest.approx(15.142857, abs=5e-7)
    assert (4 * a_year(1278.0, 6) + a_year(2000.0, 6)) / 300 == pytest.approx(3.951111, abs=5e-7)
