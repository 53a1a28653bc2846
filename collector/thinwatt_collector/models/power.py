"""Power of machines that no meter watches, from load, states or component counters.

References:
    SPECpower_ssj2008 results, www.spec.org/power_ssj2008: over 611 single-node results of 2007 to 2022, straight lines
    between idle, 10 %, 50 % and 100 % load miss the measured power by 2.1 % (mean absolute), one line from idle to
    100 % by 8.9 %. CLEAResult 80 PLUS, test protocol for the efficiency of power supplies.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from thinwatt_collector.units import Joules, Ratio, Seconds, Watts

SUPPLY_KNOTS: Final = np.array([0.1, 0.2, 0.5, 1.0])
"""Loads at which the efficiency of power supplies is certified [1]."""
LOAD_KNOTS: Final = np.array([0.0, 0.1, 0.5, 1.0])
"""Loads at which a machine's power is known [1]: idle, 10 %, 50 %, 100 %."""


def linear(load: Ratio, idle: Watts, peak: Watts) -> Watts:
    """Return the power on a straight line from idle to peak.

    Args:
        load: share of the capacity that is busy [1]; beyond 0 … 1 it counts as the nearer of them, NaN stays NaN.
        idle: at load 0 [W].
        peak: at load 1 [W].

    >>> linear(np.array([0.0, 0.25, 1.2]), np.array(40.0), np.array(200.0)).tolist()
    [40.0, 80.0, 200.0]
    """
    watts: Watts = idle + np.clip(load, 0.0, 1.0) * (peak - idle)
    return watts


def piecewise(load: Ratio, knots: Ratio, watts: Watts) -> Watts:
    """Return the power on straight lines between known loads.

    Args:
        load: share of the capacity that is busy, any shape [1]; beyond the knots the nearest one's power.
        knots: rising loads, shape (k,) [1]; those of most machines are :data:`LOAD_KNOTS`.
        watts: power at the knots on the last axis, shape (k,) for one curve or (..., k) where ... goes with ``load``
            by numpy's broadcasting [W].

    Raises:
        ValueError: knots that do not rise, or another number of them than of powers.

    A two-socket server (idle 55 W, 151 W at 20 %) and another one, each at its own load:

    >>> curves = np.array([[55.0, 125.0, 261.0, 469.0], [18.0, 21.6, 34.7, 73.6]])
    >>> piecewise(np.array([0.3, 0.75]), LOAD_KNOTS, curves).round(2).tolist()
    [193.0, 54.15]
    """
    if len(knots) < 2 or np.any(knots[1:] <= knots[:-1]):
        raise ValueError(f"knots must rise, two at least: {knots}")
    if np.shape(watts)[-1] != len(knots):
        raise ValueError(f"{len(knots)} knots, but {np.shape(watts)[-1]} powers on the last axis")
    power: Watts = watts[..., 0]
    for k in range(len(knots) - 1):
        climbed = np.clip((load - knots[k]) / (knots[k + 1] - knots[k]), 0.0, 1.0)
        power = power + climbed * (watts[..., k + 1] - watts[..., k])
    return power


def states(seconds: Seconds, watts: Watts) -> Joules:
    """Return the energy of a machine from the time it spent in each state (off, sleep, idle, active, say).

    Args:
        seconds: time in each state on the last axis, shape (..., s) [s].
        watts: power in each state, shape (s,) or (..., s) [W].

    A desktop's year, active, idle, asleep and off:

    >>> hour, kwh = 3600.0, 3.6e6
    >>> spent = np.array([1200.0, 600.0, 1000.0, 5960.0]) * hour
    >>> round(float(states(spent, np.array([45.0, 30.0, 1.5, 0.8])) / kwh), 6)
    78.268
    """
    joules: Joules = np.sum(seconds * watts, axis=-1)
    return joules


def typical_energy(shares: Ratio, watts: Watts, duration: Seconds) -> Joules:
    """Return the energy of a duration from the share of it in each state: ENERGY STAR's E_TEC, of 8,760 h.

    Args:
        shares: of the time in each state, together 1, last axis (s,) [1].
        watts: power in each state, shape (s,) or (..., s) [W].
        duration: 8,760 h for a label's year [s].

    Raises:
        ValueError: shares that are not together 1.

    References:
        ENERGY STAR program requirements for computers, version 6.1, equation 1.

    >>> year, kwh = np.array(8760 * 3600.0), 3.6e6
    >>> tec = typical_energy(np.array([0.15, 0.45, 0.10, 0.30]), np.array([0.8, 1.5, 30.0, 32.0]), year)
    >>> round(float(tec / kwh), 4)
    117.3402
    """
    if np.any(np.abs(np.sum(shares, axis=-1) - 1.0) > 1e-6):
        raise ValueError("the shares of time are not together 1: percentages need dividing by 100, all states are due")
    joules: Joules = np.sum(shares * watts, axis=-1) * duration
    return joules


def psu_efficiency(load: Ratio, knots: Ratio, efficiency: Ratio) -> Ratio:
    """Return the efficiency of a power supply at a load, on straight lines between certified loads.

    Below the first knot its efficiency is held, which flatters: real supplies fall off there, by how much nobody
    certifies. data/supplies.csv has the certified points.

    Args:
        load: output divided by rated output [1].
        knots: certified loads, rising, shape (k,) [1].
        efficiency: at the knots, shape (k,) or (..., k) [1].

    140 W behind a redundant 80 PLUS Gold supply for 230 V that is made for 400 W:

    >>> gold = np.array([0.2, 0.5, 1.0]), np.array([0.88, 0.92, 0.88])
    >>> round(140 / float(psu_efficiency(np.array(140 / 400), *gold)), 6)
    155.555556
    """
    return piecewise(load, knots, efficiency)


def wall_from_components(components: Watts, base: Watts, efficiency: Ratio) -> Watts:
    """Return the power at the wall from that of metered components.

    The same of energies: components [J] and base power × covered time [J] give the energy at the wall [J].

    Args:
        components: sum of the components that have counters (packages, memory) [W].
        base: of everything else behind the power supply: board, disks, network, fans [W].
        efficiency: of the power supply, above 0 and at most 1; NaN where it is not known [1].

    Raises:
        ValueError: an efficiency that is none.

    >>> float(wall_from_components(np.array(152.0), np.array(83.0), np.array(0.94)))
    250.0
    """
    if np.any(efficiency <= 0) or np.any(efficiency > 1):
        raise ValueError("the efficiency of a power supply lies above 0 and at most at 1")
    wall: Watts = (components + base) / efficiency
    return wall
