"""Power and energy that hardware monitoring chips report: ACPI power meters, GPUs, supply rails of small boards.

An ACPI ``power_meter`` measures the whole machine (scope node, measured); any other chip a component of it. With such
a meter there, the components are sent and not summed: they lie inside it. Nor is summed what lies inside another
channel or repeats one, as far as names tell: the package inside its card, outputs inside an input, a rail whose power
and energy are both shown, a rail that two chips watch. Of those that repeat each other the first that reads counts.

``amd_energy`` is the door to the registers that powercap's packages show; its sockets are their twins (totals.py).
Other chips that tell of a processor (an APU's GPU, ``zenpower``, ``fam15h_power``) are not summed where such registers
can be read: they repeat them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from thinwatt_agent.counters import Instant
from thinwatt_agent.files import File, children, text, whole
from thinwatt_agent.places import shown
from thinwatt_agent.sources import Denied, Energy, Option, Power, Read, Values, above_zero, option
from thinwatt_agent.sources._allow import TO_SERVICE, by_hand


def _expression(value: Any, _: Path) -> Any:
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{shown(value)} is no regular expression ({error}): write 'acpitz|coretemp'") from None
    return value


ABSENT = "no chip below /sys/class/hwmon reports power or energy"
OPTIONS = (
    Option("max_power", 2000.0, "highest power believed of any sensor", "W", above_zero),
    Option(
        "exclude",
        "",
        "chips to leave out: a regular expression on the name, as in /sys/class/hwmon/hwmon0/name",
        read=_expression,
    ),
)
# The kernel's Documentation/hwmon/sysfs-interface: power in µW, energy in µJ.
SENSOR: Final = re.compile(r"(power\d+)_(?:input|average)|(energy\d+)_input")
MICRO: Final = 1e-6
AMD: Final = "amd_energy"
SOCKET: Final = re.compile(r"Esocket(\d+)")
# The kernel's Documentation/hwmon/*.rst and ABI/testing/sysfs-driver-intel-{xe,i915}-hwmon say what holds what: channel
# 1 of xe is the card and 2 its package, i915 has a chip for the card and one for each tile (i915_gt0); corsair-psu's
# total is that of its rails, ibmpowernv's System that of the machine's parts, and a PMBus input feeds its outputs.
XE: Final = "xe"
GPUS: Final = ("amdgpu", "i915", "nouveau", "radeon", XE)
INSIDE: Final = (
    (re.compile("card"), re.compile("pkg")),
    (re.compile("power total"), re.compile("power .*")),
    (re.compile("System"), re.compile("(?!System).*")),
    (re.compile(r"pin\d*"), re.compile(r"pout\d+")),
    # zenpower of Zen 4 and later shows the package beside its cores; macsmc-hwmon the Mac beside its rails.
    (re.compile("RAPL_P_Package"), re.compile("(?!RAPL_P_Package).*")),
    (re.compile("Total System Power"), re.compile("(?!Total System Power|AC Input Power).*")),
)
# The power of an APU "includes the CPU" (the hwmon section of amdgpu_pm.c); of amdgpu's chips only those of APUs have a
# voltage of the northbridge, in1. fam15h_power: Documentation/hwmon/fam15h_power.rst.
PROCESSORS: Final = ("zenpower", "fam15h_power")
APU: Final = "amdgpu"
REPEATS: Final = "the same as the processors' registers (powercap, amd_energy)"
WITH_BATTERY: Final = "left out: it holds Total System Power, and what charges the battery"
GENERIC: Final = re.compile(r"p(in|out)\d*|power .*")
"""Labels that every power supply has: two of them are two supplies."""
PCI: Final = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")


@dataclass(frozen=True)
class Sensor:
    """One channel of a chip."""

    folder: Path
    chip: str
    channel: str
    file: str

    @property
    def node(self) -> bool:
        """Whether it measures the whole machine."""
        return self.chip in ("power_meter", "acpi_power_meter")

    @cached_property
    def named(self) -> str:
        """What the driver, or the board's description, calls the channel; "" for nothing."""
        return text(self.folder / f"{self.channel}_label")

    @property
    def label(self) -> str:
        """What the channel is called, else the channel."""
        return self.named or self.channel

    @cached_property
    def apu(self) -> bool:
        """Whether it is the GPU in a processor, and tells of all of it."""
        return self.chip == APU and (self.folder / "in1_input").exists()

    @property
    def processor(self) -> bool:
        """Whether it tells of processors, as their registers do."""
        return self.apu or self.chip in PROCESSORS

    @property
    def number(self) -> str:
        """Of the channel: power1 and energy1 are the same rail."""
        return re.sub(r"\D", "", self.channel)

    @property
    def energy(self) -> bool:
        """Whether it is a register of energy, else a reading of power."""
        return self.channel.startswith("energy")


def probe(root: Path, options: Mapping[str, Any]) -> Read | None:
    """Return the power readings and energy counters of all chips."""
    exclude = re.compile(str(option(options, OPTIONS, "exclude")) or r"(?!)")
    sensors = [s for s in _sensors(root / "sys/class/hwmon") if not exclude.search(s.chip)]
    if not sensors:
        return None
    files = [File(s.folder / s.file) for s in sensors]
    firsts = [_first(file) for file in files]
    if all(isinstance(first, PermissionError) for first in firsts):
        raise Denied("the sensors below /sys/class/hwmon are for root only", TO_SERVICE, by_hand())
    reads = [isinstance(first, int) for first in firsts]
    registers = any(s.chip == AMD and of for s, of in zip(sensors, reads, strict=True)) or _packages(root)
    specs = _specs(sensors, reads, float(option(options, OPTIONS, "max_power")), registers)

    def read(_: Instant) -> Values:
        return [_value(sensor, file) for sensor, file in zip(sensors, files, strict=True)]

    return Read(specs, read)


