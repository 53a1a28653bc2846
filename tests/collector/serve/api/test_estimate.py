"""The estimate of the running collector: it begins with nothing, each agent narrows it, and law 7 holds for it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.collector.serve.api.conftest import Campus as Ledger
from tests.collector.serve.api.shelf import PARIS, Memory, Told
from thinwatt_collector.factors import table
from thinwatt_collector.inventory.files import Entry, Origin
from thinwatt_collector.inventory.places import Places
from thinwatt_collector.inventory.tables import records
from thinwatt_collector.inventory.watched import Standing
from thinwatt_collector.readers import LedgerReader
from thinwatt_collector.serve.api import told
from thinwatt_collector.serve.api.books import Census, Known, Reader
from thinwatt_collector.serve.api.campus import estimate
from thinwatt_collector.serve.api.energy import Accounts
from thinwatt_collector.serve.api.present import everybodys
from thinwatt_collector.serve.api.privacy import K, Role
from thinwatt_collector.serve.api.published import Published

NOW = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp())
NEWEST = datetime(2026, 11, 22)  # noqa: DTZ001  # a local day
"""The last day that an estimate of that day looks at."""


def entry(kind: str, **cells: object) -> Entry:
    return Entry(kind, cells, Origin(f"{kind}.csv", 2))


Seat = tuple[str, str, str]
"""Class, model and room of a machine."""


def standing(seats: Sequence[Seat], buildings: Mapping[str, str] | None = None, without: int = 0) -> Standing:
    """An inventory of machines d0, d1 …, of rooms in building B if nothing else is said; some more have no agent."""
    entries = [entry("sites", name="N", establishment="U", tariff=0.2), entry("establishments", name="U")]
    rooms = sorted({room for _, _, room in seats})
    of = {room: (buildings or {}).get(room, "B") for room in rooms}
    entries += [entry("buildings", name=b, site="N") for b in sorted(set(of.values()))]
    entries += [entry("rooms", name=room, building=b) for room, b in of.items()]
    for n, (kind, model, room) in enumerate(seats):
        entries.append(entry("devices", name=f"d{n}", model=model, room=room, **{"class": kind}))
        if without:
            cells = {"class": kind, "count": without}
            entries.append(entry("devices", name=f"more like d{n}", model=model, room=room, **cells))
    inventory, wrong = records(entries)
    assert not wrong
    return Standing(inventory, Places(inventory, PARIS), 1)


def days(joules: float, count: int, last: datetime = NEWEST) -> dict[datetime, float]:
    return {last - timedelta(days=n): joules for n in range(count)}


def device(seat: int, kind: str, model: str, simulated: bool = False) -> Known:
    return Known(f"d{seat}", "gateway", kind, f"ledger's {model}", simulated)


class Collector:
    """The parts of a running collector that answer."""

    def __init__(self, stands: Standing, memory: Reader) -> None:
        self.stands, self.memory = stands, memory
        self.accounts = Accounts(
            table.load({"zone": "FR"}), Published(PARIS, None, lambda: self.stands), lambda: self.stands, PARIS.key
        )

    def estimate(self, role: Role, now: int = NOW) -> dict[str, Any]:
        day = datetime.fromtimestamp(now, PARIS).date()
        census = self.memory.census()
        if role == "public":
            census = everybodys(Census(), census, anew=True)
        who = told.connected(self.stands, census, day, now)
        heard = told.heard(self.accounts, self.memory, who, role, now, PARIS)
        return estimate(self.stands, day, who, heard, role, now)


def width(found: Mapping[str, Any]) -> float:
    return float(found["energy"]["kwh_high"] - found["energy"]["kwh_low"])


def test_without_an_agent_all_is_assumed_and_what_to_connect_first_is_ranked() -> None:
    found = Collector(standing([("desktop", "pc", "1")] * 20 + [("thin_client", "tc", "2")] * 20), Memory())
    for role in ("public", "technical"):
        shown = found.estimate(role)
        assert (shown["measured"], shown["modelled"], shown["agents"], shown["devices"]) == (0.0, 0.0, 0, 40)
        assert width(shown) > 0.5 * shown["energy"]["kwh"]
        assert [a["class"] for a in shown["advice"]] == ["desktop", "thin_client"]
        assert shown["advice"][0]["kwh_removed"] > shown["advice"][1]["kwh_removed"] > 0
        assert sum(g["kwh"] for g in shown["groups"]) == pytest.approx(shown["energy"]["kwh"])


def test_a_year_that_agents_told_is_the_estimate() -> None:
    seats = [("desktop", "pc", "1")] * 10
    memory = Memory([Told(device(n, "desktop", "pc"), "measured", days(3.6e6, 364)) for n in range(10)])
    shown = Collector(standing(seats), memory).estimate("technical")
    assert shown["energy"]["kwh"] == pytest.approx(10 * 365, rel=0.01)
    assert shown["measured"] == pytest.approx(1.0)
    assert shown["agents"] == 10
    assert not shown["advice"]
    assert width(shown) < 0.1 * shown["energy"]["kwh"]
    assert shown["price"]["eur"] == pytest.approx(0.2 * shown["energy"]["kwh"])
    public = Collector(standing(seats), memory).estimate("public")
    assert public["energy"] == pytest.approx(shown["energy"])


@pytest.mark.parametrize("count, said", [(21, 0.0), (28, 1.0)])
def test_less_than_four_weeks_are_counted_and_tell_nothing(count: int, said: float) -> None:
    seats = [("desktop", "pc", "1")] * 10
    memory = Memory([Told(device(n, "desktop", "pc"), "measured", days(3.6e6, count)) for n in range(10)])
    with_agents = Collector(standing(seats), memory).estimate("technical")
    nothing = Collector(standing(seats), Memory()).estimate("technical")
    assert with_agents["agents"] == 10
    assert with_agents["measured"] == pytest.approx(said)
    assert (width(with_agents) < width(nothing)) == (said > 0)
    assert not with_agents["advice"], "they are connected: they need time, not an agent"


def test_made_up_devices_tell_nothing_of_real_ones() -> None:
    seats = [("desktop", "pc", "1")] * 12
    memory = Memory([Told(device(n, "desktop", "pc", n < 5), "measured", days(3.6e6, 364)) for n in range(12)])
    shown = Collector(standing(seats), memory).estimate("technical")
    assert shown["simulated"] is False
    only_real = Memory(memory.told[5:])
    assert shown["energy"] == Collector(standing(seats), only_real).estimate("technical")["energy"]


KINDS = [("desktop", "pc"), ("desktop", "old"), ("thin_client", "tc"), ("laptop", "book")]


@st.composite
def agents(
    draw: st.DrawFn, kinds: Sequence[tuple[str, str]], rooms: str, most: int, lengths: Sequence[int]
) -> tuple[list[Seat], list[Told]]:
    """Machines, and their agents in some order; each group of them has one basis."""
    count = draw(st.integers(3, most))
    seats = [(*draw(st.sampled_from(kinds)), draw(st.sampled_from(rooms))) for _ in range(count)]
    basis = {seat: draw(st.sampled_from(["measured", "modelled", "assumed"])) for seat in sorted(set(seats))}
    said = []
    for n in draw(st.permutations(range(count))):
        joules = days(draw(st.floats(1e4, 1e7)), draw(st.sampled_from(lengths)))
        said.append(Told(device(n, *seats[n][:2]), basis[seats[n]], joules))
    return seats, said


@settings(max_examples=20, deadline=None)
@given(agents(KINDS, "123", 10, (10, 28, 90, 364)))
def test_each_agent_narrows_the_running_estimate_or_leaves_it_in_any_order(
    fleet: tuple[list[Seat], list[Told]],
) -> None:
    seats, said = fleet
    stands = standing(seats, without=3)
    widths = [width(Collector(stands, Memory(said[:n])).estimate("technical")) for n in range(len(said) + 1)]
    assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(widths)), widths


@settings(max_examples=10, deadline=None)
@given(agents([("desktop", "pc"), ("thin_client", "tc")], "12", 24, (10, 28, 50)), st.integers(1, 4))
def test_for_everybody_it_is_never_surer_than_it_is_and_never_wider_than_without_agents(
    fleet: tuple[list[Seat], list[Told]], step: int
) -> None:
    """One more agent may make a room's figure one of its building: then it is wider by a hair."""
    seats, said = fleet
    stands = standing(seats, without=3)
    widths = []
    for n in range(0, len(said) + 1, step):
        exact, public = (Collector(stands, Memory(said[:n])).estimate(role) for role in ("technical", "public"))
        widths.append(width(public))
        assert widths[-1] >= width(exact) * (1 - 1e-9)
        assert widths[-1] <= widths[0] * (1 + 1e-9)
    assert all(b <= a * 1.02 for a, b in itertools.pairwise(widths)), widths


