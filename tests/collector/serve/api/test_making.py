"""/making: the inventory's figures, as its asker may see them; every row of everybody's is of five endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.inventory.test_bearing import DEVICES, EVENT, PLACES
from tests.collector.serve.api.conftest import NOW, Api, Campus, Shelf, application, served
from thinwatt_collector.inventory.files import parse_csv, parse_toml
from thinwatt_collector.inventory.life_cycle import BY, of_folder
from thinwatt_collector.inventory.places import Places
from thinwatt_collector.inventory.tables import Inventory, records
from thinwatt_collector.inventory.watched import Standing
from thinwatt_collector.serve.api.making import MakingView, asked, edges, five
from thinwatt_collector.serve.api.privacy import K, Role
from thinwatt_collector.serve.api.tokens import make

PARIS = ZoneInfo("Europe/Paris")
LINES = """\
a;PC;B1;10;2019-01-01;2024-06-30;;
b;PC;B1;4;2020-01-01;;;
c;thin;C1;30;2022-01-01;;;
one;PC;C1;;2024-03-01;;;
"""
TOLD = "a;2025-02-01;given;6;;\nc;2025-07-01;reconditioned;10;12;3\n"


def inventory(devices: str, events: str = "") -> Inventory:
    entries = parse_toml(PLACES.encode(), "i.toml")[0]
    entries += parse_csv((DEVICES + devices).encode(), "devices.csv")[0]
    entries += parse_csv((EVENT + events).encode(), "events.csv")[0]
    found, wrong = records(entries)
    assert wrong == []
    return found


def standing(devices: str = LINES, events: str = TOLD) -> Standing:
    found = inventory(devices, events)
    return Standing(found, Places(found, PARIS), 1)


@pytest.fixture
def api(campus: Campus, tmp_path: Path) -> Iterator[Api]:
    tokens, stands = tmp_path / "tokens.toml", standing()
    token, books, now = make(tokens, "dsi", "technical"), Shelf(campus.ledger), [NOW]
    with served(application(books, tokens, "public", now, lambda: stands)) as client:
        yield Api(client, books, tokens, {"Authorization": f"Bearer {token}"}, now)


def get(api: Api, query: str = "", technical: bool = True, status: int = 200) -> Any:
    answer = api.client.get(f"/api/v1/making?{query}", headers=api.technical if technical else {})
    assert answer.status_code == status, answer.text
    return answer.json()


YEAR = "begin=2025-01-01&end=2026-01-01"


def test_a_year_by_class_with_all_three_rules_side_by_side(api: Api) -> None:
    found = get(api, YEAR)
    assert (found["begin"], found["end"], found["rule"]) == ("2025-01-01", "2026-01-01", "cutoff")
    assert (found["simulated"], found["withheld"]) == (False, False)
    pcs, thin = found["rows"]
    assert (pcs["class"], pcs["devices"], thin["class"], thin["devices"]) == ("desktop", 5, "thin_client", 30)
    # The four PCs of 2020 are past their five years, the one of 2024 is not; ten were retired before.
    assert pcs["amortised_kgco2e"] == pytest.approx(60 * 365 / 365.25, rel=1e-9)
    assert pcs["beyond_lifetime"] == 4
    # Thirty thin clients, of which ten begin a second life on the first of July.
    first, second = 106 / 7 / 365.25, 12 / 3 / 365.25
    assert thin["amortised_kgco2e"] == pytest.approx(20 * 365 * first + 10 * (181 * first + 184 * second), rel=1e-9)
    assert thin["written_off_kgco2e"] == pytest.approx(10 * 106 * (1 - 1277 / (7 * 365.25)), rel=1e-9)
    assert thin["purchases_kgco2e"] == pytest.approx(120.0)
    assert thin["by_rule"]["linear"]["written_off_kgco2e"] == 0.0
    for row in found["rows"]:
        assert {name: row[name] for name in row["by_rule"]["cutoff"]} == row["by_rule"]["cutoff"]
        for masses in row["by_rule"].values():
            for name in ("amortised", "written_off", "passed_on", "purchases"):
                low, middle, high = (masses[f"{name}_kgco2e{end}"] for end in ("_low", "", "_high"))
                assert low <= middle <= high
                assert (low < middle < high) == (middle > 0)
        mean = sum(row["by_rule"][rule]["amortised_kgco2e"] for rule in ("cutoff", "linear")) / 2
        assert row["by_rule"]["50_50"]["amortised_kgco2e"] == pytest.approx(mean)
    assert get(api, f"{YEAR}&rule=linear")["rows"][1]["written_off_kgco2e"] == 0.0


def test_months_and_places_add_up(api: Api) -> None:
    whole = get(api, f"{YEAR}&by=")["rows"][0]
    for query in (f"{YEAR}&grain=month", f"{YEAR}&by=room,model&grain=year", f"{YEAR}&by=establishment,site,building"):
        rows = get(api, query)["rows"]
        for name in ("amortised_kgco2e", "written_off_kgco2e", "purchases_kgco2e"):
            assert sum(row[name] for row in rows) == pytest.approx(whole[name], rel=1e-9), query
    north = get(api, f"{YEAR}&by=room&site=North")["rows"]
    assert [row["room"] for row in north] == ["B1"]


def test_re_use_of_the_year(api: Api) -> None:
    found = get(api, YEAR)
    (year,) = found["reuse"]
    assert (year["year"], year["establishment"], year["reused"]) == (2025, "U", 6)
    assert (year["proportion_of_the_decree"], year["share_of_what_left"], year["objective"]) == (0.6, 1.0, 0.5)
    assert "2023-266" in found["reuse_caution"]["en"]
    assert "réemploi" in found["reuse_caution"]["fr"]


def test_everybody_sees_no_row_of_fewer_than_five(api: Api) -> None:
    mine, theirs = (get(api, f"{YEAR}&by=room,class,model", technical) for technical in (True, False))
    assert {(r["room"], r["class"], r["devices"]) for r in mine["rows"]} == {
        ("B1", "desktop", 4),
        ("C1", "desktop", 1),
        ("C1", "thin_client", 30),
    }
    assert sum(r["devices"] for r in theirs["rows"]) == 35
    assert all(r["devices"] >= K for r in theirs["rows"])
    for name in ("amortised_kgco2e", "purchases_kgco2e"):
        assert sum(r[name] for r in mine["rows"]) == pytest.approx(sum(r[name] for r in theirs["rows"]))


def test_what_cannot_be_asked(api: Api) -> None:
    for query, status, word in (
        ("begin=2025-01-01T00:00", 400, "no date"),
        ("begin=1925-01-01", 400, "no date"),
        ("end=", 400, "no date"),
        ("by=pool", 400, "no dimension"),
        ("by=room,room", 422, "twice"),
        ("rom=B1", 400, "no such parameter"),
        ("begin=2025-01-01&end=2025-01-01", 422, "later than begin"),
        ("begin=1975-01-01&end=2060-01-01", 422, "at most"),
        ("rule=fair", 400, "rule"),
    ):
        assert word in get(api, query, status=status)["detail"], query


def test_without_an_inventory_there_is_no_making(campus: Campus, tmp_path: Path) -> None:
    with served(application(Shelf(campus.ledger), tmp_path / "none", "public", [NOW])) as client:
        answer = client.get("/api/v1/making")
    assert answer.status_code == 404
    assert "[inventory]" in answer.json()["remedy"]


@given(
    lots=st.lists(
        st.tuples(
            st.sampled_from(["PC", "thin"]), st.sampled_from(["B1", "C1"]), st.integers(1, 7), st.integers(2010, 2026)
        ),
        max_size=6,
    ),
    gone=st.lists(st.tuples(st.integers(0, 5), st.integers(2012, 2026)), max_size=4),
    by=st.lists(st.sampled_from(BY), unique=True),
    grain=st.sampled_from(["year", "all"]),
)
def test_no_row_of_everybody_is_of_one_to_four_that_were_there(
    lots: list[tuple[str, str, int, int]], gone: list[tuple[int, int]], by: list[str], grain: Any
) -> None:
    devices = "".join(f"d{n};{m};{room};{count};{y}-03-01;;;\n" for n, (m, room, count, y) in enumerate(lots))
    events = "".join(f"d{n};{year}-09-01;scrapped;;;\n" for n, year in gone if n < len(lots))
    stands = standing(devices, events)
    view = MakingView(lambda: stands, PARIS)
    cycle = of_folder(stands.inventory or inventory(""))
    for label in {where for where in five(cycle) if where}:
        mine = [n for n, where in enumerate(five(cycle)) if where == label]
        assert sum(cycle.machines()[n] for n in mine) >= K
    found: dict[Role, dict[str, Any]] = {}
    roles: tuple[Role, ...] = ("public", "technical")
    for role in roles:
        question = asked("2009-01-01", "2027-01-01", grain, by, "cutoff", {}, date(2026, 1, 1))
        found[role] = view.answer(question, role)
    for row in found["public"]["rows"]:
        assert row["devices"] + sum(row["left"].values()) >= K
    sums = {role: sum(row["amortised_kgco2e"] for row in told["rows"]) for role, told in found.items()}
    assert sums["public"] <= sums["technical"] * (1 + 1e-9)
    if not found["public"]["withheld"]:
        assert sums["public"] == pytest.approx(sums["technical"], rel=1e-9, abs=1e-6)


def test_periods_by_the_calendar() -> None:
    assert edges(date(2025, 1, 1), date(2026, 1, 1), "all") == [date(2025, 1, 1), date(2026, 1, 1)]
    assert len(edges(date(2025, 1, 1), date(2026, 1, 1), "month")) == 13
    assert len(edges(date(2025, 1, 1), date(2026, 1, 1), "year")) == 2
