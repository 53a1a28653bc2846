"""The link over real sockets: whatever becomes of connections, keys, versions and answers, each row is booked once."""

from __future__ import annotations

import logging
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import zmq

from tests.agent.standin import StandIn, Stream, idle, until
from tests.agent.stores import FaultyDisk
from tests.agent.test_spool import BOOT, HELLO, NARROW, OTHER_BOOT, SCHEMA, A, B, rows
from thinwatt_agent import keys, wire
from thinwatt_agent.link import Collector, Link
from thinwatt_agent.machine import clock
from thinwatt_agent.sequence import SECOND, Limits
from thinwatt_agent.spool import Spool
from thinwatt_agent.wire import Hello

MS = SECOND // 1000
QUICK = Limits(timeout=400 * MS, shortest=10 * MS, longest=80 * MS)


class Bench:
    """An agent's spool and link, and the collectors it knows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.public = keys.generate(folder / "agent")
        self.collectors: list[StandIn] = []
        self.links: list[Link] = []
        self.disk = FaultyDisk()
        self.last = 0

    def collector(self, name: str = "one", known: bool = True) -> StandIn:
        c = StandIn(self.folder / name)
        if known:
            c.let_in(("host-1", self.public))
        self.collectors.append(c)
        return c

    def link(
        self, *collectors: StandIn | Resetting, limits: Limits = QUICK, boot: bytes = BOOT, key: bytes = b""
    ) -> Link:
        self.spool = Spool(self.disk.open, boot)
        peers = [Collector(c.address, key or c.server_key) for c in collectors or self.collectors]
        secret = keys.read_secret(self.folder / "agent")
        link = Link(peers, secret, self.spool, clock(), lambda: True, self.context, limits, random.Random(1))
        self.links.append(link)
        return link

    def spooled(self, frames: int = 1, stream: bytes = A) -> None:
        for _ in range(frames):
            self.spool.append(HELLO, rows(stream, self.last + 1, self.last + 6), b"")
            self.last += 6

    def turns(self) -> list[Callable[[], object]]:
        return [*(link.step for link in self.links), *(c.turn for c in self.collectors)]

    def until(self, done: Callable[[], bool]) -> None:
        until(done, *self.turns())

    def close(self) -> None:
        for link in self.links:
            link.close()
        for c in self.collectors:
            c.close()
        self.context.term()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    b = Bench(tmp_path)
    yield b
    b.close()


def joules(last: int) -> float:
    return 20.0 * last


def test_rows_arrive_with_their_hello_and_are_forgotten_when_answered(bench: Bench) -> None:
    c = bench.collector()
    bench.link()
    bench.spooled(3)
    bench.until(lambda: bench.spool.rows == 0)
    assert c.ledger[A].joules == joules(18)
    assert [h.schema for h in c.hellos] == [SCHEMA]
    assert [h.machine for h in c.hellos] == [{"class": "host"}]
    assert all(h.flags == wire.LIVE | wire.SYNCED for h in c.headers)
    now = clock()()
    assert abs(c.headers[-1].wall_offset - (now.utc - now.boottime)) < SECOND
    assert 0 <= now.boottime - c.headers[-1].sent < 60 * SECOND


def test_a_collector_that_comes_up_later_gets_everything(bench: Bench) -> None:
    c = bench.collector()
    c.close()
    link = bench.link()
    bench.spooled(5)
    idle([link.step])
    assert not link.connected
    c.open()
    bench.until(lambda: bench.spool.rows == 0)
    assert c.ledger[A].joules == joules(30)


def test_after_a_reset_rows_are_sent_again_and_booked_once(bench: Bench) -> None:
    c = bench.collector()
    bench.link()
    for round_ in range(3):
        c.mute = round_ % 2 == 0
        bench.spooled(2)
        bench.until(lambda: c.ledger.get(A, Stream()).position == bench.last)
        c.held.clear()
        c.restart()
        c.mute = False
        bench.until(lambda: bench.spool.rows == 0)
    assert c.ledger[A].joules == joules(36)
    assert len(c.headers) > 3, "something was sent twice"


def test_a_connection_that_ends_before_it_is_noticed_is_no_end_of_the_agent(bench: Bench) -> None:
    c = bench.collector()
    link = bench.link()
    link.hello = HELLO
    link.step()
    dealer, monitor = link.sockets()
    until(lambda: bool(monitor.poll(0)), c.turn)
    c.close()
    until(lambda: not dealer.poll(0, zmq.POLLOUT))
    link.step()
    assert not link.connected
    c.open()
    bench.spooled()
    bench.until(lambda: bench.spool.rows == 0)
    assert c.ledger[A].joules == joules(6)


class Resetting:
    """Takes connections and resets them at some point of the handshake."""

    def __init__(self, server_key: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address, self.server_key = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}", server_key
        self.connections = 0
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="resetting")
        self._thread.start()

    def _run(self) -> None:
        rng = random.Random(1)
        while not self._ended:
            connection, _ = self._listener.accept()
            time.sleep(rng.random() * 0.003)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            self.connections += 1

    def close(self) -> None:
        self._ended = True
        socket.create_connection(self._listener.getsockname()).close()
        self._thread.join()
        self._listener.close()


def test_what_a_closed_connection_has_still_to_tell_stops_no_other(bench: Bench) -> None:
    c = bench.collector()
    rng = random.Random(2)
    with closing(Resetting(c.server_key)) as hostile:
        for _ in range(100):
            link = bench.link(hostile)
            link.step()
            time.sleep(rng.random() * 0.004)
            link.close()
    bench.link(c)
    bench.spooled()
    bench.until(lambda: bench.spool.rows == 0)
    assert c.ledger[A].joules == joules(6)


def test_another_collector_on_the_same_ledger_goes_on(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    one, two = bench.collector("one"), bench.collector("two")
    two.ledger = one.ledger
    link = bench.link(one, two)
    bench.spooled(2)
    bench.until(lambda: bench.spool.rows == 0)
    one.mute = True
    bench.spooled(2)
    bench.until(lambda: one.ledger[A].position == 24)
    one.close()
    bench.collectors.remove(one)
    bench.until(lambda: bench.spool.rows == 0)
    bench.spooled(2)
    bench.until(lambda: bench.spool.rows == 0)
    assert one.ledger[A].joules == joules(36)
    assert two.headers[-1].after == 24
    assert "rows wait in the spool" in caplog.text
    assert link.connected


def test_a_mute_collector_is_left_for_one_that_answers(bench: Bench) -> None:
    one, two = bench.collector("one"), bench.collector("two")
    two.ledger, one.mute = one.ledger, True
    bench.link(one, two)
    bench.spooled(3)
    bench.until(lambda: bench.spool.rows == 0)
    assert one.ledger[A].joules == joules(18)
    assert one.headers
    assert two.headers


def test_answers_nobody_read_lose_nothing(bench: Bench) -> None:
    """A DEALER that is closed with unread answers takes frames with it: the spool has them."""
    c = bench.collector()
    link = bench.link()
    bench.spooled(8)
    bench.until(lambda: bool(c.headers))
    link.close()
    bench.links.remove(link)
    idle([c.turn], 5)
    bench.link()
    bench.until(lambda: bench.spool.rows == 0)
    assert c.ledger[A].joules == joules(48)


def test_answers_that_were_held_back_do_no_harm(bench: Bench) -> None:
    c = bench.collector()
    bench.link()
    c.mute = True
    bench.spooled(2)
    bench.until(lambda: len(c.headers) >= 3)  # sent again after a time-out
    late, c.held = c.held, []
    c.mute = False
    bench.until(lambda: bench.spool.rows == 0)
    bench.spooled(2)
    bench.until(lambda: bench.spool.rows == 0)
    c.held = late
    c.release()
    bench.spooled(1)
    bench.until(lambda: bench.spool.rows == 0 and c.ledger[A].position == bench.last)
    assert c.ledger[A].joules == joules(bench.last)


def test_an_answer_that_went_back_is_believed(bench: Bench) -> None:
    c = bench.collector()
    bench.link()
    bench.spooled(2)
    bench.until(lambda: bench.spool.rows == 0)
    backup = {s: replace(row) for s, row in c.ledger.items()}
    bench.spooled(2)
    bench.until(lambda: bench.spool.rows == 0)
    c.ledger = backup
    bench.spooled(1)
    bench.until(lambda: c.ledger[A].position == bench.last)
    assert c.ledger[A].joules == joules(bench.last)


def test_a_collector_of_the_version_before_is_spoken_to_in_its_own(bench: Bench) -> None:
    c = bench.collector()
    c.speaks = (1,)
    bench.link()
    bench.spooled(4)
    bench.until(lambda: bench.spool.rows == 0)
    assert c.ledger[A].joules == joules(24)
    assert {h.version for h in c.headers} == {1}
    assert set(c.refused) == {"unknown_version"}
    refusals = len(c.refused)
    bench.spooled(4)
    bench.until(lambda: bench.spool.rows == 0)
    assert len(c.refused) == refusals, "it is asked once a connection"
    c.speaks = (1, 2)
    c.restart()
    bench.spooled(1)
    bench.until(lambda: bench.spool.rows == 0)
    assert c.headers[-1].version == 2, "an upgraded collector is spoken to in the newest"


def test_a_collector_that_speaks_nothing_of_ours_is_told_of(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    c = bench.collector()
    c.speaks = (3,)
    bench.link()
    bench.spooled(2)
    bench.until(lambda: "speaks none of the versions 1 to 2" in caplog.text)
    assert bench.spool.rows == 12


def test_a_collector_that_forgot_the_schema_gets_the_hello_again(bench: Bench) -> None:
    c = bench.collector()
    bench.link()
    bench.spooled(1)
    bench.until(lambda: bench.spool.rows == 0)
    c.schemas.clear()
    bench.spooled(1)
    bench.until(lambda: bench.spool.rows == 0)
    assert "unknown_schema" in c.refused
    assert len(c.hellos) == 2
    assert c.ledger[A].joules == joules(12)


def test_each_schema_is_described_before_its_rows(bench: Bench) -> None:
    c = bench.collector()
    bench.link()
    narrow = wire.encode_hello(Hello(NARROW))
    bench.spool.append(narrow, rows(A, 1, 6, schema=NARROW), b"")
    bench.spool.append(HELLO, rows(A, 7, 12), b"")
    bench.spool.append(narrow, rows(A, 13, 18, schema=NARROW), b"")
    bench.until(lambda: bench.spool.rows == 0)
    assert c.refused == []
    assert len(c.hellos) == 2
    assert c.ledger[A].joules == joules(18)


def test_a_revoked_key_is_not_heard_and_heard_again_when_it_is_back(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    c = bench.collector()
    bench.link()
    bench.spooled(1)
    bench.until(lambda: bench.spool.rows == 0)
    c.let_in()
    bench.spooled(2)
    bench.until(lambda: c.receiver.dropped["not_allowed"] > 0 and c.receiver.dropped["unknown_key"] > 0)
    assert c.ledger[A].position == 6
    assert f"<name> {bench.public}" in caplog.text
    assert bench.spool.rows == 12
    c.let_in(("host-1", bench.public))
    bench.until(lambda: bench.spool.rows == 0)
    assert c.ledger[A].joules == joules(18)


def test_a_collector_with_another_key_gets_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    c = bench.collector()
    bench.link(c, key=zmq.curve_keypair()[0])
    bench.spooled(1)
    bench.until(lambda: c.receiver.dropped["handshake"] > 2 and "server_key" in caplog.text)
    assert (c.headers, bench.spool.rows) == ([], 6)


def test_frames_of_the_boot_before_keep_what_was_known_of_its_clock(bench: Bench) -> None:
    c = bench.collector()
    bench.spool = Spool(bench.disk.open, BOOT)
    bench.spool.append(HELLO, rows(B, 1, 6, offset=1234, flags=wire.OFFSET_KNOWN), b"")
    bench.link(c, boot=OTHER_BOOT)
    bench.spool.append(HELLO, rows(A, 1, 6, boot=OTHER_BOOT), b"")
    bench.until(lambda: bench.spool.rows == 0)
    old, new = c.headers
    assert (old.stream, old.wall_offset, old.flags) == (B, 1234, wire.OFFSET_KNOWN)
    assert (new.stream, new.flags) == (A, wire.LIVE | wire.SYNCED)


def test_a_prompt_answer_tells_the_offset_of_this_boot(bench: Bench) -> None:
    bench.collector()
    bench.link()
    assert bench.spool.placed(7, synced=False) == (7, 0)
    while bench.spool.placed(7, synced=False)[1] != wire.OFFSET_KNOWN:  # an answer may be late on a busy machine
        bench.spooled(1)
        bench.until(lambda: bench.spool.rows == 0)
    offset, _ = bench.spool.placed(7, synced=False)
    now = clock()()
    assert abs(offset - (now.utc - now.boottime)) < 2 * SECOND


def test_a_late_answer_tells_nothing_of_clocks(bench: Bench) -> None:
    c = bench.collector()
    bench.link(limits=replace(QUICK, timeout=600 * SECOND))
    c.mute = True
    bench.spooled(1)
    bench.until(lambda: bool(c.held))
    time.sleep(1.1)
    c.release()
    bench.until(lambda: bench.spool.rows == 0)
    assert bench.spool.placed(7, synced=False) == (7, 0)


def test_what_is_no_answer_is_told_and_changes_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    c = bench.collector()
    bench.link()
    c.mute = True
    bench.spooled(1)
    bench.until(lambda: bool(c.held))
    [(route, answer)] = c.held[:1]
    for junk in (b"", b"x", answer[:-1], b"tw\x02\x09" + answer[4:], random.Random(1).randbytes(500)):
        c.receiver.send(route, junk)
    bench.until(lambda: caplog.text.count("sent what is no answer") >= 5)
    assert bench.spool.rows == 6
    c.mute = False
    bench.until(lambda: bench.spool.rows == 0)


def test_a_frame_that_is_refused_for_ever_does_not_stop_the_others(bench: Bench) -> None:
    c = bench.collector()
    bench.link()
    c.refuse = lambda message, header: "bad_value" if 9 in wire.decode_rows(message.data)[1] else ""
    bench.spooled(5)
    bench.until(lambda: bench.spool.rows == 0)
    assert c.ledger[A].joules == joules(30)
    assert bench.spool.lost_rows == 6


def test_it_knows_when_it_has_nothing_to_do(bench: Bench) -> None:
    """The next time to wake is an hour off when all is answered, the time-out when something is in flight."""
    c = bench.collector()
    link = bench.link(limits=replace(QUICK, timeout=600 * SECOND))
    bench.spooled(1)
    bench.until(lambda: bench.spool.rows == 0)
    assert link.step() > time.monotonic_ns() + 3000 * SECOND
    c.mute = True
    bench.spooled(1)
    bench.until(lambda: bool(c.held))
    assert time.monotonic_ns() < link.step() < time.monotonic_ns() + 600 * SECOND


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
