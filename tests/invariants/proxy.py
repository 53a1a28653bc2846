"""A TCP proxy between agents and a collector that delays bytes and resets connections, or lets nobody through."""

from __future__ import annotations

import random
import selectors
import socket
import struct
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

CHUNK = 1 << 16
TURN = 0.02


@dataclass(eq=False)
class Pipe:
    """One direction of a connection: bytes that wait until they are due."""

    source: socket.socket
    target: socket.socket
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)


class Proxy:
    """Listens on ``port`` and passes on to ``target``.

    Args:
        target: the collector's port.
        seed: of delays and resets.
        delay: the longest that bytes are held [s].
        reset_every: mean time between resets of a connection [s].
    """

    def __init__(self, target: int, seed: int, delay: float = 0.0, reset_every: float = 0.0) -> None:
        self._target, self._rng = target, random.Random(seed)
        self.delay, self.reset_every, self.open = delay, reset_every, True
        self.resets = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._pairs: list[tuple[Pipe, Pipe]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def calm(self) -> None:
        """Pass everything on from now on."""
        self.delay = self.reset_every = 0.0

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        for pair in list(self._pairs):
            self._reset(pair)
        self._selector.close()
        self._listener.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            for key, _ in self._selector.select(TURN):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._receive(key.data)
            for pair in list(self._pairs):
                self._turn(pair)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            if not self.open:
                raise ConnectionRefusedError
            server = socket.create_connection(("127.0.0.1", self._target), 5)
        except OSError:
            _cut(client)
            return
        pair = Pipe(client, server), Pipe(server, client)
        self._pairs.append(pair)
        for pipe in pair:
            pipe.source.settimeout(5)
            pipe.source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(pipe.source, selectors.EVENT_READ, (pair, pipe))

    def _receive(self, where: tuple[tuple[Pipe, Pipe], Pipe]) -> None:
        pair, pipe = where
        if pair not in self._pairs:
            return
        try:
            data = pipe.source.recv(CHUNK)
        except OSError:
            data = b""
        if not data:
            self._reset(pair)
            return
        due = time.monotonic() + self._rng.random() ** 3 * self.delay
        pipe.waiting.append((max(due, pipe.waiting[-1][0]) if pipe.waiting else due, data))

    def _turn(self, pair: tuple[Pipe, Pipe]) -> None:
        chance = TURN / self.reset_every if self.reset_every else 0.0
        if not self.open or self._rng.random() < chance:
            self.resets += 1
            self._reset(pair)
            return
        now = time.monotonic()
        for pipe in pair:
            while pipe.waiting and pipe.waiting[0][0] <= now:
                try:
                    pipe.target.sendall(pipe.waiting.popleft()[1])
                except OSError:
                    self._reset(pair)
                    return

    def _reset(self, pair: tuple[Pipe, Pipe]) -> None:
        self._pairs.remove(pair)
        for pipe in pair:
            self._selector.unregister(pipe.source)
            _cut(pipe.source)


def _cut(s: socket.socket) -> None:
    """Close with a reset: what was under way is gone."""
    with suppress(OSError):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
