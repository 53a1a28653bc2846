"""From the weeks of a year that the ledger knows to what a device draws in a year, and how far to believe it. Pure.

The weeks of an academic year are not alike: a month of holidays says little of a month of teaching. So devices are
compared with others of their class *in the same weeks*: the power of a group in a week is its own level times the
week's,

    P(group, week) = level(group) · season(week)     season: of the class, 1 in the mean of the weeks that it knows

fitted as in an analysis of a two-way table (the energies of each group, and of each week, come out as they are). What a
group says of a year is its level. It was seen in some of the year's weeks only, and so was its class: both parts that
are missing are told, and what they make doubtful is for ``campus`` to say.

*Covered weeks.* A week counts when half a week of some device's time is known; below :data:`ENOUGH` nothing is said.
A machine that speaks for itself is silent when it is off: between its first week and its last, the time that nobody
covers is time off. A machine that another speaks for, or a host, is not: there silence is a gap, and a group of which
gaps are the larger part says nothing.

References:
    Deming and Stephan 1940, On a least squares adjustment of a sampled frequency table when the expected marginal
    totals are known (the fit). Kazandjieva et al. 2012, Green Enterprise Computing Data: Assumptions and Realities
    (IGCC): measure for a month at least.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.models.devices import model_of
from thinwatt_collector.units import Joules, Ratio, Seconds, Watts

WEEKS: Final = 52
"""Of a year: whole, so that each weekday is in it as often as any other."""
ENOUGH: Final = 4
"""Covered weeks that a group needs before it says a year."""
ROUNDS: Final = 2000
"""Level and season are fitted in turn at most so often: where groups have few weeks in common it takes hundreds."""
SETTLED: Final = 1e-9
"""A change of the season by less is none [1]."""
WEEK: Final = timedelta(weeks=1).total_seconds()
YEAR: Final = timedelta(days=365).total_seconds()
"""8,760 h [s]."""
Floats = NDArray[np.float64]
ANY: Final = "*"


class Where(NamedTuple):
    """Whose: a class of devices, their hardware model and place; "" is unknown, :data:`ANY` not told apart."""

    kind: str
    model: str = ANY
    site: str = ANY
    building: str = ANY
    room: str = ANY


@dataclass(frozen=True, slots=True)
class Weeks:
    """Weeks of a group; columns of shape (52,), the newest week last.

    Attributes:
        joules: energy [J].
        covered: time with known energy, added up over devices [s].
        devices: how many were heard in it, or at least so many [1].
        by_basis: energy by basis and its bias (the part that does not shrink with the number of devices) [J].
    """

    joules: Joules
    covered: Seconds
    devices: Floats
    by_basis: dict[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Reading:
    """What agents tell of a group of devices, as a year of one of them.

    Attributes:
        where: whose; :data:`ANY` is of all that no closer reading is of.
        devices: how many tell it [1].
        energy: of one of them in 8,760 h, without its room's PUE [J].
        unseen: part of the year that no group of the class was seen, of those seen in enough of the same weeks [1].
        own_unseen: part of it that this one was not [1].
        doubt: relative standard deviation that those of a model have in common: the ledger's own, of what is not
            metered [1].
        basis: part of the energy that is measured, and that is modelled [1].
    """

    where: Where
    devices: float
    energy: float
    unseen: float = 0.0
    own_unseen: float = 0.0
    doubt: float = 0.0
    basis: tuple[float, float] = (1.0, 0.0)


def readings(groups: dict[Where, Weeks], silent_when_off: Collection[Where]) -> list[Reading]:
    """Return what a year's weeks say, of the groups that have enough of them.

    Args:
        groups: no device in two of them in one week.
        silent_when_off: those whose devices speak for themselves.
    """
    found: list[Reading] = []
    for kind in sorted({where.kind for where in groups}):
        mine = [where for where in groups if where.kind == kind]
        known = [_exposed(where, groups[where], where in silent_when_off) for where in mine]
        found += _of_class(mine, [groups[where] for where in mine], known)
    return found


def _of_class(
    where: Sequence[Where], weeks: Sequence[Weeks], known: Sequence[tuple[Joules, Seconds]]
) -> Iterator[Reading]:
    level = levels(np.array([joules for joules, _ in known]), np.array([seconds for _, seconds in known]))
    there_on = np.array([seconds > 0 for _, seconds in known], np.int64)
    seen = there_on.sum(axis=1).tolist()
    # What another saw says something of those that it can be compared with.
    together = there_on @ there_on.T >= ENOUGH
    reach = np.max(np.where(together, np.array(seen)[None, :], 0), axis=1).tolist()
    for i, of in enumerate(weeks):
        if seen[i] >= ENOUGH:
            there = np.where(known[i][1] > 0, of.devices if where[i].kind == "host" else _company(of.devices), 0.0)
            total = sum(joules for joules, _ in of.by_basis.values()) or 1.0
            yield Reading(
                where=where[i],
                devices=float(np.sort(there)[-ENOUGH]),
                energy=float(level[i]) * YEAR,
                unseen=1.0 - reach[i] / WEEKS,
                own_unseen=1.0 - seen[i] / WEEKS,
                doubt=sum(bias for basis, (_, bias) in of.by_basis.items() if basis != "measured") / total,
                basis=(_part(of, "measured", total), _part(of, "modelled", total)),
            )


def _part(of: Weeks, basis: str, total: float) -> float:
    return of.by_basis.get(basis, (0.0, 0.0))[0] / total


def _company(devices: Floats) -> Floats:
    """Return how many devices there were each week: as many were heard until its end, and from its beginning on."""
    before = np.maximum.accumulate(devices)
    after = np.maximum.accumulate(devices[::-1])[::-1]
    found: Floats = np.minimum(before, after)
    return found


def _exposed(where: Where, weeks: Weeks, silent: bool) -> tuple[Joules, Seconds]:
    """Return energy and the time that it is of, added up over devices; 0 in weeks that say nothing."""
    if silent:
        there = _company(weeks.devices) * WEEK
        off = model_of(where.kind, where.model).states[0]
        rest = np.maximum(there - weeks.covered, 0.0)
        return np.where(there > 0, weeks.joules + rest * np.nan_to_num(off), 0.0), np.maximum(there, weeks.covered)
    # Of devices that are known for less of their time than they are not, what is not known may be another thing.
    known = weeks.covered.sum() >= 0.5 * WEEK * weeks.devices.sum()
    counts = known & (weeks.covered >= 0.5 * WEEK)
    return np.where(counts, weeks.joules, 0.0), np.where(counts, weeks.covered, 0.0)


def levels(joules: Joules, seconds: Seconds) -> Watts:
    """Return the power of each group over a year of the weeks that any of them knows.

    Args:
        joules: by group and week, shape (n, w) [J].
        seconds: that they are of, 0 where nothing is known, likewise [s].

    One room was there all year; another came in the holidays, and draws half as much as the first did then:

    >>> year, late = [8.0, 8.0, 8.0, 2.0], [0.0, 0.0, 0.0, 1.0]
    >>> levels(np.array([year, late]), np.array([[1.0] * 4, [0, 0, 0, 1.0]])).round(6).tolist()
    [6.5, 3.25]
    """
    known = seconds.sum(axis=0) > 0
    season: Ratio = np.where(known, 1.0, 0.0)
    level: Watts = np.zeros(len(joules))
    for _ in range(ROUNDS):
        level = _divided(joules.sum(axis=1), seconds @ season)
        last, season = season, _divided(joules.sum(axis=0), level @ seconds)
        season = season / season[known].mean() if season.any() else np.where(known, 1.0, 0.0)
        if np.abs(season - last).max(initial=0.0) < SETTLED:
            break
    return _divided(joules.sum(axis=1), seconds @ season)


def _divided(one: Floats, other: Floats) -> Floats:
    return np.divide(one, other, out=np.zeros_like(one), where=other > 0)
