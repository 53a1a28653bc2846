"""pint quantities through every model: watts in, joules out, and an argument of another dimension never passes.

The models are plain numpy on coherent units; that they are free of factors is what lets quantities pass through them.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pint
import pytest

from thinwatt_collector import units
from thinwatt_collector.models import (
    attribution,
    carbon,
    contention,
    devices,
    embodied,
    energy,
    indicators,
    power,
    second_life,
)

Q = units.registry().Quantity
Result = Callable[[Any], Any]


def q(values: Any, unit: str) -> Any:
    return Q(np.asarray(values, float), unit)


T = q([0.0, 10.0, 20.0, 30.0, 120.0], "s")
P = q([[100.0, 110.0, np.nan, 115.0, 200.0], [1.0, 2.0, 3.0, 4.0, 5.0]], "W")
START, END = q([450.0, 900.0], "s"), q([4950.0, 1000.0], "s")
EDGES = q([0.0, 1800.0, 3600.0, 5400.0], "s")
GOLD = q([0.2, 0.5, 1.0], ""), q([0.88, 0.92, 0.88], "")
SHARES = q([0.15, 0.45, 0.1, 0.3], "")
STATES = q([0.8, 1.5, 30.0, 32.0], "W")


def run(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a model with quantities, which its types do not foresee."""
    return function(*arguments)


def whole(result: Any) -> Any:
    return result


def first(result: Any) -> Any:
    return result[0]


def second(result: Any) -> Any:
    return result[1]


def delta(result: Any) -> Any:
    return result.delta


def shared(energy_of_host: Any, floor: Any, cpu: Any, host_cpu: Any, reserved: Any, capacity: Any) -> Any:
    """Attribute by every policy; the lines must add up in one unit."""
    there = attribution.Desktops(cpu, host_cpu, reserved, capacity, q([[900.0, 60.0]], "s"))
    policies: tuple[attribution.Policy, ...] = ("reservation", "activity", "equal", "marginal")
    found = [attribution.attribute(energy_of_host, floor, there, policy) for policy in policies]
    return sum(f.desktops.sum(axis=-1) + f.idle + f.overhead + f.unattributed for f in found)


def owner(making: Any, bought: Any, lifetime: Any, turn: Any, out: Any) -> second_life.Lives:
    """Return two devices bought new, of which the second goes to somebody else."""
    return second_life.Lives(making, bought, lifetime, 0.0 * lifetime, turn, out + lifetime, out, np.array([0, 1]) > 0)


def borne(making: Any, bought: Any, lifetime: Any, turn: Any, out: Any, begin: Any, end: Any) -> Any:
    """Send devices through the rules of a second life; what comes of them must add up in one unit."""
    lives = owner(making, bought, lifetime, turn, out)
    spreads = [second_life.first_bears(lives), second_life.all_bear(lives), second_life.again(making, turn, out, out)]
    told = sum(second_life.taken_on(s) + second_life.left(s) + second_life.bears(s, begin, end) for s in spreads)
    written, passed = second_life.ends(lives, "50_50")
    return told + written + passed + second_life.borne(lives, begin, end, "50_50")


LIVES = q([300.0], "kg"), q([24.0], "kg"), q([5.0], "year"), q([3.0], "year")
WHEN = q([0.0, 1.0], "year"), q([5.0, 5.0], "year"), q(2.0, "year"), q(3.0, "year")
OWNED = (*(q(x, u) for x, u in (([300.0, 106.0], "kg"), ([1.0, 2.0], "year"), ([5.0, 7.0], "year"))),
         *(q(x, "year") for x in ([4.0, 5.0], [6.0, 7.0], 2.0, 3.0)))  # fmt: skip
