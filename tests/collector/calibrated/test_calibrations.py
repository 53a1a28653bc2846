"""Which model holds when, what it says of what others booked, and the archive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinwatt_collector.calibrated import Calibrations, Hardware, Learnt, archive, restated
from thinwatt_collector.epochs import SECOND, parts

LOAD = Learnt(
    version=1, kind="desktop", model="X", simulated=False, way="load", valid_from=1000, rest=1.2, moving=0.8,
    rest_watts=30.0, assumed=(30.0, 36.0, 60.0, 90.0), own=0.06, common=0.03, residual=0.05, off=-0.1, machines=5,
    hours=500, begin=0, end=900, learnt=950,
)  # fmt: skip
X = LOAD.hardware
RAPL = replace(LOAD, way="components", assumed=(27.0, 0.9), rest=1.2, moving=1.1)
number = st.floats(0.2, 5.0)


@st.composite
def learnt(draw: st.DrawFn) -> Learnt:
    return replace(LOAD, rest=draw(number), moving=draw(number))


@given(learnt(), learnt(), st.floats(0, 1e6), st.floats(0, 1e5))
def test_restating_step_by_step_is_restating_at_once(a: Learnt, b: Learnt, above: float, seconds: float) -> None:
    joules, covered = np.array(30.0 * seconds + above), np.array(seconds)
    there = restated(joules, covered, None, a)
    assert restated(there, covered, a, b) == pytest.approx(restated(joules, covered, None, b), abs=1e-3)
    assert restated(there, covered, a, a) == pytest.approx(there, abs=1e-3)
    assert there == pytest.approx(a.rest * 30.0 * seconds + a.moving * above, abs=1e-3)


@given(learnt(), st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e5)), min_size=2, max_size=9))
def test_the_sum_of_restated_slots_is_the_restated_sum(a: Learnt, slots: list[tuple[float, float]]) -> None:
    above, covered = (np.array(of) for of in zip(*slots, strict=True))
    joules = 30.0 * covered + above
    whole = restated(joules.sum(), covered.sum(), None, a)
    assert restated(joules, covered, None, a).sum() == pytest.approx(whole, rel=1e-9, abs=1e-3)


def test_the_powers_of_a_calibrated_model() -> None:
    assert LOAD.watts.tolist() == pytest.approx([36.0, 40.8, 60.0, 84.0])
    # 45 W of components at the wall: 1.1 × 45 / 0.9 + 1.2 × 27 / 0.9 = 55 + 36 W.
    assert (45.0 + RAPL.base) / RAPL.efficiency == pytest.approx(91.0)
    assert np.isnan([LOAD.base, LOAD.efficiency, *RAPL.watts]).all()


def test_what_energy_is_restated_as() -> None:
    later = replace(LOAD, version=2, valid_from=2000, rest=1.3)
    one, two = Calibrations([LOAD]), Calibrations([later, LOAD])
    assert two.epochs == (1000, 2000)
    assert two.spans(500, 2500) == [(500, 1000), (1000, 2000), (2000, 2500)]
    assert [two.epoch(at) for at in (999, 1000, 2000)] == [0, 1, 2]
    assert one.restated_as(X, "assumed", 999) == (None, LOAD)
    assert one.restated_as(X, "assumed", 1000) is None, "what is assumed now, its agent assumed"
    assert one.restated_as(X, "modelled", 999) is None, "nor is what its agent modelled before"
    assert two.restated_as(X, "assumed", 0) == (None, later)
    assert two.restated_as(X, "modelled", 1500) == (LOAD, later)
    assert two.restated_as(X, "modelled", 2500) == (later, later)
    assert two.restated_as(X, "measured", 0) is None
    assert two.restated_as(Hardware("desktop", "X", True), "assumed", 0) is None, "a made-up one says nothing of it"
    both = one.with_more([RAPL])
    assert both.restated_as(X, "modelled", 0) == (None, RAPL)
    assert both.restated_as(X, "assumed", 0) == (None, LOAD)


def test_the_archive_keeps_every_calibration(tmp_path: Path) -> None:
    path = tmp_path / archive.NAME
    assert not archive.read(path)
    known = Calibrations([LOAD, RAPL])
    archive.write(path, known)
    first = path.read_text()
    assert archive.read(path).every == known.every
    archive.write(path, known.with_more([replace(LOAD, version=2, valid_from=5000)]))
    assert path.read_text().startswith(first), "a line once written is never changed"


@pytest.mark.parametrize("text", ["{", '{"version": 1}', "[]", "\xff"])
def test_a_damaged_archive_is_told_with_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / archive.NAME
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(archive.ArchiveError, match="restore"):
        archive.read(path)


@given(
    st.lists(st.lists(st.integers(0, 50), min_size=3, max_size=3).map(sorted), min_size=1, max_size=6),
    st.lists(st.integers(0, 50), max_size=4, unique=True).map(sorted),
)
def test_every_interval_is_in_one_part_and_in_the_epoch_it_begins_in(times: list[list[int]], epochs: list[int]) -> None:
    utc = np.array(times) * SECOND
    seen = np.zeros((len(times), 2), np.int64)
    for part in parts(utc, epochs):
        rows = np.arange(3)[part.rows]
        for frame in np.arange(len(times))[part.frames].tolist():
            for before, after in zip(rows[:-1].tolist(), rows[1:].tolist(), strict=True):
                assert after == before + 1
                seen[frame, before] += 1
                assert part.epoch == sum(at <= times[frame][before] for at in epochs)
    assert (seen == 1).all()
