from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent import traces
from tests.agent.recording import RAPL_RANGE, SECOND, at
from thinwatt_agent.counters import EnergyCounter, Event, Instant, Limits, elapsed
from thinwatt_agent.gauges import Integral, PowerGauge, Tally

RAPL = Limits(unit=1e-6, range=RAPL_RANGE, max_power=600.0, max_gap=30 * SECOND)

Read = tuple[Instant, int | None]


def run(reads: list[Read], limits: Limits = RAPL) -> EnergyCounter:
    counter = EnergyCounter(limits)
    for now, value in reads:
        counter.read(value, now)
    counter.settle()
    return counter


def every(dt: float, *values: int | None) -> list[Read]:
    return [(at(100 + i * dt), v) for i, v in enumerate(values)]


def told(counter: EnergyCounter, dt: float = 10.0) -> list[tuple[str, float]]:
    """Events with the number of the reading, for readings ``dt`` apart."""
    return [(e.kind, (e.at.boottime / SECOND - 100) / dt) for e in counter.events]


# ------------------------------------------------------------------------------------------------ the five outcomes


def test_an_advance_counts_the_difference() -> None:
    counter = run(every(10, 1_000, 200_001_000, 200_001_000, 600_001_000))
    assert (counter.joules, counter.covered, told(counter)) == (600.0, 30 * SECOND, [])


def test_a_wrap_adds_the_range_as_the_worked_example_says() -> None:
    # Carbon rules, worked example E1: 262000000000, 262100000000, 56671150, 206671150 µJ at 1 s.
    reads = every(1, 262_000_000_000, 262_100_000_000, 56_671_150, 206_671_150)
    counts = [run(reads[: n + 1]).counts for n in range(4)]
    assert [b - a for a, b in pairwise(counts)] == [100_000_000, 100_000_000, 150_000_000]
    assert run(reads).joules == 350.0
    assert told(run(reads), dt=1) == [("wrap", 2)]


def test_a_restart_counts_nothing_for_the_interval_and_goes_on_from_there() -> None:
    counter = run(every(10, 200_000_000_000, 200_200_000_000, 0, 200_000_000, 400_000_000))
    assert (counter.joules, counter.covered, told(counter)) == (600.0, 30 * SECOND, [("restart", 2)])


@pytest.mark.parametrize("bad", [None, -1, RAPL_RANGE + 1, 2_000, 0, 20, 260_000_000_000])
def test_a_failed_read_is_missing_and_the_next_good_one_covers_both_intervals(bad: int | None) -> None:
    counter = run(every(10, 200_000_000, 400_000_000, bad, 800_000_000, 1_000_000_000))
    assert (counter.joules, counter.covered, told(counter)) == (800.0, 40 * SECOND, [("failed", 2)])


def test_a_gap_longer_than_max_gap_counts_nothing_and_says_at_least() -> None:
    reads: list[Read] = [(at(0), 0), (at(10), 200_000_000), (at(41), 820_000_000), (at(51), 1_020_000_000)]
    counter = run(reads)
    assert (counter.joules, counter.covered) == (400.0, 20 * SECOND)
    assert counter.events == [Event("gap", at(41), 620.0)]


def test_a_gap_that_could_hold_a_whole_turn_counts_nothing_even_within_max_gap() -> None:
    patient = Limits(unit=1e-6, range=RAPL_RANGE, max_power=600.0, max_gap=3600 * SECOND)
    within, beyond = every(436, 0, 100_000_000_000), every(437, 0, 100_000_000_000)
    assert (run(within, patient).joules, run(within, patient).events) == (100_000.0, [])
    assert (run(beyond, patient).joules, run(beyond, patient).events) == (0.0, [Event("gap", at(537), 100_000.0)])


# ------------------------------------------------------------------------------------- what only the clocks can tell


