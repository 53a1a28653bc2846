"""The inventory of the made-up campus: nothing to mend, the ledger's names, and an estimate that holds the truth."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from thinwatt_collector.demo.campus.inventory import PUE, write
from thinwatt_collector.demo.campus.places import university
from thinwatt_collector.demo.campus.simulation import Campus
from thinwatt_collector.inventory.campus import Fleet, alone, devices_on
from thinwatt_collector.inventory.check import check
from thinwatt_collector.inventory.page import connect_next
from thinwatt_collector.inventory.tables import Inventory, load

DAY = date(2026, 9, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inventory")
    write(path, university(), DAY)
    return path


@pytest.fixture(scope="module")
def inventory(folder: Path) -> Inventory:
    return load(folder)[0]


def test_there_is_nothing_to_mend(folder: Path) -> None:
    assert [str(p) for p in check(folder, DAY)] == []


def test_its_devices_are_those_of_the_ledger(inventory: Inventory) -> None:
    found = {(d.name, d.kind, d.model, d.room) for d in devices_on(inventory, DAY)}
    assert found == {(d.name, d.kind, d.model, d.room) for d in university().devices}


@pytest.fixture(scope="module")
def year() -> dict[str, float]:
    """What each device truly drew in the year before the day [J]."""
    made, total, first = Campus(1), np.zeros(1056), DAY - timedelta(days=365)
    for begin in range(0, 365, 73):
        total += made.block(first + timedelta(days=begin), first + timedelta(days=begin + 73)).true.sum(axis=1)
    return dict(zip((d.name for d in made.places.devices), total.tolist(), strict=True))


def test_the_truth_is_inside_from_no_agent_to_all_and_each_room_narrows_it(
    inventory: Inventory, year: dict[str, float]
) -> None:
    places = university()
    # What a room's cooling takes is in its PUE, which is exact here.
    true = sum(joules * (PUE if "/host-" in name else 1.0) for name, joules in year.items())
    waiting = {room: [d.name for d in places.devices if d.room == room] for room in {d.room for d in places.devices}}
    told: dict[str, float] = {}
    width = np.inf
    while True:
        found = Fleet(inventory, DAY, alone(inventory, DAY, told))
        energy = found.whole().energy
        assert energy.low < true < energy.high, f"{len(told)} devices tell"
        assert energy.high - energy.low < width
        width = energy.high - energy.low
        if not waiting:
            break
        room = next(a.name[1] for a in connect_next(found) if a.name[0] == "room")
        told |= {name: year[name] for name in waiting.pop(room)}
    assert len(told) == 1056
