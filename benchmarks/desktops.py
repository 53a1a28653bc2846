"""Attribution and carbon of 100,000 devices and 10,000 desktops: what one step spends on them, of its 10 s.

The fleet of ``steps``, 200 of whose machines are hosts with 50 desktops each (cpu, time, memory, sessions: 7 columns a
desktop), every host with a schema of its own, as desktops have names. In the steady state a sixth of all is heard in a
step; a step that takes a minute of everybody at once is measured too. The collector's part runs in a process of its
own. Spent on attribution is what ``sharing`` and the booking of its lines take, on carbon what the factor of each slot
and the grams of each device take: CPU time of these functions in the step as it is, none left out.
"""

from __future__ import annotations

import functools
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.campus import INTERVAL, ROWS, SECOND, Campus, Kind, host, with_desktops
from benchmarks.measure import Figure, parser, report, spread
from benchmarks.pipeline import Pipeline
from thinwatt_collector import sharing
from thinwatt_collector.booking import Booking
from thinwatt_collector.receive import Message

IN_TURN: Final = 6
BUDGET: Final = 10.0
"""A step has this long [s]."""
PARTS: Final = ("attribution", "carbon")


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--devices", type=int, default=None, metavar="N")
    options.add_argument("--hosts", type=int, default=200, metavar="N", help="of them, with desktops")
    options.add_argument("--desktops", type=int, default=50, metavar="N", help="on each of these hosts")
    options.add_argument("--steps", type=int, default=None, metavar="N", help="steady steps that are measured")
    chosen = options.parse_args()
    devices = chosen.devices or (10_000 if chosen.quick else 100_000)
    steady, whole = measured(devices, chosen.hosts, chosen.desktops, chosen.steps or (12 if chosen.quick else 30))
    fleet = f"{devices:,} devices, {chosen.hosts * chosen.desktops:,} desktops"
    figures = []
    for name, seen in (("steady step, a sixth heard", steady), ("step that takes a minute of all", whole)):
        for part in (*PARTS, "all"):
            ms = spread([1e3 * of[part] for of in seen])
            share = spread([100 * of[part] / BUDGET for of in seen])
            label = f"{part} of a {name}; {fleet}"
            figures.append(Figure(label, ms, "CPU-ms", "", None, "the step of 10 s"))
            figures.append(Figure(label, share, "% of the step", "< 100", share.high < 100, "its 10 s"))
    report("desktops", figures)


def measured(devices: int, hosts: int, desktops: int, steps: int) -> tuple[list[dict[str, float]], ...]:
    """Return what steady steps, and steps of everybody, spend on each part [CPU s]."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_collector, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    rounds = 3
    start = time.time_ns() - (steps + IN_TURN * (2 + rounds)) * INTERVAL * SECOND
    kinds: list[Kind] = [host(), *(with_desktops(n, desktops) for n in range(hosts))]
    sizes = [devices - hosts, *[1] * hosts]
    turns = [np.arange(size) % IN_TURN if n == 0 else np.array([n % IN_TURN]) for n, size in enumerate(sizes)]
    fleet = [
        Campus(size, kind, start + (turn - ROWS + 1) * (INTERVAL * SECOND), seed=n)
        for n, (size, kind, turn) in enumerate(zip(sizes, kinds, turns, strict=True))
    ]
    costs: list[list[dict[str, float]]] = [[], []]
    for step in range(IN_TURN + steps):
        now = start + (step + 1) * INTERVAL * SECOND
        chosen = [np.flatnonzero(turn == step % IN_TURN) for turn in turns]
        cost = _sent(ours, fleet, chosen, now, hello=step < IN_TURN)
        if step >= IN_TURN:
            costs[0].append(cost)
    for more in range(rounds):
        now = start + (steps + (2 + more) * IN_TURN) * INTERVAL * SECOND
        costs[1].append(_sent(ours, fleet, [np.arange(size) for size in sizes], now, hello=False))
    ours.send(None)
    process.join()
    return tuple(costs)


def _sent(pipe: Connection, fleet: list[Campus], chosen: list[Any], now: int, *, hello: bool) -> dict[str, float]:
    work = []
    for campus, agents in zip(fleet, chosen, strict=True):
        if len(agents):
            who = [(campus.routes[a] + campus.names[a].encode(), campus.names[a]) for a in agents.tolist()]
            work.append((campus.hello if hello else b"", who, campus.frames(agents)))
    pipe.send((work, now))
    cost, answered = pipe.recv()
    expected = sum(len(frames) for _, _, frames in work)
    if answered != expected:
        raise RuntimeError(f"{answered} of {expected} frames were answered")
    found: dict[str, float] = cost
    return found


def _collector(pipe: Connection) -> None:
    spent: dict[str, float] = defaultdict(float)
    _timed(sharing, "told", "attribution", spent)
    _timed(sharing, "shared", "attribution", spent)
    _timed(Booking, "_share", "attribution", spent)
    _timed(Booking, "_by_class", "carbon", spent)
    with tempfile.TemporaryDirectory() as folder:
        line = Pipeline(Path(folder))
        while (received := pipe.recv()) is not None:
            work, now = received
            messages = []
            for hello, who, frames in work:
                if hello:
                    refused = line.steps.take([Message(route, name, hello, now) for route, name in who])
                    assert not refused, refused
                messages += [Message(route, name, data, now) for (route, name), data in zip(who, frames, strict=True)]
            spent.clear()
            replies, cost = line.step(messages, now)
            pipe.send(({part: spent[part] for part in PARTS} | {"all": cost.cpu}, len(replies)))


def _timed(owner: Any, name: str, part: str, spent: dict[str, float]) -> None:
    """Have the CPU time of a function added up."""
    function: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(function)
    def wrapped(*args: Any, **options: Any) -> Any:
        begun = time.process_time()
        try:
            return function(*args, **options)
        finally:
            spent[part] += time.process_time() - begun

    setattr(owner, name, wrapped)


if __name__ == "__main__":
    main()
