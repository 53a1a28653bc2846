"""Splitting at slots against exact fractions; the finest estimate of each moment; what nothing covers is a gap."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from tests.collector.sending import GAUGE, HOST, LOAD, NOTHING_KNOWN, RAPL, TOTAL, Bench, Sender, pair
from thinwatt_agent.loop import Sampler, SamplerOptions
from thinwatt_agent.replay import instant
from thinwatt_agent.wire import Column, Group, Schema
from thinwatt_collector.counting import Floats, Ints, count, split, too_wide, wide_work
from thinwatt_collector.layout import GroupLayout, layout_of
from thinwatt_collector.models.devices import DeviceModel, DeviceModels

SECOND = 1_000_000_000
SLOT = 900 * SECOND
START = 1_960_000 * SLOT
STEP = st.one_of(st.integers(0, 20 * SECOND), st.sampled_from((0, SLOT, 3 * SLOT)), st.integers(0, 40 * SLOT))


@st.composite
def frames(draw: st.DrawFn) -> tuple[Ints, Floats]:
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    many = draw(st.integers(1, 4))
    utc = [
        np.cumsum([START + draw(st.integers(-2 * SLOT, 2 * SLOT)), *(draw(STEP) for _ in range(rows))])
        for _ in range(many)
    ]
    amount = st.floats(0, 1e9, allow_subnormal=False)
    values = [[[draw(amount) for _ in range(rows)] for _ in range(columns)] for _ in range(many)]
    return np.array(utc), np.array(values)


def by_hand(times: list[int], amounts: list[float]) -> dict[int, Fraction]:
    out: dict[int, Fraction] = defaultdict(Fraction)
    for begin, end, amount in zip(times, times[1:], amounts, strict=False):
        if begin == end:
            out[begin // SLOT] += Fraction(amount)
        at = begin
        while at < end:
            until = min(end, (at // SLOT + 1) * SLOT)
            out[at // SLOT] += Fraction(amount) * Fraction(until - at, end - begin)
            at = until
    return out


@given(frames())
def test_splitting_places_by_time_and_keeps_every_joule(drawn: tuple[Ints, Floats]) -> None:
    utc, values = drawn
    chunks, sums = split(utc, values)
    assert (np.diff(chunks.frame) >= 0).all()
    for frame in range(len(utc)):
        ours = chunks.frame == frame
        slots = chunks.slot[ours]
        assert (np.diff(slots) > 0).all()
        assert chunks.elapsed[ours].sum() == pytest.approx((utc[frame, -1] - utc[frame, 0]) / SECOND, rel=1e-12)
        for column in range(values.shape[1]):
            amounts = values[frame, column].tolist()
            total = sum(amounts)
            assert sums[ours, column].sum() == pytest.approx(total, rel=1e-12)
            assert (sums[ours, column] >= 0).all()
            expected = by_hand(utc[frame].tolist(), amounts)
            moved = Fraction(0)
            for slot in sorted(set(expected) | set(slots.tolist())):
                at = np.flatnonzero(slots == slot)
                moved += abs(Fraction(float(sums[ours, column][at].sum())) - expected[slot])
            # An interval without length that ends a frame on a boundary may stand in either of its two slots.
            instant = sum(a for a, b, c in zip(amounts, utc[frame], utc[frame, 1:], strict=False) if b == c)
            assert float(moved) <= 2 * instant + 1e-9 * max(total, 1e-300)


def test_a_row_exactly_on_a_boundary_leaves_nothing_behind_it() -> None:
    utc = np.array([[START - 10 * SECOND, START, START + 10 * SECOND]])
    chunks, sums = split(utc, np.array([[[5.0, 7.0]]]))
    assert chunks.slot.tolist() == [1_959_999, 1_960_000]
    assert sums.tolist() == [[5.0], [7.0]]
    assert chunks.elapsed.tolist() == [10.0, 10.0]
    chunks, sums = split(utc[:, :2], np.array([[[5.0]]]))
    assert chunks.slot.tolist() == [1_959_999]


def test_a_night_without_rows_is_spread_over_all_its_slots() -> None:
    chunks, sums = split(np.array([[START + SLOT // 2, START + 40 * SLOT]]), np.array([[[3950.0]]]))
    assert chunks.slot.tolist() == list(range(1_960_000, 1_960_040))
    assert sums[:, 0].tolist() == pytest.approx([50.0] + [100.0] * 39, rel=1e-12)


def test_summer_time_is_nothing_to_a_slot() -> None:
    """01:00 UTC on 25 October 2026, when Paris goes through an hour twice."""
    change = 1_792_890_000 * SECOND
    chunks, sums = split(np.array([[change - SLOT, change + 2 * SLOT]]), np.array([[[30.0]]]))
    assert np.diff(chunks.slot).tolist() == [1, 1]
    assert sums[:, 0].tolist() == pytest.approx([10.0, 10.0, 10.0], rel=1e-12)


def test_frames_that_grow_when_split_say_by_how_much() -> None:
    year = 366 * 96
    utc = np.array([[START, START + 10 * SECOND], [START, START + 100 * SLOT], [START, START + 41_000 * SLOT]])
    assert too_wide(utc).tolist() == [False, False, True]
    assert wide_work(utc, 20).tolist() == [0, 101 * 28, 41_001 * 28]
    assert not too_wide(np.array([[START, START + year * SLOT]]))[0]


# The winner


def layout(*columns: Column) -> GroupLayout:
    return layout_of(Schema((Group(("",), columns),))).groups[0]


def models(model: DeviceModel = HOST) -> DeviceModels:
    told = (model.base, model.efficiency, model.u_meter, model.u_component, model.u_load)
    base, efficiency, u_meter, u_component, u_load = (np.array([[x]]) for x in told)
    rating, supply = np.array([[model.rating]]), model.supply[None, None, :]
    watts = model.watts[None, None, :]
    return DeviceModels(watts, base, efficiency, u_meter, u_component, u_load, rating, supply)


def won(group: GroupLayout, rows: list[list[float]], seconds: float = 10.0, model: DeviceModel = HOST) -> list[float]:
    """Count cumulative rows behind a state of zeros; return joules and seconds of measured, modelled, assumed."""
    columns = np.array([[0.0] * group.columns, *rows]).T[None]
    utc = START + np.arange(len(rows) + 1)[None] * round(seconds * SECOND)
    counted = count(group, utc, columns, models(model))
    assert np.isfinite(counted.bias).all()
    return [*counted.won.sum(axis=(0, 1)), *counted.won_covered.sum(axis=(0, 1))]


WALL = pair("plug")
NODE = pair("dcmi", scope="node")


def test_a_wall_meter_wins_over_a_node_meter_over_packages_over_load() -> None:
    everything = layout(*RAPL, *NODE, *WALL, *LOAD)
    full = [500.0, 10.0, 900.0, 10.0, 1000.0, 10.0, 20.0, 40.0, 10.0]
    assert won(everything, [full]) == [1000.0, 0, 0, 10.0, 0, 0]
    assert won(layout(*RAPL, *NODE, *LOAD), [full[:4] + full[6:]]) == [900.0, 0, 0, 10.0, 0, 0]
    assert won(layout(*RAPL, *LOAD), [full[:2] + full[6:]]) == pytest.approx([0, (500 + 300) / 0.9, 0, 0, 10.0, 0])
    assert won(layout(*LOAD), [full[6:]]) == pytest.approx([0, 0, 2000.0, 0, 0, 10.0])


def test_what_the_finer_does_not_cover_the_next_fills_in_under_its_own_basis() -> None:
    group = layout(*WALL, *RAPL, *LOAD)
    assert won(group, [[30000.0, 200.0, 10500.0, 350.0, 1000.0, 2000.0, 500.0]], 500.0) == pytest.approx(
        [30000.0, (10500 + 30 * 350) / 0.9 * 3 / 7, 100_000.0 * 3 / 10, 200.0, 150.0, 150.0]
    )


def test_a_reading_that_is_only_late_is_not_filled_in_and_counted_twice() -> None:
    group = layout(*WALL, *LOAD)
    late = [5000.0, 50.0, 120.0, 240.0, 60.0]
    assert won(group, [late], 60.0) == [5000.0, 0, 0, 50.0, 0, 0]
    assert won(group, [[12000.0, 120.0, 240.0, 480.0, 120.0]], 120.0) == [12000.0, 0, 0, 120.0, 0, 0]


BATTERY = pair("battery", scope="node")


def framed(group: GroupLayout, rows: list[list[float]], per: int) -> Floats:
    """Count rows of 10 s in frames of ``per`` rows; return joules and seconds of measured, modelled, assumed."""
    total = np.cumsum([[0.0] * group.columns, *rows], axis=0)
    out = np.zeros(6)
    for begin in range(0, len(rows), per):
        part = total[begin : begin + per + 1]
        utc = START + (begin + np.arange(len(part))[None]) * 10 * SECOND
        counted = count(group, utc, part.T[None], models())
        out += [*counted.won.sum(axis=(0, 1)), *counted.won_covered.sum(axis=(0, 1))]
    return out


def on_battery(watts: float, package: float) -> list[float]:
    return [watts * 10, 10.0, package * 10, 10.0, 1.0, 40.0, 10.0]


def on_mains(package: float) -> list[float]:
    return [0.0, 0.0, package * 10, 10.0, 1.0, 40.0, 10.0]


@pytest.mark.parametrize("package", [40.0, 4.0])
def test_what_fills_in_is_what_the_coarser_counted_in_those_rows(package: float) -> None:
    """Its power while the finer one covered has nothing to do with it."""
    rows = [on_battery(20, 10)] * 15 + [on_mains(package)] * 15
    for per in (6, 30):
        expected = [3000.0, (package + 30) / 0.9 * 150, 0, 150.0, 150.0, 0]
        assert framed(layout(*BATTERY, *RAPL, *LOAD), rows, per) == pytest.approx(expected)


@pytest.mark.parametrize("per", [3, 6, 30])
def test_the_same_rows_are_the_same_joules_in_any_frames(per: int) -> None:
    rows = ([on_battery(20, 10)] * 3 + [on_mains(40)] * 3) * 5
    expected = [3000.0, 70 / 0.9 * 150, 0, 150.0, 150.0, 0]
    assert framed(layout(*BATTERY, *RAPL, *LOAD), rows, per) == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(3, 9), st.booleans(), st.integers(1, 50)), min_size=1, max_size=6))
def test_rows_that_all_say_something_are_the_same_joules_in_any_frames(parts: list[tuple[int, bool, int]]) -> None:
    """Three rows at least: fewer at a frame's end may be failed readings that the next good one covers."""
    rows = [on_battery(30, w) if plugged_out else on_mains(w) for n, plugged_out, w in parts for _ in range(n)]
    group = layout(*BATTERY, *RAPL, *LOAD)
    by_hand = [0.0] * 6
    for n, plugged_out, w in parts:
        by_hand[0 if plugged_out else 1] += n * (300 if plugged_out else (w + 30) / 0.9 * 10)
        by_hand[3 if plugged_out else 4] += n * 10
    assert framed(group, rows, len(rows)) == pytest.approx(by_hand)


