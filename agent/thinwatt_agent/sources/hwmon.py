"""Power and energy that hardware monitoring chips report: ACPI power meters, GPUs, supply rails of small boards.

An ACPI ``power_meter`` measures the whole machine (scope node, measured); any other chip a component of it. With such
a meter there, the components are sent and not summed: they lie inside it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from thinwatt_agent.counters import Instant
from thinwatt_agent.files import File, children, text
from thinwatt_agent.places import shown
from thinwatt_agent.sources import Denied, Energy, Option, Power, Read, Values, above_zero, option


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
REMEDY: Final = (
    "ls -l /sys/class/hwmon/*/power* /sys/class/hwmon/*/energy* shows whose files they are; energy counters of CPUs "
    "are for root only on purpose (CVE-2020-8694): give the agent's service AmbientCapabilities=CAP_DAC_READ_SEARCH"
)


@dataclass(frozen=True, slots=True)
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

    @property
    def label(self) -> str:
        """What the driver calls the channel, else the channel."""
        return text(self.folder / f"{self.channel}_label") or self.channel


def probe(root: Path, options: Mapping[str, Any]) -> Read | None:
    """Return the power readings and energy counters of all chips."""
    exclude = re.compile(str(option(options, OPTIONS, "exclude")) or r"(?!)")
    sensors = [s for s in _sensors(root / "sys/class/hwmon") if not exclude.search(s.chip)]
    if not sensors:
        return None
    files = [File(s.folder / s.file) for s in sensors]
    if all(_denied(file) for file in files):
        raise Denied("the sensors below /sys/class/hwmon are not readable", REMEDY)
    specs = _specs(sensors, float(option(options, OPTIONS, "max_power")))

    def read(_: Instant) -> Values:
        return [_value(sensor, file) for sensor, file in zip(sensors, files, strict=True)]

    return Read(specs, read)


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


def _denied(file: File) -> bool:
    try:
        file.read()
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def _specs(sensors: list[Sensor], highest: float) -> tuple[Energy | Power, ...]:
    names = [f"{s.chip}/{s.label}" for s in sensors]
    times = Counter(names)
    node = any(s.node for s in sensors)
    specs: list[Energy | Power] = []
    for sensor, name in zip(sensors, names, strict=True):
        part = name if times[name] == 1 else f"{name} ({_device(sensor.folder)})"
        scope, basis = ("node", "measured") if sensor.node else ("component", "modelled")
        key = f"{_device(sensor.folder)} {sensor.chip} {sensor.channel}"
        total = sensor.node or not node
        if sensor.channel.startswith("power"):
            specs.append(Power(key, part, highest, scope, basis, total))
        else:
            specs.append(Energy(key, part, MICRO, None, highest, scope, basis, total))
    return tuple(specs)


def _device(folder: Path) -> str:
    """Return what the chip hangs on (a PCI address): ``hwmon3`` may be another chip after a reboot."""
    device = folder / "device"
    return device.resolve().name if device.is_symlink() and device.exists() else folder.name


def _value(sensor: Sensor, file: File) -> float | None:
    """Return W or µJ; a machine that runs does not draw 0 W as a whole: that is a meter which is off."""
    found = file.integer()
    if found is None or sensor.channel.startswith("energy"):
        return found
    return None if sensor.node and found == 0 else found * MICRO
