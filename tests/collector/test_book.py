"""One transaction's contents: merging loses nothing, and a stream that did not move takes its energy with it."""

from __future__ import annotations

from collections import defaultdict

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from thinwatt_collector import book
from thinwatt_collector.book import Energy, Moves, StreamRows, Totals, Transaction

Row = tuple[int, int, int, int, float]
ROWS = st.lists(
    st.tuples(*[st.integers(0, 3)] * 4, st.floats(0, 1e9, allow_nan=False, allow_infinity=False)), max_size=30
)


def energy_of(rows: list[Row]) -> Energy:
    stream, device, slot, source = (np.array([row[i] for row in rows], np.int64) for i in range(4))
    joules = np.array([row[4] for row in rows], float)
    return Energy(stream, device, slot, source, joules, joules * 2, joules * 3, joules * 4)


def totals_of(rows: list[Row]) -> Totals:
    stream, label = (np.array([row[i] for row in rows], np.int64) for i in range(2))
    return Totals(stream, label, np.array([row[4] for row in rows], float))


def moves_of(count: int) -> Moves:
    nothing = book.objects([None] * count)
    numbers = np.arange(count)
    rows = StreamRows(
        nothing, nothing, nothing, nothing, numbers, numbers, numbers, numbers, numbers > 0, numbers, nothing
    )
    return Moves(numbers, numbers, rows, numbers >= 0)


@given(ROWS)
def test_merging_keeps_every_sum_and_every_key_once(rows: list[Row]) -> None:
    merged = book.merged_energy(energy_of(rows))
    expected: dict[tuple[int, int, int], float] = defaultdict(float)
    for _, device, slot, source, joules in rows:
        expected[device, slot, source] += joules
    keys = list(zip(merged.device.tolist(), merged.slot.tolist(), merged.source.tolist(), strict=True))
    assert keys == sorted(expected)
    for factor, column in ((1, merged.joules), (2, merged.variance), (3, merged.bias), (4, merged.covered)):
        assert column.tolist() == pytest.approx([expected[key] * factor for key in keys], rel=1e-12)


@given(ROWS)
def test_totals_are_merged_by_label(rows: list[Row]) -> None:
    label, amount = book.merged_totals(totals_of(rows))
    expected: dict[int, float] = defaultdict(float)
    for row in rows:
        expected[row[1]] += row[4]
    assert label.tolist() == sorted(expected)
    assert amount.tolist() == pytest.approx([expected[key] for key in label.tolist()], rel=1e-12)


@given(ROWS, st.sets(st.integers(0, 3)))
def test_only_the_energy_of_streams_that_moved_is_added(rows: list[Row], moved: set[int]) -> None:
    whole = Transaction(moves_of(4), energy_of(rows), totals_of(rows))
    ours = book.of_streams(whole, np.array(sorted(moved), np.int64))
    kept = [row for row in rows if row[0] in moved]
    assert ours.energy.joules.tolist() == [row[4] for row in kept]
    assert ours.energy.device.tolist() == [row[1] for row in kept]
    assert ours.totals.amount.tolist() == [row[4] for row in kept]


def test_nothing_joins_to_nothing_of_the_right_type() -> None:
    energy, totals = book.concat_energy([]), book.concat_totals([])
    assert energy.slot.dtype == totals.label.dtype == np.int64
    assert energy.joules.dtype == totals.amount.dtype == np.float64
    assert not len(book.merged_energy(energy).joules)
    assert not len(book.merged_totals(totals)[0])
    assert Transaction(moves_of(0), energy, totals).empty
    assert not Transaction(moves_of(1), energy, totals).empty
