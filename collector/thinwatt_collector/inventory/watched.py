"""The inventory of the running collector: read at the start, and again whenever a file of its folder has changed.

What can't be read is not taken: the last good one stays, and what is to mend is told with file, line and remedy. In
the log with its texts; for /readyz, which everybody may read, without them: a text may be an endpoint's name (law 7).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from thinwatt_collector.inventory.messages import Problem
from thinwatt_collector.inventory.places import EMPTY, Places
from thinwatt_collector.inventory.tables import Inventory, load
from thinwatt_collector.inventory.terms import Price

log = logging.getLogger(__name__)

EVERY: Final = 5.0
"""A folder is looked at this often [s]."""
TOLD: Final = 20
"""Problems that stand in the log; more are counted."""
Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands where, as far as is known now. Immutable: threads may share it.

    Attributes:
        inventory: the last one that could be read; None where there is none.
        places: the same, by names of the ledger.
        reading: rises with each inventory taken.
        said: what a person should know.
    """

    inventory: Inventory | None
    places: Places
    reading: int = 0
    said: tuple[str, ...] = ()


def nothing_known(zone: str = "UTC", price: Price | None = None) -> Standing:
    """Return what is known without an inventory: the collector's own price at most."""
    return Standing(None, Places(EMPTY, ZoneInfo(zone), price))


Now = Callable[[], Standing]


class Watched:
    """Follows a folder.

    Args:
        folder: of the inventory; None for none.
        zone: by whose clocks its days begin.
        price: of the whole collector.
    """

    def __init__(self, folder: Path | None, zone: str, price: Price | None = None) -> None:
        self._folder, self._zone, self._price = folder, ZoneInfo(zone), price
        self._standing = nothing_known(zone, price)
        self._stamp: Stamp | None = None
        self._looked = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.look()

    def now(self) -> Standing:
        """Return what is known; from any thread."""
        return self._standing

    def follow(self, every: float = EVERY) -> None:
        """Look at the folder now and then, in a thread of its own, until :meth:`close`."""
        if self._folder is not None:
            self._thread = threading.Thread(target=self._follow, args=(every,), name="inventory", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(EVERY)

    def _follow(self, every: float) -> None:
        while not self._stop.wait(every):
            self.look()

    def look(self) -> None:
        """Read the folder if a file of it has changed, has come or has gone."""
        if self._folder is None:
            return
        stamp = _stamp(self._folder)
        if self._looked and stamp == self._stamp:
            return
        self._looked, self._stamp = True, stamp  # taken before reading: what changes meanwhile is read the next time
        inventory, problems = load(self._folder)
        wrong = [p for p in problems if p.severity == "error"]
        if wrong:
            self._refuse(wrong)
        else:
            self._take(inventory)

    def _take(self, inventory: Inventory) -> None:
        places = Places(inventory, self._zone, self._price)
        self._standing = Standing(inventory, places, self._standing.reading + 1)
        log.info("inventory %s: %d lines of hosts and devices", self._folder, len(places.names))

    def _refuse(self, wrong: Sequence[Problem]) -> None:
        kept = "the last good one stays" if self._standing.inventory else "no place is known until it is mended"
        lines = "\n".join(map(str, wrong[:TOLD]))
        more = f"\n… and {len(wrong) - TOLD} more" if len(wrong) > TOLD else ""
        log.error("the inventory %s can't be used, %s:\n%s%s", self._folder, kept, lines, more)
        first = wrong[0]
        at = f"{first.file}:{first.line}" + (f": {first.key}" if first.key else "")
        # The column stands in what the parser said; other messages may name what is not for everybody.
        why = f"{first.what()}; " if first.id == "toml-broken" else ""
        others = f" (and {len(wrong) - 1} more; the log has them)" if len(wrong) > 1 else ""
        said = f"the inventory can't be used, {kept}: {at}: {why}{first.remedy()}{others}"
        self._standing = replace(self._standing, said=(said,))


def _stamp(folder: Path) -> Stamp | None:
    try:
        found = [(p.name, p.stat()) for p in sorted(folder.iterdir()) if p.suffix.lower() in (".toml", ".csv")]
    except OSError:
        return None
    return tuple((name, s.st_mtime_ns, s.st_size, s.st_ino) for name, s in found)
