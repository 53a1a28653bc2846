"""A collector of a hundred lines behind the real socket: PROTOCOL's rules for the sum of all energy columns."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.invariants.processes import free_port
from thinwatt_agent import keys, wire
from thinwatt_agent.wire import Answer, Refusal, WireError
from thinwatt_collector.keys import AllowList
from thinwatt_collector.receive import Message, Receiver

PATIENCE = 60.0
"""Longer than any of these tests takes on a machine that is not broken [s]."""


@dataclass
class Stream:
    """A stream's row of the ledger: ``values`` are the columns at the position."""

    position: int = 0
    time: int = 0
    values: tuple[float, ...] = ()
    joules: float = 0.0


Ledger = dict[bytes, Stream]


@dataclass
class StandIn:
    """A collector. ``speaks``: versions it knows; ``mute``: books and does not answer; ``held``: answers not sent."""

    folder: Path
    port: int = 0
    ledger: Ledger = field(default_factory=dict)
    speaks: tuple[int, ...] = (1, 2)
    mute: bool = False
    refuse: Callable[[Message, wire.RowsHeader], str] = lambda _, __: ""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key = self.folder / "collector"
        if not self.key.exists():
            keys.generate(self.key)
        self.list = self.folder / "agents"
        self.list.touch()
        self.hellos: list[wire.Hello] = []
        self.headers: list[wire.RowsHeader] = []
        self.held: list[tuple[bytes, bytes]] = []
        self.schemas: dict[bytes, wire.Schema] = {}
        self.refused: list[str] = []
        self.open()

    def open(self) -> None:
        each_look_is_a_second_later = itertools.count(0, 1_000_000_000)
        self.allow = AllowList(self.list, clock=lambda: next(each_look_is_a_second_later))
        self.port = self.port or free_port()
        self.receiver = Receiver(f"tcp://127.0.0.1:{self.port}", keys.read_secret(self.key), self.allow)

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def server_key(self) -> bytes:
        return keys.read_public(keys.public_path(self.key))

    def let_in(self, *agents: tuple[str, str]) -> None:
        self.list.write_text("".join(f"{name} {key}\n" for name, key in agents))

    def turn(self, timeout_ms: int = 5) -> None:
        for message in self.receiver.drain(timeout_ms, 64 << 20):
            try:
                version, kind = wire.kind_of(message.data)
                if version not in self.speaks:
                    raise WireError("unknown_version", f"spoken here: {self.speaks}")
                if kind == wire.HELLO:
                    hello = wire.decode_hello(message.data)
                    self.hellos.append(hello)
                    self.schemas[hello.schema.id] = hello.schema
                else:
                    self._rows(message, version)
            except WireError as error:
                self.refused.append(error.reason)
                stream = message.data[8:24] if len(message.data) > wire.ROWS_OFFSET else bytes(16)
                self._say(
                    message.route, wire.encode_refusal(Refusal(stream, error.reason, error.text, min(self.speaks)))
                )

    def _rows(self, message: Message, version: int) -> None:
        header, ticks, times, rows = wire.decode_rows(message.data)
        if reason := self.refuse(message, header):
            raise WireError(reason, "because the test says so")
        if header.schema not in self.schemas:
            raise WireError("unknown_schema", "send the hello")
        assert header.after < ticks[0]
        assert list(ticks) == sorted(set(ticks))
        self.headers.append(header)
        stream = self.ledger.setdefault(header.stream, Stream(time=header.base))
        if ticks[-1] > stream.position and header.after <= stream.position:
            energy = self._energy(header.schema)
            before = sum(stream.values[i] for i in energy if i < len(stream.values))
            stream.joules += sum(rows[-1][i] for i in energy) - before
            stream.position, stream.time, stream.values = ticks[-1], times[-1], rows[-1]
        answer = wire.encode_answer(Answer(header.stream, stream.position, time.time_ns(), version))
        self._say(message.route, answer)

    def _energy(self, schema: bytes) -> list[int]:
        columns = [c for g in self.schemas[schema].groups for _ in g.devices for c in g.columns]
        return [i for i, c in enumerate(columns) if c.quantity == "energy" and c.total]

    def _say(self, route: bytes, data: bytes) -> None:
        if self.mute:
            self.held.append((route, data))
        else:
            self.receiver.send(route, data)

    def release(self) -> None:
        for route, data in self.held:
            self.receiver.send(route, data)
        self.held.clear()

    def close(self) -> None:
        self.receiver.close()

    def restart(self) -> None:
        """End and begin again on the same port; connections are reset, schemas forgotten."""
        self.close()
        self.schemas.clear()
        self.open()

    @property
    def joules(self) -> float:
        return sum(s.joules for s in self.ledger.values())


def until(done: Callable[[], bool], *turns: Callable[[], object], patience: float = PATIENCE) -> None:
    """Call ``turns`` again and again until ``done``."""
    limit = time.monotonic() + patience
    while not done():
        assert time.monotonic() < limit, "it never came to that"
        for turn in turns:
            turn()


def idle(turns: Iterable[Callable[[], object]], rounds: int = 30) -> None:
    """Call ``turns`` a number of rounds: for what is not to happen."""
    for _ in range(rounds):
        for turn in turns:
            turn()
        time.sleep(0.005)
