"""A campus without agents: the truth is inside, agents narrow it room by room, and the page says so."""

from __future__ import annotations

import itertools
import json
from datetime import date
from math import nan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Golden
from thinwatt_collector.__main__ import main
from thinwatt_collector.inventory import example
from thinwatt_collector.inventory.campus import KWH, Fleet
from thinwatt_collector.inventory.devices import devices_on
from thinwatt_collector.inventory.files import Entry, Origin
from thinwatt_collector.inventory.heard import alone
from thinwatt_collector.inventory.page import classes, connect_next, document, page
from thinwatt_collector.inventory.profiles import profile
from thinwatt_collector.inventory.tables import Inventory, load, records

DAY = date(2026, 11, 24)
GOLDEN = Path(__file__).parents[2] / "golden" / "inventory"


def entry(table: str, **cells: object) -> Entry:
    return Entry(table, cells, Origin(f"{table}.csv", 2))


def university() -> Inventory:
    """The fleet of the research notes on VDI, section 5: 750 seats on 6 hosts, and 300 PCs in 10 rooms."""
    entries = [
        entry("establishments", name="U"),
        entry("sites", name="North", establishment="U", tariff=0.21, tariff_date=date(2025, 2, 1)),
        entry("buildings", name="B", site="North"),
        entry("rooms", name="servers", building="B", pue=1.5),
        entry("models", name="thin", **{"class": "thin_client"}),
        entry("models", name="pc", **{"class": "desktop"}),
        entry("models", name="server", **{"class": "host"}),
    ]
    rooms = {f"TP{i:02}": ("thin", 25) for i in range(20)} | {"free access": ("thin", 100), "staff": ("thin", 150)}
    rooms |= {f"PC{i:02}": ("pc", 30) for i in range(10)}
    for room, (model, count) in rooms.items():
        entries.append(entry("rooms", name=room, building="B"))
        entries.append(entry("devices", name=f"{room} machines", room=room, model=model, count=count))
    entries += [entry("hosts", name=f"h{i}", room="servers", pool="vdi", model="server") for i in range(6)]
    inventory, wrong = records(entries)
    assert not wrong
    return inventory


def truth(rng: np.random.Generator, inventory: Inventory) -> dict[str, float]:
    """A year of each line's machine [J], from the notes' own parameters and none of the estimate's tables.

    Hosts: 150 W idle, 560 W full, P = 150 + 410 u^0.75 at 3.3 % mean load, an older one + 25 %. Thin clients 8 W in
    666 session hours, 5 W half an hour after each of some 400, 0.19 W off; one in twenty never off. PCs 45 W in
    1,200 h, 30 W idle in 600 h, left on at night with a propensity Beta(1.2, 2.3), else 0.8 W off.
    """
    found = {}
    for device in devices_on(inventory, DAY):
        if device.kind == "host":
            watts = (150.0 + 410.0 * 0.033**0.75) * (1.25 if device.name == "h0" else 1.0)
            found[device.name] = watts * 8760 * 3600
        elif device.kind == "thin_client":
            on = 866.0 + rng.binomial(device.count, 0.05) / device.count * 7894.0
            found[device.name] = (666 * 8.0 + (on - 666) * 5.0 + (8760 - on) * 0.19) * 3600
        else:
            nights = rng.beta(1.2, 2.3, device.count).mean()
            found[device.name] = (1200 * 45.0 + 600 * 30.0 + 6960 * (nights * 30.0 + (1 - nights) * 0.8)) * 3600
    return found


def total(inventory: Inventory, told: dict[str, float]) -> float:
    """With the room's PUE, which nobody can measure on a device."""
    return sum(told[d.name] * d.count * (1.5 if d.kind == "host" else 1.0) for d in devices_on(inventory, DAY))


def campus(inventory: Inventory, day: date, told: dict[str, float] | None = None) -> Fleet:
    return Fleet(inventory, day, alone(inventory, day, told or {}))


def width(found: Fleet) -> float:
    energy = found.whole().energy
    return energy.high - energy.low


def rooms(found: Fleet) -> list[str]:
    """Rooms to connect, the one that narrows it most first."""
    return [a.name[1] for a in connect_next(found) if a.name[0] == "room"]


def inside(found: Fleet, true: float) -> bool:
    energy = found.whole().energy
    return energy.low < true < energy.high


