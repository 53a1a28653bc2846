"""Frames to slots and totals through the whole step: clocks, gaps, schemas that grow, and senders that lie."""

from __future__ import annotations

import math
import tracemalloc

import pytest

from tests.collector.sending import (
    GAUGE,
    GRAMS_PER_JOULE,
    LOAD,
    NOTHING_KNOWN,
    NOW,
    PLUG,
    RAPL,
    SECOND,
    Bench,
    Sender,
    pair,
)
from thinwatt_agent import wire
from thinwatt_agent.wire import Column, Group, Schema
from thinwatt_collector import booking, counting

NAN, INF = math.nan, math.inf
Rows = list[tuple[int, float, list[float]]]


def plug_rows(first: int, last: int, *, watts: float = 50.0, start: float = 0.0) -> Rows:
    """A plug read every 10 s: tick, time and counters since tick 0, which was at ``start``."""
    return [(n, start + 10.0 * n, [watts * 10 * n, 10.0 * n]) for n in range(first, last + 1)]


def known(sender: Sender, **more: object) -> Bench:
    bench = Bench(**more)  # type: ignore[arg-type]  # passed on
    bench.hello(sender)
    return bench


def test_a_minute_of_rows_is_booked_in_its_slot_with_its_totals() -> None:
    s = Sender()
    bench = known(s)
    assert bench.book(s, s.frame(0, plug_rows(1, 6))) == 6
    assert bench.slots() == bench.slots(source="plug") == {0: (3000.0, 60.0)}
    assert bench.totals() == {
        ("ENERGY", "measured, host"): 3000.0,
        ("CARBON", "host, record"): pytest.approx(3000.0 * GRAMS_PER_JOULE),
        ("COVERED", "host"): 60.0,
        ("DEVICE_ENERGY", "measured, host, a"): 3000.0,
        ("SOURCE_ENERGY", "measured, a, , wall, plug"): 3000.0,
        ("DEVICE_COVERED", "a"): 60.0,
    }


def test_duplicates_count_nothing_and_overlaps_count_their_new_rows() -> None:
    s = Sender()
    bench = known(s)
    frames = [s.frame(0, plug_rows(1, 6)), s.frame(0, plug_rows(1, 3)), s.frame(2, plug_rows(3, 9))]
    assert bench.book(s, *frames) == 9
    assert bench.book(s, *frames) == 9
    assert bench.slots() == {0: (4500.0, 90.0)}
    assert bench.step.tallies.frames["duplicate"] == 4


def test_a_hole_is_not_booked_and_answered_with_the_position() -> None:
    s = Sender()
    bench = known(s)
    assert bench.book(s, s.frame(6, plug_rows(7, 12))) == 0
    assert bench.book(s, s.frame(0, plug_rows(1, 3)), s.frame(6, plug_rows(7, 12))) == 3
    assert bench.book(s, s.frame(3, plug_rows(4, 12))) == 12
    assert bench.slots() == {0: (6000.0, 120.0)}
    assert bench.step.tallies.frames["hole"] == 2


def test_a_row_dropped_at_the_bound_costs_placement_and_no_joule() -> None:
    s = Sender(offset=NOW + 870 * SECOND)
    bench = known(s)
    rows = plug_rows(1, 6)
    assert bench.book(s, s.frame(0, [rows[0], rows[5]])) == 6
    assert bench.slots() == {0: (pytest.approx(1500.0), pytest.approx(30.0)), 1: (1500.0, 30.0)}


# Gaps


def test_time_without_coverage_is_a_gap_to_the_second() -> None:
    s = Sender()
    bench = known(s)
    bench.book(s, s.frame(0, [(1, 10.0, [500.0, 10.0]), (2, 20.0, [500.0, 10.0]), (3, 30.0, [900.0, 17.0])]))
    totals = bench.totals()
    assert totals["COVERED", "host"] == totals["DEVICE_COVERED", "a"] == 17.0
    assert totals["GAP", "host"] == totals["DEVICE_GAP", "a"] == pytest.approx(13.0)


