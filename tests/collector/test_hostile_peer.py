"""Whoever has a key may send anything: what is kept of it is bounded, and nobody else's figures are touched.

Here what goes through the wire in good order; bytes that do not are in tests/invariants/test_hostile_bytes.py.
"""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest

from tests.collector.sending import LOAD, NOW, PLUG, RAPL, SECOND, Bench, Sender, fresh_id, pair
from thinwatt_agent import wire
from thinwatt_agent.wire import Column, Group, Schema
from thinwatt_collector import allowance, booking, clock, fleet
from thinwatt_collector.accept import DEVICE_POWER
from thinwatt_collector.identity import Conflicts
from thinwatt_collector.labels import Totals
from thinwatt_collector.layout import LARGEST, visible
from thinwatt_collector.serve.exposition import render
from thinwatt_collector.snapshot import Rules, Snapshots

RLO = "\N{RIGHT-TO-LEFT OVERRIDE}"
DAY = 86_400 * SECOND


def honest(bench: Bench) -> Sender:
    """An agent that says what is so; two rows are booked."""
    s = Sender("honest")
    bench.hello(s)
    assert bench.book(s, s.frame(0, [(1, 10.0, [500.0, 10.0]), (2, 20.0, [1000.0, 20.0])])) == 2
    return s


def page(bench: Bench, per_device: str = "all") -> str:
    step = bench.step
    rules = Rules(per_device, 300.0)  # type: ignore[arg-type] # one of its texts
    return render(Snapshots(rules).of(step.fleet, {}, [], bench.now), openmetrics=False).decode()


def wide(columns: int, first: int = 0) -> Schema:
    """So many gauges, each of a device of its own, beside a plug: by consumers alone a hello holds fewer."""
    gauges = Group(tuple(str(n) for n in range(columns)), (Column("x", f"g{first}", "gauge", "1"),))
    return Schema((*PLUG.groups, gauges))


# Names


def test_the_stream_id_of_another_agent_opens_nothing() -> None:
    bench = Bench()
    good = honest(bench)
    thief = Sender("thief", stream=good.stream, boot=good.boot)
    bench.hello(thief)
    assert bench.book(thief, thief.frame(2, [(3, 30.0, [9e6, 30.0])])) == 0, "a hole in a stream of its own"
    assert bench.book(thief, thief.frame(0, [(9, 30.0, [9e6, 30.0])])) == 9
    assert bench.slots("honest") == {0: (1000.0, 20.0)}
    assert bench.book(good, good.frame(2, [(3, 30.0, [1500.0, 30.0])])) == 3
    assert bench.slots("honest") == {0: (1500.0, 30.0)}


def test_a_device_that_is_called_like_another_agent_is_not_it() -> None:
    bench = Bench()
    honest(bench)
    thief = Sender("thief", schema=Schema((Group(("honest", "../honest"), PLUG.groups[0].columns),)))
    bench.hello(thief, {"devices": {"honest": {"class": "desktop"}}})
    bench.book(thief, thief.frame(0, [(1, 10.0, [9e6, 10.0] * 2)]))
    assert bench.slots("honest") == {0: (1000.0, 20.0)}
    assert bench.step.fleet.devices[0].kind == "host"


@pytest.mark.parametrize("name", ["a\nb", "a\x7f", "a\x85b", "\x1b[2J", "a\x9b31m", "x" * 201, "x" * 10_000])
def test_names_with_control_characters_or_without_end_are_refused(name: str) -> None:
    for schema in (
        Schema((Group((name,), PLUG.groups[0].columns),)),
        Schema((Group(("",), pair("plug", name)),)),
    ):
        (reply,) = Bench().hello(Sender(schema=schema))
        assert wire.decode_refusal(reply.data).reason == "bad_schema"


def test_what_nobody_can_see_is_written_out_wherever_it_shows() -> None:
    hidden = f'{RLO}"\\evil\u2028\u200b\u00ad\ufeff'
    bench = Bench()
    s = Sender("a", schema=Schema((Group((hidden,), pair("plug", hidden)),)))
    bench.hello(s, {"agent_version": hidden, "devices": {hidden: {"class": "host", "model": hidden}}})
    bench.book(s, s.frame(0, [(1, 10.0, [500.0, 10.0])]))
    shown = page(bench)
    assert shown.replace("\n", "").isprintable()
    assert r'device="a/\\u202e\"\\evil\\u2028\\u200b\\xad\\ufeff"' in shown
    assert bench.book(s, s.frame(1, [(2, 20.0, [1000.0, 20.0])])) == 2
    assert visible("Salle é/漢字 №3") == "Salle é/漢字 №3"