@pytest.mark.parametrize("failed", [1, 2])
def test_failed_reads_that_the_next_good_one_covers_are_no_lack(failed: int) -> None:
    late = [4000.0 * (failed + 1), 10.0 * (failed + 1), 1.0, 40.0, 10.0]
    good, none = [4000.0, 10.0, 1.0, 40.0, 10.0], [0.0, 0.0, 1.0, 40.0, 10.0]
    rows = [good] * 4 + [none] * failed + [late] + [good] * 4
    for per in (len(rows), 4 + failed, 5):  # all in one frame, cut behind the failure, cut within it
        seen = framed(layout(*WALL, *LOAD), rows, per)
        assert seen == pytest.approx([4000.0 * len(rows), 0, 0, 10.0 * len(rows), 0, 0])


@given(st.integers(1, 2_000_000))
def test_a_moment_beside_a_slot_boundary_is_no_moment_lost(nanoseconds: int) -> None:
    group = layout(*WALL, *LOAD)
    start = START // SLOT * SLOT - nanoseconds
    rows = np.array([[0.0] * group.columns, [4000.0, 10.0, 20.0, 40.0, 10.0]])
    for begin in (start, start - 10 * SECOND + 2 * nanoseconds):
        counted = count(group, np.array([[begin, begin + 10 * SECOND]]), rows.T[None], models())
        assert counted.won.sum(axis=(0, 1)) == pytest.approx([4000.0, 0, 0], rel=1e-12)
        assert counted.won_covered.sum() == pytest.approx(10.0, rel=1e-12)


