"""Agents, a network that does what it likes, two collectors and one ledger; and the laws that hold throughout."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from tests.invariants.agents import GATEWAY, INTERVAL, METER, PC, SECOND, Agent, Key, Stream, keys_of
from thinwatt_agent import wire
from thinwatt_collector.book import Ints, Transaction
from thinwatt_collector.labels import Family
from thinwatt_collector.ledger import Dimensions, Ledger, LedgerError
from thinwatt_collector.models.devices import DeviceModel
from thinwatt_collector.receive import Message
from thinwatt_collector.step import Step
from thinwatt_collector.tallies import Reply

Outcome = Literal["taken", "refused", "unknown"]
NOW = 1_764_000_000 * SECOND + 123_456_789
SLOT = 900 * SECOND


class LawError(AssertionError):
    """A law does not hold."""


def hold(condition: object, text: str) -> None:
    if not condition:
        raise LawError(text)


class Store(Ledger, Protocol):
    """What the world asks of a ledger beyond what the collector asks."""

    def energy(self) -> dict[tuple[int, int, int], list[float]]: ...

    def save(self) -> Any: ...

    def load(self, saved: Any) -> None: ...


class Flaky:
    """A ledger that now and then refuses a commit, or makes it and says nothing."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.outcome: Outcome = "taken"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def commit(self, transaction: Transaction) -> Ints:
        outcome, self.outcome = self.outcome, "taken"
        if outcome == "refused":
            raise LedgerError("refused")
        moved = self.inner.commit(transaction)
        if outcome == "unknown":
            raise LedgerError("nobody knows")
        return moved


class Carbon:
    method = "record"

    def at(self, slots: Ints) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        return np.full(len(slots), 1e-5), np.zeros(len(slots), bool)


MODEL = DeviceModel(
    watts=np.array([10.0, 20.0, 40.0, 70.0]), base=5.0, efficiency=0.9, u_meter=0.01, u_component=0.1, u_load=0.2
)


@dataclass
class Collector:
    step: Step
    published: dict[tuple[str, str], float]
    stuck: bool = False


@dataclass(frozen=True)
class Letter:
    to: int
    agent: str
    data: bytes


