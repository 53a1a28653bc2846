"""The estimate against conditioning written out device by device, and the laws that it promises."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from thinwatt_collector.models.estimate import Z95, Cells, Estimate, Readings, Sparse, by_cell, interval

SIZE = st.integers(1, 4)
ERROR = st.floats(0.02, 0.6)


@st.composite
def fleets(draw: st.DrawFn) -> Cells:
    g, k, r = draw(SIZE), draw(SIZE), draw(st.integers(0, 2))
    used = draw(arrays(float, (g, k), elements=st.sampled_from([0.0, 0.1, 0.3, 0.5])))
    return Cells(
        energy=draw(arrays(float, g, elements=st.floats(1.0, 1000.0))),
        devices=draw(arrays(float, g, elements=st.integers(1, 5).map(float))),
        loadings=Sparse.of(used),
        own=draw(arrays(float, g, elements=ERROR)),
        meter=draw(arrays(float, g, elements=st.floats(0.005, 0.1))),
        around=Sparse.of(draw(arrays(float, (g, r), elements=st.sampled_from([0.0, 0.05])))),
    )


@st.composite
def measured_fleets(draw: st.DrawFn) -> tuple[Cells, Any]:
    cells = draw(fleets())
    return cells, np.array([float(draw(st.integers(0, int(n)))) for n in cells.devices])


@st.composite
def readings(draw: st.DrawFn) -> tuple[Cells, Readings]:
    """Readings of one cell or of several, with errors of their own and in common."""
    cells, measured = draw(measured_fleets())
    of = np.array([draw(st.integers(0, 2)) if m else -1 for m in measured], np.int64)
    there, at = np.unique(of[of >= 0], return_inverse=True)
    of[of >= 0] = at
    n, s = len(there), draw(st.integers(0, 2))
    told = draw(arrays(float, n, elements=st.floats(0.7, 1.3)))
    alone = draw(arrays(float, n, elements=st.sampled_from([0.0, 0.1, 0.4])))
    shared = draw(arrays(float, (n, s), elements=st.sampled_from([0.0, 0.2, 0.5])))
    return cells, Readings(of, measured, told, alone, Sparse.of(shared))


def dense(of: Sparse) -> Any:
    return of.rows(np.arange(of.shape[0]))


def one_by_one(cells: Cells, read: Readings) -> tuple[float, float, Any]:
    """Mean and deviation of the total, and the covariance of cells, from every device and every reading by itself."""
    which = np.repeat(np.arange(len(cells.energy)), cells.devices.astype(int))
    first = np.concatenate([np.arange(int(n)) for n in cells.devices])
    common = dense(cells.loadings)[which] @ dense(cells.loadings)[which].T
    errors = common + np.diag(cells.own[which] ** 2)
    energy = cells.energy[which]
    has = first < read.measured[which]
    parts = [np.where(has & (read.of[which] == r), energy, 0.0) for r in range(len(read.told))]
    weight = np.array([part / part.sum() for part in parts]).reshape(-1, len(which))
    noise = (
        weight @ np.diag(cells.meter[which] ** 2) @ weight.T
        + np.diag(read.alone**2)
        + dense(read.shared) @ dense(read.shared).T
    )
    told = weight @ errors @ weight.T + noise
    gain = errors @ weight.T @ np.linalg.inv(told)
    left = errors - gain @ weight @ errors
    rooms = dense(cells.around).T @ (cells.energy * cells.devices)
    sums = np.array([np.where(which == g, energy, 0.0) for g in range(len(cells.energy))])
    spread = energy @ left @ energy + rooms @ rooms
    return float(energy @ (1.0 + gain @ (read.told - 1.0))), float(np.sqrt(spread)), sums @ left @ sums.T


@given(readings(), st.data())
def test_cells_say_the_same_as_device_by_device(fleet: tuple[Cells, Readings], data: st.DataObject) -> None:
    cells, read = fleet
    found = Estimate(cells, read)
    total, spread, of_cells = one_by_one(cells, read)
    assert found.deviation() == pytest.approx(spread, rel=1e-6)
    if (found.energy > 0).all():
        assert found.total == pytest.approx(total, rel=1e-6)
    price = data.draw(arrays(float, len(cells.energy), elements=st.floats(0.0, 1.0)))
    rooms = np.sum((dense(cells.around).T @ (cells.energy * cells.devices * price)) ** 2)
    assert found.deviation(price) == pytest.approx(np.sqrt(price @ of_cells @ price + rooms), rel=1e-6, abs=1e-7)
    group = np.array([data.draw(st.integers(-1, 2)) for _ in cells.energy], np.int64)
    for n, deviation in enumerate(found.deviations(group, 3, price)):
        mine = price * (group == n)
        rooms = np.sum((dense(cells.around).T @ (cells.energy * cells.devices * mine)) ** 2)
        assert deviation == pytest.approx(np.sqrt(mine @ of_cells @ mine + rooms), rel=1e-6, abs=1e-6)


def of_cells(cells: Cells, measured: Any, ratio: float = 1.0) -> Estimate:
    return Estimate(cells, by_cell(cells, measured, cells.energy * ratio))


@given(measured_fleets(), st.data())
def test_one_more_agent_never_widens_the_interval_whatever_it_says(
    fleet: tuple[Cells, Any], data: st.DataObject
) -> None:
    cells, measured = fleet
    ratio = data.draw(st.floats(0.0, 20.0))
    widths = []
    while True:
        widths.append(of_cells(cells, measured, ratio).deviation())
        free = np.flatnonzero(measured < cells.devices)
        if not len(free):
            break
        measured = measured.copy()
        measured[data.draw(st.sampled_from(free.tolist()))] += 1
    assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(widths))
    assert widths == [widths[0]] or widths[-1] < widths[0]


@given(readings(), st.data())
def test_a_doubtful_reading_of_one_cell_never_widens_it_and_doubt_never_narrows_it(
    fleet: tuple[Cells, Readings], data: st.DataObject
) -> None:
    """One device more in a reading of one cell, one reading more, less doubt: none of them makes the interval wider."""
    cells, read = fleet
    alike = [r for r in range(len(read.told)) if (read.of == r).sum() == 1]
    before = Estimate(cells, read).deviation()
    if alike:
        measured = read.measured.copy()
        cell = np.flatnonzero(read.of == data.draw(st.sampled_from(alike)))[0]
        measured[cell] = min(measured[cell] + 1, cells.devices[cell])
        assert Estimate(cells, replace(read, measured=measured)).deviation() <= before * (1 + 1e-9)
    part = data.draw(st.floats(0.0, 1.0))
    surer = replace(read, alone=read.alone * part, shared=Sparse.of(dense(read.shared) * part))
    assert Estimate(cells, surer).deviation() <= before * (1 + 1e-9)
    if len(read.told):
        last = len(read.told) - 1
        of = np.where(read.of == last, -1, read.of)
        without = Readings(of, read.measured, read.told[:last], read.alone[:last], Sparse.of(dense(read.shared)[:last]))
        assert Estimate(cells, without).deviation() >= before * (1 - 1e-9)


@given(readings(), st.data())
def test_what_is_promised_of_a_candidate_is_what_happens(fleet: tuple[Cells, Readings], data: st.DataObject) -> None:
    cells, read = fleet
    found = Estimate(cells, read)
    free = np.where(read.of < 0, cells.devices, cells.devices - read.measured)
    asked = []
    for _ in range(data.draw(st.integers(1, 4))):
        which = np.array(sorted(data.draw(st.sets(st.sampled_from(range(len(free))), min_size=1))))
        asked.append((which, free[which] * data.draw(st.sampled_from([0.0, 0.25, 1.0]))))
    for (which, more), narrower in zip(asked, found.removed(asked).tolist(), strict=True):
        # The same fleet with the new devices in cells of their own.
        wide: dict[str, Any] = {
            name: np.concatenate([getattr(cells, name), getattr(cells, name)[which]]) for name in NAMES
        }
        for name in ("loadings", "around"):
            of = dense(getattr(cells, name))
            wide[name] = Sparse.of(np.concatenate([of, of[which]]))
        wide["devices"] = np.concatenate([cells.devices, more])
        wide["devices"][which] -= more
        of = np.concatenate([read.of, np.arange(len(which)) + len(read.told)])
        then = Readings(
            of,
            np.concatenate([read.measured, more]),
            np.concatenate([read.told, np.ones(len(which))]),
            np.concatenate([read.alone, np.zeros(len(which))]),
            Sparse.of(np.vstack([dense(read.shared), np.zeros((len(which), read.shared.shape[1]))])),
        )
        kept = np.flatnonzero(more > 0)
        if len(kept) < len(which):
            continue
        before = 2 * Z95 * found.deviation()
        after = 2 * Z95 * Estimate(Cells(**wide), then).deviation()
        assert narrower == pytest.approx(before - after, abs=1e-6 * before)


NAMES = ("energy", "devices", "own", "meter")


NONE = Sparse.of(np.zeros((1, 0)))


def of_one(value: float) -> Sparse:
    return Sparse.of(np.full((1, 1), value))


@given(st.integers(2, 100_000))
def test_what_devices_have_in_common_does_not_shrink_with_their_number(n: int) -> None:
    def relative(count: float, common: float, own: float) -> float:
        one = np.ones(1)
        cells = Cells(one * 50.0, one * count, Sparse.of(np.array([[common]])), one * own, one * 0.03, NONE)
        return of_cells(cells, np.zeros(1)).deviation() / (50.0 * count)

    assert relative(n, 0.3, 0.4) >= 0.3
    assert relative(n, 1e-12, 0.4) == pytest.approx(0.4 / np.sqrt(n))


def test_a_room_s_pue_stays_as_unsure_as_it_was_however_many_agents() -> None:
    one = np.ones(1)
    cells = Cells(100 * one, 50 * one, of_one(0.3), 0.2 * one, 0.02 * one, of_one(0.05))
    expected = np.hypot(0.05 * 5000, 0.02 * 100 * np.sqrt(50))
    assert of_cells(cells, 50 * one).deviation() == pytest.approx(expected, rel=0.01)


def test_what_readings_have_in_common_is_not_taken_for_the_devices() -> None:
    """A month of holidays, told by two hundred PCs at a third of the year's power: believed for what it is worth."""
    one = np.ones(1)
    cells = Cells(100 * one, 200 * one, of_one(0.35), 0.4 * one, 0.03 * one, NONE)
    sure = Readings(np.zeros(1, np.int64), 200 * one, one / 3, 0 * one, NONE)
    doubtful = replace(sure, shared=of_one(0.5))
    assert Estimate(cells, sure).total == pytest.approx(200 * 100 / 3, rel=0.02)
    assert 0.75 * 20_000 < Estimate(cells, doubtful).total < 0.8 * 20_000


@given(fleets())
def test_it_is_of_one_unit(cells: Cells) -> None:
    none = np.zeros(len(cells.energy))
    larger = Cells(cells.energy * 8, cells.devices, cells.loadings, cells.own, cells.meter, cells.around)
    assert of_cells(larger, none).deviation() == pytest.approx(8 * of_cells(cells, none).deviation())
    assert of_cells(larger, none).total == pytest.approx(float(8 * cells.energy @ cells.devices))


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
