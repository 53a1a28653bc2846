"""The software carbon intensity (ISO/IEC 21031) of seats and of desktops: (E · I + M) for each hour served."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final

import numpy as np

from thinwatt_collector.inventory.bearing import of_lives
from thinwatt_collector.inventory.places import ledger_name
from thinwatt_collector.inventory.tables import Inventory
from thinwatt_collector.models.embodied import sci
from thinwatt_collector.serve.api import pools
from thinwatt_collector.serve.api.answers import KG
from thinwatt_collector.serve.api.books import Reader
from thinwatt_collector.serve.api.energy import Accounts, Energy
from thinwatt_collector.serve.api.figures import NOTHING, Asked, Figure, Window, drawn, said
from thinwatt_collector.serve.api.making import Known
from thinwatt_collector.serve.api.privacy import sees_all
from thinwatt_collector.serve.api.question import Question
from thinwatt_collector.sharing import SESSIONS, SOURCE, line_of
from thinwatt_collector.units import scale

HOUR: Final = scale("h", "s")


@dataclass(frozen=True, slots=True)
class Seats:
    """Seats of places asked for: where they are, for how long, and their parts of pools.

    Attributes:
        rooms: that they are in.
        pools: part of all hours of a pool's seats that is theirs, of each pool that has seats [1].
        hosts: part of all hours of seats with a pool that is theirs [1]: it is that of hosts of no such pool.
        count: at the end of the window [1].
        hours: in the window, added up over seats [h].
    """

    rooms: frozenset[str]
    pools: Mapping[str, float]
    hosts: float
    count: int
    hours: float

    def part(self, kind: str, room: str, pool: str) -> float:
        """Return which part of a device serves these seats [1]: each host is shared over seats with a pool."""
        return self.pools.get(pool, self.hosts) if kind == "host" else float(room in self.rooms)


def seats(
    inventory: Inventory, window: Window, where: Mapping[str, Sequence[str]], rooms_of: Collection[str] | None = None
) -> Seats:
    """Return the seats of an inventory in some places.

    Args:
        inventory: what stands where.
        window: for which their hours count.
        where: level of places → names of which one must be met.
        rooms_of: the only rooms whose seats count; None: all.
    """
    rooms: set[str] = set()
    ours: dict[str, float] = {}
    every: dict[str, float] = {}
    count, hours, last = 0, 0.0, window.end - timedelta(days=1)
    for record in inventory.records("seats"):
        first, until = max(record.span[0], window.begin), min(record.span[1], last)
        if first > until:
            continue
        begin, end = replace(window, begin=first, end=until + timedelta(days=1)).utc
        some = int(record.told.get("count", 1))
        lasted = some * (end - begin) / HOUR
        pool = record.text("pool")
        every[pool] = every.get(pool, 0.0) + lasted
        room = record.text("room")
        if (rooms_of is None or room in rooms_of) and _inside(inventory, until, room, where):
            rooms.add(room)
            ours[pool] = ours.get(pool, 0.0) + lasted
            hours += lasted
            count += some if until == last else 0
    served = {pool: (ours.get(pool, 0.0), of) for pool, of in every.items() if pool}
    mine, whole = (sum(of[n] for of in served.values()) for n in (0, 1))
    parts = {pool: a / b for pool, (a, b) in served.items()}
    return Seats(frozenset(rooms), parts, mine / whole if whole else 0.0, count, hours)


def _inside(inventory: Inventory, day: date, room: str, where: Mapping[str, Sequence[str]]) -> bool:
    found, name = {"room": room}, room
    for table, key in (("rooms", "building"), ("buildings", "site"), ("sites", "establishment")):
        record = inventory.on(day, table, name)
        name = record.text(key) if record else ""
        found[key] = name
    return all(found[level] in names for level, names in where.items())


def score(energy: Figure, use: Figure, making: Figure, served: float) -> Figure:
    """Return the software carbon intensity with its error [g for each of what was served].

    Args:
        energy: [J].
        use: carbon of its use [g].
        making: of the period [g].
        served: hours of seats or of sessions [h].
    """
    intensity = use.value / energy.value if energy.value else 0.0
    each = sci(np.array(energy.value), np.array(intensity), np.array(making.value), np.array(served))
    return Figure(float(each), use.plus(making).over(served).deviation)


def none_since(key: str, **fields: object) -> dict[str, Any]:
    """Return no figure, and why."""
    figures = (f"{name}{end}" for name in ("gco2e", "use_kgco2e", "making_kgco2e") for end in ("", "_low", "_high"))
    return {**dict.fromkeys(("served", *figures)), "reason": said(key, **fields)}


def scored(each: Figure, use: Figure, making: Figure, served: float) -> dict[str, Any]:
    """Return a score as a document."""
    masses = use.told("use_kgco2e", KG) | making.told("making_kgco2e", KG)
    return {**each.told("gco2e", 1.0), "served": served, **masses, "reason": None}


def active_hour(accounts: Accounts, reader: Reader, known: Known, asked: Asked, window: Window) -> dict[str, Any]:
    """Return the score of an hour with somebody at a desktop, by pool and of all of them, as a document."""
    if not sees_all(asked.role):
        return none_since("sci.technical") | {"pools": []}
    if window.begin >= window.end:
        return none_since("sci.no-energy") | {"pools": []}
    begin, end = window.utc
    where = {"simulated": (str(asked.simulated).lower(),)}
    question = Question(begin, end, "month", window.zone, ("simulated", "device"), where, "room")
    found = accounts.energy(reader, pools.of_hosts(question), asked.role, asked.now)
    dims = found.rows.dims
    lines = [line_of(text) for text in dims["part"].tolist()]
    of_pool = np.array([line.pool for line in lines], object)
    part = np.array([line.part for line in lines], object)
    reserved = _reserved(known, asked, window, found, part, of_pool)
    told, every, whole = [], 0.0, [NOTHING, NOTHING, NOTHING]
    for pool in sorted(set(of_pool.tolist()) - {""}):
        mine = of_pool == pool
        served = float(found.rows.covered[mine & (part == "active") & (dims["source"] == SESSIONS)].sum()) / HOUR
        energy, use = drawn(found, (mine & (dims["source"] == SOURCE)).astype(np.float64))
        if served <= 0 or not energy.value:
            continue
        making = reserved.get(pool, NOTHING)
        told.append({"pool": pool, **scored(score(energy, use, making, served), use, making, served)})
        every += served
        # What hosts have in common is common to their pools: deviations add up.
        whole = [
            Figure(a.value + b.value, a.deviation + b.deviation)
            for a, b in zip(whole, (energy, use, making), strict=True)
        ]
    if not told:
        return none_since("sci.nobody") | {"pools": []}
    energy, use, making = whole
    return scored(score(energy, use, making, every), use, making, every) | {"pools": told}


def _reserved(known: Known, asked: Asked, window: Window, found: Energy, part: Any, of_pool: Any) -> dict[str, Figure]:
    """Return the making of hosts that was reserved for each pool: it goes the way of their idle energy."""
    cycle = known.cycle
    masses, doubts = of_lives(cycle, window.begin, window.end, asked.rule)
    hosts: dict[str, list[int]] = {}
    for n, life in enumerate(cycle.lives):
        if cycle.kinds[n] == "host":
            hosts.setdefault(ledger_name(life.line), []).append(n)
    dims, joules = found.rows.dims, np.nan_to_num(found.rows.joules)
    idle = (dims["source"] == SOURCE) & (part == "idle")
    reserved: dict[str, Figure] = {}
    for name, numbers in hosts.items():
        mine = idle & (dims["device"] == name)
        total = float(joules[mine].sum())
        for pool in set(of_pool[mine].tolist()) if total else ():
            share = float(joules[mine & (of_pool == pool)].sum()) / total
            before = reserved.get(pool, NOTHING)
            reserved[pool] = Figure(
                before.value + share * float(masses[numbers].sum()),
                before.deviation + share * float(doubts[numbers].sum()),
            )
    return reserved
