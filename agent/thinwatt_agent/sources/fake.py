"""A made-up machine whose true energy is known in closed form: for demonstrations, tests and load.

Its load is a mean and three waves whose periods are a day, an hour and ten minutes, with shares and phases drawn from
its name; its power is linear in the load; its energy is the integral, computed and never summed. It is read as meters
are: as a 32-bit register of 2⁻¹⁶ J, which wraps, or as a power.

A host may carry desktops. Each has a fixed share of the host's load while it is there; it comes and goes, and starts
from 0 each time. Those that roam are on the host of side 0 in one period and on that of side 1 in the next, under one
name: they migrate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import cos, floor, sin, tau
from pathlib import Path
from typing import Any, Final

from thinwatt_agent.counters import Instant
from thinwatt_agent.places import choice, shown
from thinwatt_agent.sources import (
    Count,
    Energy,
    Gauge,
    Held,
    Option,
    Power,
    Read,
    Spec,
    Unfit,
    Values,
    desktop_specs,
    option,
)

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


def _at_most(most: int) -> Callable[[Any, Path], int]:
    """Return a reader of a whole number from 0 on."""

    def found(value: Any, _: Path) -> int:
        if not 0 <= value <= most:
            raise ValueError(f"{shown(value)} can't be: write a number from 0 to {most}")
        return int(value)

    return found


def _pools(value: Any, _: Path) -> str:
    if not value.replace(",", "").strip():
        raise ValueError(f"{shown(value)} names no pool: write one name, or several with commas")
    return str(value)


OPTIONS = (
    Option("name", "fake", "what its load curve is drawn from; machines of other names behave otherwise"),
    Option("class", "desktop", f"{', '.join(CLASSES)}: sets the keys below that are not given", read=choice(*CLASSES)),
    Option(
        "meter",
        "counter",
        "a counter: a wrapping register of energy; a gauge: a reading of power; none: nobody metered it",
        read=choice("counter", "gauge", "none"),
    ),
    Option("cpus", 0, "number of CPUs; 0: by class", read=_at_most(4096)),
    Option("memory", 0, "memory; 0: by class", "B"),
    Option("idle", 0.0, "power at no load; 0: by class", "W"),
    Option("peak", 0.0, "power at full load; 0: by class", "W"),
    Option("desktops", 0, "desktops that it carries", read=_at_most(1000)),
    Option("pools", "teaching, staff", "their pools, with commas: desktops take turns", read=_pools),
    Option(
        "roaming",
        0,
        "desktops of a pool 'roaming' that are now here and now on the host of the other side",
        read=_at_most(1000),
    ),
    Option("side", 0, "0 or 1: of the two hosts between which they roam", read=_at_most(1)),
)
PERIODS: Final = (86_400.0, 3_600.0, 600.0)
UNIT: Final = 2.0**-16
RANGE: Final = 2**32
NOT_THERE: Final = float("nan")
HYPERVISOR: Final = 0.05
"""Of a host's load, its own part."""
RESERVED: Final = 0.8
"""Of a host's memory, when all desktops are there."""
VCPUS: Final = 4.0
ROAMS: Final = 1_800.0
"""How long a desktop stays before it migrates [s]."""
ACTIVE: Final = 0.6
LEFT: Final = 0.15
"""Of a desktop's stay: with somebody at it, and left running."""


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
    keys = ("name", "class", "cpus", "memory", "idle", "peak")
    return _machine(*(option(options, OPTIONS, key) for key in keys))


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


@dataclass(frozen=True, slots=True)
class Desktop:
    """A made-up desktop: there for ``stay`` [s] of every ``period`` [s] from ``phase`` on, with a share of the load."""

    name: str
    share: float
    period: float
    stay: float
    phase: float

    def since(self, t: float) -> float | None:
        """Return when it came, if it is there at ``t`` [s of boottime]."""
        begun = floor((t - self.phase) / self.period) * self.period + self.phase
        return max(begun, 0.0) if t - begun < self.stay else None

    def session(self, t: float) -> tuple[bool, bool]:
        """Return whether somebody is at it, and whether somebody left it running: at first the one, then the other."""
        begun = self.since(t)
        done = 1.0 if begun is None else (t - begun) / self.stay
        return done < ACTIVE, ACTIVE <= done < ACTIVE + LEFT


def desktops(options: Mapping[str, Any]) -> list[Desktop]:
    """Return the desktops of the machine of these options.

    Raises:
        ValueError: An option can't be; the text says which.
    """
    count, roaming = (int(option(options, OPTIONS, key)) for key in ("desktops", "roaming"))
    pools = [p for p in (p.strip() for p in option(options, OPTIONS, "pools").split(",")) if p]
    side = option(options, OPTIONS, "side")
    name, all_of_it = option(options, OPTIONS, "name"), (1.0 - HYPERVISOR) / max(count + roaming, 1)
    found = []
    for i in range(count):
        drawn = [b / 255 for b in hashlib.blake2b(f"thinwatt desktop {name} {i}".encode(), digest_size=3).digest()]
        period = 3_600.0 * (2.0 + 6.0 * drawn[0])
        stay = period * (0.7 + 0.3 * drawn[1])
        found.append(Desktop(f"{pools[i % len(pools)]}/{name}-{i:03d}", all_of_it, period, stay, period * drawn[2]))
    roams = (Desktop(f"roaming/{i:03d}", all_of_it, 2 * ROAMS, ROAMS, ROAMS * side) for i in range(roaming))
    return [*found, *roams]


def probe(root: Path, options: Mapping[str, Any]) -> Read | None:  # noqa: ARG001 - the sources' common form
    """Return its meter, and the load that goes with it under the name of the source ``load``."""
    made_up, carried = machine(options), desktops(options)
    meter = option(options, OPTIONS, "meter")
    highest = made_up.peak * 1.25
    meters: dict[str, tuple[Spec, ...]] = {
        "counter": (Energy("fake", "wall", UNIT, RANGE, highest, "wall", "measured"),),
        "gauge": (Power("fake", "wall", highest, "wall", "measured"),),
        "none": (),
    }

    def read(now: Instant) -> Values:
        t = now.boottime * 1e-9
        metered = floor(made_up.joules(t) / UNIT) % RANGE if meter == "counter" else made_up.watts(t)
        busy, used = made_up.cpus * made_up.load_seconds(t), made_up.memory * (0.2 + 0.6 * made_up.load(t))
        machine = [*([] if meter == "none" else [metered]), busy, made_up.cpus, 1.0, made_up.cpus, used, made_up.memory]
        return (
            machine + ([made_up.memory] if carried else []) + [v for d in carried for v in _of_desktop(d, made_up, t)]
        )

    specs = (*meters[meter], *LOAD)
    if carried:
        specs += (Held("memory_capacity", "B s", awake=True), *(s for d in carried for s in desktop_specs(d.name)))
    return Read(specs, read)


def _of_desktop(desktop: Desktop, host: Machine, t: float) -> list[float]:
    begun = desktop.since(t)
    if begun is None:
        return [NOT_THERE, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    used = desktop.share * host.cpus * (host.load_seconds(t) - host.load_seconds(begun))
    active, left = desktop.session(t)
    return [used, 1.0, 1.0, RESERVED * host.memory * desktop.share, VCPUS, float(active), float(left)]


LOAD: Final[tuple[Spec, ...]] = (
    Count("cpu", "s", source="load"),
    Held("cpu_capacity", "s", awake=True, source="load"),
    Held("covered", "s", awake=True, source="load"),
    Gauge("cpus", "1", source="load"),
    Gauge("memory", "B", source="load"),
    Gauge("memory_size", "B", source="load"),
)
