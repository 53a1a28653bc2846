"""Energy of CPU packages, their memory and the platform, as the kernel's powercap zones count it.

The zones overlap (METHOD §1): psys ⊇ package ⊇ core and uncore, dram stands beside its package and inside psys, an
``intel-rapl-mmio`` zone reads the same package as its MSR twin, and on some AMD processors every die shows the one
counter of its socket. All are sent, each as its own counter; what counts in the total is decided at every tick
(``totals.py``), by what a zone calls itself: ``intel-rapl:1`` may be another zone after its driver was loaded again,
so with every reading the zone's name is read too.

A control type or zone whose ``enabled`` is 0 does not enforce its power limits; it counts energy all the same
(Documentation/power/powercap/powercap.rst). If its counter stands still it does not count, like any other that does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from thinwatt_agent.counters import Instant
from thinwatt_agent.files import File, children, natural, number, text, whole
from thinwatt_agent.sources import Denied, Energy, Option, Read, Values, option
from thinwatt_agent.sources._allow import TO_SERVICE, by_hand

ABSENT = "no powercap zone with energy_uj: a virtual machine, or a kernel module to load: sudo modprobe intel_rapl_msr"
OPTIONS = (Option("max_power", 0.0, "highest power believed of any zone; 0: from the zone's own limits", "W"),)
PLACES: Final = ("sys/class/powercap", "sys/devices/virtual/powercap")
ZONE: Final = re.compile(r"[\w-]*rapl[\w-]*(:\d+)+")
PLATFORM: Final = re.compile(r"psys(-\d+)?")
SOCKET: Final = re.compile(r"package-\d+(-die-\d+)?")
MICROJOULE: Final = 1e-6

# Highest believed power of a zone that states no limit [W], and how far above its stated long-term limit it may go for
# seconds. Package: the largest sockets sold draw 760 W (AMD Instinct MI300A, cores and GPU in one package) or are rated
# 500 W (AMD EPYC 9965, Intel Xeon 6980P); a 125 W desktop part is allowed 253 W of turbo (Intel Core i9-13900K data
# sheet). Dram: 122 W is stated by servers (intel/powertelemetry#3). Where a register fell, 1.2 times less than
# these defaults is believed, and of packages what sockets are rated; see docs/decisions/the-next-reading-decides.md.
DEFAULT_POWER: Final = {"package": 1000.0, "core": 1000.0, "uncore": 300.0, "dram": 200.0, "psys": 2000.0}
DEFAULT_WRAP: Final = {"package": 500.0, "core": 500.0, "uncore": 250.0, "dram": 200.0 / 1.2, "psys": 2000.0 / 1.2}
BURST: Final = {"package": 150.0, "core": 150.0, "uncore": 150.0, "dram": 20.0, "psys": 200.0}
OVERSHOOT: Final = 1.25
# Limits are means over their windows, and firmware raises those of a laptop when it is plugged in, which is seen at the
# next look: a 15 W part draws 40 W then [W].
SPARE: Final = 20.0
# A "limit" above this is how firmware writes "none" (often 4095.875 W).
NO_LIMIT: Final = 2000.0

# No register turns over before this [µJ]: 32 bits of the finest unit in use, 2^-16 J (Intel SDM, MSR_RAPL_POWER_UNIT;
# AMD alike), are 65.5 kJ. What states less than it shows, and less than this, was torn or is made up.
LEAST_RANGE: Final = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Zone:
    """A powercap zone: its folder, its name as the hardware gives it, and the zone that it lies in."""

    path: Path
    id: str
    name: str
    outer: Zone | None = None

    @property
    def parent(self) -> str:
        """The name of the zone that it lies in, "" for one at the top, "?" for one without a name."""
        return self.outer.name or "?" if self.outer else ""

    @property
    def kind(self) -> str:
        """One of package, core, uncore, dram, psys; package for what is not known."""
        return next((k for k in ("psys", "uncore", "core", "dram") if self.name.startswith(k)), "package")

    @property
    def mmio(self) -> bool:
        """Whether it is read through memory-mapped registers, beside the MSR zone of the same name."""
        return "mmio" in self.id

    @property
    def key(self) -> str:
        """Its control type and its name within the zones around it; a zone without a name has its id only."""
        named = f"{self.parent}/{self.name}" if self.parent else self.name
        return f"{self.id.partition(':')[0]} {named}" if self.name else self.id

    @property
    def domain(self) -> str:
        """What it measures, as totals.py has it; "" for a zone that doesn't say, or lies in one that doesn't."""
        if PLATFORM.fullmatch(self.name) or (SOCKET.fullmatch(self.name) and not self.parent):
            return self.name
        return f"{self.parent}/{self.name}" if self.name and SOCKET.fullmatch(self.parent) else ""


class Register:
    """A zone's counter, read with the names that say whose it is: its own, and that of the zone around it."""

    __slots__ = ("_energy", "_names")

    def __init__(self, zone: Zone, names: dict[Path, File]) -> None:
        self._energy = File(zone.path / "energy_uj")
        self._names = [
            (names.setdefault(z.path, File(z.path / "name")), z.name.encode())
            for z in (zone, zone.outer)
            if z and z.name
        ]

    def first(self) -> int | OSError | None:
        """Return the first reading [µJ], or why there is none."""
        try:
            return whole(self._energy.read())
        except OSError as error:
            return error

    def read(self) -> tuple[int | None, bool]:
        """Return the reading [µJ] and whether another zone stands here now."""
        for file, name in self._names:
            if self._named(file) != name:
                file.close()
                return None, True
        return self._energy.integer(), False

    @staticmethod
    def _named(file: File) -> bytes:
        try:
            return file.read().strip()
        except OSError:
            return b""