@pytest.mark.parametrize("seed", range(5))
def test_the_truth_of_a_simulated_university_is_inside_and_stays_there_while_rooms_are_connected(seed: int) -> None:
    inventory = university()
    told = truth(np.random.default_rng(seed), inventory)
    true = total(inventory, told)
    by_room: dict[str, list[str]] = {}
    for device in devices_on(inventory, DAY):
        by_room.setdefault(device.room, []).append(device.name)
    connected: dict[str, float] = {}
    found = campus(inventory, DAY)
    before = width(found)
    assert before > 0.5 * found.whole().energy.expected, "nothing measured, much to say about it"
    while by_room:
        assert inside(found, true)
        connected |= {name: told[name] for name in by_room.pop(rooms(found)[0])}
        found = campus(inventory, DAY, connected)
        assert width(found) < before
        before = width(found)
    assert inside(found, true)
    assert found.whole().measured == pytest.approx(1.0)
    assert not connect_next(found)
    # What is left is meters and a declared PUE.
    assert before < 0.15 * true


@settings(max_examples=25)
@given(st.permutations([d.name for d in devices_on(university(), DAY)]), st.floats(0.2, 5.0))
def test_every_agent_narrows_it_in_any_order_whatever_it_tells(order: list[str], ratio: float) -> None:
    inventory = university()
    told = truth(np.random.default_rng(1), inventory)
    connected: dict[str, float] = {}
    widths, carbon, price = [], [], []
    for name in [None, *order[:8]]:
        if name is not None:
            connected[name] = told[name] * ratio
        found = campus(inventory, DAY, connected)
        whole = found.whole()
        widths.append(width(found))
        price.append(whole.price.high - whole.price.low)
        carbon.append(whole.carbon.expected)
    assert all(b < a for a, b in itertools.pairwise(widths))
    assert all(b < a for a, b in itertools.pairwise(price))
    assert min(carbon) > 0


def test_an_agent_that_has_told_nothing_yet_is_counted_and_makes_nothing_surer() -> None:
    """It narrowed the interval about what nobody had measured."""
    inventory = university()
    names = [d.name for d in devices_on(inventory, DAY) if d.room == "PC00"]
    before, after = campus(inventory, DAY), campus(inventory, DAY, dict.fromkeys(names, nan))
    assert width(after) == width(before)
    assert (after.whole().with_agent, after.whole().measured) == (30, 0.0)
    assert "PC00" in rooms(before)
    assert "PC00" not in rooms(after), "it is connected: it needs time, not an agent"


def test_the_first_advice_is_what_narrows_it_most() -> None:
    inventory = university()
    found = campus(inventory, DAY)
    listed = connect_next(found)
    of_rooms = [a for a in listed if a.name[0] == "room"]
    for advice in (of_rooms[0], of_rooms[-1]):
        names = [d.name for d in devices_on(inventory, DAY) if d.room == advice.name[1]]
        then = campus(inventory, DAY, dict.fromkeys(names, 1e9))
        assert width(found) - width(then) == pytest.approx(advice.narrower, rel=1e-6)
        assert advice.share == pytest.approx(advice.narrower / width(found))
    widths = [a.narrower for a in listed]
    assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(widths))
    # Ten PCs tell most of what three hundred have in common: their model goes before any one of their rooms.
    assert (listed[0].name, listed[0].devices) == (("model", "pc"), 10)


def small(**cells: object) -> Inventory:
    inventory, wrong = records([entry("devices", name="x", **{"class": "desktop", **cells})])
    assert not wrong
    return inventory


def test_without_an_agent_by_design_is_counted_as_energy_and_never_asked_for() -> None:
    free, designed = (campus(small(room="B", count=9, agent=agent), DAY) for agent in ("planned", "none"))
    assert [g.by_design for g in (*classes(free), *classes(designed))] == [0, 9]
    assert free.whole().energy == designed.whole().energy
    assert connect_next(free)
    assert not connect_next(designed)
    assert "9 without one by design" in page(designed)


@pytest.mark.parametrize(
    "cells, count",
    [
        ({}, 1),
        ({"purchased": DAY}, 1),
        ({"purchased": date(2026, 11, 25)}, 0),
        ({"retired": DAY}, 0),
        ({"retired": date(2026, 11, 25)}, 1),
        ({"valid_to": DAY}, 1),
        ({"valid_to": date(2026, 11, 23)}, 0),
        ({"valid_from": date(2026, 11, 25)}, 0),
    ],
)
def test_what_was_true_on_a_day(cells: dict[str, object], count: int) -> None:
    assert len(devices_on(small(**cells), DAY)) == count


