"""The order of things: what is refused at once, what waits for the commit, and what a failed commit leaves behind."""

from __future__ import annotations

from typing import Any

import pytest

from tests.collector.sending import GAUGE, NOW, PLUG, SECOND, Bench, Sender
from tests.invariants.memory_ledger import MemoryLedger
from tests.invariants.world import Flaky
from thinwatt_agent import wire
from thinwatt_agent.wire import Column, Group, Schema
from thinwatt_collector.allowance import COLUMNS, LEAST_COLUMNS
from thinwatt_collector.book import Event
from thinwatt_collector.ledger import LedgerError
from thinwatt_collector.receive import Message

ROWS = [(1, 10.0, [500.0, 10.0]), (2, 20.0, [1000.0, 20.0])]
MORE = [(3, 30.0, [1500.0, 30.0])]


class Unreachable(Flaky):
    """A ledger that may be out of reach for reading as well."""

    def __init__(self) -> None:
        super().__init__(MemoryLedger())
        self.reachable = True

    def reopen(self) -> None:
        if not self.reachable:
            raise LedgerError("no ledger there")


def bench_of() -> tuple[Bench, Sender, Any]:
    ledger, s = Unreachable(), Sender()
    bench = Bench(ledger)
    bench.hello(s)
    return bench, s, ledger


def test_rows_of_an_unknown_schema_are_refused_until_a_hello_describes_them() -> None:
    bench, s = Bench(), Sender()
    (refused,) = bench.give(s, s.frame(0, ROWS))
    assert (refused.reason, refused.stream) == ("unknown_schema", s.stream)
    assert bench.hello(s) == []
    assert bench.book(s, s.frame(0, ROWS)) == 2
    assert bench.step.tallies.dropped == {"unknown_schema": 1}


def test_a_schema_in_the_ledger_is_known_after_a_restart_and_to_every_agent() -> None:
    bench, s = Bench(), Sender()
    bench.hello(s)
    bench.book(s, s.frame(0, ROWS))
    bench.restart()
    other = Sender("b")
    assert bench.book(other, other.frame(0, ROWS)) == 2


@pytest.mark.parametrize("version", [1, 2])
def test_it_answers_and_refuses_in_the_version_it_was_spoken_to(version: int) -> None:
    bench, s = Bench(), Sender(version=version)
    (refused,) = bench.give(s, s.frame(0, ROWS))
    assert refused.version == version
    bench.hello(s)
    bench.give(s, s.frame(0, ROWS))
    (reply,) = bench.step.commit(NOW + 7)
    assert wire.decode_answer(reply.data) == wire.Answer(s.stream, 2, NOW + 7, version)
    assert reply.route == b"\0route"


def test_an_unknown_version_is_refused_in_the_oldest_one() -> None:
    bench, s = Bench(), Sender()
    frame = s.frame(0, ROWS)
    (refused,) = bench.give(s, frame[:2] + b"\x63" + frame[3:])
    assert (refused.reason, refused.version) == ("unknown_version", wire.OLDEST_VERSION)


def test_nothing_is_answered_or_shown_before_the_commit() -> None:
    bench, s, _ = bench_of()
    assert bench.give(s, s.frame(0, ROWS)) == []
    assert bench.totals() == {}
    assert (bench.step.uncommitted_bytes, bench.step.oldest_uncommitted) == (len(s.frame(0, ROWS)), NOW)
    bench.now = NOW + SECOND
    bench.give(s, s.frame(2, MORE))
    assert bench.step.oldest_uncommitted == NOW
    assert bench.commit() == ({s.stream: 3}, [])
    assert not bench.step.uncommitted_bytes
    assert bench.totals()["ENERGY", "measured, host"] == 1500.0


def test_an_answer_goes_to_where_the_stream_was_heard_last() -> None:
    bench, s, _ = bench_of()
    for route, frame in ((b"\0old", s.frame(0, ROWS)), (b"\0new", s.frame(2, MORE))):
        bench.step.take([Message(route, s.name, frame, NOW)])
    (reply,) = bench.step.commit(NOW)
    assert reply.route == b"\0new"
    assert wire.decode_answer(reply.data).position == 3


@pytest.mark.parametrize("outcome", ["refused", "unknown"])
def test_after_a_failed_commit_the_ledger_alone_says_what_is_booked(outcome: Any) -> None:
    bench, s, ledger = bench_of()
    bench.book(s, s.frame(0, ROWS))
    shown = bench.totals()
    ledger.outcome = outcome
    bench.give(s, s.frame(2, MORE))
    with pytest.raises(LedgerError):
        bench.step.commit(NOW)
    assert bench.totals() == shown
    bench.step.rebuild()
    assert bench.totals()["ENERGY", "measured, host"] == (1000.0 if outcome == "refused" else 1500.0)
    assert bench.book(s, s.frame(2, MORE)) == 3
    assert bench.totals()["ENERGY", "measured, host"] == 1500.0
    assert bench.slots() == {0: (1500.0, 30.0)}


def test_while_the_ledger_is_out_of_reach_readers_see_what_was_committed() -> None:
    bench, s, ledger = bench_of()
    bench.book(s, s.frame(0, ROWS))
    ledger.outcome, ledger.reachable = "refused", False
    bench.give(s, s.frame(2, MORE))
    with pytest.raises(LedgerError):
        bench.step.commit(NOW)
    fleet = bench.step.fleet
    with pytest.raises(LedgerError):
        bench.step.rebuild()
    assert bench.step.fleet is fleet
    assert bench.totals()["ENERGY", "measured, host"] == 1000.0
    ledger.reachable = True
    bench.step.rebuild()
    assert bench.book(s, s.frame(2, MORE)) == 3


