"""Whose messages are not taken: in the log once, then ever more rarely, and in what the owner and /agents are told."""

from __future__ import annotations

import logging

import pytest

from tests.collector.sending import NOW, SECOND, Bench, Sender
from thinwatt_agent import wire
from thinwatt_collector import beside
from thinwatt_collector.readers import agents_of
from thinwatt_collector.refusals import REMEDIES, Refusals
from thinwatt_collector.serve.api import answers

FALLING = [(1, 10.0, [500.0, 10.0]), (2, 20.0, [-1e9, 20.0])]
GOOD = [(1, 10.0, [500.0, 10.0])]


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_it_is_told_once_an_agent_and_reason_and_then_at_powers_of_ten(caplog: pytest.LogCaptureFixture) -> None:
    found = Refusals()
    for n in range(250):
        found.note("a", "bad_value", "a counter falls", NOW + n)
    found.note("b", "bad_value", "a counter falls", NOW)
    found.note("a", "bad_order", "ticks do not rise", NOW)
    told = warned(caplog)
    assert [line.partition(":")[0] for line in told] == ["a", "a", "a", "b", "a"]
    assert all("bad_value" in line and "a counter falls" in line for line in told[:4])
    assert REMEDIES["bad_value"] in told[0]
    assert ["10 of its" in told[1], "100 of its" in told[2]] == [True, True]


def test_what_two_programs_settle_between_them_is_no_trouble(caplog: pytest.LogCaptureFixture) -> None:
    found = Refusals()
    for reason in ("unknown_schema", "unknown_version"):
        found.note("a", reason, "say hello", NOW)
    assert (dict(found.now()), warned(caplog)) == ({}, [])


def test_every_other_reason_of_the_wire_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    found = Refusals()
    for reason in wire.REASONS:
        found.note("a", reason, "so it is", NOW)
    told = warned(caplog)
    assert len(told) == len(wire.REASONS) - 2
    assert all(len(line.partition("so it is; ")[2]) > 20 for line in told)
    assert REMEDIES.keys() <= set(wire.REASONS)


def test_an_agent_of_which_all_is_refused_is_found_until_something_of_it_is_booked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench, s, other = Bench(), Sender("a"), Sender("b")
    bench.hello(s)
    bench.hello(other)
    bench.book(other, other.frame(0, GOOD))
    for _ in range(2):
        assert bench.book(s, s.frame(0, FALLING)) == "bad_value"
        bench.now += 30 * SECOND
    (line,) = warned(caplog)
    assert line.startswith("a: refused as bad_value: a counter falls")
    why = bench.step.tallies.refusals.now()["a"]
    assert (why.since, why.last, why.messages) == (NOW, NOW + 30 * SECOND, 2)
    shown = {a.name: answers.agent(a)["refused"] for a in agents_of(bench.step, "", 10)}
    assert shown["b"] is None
    assert (shown["a"]["reason"], shown["a"]["messages"], shown["a"]["since"][:4]) == ("bad_value", 2, "2025")
    assert bench.book(s, s.frame(0, GOOD)) == 1
    assert dict(bench.step.tallies.refusals.now()) == {}


def test_the_owner_reads_of_whom_nothing_is_booked() -> None:
    of = {"reason": "bad_value", "text": "a counter falls", "since": NOW, "last": NOW, "messages": 1200}
    found = {
        "ready": True,
        "said": [],
        "version": "1",
        "devices": {},
        "agents": 30,
        "silent": 0,
        "last_commit": "",
        "oldest_unbooked": 0.0,
        "ledger": "l",
        "ledger_bytes": 0,
        "refused": {f"pc-{n:02}": of for n in range(25)},
    }
    lines = beside.told(found).splitlines()
    assert "pc-00: nothing booked since 2025-11-24 16:00:00+00:00, 1,200 refused: bad_value" in "".join(lines)
    assert (sum("pc-" in line for line in lines), "and 5 more" in lines[-1]) == (20, True)
