"""The collector with frames that come in: what the API and /metrics make of them, and what /readyz says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import zmq

from tests.collector.sending import SECOND, Sender, pair
from tests.collector.serve.api.conftest import served
from thinwatt_agent.wire import Group, Schema
from thinwatt_collector.config import parse
from thinwatt_collector.ledger import LedgerError
from thinwatt_collector.receive import Message
from thinwatt_collector.run import Collector
from thinwatt_collector.serve.api.tokens import make
from thinwatt_collector.serve.app import create_app


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    _, secret = zmq.curve_keypair()
    (tmp_path / "agents.keys").write_text("# nobody yet\n")
    text = '[link]\nbind = "tcp://127.0.0.1:*"\n'
    made = Collector(parse(text, tmp_path / "collector.toml"), secret)
    yield made
    made.close()


def hear(collector: Collector, name: str, kind: str) -> None:
    """Have two machines of one name be alive: two boots, heard in turn."""
    step, now = collector._step, time.time_ns()
    s = Sender(name, offset=now)
    frame = s.frame(0, [(1, 10.0, [500.0, 10.0])])
    step.take([Message(b"\0r", name, data, now) for data in (s.hello({"class": kind}), frame)])
    collector.commit()
    for at, boot in ((0, b"one"), (1, b"two"), (2, b"one")):
        step.tallies.conflicts.hear(name, boot.ljust(16), now + at * SECOND)


def test_a_cloned_host_is_named_and_a_cloned_endpoint_is_not(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    hear(collector, "srv-1", "host")
    hear(collector, "pc-of-room-12", "desktop")
    ready, said = collector.ready()
    assert ready
    assert any("srv-1" in line for line in said)
    assert any("one endpoint" in line for line in said)
    assert "pc-of-room-12" not in "".join(said)
    collector.commit()
    assert sum("pc-of-room-12" in r.getMessage() for r in caplog.records) == 1
    collector.commit()
    assert sum("pc-of-room-12" in r.getMessage() for r in caplog.records) == 1


def test_a_class_of_too_few_devices_is_explained(collector: Collector) -> None:
    hear(collector, "pc-of-room-12", "desktop")
    (why,) = [line for line in collector.ready()[1] if line.startswith("class desktop")]
    assert "not shown: fewer than 5" in why
    assert not [f for f in collector.families() if 'class="desktop"' in "".join(f.labels.pieces())]


def test_a_ledger_that_turns_read_only_is_told_by_every_door_and_old_power_is_not_shown_as_that_of_now(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear(collector, "srv-1", "host")
    why = "can't open the ledger ledger.duckdb: IO Error: Read-only file system"

    def closed() -> Any:
        raise LedgerError("the ledger can't be read: Connection Error: Connection already closed!")

    def power(client: httpx.Client) -> list[float | None]:
        told = [row["watts"] for row in client.get("/api/v1/fleet").json()["classes"]]
        assert ("thinwatt_power_watts{" in client.get("/metrics").text) == any(told)
        return told

    with served(create_app(collector, collector.api)) as client:
        before = client.get("/api/v1/fleet").json()
        assert (before["trouble"], power(client)) == (None, [50.0])
        with monkeypatch.context() as patch:
            patch.setattr(collector._ledger, "reader", closed)
            collector._fail(LedgerError(why))
            found = client.get("/api/v1/energy")
            assert (found.status_code, found.headers["retry-after"]) == (503, "10")
            assert found.json()["detail"] == f"the ledger can't be read now: {why}"
            assert "/readyz" in found.json()["remedy"]
            assert why in client.get("/readyz").text
            during = client.get("/api/v1/fleet").json()
            assert (during["trouble"], during["at"], power(client)) == (why, before["at"], [50.0])
            collector._doors.at -= round(collector._config.stale_after * SECOND)
            assert power(client) == [None]
            assert "thinwatt_energy_joules_total{" in client.get("/metrics").text, "counters stand"
        collector._recover()
        assert client.get("/api/v1/energy").status_code == 200
        after = client.get("/api/v1/fleet").json()
        assert (after["trouble"], power(client)) == (None, [50.0])


INVENTORY = """
[[sites]]
name = "North"
establishment = "University"
tariff = 0.20
[[buildings]]
name = "B"
site = "North"
[[rooms]]
name = "B305"
building = "B"
[[rooms]]
name = "dc"
building = "B"
""" + "".join(
    f'[[devices]]\nname = "Desk {n}"\nclass = "desktop"\nroom = "B305"\nagent = "gw/pc-{n}"\n' for n in range(5)
)
HOURS = 3_600 * SECOND


@pytest.fixture
def campus(tmp_path: Path) -> Iterator[Collector]:
    """A collector with an inventory, to which a gateway has told an hour of two days ago, of five PCs and a host."""
    _, secret = zmq.curve_keypair()
    (tmp_path / "agents.keys").write_text("# nobody yet\n")
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "campus.toml").write_text(INVENTORY)
    token = make(tmp_path / "tokens.toml", "dsi", "technical")
    (tmp_path / "token").write_text(token)
    text = '[link]\nbind = "tcp://127.0.0.1:*"\n[inventory]\nfolder = "inventory"\n[api]\ntokens = "tokens.toml"\n'
    made = Collector(parse(text, tmp_path / "collector.toml"), secret)
    names = (*(f"pc-{n}" for n in range(5)), "host")
    kinds = {name: {"class": "host" if name == "host" else "desktop"} for name in names}
    now = time.time_ns() // HOURS * HOURS - 48 * HOURS
    s = Sender("gw", schema=Schema((Group(names, pair("plug")),)), offset=now)
    rows = [(n, 60.0 * n, [6_000.0 * n, 60.0 * n] * 6) for n in range(1, 61)]
    frames = [s.hello({"devices": kinds}), s.frame(0, rows)]
    made._step.take([Message(b"\0r", "gw", data, now + HOURS) for data in frames])
    made.commit()
    yield made
    made.close()


def answers(collector: Collector, folder: Path, query: str, role: str) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {(folder / 'token').read_text()}"} if role == "technical" else {}
    with served(create_app(collector, collector.api)) as client:
        answer = client.get(f"/api/v1/energy?{query}", headers=headers)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["rows"]
        return found


def test_frames_go_in_and_energy_by_room_with_its_price_comes_out(campus: Collector, tmp_path: Path) -> None:
    begin = datetime.fromtimestamp(time.time() - 3 * 86_400, UTC).date()
    for role in ("technical", "public"):
        rows = answers(campus, tmp_path, f"begin={begin}&grain=month&by=building,room,class", role)
        found = {(row["building"], row["room"], row["class"]): (row["kwh"], row["eur"]) for row in rows}
        assert found == {
            ("B", "B305", "desktop"): (pytest.approx(0.5), pytest.approx(0.1)),
            ("", "", "host"): (pytest.approx(0.1), None),
        }, role


def test_metrics_count_of_endpoints_what_the_api_shows_to_everybody(campus: Collector, tmp_path: Path) -> None:
    def shown() -> dict[str, float]:
        found: dict[str, float] = {}
        for family in campus.families():
            for at, piece in enumerate(family.labels.pieces()):
                if 'class="desktop"' in piece and family.metric.kind == "counter":
                    found[family.metric.name] = found.get(family.metric.name, 0.0) + float(family.values[at])
        return found

    assert set(shown().values()) <= {0.0}, "booked, and not read yet"
    campus._keeper.turn(int(time.time()) + 900)
    campus.commit()
    (row,) = answers(campus, tmp_path, "begin=2000-01-01&grain=month&by=&class=desktop", "public")
    assert shown() == {
        "thinwatt_energy_joules_total": pytest.approx(row["joules"]),
        "thinwatt_carbon_grams_total": pytest.approx(row["kgco2e"] * 1000),
        "thinwatt_covered_seconds_total": row["covered_seconds"],
        "thinwatt_gap_seconds_total": 0.0,
    }
    assert row["joules"] == pytest.approx(5 * 360_000)


def test_an_inventory_that_breaks_is_told_and_the_last_one_stays(campus: Collector, tmp_path: Path) -> None:
    (tmp_path / "inventory" / "campus.toml").write_text(INVENTORY + "[[rooms]\n")
    campus.inventory.look()
    ready, said = campus.ready()
    assert ready, "figures are as good as they were"
    assert any("campus.toml" in line and "last good one stays" in line for line in said)
    begin = datetime.fromtimestamp(time.time() - 3 * 86_400, UTC).date()
    rows = answers(campus, tmp_path, f"begin={begin}&grain=month&by=room&class=desktop", "public")
    assert [row["room"] for row in rows] == ["B305"]


def test_the_owner_is_told_of_whom_nothing_is_taken_and_readyz_names_nobody(collector: Collector) -> None:
    now, s = time.time_ns(), Sender("pc-of-room-12", offset=time.time_ns())
    falling = s.frame(0, [(1, 10.0, [500.0, 10.0]), (2, 20.0, [-1.0, 20.0])])
    collector._step.take([Message(b"\0r", s.name, data, now) for data in (s.hello({"class": "desktop"}), falling)])
    collector.commit()
    told = collector._status({})["refused"]
    assert isinstance(told, dict)
    assert (told[s.name]["reason"], told[s.name]["messages"]) == ("bad_value", 1)
    assert s.name not in str(collector.ready())
