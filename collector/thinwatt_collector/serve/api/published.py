"""The cells of past days, kept as they were first shown (see ``privacy.py``).

Each slot of a day is read once, half an hour after its end, and a day once more: never. Energy that an agent brings
later is in what the technical role sees at once, and in these cells after the collector's next start: shown as soon as
it came, it would be the difference of two answers, of that one device.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from thinwatt_collector.serve.api import calendar
from thinwatt_collector.serve.api.books import TooFineError
from thinwatt_collector.serve.api.calendar import Grain
from thinwatt_collector.serve.api.privacy import FINE, Cells, cells, together
from thinwatt_collector.serve.api.rows import Rows, empty, joined

SETTLED: Final = 1_800
"""A slot is read this long after its end [s]."""
OVER: Final = 7_200
"""A day is closed this long after its end [s]."""
AT_ONCE: Final = 31
"""Days read in one go."""

Read = Callable[[int, int, Grain], Rows]
"""From [begin, end) [s] and slot or hour to rows by these and :data:`FINE`."""


class Published:
    """Cells by local day.

    Args:
        zone: by whose clocks a day begins: the site's, the same for every question.
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._over: dict[int, Cells] = {}
        self._open: dict[int, tuple[int, Rows]] = {}
        self._turn = threading.Lock()

    def cells(self, read: Read, begin: int, end: int, now: int) -> Cells:
        """Return the cells of the days that a window touches.

        Args:
            read: asks the ledger.
            begin: of the window, UTC [s].
            end: of the window.
            now: UTC [s]; later days have no cells.
        """
        if begin >= min(end, now):
            return together([])
        days = calendar.edges(begin, min(end, now), "day", self._zone).tolist()
        with self._turn:
            for first, last in self._missing(days, now):
                self._take(read, first, last)
            return together([self._day(read, *day, now) for day in pairwise(days)])

    def _missing(self, days: list[int], now: int) -> Iterator[tuple[int, int]]:
        """Yield spans of days that are over and of which nothing was shown, in reach of one question each."""
        span: list[int] = []
        for begin, end in pairwise(days):
            fresh = begin not in self._over and begin not in self._open and now >= end + OVER
            if span and (not fresh or len(span) > AT_ONCE):
                yield span[0], span[-1]
                span = []
            if fresh:
                span = [*(span or [begin]), end]
        if span:
            yield span[0], span[-1]

    def _take(self, read: Read, first: int, last: int) -> None:
        try:
            rows, step = read(first, last, "slot"), 900
        except TooFineError:
            rows, step = read(first, last, "hour"), 3600
        days = calendar.edges(first, last, "day", self._zone).tolist()
        for begin, end in pairwise(days):
            self._over[begin] = cells(rows.at((rows.begin >= begin) & (rows.begin < end)), over=True, step=step)

    def _day(self, read: Read, begin: int, end: int, now: int) -> Cells:
        """Return the cells of a day, reading what has settled since the last question."""
        if begin in self._over:
            return self._over[begin]
        until, rows = self._open.get(begin, (begin, empty(FINE)))
        settled = min(end, (now - SETTLED) // 900 * 900)
        if settled > until:
            rows = joined([rows, read(until, settled, "slot")], FINE)
            self._open[begin] = (settled, rows)
        over = now >= end + OVER
        found = cells(rows, over)
        if over:
            self._over[begin] = found
            self._open.pop(begin, None)
        return found
