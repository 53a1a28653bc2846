"""From readings of power to joules, from gauges to their integral, and counters that are no energy. Pure.

What is a gap, another boot or sleep is what :mod:`thinwatt_agent.counters` says.
"""

from __future__ import annotations

import math
from typing import Any

from thinwatt_agent.counters import Event, Instant, another_boot, slept


class _Last:
    """The last reading of a counter or gauge, and how a new process takes it over."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last: tuple[float, Instant] | None = None

    def state(self, boot_id: str) -> list[float] | None:
        """The last reading and its instant."""
        if self.last is None or self.last[1].boot_id != boot_id:
            return None
        value, at = self.last
        return [value, at.boottime, at.monotonic, at.utc]

    def restore(self, state: Any, boot_id: str) -> None:
        """Go on from what :meth:`state` gave, with nothing counted yet."""
        value, boottime, monotonic, utc = state
        self.last = (value, Instant(int(boottime), int(monotonic), int(utc), boot_id))


class PowerGauge(_Last):
    """Joules and covered seconds of a reading of power: trapezoids over the measured time between good readings.

    Not a number says that there is nothing to measure now (a battery on mains): no event, and the next reading starts
    anew. None, a negative power or one beyond ``max_power`` [W] is a failed read.
    """

    __slots__ = ("covered", "events", "joules", "max_gap", "max_power")

    def __init__(self, max_power: float, max_gap: int) -> None:
        super().__init__()
        self.max_power = max_power
        self.max_gap = max_gap
        self.joules = 0.0
        self.covered = 0
        self.events: list[Event] = []

    def read(self, value: float | None, now: Instant) -> None:
        """Take the power of this tick [W]."""
        if value is not None and math.isnan(value):
            self.last = None
        elif value is None or not 0 <= value <= self.max_power:
            self.events.append(Event("failed", now))
        elif self.last is None:
            self.last = (value, now)
        else:
            self._join(*self.last, value, now)

    def settle(self) -> None:
        """Nothing is ever held back here."""

    def _join(self, before: float, then: Instant, value: float, now: Instant) -> None:
        if another_boot(then, now):
            self.events.append(Event("restart", now))
        elif now.boottime == then.boottime:
            return
        elif now.boottime - then.boottime > self.max_gap or slept(then, now):
            self.events.append(Event("gap", now))
        else:
            dt = now.boottime - then.boottime
            self.joules += (before + value) / 2 * dt / 1e9
            self.covered += dt
        self.last = (value, now)


class Tally(_Last):
    """Any other counter since tick 0: rises add up; a fall that lasts or another boot is a new beginning; no gap.

    A fall that the next reading takes back was a bad read, and counts for nothing.
    """

    __slots__ = ("fallen", "total")

    def __init__(self) -> None:
        super().__init__()
        self.total: float = 0
        self.fallen: tuple[float, Instant] | None = None

    def read(self, value: float | None, now: Instant) -> None:
        """Take the reading of this tick; None and not a number keep the state."""
        if value is None or not math.isfinite(value):
            return
        if self.last is None or another_boot(self.last[1], now):
            self.last, self.fallen = (value, now), None
            return
        if value < self.last[0]:
            if self.fallen is None:
                self.fallen = (value, now)
                return
            self.last = self.fallen
        self.total += max(0, value - self.last[0])
        self.last, self.fallen = (value, now), None


class Integral(_Last):
    """A gauge times time: CPUs into CPU seconds, sessions into session seconds.

    Gaps longer than ``max_gap`` [ns] are left out. ``awake`` takes the time that the machine was awake, for what is
    compared with kernel counters, which stand still in suspend; otherwise an interval with a suspend is left out.
    """

    __slots__ = ("awake", "max_gap", "total")

    def __init__(self, max_gap: int, awake: bool = False) -> None:
        super().__init__()
        self.max_gap = max_gap
        self.awake = awake
        self.total = 0.0

    def read(self, value: float | None, now: Instant) -> None:
        """Take the gauge of this tick; None and not a number keep the state."""
        if value is None or not math.isfinite(value):
            return
        if self.last is not None and not another_boot(self.last[1], now):
            before, then = self.last
            awake = now.monotonic - then.monotonic
            if self.awake:
                self.total += (before + value) / 2 * awake / 1e9 if 0 < awake <= self.max_gap else 0.0
            elif now.boottime - then.boottime <= self.max_gap and not slept(then, now):
                self.total += (before + value) / 2 * (now.boottime - then.boottime) / 1e9
        self.last = (value, now)
