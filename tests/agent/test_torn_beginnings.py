"""A run may begin with a torn read: the first of all, after a gap, after a boot. What is counted is never made up."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.recording import RAPL_RANGE, SECOND, at
from thinwatt_agent.counters import AS_BEFORE, EnergyCounter, Instant, Limits, Point, Relation

LIMITS = Limits(unit=1e-6, range=RAPL_RANGE, max_power=600.0, max_gap=30 * SECOND)
MOST = 290.0
"""Power of the traces [W]: a third of an interval more and it would be beyond what is believed."""


@dataclass
class Trace:
    """What a register showed and how much was drawn since the first reading [counts], of each instant."""

    reads: list[tuple[Instant, int | None]] = field(default_factory=list)
    drawn: dict[Instant, int] = field(default_factory=dict)
    torn: set[Instant] = field(default_factory=set)


class Recorded(EnergyCounter):
    """A counter that writes down each interval that it counts."""

    __slots__ = ("counted",)

    def __init__(self) -> None:
        super().__init__(LIMITS)
        self.counted: list[tuple[Instant, Instant, int]] = []

    def _count(self, how: Relation, counts: int, last: Point, point: Point) -> None:
        super()._count(how, counts, last, point)
        self.counted.append((last.at, point.at, counts))


def follow(trace: Trace) -> Recorded:
    counter = Recorded()
    for now, value in trace.reads:
        counter.read(value, now)
    return counter


@st.composite
def traces(draw: st.DrawFn, powers: st.SearchStrategy[float]) -> Trace:
    """Readings each 10 s or a gap apart, over boots and wraps; heads of any length among them, never two in a row."""
    found, boot, now, total, torn = Trace(), 0, 100.0, 0, False
    register = draw(
        st.integers(0, 10**10) | st.integers(0, RAPL_RANGE - 1) | st.integers(RAPL_RANGE - 10**10, RAPL_RANGE - 1)
    )
    power = draw(powers)
    utc = 0.0
    for _ in range(draw(st.integers(3, 16))):
        instant = at(now, boot=str(boot), utc=1_764_000_000 + utc)
        head = str(register)[: draw(st.integers(0, 11))]
        torn = not torn and draw(st.booleans()) and draw(st.booleans())
        found.reads.append((instant, (int(head) if head else None) if torn else register))
        found.drawn[instant] = total
        if torn:
            found.torn.add(instant)
        step = draw(st.sampled_from(["on", "on", "on", "on", "gap", "boot"]))
        dt = 10.0 if step == "on" else draw(st.sampled_from([40.0, 300.0, 5000.0]))
        drew = round(dt * power * 1e6)
        now, utc, total, register = now + dt, utc + dt, total + drew, (register + drew) % RAPL_RANGE
        if step == "boot":
            boot, now, register = boot + 1, draw(st.floats(1.0, 60.0)), draw(st.integers(0, 10**10))
        power = draw(powers)
    return found


STEADY = st.floats(1.0, MOST).flatmap(lambda watts: traces(st.just(watts)))


def runs(trace: Trace) -> list[tuple[list[float], int, int]]:
    """Return of each unbroken run of counted intervals: their powers, counts and truth, after the power before it.

    Within a run a torn number between two good ones may have shifted counts from one interval to the next.
    """
    found: list[tuple[list[float], int, int]] = []
    before, end = 0.0, None
    for a, b, counts in follow(trace).counted:
        power, truth = counts / (b.boottime - a.boottime), trace.drawn[b] - trace.drawn[a]
        if a != end:
            found.append(([before], 0, 0))
        powers, all_counts, all_truth = found[-1]
        found[-1] = [*powers, power], all_counts + counts, all_truth + truth
        before, end = power, b
    return found


@given(STEADY)
def test_at_steady_power_a_torn_read_makes_up_a_quarter_of_an_interval_at_most(trace: Trace) -> None:
    for powers, counts, truth in runs(trace):
        interval = truth / (len(powers) - 1)
        assert counts <= truth + (AS_BEFORE - 1) * interval + 10


@given(traces(st.floats(0.0, MOST)))
def test_at_any_power_too_much_counts_only_at_a_power_that_an_interval_beside_it_bears_out(trace: Trace) -> None:
    for (before, first, *others), counts, truth in runs(trace):
        if counts > truth:
            assert first <= AS_BEFORE * max(before, *others[:1], 0.0) * (1 + 1e-9)


@given(STEADY)
def test_what_is_not_counted_is_flagged(trace: Trace) -> None:
    counter = follow(trace)
    counter.settle()
    flagged = {event.at for event in counter.events}
    covered = {(a, b) for a, b, _ in counter.counted}
    reached = {at for pair in covered for at in pair}
    instants = [now for now, _ in trace.reads]
    for a, b in pairwise(instants):
        inside = any(x.utc <= a.utc and b.utc <= y.utc for x, y in covered)
        assert inside or a in flagged or b in flagged, (a, b, reached)


TRUE = [1_000, 1_200, 1_400, 2_600, 2_800, 3_000, 3_200]
"""What a register shows at 20 W [J]: three times, a minute later, and three times more."""


def register(first: int, boot: str = "next", n: int = 4) -> EnergyCounter:
    """Return the counter of three readings, and of ``n`` more of which the first is ``first`` [counts]."""
    times = [100.0, 110.0, 120.0, 180.0, 190.0, 200.0, 210.0]
    shown = [joules * 10**6 for joules in TRUE]
    shown[3] = first
    counter = EnergyCounter(LIMITS)
    for i, (t, value) in enumerate(list(zip(times, shown, strict=True))[: 3 + n]):
        same = boot == "same" or i < 3
        counter.read(value, at(t) if same else at(t - 170, boot=boot, utc=1_764_000_000 + t))
    return counter


@pytest.mark.parametrize("boot", ["same", "next"])
@pytest.mark.parametrize("first", [0, 2, 26, 260, 2_600_000, 260_000_000])
def test_a_torn_reading_after_a_gap_or_a_boot_is_told_by_the_next(first: int, boot: str) -> None:
    counter = register(first, boot)
    assert (counter.joules, counter.covered) == (800.0, 40 * SECOND)
    assert [e.kind for e in counter.events] == ["gap" if boot == "same" else "restart", "failed"]
    assert counter.events[0].at == counter.events[1].at


@pytest.mark.parametrize("boot", ["same", "next"])
@pytest.mark.parametrize("n", [2, 3, 4])
def test_a_good_one_after_a_gap_or_a_boot_is_not(n: int, boot: str) -> None:
    counter = register(2_600_000_000, boot, n)
    assert (counter.joules, len(counter.events)) == (400.0 + 200 * (n - 1), 1)


@pytest.mark.parametrize("first", [0, 1, 2, 5_000_000, 19_000_000])
@pytest.mark.parametrize("began", [None, "next"])
def test_a_register_that_begins_near_0_loses_nothing_at_a_steady_power(first: int, began: str | None) -> None:
    counter = EnergyCounter(LIMITS)
    for i in range(4 if began else 0):
        counter.read(10**11 + 10**8 * i, at(10.0 * i))
    for i in range(4):
        counter.read(first + 200_000_000 * i, at(3 + 10.0 * i, boot=began or "first"))
    assert counter.joules == (900.0 if began else 600.0)
    assert [e.kind for e in counter.events] == (["restart"] if began else [])


@pytest.mark.parametrize("first", [2, 26, 2_600])
def test_a_first_reading_of_all_that_is_torn_is_told_by_the_two_after_it(first: int) -> None:
    counter = EnergyCounter(LIMITS)
    for i, value in enumerate([first, 2_800_000_000, 3_000_000_000, 3_200_000_000]):
        counter.read(value, at(10.0 * i))
    assert (counter.joules, counter.covered, [e.kind for e in counter.events]) == (400.0, 20 * SECOND, ["failed"])


@pytest.mark.parametrize("cut", range(1, 7))
def test_a_new_process_tells_it_too(cut: int) -> None:
    values = [2, 2_800_000_000, 3_000_000_000, 3_200_000_000, 3_400_000_000, 3_600_000_000, 3_800_000_000]
    first, second = EnergyCounter(LIMITS), EnergyCounter(LIMITS)
    for i, value in enumerate(values):
        if i == cut:
            second.restore(first.state(at(0).boot_id), at(0).boot_id)
        (first if i < cut else second).read(value, at(10.0 * i))
    assert first.joules + second.joules == 1000.0


@pytest.mark.parametrize("head", [3, 4, 30, 300_000])
def test_a_torn_reading_while_it_is_weighed_is_a_failed_one(head: int) -> None:
    counter = EnergyCounter(LIMITS)
    for i, value in enumerate([5_000_000, 205_000_000, head, 605_000_000, 805_000_000]):
        counter.read(value, at(10.0 * i))
    assert (counter.joules, [e.kind for e in counter.events]) == (800.0, ["failed"])