@pytest.mark.parametrize("kind", ["=cmd|' /C calc'!A0", "@SUM(1)", "-1", "<b>", "host\nhost", "", 7, ["host"], None])
def test_a_class_that_is_no_plain_word_is_none(kind: object) -> None:
    bench = Bench()
    bench.hello(Sender("a"), {"class": kind})
    assert bench.step.fleet.devices[0].kind in ("unknown", "7", "hosthost")


def test_classes_without_end_are_none() -> None:
    """Each would be a series for every figure that a class has."""
    names = [str(n) for n in range(5000)]
    s = Sender("a", schema=Schema((Group(tuple(names), PLUG.groups[0].columns),)))
    bench = Bench()
    honest(bench)
    bench.hello(s, {"devices": {name: {"class": f"class {name}"} for name in names}})
    for n in range(100):
        bench.hello(Sender("a"), {"class": f"another {n}"})
    bench.commit()
    assert len(bench.step.fleet.groups) <= allowance.CLASSES + 3


# What is kept


def test_a_hundred_thousand_streams_of_one_agent_come_slowly_and_disturb_nobody() -> None:
    bench = Bench()
    good = honest(bench)
    bench.hello(Sender("a"))
    frames = [Sender("a", stream=fresh_id()) for _ in range(100_000)]
    begun, least = bench.step.fleet.stream.size, allowance.STATES[0] // allowance.LEAST_STATE
    for n in range(20):
        bench.now += 10 * SECOND
        for s in frames[5000 * n : 5000 * (n + 1)]:
            bench.give(s, s.frame(0, [(1, 10.0, [500.0, 10.0])]))
        t = 30.0 + 10 * n
        bench.give(good, good.frame(2 + n, [(3 + n, t, [50 * t, t])]))
        positions, _ = bench.commit()
        assert positions[good.stream] == 3 + n
    kept = bench.step.fleet.stream.size - begun
    assert least <= kept <= least + allowance.STATES[1] // allowance.LEAST_STATE * 200 // 3600 + 1
    assert bench.step.tallies.frames["postponed"] == 100_000 - kept


def test_streams_of_the_widest_schema_are_bounded_by_what_they_take() -> None:
    bench, width = Bench(), wire.MAX_COLUMNS
    schema = wide(width - 2)
    bench.hello(Sender("a", schema=schema))
    for _ in range(30):
        s = Sender("a", schema=schema)
        bench.give(s, s.frame(0, [(1, 10.0, [500.0, 10.0, *[0.0] * (width - 2)])]))
    bench.commit()
    assert bench.step.fleet.stream.size == allowance.STATES[0] // (8 * width)


def test_a_stream_that_goes_from_schema_to_schema_is_kept_once_in_each() -> None:
    columns = (*PLUG.groups[0].columns, *LOAD)
    ways = [Schema((Group(("",), c),)) for c in (columns, columns[::-1])]
    bench, stream = Bench(), fresh_id()
    senders = [Sender("a", schema=schema, stream=stream) for schema in ways]
    for s in senders:
        bench.hello(s)
    for n in range(200):
        t = 10.0 * (n + 1)
        values = [50 * t, t, 0.0, 4 * t, t]
        s = senders[n % 2]
        assert bench.book(s, s.frame(n, [(n + 1, t, values[:: 1 - 2 * (n % 2)])])) == n + 1
    assert sum(placed.rows.size for placed in bench.step.fleet.layouts.values()) == 2
    assert sum(joules for joules, _ in bench.slots().values()) == pytest.approx(50 * 2000.0)


