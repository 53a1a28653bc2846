"""How much of what an establishment retires is used again: by year, as French law defines it and as a share. Pure.

The law's proportion of a calendar year is A / B: A computers sent to re-use in the year, B retired ones *in stock on
its first of January*; neither counts what was older than ten years when it was retired, nor what holds classified
information, of which an inventory knows nothing. It needs the day on which a device was retired (``retired`` of its
line) beside that on which it left (its event): a device that is given on the day of its retirement is in A and never
in B, and one of which no event tells stays in B. So the share of what left in the year stands beside it.

References:
    Loi n° 2021-1485 of 15 November 2021 (REEN), article 16; décret n° 2023-266 of 12 April 2023, articles 1 and 3. They
    name the State's services and local authorities: whether a university is bound, its lawyers say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from types import MappingProxyType
from typing import Final

import numpy as np

from thinwatt_collector.data import Row, rows
from thinwatt_collector.inventory.bearing import Label
from thinwatt_collector.inventory.events import REUSED, UNKNOWN
from thinwatt_collector.inventory.life_cycle import LifeCycle
from thinwatt_collector.inventory.making import YEAR

QUANTITIES: Final = MappingProxyType({"objective": "1", "age": "s"})


@cache
def _law() -> list[Row]:
    return sorted(rows("reuse", ("quantity",), dict(QUANTITIES)), key=lambda row: row.valid_from)


def objective(year: int) -> float | None:
    """Return the proportion that the law asks for in a calendar year [1]; None before the first one.

    >>> [objective(year) for year in (2022, 2023, 2024, 2025, 2031)]
    [None, 0.25, 0.35, 0.5, 0.5]
    """
    held = [round(r.value, 9) for r in _law() if r.of["quantity"] == "objective" and r.valid_from.year <= year]
    return held[-1] if held else None


def too_old(bought: date | None, out: date) -> bool:
    """Return whether what was retired on a day is too old to be counted; of unknown age it is not.

    >>> day = date(2015, 3, 1)
    >>> too_old(day, date(2025, 3, 1)), too_old(day, date(2025, 3, 2)), too_old(None, date(2025, 3, 2))
    (False, True, False)
    """
    if bought is None:
        return False
    years = round(next(r.value for r in _law() if r.of["quantity"] == "age") / YEAR)
    # The anniversary, without making a date of it: there is no 29 February in most years, and no year 10,000.
    return (out.year - years, out.month, out.day) > (bought.year, bought.month, bought.day)


@dataclass(slots=True)
class Reuse:
    """A calendar year of an establishment, in numbers of devices.

    Attributes:
        year: of the calendar.
        label: of the group.
        reused: left in the year to be used by somebody else: A.
        scrapped: left in the year to be used by nobody.
        stock: retired before the year began, and not gone by then: B.
        unknown: retired in the year, and nothing says where they went.
        older: left or were retired in the year, and not counted: too old.
        undated: of ``reused``, ``scrapped`` and ``unknown``, those whose age nobody knows; they are counted.
    """

    year: int
    label: Label
    reused: int = 0
    scrapped: int = 0
    stock: int = 0
    unknown: int = 0
    older: int = 0
    undated: int = 0
    objective: float | None = field(init=False)

    def __post_init__(self) -> None:
        self.objective = objective(self.year)

    @property
    def proportion(self) -> float | None:
        """Return A / B, the proportion of the law [1]; None where nothing was in stock. It may exceed 1."""
        return self.reused / self.stock if self.stock else None

    @property
    def share(self) -> float | None:
        """Return the part of what left in the year that is used again [1]; None where nothing left."""
        gone = self.reused + self.scrapped
        return self.reused / gone if gone else None

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Return that part if none of the unknown are used again, and if all are [1]; None where nothing left."""
        gone = self.reused + self.scrapped + self.unknown
        return (self.reused / gone, (self.reused + self.unknown) / gone) if gone else None


def by_year(cycle: LifeCycle, years: Sequence[int], labels: Sequence[Label | None]) -> list[Reuse]:
    """Return the years of each group in which there is something to tell, in the order of both.

    Args:
        cycle: the lives of all devices.
        years: of the calendar.
        labels: of the group that each of ``cycle.wheres`` is in; None: in none.
    """
    found: dict[tuple[int, Label], Reuse] = {}
    gone = np.flatnonzero(np.isfinite(cycle.out)).astype(np.int64)
    of, at = cycle.stays.when(gone, cycle.out[gone], before=True)
    for n, where in zip(gone[of].tolist(), cycle.stays.where[at].tolist(), strict=True):
        label = labels[where]
        if label is not None:
            for year in years:
                _add(found, cycle, n, year, label)
    return [found[key] for key in sorted(found)]


def _add(found: dict[tuple[int, Label], Reuse], cycle: LifeCycle, n: int, year: int, label: Label) -> None:
    life, count = cycle.lives[n], round(float(cycle.count[n]))
    out = life.out or date.min
    went = life.gone or out  # what nothing is known of counts in the year of its retirement
    stock = out < date(year, 1, 1) <= (life.gone or date.max)
    if not stock and went.year != year:
        return
    row = found.setdefault((year, label), Reuse(year, label))
    if too_old(life.bought, out):
        row.older += count if went.year == year else 0
        return
    row.stock += count if stock else 0
    if went.year != year:
        return
    if life.fate in REUSED:
        row.reused += count
    elif life.fate == UNKNOWN:
        row.unknown += count
    else:
        row.scrapped += count
    row.undated += count if life.bought is None else 0
