"""What readers see: an immutable copy of the committed state, made after each commit, shown many ways."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.catalogue import CATALOGUE
from thinwatt_collector.fleet import Fleet
from thinwatt_collector.labels import Family as Booked
from thinwatt_collector.named import Group, printable
from thinwatt_collector.placed import Placed
from thinwatt_collector.serve.exposition import Family, LabelSet, label_text

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Labels = Callable[[], Sequence[dict[str, str]]]
PerDevice = Literal["hosts", "all", "none"]

K_ANONYMITY: Final = 5
"""Endpoint figures are published for groups of at least this many devices (law 7)."""
NO_ENDPOINT: Final = frozenset({"host"})
"""Classes whose devices are nobody's: their series may be shown one by one."""
SECOND: Final = 1_000_000_000

AGGREGATES: Final = {
    Booked.ENERGY: "thinwatt_energy_joules_total",
    Booked.CARBON: "thinwatt_carbon_grams_total",
    Booked.COVERED: "thinwatt_covered_seconds_total",
    Booked.GAP: "thinwatt_gap_seconds_total",
}
PER_DEVICE: Final = {
    Booked.DEVICE_ENERGY: "thinwatt_device_energy_joules_total",
    Booked.SOURCE_ENERGY: "thinwatt_source_energy_joules_total",
    Booked.SHARED: "thinwatt_shared_energy_joules_total",
    Booked.DEVICE_COVERED: "thinwatt_device_covered_seconds_total",
    Booked.DEVICE_GAP: "thinwatt_device_gap_seconds_total",
}
OWN: Final = {
    "cpu": "thinwatt_agent_cpu_seconds_total",
    "rss": "thinwatt_agent_rss_bytes",
    "spool_rows": "thinwatt_agent_spool_rows",
    "lost_resolution": "thinwatt_agent_lost_resolution_seconds_total",
}
"""What agents say of themselves."""
EVENTS: Final = {"wraps": "wrap", "restarts": "restart", "failures": "failed", "gaps": "gap"}
READS: Final = {
    "read_failures": "thinwatt_agent_read_failures_total",
    "read_seconds": "thinwatt_agent_read_seconds_total",
    **dict.fromkeys(EVENTS, "thinwatt_agent_reading_events_total"),
}
"""And of their sources."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be shown: devices one by one of hosts, of all (the technical role) or none.

    ``stale_after`` is the silence after which a device has departed [s].
    """

    per_device: PerDevice
    stale_after: float


@dataclass(frozen=True, slots=True)
class Roster:
    """The agents heard lately, by name, with the number of each one's newest stream; made anew when they change.

    ``described`` says whose machine is known: whose row of ``info`` says something.
    """

    key: tuple[object, ...]
    names: list[str]
    marked: list[str]
    streams: Ints
    described: NDArray[np.bool_]
    labels: LabelSet
    info: LabelSet


