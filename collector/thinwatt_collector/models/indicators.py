"""What stands beside kWh and kgCO2e: other criteria of electricity, and everyday equivalences.

An equivalence explains a figure; it never replaces it.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from thinwatt_collector.units import Grams, Joules, Ratio

T = TypeVar("T", Joules, Grams, Ratio)


def of_electricity(energy: Joules, each: T) -> T:
    """Return what an energy takes of another criterion: primary energy, resources, water.

    Args:
        energy: electricity [J].
        each: of a joule [J/J, g/J or m³/J].

    A hundred kilowatt hours at 3.6737 litres each:

    >>> kwh, litre = 3.6e6, 1e-3
    >>> round(float(of_electricity(np.array(100 * kwh), np.array(3.6737 * litre / kwh)) / litre), 6)
    367.37
    """
    found: T = energy * each
    return found


def equivalent(mass: Grams, each: Grams) -> Ratio:
    """Return how many of something emit as much.

    Args:
        mass: CO2e [g].
        each: CO2e of one of it [g].

    Raises:
        ValueError: something that emits nothing.

    100 kg are as much as 703 km by car:

    >>> round(float(equivalent(np.array(100e3), np.array(142.25341222954336))), 6)
    702.970835
    """
    if np.any(each <= 0):
        raise ValueError("what emits nothing is equivalent to nothing")
    found: Ratio = mass / each
    return found
