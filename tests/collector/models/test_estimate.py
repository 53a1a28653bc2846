"""The estimate against conditioning written out device by device, and the laws that it promises."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from thinwatt_collector.models.estimate import Z95, Cells, deviation, estimate, interval, removed

SIZE = st.integers(1, 4)
ERROR = st.floats(0.02, 0.6)


@st.composite
def fleets(draw: st.DrawFn) -> Cells:
    g, k, r = draw(SIZE), draw(SIZE), draw(st.integers(0, 2))
    used = draw(arrays(float, (g, k), elements=st.sampled_from([0.0, 0.1, 0.3, 0.5])))
    return Cells(
        energy=draw(arrays(float, g, elements=st.floats(1.0, 1000.0))),
        devices=draw(arrays(float, g, elements=st.integers(1, 5).map(float))),
        loadings=used,
        own=draw(arrays(float, g, elements=ERROR)),
        meter=draw(arrays(float, g, elements=st.floats(0.005, 0.1))),
        around=draw(arrays(float, (g, r), elements=st.sampled_from([0.0, 0.05]))),
    )


@st.composite
def measured_fleets(draw: st.DrawFn) -> tuple[Cells, Any]:
    cells = draw(fleets())
    return cells, np.array([float(draw(st.integers(0, int(n)))) for n in cells.devices])


def one_by_one(cells: Cells, measured: Any, told: Any) -> tuple[float, float]:
    """Mean and deviation of the total, from the covariance of every device and every reading, and nothing by cell."""
    which = np.repeat(np.arange(len(cells.energy)), cells.devices.astype(int))
    first = np.concatenate([np.arange(int(n)) for n in cells.devices])
    common = cells.loadings[which] @ cells.loadings[which].T
    errors = common + np.diag(cells.own[which] ** 2)
    has = np.flatnonzero(first < measured[which])
    readings = errors[np.ix_(has, has)] + np.diag(cells.meter[which[has]] ** 2)
    energy = cells.energy[which]
    gain = errors[:, has] @ np.linalg.inv(readings)
    surprise = told[which[has]] / cells.energy[which[has]] - 1.0
    left = errors - gain @ errors[has, :]
    rooms = cells.around.T @ (cells.energy * cells.devices)
    return float(energy @ (1.0 + gain @ surprise)), float(np.sqrt(energy @ left @ energy + rooms @ rooms))


@given(measured_fleets(), st.floats(0.7, 1.3))
def test_cells_say_the_same_as_device_by_device(fleet: tuple[Cells, Any], ratio: float) -> None:
    cells, measured = fleet
    told = cells.energy * ratio
    found = estimate(cells, measured, told)
    total, spread = one_by_one(cells, measured, told)
    assert found.deviation == pytest.approx(spread, rel=1e-6)
    assert found.deviation == deviation(cells, measured)
    if (found.energy > 0).all():
        assert found.total == pytest.approx(total, rel=1e-6)


@given(measured_fleets(), st.data())
def test_one_more_agent_never_widens_the_interval_whatever_it_says(
    fleet: tuple[Cells, Any], data: st.DataObject
) -> None:
    cells, measured = fleet
    told = cells.energy * data.draw(st.floats(0.0, 20.0))
    widths = []
    while True:
        widths.append(estimate(cells, measured, told).deviation)
        free = np.flatnonzero(measured < cells.devices)
        if not len(free):
            break
        measured = measured.copy()
        measured[data.draw(st.sampled_from(free.tolist()))] += 1
    assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(widths))
    assert widths == [widths[0]] or widths[-1] < widths[0]


@given(measured_fleets(), st.data())
def test_what_is_promised_of_a_candidate_is_what_happens(fleet: tuple[Cells, Any], data: st.DataObject) -> None:
    cells, measured = fleet
    asked = []
    for _ in range(data.draw(st.integers(1, 4))):
        which = np.array(sorted(data.draw(st.sets(st.sampled_from(range(len(measured))), min_size=1))))
        parts = data.draw(st.floats(0.0, 1.0))
        asked.append((which, (cells.devices - measured)[which] * parts))
    for (which, more), narrower in zip(asked, removed(cells, measured, asked).tolist(), strict=True):
        then = measured.copy()
        then[which] += more
        before = 2 * Z95 * deviation(cells, measured)
        assert narrower == pytest.approx(before - 2 * Z95 * deviation(cells, then), abs=1e-6 * before)


@given(st.integers(2, 100_000))
def test_what_devices_have_in_common_does_not_shrink_with_their_number(n: int) -> None:
    def relative(count: float, common: float, own: float) -> float:
        one = np.ones(1)
        cells = Cells(one * 50.0, one * count, np.array([[common]]), one * own, one * 0.03, np.zeros((1, 0)))
        return deviation(cells, np.zeros(1)) / (50.0 * count)

    assert relative(n, 0.3, 0.4) >= 0.3
    assert relative(n, 1e-12, 0.4) == pytest.approx(0.4 / np.sqrt(n))


def test_a_room_s_pue_stays_as_unsure_as_it_was_however_many_agents() -> None:
    one = np.ones(1)
    cells = Cells(100 * one, 50 * one, 0.3 * np.ones((1, 1)), 0.2 * one, 0.02 * one, 0.05 * np.ones((1, 1)))
    assert deviation(cells, 50 * one) == pytest.approx(np.hypot(0.05 * 5000, 0.02 * 100 * np.sqrt(50)), rel=0.01)


@given(fleets())
def test_it_is_of_one_unit(cells: Cells) -> None:
    none = np.zeros(len(cells.energy))
    larger = Cells(cells.energy * 8, cells.devices, cells.loadings, cells.own, cells.meter, cells.around)
    assert deviation(larger, none) == pytest.approx(8 * deviation(cells, none))
    assert estimate(larger, none, none * np.nan).total == pytest.approx(float(8 * cells.energy @ cells.devices))


@given(st.floats(1e-3, 1e9), st.floats(1e-4, 3.0), st.floats(1.001, 2.0))
def test_the_interval_is_positive_holds_the_mean_and_widens_with_the_deviation(m: float, u: float, more: float) -> None:
    low, high = interval(m, u * m)
    wider = interval(m, u * m * more)
    assert 0.0 < low < m < high
    assert high - low == pytest.approx(2 * Z95 * u * m, rel=1e-6)
    assert wider[1] - wider[0] > high - low
    assert interval(0.0, 1.0) == (0.0, 0.0)


@pytest.mark.parametrize("sigma", [0.05, 0.2, 0.42, 0.7])
def test_the_interval_holds_a_skewed_truth_as_often_as_it_says(sigma: float) -> None:
    truth = np.exp(np.random.default_rng(3).normal(0.0, sigma, 200_000))
    mean = float(np.exp(sigma**2 / 2))
    low, high = interval(mean, mean * float(np.sqrt(np.expm1(sigma**2))))
    held = float(np.mean((low < truth) & (truth < high)))
    assert 0.945 < held < 0.97
    assert 0.01 < float(np.mean(truth > high)) < 0.035