def test_a_machine_of_which_nothing_is_known_has_gaps_and_no_zeros() -> None:
    s = Sender(schema=Schema((Group(("",), (*RAPL, *LOAD)),)))
    bench = known(s, model=NOTHING_KNOWN)
    bench.book(s, s.frame(0, [(1, 10.0, [500.0, 10.0, 4.0, 40.0, 10.0])]))
    assert bench.totals()["GAP", "host"] == 10.0
    assert "ENERGY" not in {family for family, _ in bench.totals()}
    assert bench.slots() == {}
    assert bench.slots(source="rapl") == {0: (500.0, 10.0)}


def test_between_two_streams_lies_a_gap_unless_the_new_one_begins_where_the_old_one_ended() -> None:
    old, resumed, later = Sender(), Sender(base=60.0), Sender(base=165.0)
    bench = known(old)
    bench.book(old, old.frame(0, plug_rows(1, 6)))
    bench.book(resumed, resumed.frame(0, plug_rows(1, 6, start=60.0)))
    assert ("GAP", "host") not in bench.totals()
    bench.restart()
    bench.book(later, later.frame(0, plug_rows(1, 2, start=165.0)))
    assert bench.totals()["GAP", "host"] == bench.totals()["DEVICE_GAP", "a"] == pytest.approx(45.0)
    assert bench.totals()["COVERED", "host"] == pytest.approx(140.0)


def test_an_old_and_a_new_stream_in_one_commit_leave_the_same_gap() -> None:
    old, new = Sender(), Sender(base=140.0)
    bench = known(old)
    bench.give(old, old.frame(0, plug_rows(1, 6)), old.frame(6, plug_rows(7, 12)))
    bench.give(new, new.frame(0, plug_rows(1, 6, start=140.0)), new.frame(6, plug_rows(7, 12, start=140.0)))
    bench.commit()
    assert bench.totals()["GAP", "host"] == pytest.approx(20.0)
    assert bench.totals()["COVERED", "host"] == pytest.approx(240.0)


# Schemas


def test_a_column_more_counts_from_its_first_row_on() -> None:
    s = Sender()
    bench = known(s)
    bench.book(s, s.frame(0, plug_rows(1, 2)))
    s.schema = Schema((Group(("",), (*pair("dcmi", scope="node"), *PLUG.groups[0].columns)),))
    bench.hello(s)
    assert bench.book(s, s.frame(2, [(3, 30.0, [7.0, 5.0, 1500.0, 30.0])])) == 3
    bench.restart()
    assert bench.book(s, s.frame(3, [(4, 40.0, [17.0, 15.0, 2000.0, 40.0])])) == 4
    assert bench.slots(source="dcmi") == {0: (17.0, 15.0)}
    assert bench.slots(source="plug") == {0: (2000.0, 40.0)}


def test_a_column_less_is_refused_and_nothing_of_the_stream_is_lost() -> None:
    s, less = Sender(schema=Schema((Group(("",), (*PLUG.groups[0].columns, GAUGE)),))), PLUG
    bench = known(s)
    bench.book(s, s.frame(0, [(1, 10.0, [500.0, 10.0, 1.0])]))
    more, s.schema = s.schema, less
    bench.hello(s)
    assert bench.book(s, s.frame(1, plug_rows(2, 2))) == "bad_schema"
    s.schema = more
    assert bench.book(s, s.frame(1, [(2, 20.0, [1000.0, 20.0, 1.0])])) == 2


def test_a_late_duplicate_in_the_older_schema_is_only_a_duplicate() -> None:
    s = Sender()
    bench = known(s)
    first = s.frame(0, plug_rows(1, 2))
    bench.book(s, first)
    s.schema = Schema((Group(("",), (*PLUG.groups[0].columns, GAUGE)),))
    bench.hello(s)
    assert bench.book(s, s.frame(2, [(3, 30.0, [1500.0, 30.0, NAN])])) == 3
    assert bench.book(s, first) == 3
    assert bench.slots() == {0: (1500.0, 30.0)}


