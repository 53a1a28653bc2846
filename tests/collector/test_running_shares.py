"""Through the running collector: frames of hosts with desktops in, parts of their energy out, and all of it there."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.agent.recording import at
from tests.collector.sending import SECOND, Sender
from tests.collector.test_running_carbon import asked, running
from thinwatt_agent.loop import Sampler, SamplerOptions
from thinwatt_collector.receive import Message
from thinwatt_collector.run import Collector

BEGIN = datetime(2026, 3, 2, 8, tzinfo=UTC)
WINDOW = "begin=2026-03-02T08:00Z&end=2026-03-02T12:00Z"


def send(collector: Collector, side: int, hours: float = 3.0) -> None:
    """Have a made-up host say what it drew and what its desktops did, a row a minute."""
    name = f"vdi-{side}"
    options = {"name": name, "class": "host", "desktops": 14, "roaming": 5, "side": side, "pools": "tp, staff"}
    sampler = Sampler(Path("/"), SamplerOptions(interval=60.0, sources={"fake": {"enabled": True, **options}}))
    rows = [sampler.sample(at(60.0 * n)) for n in range(int(hours * 60) + 1)]
    first = rows[0]
    sender = Sender(name, schema=sampler.schema, offset=int(BEGIN.timestamp()) * SECOND)
    ticks = [(n, 60.0 * n, [b - a for a, b in zip(first, row, strict=True)]) for n, row in enumerate(rows) if n]
    data = [sender.hello({"class": "host", "simulated": True})]
    data += [sender.frame(start, ticks[start : start + 5], at=ticks[-1][1]) for start in range(0, len(ticks), 5)]
    assert collector._step.take([Message(b"\0r", name, one, time.time_ns()) for one in data]) == []
    collector.commit()


def total(rows: list[dict[str, Any]], name: str = "kwh") -> float:
    return sum(float(row[name]) for row in rows)


@pytest.mark.parametrize("policy", ["reservation", "activity", "equal", "marginal"])
def test_the_parts_are_the_hosts(policy: str, tmp_path: Path) -> None:
    with running(tmp_path, f'[attribution]\npolicy = "{policy}"\n[tariff]\neur_per_kwh = "0.20"\n') as collector:
        for side in (0, 1):
            send(collector, side)
        whole = asked(collector, f"energy?{WINDOW}&grain=hour&by=class").json()["rows"]
        answer = asked(collector, f"shares?{WINDOW}&grain=hour").json()
        rows = answer["rows"]
        assert {row["policy"] for row in rows} == {policy}
        assert {row["simulated"] for row in rows} == {"true"}
        for name in ("kwh", "kgco2e", "eur"):
            assert total(rows, name) == pytest.approx(total(whole, name), rel=1e-9)
        for hour in {row["begin"] for row in whole}:
            of_hour = [total([r for r in found if r["begin"] == hour]) for found in (rows, whole)]
            assert of_hour[0] == pytest.approx(of_hour[1], rel=1e-9)
        one = asked(collector, f"shares?{WINDOW}&device=vdi-1").json()["rows"]
        mine = asked(collector, f"energy?{WINDOW}&by=device&device=vdi-1").json()["rows"]
        assert total(one) == pytest.approx(total(mine), rel=1e-9)
        metrics = [f for f in collector.families() if f.metric.name == "thinwatt_shared_energy_joules_total"]
        assert metrics[0].values.sum() == pytest.approx(total(whole) * 3.6e6, rel=1e-9)


def test_desktops_that_migrate_are_there_all_the_time(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        for side in (0, 1):
            send(collector, side)
        rows = asked(collector, f"shares?{WINDOW}&grain=month").json()["rows"]
    (roaming,) = [row for row in rows if (row["pool"], row["part"]) == ("roaming", "dynamic")]
    assert roaming["desktop_hours"] == pytest.approx(5 * 3.0, rel=0.02)
    assert [row["desktop_hours"] for row in rows if not row["pool"]] == [None] * 2
    assert {row["part"] for row in rows if not row["pool"]} == {"idle", "overhead"}


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
pue = 1.5
[[hosts]]
name = "vdi-0"
room = "DC"
purchased = 2024-01-01
[[hosts]]
name = "vdi-1"
room = "DC"
purchased = 2024-01-01
"""