def test_no_estimate_at_all_is_a_gap_and_not_a_zero() -> None:
    group = layout(*RAPL, *LOAD)
    row = [500.0, 10.0, 20.0, 40.0, 10.0]
    assert won(group, [row], model=NOTHING_KNOWN) == [0, 0, 0, 0, 0, 0]


def test_a_meter_of_a_machine_of_unknown_class_has_a_finite_uncertainty() -> None:
    assert won(layout(*WALL), [[500.0, 10.0]], model=NOTHING_KNOWN) == [500.0, 0, 0, 10.0, 0, 0]


def test_packages_count_only_for_the_time_that_all_of_them_cover() -> None:
    two = (*RAPL, *pair("rapl", "package-1", scope="component", basis="modelled"))
    measured = won(layout(*two), [[100.0, 10.0, 100.0, 6.0]])
    assert measured[3:] == [0, 6.0, 0]


def test_parts_that_are_not_in_the_total_are_not_in_the_winner() -> None:
    core = Column("rapl", "energy", "counter", "J", "core-0", scope="component", basis="modelled", total=False)
    group = layout(*RAPL, core, Column("rapl", "covered", "counter", "s", "core-0"))
    assert won(group, [[90.0, 10.0, 50.0, 10.0]]) == pytest.approx([0, (90 + 300) / 0.9, 0, 0, 10.0, 0])