CASES: list[tuple[Callable[..., Any], tuple[Any, ...], Result, str]] = [
    (energy.trapezoid, (T, P, q(30.0, "s")), first, "J"),
    (energy.trapezoid, (T, P, q(30.0, "s")), second, "s"),
    (energy.gap_linear, (T, P, q(30.0, "s")), first, "J"),
    (energy.gap_linear, (T, P, q(30.0, "s")), second, "s"),
    (energy.gap_hold_last, (T, P, q(30.0, "s")), first, "J"),
    (energy.coverage, (q([40.0, 0.0], "s"), q([130.0, 0.0], "s")), whole, ""),
    (energy.overlap, (START, END, EDGES), whole, "s"),
    (energy.split, (START, END, q([4.0, 5.0], "J"), q(900.0, "s")), delta, "J"),
    (energy.pue_energy, (q([5.0], "J"), q([1.35], "")), whole, "J"),
    (power.linear, (q([0.3, 1.5], ""), q(40.0, "W"), q(200.0, "W")), whole, "W"),
    (power.piecewise, (q([0.3, 0.7], ""), q(power.LOAD_KNOTS, ""), q([55.0, 125.0, 261.0, 469.0], "W")), whole, "W"),
    (power.states, (q([[1.0, 2.0, 3.0, 4.0]], "h"), STATES), whole, "J"),
    (power.typical_energy, (SHARES, STATES, q(8760.0, "h")), whole, "J"),
    (power.psu_efficiency, (q(0.35, ""), *GOLD), whole, ""),
    (power.wall_from_components, (q([152.0], "W"), q([83.0], "W"), q([0.94], "")), whole, "W"),
    (power.wall_from_components, (q([152.0], "J"), q([83.0], "J"), q([0.94], "")), whole, "J"),
    (carbon.grams, (q([5.0], "kWh"), q([0.0461], "kgCO2e/kWh")), whole, "g"),
    (
        carbon.grams_of_intervals,
        (START, END, q([0.2, 0.1], "kWh"), EDGES, q([31.0, 28.0, 26.0], "g/kWh")),
        whole,
        "g",
    ),
    (carbon.profile, (q([20.0, 60.0], "g/kWh"), q([46.1, 46.1], "g/kWh"), q(40.0, "g/kWh")), whole, "g/J"),
    (carbon.restated, (q([5.0], "kWh"), q([0.0519], "kg/kWh"), q([46.1], "g/kWh")), whole, "g"),
    (
        shared,
        (
            *(q([4.0], "kWh"), q([1.0], "kWh"), q([[90.0, np.nan]], "s"), q([100.0], "s")),
            *(q([[8.0, 8.0]], "GB*h"), q([64.0], "GB*h")),
        ),
        whole,
        "J",
    ),
    (embodied.declared, (q([150.0], "kg"), q([0.29], "")), whole, "g"),
    (embodied.part, (q([523.0], "mm^2"), q([0.0197], "kg/mm^2"), q([9.14], "kg"), q([2.0], "")), whole, "g"),
    (embodied.amortised, (q([106.0, 300.0], "kg"), *WHEN), whole, "g"),
    (embodied.purchased, (q([106.0, 300.0], "kg"), WHEN[0], *WHEN[2:]), whole, "g"),
    (embodied.beyond, (*WHEN[:2], q(9.0, "year")), whole, "s"),
    (embodied.second_life, LIVES, first, "g"),
    (embodied.second_life, LIVES, second, "g"),
    (embodied.sci, (q([1.0], "kWh"), q([46.1], "g/kWh"), q([16.0], "kg"), q([5400.0], "")), whole, "g"),
    (indicators.of_electricity, (q([5.0], "kWh"), q([3.67], "L/kWh")), whole, "m^3"),
    (indicators.equivalent, (q([100.0], "kg"), q([142.0], "g")), whole, ""),
    (borne, OWNED, whole, "g"),
    (contention.waiting_share, (q(2000.0, "ms"), q(20.0, "s")), whole, ""),
]
ELSEWHERE = {
    *(attribution.attribute, second_life.first_bears, second_life.all_bear, second_life.again, second_life.bears),
    *(second_life.taken_on, second_life.left, second_life.ends, second_life.borne),
}
"""Tried by a function of ours."""
NOT_A_QUANTITY = {energy.slots, devices.model_of, devices.supply, second_life.weights}
"""What answers with slot numbers, rows of a table or parts of a rule."""


@pytest.mark.parametrize("function, arguments, result, unit", CASES)
def test_the_result_has_the_dimension_that_the_docstring_says(
    function: Callable[..., Any], arguments: tuple[Any, ...], result: Result, unit: str
) -> None:
    found = result(function(*arguments))
    assert found.check(Q(1.0, unit).dimensionality), f"{found.units} is no {unit}"


@pytest.mark.parametrize("function, arguments, result, unit", [c for c in CASES if c[2] is not second])
def test_an_argument_of_another_dimension_does_not_pass(
    function: Callable[..., Any], arguments: tuple[Any, ...], result: Result, unit: str
) -> None:
    for i in range(len(arguments)):
        wrong = [a * Q(1.0, "candela") if k == i else a for k, a in enumerate(arguments)]
        # pint raises a plain ValueError where a quantity with a dimension is compared with a number.
        with pytest.raises((pint.DimensionalityError, ValueError)):
            result(function(*wrong)).to(unit)


def test_power_where_energy_belongs_fails() -> None:
    with pytest.raises(pint.DimensionalityError):
        run(carbon.grams, q([5.0], "W"), q([46.1], "g/kWh")).to("g")
    with pytest.raises(pint.DimensionalityError):
        run(carbon.restated, q([5.0], "W"), q([51.9], "g/kWh"), q([46.1], "g/kWh")).to("g")
    with pytest.raises(pint.DimensionalityError):
        power.wall_from_components(q([152.0], "J"), q([83.0], "W"), q([0.94], ""))
    with pytest.raises(pint.DimensionalityError):
        run(energy.trapezoid, T, P * Q(1.0, "s"), q(30.0, "s"))[0].to("J")


def test_the_numbers_are_those_of_plain_floats() -> None:
    joules, covered = run(energy.trapezoid, T, P, q(0.5, "min"))
    plain, seconds = energy.trapezoid(T.magnitude, P.magnitude, 30.0)
    assert joules.m_as("J") == pytest.approx(plain)
    assert covered.m_as("s") == pytest.approx(seconds)
    hours = run(energy.split, q([0.0], "min"), q([30.0], "min"), q([1.0], "kWh"), q(900.0, "s"))
    assert hours.slot.tolist() == [0, 1]
    assert hours.delta.m_as("kWh") == pytest.approx([0.5, 0.5])


MODULES: tuple[ModuleType, ...] = (
    attribution,
    carbon,
    contention,
    devices,
    embodied,
    energy,
    indicators,
    power,
    second_life,
)


@pytest.mark.parametrize("module", MODULES)
def test_every_model_is_tried(module: ModuleType) -> None:
    public = {
        f
        for name, f in inspect.getmembers(module, inspect.isfunction)
        if not name.startswith("_") and f.__module__ == module.__name__
    }
    assert public <= {case[0] for case in CASES} | NOT_A_QUANTITY | ELSEWHERE


@pytest.mark.parametrize("module", MODULES)
def test_models_hold_no_factors_between_units(module: ModuleType) -> None:
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    numbers = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, int | float)}
    assert not numbers & {24, 60, 365, 1000, 3600, 8760, 8766, 86400, 1e-3, 3.6e6, 1e6, 1e9}
