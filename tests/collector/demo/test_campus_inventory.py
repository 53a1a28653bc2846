"""The inventory of the made-up campus: nothing to mend, the ledger's names, and an estimate that holds the truth."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from thinwatt_collector.demo.campus.inventory import PUE, write
from thinwatt_collector.demo.campus.places import university
from thinwatt_collector.demo.campus.reports import BASES
from thinwatt_collector.demo.campus.simulation import Campus
from thinwatt_collector.inventory import reuse
from thinwatt_collector.inventory.annual import Weeks, Where, readings
from thinwatt_collector.inventory.bearing import Bearing
from thinwatt_collector.inventory.campus import Fleet
from thinwatt_collector.inventory.check import check
from thinwatt_collector.inventory.devices import devices_on
from thinwatt_collector.inventory.heard import Heard, alone
from thinwatt_collector.inventory.life_cycle import of_folder
from thinwatt_collector.inventory.page import by_class, connect_next
from thinwatt_collector.inventory.tables import Inventory, load

DAY = date(2026, 9, 1)
DEVICES = university().devices
NAMES = [d.name for d in DEVICES]
Floats = NDArray[np.float64]


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


def test_it_shows_second_lives_and_what_is_used_again(inventory: Inventory) -> None:
    cycle = of_folder(inventory)
    labels = [where.told(("class",)) if where.kind == "desktop" else None for where in cycle.wheres]
    (row,) = Bearing(cycle, labels).rows((DAY - timedelta(days=366), DAY))
    assert row.reconditioned == 30
    assert row.left == {"given": 26, "sold": 4, "scrapped": 14, "retired": 16}
    assert row.masses["cutoff"]["amortised"].expected != row.masses["linear"]["amortised"].expected
    *_, year = reuse.by_year(cycle, (2025, 2026), [("",)] * len(cycle.wheres))
    assert year.share is not None
    assert year.proportion is not None


@dataclass(frozen=True)
class Year:
    """The year before the day, by device and local day: what was drawn [J], and what was said of it.

    ``said`` has joules, covered seconds and bias by basis, shape (3, devices, 3, 365).
    """

    true: Floats
    said: Floats

    def told(self) -> dict[str, float]:
        """What each device truly drew."""
        return dict(zip(NAMES, self.true.sum(axis=1).tolist(), strict=True))

    def heard(self, weeks: Callable[[str], slice], rooms: Collection[str] = ()) -> Heard:
        """What the campus's agents would have said, of each room in some of the last 52 weeks."""
        groups: dict[Where, Weeks] = {}
        connected: dict[str, int] = {}
        for room in rooms or {DEVICES[i].room for i in university().spoken_for}:
            mine = [i for i, d in enumerate(DEVICES) if d.room == room]
            there = np.zeros(52)
            there[weeks(room)] = 1.0
            by_week = self.said[:, mine, :, 1:].reshape(3, len(mine), 3, 52, 7).sum(axis=4)
            joules, covered, bias = by_week * there
            for model in {DEVICES[i].model for i in mine}:
                of = [DEVICES[i].model == model for i in mine]
                by_basis = {b: (float(joules[of, n].sum()), float(bias[of, n].sum())) for n, b in enumerate(BASES)}
                heard = (covered[of].sum(axis=1) > 0).sum(axis=0).astype(np.float64)
                where = Where(DEVICES[mine[0]].kind, model, room=room)
                groups[where] = Weeks(joules[of].sum(axis=(0, 1)), covered[of].sum(axis=(0, 1)), heard, by_basis)
            connected |= {DEVICES[i].name: 1 for i in mine}
        return Heard(connected, readings(groups, ()))


@pytest.fixture(scope="module")
def year() -> Year:
    made, first = Campus(1), DAY - timedelta(days=365)
    true, said = np.zeros((len(DEVICES), 365)), np.zeros((3, len(DEVICES), 3, 365))
    for begin in range(0, 365, 73):
        block = made.block(first + timedelta(days=begin), first + timedelta(days=begin + 73))
        limits = block.days.begin // 900 - block.first
        mine, told = slice(begin, begin + 73), block.reports
        true[:, mine] = np.add.reduceat(block.true, limits, axis=1)
        for n, amount in enumerate((told.joules, told.covered, told.bias)):
            said[n, told.device, told.basis, mine] = np.add.reduceat(amount, limits, axis=1)
    return Year(true, said)


