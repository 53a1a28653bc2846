"""The collector between socket and metrics, in this process: step, ledger, snapshot as ``run`` puts them together."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from thinwatt_collector.factors import table
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger
from thinwatt_collector.models.devices import DeviceTable
from thinwatt_collector.receive import Message
from thinwatt_collector.serve.exposition import Family
from thinwatt_collector.snapshot import Rules, Snapshots
from thinwatt_collector.step import Step
from thinwatt_collector.tallies import Reply

STALE_AFTER = 600.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one step [s]."""

    wall: float
    cpu: float


class Pipeline:
    """A collector without socket and web server, its ledger in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.ledger = DuckDBLedger(folder / "ledger.duckdb")
        self.steps = Step(self.ledger, DeviceTable.packaged().of, table.load({"zone": "FR"}))
        self._snapshots = Snapshots(Rules("hosts", STALE_AFTER))
        self.families: list[Family] = []

    def step(self, messages: Iterable[Message], now: int) -> tuple[list[Reply], Cost]:
        """Take, commit and publish at ``now`` [UTC ns]; return the replies and what it cost."""
        wall, cpu = time.perf_counter(), time.process_time()
        replies = self.steps.take(messages)
        replies += self.steps.commit(now)
        tallies = self.steps.tallies
        self.families = list(self._snapshots.of(self.steps.fleet, tallies.skew, tallies.conflicts.now(), now))
        return replies, Cost(time.perf_counter() - wall, time.process_time() - cpu)

    @property
    def series(self) -> int:
        """Number of series that /metrics would show of the fleet."""
        return sum(len(f.labels) for f in self.families)
