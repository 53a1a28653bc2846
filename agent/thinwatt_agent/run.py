"""The running agent: read, spool, send, on one thread that sleeps in between.

:class:`Agent` is one agent; :func:`run` turns the loop of one or of many. An agent wakes once an interval and when an
answer comes. Readings lie on a grid of the monotonic clock: a late one is taken once, and the grid stays.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, Self

import zmq

from thinwatt_agent import keys, wire
from thinwatt_agent.config import Config, ConfigError
from thinwatt_agent.counters import Instant
from thinwatt_agent.link import Collector, Link
from thinwatt_agent.loop import Sampler
from thinwatt_agent.machine import clock
from thinwatt_agent.marker import Marker
from thinwatt_agent.notify import Notify
from thinwatt_agent.sequence import SECOND, Limits
from thinwatt_agent.spool import Spool
from thinwatt_agent.store import Disk

log = logging.getLogger(__name__)

STOP: Final = 3 * SECOND
"""At the end, answers are awaited so long where the spool is on disk [ns] …"""
STOP_MEMORY: Final = 15 * SECOND
"""… and so long where the rows are gone with the process: longer than a collector takes to commit."""


class Reader(Protocol):
    """What is asked of the sampler."""

    own: dict[str, float]

    @property
    def schema(self) -> wire.Schema:
        """The columns of the last row."""

    def sample(self, now: Instant) -> list[float]:
        """Return a row."""

    def state(self) -> dict[str, Any]:
        """Return what a new process goes on from."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""

    def machine(self) -> dict[str, Any]:
        """Return the machine's description."""


class Turned(Protocol):
    """What the loop asks of an agent; :class:`Agent` is the one that samples a machine."""

    spool: Spool
    link: Link

    @property
    def taken(self) -> int:
        """Rows taken by this process."""

    def step(self) -> int:
        """Do what is due and return when to come back at the latest (monotonic, ns)."""

    def finish(self) -> None:
        """Put what is pending into the spool."""