def test_a_rebuild_keeps_what_hellos_said_and_when_devices_were_seen() -> None:
    bench, s, ledger = bench_of()
    bench.now = NOW + 20 * SECOND
    bench.book(s, s.frame(0, ROWS))
    new = Sender("b", schema=Schema((Group(("",), (*PLUG.groups[0].columns, GAUGE)),)))
    bench.hello(new, {"class": "desktop", "simulated": True})
    ledger.outcome = "refused"
    with pytest.raises(LedgerError):
        bench.step.commit(NOW)
    bench.step.rebuild()
    fleet = bench.step.fleet
    assert [(d.name, d.kind, d.simulated) for d in fleet.devices] == [("a", "host", False), ("b", "desktop", True)]
    assert fleet.device["seen"].tolist() == [bench.now, 0]
    assert fleet.device["power"][0] == 50.0
    assert bench.book(new, new.frame(0, [(1, 10.0, [5.0, 10.0, 1.0])])) == 1


def test_a_commit_with_nothing_to_say_asks_nothing_of_the_ledger() -> None:
    bench, s, ledger = bench_of()
    bench.book(s, s.frame(0, ROWS))
    ledger.outcome = "refused"
    assert bench.commit() == ({}, [])
    bench.give(s, s.frame(0, ROWS))
    assert bench.commit() == ({s.stream: 2}, [])


def test_events_are_written_with_the_next_commit() -> None:
    bench, _, ledger = bench_of()
    bench.step.note(Event(5, "restore", "ledger", "from yesterday"))
    bench.commit()
    assert ledger.tables.events == [(5, "restore", "ledger", "from yesterday")]
    bench.commit()
    assert len(ledger.tables.events) == 1


def test_where_another_collector_was_first_nothing_is_added_and_the_answer_is_the_ledgers() -> None:
    one, s, ledger = bench_of()
    one.book(s, s.frame(0, ROWS))
    two = Bench(ledger)
    assert two.book(s, s.frame(2, MORE)) == 3
    one.give(s, s.frame(2, [*MORE, (4, 40.0, [2000.0, 40.0])]))
    assert one.commit() == ({s.stream: 3}, [])
    assert one.step.tallies.frames["elsewhere"] == 1
    assert one.book(s, s.frame(2, MORE)) == 3
    assert one.book(s, s.frame(3, [(4, 40.0, [2000.0, 40.0])])) == 4
    assert one.slots() == {0: (2000.0, 40.0)}


def test_a_schema_that_another_collector_wrote_is_read_when_a_stream_has_it() -> None:
    one, s, ledger = bench_of()
    one.book(s, s.frame(0, ROWS))
    two = Bench(ledger)
    wider = Sender("a", schema=Schema((Group(("",), (*PLUG.groups[0].columns, GAUGE)),)), stream=s.stream)
    two.hello(wider)
    assert two.book(wider, wider.frame(2, [(3, 30.0, [1500.0, 30.0, 1.0])])) == 3
    one.restart()
    three = Sender("c", schema=Schema((Group(("x",), (*PLUG.groups[0].columns, GAUGE)),)))
    two.hello(three)
    assert two.book(three, three.frame(0, [(1, 10.0, [5.0, 10.0, 1.0])])) == 1
    again = Sender("c", stream=three.stream)
    one.give(again, again.frame(0, ROWS))
    (refused,) = one.commit()[1]
    assert "lacks columns" in refused.text
    assert one.book(again, again.frame(0, [(1, 10.0, [5.0, 10.0])])) == 1


def test_two_collectors_that_name_different_things_at_once_do_not_mix_them_up() -> None:
    ledger = MemoryLedger()
    one, two, a, b = Bench(ledger), Bench(ledger), Sender("a"), Sender("b")
    one.hello(a)
    two.hello(b)
    assert one.book(a, a.frame(0, ROWS)) == 2
    two.give(b, b.frame(0, MORE))
    assert two.commit() == ({b.stream: 3}, [])
    assert two.slots("a") == {0: (1000.0, 20.0)}
    assert two.slots("b") == {0: (1500.0, 30.0)}


def test_an_agent_may_change_its_schema_often_but_not_for_ever() -> None:
    def wide(n: int, name: str = "a") -> Sender:
        columns = (*PLUG.groups[0].columns, Column("x", f"q{n}", "gauge", "B"))
        return Sender(name, schema=Schema((Group(("",), columns),)))

    bench, at_once = Bench(), COLUMNS[0] // LEAST_COLUMNS
    assert not any(bench.hello(wide(n)) for n in range(at_once))
    (reply,) = bench.hello(wide(at_once))
    assert wire.decode_refusal(reply.data).reason == "bad_schema"
    assert bench.hello(wide(0)) == bench.hello(wide(at_once, "other")) == []
    bench.now += 60 * SECOND
    assert bench.hello(wide(at_once + 1)) == []


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"\xff", b'{"schema": [{}]}', b'{"schema": [], "machine": 3}', b"[" * 9999]
)
def test_a_hello_that_says_nothing_is_refused(body: bytes) -> None:
    bench = Bench()
    (reply,) = bench.step.take([Message(b"\0route", "a", wire._seal(wire.HELLO, body, 2), NOW)])
    assert wire.decode_refusal(reply.data).reason == "bad_schema"
    assert bench.commit() == ({}, [])
