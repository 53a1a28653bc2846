"""What a counter makes of a range that is known late or is another at the next look, and of power beyond the limits."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.recording import RAPL_RANGE, SECOND, at, write, zone
from thinwatt_agent.counters import AS_BEFORE, EnergyCounter, Limits, elapsed
from thinwatt_agent.sources import Energy, rapl

GARBAGE = 999_999_999_999_999
RAPL = Limits(unit=1e-6, range=RAPL_RANGE, max_power=600.0, max_gap=30 * SECOND)
UNKNOWN = replace(RAPL, range=None)
BOOT = at(0).boot_id

RANGES = st.none() | st.sampled_from([RAPL_RANGE, 65_532_610_987, 26_214_332]) | st.integers(1, 10**12)
VALUES = st.none() | st.sampled_from([GARBAGE, 0, RAPL_RANGE - 10**8, 10**8]) | st.integers(0, 2 * 10**12)
LOOKS = st.tuples(st.sampled_from([1.0, 10.0, 10.0, 20.0, 40.0]), VALUES, st.none() | st.tuples(RANGES, st.booleans()))


@given(RANGES, st.lists(LOOKS, max_size=12))
def test_energy_never_falls_whatever_is_read_and_whatever_ranges_come_and_go(
    first: int | None, looks: list[tuple[float, int | None, tuple[int | None, bool] | None]]
) -> None:
    """Also where another process takes over with the range as it is then."""
    counter, done, covered, now = EnergyCounter(replace(RAPL, range=first)), 0.0, 0, 0.0
    times = [at(0)]
    for dt, value, change in looks:
        before = done + counter.joules, covered + counter.covered
        now += dt
        if change:
            limits, restarted = replace(RAPL, range=change[0]), change[1]
            state = counter.state(BOOT) if restarted else None
            counter.respec(limits)
            if state:
                done, covered, counter = done + counter.joules, covered + counter.covered, EnergyCounter(limits)
                counter.restore(state, BOOT)
        counter.read(value, at(now))
        times.append(at(now))
        assert done + counter.joules >= before[0]
        assert covered + counter.covered >= before[1]
        assert counter.joules <= 600.0 * counter.covered * 1e-9 * (1 + 1e-9)
    assert covered + counter.covered <= sum(elapsed(a, b) for a, b in pairwise(times))


@pytest.mark.parametrize("looked_again", [1, 2, 3])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_first_reading_beyond_the_range_that_comes_later_was_a_bad_one(looked_again: int, restarted: bool) -> None:
    counter, events = EnergyCounter(UNKNOWN), []
    for i, value in enumerate([GARBAGE, *(200_000_000_000 + 200_000_000 * i for i in range(8))]):
        if i == looked_again and restarted:
            state, events = counter.state(BOOT), counter.events
            before, counter = counter.joules, EnergyCounter(RAPL)
            counter.restore(state, BOOT)
            assert before == (200.0 if looked_again == 3 else 0.0)
        elif i == looked_again:
            counter.respec(RAPL)
        counter.read(value, at(100 + 10 * i))
    assert counter.joules == (1200.0 if restarted and looked_again == 3 else 1400.0)
    kinds = [e.kind for e in (*events, *counter.events)]
    assert kinds == (["restart"] if looked_again == 3 else ["failed"]), "the third shows that it began anew"


def test_a_bad_reading_held_back_is_forgotten_when_the_range_says_so() -> None:
    counter = EnergyCounter(UNKNOWN)
    for now, value in ((at(100), 200_000_000_000), (at(110), 200_200_000_000), (at(120), GARBAGE)):
        counter.read(value, now)
    counter.respec(RAPL)
    counter.read(200_600_000_000, at(130))
    assert (counter.joules, counter.covered) == (600.0, 30 * SECOND)
    assert [(e.kind, e.at) for e in counter.events] == [("failed", at(120))]


def drawn(power: float, limits: Limits, before: float, intervals: int = 40) -> EnergyCounter:
    """A counter of a register that turns over in the middle, at ``power`` [W]; ``before`` that up to there."""
    counter, value = EnergyCounter(limits), RAPL_RANGE - round(before * 1e7 * intervals / 2) - 5_000_000
    for i in range(intervals + 1):
        counter.read(value % RAPL_RANGE, at(100 + 10 * i))
        value += round((before if i < intervals / 2 else power) * 1e7)
    return counter


@pytest.mark.parametrize("power", [500.0, 760.0, 900.0, 990.0])
def test_a_package_of_any_size_sold_counts_without_a_stated_limit_its_wraps_too(power: float, tmp_path: Path) -> None:
    write(tmp_path, zone("package-0", 5))
    counter = drawn(power, limits_of(tmp_path), power)
    assert counter.joules == pytest.approx(power * 400, rel=1e-9)
    assert [e.kind for e in counter.events] == ["wrap"]


@pytest.mark.parametrize("before", [3.0, 40.0])
def test_a_laptop_that_draws_more_than_its_limits_wraps(before: float, tmp_path: Path) -> None:
    place = "sys/class/powercap/intel-rapl:0/constraint"
    write(
        tmp_path,
        zone("package-0", 5) | {f"{place}_0_power_limit_uw": 15 * 10**6, f"{place}_1_power_limit_uw": 25 * 10**6},
    )
    counter = drawn(40.0, limits_of(tmp_path), before)
    assert [e.kind for e in counter.events] == ["wrap"]
    assert counter.covered == 400 * SECOND


@given(st.floats(1.0, 400.0), st.floats(1.0, 600.0), st.integers(0, RAPL_RANGE))
def test_a_fall_is_a_wrap_up_to_the_limits_or_what_was_drawn_before(before: float, then: float, at_: int) -> None:
    """Whatever the register falls from and to: never at more than either, so a restart far from the end is one."""
    careful = replace(RAPL, wrap_power=50.0)
    counter, first = EnergyCounter(careful), max(0, RAPL_RANGE - round(then * 1e7) - round(before * 1e7) - at_ % 10**6)
    for i, value in enumerate([first, first + round(before * 1e7), at_ % 10**6, at_ % 10**6 + 10**7]):
        counter.read(value, at(10 * i))
    counter.settle()
    fell = RAPL_RANGE - first - round(before * 1e7) + at_ % 10**6
    wrapped = [e.kind for e in counter.events] == ["wrap"]
    assert not wrapped or fell <= max(50.0, AS_BEFORE * before) * 1e7 * (1 + 1e-9)


def limits_of(root: Path) -> Limits:
    read = rapl.probe(root, {})
    assert read is not None
    (spec,) = read.specs
    assert isinstance(spec, Energy)
    return Limits(spec.unit, spec.range, spec.max_power, 30 * SECOND, spec.wrap_power)
