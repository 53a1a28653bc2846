"""/estimate and /fleet: what the inventory and the ledger make together.

An estimate is worked out once for an inventory, a local day, those who are connected, and whether its asker sees all;
what a year's days say, once for a local day. Law 7 is kept in ``told.py`` (of what figures it is made) and
``grouping.py`` (whose figures are a line).
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from starlette.concurrency import run_in_threadpool

from thinwatt_collector.inventory import grouping
from thinwatt_collector.inventory.campus import KWH, Campus, Fleet, Group, Range, Sort
from thinwatt_collector.inventory.heard import Heard
from thinwatt_collector.inventory.watched import Now, Standing
from thinwatt_collector.serve.api import calendar, present, privacy, told
from thinwatt_collector.serve.api.books import Census, Gate, Reader
from thinwatt_collector.serve.api.energy import Accounts
from thinwatt_collector.serve.api.privacy import NOBODYS, K, Role
from thinwatt_collector.serve.api.problems import ProblemError
from thinwatt_collector.serve.api.told import Connected, connected

FRESH: Final = 20.0
"""Who is known is asked of the ledger this often at most [s]."""
KEPT: Final = 8
"""Estimates kept: two roles, and what has just been replaced."""
Key = tuple[int, bool, int, int]
"""Local day, whether the asker sees all, reading of the inventory, devices of the ledger."""
PLACE: Final = ("site", "building", "room", "class")


@dataclass(frozen=True, slots=True)
class Present:
    """Who was known at a time, and since when there is energy [UTC s]."""

    at: float
    census: Census
    first: int | None


class CampusView:
    """What the inventory and the ledger make together.

    Args:
        gate: lets questions through to the ledger.
        accounts: answers those of energy.
        inventory: what stands where, as known now.
        zone: of the site.
    """

    def __init__(self, gate: Gate, accounts: Accounts, inventory: Now, zone: ZoneInfo) -> None:
        self._gate, self._accounts, self._inventory, self._zone = gate, accounts, inventory, zone
        self._present: Present | None = None
        self._everybodys: Present | None = None
        self._heard: dict[Key, Heard] = {}
        self._made: dict[Key, dict[str, Any]] = {}
        self._turn = threading.Lock()

    async def estimate(self, role: Role, now: int) -> dict[str, Any]:
        """Return the estimate as a document.

        Raises:
            ProblemError: 404; there is no inventory. 503; the ledger can't be read.
        """
        standing = self._inventory()
        if standing.inventory is None:
            remedy = "name its folder in [inventory] of the collector's configuration; docs/inventory.md"
            raise ProblemError(404, "there is no inventory, and so no estimate", remedy=remedy)
        known = await self.present(role, now)
        return await self._gate.ask(lambda reader: self._document(reader, standing, known, role, now))

    async def fleet(self, shown: list[dict[str, Any]], role: Role, now: int, stale: float) -> dict[str, Any]:
        """Return what the fleet draws now with who is expected, connected and silent; without a ledger no less.

        Args:
            shown: rows of what it draws, by class.
            role: of the asker.
            now: UTC [s].
            stale: silence after which a machine that is always on is silent [s].
        """
        try:
            found = await self.present(role, now)
        except ProblemError:
            return {"classes": present.unknown(shown), "agents": None, "since": None}
        silence = present.Silence(found.census, now, stale)
        day = datetime.fromtimestamp(now, self._zone).date()
        rows = await run_in_threadpool(present.classes, shown, self._inventory(), silence, role, day)
        since = None if found.first is None else calendar.text(found.first, self._zone)
        return {"classes": rows, "agents": present.agents(silence, role), "since": since}

    async def present(self, role: Role, now: int) -> Present:
        """Return whom a role may know of; from the ledger, a few times a minute at most."""
        found = self._present
        if found is None or not 0 <= now - found.at < FRESH:
            found = self._present = await self._gate.ask(lambda r: Present(now, r.census(), r.first()))
        if privacy.sees_all(role):
            return found
        before = self._everybodys or Present(-math.inf, Census(), None)
        if found.at != before.at:
            anew = before.at < calendar.midnight(int(found.at), self._zone)
            self._everybodys = replace(found, census=present.everybodys(before.census, found.census, anew))
        return self._everybodys or before

    async def simulated(self, now: int) -> bool:
        """Return whether any device that the inventory has a line of is made up by a demonstration.

        Raises:
            ProblemError: 503; the ledger can't be read.
        """
        places, known = self._inventory().places, await self.present("technical", now)
        return any(device.simulated and device.name in places for device in known.census.devices)

    def _document(self, reader: Reader, standing: Standing, known: Present, role: Role, now: int) -> dict[str, Any]:
        day = datetime.fromtimestamp(now, self._zone).date()
        key = (day.toordinal(), privacy.sees_all(role), standing.reading, len(known.census.devices))
        with self._turn:  # one works it out, the others wait for it
            if key not in self._made:
                who = connected(standing, known.census, day, now)
                heard = self._told(reader, who, role, key, now)
                _keep(self._made, key, estimate(standing, day, who, heard, role, now))
            return self._made[key]

    def _told(self, reader: Reader, who: Connected, role: Role, key: Key, now: int) -> Heard:
        """Return what agents told, read once a local day: who is connected since has told nothing yet."""
        if (same := next((of for of in self._heard if of[:3] == key[:3]), None)) is not None:
            return Heard(who.by_line, self._heard[same].readings)
        found = told.heard(self._accounts, reader, who, role, now, self._zone)
        _keep(self._heard, key, found)
        return found


def _keep(kept: dict[Any, Any], key: Any, made: Any) -> None:
    kept[key] = made
    while len(kept) > KEPT:
        del kept[next(iter(kept))]


def estimate(standing: Standing, day: date, who: Connected, heard: Heard, role: Role, now: int) -> dict[str, Any]:
    """Return an estimate as a document.

    Args:
        standing: what stands where.
        day: whose fleet.
        who: of the ledger is whom of it.
        heard: what they told.
        role: of the asker.
        now: UTC [s].
    """
    if standing.inventory is None:
        raise ValueError("an estimate needs an inventory")
    fleet = Fleet(standing.inventory, day, heard, standing.places.at("", now).place.price)
    five = grouping.enough(K, NOBODYS)
    places: Sort = grouping.by_place if privacy.sees_all(role) else five
    models: Sort = grouping.by_place_and_model if privacy.sees_all(role) else grouping.with_models(five, K, NOBODYS)
    found = fleet.whole()
    return {
        "day": day.isoformat(),
        "devices": found.devices,
        "agents": found.with_agent,
        "by_design": sum(c.by_design for c in fleet.cells),
        "energy": _ends(found.energy, KWH, "kwh"),
        "carbon": _ends(found.carbon, 1000.0, "kgco2e"),
        "price": _price(found),
        "measured": min(found.measured, 1.0),
        "modelled": min(found.modelled, 1.0),
        "simulated": who.simulated,
        "unlisted": sum(who.unlisted.values()),
        "unplaced": found.unplaced,
        "unknown": found.unknown,
        "groups": [_group(group) for group in fleet.groups(places)],
        "advice": [
            dict(zip((*PLACE, "model"), a.name, strict=True))
            | {"devices": a.devices, "kwh_removed": a.narrower / KWH, "share_removed": min(a.share, 1.0)}
            for a in fleet.advice(models)
        ],
        "method": found.method,
        "factor": found.factor,
    }


def _ends(of: Range, unit: float, name: str) -> dict[str, float]:
    return {name: of.expected / unit, f"{name}_low": of.low / unit, f"{name}_high": of.high / unit}


def _price(found: Campus) -> dict[str, Any] | None:
    if not found.tariffs:
        return None
    told = {"tariffs": list(found.tariffs), "share_priced": min(found.priced, 1.0)}
    return _ends(found.price, 1.0, "eur") | told


def _group(group: Group) -> dict[str, Any]:
    counts = {"devices": group.devices, "with_agent": group.with_agent, "by_design": group.by_design}
    return dict(zip(PLACE, group.name, strict=True)) | counts | _ends(group.energy, KWH, "kwh")