def probe(root: Path, options: Mapping[str, Any]) -> Read | None:
    """Return the energy counters of all zones, each once, whatever path leads to it."""
    zones = _scan(root)
    if not zones:
        return None
    names: dict[Path, File] = {}
    registers = {key: Register(zone, names) for key, zone in zones.items()}
    firsts = {key: register.first() for key, register in registers.items()}
    if all(isinstance(first, PermissionError) for first in firsts.values()):
        raise Denied(
            "energy_uj is for root only since CVE-2020-8694, and stays so for other users", TO_SERVICE, by_hand()
        )
    specs = _specs(zones, firsts, float(option(options, OPTIONS, "max_power")))
    lost: set[str] = set()

    def read(_: Instant) -> Values:
        found = {key: register.read() for key, register in registers.items()}
        moved = {key for key, (_, elsewhere) in found.items() if elsewhere}
        if moved - lost:
            there = _scan(root)
            for key in moved & there.keys():
                registers[key] = Register(there[key], names)
                found[key] = registers[key].read()
            lost.update(moved - there.keys())
        return [value for value, _ in found.values()]

    return Read(specs, read)


def _scan(root: Path) -> dict[str, Zone]:
    """Return all zones by their key: MSR before MMIO, in the order of their numbers."""
    found = {zone.id: zone for place in reversed(PLACES) for zone in _zones(root / place)}
    zones: dict[str, Zone] = {}
    for zone in sorted(_placed(found), key=lambda z: (z.mmio, natural(z.id))):
        key, n = zone.key, 1
        while key in zones:
            n += 1
            key = f"{zone.key} {n}"
        zones[key] = zone
    return zones


def _placed(found: Mapping[str, Zone]) -> Iterator[Zone]:
    """Yield the zones with the zone that each lies in; an id says which: intel-rapl:0:1 lies in intel-rapl:0."""
    for zone in found.values():
        around = found.get(zone.id.rpartition(":")[0]) if zone.id.count(":") > 1 else None
        yield replace(zone, outer=around)


def _zones(place: Path, parent: str = "") -> Iterator[Zone]:
    """Yield the zones below a folder; links to ``device`` and ``subsystem`` do not look like zones or control types."""
    for name in children(place):
        path = place / name
        if ZONE.fullmatch(name) and name.startswith(parent):
            if (path / "energy_uj").exists() or (path / "name").exists():
                yield Zone(path, name, text(path / "name"))
            yield from _zones(path, name + ":")
        elif not parent and place.name == "powercap" and "rapl" in name:
            yield from _zones(path)


