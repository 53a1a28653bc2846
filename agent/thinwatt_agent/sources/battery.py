"""What a laptop draws while it runs on its batteries: the whole machine, measured.

On mains nothing is measured, and nothing is covered. Several batteries are one reading: the sum of those that
discharge. It stays the same reading, under the name that it had first, when one of them comes or goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import Any, Final

from thinwatt_agent.counters import Instant
from thinwatt_agent.files import File, children, text
from thinwatt_agent.sources import Option, Power, Read, Values, above_zero, option

ABSENT = "no system battery below /sys/class/power_supply"
OPTIONS = (Option("max_power", 300.0, "highest discharge power believed", "W", above_zero),)
KEY: Final = "batteries"
ON_MAINS: Final = float("nan")


class Battery:
    """The files of one battery. The kernel's ABI/testing/sysfs-class-power: µW, or µA and µV."""

    def __init__(self, folder: Path) -> None:
        self._status = File(folder / "status")
        self._power = File(folder / "power_now") if (folder / "power_now").exists() else None
        self._current, self._voltage = File(folder / "current_now"), File(folder / "voltage_now")

    def watts(self) -> float | None:
        """Return the discharge power [W], NaN while it does not discharge, None where the reading failed."""
        try:
            status = self._status.read().strip().lower()
        except OSError:
            return None
        if not status:
            return None
        return self._drawn() if status == b"discharging" else ON_MAINS

    def _drawn(self) -> float | None:
        if self._power:
            power = self._power.integer()
            return None if power is None else abs(power) * 1e-6
        current, voltage = self._current.integer(), self._voltage.integer()
        return None if current is None or voltage is None else abs(current * voltage) * 1e-12


def probe(root: Path, options: Mapping[str, Any]) -> Read | None:
    """Return the discharge power of the batteries that feed the machine; a mouse's is not one."""
    place = root / "sys/class/power_supply"
    folders = _folders(place)
    if not folders:
        return None
    batteries = [Battery(folder) for folder in folders]
    part = "+".join(folder.name for folder in folders)
    spec = Power(KEY, part, float(option(options, OPTIONS, "max_power")), "node", "measured")

    def read(_: Instant) -> Values:
        watts = [battery.watts() for battery in batteries]
        if None in watts and _folders(place) != folders:
            folders[:] = _folders(place)
            batteries[:] = [Battery(folder) for folder in folders]
            watts = [battery.watts() for battery in batteries] or [None]
        return [total(watts)]

    return Read((spec,), read)


def _folders(place: Path) -> list[Path]:
    folders = [place / name for name in children(place)]
    return [f for f in folders if text(f / "type") == "Battery" and text(f / "scope") != "Device"]


def total(watts: list[float | None]) -> float | None:
    """Return the sum of what the discharging batteries give [W].

    A 0 while discharging is a gauge that has not caught up with the plug, no power: a failed reading.

    >>> nan = float("nan")
    >>> total([9.5, nan]), total([nan, nan]), total([9.5, None]), total([0.0])
    (9.5, nan, None, None)
    """
    if None in watts:
        return None
    drawn = [w for w in watts if w is not None and not isnan(w)]
    if not drawn:
        return ON_MAINS
    return sum(drawn) or None
