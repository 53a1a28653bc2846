"""A collector that starts on newer factors tells what they change in its ledger, once, and leaves the energy alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.collector.factors import rte
from thinwatt_collector import factors, units
from thinwatt_collector.factors import FactorError, Intensity
from thinwatt_collector.restated import Restated

KWH = units.scale("kWh", "J")
JUNE = 1_748_736_000 // 900
"""2025-06-01T00:00Z."""


def record(as_of: str = "") -> Intensity:
    return factors.record("FR", "table", {}, as_of)


def booked() -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.float64]]]:
    return np.array([JUNE, JUNE + 4]), np.array([60 * KWH, 40 * KWH])


def never() -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.float64]]]:
    raise AssertionError("the ledger is not read where nothing has changed")


def restated(tmp_path: Path, source: str = "table") -> Restated:
    return Restated(tmp_path / "factors.json", source, rte.PARIS)


def test_what_was_published_since_the_last_run_is_told_once(tmp_path: Path) -> None:
    old, new = record("2026-05-17"), record()
    assert restated(tmp_path).events(old, record, never) == [], "the first run has nothing to compare with"
    restated(tmp_path).told(old)
    assert restated(tmp_path).events(old, record, never) == []
    (text,) = restated(tmp_path).events(new, record, booked)
    assert "recalculé de −0,580 kgCO2e (−11,2 %) : 5,190 kgCO2e deviennent 4,610 kgCO2e" in text
    assert "restated by −0.580 kgCO2e (−11.2 %): 5.190 kgCO2e became 4.610 kgCO2e" in text
    assert "100.000 kWh" in text
    assert "Base Empreinte 2024" in text
    assert "published 2026-05-18" in text
    (again,) = restated(tmp_path).events(new, record, booked)
    assert again == text, "told again until it is written down that it was"
    restated(tmp_path).told(new)
    assert restated(tmp_path).events(new, record, never) == []


def test_another_method_is_told_as_another_figure(tmp_path: Path) -> None:
    restated(tmp_path).told(record())
    other = factors.record(
        "FR",
        "fixed",
        {
            "fixed": {
                "intensity": "50 g/kWh",
                "name": "n",
                "version": "v",
                "published": "2026-01-01",
                "valid_from": "2025-01-01",
                "uncertainty": "5 %",
                "publisher": "p",
            }
        },
    )
    (text,) = restated(tmp_path, "fixed").events(other, record, never)
    assert "ademe_acv_annual" in text
    assert "record_fixed" in text
    assert "never added" in text
    assert "ne pas additionner" in text


def test_factors_that_cannot_be_had_again_are_told_as_such(tmp_path: Path) -> None:
    restated(tmp_path).told(record("2026-05-17"))

    def gone(_: str) -> Intensity:
        raise FactorError("factors.csv: unknown option 'as_of'")

    (text,) = restated(tmp_path).events(record(), gone, never)
    assert "changed from 2025-05-22 to 2026-05-18" in text
    assert "unknown option 'as_of'" in text


@pytest.mark.parametrize("damage", ["", "{", "{}", '{"source": 1, "sauce": 2}', "[]"])
def test_a_damaged_file_is_told_with_its_remedy(tmp_path: Path, damage: str) -> None:
    (tmp_path / "factors.json").write_text(damage)
    with pytest.raises(FactorError, match=r"factors\.json cannot be read .*remove it"):
        restated(tmp_path).events(record(), record, booked)