def test_what_stands_beside_the_packages_is_added_in_the_seconds_that_psys_did_not_see() -> None:
    group = layout(*TOTAL)
    assert won(group, [[500.0, 10.0, 10.0]]) == pytest.approx([0, 500 / 0.9, 0, 0, 10.0, 0])
    assert won(group, [[500.0, 10.0, 0.0]]) == pytest.approx([0, (500 + 300) / 0.9, 0, 0, 10.0, 0])
    fell_back = [[500.0, 10.0, 10.0], [800.0, 20.0, 10.0]]
    assert won(group, fell_back) == pytest.approx([0, (800 + 300) / 0.9, 0, 0, 20.0, 0])
    came_back = [*fell_back, [1500.0, 30.0, 30.0]]  # with the energy of the second row
    assert won(group, came_back) == pytest.approx([0, 1500 / 0.9, 0, 0, 30.0, 0])
    little = [*fell_back, [850.0, 30.0, 30.0]]  # less than what was put beside the packages: nothing is taken back
    assert won(group, little) == pytest.approx([0, (800 + 300) / 0.9, 0, 0, 30.0, 0])
    no_base = DeviceModel(efficiency=0.9)
    assert won(group, came_back[:1], model=no_base) == pytest.approx([0, 500 / 0.9, 0, 0, 10.0, 0])
    assert won(group, [[500.0, 10.0, 0.0]], model=no_base) == [0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "case,joules,seconds,base",
    [
        ("hwmon/amd-energy-alone", 900.0, 20.0, 20.0),
        ("rapl/psys-over-all", 380.0, 20.0, 0.0),
        ("rapl/amd", 3000.0, 20.0, 20.0),
    ],
)
def test_a_recorded_machine_is_modelled_by_what_its_processors_count(
    case: str, joules: float, seconds: float, base: float
) -> None:
    states = Path(__file__).parents[1] / "sources" / case
    sampler = Sampler(states / "0", SamplerOptions())
    rows = []
    for number in range(3):
        sampler.reroot(states / str(number))
        rows.append(sampler.sample(instant(states / str(number) / "clock.toml")))
    group = layout_of(sampler.schema).groups[0]
    counted = won(group, [[b - a for a, b in zip(rows[0], row, strict=True)] for row in rows[1:]])
    assert counted == pytest.approx([0, (joules + base * HOST.base) / 0.9, 0, 0, seconds, 0])