class World:
    """``faults`` of the agents (see ``agents``) and ``no_rebuild``: what PROTOCOL forbids, done all the same."""

    def __init__(self, ledger: Store, faults: frozenset[str] = frozenset()) -> None:
        self.now, self.faults = NOW, faults
        self.store, self.ledger = ledger, Flaky(ledger)
        self.agents = {
            "pc": Agent("pc", PC, NOW, known=True, faults=faults),
            "gw": Agent("gw", GATEWAY, NOW, known=True, faults=faults),
            "live": Agent("live", METER, NOW, known=False, faults=faults),
        }
        self.letters: list[Letter] = []
        self.answers: list[tuple[str, bytes]] = []
        self.saved: list[Any] = []
        self.collectors = [self._collector(), self._collector()]

    def _collector(self) -> Collector:
        return Collector(Step(self.ledger, lambda kind, model: MODEL, Carbon()), {})

    # What may happen

    def tick(self, count: int) -> None:
        for _ in range(count):
            self.now += INTERVAL
            for agent in self.agents.values():
                agent.tick(self.now)

    def send(self, agent: Agent, count: int) -> None:
        self.letters += [Letter(agent.destination, agent.name, m) for m, _ in agent.frames(count, self.now)]

    def deliver(self, letter: Letter) -> None:
        collector, agent = self.collectors[letter.to], self.agents[letter.agent]
        message = Message(letter.agent.encode(), letter.agent, letter.data, self.now)
        if collector.stuck:
            return
        for reply in collector.step.take([message]):
            refused = wire.decode_refusal(reply.data)
            hold(refused.reason == "unknown_schema", f"{agent.name}: {refused}")
            for schema in agent.schemas:
                hello = wire.encode_hello(wire.Hello(schema, _machine(schema)), agent.version)
                answer = collector.step.take([Message(message.route, agent.name, hello, self.now)])
                hold(not answer, f"{agent.name}: hello refused")

    def commit(self, number: int, outcome: Outcome = "taken", *, heard: bool = True, reach: bool = True) -> None:
        """One commit; ``heard``: its answers reach the network; ``reach``: after a failure the ledger can be read."""
        collector = self.collectors[number]
        if collector.stuck:
            self._rebuild(collector)
            return
        self.ledger.outcome = outcome
        try:
            replies = collector.step.commit(self.now)
            if "no_rebuild" not in self.faults:
                collector.step.catch_up()
        except LedgerError:
            replies = []
            collector.stuck = "no_rebuild" not in self.faults
            if reach and collector.stuck:
                self._rebuild(collector)
        self.ledger.outcome = "taken"
        if heard:
            self.post(replies)

    def post(self, replies: list[Reply]) -> None:
        for reply in replies:
            if wire.kind_of(reply.data)[1] == wire.REFUSAL:
                raise LawError(f"{reply.route!r}: {wire.decode_refusal(reply.data)}")
            self.answers.append((reply.route.decode(), reply.data))

    def _rebuild(self, collector: Collector) -> None:
        try:
            collector.step.rebuild()
        except LedgerError:
            return
        collector.stuck = False

    def crash(self, number: int) -> None:
        published = self.collectors[number].published
        self.collectors[number] = self._collector()
        self.collectors[number].published = published

    def hear(self, name: str, data: bytes) -> None:
        self.agents[name].hear(wire.decode_answer(data))

    def backup(self) -> None:
        self.saved.append(self.store.save())

    def restore(self, which: int) -> None:
        """An older ledger: totals fall, and what agents have forgotten since is gone for good."""
        self.store.load(self.saved[which])
        self.collectors = [self._collector(), self._collector()]
        self.answers.clear()
        positions = self.positions()
        for agent in self.agents.values():
            agent.pristine = agent.steady = False
            for s in agent.streams:
                if positions.get((agent.name, s.id), 0) < s.answered:
                    s.forgotten = max(s.forgotten, s.answered)

    def settle(self) -> None:
        """Peace: everything arrives, every commit is taken; then every row that was kept is in the ledger."""
        self.tick(1)
        self.letters.clear()
        self.answers.clear()
        self.commit(1, heard=False)
        for agent in self.agents.values():
            agent.destination = 0
        for _ in range(8 + max(len(agent.streams) for agent in self.agents.values())):
            for agent in self.agents.values():
                agent.time_out()
                self.send(agent, 100)
            for letter in self.letters:
                self.deliver(letter)
            self.letters.clear()
            self.commit(0)
            for name, data in self.answers:
                self.hear(name, data)
            self.answers.clear()
            if not any(s.kept for agent in self.agents.values() for s in agent.streams):
                break
        positions = self.positions()
        for agent in self.agents.values():
            for s in agent.streams:
                position = positions.get((agent.name, s.id), 0)
                if not s.lost and s.spooled > s.forgotten:
                    hold(position == s.spooled, f"{agent.name}: booked to {position}, {s.spooled} rows were spooled")

    # What must hold

    def positions(self) -> dict[tuple[str, bytes], int]:
        wanted = [(agent.name, s.id) for agent in self.agents.values() for s in agent.streams]
        return {(row.agent, row.stream): row.position for row in self.store.streams(wanted)}

    def check(self) -> None:
        known, energy, positions = self.store.dimensions(), self.store.energy(), self.positions()
        devices = {row[0]: row[1] for row in known.devices}
        sources = {row[0]: row[1:] for row in known.sources}
        self._check_counters(devices, sources, energy, positions)
        self._check_slots(devices, sources, energy, positions)
        self._check_booked(known, devices, sources, energy)
        self._check_gaps(known, positions)
        self._check_published(known)

    def _check_counters(
        self,
        devices: dict[int, str],
        sources: dict[int, tuple[str, str, str, str]],
        energy: dict[tuple[int, int, int], list[float]],
        positions: dict[tuple[str, bytes], int],
    ) -> None:
        """Per stream Σ ledger = counter at the position; and never more than the hardware counted."""
        found: dict[Key, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for (device, _, source), (joules, _, _, covered) in energy.items():
            name, part = sources[source][:2]
            if name != "booked":
                owner, _, local = devices[device].partition("/")
                found[local, name, "energy", part][owner] += joules
                found[local, name, "covered", part][owner] += covered
        for agent in self.agents.values():
            booked = [(s, positions.get((agent.name, s.id), 0)) for s in agent.streams]
            for s, position in booked:
                hold(position == 0 or position in s.history, f"{agent.name}: position {position} was never a tick")
            for schema in agent.schemas:
                for key in _energy_keys(schema):
                    counted = sum(s.at(position).get(key, 0.0) for s, position in booked)
                    ledger = found[key][agent.name]
                    hold(
                        math.isclose(counted, ledger, rel_tol=1e-9, abs_tol=1e-6),
                        f"{agent.name} {key}: {counted} {ledger}",
                    )
                    truth = agent.truth.get(key, 0.0)
                    most = truth * (1 + 1e-9) + 1e-6
                    hold(ledger <= most, f"{agent.name} {key}: {ledger} of {truth} that there were")

    def _check_slots(
        self,
        devices: dict[int, str],
        sources: dict[int, tuple[str, str, str, str]],
        energy: dict[tuple[int, int, int], list[float]],
        positions: dict[tuple[str, bytes], int],
    ) -> None:
        """Joules lie where their rows say, unless rows were dropped at the bound or lost with a ledger."""
        for agent in self.agents.values():
            if not (agent.pristine and agent.known):
                continue
            expected: dict[tuple[str, str, str, int], float] = defaultdict(float)
            for s in agent.streams:
                for key, at, amount in _spread(s, positions.get((agent.name, s.id), 0)):
                    if key[2] == "energy":
                        full = f"{agent.name}/{key[0]}" if key[0] else agent.name
                        expected[full, key[1], key[3], at] += amount
            for (device, slot, source), amounts in energy.items():
                name, part = sources[source][:2]
                if name != "booked" and devices[device].partition("/")[0] == agent.name:
                    expected[devices[device], name, part, slot] -= amounts[0]
            for where, rest in expected.items():
                hold(abs(rest) < 1e-6, f"{where}: {rest} J are not where their rows are")

    def _check_booked(
        self,
        known: Dimensions,
        devices: dict[int, str],
        sources: dict[int, tuple[str, str, str, str]],
        energy: dict[tuple[int, int, int], list[float]],
    ) -> None:
        """Booked totals are the ledger's sums."""
        sums: dict[tuple[str, str], float] = defaultdict(float)
        for (device, _, source), (joules, _, _, covered) in energy.items():
            name, part, scope, basis = sources[source]
            if name == "booked":
                sums["DEVICE_ENERGY", _text(device=devices[device], basis=basis, **{"class": "host"})] += joules
                sums["DEVICE_COVERED", _text(device=devices[device])] += covered
                sums["ENERGY", _text(basis=basis, **{"class": "host"})] += joules
                sums["COVERED", _text(**{"class": "host"})] += covered
                sums["CARBON", _text(method="record", **{"class": "host"})] += joules * 1e-5
            else:
                sums[
                    "SOURCE_ENERGY", _text(device=devices[device], source=name, part=part, scope=scope, basis=basis)
                ] += joules
        for _, family, written, total in known.labels:
            labels = _text(**{k: v for k, v in json.loads(written).items() if k != "simulated"})
            if not family.endswith("GAP"):
                there = sums.pop((family, labels), 0.0)
                hold(
                    math.isclose(there, total, rel_tol=1e-9, abs_tol=1e-6), f"{family} {labels}: {total}, slots {there}"
                )
        hold(not any(sums.values()), f"in the slots and not booked: {sums}")

    def _check_gaps(self, known: Dimensions, positions: dict[tuple[str, bytes], int]) -> None:
        """Covered time and gaps are the time from the first row's beginning to the last row, to the second and beyond.

        Not where a spool was lost: what was sent of it may still arrive behind the stream that came after.
        """
        seconds: dict[str, float] = defaultdict(float)
        for _, family, labels, total in known.labels:
            if family in ("DEVICE_COVERED", "DEVICE_GAP"):
                seconds[json.loads(labels)["device"]] += total
        for agent in self.agents.values():
            if not (agent.steady and agent.known):
                continue
            booked = [(s, positions.get((agent.name, s.id), 0)) for s in agent.streams]
            spans = [(s.base + s.offset, s.history[p].t + s.offset) for s, p in booked if p]
            expected = (spans[-1][1] - spans[0][0]) / SECOND if spans else 0.0
            for device in {key[0] for key in keys_of(agent.schemas[0])}:
                found = seconds[f"{agent.name}/{device}" if device else agent.name]
                hold(abs(found - expected) < 1e-3, f"{agent.name}/{device}: {found} of {expected} s")

    def _check_published(self, known: Dimensions) -> None:
        """What is shown never falls and was committed."""
        committed = {(family, labels): total for _, family, labels, total in known.labels}
        for collector in self.collectors:
            totals = collector.step.fleet.totals
            for text, family, value in zip(totals.texts, totals.family.tolist(), totals.values.tolist(), strict=True):
                name = (Family(family).name, text)
                there = committed.get(name, 0.0)
                hold(value <= there * (1 + 1e-12), f"{name}: shown {value}, committed {there}")
                hold(value >= collector.published.get(name, 0.0), f"{name} fell to {value}")
                collector.published[name] = value


def _machine(schema: wire.Schema) -> dict[str, Any]:
    about = {"class": "host", "model": "x"}
    return {**about, "devices": {device: about for group in schema.groups for device in group.devices}}


def _text(**labels: str) -> str:
    return json.dumps(labels, sort_keys=True)


def _energy_keys(schema: wire.Schema) -> list[Key]:
    keys = keys_of(schema)
    metered = {(d, s, p) for d, s, quantity, p in keys if quantity == "energy"}
    return [key for key in keys if key[2] in ("energy", "covered") and (key[0], key[1], key[3]) in metered]


def _spread(s: Stream, position: int) -> Iterator[tuple[Key, int, float]]:
    """Yield each column's share of each slot, row by row, by hand."""
    before, values = s.base + s.offset, dict.fromkeys(s.history[position].values, 0.0) if position else {}
    for tick in sorted(t for t in s.history if t <= position):
        row = s.history[tick]
        end = row.t + s.offset
        for slot in range(before // SLOT, (end - 1) // SLOT + 1):
            share = (min(end, (slot + 1) * SLOT) - max(before, slot * SLOT)) / (end - before)
            for key, value in row.values.items():
                yield key, slot, (value - values.get(key, 0.0)) * share
        before, values = end, row.values
