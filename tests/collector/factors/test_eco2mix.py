"""éCO2mix: rows as ODRÉ gives them with every defect that was seen, and the questions to it, its faults included."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.collector.factors import rte
from tests.collector.factors.peers import HTML, STREAM, Fault, Servers
from thinwatt_collector import units
from thinwatt_collector.factors import FactorError, eco2mix, load
from thinwatt_collector.factors.eco2mix import CONSOLIDATED, REALTIME, readings_of, rows_of_csv, rows_of_json
from thinwatt_collector.factors.grid.series import Series
from thinwatt_collector.fetch import Fetcher
from thinwatt_collector.models.carbon import grams

PER = units.scale("g/kWh", "g/J")
NOON = datetime(2025, 6, 15, 12, 10, tzinfo=UTC).timestamp()
Rows = list[dict[str, Any]]
Made = Callable[..., Fetcher]


def g_per_kwh(slot: int) -> int:
    """A figure that tells its slot."""
    return 20 + slot % 700


def level(of: int) -> Callable[[int], int]:
    return lambda _: of


def published(first: date, last: date, nature: int = 0, step: int = 15, until: float = NOON) -> Rows:
    """Rows of some days; those that lie ahead are there and empty."""
    rows = [row for day in rte.days(first, last) for row in rte.day(day, g_per_kwh, nature, step)]
    for row in rows:
        if datetime.fromisoformat(row["date_heure"]).timestamp() >= until:
            row["taux_co2"] = None
    return rows


# ------------------------------------------------------------------------------------------------ rows to readings
@given(st.integers(1996, 2037))
@settings(max_examples=42)
def test_where_clocks_change_no_quarter_of_an_hour_is_lost_or_doubled(year: int) -> None:
    for day in rte.changes(year):
        first, last = rte.midnights(day)
        around = [d for d in rte.days(date(year, 1, 1), date(year + 1, 1, 1)) if abs((d - day).days) <= 1]
        batch = readings_of([row for d in around for row in rte.day(d, g_per_kwh)], 0.0)
        slots = batch.readings.slot
        assert len(np.unique(slots)) == len(slots)
        assert (batch.readings.intensity / PER).round(6).tolist() == [g_per_kwh(s) for s in slots.tolist()]
        here = set(slots.tolist()) & set(range(first, last))
        if last - first == 92:  # spring: an hour of rows that never was, on instants that the next hour has
            assert batch.counts["double"] == 4
            assert len(here) == 92
        else:  # autumn: 100 quarters in 96 rows
            assert (batch.counts["double"], len(here)) == (0, 96)
            hole = sorted(set(range(first, last)) - here)
            assert hole == list(range(hole[0], hole[0] + 4))


def test_of_the_hour_that_never_was_nothing_is_left() -> None:
    rows = rte.day(date(2025, 3, 30), g_per_kwh)
    for row in rows:
        if row["heure"].startswith("02:"):
            row["taux_co2"] = 900
    for order in (rows, rows[::-1]):
        batch = readings_of(order, 0.0)
        assert (batch.readings.intensity / PER).max() < 900
        assert batch.counts["contradicting"] == 0, "which one is real can be told by the row's own clock"


def test_the_hour_that_comes_twice_is_filled_in_from_its_neighbours_and_flagged(tmp_path: Path) -> None:
    days = [row for d in rte.days(date(2025, 10, 25), date(2025, 10, 28)) for row in rte.day(d, lambda s: 40)]
    for row in days:
        if row["date_heure"] == "2025-10-26T00:45:00+00:00":
            row["taux_co2"] = 30
    (tmp_path / "october.json").write_text(json.dumps(days))
    found = load("eco2mix", {"kind": "live", "exports": tmp_path})
    hole = rte.slot(datetime(2025, 10, 26, 1, 0, tzinfo=UTC))
    value, flags = found.at(np.arange(hole - 1, hole + 5))
    assert (value / PER).round(6).tolist() == [30.0, 35.0, 35.0, 35.0, 35.0, 40.0]
    assert flags.tolist() == [False, True, True, True, True, False]
    assert found.factor_of(hole).version == "mean of the neighbours"


@pytest.mark.parametrize("cell", [None, "", "ND", "-", 0, "0", "0.0", True, {}, -5, 987, "1e9"])
def test_a_null_is_no_zero_and_neither_is_a_zero(cell: Any) -> None:
    row = {"date_heure": "2025-01-01T00:00:00+00:00", "nature": "Données temps réel", "taux_co2": cell}
    batch = readings_of([row], 0.0)
    assert len(batch.readings) == 0
    assert batch.counts["missing"] + batch.counts["implausible"] == 1


@pytest.mark.parametrize(
    "row", [{}, {"date_heure": None}, {"date_heure": "2025-10-26T02:30:00", "taux_co2": 3}, None, 5, "x", []]
)
def test_a_row_that_is_none_costs_no_other(row: Any) -> None:
    batch = readings_of([row, {"date_heure": "2025-01-01T00:00:00+00:00", "taux_co2": "64"}], 0.0)
    assert (batch.readings.intensity / PER).round(9).tolist() == [64.0]
    assert batch.counts["unreadable"] == 1


def test_consolidated_half_hours_cover_the_quarters_between_that_are_there_and_empty() -> None:
    rows = rte.day(date(2012, 1, 2), g_per_kwh, nature=2, step=30)
    batch = readings_of(rows, 0.0)
    assert (len(rows), batch.counts["missing"], len(batch.readings)) == (96, 48, 96)
    assert (batch.readings.intensity / PER).round(6).tolist() == [
        g_per_kwh(s - s % 2) for s in batch.readings.slot.tolist()
    ]
    assert set(batch.readings.rank.tolist()) == {2}


def test_better_revisions_take_the_place_of_worse_ones_and_never_the_other_way_round() -> None:
    first = date(2025, 1, 15)
    kinds = [rte.day(first, level(30 + n), n) for n in (2, 0, 1)]
    for order in (kinds, kinds[::-1]):
        batch = readings_of([row for rows in order for row in rows], 0.0)
        value = Series(eco2mix._publication(), "FR", batch.readings).at(np.arange(*rte.midnights(first)))[0]
        assert (value / PER).round(6).tolist() == [32.0] * 96


FORMS: dict[str, Callable[[Rows], Any]] = {
    "export of v2.1": lambda rows: rows,
    "records of v2.1": lambda rows: {"total_count": len(rows), "results": rows},
    "records of v2.0": lambda rows: {"total_count": len(rows), "records": [{"record": {"fields": r}} for r in rows]},
    "records of v1": lambda rows: {"nhits": len(rows), "records": [{"datasetid": "x", "fields": r} for r in rows]},
    "export of v2.0": lambda rows: [{"record": {"fields": r}} for r in rows],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_answer_says_the_same(form: str) -> None:
    rows = rte.day(date(2025, 1, 15), g_per_kwh)
    assert rows_of_json(json.dumps(FORMS[form](rows)).encode()) == rows


def csv_of(rows: Rows, headings: dict[str, str], delimiter: str) -> bytes:
    names = ["perimetre", "nature", "date", "heure", "date_heure", "taux_co2"]
    lines = [delimiter.join(headings.get(n, n) for n in names)]
    lines += [delimiter.join(str(r[n]) if r[n] is not None else "" for n in names) for r in rows]
    return ("\ufeff" + "\r\n".join(lines)).encode()


@pytest.mark.parametrize(
    "headings, delimiter",
    [
        ({}, ";"),
        ({}, ","),
        ({"date_heure": "Date - Heure", "taux_co2": "Taux de CO2 (g/kWh)", "nature": "Nature"}, ";"),
    ],
)
def test_a_csv_export_says_the_same_with_names_or_labels(headings: dict[str, str], delimiter: str) -> None:
    rows = rte.day(date(2025, 3, 30), g_per_kwh, step=30)
    one, other = readings_of(rows_of_csv(csv_of(rows, headings, delimiter)), 0.0), readings_of(rows, 0.0)
    assert np.array_equal(one.readings.slot, other.readings.slot)
    assert np.array_equal(one.readings.intensity, other.readings.intensity)
    assert one.counts == other.counts


@pytest.mark.parametrize(
    "body, told",
    [
        (HTML, "HTML page"),
        (STREAM, "Streaming interrupted"),
        (b"{}", "neither rows"),
        (b'"rows"', "neither rows"),
        (b'{"error_code": "ODSQLError", "message": "where is malformed"}', "ODSQLError: where is malformed"),
        (b'{"results": "none"}', "neither rows"),
    ],
)
def test_what_is_no_answer_is_told_for_what_it_is(body: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        rows_of_json(body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_document_is_rows_or_a_value_error(found: Any) -> None:
    try:
        rows = rows_of_json(json.dumps(found).encode())
    except ValueError:
        return
    assert readings_of(rows, 0.0).counts["rows"] <= len(rows)


# ---------------------------------------------------------------------------------------------- files and options
def test_downloaded_exports_are_read_without_any_archive(tmp_path: Path) -> None:
    rows = rte.day(date(2025, 1, 15), g_per_kwh)
    (tmp_path / "one.json").write_text(json.dumps(rows[:48]))
    (tmp_path / "two.csv").write_bytes(csv_of(rows[48:], {}, ";"))
    (tmp_path / "readme.txt").write_text("not read")
    for path in tmp_path.iterdir():
        os.utime(path, (1_750_000_000, 1_750_000_000))
    found = load("eco2mix", {"kind": "live", "exports": str(tmp_path)})
    value, flags = found.at(np.arange(*rte.midnights(date(2025, 1, 15))))
    assert not flags.any()
    assert len(value) == 96
    assert (found.kind, found.method, found.vintage) == ("live", "rte_direct_15min", "2025-06-15T15:06:40Z")
    (tmp_path / "three.json").write_bytes(HTML)
    with pytest.raises(FactorError, match=r"three\.json: an HTML page .*download this export again"):
        load("eco2mix", {"kind": "live", "exports": str(tmp_path)})


def test_a_real_month_is_answered_quarter_by_quarter_and_revised_where_it_was_revised(tmp_path: Path) -> None:
    """December 2021 as RTE told it; a kilowatt all the time emits what its quarters say, in UTC as in Paris."""
    lines = (Path(__file__).parent / "eco2mix-2021-12.csv").read_text(encoding="utf-8").splitlines()[2:]
    said = {(date.fromisoformat(day), n): int(g) for day, *all_day in csv.reader(lines) for n, g in enumerate(all_day)}
    assert len(said) == 31 * 96
    first, past = rte.midnights(date(2021, 12, 1))[0], rte.midnights(date(2022, 1, 1))[0]
    quarters = iter(said.values())
    rows = [row for day in sorted({day for day, _ in said}) for row in rte.day(day, lambda _: next(quarters))]
    (tmp_path / "december.json").write_text(json.dumps(rows))
    slots = np.arange(first, past)
    value, flags = load("eco2mix", {"kind": "live", "exports": str(tmp_path)}).at(slots)
    assert len(slots) == 31 * 96
    assert not flags.any()
    assert (value * 3.6e6).round(9).tolist() == list(said.values())
    kilowatt = grams(np.full(len(slots), 0.25 * 3.6e6), value).sum()
    assert kilowatt == pytest.approx(sum(said.values()) / 4, rel=1e-12)
    # A day is published anew: its quarters change, and no other.
    (tmp_path / "later.json").write_text(json.dumps(rte.day(date(2021, 12, 24), lambda _: 50, nature=1)))
    again, _ = load("eco2mix", {"kind": "live", "exports": str(tmp_path)}).at(slots)
    other = np.flatnonzero(again != value)
    begin, end = rte.midnights(date(2021, 12, 24))
    assert set(slots[other].tolist()) <= set(range(begin, end))
    assert (again[begin - first : end - first] * 3.6e6).round(9).tolist() == [50.0] * 96


@pytest.mark.parametrize(
    "options, told",
    [
        (
            {"kind": "record"},
            "no 'record' method, but live, profile; sources with one: csv, electricitymaps, fixed, table",
        ),
        ({"kind": "live", "zone": "DE"}, "knows no zone 'DE'"),
        ({"kind": "live"}, "archive is not set"),
        ({"kind": "live", "archives": "x"}, "unknown option 'archives'"),
        ({"kind": "live", "archive": "nowhere", "as_of": "soon"}, "as_of 'soon' is no day"),
        ({"kind": "live", "archive": "nowhere"}, "no reading of zone FR: run thinwatt-collector factors fetch, or put"),
    ],
)
def test_options_are_checked(options: dict[str, Any], told: str) -> None:
    with pytest.raises(FactorError, match=told):
        load("eco2mix", options)


# ------------------------------------------------------------------------------------------------------ questions
@pytest.fixture
def options(tmp_path: Path, peer: Servers) -> dict[str, Any]:
    peer.datasets = {REALTIME: published(date(2025, 6, 1), date(2025, 6, 17)), CONSOLIDATED: []}
    return {"kind": "live", "archive": tmp_path / "archive", "url": peer.odre, "since": "2025-06-01"}


def test_it_asks_once_for_all_and_then_for_what_is_new(options: dict[str, Any], peer: Servers, fetcher: Made) -> None:
    said = eco2mix.fetch(options, fetcher(), NOON)
    assert all(f"{REALTIME}/exports/json" in a for a in peer.asked if REALTIME in a)
    first, end = rte.midnights(date(2025, 6, 1))[0], rte.slot(datetime.fromtimestamp(NOON, UTC))
    assert f"eco2mix: {end + 1 - first} new quarters of an hour" in said
    found = load("eco2mix", {k: options[k] for k in ("kind", "archive")})
    value, flags = found.at(np.arange(end - 100, end))
    assert (value / PER).round(6).tolist() == [g_per_kwh(s) for s in range(end - 100, end)]
    assert not flags.any()
    assert found.at(np.array([end + 4]))[1].all(), "what is not published yet is flagged"

    peer.asked.clear()
    peer.datasets[REALTIME] = published(date(2025, 6, 1), date(2025, 6, 17), until=NOON + 3600)
    assert "4 new quarters" in eco2mix.fetch(options, fetcher(), NOON + 3600)
    assert all("/records?" in a and REALTIME in a for a in peer.asked), "pages of the last days, nothing else today"
    assert [a.rpartition("=")[2] for a in peer.asked] == ["0", "100"], "two days are 192 rows"


def test_once_a_day_it_asks_for_what_was_revised_and_the_better_counts(
    options: dict[str, Any], peer: Servers, fetcher: Made
) -> None:
    eco2mix.fetch(options, fetcher(), NOON)
    later = NOON + 40 * 86_400
    peer.datasets[REALTIME] = published(date(2025, 6, 1), date(2025, 7, 27), until=later)
    revised = [row for d in rte.days(date(2025, 6, 1), date(2025, 6, 11)) for row in rte.day(d, lambda s: 33, 1, 30)]
    peer.datasets[CONSOLIDATED] = revised
    eco2mix.fetch(options, fetcher(), later)
    day = np.arange(*rte.midnights(date(2025, 6, 5)))
    known = {k: options[k] for k in ("kind", "archive")}
    before, after = load("eco2mix", known | {"as_of": "2025-06-16"}), load("eco2mix", known)
    assert (before.at(day)[0] / PER).round(6).tolist() == [g_per_kwh(s) for s in day.tolist()]
    assert (after.at(day)[0] / PER).round(6).tolist() == [33.0] * 96
    assert (before.factor_of(day[0]).version, after.factor_of(day[0]).version) == (
        "données temps réel",
        "données consolidées",
    )
    asked = len(peer.asked)
    eco2mix.fetch(options, fetcher(), later + 60)
    assert not any(CONSOLIDATED in a for a in peer.asked[asked:]), "once a day"


@pytest.mark.parametrize(
    "fault",
    [Fault(status=429), Fault(status=500), Fault(cut=200), Fault(body=HTML), Fault(body=STREAM), Fault(reset=True)],
)
def test_a_fault_that_passes_costs_nothing(options: dict[str, Any], peer: Servers, fetcher: Made, fault: Fault) -> None:
    peer.faults = [fault]
    said = eco2mix.fetch(options, fetcher(), NOON)
    assert "new quarters of an hour" in said
    assert len(load("eco2mix", {k: options[k] for k in ("kind", "archive")}).factors) == 3


def test_a_fault_that_stays_leaves_the_archive_and_says_how_old_it_is(
    options: dict[str, Any], peer: Servers, fetcher: Made
) -> None:
    eco2mix.fetch(options, fetcher(), NOON)
    files = {p.name: p.read_bytes() for p in options["archive"].iterdir()}
    peer.faults = [Fault(status=500, body=b'{"error_code": "X", "message": "under repair"}')] * 99
    with pytest.raises(FactorError, match=r"answer 500 \(under repair\).*to 2025-06-15 12:15 UTC; .* 4\.0 days ago"):
        eco2mix.fetch(options, fetcher(), NOON + 4 * 86_400)
    assert {p.name: p.read_bytes() for p in options["archive"].iterdir()} == files
    assert load("eco2mix", {k: options[k] for k in ("kind", "archive")}).at(np.array([0]))[1].all()


def test_a_page_that_ends_before_its_total_is_no_answer(options: dict[str, Any], peer: Servers, fetcher: Made) -> None:
    eco2mix.fetch(options, fetcher(), NOON)
    body = json.dumps({"total_count": 96, "results": []}).encode()
    peer.faults = [Fault(body=body)]
    with pytest.raises(FactorError, match="96 rows promised, 0 given"):
        eco2mix.fetch(options, fetcher(), NOON + 60)
    peer.faults = [Fault(body=b"[]")] * 4
    with pytest.raises(FactorError, match="a page without total_count"):
        eco2mix.fetch(options, fetcher(), NOON + 60)


def test_rows_twice_and_numbers_in_quotes_change_nothing(options: dict[str, Any], peer: Servers, fetcher: Made) -> None:
    eco2mix.fetch(options, fetcher(), NOON)
    rows = peer.datasets[REALTIME]
    peer.datasets[REALTIME] = [
        r | {"taux_co2": str(r["taux_co2"]) if r["taux_co2"] else r["taux_co2"]} for r in rows * 2
    ]
    assert "0 new quarters" in eco2mix.fetch(options, fetcher(), NOON)


def test_it_never_calls_out_by_itself(options: dict[str, Any], peer: Servers, fetcher: Made) -> None:
    eco2mix.fetch(options, fetcher(), NOON)
    peer.asked.clear()
    for kind in ("live", "profile"):
        load("eco2mix", options | {"kind": kind})
    assert peer.asked == []


def test_a_dataset_that_is_not_there_is_told(options: dict[str, Any], peer: Servers, fetcher: Made) -> None:
    peer.datasets = {}
    with pytest.raises(FactorError, match=r"answer 404 \(The requested dataset .* does not exist.*archive .* is empty"):
        eco2mix.fetch(options, fetcher(), NOON)