def test_devices_without_end_are_not_learnt() -> None:
    bench, told, refused = Bench(), 0, 0
    for n in range(20):
        names = tuple(f"{n}-{i}" for i in range(5000))
        s = Sender("a", schema=Schema((Group(names, ()), *PLUG.groups)))
        replies = bench.hello(s, {"class": "host"})
        told, refused = told + (not replies), refused + len(replies)
    assert len(bench.step.fleet.devices) <= allowance.NAMES[0]
    assert told == allowance.NAMES[0] // 5000
    assert refused == 20 - told
    bench.now += 3600 * SECOND
    s = Sender("a", schema=Schema((Group(tuple(f"late-{i}" for i in range(4000)), ()), *PLUG.groups)))
    assert bench.hello(s) == []


def test_columns_without_end_are_not_learnt() -> None:
    bench = Bench()
    at_once = allowance.COLUMNS[0] // wire.MAX_COLUMNS
    replies = [bench.hello(Sender("a", schema=wide(wire.MAX_COLUMNS - 2, n))) for n in range(at_once + 2)]
    assert [len(r) for r in replies] == [0] * at_once + [1, 1]
    assert bench.hello(Sender("b", schema=wide(10))) == []


def test_a_schema_of_devices_without_columns_is_booked_as_nothing() -> None:
    bench = Bench()
    s = Sender("a", schema=Schema((Group(("x", "y"), ()), *PLUG.groups)))
    bench.hello(s)
    assert bench.book(s, s.frame(0, [(1, 10.0, [500.0, 10.0])])) == 1
    assert bench.slots("a") == {0: (500.0, 10.0)}


def test_boots_made_up_by_the_thousand_are_forgotten() -> None:
    """Each was held against all others, at every frame."""
    bench, rng = Bench(), random.Random(1)
    s = Sender("a", flags=wire.LIVE)
    bench.hello(s)
    row = [(1, 10.0, [500.0, 10.0])]
    for _ in range(3000):
        bench.give(s, s.frame(0, row, at=10.0, boot=rng.randbytes(16)))
    bench.commit()
    assert len(bench.step.tallies.conflicts._heard["a"]) <= Conflicts.MOST
    assert bench.step.tallies.conflicts.now() == ["a"]


def test_a_hello_that_renames_all_devices_looks_at_the_totals_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, of_old = [], Totals.rename

    def rename(totals: Totals, devices: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        calls.append(len(devices))
        of_old(totals, devices)

    monkeypatch.setattr(Totals, "rename", rename)
    names = [str(n) for n in range(2000)]
    s, bench = Sender("a", schema=Schema((Group(tuple(names), PLUG.groups[0].columns),))), Bench()
    for kind in ("host", "desktop", "laptop"):
        bench.hello(s, {"devices": {name: {"class": kind} for name in names}})
        bench.commit()
    assert calls == [2000, 2000]


def test_a_cache_that_grew_large_is_emptied_when_most_of_it_is_cold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "CACHE", 1 << 10)
    bench = Bench()
    bench.hello(Sender("a"))
    streams = [Sender("a", stream=fresh_id()) for _ in range(booking.NEWCOMERS)]
    for s in streams:
        bench.give(s, s.frame(0, [(1, 10.0, [500.0, 10.0])]))
    bench.commit()
    bench.now += fleet.COLD + 60 * SECOND
    good = honest(bench)
    bench.step.fleet.forget_silent(0)
    assert bench.step.fleet.stream.size == 0
    assert bench.book(good, good.frame(2, [(3, 30.0, [1500.0, 30.0])])) == 3


# Numbers and times


@pytest.mark.parametrize(
    "rows",
    [
        [[100.0, -10.0], [200.0, -5.0]],
        [[-0.5, 10.0], [200.0, 20.0]],
        [[100.0, math.nan], [200.0, 20.0]],
        [[100.0, 10.0], [200.0, math.inf]],
        [[100.0, 10.0], [50.0, 20.0]],
        [[100.0, 10.0], [200.0, 5.0]],
        [[2 * LARGEST, 10.0], [2 * LARGEST, 20.0]],
        [[100.0, 2 * LARGEST], [200.0, 2 * LARGEST]],
    ],
)
def test_counters_that_cannot_be_move_nothing(rows: list[list[float]]) -> None:
    bench = Bench()
    good, before = honest(bench), bench.totals()
    s = Sender("a")
    bench.hello(s)
    assert bench.book(s, s.frame(0, [(1, 10.0, rows[0]), (2, 20.0, rows[1])])) == "bad_value"
    assert bench.totals() == before
    assert bench.book(good, good.frame(2, [(3, 30.0, [1500.0, 30.0])])) == 3


