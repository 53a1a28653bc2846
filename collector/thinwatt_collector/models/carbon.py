"""From energy to CO2e: the energy is kept, the carbon is worked out from it with a factor that has a name.

References:
    ADEME Base Empreinte for the French record; GHG Protocol Scope 2 Guidance (location-based). See factors/.
"""

from __future__ import annotations

import numpy as np

from thinwatt_collector.models.energy import overlap
from thinwatt_collector.units import Grams, GramsPerJoule, Joules, Seconds


def grams(joules: Joules, intensity: GramsPerJoule) -> Grams:
    """Return the CO2e of an energy.

    Args:
        joules: [J].
        intensity: [g/J]; NaN, where there is none, gives NaN: no intensity is not an intensity of 0.

    A month of a server room at ADEME's factor of 2025, 0.0461 kg/kWh:

    >>> kwh, kg = 3.6e6, 1000.0
    >>> round(float(grams(np.array(1666.575 * kwh), np.array(0.0461 * kg / kwh)) / kg), 5)
    76.82911
    """
    mass: Grams = joules * intensity
    return mass


def grams_of_intervals(start: Seconds, end: Seconds, joules: Joules, edges: Seconds, intensity: GramsPerJoule) -> Grams:
    """Return the CO2e of intervals that do not begin or end where the intensity changes.

    Each interval's energy is split over the bins in proportion to time.

    Args:
        start: beginnings, shape (n,) [s].
        end: ends, shape (n,) [s].
        joules: energy of each interval, shape (n,) [J].
        edges: of the bins, rising, shape (m + 1,) [s].
        intensity: in each bin, shape (m,) [g/J]. A bin that an interval does not touch may be NaN.

    Returns:
        Shape (n,) [g].

    Raises:
        ValueError: an interval without length, or beyond the bins: its carbon would silently be too small.

    180 W from 10:07:30 to 11:22:30, with 31, 28, 26 and 35 g/kWh in the half hours from 10:00 on:

    >>> kwh = 3.6e6
    >>> start, end = np.array([450.0]), np.array([4950.0])
    >>> half_hours, intensity = np.arange(5) * 1800.0, np.array([31.0, 28.0, 26.0, 35.0]) / kwh
    >>> grams_of_intervals(start, end, 180.0 * (end - start), half_hours, intensity).round(9).tolist()
    [6.3675]
    """
    if np.any(end <= start):
        raise ValueError("an interval without length: its energy has no place in time")
    if np.any(start < edges[0]) or np.any(end > edges[-1]):
        raise ValueError("an interval reaches beyond the bins of the intensity: hand over intensities for all of it")
    lasted = overlap(start, end, edges)
    power = np.expand_dims(joules / (end - start), -1)
    mass: Grams = np.sum(np.where(lasted > 0, lasted * power * intensity, 0.0), axis=-1)
    return mass


def profile(shape: GramsPerJoule, year_mean: GramsPerJoule, shape_mean: float) -> GramsPerJoule:
    """Return a shape brought to a year's mean, so that a load that never changes gets exactly that mean.

    Args:
        shape: intensity that varies within the year, of any method, shape (n,) [g/J].
        year_mean: that the year is to have, shape (n,) or one for all [g/J].
        shape_mean: mean of the shape over all of the year [g/J].

    Two halves of a year of which the second emits three times what the first does, brought to 46.1:

    >>> profile(np.array([30.0, 90.0]), np.array(46.1), 60.0).round(6).tolist()
    [23.05, 69.15]
    """
    scaled: GramsPerJoule = shape * (year_mean / shape_mean)
    return scaled


def restated(joules: Joules, before: GramsPerJoule, after: GramsPerJoule) -> Grams:
    """Return by how much booked CO2e changes when the intensity of the same energy is known better.

    Args:
        joules: booked, shape (n,) [J].
        before: the intensity that it was booked with, shape (n,) [g/J].
        after: as it is known now, shape (n,) [g/J].

    100 kWh booked at 0.0519 and restated at 0.0461 kg/kWh:

    >>> kwh, kg = 3.6e6, 1000.0
    >>> delta = restated(np.array([100 * kwh]), np.array([0.0519 * kg / kwh]), np.array([0.0461 * kg / kwh]))
    >>> (delta / kg).round(9).tolist()
    [-0.58]
    """
    mass: Grams = joules * (after - before)
    return mass