ATTACKED: tuple[Seat, ...] = (
    *[("desktop", "pc", "1")] * 6,
    *[("desktop", "pc", "2")] * 3,
    *[("thin_client", "tc", "2")] * 5,
    *[("laptop", "book", "1")] * 2,
)
"""Rooms of five and more, a room of three, and a class of two."""
Days = list[dict[datetime, float]]


def drawn() -> Days:
    rng = np.random.default_rng(7)
    every = sorted(days(0.0, 35))
    return [{day: 1e6 * float(rng.uniform(0.5, 2.0)) for day in every} for _ in ATTACKED]


def watched(role: Role, energy: Days, edits: Sequence[Standing] = ()) -> NDArray[np.float64]:
    """All numbers that estimates of three days show to somebody, of a ledger that grows meanwhile.

    Of each day once with the inventory as it is, and once as it has just been edited.
    """
    said = [
        Told(device(n, *seat[:2]), "modelled", of) for n, (seat, of) in enumerate(zip(ATTACKED, energy, strict=True))
    ]
    memory = Memory()
    collector = Collector(standing(ATTACKED, without=1), memory)
    found: list[float] = []
    for later in (-2, -1, 0):
        last = NEWEST + timedelta(days=later)
        memory.told = [replace(t, days={day: x for day, x in t.days.items() if day <= last}) for t in said]
        for stands in edits[later + 2 : later + 4] or (collector.stands,):
            collector.stands = stands
            found += numbers(collector.estimate(role, NOW + later * 86_400))
    return np.array(found)