def _specs(zones: Mapping[str, Zone], firsts: Mapping[str, object], stated: float) -> tuple[Energy, ...]:
    domains = _domains(zones)
    return tuple(
        Energy(
            key=key,
            part=part,
            unit=MICROJOULE,
            range=_range(zone, firsts[key]),
            max_power=stated or max_power(zone),
            scope="component",
            basis="modelled",
            total=False,
            wrap_power=None if stated else wrap_power(zone),
            domain=domains[key],
            rank=int(zone.mmio),
            role="" if domains[key] else "left out: a zone that doesn't say what it measures",
        )
        for (key, zone), part in zip(zones.items(), _parts(list(zones.values())), strict=True)
    )


def _range(zone: Zone, first: object) -> int | None:
    """Return where the register turns over [µJ]; None where it doesn't say.

    Where a reading lies beyond it one of the two is wrong: the range if no register has such a one, else the reading.
    """
    stated = number(zone.path / "max_energy_range_uj")
    shown = first if isinstance(first, int) else 0
    return stated if stated and stated >= min(max(shown, 1), LEAST_RANGE) else None


def _domains(zones: Mapping[str, Zone]) -> dict[str, str]:
    """Return what each zone measures; several of one name in one control type are the dies of a socket."""
    times = Counter((zone.mmio, zone.domain) for zone in zones.values())
    seen: Counter[tuple[bool, str]] = Counter()
    domains: dict[str, str] = {}
    for key, zone in zones.items():
        this = (zone.mmio, zone.domain)
        found = re.fullmatch(r"(package-\d+)(/.*)?", zone.domain) if times[this] > 1 else None
        domains[key] = f"{found[1]}-die-{seen[this]}{found[2] or ''}" if found else zone.domain
        seen[this] += 1
    return domains


def _parts(zones: list[Zone]) -> list[str]:
    """Name each zone as the hardware does, with its package in front where several have that name."""
    times = Counter(zone.name for zone in zones if not zone.mmio)
    parts: list[str] = []
    for zone in zones:
        name = zone.name or zone.id
        part = f"{zone.parent}/{name}" if times[zone.name] > 1 and zone.parent else name
        part += "-mmio" if zone.mmio else ""
        parts.append(f"{part} ({zone.id})" if part in parts else part)
    return parts


def max_power(zone: Zone) -> float:
    """Highest power that is believed of a zone [W].

    The stated limits are averages over their window: the long-term one over many seconds, in which the short-term one
    or, if that isn't stated, a burst by kind may be drawn.
    """
    limits = _limits(zone)
    if not any(limits):
        return DEFAULT_POWER[zone.kind]
    return max(limits[0] + BURST[zone.kind] if limits[0] else 0.0, max(limits) * OVERSHOOT)


def wrap_power(zone: Zone) -> float:
    """Highest power that is believed where the register fell [W]: what the zone states, with no burst on top.

    More is believed of a zone that drew more in the interval before: see :data:`thinwatt_agent.counters.AS_BEFORE`.
    """
    stated = max(_limits(zone))
    return max(stated * OVERSHOOT, stated + SPARE) if stated else DEFAULT_WRAP[zone.kind]


def _limits(zone: Zone) -> list[float]:
    """Return what the long-term, short-term and peak constraints allow [W], 0 where nothing is stated."""
    return [_constraint(zone, n) for n in range(3)]


def _constraint(zone: Zone, n: int) -> float:
    """Return the larger of a constraint's limit and its maximum [W], 0 where it states none."""
    files = (f"constraint_{n}_max_power_uw", f"constraint_{n}_power_limit_uw")
    watts = ((number(zone.path / file) or 0) * 1e-6 for file in files)
    return max((w for w in watts if 0 < w < NO_LIMIT), default=0.0)
