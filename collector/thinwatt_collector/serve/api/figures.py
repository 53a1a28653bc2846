"""Figures with their error, of whole days of the site: what indicators are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from thinwatt_collector.models.estimate import interval
from thinwatt_collector.models.rules import Rule
from thinwatt_collector.serve.api import calendar
from thinwatt_collector.serve.api.energy import Energy
from thinwatt_collector.serve.api.privacy import Role
from thinwatt_collector.serve.api.rows import Floats
from thinwatt_collector.words import LANGUAGES, Words


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure and its standard deviation, in one unit."""

    value: float
    deviation: float

    def told(self, name: str, unit: float) -> dict[str, float]:
        """Return it with the ends of its 95 % interval, in a unit of that size."""
        low, high = interval(self.value, self.deviation)
        return {name: self.value / unit, f"{name}_low": low / unit, f"{name}_high": high / unit}

    def plus(self, other: Figure) -> Figure:
        """Return the sum with a figure of independent error."""
        return Figure(self.value + other.value, float(np.hypot(self.deviation, other.deviation)))

    def over(self, served: float) -> Figure:
        """Return it for each of what was served."""
        return Figure(self.value / served, self.deviation / served)


NOTHING: Final = Figure(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Window:
    """Whole days of the site: first day, first day no more, and both as UTC [s]."""

    begin: date
    end: date
    zone: ZoneInfo

    @property
    def utc(self) -> tuple[int, int]:
        """Return its limits, UTC [s]."""
        found = (datetime(d.year, d.month, d.day, tzinfo=self.zone).astimezone(UTC) for d in (self.begin, self.end))
        first, last = (int(at.timestamp()) for at in found)
        return first, last

    def since(self, first: int | None) -> Window | None:
        """Return what of it is after the beginning of the ledger [s]; None: no whole day of it."""
        if first is None:
            return None
        local = datetime.fromtimestamp(first, UTC).astimezone(self.zone)
        day = local.date() if calendar.midnight(first, self.zone) == first else local.date() + timedelta(days=1)
        begin = max(self.begin, day)
        return replace(self, begin=begin) if begin < self.end else None


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked, and by whom."""

    window: Window
    where: Mapping[str, tuple[str, ...]]
    rule: Rule
    role: Role
    simulated: bool
    now: int


def drawn(found: Energy, weight: Floats) -> tuple[Figure, Figure]:
    """Return the energy [J] and carbon [g] of rows in parts; what they have in common does not shrink.

    Args:
        found: rows; those that are withheld count nothing.
        weight: the part of each row, shape (n,) [1].
    """
    weight = np.where(found.withheld, 0.0, weight)
    of = found.rows
    joules = float(np.sum(np.nan_to_num(of.joules) * weight))
    grams = float(np.sum(np.nan_to_num(found.grams) * weight))
    variance = float(np.sum(np.nan_to_num(of.variance) * weight**2))
    sigma = float(np.sqrt(variance + float(np.sum(np.nan_to_num(of.bias) * weight)) ** 2))
    spread = max((f.uncertainty for f in found.factors), default=0.0)
    return Figure(joules, sigma), Figure(grams, float(np.hypot(grams / (joules or 1.0) * sigma, grams * spread)))


def said(key: str, **fields: object) -> dict[str, str]:
    """Return a text in both languages."""
    return {language: Words(language)(key, **fields) for language in LANGUAGES}
