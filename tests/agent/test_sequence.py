"""Exactly once, between any agent and any collector: spool and sequence against everything that can go wrong.

The agent is the real spool and the real sequence; the network drops, doubles, reorders and holds back; the collector
is a dozen lines with PROTOCOL's rules. At every step: the ledger holds each stream's counter at its position, and never
more than the machine has drawn. In the end, when all is well again: exactly what the machine has drawn.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.agent.stores import FaultyDisk, KeptMarker
from thinwatt_agent import frames, wire
from thinwatt_agent.sequence import SECOND, Limits, Sequence, backoff
from thinwatt_agent.spool import Spool
from thinwatt_agent.wire import Column, Group, Hello, RowsHeader, Schema

BOOT = bytes(range(16))
SCHEMA = Schema((Group(("",), (Column("fake", "energy", "counter", "J", "wall"),)),))
HELLO = wire.encode_hello(Hello(SCHEMA))
LIMITS = Limits(frames=4, size=4096, frame=600, timeout=30 * SECOND)


@dataclass
class Stream:
    """A stream's row of the ledger."""

    position: int = 0
    state: float = 0.0
    joules: float = 0.0


@dataclass
class Collector:
    """PROTOCOL's rules for one column; ``uncommitted`` is lost by a crash."""

    ledger: dict[bytes, Stream] = field(default_factory=dict)
    uncommitted: list[bytes] = field(default_factory=list)

    def commit(self) -> list[tuple[bytes, int]]:
        answers = []
        for message in self.uncommitted:
            header, ticks, _, rows = wire.decode_rows(message)
            assert header.after < ticks[0], "a frame that comes after its own rows"
            stream = self.ledger.setdefault(header.stream, Stream())
            if ticks[-1] > stream.position and header.after <= stream.position:
                stream.joules += rows[-1][0] - stream.state
                stream.position, stream.state = ticks[-1], rows[-1][0]
            answers.append((header.stream, stream.position))
        self.uncommitted = []
        return answers


class Process:
    """One life of an agent: a stream over the machine's register, as run.py does it."""

    def __init__(self, disk: FaultyDisk, marker: KeptMarker, register: int, number: int, bound: int) -> None:
        self.spool = Spool(disk.open, BOOT, bound=bound, memory_bound=2000, marker=marker)
        self.sequence = Sequence(self.spool, LIMITS, random.Random(number))
        self.stream = number.to_bytes(16, "little")
        self.resumed = self.spool.resume()
        self.start = self.resumed.state["register"] if self.resumed else register
        self.tick = self.after = 0
        self.pending: list[tuple[int, int, float]] = []
        self.last: float = 0.0

    def row(self, register: int, time: int) -> None:
        self.tick += 1
        self.last = register - self.start
        self.pending.append((self.tick, time, self.last))

    def flush(self, register: int) -> None:
        if not self.pending:
            return
        ticks, times, values = zip(*self.pending, strict=True)
        header = RowsHeader(2, self.stream, BOOT, SCHEMA.id, self.after, 0, 0, 0, len(ticks), 1, 0)
        state = json.dumps({"register": self.start + round(self.last)}).encode()
        self.spool.append(HELLO, wire.encode_rows(header, ticks, times, [[v] for v in values]), state)
        self.after, self.pending = self.tick, []


