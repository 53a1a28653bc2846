"""Units at the border: what a person writes, and what a person is told."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinwatt_collector import units
from thinwatt_collector.units import UnitError


@pytest.mark.parametrize(
    "text, unit, expected",
    [
        ("65 W", "W", 65.0),
        ("65W", "W", 65.0),
        ("0.5 kW", "W", 500.0),
        ("40.7 kWh/year", "W", 40.7 * 3.6e6 / (365.25 * 86400)),
        ("1.5 kWh", "J", 5.4e6),
        ("9.31 MJ", "J", 9.31e6),
        ("10 min", "s", 600.0),
        ("2.5 h", "s", 9000.0),
        ("500 ms", "s", 0.5),
        ("1.211 tCO2e", "g", 1.211e6),
        ("47.64 kgCO2e", "g", 47640.0),
        ("0.0461 kg/kWh", "g/J", 46.1 / 3.6e6),
        ("46.1 gCO2e/kWh", "g/J", 46.1 / 3.6e6),
        ("0.0461 kgCO2eq/kWh", "g/J", 46.1 / 3.6e6),
        ("0.084 t/MWh", "g/J", 84.0 / 3.6e6),
        ("64 MiB", "B", 67108864.0),
        ("64 MB", "B", 64e6),
        ("35 %", "1", 0.35),
        ("1.35", "1", 1.35),
    ],
)
def test_a_quantity_becomes_a_number_of_the_coherent_unit(text: str, unit: str, expected: float) -> None:
    assert units.parse(text, unit) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "text, unit, told",
    [
        ("65", "W", "no unit"),
        ("65 kWh", "W", "power"),
        ("65 W", "J", "energy"),
        ("0.0461 kg", "g/J", "carbon intensity"),
        ("65 VA", "W", "power"),
        ("0,0461 kg/kWh", "g/J", "point"),
        ("-5 W", "W", "negative"),
        ("1e400 W", "W", "too large"),
        ("nan W", "W", "no number"),
        ("10 m", "s", "duration"),
        ("64 mib", "B", "memory"),
        ("5 watts per second", "W", "power"),
        ("20 degC", "W", "power"),
        ("__import__('os')", "W", "no number"),
        ("9" * 100 + " W", "W", "no number"),
    ],
)
def test_anything_else_is_refused_with_the_text_and_what_was_expected(text: str, unit: str, told: str) -> None:
    with pytest.raises(UnitError) as caught:
        units.parse(text, unit)
    assert text in str(caught.value)
    assert told in str(caught.value)
    assert units.COHERENT[unit][1] in str(caught.value) or "negative" in told or "large" in told


@given(st.text(max_size=60), st.sampled_from(sorted(units.COHERENT)))
def test_any_text_is_a_number_or_a_unit_error(text: str, unit: str) -> None:
    with contextlib.suppress(UnitError):
        assert units.parse(text, unit) >= 0.0


@given(st.floats(0.0, 1e12), st.sampled_from([("kW", "W", 1e3), ("Wh", "J", 3600.0), ("min", "s", 60.0)]))
def test_the_number_scales_the_unit(number: float, unit: tuple[str, str, float]) -> None:
    written, coherent, factor = unit
    assert units.parse(f"{number!r} {written}", coherent) == pytest.approx(number * factor, rel=1e-12)


def test_pint_is_loaded_when_the_first_text_is_read_and_not_before() -> None:
    program = """
import sys, thinwatt_collector.units as units
before = "pint" in sys.modules
units.watts("1 W")
print(before, "pint" in sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ran.stdout.split() == ["False", "True"]
