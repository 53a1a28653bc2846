"""From a snapshot to what is published: figures of endpoints only ever move by what five of them did together (law 7).

A total over five PCs is nobody's, but two of them one commit apart differ by the one PC whose frame came in between.
So figures of a class of endpoints stand still until at least k of its devices have booked something since they moved
last; then all of the class move at once. Whatever is subtracted from whatever, k devices at least are in it.

Energy by basis moves with them only when each basis in what it would move by comes from k devices in this very round:
otherwise carbon, which is of all bases, minus the bases that are shown would be the few devices of the rest.
The proof stands in docs/decisions/endpoints-move-together.md. Counters published never exceed those booked, and never
fall: what is held back comes with the next round, and after a restart of the collector with the first.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.catalogue import CATALOGUE
from thinwatt_collector.fleet import Device, Fleet, Group
from thinwatt_collector.labels import Family as Booked
from thinwatt_collector.labels import Totals
from thinwatt_collector.serve.exposition import Family, LabelSet, label_text
from thinwatt_collector.snapshot import K_ANONYMITY, NO_ENDPOINT, Rules

log = logging.getLogger(__name__)

Mask = NDArray[np.bool_]

ENERGY: Final = "thinwatt_energy_joules_total"
COVERED: Final = "thinwatt_covered_seconds_total"
GAP: Final = "thinwatt_gap_seconds_total"
DEVICE_GAP: Final = "thinwatt_device_gap_seconds_total"
GAUGES: Final = ("thinwatt_power_watts", "thinwatt_devices")
OF_CLASSES: Final = frozenset({ENERGY, "thinwatt_carbon_grams_total", COVERED, GAP, *GAUGES})
"""Families whose rows are of a class of devices; ``class`` is their first label, ``simulated`` their last."""
ELSEWHERE: Final = frozenset({"virtual_machine"})
"""Classes whose energy is booked with another device: that theirs is not known is no gap."""
ROW: Final = re.compile(r'(class="(?:[^"\\]|\\.)*").*simulated="(true|false)"$')
FIRST: Final = re.compile(r'\w+="(?:[^"\\]|\\.)*"')
STALLED: Final = 10
"""Rounds without energy after which /readyz says why."""

Row = tuple[str, float]
"""Labels as text, and the number."""


class Round:
    """A class of endpoints since its figures moved last."""

    def __init__(self, energy: Mapping[str, float]) -> None:
        self.published = {(ENERGY, text): joules for text, joules in energy.items()}
        self.without_energy = 0

    def energy(self) -> dict[str, float]:
        """Return the joules published, by labels."""
        return {text: joules for (name, text), joules in self.published.items() if name == ENERGY}


class Publication:
    """Decides what of a snapshot is published, and says in words what is not.

    Args:
        rules: who may be shown alone.
        memory: the file that keeps the joules published of endpoints, so that the first round after a restart knows
            by how much they move; without it they wait until every basis that was ever booked has enough devices.
    """

    def __init__(self, rules: Rules, memory: Path | None = None) -> None:
        self._rules = rules
        self._memory = memory
        self._remembered = _remembered(memory)
        self._rounds: dict[Group, Round] = {}
        self._totals: Totals | None = None
        self._seen = np.zeros(0, np.int64)
        self._group = np.zeros(0, np.int64)
        self._values = np.zeros(0)
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
                said += self._hold(fleet, group, rows)
            if group.kind in ELSEWHERE and GAP in rows:
                rows[GAP] = [row for row in rows[GAP] if not _is_of(row, group)]
        self.said = said
        made = {
            name: Family(CATALOGUE[name], LabelSet([t for t, _ in r]), np.array([v for _, v in r], np.float64))
            for name, r in rows.items()
        }
        return [self._single(fleet, made.get(f.metric.name, f)) for f in families]

    def _free(self, group: Group) -> bool:
        return self._rules.per_device == "all" or group.kind in NO_ENDPOINT

    def may_be_named(self, device: Device) -> bool:
        """Return whether a device may be spoken of by itself."""
        return self._rules.per_device == "all" or device.kind in NO_ENDPOINT

    def _follow(self, fleet: Fleet) -> None:
        """Bring the marks of the last rounds to the size of the fleet; a fleet read anew begins all rounds anew."""
        seen, group, values = fleet.device["seen"], fleet.device["group"], fleet.totals.values
        if self._totals is not fleet.totals:
            self._totals = fleet.totals
            self._seen, self._group, self._values = seen.copy(), group.copy(), values.copy()
            return
        new = len(seen) - len(self._seen)
        self._seen = np.concatenate((self._seen, np.zeros(new, np.int64)))
        self._group = np.concatenate((self._group, group[len(group) - new :]))
        self._values = np.concatenate((self._values, np.zeros(len(values) - len(self._values))))
        moved = np.flatnonzero(self._group != group)
        self._seen[moved], self._group[moved] = seen[moved], group[moved]

    def _round(self, group: Group) -> Round:
        if group not in self._rounds:
            ours = {text: joules for text, joules in self._remembered.items() if _is_of((text, joules), group)}
            self._rounds[group] = Round(ours)
        return self._rounds[group]

    def _hold(self, fleet: Fleet, group: Group, rows: dict[str, list[Row]]) -> list[str]:
        """Replace the rows of a class of endpoints by what may be published of them; return why some may not."""
        held = self._round(group)
        ours: Mask = fleet.device["group"] == fleet.groups.index(group)
        active: Mask = ours & (fleet.device["seen"] != self._seen)
        by_basis = self._by_basis(fleet, ours)
        incoming = {name: [row for row in found if _is_of(row, group)] for name, found in rows.items()}
        moves = int(active.sum()) >= K_ANONYMITY
        energy = (
            moves
            and bool(incoming.get(ENERGY))
            and all(len(by_basis.get(basis, ())) >= K_ANONYMITY for basis in _pending(fleet, group, held))
        )
        if moves:
            self._seen[ours] = fleet.device["seen"][ours]
            self._mark(fleet, ours)
            held.without_energy = 0 if energy else held.without_energy + 1
        for name, found in incoming.items():
            if moves and (energy or name != ENERGY):
                held.published |= {(name, text): number for text, number in found}
            elif name not in GAUGES:  # nothing has been booked yet: that is nobody's, and what comes is an increase
                held.published = {(name, text): 0.0 for text, number in found if number == 0.0} | held.published
            if name in GAUGES and not found:
                held.published = {key: number for key, number in held.published.items() if key[0] != name}
            kept = [(text, held.published[name, text]) for text, _ in found if (name, text) in held.published]
            rows[name] = [row for row in rows[name] if not _is_of(row, group)] + kept
        if energy:
            self._remember()
        return self._explain(group, ours, held, incoming)

    def _remember(self) -> None:
        """Keep what is published now; a write that fails or comes late only makes the next start more careful."""
        if self._memory is not None:
            for held in self._rounds.values():
                self._remembered |= held.energy()
            fresh = self._memory.with_name(f"{self._memory.name}.new")
            try:
                fresh.write_text(json.dumps(self._remembered, indent=1, sort_keys=True), encoding="utf-8")
                fresh.replace(self._memory)
            except OSError as error:
                log.warning("%s can't be written: %s; after a restart energy of endpoints waits", self._memory, error)

    def _by_basis(self, fleet: Fleet, ours: Mask) -> dict[str, set[int]]:
        """Return the devices of a class whose energy has grown since its last round, by basis."""
        rows = self._of_devices(fleet.totals, ours)
        grown = rows[fleet.totals.values[rows] != self._values[rows]]
        found: dict[str, set[int]] = {}
        for device, source in zip(fleet.totals.first[grown].tolist(), fleet.totals.second[grown].tolist(), strict=True):
            found.setdefault(fleet.sources[source].basis, set()).add(device)
        return found

    def _mark(self, fleet: Fleet, ours: Mask) -> None:
        rows = self._of_devices(fleet.totals, ours)
        self._values[rows] = fleet.totals.values[rows]

    @staticmethod
    def _of_devices(totals: Totals, ours: Mask) -> NDArray[np.int64]:
        rows = totals.of(Booked.DEVICE_ENERGY)
        rows = rows[totals.first[rows] >= 0]
        return rows[ours[totals.first[rows]]] if len(rows) else rows

    def _explain(self, group: Group, ours: Mask, held: Round, incoming: dict[str, list[Row]]) -> list[str]:
        """Return why a class is not shown, in words that tell no more than its absence does."""
        if not ours.any() or group.kind in ELSEWHERE:
            return []
        name = f"class {group.kind}" + (" (simulated)" if group.simulated else "")
        if not incoming.get("thinwatt_devices"):
            why = (
                f"{name} is not shown: fewer than {K_ANONYMITY} of its devices were heard in the last "
                f"{self._rules.stale_after / 60:g} min, and what fewer draw is somebody's own affair; "
                f'per_device = "all" in [metrics] shows them to the technical role'
            )
            return [why]
        if held.without_energy >= STALLED:
            why = (
                f"{name}: energy is held back, since one of its bases comes from fewer than {K_ANONYMITY} devices; "
                f"carbon and covered time go on"
            )
            return [why]
        return []

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
            endpoints = Counter(d.agent for d in fleet.devices if not self.may_be_named(d))
            few = {a for a, n in endpoints.items() if n < K_ANONYMITY and fleet.device_number(a) is None}
            self._quiet = (key, {label_text({"agent": a}) for a in few})
        return self._quiet[1]


def _rows(family: Family) -> list[Row]:
    texts = [piece.removesuffix("} ") for piece in family.labels.pieces()]
    return list(zip(texts, family.values.tolist(), strict=True))


def _is_of(row: Row, group: Group) -> bool:
    found = ROW.match(row[0])
    return (
        found is not None and found[1] == label_text({"class": group.kind}) and found[2] == group.labels()["simulated"]
    )


def _pending(fleet: Fleet, group: Group, held: Round) -> Iterator[str]:
    """Yield the bases by whose energy a class would move: booked joules that are not those published."""
    totals, published = fleet.totals, held.energy()
    for row in totals.of(Booked.ENERGY).tolist():
        labels = json.loads(totals.texts[row])
        if labels["class"] == group.kind and labels["simulated"] == group.labels()["simulated"]:
            text = label_text({name: labels[name] for name in CATALOGUE[ENERGY].labels})
            # The ledger adds in another order: the last digits are no energy.
            if not math.isclose(totals.values[row], published.get(text, 0.0), rel_tol=1e-13):
                yield labels["basis"]


def _remembered(memory: Path | None) -> dict[str, float]:
    if memory is None:
        return {}
    try:
        found = json.loads(memory.read_text(encoding="utf-8"))
        return {str(text): float(joules) for text, joules in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        log.warning(
            "%s can't be read: %s; energy of endpoints waits until every basis has enough devices", memory, error
        )
        return {}


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