class Exactly(RuleBasedStateMachine):
    """Everything that may happen, in any order."""

    bound = 1 << 20

    def __init__(self) -> None:
        super().__init__()
        self.disk, self.marker = FaultyDisk(), KeptMarker()
        self.register = self.time = 0
        self.now = 0
        self.number = 1
        self.collector = Collector()
        self.backup: dict[bytes, Stream] = {}
        self.wire: list[bytes] = []
        self.answers: list[tuple[bytes, int]] = []
        self.truth: dict[tuple[bytes, int], float] = {}
        self.lost = 0
        self.process = self.begin()

    def begin(self) -> Process:
        process = Process(self.disk, self.marker, self.register, self.number, self.bound)
        self.number += 1
        return process

    # the machine and its agent

    @rule(joules=st.integers(0, 1000), rows=st.integers(1, 4))
    def rows_are_taken(self, joules: int, rows: int) -> None:
        for _ in range(rows):
            self.register += joules
            self.time += 10 * SECOND
            self.now += 10 * SECOND
            self.process.row(self.register, self.time)
            self.truth[self.process.stream, self.process.tick] = self.process.last

    @rule()
    def a_frame_is_spooled(self) -> None:
        self.process.flush(self.register)

    @rule(count=st.integers(1, 5))
    def frames_are_sent(self, count: int) -> None:
        for _ in range(count):
            frame = self.process.sequence.next(self.now)
            if frame is None:
                return
            self.wire.append(frames.stamp(frame.message, frame.header))
            self.process.sequence.sent(frame, self.now)

    @rule(joules=st.integers(1, 1000), frames=st.integers(1, 3))
    def all_goes_well_for_a_while(self, joules: int, frames: int) -> None:
        for _ in range(frames):
            self.rows_are_taken(joules, 2)
            self.a_frame_is_spooled()
        self.now += 400 * SECOND
        self.process.sequence.expired(self.now)
        self.now += 400 * SECOND
        for _ in range(3):
            self.frames_are_sent(4)
            self.collector.uncommitted += self.wire
            self.wire.clear()
            for answer in self.collector.commit():
                self.process.sequence.answered(*answer)

    @rule()
    def the_agent_waits_too_long(self) -> None:
        self.now += 400 * SECOND
        self.process.sequence.expired(self.now)
        self.now += 400 * SECOND

    @rule()
    def the_connection_breaks(self) -> None:
        self.wire.clear()
        self.process.sequence.restart()

    @rule()
    def the_agent_is_killed(self) -> None:
        self.process = self.begin()
        note(f"resumed at {self.process.resumed}")

    @rule(trouble=st.sampled_from(["", "full", "read-only", "gone"]))
    def the_disk_changes(self, trouble: str) -> None:
        self.disk.trouble = trouble

    @precondition(lambda self: self.disk.names() and not self.disk.trouble)
    @rule(data=st.data())
    def it_is_killed_while_it_writes(self, data: st.DataObject) -> None:
        """The last record is torn: it was never sent, because a frame is sent when it lies on the disk whole."""
        before = {name: self.disk.read(name) for name in self.disk.names()}
        sent_before = len(self.wire)
        self.process.flush(self.register)
        assert len(self.wire) == sent_before
        name = self.disk.names()[-1]
        whole, old = self.disk.read(name), len(before.get(name, b""))
        if old and len(whole) > old and name == max(before):
            self.disk.cut(name, data.draw(st.integers(old, len(whole) - 1), "torn at"))
        self.process = self.begin()

    # network

    @precondition(lambda self: self.wire)
    @rule(data=st.data(), twice=st.booleans())
    def a_frame_arrives(self, data: st.DataObject, twice: bool) -> None:
        place = data.draw(st.integers(0, len(self.wire) - 1), "which")
        self.collector.uncommitted.append(self.wire[place])
        if not twice:
            del self.wire[place]

    @precondition(lambda self: self.wire)
    @rule(data=st.data())
    def a_frame_is_lost(self, data: st.DataObject) -> None:
        del self.wire[data.draw(st.integers(0, len(self.wire) - 1), "which")]

    @precondition(lambda self: self.answers)
    @rule(data=st.data(), twice=st.booleans())
    def an_answer_arrives(self, data: st.DataObject, twice: bool) -> None:
        place = data.draw(st.integers(0, len(self.answers) - 1), "which")
        self.process.sequence.answered(*self.answers[place])
        if not twice:
            del self.answers[place]

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def an_answer_is_lost(self, data: st.DataObject) -> None:
        del self.answers[data.draw(st.integers(0, len(self.answers) - 1), "which")]

    # collector

    @rule()
    def the_collector_commits(self) -> None:
        self.answers += self.collector.commit()

    @rule()
    def the_collector_crashes(self) -> None:
        self.collector.uncommitted.clear()

    @rule()
    def the_ledger_is_backed_up(self) -> None:
        self.backup = {s: replace(row) for s, row in self.collector.ledger.items()}

    @rule()
    def the_ledger_is_restored(self) -> None:
        self.collector.ledger = {s: replace(row) for s, row in self.backup.items()}
        self.collector.uncommitted.clear()

    # laws

    @invariant()
    def the_ledger_is_the_counter_at_the_position(self) -> None:
        for stream, row in self.collector.ledger.items():
            assert row.joules == (self.truth[stream, row.position] if row.position else 0.0)

    @invariant()
    def no_joule_is_counted_twice(self) -> None:
        assert sum(row.joules for row in self.collector.ledger.values()) <= self.register

    @invariant()
    def the_spool_keeps_its_bound(self) -> None:
        assert self.disk.size <= self.bound + 1000

    def teardown(self) -> None:
        """All is well again: everything arrives, and the ledger holds what the machine has drawn."""
        self.disk.trouble = ""
        self.process.row(self.register, self.time + 10 * SECOND)
        self.truth[self.process.stream, self.process.tick] = self.process.last
        self.process.flush(self.register)
        self.wire.clear()
        for _ in range(500):
            self.now += 400 * SECOND
            self.process.sequence.expired(self.now)
            self.now += 400 * SECOND
            while frame := self.process.sequence.next(self.now):
                self.collector.uncommitted.append(frames.stamp(frame.message, frame.header))
                self.process.sequence.sent(frame, self.now)
            for answer in self.collector.commit():
                self.process.sequence.answered(*answer)
            if self.process.sequence.idle:
                break
        assert self.process.sequence.idle, "rows were never taken"
        mine = self.collector.ledger[self.process.stream]
        assert (mine.position, mine.joules) == (self.process.tick, self.process.last)
        self.the_ledger_is_the_counter_at_the_position()
        self.no_joule_is_counted_twice()


