"""Power models against published numbers of real machines and the worked examples of the domain research."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from thinwatt_collector.models import power
from thinwatt_collector.models.devices import supply

HOUR, KWH = 3600.0, 3.6e6

# SPECpower_ssj2008, active power [W] at 100, 90 … 10 %, idle; results of 2022, www.spec.org/power_ssj2008.
MEASURED = {
    "Inspur i24M6": (689, 598, 546, 503, 471, 436, 397, 359, 321, 283, 221),
    "HPE DL325 Gen10+": (269, 249, 223, 204, 184, 167, 147, 134, 120, 105, 53.2),
    "ASUS RS700A-E11": (406, 349, 299, 268, 249, 232, 214, 198, 182, 164, 122),
    "LTechKorea LKG-2212-C": (377, 350, 322, 301, 280, 260, 240, 220, 197, 150, 96.6),
    "ASUS RS720-E10": (623, 514, 443, 386, 342, 303, 269, 244, 212, 181, 110),
    "Quanta D43K-1U": (471, 448, 418, 384, 345, 315, 288, 264, 238, 208, 85.5),
    "Fujitsu TX1330 M5": (73.6, 59.1, 49.7, 43.8, 39.0, 34.7, 30.5, 27.2, 24.4, 21.6, 18.0),
}
LOADS = np.arange(10, -1, -1) / 10.0


@pytest.mark.parametrize("machine", sorted(MEASURED))
def test_four_knots_miss_a_real_machine_by_less_than_a_straight_line_does(machine: str) -> None:
    watts = np.array(MEASURED[machine], dtype=float)
    idle, ten, fifty, full = watts[10], watts[9], watts[5], watts[0]
    curve = power.piecewise(LOADS, power.LOAD_KNOTS, np.array([idle, ten, fifty, full]))
    line = power.linear(LOADS, idle, full)
    between = slice(1, 10)
    off = np.abs(curve / watts - 1)[between].mean()
    assert off < 0.07
    assert off < np.abs(line / watts - 1)[between].mean()
    assert curve[[0, 5, 9, 10]] == pytest.approx([full, fifty, ten, idle], rel=1e-12)


@given(
    arrays(np.float64, (7,), elements=st.floats(-0.5, 1.5)),
    arrays(np.float64, (4,), elements=st.floats(0.0, 2000.0)),
)
def test_one_curve_is_numpys_own_interpolation(load: np.ndarray, watts: np.ndarray) -> None:
    expected = np.interp(load, power.LOAD_KNOTS, watts)
    assert power.piecewise(load, power.LOAD_KNOTS, watts) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_curve_for_each_machine_and_many_loads_of_each() -> None:
    curves = np.array([[55.0, 125.0, 261.0, 469.0], [18.0, 21.6, 34.7, 73.6]])
    loads = np.array([[0.0, 0.3, 1.0], [0.05, 0.75, np.nan]])
    watts = power.piecewise(loads, power.LOAD_KNOTS, curves[:, None, :])
    assert watts[0] == pytest.approx([55.0, 193.0, 469.0])
    assert watts[1, :2] == pytest.approx([19.8, 54.15])
    assert np.isnan(watts[1, 2])


def test_no_model_gives_no_power() -> None:
    assert np.isnan(power.piecewise(np.array([0.5]), power.LOAD_KNOTS, np.full(4, np.nan))).all()
    assert np.isnan(power.linear(np.array([np.nan]), np.array(5.0), np.array(10.0))).all()


def test_knots_that_do_not_rise_or_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="rise"):
        power.piecewise(np.array(0.5), np.array([0.0, 0.5, 0.5]), np.ones(3))
    with pytest.raises(ValueError, match="3 powers"):
        power.piecewise(np.array(0.5), power.LOAD_KNOTS, np.ones(3))


def test_example_a_states_of_a_year() -> None:
    # Desktop active/idle/sleep/off, thin client likewise: 78.268 and 13.9224 kWh; a PC that is off at night 60.048.
    hours = np.array([[1200, 600, 1000, 5960], [1200, 600, 0, 6960], [1200, 0, 0, 7560]]) * HOUR
    watts = np.array([[45, 30, 1.5, 0.8], [8, 5, 1.25, 0.19], [45, 30, 1.5, 0.8]])
    assert power.states(hours, watts) / KWH == pytest.approx([78.268, 13.9224, 60.048], rel=1e-9)


def test_example_e_typical_energy_of_a_label() -> None:
    year = np.array(8760 * HOUR)
    desktop = power.typical_energy(np.array([0.15, 0.45, 0.10, 0.30]), np.array([0.8, 1.5, 30, 32]), year)
    thin = power.typical_energy(np.array([0.45, 0.05, 0.15, 0.35]), np.array([0.19, 1.25, 5.01, 6.0]), year)
    assert [desktop / KWH, thin / KWH] == pytest.approx([117.3402, 26.27562], rel=1e-9)
    with pytest.raises(ValueError, match="together 1"):
        power.typical_energy(np.array([15.0, 45.0, 10.0, 30.0]), np.ones(4), year)


def test_e11_power_supply() -> None:
    loads, efficiency = supply("gold")
    assert power.psu_efficiency(np.array(140 / 400), loads, efficiency) == pytest.approx(0.90, rel=1e-12)
    # Two supplies share the load: each runs at 17.5 %, below what is certified.
    assert power.psu_efficiency(np.array(140 / 800), loads, efficiency) == pytest.approx(0.88, rel=1e-12)


def test_components_to_wall() -> None:
    wall = power.wall_from_components(np.array([152.0, np.nan]), np.array([103.0, 103.0]), np.array([0.92, 0.92]))
    assert wall[0] == pytest.approx(277.0, abs=0.5)  # 185 servers: RAPL 152 W, DCMI 277 W (scaphandre issue 201)
    assert np.isnan(wall[1])
    with pytest.raises(ValueError, match="efficiency"):
        power.wall_from_components(np.array(1.0), np.array(1.0), np.array(92.0))
