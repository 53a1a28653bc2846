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
