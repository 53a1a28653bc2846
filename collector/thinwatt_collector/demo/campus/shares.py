"""What booking would have made of desktops on the hosts: where their energy went, and the time of sessions, by pool."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.demo.campus.desktops import Carried
from thinwatt_collector.demo.campus.places import Places
from thinwatt_collector.demo.campus.reports import Reports
from thinwatt_collector.layout import OF_SESSION, SourceKey
from thinwatt_collector.models.attribution import DEFAULT, Desktops, attribute
from thinwatt_collector.models.energy import SLOT_SECONDS
from thinwatt_collector.sharing import HOST_LINES, PRESENT, SESSIONS, TOLD, Line, source_of
from thinwatt_collector.winner import MEASURED

Floats = NDArray[np.float64]


def series(
    places: Places, said: Reports, of: Carried, idle: Floats, memory: float
) -> Iterator[tuple[SourceKey, Floats, Floats, Floats]]:
    """Yield the hosts' series: joules, their bias and seconds covered, shape (hosts, slots) each.

    A pool's part does not depend on how many desktops it is made of: pools stand for them.

    Args:
        places: of the campus.
        said: what the hosts' meters say, a row a host.
        of: what hosts carry, of the same slots.
        idle: power of an idle host, shape (hosts,) [W].
        memory: of a host [B].
    """
    reserved = np.array([pool.memory for pool in places.pools])
    present, active, left = (np.maximum(m, 0.0) * SLOT_SECONDS for m in (of.present, of.active, of.left))
    on_host = Desktops(
        cpu=np.moveaxis(of.cpu, 1, 2),
        host_cpu=of.host_cpu,
        reserved=present.T * reserved,
        capacity=np.full(said.joules.shape, memory * SLOT_SECONDS),
        present=present.T,
    )
    found = attribute(said.joules, idle[:, None] * said.covered, on_host, DEFAULT)
    sure = np.divide(said.bias, said.joules, out=np.zeros_like(said.joules), where=said.joules > 0)
    of_host = (found.idle, found.overhead, found.unattributed)
    parts = [(Line("", name), joules, said.covered) for name, joules in zip(HOST_LINES, of_host, strict=True)]
    for i, pool in enumerate(places.pools):
        parts.append((Line(pool.name, "idle"), found.of_idle[..., i], present[i]))
        parts.append((Line(pool.name, "dynamic"), found.of_dynamic[..., i], present[i]))
    for line, joules, seconds in parts:
        yield source_of(line, DEFAULT, MEASURED.basis), joules, joules * sure, np.where(joules > 0, seconds, 0.0)
    for state, of_pools in zip((PRESENT, TOLD, *OF_SESSION), (present, present, active, left), strict=True):
        for pool, seconds in zip(places.pools, of_pools, strict=True):
            nothing = np.zeros_like(said.joules)
            key = SourceKey(SESSIONS, Line(pool.name, state).text, "", MEASURED.basis)
            yield key, nothing, nothing, nothing + seconds