def test_another_boot_is_a_restart_whatever_the_register_says() -> None:
    reads: list[Read] = [(at(1000), 500_000_000), (at(5, boot="next", utc=1_764_001_030), 700_000_000)]
    reads.append((at(15, boot="next", utc=1_764_001_040), 900_000_000))
    counter = run(reads)
    assert (counter.joules, counter.covered) == (200.0, 10 * SECOND)
    assert counter.events == [Event("restart", reads[1][0])]
    assert elapsed(reads[0][0], reads[1][0]) == 30 * SECOND


def test_a_boottime_that_went_back_is_another_boot_even_under_the_same_id() -> None:
    counter = run([(at(1000), 500_000_000), (at(10), 600_000_000), (at(20), 800_000_000)])
    assert (counter.joules, [e.kind for e in counter.events]) == (200.0, ["restart"])


def test_a_fall_over_a_suspend_is_a_restart_where_it_would_have_been_a_wrap() -> None:
    near = RAPL_RANGE - 100_000_000
    awake = run([(at(0), near), (at(20), 100_000_000), (at(30), 300_000_000)])
    slept = run([(at(0), near), (at(20, asleep=15), 100_000_000), (at(30, asleep=15), 300_000_000)])
    assert (awake.joules, [e.kind for e in awake.events]) == (400.0, ["wrap"])
    assert (slept.joules, [e.kind for e in slept.events]) == (200.0, ["restart"])


def test_a_step_of_the_wall_clock_changes_nothing() -> None:
    steps = (0, 3600, -3600, 0)
    reads: list[Read] = [(at(10 * i, utc=1_764_000_000 + s), 200_000_000 * i) for i, s in enumerate(steps)]
    assert (run(reads).joules, run(reads).covered, run(reads).events) == (600.0, 30 * SECOND, [])


def test_the_same_instant_twice_is_one_reading() -> None:
    reads = every(10, 0, 200_000_000)
    assert run([reads[0], reads[1], reads[1], (reads[1][0], 201_000_000)]).joules == 200.0


# ------------------------------------------------------------------------------------------------------ hard choices


@pytest.mark.parametrize("bad", [math.inf, math.nan, 1e300, 10**400])
def test_a_register_without_a_range_takes_no_endless_number(bad: float) -> None:
    counter = EnergyCounter(Limits(1e-6, None, 1e308, 30 * SECOND))
    for n, value in enumerate([1e8, bad, 3e8, bad, 5e8]):
        counter.read(value, at(100 + 10 * n))
    assert (counter.joules, counter.covered, told(counter)) == (400.0, 40 * SECOND, [("failed", 1), ("failed", 3)])


@pytest.mark.parametrize("torn", ["1", "12", "123", "1235", "123511", "123511.", "123511.2", "12351"])
def test_a_torn_number_is_told_where_its_source_moved_the_point(torn: str) -> None:
    plug = Limits(1e-6, None, 100.0, 30 * SECOND, scaled=6)
    shown = ["123500.251", "123511.255", torn, "123511.257", "123522.5"]
    counter = run(every(10, *(round(float(s) * 10**6) for s in shown)), plug)
    assert (round(counter.joules, 6), told(counter)) == (22.249, [("failed", 2)])


def test_two_torn_reads_in_a_row_do_not_vouch_for_each_other() -> None:
    counter = run(every(10, 200_000_000_000, 2002, 2004, 200_600_000_000, 200_800_000_000))
    assert (counter.joules, told(counter)) == (800.0, [("failed", 1), ("failed", 2)])


def test_nor_do_they_make_a_wrap_near_the_end_of_the_range() -> None:
    counter = run(every(10, 258_440_000_000, 258_990_000_000, 2, 26, 260_640_000_000, 261_190_000_000))
    assert (counter.joules, told(counter)) == (2750.0, [("failed", 2), ("failed", 3)])


def test_a_torn_read_near_the_end_of_the_range_is_no_wrap() -> None:
    counter = run(every(10, 262_000_000_000, 2621, 262_100_000_000))
    assert (counter.joules, told(counter)) == (100.0, [("failed", 1)])


