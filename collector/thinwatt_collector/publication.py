"""From a snapshot to what is published: of endpoints nothing that is a figure of fewer than five of them (law 7).

**Counters** of a class of endpoints (energy, carbon, covered time, gaps) are sums of the cells that /api/v1 shows to
everybody as well, and nothing else: two doors that each let through sums of five would together let through their
difference. So they lag behind what is booked by half an hour at least, and one basis stands at energy only where a
stretch of time has no other; else it is "mixed". The cells and the proof: ``serve/api/privacy.py``,
docs/decisions/one-publication.md.

**Power now and the number of devices** stand still until at least k devices of a class have booked something since
they moved last; then both move at once: two of them one commit apart would differ by the one PC whose frame came in
between.
"""

from __future__ import annotations

import re
from collections import Counter as Count
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.catalogue import CATALOGUE
from thinwatt_collector.config import PerDevice
from thinwatt_collector.fleet import Fleet
from thinwatt_collector.labels import Totals
from thinwatt_collector.named import Device, Group
from thinwatt_collector.serve.api.privacy import MIXED
from thinwatt_collector.serve.api.published import Counter
from thinwatt_collector.serve.exposition import Family, LabelSet, label_text
from thinwatt_collector.snapshot import K_ANONYMITY, NO_ENDPOINT, Rules, Snapshots

Mask = NDArray[np.bool_]

ENERGY: Final = "thinwatt_energy_joules_total"
CARBON: Final = "thinwatt_carbon_grams_total"
COVERED: Final = "thinwatt_covered_seconds_total"
GAP: Final = "thinwatt_gap_seconds_total"
DEVICE_GAP: Final = "thinwatt_device_gap_seconds_total"
GAUGES: Final = ("thinwatt_power_watts", "thinwatt_power_uncertainty_watts", "thinwatt_devices")
COUNTERS: Final = (ENERGY, CARBON, COVERED, GAP)
OF_NOW: Final = frozenset({*GAUGES, "thinwatt_device_power_watts", "thinwatt_device_last_row_age_seconds"})
OF_CLASSES: Final = frozenset({*COUNTERS, *GAUGES})
"""Families whose rows are of a class of devices; ``class`` is their first label, ``simulated`` their last."""
ELSEWHERE: Final = frozenset({"virtual_machine"})
"""Classes whose energy is booked with another device: that theirs is not known is no gap."""
ROW: Final = re.compile(r'(class="(?:[^"\\]|\\.)*").*simulated="(true|false)"$')
FIRST: Final = re.compile(r'\w+="(?:[^"\\]|\\.)*"')

Row = tuple[str, float]
"""Labels as text, and the number."""
Counters = Mapping[tuple[str, str], Counter]
"""What was published of endpoints, by class and simulated."""


NOTHING: Final = Counter(dict.fromkeys(("measured", "modelled", "assumed", MIXED), 0.0), 0.0, 0.0, 0.0)


def nothing_counted() -> Counters | None:
    """Return no counters: the ledger was not read yet."""
    return None


@dataclass(slots=True)
class Round:
    """The gauges of a class of endpoints as they moved last, by family and labels."""

    published: dict[tuple[str, str], float] = field(default_factory=dict)


