"""By what an estimate is told: place and class; for everybody, so that no line is of fewer than k endpoints. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from typing import Final

from thinwatt_collector.inventory.campus import Cell, Named, Sort

OTHER: Final = "other"
"""Stands for places, classes and models of which single ones are too few."""


def by_place(cells: Sequence[Cell]) -> list[Named]:
    """Return site, building, room and class of each cell."""
    return [(c.where.site, c.where.building, c.where.room, c.where.kind) for c in cells]


def by_place_and_model(cells: Sequence[Cell]) -> list[Named]:
    """Return site, building, room, class and hardware model of each cell."""
    return [(*place, c.where.model) for place, c in zip(by_place(cells), cells, strict=True)]


def enough(k: int, nobodys: Collection[str]) -> Sort:
    """Return how cells are grouped so that each group has k devices, or is nobody's.

    Rooms of fewer join others of their building, then of their site, then of the whole campus, then other classes;
    what is too few even so joins the smallest group that is not, under what all of it has in common. Of a campus of
    fewer than k endpoints there is none.

    Args:
        k: devices of a group at least.
        nobodys: classes whose groups may be of any size.
    """

    def sort(cells: Sequence[Cell]) -> list[Named | None]:
        found = by_place(cells)
        for told in (2, 1, 0):
            few = _few(found, cells, k, nobodys)
            found = [(*n[:told], *(OTHER,) * (3 - told), n[3]) if n in few else n for n in found]
        few = _few(found, cells, k, nobodys)
        found = [(OTHER,) * 4 if n in few else n for n in found]
        return _last(found, cells, k, nobodys)

    return sort


def _last(found: list[Named], cells: Sequence[Cell], k: int, nobodys: Collection[str]) -> list[Named | None]:
    few = _few(found, cells, k, nobodys)
    if not few:
        return list(found)
    sizes = _sizes(found, cells)
    large = [(size, name) for name, size in sizes.items() if name not in few and name[3] not in nobodys]
    if not large:
        return [None if name in few else name for name in found]
    merged = {*few, min(large)[1]}
    told = _common([name for name, mine in zip(by_place(cells), found, strict=True) if mine in merged])
    if told in sizes.keys() - merged:
        told = (OTHER,) * 4
    return [told if name in merged else name for name in found]


def _common(names: Sequence[Named]) -> Named:
    """Return what all have in common, from the site down, and their class.

    >>> _common([("North", "B", "B305", "desktop"), ("North", "B", "B306", "thin_client")])
    ('North', 'B', 'other', 'other')
    """
    same = [len(set(column)) == 1 for column in zip(*names, strict=True)]
    same[:3] = [all(same[: n + 1]) for n in range(3)]
    return tuple(text if alike else OTHER for text, alike in zip(names[0], same, strict=True))


def _few(found: Sequence[Named], cells: Sequence[Cell], k: int, nobodys: Collection[str]) -> set[Named]:
    return {name for name, size in _sizes(found, cells).items() if size < k and name[3] not in nobodys}


def _sizes(found: Sequence[Named], cells: Sequence[Cell]) -> Counter[Named]:
    sizes: Counter[Named] = Counter()
    for name, cell in zip(found, cells, strict=True):
        sizes[name] += cell.devices
    return sizes


def with_models(sort: Sort, k: int, nobodys: Collection[str]) -> Sort:
    """Return groups cut by hardware model, where each of a group's models has k devices."""

    def cut(cells: Sequence[Cell]) -> list[Named | None]:
        groups = sort(cells)
        sizes: dict[Named, Counter[str]] = defaultdict(Counter)
        for name, cell in zip(groups, cells, strict=True):
            if name is not None:
                sizes[name][cell.where.model] += cell.devices
        found: list[Named | None] = []
        for name, cell in zip(groups, cells, strict=True):
            of = sizes[name] if name is not None else Counter[str]()
            apart = len(of) == 1 or (name is not None and name[3] in nobodys) or min(of.values(), default=0) >= k
            found.append(None if name is None else (*name, cell.where.model if apart else OTHER))
        return found

    return cut
