"""Through the running collector: an agent's frames in, the API's figure out, by whatever factor is configured."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from math import hypot, sqrt
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
import zmq

from tests.collector.factors.test_csv import E4
from tests.collector.factors.test_table import HEADER
from tests.collector.sending import RAPL, SECOND, Sender
from thinwatt_agent.places.file import ConfigError
from thinwatt_agent.wire import Group, Schema
from thinwatt_collector.config import check, parse
from thinwatt_collector.receive import Message
from thinwatt_collector.run import Collector
from thinwatt_collector.serve.api.energy import Z95
from thinwatt_collector.serve.app import below, create_app
from thinwatt_collector.serve.server import serve

KWH = 3.6e6
BEGIN = datetime(2025, 6, 1, 10, tzinfo=UTC)
ROW = (
    "FR,Europe/Paris,ademe_acv_annual,{year},mix {year},v{year},{day},{value},kgCO2e/kWh,{year}-01-01,10 %,normal,"
    "a sheet\n"
)
OF_2024 = ROW.format(year=2024, day="2025-05-22", value="0.0519")
OF_2025 = ROW.format(year=2025, day="2026-05-18", value="0.0461")
CSV = """
[carbon]
source = "csv"
[carbon.csv]
file = "mine.csv"
step = "30 min"
name = "n"
version = "v"
published = "2025-02-01"
uncertainty = "10 %"
publisher = "p"
"""


@contextmanager
def running(folder: Path, carbon: str = "") -> Iterator[Collector]:
    _, secret = zmq.curve_keypair()
    (folder / "agents.keys").write_text("# nobody yet\n")
    found = Collector(parse(f'[link]\nbind = "tcp://127.0.0.1:*"\n{carbon}', folder / "collector.toml"), secret)
    yield found
    found.close()


def book(collector: Collector, begin: datetime, seconds: float, joules: float) -> None:
    """Have a host's plug count an energy, evenly, from a moment on."""
    sender = Sender("srv-1", offset=int(begin.timestamp()) * SECOND)
    frames = (sender.hello({"class": "host"}), sender.frame(0, [(1, seconds, [joules, seconds])], at=seconds))
    assert collector._step.take([Message(b"\0r", "srv-1", data, time.time_ns()) for data in frames]) == []
    collector.commit()


def asked(collector: Collector, path: str, *, owner: bool = True) -> httpx.Response:
    web = serve(below(collector.own_api) if owner else create_app(collector, collector.api), None, "127.0.0.1:0")
    try:
        return httpx.get(f"http://127.0.0.1:{web.port}/api/v1/{path}")
    finally:
        web.close()


