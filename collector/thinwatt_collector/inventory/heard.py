"""What agents told of an inventory's machines, and which reading is of which of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import numpy as np

from thinwatt_collector.inventory.annual import ANY, Reading, Where
from thinwatt_collector.inventory.devices import Device, devices_on
from thinwatt_collector.inventory.profiles import times
from thinwatt_collector.inventory.tables import Inventory
from thinwatt_collector.units import Ratio


@dataclass(frozen=True, slots=True)
class Heard:
    """What agents told.

    Attributes:
        connected: how many machines of a line have an agent, by the line's name [1].
        readings: of them; a line that is connected and in no reading has not told enough yet.
    """

    connected: Mapping[str, int] = field(default_factory=dict)
    readings: Sequence[Reading] = ()


NOTHING: Final = Heard()


def alone(inventory: Inventory, day: date, told: Mapping[str, float]) -> Heard:
    """Return what agents told that measured each machine for a whole year.

    Args:
        inventory: what stands where.
        day: whose state counts.
        told: energy of a year of each machine of a line, by its name [J]; NaN: connected, and has told nothing yet.
    """
    lines = {d.name: d for d in devices_on(inventory, day) if d.name in told}
    by: dict[Where, list[Device]] = defaultdict(list)
    for d in lines.values():
        if not np.isnan(told[d.name]):
            by[Where(d.kind, d.model, room=d.room)].append(d)
    readings = []
    for where, same in by.items():
        count = sum(d.count for d in same)
        readings.append(Reading(where, count, sum(told[d.name] * d.count for d in same) / count))
    return Heard({d.name: d.count for d in lines.values()}, readings)


def closest(readings: Sequence[Reading], where: Sequence[Where], with_agent: Ratio) -> list[int]:
    """Return for each cell that has agents the reading that tells most of its place and model, -1 for none."""
    known = {r.where: i for i, r in enumerate(readings)}
    found = []
    for of, agents in zip(where, with_agent.tolist(), strict=True):
        asked = (
            Where(of.kind, model, *place)
            for place in (
                (of.site, of.building, of.room),
                (ANY, ANY, of.room),
                (of.site, of.building, ANY),
                (of.site, ANY, ANY),
                (ANY, ANY, ANY),
            )
            for model in (of.model, ANY)
        )
        found.append(next((known[w] for w in asked if w in known), -1) if agents else -1)
    return found


def doubts(reading: Reading) -> dict[str, float]:
    """Return the errors that a reading has in common with others, by name."""
    where = reading.where
    return {
        f"weeks of {where.kind}": reading.unseen * times()[where.kind, "season"].uncertainty,
        f"agents' word of {where.kind} {where.model}": reading.doubt,
    }
