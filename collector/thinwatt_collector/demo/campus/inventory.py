"""The inventory of the made-up campus: one folder, in which each device has the name that it has in the ledger."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from thinwatt_collector.demo.campus.places import HOST_BUILDING, HOST_POOL, HOST_ROOM, OLDER_HOST, Places

ESTABLISHMENT, SITES = "Université simulée", {"centre": "Centre-ville", "north": "Campus nord"}
"""French names, since the university is French: whoever looks is told in their own language that it is made up."""
CENTRAL: Final = frozenset({"adm", "bu"})
"""Buildings in the city; the others stand on the north campus."""
BUILDINGS: Final = {"adm": "Administration", "bu": "Bibliothèque"}
PLACES: Final = """\
# A made-up university: nothing in it was measured or bought.

[[establishments]]
name = "{establishment}"

[[sites]]
name = "{north}"
establishment = "{establishment}"
zone = "FR"
tariff = 0.19                 # EUR/kWh
tariff_date = {priced}

[[sites]]
name = "{centre}"
establishment = "{establishment}"
zone = "FR"
tariff = 0.21
tariff_date = {priced}

[[models]]
name = "FUTRO S740"
class = "thin_client"
released = 2019-06-01
embodied = 106                # kgCO2e
lifetime = 7

[[models]]
name = "t540"
class = "thin_client"
released = 2020-01-01
embodied = 106
lifetime = 7

[[models]]
name = "tour de bureau"
class = "desktop"
idle = 30                     # W at the wall, as its sheet says
active = 45
embodied = 300
lifetime = 5

[[models]]
name = "serveur VDI 2021"
class = "host"
idle = 190
active = 700
embodied = 1278
lifetime = 6

[[models]]
name = "serveur VDI 2024"
class = "host"
idle = 150
active = 560
embodied = 1278
lifetime = 6
"""
PUE: Final = 1.4
AGES: Final = {"thin_client": 3, "desktop": 4, "host": 2}
"""Years since the first of a class was bought; further rooms a month later each."""
REPLACED: Final = "PC remplacés"
LEFT: Final = {"scrapped": 14, "sold": 4, "given": 26}
"""What became of PCs that were replaced a year ago; some are in stock yet."""
IN_STOCK: Final = 16
YEAR, MONTH = timedelta(days=365), timedelta(days=30)


def building(name: str) -> str:
    """Return a building's name for people."""
    return BUILDINGS.get(name, f"Bâtiment {name.removeprefix('bat-').upper()}")


def write(folder: Path, places: Places, day: date) -> None:
    """Write the inventory of the campus as it is on a day.

    Args:
        folder: is made; files of an earlier one are written anew.
        places: whose devices, with their names of the ledger.
        day: nothing was bought after it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    priced = date(day.year - 1, 1, 1)
    text = PLACES.format(establishment=ESTABLISHMENT, priced=priced, **SITES)
    (folder / "campus.toml").write_text(text, encoding="utf-8")
    named = dict.fromkeys([HOST_BUILDING, *(room.building for room in places.rooms)])
    sites = ((building(n), SITES["centre" if n in CENTRAL else "north"]) for n in named)
    _csv(folder / "buildings.csv", ("name", "site"), sites)
    rooms = [(HOST_ROOM, building(HOST_BUILDING), PUE), *((r.name, building(r.building), "") for r in places.rooms)]
    _csv(folder / "rooms.csv", ("name", "building", "pue"), rooms)
    pools = [HOST_POOL, *(pool.name for pool in places.pools)]
    _csv(folder / "pools.csv", ("name", "establishment"), ((pool, ESTABLISHMENT) for pool in pools))
    seats = ((f"{r.name} seats", r.name, r.pool, r.count) for r in places.rooms if r.pool)
    _csv(folder / "seats.csv", ("name", "room", "pool", "count"), seats)
    bought = {room.name: day - AGES[room.kind] * YEAR + i % 12 * MONTH for i, room in enumerate(places.rooms)}
    hosts = (
        (h.name, h.model, h.room, HOST_POOL, day - (AGES["host"] + 3 * (i == OLDER_HOST)) * YEAR, "yes")
        for i, h in enumerate(places.hosts)
    )
    _csv(folder / "hosts.csv", ("name", "model", "room", "pool", "purchased", "agent"), hosts)
    seated = {room.name: f"{room.name} seats" if room.pool else "" for room in places.rooms}
    devices = [
        (d.name, d.model, d.room, seated[d.room], bought[d.room], d.has_agent, "", "")
        for d in places.devices[len(places.hosts) :]
    ]
    room = next(room for room in places.rooms if room.kind == "desktop")
    old = (REPLACED, "tour de bureau", room.name, "", day - 8 * YEAR, "none", sum(LEFT.values()) + IN_STOCK, day - YEAR)
    head = ("name", "model", "room", "seat", "purchased", "agent", "count", "retired")
    _csv(folder / "devices.csv", head, [*devices, old])
    _csv(
        folder / "events.csv", ("device", "date", "event", "count", "to", "embodied", "lifetime"), _events(places, day)
    )


def _events(places: Places, day: date) -> Iterator[tuple[object, ...]]:
    """Yield what became of the PCs that were replaced, and a room of PCs that begin a second life."""
    for n, (event, count) in enumerate(LEFT.items(), 1):
        yield REPLACED, day - YEAR + 2 * n * MONTH, event, count, "une école" if event == "given" else "", "", ""
    *_, again = (room for room in places.rooms if room.kind == "desktop")
    for device in places.devices:
        if device.room == again.name:
            yield device.name, day - 3 * MONTH, "reconditioned", "", "", 24, 3


def _csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(head)
        table.writerows(rows)
