"""What publishers say, brought onto the grid: numbers that are none, doubles, steps, and which revision counts."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinwatt_collector.factors.grid.readings import (
    Readings,
    Said,
    best,
    document,
    joined,
    moment,
    number,
    on_slots,
    steps,
)

SAID = st.builds(
    Said,
    st.integers(-40, 40).map(lambda i: i * 900),
    st.one_of(st.just(math.nan), st.floats(-1.0, 3.0)),
    st.integers(0, 2),
    st.booleans(),
)


@pytest.mark.parametrize(
    "cell", [None, "", " ", "ND", "-", "null", "NaN", "inf", "1e999", [], {}, True, False, math.nan, "1 2"]
)
def test_what_is_no_number_is_missing_and_no_zero(cell: object) -> None:
    assert math.isnan(number(cell))


@pytest.mark.parametrize("cell, value", [("64", 64.0), (" 64,5 ", 64.5), (0, 0.0), ("-3", -3.0), (10**400, math.nan)])
def test_numbers_in_quotes_are_numbers(cell: object, value: float) -> None:
    assert number(cell) == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize("cell", ["2025-10-26T02:30:00", "2025-10-26", "", None, 5, "yesterday", "2025-13-01T00:00Z"])
def test_a_time_without_an_offset_is_none(cell: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # datetime's own words, or ours
        moment(cell)


@given(st.lists(SAID, max_size=60), st.sampled_from([1, 2, 4]))
def test_the_order_of_rows_does_not_matter_and_no_slot_is_doubled(said: list[Said], longest: int) -> None:
    batch = on_slots(said, 7.0, longest, 2.0)
    readings = batch.readings
    other = on_slots(said[::-1], 7.0, longest, 2.0).readings
    assert np.array_equal(readings.slot, other.slot)
    assert np.array_equal(readings.intensity, other.intensity)
    pairs = list(zip(readings.slot.tolist(), readings.rank.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert np.isfinite(readings.intensity).all()
    assert set(readings.intensity.tolist()) <= {s.intensity for s in said if 0.0 <= s.intensity <= 2.0}
    # Every row is a reading or counted as what else it is.
    own = {(s.begin // 900, s.rank) for s in said if 0.0 <= s.intensity <= 2.0}
    c = batch.counts
    assert len(own) + c["missing"] + c["implausible"] + c["double"] == len(said)
    assert own <= set(pairs)


def test_of_two_rows_of_an_instant_the_one_by_its_own_clock_counts_else_the_greater() -> None:
    batch = on_slots(
        [Said(0, 1.0, 0), Said(0, 9.0, 0, straight=False), Said(900, 1.0, 0), Said(900, 2.0, 0)], 0.0, 1, 10.0
    )
    assert batch.readings.intensity.tolist() == [1.0, 2.0]
    assert (batch.counts["double"], batch.counts["contradicting"]) == (2, 1)


def test_a_figure_off_the_grid_or_beyond_belief_is_counted_and_left_out() -> None:
    batch = on_slots([Said(450, 1.0, 0), Said(900, -1.0, 0), Said(1800, 11.0, 0)], 0.0, 1, 10.0)
    assert len(batch.readings) == 0
    assert (batch.counts["off the grid"], batch.counts["implausible"]) == (1, 2)


def test_a_hole_among_quarters_is_not_taken_for_a_longer_step() -> None:
    assert steps(np.array([0, 1, 2, 4, 5, 6]), 4).tolist() == [1] * 6
    assert steps(np.array([0, 2, 4, 8]), 4).tolist() == [2] * 4, "and one among half hours stays one"
    assert steps(np.array([0, 2, 4]), 1).tolist() == [1] * 3, "longer than the publisher's longest step"
    assert steps(np.array([0, 3, 6]), 4).tolist() == [1] * 3, "nobody has a step of 45 min"
    assert steps(np.array([], np.int64), 4).tolist() == []


def test_half_hours_beside_quarters_meet_without_a_hole_where_the_step_changes() -> None:
    half, quarter = np.arange(0, 40, 2), np.arange(40, 60)
    slot = np.concatenate([half, quarter])
    width = steps(slot, 2)
    covered = {int(s) + i for s, w in zip(slot, width, strict=True) for i in range(w)}
    # Near the change the shorter step is taken for some rows: what they leave is a hole, filled in and flagged.
    assert covered <= set(range(60))
    assert set(range(24)) | set(range(40, 60)) <= covered


REVISED = Readings(
    np.array([5, 5, 5, 5]), np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 1, 0, 1]), np.array([10, 20, 30, 5])
)


@pytest.mark.parametrize("as_of, value", [(math.inf, 2.0), (20, 2.0), (19, 4.0), (9, 4.0)])
def test_the_best_revision_counts_and_of_one_what_was_told_last(as_of: float, value: float) -> None:
    assert best(REVISED, as_of).intensity.tolist() == [value]
    assert len(best(REVISED, 4)) == 0


@given(st.permutations(range(4)))
def test_which_one_is_best_does_not_hang_on_their_order(order: list[int]) -> None:
    assert best(REVISED.at(np.array(order))).intensity.tolist() == [2.0]
    assert len(best(joined([REVISED, REVISED]))) == 1


@pytest.mark.parametrize(
    "body, told",
    [
        (b"<!DOCTYPE html><p>", "HTML page"),
        (b"\xef\xbb\xbf  <html>", "HTML page"),
        (b"", "it is empty"),
        (b'[{"taux_co2": 1}, Streaming interrupted due to', "Streaming interrupted"),
        (b'{"results": [{"taux', "cut off"),
        (b"[" * 100_000, "cut off or no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"1" * 5_000, "no JSON"),
    ],
)
def test_what_is_no_json_is_told_for_what_it_is(body: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        document(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_document_or_a_value_error(body: bytes) -> None:
    try:
        found = document(body)
    except ValueError:
        return
    json.dumps(found)
