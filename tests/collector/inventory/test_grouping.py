"""Groups of an estimate: none of fewer than five endpoints, nothing lost, and a line says where it can."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from thinwatt_collector.inventory.annual import Where
from thinwatt_collector.inventory.campus import Cell
from thinwatt_collector.inventory.grouping import OTHER, by_place, enough, with_models

NOBODYS = frozenset({"host"})
FEW = st.sampled_from(["", "A", "B"])


def cell(kind: str, site: str, building: str, room: str, devices: int, model: str = "m") -> Cell:
    return Cell(Where(kind, model, site, building, room), "", devices, 0, 0, 1.0)


CELLS = st.lists(
    st.builds(
        cell,
        st.sampled_from(["host", "desktop", "thin_client"]),
        FEW,
        FEW,
        FEW,
        st.integers(1, 9),
        st.sampled_from(["m", "n", ""]),
    ),
    max_size=12,
)


def sizes(names: list[tuple[str, ...] | None], cells: list[Cell]) -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for name, of in zip(names, cells, strict=True):
        if name is not None:
            found[name] += of.devices
    return found


@given(CELLS)
def test_no_group_is_of_fewer_than_five_endpoints_and_none_is_lost(cells: list[Cell]) -> None:
    endpoints = [of for of in cells if of.where.kind != "host"]
    for sort in (enough(5, NOBODYS), with_models(enough(5, NOBODYS), 5, NOBODYS)):
        found = list(sort(cells))
        for name, size in sizes(found, cells).items():
            assert size >= 5 or name[3] == "host"
        lost = [of for of, name in zip(cells, found, strict=True) if name is None]
        assert not lost or (lost == endpoints and sum(of.devices for of in lost) < 5)
        for named, of in zip(found, cells, strict=True):
            if of.where.kind == "host":
                assert named is not None
                assert named[:4] == by_place([of])[0]


@given(CELLS)
def test_a_group_says_nothing_that_is_not_so(cells: list[Cell]) -> None:
    for name, of in zip(enough(5, NOBODYS)(cells), cells, strict=True):
        for told, true in zip(name or (), by_place([of])[0], strict=False):
            assert told in (true, OTHER)


def test_small_rooms_join_their_building_then_their_site_then_the_campus_then_other_classes() -> None:
    cells = [
        cell("desktop", "N", "B1", "101", 25),
        cell("desktop", "N", "B1", "102", 3),
        cell("desktop", "N", "B1", "103", 2),
        cell("desktop", "N", "B2", "201", 4),
        cell("desktop", "N", "B3", "301", 1),
        cell("desktop", "S", "B4", "401", 4),
        cell("thin_client", "S", "B4", "401", 1),
        cell("host", "S", "B4", "dc", 2),
    ]
    assert enough(5, NOBODYS)(cells) == [
        ("N", "B1", "101", "desktop"),
        ("N", "B1", OTHER, "desktop"),
        ("N", "B1", OTHER, "desktop"),
        ("N", OTHER, OTHER, "desktop"),
        ("N", OTHER, OTHER, "desktop"),
        (OTHER,) * 4,
        (OTHER,) * 4,
        ("S", "B4", "dc", "host"),
    ]


def test_what_is_too_few_even_so_joins_the_smallest_group() -> None:
    cells = [
        cell("desktop", "N", "B1", "101", 25),
        cell("desktop", "N", "B1", "102", 8),
        cell("laptop", "N", "B1", "", 1),
    ]
    merged = ("N", "B1", OTHER, OTHER)  # what they have in common: somebody can go there
    assert enough(5, NOBODYS)(cells) == [("N", "B1", "101", "desktop"), merged, merged]
    assert enough(5, NOBODYS)(cells[2:]) == [None]


def test_models_stand_apart_only_if_each_is_of_five() -> None:
    room = ("N", "B", "1")
    both = [cell("desktop", *room, 20, "m"), cell("desktop", *room, 5, "n")]
    few = [cell("desktop", *room, 20, "m"), cell("desktop", *room, 4, "n")]
    sort = with_models(enough(5, NOBODYS), 5, NOBODYS)
    assert [n and n[4] for n in sort(both)] == ["m", "n"]
    assert [n and n[4] for n in sort(few)] == [OTHER, OTHER]
    assert [n and n[4] for n in sort(few[:1])] == ["m"]
