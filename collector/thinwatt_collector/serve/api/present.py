"""Who is there, by class: what the inventory expects, who has an agent, who is silent; as a role may know it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from thinwatt_collector.inventory.devices import devices_on
from thinwatt_collector.inventory.watched import Standing
from thinwatt_collector.models.devices import CLASSES
from thinwatt_collector.serve.api import privacy
from thinwatt_collector.serve.api.books import Census, Known
from thinwatt_collector.serve.api.privacy import NOBODYS, K, Role
from thinwatt_collector.serve.api.told import connected

SECOND: Final = 1_000_000_000
NOTHING_NOW: Final = dict.fromkeys(("devices", "watts", "watts_low", "watts_high", "share"))
"""Of a class of which nothing is shown now."""
AWAY: Final = timedelta(days=7).total_seconds()
"""After so long an endpoint that speaks for itself is silent: before, it may be off [s]."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Who was not heard lately.

    Attributes:
        census: who is known.
        now: UTC [s].
        stale: silence after which a machine that is always on is silent [s].
    """

    census: Census
    now: int
    stale: float

    def of(self, agent: str, may_be_off: bool) -> bool:
        """Return whether an agent is silent."""
        seen = self.census.heard.get(agent, 0) / SECOND
        return self.now - seen > (AWAY if may_be_off else self.stale)

    def count(self, devices: Iterable[Known]) -> int:
        """Return how many of some devices are."""
        return sum(self.of(d.agent, d.alone and d.kind not in NOBODYS) for d in devices)


def everybodys(before: Census, now: Census, anew: bool) -> Census:
    """Return whom everybody may know to have an agent: of endpoints five of a class at least.

    A number that rises by one says that somebody has switched on a PC for the first time, at that moment. So those of a
    class stay as they were until five of them have come or gone, or another day has begun.

    Args:
        before: what was returned the last time.
        now: who is known.
        anew: whether that was on another day.
    """
    sorted_before, sorted_now = _by_class(before), _by_class(now)
    shown: list[Known] = []
    for key in sorted_before.keys() | sorted_now.keys():
        old, new = sorted_before.get(key, []), sorted_now.get(key, [])
        moves = anew or key[0] in NOBODYS or len({d.name for d in old} ^ {d.name for d in new}) >= K
        devices = new if moves else old
        shown += devices if key[0] in NOBODYS or len(devices) >= K else []
    agents_of = {d.agent for d in shown}
    return Census(shown, {name: at for name, at in now.heard.items() if name in agents_of})


def _by_class(census: Census) -> dict[tuple[str, bool], list[Known]]:
    found: dict[tuple[str, bool], list[Known]] = {}
    for device in census.devices:
        found.setdefault((device.kind, device.simulated), []).append(device)
    return found


def agents(silence: Silence, role: Role) -> list[dict[str, Any]]:
    """Return how many agents are known, and how many of them are silent: the real ones, then those made up, if any.

    The role public does not learn whether an endpoint is on that speaks for itself, or a gateway of a few. Its census
    is that of :func:`everybodys`.
    """
    of: dict[str, list[Known]] = {name: [] for name in silence.census.heard}
    for device in silence.census.devices:
        of.setdefault(device.agent, []).append(device)
    found: dict[bool, Counter[str]] = {}
    for name, devices in of.items():
        endpoints = [d for d in devices if d.kind not in NOBODYS]
        itself = any(d.alone for d in endpoints)
        told = privacy.sees_all(role) or not endpoints or (len(endpoints) >= K and not itself)
        counted = found.setdefault(any(d.simulated for d in devices), Counter())
        counted += Counter(known=1, silent=int(told and silence.of(name, may_be_off=itself)))
    return [{"simulated": kind, "known": of["known"], "silent": of["silent"]} for kind, of in sorted(found.items())]


def classes(
    shown: Sequence[Mapping[str, Any]], standing: Standing, silence: Silence, role: Role, day: date
) -> list[dict[str, Any]]:
    """Return the rows of /fleet with what the inventory and the ledger say of each class.

    Args:
        shown: rows of what the fleet draws now.
        standing: what stands where.
        silence: who is known, and who of them is silent.
        role: of the asker.
        day: whose fleet.
    """
    who = connected(standing, silence.census, day, silence.now)
    expected: Counter[str] = Counter()
    by_design: Counter[str] = Counter()
    for d in devices_on(standing.inventory, day) if standing.inventory else ():
        expected[d.kind] += d.count
        by_design[d.kind] += d.by_design * max(d.count - who.by_line[d.name], 0)
    rows = {(row["class"], row["simulated"]): dict(row) for row in shown}
    for kind in CLASSES:
        if expected[kind]:
            rows.setdefault((kind, who.simulated), {"class": kind, "simulated": who.simulated, **NOTHING_NOW})
    for (kind, simulated), row in rows.items():
        ours = standing.inventory is not None and simulated == who.simulated
        if ours:
            there = [device for device, line in who.lines.items() if line.where.kind == kind]
        else:
            there = [d for d in silence.census.devices if (d.kind, d.simulated) == (kind, simulated)]
        few = 0 < len(there) < K and kind not in NOBODYS and not privacy.sees_all(role)
        row |= {
            "expected": expected[kind] if ours else None,
            "with_agent": None if few else len(there),
            "by_design": by_design[kind] if ours else None,
            "silent": silence.count(there) if privacy.sees_all(role) or kind in NOBODYS else None,
        }
    told = [rows[key] for key in sorted(rows)]
    return told if privacy.sees_all(role) else [row for row in told if not _few(row)]


def _few(row: Mapping[str, Any]) -> bool:
    """Return whether a row is of fewer than five endpoints: everybody is told nothing of them, not even how many.

    What /metrics tells everybody of a class is told here too.
    """
    if row["class"] in NOBODYS or row["devices"] is not None or row["watts"] is not None:
        return False
    return max(row["expected"] or 0, row["with_agent"] or 0) < K


def unknown(shown: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of /fleet where the ledger can't be read: what is not known is null."""
    return [{**row, "expected": None, "with_agent": None, "by_design": None, "silent": None} for row in shown]