class Publication:
    """Decides what of a snapshot is published, and says in words what is not.

    Args:
        rules: who may be shown alone.
        counters: what was published of endpoints since the ledger began; None where it is not known yet.
        method: of the carbon.
    """

    def __init__(
        self, rules: Rules, counters: Callable[[], Counters | None] = nothing_counted, method: str = ""
    ) -> None:
        self._rules, self._counters, self._method = rules, counters, method
        self._rounds: dict[Group, Round] = {}
        self._totals: Totals | None = None
        self._seen = np.zeros(0, np.int64)
        self._group = np.zeros(0, np.int64)
        self._quiet: tuple[tuple[object, ...], set[str]] = ((), set())
        self.said: list[str] = []

    def of(self, families: Sequence[Family], fleet: Fleet) -> list[Family]:
        """Return the families as readers may see them.

        Args:
            families: of the snapshot just made of ``fleet``.
            fleet: after a commit.
        """
        shown = {f.metric.name: f for f in families}
        rows = {name: _rows(shown[name]) for name in OF_CLASSES & shown.keys()}
        self._follow(fleet)
        said = _virtual(fleet)
        for group in fleet.groups:
            if not self._free(group):
                for name in rows.keys() & set(COUNTERS):
                    rows[name] = [row for row in rows[name] if not _is_of(row, group)]
                said += self._hold(fleet, group, rows)
            if group.kind in ELSEWHERE and GAP in rows:
                rows[GAP] = [row for row in rows[GAP] if not _is_of(row, group)]
        self._count(rows, fleet)
        self.said = said
        made = {
            name: Family(CATALOGUE[name], LabelSet([t for t, _ in r]), np.array([v for _, v in r], np.float64))
            for name, r in rows.items()
        }
        return [self._single(fleet, made.get(f.metric.name, f)) for f in families]

    def _count(self, rows: dict[str, list[Row]], fleet: Fleet) -> None:
        """Add the counters of endpoints, as /api/v1 has them for everybody; what is to come stands at 0 before.

        Else ``increase()`` would not see the first of it: a counter that appears has not risen.
        """
        counted = self._counters()
        if counted is None:
            return
        many = np.bincount(fleet.device["group"], minlength=len(fleet.groups)) >= K_ANONYMITY
        begun = [g for g, enough in zip(fleet.groups, many.tolist(), strict=True) if enough]
        every = {(g.kind, g.labels()["simulated"]): NOTHING for g in begun} | dict(counted)
        for (kind, simulated), counter in sorted(every.items()):
            group = Group(kind, simulated == "true")
            if self._free(group) or kind in ELSEWHERE:
                continue
            numbers = {CARBON: counter.grams, COVERED: counter.covered, GAP: counter.gap}
            joules_of = {**NOTHING.joules, **counter.joules}
            told = [(ENERGY, {"basis": basis}, joules) for basis, joules in joules_of.items()]
            told += [(name, {"method": self._method}, number) for name, number in numbers.items()]
            for name, more, number in told:
                if name in rows:
                    labels = group.labels() | more
                    text = label_text({label: labels[label] for label in CATALOGUE[name].labels})
                    rows[name].append((text, number))

    def _free(self, group: Group) -> bool:
        return self._rules.per_device == "all" or group.kind in NO_ENDPOINT

    def may_be_named(self, device: Device) -> bool:
        """Return whether a device may be spoken of by itself."""
        return self._rules.per_device == "all" or device.kind in NO_ENDPOINT

    def _follow(self, fleet: Fleet) -> None:
        """Bring the marks of the last rounds to the size of the fleet; a fleet read anew begins all rounds anew."""
        seen, group = fleet.device["seen"], fleet.device["group"]
        if self._totals is not fleet.totals:
            self._totals = fleet.totals
            self._seen, self._group = seen.copy(), group.copy()
            return
        new = len(seen) - len(self._seen)
        self._seen = np.concatenate((self._seen, np.zeros(new, np.int64)))
        self._group = np.concatenate((self._group, group[len(group) - new :]))
        moved = np.flatnonzero(self._group != group)
        self._seen[moved], self._group[moved] = seen[moved], group[moved]

    def _hold(self, fleet: Fleet, group: Group, rows: dict[str, list[Row]]) -> list[str]:
        """Replace the gauges of a class of endpoints by what may be published of them; return why some may not."""
        held = self._rounds.setdefault(group, Round())
        ours: Mask = fleet.device["group"] == fleet.groups.index(group)
        active: Mask = ours & (fleet.device["seen"] != self._seen)
        moves = int(active.sum()) >= K_ANONYMITY
        if moves:
            self._seen[ours] = fleet.device["seen"][ours]
        there = False
        for name in rows.keys() & set(GAUGES):
            found = [row for row in rows[name] if _is_of(row, group)]
            there |= name == "thinwatt_devices" and bool(found)
            if moves:
                held.published |= {(name, text): number for text, number in found}
            if not found:
                held.published = {key: number for key, number in held.published.items() if key[0] != name}
            kept = [(text, held.published[name, text]) for text, _ in found if (name, text) in held.published]
            rows[name] = [row for row in rows[name] if not _is_of(row, group)] + kept
        return [] if there or not ours.any() or group.kind in ELSEWHERE else [self._too_few(group)]

    def _too_few(self, group: Group) -> str:
        """Return why a class is not shown, in words that tell no more than its absence does."""
        name = f"class {group.kind}" + (" (simulated)" if group.simulated else "")
        return (
            f"{name} is not shown: fewer than {K_ANONYMITY} of its devices were heard in the last "
            f"{self._rules.stale_after / 60:g} min, and what fewer draw is somebody's own affair; "
            f'per_device = "all" in [metrics] shows them on /metrics to a scraper with a token of the technical role'
        )

    def _single(self, fleet: Fleet, family: Family) -> Family:
        """Return a family of devices or agents without the rows that law 7 or their class takes away."""
        if family.metric.name == DEVICE_GAP and any(g.kind in ELSEWHERE for g in fleet.groups):
            return _without(family, {label_text({"device": d.name}) for d in fleet.devices if d.kind in ELSEWHERE})
        if family.metric.labels[:1] == ("agent",) and (quiet := self._quiet_agents(fleet)):
            return _without(family, quiet)
        return family

    def _quiet_agents(self, fleet: Fleet) -> set[str]:
        """Return, as label texts, the agents without a device of their own that report for a few endpoints.

        Whether such an agent is there tells whether those endpoints are.
        """
        key = (fleet.totals, fleet.descriptions, len(fleet.devices))
        if self._quiet[0] != key:
            endpoints = Count(d.agent for d in fleet.devices if not self.may_be_named(d))
            few = {a for a, n in endpoints.items() if n < K_ANONYMITY and fleet.device_number(a) is None}
            self._quiet = (key, {label_text({"agent": a}) for a in few})
        return self._quiet[1]


