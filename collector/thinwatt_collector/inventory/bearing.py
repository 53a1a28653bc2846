"""Who bears what of the making of an inventory: by period and group, by each rule of a second life. Pure.

*Amortised*: each device over its own lifetime from its purchase on; 0 after it. *Written off*: what was left to bear of
what left early, on that day. *Passed on*: what goes with a device to whoever uses it next (not by the cut-off).
*Purchases*: all of it, in the period of the purchase. Amortised and purchases answer two questions and are never added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Final

import numpy as np

from thinwatt_collector.inventory.campus import Range
from thinwatt_collector.inventory.life_cycle import AGAIN, EVENLY, Ints, LifeCycle
from thinwatt_collector.inventory.making import DAY, YEAR, Origin
from thinwatt_collector.models import second_life
from thinwatt_collector.models.estimate import interval
from thinwatt_collector.models.rules import RULES, Rule
from thinwatt_collector.models.second_life import Spread
from thinwatt_collector.units import Grams, Ratio

MASSES: Final = ("amortised", "written_off", "passed_on", "purchases")
Label = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A period and a group of devices.

    Attributes:
        begin: first day.
        end: first day no more of it.
        label: of the group.
        masses: by rule and name of :data:`MASSES`, each with its 95 % interval [g].
        devices: in service when the period ends.
        bought: in the period.
        bought_used: of them, those that had been reconditioned.
        reconditioned: here, in the period.
        left: what left in the period, by what became of it.
        beyond: of ``devices``, those older than planned.
        beyond_years: by how many years, added up.
        undated: of ``devices``, those without a day of purchase, which are in none of the masses.
        origins: of ``devices``, by where their making comes from.
    """

    begin: date
    end: date
    label: Label
    masses: Mapping[Rule, Mapping[str, Range]]
    devices: int
    bought: int
    bought_used: int
    reconditioned: int
    left: Mapping[str, int]
    beyond: int
    beyond_years: float
    undated: int
    origins: Mapping[Origin, int]

    @property
    def empty(self) -> bool:
        """Return whether there is nothing to tell of the group in the period."""
        told = (self.devices, self.bought, self.reconditioned, *self.left.values())
        return not any(told) and not any(of.expected for each in self.masses.values() for of in each.values())


@dataclass(frozen=True, slots=True)
class _Amounts:
    """Masses of some charges where they were borne, shape (n,)."""

    mass: Grams
    charge: Ints
    where: Ints


