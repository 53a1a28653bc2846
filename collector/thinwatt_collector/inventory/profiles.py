"""What a device that nobody measures is assumed to draw in a year, and how wrong that may be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import sqrt
from types import MappingProxyType
from typing import Final

import numpy as np

from thinwatt_collector.data import Row, rows
from thinwatt_collector.inventory.tables import Record
from thinwatt_collector.models.devices import STATES, DeviceModel, model_of
from thinwatt_collector.models.power import LOAD_KNOTS, piecewise
from thinwatt_collector.units import Ratio, Watts

QUANTITIES: Final = MappingProxyType(
    dict.fromkeys(
        (
            *("active", "idle", "sleep", "on", "load"),
            *("each", "room", "season", "own_season", "fault", "declared", "default_common", "pue"),
        ),
        "1",
    )
)


@dataclass(frozen=True, slots=True)
class Profile:
    """One device of a class and hardware model, over a year.

    Attributes:
        power: mean over the year, at the wall [W].
        common: relative standard deviation by the name of the error, shared by all that have one of that name [1].
        room: habits of a room or pool [1].
        own: of this device beside others of its kind and place [1].
        meter: of an agent's word [1].
        of: where the watts come from: "inventory", a model of data/devices.csv, or "" for the default of the class.
    """

    power: float
    common: dict[str, float]
    room: float
    own: float
    meter: float
    of: str


@cache
def times() -> dict[tuple[str, str], Row]:
    """Return ``data/times.csv`` by class and quantity."""
    table = rows("times", ("class", "quantity"), dict(QUANTITIES))
    return {(row.of["class"], row.of["quantity"]): row for row in table}


def profile(kind: str, model: str, declared: Record | None) -> Profile:
    """Return what a device of a class draws.

    Args:
        kind: one of the classes of data/devices.csv.
        model: hardware model, as the inventory names it.
        declared: its line in the inventory, whose watts go before any table.

    >>> found = profile("thin_client", "FUTRO S740", None)
    >>> round(found.power, 1), found.of
    (2.0, 'FUTRO S740')
    """
    table = model_of(kind, model)
    own = {s: declared.number(s) for s in STATES if declared is not None and s in declared.told}
    taken = "inventory" if own.keys() & {"idle", "active"} else table.of
    mean, spread, hours = (_host if kind == "host" else _endpoint)(kind, table, own)
    common = {f"hours of {kind}": hours}
    if taken:
        common[f"watts of {kind} {model if taken == 'inventory' else taken}"] = spread
    else:
        shared = times()["", "default_common"].value
        common[f"watts of {kind}"] = spread * sqrt(shared)
        common[f"watts of {kind} {model}"] = spread * sqrt(1.0 - shared)
    around, each = times()[kind, "room"].uncertainty, times()[kind, "each"].uncertainty
    return Profile(mean, common, around, each, table.u_meter, taken)


def _endpoint(kind: str, table: DeviceModel, own: dict[str, float]) -> tuple[float, float, float]:
    """Return mean power [W] and its relative spread by watts and by hours."""
    watts: Watts = np.array([own.get(s, table.states[i]) for i, s in enumerate(STATES)])
    u_declared = times()["", "declared"].uncertainty
    u_watts: Ratio = np.array([u_declared if s in own else table.u_states[i] for i, s in enumerate(STATES)])
    at = [times().get((kind, s)) for s in STATES]
    shares: Ratio = np.array([row.value if row else 0.0 for row in at])
    u_shares: Ratio = np.array([row.uncertainty if row else 0.0 for row in at])
    shares[0] = 1.0 - shares[1:].sum()
    mean = float(shares @ watts)
    # The watts of one sheet are wrong together; an hour more in one state is an hour less off.
    hours = float(np.sqrt(np.sum((shares * u_shares * (watts - watts[0]))[1:] ** 2)))
    return mean, float(shares @ (watts * u_watts)) / mean, hours / mean


def _host(kind: str, table: DeviceModel, own: dict[str, float]) -> tuple[float, float, float]:
    load, on = times()[kind, "load"], times()[kind, "on"]
    curve, spread = table.watts, table.u_load
    if own.keys() & {"idle", "active"}:
        idle = own.get("idle", own.get("active", 0.0) * float(curve[0] / curve[-1]))
        full = own.get("active", idle * float(curve[-1] / curve[0]))
        curve = idle + (curve - curve[0]) / (curve[-1] - curve[0]) * (full - idle)
        spread = times()["", "declared"].uncertainty
    at = load.value * np.array([1.0, 1.0 + load.uncertainty, 1.0 - load.uncertainty])
    middle, high, low = piecewise(at, LOAD_KNOTS, curve).tolist()
    off = own.get("off", float(table.states[0]))
    mean = on.value * middle + (1.0 - on.value) * off
    hours = sqrt((on.value * (high - low) / 2.0) ** 2 + (on.value * on.uncertainty * middle) ** 2)
    return mean, spread, hours / mean
