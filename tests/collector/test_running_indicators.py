"""Through the running collector: frames and an inventory in, /indicators out, by the published worked examples."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.collector.sending import LOAD, SECOND, Sender, pair
from tests.collector.test_running_carbon import asked, running
from thinwatt_agent.wire import Column, Group, Schema
from thinwatt_collector.models.devices import model_of
from thinwatt_collector.receive import Message
from thinwatt_collector.run import Collector

KWH = 3.6e6
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
MONTH = 744 * 3600.0
"""January 2025, as the worked example has it: 744 h."""
GB = 1e9
CONFIG = '[inventory]\nfolder = "inventory"\n[api]\nclocks = "UTC"\n'
INVENTORY = """
[[establishments]]
name = "U"
[[sites]]
name = "North"
establishment = "U"
[[buildings]]
name = "B"
site = "North"
[[rooms]]
name = "DC"
building = "B"
[[rooms]]
name = "B1"
building = "B"
[[pools]]
name = "tp"
establishment = "U"
[[models]]
name = "server"
class = "host"
embodied = 1278
lifetime = 5
[[hosts]]
name = "vdi-1"
model = "server"
room = "DC"
pool = "tp"
purchased = 2024-03-01
"""
DESKTOPS = 10
CPU = 0.5 * MONTH
"""Seconds of a desktop; together they are all of the host's."""
QUANTITIES = ("cpu", "covered", "present", "memory", "active", "disconnected")


def desktops() -> tuple[Column, ...]:
    """Columns of a host with ten desktops."""
    units = {"memory": "B s"}
    return (
        Column("fake", "memory_capacity", "counter", "B s"),
        *(
            Column("fake", quantity, "counter", units.get(quantity, "s"), consumer=f"tp/d{n}")
            for n in range(DESKTOPS)
            for quantity in QUANTITIES
        ),
    )


def send(collector: Collector, name: str, joules: float, active: float | None = None, kind: str = "host") -> None:
    """Have a machine's plug count an energy in January 2025, and its desktops some hours with somebody at them."""
    with_desktops = active is not None
    columns = (*pair("plug"), *((*LOAD, *desktops()) if with_desktops else ()))
    values = [joules, MONTH]
    if active is not None:
        values += [DESKTOPS * CPU, 64 * MONTH, MONTH]
        each = {"cpu": CPU, "covered": MONTH, "present": MONTH, "memory": 48 * GB / DESKTOPS * MONTH}
        each |= {"active": active * 3600 / DESKTOPS, "disconnected": 0.0}
        values += [64 * GB * MONTH, *([each[quantity] for quantity in QUANTITIES] * DESKTOPS)]
    sender = Sender(name, schema=Schema((Group(("",), columns),)), offset=int(BEGIN.timestamp()) * SECOND)
    frames = (sender.hello({"class": kind}), sender.frame(0, [(1, MONTH, values)], at=MONTH))
    assert collector._step.take([Message(b"\0r", name, data, time.time_ns()) for data in frames]) == []
    collector.commit()


def folder(tmp_path: Path, more: str = "") -> None:
    (tmp_path / "inventory").mkdir(exist_ok=True)
    (tmp_path / "inventory" / "campus.toml").write_text(INVENTORY + more)


WINDOW = "begin=2025-01-01&end=2025-02-01"


def indicators(collector: Collector, query: str = WINDOW, owner: bool = True) -> dict[str, Any]:
    answer = asked(collector, f"indicators?{query}", owner=owner)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_e9_a_pool_of_desktops_for_an_hour_with_somebody_at_one(tmp_path: Path) -> None:
    """182.4 kWh at 46.1 g, 48 of 64 parts of 1,278 kg for 744 h of 5 × 8,766 h, 5,400 hours: 4.570160 g each."""
    folder(tmp_path)
    with running(tmp_path, CONFIG) as collector:
        # Three quarters of the host's idle energy are the pool's, and all of the rest: 182.4 kWh.
        idle = float(model_of("host", "").watts[0]) * MONTH
        send(collector, "vdi-1", 182.4 * KWH + 0.25 * idle, active=5400.0)
        found = indicators(collector)
        public = indicators(collector, owner=False)
    score = found["sci"]["active_hour"]
    (pool,) = score["pools"]
    assert pool["pool"] == "tp"
    assert pool["served"] == pytest.approx(5400.0, rel=1e-12)
    assert pool["use_kgco2e"] == pytest.approx(8.40864, rel=1e-9)
    assert pool["making_kgco2e"] == pytest.approx(16.270225873, rel=1e-9)
    assert pool["gco2e"] == pytest.approx(4.57016, rel=1e-6)
    assert pool["gco2e"] == pytest.approx((8408.64 + 16270.225873) / 5400.0, rel=1e-9)
    assert pool["gco2e_low"] < pool["gco2e"] < pool["gco2e_high"]
    # Use and making err apart from each other: the widths of their intervals make that of both as two sides a diagonal.
    use, making, both = (pool[f"{n}_high"] - pool[f"{n}_low"] for n in ("use_kgco2e", "making_kgco2e", "gco2e"))
    assert min(use, making) > 0.1
    assert both == pytest.approx(1000 * (use**2 + making**2) ** 0.5 / 5400.0, rel=1e-9)
    assert {name: score[name] for name in pool if name != "pool"} == {n: pool[n] for n in pool if n != "pool"}
    assert public["sci"]["active_hour"]["gco2e"] is None
    assert "technical" in public["sci"]["active_hour"]["reason"]["fr"]
    assert found["sci"]["session"]["gco2e"] is None
    assert "sessions" in found["sci"]["session"]["reason"]["en"]


