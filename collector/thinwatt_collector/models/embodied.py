"""Carbon of making: what a device cost before it drew its first watt, and which part of it a period bears.

Two views, never added: *amortised*, spread evenly over the device's own lifetime from the day it was bought and 0 after
it; and *purchases*, all of it in the period of the purchase. A year is 365.25 days.

References:
    ISO 14040/44:2006; ITU-T L.1410 (2024); SCI specification 1.1.0 (ISO/IEC 21031:2024) for :func:`sci`; Boavizta,
    boaviztapi factors.yml, for the form of the bottom-up formulas (constants with their sources: data/components.csv).
"""

from __future__ import annotations

import numpy as np

from thinwatt_collector.models.rules import DEFAULT, RULES, SHARES, Rule
from thinwatt_collector.units import Grams, GramsPerJoule, Joules, Ratio, Seconds


def declared(total: Grams, use_share: Ratio) -> Grams:
    """Return the making of a device from its maker's sheet: all of the sheet but its own use phase.

    Args:
        total: of the whole life cycle [g].
        use_share: part of it that the sheet gives to use, with a mix and hours of its own [1].

    Raises:
        ValueError: a share that is none: a percentage that was not divided by 100.

    >>> float(declared(np.array(150e3), np.array(0.29)))
    106500.0
    """
    if np.any(use_share < 0) or np.any(use_share > 1):
        raise ValueError("the share of use lies between 0 and 1: percentages need dividing by 100")
    mass: Grams = total * (1.0 - use_share)
    return mass


def part(size: Ratio, by_size: Ratio, base: Grams, count: Ratio) -> Grams:
    """Return the making of components alike: count × (size × mass by size + base).

    Args:
        size: die area of a processor, memory / density of its chips, weight of a supply [any].
        by_size: [g by that].
        base: of each [g].
        count: how many [1].

    A processor of 523 mm² at 0.0197 kg/mm² and 9.14 kg:

    >>> area, by_area = np.array(523e-6), np.array(0.0197e9)
    >>> float(part(area, by_area, np.array(9140.0), np.array(1.0)).round(6))
    19443.1
    """
    mass: Grams = count * (size * by_size + base)
    return mass


def amortised(total: Grams, bought: Seconds, lifetime: Seconds, begin: Seconds, end: Seconds) -> Grams:
    """Return the part of the making that a period bears, spread evenly over the lifetime from the purchase on.

    Args:
        total: of each device [g].
        bought: when, on one clock with ``begin`` and ``end`` [s].
        lifetime: of each device, its own and not its sheet's [s].
        begin: of the period [s].
        end: of the period [s].

    Raises:
        ValueError: a lifetime of no length, or a period that ends before it begins.

    A thin client of 106 kg for 7 years bears 15.142857 kg a year, and nothing in its eighth:

    >>> year = 365.25 * 86_400.0
    >>> years = np.array([0.0, 6.5, 7.0]) * year
    >>> amortised(np.array(106.0), np.array(0.0), np.array(7 * year), years, years + year).round(6).tolist()
    [15.142857, 7.571429, 0.0]
    """
    if np.any(lifetime <= 0):
        raise ValueError("a lifetime of no length: its making would have no period")
    if np.any(end < begin):
        raise ValueError("the period ends before it begins")
    within = np.minimum(end, bought + lifetime) - np.maximum(begin, bought)
    mass: Grams = total * (np.where(within > 0, within, 0.0) / lifetime)
    return mass


def purchased(total: Grams, bought: Seconds, begin: Seconds, end: Seconds) -> Grams:
    """Return the making of what was bought in [begin, end): all of it, 0 where it was bought at another time [g].

    >>> purchased(np.array([300.0, 106.0]), np.array([5.0, 20.0]), np.array(0.0), np.array(10.0)).tolist()
    [300.0, 0.0]
    """
    mass: Grams = np.where((bought >= begin) & (bought < end), total, 0.0)
    return mass


def beyond(bought: Seconds, lifetime: Seconds, now: Seconds) -> Seconds:
    """Return for how long a device has served beyond its planned lifetime, during which its making costs nothing [s].

    >>> beyond(np.array([0.0, 0.0]), np.array([5.0, 9.0]), np.array(7.0)).tolist()
    [2.0, 0.0]
    """
    over = now - (bought + lifetime)
    time: Seconds = np.where(over > 0, over, 0.0)
    return time


def second_life(
    making: Grams, reconditioning: Grams, first: Seconds, second: Seconds, rule: Rule = DEFAULT
) -> tuple[Grams, Grams]:
    """Return what each of two lives bears; together always making + reconditioning.

    Args:
        making: of the new device [g].
        reconditioning: with new parts [g].
        first: length of the first life [s].
        second: of the second [s].
        rule: ``cutoff``: the first life bears the making, the second the reconditioning · ``linear``: the making is
            spread evenly over both lives, the reconditioning on the second · ``50_50``: the mean of the two.

    Raises:
        ValueError: an unknown rule, or lives that have no length together.

    A PC of 300 kg, five years, then three more after a reconditioning of 24 kg:

    >>> year = 365.25 * 86_400.0
    >>> pc = np.array(300.0), np.array(24.0), np.array(5 * year), np.array(3 * year)
    >>> [tuple(float(x) for x in second_life(*pc, rule)) for rule in RULES]
    [(300.0, 24.0), (187.5, 136.5), (243.75, 80.25)]
    """
    if rule not in RULES:
        raise ValueError(f"there is no rule {rule!r} for a second life; there are {', '.join(RULES)}")
    if np.any(first + second <= 0):
        raise ValueError("two lives that have no length together")
    share = SHARES[rule]
    early = making * (share + (1.0 - share) * (first / (first + second)))
    return early, making - early + reconditioning


def sci(energy: Joules, intensity: GramsPerJoule, embodied: Grams, served: Ratio) -> Grams:
    """Return the software carbon intensity: use and making of a period, for each of what it served.

    Args:
        energy: of the period [J].
        intensity: of the electricity [g/J].
        embodied: the part of the making that period and share bear: TE × TS × RS of the specification [g].
        served: sessions, seat-hours or active hours [1].

    Raises:
        ValueError: nothing was served: there is no such figure.

    182.4 kWh at 46.1 g/kWh and a server of 1,278 kg, of which 48/64 are reserved for 744 h of five years of 8,766 h,
    for 5,400 sessions:

    >>> life, month = np.array(5 * 8766.0), np.array(744.0)
    >>> making = amortised(np.array(1278e3), np.array(0.0), life, np.array(0.0), month) * 48 / 64
    >>> float(sci(np.array(182.4), np.array(46.1), making, np.array(5400.0)).round(6))
    4.57016
    """
    if np.any(served <= 0):
        raise ValueError("nothing was served in this period: carbon for each of it is no number")
    mass: Grams = (energy * intensity + embodied) / served
    return mass