def _packages(root: Path) -> bool:
    """Whether a package's register can be read in powercap."""
    place = root / "sys/class/powercap"
    zones = [place / name for name in children(place) if "rapl" in name]
    found = [zone for zone in zones if text(zone / "name").startswith("package")]
    return any(isinstance(_first(File(zone / "energy_uj")), int) for zone in found)


def _sensors(place: Path) -> list[Sensor]:
    sensors = []
    for name in children(place):
        folder = place / name
        # A battery's chip repeats what the source battery reads, without its state.
        if (folder / "device/type").exists() and (folder / "device/status").exists():
            continue
        chip = text(folder / "name") or name
        channels: dict[str, str] = {}
        for file in children(folder):
            found = SENSOR.fullmatch(file)
            if found:
                channels.setdefault(found[1] or found[2], file)
        sensors += [Sensor(folder, chip, channel, file) for channel, file in channels.items()]
    return sensors


def _first(file: File) -> int | OSError | None:
    try:
        return whole(file.read())
    except OSError as error:
        return error


def _specs(sensors: list[Sensor], reads: list[bool], highest: float, registers: bool) -> tuple[Energy | Power, ...]:
    parts = _parts(sensors)
    roles = _roles(sensors, reads, parts, registers)
    specs: list[Energy | Power] = []
    for sensor, part, role in zip(sensors, parts, roles, strict=True):
        scope, basis = ("node", "measured") if sensor.node else ("component", "modelled")
        key = f"{_device(sensor.folder)} {sensor.chip} {sensor.channel}"
        socket = SOCKET.fullmatch(sensor.label) if sensor.chip == AMD else None
        if socket and sensor.energy:
            domain = f"package-{socket[1]}"
            specs.append(Energy(key, part, MICRO, None, highest, scope, basis, total=False, domain=domain, rank=2))
        elif sensor.energy:
            specs.append(Energy(key, part, MICRO, None, highest, scope, basis, not role, role=role))
        else:
            specs.append(Power(key, part, highest, scope, basis, not role, role=role))
    return tuple(specs)


def _parts(sensors: list[Sensor]) -> list[str]:
    """Name each sensor by chip and label; with its channel and its device where that is not one alone."""
    here = Counter((s.folder, s.label) for s in sensors)
    names = [f"{s.chip}/{s.label}" + (f" {s.channel}" if here[s.folder, s.label] > 1 else "") for s in sensors]
    times = Counter(names)
    return [n if times[n] == 1 else f"{n} ({_device(s.folder)})" for s, n in zip(sensors, names, strict=True)]


def _roles(sensors: list[Sensor], reads: list[bool], parts: list[str], registers: bool) -> list[str]:
    """Return of each sensor what it lies inside or repeats, "" for one that counts.

    ``registers``: those of the processors can be read.
    """
    system = any(s.label == "Total System Power" and of for s, of in zip(sensors, reads, strict=True))
    roles: list[str] = []
    order = sorted(range(len(sensors)), key=lambda i: not reads[i])
    for i, sensor in enumerate(sensors):
        before = order[: order.index(i)]
        around = next((k for k, o in enumerate(sensors) if (reads[k] or not reads[i]) and _holds(o, sensor)), None)
        twin = next((k for k in sorted(before) if _same_rail(sensors[k], sensor)), None)
        if registers and sensor.processor:
            roles.append(REPEATS)
        elif around is not None:
            roles.append(f"inside {parts[around]}")
        elif sensor.chip == AMD and not SOCKET.fullmatch(sensor.label):
            roles.append("inside its socket")
        elif system and sensor.label == "AC Input Power":
            roles.append(WITH_BATTERY)
        else:
            roles.append("" if twin is None else f"the same as {parts[twin]}")
    return roles


def _holds(outer: Sensor, inner: Sensor) -> bool:
    """Whether a channel holds another: the machine all components, a card its package, an input its outputs."""
    if outer is inner or outer.node or inner.node:
        return outer.node and not inner.node
    if outer.apu and inner.chip in PROCESSORS:
        return True
    if outer.folder == inner.folder:
        return any(o.fullmatch(outer.label) and i.fullmatch(inner.label) for o, i in INSIDE) or (
            outer.chip == XE and outer.channel[-1:] == "1" != inner.channel[-1:]
        )
    tiles = _device(outer.folder) == _device(inner.folder) and inner.chip.startswith(outer.chip + "_")
    return tiles and (outer.folder / "device").exists()


def _same_rail(a: Sensor, b: Sensor) -> bool:
    """Whether two channels show one rail: its power and its energy, or two chips that a board names alike."""
    if a.folder == b.folder:
        return a.number == b.number or (a.named != "" and a.label == b.label)
    if a.node or b.node or not a.named or a.label != b.label:
        return False
    boards = not (PCI.fullmatch(_device(a.folder)) or PCI.fullmatch(_device(b.folder)))
    return boards and not (a.chip in GPUS or b.chip in GPUS or GENERIC.fullmatch(a.label))


def _device(folder: Path) -> str:
    """Return what the chip hangs on (a PCI address): ``hwmon3`` may be another chip after a reboot."""
    device = folder / "device"
    return device.resolve().name if device.is_symlink() and device.exists() else folder.name


def _value(sensor: Sensor, file: File) -> float | None:
    """Return W or µJ; a machine that runs does not draw 0 W as a whole: that is a meter which is off."""
    found = file.integer()
    if found is None or sensor.energy:
        return found
    return None if sensor.node and found == 0 else found * MICRO
