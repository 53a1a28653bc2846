"""What endpoints are kept as: groups of five at least, as near to their room as that allows."""

from __future__ import annotations

from collections import Counter
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from thinwatt_collector.inventory.files import Entry, Origin
from thinwatt_collector.inventory.folding import FEWEST, Endpoint, folded
from thinwatt_collector.inventory.places import Places, place_of
from thinwatt_collector.inventory.tables import Inventory, records

ROOMS = {"A1": "A", "A2": "A", "B1": "B", "C1": "C"}
SITES = {"A": "north", "B": "north", "C": "south"}
AT = 1_700_000_000


def campus(stands: dict[str, str]) -> Inventory:
    """Devices by room, in buildings of two sites of one establishment."""
    tables: list[tuple[str, dict[str, str]]] = [("establishments", {"name": "U"})]
    tables += [("sites", {"name": s, "establishment": "U"}) for s in sorted(set(SITES.values()))]
    tables += [("buildings", {"name": b, "site": s}) for b, s in SITES.items()]
    tables += [("rooms", {"name": r, "building": b}) for r, b in ROOMS.items()]
    tables += [("devices", {"name": d, "class": "desktop", "room": r}) for d, r in stands.items()]
    found, problems = records([Entry(t, cells, Origin("x.toml", i)) for i, (t, cells) in enumerate(tables, 1)])
    assert not problems
    return found


def fold(stands: dict[str, str], endpoints: list[Endpoint]) -> dict[int, str]:
    numbers, keys = folded(Places(campus(stands), ZoneInfo("Europe/Paris")), endpoints, AT)
    assert len(set(numbers)) == len(numbers)
    return dict(zip(numbers, keys, strict=True))


def test_rooms_of_five_stay_rooms_and_others_join_what_they_stand_in() -> None:
    stands = {f"a{i}": "A1" for i in range(6)} | {f"b{i}": "A2" for i in range(3)} | {f"c{i}": "B1" for i in range(2)}
    endpoints = [Endpoint(i, name, "desktop", False) for i, name in enumerate(stands)]
    found = {name: place_of(fold(stands, endpoints)[i]) for i, name in enumerate(stands)}
    assert {found[f"a{i}"].room for i in range(6)} == {"A1"}
    # Three of A2 are too few for a room and for building A without A1; with the two of B1 they are five of the site.
    assert {(found[n].room, found[n].building, found[n].site) for n in ("b0", "b2", "c0", "c1")} == {("", "", "north")}


def test_four_of_a_campus_are_kept_as_their_class() -> None:
    stands = {f"d{i}": "C1" for i in range(4)}
    assert fold(stands, [Endpoint(i, n, "desktop", False) for i, n in enumerate(stands)]) == {}


@given(
    st.lists(
        st.tuples(st.sampled_from([*ROOMS, ""]), st.sampled_from(["desktop", "laptop"]), st.booleans()), max_size=40
    )
)
def test_no_group_is_of_fewer_than_five_and_no_class_is_mixed(of: list[tuple[str, str, bool]]) -> None:
    stands = {f"d{i}": room for i, (room, _, _) in enumerate(of) if room}
    endpoints = [Endpoint(i, f"d{i}", kind, made_up) for i, (_, kind, made_up) in enumerate(of)]
    found = fold(stands, endpoints)
    groups = Counter((of[i][1], of[i][2], key) for i, key in found.items())
    assert all(count >= FEWEST for count in groups.values())
    for number, key in found.items():
        place, room = place_of(key), of[number][0]
        assert place.room in ("", room)
        assert place.site in ("", SITES[ROOMS[room]])
