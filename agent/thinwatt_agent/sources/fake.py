"""A made-up machine whose true energy is known in closed form: for demonstrations, tests and load.

Its load is a mean and three waves whose periods are a day, an hour and ten minutes, with shares and phases drawn from
its name; its power is linear in the load; its energy is the integral, computed and never summed. It is read as meters
are: as a 32-bit register of 2⁻¹⁶ J, which wraps, or as a power.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import cos, floor, sin, tau
from pathlib import Path
from typing import Any, Final

from thinwatt_agent.counters import Instant
from thinwatt_agent.places import choice, shown
from thinwatt_agent.sources import Count, Energy, Gauge, Held, Option, Power, Read, Spec, Unfit, Values, option

ENABLED = False
ABSENT = "never: it is made up"
# Made up, like all of it: CPUs, memory [GiB], idle and peak power [W].
CLASSES: Final = {
    "host": (64, 512, 180.0, 420.0),
    "desktop": (8, 16, 28.0, 110.0),
    "laptop": (8, 16, 9.0, 45.0),
    "thin_client": (4, 4, 6.0, 15.0),
    "monitor": (1, 1, 18.0, 24.0),
}
METERS: Final = choice("counter", "gauge")
MOST_CPUS: Final = 4096


def _number(value: Any, _: Path) -> Any:
    if not 0 <= value <= MOST_CPUS:
        raise ValueError(f"{shown(value)} is no number of CPUs: write one from 1 to {MOST_CPUS}, or 0")
    return value


OPTIONS = (
    Option("name", "fake", "what its load curve is drawn from; machines of other names behave otherwise"),
    Option("class", "desktop", f"{', '.join(CLASSES)}: sets the keys below that are not given", read=choice(*CLASSES)),
    Option("meter", "counter", "a counter: a wrapping register of energy; a gauge: a reading of power", read=METERS),
    Option("cpus", 0, "number of CPUs; 0: by class", read=_number),
    Option("memory", 0, "memory; 0: by class", "B"),
    Option("idle", 0.0, "power at no load; 0: by class", "W"),
    Option("peak", 0.0, "power at full load; 0: by class", "W"),
)
PERIODS: Final = (86_400.0, 3_600.0, 600.0)
UNIT: Final = 2.0**-16
RANGE: Final = 2**32


@dataclass(frozen=True, slots=True)
class Machine:
    """A made-up machine: its size, and the waves (share of full load, phase) of its load."""

    cpus: int
    memory: int
    idle: float
    peak: float
    mean: float
    waves: tuple[tuple[float, float, float], ...]

    def load(self, t: float) -> float:
        """Load at ``t`` [s of boottime], between 0 and 1."""
        return self.mean + sum(a * sin(tau * t / period + phase) for a, period, phase in self.waves)

    def load_seconds(self, t: float) -> float:
        """The integral of the load from 0 to ``t`` [s]."""
        waves = sum(a * period / tau * (cos(phase) - cos(tau * t / period + phase)) for a, period, phase in self.waves)
        return self.mean * t + waves

    def watts(self, t: float) -> float:
        """Power at ``t`` [W]."""
        return self.idle + (self.peak - self.idle) * self.load(t)

    def joules(self, t: float) -> float:
        """Energy from 0 to ``t`` [J]."""
        return self.idle * t + (self.peak - self.idle) * self.load_seconds(t)


def true_joules(options: Mapping[str, Any], t0: float, t1: float) -> float:
    """Return what the machine of these options draws from ``t0`` to ``t1`` [s of boottime], exactly [J]."""
    made_up = machine(options)
    return made_up.joules(t1) - made_up.joules(t0)


def machine(options: Mapping[str, Any]) -> Machine:
    """Return the machine of these options.

    Raises:
        ValueError: An option can't be; the text says which. ``Unfit`` where it can't be beside another.
    """
    return _machine(*(option(options, OPTIONS, o.key) for o in OPTIONS if o.key != "meter"))


@lru_cache(maxsize=1024)
def _machine(name: str, class_: str, cpus: int, memory: int, idle: float, peak: float) -> Machine:
    usual = CLASSES[class_]
    key = "idle" if idle else "peak"
    idle, peak = float(idle or usual[2]), float(peak or usual[3])
    if not idle <= peak:
        raise Unfit(key, f"no load draws {idle:g} W and full load {peak:g} W: write an idle that is at most peak")
    draw = [b / 255 for b in hashlib.blake2b(f"thinwatt fake {name}".encode(), digest_size=7).digest()]
    mean = 0.35 + 0.2 * draw[0]
    shares = (0.15 + 0.10 * draw[1], 0.03 + 0.03 * draw[2], 0.01 + 0.02 * draw[3])
    waves = tuple((a, p, tau * d) for a, p, d in zip(shares, PERIODS, draw[4:], strict=True))
    return Machine(int(cpus or usual[0]), int(memory or usual[1] << 30), idle, peak, mean, waves)


def check(options: Mapping[str, Any]) -> None:
    """Raise ``Unfit`` where idle and peak can't be of one machine."""
    machine(options)


def describe(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the machine's description, marked as made up by its model's name too."""
    made_up, class_ = machine(options), option(options, OPTIONS, "class")
    return {"class": class_, "model": f"made-up {class_}", "cores": made_up.cpus, "memory_bytes": made_up.memory}


def probe(root: Path, options: Mapping[str, Any]) -> Read | None:  # noqa: ARG001 - the sources' common form
    """Return its meter, and the load that goes with it under the name of the source ``load``."""
    made_up = machine(options)
    meter = option(options, OPTIONS, "meter")
    highest = made_up.peak * 1.25
    energy: Spec = (
        Energy("fake", "wall", UNIT, RANGE, highest, "wall", "measured")
        if meter == "counter"
        else Power("fake", "wall", highest, "wall", "measured")
    )  # fmt: skip

    def read(now: Instant) -> Values:
        t = now.boottime * 1e-9
        metered = floor(made_up.joules(t) / UNIT) % RANGE if meter == "counter" else made_up.watts(t)
        busy, used = made_up.cpus * made_up.load_seconds(t), made_up.memory * (0.2 + 0.6 * made_up.load(t))
        return [metered, busy, made_up.cpus, 1.0, made_up.cpus, used, made_up.memory]

    return Read((energy, *LOAD), read)


LOAD: Final[tuple[Spec, ...]] = (
    Count("cpu", "s", source="load"),
    Held("cpu_capacity", "s", awake=True, source="load"),
    Held("covered", "s", awake=True, source="load"),
    Gauge("cpus", "1", source="load"),
    Gauge("memory", "B", source="load"),
    Gauge("memory_size", "B", source="load"),
)
