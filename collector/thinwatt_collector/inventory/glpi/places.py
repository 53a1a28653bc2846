"""From GLPI's paths to names of ours: an entity is an establishment, a location a site, a building and a room.

A name of ours is one thing, so that the room 101 of two buildings needs two: a room keeps its short name unless
another building has one of that name; then its building stands before it. What the inventory has keeps its name.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from thinwatt_collector.inventory.glpi.mapping import Meanings, Parts, parts, within
from thinwatt_collector.inventory.tables import Inventory

BETWEEN: Final = " / "


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where GLPI says that a machine stands, in GLPI's names."""

    site: str
    building: str
    room: str


def place_of(location: str, meanings: Meanings) -> Place | None:
    """Return the place of a location's path, None where it tells none; what it leaves out is called so.

    >>> place_of("Nord > Bât. B > 2e étage > B205", Meanings())
    Place(site='Nord', building='Bât. B', room='2e étage / B205')
    >>> place_of("Nord", Meanings())
    Place(site='Nord', building='Nord / unnamed', room='Nord / unnamed')
    """
    path = parts(location, meanings.separator)
    told, rest = within(path, meanings.locations)
    path = (*told, *rest) if told else path
    if not path:
        return None
    at = dict(zip(meanings.levels, path, strict=False))
    deeper = path[len(meanings.levels) :]
    site = at.get("site", path[-1])
    building = at.get("building", BETWEEN.join((site, meanings.unnamed)))
    inside = [part for part in (at.get("room", ""), *deeper) if part]
    named = building if "building" in at else site
    return Place(site, building, BETWEEN.join(inside or (named, meanings.unnamed)))


def establishment_of(entity: str, meanings: Meanings) -> str:
    """Return the establishment of an entity's path, "" where there is no entity.

    >>> establishment_of("Root entity > Université A > DSI", Meanings()), establishment_of("Root entity", Meanings())
    ('Université A', 'Root entity')
    """
    path = parts(entity, meanings.separator)
    told, _ = within(path, meanings.entities)
    if told:
        return str(told)
    return path[min(meanings.level, len(path)) - 1] if path else ""


@dataclass(slots=True)
class Gazetteer:
    """The names here of GLPI's places, and what has to be added for them.

    Attributes:
        rooms: place → its room's name here.
        added: table → lines to add, parents before children.
        several: sites whose machines belong to several establishments, each with how many; the first has the site.
    """

    rooms: dict[Place, str] = field(default_factory=dict)
    added: dict[str, list[dict[str, str]]] = field(default_factory=lambda: defaultdict(list))
    several: dict[str, Counter[str]] = field(default_factory=dict)


def name_places(
    stands: Iterable[tuple[Place, str]], inventory: Inventory, day: date, establishment: str = "unnamed"
) -> Gazetteer:
    """Return the names here of places.

    Args:
        stands: place and establishment ("" where it is not known) of every machine.
        inventory: what there is.
        day: on which it has to be there.
        establishment: of sites whose machines have none.
    """
    owners: dict[str, Counter[str]] = defaultdict(Counter)
    places = set()
    for place, owner in stands:
        places.add(place)
        owners[place.site][owner] += 1
    found = Gazetteer()
    known = [record.name for record in inventory.records("establishments")]
    usual = known[0] if len(set(known)) == 1 else establishment
    sites = _named(inventory, day, "sites", {(p.site,): "" for p in places}, "", found)
    for line in found.added["sites"]:
        counted = Counter({owner or usual: n for owner, n in sorted(owners[line["name"]].items())})
        line["establishment"] = counted.most_common(1)[0][0]
        if len(counted) > 1:
            found.several[line["name"]] = counted
    wanted = dict.fromkeys(sorted(line["establishment"] for line in found.added["sites"]))
    found.added["establishments"] = [{"name": name} for name in wanted if name not in known]
    within_site: dict[Parts, str] = {(p.site, p.building): sites[p.site,] for p in places}
    buildings = _named(inventory, day, "buildings", within_site, "site", found)
    within_building: dict[Parts, str] = {(p.site, p.building, p.room): buildings[p.site, p.building] for p in places}
    rooms = _named(inventory, day, "rooms", within_building, "building", found)
    found.rooms = {p: rooms[p.site, p.building, p.room] for p in places}
    return found


def _named(
    inventory: Inventory, day: date, table: str, wanted: Mapping[Parts, str], parent: str, into: Gazetteer
) -> dict[Parts, str]:
    """Return the name here of each path; ``wanted`` has the name here of what it stands in, its column ``parent``."""
    found: dict[Parts, str] = {}
    for path, inside in wanted.items():
        there = (inventory.on(day, table, name) for name in candidates(path))
        at = next((r for r in there if r and (not parent or r.text(parent) == inside)), None)
        if at:
            found[path] = at.name
    taken = set(inventory.tables[table])
    new = sorted(path for path in wanted if path not in found)
    claims = Counter(name for path in new for name in candidates(path))
    for path in new:
        names = candidates(path)
        name = next((n for n in names if n not in taken and claims[n] == 1), names[-1])
        taken.add(name)
        found[path] = name
        into.added[table].append({"name": name, **({parent: wanted[path]} if parent else {})})
    return found


def candidates(path: Parts) -> Sequence[str]:
    """Return what a place may be called, the shortest first.

    >>> candidates(("Nord", "Bât. B", "101"))
    ['101', 'Bât. B / 101', 'Nord / Bât. B / 101', 'Nord / Bât. B / 101 *']
    """
    whole = BETWEEN.join(path)
    return [*(BETWEEN.join(path[i:]) for i in reversed(range(1, len(path)))), whole, f"{whole} *"]
