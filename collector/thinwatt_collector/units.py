"""Units at the border: "65 W" and "0.0461 kgCO2e/kWh" become floats of one coherent system.

Inside, power is in W, energy in J, time in s, mass of CO2e in g, intensity in g/J, memory in bytes: products and
quotients of such numbers need no factors, and the models contain none. This is the only module that imports pint, and
only when the first text is read: it takes a third of a second.

Arrays in signatures are named by what they hold. The names are aliases: numpy does not know units, so a type checker
cannot tell watts from joules; the tests do, by sending pint quantities through the models.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pint

Watts: TypeAlias = NDArray[np.float64]
Joules: TypeAlias = NDArray[np.float64]
Seconds: TypeAlias = NDArray[np.float64]
Grams: TypeAlias = NDArray[np.float64]
GramsPerJoule: TypeAlias = NDArray[np.float64]
Ratio: TypeAlias = NDArray[np.float64]
Slots: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

COHERENT: Final = {
    "W": ("a power", "65 W"),
    "J": ("an energy", "1.5 kWh"),
    "s": ("a duration", "10 min"),
    "g": ("a mass", "106 kg"),
    "g/J": ("a carbon intensity", "0.0461 kg/kWh"),
    "B": ("an amount of memory", "64 MiB"),
    "g/m^2": ("a mass by area", "0.0197 kg/mm^2"),
    "B/m^2": ("a density of memory", "1.24 GB/cm^2"),
    "m^3/J": ("a volume by energy", "3.67 L/kWh"),
    "1": ("a ratio", "35 %"),
}
"""Unit inside → what it measures and how somebody may write it."""

LONGEST: Final = 80
"""A longer text is no quantity."""
_NUMBER = r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
_NUMBER_UNIT = re.compile(_NUMBER + r"\s*(?P<unit>[A-Za-z%µμ][\w%µμ/*^ ]{0,39})?")
NOT_POWER: Final = frozenset({"VA", "kVA", "mVA", "MVA"})
"""Apparent power, which pint takes for power: the rating of a UPS is not what flows through it."""
_PINT_NAME = {"B": "byte", "B/m^2": "byte/m^2", "1": "dimensionless"}


class UnitError(ValueError):
    """A text is no quantity of the expected kind. ``str()`` names the text, the kind and a way to write it."""


@cache
def registry() -> pint.UnitRegistry[Any]:
    """Return the one registry: pint's own, with mass of CO2 equivalent as a mass."""
    import pint

    found: pint.UnitRegistry[Any] = pint.UnitRegistry()
    found.define("gCO2e = gram = _ = gCO2eq")
    found.define("tCO2e = metric_ton = _ = tCO2eq")
    return found


def parse(text: str, unit: str) -> float:
    """Return a quantity written with its unit as a number of a coherent unit.

    Args:
        text: a number and a unit; of a ratio the number alone will do.
        unit: one of :data:`COHERENT`.

    Raises:
        UnitError: no number with a unit of that kind, or a negative or infinite one.

    >>> parse("64 MiB", "B"), parse("10 min", "s"), parse("92 %", "1")
    (67108864.0, 600.0, 0.92)
    >>> round(parse("0.036 kgCO2e/kWh", "g/J"), 12)
    1e-05
    >>> parse("65 kg", "W")
    Traceback (most recent call last):
    thinwatt_collector.units.UnitError: '65 kg': 'kg' is no unit of power: write a power like '65 W'
    """
    what, example = COHERENT[unit]
    match = _NUMBER_UNIT.fullmatch(text.strip())
    if match is None or len(text) > LONGEST:
        remedy = "; decimals take a point" if "," in text else ""
        raise UnitError(f"{text!r} is no number with a unit: write {what} like {example!r}{remedy}")
    if match["unit"] is None and unit != "1":
        raise UnitError(f"{text!r} has no unit: write {what} like {example!r}")
    try:
        value = float(match["number"]) * scale(match["unit"] or "1", unit)
    except UnitError as error:
        raise UnitError(f"{text!r}: {error}") from None
    if not 0.0 <= value < np.inf:
        raise UnitError(f"{text!r} is negative or too large for {what}")
    return value


def scale(written: str, unit: str) -> float:
    """Return the factor from a unit as somebody wrote it to a coherent unit.

    >>> scale("kWh", "J")
    3600000.0

    Raises:
        UnitError: pint does not know the unit, or it measures something else.
    """
    factor = _factor(written, unit)
    if factor is None:
        what, example = COHERENT[unit]
        raise UnitError(f"{written!r} is no unit of {what.split(' ', 1)[1]}: write {what} like {example!r}")
    return factor


@lru_cache(maxsize=1024)
def _factor(written: str, unit: str) -> float | None:
    units = registry()
    if written in NOT_POWER:
        return None
    try:
        one = units.Quantity(1.0, units.parse_units("dimensionless" if written == "1" else written))
        return float(one.to(_PINT_NAME.get(unit, unit)).magnitude)
    except Exception:  # noqa: BLE001  # pint lets errors of the tokenizer and of its own internals through
        return None


def watts(text: str) -> float:
    """Return a power [W].

    >>> watts("1.2 kW")
    1200.0
    """
    return parse(text, "W")


def joules(text: str) -> float:
    """Return an energy [J].

    >>> joules("2 kWh")
    7200000.0
    """
    return parse(text, "J")


def seconds(text: str) -> float:
    """Return a duration [s].

    >>> seconds("15 min")
    900.0
    """
    return parse(text, "s")


def grams(text: str) -> float:
    """Return a mass, of CO2e mostly [g].

    >>> grams("106 kgCO2e")
    106000.0
    """
    return parse(text, "g")


def grams_per_joule(text: str) -> float:
    """Return a carbon intensity [g/J].

    >>> round(grams_per_joule("46.1 g/kWh"), 12)
    1.2805556e-05
    """
    return parse(text, "g/J")


def size(text: str) -> int:
    """Return an amount of memory, whole bytes [B].

    >>> size("64 MiB"), size("1 kB")
    (67108864, 1000)
    """
    return round(parse(text, "B"))


def ratio(text: str) -> float:
    """Return a number without a dimension; per cent is understood.

    >>> ratio("92 %"), ratio("1.35")
    (0.92, 1.35)
    """
    return parse(text, "1")
