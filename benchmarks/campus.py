"""Made-up agents for the benchmarks: schemas as the real agent writes them, and frames by the thousand, made fast."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_agent import wire
from thinwatt_agent.wire import Column, Group, Schema

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SECOND: Final = 1_000_000_000
INTERVAL: Final = 10
"""Seconds from row to row."""
ROWS: Final = 6
"""A minute of rows, the agent's usual frame."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What one kind of agent sends.

    ``rise`` is what the columns of one device rise by in a row at most (counters), or what a gauge reads; 0 keeps a
    column at 0. ``steady`` says which rise by exactly that: covered seconds.
    """

    name: str
    schema: Schema
    machine: dict[str, Any]
    rise: Floats
    steady: NDArray[np.bool_]

    @property
    def values(self) -> int:
        """Values of a frame."""
        return self.schema.width * ROWS


def _energy(source: str, parts: Sequence[str], scope: str, basis: str) -> list[tuple[Column, float]]:
    columns: list[tuple[Column, float]] = []
    for part in parts:
        columns += [
            (Column(source, "energy", "counter", "J", part, scope=scope, basis=basis), 2000.0),
            (Column(source, "covered", "counter", "s", part), float(INTERVAL)),
        ]
    return columns + [(Column(source, q, "counter", "1"), 0.0) for q in ("wraps", "restarts", "failures", "gaps")]


def _load(cpus: float = 32.0) -> list[tuple[Column, float]]:
    counters = {"disk_read": 1e7, "disk_written": 1e7, "net_received": 1e6, "net_sent": 1e6}
    gauges = {"memory": ("B", 2e11), "memory_size": ("B", 3e11), "swap": ("B", 1e9), "run_queue": ("1", 30.0)}
    stalls = ("cpu_some", "memory_some", "memory_full", "io_some", "io_full")
    return [
        (Column("load", "cpu", "counter", "s"), cpus * INTERVAL),
        (Column("load", "cpu_capacity", "counter", "s"), cpus * INTERVAL),
        (Column("load", "covered", "counter", "s"), float(INTERVAL)),
        (Column("load", "cpus", "gauge", "1"), cpus),
        *((Column("load", q, "counter", "B"), rise) for q, rise in counters.items()),
        *((Column("load", q, "gauge", unit), rise) for q, (unit, rise) in gauges.items()),
        *((Column("load", f"pressure_{what}", "counter", "s"), 0.5) for what in stalls),
    ]


def _own() -> list[tuple[Column, float]]:
    counters = {"cpu": ("s", 0.01), "rows": ("1", 1.0), "lost_resolution": ("s", 0.0)}
    gauges = {"rss": ("B", 2e7), "spool_rows": ("1", 12.0), "spool_bytes": ("B", 4e3)}
    return [
        *((Column("agent", q, "counter", unit), rise) for q, (unit, rise) in counters.items()),
        *((Column("agent", q, "gauge", unit), rise) for q, (unit, rise) in gauges.items()),
        *((Column("agent", "read_seconds", "counter", "s", source), 1e-3) for source in ("load", "rapl")),
        *((Column("agent", "read_failures", "counter", "1", source), 0.0) for source in ("load", "rapl")),
    ]


def _kind(name: str, groups: Sequence[tuple[tuple[str, ...], list[tuple[Column, float]]]], **machine: Any) -> Kind:
    schema = Schema(tuple(Group(devices, tuple(c for c, _ in columns)) for devices, columns in groups))
    rise = np.concatenate([np.tile([r for _, r in columns], len(devices)) for devices, columns in groups])
    same = ("covered", "cpu_capacity")
    steady = [c.quantity in same for devices, columns in groups for _ in devices for c, _ in columns]
    return Kind(name, schema, {"simulated": True, "agent_version": "0", **machine}, rise, np.array(steady))


def host() -> Kind:
    """Return a hypervisor with one RAPL package: 33 columns of its one device."""
    columns = _energy("rapl", ["package-0"], "component", "modelled") + _load() + _own()
    return _kind("host", [(("",), columns)], **{"class": "host", "model": "PowerEdge R640"})


def with_desktops(number: int, desktops: int, pools: int = 4) -> Kind:
    """Return a hypervisor with desktops of its own on it: the columns of :func:`host`, and 7 a desktop."""
    columns = _energy("rapl", ["package-0"], "component", "modelled") + _load()
    columns.append((Column("libvirt", "memory_capacity", "counter", "B s"), 5e11 * INTERVAL))
    counters = {"cpu": 5.0, "covered": INTERVAL, "present": INTERVAL, "memory": 8e9 * INTERVAL}
    counters |= {"vcpus": 4.0 * INTERVAL, "active": INTERVAL / 2, "disconnected": INTERVAL / 5}
    for i in range(desktops):
        consumer = f"pool-{i % pools}/{number:04d}-{i:03d}"
        columns += [
            (Column("libvirt", q, "counter", "B s" if q == "memory" else "s", consumer=consumer), float(rise))
            for q, rise in counters.items()
        ]
    kind = _kind("host", [(("",), columns + _own())], **{"class": "host", "model": "PowerEdge R640"})
    return replace(kind, name=f"vdi-{number:04d}")


def gateway(devices: int = 100) -> Kind:
    """Return a gateway for hosts that are asked over the network: a power sensor and the load of each, 23 columns."""
    names = tuple(f"host-{i:03d}" for i in range(devices))
    about = {n: {"class": "host", "model": "PowerEdge R640"} for n in names}
    return _kind("gateway", [(names, _energy("node", [""], "node", "measured") + _load())], devices=about)


def outlets(devices: int = 100) -> Kind:
    """Return a gateway for the outlets of power strips: nothing but energy, 6 columns each."""
    names = tuple(f"outlet-{i:03d}" for i in range(devices))
    about = {n: {"class": "desktop"} for n in names}
    return _kind("outlets", [(names, _energy("pdu", [""], "wall", "measured"))], devices=about)


class Campus:
    """Agents of one kind with their streams; :meth:`frames` is what the chosen ones send next.

    Args:
        agents: how many.
        kind: of all of them.
        start: UTC of tick 0 [ns], of all or one an agent; boottime is UTC here.
        seed: of streams and readings.
    """

    def __init__(self, agents: int, kind: Kind, start: int | Ints, seed: int = 1) -> None:
        self.kind = kind
        self.names = [f"{kind.name}-{i:06d}" for i in range(agents)]
        self.routes = [b"\0" + i.to_bytes(4, "big") for i in range(agents)]
        self._random = np.random.default_rng(seed)
        self._tick = np.zeros(agents, np.int64)
        self._state = np.zeros((agents, kind.schema.width))
        self._gauge = self._is_gauge(kind.schema)
        self._header = np.zeros(agents, _header_type())
        self._header["stream"] = np.frombuffer(self._random.bytes(16 * agents), "V16")
        self._header["boot"] = np.frombuffer(self._random.bytes(16 * agents), "V16")
        self._header["prefix"] = np.void(wire._PREFIX.pack(b"tw", wire.VERSION, wire.ROWS, 0))  # noqa: SLF001 - the wire's own prefix
        self._header["schema"] = np.void(kind.schema.id)
        self._header["base"] = start
        self._header["columns"] = kind.schema.width
        self._header["flags"] = wire.LIVE | wire.SYNCED

    @property
    def hello(self) -> bytes:
        """The hello of any of them."""
        return wire.encode_hello(wire.Hello(self.kind.schema, self.kind.machine))

    def tick(self, agent: int) -> int:
        """Return the last tick that an agent has made."""
        return int(self._tick[agent])

    def totals(self) -> Floats:
        """Return the counters of all agents as they stand, (agents, columns)."""
        return self._state

    def renew(self, agents: Ints, at: int) -> None:
        """Start agents again: a new stream whose tick 0 is at ``at`` [UTC ns]."""
        self._header["stream"][agents] = np.frombuffer(self._random.bytes(16 * len(agents)), "V16")
        self._header["base"][agents] = at
        self._tick[agents], self._state[agents] = 0, 0.0

    def frames(self, agents: Ints, sent: int | None = None, rows: int = ROWS) -> list[bytes]:
        """Return the next frame of each of ``agents``, which move on by ``rows`` ticks.

        They are sent when the last row is made, or at ``sent`` [UTC ns].
        """
        after = self._tick[agents]
        ticks = after[:, None] + np.arange(1, rows + 1)
        header = self._header[agents]
        times = header["base"][:, None] + ticks * (INTERVAL * SECOND)
        header["after"], header["rows"] = after, rows
        header["sent"] = times[:, -1] if sent is None else sent
        matrix = self._columns(agents, rows)
        self._tick[agents] = ticks[:, -1]
        parts = (header.view(np.uint8).reshape(len(agents), -1), *(_bytes(a) for a in (ticks, times, matrix)))
        whole = np.concatenate(parts, axis=1)
        return [_sealed(row.tobytes()) for row in whole]

    def _columns(self, agents: Ints, rows: int) -> Floats:
        """Return the cumulative columns of the next rows, (agents, columns, rows)."""
        kind, shape = self.kind, (len(agents), self.kind.schema.width, rows)
        share = self._random.random(shape)
        share[:, kind.steady] = 1.0
        share *= kind.rise[:, None]
        columns: Floats = np.cumsum(share, axis=2) + self._state[agents][:, :, None]
        columns[:, self._gauge] = share[:, self._gauge]
        self._state[agents] = columns[:, :, -1]
        return columns

    @staticmethod
    def _is_gauge(schema: Schema) -> NDArray[np.bool_]:
        return np.array([c.kind == "gauge" for g in schema.groups for _ in g.devices for c in g.columns])


def _header_type() -> np.dtype[np.void]:
    fields = [("prefix", "V8"), ("stream", "V16"), ("boot", "V16"), ("schema", "V8"), ("after", "<u8"), ("base", "<i8")]
    more = [
        ("wall_offset", "<i8"),
        ("sent", "<i8"),
        ("rows", "<u4"),
        ("columns", "<u2"),
        ("flags", "u1"),
        ("pad", "u1"),
    ]
    return np.dtype(fields + more)


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(array).view(np.uint8).reshape(len(array), -1)


def _sealed(message: bytes) -> bytes:
    """Return the message with its checksum in place."""
    return message[:4] + zlib.crc32(memoryview(message)[8:]).to_bytes(4, "little") + message[8:]
