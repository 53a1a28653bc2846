"""Energy of CPU packages, their memory and the platform, as the kernel's powercap zones count it.

The zones overlap (METHOD §1): psys ⊇ package ⊇ core and uncore, dram stands beside its package and inside psys, an
``intel-rapl-mmio`` zone reads the same package as its MSR twin, and on some AMD processors every die shows the one
counter of its socket. All are sent; those inside or beside another that says the same have ``total`` false.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from thinwatt_agent.counters import Instant
from thinwatt_agent.files import File, children, natural, number, text, whole
from thinwatt_agent.sources import Denied, Energy, Option, Read, Values, option

ABSENT = "no powercap zone with energy_uj: a virtual machine, or a kernel module to load: sudo modprobe intel_rapl_msr"
OPTIONS = (Option("max_power", 0.0, "highest power believed of any zone; 0: from the zone's own limits", "W"),)
PLACES: Final = ("sys/class/powercap", "sys/devices/virtual/powercap")
ZONE: Final = re.compile(r"[\w-]*rapl[\w-]*(:\d+)+")
MICROJOULE: Final = 1e-6

# Highest believed power of a zone that states no limit [W], and how far above its stated long-term limit it may go for
# seconds. Package: the largest sockets sold are rated 500 W (AMD EPYC 9965, Intel Xeon 6980P); a 125 W desktop part is
# allowed 253 W of turbo (Intel Core i9-13900K data sheet). Dram: 122 W is stated by servers (intel/powertelemetry#3).
# The defaults are 1.2 times such a rating.
DEFAULT_POWER: Final = {"package": 600.0, "core": 600.0, "uncore": 300.0, "dram": 200.0, "psys": 2000.0}
BURST: Final = {"package": 150.0, "core": 150.0, "uncore": 150.0, "dram": 20.0, "psys": 200.0}
OVERSHOOT: Final = 1.25
BEYOND_RATING: Final = 1.2
# A "limit" above this is how firmware writes "none" (often 4095.875 W).
NO_LIMIT: Final = 2000.0

# The files stay as they are, readable by root only (CVE-2020-8694: whoever reads them often enough can tell what other
# processes compute); the agent alone gets the capability to read what it may not.
REMEDY: Final = (
    "sudo mkdir -p /etc/systemd/system/thinwatt-agent.service.d && "
    "printf '[Service]\\nAmbientCapabilities=CAP_DAC_READ_SEARCH\\n"
    "CapabilityBoundingSet=CAP_DAC_READ_SEARCH\\n' | "
    "sudo tee /etc/systemd/system/thinwatt-agent.service.d/rapl.conf && "
    "sudo systemctl daemon-reload && sudo systemctl restart thinwatt-agent"
)
BY_HAND: Final = (
    "sudo setpriv --reuid=$(id -u) --regid=$(id -g) --init-groups --inh-caps=+dac_read_search "
    "--ambient-caps=+dac_read_search $(command -v thinwatt-agent) once"
)


@dataclass(frozen=True, slots=True)
class Zone:
    """A powercap zone: its folder, the folder's name (``intel-rapl:0:1``) and the name that the hardware gives it."""

    path: Path
    id: str
    name: str

    @property
    def kind(self) -> str:
        """One of package, core, uncore, dram, psys; package for what is not known."""
        return next((k for k in ("psys", "uncore", "core", "dram") if self.name.startswith(k)), "package")

    @property
    def parent(self) -> str:
        """The id of the zone that this one lies in, "" for one at the top."""
        return self.id.rpartition(":")[0] if self.id.count(":") > 1 else ""

    @property
    def mmio(self) -> bool:
        """Whether it is read through memory-mapped registers, beside the MSR zone of the same name."""
        return "mmio" in self.id


def probe(root: Path, options: Mapping[str, Any]) -> Read | None:
    """Return the energy counters of all zones, each once, whatever path leads to it."""
    found = [zone for place in PLACES for zone in _zones(root / place)]
    zones = sorted({zone.id: zone for zone in reversed(found)}.values(), key=lambda z: (z.mmio, natural(z.id)))
    if not zones:
        return None
    files = [File(zone.path / "energy_uj") for zone in zones]
    readings = [_first(file) for file in files]
    if all(isinstance(reading, PermissionError) for reading in readings):
        raise Denied("energy_uj is for root only since CVE-2020-8694, and stays so for other users", REMEDY, BY_HAND)
    values = [r if isinstance(r, int) else None for r in readings]
    stated = float(option(options, OPTIONS, "max_power"))
    specs = _specs(zones, values, stated)

    def read(_: Instant) -> Values:
        return [file.integer() for file in files]

    return Read(specs, read)


