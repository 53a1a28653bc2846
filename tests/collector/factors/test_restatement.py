"""Why did last month change? Which quarters, by how much, from which publication to which; the energy stays."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.factors import rte
from tests.collector.factors.test_table import HEADER
from thinwatt_collector import units
from thinwatt_collector.factors import FactorError, Intensity, fixed, table
from thinwatt_collector.factors.eco2mix import _publication, readings_of
from thinwatt_collector.factors.grid.readings import joined
from thinwatt_collector.factors.grid.restatement import changes, words
from thinwatt_collector.factors.grid.series import Series
from thinwatt_collector.models.carbon import grams

KWH = units.scale("kWh", "J")
PER = units.scale("g/kWh", "g/J")
YEAR = np.arange(rte.midnights(date(2025, 1, 1))[0], rte.midnights(date(2025, 12, 31))[1])


def record(as_of: str) -> Intensity:
    return table.load({"zone": "FR", "as_of": as_of})


def test_a_year_whose_own_factor_appears(golden: Any) -> None:
    """1,000 kWh of 2025, at first by the factor of 2024: 51.9 kg become 46.1."""
    joules = np.full(len(YEAR), 1000.0 * KWH / len(YEAR))
    found = changes(YEAR, joules, record("2026-05-17"), record("2026-05-18"))
    (change,) = found
    assert (change.slots, change.old_fallback, change.new_fallback) == (35_040, True, False)
    assert (change.before / 1000, change.after / 1000, change.delta / 1000) == pytest.approx(
        (51.9, 46.1, -5.8), rel=1e-9
    )
    assert (change.old.vintage, change.new.vintage) == ("2024", "2025")
    text = "\n\n".join(words(found, record("2026-05-18"), rte.PARIS, language) for language in ("en", "fr"))
    golden(text + "\n", Path(__file__).parents[2] / "golden" / "factors" / "restated.txt")


def test_real_time_figures_that_become_definitive() -> None:
    day = date(2025, 10, 26)
    slots = np.arange(*rte.midnights(day))
    joules = np.linspace(1.0, 2.0, len(slots)) * KWH
    real_time = readings_of(rte.day(day, lambda s: 40), 1_761_500_000.0).readings
    definitive = readings_of(rte.day(day, lambda s: 40 if s % 2 else 44, 2), 1_780_000_000.0).readings
    both = Series(_publication(), "FR", joined([real_time, definitive]))
    before = Series(_publication(), "FR", real_time)
    found = changes(slots, joules, before, both)
    assert sum(c.delta for c in found) == pytest.approx(
        float((grams(joules, both.at(slots)[0]) - grams(joules, before.at(slots)[0])).sum())
    )
    assert {(c.old.version, c.new.version) for c in found} == {
        ("données temps réel", "données définitives"),
        ("mean of the neighbours", "mean of the neighbours"),
    }
    text = words(found, both, rte.PARIS, "fr")
    assert "52 quarts d’heure" in text
    assert "données temps réel" in text
    assert "2025-10-26" in text


@given(
    st.lists(st.tuples(st.integers(1_600_000, 2_200_000), st.floats(0.0, 1e9)), max_size=60),
    st.sampled_from(["2023-12-31", "2025-05-01", "2025-06-01", "2026-05-17"]),
    st.sampled_from(["2023-12-31", "2025-05-01", "2025-06-01", "2026-05-18"]),
)
def test_the_parts_add_up_to_what_the_carbon_changes_by(booked: list[tuple[int, float]], then: str, now: str) -> None:
    slots, joules = np.array([s for s, _ in booked], np.int64), np.array([j for _, j in booked])
    before, after = record(then), record(now)
    found = changes(slots, joules, before, after)
    old, new = (grams(joules, i.at(slots)[0]).sum() for i in (before, after))
    assert sum(c.delta for c in found) == pytest.approx(new - old, abs=1e-9 + 1e-9 * (old + new))
    assert sum(c.after - c.before for c in found) == pytest.approx(new - old, abs=1e-9 + 1e-9 * (old + new))
    assert sum(c.joules for c in found) <= joules.sum() * (1 + 1e-12)
    if then == now:
        assert found == []
        assert words(found, after, rte.PARIS, "fr") == "Aucun carbone n’est recalculé."


def test_what_has_no_energy_is_not_told() -> None:
    then, now = record("2026-05-17"), record("2026-05-18")
    for slots in (YEAR[:9], YEAR[:0]):
        found = changes(slots, np.zeros(len(slots)), then, now)
        assert found == []
        assert words(found, now, rte.PARIS, "en") == "No carbon is restated."


def test_another_method_or_zone_is_no_restatement() -> None:
    other = {
        "intensity": "50 g/kWh",
        "name": "n",
        "version": "v",
        "published": "2025-01-01",
        "valid_from": "2025-01-01",
        "uncertainty": "5 %",
        "publisher": "p",
    }
    contract = fixed.load(other | {"kind": "market", "zone": "FR"})
    elsewhere = fixed.load(other | {"kind": "record", "zone": "GF", "method": "ademe_acv_annual"})
    joules = np.ones(1)
    with pytest.raises(FactorError, match="by method ademe_acv_annual and by market_fixed are two figures"):
        changes(YEAR[:1], joules, record("2026-05-18"), contract)
    with pytest.raises(FactorError, match="by zone FR and by GF"):
        changes(YEAR[:1], joules, record("2026-05-18"), elsewhere)


def test_a_corrected_factor_keeps_the_one_that_it_corrects(tmp_path: Path) -> None:
    row = "FR,Europe/Paris,ademe_acv_annual,2025,mix,{v},{day},{value},kgCO2e/kWh,2025-01-01,10 %,normal,a sheet\n"
    path = tmp_path / "mine.csv"
    rows = [row.format(v="v2", day="2026-09-01", value="0.0470"), row.format(v="v1", day="2026-05-18", value="0.0461")]
    path.write_text(HEADER + "".join(rows), encoding="utf-8")
    then, now = (table.load({"file": path, "as_of": day}) for day in ("2026-08-31", "2026-09-01"))
    (change,) = changes(YEAR[:4], np.full(4, KWH), then, now)
    assert (change.before, change.after) == pytest.approx((4 * 46.1, 4 * 47.0))
    assert (then.vintage, now.vintage, table.load({"file": path}).vintage) == ("2026-05-18", "2026-09-01", "2026-09-01")
    with pytest.raises(FactorError, match="none on 2026-01-01"):
        table.load({"file": path, "as_of": "2026-01-01"})