class Agent:
    """One agent: a sampler, a spool, a link.

    Args:
        reader: makes a sampler; called again where the stream has to begin anew.
        spool: of this agent.
        link: of this agent.
        now: looks at the clocks.
        interval: between rows [s].
        frame: of rows [s].
    """

    def __init__(
        self,
        reader: Callable[[], Reader],
        spool: Spool,
        link: Link,
        now: Callable[[], Instant],
        interval: float,
        frame: float,
    ) -> None:
        self.spool, self.link = spool, link
        self._make, self._now = reader, now
        self._interval = round(interval * SECOND)
        self._rows_a_frame = max(1, round(frame / interval))
        resume = spool.resume()
        self._begin(resume.state if resume else None, resume.time if resume else None)
        self._next = now().monotonic + (0 if resume else self._interval)
        self._taken = 0

    def step(self) -> int:
        """Do what is due and return when to come back at the latest (monotonic, ns)."""
        now = self._now()
        if now.monotonic >= self._next:
            self._sample(now)
            self._next += self._interval * (1 + (now.monotonic - self._next) // self._interval)
        due = self.link.step()
        if self._stream in self.link.order.ahead:
            self._fork()
        return min(self._next, due)

    @property
    def taken(self) -> int:
        """Rows taken by this process."""
        return self._taken

    def finish(self) -> None:
        """Take a last row and put what is pending into the spool."""
        self._sample(self._now())
        self._flush(with_state=True)

    def _begin(self, state: dict[str, Any] | None, base: int | None) -> None:
        """Begin a stream: at ``base`` with the registers of ``state``, or now."""
        self._stream = os.urandom(16)
        self._tick = self._after = 0
        self._ticks: list[int] = []
        self._times: list[int] = []
        self._rows: list[Sequence[float]] = []
        self._reader = self._make()
        now = self._now()
        if state is not None and base is not None:
            self._reader.restore(state)
            self._base = base
            self._schema, self._hello = b"", b""
        else:
            self._reader.sample(now)
            self._base = now.boottime
            self._describe()

    def _fork(self) -> None:
        """Leave a stream that another process sends as well: a copy of this machine, woken from the same snapshot."""
        log.error("a collector has later rows of this stream: this machine was copied; a new stream begins")
        self._begin(None, None)
        self._next = self._now().monotonic + self._interval

    def _sample(self, now: Instant) -> None:
        own = self._reader.own
        own["rows"] = own.get("rows", 0.0) + 1
        own["lost_resolution"] = self.spool.lost_rows * self._interval / SECOND
        own["spool_rows"], own["spool_bytes"] = self.spool.rows, self.spool.size
        row = self._reader.sample(now)
        changed = self._reader.schema.id != self._schema
        if changed:
            self._flush(with_state=False)
            self._describe()
        self._tick += 1
        self._taken += 1
        self._ticks.append(self._tick)
        self._times.append(now.boottime)
        self._rows.append(row)
        if changed or self._tick == 1 or len(self._rows) >= self._rows_a_frame:
            self._flush(with_state=True)

    def _describe(self) -> None:
        schema = self._reader.schema
        self._schema, self._width = schema.id, schema.width
        self._hello = self.link.hello = wire.encode_hello(wire.Hello(schema, self._reader.machine()))

    def _flush(self, with_state: bool) -> None:
        """Put the pending rows into the spool; from then on they may be sent."""
        if not self._rows:
            return
        now = self._now()
        offset, flags = self.spool.placed(now.utc - now.boottime, synchronised())
        header = wire.RowsHeader(
            wire.VERSION, self._stream, self.spool.boot, self._schema, self._after, self._base, offset, now.boottime,
            len(self._rows), self._width, flags,
        )  # fmt: skip
        message = wire.encode_rows(header, self._ticks, self._times, self._rows)
        state = json.dumps(self._reader.state(), separators=(",", ":")).encode() if with_state else b""
        self.spool.append(self._hello, message, state)
        self._after = self._tick
        self._ticks, self._times, self._rows = [], [], []


def boot_bytes(boot_id: str) -> bytes:
    """Return a boot's id as 16 bytes.

    >>> boot_bytes("6ba7b810-9dad-11d1-80b4-00c04fd430c8").hex()
    '6ba7b8109dad11d180b400c04fd430c8'
    >>> len(boot_bytes("boot at 1700000000"))
    16
    """
    digits = boot_id.replace("-", "")
    try:
        found = bytes.fromhex(digits)
    except ValueError:
        found = b""
    if len(found) == 16:
        return found
    return b"".join(zlib.crc32(boot_id.encode(), seed).to_bytes(4, "little") for seed in range(4))


_TIME_ERROR: Final = 5
_adjtimex: list[Callable[[Any], int]] = []


def synchronised() -> bool:
    """Return whether the kernel takes the wall clock for synchronised (adjtimex(2))."""
    import ctypes

    if not _adjtimex:
        _adjtimex.append(getattr(ctypes.CDLL(None), "adjtimex", lambda _: -1))
    state = _adjtimex[0](ctypes.create_string_buffer(512))  # struct timex is 208 bytes; zeros: change nothing
    return 0 <= state < _TIME_ERROR


def build(config: Config, context: zmq.Context[zmq.Socket[bytes]], limits: Limits | None = None) -> Agent:
    """Return the agent that ``config`` describes.

    Raises:
        ConfigError, KeyFileError: something in it can't be used.
    """
    if not config.collectors:
        raise ConfigError("no [[collectors]] in the configuration: there is nobody to send to")
    secret = keys.read_secret(config.secret_key)
    collectors = [Collector(peer.address, keys.read_public(peer.server_key)) for peer in config.collectors]
    now, options, folder = clock(), config.sampler_options(), config.state.absolute() / "spool"
    boot = boot_bytes(now().boot_id)
    marker = Marker(volatile_folders(), str(folder), boot)
    spool = Spool(lambda: Disk(folder), boot, config.spool, config.spool_memory, marker)
    link = Link(collectors, secret, spool, now, synchronised, context, limits)
    return Agent(lambda: Sampler(config.root, options), spool, link, now, config.interval, config.frame)


def volatile_folders() -> list[Path]:
    """Return the folders that a reboot empties, those first that are meant for us."""
    given = os.environ.get("RUNTIME_DIRECTORY", "")
    return [Path(p) for p in (*given.split(":"), "/run", "/dev/shm") if p]  # noqa: S108 - emptied by a reboot: that is it


def run(agents: Sequence[Turned], notify: Notify | None = None, now: Callable[[], int] | None = None) -> None:
    """Turn the loop of ``agents`` until SIGTERM or SIGINT; then spool what is pending and wait a little for answers."""
    notify, look = notify or Notify(), now or time.monotonic_ns
    try:
        with _Signals() as signals:
            _turn(agents, signals, notify, look)
            notify.stopping()
            _finish(agents, signals, look)
    finally:
        for agent in agents:
            agent.link.close(linger_ms=200)
            agent.spool.close()


def _turn(agents: Sequence[Turned], signals: _Signals, notify: Notify, look: Callable[[], int]) -> None:
    ready, alive = False, look()
    while not signals.stop:
        due = min(agent.step() for agent in agents)
        if not ready and all(agent.taken for agent in agents):
            notify.ready()
            ready = True
        if notify.watchdog:
            if look() >= alive:
                notify.alive()
                alive = look() + notify.watchdog
            due = min(due, alive)
        _wait(agents, signals, due - look())


def _finish(agents: Sequence[Turned], signals: _Signals, look: Callable[[], int]) -> None:
    for agent in agents:
        agent.finish()
    limits = [(agent, look() + (STOP if agent.spool.durable else STOP_MEMORY)) for agent in agents]
    signals.stop = False  # a second signal ends the waiting
    while not signals.stop:
        dues = [(agent, min(agent.link.step(), limit)) for agent, limit in limits if look() < limit]
        waiting = [(agent, due) for agent, due in dues if not agent.link.delivered]
        if not waiting:
            break
        _wait([agent for agent, _ in waiting], signals, min(due for _, due in waiting) - look())


def _wait(agents: Sequence[Turned], signals: _Signals, nanoseconds: int) -> None:
    poller = zmq.Poller()
    for agent in agents:
        for s in agent.link.sockets():
            poller.register(s, zmq.POLLIN)
    poller.register(signals.fd, zmq.POLLIN)
    poller.poll(max(0, -(-nanoseconds // 1_000_000)))
    signals.drain()


class _Signals:
    """SIGTERM and SIGINT as a file that becomes readable, and ``stop``."""

    def __init__(self) -> None:
        self.stop = False
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        self.fd = self._read.fileno()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._set)
        self._wakeup = signal.set_wakeup_fd(self._write.fileno())
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._read.close()
        self._write.close()

    def _set(self, *_: object) -> None:
        self.stop = True

    def drain(self) -> None:
        """Empty the file."""
        try:
            self._read.recv(64)
        except BlockingIOError:
            return