class Bearing:
    """What groups bear.

    Args:
        cycle: the lives of all devices.
        labels: of the group that each of ``cycle.wheres`` is in; None: in none.
        part: of each life that counts, shape (l,) [1]; None: all of all.
    """

    def __init__(self, cycle: LifeCycle, labels: Sequence[Label | None], part: Ratio | None = None) -> None:
        self._cycle = cycle
        self._part: Ratio = np.ones(len(cycle.lives)) if part is None else part
        self.names = sorted({label for label in labels if label is not None})
        number = {label: n for n, label in enumerate(self.names)}
        self._group = np.array([-1 if label is None else number[label] for label in labels], np.int64)
        self._of, self._at = cycle.stays.of(cycle.charges.who)

    def rows(self, edges: Sequence[date]) -> list[Row]:
        """Return the figures by period and group, in the order of both; without those that have nothing to tell.

        Args:
            edges: of the periods, rising.

        Raises:
            ValueError: a period that ends before it begins.
        """
        found: list[Row] = []
        for begin, end in pairwise(edges):
            if end < begin:
                raise ValueError(f"the period ends on {end}, before it begins on {begin}")
            found += [row for row in self._period(begin, end) if not row.empty]
        return found

    def _period(self, begin: date, end: date) -> Iterator[Row]:
        first, last = begin.toordinal() * DAY, end.toordinal() * DAY
        masses = self._masses(first, last)
        counts = self._counts(first, last)
        left, origins = self._left(first, last), self._origins(last)
        for n, label in enumerate(self.names):
            devices, bought, used, again, beyond, years, undated = (float(column[n]) for column in counts)
            yield Row(
                begin=begin,
                end=end,
                label=label,
                masses={rule: {name: masses[rule][name][n] for name in MASSES} for rule in RULES},
                devices=round(devices),
                bought=round(bought),
                bought_used=round(used),
                reconditioned=round(again),
                left={fate: round(column[n]) for fate, column in left.items() if column[n]},
                beyond=round(beyond),
                beyond_years=years,
                undated=round(undated),
                origins={origin: round(column[n]) for origin, column in origins.items() if column[n]},
            )

    # Masses

    def _masses(self, first: float, last: float) -> dict[Rule, dict[str, list[Range]]]:
        cycle, charges = self._cycle, self._cycle.charges
        begin = np.maximum(first, cycle.stays.begin[self._at])
        end = np.maximum(begin, np.minimum(last, cycle.stays.end[self._at]))
        spread = _chosen(charges.spread, self._of)
        borne = _Amounts(second_life.bears(spread, begin, end), self._of, cycle.stays.where[self._at])
        cut, at = self._within(charges.who, charges.spread.cut, first, last, before=True)
        ended = _Amounts(second_life.left(charges.spread)[cut], cut, cycle.stays.where[at])
        goes = (charges.part[cut] == EVENLY) & cycle.passes[charges.who[cut]]
        new, at = self._within(charges.who, charges.spread.opens, first, last)
        taken = _Amounts(second_life.taken_on(charges.spread)[new], new, cycle.stays.where[at])
        amounts = dict(zip(MASSES, (borne, _only(ended, ~goes), _only(ended, goes), taken), strict=True))
        return {rule: {name: self._ranges(of, rule) for name, of in amounts.items()} for rule in RULES}

    def _ranges(self, amounts: _Amounts, rule: Rule) -> list[Range]:
        """Return the sums of groups: the errors of one model, or class, are one; those of several independent."""
        charges, groups = self._cycle.charges, len(self.names)
        group = self._group[amounts.where]
        inside = group >= 0
        charge = amounts.charge[inside]
        mass = amounts.mass[inside] * np.array([*second_life.weights(rule), 1.0])[charges.part[charge]]
        mass = mass * self._part[charges.who[charge]]
        total = np.bincount(group[inside], mass, groups)
        keys = int(charges.key.max(initial=-1)) + 1
        by_key = np.bincount(group[inside] * keys + charges.key[charge], mass * charges.doubt[charge], groups * keys)
        deviation = np.sqrt(np.sum(by_key.reshape(groups, keys) ** 2, axis=1))
        return [Range(x, *interval(x, d)) for x, d in zip(total.tolist(), deviation.tolist(), strict=True)]

    # Numbers of devices

    def _within(self, who: Ints, time: Ratio, first: float, last: float, before: bool = False) -> tuple[Ints, Ints]:
        """Return which of ``who`` have their time in [first, last), and the stay that they were in then."""
        chosen = np.flatnonzero((time >= first) & (time < last)).astype(np.int64)
        of, at = self._cycle.stays.when(who[chosen], time[chosen], before)
        return chosen[of], at

    def _counted(self, life: Ints, at: Ints, of: Ratio | float = 1.0) -> Ratio:
        """Return how many machines some lives have by group, each times a column of all lives."""
        weight = (self._cycle.count * self._part * of)[life]
        group = self._group[self._cycle.stays.where[at]]
        found: Ratio = np.bincount(group[group >= 0], weight[group >= 0], len(self.names)).astype(np.float64)
        return found

    def _there(self, last: float) -> tuple[Ints, Ints]:
        """Return the lives in service just before a time, and the stays that they are in."""
        cycle = self._cycle
        who = np.flatnonzero((np.nan_to_num(cycle.bought, nan=-np.inf) < last) & (cycle.out >= last)).astype(np.int64)
        of, at = cycle.stays.when(who, np.full(len(who), last), before=True)
        return who[of], at

    def _counts(self, first: float, last: float) -> list[Ratio]:
        cycle, charges = self._cycle, self._cycle.charges
        everyone = np.arange(len(cycle.lives), dtype=np.int64)
        there, bought = self._there(last), self._within(everyone, cycle.bought, first, last)
        used = np.array([life.used for life in cycle.lives], np.float64)
        over = np.nan_to_num(np.maximum(last - cycle.due, 0.0)) / YEAR
        here = np.flatnonzero((charges.part == AGAIN) & (charges.spread.start > cycle.bought[charges.who]))
        done, at = self._within(charges.who[here], charges.spread.start[here], first, last)
        return [
            self._counted(*there),
            self._counted(*bought),
            self._counted(*bought, used),
            self._counted(charges.who[here][done], at),
            self._counted(*there, (over > 0).astype(np.float64)),
            self._counted(*there, over),
            self._counted(*there, np.isnan(cycle.bought).astype(np.float64)),
        ]

    def _left(self, first: float, last: float) -> dict[str, Ratio]:
        everyone = np.arange(len(self._cycle.lives), dtype=np.int64)
        gone = self._within(everyone, self._cycle.out, first, last, before=True)
        fates = [life.fate for life in self._cycle.lives]
        return {
            fate: self._counted(*gone, np.array([of == fate for of in fates], np.float64))
            for fate in dict.fromkeys(fates)
            if fate
        }

    def _origins(self, last: float) -> dict[Origin, Ratio]:
        there, of = self._there(last), [made.origin for made in self._cycle.made]
        return {
            origin: self._counted(*there, np.array([one == origin for one in of], np.float64))
            for origin in dict.fromkeys(of)
        }


def of_lives(cycle: LifeCycle, begin: date, end: date, rule: Rule) -> tuple[Grams, Grams]:
    """Return what each life bears of its making in a period, and its standard deviation, shape (l,) each [g].

    Args:
        cycle: the lives of all devices.
        begin: first day.
        end: first day no more of the period.
        rule: of a second life.
    """
    charges = cycle.charges
    first, last = (np.full(len(charges.who), day.toordinal() * DAY) for day in (begin, end))
    parts = np.array([*second_life.weights(rule), 1.0])[charges.part]
    mass = second_life.bears(charges.spread, first, last) * parts
    lives = len(cycle.lives)
    # Both parts of one making are wrong together; a reconditioning is by itself.
    again = charges.part == AGAIN
    making = np.bincount(charges.who, np.where(again, 0.0, mass * charges.doubt), lives)
    later = np.bincount(charges.who, np.where(again, mass * charges.doubt, 0.0), lives)
    total: Grams = np.bincount(charges.who, mass, lives).astype(np.float64)
    doubt: Grams = np.hypot(making, later).astype(np.float64)
    return total, doubt


def _chosen(spread: Spread, at: Ints) -> Spread:
    return Spread(*(getattr(spread, name)[at] for name in Spread.__slots__))


def _only(amounts: _Amounts, which: Ratio) -> _Amounts:
    return _Amounts(amounts.mass[which], amounts.charge[which], amounts.where[which])