class ExactlyAtTheBound(Exactly):
    """The same with a spool so small that rows are dropped all the time."""

    bound = 4096


class NothingLost(Exactly):
    """Without a ledger restored and with a disk that works, no joule is lost either."""

    the_ledger_is_restored = None  # type: ignore[assignment] # takes the rule of the class above away
    the_disk_changes = None  # type: ignore[assignment] # likewise

    def teardown(self) -> None:
        super().teardown()
        if self.lost_streams + self.process.spool.lost_streams:
            return  # more lives than the bound has room for: told, counted, and a gap
        assert sum(row.joules for row in self.collector.ledger.values()) == self.register - self.lost

    lost_streams = 0

    def begin(self) -> Process:
        if self.number > 1:
            self.lost_streams += self.process.spool.lost_streams
        process = super().begin()
        if process.resumed is None:
            # nothing durable yet: what earlier lives drew was never spooled, a gap
            self.lost = self.register
        return process


class NothingLostAtTheBound(NothingLost):
    """Dropping rows loses resolution, not joules."""

    bound = 4096


@pytest.mark.parametrize("machine", [Exactly, ExactlyAtTheBound, NothingLost, NothingLostAtTheBound])
def test_exactly_once(machine: type[Exactly]) -> None:
    run_state_machine_as_test(machine, settings=settings(stateful_step_count=40, max_examples=200))


def frame_of(stream: bytes, ticks: list[int]) -> bytes:
    header = RowsHeader(2, stream, BOOT, SCHEMA.id, ticks[0] - 1, 0, 0, 0, len(ticks), 1, 0)
    return wire.encode_rows(header, ticks, [t * 10 * SECOND for t in ticks], [[float(t)] for t in ticks])


def prepared(frames_of_two_rows: int, limits: Limits = LIMITS) -> tuple[Spool, Sequence]:
    spool = Spool(None, BOOT)
    for i in range(frames_of_two_rows):
        spool.append(HELLO, frame_of(A, [2 * i + 1, 2 * i + 2]), b"")
    return spool, Sequence(spool, limits, random.Random(1))


A = b"A" * 16
B = b"B" * 16


def send(sequence: Sequence, now: int = 0) -> list[tuple[int, int]]:
    sent = []
    while frame := sequence.next(now):
        sequence.sent(frame, now)
        sent.append((frame.header.after, frame.last))
    return sent


ONE = replace(LIMITS, frame=1)


def test_frames_follow_each_other_and_the_window_is_bounded() -> None:
    _, sequence = prepared(7, ONE)
    assert send(sequence) == [(0, 2), (2, 4), (4, 6), (6, 8)]
    sequence.answered(A, 4)
    assert send(sequence) == [(8, 10), (10, 12)]


