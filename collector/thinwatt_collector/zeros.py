"""All that can rise stands at 0 before it does: a counter that appears has not risen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector import sharing
from thinwatt_collector.fleet import Fleet
from thinwatt_collector.labels import Family, key
from thinwatt_collector.layout import GroupLayout
from thinwatt_collector.models.attribution import Policy
from thinwatt_collector.winner import WINNERS, bases

Ints = NDArray[np.int64]


def begin(fleet: Fleet, policy: Policy) -> None:
    """Have the totals of machines just described stand at 0."""
    for schema, machines in fleet.newly_told():
        placed, start = fleet.placed(schema), 0
        for group, sources in zip(placed.layout.groups, placed.sources, strict=True):
            devices = machines[:, start : start + len(group.devices)].ravel()
            start += len(group.devices)
            fleet.totals.rows(np.unique(np.concatenate(_keys(fleet, policy, group, sources, devices))))


def _keys(fleet: Fleet, policy: Policy, group: GroupLayout, sources: Ints, devices: Ints) -> list[Ints]:
    """Return the keys of the totals of devices, and of their classes, that may ever rise."""
    kind, may = fleet.device["group"][devices], bases(group, fleet.powers.of(devices))
    some = may.any(axis=-1)
    keys = [key(Family.DEVICE_GAP, devices), key(Family.GAP, kind)]
    keys += [key(Family.DEVICE_COVERED, devices[some]), key(Family.COVERED, kind[some])]
    keys += [key(Family.CARBON, kind[some]), *(key(Family.SOURCE_ENERGY, devices, s) for s in sources.tolist())]
    lines = sharing.lines(group.desktops) if group.desktops else ()
    for place, winner in enumerate(fleet.winner_ids.tolist()):
        on_it = may[:, place]
        keys += [key(Family.DEVICE_ENERGY, devices[on_it], winner), key(Family.ENERGY, kind[on_it], winner)]
        basis = WINNERS[place].basis
        shared = [fleet.source_id(sharing.source_of(line, policy, basis)) for line in lines if on_it.any()]
        keys += [key(Family.SHARED, devices[on_it], source) for source in shared]
    return keys