def numbers(document: Any) -> list[float]:
    if isinstance(document, Mapping):
        return [x for of in document.values() for x in numbers(of)]
    if isinstance(document, list):
        return [x for of in document for x in numbers(of)]
    return [float(document)] if isinstance(document, (int, float)) and math.isfinite(document) else []


CELLS = ([*range(9)], [*range(9, 14)])
"""Who is in a published cell each day: the room of three joins the other; the two laptops are in none."""


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_estimates_over_time_know_only_what_cells_of_five_endpoints_tell_everybody(data: st.DataObject) -> None:
    """Within a cell and day energy may go from one device to another, and of those in none it may be anything: no
    number that is shown to everybody moves. That cells hide few devices is for test_privacy.py to say.
    """
    before = drawn()
    after = [dict(of) for of in before]
    for _ in range(data.draw(st.integers(1, 40))):
        day = data.draw(st.sampled_from(sorted(before[0])))
        one, other = data.draw(st.lists(st.sampled_from(data.draw(st.sampled_from(CELLS))), min_size=2, max_size=2))
        part = data.draw(st.floats(0.0, 1.0)) * after[one][day]
        after[one][day] -= part
        after[other][day] += part
    for laptop in (14, 15):
        after[laptop] = {day: x * data.draw(st.floats(0.0, 9.0)) for day, x in after[laptop].items()}
    assert watched("public", after) == pytest.approx(watched("public", before), rel=1e-9)


@st.composite
def edited(draw: st.DrawFn) -> Standing:
    """The machines of :data:`ATTACKED` in other rooms, some of which moved on a day of the window, some forgotten."""
    rooms = st.sampled_from("12")
    entries = [entry("sites", name="N", establishment="U", tariff=0.2), entry("establishments", name="U")]
    entries += [entry("buildings", name="B", site="N")] + [entry("rooms", name=r, building="B") for r in "12"]
    for n, (kind, model, room) in enumerate(ATTACKED):
        cells = {"name": f"d{n}", "model": model, "class": kind}
        stays = draw(st.sampled_from(["there", "elsewhere", "moved", "moved", "forgotten"] if n < 14 else ["there"]))
        moved = (NEWEST - timedelta(days=draw(st.integers(-1, 34)))).date()
        if stays == "there":
            entries.append(entry("devices", room=room, **cells))
        elif stays == "elsewhere":
            entries.append(entry("devices", room=draw(rooms), **cells))
        elif stays == "moved":
            entries.append(entry("devices", room=room, valid_to=str(moved - timedelta(days=1)), **cells))
            entries.append(entry("devices", room=draw(rooms), valid_from=str(moved), **cells))
        if draw(st.booleans()):
            more = cells | {"name": f"more like d{n}", "count": draw(st.integers(1, 3))}
            entries.append(entry("devices", room=draw(rooms), **more))
    inventory, wrong = records(entries)
    assert not wrong
    return Standing(inventory, Places(inventory, PARIS), draw(st.integers(1, 10**6)))