THIN = """
[[models]]
name = "thin"
class = "thin_client"
embodied = 106
lifetime = 7
[[seats]]
name = "B1 seats"
room = "B1"
pool = "tp"
count = {seats}
"""


def thin(n: int, more: str = "") -> str:
    return f'[[devices]]\nname = "tc-{n}"\nmodel = "thin"\nroom = "B1"\npurchased = 2024-06-01\n{more}\n'


def test_an_hour_of_a_seat_has_its_endpoint_its_hosts_and_their_making(tmp_path: Path) -> None:
    folder(tmp_path, THIN.format(seats=6) + "".join(thin(n) for n in range(6)))
    with running(tmp_path, CONFIG) as collector:
        send(collector, "vdi-1", 100 * KWH)
        for n in range(6):
            send(collector, f"tc-{n}", 1 * KWH, kind="thin_client")
        mine, theirs = indicators(collector), indicators(collector, owner=False)
        (tmp_path / "inventory" / "campus.toml").write_text(
            INVENTORY + THIN.format(seats=6) + "".join(thin(n) for n in range(6)) + thin(6) + thin(7)
        )
        collector.inventory.look()
        partly = indicators(collector)
    use, making = 106 * 46.1, (1278e3 / 5 + 6 * 106e3 / 7) * 31 / 365.25
    for found in (mine, theirs):
        score = found["sci"]["seat_hour"]
        assert (score["seats"], score["served"], score["reason"]) == (6, 6 * 744.0, None)
        assert score["gco2e"] == pytest.approx((use + making) / (6 * 744), rel=1e-9)
        assert score["gco2e_low"] < score["gco2e"] < score["gco2e_high"]
        assert (found["devices"], found["agents"], found["incomplete"]) == (7, 7, None)
        assert found["energy"]["kwh"] == pytest.approx(106.0, rel=1e-9)
        assert found["total"]["kgco2e"] == pytest.approx((use + making) / 1000, rel=1e-9)
        for name, unit in (("energy", "kwh"), ("use", "kgco2e"), ("making", "kgco2e"), ("total", "kgco2e")):
            assert found[name][f"{unit}_low"] < found[name][unit] < found[name][f"{unit}_high"]
    assert "7 of 9 devices" in partly["incomplete"]["en"]
    assert partly["total"]["kgco2e"] == pytest.approx((use + making) / 1000, rel=1e-9), "of those with energy"
    assert partly["making"]["kgco2e"] > mine["making"]["kgco2e"]
    score = partly["sci"]["seat_hour"]
    assert (score["gco2e"], score["seats"], score["seats_all"]) == (None, 0, 6)
    assert "too little" in score["reason"]["en"]


def test_seats_are_those_of_rooms_whose_endpoints_all_have_energy(tmp_path: Path) -> None:
    second = '[[rooms]]\nname = "B2"\nbuilding = "B"\n'
    second += '[[seats]]\nname = "B2 seats"\nroom = "B2"\npool = "tp"\ncount = 18\n'
    second += '[[devices]]\nname = "later"\nmodel = "thin"\nroom = "B2"\ncount = 18\nagent = "planned"\n'
    folder(tmp_path, THIN.format(seats=6) + second + "".join(thin(n) for n in range(6)))
    with running(tmp_path, CONFIG) as collector:
        send(collector, "vdi-1", 100 * KWH)
        for n in range(6):
            send(collector, f"tc-{n}", 1 * KWH, kind="thin_client")
        found = indicators(collector)
    score = found["sci"]["seat_hour"]
    assert (score["seats"], score["seats_all"], score["served"]) == (6, 24, 6 * 744.0)
    assert score["use_kgco2e"] == pytest.approx((25 + 6) * 46.1 / 1000, rel=1e-9), "a quarter of the host"


def test_seats_of_one_room_have_their_part_of_the_hosts_that_serve_two(tmp_path: Path) -> None:
    second = (
        '[[rooms]]\nname = "B2"\nbuilding = "B"\n[[seats]]\nname = "B2 seats"\nroom = "B2"\npool = "tp"\ncount = 18\n'
    )
    folder(tmp_path, THIN.format(seats=6) + second + "".join(thin(n) for n in range(6)))
    with running(tmp_path, CONFIG) as collector:
        send(collector, "vdi-1", 100 * KWH)
        for n in range(6):
            send(collector, f"tc-{n}", 1 * KWH, kind="thin_client")
        found = indicators(collector, f"{WINDOW}&room=B1")
        nowhere = indicators(collector, f"{WINDOW}&room=DC")
    use, making = (25 + 6) * 46.1, (0.25 * 1278e3 / 5 + 6 * 106e3 / 7) * 31 / 365.25
    score = found["sci"]["seat_hour"]
    assert score["served"] == 6 * 744.0
    assert score["use_kgco2e"] == pytest.approx(use / 1000, rel=1e-9)
    assert score["gco2e"] == pytest.approx((use + making) / (6 * 744), rel=1e-9)
    assert found["energy"]["kwh"] == pytest.approx(6.0, rel=1e-9), "of the room alone"
    assert nowhere["sci"]["seat_hour"]["seats"] is None
    assert "seats" in nowhere["sci"]["seat_hour"]["reason"]["en"]


