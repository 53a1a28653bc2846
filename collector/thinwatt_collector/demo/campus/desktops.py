"""Desktops on the hosts: how many of each pool run in each slot, who is at them, and what they take of the CPUs.

The broker spreads them evenly: a host has places for its part of a pool, and the first ones are taken first. Nobody is
told apart: a place is not whose desktop it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_agent.wire import Column
from thinwatt_collector.demo.campus.academic import Days
from thinwatt_collector.demo.campus.hosts import Activity, boots, prepared
from thinwatt_collector.demo.campus.parameters import Parameters
from thinwatt_collector.demo.campus.places import Places, Pool
from thinwatt_collector.models.energy import SLOT_SECONDS

Floats = NDArray[np.float64]

TELLS: Final = {"cpu": "s", "covered": "s", "present": "s", "memory": "B s", "active": "s", "disconnected": "s"}
"""What is told of a desktop: no more than attribution and the hours need."""
WEIGHTS: Final = (0.01, 1.0, 0.1)
"""Of a desktop that is there, with somebody at it, left running: for shares of what its pool takes."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What one host carries, by pool and slot.

    Attributes:
        present: desktops there, mean of the slot, shape (pools, slots).
        active: those with somebody at them, likewise.
        left: those left running, likewise.
        cpu: of each host's desktops, shape (hosts, pools, slots) [s].
        host_cpu: of the whole host, shape (hosts, slots) [s].
    """

    present: Floats
    active: Floats
    left: Floats
    cpu: Floats
    host_cpu: Floats

    def until(self, slots: int) -> Carried:
        """Return the first slots of it."""
        return Carried(*(getattr(self, name)[..., :slots] for name in Carried.__dataclass_fields__))


def places_of(places: Places) -> list[int]:
    """Return how many desktops of each pool a host has a place for."""
    return [-(-pool.desktops // len(places.hosts)) for pool in places.pools]


def carried(
    places: Places, activity: Activity, load: Floats, days: Days, window: tuple[int, int], p: Parameters
) -> Carried:
    """Return what hosts of a load (hosts, slots) carry: all of it but the hypervisor's own goes to the desktops."""
    h, count = p.hosts, len(places.hosts)
    room = np.array(places_of(places), np.float64)[:, None]
    sessions, video, left = activity.pools
    active = np.minimum(sessions / count, room)
    running = np.minimum(left / count, room - active)
    spare = np.maximum(prepared(days, window, h), h.spare) * room
    asked = h.cores_per_session * sessions + h.video * video + p.disconnected.cores * left
    asked += boots(days, window, h) * room / room.sum()
    together = asked.sum(axis=0)
    share = np.divide(asked, together, out=np.zeros_like(asked), where=together > 0)
    busy = load * h.cores * SLOT_SECONDS
    above = np.maximum(busy - h.own * SLOT_SECONDS, 0.0)
    return Carried(np.maximum(active + running, spare), active, running, above[:, None] * share, busy)


def columns(places: Places) -> tuple[Column, ...]:
    """Return the columns of a host's own CPU time and memory, and those of its desktops, named ``pool/place``."""
    own = Column("load", "cpu", "counter", "s"), Column("hypervisor", "memory_capacity", "counter", "B s")
    names = (
        f"{pool.name}/{place + 1:03d}"
        for pool, room in zip(places.pools, places_of(places), strict=True)
        for place in range(room)
    )
    told = (Column("hypervisor", q, "counter", unit, consumer=name) for name in names for q, unit in TELLS.items())
    return (*own, *told)


def told(places: Places, of: Carried, at: int, memory: float) -> Floats:
    """Return what :func:`columns` rise by in a slot, shape (hosts, columns).

    Args:
        places: of the campus.
        of: what hosts carry.
        at: the slot's place.
        memory: of a host [B].
    """
    count = len(of.host_cpu)
    parts = [of.host_cpu[:, [at]], np.full((count, 1), memory * SLOT_SECONDS)]
    for i, (pool, room) in enumerate(zip(places.pools, places_of(places), strict=True)):
        parts.append(_of_pool(pool, room, (of.present[i, at], of.active[i, at], of.left[i, at]), of.cpu[:, i, at]))
    return np.concatenate(parts, axis=1)


def _of_pool(pool: Pool, room: int, means: tuple[float, float, float], cpu: Floats) -> Floats:
    """Return the columns of a pool's places, shape (hosts, room × quantities): the first places are taken first."""
    place = np.arange(room)
    present, active, in_use = (
        np.clip(mean - place, 0.0, 1.0) * SLOT_SECONDS for mean in (means[0], means[1], means[1] + means[2])
    )
    left = in_use - active
    weight = np.stack((present, active, left), axis=1) @ np.array(WEIGHTS)
    used = cpu[:, None] * (weight / max(weight.sum(), 1e-9))
    alike = np.stack((present, present, present * pool.memory, active, left), axis=1)
    every = np.concatenate((used[..., None], np.broadcast_to(alike, (len(cpu), *alike.shape))), axis=2)
    return every.reshape(len(cpu), -1)
