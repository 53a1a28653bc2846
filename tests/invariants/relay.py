"""A relay that speaks for an agent with the agent's own key, so that it can do to frames what TCP never would.

The agent takes it for a collector (it has a collector's key of its own), the collector takes it for the agent. Frames
and answers alike are lost, sent twice, held back and so put out of order; and those for a collector that is gone wait
in its queue for the next one.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from pathlib import Path

import zmq

from thinwatt_agent import keys

TURN = 20
HELD = 3.0
"""The longest that a message is held back [s]."""


class Relay:
    """Listens on ``port``.

    Args:
        target: the collector's port.
        server_key: file of the collector's public key.
        relay_key: file of the relay's secret key, a collector's to the agent.
        agent_key: file of the agent's secret key.
        seed: of everything it does.
    """

    def __init__(self, target: int, server_key: Path, relay_key: Path, agent_key: Path, seed: int) -> None:
        self._rng = random.Random(seed)
        self.faulty = True
        self.lost = self.doubled = self.held = 0
        self._context = zmq.Context()
        self._agent = self._context.socket(zmq.ROUTER)
        self._agent.linger, self._agent.curve_server = 0, True
        self._agent.curve_secretkey = keys.read_secret(relay_key)
        self.port = self._agent.bind_to_random_port("tcp://127.0.0.1")
        self._collector = self._context.socket(zmq.DEALER)
        self._collector.linger, self._collector.reconnect_ivl = 0, 100
        secret = keys.read_secret(agent_key)
        self._collector.curve_secretkey, self._collector.curve_publickey = secret, keys.public_of(secret)
        self._collector.curve_serverkey = keys.read_public(server_key)
        self._collector.connect(f"tcp://127.0.0.1:{target}")
        self._route = b""
        self._due: list[tuple[float, int, bool, bytes]] = []
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def calm(self) -> None:
        """Pass everything on from now on."""
        self.faulty = False

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._agent.close(0)
        self._collector.close(0)
        self._context.term()

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._agent, zmq.POLLIN)
        poller.register(self._collector, zmq.POLLIN)
        while not self._stop.is_set():
            ready = dict(poller.poll(TURN))
            if self._agent in ready:
                self._route, message = self._agent.recv_multipart()
                self._enter(message, up=True)
            if self._collector in ready:
                self._enter(self._collector.recv(), up=False)
            while self._due and self._due[0][0] <= time.monotonic():
                _, _, up, message = heapq.heappop(self._due)
                self._pass_on(message, up=up)

    def _enter(self, message: bytes, *, up: bool) -> None:
        """Decide what becomes of a message."""
        now, rng = time.monotonic(), self._rng
        if self.faulty and rng.random() < 0.08:
            self.lost += 1
            return
        copies = 1
        if self.faulty and rng.random() < 0.25:
            self.doubled += 1
            copies = rng.randint(2, 4)
        for _ in range(copies):
            later = HELD * rng.random() ** 2 if self.faulty and rng.random() < 0.4 else 0.0
            self.held += later > 0
            heapq.heappush(self._due, (now + later, next(self._numbers), up, message))

    def _pass_on(self, message: bytes, *, up: bool) -> None:
        try:
            if up:
                self._collector.send(message, zmq.NOBLOCK)
            elif self._route:
                self._agent.send_multipart([self._route, message], zmq.NOBLOCK)
        except zmq.ZMQError:
            self.lost += 1
