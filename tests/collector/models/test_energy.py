"""Energy from power and time. Numbers named E… are worked examples of the domain research, repeated here."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinwatt_collector.models import energy

T = np.array([0.0, 10.0, 20.0, 30.0, 120.0, 130.0])
P = np.array([100.0, 110.0, 120.0, 115.0, 200.0, 210.0])


def trapezoid(t: object, p: object, max_gap: float) -> tuple[float, float]:
    joules, covered = energy.trapezoid(np.asarray(t, float), np.asarray(p, float), max_gap)
    return float(joules), float(covered)


def test_e2_measured_linear_and_held() -> None:
    measured, covered = energy.trapezoid(T, P, 30.0)
    assert measured == 5425.0
    assert energy.coverage(covered, T[-1] - T[0]) == pytest.approx(40 / 130, rel=1e-12)
    linear, gap = energy.gap_linear(T, P, 30.0)
    held, same_gap = energy.gap_hold_last(T, P, 30.0)
    assert (float(linear), float(held)) == (14175.0, 10350.0)
    assert gap == same_gap == 90.0
    assert (measured + linear) / 3.6e6 == pytest.approx(0.005444444, abs=5e-10)


def test_a_missing_sample_is_not_a_zero() -> None:
    t = np.array([0.0, 10.0, 20.0, 30.0])
    whole, covered = trapezoid(t, np.array([20.0, np.nan, 20.0, 20.0]), 30.0)
    assert (whole, covered) == (600.0, 30.0)
    # Its neighbours are further apart than is believed: that time is not covered, and holds no energy.
    part, covered = trapezoid(t, np.array([20.0, np.nan, 20.0, 20.0]), 15.0)
    assert (part, covered) == (200.0, 10.0)


def test_missing_at_the_ends_and_everywhere() -> None:
    t = np.array([0.0, 10.0, 20.0])
    assert trapezoid(t, np.array([np.nan, 5.0, 5.0]), 30.0) == (50.0, 10.0)
    assert trapezoid(t, np.array([5.0, 5.0, np.nan]), 30.0) == (50.0, 10.0)
    assert trapezoid(t, np.full(3, np.nan), 30.0) == (0.0, 0.0)
    assert trapezoid(np.array([7.0]), np.array([5.0]), 30.0) == (0.0, 0.0)
    assert trapezoid(np.zeros(0), np.zeros(0), 30.0) == (0.0, 0.0)


def test_many_devices_at_once_as_one_by_one() -> None:
    random = np.random.default_rng(1)
    power = random.uniform(0.0, 300.0, (5, 3, 40))
    power[random.random(power.shape) < 0.2] = np.nan
    t = np.cumsum(random.choice([1.0, 10.0, 45.0], 40))
    joules, covered = energy.trapezoid(t, power, 30.0)
    for at in np.ndindex(5, 3):
        one, seconds = energy.trapezoid(t, power[at], 30.0)
        assert joules[at] == pytest.approx(one, rel=1e-12)
        assert covered[at] == seconds


def test_times_that_fall_are_refused() -> None:
    with pytest.raises(ValueError, match="sort the samples"):
        energy.trapezoid(np.array([0.0, 10.0, 9.0]), np.ones(3), 30.0)


steps = st.lists(st.tuples(st.floats(0.01, 60.0), st.floats(0.0, 1e4)), min_size=2, max_size=30)


@given(steps, st.floats(0.0, 100.0))
def test_what_is_covered_and_what_is_a_gap_are_all_the_time(rows: list[tuple[float, float]], max_gap: float) -> None:
    t = np.cumsum([dt for dt, _ in rows])
    p = np.array([w for _, w in rows])
    joules, covered = energy.trapezoid(t, p, max_gap)
    filled, gap = energy.gap_linear(t, p, max_gap)
    assert covered + gap == pytest.approx(t[-1] - t[0], rel=1e-9)
    assert 0.0 <= joules <= p.max() * covered * (1 + 1e-12)
    # Whatever is believed, both together are the area under the straight lines (exact arithmetic).
    exact = sum(
        (Fraction(float(b)) - Fraction(float(a))) * (Fraction(float(x)) + Fraction(float(y))) / 2
        for a, b, x, y in zip(t[:-1], t[1:], p[:-1], p[1:], strict=True)
    )
    assert joules + filled == pytest.approx(float(exact), rel=1e-9, abs=1e-9)


@given(st.floats(1.0, 30.0), st.floats(1.0, 500.0))
def test_a_constant_power_gives_the_same_energy_at_any_pace(step: float, watts: float) -> None:
    t = np.append(np.arange(0.0, 600.0, step), 600.0)
    joules, _ = energy.trapezoid(t, np.full(len(t), watts), 30.0)
    assert joules == pytest.approx(600.0 * watts, rel=1e-9)


def test_e4_overlaps() -> None:
    start, end = np.array([7.5 * 60]), np.array([82.5 * 60])
    assert energy.overlap(start, end, np.arange(0.0, 7201.0, 1800.0)).tolist() == [[1350.0, 1800.0, 1350.0, 0.0]]


intervals = st.lists(
    st.tuples(st.floats(-1e9, 4e9), st.floats(0.0, 1e6), st.floats(0.0, 1e12)), min_size=1, max_size=20
)


@given(intervals)
def test_shares_add_up_to_what_was_split_and_lie_in_their_slots(rows: list[tuple[float, float, float]]) -> None:
    start = np.array([a for a, _, _ in rows])
    end = start + np.array([d for _, d, _ in rows])
    delta = np.array([[x, 2 * x] for _, _, x in rows])
    shares = energy.split(start, end, delta)
    for i in range(len(rows)):
        mine = shares.interval == i
        assert shares.delta[mine].sum(axis=0) == pytest.approx(delta[i], rel=1e-12)
        assert shares.seconds[mine].sum() == pytest.approx(end[i] - start[i], rel=1e-9, abs=1e-6)
        assert (np.diff(shares.slot[mine]) == 1).all()
    begins = np.maximum(start[shares.interval], shares.slot * 900.0)
    assert (energy.slots(begins) == shares.slot).all()
    assert (shares.seconds >= 0.0).all()
    assert (shares.seconds <= 900.0).all()


def test_an_interval_at_the_edge_of_a_slot() -> None:
    shares = energy.split(np.array([0.0, 900.0, 1800.0]), np.array([900.0, 900.0, 3600.0]), np.array([1.0, 2.0, 4.0]))
    assert shares.interval.tolist() == [0, 1, 2, 2]
    assert shares.slot.tolist() == [0, 1, 2, 3]
    assert shares.delta.tolist() == [1.0, 2.0, 2.0, 2.0]


def test_an_interval_a_denormal_before_the_epoch_lasts_no_less_than_no_time() -> None:
    shares = energy.split(np.array([-5e-324]), np.array([-5e-324]), np.array([1.0]))
    assert shares.seconds.tolist() == [0.0]
    assert shares.delta.tolist() == [1.0]


def test_an_interval_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="start and end"):
        energy.split(np.array([2.0]), np.array([1.0]), np.array([1.0]))


def test_e7_pue() -> None:
    it = np.array([1234.5 * 3.6e6])
    room = energy.pue_energy(it, np.array([1.35]))
    assert room / 3.6e6 == pytest.approx([1666.575], rel=1e-12)
    assert (room - it) / 3.6e6 == pytest.approx([432.075], rel=1e-12)
    with pytest.raises(ValueError, match="1 or more"):
        energy.pue_energy(it, np.array([0.9]))