def test_load_beyond_its_capacity_is_full_load_and_none_is_idle() -> None:
    assert won(layout(*LOAD), [[50.0, 40.0, 10.0]])[2] == pytest.approx(3000.0)
    assert won(layout(*LOAD), [[0.0, 0.0, 10.0]])[2] == pytest.approx(1000.0)


def test_a_gauge_called_like_a_counter_counts_nothing() -> None:
    trap = Column("plug", "covered", "gauge", "s")
    group = layout(WALL[0], trap, GAUGE)
    assert not group.sources
    assert won(group, [[100.0, float("nan"), 1.0]]) == [0, 0, 0, 0, 0, 0]


SHARE = st.floats(0, 1)


@given(st.lists(st.tuples(SHARE, SHARE, SHARE, SHARE, st.floats(0, 1e4)), min_size=1, max_size=8), st.booleans())
def test_no_more_seconds_are_covered_than_elapsed_and_no_estimate_is_exceeded(
    shares: list[tuple[float, float, float, float, float]], long: bool
) -> None:
    group = layout(*WALL, *NODE, *RAPL, *LOAD)
    seconds = 400.0 if long else 10.0
    rows, total = [], np.zeros(group.columns)
    for wall, node, package, load, joules in shares:
        ours = [joules * wall, wall, joules * node, node, joules * package, package, load * 4, 4.0, load]
        step = np.array(ours) * np.array([1.0, seconds, 1.0, seconds, 1.0, seconds, seconds, seconds, seconds])
        total = total + step
        rows.append(total.tolist())
    result = won(group, rows, seconds)
    # Sums of up to eight rows in another order: 5e-12 was seen once.
    assert sum(result[3:]) <= seconds * len(rows) * (1 + 1e-10)
    assert result[0] <= (total[0] + total[2]) * (1 + 1e-12) + 1e-12
    assert result[3] >= total[1] * (1 - 1e-12) - 1e-3
    assert min(result) >= 0


@st.composite
def recoveries(draw: st.DrawFn) -> tuple[float, list[float], list[int]]:
    """An interval, what each row covers (late ones reach back as agents do, or are lost), and where frames end."""
    interval = draw(st.sampled_from([1.0, 10.0, 60.0, 100.0, 900.0]))
    covered, lacking = [], 0
    for kind in draw(st.lists(st.sampled_from(["good", "good", "failed", "failed", "late"]), min_size=2, max_size=14)):
        covered.append({"good": interval, "failed": 0.0, "late": interval * (lacking + 1)}[kind])
        lacking = lacking + 1 if kind == "failed" else 0
    ends = draw(st.sets(st.integers(1, len(covered) - 1)))
    return interval, covered, [0, *sorted(ends), len(covered)]


@given(recoveries())
def test_what_a_recovered_reading_covers_late_is_booked_once(case: tuple[float, list[float], list[int]]) -> None:
    """20 W by counters, 60 W by the load that fills in, in frames of any size, the shortest one row."""
    interval, covered, ends = case
    group, model = layout(*RAPL, *LOAD), HOST
    seconds = np.array([0.0, *np.cumsum(covered)])
    elapsed = interval * np.arange(len(seconds))
    columns = np.stack((20.0 * seconds, seconds, 0.0 * elapsed, 4.0 * elapsed, elapsed))
    filled, total, one_by_one = None, 0.0, []
    for begin, end in pairwise(ends):
        utc = (elapsed[begin : end + 1] * SECOND).astype(np.int64)[None]
        found = count(group, utc, columns[None, :, begin : end + 1], models(model), filled=filled)
        filled = found.filled
        total += float(found.won_covered.sum())
        one_by_one.append(found.won_covered.sum(axis=(0, 1)))
        assert total <= elapsed[end] + 1e-3, "seconds are booked once"
    assert total >= seconds[-1] - 1e-9, "and none is lost that the counters cover"
    by_counters = sum(of[1] for of in one_by_one)
    assert by_counters <= seconds[-1] + 1e-9


