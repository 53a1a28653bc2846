"""Step time and memory at 1,000, 10,000 and 100,000 devices: at most twelve times as much a decade.

Steady state: a device sends a frame of 6 rows a minute, so each step of 10 s takes the frames of a sixth of the fleet:
checks, booking, a durable commit, answers, and the snapshot of all series. The collector's part runs in a process of
its own, which is handed the frames as a socket would; only its time and memory are counted. The measure of a size is
the size a tenth of it, in the same run.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from benchmarks.campus import INTERVAL, ROWS, SECOND, Campus, host
from benchmarks.measure import Figure, Spread, own_rss, parser, report, spread
from benchmarks.pipeline import Cost, Pipeline
from thinwatt_collector.receive import Message

LIMIT = 12.0
IN_TURN = 6
"""Steps in which each device is heard once."""


@dataclass(frozen=True, slots=True)
class Size:
    """What was seen at one size of the fleet; memory in bytes."""

    devices: int
    first: list[Cost]
    steady: list[Cost]
    rss: int
    empty_rss: int
    series: int


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--sizes", type=int, nargs="+", default=None, metavar="N", help="devices")
    options.add_argument("--steps", type=int, default=None, metavar="N", help="steady steps measured at each size")
    options.add_argument("--profile", action="store_true", help="print where the last size spends its time")
    chosen = options.parse_args()
    sizes = chosen.sizes or ([1_000, 10_000] if chosen.quick else [1_000, 10_000, 100_000])
    steps = chosen.steps or (12 if chosen.quick else 60)
    seen = [measured(n, steps, profile=chosen.profile and n == sizes[-1]) for n in sizes]
    figures: list[Figure] = []
    for size in seen:
        cpu, wall = (spread([1e3 * getattr(c, what) for c in size.steady]) for what in ("cpu", "wall"))
        against = "the step of 10 s that has to hold it"
        figures.append(Figure(f"step at {size.devices:,} devices, CPU", cpu, "ms", "", None, against))
        figures.append(
            Figure(f"step at {size.devices:,} devices, wall", wall, "ms", "< 10,000", wall.high < 1e4, against)
        )
    for small, large in pairwise(seen):
        figures += _ratios(small, large)
    report("steps", figures, [_note(size) for size in seen])


def _ratios(small: Size, large: Size) -> list[Figure]:
    typical = spread([c.cpu for c in small.steady]).median
    times = spread([c.cpu / typical for c in large.steady])
    memory = (large.rss - large.empty_rss) / (small.rss - small.empty_rss)
    against = f"the same at {small.devices:,}"
    name = f"at {large.devices:,} devices, times as much"
    limit = f"≤ {LIMIT:g}"
    return [
        Figure(f"CPU of a step {name}", times, "", limit, times.median <= LIMIT, against),
        Figure(f"memory {name}", Spread(memory, memory, memory, 1), "", limit, memory <= LIMIT, against),
    ]


def _note(size: Size) -> str:
    mebibyte = 1 << 20
    first = sum(c.cpu for c in size.first)
    return (
        f"{size.devices:,} devices: {size.rss / mebibyte:.0f} MiB resident ({size.empty_rss / mebibyte:.0f} before the "
        f"first), {(size.rss - size.empty_rss) / size.devices / 1024:.1f} KiB a device; {size.series:,} series; "
        f"their first frames took {first:.2f} CPU-s"
    )


def measured(devices: int, steps: int, *, profile: bool = False) -> Size:
    """Return what ``steps`` steady steps of a fleet cost."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_collector, args=(theirs, profile), daemon=True)
    process.start()
    theirs.close()
    start = time.time_ns() - (steps + 2 * IN_TURN) * INTERVAL * SECOND
    turn = np.arange(devices) % IN_TURN
    campus = Campus(devices, host(), start + (turn - ROWS + 1) * (INTERVAL * SECOND))
    empty_rss: int = ours.recv()
    costs: list[Cost] = []
    for step in range(IN_TURN + steps):
        agents = np.flatnonzero(turn == step % IN_TURN)
        now = start + (step + 1) * INTERVAL * SECOND
        frames = campus.frames(agents)
        hello = campus.hello if step < IN_TURN else b""
        ours.send((hello, [(campus.routes[a], campus.names[a]) for a in agents.tolist()], frames, now))
        cost, answered = ours.recv()
        if answered != len(frames):
            raise RuntimeError(f"{answered} of {len(frames)} frames were answered")
        costs.append(cost)
    ours.send(None)
    rss, series = ours.recv()
    process.join()
    return Size(devices, costs[:IN_TURN], costs[IN_TURN:], rss, empty_rss, series)


def _collector(pipe: Connection, profile: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        line = Pipeline(Path(folder))
        pipe.send(own_rss())
        profiler = _profiler(profile)
        turn = 0
        while (work := pipe.recv()) is not None:
            hello, who, frames, now = work
            if hello:
                refused = line.steps.take([Message(route, name, hello, now) for route, name in who])
                assert not refused, refused
            messages = [Message(route, name, data, now) for (route, name), data in zip(who, frames, strict=True)]
            if profiler and turn >= IN_TURN:
                profiler.enable()
            replies, cost = line.step(messages, now)
            if profiler:
                profiler.disable()
            pipe.send((cost, len(replies)))
            turn += 1
        pipe.send((own_rss(), line.series))
        if profiler:
            import pstats

            pstats.Stats(profiler).sort_stats("tottime").print_stats(30)


def _profiler(wanted: bool):  # type: ignore[no-untyped-def]  # noqa: ANN202 - cProfile is imported only when asked for
    if not wanted:
        return None
    import cProfile

    return cProfile.Profile()


if __name__ == "__main__":
    main()
