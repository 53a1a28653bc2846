"""Carbon as it was booked: by the factor that was known on the day, whatever was published since."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from tests.collector.factors.test_csv import E4
from tests.collector.factors.test_table import HEADER
from thinwatt_collector.factors import Intensity, load
from thinwatt_collector.factors.grid.then import Then

ROW = (
    "FR,Europe/Paris,ademe_acv_annual,{year},mix {year},v{year},{day},{value},kgCO2e/kWh,{year}-01-01,10 %,normal,"
    "a sheet\n"
)
TABLE = (
    HEADER
    + ROW.format(year=2024, day="2025-05-22", value="0.0519")
    + ROW.format(year=2025, day="2026-05-18", value="0.0461")
    + ROW.format(year=2024, day="2026-06-01", value="0.0500")
)
KG = 3.6e3


def slot(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) // 900


@pytest.fixture
def then(tmp_path: Path) -> Then:
    options = {"file": tmp_path / "mine.csv"}
    options["file"].write_text(TABLE)
    return Then(load("table", options), lambda day: load("table", options | {"as_of": day}))


@pytest.mark.parametrize(
    "day, kg, fallback",
    [
        ("2024-06-01", 0.0500, True),  # nobody knew any: the newest, flagged
        ("2025-06-01", 0.0519, True),  # of the year before
        ("2026-05-18", 0.0461, True),  # published on the day
        ("2026-05-17", 0.0519, True),
    ],
)
def test_each_day_has_what_was_known_then(then: Then, day: str, kg: float, fallback: bool) -> None:
    value, flags = then.at(np.array([slot(day)]))
    assert (value[0] * KG, bool(flags[0])) == (pytest.approx(kg), fallback)
    assert then.factor_of(slot(day)).intensity * KG == pytest.approx(kg)


@given(st.lists(st.integers(slot("2024-01-01"), slot("2026-11-01")), min_size=1, max_size=6))
def test_many_at_once_are_as_each_by_itself(tmp_path_factory: pytest.TempPathFactory, slots: list[int]) -> None:
    path = tmp_path_factory.getbasetemp() / "then.csv"
    path.write_text(TABLE)
    asked: list[str] = []

    def as_of(day: str) -> Intensity:
        asked.append(day)
        return load("table", {"file": path, "as_of": day})

    then = Then(load("table", {"file": path}), as_of)
    value, flags = then.at(np.array(slots))
    assert len(asked) == len(set(asked)) <= 70, "days of one state of publication are not asked for one by one"
    for at, number, flag in zip(slots, value.tolist(), flags.tolist(), strict=True):
        alone = Then(load("table", {"file": path}), lambda day: load("table", {"file": path, "as_of": day}))
        assert alone.at(np.array([at])) == (number, flag)


def test_a_source_without_earlier_publications_has_one_state(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(E4)
    options = {
        "file": tmp_path / "mine.csv", "step": "30 min", "name": "n", "version": "v", "published": "2025-02-01",
        "uncertainty": "10 %", "publisher": "p",
    }  # fmt: skip
    now = load("csv", options)
    then = Then(now, lambda day: load("csv", options | {"as_of": day}))
    slots = np.arange(slot("2025-01-01T10:00"), slot("2025-01-01T12:00"))
    for found, expected in zip(then.at(slots), now.at(slots), strict=True):
        assert np.array_equal(found, expected)
    assert len(then.at(slots[:0])[0]) == 0
