"""Where a device of the ledger stands at a time, and what its electricity costs there."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
from hypothesis import given

from thinwatt_collector.inventory.files import parse_toml
from thinwatt_collector.inventory.places import ALWAYS, EMPTY, FOR_EVER, LEVELS, Place, Places
from thinwatt_collector.inventory.tables import Inventory, records
from thinwatt_collector.inventory.terms import Price

PARIS = ZoneInfo("Europe/Paris")
CAMPUS = """
[[establishments]]
name = "University"
[[sites]]
name = "North"
establishment = "University"
tariff = 0.19
tariff_date = 2026-02-01
[[buildings]]
name = "B"
site = "North"
[[rooms]]
name = "B1"
building = "B"
[[rooms]]
name = "dc"
building = "B"
tariff = 0.15
tariff_date = 2026-01-01
[[pools]]
name = "tp"
establishment = "University"
[[seats]]
name = "B1 seats"
room = "B1"
pool = "tp"
[[devices]]
name = "Desk 3"
class = "thin_client"
seat = "B1 seats"
agent = "gw-b/tc-3"
[[devices]]
name = "pc-1"
class = "desktop"
room = "B1"
valid_to = 2026-03-28
[[devices]]
name = "pc-1"
class = "desktop"
room = "dc"
valid_from = 2026-03-29
[[hosts]]
name = "host-1"
pool = "tp"
"""


def inventory(text: str = CAMPUS) -> Inventory:
    found, problems = records(parse_toml(text.encode(), "campus.toml")[0])
    assert not problems
    return found


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=PARIS).astimezone(UTC).timestamp())


def told(places: Places, name: str, when: str) -> tuple[str, ...]:
    place = places.at(name, at(when)).place
    return tuple(place.level(level) for level in LEVELS)


def test_a_line_is_found_by_the_name_in_the_ledger() -> None:
    places = Places(inventory(), PARIS)
    assert set(places.names) == {"gw-b/tc-3", "pc-1", "host-1"}
    stay = places.at("gw-b/tc-3", at("2026-06-01"))
    assert stay.line is not None
    assert stay.line.name == "Desk 3"


def test_a_seat_tells_room_and_pool_and_a_pool_the_establishment() -> None:
    places = Places(inventory(), PARIS)
    assert told(places, "gw-b/tc-3", "2026-06-01") == ("University", "North", "B", "B1", "tp")
    assert told(places, "host-1", "2026-06-01") == ("University", "", "", "", "tp")


def test_a_device_that_moved_is_in_each_room_for_its_time_by_local_midnights() -> None:
    places = Places(inventory(), PARIS)
    assert told(places, "pc-1", "2026-03-28T23:45")[3] == "B1"
    assert told(places, "pc-1", "2026-03-29T00:00")[3] == "dc"
    assert at("2026-03-29") in places.changes(at("2026-03-01"), at("2026-04-01"))
    assert places.changes(at("2026-03-29"), at("2026-04-01")) == []


def test_the_price_is_the_rooms_else_the_sites_else_the_collectors_each_from_its_day_on() -> None:
    places = Places(inventory(), PARIS, Price(0.25, date(2025, 1, 1), "collector"))

    def price(name: str, when: str) -> tuple[float, str] | None:
        found = places.at(name, at(when)).place.price
        return (found.eur_per_kwh, found.where) if found else None

    assert price("gw-b/tc-3", "2024-12-31") is None
    assert price("gw-b/tc-3", "2026-01-15") == (0.25, "collector")
    assert price("gw-b/tc-3", "2026-02-01") == (0.19, "site North")
    assert price("pc-1", "2026-06-01") == (0.15, "room dc")
    assert price("nobody-knows-it", "2026-06-01") == (0.25, "collector")


def test_what_no_line_is_of_stands_nowhere() -> None:
    (stay,) = Places(EMPTY, PARIS).stays("pc-9")
    assert (stay.begin, stay.end, stay.place, stay.line) == (ALWAYS, FOR_EVER, Place(), None)


DATES = st.dates(date(2026, 1, 1), date(2026, 12, 31))


@given(st.lists(st.tuples(DATES, st.integers(0, 200), st.sampled_from(["B1", "dc", "gone"])), max_size=5), DATES)
def test_at_every_time_a_device_stands_in_one_place_and_that_of_its_first_line_that_holds(
    lines: list[tuple[date, int, str]], day: date
) -> None:
    moved = "".join(
        f'[[devices]]\nname = "x"\nclass = "desktop"\nroom = "{room}"\nvalid_from = {first}\n'
        f"valid_to = {date.fromordinal(first.toordinal() + days)}\n"
        for first, days, room in lines
    )
    places = Places(inventory(CAMPUS + moved), PARIS)
    stays = places.stays("x")
    assert (stays[0].begin, stays[-1].end) == (ALWAYS, FOR_EVER)
    assert all(a.end == b.begin and (a.place, a.line) != (b.place, b.line) for a, b in pairwise(stays))
    holds = (room for first, days, room in lines if 0 <= (day - first).days <= days)
    room = next(holds, "")
    assert told(places, "x", f"{day}T12:00")[3] == ("" if room == "gone" else room)
