"""What the gateways of the campus tell: their columns, and rows of them that add up to what the simulation says.

A gateway speaks for the devices of a building. A slot of the simulation is cut into equal pieces, or is one whole row
where time is caught up: either way its pieces add up to the slot. Between pieces power wavers a little, and a PC that
was on for a part of the slot is on in some pieces and off in the others. Hosts tell of their desktops beside it all.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from thinwatt_agent.wire import Column, Group, Hello, Schema
from thinwatt_collector.demo.campus import desktops, draws
from thinwatt_collector.demo.campus.parameters import ZONE
from thinwatt_collector.demo.campus.places import Device, Places
from thinwatt_collector.demo.campus.reports import ASSUMED, BASES
from thinwatt_collector.demo.campus.simulation import Block, Campus
from thinwatt_collector.models.energy import SLOT_SECONDS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

WAVERS: Final = 0.05
"""Spread of a device's power from piece to piece of a slot."""
HOST_WAVERS: Final = 0.01
"""Likewise of a host's: a hundred desktops even each other out."""


def _pair(source: str, basis: str) -> tuple[Column, Column]:
    energy = Column(source, "energy", "counter", "J", scope="wall", basis=basis)
    return energy, Column(source, "covered", "counter", "s")


METER: Final = _pair("meter", "measured")
STATE: Final = _pair("state", "assumed")
HOST: Final = "host"
COLUMNS: Final = {
    HOST: METER,
    "measured": METER,
    "modelled": (*_pair("components", "modelled"), *STATE),
    "assumed": STATE,
}
"""By what a device's figures come from. A PC with component counters has its state besides, for when it is off; a host
has its desktops (desktops.py)."""


def spoken_for(places: Places, gateway: str) -> dict[str, list[int]]:
    """Return the places of a gateway's devices, by what their figures come from, in the order of its columns."""
    of = places.devices
    found: dict[str, list[int]] = {told: [] for told in COLUMNS}
    for i in places.spoken_for:
        if of[i].agent == gateway:
            found[HOST if of[i].kind == HOST else of[i].basis].append(i)
    return {told: mine for told, mine in found.items() if mine}


def columns(places: Places, told: str) -> tuple[Column, ...]:
    """Return the columns of each device of a group."""
    return COLUMNS[told] + (desktops.columns(places) if told == HOST else ())


def introduction(places: Places, gateway: str) -> Hello:
    """Return what a gateway says of its columns and of its devices, all of them simulated."""
    mine = spoken_for(places, gateway)
    devices = places.devices
    groups = tuple(Group(tuple(devices[i].own for i in of), columns(places, told)) for told, of in mine.items())
    about = {devices[i].own: _about(devices[i]) for of in mine.values() for i in of}
    return Hello(Schema(groups), {"simulated": True, "devices": about})


def _about(device: Device) -> dict[str, Any]:
    return {"class": device.kind, "model": device.model}


class Pieces:
    """Any slot of a campus in pieces; one local day at a time is simulated and kept."""

    def __init__(self, campus: Campus) -> None:
        self._campus = campus
        names = [device.name for device in campus.places.devices]
        self._keys = draws.keys(campus.seed, names, "pieces")[:, None]
        self._bases = np.array([BASES.index(device.basis) for device in campus.places.devices])
        wavers = [HOST_WAVERS if device.kind == HOST else WAVERS for device in campus.places.devices]
        self._wavers = np.array(wavers)[:, None]
        self._block: Block | None = None
        self._said: Floats = np.zeros((4, len(names), 0))
        self._last: tuple[int, int, Floats] = (-1, 0, self._said)

    def of(self, slot: int, pieces: int) -> Floats:
        """Return what the columns rise by, shape (4, devices, pieces).

        Joules and seconds of a device's own basis, joules and seconds of its state.

        Args:
            slot: epoch // 900.
            pieces: how many, of one length.
        """
        if self._last[:2] != (slot, pieces):
            self._last = slot, pieces, self._cut(slot, pieces)
        return self._last[2]

    def carried(self, slot: int) -> Floats:
        """Return what hosts' own columns and those of their desktops rise by in a slot, shape (hosts, columns)."""
        block = self._day(slot)
        memory = self._campus.parameters.hosts.memory
        return desktops.told(self._campus.places, block.carried, slot - block.first, memory)

    def _cut(self, slot: int, pieces: int) -> Floats:
        block = self._day(slot)
        at = slot - block.first
        joules, covered, off_joules, off = self._said[:, :, at]
        length = SLOT_SECONDS / pieces
        # The piece in which a PC goes on or off is one in which it is on.
        count = np.where(covered > 0, np.clip(np.ceil((SLOT_SECONDS - off) / length), 1, pieces), 0.0)
        place = np.arange(pieces)
        later = off < self._said[3, :, max(at - 1, 0)]  # it has just been switched on: at the end of the slot
        on = np.where(later[:, None], place >= pieces - count[:, None], place < count[:, None])
        weight = on * (1.0 + self._wavers * draws.rough_normal(self._keys, slot, place))
        return np.stack(
            [
                _spread(joules, weight),
                _spread(covered, on.astype(np.float64)),
                *_state(covered, off_joules, off, on, length),
            ]
        )

    def _day(self, slot: int) -> Block:
        block = self._block
        if block is None or not block.first <= slot < block.first + block.slots:
            day = datetime.fromtimestamp(slot * SLOT_SECONDS, ZoneInfo(ZONE)).date()
            block = self._block = self._simulate(day)
        return block

    def _simulate(self, day: date) -> Block:
        block = self._campus.block(day, day + timedelta(days=1))
        said = block.reports
        self._said = np.zeros((4, len(self._bases), block.slots))
        own = said.basis == self._bases[said.device]
        off = ~own & (said.basis == ASSUMED)
        for rows, first in ((own, 0), (off, 2)):
            self._said[first, said.device[rows]] = said.joules[rows]
            self._said[first + 1, said.device[rows]] = said.covered[rows]
        return block


def _spread(amount: Floats, weight: Floats) -> Floats:
    """Return amounts (devices,) by weights (devices, pieces); nothing where no weight is."""
    total = weight.sum(axis=1)
    share: Floats = np.divide(amount, total, out=np.zeros_like(amount), where=total > 0)
    spread: Floats = share[:, None] * weight
    return spread


def _state(covered: Floats, joules: Floats, off: Floats, on: NDArray[np.bool_], length: float) -> tuple[Floats, Floats]:
    """Return joules and seconds of what is known from the state of PCs alone, shape (devices, pieces) each.

    A piece is on or off; but one that is a whole slot may be both. The collector takes the state's power for the
    seconds that counters lack, so there the state speaks for all seconds but the lost ones, at the power of being off.
    """
    if on.shape[1] > 1:
        away = ~on & (off > 0)[:, None]
        seconds: Floats = away * np.float64(length)
        return _spread(joules, away.astype(np.float64)), seconds
    seconds = np.where(off > 0, covered + off, 0.0)
    power = np.divide(joules, off, out=np.zeros_like(joules), where=off > 0)
    return (power * seconds)[:, None], seconds[:, None]
