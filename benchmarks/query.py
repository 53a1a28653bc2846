"""kWh per device and day over 90 days of 10,000 devices: at most two CPU-seconds on one thread.

The rows lie as the ledger writes them: ``sealed_slot``, in its own DuckDB file under its own settings, one row an hour
(21.6 million). The file is closed and opened again before the query, which sums joules by device and day of UTC.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

import duckdb
import numpy as np

from benchmarks.measure import Figure, Spread, parser, report, spread
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger

DAYS: Final = 90
HOURS: Final = 24 * DAYS
SLOTS_A_DAY: Final = 96
FIRST_DAY: Final = 20_000
LIMIT: Final = 2.0
BATCH: Final = 72
QUERY: Final = """
SELECT device, slot // 96 AS day, sum(joules) AS joules, sum(covered) AS covered
FROM energy WHERE source = 0 AND slot >= ? AND slot < ? GROUP BY ALL
"""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--devices", type=int, default=None)
    options.add_argument("--turns", type=int, default=7)
    chosen = options.parse_args()
    devices = chosen.devices or (1_000 if chosen.quick else 10_000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.duckdb"
        expected = _write(path, devices)
        costs, walls, groups, total = _ask(path, chosen.turns)
        size = path.stat().st_size
    if groups != devices * DAYS or abs(total / expected - 1) > 1e-9:
        raise RuntimeError(f"{groups} groups and {total} J where {devices * DAYS} and {expected} belong")
    rows = devices * HOURS
    cpu, per_row = spread(costs), size / rows
    figures = [
        Figure(f"{rows:,} rows, device and day, CPU", cpu, "CPU-s", f"≤ {LIMIT:g}", cpu.median <= LIMIT, "the limit"),
        Figure("the same, wall", spread(walls), "s", "", None, "one thread"),
        Figure("bytes a row", Spread(per_row, per_row, per_row, 1), "B", "", None, "incompressible joules"),
    ]
    report("query", figures)


def _write(path: Path, devices: int) -> float:
    """Write the rows an hour each, as sealing leaves them (by device within a batch); return their sum [J]."""
    DuckDBLedger(path).close()
    random, total = np.random.default_rng(1), 0.0
    with duckdb.connect(str(path)) as connection:
        for first in range(0, HOURS, BATCH):
            shape = (devices, min(BATCH, HOURS - first))
            slots = FIRST_DAY * SLOTS_A_DAY + 4 * np.arange(first, first + shape[1])
            joules = random.random(shape) * 1e6
            total += float(joules.sum())
            batch = {
                "device": np.repeat(np.arange(devices, dtype=np.int32), shape[1]),
                "slot": np.tile(slots.astype(np.int32), devices),
                "joules": joules.ravel(),
            }
            connection.register("batch", batch)
            connection.execute(
                "INSERT INTO sealed_slot SELECT device, slot, 0, joules, 0, joules * 0.02, 3600 FROM batch"
            )
            connection.unregister("batch")
        connection.execute("FORCE CHECKPOINT")
    return total


def _ask(path: Path, turns: int) -> tuple[list[float], list[float], int, float]:
    ledger = DuckDBLedger(path)
    connection = ledger._connection  # noqa: SLF001 - the ledger's own connection under its own settings is measured
    window = [FIRST_DAY * SLOTS_A_DAY, (FIRST_DAY + DAYS) * SLOTS_A_DAY]
    costs, walls, groups, total = [], [], 0, 0.0
    for _ in range(turns):
        cpu, wall = time.process_time(), time.perf_counter()
        found = connection.execute(QUERY, window).fetchnumpy()
        costs.append(time.process_time() - cpu)
        walls.append(time.perf_counter() - wall)
        groups, total = len(found["device"]), float(found["joules"].sum())
    ledger.close()
    return costs, walls, groups, total


if __name__ == "__main__":
    main()