def test_a_pue_that_changed_counts_from_its_day(tmp_path: Path) -> None:
    example.write(tmp_path)
    inventory, _ = load(tmp_path)
    hosts = [classes(campus(inventory, day))[0].energy.expected for day in (date(2025, 8, 31), date(2025, 9, 1))]
    assert hosts[0] / hosts[1] == pytest.approx(1.6 / 1.4)


def test_kwh_price_and_carbon_belong_together() -> None:
    found = campus(university(), DAY).whole()
    assert found.price.expected == pytest.approx(found.energy.expected / 3.6e6 * 0.21)
    # 46.1 g/kWh: ADEME Base Empreinte 2025, as in data/electricity.csv.
    assert found.carbon.expected == pytest.approx(found.energy.expected / 3.6e6 * 46.1)
    spread = [(r.high - r.low) / r.expected for r in (found.energy, found.carbon)]
    assert spread[1] > spread[0], "the factor is not sure either"


def test_nothing_is_nothing_and_what_nobody_knows_is_said() -> None:
    nothing = campus(records([])[0], DAY)
    empty = nothing.whole()
    assert (empty.energy.expected, empty.energy.high, connect_next(nothing)) == (0.0, 0.0, [])
    assert page(nothing)
    odd = campus(records([entry("devices", name="x", count=3), entry("hosts", name="h")])[0], DAY)
    assert (odd.whole().unknown, odd.whole().unplaced) == (3, 1)
    assert "3 devices of no known class: not counted at all" in page(odd)
    assert odd.whole().price.expected == 0.0
    assert document(odd)["price_eur"] is None


def test_the_default_of_a_desktop_lies_between_what_was_published() -> None:
    # Median of the makers' declared E_TEC 57 kWh, EcoDiag's desktop 189 kWh, ADEME and ADN Ouest's fixed PC 151 kWh.
    found = campus(small(room="B"), DAY).whole().energy
    assert 57 < found.expected / KWH < 189
    assert found.low / KWH < 57
    assert found.high / KWH > 189


def test_declared_watts_go_before_the_table_and_are_surer() -> None:
    inventory, _ = records([entry("models", name="M", idle=5.0, active=8.0, **{"class": "thin_client"})])
    declared, default = profile("thin_client", "M", inventory.records("models")[0]), profile("thin_client", "M", None)
    assert (declared.of, default.of) == ("inventory", "")
    assert declared.common["watts of thin_client M"] < sum(
        v for name, v in default.common.items() if name.startswith("watts")
    )
    # A default's errors: what the class shares and what is the model's own, together as large as the row says.
    parts = [v**2 for name, v in default.common.items() if name.startswith("watts")]
    assert len(parts) == 2


def test_the_page(golden: Golden, tmp_path: Path) -> None:
    golden(page(campus(university(), DAY)) + "\n", GOLDEN / "estimate.txt")
    golden(
        json.dumps(document(campus(university(), DAY)), ensure_ascii=False, indent=1) + "\n", GOLDEN / "estimate.json"
    )
    golden(example.text(), GOLDEN / "inventory.toml")


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "new" / "inventory")
    assert main(["inventory", "example", folder]) == 0
    assert main(["inventory", "check", folder, "--day", "2026-11-24"]) == 0
    assert capsys.readouterr().out.endswith("0 errors, 1 note\n")
    assert main(["inventory", "estimate", folder, "--day", "2026-11-24"]) == 0
    assert "all assumed" in capsys.readouterr().out
    assert main(["inventory", "example", folder]) == 1
    assert "is there already" in capsys.readouterr().err
    (Path(folder) / "rooms.csv").write_text("name;building\nX;nowhere\n", encoding="utf-8")
    assert main(["inventory", "check", folder, "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert [(p["id"], p["file"], p["line"]) for p in shown if p["severity"] == "error"] == [("orphan", "rooms.csv", 2)]
    assert main(["inventory", "estimate", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["errors"] == 1
    assert main(["inventory", "estimate", str(tmp_path / "none")]) == 1
    assert "inventory example" in capsys.readouterr().err
