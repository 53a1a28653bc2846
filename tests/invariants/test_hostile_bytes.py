"""Hostile peers against the real socket: it stays up, each message is counted under its reason, memory stays flat."""

from __future__ import annotations

import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile import HELLO, Hostile, Peer, frame, header, hostile_messages, pair_of, strangers
from tests.invariants.processes import Site, site, wait_for
from thinwatt_agent import keys, wire
from thinwatt_collector.keys import AllowList
from thinwatt_collector.receive import LARGEST, Message, Receiver

PATIENCE = 60.0


class Listener:
    """The real receiver; what comes through it is read as bytes, as the collector does first."""

    def __init__(self, folder: Path) -> None:
        self.names = {}
        for name in ("collector", "good", "revoked", "stranger"):
            keys.generate(folder / name)
            self.names[name] = keys.read_secret(folder / name)
        self.list = folder / "agents"
        self.let_in("good", "revoked")
        self._looks = 0
        self.receiver = Receiver("tcp://127.0.0.1:*", self.names["collector"], AllowList(self.list, self._clock))
        self.server_key = keys.public_of(self.names["collector"])
        self.port = int(self.receiver.address.rpartition(":")[2])
        self.refused: Counter[str] = Counter()
        self.taken: list[Message] = []
        self.peers: list[Peer] = []

    def _clock(self) -> int:
        self._looks += 1
        return self._looks * 1_000_000_000

    def let_in(self, *names: str) -> None:
        self.list.write_text("".join(f"{n} {keys.public_of(self.names[n]).decode()}\n" for n in names))

    def peer(self, name: str = "good", routing_id: bytes = b"") -> Peer:
        self.peers.append(Peer(self.receiver.address, self.server_key, pair_of(self.names[name]), routing_id))
        return self.peers[-1]

    @property
    def dropped(self) -> Counter[str]:
        return self.receiver.dropped + self.refused

    def turn(self) -> None:
        for message in self.receiver.drain(5, 64 << 20):
            try:
                _, kind = wire.kind_of(message.data)
                if kind == wire.HELLO:
                    wire.decode_hello(message.data)
                elif kind == wire.ROWS:
                    wire.rows_header(message.data)
                    self.taken.append(message)
                else:
                    raise wire.WireError("unknown_kind", "not for a collector")
            except wire.WireError as error:
                self.refused[error.reason] += 1
                refusal = wire.Refusal(bytes(16), error.reason, error.text[:100])
                self.receiver.send(message.route, wire.encode_refusal(refusal))

    def until(self, done: Callable[[], bool]) -> None:
        limit = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < limit, f"it never came to that: {self.dropped}"
            self.turn()

    def close(self) -> None:
        for peer in self.peers:
            peer.close()
        self.receiver.close()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    it = Listener(tmp_path)
    yield it
    it.close()


def still_works(listener: Listener) -> None:
    """A good agent is heard as if nothing had happened."""
    peer = listener.peer()
    message = frame(header(random.Random(os.urandom(8))))
    before = len(listener.taken)
    assert peer.send(HELLO)
    assert peer.send(message)
    listener.until(lambda: len(listener.taken) > before)
    assert (listener.taken[-1].agent, listener.taken[-1].data) == ("good", message)
    peer.close()


SHALLOW = [h for h in hostile_messages(random.Random(1)) if not h.deep]


@pytest.mark.parametrize("hostile", SHALLOW, ids=[h.name for h in SHALLOW])
def test_each_is_counted_under_its_reason_and_nothing_else(listener: Listener, hostile: Hostile) -> None:
    peer = listener.peer()
    assert peer.send(*hostile.parts)
    listener.until(lambda: sum(listener.dropped.values()) > 0)
    assert sum(listener.dropped.values()) == 1
    assert set(listener.dropped) <= hostile.reasons
    assert listener.taken == []
    if len(hostile.parts) == 1:
        listener.until(lambda: peer.refusal(5) in hostile.reasons)
    still_works(listener)