def test_a_stream_whose_second_schema_arrives_first_is_booked_in_order_all_the_same() -> None:
    s = Sender()
    bench = known(s)
    first = s.frame(0, plug_rows(1, 2))
    s.schema = Schema((Group(("",), (*PLUG.groups[0].columns, GAUGE)),))
    bench.hello(s)
    second = s.frame(2, [(3, 30.0, [1500.0, 30.0, 1.0])])
    assert bench.book(s, second) == 0
    assert bench.book(s, first) == 2
    assert bench.book(s, second) == 3
    assert bench.slots() == {0: (1500.0, 30.0)}


def test_a_gateway_reports_for_devices_of_several_kinds_each_under_its_own_name() -> None:
    outlets = Group(("outlet-1", "outlet-2"), pair("pdu"))
    bmc = Group(("rack/bmc",), (GAUGE, *pair("dcmi", scope="node")))
    s = Sender(name="gw", schema=Schema((outlets, bmc)))
    bench = Bench()
    bench.hello(s, {"class": "gateway", "devices": {"outlet-1": {"class": "host"}, "rack/bmc": {"class": "host"}}})
    rows: Rows = [(n, 10.0 * n, [5.0 * n, 10.0 * n, 7.0 * n, 8.0 * n, NAN, 11.0 * n, 10.0 * n]) for n in (1, 2)]
    assert bench.book(s, s.frame(0, rows)) == 2
    assert bench.slots("gw/outlet-1") == {0: (10.0, 20.0)}
    assert bench.slots("gw/outlet-2") == {0: (14.0, 16.0)}
    assert bench.slots("gw/rack/bmc") == {0: (22.0, 20.0)}
    totals = bench.totals()
    assert totals["ENERGY", "measured, host"] == 32.0
    assert totals["ENERGY", "measured, unknown"] == 14.0
    assert totals["DEVICE_GAP", "gw/outlet-2"] == pytest.approx(4.0)
    assert sum(v for (family, _), v in totals.items() if family == "GAP") == pytest.approx(4.0)


def test_two_agents_devices_of_one_name_are_two() -> None:
    schema = Schema((Group(("x",), pair("pdu")),))
    one, two = Sender("a", schema), Sender("b", schema)
    bench = known(one)
    bench.hello(two)
    bench.book(one, one.frame(0, plug_rows(1, 1)))
    bench.book(two, two.frame(0, plug_rows(1, 2)))
    assert bench.slots("a/x") == {0: (500.0, 10.0)}
    assert bench.slots("b/x") == {0: (1000.0, 20.0)}


# Values


def test_a_gauge_may_be_anything_and_a_counter_only_rise() -> None:
    schema = Schema((Group(("",), (*PLUG.groups[0].columns, GAUGE)),))
    for gauge in (NAN, INF, -INF, -5.0):
        s = Sender(schema=schema)
        assert known(s).book(s, s.frame(0, [(1, 10.0, [5.0, 10.0, gauge]), (2, 20.0, [6.0, 20.0, 0.0])])) == 2
    for bad in (NAN, INF, -INF, -1.0, 2e18, 1e308):
        s = Sender(schema=schema)
        bench = known(s)
        for rows in ([(1, 10.0, [bad, 10.0, 0.0])], [(1, 10.0, [1.0, bad, 0.0]), (2, 20.0, [2.0, 20.0, 0.0])]):
            assert bench.book(s, s.frame(0, rows)) == "bad_value"
        assert bench.book(s, s.frame(0, [(1, 10.0, [5.0, 10.0, 0.0])])) == 1
        assert bench.book(s, s.frame(1, [(2, 20.0, [4.0, 20.0, 0.0])])) == "bad_value"
        assert bench.slots() == {0: (5.0, 10.0)}


def test_what_falls_by_a_rounding_is_held_so_that_no_total_falls() -> None:
    s = Sender()
    bench = known(s)
    bench.book(s, s.frame(0, [(1, 10.0, [1e8, 10.0])]))
    before = bench.totals()
    assert bench.book(s, s.frame(1, [(2, 20.0, [1e8 - 0.05, 20.0])])) == 2
    after = bench.totals()
    assert all(after[name] >= value for name, value in before.items())
    assert bench.book(s, s.frame(2, [(3, 30.0, [1e8 + 1, 30.0])])) == 3
    assert bench.slots()[0][0] == 1e8 + 1


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("extreme", [-(1 << 63), (1 << 63) - 1, -(1 << 62), 1 << 62])
@pytest.mark.parametrize("flags", [0, wire.LIVE, wire.OFFSET_KNOWN, 255])
def test_extreme_clocks_are_refused_and_cost_nothing(extreme: int, flags: int, version: int) -> None:
    for name in ("base", "wall_offset", "sent"):
        s = Sender(flags=flags, version=version)
        bench = known(s)
        assert bench.book(s, s.frame(0, plug_rows(1, 2), **{name: extreme})) == "bad_order"
        assert bench.book(s, s.frame(0, plug_rows(1, 2))) == 2


