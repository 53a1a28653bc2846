"""48 simulated hours of 1,000 agents: memory that stays, no series of the departed, and bytes a device and day.

Real step, real ledger, real snapshot; the clock is simulated and runs as fast as it can. Every minute each agent's
frame of 6 rows is taken in steps of 10 s, slots are sealed every simulated minute, and every simulated hour a few
agents start again and a few depart for good. Memory is looked at every ten simulated minutes: between two checkpoints
the ledger's engine takes some MiB and gives them back, every two hours or so, and a look an hour would see a slope
where there is a saw. Its slope is fitted over what lies behind the warm-up, and told with its standard error.
"""

from __future__ import annotations

import gc
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.campus import INTERVAL, SECOND, Campus, host
from benchmarks.measure import Figure, Spread, own_rss, parser, report
from benchmarks.pipeline import STALE_AFTER, Pipeline
from thinwatt_collector.receive import Message
from thinwatt_collector.serve.exposition import Family
from thinwatt_collector.upkeep import SEAL_AFTER

IN_TURN: Final = 6
LOOK: Final = 60
"""Steps from one look at the memory to the next."""
RESTART: Final = 5
DEPART: Final = 1
LIMIT: Final = 1.0
TELLING: Final = 24.0
"""Hours below which all is warm-up, and a slope says nothing."""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--hours", type=float, default=None, help="simulated")
    options.add_argument("--agents", type=int, default=1_000)
    options.add_argument("--warm-up", type=float, default=None, help="simulated hours before memory counts")
    chosen = options.parse_args()
    hours = chosen.hours or (2.0 if chosen.quick else 48.0)
    warm_up = chosen.warm_up or hours / 2
    with tempfile.TemporaryDirectory() as folder:
        seen = Soak(Path(folder), chosen.agents).run(hours)
    late = [(h, rss) for h, rss in seen.memory if h >= warm_up]
    figures = [
        _slope_figure("memory", late, hours, "its own mean"),
        _slope_figure(
            "memory less the engine's cache of blocks",
            [(h, rss - cache) for (h, rss), cache in zip(late, seen.cached[-len(late) :], strict=True)],
            hours,
            "its own mean; the cache grows with the ledger, up to the configuration's `memory`",
        ),
        Figure("series of departed devices", _one(seen.ghosts), "", "0", seen.ghosts == 0, "the staleness time"),
        Figure(
            "ledger",
            _one(seen.bytes / chosen.agents / (hours / 24)),
            "B a device-day",
            "",
            None,
            "33 columns in, 2 series of slots; file after a checkpoint, streams and names included",
        ),
    ]
    mebibyte = 1 << 20
    cache = [seen.cached[at] / mebibyte for at in (-len(late), -1)]
    report(
        "soak",
        figures,
        [
            f"{hours:g} simulated hours of {chosen.agents:,} agents in {seen.took:.0f} s",
            f"{seen.departed} agents departed, {seen.restarted} started again",
            f"the engine's cache of blocks: {cache[0]:.1f} MiB after warm-up, {cache[1]:.1f} MiB at the end",
            f"resident after warm-up, by quarters: {', '.join(f'{q / mebibyte:.0f}' for q in _quarters(late))} MiB",
            f"joules booked and joules sent differ by {seen.error:.1e} of the whole",
        ],
    )


def _slope_figure(name: str, memory: list[tuple[float, int]], hours: float, against: str) -> Figure:
    values = [size for _, size in memory]
    slope, error = (100 * x / float(np.mean(values)) for x in _slope([h / 24 for h, _ in memory], values))
    told = None if hours < TELLING else slope < LIMIT
    one = Spread(slope - error, slope, slope + error, len(memory))
    return Figure(f"{name}, slope a simulated day, ± its standard error", one, "%", f"< {LIMIT:g}", told, against)


def _slope(x: list[float], y: list[int]) -> tuple[float, float]:
    """Return the slope of a line through the points and its standard error, the residuals' own correlation in it."""
    (slope, offset), covariance = np.polyfit(x, y, 1, cov=True)
    rest = np.asarray(y) - (slope * np.asarray(x) + offset)
    alike = float(np.clip(np.corrcoef(rest[:-1], rest[1:])[0, 1], 0.0, 0.99))
    return float(slope), float(np.sqrt(covariance[0, 0] * (1 + alike) / (1 - alike)))


