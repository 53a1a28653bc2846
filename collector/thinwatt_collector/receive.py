"""The socket that agents talk to: who they are, what they sent, and what was not taken.

Whoever knows no key of the list gets no connection; whoever lost his key keeps his connection (ZeroMQ has no way to
end it) and is heard no more. What a message says of its sender is never believed: the name comes from the key.

A hostile peer with a good key is bounded: ``QUEUE`` messages of ``LARGEST`` bytes wait for it at most, everything
else waits in the senders. One without a key has ``HANDSHAKE`` milliseconds.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import threading
import time
from collections import Counter
from typing import Final, NamedTuple

import zmq
from zmq.utils import z85

from thinwatt_agent import wire
from thinwatt_collector.keys import AllowList, user_id

log = logging.getLogger(__name__)

LARGEST: Final = wire.MAX_MESSAGE + (1 << 20)
"""Beyond it libzmq cuts the connection; a message over ``wire.MAX_MESSAGE`` but under this is refused by name."""
QUEUE: Final = 8
ANSWERS: Final = 64
HANDSHAKE: Final = 10_000
KEYS_TOLD: Final = 256
LEAST: Final = 512
"""A message counts at least so many bytes to the bound of a drain: a flood of empty ones ends it as well."""

ZAP: Final = "inproc://zeromq.zap.01"
FAILED: Final = zmq.Event.HANDSHAKE_FAILED_NO_DETAIL | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
SETTLED: Final = FAILED | zmq.Event.HANDSHAKE_FAILED_AUTH | zmq.Event.HANDSHAKE_SUCCEEDED
WATCHED: Final = SETTLED | zmq.Event.ACCEPTED | zmq.Event.DISCONNECTED
TOLD_AGAIN: Final = 3600.0
"""An address that something else than an agent connects from is told once in so long [s]."""


REASONS: Final = ("chosen_route", "handshake", "not_allowed", "not_thinwatt", "unknown_key")
"""Why the receiver itself does not take something."""


class Message(NamedTuple):
    """What one agent sent: ``agent`` is the name that its key has, ``received`` the collector's UTC [ns]."""

    route: bytes
    agent: str
    data: bytes
    received: int


