"""/api/v1/estimate of 1,000 and 10,000 devices with a year behind them: within 1 s and 3 s.

Every device has a day row for each day of the year, in rooms of 25 of one class and model; a tenth more of the
inventory has no agent. *Mixed* is the worst: no two devices of a room are alike. ``cold`` reads the year from the
ledger, as once a local day; ``anew`` has the inventory changed: what agents told is read again and all is worked out;
``warm`` is any other request. Who may see less waits for the published cells besides.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import duckdb

from benchmarks.history import CLASSES, FIRST, HOURS, MODELS, PER_ROOM, write
from benchmarks.measure import Figure, parser, report, spread
from thinwatt_collector.factors import table
from thinwatt_collector.inventory.watched import Watched
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger
from thinwatt_collector.readers import LedgerReader
from thinwatt_collector.serve.api.books import Agent, Gate
from thinwatt_collector.serve.api.campus import CampusView
from thinwatt_collector.serve.api.energy import Accounts
from thinwatt_collector.serve.api.published import Published

UTC: Final = ZoneInfo("UTC")
NOW: Final = (FIRST + HOURS) * 3600 + 36 * 3600
LIMITS: Final = {1_000: 1.0, 10_000: 3.0}


CAMPUS: Final = """
[[establishments]]
name = "U"
[[sites]]
name = "S"
establishment = "U"
[[buildings]]
name = "B"
site = "S"
"""
ONE_SLOT: Final = "INSERT INTO kept_slot VALUES (0, ?, 0, 1, 0, 0, 900, 1, 1)"
"""Tells since when there is energy."""

ALIKE: Final = "UPDATE device SET class = ?[1 + id // ? % ?], model = 'model ' || (id // ? % ?)"


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--turns", type=int, default=3)
    chosen = options.parse_args()
    figures: list[Figure] = []
    for devices in LIMITS if not chosen.quick else (1_000,):
        figures += _speed(devices, chosen.turns, PER_ROOM)
    if not chosen.quick:
        figures += _speed(10_000, 1, 1)
    report("estimate", figures, ["single-threaded reads of day rows; the role technical"])


class _Books:
    def __init__(self, ledger: DuckDBLedger) -> None:
        self._ledger = ledger

    def reader(self) -> LedgerReader:
        return LedgerReader(self._ledger.reader())

    def agents(self, after: str, limit: int) -> list[Agent]:  # noqa: ARG002 - nobody asks
        return []


def _inventory(folder: Path, devices: int, alike: int) -> None:
    folder.mkdir()
    count = devices + devices // 10
    rooms = "".join(f"room {i},B\n" for i in range(-(-count // PER_ROOM)))
    (folder / "campus.toml").write_text(CAMPUS)
    (folder / "rooms.csv").write_text("name,building\n" + rooms)
    kinds = [CLASSES[i // alike % len(CLASSES)] for i in range(count)]
    lines = [f"d{i},{kind},model {i // alike % MODELS},room {i // PER_ROOM}\n" for i, kind in enumerate(kinds)]
    (folder / "devices.csv").write_text("name,class,model,room\n" + "".join(lines))


def _speed(devices: int, turns: int, alike: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        path, inventory = Path(folder) / "ledger.duckdb", Path(folder) / "inventory"
        write(path, devices, hours=False)
        with duckdb.connect(str(path)) as connection:
            connection.execute(ONE_SLOT, [4 * FIRST])
            connection.execute(ALIKE, [list(CLASSES), alike, len(CLASSES), alike, MODELS])
        _inventory(inventory, devices, alike)
        ledger = DuckDBLedger(path)
        watched = Watched(inventory, "UTC")
        walls: dict[str, list[float]] = {"cold": [], "anew": [], "warm": []}
        for _ in range(turns):
            for name, wall in asyncio.run(_asked(_Books(ledger), watched, inventory)).items():
                walls[name].append(wall)
        ledger.close()
    limit = LIMITS[devices]
    found = []
    for name, seconds in walls.items():
        seen, kind = spread(seconds), "" if alike > 1 else " mixed"
        reached = seen.median <= limit if alike > 1 else None
        aim = f"≤ {limit:g}" if alike > 1 else ""
        found.append(Figure(f"{devices:,}{kind} devices, {name}", seen, "s", aim, reached, "the limit"))
    return found


async def _asked(books: _Books, watched: Watched, inventory: Path) -> dict[str, float]:
    gate = Gate(books)
    accounts = Accounts(table.load({"zone": "FR"}), Published(UTC, None, watched.now), watched.now, "UTC")
    view = CampusView(gate, accounts, watched.now, UTC)
    found = {}
    for name in ("cold", "anew", "warm"):
        if name == "anew":
            (inventory / "rooms.csv").touch()
            watched.look()
        began = time.perf_counter()
        answer = await view.estimate("technical", NOW)
        found[name] = time.perf_counter() - began
        if not 0.2 < answer["measured"] < 0.5 or not answer["advice"]:
            raise RuntimeError(f"a third of the devices are measured, and a tenth has no agent: {answer['measured']}")
    return found


if __name__ == "__main__":
    main()