def test_a_wrap_to_the_head_of_a_number_is_still_a_wrap() -> None:
    counter = run(every(10, 262_100_000_000, 262_000_000, 462_000_000))
    assert (counter.counts, told(counter)) == (462_000_000 + RAPL_RANGE - 262_100_000_000, [("wrap", 1)])


def test_a_register_that_alternates_between_two_machines_counts_one_of_them() -> None:
    mine, other = (200_000_000_000 + 200_000_000 * i for i in range(9)), (50_000_000_000 + i for i in range(9))
    reads = [a if i % 2 == 0 else b for i, (a, b) in enumerate(zip(mine, other, strict=True))]
    counter = run(every(10, *reads))
    assert (counter.joules, [e.kind for e in counter.events]) == (1600.0, ["failed"] * 4)


def test_a_register_that_jumps_up_and_stays_there_restarts_there() -> None:
    counter = run(every(10, 0, 200_000_000, 90_000_000_000, 90_200_000_000, 90_400_000_000))
    assert (counter.joules, told(counter)) == (600.0, [("restart", 2)])


def test_a_fall_of_a_register_of_unknown_range_is_a_restart() -> None:
    unknown = Limits(unit=1e-6, range=None, max_power=600.0, max_gap=30 * SECOND)
    counter = run(every(10, 262_100_000_000, 56_671_150, 206_671_150), unknown)
    assert (counter.joules, told(counter)) == (150.0, [("restart", 1)])


def test_a_fall_near_the_end_is_a_wrap_only_at_a_power_that_is_believed_of_falls() -> None:
    reads = every(10, 260_000_000_000, 260_200_000_000, 2_000_000, 202_000_000, 402_000_000)
    careful = Limits(1e-6, RAPL_RANGE, 245.0, 30 * SECOND, wrap_power=118.75)
    assert (run(reads, careful).joules, told(run(reads, careful))) == (600.0, [("restart", 2)])
    assert told(run(reads, Limits(1e-6, RAPL_RANGE, 245.0, 30 * SECOND))) == [("wrap", 2)]
    burst = every(10, 0, 2_000_000_000)
    assert (run(burst, careful).joules, run(burst, careful).events) == (2000.0, [])


def test_a_restart_at_the_last_reading_is_told_and_a_torn_one_is_not_taken_for_it() -> None:
    assert told(run(every(10, 200_000_000_000, 200_200_000_000, 0))) == [("restart", 2)]
    assert told(run(every(10, 200_000_000_000, 200_200_000_000, 9_000))) == [("restart", 2)]
    assert told(run(every(10, 200_000_000_000, 200_200_000_000, 2004))) == [("failed", 2)]


@pytest.mark.parametrize("value", [0, 1, 2, 26, 2621, 100_000_000])
def test_a_wrap_at_the_last_reading_is_a_wrap_however_small_the_number(value: int) -> None:
    counter = run(every(10, RAPL_RANGE - 300_000_000, RAPL_RANGE - 100_000_000, value))
    assert (counter.counts, told(counter)) == (300_000_000 + value, [("wrap", 2)])
    assert counter.covered == 20 * SECOND


@pytest.mark.parametrize("values", [(0,), (2,), (20,), (200,), (20_004,), (2, 26), (20, 200_000_020)])
def test_a_reset_over_a_suspend_at_the_end_is_a_restart_however_small_the_number(values: tuple[int, ...]) -> None:
    awake: list[Read] = [(at(0), 200_000_000_000), (at(10), 200_200_000_000)]
    counter = run(awake + [(at(30 + 10 * i, asleep=15), v) for i, v in enumerate(values)])
    assert [(e.kind, e.at) for e in counter.events] == [("restart", at(30, asleep=15))]
    assert counter.counts == 200_000_000 + values[-1] - values[0]