class Doors:
    """What everybody is shown, and what the technical role is; they are one unless ``per_device`` is ``all``.

    Args:
        rules: of the configuration.
        counters: what was published of endpoints since the ledger began.
        method: of the carbon.
    """

    def __init__(self, rules: Rules, counters: Callable[[], Counters | None], method: str) -> None:
        def door(per_device: PerDevice) -> tuple[Snapshots, Publication]:
            own = replace(rules, per_device=per_device)
            return Snapshots(own), Publication(own, counters, method)

        every = rules.per_device == "all"
        self._public = door("hosts" if every else rules.per_device)
        self._technical = door("all") if every else None
        self._stale = rules.stale_after
        self._shown: tuple[Sequence[Family], Sequence[Family]] = ((), ())
        self.at = 0
        """When what is shown was made, UTC [ns]."""

    @property
    def public(self) -> Publication:
        """What decides of everybody's."""
        return self._public[1]

    def publish(self, fleet: Fleet, skew: dict[str, int], conflicts: Sequence[str], now: int) -> None:
        """Make what is shown of a fleet after a commit, as :meth:`Snapshots.of`."""
        self.at = now
        snapshots, publication = self._public
        public = publication.of(snapshots.of(fleet, skew, conflicts, now), fleet)
        if self._technical is None:
            self._shown = public, public
            return
        snapshots, publication = self._technical
        self._shown = public, publication.of(snapshots.of(fleet, skew, conflicts, now), fleet)

    def families(self, technical: bool, now: int) -> Sequence[Family]:
        """Return what was made last, for everybody or for the technical role.

        Where nothing is committed any more, who is there and what they draw *now* [ns] is not known after a while.
        """
        shown = self._shown[technical]
        if now - self.at <= self._stale * 1e9:
            return shown
        return [family for family in shown if family.metric.name not in OF_NOW]


def _rows(family: Family) -> list[Row]:
    texts = [piece.removesuffix("} ") for piece in family.labels.pieces()]
    return list(zip(texts, family.values.tolist(), strict=True))


def _is_of(row: Row, group: Group) -> bool:
    found = ROW.match(row[0])
    return (
        found is not None and found[1] == label_text({"class": group.kind}) and found[2] == group.labels()["simulated"]
    )


def _virtual(fleet: Fleet) -> list[str]:
    if not any(group.kind in ELSEWHERE for group in fleet.groups):
        return []
    why = (
        "virtual machines have no power of their own: their energy is in that of the hosts they run on, none is "
        "assumed for them, and its absence is no gap"
    )
    return [why]


def _without(family: Family, away: set[str]) -> Family:
    """Return a family without the rows whose first label is one of ``away``."""
    texts = [piece.removesuffix("} ") for piece in family.labels.pieces()]
    kept = [i for i, text in enumerate(texts) if not (found := FIRST.match(text)) or found[0] not in away]
    return Family(family.metric, LabelSet([texts[i] for i in kept]), family.values[kept])