def test_ticks_and_times_that_do_not_rise_are_refused() -> None:
    good = plug_rows(1, 3)
    big = (1 << 63) - 1
    for rows in (
        [good[0], good[0]],
        [good[1], good[0]],
        [good[0], (2, 9.0, [9e9, 20.0])],
        [(0, 10.0, [1.0, 1.0])],
        [(big + 2, 10.0, [1.0, 1.0])],
        [(1, -10.0, [1.0, 1.0])],
        [(1, 4.6e9, [1.0, 1.0]), (2, -9.2e9, [1.0, 1.0]), (3, -1e-9, [1.0, 1.0])],
    ):
        s = Sender()
        assert known(s).book(s, s.frame(0, rows)) == "bad_order"
    s = Sender()
    assert known(s).book(s, s.frame(big, good)) == "bad_order"


def test_a_row_before_the_booked_one_and_a_frame_of_two_years_are_refused() -> None:
    s = Sender()
    bench = known(s)
    bench.book(s, s.frame(0, plug_rows(1, 3)))
    assert bench.book(s, s.frame(3, [(4, 29.0, [2000.0, 30.0])])) == "bad_value"
    assert bench.book(s, s.frame(3, [(4, 2 * 366 * 86_400.0, [2000.0, 40.0])])) == "bad_value"
    assert bench.book(s, s.frame(3, plug_rows(4, 6))) == 6


def test_many_frames_of_a_month_each_wait_for_their_turn_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(booking, "WIDE_WORK", 1 << 17)
    month = 30 * 86_400.0
    senders = [Sender(f"a{i}") for i in range(300)]
    bench = Bench()
    for s in senders:
        bench.hello(s)
        bench.give(s, s.frame(0, [(1, month, [month, month])]))
    ordinary = Sender("ordinary")
    bench.hello(ordinary)
    bench.give(ordinary, ordinary.frame(0, plug_rows(1, 6)))
    tracemalloc.start()
    try:
        positions, refusals = bench.commit()
        assert tracemalloc.get_traced_memory()[1] < 400 * booking.WIDE_WORK
    finally:
        tracemalloc.stop()
    assert not refusals
    assert positions[ordinary.stream] == 6
    booked = booking.WIDE_WORK // (2881 * (PLUG.width + counting.PER_SLOT))
    assert sum(positions[s.stream] for s in senders) == booked > 1
    assert bench.step.tallies.frames["postponed"] == 300 - booked
    waiting = next(s for s in senders if not positions[s.stream])
    assert bench.book(waiting, waiting.frame(0, [(1, month, [month, month])])) == 1


def test_a_laptop_that_slept_for_three_months_is_booked_at_once() -> None:
    s = Sender()
    asleep = 90 * 86_400.0
    assert known(s).book(s, s.frame(0, [*plug_rows(1, 1), (2, 10.0 + asleep, [600.0, 20.0])])) == 2


def test_new_streams_beyond_a_number_wait_for_the_next_commit() -> None:
    senders = [Sender() for _ in range(booking.NEWCOMERS + 5)]
    bench = known(senders[0])
    for s in senders:
        bench.give(s, s.frame(0, plug_rows(1, 1)))
    positions, refusals = bench.commit()
    assert not refusals
    assert set(positions) == {s.stream for s in senders[: booking.NEWCOMERS]}
    for s in senders[booking.NEWCOMERS :]:
        assert bench.book(s, s.frame(0, plug_rows(1, 1))) == 1


# Clocks


