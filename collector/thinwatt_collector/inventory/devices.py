"""Hosts and devices as they stand on a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from thinwatt_collector.inventory.events import MACHINES, in_service
from thinwatt_collector.inventory.tables import Inventory, Record


@dataclass(frozen=True, slots=True)
class Device:
    """A line of hosts or devices as it stands on a day: ``count`` machines alike."""

    name: str
    kind: str
    model: str
    room: str
    pool: str
    count: int
    by_design: bool

    @property
    def place(self) -> tuple[str, str]:
        """Return what its habits come from: the pool of a host, the room of an endpoint."""
        return ("pool", self.pool) if self.pool else ("room", self.room)


def devices_on(inventory: Inventory, day: date) -> list[Device]:
    """Return what stands there on a day: bought by then, not retired or given, sold and scrapped, its line valid."""
    found = []
    told = in_service(inventory, day)
    for kind in MACHINES:
        for record in inventory.records(kind):
            bought, retired = record.day("purchased") or date.min, record.day("retired") or date.max
            count = int(record.told.get("count", 1)) if bought <= day < retired else 0
            count = told.get((kind, record.name), count)
            if record.span[0] <= day <= record.span[1] and count:
                found.append(_device(inventory, record, count))
    return found


def _device(inventory: Inventory, record: Record, count: int) -> Device:
    model = inventory.tables["models"].get(record.text("model"))
    of_model = model[0].text("class") if model else ""
    return Device(
        name=record.name,
        kind="host" if record.table == "hosts" else record.text("class") or of_model,
        model=record.text("model"),
        room=record.text("room"),
        pool=record.text("pool"),
        count=count,
        by_design=record.text("agent") == "none",
    )
