"""Calibrate → book → restate on a real collector process, with made-up machines whose true energy is known exactly.

A gateway tells of PCs of one hardware model, made up by the source ``fake``: one in ten has a meter, the others only
their load. The days are past, so nobody has to wait for a midnight.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import zmq

from tests.collector.sending import SECOND, Sender, pair
from tests.invariants.processes import Collector, Site, site, wait_for
from thinwatt_agent import keys, wire
from thinwatt_agent.sources import fake
from thinwatt_agent.wire import Column, Group, Schema

PARIS = ZoneInfo("Europe/Paris")
LOAD = tuple(Column("load", q, "counter", "s") for q in ("cpu", "cpu_capacity", "covered"))
MODEL = "OptiPlex 7090"
PCS, METERED = 50, 5
DAYS = 3
ROW = 450.0
"""Seconds between rows."""


def day(back: int) -> int:
    """Midnight of so many days ago, UTC [s]."""
    of = datetime.now(PARIS).date() - timedelta(days=back)
    return int(datetime(of.year, of.month, of.day, tzinfo=PARIS).timestamp())


def machine(n: int) -> dict[str, Any]:
    """Options of a PC: none is like another."""
    random = np.random.default_rng(n)
    idle, range_ = 41.0 * (1 + 0.03 * random.standard_normal()), 66.0 * (1 + 0.03 * random.standard_normal())
    return {"name": f"pc-{n}", "class": "desktop", "idle": idle, "peak": idle + range_}


def true_joules(numbers: Sequence[int], begin: int, end: int) -> float:
    """What PCs drew in a window of the tests' days [J]: times count from the first of them."""
    return sum(fake.true_joules(machine(n), begin - day(DAYS), end - day(DAYS)) for n in numbers)


def gateway(name: str, numbers: Sequence[int], *, metered: bool) -> Sender:
    names = tuple(f"pc-{n}" for n in numbers)
    columns = (*pair("plug"), *LOAD) if metered else LOAD
    return Sender(name, schema=Schema((Group(names, columns),)), offset=day(DAYS) * SECOND)


def rows(numbers: Sequence[int], begin: int, end: int, *, metered: bool) -> list[tuple[int, float, list[float]]]:
    made = [fake.machine(machine(n)) for n in numbers]
    found = []
    for tick in range(round((begin - day(DAYS)) / ROW) + 1, round((end - day(DAYS)) / ROW) + 1):
        t, told = tick * ROW, []
        for one in made:
            plug = [one.joules(t) - one.joules(0.0), t] if metered else []
            told += [*plug, one.cpus * (one.load_seconds(t) - one.load_seconds(0.0)), one.cpus * t, t]
        found.append((tick, t, told))
    return found


