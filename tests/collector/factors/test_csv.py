"""A table of one's own: units in each cell, holes that are no zeros, mistakes with their line; example E4."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thinwatt_collector import units
from thinwatt_collector.factors import FactorError, load
from thinwatt_collector.models import carbon

PER = units.scale("g/kWh", "g/J")
E4 = """begin,intensity
2025-01-01T10:00Z,31 g/kWh
2025-01-01T10:30Z,0.028 kg/kWh
2025-01-01T11:00Z,26 gCO2e/kWh
2025-01-01T11:30Z,35 g/kWh
"""
TEN = 20_089 * 96 + 40
"""The slot of 2025-01-01T10:00Z."""


def options(path: Path, text: str, **more: Any) -> dict[str, Any]:
    path.write_text(text, encoding="utf-8")
    told = {"name": "n", "version": "v", "published": "2025-02-01", "uncertainty": "10 %", "publisher": "p"}
    return {"kind": "record", "file": path} | told | more


def found(tmp_path: Path, text: str, *slots: int, **more: Any) -> tuple[list[float], list[bool]]:
    value, flags = load("csv", options(tmp_path / "mine.csv", text, **more)).at(np.array(slots))
    return (value / PER).round(6).tolist(), flags.tolist()


def test_e4_an_interval_across_half_hours(tmp_path: Path) -> None:
    intensity = load("csv", options(tmp_path / "mine.csv", E4, step="30 min"))
    slots = np.arange(TEN, TEN + 8)
    value, flags = intensity.at(slots)
    assert not flags.any()
    edges = np.append(slots, slots[-1] + 1) * 900.0
    start, end = np.array([TEN * 900.0 + 450]), np.array([TEN * 900.0 + 4950])
    grams = carbon.grams_of_intervals(start, end, 180.0 * (end - start), edges, value)
    assert grams == pytest.approx([6.3675], rel=1e-9)
    assert (intensity.kind, intensity.method, intensity.vintage) == ("record", "record_csv", "2025-02-01T00:00:00Z")


def test_a_row_holds_until_the_next_and_no_longer_than_the_step(tmp_path: Path) -> None:
    assert found(tmp_path, E4, TEN + 6, TEN + 7, TEN + 9, TEN + 10)[0] == [35.0, 35.0, 35.0, 31.0]
    assert found(tmp_path, E4, TEN + 6, TEN + 7, TEN + 8, step="30 min")[1] == [False, False, True]
    assert found(tmp_path, E4, TEN, TEN + 1, TEN + 2, step="15 min") == ([31.0, 29.5, 28.0], [False, True, False])


def test_an_empty_cell_is_a_hole_and_no_zero(tmp_path: Path) -> None:
    text = E4.replace("0.028 kg/kWh", "")
    assert found(tmp_path, text, TEN + 1, TEN + 2, TEN + 3, TEN + 4) == (
        [31.0, 28.5, 28.5, 26.0],
        [False, True, True, False],
    )


def test_semicolons_blank_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    text = "\ufeff" + E4.replace(",", ";") + "\n;\n"
    assert found(tmp_path, text, TEN, TEN + 2)[0] == [31.0, 28.0]


def test_the_hours_that_clocks_repeat_are_two(tmp_path: Path) -> None:
    text = "begin,intensity\n2025-10-26T02:00+02:00,10 g/kWh\n"
    text += "2025-10-26T02:00+01:00,20 g/kWh\n2025-10-26T03:00+01:00,30 g/kWh\n"
    first = (20_387 * 24) * 4
    assert found(tmp_path, text, first, first + 4, first + 8)[0] == [10.0, 20.0, 30.0]


@pytest.mark.parametrize(
    "old, new, told",
    [
        ("begin,", "start,", "line 1: the first line must be begin,intensity"),
        ("T10:30Z", "T10:30", "line 3: .*offset"),
        ("T10:30Z", "T10:20Z", "line 3: .*no beginning of a quarter"),
        ("T10:30Z", "T10:00Z", "line 3: not later than the line before"),
        ("0.028 kg/kWh", "28", "line 3: .*has no unit"),
        ("0.028 kg/kWh", "28 kWh", "line 3: .*no unit of carbon"),
        ("0.028 kg/kWh", "0.028 kg/kWh,x", "line 3: too many values"),
        ("0.028 kg/kWh", "0 g/kWh", "a record of 0 g/kWh: leave the cell empty"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(FactorError, match=told):
        load("csv", options(tmp_path / "mine.csv", E4.replace(old, new)))


def test_a_contract_of_0_is_a_market_figure(tmp_path: Path) -> None:
    text = E4.replace("0.028 kg/kWh", "0 g/kWh")
    assert found(tmp_path, text, TEN + 2, kind="market") == ([0.0], [False])


@pytest.mark.parametrize(
    "change, told",
    [
        ({"publisher": ""}, "publisher is not set"),
        ({"step": "10 min"}, "no whole number of quarters"),
        ({"step": "10"}, "has no unit"),
        ({"file": Path("/nowhere")}, "line 1: .*No such file"),
        ({"steps": "1 h"}, "unknown option 'steps'"),
        ({"kind": "profile"}, "no 'profile' method"),
    ],
)
def test_options_are_checked(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    with pytest.raises(FactorError, match=told):
        load("csv", options(tmp_path / "mine.csv", E4) | change)


def test_an_empty_table_is_told(tmp_path: Path) -> None:
    with pytest.raises(FactorError, match="no reading of zone FR"):
        load("csv", options(tmp_path / "mine.csv", "begin,intensity\n2025-01-01T10:00Z,\n"))