@settings(max_examples=12, deadline=None)
@given(st.lists(edited(), min_size=4, max_size=4), st.data())
def test_an_edited_inventory_and_machines_that_moved_tell_everybody_no_more_of_four_of_them(
    edits: list[Standing], data: st.DataObject
) -> None:
    """Whatever any four machines of a cell drew, as long as the cell drew the same, nobody sees a difference.

    Wherever its rooms are, all desktops are in one cell, and all thin clients: of neither there are two times five.
    """
    before = drawn()
    after = [dict(of) for of in before]
    for cell in CELLS:
        some = data.draw(st.lists(st.sampled_from(cell), min_size=2, max_size=K - 1, unique=True))
        for day in data.draw(st.sets(st.sampled_from(sorted(before[0])), min_size=1)):
            part = data.draw(st.floats(0.1, 1.0)) * after[some[0]][day]
            after[some[0]][day] -= part
            for machine in some[1:]:
                after[machine][day] += part / (len(some) - 1)
    assert watched("public", after, edits) == pytest.approx(watched("public", before, edits), rel=1e-9)


def test_the_role_technical_sees_what_a_room_of_three_drew() -> None:
    before = drawn()
    after = [dict(of) for of in before]
    after[0], after[6] = (
        {d: x * 0.5 for d, x in before[0].items()},
        {d: before[6][d] + x * 0.5 for d, x in before[0].items()},
    )
    assert watched("technical", after) != pytest.approx(watched("technical", before), rel=1e-3)
    assert watched("public", after) == pytest.approx(watched("public", before), rel=1e-9)


def test_what_one_device_brings_late_moves_no_estimate_for_everybody() -> None:
    seats = [("desktop", "pc", "1")] * 6
    memory = Memory([Told(device(n, "desktop", "pc"), "measured", days(2e6, 40)) for n in range(6)])
    shown = Collector(standing(seats, without=3), memory)
    first = shown.estimate("public")
    days_before = {**memory.told[0].days, NEWEST - timedelta(days=5): 9e6}
    memory.told[0] = replace(memory.told[0], days=days_before)
    assert shown.estimate("public") == first
    assert shown.estimate("technical")["energy"] != first["energy"]
    # The day after it has one day more of all of them, and nothing of what was late.
    on_time = Memory([Told(device(n, "desktop", "pc"), "measured", days(2e6, 40)) for n in range(6)])
    beside = Collector(standing(seats, without=3), on_time)
    assert beside.estimate("public", NOW - 86_400)["day"] == "2026-11-23"
    assert shown.estimate("public", NOW + 86_400) == beside.estimate("public", NOW + 86_400)


def test_groups_for_everybody_are_of_five_endpoints_and_add_up() -> None:
    shown = Collector(standing(ATTACKED, {"2": "C"}), Memory()).estimate("public")
    assert all(g["devices"] >= K for g in shown["groups"])
    assert sum(g["devices"] for g in shown["groups"]) == len(ATTACKED)
    assert sum(g["kwh"] for g in shown["groups"]) == pytest.approx(shown["energy"]["kwh"])
    exact = Collector(standing(ATTACKED, {"2": "C"}), Memory()).estimate("technical")
    assert min(g["devices"] for g in exact["groups"]) == 2
    assert all(a["devices"] >= K for a in shown["advice"])


@pytest.mark.parametrize("role", ["public", "technical"])
def test_a_ledger_says_the_same_as_one_in_memory(campus: Ledger, role: Role) -> None:
    """Six weeks by the engine that runs, in rooms, bases and models."""
    rng = np.random.default_rng(3)
    memory = Memory()
    for n, (kind, model, _) in enumerate(ATTACKED):
        of = {day: float(rng.integers(1, 10**7)) for day in days(0.0, 42 if n % 2 else 35)}
        source = int(kind != "desktop")
        basis = ("measured", "modelled")[source]
        memory.told.append(Told(device(n, kind, model), basis, of))
        number = campus.device(f"d{n}", kind, f"ledger's {model}")
        for day, joules in of.items():
            slot = int(day.replace(hour=12, tzinfo=PARIS).timestamp()) // 900
            campus.energy(number, [slot], joules, source=source, covered=86_400.0, bias=0.05 * joules)
    stands = standing(ATTACKED, without=2)
    real = Collector(stands, LedgerReader(campus.ledger.reader()))
    found, expected = real.estimate(role), Collector(stands, memory).estimate(role)
    assert numbers(found) == pytest.approx(numbers(expected))
    assert found["agents"] == len(ATTACKED) - (2 if role == "public" else 0)  # two laptops are too few
    assert found["measured"] > 0
    assert found["modelled"] > 0
