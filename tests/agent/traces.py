"""The four traces on which counters are judged, and six rules in use elsewhere that each fail one of them.

20 W, read every 10 s, 60 intervals (12 000 J), a register of 262 143.328850 J: A wraps once, B starts again after
200 kJ, C has one bad read, D is not read for 12 hours. A reading is (seconds, µJ or None).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from tests.agent.recording import RAPL_RANGE

Reading = tuple[float, int | None]
Trace = list[Reading]

STEP = 200_000_000


def wraps(
    power: float = 20.0, start: int = RAPL_RANGE - 300_000_000, dt: float = 10.0, range_: int = RAPL_RANGE
) -> Trace:
    return [(i * dt, (start + round(power * dt * 1e6) * i) % range_) for i in range(61)]


def restarts(power: float = 20.0, before: int = 200_000_000_000, at: int = 30, dt: float = 10.0) -> Trace:
    step = round(power * dt * 1e6)
    return [(i * dt, before + step * (i - at + 1) if i < at else step * (i - at)) for i in range(61)]


def unreadable(at: int = 30) -> Trace:
    return [(i * 10.0, None if i == at else STEP * i) for i in range(61)]


def unread_for(hours: float = 12.0, at: int = 30) -> Trace:
    away = hours * 3600 - 10
    times = [i * 10.0 + (away if i > at else 0.0) for i in range(61)]
    return [(t, round(20e6 * t) % RAPL_RANGE) for t in times]


Rule = Callable[[int, int], int]


def rival(delta: Rule, bad_read: int | None) -> Callable[[Trace], float]:
    """A rule of differences, and what a bad read is taken for (None: left out); returns joules of a trace."""

    def joules(trace: Trace) -> float:
        values: Iterable[int | None] = (bad_read if v is None else v for _, v in trace)
        return sum(delta(a, b) for a, b in pairwise(v for v in values if v is not None)) / 1e6

    return joules


def as_wrap(a: int, b: int) -> int:
    return b - a if b >= a else b + RAPL_RANGE - a


RIVALS = {
    "falls dropped, bad read is 0": rival(lambda a, b: max(0, b - a), 0),
    "every fall a wrap": rival(as_wrap, None),
    "every fall a wrap, bad read is 0": rival(as_wrap, 0),
    "every fall a wrap of range + 1": rival(lambda a, b: as_wrap(a, b) + (b < a), None),
    "falls dropped": rival(lambda a, b: max(0, b - a), None),
    "a fall starts at 0": rival(lambda a, b: b - a if b >= a else b, None),
}
