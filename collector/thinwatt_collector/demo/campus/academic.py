"""The academic year of a French university: teaching, exams, breaks, closures, public holidays, in local days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.demo.campus.parameters import ZONE
from thinwatt_collector.models.energy import SLOT_SECONDS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

NOON: Final = 12 * 3600
MONDAY_IN_JANUARY: Final = (1, 5)


class Period(NamedTuple):
    """Days of one kind: from a Monday near a date, some days on, to a Monday near a date, some days on, included."""

    kind: str
    first: tuple[int, int]
    after: int
    last: tuple[int, int]
    until: int


PERIODS: Final = (
    Period("break", (10, 27), 0, (10, 27), 6),
    Period("exam", (12, 8), 0, (12, 15), 4),
    Period("closed", (12, 22), -2, MONDAY_IN_JANUARY, -1),
    Period("exam", MONDAY_IN_JANUARY, 0, (1, 12), 4),
    Period("break", (2, 23), 0, (2, 23), 6),
    Period("break", (4, 13), 0, (4, 20), 6),
    Period("exam", (5, 4), 0, (5, 18), 4),
    Period("resit", (6, 15), 0, (6, 29), 4),
    Period("summer", (7, 6), -2, (8, 31), -1),
    Period("closed", (7, 27), -2, (8, 24), -1),
)
"""Exactly those of 2025-26; in other years from the nearest Mondays. What is not here is teaching."""

STUDENTS: Final = {"teach": 1.0, "exam": 0.7, "resit": 0.35, "break": 0.08, "summer": 0.10, "closed": 0.0}
STAFF: Final = {"teach": 1.0, "exam": 1.0, "resit": 0.95, "break": 0.55, "summer": 0.15, "closed": 0.0}
KINDS: Final = tuple(STUDENTS)


@dataclass(frozen=True, slots=True)
class Days:
    """Local days, in order; every column has shape (n,).

    Attributes:
        number: proleptic ordinal, a counter for draws.
        begin: local midnight, UTC [s].
        clock: UTC [s] of 00:00 by the clock that goes at noon: add a time of day after 3 h.
        weekday: 0 is Monday.
        kind: place in :data:`KINDS`.
        students: what part of a teaching day's demand there is.
        staff: likewise.
        holiday: public holidays.
        patched: second Tuesday of a month.
        progress: teaching days since September.
        spring: whether it is January to August.
    """

    number: Ints
    begin: Ints
    clock: Ints
    weekday: Ints
    kind: Ints
    students: Floats
    staff: Floats
    holiday: NDArray[np.bool_]
    patched: NDArray[np.bool_]
    progress: Ints
    spring: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.number)

    def at(self, chosen: Any) -> Days:
        """Return some of them."""
        return Days(*(getattr(self, name)[chosen] for name in Days.__dataclass_fields__))

    def during(self, when: tuple[int, int, int], slots: Ints) -> NDArray[np.bool_]:
        """Return which slots (epoch // 900) lie in the days (month, day, how many) of any year."""
        month, day, count = when
        every = [date.fromordinal(n) for n in self.number.tolist()]
        there = np.array([0 <= (d - date(d.year, month, day)).days < count for d in every], np.bool_)
        of = np.searchsorted(self.begin, slots * SLOT_SECONDS, side="right") - 1
        return there[np.maximum(of, 0)]


def easter(year: int) -> date:
    """Return Easter Sunday (Meeus, Jones and Butcher's algorithm).

    >>> easter(2026)
    datetime.date(2026, 4, 5)
    """
    a, (b, c) = year % 19, divmod(year, 100)
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    el = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    month, day = divmod(h + el - 7 * ((a + 11 * h + 22 * el) // 451) + 114, 31)
    return date(year, month, day + 1)


@lru_cache(maxsize=16)
def holidays(year: int) -> frozenset[date]:
    """Return the public holidays of metropolitan France.

    >>> date(2026, 5, 14) in holidays(2026), date(2026, 5, 25) in holidays(2026)
    (True, True)
    """
    fixed = ((1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25))
    moving = (easter(year) + timedelta(days=n) for n in (1, 39, 50))
    return frozenset({date(year, month, day) for month, day in fixed} | set(moving))


def kind_of(day: date) -> str:
    """Return what a day of the academic year is.

    >>> [kind_of(date(2025, 12, d)) for d in (5, 8, 20)], kind_of(date(2026, 7, 4))
    (['teach', 'exam', 'closed'], 'summer')
    """
    found = "teach"
    for period, first, last in _spans(day.year if day.month >= 9 else day.year - 1):
        if first <= day <= last:
            found = period
    return found


@lru_cache(maxsize=16)
def _spans(autumn: int) -> tuple[tuple[str, date, date], ...]:
    def monday(month: int, day: int) -> date:
        near = date(autumn if month >= 9 else autumn + 1, month, day)
        return near + timedelta(days=(3 - near.weekday()) % 7 - 3)

    return tuple(
        (p.kind, monday(*p.first) + timedelta(days=p.after), monday(*p.last) + timedelta(days=p.until)) for p in PERIODS
    )


def days(first: date, past: date) -> Days:
    """Return the local days from ``first`` to before ``past``."""
    zone = ZoneInfo(ZONE)
    every = [first + timedelta(days=n) for n in range((past - first).days)]
    kind = [kind_of(day) for day in every]
    off = np.array([day in holidays(day.year) for day in every], np.bool_)
    weekday = np.array([day.weekday() for day in every], np.int64)
    working = np.where(off | (weekday >= 5), 0.0, 1.0)
    return Days(
        number=np.array([day.toordinal() for day in every], np.int64),
        begin=np.array([_utc(day, 0, zone) for day in every], np.int64),
        clock=np.array([_utc(day, 12, zone) - NOON for day in every], np.int64),
        weekday=weekday,
        kind=np.array([KINDS.index(k) for k in kind], np.int64),
        students=np.where(off, 0.0, [STUDENTS[k] for k in kind]),
        staff=np.array([STAFF[k] for k in kind]) * working,
        holiday=off,
        patched=np.array([day.weekday() == 1 and 8 <= day.day <= 14 for day in every], np.bool_),
        progress=np.array([_progress(day) for day in every], np.int64),
        spring=np.array([day.month < 9 for day in every], np.bool_),
    )


@lru_cache(maxsize=2048)
def _progress(day: date) -> int:
    september = date(day.year if day.month >= 9 else day.year - 1, 9, 1)
    return _teaching_until(september, day)


@lru_cache(maxsize=2048)
def _teaching_until(september: date, day: date) -> int:
    every = (september + timedelta(days=n) for n in range((day - september).days))
    return sum(d.weekday() < 5 and kind_of(d) == "teach" and d not in holidays(d.year) for d in every)


def _utc(day: date, hour: int, zone: ZoneInfo) -> int:
    local = datetime(day.year, day.month, day.day, hour, tzinfo=zone)
    return int(local.astimezone(UTC).timestamp())