def test_a_stall_of_the_network_moves_no_energy() -> None:
    s = Sender(flags=wire.LIVE)
    bench = known(s)
    for first, arrives in ((1, 60), (7, 420), (13, 420), (19, 420), (25, 420), (31, 420), (37, 421)):
        bench.now = NOW + arrives * SECOND
        bench.give(s, s.frame(first - 1, plug_rows(first, first + 5), at=10.0 * (first + 5)))
    bench.commit()
    (row,) = bench.ledger.streams([("a", s.stream)])
    assert row.utc_offset == NOW
    assert not row.uncertain
    assert row.position == 42


def test_a_wall_clock_an_hour_wrong_is_seen_and_moves_nothing() -> None:
    s = Sender(flags=wire.LIVE, offset=NOW + 3600 * SECOND)
    bench = known(s)
    bench.now = NOW + 60 * SECOND
    bench.book(s, s.frame(0, plug_rows(1, 6), at=60.0))
    s.offset = NOW
    bench.now = NOW + 120 * SECOND
    bench.book(s, s.frame(6, plug_rows(7, 12), at=120.0))
    assert bench.slots() == {0: (6000.0, 120.0)}
    assert bench.step.tallies.skew["a"] == 0


def test_a_boot_never_heard_is_uncertain_counts_and_stays_out_of_the_future() -> None:
    s = Sender(flags=0, offset=NOW + 86_400 * SECOND)
    bench = known(s)
    bench.now = NOW + 890 * SECOND
    assert bench.book(s, s.frame(0, plug_rows(1, 6))) == 6
    assert bench.book(s, s.frame(6, plug_rows(7, 12))) == 12
    (row,) = bench.ledger.streams([("a", s.stream)])
    assert row.uncertain
    assert row.position_time + row.utc_offset == bench.now
    assert bench.slots() == {0: (6000.0, 120.0)}


def test_two_live_boots_under_one_name_raise_the_alarm_and_both_count() -> None:
    one, two = Sender(flags=wire.LIVE, boot=b"1" * 16), Sender(flags=wire.LIVE, boot=b"2" * 16)
    bench = known(one)
    for first in (1, 7):
        for s in (one, two):
            bench.now += 10 * SECOND
            bench.book(s, s.frame(first - 1, plug_rows(first, first + 5), at=10.0 * (first + 5)))
    assert bench.step.tallies.conflicts.now() == ["a"]
    assert bench.totals()["ENERGY", "measured, host"] == 12_000.0


def test_a_machine_may_say_anything_of_itself_and_commits_go_on() -> None:
    s = Sender()
    bench = Bench()
    odd = {"class": "ho\nst\x7f", "model": "\x00" + "x" * 999, "agent_version": ["\u2028"], "devices": 7}
    assert bench.hello(s, odd) == []
    (refused,) = bench.hello(s, {"class": "ho\ud800st"})
    assert wire.decode_refusal(refused.data).reason == "bad_schema"
    assert bench.book(s, s.frame(0, plug_rows(1, 1))) == 1
    (device,) = bench.ledger.dimensions().devices
    assert device[3:5] == ("host", "x" * 199)


def test_a_device_that_changes_its_class_counts_on_in_the_new_one() -> None:
    s = Sender()
    bench = known(s)
    bench.book(s, s.frame(0, plug_rows(1, 1)))
    bench.hello(s, {"class": "desktop"})
    bench.book(s, s.frame(1, plug_rows(2, 3)))
    totals = bench.totals()
    assert totals["ENERGY", "measured, host"] == totals["DEVICE_ENERGY", "measured, host, a"] == 500.0
    assert totals["ENERGY", "measured, desktop"] == totals["DEVICE_ENERGY", "measured, desktop, a"] == 1000.0
    assert totals["DEVICE_COVERED", "a"] == 30.0


def test_columns_without_energy_are_taken_and_count_nothing() -> None:
    s = Sender(schema=Schema((Group(("",), (GAUGE, Column("load", "disk_read", "counter", "B"))),)))
    bench = known(s)
    assert bench.book(s, s.frame(0, [(1, 10.0, [1.0, 2.0])])) == 1
    assert bench.totals() == {("GAP", "host"): 10.0, ("DEVICE_GAP", "a"): 10.0}
