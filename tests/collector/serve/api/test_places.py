"""Places and prices in the API: sums of groups are the total, whoever asks, whoever has moved, whatever is unknown."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from tests.collector.serve.api.conftest import DAY, NOW, SOURCES, Api, Campus, Shelf, application, served
from thinwatt_collector.factors import table
from thinwatt_collector.inventory.files import parse_toml
from thinwatt_collector.inventory.places import LEVELS, Places
from thinwatt_collector.inventory.tables import records
from thinwatt_collector.inventory.terms import Price
from thinwatt_collector.inventory.watched import Standing
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger
from thinwatt_collector.serve.api.calendar import clocks
from thinwatt_collector.serve.api.energy import Accounts
from thinwatt_collector.serve.api.published import Published
from thinwatt_collector.serve.api.question import question
from thinwatt_collector.serve.api.tokens import make

CAMPUS = """
[[establishments]]
name = "University"
[[sites]]
name = "North"
establishment = "University"
tariff = 0.20
tariff_date = 2026-01-01
[[sites]]
name = "South"
establishment = "University"
[[buildings]]
name = "B"
site = "North"
[[buildings]]
name = "C"
site = "South"
[[rooms]]
name = "B1"
building = "B"
[[rooms]]
name = "B2"
building = "B"
[[rooms]]
name = "dc"
building = "B"
pue = 1.5
tariff = 0.10
tariff_date = 2026-01-01
[[rooms]]
name = "C1"
building = "C"
[[pools]]
name = "vdi"
"""
PARIS = ZoneInfo("Europe/Paris")
JOULES = 3.6e6
"""A kWh a slot."""


def standing(lines: str, price: Price | None = None) -> Standing:
    inventory, problems = records(parse_toml((CAMPUS + lines).encode(), "campus.toml")[0])
    assert not problems
    return Standing(inventory, Places(inventory, PARIS, price), 1)


def line(name: str, room: str, more: str = "", kind: str = "desktop") -> str:
    return f'[[devices]]\nname = "{name}"\nclass = "{kind}"\nroom = "{room}"\n{more}\n'


def moved(name: str, before: str, after: str, day: str) -> str:
    first = date.fromisoformat(day)
    until = date.fromordinal(first.toordinal() - 1)
    return line(name, before, f"valid_to = {until}") + line(name, after, f"valid_from = {first}")


HOSTS = '[[hosts]]\nname = "host-0"\nroom = "dc"\npool = "vdi"\n'
LINES = (
    HOSTS
    + "".join(line(f"pc-{n}", "B1") for n in range(6))
    + "".join(line(f"pc-{n}", "B2") for n in range(6, 8))
    + "".join(line(f"pc-{n}", "C1") for n in range(8, 14))
)


@dataclass
class Placed:
    """The API over a campus with places: two days of six PCs in B1, two in B2, six in C1, one nowhere, and hosts."""

    api: Api
    known: list[Standing]


@pytest.fixture
def placed(campus: Campus, tmp_path: Path) -> Iterator[Placed]:
    slots = [*range(DAY // 900 + 32, DAY // 900 + 40), *range(DAY // 900 + 96 + 32, DAY // 900 + 96 + 40)]
    for n in range(2):
        campus.energy(campus.device(f"host-{n}", "host", "R650"), slots, 4 * JOULES, source=0)
    for n in range(15):
        campus.energy(campus.device(f"pc-{n}", "desktop", "OptiPlex"), slots, JOULES, bias=JOULES / 50)
    token = make(tmp_path / "tokens.toml", "dsi", "technical")
    known, now = [standing(LINES, Price(0.30, None, "collector"))], [NOW]
    books = Shelf(campus.ledger)
    with served(application(books, tmp_path / "tokens.toml", "public", now, lambda: known[-1])) as client:
        yield Placed(Api(client, books, tmp_path, {"Authorization": f"Bearer {token}"}, now), known)


WINDOW = "begin=2026-11-22&end=2026-11-24&grain=month"


def rows(placed: Placed, query: str, role: str = "technical", path: str = "energy") -> list[dict[str, Any]]:
    headers = placed.api.technical if role == "technical" else {}
    answer = placed.api.client.get(f"/api/v1/{path}?{WINDOW}&{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["rows"]
    return found


def kwh(found: list[dict[str, Any]], *by: str) -> dict[tuple[str, ...], Any]:
    assert len({tuple(row[name] for name in by) for row in found}) == len(found)
    return {tuple(row[name] for name in by): pytest.approx(row["kwh"]) for row in found}


def test_energy_by_place_and_what_no_line_is_of_is_not_dropped(placed: Placed) -> None:
    assert kwh(rows(placed, "by=site,building,room&class=desktop"), "site", "building", "room") == {
        ("North", "B", "B1"): 96,
        ("North", "B", "B2"): 32,
        ("South", "C", "C1"): 96,
        ("", "", ""): 16,
    }
    assert kwh(rows(placed, "by=establishment"), "establishment") == {("University",): 224 + 64, ("",): 16 + 64}
    assert kwh(rows(placed, "by=pool"), "pool") == {("vdi",): 64, ("",): 240 + 64}


@pytest.mark.parametrize("role", ["technical", "public"])
def test_rows_of_places_have_the_devices_of_each(placed: Placed, role: str) -> None:
    found = {row["room"]: row["devices"] for row in rows(placed, "by=room&class=desktop", role)}
    assert found == ({"B1": 6, "B2": 2, "C1": 6, "": 1} if role == "technical" else {"other": 9, "C1": 6})
    (whole,) = rows(placed, "by=&class=desktop", role)
    assert whole["devices"] == 15


@pytest.mark.parametrize("by, names", [("room", {"dc", ""}), ("site", {"North", ""}), ("basis", {"measured"})])
def test_hosts_are_shown_as_they_are_where_endpoints_are_withheld(placed: Placed, by: str, names: set[str]) -> None:
    """By the hour endpoints are not told apart by place: they are in a row of their own, which has no number."""
    window = "begin=2026-11-22&end=2026-11-23&grain=hour"
    answer = placed.api.client.get(f"/api/v1/energy?{window}&by={by}").json()["rows"]
    hosts = placed.api.client.get(f"/api/v1/energy?{window}&by={by}&class=host").json()["rows"]
    shown = [row for row in answer if not row["withheld"]]
    assert shown == hosts
    assert {row[by] for row in shown} == names
    hidden = [row for row in answer if row["withheld"]]
    assert {row[by] for row in hidden} == {"mixed" if by == "basis" else "other"}
    assert all(row["kwh"] is None and row["eur"] is None for row in hidden)


def test_filters_let_in_one_place_or_what_stands_nowhere(placed: Placed) -> None:
    assert kwh(rows(placed, "by=class&room=B1&room=C1"), "class") == {("desktop",): 192}
    assert kwh(rows(placed, "by=class&room="), "class") == {("desktop",): 16, ("host",): 64}
    assert kwh(rows(placed, "by=class&site=North&pool=vdi"), "class") == {("host",): 64}
    assert rows(placed, "by=class&building=Z") == []


def test_everybody_sees_rooms_of_five_and_smaller_ones_within_something_larger(placed: Placed) -> None:
    assert kwh(rows(placed, "by=site,building,room&class=desktop", "public"), "site", "building", "room") == {
        ("other", "other", "other"): 144,
        ("South", "C", "C1"): 96,
    }, "B2 has two, with the one that stands nowhere they are three"
    assert kwh(rows(placed, "by=room&class=host", "public"), "room") == {("dc",): 64, ("",): 64}, "hosts are nobody's"
    assert kwh(rows(placed, "by=class&room=C1", "public"), "class") == {("desktop",): 96}


def test_a_device_that_moves_counts_in_each_room_for_its_time(placed: Placed) -> None:
    placed.known.append(standing(LINES.replace(line("pc-0", "B1"), moved("pc-0", "B1", "C1", "2026-11-23"))))
    found = kwh(rows(placed, "by=room&class=desktop"), "room")
    assert found == {("B1",): 88, ("B2",): 32, ("C1",): 104, ("",): 16}
    by_day = kwh(rows(placed, "by=room&class=desktop&zone=UTC".replace("grain=month", "")), "room")
    assert by_day == found
    (row,) = rows(placed, "by=room&room=C1")
    assert row["devices"] == 7


def test_a_device_that_moved_is_in_its_room_by_device_too(placed: Placed) -> None:
    placed.known.append(standing(LINES.replace(line("pc-0", "B1"), moved("pc-0", "B1", "C1", "2026-11-23"))))
    assert kwh(rows(placed, "by=device,room&device=pc-0"), "device", "room") == {("pc-0", "B1"): 8, ("pc-0", "C1"): 8}


@pytest.mark.parametrize("role", ["technical", "public"])
def test_euros_are_of_the_room_else_the_site_else_the_collector(placed: Placed, role: str) -> None:
    headers = placed.api.technical if role == "technical" else {}
    answer = placed.api.client.get(f"/api/v1/energy?{WINDOW}&by=class", headers=headers).json()
    pc, host = answer["rows"]
    assert host["eur"] == pytest.approx(64 * 0.10 + 64 * 0.30)
    assert (host["eur_low"], host["eur_high"]) == (pytest.approx(host["eur"]), pytest.approx(host["eur"]))
    exact = 128 * 0.20 + 96 * 0.30 + 16 * 0.30
    wide = 1.959964 * 240 / 50 / 240
    if role == "technical":
        assert pc["eur"] == pytest.approx(exact)
        assert pc["eur_high"] == pytest.approx(exact * (1 + wide), rel=1e-6)
    else:  # of the 144 kWh of B1, B2 and nowhere it is not told which cost what
        assert pc["eur"] == pytest.approx(144 * 0.25 + 96 * 0.30)
        assert pc["eur_low"] == pytest.approx((144 * 0.20 + 96 * 0.30) * (1 - wide), rel=1e-6)
        assert pc["eur_high"] == pytest.approx((144 * 0.30 + 96 * 0.30) * (1 + wide), rel=1e-6)
    assert pc["eur_low"] <= exact <= pc["eur_high"]
    assert answer["tariffs"] == [
        {"price": 0.30, "unit": "EUR/kWh", "date": None, "where": "collector"},
        {"price": 0.10, "unit": "EUR/kWh", "date": "2026-01-01", "where": "room dc"},
        {"price": 0.20, "unit": "EUR/kWh", "date": "2026-01-01", "where": "site North"},
    ]


def test_a_joule_without_a_price_makes_the_euros_unknown_and_no_zero(placed: Placed) -> None:
    placed.known.append(standing(LINES))
    found = {row["site"]: row["eur"] for row in rows(placed, "by=site&class=desktop")}
    assert found == {"North": pytest.approx(128 * 0.20), "South": None, "": None}
    (whole,) = rows(placed, "by=&class=desktop")
    assert (whole["eur"], whole["eur_low"], whole["kwh"]) == (None, None, pytest.approx(240))


def test_a_price_holds_from_its_day_on(placed: Placed) -> None:
    placed.known.append(standing(LINES.replace(HOSTS, ""), Price(0.50, date(2026, 11, 23), "collector")))
    window = "begin=2026-11-22&end=2026-11-24&grain=day&by=&class=host"
    answer = placed.api.client.get(f"/api/v1/energy?{window}", headers=placed.api.technical).json()
    assert [row["eur"] for row in answer["rows"]] == [None, pytest.approx(64 * 0.50)]
    (month,) = rows(placed, "by=&class=host")
    assert month["eur"] is None
    assert month["kwh"] == pytest.approx(128)


def test_coverage_by_place(placed: Placed) -> None:
    found = {row["room"]: row["covered_seconds"] for row in rows(placed, "by=room&class=desktop", path="coverage")}
    assert found == {"B1": 6 * 16 * 900, "B2": 2 * 16 * 900, "C1": 6 * 16 * 900, "": 16 * 900}
    found = {row["room"]: row["covered_seconds"] for row in rows(placed, "by=room&room=C1", "public", "coverage")}
    assert found == {"C1": 6 * 16 * 900}


def test_an_export_has_places_and_euros(placed: Placed) -> None:
    answer = placed.api.client.get(f"/api/v1/export?{WINDOW}&by=site,room&format=csv", headers=placed.api.technical)
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    expected = rows(placed, "by=site,room")
    assert [(line["site"], line["room"], float(line["eur"])) for line in lines] == [
        (row["site"], row["room"], row["eur"]) for row in expected
    ]
    assert {"eur_low", "eur_high"} <= set(lines[0])


def test_a_dimension_that_is_none_is_named(placed: Placed) -> None:
    answer = placed.api.client.get("/api/v1/energy?by=rooms")
    assert answer.status_code == 400
    assert "room" in answer.json()["detail"]


ROOMS = st.sampled_from(["B1", "B2", "dc", "C1", "gone", ""])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(ROOMS, ROOMS, st.integers(0, 2), st.sampled_from("ab")), min_size=1, max_size=12),
    st.sampled_from(["technical", "public"]),
    st.lists(st.sampled_from([*LEVELS, "class", "model", "basis"]), unique=True, max_size=3),
    st.sampled_from(["slot", "hour", "day", "month"]),
    st.data(),
)
def test_sums_of_groups_are_the_total(
    fleet: list[tuple[str, str, int, str]], role: Any, by: list[str], grain: Any, data: st.DataObject
) -> None:
    """Energy, covered time and euros: grouped by whatever, they are those of the whole, for whoever has moved too."""
    ledger = _memory()
    campus = Campus(ledger)
    lines = ""
    for n, (before, after, day, model) in enumerate(fleet):
        number = campus.device(f"pc-{n}", "desktop", model)
        on = data.draw(st.sets(st.sampled_from([32, 33, 96 + 32, 96 + 33]), min_size=1))
        campus.energy(number, [DAY // 900 + s for s in sorted(on)], 2.0**n, source=data.draw(st.integers(0, 1)))
        if before and after:
            lines += moved(f"pc-{n}", before, after, str(date(2026, 11, 22 + day)))
    known = standing(lines, Price(0.3, None, "collector"))
    accounts = Accounts(
        table.load({"zone": "FR"}),
        Published(clocks("Europe/Paris"), None, lambda: known),
        lambda: known,
        "Europe/Paris",
    )

    def asked(names: list[str], grain: Any) -> tuple[float, float, float, float]:
        q = question("2026-11-22", "2026-11-24", grain, "Europe/Paris", names, {}, role, NOW)
        reader = Shelf(ledger).reader()
        found = accounts.energy(reader, q, role, NOW)
        reader.close()
        shown = ~found.withheld
        return (
            float(found.rows.joules[shown].sum()),
            float(found.rows.covered[shown].sum()),
            float(found.eur_low[shown].sum()),
            float(found.eur_high[shown].sum()),
        )

    joules, covered, low, high = asked(by, grain)
    whole = asked([], "day")
    if role == "technical" or grain in ("day", "month"):
        assert (joules, covered) == pytest.approx(whole[:2])
    assert low <= high * (1 + 1e-12)
    if role == "technical":
        assert (low, high) == pytest.approx(whole[2:])
        assert joules == sum(
            2.0**n * slots
            for n, slots in ledger._connection.execute("SELECT device, count(*) FROM energy GROUP BY device").fetchall()
        )
    ledger.close()


def _memory() -> DuckDBLedger:
    ledger = DuckDBLedger(Path(":memory:"))
    for number, name, basis in SOURCES:
        ledger._connection.execute("INSERT INTO source VALUES (?, ?, '', 'wall', ?)", [number, name, basis])
    return ledger