@pytest.mark.parametrize("pool", ["", "somebody else's"])
def test_hosts_of_no_pool_with_seats_are_shared_over_all_seats_with_one(tmp_path: Path, pool: str) -> None:
    """Seats without their servers would be the textbook error: no host is left out while there are such seats."""
    folder(tmp_path, THIN.format(seats=6) + "".join(thin(n) for n in range(6)))
    file = tmp_path / "inventory" / "campus.toml"
    file.write_text(file.read_text().replace('room = "DC"\npool = "tp"', f'room = "DC"\npool = "{pool}"'))
    with running(tmp_path, CONFIG) as collector:
        send(collector, "vdi-1", 100 * KWH)
        for n in range(6):
            send(collector, f"tc-{n}", 1 * KWH, kind="thin_client")
        found = [indicators(collector, owner=owner)["sci"]["seat_hour"] for owner in (True, False)]
    for score in found:
        assert score["use_kgco2e"] == pytest.approx(106 * 46.1 / 1000, rel=1e-9)
        assert score["making_kgco2e"] == pytest.approx((1278 / 5 + 6 * 106 / 7) * 31 / 365.25, rel=1e-9)


def test_other_criteria_and_equivalences_come_after_the_figures_and_cite_theirs(tmp_path: Path) -> None:
    folder(tmp_path)
    with running(tmp_path, CONFIG) as collector:
        send(collector, "vdi-1", 100 * KWH)
        found = indicators(collector)
    names = list(found)
    assert names[-1] == "equivalences"
    assert max(map(names.index, ("energy", "use", "making", "total"))) < names.index("sci") < names.index("annex")
    annex = {row["criterion"]: row for row in found["annex"]}
    expected = {"primary_energy": (931.35, "MJ"), "adpe": (4.858e-6, "kg Sb eq"), "water": (0.36737, "m³")}
    for name, (value, unit) in expected.items():
        row = annex[name]
        assert (row["value"], row["unit"], row["indicative"]) == (pytest.approx(value, rel=1e-9), unit, True)
        assert row["value_low"] < row["value"] < row["value_high"]
        assert "ecologits" in row["source"]
    assert "indicatif" in found["annex_caution"]["fr"]
    total = found["total"]["kgco2e"]
    # E16: 100 kg are 702.970835 km by car, 34,129.692833 km by TGV, 1,562.091100 h of streaming.
    for row, of_100 in zip(found["equivalences"], (702.970835, 34129.692833, 1562.0911), strict=True):
        assert row["value"] == pytest.approx(total * of_100 / 100, rel=1e-8)
        assert row["value_low"] < row["value"] < row["value_high"]
        assert row["en"]
        assert row["fr"]
        assert "impactco2" in row["source"]


def test_a_window_that_begins_before_the_ledger_says_so_and_what_is_not_over_is_refused(tmp_path: Path) -> None:
    folder(tmp_path)
    with running(tmp_path, CONFIG) as collector:
        send(collector, "vdi-1", 100 * KWH)
        found = indicators(collector, "begin=2024-07-01&end=2025-02-01")
        before = indicators(collector, "begin=2024-07-01&end=2024-08-01")
        refused = asked(collector, "indicators?begin=2025-01-01&end=2068-01-01")
    assert (found["begin"], found["end"]) == ("2025-01-01", "2025-02-01")
    assert found["making"]["kgco2e"] == pytest.approx(1278 / 5 * 31 / 365.25, rel=1e-9)
    assert (before["energy"]["kwh"], before["total"]) == (0.0, None)
    assert before["sci"]["seat_hour"]["reason"]["en"].startswith("the ledger has no energy")
    assert refused.status_code == 422
    assert "not over" in refused.json()["detail"]


def test_a_grid_without_open_factors_has_no_annex(tmp_path: Path) -> None:
    folder(tmp_path)
    greener = (
        CONFIG
        + """
[carbon]
zone = "DE"
source = "fixed"
[carbon.fixed]
intensity = "0.3 kg/kWh"
name = "n"
version = "1"
published = "2025-01-01"
valid_from = "2025-01-01"
publisher = "p"
uncertainty = "10 %"
"""
    )
    with running(tmp_path, greener) as collector:
        send(collector, "vdi-1", 100 * KWH)
        found = indicators(collector)
    assert found["annex"] == []
    assert "DE" in found["annex_caution"]["en"]
    assert found["use"]["kgco2e"] == pytest.approx(30.0)
