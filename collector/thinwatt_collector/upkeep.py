"""What the ledger needs beside commits: slots sealed, older ones summed to hours and days, what is old forgotten.

All of it is done in pieces between two rounds of the collector's loop, each a transaction, so that a commit waits for a
fraction of a second at most; whatever a kill leaves undone is seen in the tables and done by the next start.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from thinwatt_collector.ledger import Ledger
from thinwatt_collector.ledger.compaction import Plan, whole_day

log = logging.getLogger(__name__)

Clock = Callable[[], float]

SECOND: Final = 1_000_000_000
SEAL_AFTER: Final = 20 * 60
"""A slot is sealed 20 min after its end; late energy enters it again all the same [s]."""
EVERY: Final = 60.0
"""How often the ledger is looked after when nothing is known to be due [s]."""
KEEP_STREAMS: Final = 400 * 86_400
"""Stream rows are kept 400 days [s]."""
PIECE: Final = 50_000
"""Rows of one piece of compaction: some 0.15 s of work on a small machine, 0.5 s at worst."""
REST: Final = 4.0
"""After a piece the ledger is left alone for this many times as long."""


class Readers(Protocol):
    """Those who read beside the step."""

    def pause(self) -> bool:
        """Let no new reader in; return whether none is left."""

    def resume(self) -> None:
        """Let readers in again."""


class Upkeep:
    """Looks after a ledger; :meth:`turn` does what is due, in the thread that commits.

    Args:
        ledger: of the step.
        readers: who must leave before a long log can be written into the file.
        plan: what is folded and forgotten, asked before each piece.
        monotonic: [s].
        utc: [s].
    """

    def __init__(
        self,
        ledger: Ledger,
        readers: Readers,
        plan: Callable[[], Plan],
        monotonic: Clock = time.monotonic,
        utc: Clock = time.time,
    ) -> None:
        self._ledger, self._readers, self._plan = ledger, readers, plan
        self._monotonic, self._utc = monotonic, utc
        self._next_look = monotonic() + EVERY
        self._next_piece = self._next_look
        self._paused = False

    def turn(self) -> bool:
        """Do what is due; return whether the ledger's size may have changed.

        Raises:
            LedgerError: the ledger refused; nothing was done.
        """
        at = self._monotonic()
        if self._paused or at >= self._next_look:
            self._checkpoint()
        if at >= self._next_look:
            self._next_look = at + EVERY
            now = self._utc()
            self._ledger.seal(int(now - SEAL_AFTER) // 900)
            self._ledger.forget_streams(int((now - KEEP_STREAMS) * SECOND))
            return True
        if at >= self._next_piece:
            took = self._ledger.compact(self._utc(), PIECE, self._plan())
            lasted = self._monotonic() - at
            self._next_piece = at + (lasted * (1.0 + REST) if took else EVERY)
            return took > 0
        return False

    def _checkpoint(self) -> None:
        """Write a log that has grown too long into the file, when the last reader has left."""
        if self._paused:
            if self._readers.pause():
                self._ledger.checkpoint()
                self._readers.resume()
                self._paused = False
        elif not self._ledger.checkpoint():
            log.info("the ledger's log has grown long beside its readers: new ones wait until it is in the file")
            self._paused = True
            self._readers.pause()


def zone_of_days(zone: str) -> str:
    """Return the zone whose days are kept as rows: the site's, or UTC where its days are not whole hours of UTC."""
    try:
        whole_day(int(time.time()), ZoneInfo(zone))
    except ValueError as error:
        log.warning("%s; rows of days are those of UTC, days of %s are added up from hours", error, zone)
        return "UTC"
    return zone
