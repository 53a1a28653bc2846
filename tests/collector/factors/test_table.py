"""ADEME's yearly factors: which year a slot takes, and what is flagged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinwatt_collector.factors import FactorError
from thinwatt_collector.factors.table import load

PARIS = ZoneInfo("Europe/Paris")
# kgCO2e/kWh, ADEME Base Empreinte, mean consumption mix of the year.
FACTORS = {2022: 0.0520, 2023: 0.0580, 2024: 0.0519, 2025: 0.0461}


def slot(moment: datetime) -> int:
    return int(moment.timestamp() // 900)


def kg_per_kwh(*moments: datetime) -> tuple[list[float], list[bool]]:
    intensity, fallback = load({"zone": "FR"}).at(np.array([slot(m) for m in moments]))
    return (intensity * 3600.0).round(9).tolist(), fallback.tolist()


@pytest.mark.parametrize("year", sorted(FACTORS))
def test_a_year_takes_its_own_factor(year: int) -> None:
    assert kg_per_kwh(datetime(year, 7, 1, tzinfo=UTC)) == ([FACTORS[year]], [False])


def test_a_year_begins_at_midnight_in_paris() -> None:
    eve, midnight = datetime(2023, 12, 31, 23, 45, tzinfo=PARIS), datetime(2024, 1, 1, tzinfo=PARIS)
    assert midnight.astimezone(UTC) == datetime(2023, 12, 31, 23, 0, tzinfo=UTC)
    assert kg_per_kwh(eve, midnight) == ([0.0580, 0.0519], [False, False])


def test_a_year_without_a_factor_takes_the_latest_published_and_says_so() -> None:
    moments = [datetime(y, 6, 1, tzinfo=UTC) for y in (1999, 2021, 2026, 2031)]
    assert kg_per_kwh(*moments) == ([0.0461] * 4, [True] * 4)
    assert kg_per_kwh(datetime(2026, 1, 1, tzinfo=PARIS)) == ([0.0461], [True])
    assert kg_per_kwh(datetime(2025, 12, 31, 23, 45, tzinfo=PARIS)) == ([0.0461], [False])


FIRST, LAST = datetime(2019, 1, 1), datetime(2030, 1, 1)  # noqa: DTZ001 - hypothesis takes naive bounds only


@given(st.lists(st.datetimes(FIRST, LAST), min_size=1, max_size=50))
def test_every_slot_takes_the_year_on_the_wall_in_paris(moments: list[datetime]) -> None:
    table = load({})
    slots = np.array([slot(m.replace(tzinfo=UTC)) for m in moments])
    intensity, fallback = table.at(slots)
    for number, value, flagged in zip(slots.tolist(), intensity.tolist(), fallback.tolist(), strict=True):
        year = (datetime.fromtimestamp(0, UTC) + timedelta(seconds=900 * number)).astimezone(PARIS).year
        assert value * 3600.0 == pytest.approx(FACTORS.get(year, 0.0461), rel=1e-12)
        assert flagged is (year not in FACTORS)
        assert table.factor_of(number).vintage == str(year if year in FACTORS else 2025)


def test_every_figure_knows_where_it_comes_from() -> None:
    table = load({"zone": "FR"})
    assert (table.method, table.zone, table.factor_zone) == ("ademe_acv_annual", "FR", "FR")
    assert [f.vintage for f in table.factors] == ["2022", "2023", "2024", "2025"]
    latest = table.factor_of(slot(datetime(2026, 2, 1, tzinfo=UTC)))
    assert "2025" in latest.name
    assert latest.published == "2026-05-18"
    assert latest.uncertainty == pytest.approx(0.1 / 1.96)
    assert "735ccda" in latest.source


def test_an_unknown_zone_is_refused_by_name_or_falls_back_by_name() -> None:
    with pytest.raises(FactorError, match=r"no factor of zone 'XX'.*zones with one: FR.*fallback_zone"):
        load({"zone": "XX"})
    instead = load({"zone": "XX", "fallback_zone": "FR"})
    intensity, fallback = instead.at(np.array([slot(datetime(2025, 6, 1, tzinfo=UTC))]))
    assert (intensity * 3600.0).tolist() == pytest.approx([0.0461])
    assert fallback.all()
    assert (instead.zone, instead.factor_zone) == ("XX", "FR")
    with pytest.raises(FactorError, match="zone 'YY'"):
        load({"zone": "XX", "fallback_zone": "YY"})


def test_options_are_checked() -> None:
    with pytest.raises(FactorError, match="unknown option 'zones'; there are zone, method"):
        load({"zones": "FR"})
    with pytest.raises(FactorError, match="none"):
        load({"method": "guess"})


HEADER = "zone,timezone,method,year,factor,version,published,value,unit,valid_from,uncertainty,distribution,source\n"
ROW = "GF,America/Cayenne,ademe_acv_annual,2024,mix,v1,2025-01-01,0.3,kgCO2e/kWh,2024-01-01,20 %,normal,a sheet\n"


def test_a_table_of_ones_own_with_a_year_missing_between(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(HEADER + ROW.replace("2024", "2022").replace("0.3", "0.5") + ROW, encoding="utf-8")
    table = load({"zone": "GF", "file": str(path)})
    # 2024 begins at midnight in Cayenne, 03:00 UTC.
    moments = [
        datetime(2022, 6, 1, tzinfo=UTC),
        datetime(2023, 6, 1, tzinfo=UTC),
        datetime(2024, 1, 1, 2, 45, tzinfo=UTC),
    ]
    intensity, fallback = table.at(np.array([slot(m) for m in [*moments, datetime(2024, 1, 1, 3, tzinfo=UTC)]]))
    assert (intensity * 3600.0).tolist() == pytest.approx([0.5, 0.3, 0.3, 0.3])
    assert fallback.tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    "text, told",
    [
        (ROW.replace("kgCO2e/kWh", "kg"), "carbon intensity"),
        (ROW.replace(",2024,", ",last,"), "no year"),
        (ROW.replace("America/Cayenne", "America/Nowhere"), "tzdata"),
        (ROW + ROW, "two factors of one year"),
        (ROW.replace("a sheet", ""), "source is empty"),
    ],
)
def test_a_table_that_cannot_be_used_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(HEADER + text, encoding="utf-8")
    with pytest.raises(FactorError, match=r"factors\.table") as caught:
        load({"zone": "GF", "file": str(path)})
    assert told in str(caught.value)
    assert "line 2" in str(caught.value)