GREENER = """
[inventory]
folder = "inventory"
[carbon]
source = "fixed"
[carbon.fixed]
intensity = "0.06 kg/kWh"
name = "n"
version = "1"
published = "2026-01-01"
valid_from = "2026-01-01"
publisher = "p"
uncertainty = "10 %"
"""


def told(side: int, quantity: str, hours: float = 3.0) -> dict[str, float]:
    """What a host's agent counted of its desktops, by pool."""
    name = f"vdi-{side}"
    options = {"name": name, "class": "host", "desktops": 14, "roaming": 5, "side": side, "pools": "tp, staff"}
    sampler = Sampler(Path("/"), SamplerOptions(interval=60.0, sources={"fake": {"enabled": True, **options}}))
    first, *_, last = [sampler.sample(at(60.0 * n)) for n in range(int(hours * 60) + 1)]
    found: dict[str, float] = {}
    for column, a, b in zip(sampler.schema.groups[0].columns, first, last, strict=True):
        if column.consumer and column.quantity == quantity:
            pool = column.consumer.rpartition("/")[0]
            found[pool] = found.get(pool, 0.0) + b - a
    return found


def test_pools_draw_per_hour_with_somebody_at_them(tmp_path: Path) -> None:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "campus.toml").write_text(ROOM)
    with running(tmp_path, GREENER) as collector:
        for side in (0, 1):
            send(collector, side)
        machines = total(asked(collector, f"energy?{WINDOW}&by=class").json()["rows"])
        rows = asked(collector, f"pools?{WINDOW}&grain=hour").json()["rows"]
        answer = asked(collector, f"pools?{WINDOW}&grain=month").json()
        paged, cursor = list[Any](), ""
        while True:
            page = asked(collector, f"pools?{WINDOW}&grain=hour&limit=3{cursor}").json()
            paged += page["rows"]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
    assert answer["boundary"] == "room"
    assert answer["pues"] == [{"pue": 1.5, "where": "room DC"}]
    assert total(rows) == pytest.approx(1.5 * machines, rel=1e-9)
    assert paged == rows
    pools = {row["pool"]: row for row in answer["rows"]}
    assert set(pools) == {"", "roaming", "staff", "tp"}
    for quantity, name in (("present", "desktop"), ("active", "active"), ("disconnected", "disconnected")):
        both = [told(side, quantity) for side in (0, 1)]
        assert pools[""][f"{name}_hours"] is None
        for pool in ("roaming", "staff", "tp"):
            seconds = sum(of[pool] for of in both)
            assert pools[pool][f"{name}_hours"] == pytest.approx(seconds / 3600, rel=1e-9), (pool, name)
            assert total([r for r in rows if r["pool"] == pool], f"{name}_hours") == pytest.approx(seconds / 3600)
    tp = pools["tp"]
    assert tp["wh_per_active_hour"] == pytest.approx(tp["kwh"] * 1000 / tp["active_hours"], rel=1e-12)
    assert tp["gco2e_per_active_hour"] == pytest.approx(0.06 * tp["wh_per_active_hour"], rel=1e-9)
    for name in ("kwh", "kgco2e", "eur", "wh_per_active_hour", "gco2e_per_active_hour"):
        assert tp[f"{name}_low"] < tp[name] < tp[f"{name}_high"], name


def test_it_is_for_the_technical_role(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        send(collector, 0, hours=0.5)
        for path in ("shares", "pools"):
            refused = asked(collector, f"{path}?{WINDOW}", owner=False)
            assert refused.status_code == 403
            assert "technical" in refused.json()["remedy"]
        wrong = asked(collector, f"shares?{WINDOW}&by=pool")
        assert (wrong.status_code, wrong.json()["parameter"]) == (400, "by")


def test_pages_are_the_whole(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        send(collector, 0)
        whole = asked(collector, f"shares?{WINDOW}&grain=slot").json()["rows"]
        found, cursor = [], ""
        while True:
            page = asked(collector, f"shares?{WINDOW}&grain=slot&limit=7{cursor}").json()
            found += page["rows"]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
    assert found == whole
    assert len(whole) > 50