def test_the_memory_of_what_was_filled_in_outlives_the_collector_and_a_change_of_schema() -> None:
    """Counters fail for two frames and cover that time in the third: 60 s at 20 W, none of them twice."""
    first = Schema((Group(("",), (*RAPL, *LOAD)),))
    wide = Schema((Group(("",), (*RAPL, *LOAD, *pair("plug2", scope="component"))),))
    for change in ("nothing", "restart", "schema", "stream"):
        bench, s = Bench(model=HOST), Sender(schema=first)
        bench.hello(s)
        rows = [(n, 100.0 * n, [0.0, 0.0, 0.0, 400.0 * n, 100.0 * n]) for n in (1, 2)]
        rows += [(3, 300.0, [6000.0, 300.0, 0.0, 1200.0, 300.0])]
        bench.book(s, s.frame(0, rows[:1]))
        bench.book(s, s.frame(1, rows[1:2]))
        if change == "restart":
            bench.step.fleet.forget_streams()
        if change == "schema":
            s.schema = wide
            bench.hello(s)
            rows[2] = (3, 300.0, [*rows[2][2], 0.0, 0.0])
        if change == "stream":
            s = Sender(schema=first, base=200.0, boot=s.boot)
            bench.hello(s)
            rows[2] = (1, 300.0, [6000.0, 300.0, 0.0, 400.0, 100.0])
            bench.book(s, s.frame(0, rows[2:]))
        else:
            bench.book(s, s.frame(2, rows[2:]))
        covered = sum(v for (family, _), v in bench.totals().items() if family == "DEVICE_COVERED")
        assert covered == pytest.approx(300.0), change


def test_of_two_meters_of_one_machine_only_the_time_counts_that_both_have() -> None:
    """Two feeds of 100 W; the second is silent for a minute, in which the load fills in: not both."""
    feeds = (*pair("feeds", "a"), *pair("feeds", "b"))
    group = layout(*feeds, *LOAD)
    both = [[1000.0 * n, 10.0 * n, 1000.0 * n, 10.0 * n, 0.0, 40.0 * n, 10.0 * n] for n in (1, 2)]
    alone = [[1000.0 * n, 10.0 * n, 2000.0, 20.0, 0.0, 40.0 * n, 10.0 * n] for n in range(3, 13)]
    found = won(group, both + alone)
    assert found == pytest.approx([4000.0, 0.0, 100.0 * 100.0, 20.0, 0.0, 100.0])


GOLD = DeviceModel(
    watts=HOST.watts,
    base=40.0,
    efficiency=0.88,
    rating=400.0,
    supply=np.array([0.88, 0.88, 0.92, 0.88]),
    u_meter=0.02,
    u_component=0.1,
    u_load=0.2,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.0, 400.0), min_size=1, max_size=12), st.floats(0.3, 2.0), st.floats(0.9, 2.0))
def test_what_metered_machines_teach_behind_a_supply_with_a_curve_is_what_others_are_booked_by(
    watts: list[float], rest: float, moving: float
) -> None:
    """Factors of the two parts that the ledger keeps beside a meter: the same energy for a machine without one."""
    joules = np.cumsum([0.0, *(10.0 * w for w in watts)])
    seconds = 10.0 * np.arange(len(joules))
    utc = (np.arange(len(joules)) * 10 * SECOND)[None]
    metered = layout(*pair("plug"), *RAPL)
    taught = count(metered, utc, np.stack((joules, seconds, joules, seconds))[None], models(GOLD))
    parts = {of.source.part: float(of.joules.sum()) for of in taught.beside}
    assumed = models(GOLD)
    plain = count(layout(*RAPL), utc, np.stack((joules, seconds))[None], assumed).won.sum()
    assert sum(parts.values()) == pytest.approx(plain, rel=1e-9)
    true = sum(10.0 * (w + 40.0) / np.interp((w + 40.0) / 400.0, [0.2, 0.5, 1.0], [0.88, 0.92, 0.88]) for w in watts)
    assert plain == pytest.approx(true, rel=1e-9)
    # As powers.py makes a calibrated model: base and efficiency by the two factors.
    calibrated = replace(
        assumed, base=assumed.base * rest / moving, efficiency=assumed.efficiency / moving, assumed=assumed
    )
    booked = count(layout(*RAPL), utc, np.stack((joules, seconds))[None], calibrated).won.sum()
    expected = rest * parts["components/rest"] + moving * parts["components/moving"]
    assert booked == pytest.approx(max(expected, 0.0), rel=1e-9, abs=1e-6)