class Linked:
    """The gateways' connection to the collector."""

    def __init__(self, place: Site, collector: Collector, name: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        secret = keys.read_secret(place.key(name))
        self._socket.curve_secretkey, self._socket.curve_publickey = secret, zmq.curve_public(secret)
        self._socket.curve_serverkey = (place.folder / "keys" / "collector.pub").read_text().strip().encode()
        self._socket.connect(f"tcp://127.0.0.1:{collector.port}")

    def book(self, sender: Sender, described: Mapping[str, Any], told: list[Any]) -> None:
        """Send rows and wait until all are booked."""
        self._socket.send(sender.hello({"class": "gateway", "devices": described}))
        last = 0
        for at in range(0, len(told), 96):
            part = told[at : at + 96]
            last = part[-1][0]
            self._socket.send(sender.frame(part[0][0] - 1, part, at=part[-1][1]))

        def booked() -> bool:
            while self._socket.poll(50):
                data = self._socket.recv()
                assert wire.kind_of(data)[1] == wire.ANSWER, wire.decode_refusal(data)
                if wire.decode_answer(data).position == last:
                    return True
            return False

        wait_for(booked, f"row {last} is booked")

    def close(self) -> None:
        self._socket.close(0)
        self._context.term()


class Local(http.client.HTTPConnection):
    """The API on the socket that belongs to the folder's owner."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def asked(collector: Collector, path: str, **query: str) -> dict[str, Any]:
    connection = Local(collector.state / "api.sock")
    connection.request("GET", f"/api/v1/{path}?{urlencode(query)}")
    answer = connection.getresponse()
    body: dict[str, Any] = json.loads(answer.read())
    assert answer.status == 200, body
    connection.close()
    return body


def energy(collector: Collector, begin: int, end: int, view: str, **more: str) -> list[dict[str, Any]]:
    window = {name: datetime.fromtimestamp(at, PARIS).isoformat() for name, at in (("begin", begin), ("end", end))}
    found: list[dict[str, Any]] = asked(collector, "energy", view=view, grain="month", **window, **more)["rows"]
    return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as found:
        yield found


@pytest.mark.slow
def test_a_tenth_of_metered_machines_teaches_the_others_from_then_on_and_backwards(place: Site) -> None:
    collector = place.collector()
    for name in ("metered", "others"):
        secret = place.key(name)
        with (place.folder / "keys" / "agents").open("a") as listed:
            listed.write(f"{name} {secret.with_suffix('.pub').read_text().strip()}\n")
    collector.up()
    some, others = range(METERED), range(METERED, PCS)
    senders = {"metered": gateway("metered", some, metered=True), "others": gateway("others", others, metered=False)}
    of = {"metered": some, "others": others}
    described = {
        name: {f"pc-{n}": {"class": "desktop", "model": MODEL} for n in numbers} for name, numbers in of.items()
    }

    def tell(begin: int, end: int) -> None:
        for name, sender in senders.items():
            linked = Linked(place, collector, name)
            linked.book(sender, described[name], rows(of[name], begin, end, metered=name == "metered"))
            linked.close()

    # Two days by what is assumed of a desktop (30 to 90 W): they draw 41 to 107 W.
    first, second, third = day(DAYS), day(DAYS - 2), day(DAYS - 3)
    tell(first, second)
    (assumed,) = energy(collector, first, second, "booked", by="basis", basis="assumed")
    truth = true_joules(others, first, second)
    assert assumed["joules"] == pytest.approx(truth, rel=0.5)
    assert abs(assumed["joules"] / truth - 1) > 0.1, "else there is nothing to learn"
    before = energy(collector, first, second, "booked", by="device,basis")

    said = collector.ask("calibration", "learn", "--language", "fr")
    assert f"{MODEL} (desktop) : la puissance d’après sa charge est étalonnée sur 5 machines" in said
    print(collector.ask("calibration", "show"))
    (known,) = asked(collector, "calibrations")["calibrations"]
    assert known["valid_from"] == datetime.fromtimestamp(second, PARIS).isoformat()
    assert (known["machines"], known["version"], known["newest"]) == (METERED, 1, True)

    # Backwards: the days before are restated, and what was booked stays to the last bit.
    (restated,) = energy(collector, first, second, "restated", by="basis", basis="modelled")
    assert restated["joules"] == pytest.approx(truth, rel=0.03)
    assert restated["joules_low"] < truth < restated["joules_high"]
    assert not energy(collector, first, second, "restated", by="basis", basis="assumed")
    assert energy(collector, first, second, "booked", by="device,basis") == before

    # The collector is killed; it books the third day by what it had learnt, and rows of the second by what held then.
    collector.kill()
    collector.up()
    tell(second, third)
    (after,) = energy(collector, second, third, "booked", by="basis", basis="modelled")
    truth = true_joules(others, second, third)
    assert after["joules"] == pytest.approx(truth, rel=0.03)
    assert after["joules_low"] < truth < after["joules_high"]
    width, wider = (row["joules_high"] / row["joules"] - 1 for row in (after, assumed))
    assert width < wider / 3
    assert energy(collector, first, second, "booked", by="device,basis") == before
    assert energy(collector, second, third, "restated", by="device", basis="modelled") == [
        {**row, "joules_low": pytest.approx(row["joules_low"]), "joules_high": pytest.approx(row["joules_high"])}
        | {name: pytest.approx(row[name]) for name in row if name.startswith(("kwh", "kgco2e", "joules"))}
        for row in energy(collector, second, third, "booked", by="device", basis="modelled")
    ]

    # Everybody may know it, and which model a machine has.
    device = asked(collector, "calibrations", device="others/pc-7")["device"]
    assert device["calibrated"] == {"components": None, "load": 1}
    assert device["percent"]["load"] < 20
    status, page = collector.page("/metrics")
    assert status == 200
    assert 'thinwatt_collector_calibrated_models{way="load"} 1.0' in page
    backup = place.folder / "backup.duckdb"
    collector.ask("backup", str(backup))
    assert (place.folder / "backup.duckdb.calibrations.jsonl").read_text() == (
        collector.state / "calibrations.jsonl"
    ).read_text()