def energy(collector: Collector, window: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the sums of the answer's rows, whether any of them is a fallback, and the answer's factors."""
    web = serve(create_app(collector, collector.api), None, "127.0.0.1:0")
    try:
        answer = httpx.get(f"http://127.0.0.1:{web.port}/api/v1/energy?{window}")
    finally:
        web.close()
    assert answer.status_code == 200, answer.text
    document = answer.json()
    names = ("joules", "kwh", "kwh_high", "covered_seconds", "kgco2e")
    row = {key: sum(r[key] for r in document["rows"]) for key in names}
    row |= {"eur": sum(r["eur"] or 0.0 for r in document["rows"])}
    return row | {"fallback": any(r["fallback"] for r in document["rows"])}, document["carbon"]


def events(folder: Path) -> list[str]:
    with duckdb.connect(str(folder / "state" / "ledger.duckdb"), read_only=True) as ledger:
        return [text for (text,) in ledger.execute("SELECT text FROM event WHERE kind = 'restated'").fetchall()]


def test_e4_unaligned_intervals_with_an_intensity_by_half_hours(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(E4)
    with running(tmp_path, CSV) as collector:
        book(collector, datetime(2025, 1, 1, 10, 7, 30, tzinfo=UTC), 4500.0, 180.0 * 4500.0)
        row, carbon = energy(collector, "begin=2025-01-01&end=2025-01-02")
        booked = [f for f in collector.families() if f.metric.name == "thinwatt_carbon_grams_total"]
    assert row["kwh"] == pytest.approx(0.225, rel=1e-12)
    assert row["kgco2e"] == pytest.approx(0.0063675, rel=1e-9)
    assert row["fallback"] is False
    assert carbon["method"] == "record_csv"
    assert sum(float(f.values.sum()) for f in booked) == pytest.approx(6.3675, rel=1e-9), "and so was it booked"


ROOM = """
[[establishments]]
name = "U"
[[sites]]
name = "North"
establishment = "U"
tariff = 0.20
tariff_date = 2025-01-01
[[buildings]]
name = "B"
site = "North"
[[rooms]]
name = "DC"
building = "B"
pue = 1.35
valid_to = 2025-06-30
[[rooms]]
name = "DC"
building = "B"
pue = 1.25
valid_from = 2025-07-01
[[hosts]]
name = "srv-1"
room = "DC"
purchased = 2024-01-01
"""


def test_e7_a_room_of_a_month_by_the_record(tmp_path: Path) -> None:
    """What the machines draw, and what the room does: its PUE of the day multiplies energy, carbon, euros, interval."""
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "campus.toml").write_text(ROOM)
    year = "begin=2025-01-01&end=2026-01-01&grain=month"
    with running(tmp_path, '[inventory]\nfolder = "inventory"\n') as collector:
        book(collector, datetime(2025, 6, 1, tzinfo=UTC), 29 * 86_400.0, 1234.5 * KWH)
        machines, carbon = energy(collector, year)
        room, told = energy(collector, f"{year}&boundary=room")
        book(collector, datetime(2025, 7, 10, tzinfo=UTC), 86_400.0, 1234.5 * KWH)
        both, _ = energy(collector, f"{year}&boundary=room")
    assert (machines["kwh"], room["kwh"]) == (pytest.approx(1234.5, rel=1e-9), pytest.approx(1666.575, rel=1e-9))
    assert room["kwh"] - machines["kwh"] == pytest.approx(432.075, rel=1e-9)
    assert room["kgco2e"] == pytest.approx(76.8291075, rel=1e-9)
    assert (machines["eur"], room["eur"]) == (pytest.approx(246.9, rel=1e-9), pytest.approx(333.315, rel=1e-9))
    assert room["fallback"] is False
    assert [f["version"] for f in carbon["factors"]] == ["Base Empreinte 2025, smoothed 2022–2025"]
    assert told == carbon
    # A declared PUE may be off by 8 % (uniform), which no number of machines makes smaller.
    meter, whole = (of["kwh_high"] / of["kwh"] - 1 for of in (machines, room))
    assert whole == pytest.approx(hypot(meter, Z95 * 0.08 / sqrt(3)), rel=1e-6)
    assert both["kwh"] == pytest.approx(1234.5 * (1.35 + 1.25), rel=1e-9)


def test_newer_factors_restate_the_carbon_and_leave_the_energy_and_are_told_once(tmp_path: Path) -> None:
    table, carbon = tmp_path / "mine.csv", '[carbon.table]\nfile = "mine.csv"\n'
    window = "begin=2025-01-01&end=2026-01-01&grain=month"
    table.write_text(HEADER + OF_2024)
    with running(tmp_path, carbon) as collector:
        book(collector, datetime(2025, 6, 1, tzinfo=UTC), 30 * 86_400.0, 1000.0 * KWH)
        before, _ = energy(collector, window)
    assert events(tmp_path) == []
    table.write_text(HEADER + OF_2024 + OF_2025)
    with running(tmp_path, carbon) as collector:
        collector.commit()
    with running(tmp_path, carbon) as collector:
        after, _ = energy(collector, window)
        told = asked(collector, "events").json()["events"]
        public = asked(collector, "events", owner=False).json()["events"]
    assert [event["kind"] for event in told] == ["restated"]
    assert told[0]["text"]["fr"].startswith("Carbone du 2025-06-01 02:00 au 2025-07-01 02:00 (Europe/Paris)")
    assert "2,880 quarters of an hour, 1,000.000 kWh" in told[0]["text"]["en"]
    assert "51.900 kgCO2e became 46.100 kgCO2e" in told[0]["text"]["en"]
    assert [event["text"] for event in public] == [None]
    assert (before["kgco2e"], after["kgco2e"]) == (pytest.approx(51.9), pytest.approx(46.1))
    assert (before["fallback"], after["fallback"]) == (True, False)
    for unchanged in ("joules", "kwh", "covered_seconds"):
        assert before[unchanged] == after[unchanged]
    (text,) = events(tmp_path)
    assert "recalculé de −5,800 kgCO2e (−11,2 %)" in text
    assert "restated by −5.800 kgCO2e (−11.2 %): 51.900 kgCO2e became 46.100 kgCO2e" in text
    assert "mix 2024, v2024, published 2025-05-22, 0.0519 kgCO2e/kWh (a sheet) used for want of the right one" in text


def test_booked_carbon_is_by_what_was_known_on_the_day(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(HEADER + OF_2024 + OF_2025)
    window = "begin=2025-01-01&end=2026-01-01&grain=month"
    with running(tmp_path, '[carbon.table]\nfile = "mine.csv"\n') as collector:
        book(collector, datetime(2025, 6, 1, tzinfo=UTC), 30 * 86_400.0, 1000.0 * KWH)
        found = {view: energy(collector, f"{window}&view={view}") for view in ("booked", "restated")}
    assert {view: row["kgco2e"] for view, (row, _) in found.items()} == {
        "booked": pytest.approx(51.9),
        "restated": pytest.approx(46.1),
    }
    assert [found[view][0]["fallback"] for view in ("booked", "restated")] == [True, False]
    assert [found[view][1]["known"] for view in ("booked", "restated")] == ["on each day", "2026-05-18"]
    assert found["booked"][0]["joules"] == found["restated"][0]["joules"]


def test_factors_that_come_while_it_runs_are_taken_and_ones_that_cannot_be_read_change_nothing(tmp_path: Path) -> None:
    table, carbon = tmp_path / "mine.csv", '[carbon.table]\nfile = "mine.csv"\n'
    window = "begin=2025-01-01&end=2026-01-01&grain=month"
    table.write_text(HEADER + OF_2024)
    with running(tmp_path, carbon) as collector:
        book(collector, datetime(2025, 6, 1, tzinfo=UTC), 86_400.0, 1000.0 * KWH)
        table.write_text("half a tab")
        collector._refresh_factors()
        assert energy(collector, window)[0]["kgco2e"] == pytest.approx(51.9)
        table.write_text(HEADER + OF_2024 + OF_2025)
        collector._refresh_factors()
        assert energy(collector, window)[0]["kgco2e"] == pytest.approx(46.1)
        collector.commit()
        collector._refresh_factors()
    assert len(events(tmp_path)) == 1


def test_a_live_method_is_never_what_is_booked(tmp_path: Path) -> None:
    carbon = '[carbon]\nmethod = "live"\nsource = "eco2mix"\n[carbon.eco2mix]\narchive = "archive"\n'
    with running(tmp_path, carbon) as collector:
        book(collector, datetime(2025, 6, 1, tzinfo=UTC), 86_400.0, 1000.0 * KWH)
        row, found = energy(collector, "begin=2025-06-01&end=2025-06-03")
    assert (found["method"], row["kgco2e"]) == ("ademe_acv_annual", pytest.approx(46.1))


OURS = """class,model,quantity,value,unit,valid_from,uncertainty,distribution,source
host,Ours 400,base,40,W,2026-01-01,10 %,uniform,our own measurement
host,Ours 400,rating,400,W,2026-01-01,1 %,uniform,its plate
host,Ours 400,supply_20,88,%,2026-01-01,2 %,uniform,80 PLUS Gold
host,Ours 400,supply_50,92,%,2026-01-01,2 %,uniform,80 PLUS Gold
host,Ours 400,supply_100,88,%,2026-01-01,2 %,uniform,80 PLUS Gold
"""


@pytest.mark.parametrize(
    "watts, wall", [(100.0, 140 / 0.90), (20.0, 60 / 0.88), (160.0, 200 / 0.92), (310.0, 350 / 0.89)]
)
def test_e11_counters_behind_a_power_supply_with_a_curve(tmp_path: Path, watts: float, wall: float) -> None:
    """100 W of packages and 40 W beside them behind a Gold supply of 400 W draw 155.56 W; so at other loads."""
    (tmp_path / "ours.csv").write_text(OURS)
    with running(tmp_path, '[models]\ndevices = "ours.csv"\n') as collector:
        sender = Sender("srv-1", schema=Schema((Group(("",), RAPL),)), offset=int(BEGIN.timestamp()) * SECOND)
        rows = [(n, 60.0 * n, [watts * 60 * n, 60.0 * n]) for n in range(1, 61)]
        frames = (sender.hello({"class": "host", "model": "Ours 400"}), sender.frame(0, rows, at=3600.0))
        assert collector._step.take([Message(b"\0r", "srv-1", data, time.time_ns()) for data in frames]) == []
        collector.commit()
        row, _ = energy(collector, "begin=2025-06-01&end=2025-06-02&basis=modelled")
    assert row["kwh"] == pytest.approx(wall / 1000, rel=1e-9)


@pytest.mark.parametrize(
    "old, new, told",
    [
        ("rating,400,W", "rating,400,J", "line 3"),
        ("host,Ours 400,rating,400,W,2026-01-01,1 %,uniform,its plate\n", "", "needs rating too"),
        ("supply_50,92,%", "supply_50,92,1", "no efficiency"),
        ("supply_50,92,%", "supply_20,92,%", "supply_20 twice"),
    ],
)
def test_a_table_of_ones_own_that_cannot_be_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    (tmp_path / "ours.csv").write_text(OURS.replace(old, new))
    file = tmp_path / "collector.toml"
    file.write_text('[models]\ndevices = "ours.csv"\n')
    with pytest.raises(ConfigError, match=told):
        check(file)
