"""Keeps what everybody may see of endpoints up to date, in a thread beside the step: also where nobody asks for it.

At the first start beside an old ledger this takes seconds for a year of a thousand devices; until it is done /metrics
has no counters of endpoints, and questions to /api/v1 read the days they need.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from thinwatt_collector.factors import Intensity
from thinwatt_collector.publication import Counters
from thinwatt_collector.serve.api.books import Books, Reader, UnreadableError
from thinwatt_collector.serve.api.energy import reading
from thinwatt_collector.serve.api.published import Published

log = logging.getLogger(__name__)

EVERY: Final = 60.0
"""It is looked this often whether something has settled [s]."""
SLOT: Final = 900


class Keeper:
    """Reads what has settled, now and then.

    Args:
        books: of the ledger.
        published: what it is read into.
        intensity: of the grid.
    """

    def __init__(self, books: Books, published: Published, intensity: Intensity) -> None:
        self._books, self._published, self._intensity = books, published, intensity
        self._counters: Counters | None = None
        self._said: list[str] = []
        self._done = 0
        self._reader: Reader | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="keeper", daemon=True)

    def counters(self) -> Counters | None:
        """Return what was published of endpoints since the ledger began; None where it is not known yet."""
        return self._counters

    @property
    def said(self) -> list[str]:
        """What a person should know."""
        return self._said

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End, also in the middle of a question."""
        self._stop.set()
        with self._lock:
            if self._reader is not None:
                self._reader.interrupt()
        if self._thread.is_alive():
            self._thread.join()

    def _follow(self) -> None:
        while not self._stop.is_set():
            self.turn(int(time.time()))
            self._stop.wait(EVERY)

    def turn(self, now: int) -> None:
        """Read what has settled by now, UTC [s]; slots settle, and days are closed, on slots."""
        if now // SLOT == self._done:
            return
        try:
            reader = self._books.reader()
            try:
                with self._lock:
                    self._reader = reader
                if not self._stop.is_set():
                    self._published.bring_all(reading(reader), reader.first(), now)
                    self._counters = self._published.counters(self._intensity)
                    self._done = now // SLOT
            finally:
                with self._lock:
                    self._reader = None
                reader.close()
        except UnreadableError as error:
            if not self._stop.is_set():
                log.warning("figures of endpoints are not brought up to date: %s", error)
        fresh = [f"figures of endpoints are not brought up to date: {text}" for text in self._published.said]
        self._said = fresh
