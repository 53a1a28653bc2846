"""The endpoints over a real ledger: numbers worked out by hand, roles, pages, files, and errors that help."""

from __future__ import annotations

import csv
import io
import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.collector.serve.api.conftest import DAY, NOW, Api, Campus, Shelf, application, served
from thinwatt_collector.serve.api import books
from thinwatt_collector.serve.api.books import Agent
from thinwatt_collector.serve.api.tokens import make

ENERGY = "/api/v1/energy?begin=2026-11-22&end=2026-11-23"
FRANCE = 0.0461 / 3.6e6
"""[kg/J]: ADEME's factor of 2025, the latest one in data/electricity.csv."""


def get(api: Api, path: str, **headers: str) -> dict[str, Any]:
    answer = api.client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def problem(api: Api, path: str, status: int = 400, /, **headers: str) -> dict[str, Any]:
    answer = api.client.get(path, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    return document


def test_the_energy_of_a_day_by_class(api: Api) -> None:
    found = get(api, ENERGY)
    pc, host = found["rows"]
    assert (pc["class"], host["class"]) == ("desktop", "host")
    assert host["joules"] == 2 * 16 * 180_000.0, "RAPL, which stands beside the winner, is not added to it"
    assert pc["joules"] == 6 * 8 * 18_000.0 + 8 * 9_000.0
    assert pc["kwh"] == pytest.approx(pc["joules"] / 3.6e6)
    assert pc["kgco2e"] == pytest.approx(pc["joules"] * FRANCE)
    # Of a bias of 900 J in each of 48 readings nothing cancels.
    assert pc["joules_high"] - pc["joules"] == pytest.approx(1.959964 * 48 * 900.0)
    assert pc["kgco2e_high"] - pc["kgco2e"] > (pc["joules_high"] - pc["joules"]) * FRANCE, "the factor's own comes in"
    assert pc["covered_seconds"] == 56 * 900.0
    assert (pc["begin"], pc["end"]) == ("2026-11-22T00:00:00+01:00", "2026-11-23T00:00:00+01:00")
    assert pc["fallback"] is True, "the factor of 2026 is not published yet"
    assert found["carbon"]["method"] == "ademe_acv_annual"
    assert found["next"] is None


def test_what_one_pc_drew_at_night_is_withheld_from_everybody_without_the_role(api: Api) -> None:
    hours = f"{ENERGY}&grain=hour&class=desktop"
    public = {row["begin"][11:13]: row for row in get(api, hours)["rows"]}
    assert public["00"]["withheld"] is True
    assert public["00"]["joules"] is None
    assert public["00"]["kgco2e"] is None
    assert public["09"]["joules"] == 6 * 4 * 18_000.0
    exact = {row["begin"][11:13]: row for row in get(api, hours, **api.technical)["rows"]}
    assert exact["00"]["joules"] == 4 * 9_000.0
    assert exact["00"]["devices"] == 1


def test_grains_add_up_for_the_technical_role(api: Api) -> None:
    sums = [
        sum(row["joules"] for row in get(api, f"{ENERGY}&grain={grain}", **api.technical)["rows"])
        for grain in ("slot", "hour", "day", "month")
    ]
    assert sums == pytest.approx([sums[0]] * 4)


def test_single_devices_are_for_the_technical_role(api: Api) -> None:
    refused = problem(api, f"{ENERGY}&by=device", 403)
    assert refused["parameter"] == "device"
    assert "technical" in refused["remedy"]
    assert problem(api, f"{ENERGY}&device=pc-0", 403)["parameter"] == "device"
    rows = get(api, f"{ENERGY}&by=device", **api.technical)["rows"]
    assert {row["device"]: row["joules"] for row in rows}["pc-0"] == 8 * 18_000.0 + 8 * 9_000.0
    api.now[0] = NOW + 40 * 86_400
    rows = get(api, f"{ENERGY}&by=device", **api.technical)["rows"]
    assert {row["device"] for row in rows} == {"host-0", "host-1", "(folded)"}, "endpoints are folded after 30 days"
    assert get(api, f"{ENERGY}&device=pc-0&by=class", **api.technical)["rows"] == [], "by a filter as well"


def test_five_devices_of_the_same_kind_are_needed(campus: Campus, tmp_path: Path) -> None:
    for n in range(4):
        campus.energy(campus.device(f"pc-{n}", "desktop"), [DAY // 900], 1.0)
    with served(application(Shelf(campus.ledger), tmp_path / "none", "public", [NOW])) as client:
        assert client.get(ENERGY).json()["rows"] == []
        assert client.get("/api/v1/coverage?begin=2026-11-22&end=2026-11-23").json()["rows"] == []


def test_coverage_says_what_is_known_and_what_is_not(campus: Campus, tmp_path: Path) -> None:
    slots = [DAY // 900 + n for n in range(4)]
    for n in range(5):
        campus.energy(campus.device(f"pc-{n}", "desktop"), slots, 1.0, covered=600.0)
    with served(application(Shelf(campus.ledger), tmp_path / "none", "public", [NOW])) as client:
        (row,) = client.get("/api/v1/coverage?begin=2026-11-22&end=2026-11-23").json()["rows"]
        assert (row["covered_seconds"], row["gap_seconds"]) == (5 * 4 * 600.0, 5 * 4 * 300.0)
        assert row["coverage"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("late, slots", [(0, 3), (119, 3), (120, 4), (899, 4), (1019, 4), (1020, 5)])
def test_the_rest_of_the_running_slot_is_no_gap(late: int, slots: int, campus: Campus, tmp_path: Path) -> None:
    host, hour = campus.device("host-0", "host"), NOW // 3600 * 3600
    campus.energy(host, [hour // 900 + n for n in range(4)], 1.0)
    campus.energy(host, [hour // 900 + 4], 1.0, covered=float(min(late, 900)))
    campus.energy(host, [hour // 900 + 5], 1.0, covered=max(late - 900.0, 1.0))
    now = hour + 3600 + late
    with served(application(Shelf(campus.ledger), tmp_path / "none", "public", [now])) as client:
        (row,) = client.get(f"/api/v1/coverage?begin={_iso(hour)}").json()["rows"]
    covered = [900.0] * 4 + [float(min(late, 900)), max(late - 900.0, 1.0)]
    assert row["covered_seconds"] == sum(covered[:slots])
    assert row["gap_seconds"] == slots * 900 - sum(covered[:slots])


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+", "%2B")


def test_pages_are_the_whole_without_doubles(api: Api) -> None:
    path = f"{ENERGY}&grain=slot&by=device"
    whole = get(api, path, **api.technical)["rows"]
    found, cursor = [], ""
    while True:
        page = get(api, f"{path}&limit=7{cursor}", **api.technical)
        found += page["rows"]
        assert len(page["rows"]) <= 7
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert found == whole
    assert len(whole) == 2 * 16 + 6 * 8 + 8
    other = problem(api, f"{ENERGY}&grain=slot&by=class&limit=7{cursor}", 422, **api.technical)
    assert other["parameter"] == "cursor"


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_an_export_has_the_rows_of_energy(api: Api, tmp_path: Path, form: str) -> None:
    answer = api.client.get(f"{ENERGY.replace('energy', 'export')}&grain=hour&format={form}", headers=api.technical)
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].endswith(f'.{form}"')
    (tmp_path / "out").write_bytes(answer.content)
    if form == "csv":
        shown = [float(row["joules"]) for row in csv.DictReader(io.StringIO(answer.text))]
        names = answer.text.splitlines()[0].split(",")
    else:
        with duckdb.connect() as connection:
            found = connection.execute("FROM read_parquet(?)", [str(tmp_path / "out")]).fetchnumpy()
        names, shown = list(found), found["joules"].tolist()
    expected = get(api, f"{ENERGY}&grain=hour", **api.technical)["rows"]
    assert set(names) == set(expected[0])
    assert shown == [row["joules"] for row in expected]


def test_an_export_withholds_what_the_pages_withhold(api: Api) -> None:
    answer = api.client.get(f"{ENERGY.replace('energy', 'export')}&grain=hour&class=desktop")
    rows = {row["begin"][11:13]: row for row in csv.DictReader(io.StringIO(answer.text))}
    assert rows["00"]["joules"] == ""
    assert float(rows["09"]["joules"]) == 6 * 4 * 18_000.0


def test_no_file_is_left_behind(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    assert api.client.get(ENERGY.replace("energy", "export")).status_code == 200
    assert list((tmp_path / "temporary").iterdir()) == []


def test_the_fleet_now_is_what_the_metrics_show(api: Api) -> None:
    pc, host = get(api, "/api/v1/fleet")["classes"]
    nothing = {"expected": None, "by_design": None, "silent": None}
    assert host == nothing | {
        "class": 'ho"st, {x="1"}',
        "simulated": False,
        "devices": 2,
        "watts": 400.0,
        "watts_low": pytest.approx(400.0 - 1.96 * 10.0, abs=1e-3),
        "watts_high": pytest.approx(400.0 + 1.96 * 10.0, abs=1e-3),
        "share": {"measured": 0.75, "modelled": 0.25},
        "with_agent": 0,
    }
    assert pc == nothing | {
        "class": "desktop",
        "simulated": False,
        "devices": 6,
        "watts": None,
        "watts_low": None,
        "watts_high": None,
        "share": None,
        "with_agent": 6,
    }


def test_everybody_sees_no_single_pc_come_to_the_ledger(small: Campus, api: Api) -> None:
    """Each new device speaks for itself and is the first of its name; one comes every minute."""

    def told(**headers: str) -> tuple[int, int | None]:
        found = get(api, "/api/v1/fleet", **headers)
        return found["agents"][0]["known"], found["classes"][0]["with_agent"]

    assert told() == told(**api.technical) == (8, 6)
    seen = []
    for n in range(6, 17):
        small.device(f"pc-{n}", "desktop", "OptiPlex")
        api.now[0] += 60
        seen.append(told())
        assert told(**api.technical) == (n + 3, n + 1)
    assert seen == [(8, 6)] * 4 + [(13, 11)] * 5 + [(18, 16)] * 2
    api.now[0] += 86_400
    assert told() == (19, 17)


def test_agents_are_for_the_technical_role_and_paged(api: Api) -> None:
    assert "technical" in problem(api, "/api/v1/agents", 403)["remedy"]
    api.books.known = [Agent(f"a{n}", NOW * 10**9, 0.5, 12.0, None, "1.0", False, n == 1) for n in range(3)]
    first = get(api, "/api/v1/agents?limit=2", **api.technical)
    assert [a["agent"] for a in first["agents"]] == ["a0", "a1"]
    assert first["agents"][1] == {
        "agent": "a1",
        "last_seen": "2026-11-24T12:00:00+00:00",
        "skew_seconds": 0.5,
        "spool_rows": 12.0,
        "spool_bytes": None,
        "version": "1.0",
        "simulated": False,
        "conflict": True,
        "refused": None,
    }
    rest = get(api, f"/api/v1/agents?limit=2&cursor={first['next']}", **api.technical)
    assert ([a["agent"] for a in rest["agents"]], rest["next"]) == (["a2"], None)


def test_tokens_are_read_again_when_the_file_changes(api: Api) -> None:
    other = {"X-Thinwatt-Token": make(api.tokens, "second", "admin")}
    assert get(api, "/api/v1/agents", **other)["agents"] == []
    text = api.tokens.read_text()
    api.tokens.write_text(text[: text.index('[[token]]\nname = "second"')])
    assert problem(api, "/api/v1/agents", 401, **other)["remedy"].startswith("ask for a new one")
    get(api, "/api/v1/agents", **api.technical)
    api.tokens.write_text("[[token]\n")
    problem(api, "/api/v1/agents", 401, **api.technical)


def test_a_collector_may_refuse_whoever_has_no_token(small: Campus, tmp_path: Path) -> None:
    token = make(tmp_path / "t", "me", "public")
    with served(application(Shelf(small.ledger), tmp_path / "t", "refuse", [NOW])) as client:
        for path in ("fleet", "energy", "coverage", "agents", "export"):
            answer = client.get(f"/api/v1/{path}")
            assert (answer.status_code, answer.headers["www-authenticate"][:6]) == (401, "Bearer"), path
        assert client.get("/api/v1/energy", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        assert client.get("/api/v1/openapi.json").status_code == 200


@pytest.mark.parametrize(
    "query, parameter, words",
    [
        ("begin=yesterday", "begin", "2026-11-24T08:15"),
        ("begin=2026-02-30", "begin", "2026-11-24T08:15"),
        ("grain=week", "grain", "slot"),
        ("zone=Paris", "zone", "Europe/Paris"),
        ("zone=../../etc/passwd", "zone", "Europe/Paris"),
        ("by=class,hair", "by", "model"),
        ("by=class,", "by", "model"),
        ("basis=guessed", "basis", "measured"),
        ("simulated=yes", "simulated", "true"),
        ("view=later", "view", "booked"),
        ("clas=host", "clas", "class"),
        ("limit=0", "limit", "give at least 1"),
        ("grain=day&grain=hour", "grain", "once"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(api: Api, query: str, parameter: str, words: str) -> None:
    found = problem(api, f"/api/v1/energy?{query}")
    assert found["parameter"] == parameter
    assert words in found["detail"] + found["remedy"]


@pytest.mark.parametrize(
    "query, parameter, words",
    [
        ("begin=2026-11-22&end=2026-11-21", "end", "behind begin"),
        ("cursor=@@@", "cursor", "first page"),
        ("begin=2020-01-01&grain=slot", "grain", "coarser"),
    ],
)
def test_what_does_not_go_together_is_named_with_its_remedy(api: Api, query: str, parameter: str, words: str) -> None:
    found = problem(api, f"/api/v1/energy?{query}", 422)
    assert found["parameter"] == parameter
    assert words in found["detail"] + found["remedy"]


def test_a_dimension_that_stands_twice_is_asked_for_once(api: Api) -> None:
    assert get(api, f"{ENERGY}&by=class,class")["rows"] == get(api, f"{ENERGY}&by=class")["rows"]


def test_calibrations_of_a_device_that_nobody_knows_are_not_there(api: Api) -> None:
    assert problem(api, "/api/v1/calibrations?device=none", 404, **api.technical)["parameter"] == "device"


@pytest.mark.parametrize("query", ["room=%00", "class=desk%00top", "device=pc%00", "zone=%00", "begin=%00", "%00=1"])
def test_a_nul_byte_is_a_wrong_parameter_and_no_empty_answer(api: Api, query: str) -> None:
    for path in ("energy", "coverage", "export"):
        answer = api.client.get(f"/api/v1/{path}?{query}", headers=api.technical)
        assert answer.status_code == 400, (path, answer.text)


def test_pages_and_methods_that_are_not_there(api: Api) -> None:
    assert "openapi.json" in problem(api, "/api/v1/power", 404)["remedy"]
    answer = api.client.post("/api/v1/fleet")
    assert (answer.status_code, answer.json()["status"]) == (405, 405)
    assert api.client.get("/none").text == "there is /, /metrics, /healthz and /readyz\n"


def test_an_empty_ledger_answers_with_no_rows(campus: Campus, tmp_path: Path) -> None:
    with served(application(Shelf(campus.ledger), tmp_path / "none", "public", [NOW])) as client:
        for path in ("energy", "coverage"):
            found = client.get(f"/api/v1/{path}?begin=1990-01-01&grain=month").json()
            assert (found["rows"], found["next"]) == ([], None)
        assert client.get("/api/v1/export").text.startswith("begin,end,class")


def test_the_openapi_document_names_units_and_problems(api: Api) -> None:
    document = get(api, "/api/v1/openapi.json")
    assert set(document["paths"]) == {
        *("/fleet", "/shares", "/pools", "/events", "/energy", "/coverage"),
        *("/agents", "/export", "/estimate", "/me", "/calibrations", "/making", "/indicators"),
    }
    row = document["components"]["schemas"]["EnergyRow"]["properties"]
    for name, unit in (("joules", "[J]"), ("kwh", "[kWh]"), ("kgco2e", "[kgCO2e]"), ("covered_seconds", "[s]")):
        assert unit in row[name]["description"]
    for name, unit in (("EnergyOfYear", "kWh"), ("CarbonOfYear", "kgCO2e"), ("PriceOfYear", "EUR")):
        ends = [
            p
            for key, p in document["components"]["schemas"][name]["properties"].items()
            if key[-4:] in ("_low", "high")
        ]
        assert all(f"[{unit}]" in end["description"] for end in ends)
    for path in document["paths"].values():
        answers = path["get"]["responses"]
        assert {"200", "400", "401"} <= set(answers)
        assert all("application/problem+json" in told["content"] for status, told in answers.items() if status != "200")
    assert "HTTPValidationError" not in json.dumps(document)


def test_the_step_writes_while_somebody_reads(small: Campus, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader in the middle of its answer holds up no commit, and does not see it."""
    inside, go = threading.Event(), threading.Event()
    first = Shelf.reader

    def slow(shelf: Shelf) -> Any:
        reader = first(shelf)
        begun = reader.first

        def wait() -> int | None:
            inside.set()
            assert go.wait(20)
            return begun()

        monkeypatch.setattr(reader, "first", wait)
        return reader

    monkeypatch.setattr(Shelf, "reader", slow)
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(api.client.get(ENERGY).status_code))
    thread.start()
    assert inside.wait(20)
    small.energy(0, [DAY // 900 + 90], 5.0, source=0)
    go.set()
    thread.join()
    assert answers == [200]


def test_an_answer_that_takes_too_long_is_given_up_and_gives_its_place_back(
    small: Campus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "WITHIN", 0.2)
    monkeypatch.setattr(books, "PLACES", 1)
    monkeypatch.setattr(books.Gate.__init__, "__defaults__", (0.2,))
    interrupted = threading.Event()

    class Stuck(Shelf):
        def reader(self) -> Any:
            reader = super().reader()
            reader.first = lambda: interrupted.wait(20) and None  # type: ignore[method-assign]  # stuck
            reader.interrupt = interrupted.set  # type: ignore[method-assign]  # what DuckDB's does to a statement
            return reader

    with served(application(Stuck(small.ledger), tmp_path / "none", "public", [NOW])) as client:
        answer = client.get("/api/v1/energy")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
        assert interrupted.is_set()
        assert client.get("/api/v1/energy").status_code == 200