def test_a_backlog_goes_in_large_frames() -> None:
    spool, sequence = prepared(40, replace(LIMITS, frame=1 << 20))
    assert send(sequence) == [(0, 80)]
    assert spool.rows == 80


def test_a_stream_waits_until_those_before_it_are_answered_to_their_end() -> None:
    spool, sequence = prepared(2, ONE)
    spool.append(HELLO, frame_of(B, [1, 2]), b"")
    assert send(sequence) == [(0, 2), (2, 4)]
    sequence.answered(A, 2)
    assert send(sequence) == []
    sequence.answered(A, 4)
    assert send(sequence) == [(0, 2)]


def test_what_comes_after_rows_that_the_collector_lacks_is_sent_again_at_once() -> None:
    _, sequence = prepared(4, ONE)
    send(sequence)
    sequence.answered(A, 0)  # the first frame was lost: a hole, said three times
    assert send(sequence) == []
    sequence.answered(A, 2)
    sequence.answered(A, 2)
    assert send(sequence) == []
    sequence.answered(A, 1)
    assert send(sequence) == [(1, 2), (2, 4), (4, 6), (6, 8)]


def test_an_answer_that_went_back_is_believed() -> None:
    spool, sequence = prepared(3, ONE)
    send(sequence)
    sequence.answered(A, 6)
    assert (sequence.idle, spool.rows) == (True, 0)
    sequence.answered(A, 2)
    assert spool.rows == 4
    spool.append(HELLO, frame_of(A, [7, 8]), b"")
    assert send(sequence)[0][0] == 2


def test_a_time_out_sends_again_from_the_last_answer_and_waits_longer_each_time() -> None:
    _, sequence = prepared(3, ONE)
    send(sequence)
    sequence.answered(A, 2)
    now, waits = 0, []
    for _ in range(12):
        due = sequence.due(now)
        assert due is not None
        assert not sequence.expired(due - 1)
        now = due
        assert sequence.expired(now)
        again = sequence.due(now)
        assert again is not None
        assert sequence.next(again - 1) is None
        waits.append((again - now) / SECOND)
        now = again
        assert send(sequence, now) == [(2, 4)], "one frame only, until somebody answers"
    assert waits[0] <= 1
    assert all(0.5 * min(300, 2**i) <= wait <= min(300, 2**i) for i, wait in enumerate(waits))
    sequence.answered(A, 4)
    assert send(sequence, now) == [(4, 6)]


@given(st.integers(0, 200), st.floats(0.5, 1.0))
def test_waiting_is_bounded_for_ever(strikes: int, draw: float) -> None:
    assert 0.5 * SECOND <= backoff(LIMITS, strikes, lambda a, b: draw) <= 300 * SECOND


def test_a_frame_that_is_refused_as_wrong_costs_its_rows_only() -> None:
    spool, sequence = prepared(5, replace(LIMITS, frame=1 << 20))
    poison = 6  # the record that ends at tick 6

    def collector(last: int, first: int) -> None:
        if first <= poison <= last:
            sequence.refused(A, "bad_value")
        else:
            sequence.answered(A, last)

    now = 0
    for _ in range(20):
        now += SECOND
        frame = sequence.next(now)
        if frame is None:
            break
        sequence.sent(frame, now)
        collector(frame.last, frames.columns(frame.message)[0][0])
    assert sequence.idle
    assert spool.answered[A] == 10


def test_the_last_rows_of_a_stream_are_kept_even_when_refused() -> None:
    spool, sequence = prepared(1)
    for now in range(3):
        send(sequence, now)
        sequence.refused(A, "bad_value")
    assert sequence.next(3 * SECOND) is None
    assert spool.rows == 2
    spool.append(HELLO, frame_of(A, [3, 4]), b"")
    assert send(sequence, 4 * SECOND) == [(0, 2)]
    sequence.refused(A, "bad_value")
    assert send(sequence, 5 * SECOND) == [(0, 4)]


def test_a_position_that_was_never_sent_means_a_copied_machine() -> None:
    _, sequence = prepared(2)
    sequence.answered(A, 4)
    assert not sequence.ahead
    sequence.answered(A, 9)
    assert sequence.ahead == {A}
