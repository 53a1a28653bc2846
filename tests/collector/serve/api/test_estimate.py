"""The estimate of the running collector: it begins with nothing, each agent narrows it, and law 7 holds for it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.collector.serve.api.shelf import PARIS, Memory, Told
from thinwatt_collector.factors import table
from thinwatt_collector.inventory.files import Entry, Origin
from thinwatt_collector.inventory.places import Places
from thinwatt_collector.inventory.tables import records
from thinwatt_collector.inventory.watched import Standing
from thinwatt_collector.serve.api import campus, told
from thinwatt_collector.serve.api.books import Known
from thinwatt_collector.serve.api.energy import Accounts
from thinwatt_collector.serve.api.privacy import Role
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

    def __init__(self, stands: Standing, memory: Memory) -> None:
        self.stands, self.memory = stands, memory
        self.accounts = Accounts(
            table.load({"zone": "FR"}), Published(PARIS, None, lambda: stands), lambda: stands, PARIS.key
        )

    def estimate(self, role: Role, now: int = NOW) -> dict[str, Any]:
        day = datetime.fromtimestamp(now, PARIS).date()
        who = told.connected(self.stands, self.memory.census(), day, now)
        heard = told.heard(self.accounts, self.memory, who, role, now, PARIS)
        return campus.estimate(self.stands, day, who, heard, role, now)


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


@pytest.mark.parametrize("count, said", [(27, 0.0), (28, 1.0)])
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


KINDS = st.sampled_from([("desktop", "pc"), ("desktop", "old"), ("thin_client", "tc"), ("laptop", "book")])
ROOMS = st.sampled_from(["1", "2", "3"])


@st.composite
def agents(draw: st.DrawFn, one_model: bool) -> tuple[list[Seat], list[Told]]:
    """Machines, and their agents in some order; each group of them has one basis."""
    count = draw(st.integers(3, 12))
    seats = [(*draw(KINDS), draw(ROOMS)) for _ in range(count)]
    if one_model:
        seats = [(kind, kind, room) for kind, _, room in seats]
    basis = {seat: draw(st.sampled_from(["measured", "modelled", "assumed"])) for seat in sorted(set(seats))}
    said = []
    for n in draw(st.permutations(range(count))):
        length = draw(st.sampled_from([10, 28, 90, 200, 364]))
        joules = draw(st.floats(1e4, 1e7))
        said.append(Told(device(n, *seats[n][:2]), basis[seats[n]], days(joules, length)))
    return seats, said


@settings(max_examples=25, deadline=None)
@given(agents(one_model=False))
def test_each_agent_narrows_the_running_estimate_or_leaves_it_in_any_order(
    fleet: tuple[list[Seat], list[Told]],
) -> None:
    seats, said = fleet
    stands = standing(seats, without=3)
    widths = [width(Collector(stands, Memory(said[:n])).estimate("technical")) for n in range(len(said) + 1)]
    assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(widths)), widths


@settings(max_examples=15, deadline=None)
@given(agents(one_model=True))
def test_for_everybody_it_is_never_surer_than_it_is_and_never_wider_than_without_agents(
    fleet: tuple[list[Seat], list[Told]],
) -> None:
    """One more agent may make a room's figure one of its building: then it is wider by a hair."""
    seats, said = fleet
    stands = standing(seats, without=3)
    widths = []
    for n in range(len(said) + 1):
        exact, public = (Collector(stands, Memory(said[:n])).estimate(role) for role in ("technical", "public"))
        widths.append(width(public))
        assert widths[-1] >= width(exact) * (1 - 1e-9)
        assert widths[-1] <= widths[0] * (1 + 1e-9)
    assert all(b <= a * 1.02 for a, b in itertools.pairwise(widths)), widths
