"""What a collector shows: its counters, followed through all its lives by a thread that never stops asking."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping

from tests.invariants.laws import Books
from tests.invariants.processes import Collector
from thinwatt_collector.snapshot import AGGREGATES, PER_DEVICE

BOOKED = {name: family.name for family, name in (AGGREGATES | PER_DEVICE).items()}
LINE = re.compile(r"(\w+)\{(.*)\} (\S+)")
LABEL = re.compile(r'(\w+)="([^"]*)"')

Series = tuple[str, tuple[tuple[str, str], ...]]
"""Family and labels of a booked total."""


def booked(text: str) -> dict[Series, float]:
    """Return the booked counters of a page of /metrics."""
    found = {}
    for line in text.splitlines():
        parts = LINE.fullmatch(line)
        if parts and parts[1] in BOOKED:
            found[BOOKED[parts[1]], tuple(sorted(LABEL.findall(parts[2])))] = float(parts[3])
    return found


def in_ledger(books: Books) -> dict[Series, float]:
    """Return the booked totals of a ledger under the same names."""
    import json

    return {(family, tuple(sorted(json.loads(text).items()))): total for (family, text), total in books.booked.items()}


def are_committed(shown: Mapping[Series, float], books: Books, *, same: bool = False) -> None:
    """What was shown is in the ledger; ``same``: and nothing more."""
    there = in_ledger(books)
    for series, value in shown.items():
        assert value <= there.get(series, 0.0), f"{series}: shown {value}, in the ledger {there.get(series)}"
        if same:
            assert value == there.get(series, 0.0), f"{series}: shown {value}, in the ledger {there.get(series)}"


class Follower:
    """Asks for /metrics again and again; ``falls`` are the booked counters that fell."""

    def __init__(self, collector: Collector, every: float = 0.2) -> None:
        self._collector, self._every = collector, every
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._last: dict[Series, float] = {}
        self.falls: list[str] = []
        self.pages = 0
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self._thread.start()

    @property
    def last(self) -> dict[Series, float]:
        """The last value of every series ever shown."""
        with self._lock:
            return dict(self._last)

    def forget(self) -> None:
        """Begin anew: the ledger is another one."""
        with self._lock:
            self._last.clear()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self.look()

    def look(self) -> None:
        """Ask now."""
        with self._lock:
            status, text = self._collector.page("/metrics")
            if status != 200:
                return
            self.pages += 1
            for series, value in booked(text).items():
                before = self._last.get(series, 0.0)
                if value < before:
                    self.falls.append(f"{series} fell from {before} to {value}")
                self._last[series] = value
