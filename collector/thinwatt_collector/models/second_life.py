"""The making of a device that has a second life: which of its owners bears what, and when.

Three rules share one making between two lives, and each bears all of it once:

- ``cutoff``: the first life bears the making, over its own planned lifetime; what is left when it ends is written off.
  The second bears its reconditioning and new parts.
- ``linear``: the making is spread evenly over all lives, from the first purchase to the planned end of the last; the
  reconditioning is borne by the second.
- ``50_50``: the mean of the two, at every time.

A rule is a way to put one mass into time: a :class:`Spread`. This owner bears what lies between its purchase and the
day on which the device leaves. What is left then is *written off*, or, under ``linear``, *passed on* to whoever uses
the device next. At every time, and for every rule,

    purchases = amortised + written off + passed on + what is still to come

References:
    ISO 14044:2006, 4.3.4.3 (allocation for reuse); ITU-T L.1410 (2024). That evenly spread making restates earlier
    years when a second life begins is its nature: the cut-off does not, and is the default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from thinwatt_collector.models.embodied import amortised
from thinwatt_collector.models.rules import DEFAULT, SHARES, Rule
from thinwatt_collector.units import Flags, Grams, Ratio, Seconds

FOREVER: Final = np.inf


@dataclass(frozen=True, slots=True)
class Lives:
    """Devices of this owner, one a row; all of shape (n,) and on one clock.

    Attributes:
        making: of the new device [g].
        bought: when this owner bought it [s].
        lifetime: that it was planned to serve when it was new [s].
        before: length of a first life that was somebody else's; 0 for what was bought new [s].
        turn: when its second life began here; inf where it has not [s].
        last: planned end of the last of its lives, the next owner's with it [s].
        out: when it left; inf where it has not [s].
        passes: whether somebody else uses it then.
    """

    making: Grams
    bought: Seconds
    lifetime: Seconds
    before: Seconds
    turn: Seconds
    last: Seconds
    out: Seconds
    passes: Flags


@dataclass(frozen=True, slots=True)
class Spread:
    """Masses spread evenly over times, of which this owner bears what lies between ``opens`` and ``cut``.

    Attributes:
        mass: shape (n,) [g].
        start: when the time begins [s].
        length: of the time [s].
        opens: when this owner's part begins [s].
        cut: when it ends; inf where it has not [s].
    """

    mass: Grams
    start: Seconds
    length: Seconds
    opens: Seconds
    cut: Seconds


def first_bears(lives: Lives) -> Spread:
    """Return the making as the cut-off has it: the first life bears it; one that was somebody else's bore it there.

    A PC of 300 kg for five years, reconditioned after four: one fifth is written off.

    >>> one, never, year = np.ones(1), np.array([np.inf]), 365.25 * 86_400.0
    >>> pc = Lives(300 * one, 0 * one, 5 * year * one, 0 * one, 4 * year * one, 7 * year * one, never, one < 0)
    >>> bears(first_bears(pc), np.array([3 * year]), np.array([4 * year])).round(6).tolist()
    [60.0]
    >>> left(first_bears(pc)).round(6).tolist(), left(all_bear(pc)).round(6).tolist()
    ([60.0], [0.0])
    """
    mass = np.where(lives.before > 0, 0.0, 1.0) * lives.making
    return Spread(mass, lives.bought, lives.lifetime, lives.bought, np.minimum(lives.turn, lives.out))


def all_bear(lives: Lives) -> Spread:
    """Return the making as the linear rule has it: all lives bear it evenly.

    Raises:
        ValueError: lives that end before they begin.
    """
    start = lives.bought - lives.before
    if np.any(lives.last <= start):
        raise ValueError("lives that end before they begin: their making would have no period")
    return Spread(lives.making, start, lives.last - start, lives.bought, lives.out)


def again(mass: Grams, begin: Seconds, lifetime: Seconds, cut: Seconds) -> Spread:
    """Return a reconditioning: its own life bears it, by every rule.

    Args:
        mass: of the work and the new parts [g].
        begin: when it was done [s].
        lifetime: that the device is meant to serve from then on [s].
        cut: when the next reconditioning was done, or the device left; inf where neither has happened [s].
    """
    return Spread(mass, begin, lifetime, begin, cut)


def bears(spread: Spread, begin: Seconds, end: Seconds) -> Grams:
    """Return what a period bears of each mass [g].

    Args:
        spread: shape (n,).
        begin: of the period [s].
        end: of the period [s].

    Raises:
        ValueError: the period ends before it begins.
    """
    if np.any(end < begin):
        raise ValueError("the period ends before it begins")
    until = np.maximum(spread.cut, spread.opens)
    first = np.minimum(np.maximum(begin, spread.opens), until)
    last = np.minimum(np.maximum(end, spread.opens), until)
    return amortised(spread.mass, spread.start, spread.length, first, last)


def taken_on(spread: Spread) -> Grams:
    """Return what this owner takes on when its part begins: all of it, less what an earlier owner bore [g]."""
    mass: Grams = spread.mass - _until(spread, spread.opens)
    return mass


def left(spread: Spread) -> Grams:
    """Return what is left to bear when this owner's part is cut off; 0 where it is not [g]."""
    mass: Grams = spread.mass - _until(spread, np.maximum(spread.cut, spread.opens))
    return mass


def _until(spread: Spread, time: Seconds) -> Grams:
    return amortised(spread.mass, spread.start, spread.length, spread.start, np.maximum(time, spread.start))


def weights(rule: Rule) -> tuple[float, float]:
    """Return the parts that :func:`first_bears` and :func:`all_bear` have in a rule [1].

    Raises:
        ValueError: an unknown rule.

    >>> weights("cutoff"), weights("50_50"), weights("linear")
    ((1.0, 0.0), (0.5, 0.5), (0.0, 1.0))
    """
    if rule not in SHARES:
        raise ValueError(f"there is no rule {rule!r} for a second life; there are {', '.join(SHARES)}")
    return SHARES[rule], 1.0 - SHARES[rule]


def borne(lives: Lives, begin: Seconds, end: Seconds, rule: Rule = DEFAULT) -> Grams:
    """Return what a period bears of the making of each device, without its reconditioning, by a rule [g].

    Args:
        lives: shape (n,).
        begin: of the period [s].
        end: of the period [s].
        rule: see the module.
    """
    first, evenly = weights(rule)
    mass: Grams = first * bears(first_bears(lives), begin, end) + evenly * bears(all_bear(lives), begin, end)
    return mass


def ends(lives: Lives, rule: Rule = DEFAULT) -> tuple[Grams, Grams]:
    """Return what is written off, and what is passed on, of the making of each device in all [g]."""
    first, evenly = weights(rule)
    rest = evenly * left(all_bear(lives))
    share: Ratio = np.where(lives.passes, 1.0, 0.0)
    return first * left(first_bears(lives)) + rest * (1.0 - share), rest * share
