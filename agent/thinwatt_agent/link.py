"""The connection to a collector: DEALER and CURVE, one collector of a list at a time, its answers always read.

ZeroMQ's own reconnecting is off: it would put frames into the queue of a peer that is not there, and bring a thousand
agents back in the same second. A connection that ends is closed here, with all that was in it (the spool has it), and
opened anew after a jittered wait, to the next collector of the list.
"""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import zmq

from thinwatt_agent import frames, keys, wire
from thinwatt_agent.counters import Instant
from thinwatt_agent.sequence import SECOND, Limits, backoff
from thinwatt_agent.sequence import Sequence as Order
from thinwatt_agent.spool import Frame, Spool

log = logging.getLogger(__name__)

TRIES: Final = 3
"""Time-outs on an open connection before it is opened anew, where there is no other collector."""
BELIEVED: Final = 1 * SECOND
"""A collector's clock is believed from answers to frames that were sent no longer ago [ns]."""
OPENING: Final = 15 * SECOND
"""Time for connection and handshake [ns]."""
HELD: Final = 64
"""Messages that may wait in each direction."""

_READY: Final = zmq.Event.HANDSHAKE_SUCCEEDED
_REFUSED: Final = zmq.Event.HANDSHAKE_FAILED_AUTH
_NO_HANDSHAKE: Final = "the handshake failed: its key is not the one in server_key, or this is no thinwatt collector"
_ENDED: Final = {
    zmq.Event.CLOSED: "nobody answers",
    zmq.Event.DISCONNECTED: "the connection ended",
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL: _NO_HANDSHAKE,
    zmq.Event.HANDSHAKE_FAILED_PROTOCOL: _NO_HANDSHAKE,
}
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Collector:
    """Where a collector listens, and its public key (Z85)."""

    address: str
    server_key: bytes