def test_beyond_any_size_the_connection_is_cut(listener: Listener) -> None:
    peer = listener.peer()
    assert peer.send(frame(header(random.Random(1))))
    listener.until(lambda: len(listener.taken) == 1)
    assert peer.send(bytes(LARGEST + 1000))
    still_works(listener)
    assert all(len(m.data) < 1000 for m in listener.taken)


@pytest.mark.parametrize("routing_id", [b"agent-1", b"x", b"\0", b"\0abc", b"\0" * 200])
def test_who_chooses_a_routing_id_is_not_heard(listener: Listener, routing_id: bytes) -> None:
    peer = listener.peer(routing_id=routing_id)
    assert peer.send(frame(header(random.Random(1))))
    listener.until(lambda: listener.dropped["chosen_route"] == 1)
    still_works(listener)
    assert len(listener.taken) == 1


def test_two_peers_of_one_routing_id_do_not_disturb_each_other_or_us(listener: Listener) -> None:
    twins = [listener.peer(routing_id=b"\0twin") for _ in range(4)]
    for twin in twins:
        twin.send(frame(header(random.Random(1))))
    listener.until(lambda: len(listener.taken) >= 1)
    still_works(listener)


def test_an_unknown_key_is_refused_counted_and_told_once(listener: Listener, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        peer = listener.peer("stranger")
        peer.send(frame(header(random.Random(1))))
        before = listener.dropped["unknown_key"]
        listener.until(lambda n=before: listener.dropped["unknown_key"] > n)  # type: ignore[misc] # no type for n=
        peer.close()
    assert listener.taken == []
    key = keys.public_of(listener.names["stranger"]).decode()
    assert sum(key in r.getMessage() for r in caplog.records) == 1
    still_works(listener)


def test_the_key_of_another_server_gets_no_connection(listener: Listener) -> None:
    peer = Peer(listener.receiver.address, keys.public_of(listener.names["stranger"]), pair_of(listener.names["good"]))
    listener.peers.append(peer)
    peer.send(frame(header(random.Random(1))))
    listener.until(lambda: listener.dropped["handshake"] > 0)
    assert listener.taken == []
    still_works(listener)


def test_a_revoked_key_is_not_heard_on_its_open_connection(listener: Listener) -> None:
    good, revoked = listener.peer("good"), listener.peer("revoked")
    for peer in (good, revoked):
        peer.send(frame(header(random.Random(1))))
    listener.until(lambda: len(listener.taken) == 2)
    listener.let_in("good")
    for peer in (revoked, revoked, good):
        peer.send(frame(header(random.Random(2))))
    listener.until(lambda: listener.dropped["not_allowed"] == 2 and len(listener.taken) == 3)
    assert listener.taken[-1].agent == "good"
    listener.until(lambda: revoked.refusal(5) == "not_allowed")
    listener.let_in("good", "revoked")
    revoked.send(frame(header(random.Random(3))))
    listener.until(lambda: len(listener.taken) == 4)


def test_programs_that_are_no_agents_get_nowhere(listener: Listener) -> None:
    opened = strangers(listener.port, random.Random(1))
    listener.until(lambda: listener.dropped["handshake"] >= 5)
    still_works(listener)
    for s in opened:
        s.close()
    still_works(listener)
    assert all(m.agent == "good" for m in listener.taken)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Listener, Peer]]:
    it = Listener(tmp_path_factory.mktemp("hostile"))
    yield it, it.peer()
    it.close()