class Snapshots:
    """Makes snapshots; keeps the rendered labels of families whose rows did not change."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._label_sets: dict[str, tuple[tuple[object, ...], LabelSet]] = {}
        self._roster: Roster | None = None

    def of(self, fleet: Fleet, skew: dict[str, int], conflicts: Sequence[str], now: int) -> list[Family]:
        """Return the families to show.

        Args:
            fleet: after a commit.
            skew: wall clock of each agent against ours [ns].
            conflicts: agents of which two boots are alive.
            now: the collector's UTC [ns].
        """
        present = self._lately(fleet.device["seen"], now)
        # Of a machine that has said what it is, counters stand at 0 until its first rows are booked.
        told = present | self._lately(fleet.device["told"], now)
        alone = self._one_by_one(fleet)
        groups = self._groups(fleet, told)
        plain = self._of_one_mind(fleet, groups, present)
        which = {family: plain if family is Booked.ENERGY else groups for family in AGGREGATES}
        families = [self._totals(fleet, family, name, which[family]) for family, name in AGGREGATES.items()]
        families += [self._totals(fleet, family, name, told & alone) for family, name in PER_DEVICE.items()]
        families += self._power(fleet, present, present & alone, now)
        families += self._agents(fleet, skew, conflicts, now)
        return families

    def _lately(self, at: Ints, now: int) -> NDArray[np.bool_]:
        lately: NDArray[np.bool_] = (at > 0) & (now - at <= self._rules.stale_after * SECOND)
        return lately

    def _one_by_one(self, fleet: Fleet) -> NDArray[np.bool_]:
        kinds = np.array([_shown_alone(self._rules.per_device, k) for k in (g.kind for g in fleet.groups)] or [False])
        alone: NDArray[np.bool_] = kinds[fleet.device["group"]]
        return alone

    def _groups(self, fleet: Fleet, counted: NDArray[np.bool_]) -> list[Group]:
        """Return the groups that are large enough to be shown, counting the devices of ``counted``.

        What one PC draws while all others of its class are off is its own affair: its class waits for company.
        """
        counts = np.bincount(fleet.device["group"][counted], minlength=len(fleet.groups))
        return [
            group
            for group, count in zip(fleet.groups, counts.tolist(), strict=True)
            if count >= K_ANONYMITY or _shown_alone(self._rules.per_device, group.kind) or group.kind in NO_ENDPOINT
        ]

    def _of_one_mind(self, fleet: Fleet, groups: list[Group], present: NDArray[np.bool_]) -> list[Group]:
        """Return the groups whose energy may be split by basis: each basis in use has enough devices, or none."""
        d, found = fleet.device, []
        for group in groups:
            ours = present & (d["group"] == fleet.groups.index(group))
            counts = np.bincount(d["basis"][ours], minlength=1)
            free = group.kind in NO_ENDPOINT or _shown_alone(self._rules.per_device, group.kind)
            if free or (counts[counts > 0] >= K_ANONYMITY).all():
                found.append(group)
        return found

    def _totals(self, fleet: Fleet, family: Booked, name: str, which: list[Group] | NDArray[np.bool_]) -> Family:
        totals = fleet.totals
        rows = totals.of(family)
        if isinstance(which, list):
            held = [_group_of(json.loads(totals.texts[r])) in which for r in rows.tolist()]
            rows = rows[np.array(held, np.bool_)]
        else:
            rows = rows[totals.first[rows] >= 0]
            rows = rows[which[totals.first[rows]]] if len(rows) else rows
        labels = self._labels(name, (totals, rows.tobytes()), lambda: [json.loads(totals.texts[r]) for r in rows])
        return Family(CATALOGUE[name], labels, totals.values[rows])

    def _power(self, fleet: Fleet, present: NDArray[np.bool_], shown: NDArray[np.bool_], now: int) -> list[Family]:
        d = fleet.device
        age = (now - d["last_utc"]) / SECOND
        alive = present & (age <= self._rules.stale_after) & np.isfinite(d["power"])
        one = np.flatnonzero(shown)
        power = np.where(alive, d["power"], np.nan)
        basis = [fleet.sources[i].basis for i in fleet.winner_ids.tolist()]

        def named(numbers: Ints) -> list[dict[str, str]]:
            columns = (numbers, d["basis"][numbers], d["group"][numbers])
            return [
                {"device": fleet.devices[i].name, "basis": basis[b]} | fleet.groups[g].labels()
                for i, b, g in zip(*(x.tolist() for x in columns), strict=True)
            ]

        # The totals stand for this fleet: another one may have given the same numbers to other devices.
        key = (fleet.totals, one.tobytes(), d["basis"][one].tobytes(), d["group"][one].tobytes())
        groups = self._groups(fleet, alive)  # the power of one PC among many that are off is its own
        at = [np.flatnonzero(alive & (d["group"] == fleet.groups.index(g))) for g in groups]
        drawn, unsure = (
            [(g.labels(), float(d[name][rows].sum())) for g, rows in zip(groups, at, strict=True) if len(rows)]
            for name in ("power", "unsure")
        )
        found = np.bincount(d["group"][present], minlength=len(fleet.groups)).tolist()
        counts = [(g.labels(), float(found[fleet.groups.index(g)])) for g in self._groups(fleet, present)]
        return [
            self._family("thinwatt_device_power_watts", key, lambda: named(one), power[one]),
            self._family(
                "thinwatt_device_last_row_age_seconds",
                (*key[:2], key[-1]),
                lambda: [{"device": fleet.devices[i].name, "simulated": fleet.devices[i].marked} for i in one.tolist()],
                age[one],
            ),
            _small("thinwatt_power_watts", drawn),
            _small("thinwatt_power_uncertainty_watts", unsure),
            _small("thinwatt_devices", [(labels, count) for labels, count in counts if count]),
        ]

    def _agents(self, fleet: Fleet, skew: dict[str, int], conflicts: Sequence[str], now: int) -> list[Family]:
        roster = self._roster = _roster(
            self._roster, fleet, now - int(self._rules.stale_after * SECOND), self._one_by_one(fleet)
        )
        own = {quantity: np.full(len(roster.names), np.nan) for quantity in OWN}
        by_schema = list(fleet.by_schema(roster.streams))
        for placed, at in by_schema:
            states, places = placed.rows["state"], fleet.stream["place"][roster.streams[at]]
            for quantity in own.keys() & placed.layout.own.keys():
                own[quantity][at] = states[places, placed.layout.own[quantity]]
        clones = set(conflicts)
        values = {
            "thinwatt_agent_clock_skew_seconds": np.array([skew.get(a, np.nan) for a in roster.names]) / SECOND,
            "thinwatt_agent_identity_conflict": np.array([float(a in clones) for a in roster.names]),
            "thinwatt_agent_time_uncertain": fleet.stream["uncertain"][roster.streams].astype(np.float64),
        } | {name: own[quantity] for quantity, name in OWN.items()}
        info = Family(CATALOGUE["thinwatt_agent_info"], roster.info, np.where(roster.described, 1.0, np.nan))
        found = [info] + [Family(CATALOGUE[name], roster.labels, column) for name, column in values.items()]
        return found + self._reads(fleet, roster, by_schema)

    def _reads(self, fleet: Fleet, roster: Roster, by_schema: Sequence[tuple[Placed, Ints]]) -> list[Family]:
        """Return how the readings of each source of each agent went, since its stream began."""
        rows: dict[str, list[tuple[Ints, dict[str, str], Floats]]] = {name: [] for name in READS.values()}
        for placed, at in by_schema:
            places = fleet.stream["place"][roster.streams[at]]
            for (quantity, source), columns in placed.layout.reads.items():
                labels = {"source": printable(source, 64)} | ({"event": EVENTS[quantity]} if quantity in EVENTS else {})
                values = placed.rows["state"][places][:, columns].sum(axis=1)
                rows[READS[quantity]].append((at, labels, values))
        key = (roster.labels, *((id(placed), at.tobytes()) for placed, at in by_schema))

        def named(name: str) -> list[dict[str, str]]:
            return [
                {"agent": roster.names[i], "simulated": roster.marked[i]} | labels
                for at, labels, _ in rows[name]
                for i in at.tolist()
            ]

        return [
            self._family(name, key, partial(named, name), np.concatenate([values for *_, values in of]))
            for name, of in rows.items()
            if of
        ]

    def _family(self, name: str, key: tuple[object, ...], labels: Labels, values: Floats) -> Family:
        return Family(CATALOGUE[name], self._labels(name, key, labels), values)

    def _labels(self, name: str, key: tuple[object, ...], make: Labels) -> LabelSet:
        kept = self._label_sets.get(name)
        if kept is None or kept[0] != key:
            kept = self._label_sets[name] = (key, label_set(name, make()))
        return kept[1]


def _roster(last: Roster | None, fleet: Fleet, since: int, alone: NDArray[np.bool_]) -> Roster:
    """Return the roster of the agents heard since ``since`` [UTC ns]: the last one if it still holds.

    An agent whose own machine may not be shown by itself is not on it: its series would tell when somebody works.
    """
    fresh = np.flatnonzero(fleet.stream["seen"] >= since)
    key = (fleet.stream, fleet.descriptions, fresh.tobytes(), alone.tobytes())
    if last is not None and last.key == key:
        return last
    newest = {fleet.stream_rows[number][0]: number for number in fresh.tolist()}
    own = {a: fleet.device_number(a) for a in newest}
    names = sorted(a for a, number in own.items() if number is None or alone[number])
    machines = [fleet.machines.get(a, {}) for a in names]
    marked = _marked(fleet, names)
    info = [
        {"agent": a, "version": printable(m.get("agent_version"), 64), "simulated": mark}
        for a, m, mark in zip(names, machines, marked, strict=True)
    ]
    return Roster(
        key,
        names,
        marked,
        np.array([newest[a] for a in names], np.int64),
        np.array([bool(m) for m in machines], np.bool_),
        label_set(
            "thinwatt_agent_rss_bytes",
            [{"agent": a, "simulated": mark} for a, mark in zip(names, marked, strict=True)],
        ),
        label_set("thinwatt_agent_info", info),
    )


def _marked(fleet: Fleet, agents: list[str]) -> list[str]:
    """Return the label ``simulated`` of agents: as they say, else as the ledger knows their devices."""
    said = {a: str(bool(machine.get("simulated"))).lower() for a, machine in fleet.machines.items()}
    if not said.keys() >= set(agents):
        said = {d.agent: d.marked for d in fleet.devices} | said
    return [said.get(a, "false") for a in agents]


def _group_of(labels: dict[str, str]) -> Group:
    return Group(labels["class"], labels["simulated"] == "true")


def _shown_alone(rule: PerDevice, kind: str) -> bool:
    return rule == "all" or (rule == "hosts" and kind in NO_ENDPOINT)


def label_set(name: str, rows: Sequence[dict[str, str]]) -> LabelSet:
    """Return the labels of a family's rows in the order of the catalogue, escaped."""
    order = CATALOGUE[name].labels
    return LabelSet([label_text({key: row[key] for key in order}) for row in rows])


def _small(name: str, rows: Sequence[tuple[dict[str, str], float]]) -> Family:
    return Family(CATALOGUE[name], label_set(name, [labels for labels, _ in rows]), np.array([v for _, v in rows]))