def test_the_largest_energy_that_is_taken_drowns_no_minute_of_another() -> None:
    bench = Bench()
    good = honest(bench)
    s = Sender("a")
    bench.hello(s)
    assert bench.book(s, s.frame(0, [(1, 10.0, [3610.0 * DEVICE_POWER, 10.0])])) == 1
    before = bench.totals()["ENERGY", "measured, host"]
    bench.book(good, good.frame(2, [(3, 30.0, [1300.0, 30.0])]))
    assert bench.totals()["ENERGY", "measured, host"] - before == pytest.approx(300.0, rel=1e-9)


def test_a_host_may_be_up_for_a_decade() -> None:
    """512 GiB × a month passes 1e18 bytes × seconds, which was taken for no counter."""
    memory = Column("libvirt", "memory_capacity", "counter", "B s")
    s = Sender("a", schema=Schema((Group(("",), (*PLUG.groups[0].columns, memory)),)))
    bench = Bench()
    bench.hello(s)
    decade = 10 * 365.25 * 86_400
    assert bench.book(s, s.frame(0, [(1, 10.0, [500.0, 10.0, 2.0**43 * decade])])) == 1


@pytest.mark.parametrize("flags", [0, wire.LIVE, wire.OFFSET_KNOWN])
@pytest.mark.parametrize("up", [0, 1, 35])
@pytest.mark.parametrize("wrong", [-140, -54, -2, 1, 15, 70])
def test_whatever_a_clock_says_rows_lie_near_their_receipt(flags: int, up: int, wrong: int) -> None:
    """A slot of 2096 would stay open until then, and one of 1970 be the ledger's first day; both in years."""
    bench = Bench()
    s = Sender("a", flags=flags, offset=0, base=up * 365.25 * 86_400)
    bench.hello(s)
    bench.now = NOW + 60 * SECOND
    offset = NOW + round(wrong * 365.25 * DAY)
    t = s.base + 10.0
    bench.give(s, s.frame(0, [(1, t, [500.0, 10.0])], at=t, wall_offset=offset))
    # Later frames say that they were sent at any time.
    bench.give(s, s.frame(1, [(2, t + 10, [1000.0, 20.0])], at=-t, wall_offset=offset))
    bench.give(s, s.frame(2, [(3, t + 20, [1500.0, 30.0])], at=t + 1e9, wall_offset=-offset))
    bench.commit()
    slots = bench.slots("a")
    taken = abs(offset) < booking.CLOCK_LIMIT
    assert sum(joules for joules, _ in slots.values()) == pytest.approx(1500.0 * taken)
    days = [slot * 900 * SECOND / DAY for slot in slots]
    assert all(-clock.BEHIND / DAY - 1 <= day <= clock.AHEAD / DAY + 1 for day in days)


def test_a_row_of_tomorrow_by_a_clock_that_was_checked_is_left_where_it_is() -> None:
    bench = Bench()
    s = Sender("a", flags=wire.OFFSET_KNOWN)
    bench.hello(s)
    bench.book(s, s.frame(0, [(1, 86_000.0, [500.0, 10.0])]))
    assert sum(joules for slot, (joules, _) in bench.slots("a").items() if slot >= 94) > 0


def test_a_frame_like_any_other_after_all_of_it() -> None:
    """Gauges may be anything; the same device twice; a hello that is the largest there is."""
    bench = Bench()
    columns = (*PLUG.groups[0].columns, *RAPL, Column("x", "g", "gauge", "1"))
    s = Sender("a", schema=Schema((Group(("",), columns), Group(("",), LOAD))))
    bench.hello(s, {"class": "host", "note": "x" * (wire.MAX_HELLO - 2000)})
    for n, gauge in enumerate((math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324)):
        t = 10.0 * (n + 1)
        assert bench.book(s, s.frame(n, [(n + 1, t, [50 * t, t, 40 * t, t, gauge, 0.0, t, t])])) == n + 1
    assert bench.totals()["ENERGY", "measured, host"] == 3000.0
    assert json.dumps(sorted(bench.slots("a")))