def _zones(place: Path, parent: str = "") -> Iterator[Zone]:
    """Yield the zones below a folder; links to ``device`` and ``subsystem`` do not look like zones or control types."""
    for name in children(place):
        path = place / name
        if ZONE.fullmatch(name) and name.startswith(parent):
            if (path / "energy_uj").exists() or (path / "name").exists():
                yield Zone(path, name, text(path / "name") or name)
            yield from _zones(path, name + ":")
        elif not parent and place.name == "powercap" and "rapl" in name:
            yield from _zones(path)


def _first(file: File) -> int | OSError | None:
    try:
        return whole(file.read())
    except OSError as error:
        return error


def _specs(zones: list[Zone], values: list[int | None], stated: float) -> tuple[Energy, ...]:
    parts = _parts(zones)
    inside = _inside(zones, dict(zip((z.id for z in zones), values, strict=True)))
    return tuple(
        Energy(
            key=f"{zone.id} {zone.name}",
            part=part,
            unit=MICROJOULE,
            range=number(zone.path / "max_energy_range_uj") or None,
            max_power=stated or max_power(zone),
            scope="component",
            basis="modelled",
            total=zone.id not in inside,
            wrap_power=None if stated else wrap_power(zone),
        )
        for zone, part in zip(zones, parts, strict=True)
    )


def _parts(zones: list[Zone]) -> list[str]:
    """Name each zone as the hardware does, with its package in front where several have that name."""
    names = {zone.id: zone.name for zone in zones}
    times = Counter(zone.name for zone in zones if not zone.mmio)
    parts: list[str] = []
    for zone in zones:
        part = f"{names[zone.parent]}/{zone.name}" if times[zone.name] > 1 and zone.parent in names else zone.name
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
    """Highest power that is believed where the register fell [W]: what the zone states, with no burst on top."""
    return max(_limits(zone)) * OVERSHOOT or DEFAULT_POWER[zone.kind] / BEYOND_RATING


def _limits(zone: Zone) -> list[float]:
    """Return what the long-term, short-term and peak constraints allow [W], 0 where nothing is stated."""
    return [_constraint(zone, n) for n in range(3)]


def _constraint(zone: Zone, n: int) -> float:
    """Return the larger of a constraint's limit and its maximum [W], 0 where it states none."""
    files = (f"constraint_{n}_max_power_uw", f"constraint_{n}_power_limit_uw")
    watts = ((number(zone.path / file) or 0) * 1e-6 for file in files)
    return max((w for w in watts if 0 < w < NO_LIMIT), default=0.0)


def _inside(zones: list[Zone], values: Mapping[str, int | None]) -> set[str]:
    """Return the ids of the zones that another one contains or repeats.

    What can't be read gives way to what can. A psys that reads 0 is not wired up. The choice holds until the agent
    starts again: a change on the way could count an interval twice.
    """
    readable = {z.id for z in zones if values[z.id] is not None}
    msr = {z.name for z in zones if not z.mmio and z.id in readable}
    mmio = {z.name for z in zones if z.mmio and z.id in readable} - msr
    twins = {z.id for z in zones if (z.name in mmio) is not z.mmio and z.name in _both(zones)}
    packages = any(z.kind == "package" and z.id in readable for z in zones)
    platform = [values[z.id] for z in zones if z.kind == "psys" and not z.mmio]
    psys = any(value or (value is None and not packages) for value in platform)
    inside = {z.id for z in zones if z.kind in ("core", "uncore") or (z.kind == "psys") is not psys} | twins
    return inside | _mirrored([z for z in zones if z.id not in inside and z.kind == "package"], values)


def _both(zones: list[Zone]) -> set[str]:
    """Return the names that stand for a model-specific register and for memory-mapped input and output."""
    return {z.name for z in zones if z.mmio} & {z.name for z in zones if not z.mmio}


def _mirrored(packages: list[Zone], values: Mapping[str, int | None]) -> set[str]:
    """Return the ids of the dies that show the counter of a die before them in the same package."""
    mirrored: set[str] = set()
    for i, die in enumerate(packages):
        others = (o for o in packages[:i] if o.id not in mirrored and _package(o) == _package(die))
        if any(_same(values[o.id], values[die.id], max_power(die)) for o in others):
            mirrored.add(die.id)
    return mirrored


def _package(zone: Zone) -> str:
    found = re.match(r"package-\d+", zone.name)
    return found[0] if found else zone.id


def _same(a: int | None, b: int | None, watts: float) -> bool:
    """Whether two counters [µJ] read one after the other are one: closer than 0.1 s of full power, and than 0.1 %."""
    if a is None or b is None:
        return False
    return abs(a - b) <= min(watts * 0.1 / MICROJOULE, max(a, b) / 1000)
