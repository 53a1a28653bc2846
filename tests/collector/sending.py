"""A collector without sockets, and senders whose frames say exactly what a test wants them to say."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tests.invariants.memory_ledger import MemoryLedger
from thinwatt_agent import wire
from thinwatt_agent.wire import Column, Group, Schema
from thinwatt_collector.labels import Family
from thinwatt_collector.ledger import Ledger
from thinwatt_collector.models.attribution import Policy
from thinwatt_collector.models.devices import DeviceModel
from thinwatt_collector.receive import Message
from thinwatt_collector.step import Step
from thinwatt_collector.tallies import Reply

SECOND = 1_000_000_000
NOW = 1_764_000_000 * SECOND
"""A slot begins here, a multiple of 900 s; receipt of the first frames."""
GRAMS_PER_JOULE = 1e-5
HOST = DeviceModel(
    watts=np.array([100.0, 150.0, 200.0, 300.0]), base=30.0, efficiency=0.9, u_meter=0.02, u_component=0.1, u_load=0.2
)
NOTHING_KNOWN = DeviceModel()


class Carbon:
    method = "record"

    def at(self, slots: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        return np.full(len(slots), GRAMS_PER_JOULE), np.zeros(len(slots), bool)


def pair(source: str, part: str = "", *, scope: str = "wall", basis: str = "measured") -> tuple[Column, Column]:
    return (
        Column(source, "energy", "counter", "J", part, scope=scope, basis=basis),
        Column(source, "covered", "counter", "s", part),
    )


PLUG = Schema((Group(("",), pair("plug")),))
LOAD = tuple(Column("load", q, "counter", "s") for q in ("cpu", "cpu_capacity", "covered"))
RAPL = pair("rapl", "package-0", scope="component", basis="modelled")
TOTAL = (
    Column("rapl", "energy", "counter", "J", "total", scope="component", basis="modelled", total=False),
    Column("rapl", "covered", "counter", "s", "total"),
    Column("rapl", "platform", "counter", "s", "total"),
)
GAUGE = Column("load", "memory", "gauge", "B")

_ids = itertools.count(1)


def fresh_id() -> bytes:
    return next(_ids).to_bytes(16, "big")


@dataclass
class Sender:
    """``rows`` of a frame are (tick, seconds since boot, values)."""

    name: str = "a"
    schema: Schema = PLUG
    stream: bytes = field(default_factory=fresh_id)
    boot: bytes = b"boot".ljust(16)
    base: float = 0.0
    offset: int = NOW
    flags: int = wire.OFFSET_KNOWN
    version: int = 2

    def frame(
        self, after: int, rows: Sequence[tuple[int, float, Sequence[float]]], *, at: float = 0.0, **header: Any
    ) -> bytes:
        ns = [round(t * SECOND) for _, t, _ in rows]
        h = wire.RowsHeader(
            version=self.version,
            stream=self.stream,
            boot=self.boot,
            schema=self.schema.id,
            after=after,
            base=round(self.base * SECOND),
            wall_offset=self.offset,
            sent=round(at * SECOND),
            rows=len(rows),
            columns=self.schema.width,
            flags=self.flags,
        )
        return wire.encode_rows(replace(h, **header), [tick for tick, _, _ in rows], ns, [v for _, _, v in rows])

    def hello(self, machine: Mapping[str, Any] | None = None) -> bytes:
        document = {"schema": self.schema.document(), "machine": machine or {"class": "host"}}
        return wire._seal(wire.HELLO, json.dumps(document).encode(), self.version)


class Bench:
    """A step on a ledger; what it answers and what it booked, in plain words."""

    def __init__(self, ledger: Ledger | None = None, model: DeviceModel = HOST, policy: Policy = "reservation") -> None:
        self.ledger: Any = ledger or MemoryLedger()
        self.model, self.policy = model, policy
        self.now = NOW
        self.restart()

    def restart(self) -> None:
        self.step = Step(self.ledger, lambda kind, name: self.model, Carbon(), self.policy)

    def hello(self, sender: Sender, machine: Mapping[str, Any] | None = None) -> list[Reply]:
        return self.step.take([Message(b"\0route", sender.name, sender.hello(machine), self.now)])

    def give(self, sender: Sender, *frames: bytes) -> list[wire.Refusal]:
        """Hand over frames; return what is refused at once."""
        replies = self.step.take([Message(b"\0route", sender.name, data, self.now) for data in frames])
        return [wire.decode_refusal(r.data) for r in replies]

    def commit(self) -> tuple[dict[bytes, int], list[wire.Refusal]]:
        """Return positions by stream, and refusals."""
        positions, refusals = {}, []
        for reply in self.step.commit(self.now):
            if wire.kind_of(reply.data)[1] == wire.ANSWER:
                answer = wire.decode_answer(reply.data)
                positions[answer.stream] = answer.position
            else:
                refusals.append(wire.decode_refusal(reply.data))
        return positions, refusals

    def book(self, sender: Sender, *frames: bytes) -> int | str:
        """Hand over and commit; return the position answered, or the reason of the last refusal."""
        if refused := self.give(sender, *frames):
            return refused[-1].reason
        positions, refusals = self.commit()
        return refusals[-1].reason if refusals else positions[sender.stream]

    def totals(self) -> dict[tuple[str, str], float]:
        """Return booked totals by family and the labels' values, comma-separated in the order of their names.

        ``simulated`` is left out where it is false, and a total to which nothing was ever added.
        """
        t = self.step.fleet.totals
        labels = [", ".join(_values(text)) for text in t.texts]
        named = zip(t.family.tolist(), labels, t.values.tolist(), strict=True)
        return {(Family(f).name, text): value for f, text, value in named if value}

    def slots(self, device: str = "a", source: str = "booked") -> dict[int, tuple[float, float]]:
        """Return joules and covered seconds of a device by slot, counted from the slot of ``NOW``."""
        known = self.ledger.dimensions()
        devices = {row[0]: row[1] for row in known.devices}
        sources = {row[0]: row[1] for row in known.sources}
        out: dict[int, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
        for (d, slot, s), (joules, _, _, covered) in self.ledger.energy().items():
            if devices[d] == device and sources[s] == source:
                before = out[slot - NOW // SECOND // 900]
                out[slot - NOW // SECOND // 900] = (before[0] + joules, before[1] + covered)
        return dict(out)


def _values(text: str) -> list[str]:
    """Return the values of labels in the order of their names; a made-up machine's stand behind ``simulated``."""
    labels = json.loads(text)
    simulated = labels.pop("simulated", "false") == "true"
    return ["simulated"] * simulated + [str(labels[k]) for k in sorted(labels)]