@pytest.mark.parametrize("zeros", [1, 2, 4])
def test_a_reset_to_exactly_0_counts_from_0_and_nothing_for_its_interval(zeros: int) -> None:
    # The rule of a restart: nothing for the interval in which it fell; what the register shows afterwards is its own.
    counter = run(every(10, 200_000_000_000, 200_200_000_000, *[0] * zeros, 200_000_000, 400_000_000))
    assert (counter.joules, told(counter)) == (600.0, [("restart", 2)])
    assert counter.covered == (10 + 10 * (zeros + 1)) * SECOND


def test_a_candidate_before_a_gap_is_decided_before_it() -> None:
    reads: list[Read] = [(at(0), 200_000_000_000), (at(10), 7), (at(500), 9_800_000_000), (at(510), 10_000_000_000)]
    assert [(e.kind, e.at.boottime // SECOND) for e in run(reads).events] == [("restart", 10), ("gap", 500)]
    assert run(reads).joules == 200.0


def test_a_new_process_goes_on_from_the_state_of_the_one_before_candidates_included() -> None:
    reads = every(10, 200_000_000_000, 200_200_000_000, 0, 200_000_000, 400_000_000)
    for cut in range(1, 5):
        first, second = EnergyCounter(RAPL), EnergyCounter(RAPL)
        for now, value in reads[:cut]:
            first.read(value, now)
        second.restore(first.state(reads[0][0].boot_id), reads[0][0].boot_id)
        for now, value in reads[cut:]:
            second.read(value, now)
        assert first.joules + second.joules == 600.0
        assert first.state("another boot") is None


# --------------------------------------------------------------------------------------------------------- the traces

TRACES = {
    "A": (traces.wraps(), 12_000.0, 0.0, ["wrap"]),
    "B": (traces.restarts(), 11_800.0, 10.0, ["restart"]),
    "C": (traces.unreadable(), 12_000.0, 0.0, ["failed"]),
    "D": (traces.unread_for(), 11_800.0, 43_200.0, ["gap"]),
}


def follow(trace: traces.Trace) -> EnergyCounter:
    return run([(at(t), v) for t, v in trace])


@pytest.mark.parametrize("name", TRACES)
def test_the_trace_is_counted_right(name: str) -> None:
    trace, joules, uncovered, events = TRACES[name]
    counter = follow(trace)
    assert counter.joules == joules
    assert [e.kind for e in counter.events] == events
    assert trace[-1][0] - trace[0][0] - counter.covered / SECOND == uncovered


def test_the_gap_of_several_turns_leaves_a_lower_bound() -> None:
    gap = follow(TRACES["D"][0]).events[0]
    assert gap.at_least == pytest.approx(864_000 - 3 * RAPL_RANGE / 1e6)


@pytest.mark.parametrize("rule", traces.RIVALS)
def test_every_rival_rule_fails_a_trace(rule: str) -> None:
    joules = traces.RIVALS[rule]
    failed = [n for n, (trace, right, _, _) in TRACES.items() if not math.isclose(joules(trace), right, rel_tol=1e-9)]
    assert set(failed) & {"A", "B", "C"}, "it fails one that has a right answer"
    assert "D" in failed, "and none of them knows a gap"


# ----------------------------------------------------------------------------------------------------------- the laws

STEPS = st.lists(st.tuples(st.floats(0.0, 60.0), st.floats(0.0, 600.0)), min_size=1, max_size=40)


@st.composite
def registers(draw: st.DrawFn) -> tuple[Limits, list[Read]]:
    """Any readings at any times, wild ones among them, of a register of any range."""
    range_ = draw(st.none() | st.integers(10**6, 10**12))
    limits = Limits(1e-6, range_, draw(st.floats(1.0, 2000.0)), draw(st.integers(1, 100)) * SECOND)
    now, asleep, boot, reads = 0.0, 0.0, 0, list[Read]()
    for dt, power in draw(STEPS):
        asleep += draw(st.sampled_from([0.0, 0.0, 0.0, 1.0])) * dt
        boot += draw(st.sampled_from([0, 0, 0, 0, 0, 1]))
        now += dt
        value = draw(st.none() | st.integers(-5, 10**12) | st.just(round(power * now * 1e6) % (range_ or 10**15)))
        reads.append((at(now, asleep=asleep, boot=str(boot)), value))
    return limits, reads


@given(registers())
def test_energy_never_falls_and_never_exceeds_maximum_power_times_covered_time(case: tuple[Limits, list[Read]]) -> None:
    limits, reads = case
    counter = EnergyCounter(limits)
    before = (0.0, 0)
    for now, value in reads:
        counter.read(value, now)
        assert counter.joules >= before[0]
        assert counter.covered >= before[1]
        before = counter.joules, counter.covered
    counter.settle()
    assert math.isfinite(counter.joules)
    assert counter.joules <= limits.max_power * counter.covered * 1e-9 * (1 + 1e-9) + 1e-9
    assert counter.covered <= sum(elapsed(a, b) for (a, _), (b, _) in pairwise(reads))


@given(
    st.integers(10**10, 10**12),
    st.floats(0.0, 1.0),
    st.lists(st.tuples(st.floats(0.1, 10.0), st.floats(0.0, 500.0)), min_size=1, max_size=60),
)
def test_wraps_of_any_range_lose_nothing(range_: int, start: float, steps: list[tuple[float, float]]) -> None:
    limits = Limits(1e-6, range_, 600.0, 30 * SECOND)
    t, total, first = 0.0, 0, round(start * range_)
    reads: list[Read] = [(at(i - 2), first % range_) for i in range(3)]
    for dt, power in steps:
        t, total = t + dt, total + round(dt * power * 1e6)
        reads.append((at(t), (first + total) % range_))
    counter = run([*reads, (at(t + 1), (first + total) % range_)], limits)
    assert counter.counts == total
    assert sum(e.kind == "wrap" for e in counter.events) == (first + total) // range_ - first // range_


@st.composite
def torn_traces(draw: st.DrawFn) -> tuple[list[Read], list[Read]]:
    """A steady register near its end or anywhere, and the same with bad reads, each among good ones."""
    start = draw(st.integers(0, RAPL_RANGE - 1) | st.integers(RAPL_RANGE - 10**10, RAPL_RANGE - 1))
    power = draw(st.floats(1.0, 290.0))
    good = [(at(10.0 * i), (start + round(power * 1e7) * i) % RAPL_RANGE) for i in range(12)]
    bad = list[Read](good)
    i = draw(st.integers(2, 4))
    while i < 10:
        digits = str(good[i][1])
        kept = draw(st.integers(0, len(digits) - 1))
        bad[i] = (good[i][0], draw(st.sampled_from([None, int(digits[:kept]) if kept else None])))
        i += draw(st.integers(2, 5))
    return list[Read](good), bad


@given(torn_traces())
def test_torn_reads_among_good_ones_never_change_the_total(case: tuple[list[Read], list[Read]]) -> None:
    good, bad = case
    assert run(bad).counts == run(good).counts
    assert run(bad).covered == run(good).covered == 110 * SECOND


# ---------------------------------------------------------------------------------------------- power, and the others


def gauge(reads: list[tuple[float, float | None]], max_gap: float = 30.0) -> PowerGauge:
    found = PowerGauge(max_power=1000.0, max_gap=round(max_gap * SECOND))
    for t, power in reads:
        found.read(power, at(t))
    return found


def test_power_is_integrated_by_trapezoids_over_measured_time() -> None:
    # Carbon rules, worked example E2.
    reads = list(zip((0, 10, 20, 30, 120, 130), (100.0, 110.0, 120.0, 115.0, 200.0, 210.0), strict=True))
    found = gauge(list(reads))
    assert (found.joules, found.covered) == (5425.0, 40 * SECOND)
    assert found.covered / (130 * SECOND) == pytest.approx(0.307692, abs=1e-6)
    assert [e.kind for e in found.events] == ["gap"]


@pytest.mark.parametrize("bad", [None, -1.0, 1001.0, math.inf])
def test_a_failed_power_is_bridged_by_its_neighbours(bad: float | None) -> None:
    found = gauge([(0, 100.0), (10, bad), (20, 300.0)])
    assert (found.joules, found.covered, [e.kind for e in found.events]) == (4000.0, 20 * SECOND, ["failed"])


def test_where_there_is_nothing_to_measure_nothing_is_covered_and_nothing_failed() -> None:
    found = gauge([(0, 100.0), (10, 100.0), (20, math.nan), (30, 100.0), (40, 100.0)])
    assert (found.joules, found.covered, found.events) == (2000.0, 20 * SECOND, [])


def test_power_is_not_carried_over_a_suspend_or_a_reboot() -> None:
    found = PowerGauge(1000.0, 30 * SECOND)
    for now in (at(0), at(20, asleep=15), at(5, boot="next")):
        found.read(100.0, now)
    assert (found.joules, found.covered, [e.kind for e in found.events]) == (0.0, 0, ["gap", "restart"])


@given(st.lists(st.tuples(st.floats(0, 100), st.none() | st.floats(allow_nan=True)), max_size=40), st.floats(0, 1e4))
def test_power_never_yields_more_than_its_maximum(steps: list[tuple[float, float | None]], highest: float) -> None:
    found, now, before = PowerGauge(highest, 30 * SECOND), 0.0, 0.0
    for dt, power in steps:
        now += dt
        found.read(power, at(now))
        assert before <= found.joules <= highest * found.covered * 1e-9 * (1 + 1e-9)
        before = found.joules


@pytest.mark.parametrize("further", [1, 2, 3])
def test_a_restart_near_the_end_is_one_when_readings_went_on_from_it(further: int) -> None:
    """100 000 000 may be the head of 10 000 000 000; three readings that go on from each other are no three heads."""
    values = [5_000_000_000, 5_100_000_000, 5_200_000_000, 100_000_000, 150_000_000, 190_000_000, 240_000_000]
    found = run([(at(10 * i), value) for i, value in enumerate(values[: 4 + further])])
    found.settle()
    assert [e.kind for e in found.events] == ["restart"]
    assert found.joules == pytest.approx(200 + (50, 90, 140)[further - 1])
    assert found.covered == (20 + 10 * further) * SECOND


def tallied(*values: float | None) -> float:
    tally = Tally()
    for i, value in enumerate(values):
        tally.read(value, at(900.0 * i))
    return tally.total


def test_a_tally_adds_rises_whatever_the_time_between() -> None:
    assert tallied(100, 150, None, math.nan, 160) == 60


def test_a_tally_starts_anew_at_a_fall_that_lasts_and_forgets_one_that_does_not() -> None:
    assert tallied(100, 150, 5, 9, 20) == 50 + 4 + 11
    assert tallied(100, 150, 0, 170, 180) == 80
    assert tallied(100, 150, 90, 60, 70) == 50 + 10


def test_a_tally_starts_anew_at_another_boot() -> None:
    tally = Tally()
    for now, value in [(at(0), 100), (at(10), 160), (at(3, boot="next"), 1000), (at(13, boot="next"), 1004)]:
        tally.read(value, now)
    assert tally.total == 64


def test_an_integral_of_awake_time_goes_on_through_sleep_and_not_through_a_gap() -> None:
    awake, held = Integral(30 * SECOND, awake=True), Integral(30 * SECOND)
    for now in (at(0), at(10), at(110, asleep=90), at(120, asleep=90), at(220, asleep=90)):
        awake.read(2.0, now)
        held.read(2.0, now)
    assert awake.total == pytest.approx(60.0)
    assert held.total == pytest.approx(40.0)
