"""Energy of a year of 10,000 devices (87.6 million hours) by any group coarser than a device: within a second.

The hours lie in the ledger's own file as compaction leaves them, and its day rows, 3.65 million, beside them. With
``--hours`` the hours are written as well; the questions do not read them, which is what day rows are for.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

import duckdb
import numpy as np

from benchmarks.measure import Figure, parser, report, spread
from thinwatt_collector.ledger.days import Grain
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger
from thinwatt_collector.ledger.history import Groups, energy

LIMIT: Final = 1.0
DAYS: Final = 365
FIRST: Final = 20_000 * 24
HOURS: Final = 24 * DAYS
PER_ROOM: Final = 25
CLASSES: Final = ("host", "thin_client", "desktop", "laptop", "monitor")
MODELS: Final = 40
QUESTIONS: Final[tuple[tuple[Grain, tuple[str, ...]], ...]] = (
    ("month", ()),
    ("month", ("class", "basis")),
    ("month", ("room",)),
    ("month", ("class", "model", "basis", "simulated", "room")),
    ("day", ("class", "basis")),
    ("day", ("model",)),
    ("day", ("room",)),
)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--devices", type=int, default=None)
    options.add_argument("--turns", type=int, default=3)
    options.add_argument("--hours", action="store_true", help="write the 87.6 million hours as well (a minute or two)")
    chosen = options.parse_args()
    devices = chosen.devices or (1_000 if chosen.quick else 10_000)
    groups: Groups = {"room": (range(devices), [f"room {i // PER_ROOM}" for i in range(devices)])}
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.duckdb"
        expected = write(path, devices, hours=chosen.hours)
        ledger = DuckDBLedger(path)
        reader = ledger.reader()
        for grain, by in QUESTIONS:
            walls, rows = [], 0
            for _ in range(chosen.turns):
                began = time.perf_counter()
                found = energy(reader, FIRST * 3600, (FIRST + HOURS) * 3600, grain, "UTC", by, groups=groups)
                walls.append(time.perf_counter() - began)
                rows, joules = len(found), float(found.joules.sum())
                if abs(joules / expected - 1) > 1e-9:
                    raise RuntimeError(f"{joules} J where {expected} belong")
            seen = spread(walls)
            name = f"by {' × '.join((grain, *by))}: {rows:,} rows"
            ratio = f"the limit; {seen.median / LIMIT:.2f} of it"
            figures.append(Figure(name, seen, "s", f"≤ {LIMIT:g}", seen.median <= LIMIT, ratio))
        ledger.close()
        size = path.stat().st_size
    notes = [
        f"{devices:,} devices, {devices * HOURS:,} hours as {devices * DAYS:,} day rows, one thread",
        f"{size / 2**20:,.0f} MiB with {'hours and days' if chosen.hours else 'days alone'}",
    ]
    report("history", figures, notes)


def write(path: Path, devices: int, *, hours: bool) -> float:
    """Write days, and hours if wanted, as compaction leaves them: day behind day, by device; return their sum [J]."""
    DuckDBLedger(path).close()
    random, total = np.random.default_rng(1), 0.0
    numbers = np.arange(devices, dtype=np.int32)
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            f"INSERT INTO device SELECT i, 'd' || i, 'a', {list(CLASSES)}[1 + i % {len(CLASSES)}], "  # noqa: S608 - constants
            f"'model ' || (i % {MODELS}), FALSE FROM range({devices}) AS r(i)"
        )
        for i, basis in enumerate(("measured", "modelled", "assumed")):
            connection.execute("INSERT INTO source VALUES (?, 'booked', '', 'wall', ?)", [i, basis])
        connection.execute("INSERT INTO day_zone VALUES ('UTC', TRUE)")
        for day in range(DAYS):
            first = FIRST + 24 * day
            joules = random.random((devices, 24)) * 1e6
            total += float(joules.sum())
            batch = {"device": numbers, "joules": joules.sum(axis=1)}
            connection.register("batch", batch)
            connection.execute("INSERT INTO local_day VALUES (?, ?, TRUE)", [first, first + 24])
            connection.execute(
                "INSERT INTO day_slot SELECT device, ?, device % 3, joules, 0, joules * 0.02, 86400, 96, 1 FROM batch",
                [first],
            )
            connection.unregister("batch")
            if hours:
                _write_hours(connection, numbers, first, joules)
        connection.execute("FORCE CHECKPOINT")
    return total


def _write_hours(connection: duckdb.DuckDBPyConnection, numbers: np.ndarray, first: int, joules: np.ndarray) -> None:
    batch = {
        "device": np.repeat(numbers, 24),
        "hour": np.tile(np.arange(first, first + 24, dtype=np.int32), len(numbers)),
        "joules": joules.ravel(),
    }
    connection.register("batch", batch)
    connection.execute(
        "INSERT INTO hour_slot SELECT device, hour, device % 3, joules, 0, joules * 0.02, 3600, 4, 1 FROM batch"
    )
    connection.unregister("batch")


if __name__ == "__main__":
    main()