def mutated(data: st.DataObject) -> bytes:
    message = bytearray(data.draw(st.sampled_from([HELLO, frame(header(random.Random(1)))])))
    for _ in range(data.draw(st.integers(0, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.none() | st.integers(0, len(message)))
    return bytes(message[:cut]) + data.draw(st.binary(max_size=20))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.data())
def test_any_bytes_are_taken_or_refused(shared: tuple[Listener, Peer], data: st.DataObject) -> None:
    listener, peer = shared
    parts = (
        data.draw(st.lists(st.binary(max_size=300), min_size=1, max_size=3))
        if data.draw(st.booleans())
        else [mutated(data)]
    )
    before = sum(listener.dropped.values()) + len(listener.taken)
    hello = len(parts) == 1 and parts[0] == HELLO
    assert peer.send(*parts)
    listener.until(lambda: hello or sum(listener.dropped.values()) + len(listener.taken) == before + 1)
    listener.taken.clear()
    while peer.socket.poll(0):
        peer.socket.recv()


def test_what_is_not_drained_waits_with_the_senders(listener: Listener) -> None:
    """A collector that takes nothing holds a bounded number of messages of each peer, whatever they send."""
    before = psutil.Process().memory_info().rss
    peers = [listener.peer() for _ in range(4)]
    for peer in peers:
        peer.socket.sndhwm = 1
    message = frame(header(random.Random(1))) + bytes(1 << 20)
    limit = time.monotonic() + 3
    sent = 0
    while time.monotonic() < limit:
        sent += sum(peer.send(message) for peer in peers)
    assert psutil.Process().memory_info().rss - before < 400 << 20
    listener.until(lambda: sum(listener.dropped.values()) >= sent)
    still_works(listener)


# The whole collector, as a process


class Besieged:
    """A running collector, known by what its pages say."""

    def __init__(self, folder: Site) -> None:
        self.site = folder
        self.machine = folder.machine("good", [])
        self.collector = folder.collector()
        self.collector.up()
        self.address = f"tcp://127.0.0.1:{self.collector.port}"
        self.server_key = keys.read_public(keys.public_path(folder.key("collector")))
        self.pair = pair_of(keys.read_secret(folder.key("good")))

    def peer(self) -> Peer:
        return Peer(self.address, self.server_key, self.pair)

    def dropped(self) -> Counter[str]:
        """What /metrics says was not taken, by reason."""
        text = self.collector.page("/metrics")[1]
        found = re.findall(r'^thinwatt_collector_dropped_messages_total\{reason="(\w+)"\} (\S+)$', text, re.MULTILINE)
        return Counter({reason: round(float(count)) for reason, count in found})

    def rss(self) -> int:
        process = self.collector._process
        assert process is not None
        return int(psutil.Process(process.pid).memory_info().rss)


@pytest.fixture(scope="module")
def besieged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    with site(tmp_path_factory.mktemp("besieged")) as folder:
        yield Besieged(folder)


EVERYTHING = list(hostile_messages(random.Random(2)))


@pytest.mark.parametrize("hostile", EVERYTHING, ids=[h.name for h in EVERYTHING])
def test_the_collector_counts_each_under_its_reason(besieged: Besieged, hostile: Hostile) -> None:
    before = besieged.dropped()
    peer = besieged.peer()
    assert peer.send(HELLO)
    assert peer.send(*hostile.parts)
    wait_for(lambda: besieged.dropped() != before, hostile.name)
    found = besieged.dropped() - before
    peer.close()
    assert sum(found.values()) == 1
    assert set(found) <= hostile.reasons
    assert "Traceback" not in besieged.collector.said()


def test_the_collector_stays_up_and_its_memory_flat(besieged: Besieged) -> None:
    rng = random.Random(3)
    for _ in range(4):  # until the allocator has what it ever needs
        assault(besieged, rng)
    before = besieged.rss()
    for _ in range(4):
        assault(besieged, rng)
    assert besieged.rss() - before < 16 << 20
    assert besieged.collector.page("/readyz")[0] == 200
    assert "Traceback" not in besieged.collector.said()


def assault(besieged: Besieged, rng: random.Random) -> None:
    """Send everything once, by peers that never read what they are told, and a flood; wait until all is counted."""
    counted, peers = besieged.dropped(), []
    for hostile in hostile_messages(rng):
        peers.append(besieged.peer())
        assert peers[-1].send(HELLO)
        assert peers[-1].send(*hostile.parts)
        counted[min(hostile.reasons)] += 1
    peers.append(besieged.peer())
    counted["not_thinwatt"] += sum(peers[-1].send(rng.randbytes(2000)) for _ in range(500))
    opened = strangers(besieged.collector.port, rng)

    def all_counted() -> bool:
        found = besieged.dropped()
        return sum(found.values()) - found["handshake"] >= sum(counted.values()) - counted["handshake"]

    wait_for(all_counted, "every message is counted")
    for peer in peers:
        peer.close()
    for s in opened:
        s.close()