@pytest.fixture(scope="module")
def true(year: Year) -> float:
    """Of the whole campus [J]: what a room's cooling takes is in its PUE, which is exact here."""
    return sum(joules * (PUE if "/host-" in name else 1.0) for name, joules in year.told().items())


def test_the_truth_is_inside_from_no_agent_to_all_and_each_room_narrows_it(
    inventory: Inventory, year: Year, true: float
) -> None:
    """With a meter on each device; the room that gets none by design stays assumed."""
    drawn = year.told()
    waiting = {d.room: [x.name for x in DEVICES if x.room == d.room] for d in DEVICES if d.has_agent != "none"}
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
        told |= {name: drawn[name] for name in waiting.pop(room)}
    assert len(told) == 1056 - 25


def estimated(inventory: Inventory, heard: Heard, true: float) -> tuple[float, float]:
    """The expected year as part of the true one, and the interval's width likewise; the truth is inside."""
    energy = Fleet(inventory, DAY, heard).whole().energy
    assert energy.low < true < energy.high, f"{energy} does not hold {true}"
    return energy.expected / true, (energy.high - energy.low) / true


def test_what_the_gateways_said_in_a_year_holds_the_truth_and_is_surer_than_nothing(
    inventory: Inventory, year: Year, true: float
) -> None:
    ratio, width = estimated(inventory, year.heard(lambda _: slice(None)), true)
    assert ratio == pytest.approx(1.0, abs=0.05)
    assert width < 0.6 * estimated(inventory, Heard(), true)[1]


@pytest.mark.parametrize("weeks", [4, 8, 13, 26, 39])
def test_a_part_of_the_year_is_not_taken_for_all_of_it(
    inventory: Inventory, year: Year, true: float, weeks: int
) -> None:
    """Whatever weeks all agents began and ended with: those of August, or of the term."""
    nothing = estimated(inventory, Heard(), true)[1]
    for begin in range(0, 52 - weeks + 1, 4):
        ratio, width = estimated(inventory, year.heard(lambda _, b=begin: slice(b, b + weeks)), true)  # type: ignore[misc]  # a default keeps the loop variable
        assert 0.8 < ratio < 1.2, f"{weeks} weeks from week {begin}"
        assert width < nothing


def test_the_holidays_alone_are_far_from_the_year_and_an_extrapolation_would_believe_them(
    inventory: Inventory, year: Year, true: float
) -> None:
    """From the closure of July and August: what the PCs drew times 365 / 28, against what is made of it."""
    august = slice(46, 50)
    pcs = [i for i, d in enumerate(DEVICES) if d.kind == "desktop"]
    extrapolated = year.true[pcs, 1:].reshape(len(pcs), 52, 7)[:, august].sum() * 365 / 28 / year.true[pcs].sum()
    assert extrapolated < 0.65
    of_class = ("desktop",)
    found = Fleet(inventory, DAY, year.heard(lambda _: august))
    group = next(g for g in found.groups(by_class) if g.name == of_class)
    assert group.energy.low < year.true[pcs].sum() < group.energy.high
    assert group.energy.expected / year.true[pcs].sum() > 0.75


def test_rooms_that_came_one_after_the_other_are_compared_in_the_same_weeks(
    inventory: Inventory, year: Year, true: float
) -> None:
    rng = np.random.default_rng(1)
    begin = {d.room: int(rng.integers(0, 47)) for d in DEVICES}
    ratio, width = estimated(inventory, year.heard(lambda room: slice(begin[room], None)), true)
    assert ratio == pytest.approx(1.0, abs=0.05)
    assert width < 1.15 * estimated(inventory, year.heard(lambda _: slice(None)), true)[1]