class Link:
    """Sends what the spool has and reads what the collector says; never waits.

    Args:
        collectors: in order of preference.
        secret: this agent's secret key, Z85.
        spool: what to send.
        now: looks at the clocks.
        synced: whether the wall clock is synchronised.
        context: shared by the links of a process.
        limits: of what is in flight, and times.
        rng: for jitter.
    """

    def __init__(
        self,
        collectors: Sequence[Collector],
        secret: bytes,
        spool: Spool,
        now: Callable[[], Instant],
        synced: Callable[[], bool],
        context: zmq.Context[zmq.Socket[bytes]],
        limits: Limits | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.order = Order(spool, limits, rng)
        self.hello = b""
        self._collectors, self._secret, self._spool = collectors, secret, spool
        self._now, self._synced, self._context = now, synced, context
        self._random = rng or random.Random()
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: zmq.Socket[bytes] | None = None
        self._ready = False
        self._version = wire.VERSION
        self._spoken = self._stale = 0
        self._announced: set[bytes] = set()
        self._turn = 0
        self._failures = 0
        self._at = 0
        self._told = ""

    @property
    def connected(self) -> bool:
        """Whether a collector is there and let us in."""
        return self._ready

    @property
    def delivered(self) -> bool:
        """Whether there is nothing left to send, or nobody to send it to."""
        return not self.connected or self.order.idle

    def sockets(self) -> list[zmq.Socket[bytes]]:
        """Return the sockets to wait for; they change with every connection."""
        return [s for s in (self._socket, self._monitor) if s is not None]

    def step(self) -> int:
        """Read what came, send what may go, and return when to come back at the latest (monotonic, ns)."""
        now = self._now().monotonic
        if self._socket is None:
            if now < self._at:
                return self._at
            self._open(now)
        self._watch(now)
        self._read()
        if self._ready:
            self._check(now)
            self._send()
        elif self._socket is not None and now >= self._at:
            self._fail(now, "no connection in time")
        due = self.order.due(now) if self._ready else self._at
        return now + 3600 * SECOND if due is None else due

    def close(self, linger_ms: int = 0) -> None:
        """Close the connection; what is not answered stays in the spool."""
        if self._socket is not None:
            # An event that finds no reader stops libzmq's thread, and with it every connection of the process.
            self._socket.disable_monitor()
        for s in self.sockets():
            s.close(linger_ms)
        self._socket = self._monitor = None
        self._ready = False

    # The connection

    @property
    def _collector(self) -> Collector:
        return self._collectors[self._turn % len(self._collectors)]

    def _open(self, now: int) -> None:
        s = self._socket = self._context.socket(zmq.DEALER)
        s.curve_secretkey, s.curve_publickey = self._secret, keys.public_of(self._secret)
        s.curve_serverkey = self._collector.server_key
        s.linger, s.immediate, s.ipv6, s.reconnect_ivl = 0, True, True, -1
        s.sndhwm, s.rcvhwm, s.maxmsgsize, s.connect_timeout = HELD, HELD, wire.MAX_HELLO, OPENING // 1_000_000
        place = f"inproc://thinwatt.link.{next(_numbers)}"
        s.monitor(place, _READY | _REFUSED | sum(_ENDED))
        self._monitor = self._context.socket(zmq.PAIR)
        self._monitor.linger = 0
        self._monitor.connect(place)
        self._at = now + OPENING
        s.connect(self._collector.address)

    def _watch(self, now: int) -> None:
        while self._monitor is not None:
            try:
                event = int.from_bytes(self._monitor.recv_multipart(zmq.NOBLOCK)[0][:2], "little")
            except zmq.Again:
                return
            if event == _READY:
                self._begin()
            elif event == _REFUSED:
                self._refused_key(now)
            elif event in _ENDED:
                self._fail(now, _ENDED[zmq.Event(event)])

    def _begin(self) -> None:
        self._ready = True
        self._version = wire.VERSION
        self._spoken = self._stale = 0
        self._announced.clear()
        self.order.restart()
        log.info("connected to the collector at %s", self._collector.address)
        self._told = ""
        if self.hello:
            with suppress(zmq.Again):  # it has ended meanwhile, which the next event says
                self._say_hello(self.hello)

    def _fail(self, now: int, why: str) -> None:
        """Close, and come back later: at once to a collector not tried yet, then ever more slowly."""
        if why != self._told and (self._failures or self._ready):  # one failure may be a collector that just starts
            log.warning("collector at %s: %s; rows wait in the spool", self._collector.address, why)
            self._told = why
        self.close()
        self.order.restart()
        self._turn += 1
        self._failures += 1
        rounds = (self._failures - 1) // len(self._collectors)
        self._at = now + backoff(self.order.limits, rounds, self._random.uniform)

    def _refused_key(self, now: int) -> None:
        public = keys.public_of(self._secret).decode()
        self._fail(now, f"this agent's key is not on its list; the line to add there: <name> {public}")

    def _check(self, now: int) -> None:
        """After a time-out try another collector, or the same on a new connection."""
        if self.order.expired(now) and (len(self._collectors) > 1 or self.order.strikes % TRIES == 0):
            self._fail(now, f"no answer in {self.order.limits.timeout // SECOND} s")

    # What the collector says

    def _read(self) -> None:
        while self._socket is not None:
            try:
                message = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                _, kind = wire.kind_of(message)
                if kind == wire.ANSWER:
                    self._answer(wire.decode_answer(message))
                elif kind == wire.REFUSAL:
                    self._refusal(wire.decode_refusal(message))
            except wire.WireError as error:
                if error.reason == "unknown_version":
                    self._speak_older(self._now().monotonic)
                else:
                    log.warning("collector at %s sent what is no answer: %s", self._collector.address, error)

    def _answer(self, answer: wire.Answer) -> None:
        now = self._now()
        self._failures = 0
        sent = self.order.answered(answer.stream, answer.position)
        if sent is not None and now.monotonic - sent < BELIEVED:
            self._spool.place(answer.utc - now.boottime)

    def _refusal(self, refusal: wire.Refusal) -> None:
        now = self._now().monotonic
        if refusal.reason == "unknown_version":
            self._speak_older(now)
        elif refusal.reason == "not_allowed":
            self._refused_key(now)
        elif refusal.reason == "unknown_schema":
            self._announced.clear()
            self.order.again(refusal.stream, now)
        elif refusal.reason == "bad_schema" and not any(refusal.stream):
            self._fail(now, f"it refuses our hello ({refusal.text})")
        else:
            log.warning("collector at %s refuses: %s (%s)", self._collector.address, refusal.reason, refusal.text)
            self.order.refused(refusal.stream, refusal.reason)

    def _speak_older(self, now: int) -> None:
        if self._stale:
            self._stale -= 1  # of a message that had gone before the first refusal came
        elif self._version == wire.OLDEST_VERSION:
            self._fail(now, f"it speaks none of the versions {wire.OLDEST_VERSION} to {wire.VERSION}: upgrade it")
        else:
            self._version -= 1
            self._stale, self._spoken = self._spoken - 1, 0
            self._announced.clear()
            self.order.restart()

    # What we say

    def _send(self) -> None:
        while self._socket is not None:
            now = self._now()
            frame = self.order.next(now.monotonic)
            if frame is None:
                return
            try:
                if frame.header.schema not in self._announced:
                    self._say_hello(frame.hello())
                self._say(self._stamped(frame, now))
            except (zmq.Again, OSError, wire.WireError) as error:
                log.debug("not sent now: %s", error)
                self.order.wait(now.monotonic)
                return
            self.order.sent(frame, now.monotonic)

    def _say_hello(self, message: bytes) -> None:
        hello = wire.decode_hello(message)
        self._say(message if self._version == wire.VERSION else wire.encode_hello(hello, self._version))
        self._announced.add(hello.schema.id)

    def _say(self, message: bytes) -> None:
        if self._socket is not None:
            self._socket.send(message, zmq.NOBLOCK)
            self._spoken += 1

    def _stamped(self, frame: Frame, now: Instant) -> bytes:
        """Return the message with what is true of this sending: version, after, clocks."""
        header = replace(frame.header, version=self._version, sent=now.boottime)
        if header.boot == self._spool.boot:
            flags = wire.LIVE | (wire.SYNCED if self._synced() else 0)
            header = replace(header, wall_offset=now.utc - now.boottime, flags=flags)
        else:
            header = replace(header, flags=header.flags & (wire.SYNCED | wire.OFFSET_KNOWN))
        return frames.stamp(frame.message, header)
