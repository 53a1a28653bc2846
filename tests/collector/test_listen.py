"""A bite at a time: all that has come, no more than may wait, and an end whatever comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from tests.collector.sending import Bench, Sender
from thinwatt_agent import wire
from thinwatt_collector import listen as listening
from thinwatt_collector.listen import BITE, listen
from thinwatt_collector.receive import Message


class Socket:
    """What stands for a receiver: messages that wait, and what was sent."""

    def __init__(self, waiting: Sequence[Message]) -> None:
        self.waiting = list(waiting)
        self.sent: list[bytes] = []
        self.timeouts: list[int] = []

    def drain(self, timeout_ms: int, max_bytes: int) -> list[Message]:
        self.timeouts.append(timeout_ms)
        found: list[Message] = []
        while self.waiting and max_bytes > 0:
            max_bytes -= max(512, len(self.waiting[0].data))
            found.append(self.waiting.pop(0))
        return found

    def send(self, route: bytes, data: bytes) -> None:
        self.sent.append(data)


def frames(count: int) -> tuple[Bench, list[Message]]:
    bench, s = Bench(), Sender()
    bench.hello(s)
    one = [s.frame(n, [(n + 1, 10.0 * (n + 1), [500.0 * (n + 1), 10.0 * (n + 1)])]) for n in range(count)]
    return bench, [Message(b"\0rout", s.name, data, bench.now) for data in one]


def heard(bench: Bench, socket: Socket, hold: int) -> bool:
    return listen(cast("Any", socket), bench.step, 200, hold)


def test_all_that_has_come_is_taken_in_bites_of_which_only_the_first_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "BITE", 1024)
    bench, messages = frames(20)
    socket = Socket(messages)
    assert heard(bench, socket, 1 << 20)
    assert socket.timeouts[0] == 200
    assert set(socket.timeouts[1:]) == {0}
    assert not socket.waiting
    assert bench.commit()[0].popitem()[1] == 20


def test_nothing_is_heard_of_nobody() -> None:
    bench, _ = frames(0)
    assert not heard(bench, Socket([]), 1 << 20)


def test_no_more_is_received_than_may_wait_for_the_commit() -> None:
    bench, messages = frames(5000)
    socket = Socket(messages)
    assert heard(bench, socket, BITE)
    assert 0 < bench.step.uncommitted_bytes < 2 * BITE
    assert socket.waiting


def test_a_flood_of_what_is_refused_ends_a_turn_too() -> None:
    bench, _ = frames(0)
    junk = Message(b"\0rout", "a", b"tw\x02\x02" + bytes(1020), bench.now)
    socket = Socket([junk] * 5000)
    assert heard(bench, socket, 2 * BITE)
    assert len(socket.waiting) >= 5000 - 3 * BITE // 1024
    assert {wire.decode_refusal(data).reason for data in socket.sent} == {"bad_checksum"}
    assert bench.step.uncommitted_bytes == 0
