"""Who is there: expected, connected, by design, silent; and what of it tells whether one endpoint is on."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from thinwatt_collector.inventory.files import parse_toml
from thinwatt_collector.inventory.places import Places
from thinwatt_collector.inventory.tables import records
from thinwatt_collector.inventory.watched import Standing, nothing_known
from thinwatt_collector.serve.api.books import Census, Known
from thinwatt_collector.serve.api.present import AWAY, Silence, agents, classes, everybodys
from thinwatt_collector.serve.api.privacy import K, Role

NOW = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp())
DAY = date(2026, 11, 24)
STALE = 600.0


def known(name: str, kind: str = "desktop", agent: str = "", simulated: bool = False) -> Known:
    return Known(name, agent or name, kind, "", simulated)


def silence(heard: dict[str, float], *devices: Known) -> Silence:
    """Agents, and how long ago each was heard [s]."""
    return Silence(Census(devices, {name: int((NOW - ago) * 1e9) for name, ago in heard.items()}), NOW, STALE)


HOST, PC = known("srv", "host"), known("pc")
SEATS = [known(f"gw/tc-{n}", "thin_client", "gw") for n in range(5)]
FEW = [known(f"small/tc-{n}", "thin_client", "small") for n in range(4)]


@pytest.mark.parametrize(
    "heard, technical, public",
    [
        ({"srv": 10, "pc": 10, "gw": 10, "small": 10}, 0, 0),
        ({"srv": 700, "pc": 10, "gw": 10, "small": 10}, 1, 1),
        ({"srv": 10, "pc": 700, "gw": 10, "small": 10}, 0, 0),
        ({"srv": 10, "pc": AWAY + 1, "gw": 10, "small": 10}, 1, 0),
        ({"srv": 10, "pc": 10, "gw": 700, "small": 10}, 1, 1),
        ({"srv": 10, "pc": 10, "gw": 10, "small": 700}, 1, 0),
        ({"pc": 10, "gw": 10, "small": 10}, 1, 1),
        ({}, 4, 2),
    ],
)
def test_an_endpoint_may_be_off_and_whether_it_is_not_for_everybody(
    heard: dict[str, float], technical: int, public: int
) -> None:
    found = silence(heard, HOST, PC, *SEATS, *FEW)
    assert agents(found, "technical") == [{"simulated": False, "known": 4, "silent": technical}]
    assert agents(found, "public") == [{"simulated": False, "known": 4, "silent": public}]


def test_made_up_agents_are_counted_apart() -> None:
    there = silence({"srv": 10, "sim": 9999, "gw": 10}, HOST, known("sim", "host", simulated=True))
    assert agents(there, "public") == [
        {"simulated": False, "known": 2, "silent": 0},
        {"simulated": True, "known": 1, "silent": 1},
    ]
    assert agents(silence({}), "public") == []


def test_an_agent_without_a_device_is_known_too() -> None:
    assert agents(silence({"gw": 10}), "public") == [{"simulated": False, "known": 1, "silent": 0}]


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["desktop", "host"]), st.booleans()), max_size=40))
def test_a_number_of_endpoints_with_an_agent_is_five_at_least_and_moves_by_five_or_with_the_day(
    steps: list[tuple[int, str, bool]],
) -> None:
    """Machines come, or go where they are there already; everybody looks after each of them."""
    there: dict[str, Known] = {}
    shown, before = Census(), 0
    for number, kind, anew in steps:
        device = known(f"{kind}-{number}", kind)
        there.pop(device.name, None) or there.update({device.name: device})
        census = Census(list(there.values()), dict.fromkeys(there, NOW * 10**9))
        shown = everybodys(shown, census, anew)
        endpoints = {d.name for d in shown.devices if d.kind != "host"}
        told = sum(row["known"] for row in agents(Silence(shown, NOW, STALE), "public"))
        assert told == len(shown.devices)
        assert {d.name for d in shown.devices if d.kind == "host"} == {n for n, d in there.items() if d.kind == "host"}
        assert len(endpoints) == 0 or len(endpoints) >= K
        assert anew or len(endpoints) == before or abs(len(endpoints) - before) >= K or not endpoints
        before = len(endpoints)
    final = everybodys(shown, Census(list(there.values())), True)
    many = [n for n, d in there.items() if d.kind != "host"]
    assert {d.name for d in final.devices if d.kind != "host"} == set(many if len(many) >= K else ())


INVENTORY = """
[[hosts]]
name = "srv"
[[devices]]
name = "pc"
class = "desktop"
[[devices]]
name = "terminals"
class = "thin_client"
count = 20
agent = "none"
[[devices]]
name = "gw/tc-0"
class = "thin_client"
agent = "none"
"""


def standing() -> Standing:
    inventory, _ = records(parse_toml(INVENTORY.encode(), "x.toml")[0])
    return Standing(inventory, Places(inventory, ZoneInfo("Europe/Paris")), 1)


def row(kind: str, simulated: bool = False, devices: int | None = None) -> dict[str, Any]:
    return {"class": kind, "simulated": simulated, "devices": devices, "watts": None, "share": None}


def counts(found: list[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    return {r["class"]: tuple(r[n] for n in ("expected", "with_agent", "by_design", "silent")) for r in found}


@pytest.mark.parametrize("role, silent", [("technical", 1), ("public", None)])
def test_expected_connected_by_design_and_silent_by_class(role: Role, silent: int | None) -> None:
    late = silence({"srv": 700, "pc": AWAY + 1, "gw": 10}, HOST, PC, SEATS[0])
    found = classes([row("host", devices=1)], standing(), late, role, DAY)
    few = {"desktop": (1, 1, 0, silent)} if role == "technical" else {}  # one desktop is told to nobody, not even that
    assert counts(found) == few | {
        "host": (1, 1, 0, 1),
        # One of those without an agent by design has one all the same.
        "thin_client": (21, 1, 20, 0) if role == "technical" else (21, None, 20, None),
    }
    assert [r["devices"] for r in found if r["class"] != "desktop"] == [1, None]


def test_without_an_inventory_nothing_is_expected_and_what_is_connected_is_counted() -> None:
    there = silence({"srv": 10}, HOST, known("sim", "host", simulated=True), PC)
    found = classes([row("host"), row("host", simulated=True)], nothing_known(), there, "technical", DAY)
    assert [(r["simulated"], r["expected"], r["with_agent"], r["silent"]) for r in found] == [
        (False, None, 1, 0),
        (True, None, 1, 1),
    ]


def test_made_up_devices_of_an_inventory_stand_in_their_own_row() -> None:
    there = silence({}, known("srv", "host", simulated=True), known("other", "host"))
    found = classes([row("host"), row("host", simulated=True)], standing(), there, "technical", DAY)
    told = [(r["class"], r["simulated"], r["expected"], r["with_agent"]) for r in found]
    assert ("host", True, 1, 1) in told
    assert ("host", False, None, 1) in told
    assert ("desktop", True, 1, 0) in told
