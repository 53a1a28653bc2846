"""Which rows are new, said a second time in plain Python, and what no difference of 64-bit times may hide."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from thinwatt_collector import accept

TICKS = st.integers(0, 40)
I64 = st.integers(-(1 << 63), (1 << 63) - 1)


@given(TICKS, TICKS, TICKS)
def test_the_verdict_is_that_of_the_protocol(position: int, after: int, last: int) -> None:
    (verdict,) = accept.judge(*(np.array([n]) for n in (position, after, last)))
    if last <= position:
        assert verdict == accept.DUPLICATE
    elif after > position:
        assert verdict == accept.HOLE
    else:
        assert verdict == accept.NEW


@given(st.lists(st.tuples(I64, I64), min_size=1, max_size=5), I64)
def test_order_is_that_of_whole_numbers_of_any_size(rows: list[tuple[int, int]], after: int) -> None:
    ticks, times = zip(*rows, strict=True)
    found = accept.in_order(np.array([ticks]), np.array([times]), np.array([after]))
    pairs = list(itertools.pairwise(rows))
    expected = after >= 0 and ticks[0] > after and times[0] >= 0 and all(a < c and b <= d for (a, b), (c, d) in pairs)
    assert bool(found[0]) == expected


@pytest.mark.parametrize("times", [(1 << 62, -(1 << 63), -1), (1 << 62, -(1 << 63), 1 << 62)])
def test_times_that_fall_so_far_that_their_difference_overflows_do_not_rise(times: tuple[int, ...]) -> None:
    assert not accept.in_order(np.array([[1, 2, 3]]), np.array([times]), np.array([0])).any()


@given(
    matrix=arrays(np.float64, (3, 2, 4), elements=st.floats(0, 1e6)),
    state=arrays(np.float64, (3, 2), elements=st.floats(0, 1e6)),
    position=arrays(np.int64, 3, elements=st.integers(0, 12)),
)
def test_differences_count_new_rows_once_and_booked_rows_as_nothing(
    matrix: np.ndarray, state: np.ndarray, position: np.ndarray
) -> None:
    ticks = np.tile(np.array([2, 5, 6, 9]), (3, 1))
    times = ticks * 10
    when, columns = accept.rest_on_state(ticks, times, matrix, position, position * 7, state)
    assert when.shape == (3, 5)
    assert columns.shape == (3, 2, 5)
    for frame in range(3):
        new = [i for i in range(4) if ticks[frame, i] > position[frame]]
        for column in range(2):
            ends = [state[frame, column], *(matrix[frame, column, i] for i in new)]
            steps = np.diff(columns[frame, column])
            assert np.count_nonzero(steps[: 4 - len(new)]) == 0
            assert steps[4 - len(new) :].tolist() == np.diff(ends).tolist()
        assert when[frame, : 5 - len(new)].tolist() == [position[frame] * 7] * (5 - len(new))
        assert when[frame, 5 - len(new) :].tolist() == [times[frame, i] for i in new]


INF = float("inf")


@pytest.mark.parametrize(
    "counter, sound",
    [
        ([0.0, 0.0, 5.0], True),
        ([3.0, 2.0, 5.0], False),
        ([-1.0, 0.0, 1.0], False),
        ([0.0, float("nan"), 1.0], False),
        ([0.0, 1.0, float("nan")], False),
        ([0.0, 1.0, INF], False),
        ([0.0, INF, INF], False),
        ([0.0, 1.0, 1e18], True),
        ([0.0, 1.0, 2e18], False),
    ],
)
def test_a_counter_that_falls_or_is_no_number_costs_its_own_frame_only(counter: list[float], sound: bool) -> None:
    """Gauges beside it may do what they like, and the next column may begin below where it ended."""
    usual, gauge = [7.0, 8.0, 9.0], [5.0, float("nan"), -INF]
    columns = np.array([[gauge, usual, usual], [gauge, usual, counter], [gauge, counter, gauge]])
    counters = np.array([1, 2])
    assert accept.sound(columns[:2], counters, np.full(len(counters), 1e18)).tolist() == [True, sound]
    assert accept.sound(columns[2:], np.array([1]), np.array([1e18])).tolist() == [sound]
    assert accept.sound(columns[2:], np.zeros(0, np.int64), np.zeros(0)).tolist() == [True]


def test_what_falls_by_a_rounding_is_held() -> None:
    columns = np.array([[[1e9, 1e9 - 1e-3, 1e9 + 1]], [[1.0, 0.9, 2.0]]])
    assert accept.sound(columns, np.array([0]), np.array([1e18])).tolist() == [True, False]
    assert columns[0].tolist() == [[1e9, 1e9, 1e9 + 1]]
