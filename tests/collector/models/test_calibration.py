"""Calibration: meters of some machines tell what the others of their model draw, and how wrong that may be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinwatt_collector.models.calibration import at_knots, calibrate
from thinwatt_collector.models.power import LOAD_KNOTS, piecewise

STATES = np.array([0.3, 5.0, 8.0])
SPREAD = np.full(3, 0.35)


def fleet(
    machines: int, own: float, seed: int, watts: np.ndarray, intervals: int = 200
) -> tuple[np.ndarray, np.ndarray]:
    """Machines that spend their quarters of an hour in states at random, each with a power of its own."""
    random = np.random.default_rng(seed)
    seconds = random.dirichlet(np.ones(len(watts)), (machines, intervals)) * 900.0
    factor = np.exp(own * random.standard_normal(machines))
    return seconds, factor[:, None] * (seconds @ watts)


@settings(max_examples=40)
@given(st.integers(3, 12), st.lists(st.floats(0.5, 200.0), min_size=3, max_size=3), st.integers(0, 99))
def test_machines_all_alike_give_their_watts_whatever_was_assumed(n: int, watts: list[float], seed: int) -> None:
    true = np.array(watts)
    seconds, wall = fleet(n, 0.0, seed, true)
    found = calibrate(seconds, wall, STATES, SPREAD, 0.0)
    # Three features, no noise: what was assumed weighs as much as one interval of thousands.
    assert found.costs @ seconds.sum(axis=(0, 1)) == pytest.approx(wall.sum(), rel=0.02)
    assert found.own < 0.02


def test_a_state_that_nobody_was_in_keeps_what_was_assumed() -> None:
    seconds, wall = fleet(6, 0.05, 1, np.array([0.5, 6.0]))
    never = np.concatenate((seconds, np.zeros((*seconds.shape[:2], 1))), axis=2)
    found = calibrate(never, wall, STATES, SPREAD, 0.0)
    plain = calibrate(seconds, wall, STATES[:2], SPREAD[:2], 0.0)
    assert found.costs[:2] == pytest.approx(plain.costs)
    # But for the mean of the machines' ratios, by which all costs are moved.
    assert found.costs[2] == pytest.approx(8.0, rel=0.05)


def test_what_is_missing_changes_nothing_and_is_no_zero() -> None:
    seconds, wall = fleet(6, 0.05, 2, STATES)
    gone = wall.copy()
    gone[:, ::2] = np.nan
    half = calibrate(seconds[:, 1::2], wall[:, 1::2], STATES, SPREAD, 0.01)
    found = calibrate(seconds, gone, STATES, SPREAD, 0.01)
    assert found.costs == pytest.approx(half.costs)
    assert found.own == pytest.approx(half.own)
    silent = np.concatenate((seconds, seconds[:1])), np.concatenate((wall, np.full_like(wall[:1], np.nan)))
    assert calibrate(*silent, STATES, SPREAD, 0.01).machines == 6


def test_no_cost_is_negative() -> None:
    # Idle that draws nothing, in a model that takes 5 W for granted.
    seconds, wall = fleet(8, 0.3, 3, np.array([0.0, 0.0, 30.0]), intervals=20)
    assert np.all(calibrate(seconds, wall, STATES, SPREAD, 0.0).costs >= 0)


def test_the_interval_holds_the_others_of_the_model() -> None:
    held = 0
    for seed in range(400):
        seconds, wall = fleet(36, 0.12, seed, STATES * 1.4, intervals=40)
        found = calibrate(seconds[:6], wall[:6], STATES, SPREAD, 0.0)
        said = (seconds[6:] @ found.costs).sum(axis=1)
        sigma = np.hypot(np.sqrt(((said * found.own) ** 2).sum()), said.sum() * found.common)
        held += bool(abs(said.sum() - wall[6:].sum()) <= 1.96 * sigma)
    assert 0.93 <= held / 400 <= 0.975


def test_a_fault_that_no_metered_machine_shows_widens_what_is_common() -> None:
    seconds, wall = fleet(10, 0.05, 4, STATES)
    plain, wary = (calibrate(seconds, wall, STATES, SPREAD, 0.0, fault) for fault in (0.0, 1.2))
    assert wary.costs == pytest.approx(plain.costs)
    assert wary.own == plain.own
    assert wary.common**2 - plain.common**2 == pytest.approx(0.5 * (1.2 / 10) ** 2)


def test_one_odd_machine_weighs_by_its_energy() -> None:
    # Nine that are on for hours, and one that is always off and wastes 2.4 W: eight times what it should draw.
    seconds, wall = fleet(10, 0.0, 4, STATES)
    seconds[0] = [900.0, 0.0, 0.0]
    wall[0] = 2.7 * 900.0
    found = calibrate(seconds, wall, STATES, SPREAD, 0.0)
    assert found.costs @ seconds[1:].sum(axis=(0, 1)) == pytest.approx(wall[1:].sum(), rel=0.08)


def test_components_brought_to_the_wall() -> None:
    random = np.random.default_rng(5)
    seconds = np.full((5, 300), 900.0)
    packages = random.uniform(20.0, 200.0, (5, 300)) * seconds
    wall = packages / 0.92 + 83.0 / 0.92 * seconds
    found = calibrate(np.stack((packages, seconds), axis=2), wall, np.array([1.0, 60.0]), np.array([0.1, 0.5]), 0.0)
    assert found.costs == pytest.approx([1 / 0.92, 83.0 / 0.92], rel=0.01)


def test_a_curve_by_load() -> None:
    random = np.random.default_rng(6)
    load, seconds = random.beta(1.2, 3.0, (4, 400)), np.full((4, 400), 900.0)
    true = np.array([60.0, 110.0, 240.0, 430.0])
    wall = piecewise(load, LOAD_KNOTS, true) * seconds
    found = calibrate(at_knots(load, seconds), wall, true * 1.3, np.full(4, 0.35), 0.0)
    assert found.costs == pytest.approx(true, rel=0.02)


@given(st.lists(st.floats(-0.5, 1.5), min_size=1, max_size=20))
def test_seconds_at_knots_are_the_seconds_and_their_power_the_curve(loads: list[float]) -> None:
    load, seconds = np.array(loads), np.linspace(1.0, 900.0, len(loads))
    watts = np.array([55.0, 125.0, 261.0, 469.0])
    at = at_knots(load, seconds)
    assert at.sum(axis=-1) == pytest.approx(seconds)
    assert at @ watts == pytest.approx(piecewise(load, LOAD_KNOTS, watts) * seconds)


def test_too_little_to_go_by_is_refused() -> None:
    seconds, wall = fleet(2, 0.05, 1, STATES)
    with pytest.raises(ValueError, match="2 metered machines: from 3 on"):
        calibrate(seconds, wall, STATES, SPREAD, 0.0)
    seconds, wall = fleet(3, 0.05, 1, STATES)
    with pytest.raises(ValueError, match="do not fit"):
        calibrate(seconds, wall[:, 1:], STATES, SPREAD, 0.0)
    with pytest.raises(ValueError, match="nobody knew it exactly"):
        calibrate(seconds, wall, STATES, np.zeros(3), 0.0)
