"""Grams from joules: worked examples E4 and E7 of the domain research, and what must not pass silently."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinwatt_collector.models import carbon

KWH, KG = 3.6e6, 1000.0
EDGES = np.arange(0.0, 7201.0, 1800.0)
INTENSITY = np.array([31.0, 28.0, 26.0, 35.0]) / KWH


def test_e4_an_interval_across_half_hours() -> None:
    start, end = np.array([450.0]), np.array([4950.0])
    joules = 180.0 * (end - start)
    assert joules / KWH == pytest.approx([0.225], rel=1e-12)
    assert carbon.grams_of_intervals(start, end, joules, EDGES, INTENSITY) == pytest.approx([6.3675], rel=1e-9)


def test_e7_a_room() -> None:
    assert carbon.grams(np.array(1666.575 * KWH), np.array(0.0461 * KG / KWH)) / KG == pytest.approx(
        76.8291075, rel=1e-12
    )


def test_no_intensity_is_not_an_intensity_of_zero() -> None:
    assert np.isnan(carbon.grams(np.array([KWH]), np.array([np.nan]))).all()
    holed = np.array([31.0, np.nan, 26.0, 35.0]) / KWH
    grams = carbon.grams_of_intervals(
        np.array([0.0, 3600.0]), np.array([1800.0, 5400.0]), np.full(2, KWH), EDGES, holed
    )
    assert grams == pytest.approx([31.0, 26.0])
    assert np.isnan(carbon.grams_of_intervals(np.array([0.0]), np.array([3600.0]), np.full(1, KWH), EDGES, holed)).all()


@given(
    st.lists(st.floats(1.0, 900.0), min_size=1, max_size=50),
    st.floats(1.0, 900.0),
    st.lists(st.floats(0.0, 1e9), min_size=50, max_size=50),
)
def test_a_profile_keeps_the_mean_and_weighs_energy_by_its_hour(
    shape: list[float], mean: float, booked: list[float]
) -> None:
    curve, joules = np.array(shape) / KWH, np.array(booked[: len(shape)])
    scaled = carbon.profile(curve, np.array(mean / KWH), float(curve.mean()))
    flat = np.full(len(curve), KWH)
    assert carbon.grams(flat, scaled).sum() == pytest.approx(mean * len(curve), rel=1e-9)
    assert carbon.grams(joules, scaled).sum() == pytest.approx(
        float((joules * curve).sum()) * mean / KWH / curve.mean()
    )


@given(st.floats(0.0, 1e12), st.floats(0.0, 1e-3), st.floats(0.0, 1e-3))
def test_a_restatement_is_the_difference_of_what_was_told_and_what_is(joules: float, then: float, now: float) -> None:
    energy, before, after = np.array([joules]), np.array([then]), np.array([now])
    delta = carbon.restated(energy, before, after)
    told = carbon.grams(energy, before)
    # What was told may be a million times what is: its last digits are all that a sum with it can be true to.
    rounding = 1e-9 + 1e-12 * float(np.abs(told).max())
    assert told + delta == pytest.approx(carbon.grams(energy, after), rel=1e-9, abs=rounding)
    assert carbon.restated(energy, after, before) == -delta
    assert np.isnan(carbon.restated(energy, np.array([np.nan]), after)).all()


@pytest.mark.parametrize("start, end", [(-1.0, 100.0), (0.0, 7200.1), (100.0, 100.0)])
def test_an_interval_that_the_intensities_do_not_hold_is_refused(start: float, end: float) -> None:
    with pytest.raises(ValueError, match="interval"):
        carbon.grams_of_intervals(np.array([start]), np.array([end]), np.ones(1), EDGES, INTENSITY)


@given(st.floats(0.0, 7199.0), st.floats(1.0, 7200.0), st.floats(0.0, 1e9))
def test_a_constant_intensity_gives_what_one_product_gives(start: float, length: float, joules: float) -> None:
    end = min(start + length, 7200.0)
    same = np.full(4, INTENSITY[0])
    split = carbon.grams_of_intervals(np.array([start]), np.array([end]), np.array([joules]), EDGES, same)
    assert split == pytest.approx(carbon.grams(np.array([joules]), INTENSITY[0]), rel=1e-9)