class Receiver:
    """A ROUTER with CURVE. One thread drains and sends; the door (ZAP) has a thread of its own.

    Args:
        bind: ``tcp://*:8466``; port ``*`` chooses one, see :attr:`address`.
        secret_key: the collector's, Z85.
        allow: who is let in.
    """

    def __init__(self, bind: str, secret_key: bytes, allow: AllowList) -> None:
        self.dropped: Counter[str] = Counter()
        self._allow = allow
        self._context = zmq.Context()
        self._door = _Door(self._context, allow, self.dropped)
        self._socket = self._context.socket(zmq.ROUTER)
        try:
            self._open(bind, secret_key)
        except zmq.ZMQError:
            self.close()
            raise
        self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def _open(self, bind: str, secret_key: bytes) -> None:
        s = self._socket
        s.curve_server, s.curve_secretkey, s.zap_domain = True, secret_key, b"thinwatt"
        s.router_mandatory, s.ipv6, s.linger, s.backlog = False, True, 1000, 4096
        s.maxmsgsize, s.rcvhwm, s.sndhwm, s.handshake_ivl = LARGEST, QUEUE, ANSWERS, HANDSHAKE
        s.tcp_keepalive, s.tcp_keepalive_idle, s.tcp_keepalive_intvl, s.tcp_keepalive_cnt = 1, 300, 60, 3
        s.monitor(self._door.monitor, WATCHED)
        self._door.open()
        s.bind(bind)

    def drain(self, timeout_ms: int, max_bytes: int) -> list[Message]:
        """Return what has arrived, waiting up to ``timeout_ms`` for the first message and stopping at ``max_bytes``."""
        self._allow.refresh()
        messages: list[Message] = []
        if not self._socket.poll(timeout_ms):
            return messages
        receive, names, left = self._socket.recv, self._allow.names, max_bytes
        while left > 0:
            try:
                route = receive(zmq.NOBLOCK)
            except zmq.Again:
                break
            frame = receive(zmq.NOBLOCK, copy=False)
            left -= max(len(frame), LEAST)
            reason = "not_thinwatt" if frame.more and self._skip() else ""
            name = names.get(frame.get("User-Id"), "")  # type: ignore[arg-type]  # a text, whatever the stub says
            if len(route) != 5 or route[0] != 0:
                reason = "chosen_route"
            elif not name:
                reason = "not_allowed"
                self._refuse(route)
            if reason:
                self.dropped[reason] += 1
            else:
                messages.append(Message(route, name, frame.bytes, time.time_ns()))
        return messages

    def send(self, route: bytes, data: bytes) -> None:
        """Send to one connection; what can't go at once (gone, or its queue is full) is dropped: agents ask again."""
        try:
            self._socket.send(route, zmq.NOBLOCK | zmq.SNDMORE)
            self._socket.send(data, zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise

    def close(self) -> None:
        """Let answers go out for up to a second, then close."""
        if not self._socket.closed:
            self._socket.disable_monitor()  # an event that finds no reader would stop libzmq's thread
        self._socket.close()
        self._door.close()
        self._context.term()

    def _skip(self) -> bool:
        while self._socket.getsockopt(zmq.RCVMORE):
            self._socket.recv(zmq.NOBLOCK)
        return True

    def _refuse(self, route: bytes) -> None:
        text = "the key of this connection is no longer on the collector's list"
        self.send(route, wire.encode_refusal(wire.Refusal(bytes(16), "not_allowed", text, wire.OLDEST_VERSION)))


class _Door:
    """Answers ZeroMQ's authentication requests (RFC 27) and counts handshakes that came to nothing."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], allow: AllowList, dropped: Counter[str]) -> None:
        self._allow = allow
        self._dropped = dropped
        self._told: set[str] = set()
        self._strangers = Strangers()
        self.monitor = f"inproc://thinwatt.monitor.{id(self)}"
        self._requests = context.socket(zmq.REP)
        self._requests.bind(ZAP)
        self._failures = context.socket(zmq.PAIR)
        self._end, self._ended = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
        self._ended.bind(f"{self.monitor}.end")
        self._end.connect(f"{self.monitor}.end")
        self._thread = threading.Thread(target=self._run, name="door", daemon=True)

    def open(self) -> None:
        """Start to answer; the monitor must be on."""
        self._failures.connect(self.monitor)
        self._thread.start()

    def close(self) -> None:
        """End the thread and close its sockets."""
        if self._thread.is_alive():
            self._end.send(b"")
            self._thread.join()
        for s in (self._requests, self._failures, self._end, self._ended):
            s.close(0)

    def _run(self) -> None:
        poller = zmq.Poller()
        for s in (self._requests, self._failures, self._ended):
            poller.register(s, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if self._ended in ready:
                return
            if self._failures in ready:
                self._failed()
            if self._requests in ready:
                self._requests.send_multipart(self._answer(self._requests.recv_multipart()))

    def _failed(self) -> None:
        event, number = struct.unpack_from("=Hi", self._failures.recv_multipart()[0])
        self._dropped["handshake"] += self._strangers.event(event, number, time.monotonic())

    def _answer(self, request: list[bytes]) -> list[bytes]:
        version, number, _, address, _, mechanism, *credentials = request
        self._allow.refresh()
        key = z85.encode(credentials[0]).decode() if mechanism == b"CURVE" and credentials else ""
        name = self._allow.keys.get(key)
        if name is not None:
            return [version, number, b"200", b"OK", user_id(name, key).encode(), b""]
        self._dropped["unknown_key"] += 1
        if key not in self._told and len(self._told) < KEYS_TOLD:
            self._told.add(key)
            log.warning(
                "%s asked to be let in with the key %s, which is not in %s; not told again of this key",
                address.decode(errors="replace"), key, self._allow.path,
            )  # fmt: skip
        return [version, number, b"400", b"this key is not on the list", b"", b""]


class Strangers:
    """Connections that never shook hands, from libzmq's events: a browser, a scanner, random bytes.

    libzmq tells of an opening that it can't parse only that the connection ended, and of a success not of which
    connection. But whatever is not settled yet is still open, and was accepted since the last time that all were (or in
    the time that a handshake has): as many as are more than that are strangers. Memory is that of the open descriptors.
    """

    def __init__(self) -> None:
        self._peers: dict[int, str] = {}
        self._maybe: dict[int, float] = {}
        self._unsettled = 0
        self._failed = False
        self._told: dict[str, float] = {}

    def event(self, event: int, number: int, now: float) -> int:
        """Take in an event and its number (a descriptor, or nothing of use); return how many strangers are known."""
        failed, self._failed = self._failed, bool(event & FAILED)
        found, peer = int(self._failed), ""
        if event == zmq.Event.ACCEPTED:
            self._maybe.pop(number, None)  # its end is told before the descriptor is used again, or not at all
            self._maybe[number] = now
            self._peers[number] = peer_of(number)
            self._unsettled += 1
        elif event & SETTLED:
            self._unsettled = max(0, self._unsettled - 1)
        else:
            peer = self._peers.pop(number, "")
            self._maybe.pop(number, None)
        while self._maybe and now - next(iter(self._maybe.values())) > HANDSHAKE / 1000 + 1:
            del self._maybe[next(iter(self._maybe))]
        more = max(0, self._unsettled - len(self._maybe))
        self._unsettled -= more
        if not self._unsettled:
            self._maybe.clear()
        if event == zmq.Event.DISCONNECTED and (failed or more):
            self._tell(peer or "something that was gone at once", now)
        return found + more

    def _tell(self, peer: str, now: float) -> None:
        if now < self._told.get(peer, now):
            return
        self._told = {p: until for p, until in self._told.items() if until > now}
        if len(self._told) < KEYS_TOLD:
            self._told[peer] = now + TOLD_AGAIN
            log.warning(
                "%s connected and was no agent (no handshake, or not to its end): if it is one, see its log and its "
                "server_key; not told again of this address for an hour", peer,
            )  # fmt: skip


def peer_of(descriptor: int) -> str:
    """Return the address of a connection, "" where it is gone already."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            return str(connection.getpeername()[0]).removeprefix("::ffff:")
    except (OSError, IndexError):
        return ""
