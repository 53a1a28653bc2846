"""Who is let in, what is drained, and that a sender never holds the collector up."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from tests.hostile import Peer, pair_of
from thinwatt_agent import keys
from thinwatt_collector.keys import AllowList, parse, user_id
from thinwatt_collector.receive import Message, Receiver

SECOND = 1_000_000_000
KEYS = [zmq.curve_keypair()[0].decode() for _ in range(4)]


# The list


def test_a_name_may_have_several_keys() -> None:
    found, wrong = parse(f"# spring\nhost-1 {KEYS[0]}\n\n  host-2\t{KEYS[1]}\nhost-1 {KEYS[2]}\n")
    assert (found, wrong) == ({KEYS[0]: "host-1", KEYS[1]: "host-2", KEYS[2]: "host-1"}, [])


@pytest.mark.parametrize(
    "line, says",
    [
        ("host-1", "no key of 40 Z85 characters"),
        (f"host-1 {KEYS[0]} {KEYS[1]}", "no key of 40"),
        (f"host-1 {KEYS[0][:-1]}", "no key of 40"),
        (f"host-1 {KEYS[0][:-1]}~", "no key of 40"),
        (f"../host {KEYS[0]}", "a name has up to 64"),
        (f"{'h' * 65} {KEYS[0]}", "a name has up to 64"),
        (f"host/1 {KEYS[0]}", "a name has up to 64"),
        (f"other {KEYS[3]}", "stands above under the name 'host-0'"),
    ],
)
def test_a_wrong_line_lets_nobody_in_and_costs_no_other(line: str, says: str) -> None:
    found, wrong = parse(f"host-0 {KEYS[3]}\n{line}\nhost-9 {KEYS[1]}\n")
    assert found == {KEYS[3]: "host-0", KEYS[1]: "host-9"}
    assert len(wrong) == 1
    assert wrong[0].startswith("line 2: ")
    assert says in wrong[0]


@given(st.text(max_size=300))
def test_any_text_is_a_list(text: str) -> None:
    found, _ = parse(text)
    assert all(keys.is_key(key) for key in found)


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def test_the_file_is_looked_at_once_a_second_and_read_when_it_changed(tmp_path: Path) -> None:
    path, clock = tmp_path / "agents", Clock()
    path.write_text(f"host-1 {KEYS[0]}\n")
    allow = AllowList(path, clock)
    path.write_text(f"host-1 {KEYS[0]}\nhost-1 {KEYS[1]}\nhost-2 {KEYS[2]}\n")
    allow.refresh()
    assert set(allow.keys) == {KEYS[0]}
    clock.now += SECOND
    allow.refresh()
    assert set(allow.keys) == set(KEYS[:3])
    names = ("host-1", "host-1", "host-2")
    assert allow.names == {user_id(name, key): name for name, key in zip(names, KEYS, strict=False)}
    before = allow.keys
    clock.now += SECOND
    allow.refresh()
    assert allow.keys is before, "an unchanged file is not read"


def test_a_list_that_vanished_stays_in_force_and_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, clock = tmp_path / "agents", Clock()
    path.write_text(f"host-1 {KEYS[0]}\n")
    allow = AllowList(path, clock)
    path.unlink()
    for _ in range(3):
        clock.now += SECOND
        allow.refresh()
    assert set(allow.keys) == {KEYS[0]}
    assert caplog.text.count("stays in force") == 1
    path.write_text("")
    clock.now += SECOND
    allow.refresh()
    assert allow.keys == {}


def test_without_a_list_nothing_starts(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        AllowList(tmp_path / "agents")


# Key files


def test_keys_are_files_of_one_key_each_the_secret_one_closed(tmp_path: Path) -> None:
    public = keys.generate(tmp_path / "k")
    assert keys.read_public(tmp_path / "k.pub").decode() == public
    assert keys.public_of(keys.read_secret(tmp_path / "k")).decode() == public
    assert oct((tmp_path / "k").stat().st_mode)[-3:] == "600"
    with pytest.raises(keys.KeyFileError, match="is there already"):
        keys.generate(tmp_path / "k")
    (tmp_path / "k").chmod(0o640)
    with pytest.raises(keys.KeyFileError, match="chmod 600"):
        keys.read_secret(tmp_path / "k")
    with pytest.raises(keys.KeyFileError, match="keygen"):
        keys.read_secret(tmp_path / "none")
    with pytest.raises(keys.KeyFileError, match=r"copy the other side's \.pub file"):
        keys.read_public(tmp_path / "none")
    with pytest.raises(keys.KeyFileError, match="can't be written"):
        keys.generate(tmp_path / "none" / "k")
    for junk in (b"", b"x" * 40 + b"y", b"\xff" * 40, b"~" * 40):
        (tmp_path / "junk").write_bytes(junk)
        with pytest.raises(keys.KeyFileError, match="holds no key"):
            keys.read_public(tmp_path / "junk")


# The socket


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("collector", "a", "b"):
            keys.generate(folder / name)
        self.clock = Clock()
        self.list = folder / "agents"
        self.let_in(("host-1", "a"), ("host-1", "b"))
        self.receiver = self.open()
        self.peers: list[Peer] = []

    def open(self, bind: str = "tcp://127.0.0.1:*") -> Receiver:
        return Receiver(bind, keys.read_secret(self.folder / "collector"), AllowList(self.list, self.clock))

    def let_in(self, *pairs: tuple[str, str]) -> None:
        self.list.write_text(
            "".join(f"{name} {keys.read_public(self.folder / f'{k}.pub').decode()}\n" for name, k in pairs)
        )
        self.clock.now += SECOND

    def peer(self, key: str = "a", address: str = "", immediate: bool = False) -> Peer:
        server = keys.read_public(self.folder / "collector.pub")
        pair = pair_of(keys.read_secret(self.folder / key))
        self.peers.append(Peer(address or self.receiver.address, server, pair, immediate=immediate))
        return self.peers[-1]

    def take(self, enough: Callable[[list[Message]], bool], max_bytes: int = 1 << 30) -> list[Message]:
        limit, found = time.monotonic() + 60, list[Message]()
        while not enough(found):
            assert time.monotonic() < limit
            found += self.receiver.drain(10, max_bytes)
        return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    it = Place(tmp_path)
    yield it
    for peer in it.peers:
        peer.close()
    it.receiver.close()


def test_a_message_carries_name_route_and_time_of_receipt(place: Place) -> None:
    place.peer("a").send(b"hello")
    before = time.time_ns()
    [message] = place.take(bool)
    assert (message.agent, message.data) == ("host-1", b"hello")
    assert message.route[0] == 0
    assert before <= message.received <= time.time_ns()
    place.receiver.send(message.route, b"well heard")
    assert place.peers[0].socket.poll(60_000)
    assert place.peers[0].socket.recv() == b"well heard"


def test_messages_of_one_sender_keep_their_order(place: Place) -> None:
    peer = place.peer()
    for i in range(300):
        assert peer.send(b"%d" % i)
    found = place.take(lambda m: len(m) == 300, max_bytes=20_000)
    assert [int(m.data) for m in found] == list(range(300))


def test_a_drain_ends_at_its_bound_however_small_the_messages(place: Place) -> None:
    peer = place.peer()
    place.peer().send(b"warm")
    place.take(bool)
    for _ in range(200):
        assert peer.send(b"")
    found, rounds = 0, 0
    while found < 200:
        messages = place.receiver.drain(1000, 10_000)
        assert len(messages) <= 20
        found, rounds = found + len(messages), rounds + 1
    assert rounds >= 10


def test_old_and_new_key_of_a_name_are_both_heard_until_one_is_taken_off_the_list(place: Place) -> None:
    old, new = place.peer("a"), place.peer("b")
    old.send(b"old")
    new.send(b"new")
    assert {(m.agent, m.data) for m in place.take(lambda m: len(m) == 2)} == {("host-1", b"old"), ("host-1", b"new")}
    place.let_in(("host-1", "b"))
    old.send(b"old")
    new.send(b"new")
    assert [m.data for m in place.take(lambda m: bool(m) and place.receiver.dropped["not_allowed"] > 0)] == [b"new"]
    assert old.refusal(60_000) == "not_allowed"


def test_a_key_that_goes_to_another_name_is_heard_under_it(place: Place) -> None:
    peer = place.peer("a")
    peer.send(b"1")
    place.take(bool)
    place.let_in(("host-2", "a"))
    peer.send(b"2")
    place.take(lambda _: place.receiver.dropped["not_allowed"] > 0)
    again = place.peer("a")
    again.send(b"3")
    assert [m.agent for m in place.take(bool)] == ["host-2"]


def test_sending_never_waits_and_never_fails(place: Place) -> None:
    peer = place.peer()
    peer.send(b"x")
    [message] = place.take(bool)
    for _ in range(20_000):
        place.receiver.send(message.route, bytes(1000))  # nobody reads: what is over the bound is dropped
    peer.close()
    place.peers.clear()
    for route in (message.route, b"\0gone", b"", b"x" * 300):
        place.receiver.send(route, b"y")
    place.peer().send(b"z")
    assert place.take(bool)[0].data == b"z"


def test_answers_go_out_before_it_closes(tmp_path: Path) -> None:
    place = Place(tmp_path)
    peer = place.peer()
    peer.send(b"x")
    [message] = place.take(bool)
    for i in range(20):
        place.receiver.send(message.route, b"%d" % i)
    place.receiver.close()
    assert [int(peer.socket.recv()) for _ in range(20) if peer.socket.poll(60_000)] == list(range(20))
    peer.close()


def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_behind(place: Place) -> None:
    with pytest.raises(zmq.ZMQError, match="in use"):
        place.open(place.receiver.address)
    place.peer().send(b"x")
    assert place.take(bool)


@pytest.mark.skipif(not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")
def test_both_kinds_of_addresses_are_listened_on(place: Place) -> None:
    receiver = place.open("tcp://*:*")
    place.receiver.close()
    place.receiver = receiver
    port = receiver.address.rpartition(":")[2]
    for host in ("127.0.0.1", "[::1]"):
        peer = place.peer(address=f"tcp://{host}:{port}")
        peer.send(host.encode())
        assert place.take(bool)[0].data == host.encode()


def test_handshakes_go_on_while_nobody_drains(place: Place) -> None:
    """The door has a thread of its own: a collector that is busy still lets agents in."""
    for _ in range(20):
        assert place.peer(immediate=True).socket.poll(60_000, zmq.POLLOUT)


GARBAGE = {
    "http": b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "random": bytes(range(200, 1, -1)) + bytes(range(60)),
    "after a signature": b"\xff" + bytes(range(1, 200)),
    "nothing": b"",
    "null": b"\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL" + bytes(48),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_what_is_no_agent_is_counted_and_told_once_of_its_address(
    place: Place, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = place.peer()
    good.send(b"before")
    assert place.take(bool)[0].data == b"before"
    port = int(place.receiver.address.rpartition(":")[2])
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", port)) as connection, suppress(OSError):
            connection.sendall(GARBAGE[what])
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(15)
            while connection.recv(4096):
                pass
    end = time.monotonic() + 15
    while place.receiver.dropped["handshake"] < 20 and time.monotonic() < end:
        time.sleep(0.05)
    assert place.receiver.dropped["handshake"] == 20
    told = [record.getMessage().partition(" connected and was no agent")[0] for record in caplog.records]
    assert told
    assert len(told) == len(set(told)) <= 2
    assert set(told) <= {"127.0.0.1", "something that was gone at once"}
    good.send(b"after")
    assert place.take(bool)[0].data == b"after"


def test_agents_that_come_and_go_are_no_strangers(place: Place) -> None:
    for i in range(20):
        peer = place.peer()
        peer.send(b"%d" % i)
        assert place.take(bool)[0].data == b"%d" % i
        peer.socket.close(0)
    time.sleep(0.3)
    assert place.receiver.dropped["handshake"] == 0