def _quarters(late: list[tuple[float, int]]) -> list[float]:
    return [float(np.mean(part)) for part in np.array_split([rss for _, rss in late], 4)]


def _texts(family: Family) -> list[str]:
    """Return the labels of a family of devices, device first."""
    first = family.metric.labels[:1] == ("device",)
    return [str(t) for t in family.labels.pieces()] if first else []


def _one(value: float) -> Spread:
    return Spread(value, value, value, 1)


class Soak:
    """The run and what it saw."""

    def __init__(self, folder: Path, agents: int) -> None:
        self.memory: list[tuple[float, int]] = []
        self.cached: list[int] = []
        self.ghosts = self.departed = self.restarted = self.bytes = 0
        self.took = self.error = self._ended = 0.0
        self._pipeline = Pipeline(folder)
        self._start = 1_770_000_000 * SECOND
        turn = np.arange(agents) % IN_TURN
        self._turn = turn
        self._campus = Campus(agents, host(), self._start + (turn - IN_TURN + 1) * (INTERVAL * SECOND))
        self._alive = np.ones(agents, np.bool_)
        self._gone_at: dict[str, int] = {}
        self._random = np.random.default_rng(7)

    def run(self, hours: float) -> Soak:
        """Run ``hours`` of simulated time."""
        began, campus = time.perf_counter(), self._campus
        names = list(zip(campus.routes, campus.names, strict=True))
        self._pipeline.steps.take([Message(route, name, campus.hello, self._start) for route, name in names])
        for step in range(round(hours * 3600 / INTERVAL)):
            now = self._start + (step + 1) * INTERVAL * SECOND
            agents = np.flatnonzero(self._alive & (self._turn == step % IN_TURN))
            frames = zip(agents.tolist(), campus.frames(agents), strict=True)
            self._pipeline.step([Message(*names[a], data, now) for a, data in frames], now)
            if step % IN_TURN == 0:
                self._pipeline.ledger.seal(int(now // SECOND - SEAL_AFTER) // 900)
            if step % LOOK == LOOK - 1:
                self.memory.append(((step + 1) / 360, own_rss()))
                self.cached.append(self._cache())
            if step % 360 == 359:
                self._hour(now)
        self.took = time.perf_counter() - began
        self._pipeline.ledger._connection.execute("FORCE CHECKPOINT")  # noqa: SLF001 - the log of the last minutes apart
        self.bytes = self._pipeline.ledger.size()
        self._check()
        return self

    def _hour(self, now: int) -> None:
        self._pipeline.steps.fleet.forget_silent(now - 2 * 86_400 * SECOND)
        gc.collect()
        shown = {text.split('"')[1] for f in self._pipeline.families for text in _texts(f)}
        limit = now - int(STALE_AFTER + 60) * SECOND
        self.ghosts += sum(name in shown for name, at in self._gone_at.items() if at < limit)
        alive = np.flatnonzero(self._alive & (self._turn == 0))
        chosen = self._random.choice(alive, RESTART + DEPART, replace=False)
        again, gone = chosen[:RESTART], chosen[RESTART:]
        self._ended += float(self._joules(again))
        self._campus.renew(again, now - (IN_TURN - 1) * INTERVAL * SECOND)
        self._alive[gone] = False
        self._gone_at |= {self._campus.names[a]: now for a in gone.tolist()}
        self.restarted += RESTART
        self.departed += DEPART

    def _cache(self) -> int:
        """Return what the engine keeps of the ledger's tables in memory [B]."""
        told = "SELECT memory_usage_bytes FROM duckdb_memory() WHERE tag = 'BASE_TABLE'"
        return int(self._pipeline.ledger._rows(told)[0][0])  # noqa: SLF001 - the engine's own view

    def _joules(self, agents: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
        return float(self._campus.totals()[agents, 0].sum())

    def _check(self) -> None:
        """Compare the ledger's joules of the packages with what the agents counted."""
        rows = self._pipeline.ledger._rows(  # noqa: SLF001 - a look into the ledger, no API has it yet
            "SELECT sum(joules) FROM energy JOIN source ON source.id = energy.source WHERE source.name = 'rapl'"
        )
        sent = self._ended + self._joules(np.arange(len(self._alive)))
        self.error = abs(rows[0][0] / sent - 1)
        if self.error > 1e-9:
            raise RuntimeError(f"the ledger has {rows[0][0]} J, the agents counted {sent} J")


if __name__ == "__main__":
    main()
