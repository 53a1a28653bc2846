"""Agents as PROTOCOL describes them, in their plainest form: what the machine of the exactly-once test runs against.

An agent has hardware counters that only it knows (``truth``), streams with every row they ever had (``history``) and
the rows it still keeps. Faults that PROTOCOL forbids are switched on by name, to show that they are found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from thinwatt_agent import wire
from thinwatt_agent.wire import Column, Group, Schema

SECOND = 1_000_000_000
INTERVAL = 250 * SECOND
"""Long against a slot of 900 s, so that a few rows cross a boundary."""
FRAME = 4

Key = tuple[str, str, str, str]
"""Device, source, quantity, part."""


def _pair(source: str, part: str = "", *, scope: str = "wall", basis: str = "measured") -> tuple[Column, ...]:
    return (
        Column(source, "energy", "counter", "J", part, scope=scope, basis=basis),
        Column(source, "covered", "counter", "s", part),
    )


_PACKAGE = _pair("rapl", "package-0", scope="component", basis="modelled")
_DRAM = _pair("rapl", "dram-0", scope="component", basis="modelled")
_LOAD = tuple(Column("load", q, "counter", "s") for q in ("cpu", "cpu_capacity", "covered"))
_MEMORY = (Column("load", "memory", "gauge", "B"),)

PC = (
    Schema((Group(("",), _PACKAGE + _LOAD + _MEMORY),)),
    Schema((Group(("",), _DRAM + _MEMORY + _PACKAGE + _LOAD),)),
)
METER = (Schema((Group(("",), _pair("plug")),)),)
GATEWAY = (
    Schema(
        (
            Group(("outlet-1", "outlet-2"), _pair("pdu")),
            Group(("bmc",), (*_MEMORY, *_pair("dcmi", scope="node"), *_pair("pdu", "inlet"))),
        )
    ),
)


@dataclass(frozen=True)
class Row:
    tick: int
    t: int
    values: dict[Key, float]
    schema: Schema

    def line(self) -> list[float]:
        return [self.values.get(key, float("nan")) for key in keys_of(self.schema)]


def keys_of(schema: Schema) -> list[Key]:
    return [(d, c.source, c.quantity, c.part) for g in schema.groups for d in g.devices for c in g.columns]


def counters_of(schema: Schema) -> list[Key]:
    return [
        (d, c.source, c.quantity, c.part)
        for g in schema.groups
        for d in g.devices
        for c in g.columns
        if c.kind == "counter"
    ]


@dataclass
class Stream:
    """One life of an agent process; ``kept`` ticks are in the spool, ``fresh`` ones not yet."""

    id: bytes
    boot: bytes
    base: int
    offset: int
    start: dict[Key, float]
    history: dict[int, Row] = field(default_factory=dict)
    kept: list[int] = field(default_factory=list)
    fresh: list[int] = field(default_factory=list)
    answered: int = 0
    mark: int = 0
    spooled: int = 0
    lost: bool = False
    """Its spool is gone: it need not be booked to its end."""
    forgotten: int = 0
    """Rows up to here were answered by a ledger that is no more: if none came after, nobody has them."""
    wiped: bool = False

    @property
    def last(self) -> int:
        return max(self.history, default=0)

    def at(self, tick: int) -> dict[Key, float]:
        return self.history[tick].values if tick else {}


class Agent:
    """``known``: its frames carry an offset that a collector once gave; else they are live and clocks are compared."""

    def __init__(
        self, name: str, schemas: tuple[Schema, ...], now: int, *, known: bool, faults: frozenset[str]
    ) -> None:
        self.name, self.known, self.faults = name, known, faults
        self.schemas, self.schema = schemas, schemas[0]
        self.version = 1 if known else 2
        self.destination = 0
        self.pristine = self.steady = True
        self.streams: list[Stream] = []
        self.truth: dict[Key, float] = {}
        self.ticks = self.lives = 0
        self.boot, self.booted = self._bits("boot"), now - 5 * INTERVAL
        self._begin(now - self.booted, dict(self.truth))

    def _bits(self, what: str) -> bytes:
        return hashlib.blake2b(f"{self.name} {what} {self.lives}".encode(), digest_size=16).digest()

    def _begin(self, base: int, start: dict[Key, float]) -> None:
        self.lives += 1
        self.streams.append(Stream(self._bits("stream"), self.boot, base, self.booted, start))

    @property
    def stream(self) -> Stream:
        return self.streams[-1]

    def tick(self, now: int) -> None:
        """Read the hardware: every counter goes on by an amount that no one can guess."""
        self.ticks += 1
        for i, key in enumerate(counters_of(self.schema)):
            step = 10.0 + 40.0 * _noise(self.name, self.ticks, i)
            if key[2] in ("covered", "cpu_capacity"):
                step = INTERVAL / SECOND * (4 if key[2] == "cpu_capacity" else 1)
            self.truth[key] = self.truth.get(key, 0.0) + step
        s = self.stream
        values = {key: now - s.start.get(key, 0.0) for key, now in self.truth.items()}
        s.history[s.last + 1] = Row(s.last + 1, now - self.booted, values, self.schema)
        s.fresh.append(s.last)

    def spool(self) -> None:
        """What is sent is on disk before."""
        s = self.stream
        s.kept += s.fresh
        s.fresh, s.spooled = [], max([s.spooled, *s.fresh])

    def frames(self, count: int, now: int) -> Iterator[tuple[bytes, Schema]]:
        self.spool()
        for s in self.streams:
            while count and (behind := [t for t in s.kept if t > max(s.mark, s.answered)]):
                schema = s.history[behind[0]].schema
                rows = [s.history[t] for t in behind[:FRAME] if s.history[t].schema is schema]
                yield self._frame(s, rows, schema, now), schema
                s.mark = rows[-1].tick
                count -= 1
            if s.kept and "impatient" not in self.faults:
                return  # A stream waits until those before it are answered to their end.

    def _frame(self, s: Stream, rows: list[Row], schema: Schema, now: int) -> bytes:
        header = wire.RowsHeader(
            version=self.version,
            stream=s.id,
            boot=s.boot,
            schema=schema.id,
            after=max(s.mark, s.answered),
            base=s.base,
            wall_offset=s.offset,
            sent=now - self.booted,
            rows=len(rows),
            columns=schema.width,
            flags=wire.OFFSET_KNOWN if self.known else wire.LIVE if s.boot == self.boot else 0,
        )
        return wire.encode_rows(header, [r.tick for r in rows], [r.t for r in rows], [r.line() for r in rows])

    def hear(self, answer: wire.Answer) -> None:
        for s in self.streams:
            if s.id == answer.stream and not ("proud" in self.faults and answer.position < s.answered):
                if answer.position < s.answered:
                    s.mark = answer.position
                s.answered = answer.position
                s.kept = [t for t in s.kept if t > answer.position]

    def time_out(self) -> None:
        for s in self.streams:
            s.mark = 0

    def thin(self, which: int) -> None:
        """At the bound of the spool drop a row, never the last of its stream."""
        able = [(s, t) for s in self.streams for t in (s.kept if "thin_last" in self.faults else s.kept[:-1])]
        if able:
            s, t = able[which % len(able)]
            s.kept.remove(t)
            self.pristine = False

    def restart(self, now: int, *, disk: bool, reboot: bool) -> None:
        """A new process, with or without what the old one had spooled; perhaps on a machine that booted anew."""
        old = self.stream
        for tick in old.fresh:
            del old.history[tick]
        old.fresh = []
        if reboot:
            self.lives += 1
            self.boot, self.booted = self._bits("boot"), now
        if not disk:
            self.steady = False
            for s in self.streams:
                s.lost, s.kept, s.wiped = s.lost or bool(s.kept), [], True
            if "reuse" in self.faults and not reboot:
                old.history, old.base, old.start = {}, now - self.booted, dict(self.truth)
                old.answered = old.mark = old.spooled = 0
                return
        resumed = None if reboot else self._durable()
        base, start = resumed or (now - self.booted, dict(self.truth))
        self._begin(base, start)

    def _durable(self) -> tuple[int, dict[Key, float]] | None:
        """Time and counters of the last row of this boot that is, or was, on disk."""
        for s in reversed(self.streams):
            if s.boot != self.boot or s.wiped:
                return None
            ticks = [t for t in s.history if t <= max([s.answered, *s.kept])]
            if "older_state" in self.faults:
                ticks = ticks[:-1]
            if ticks:
                row = s.history[ticks[-1]]
                return row.t, {key: s.start.get(key, 0.0) + value for key, value in row.values.items()}
        return None


def _noise(*what: object) -> float:
    return int.from_bytes(hashlib.blake2b(repr(what).encode(), digest_size=6).digest(), "little") / (1 << 48)
