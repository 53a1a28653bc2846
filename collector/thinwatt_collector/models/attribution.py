"""From the energy of a host to that of the desktops on it: what is handed out is always exactly what was drawn.

    host = Σ desktops (idle + dynamic) + idle + overhead + unattributed        (law 1)

Host energy is an idle floor, that a host draws while nothing runs on it, and a dynamic part above it. A policy says by
which shares each goes to the desktops. *Idle* is the part of the floor that no desktop carries: capacity that nobody
reserved. *Overhead* is the hypervisor's own. *Unattributed* is what nobody can say, such as the CPU time that a failed
reading hides.

A virtual machine that is no desktop stands among the desktops like any other and takes its share; the caller shows it
as a line of its own. Arrays are rectangular: hosts × the largest number of desktops on one host, 0 where there is none.

References:
    ISO 14044:2006, 4.3.4 (allocation by a physical relation, and its sensitivity). SCI specification 1.1.0: reserved
    resources carry what stands idle for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from thinwatt_collector.units import Joules, Ratio, Seconds

Policy = Literal["reservation", "activity", "equal", "marginal"]
DEFAULT: Final[Policy] = "reservation"
ROUNDING: Final = 1e-12
"""A share of less is what the last digits of the others left over [1]."""


@dataclass(frozen=True, slots=True)
class Desktops:
    """Desktops on hosts, and the hosts' own size, over one interval of time; NaN where a reading failed.

    Attributes:
        cpu: CPU time of each desktop, shape (..., n) [s].
        host_cpu: busy CPU time of the whole host, shape (...) [s]; NaN where nobody read it.
        reserved: capacity reserved × time, memory or else virtual CPUs, shape (..., n) [B·s, or s].
        capacity: the host's own × time, shape (...) [the same]; NaN, where it is not known, is what is reserved.
        present: time that each desktop was there, shape (..., n) [s].
    """

    cpu: Seconds
    host_cpu: Seconds
    reserved: Ratio
    capacity: Ratio
    present: Seconds


@dataclass(frozen=True, slots=True)
class Attribution:
    """Where the energy of hosts went [J]: desktops' parts of shape (..., n), lines of the host of shape (...)."""

    of_idle: Joules
    of_dynamic: Joules
    idle: Joules
    overhead: Joules
    unattributed: Joules

    @property
    def desktops(self) -> Joules:
        """Energy of each desktop, shape (..., n) [J]."""
        return self.of_idle + self.of_dynamic


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of a part of a host's energy: of each desktop, shape (..., n), and of the hypervisor, shape (...) [1]."""

    desktops: Ratio
    overhead: Ratio

    @property
    def rest(self) -> Ratio:
        """What is nobody's, shape (...) [1]."""
        left: Ratio = 1.0 - np.sum(self.desktops, axis=-1) - self.overhead
        return np.where(left > ROUNDING, left, 0.0)


def attribute(energy: Joules, floor: Joules, desktops: Desktops, policy: Policy = DEFAULT) -> Attribution:
    """Return where the energy of hosts went.

    Args:
        energy: of each host, shape (...) [J].
        floor: idle power × time, shape (...) [J]; more than ``energy`` is as much as ``energy``. NaN, where the idle
            power is not known, leaves all energy unattributed where a policy shares idle and dynamic differently.
        desktops: on each host.
        policy: ``reservation``: idle by reserved capacity, dynamic by CPU time · ``activity``: both by CPU time ·
            ``equal``: both by time present · ``marginal``: dynamic by CPU time, the idle floor to nobody.

    Raises:
        ValueError: an unknown policy, or a negative energy, time or capacity.

    A host of 300 kJ, 180 kJ of them idle, with two desktops of a quarter of its memory each, of which one is parked:

    >>> busy, quarter, there = np.array([90.0, 0.0]), np.array([1.0, 1.0]), np.array([9.0, 9.0])
    >>> two = Desktops(busy, np.array(100.0), quarter, np.array(4.0), there)
    >>> found = attribute(np.array(300.0), np.array(180.0), two)
    >>> found.desktops.tolist(), float(found.idle), float(found.overhead), float(found.unattributed)
    ([153.0, 45.0], 90.0, 12.0, 0.0)
    """
    if policy not in POLICIES:
        raise ValueError(f"there is no policy {policy!r}; there are {', '.join(POLICIES)}")
    _check(energy, desktops)
    of_floor, of_rest = (shares(desktops) for shares in POLICIES[policy])
    known = ~np.isnan(floor)
    idle = np.where(known, np.minimum(np.where(known, floor, 0.0), energy), 0.0)
    dynamic = energy - idle
    if POLICIES[policy][0] is not POLICIES[policy][1]:
        dynamic = np.where(known, dynamic, 0.0)
    unknown = energy - idle - dynamic
    return Attribution(
        of_idle=of_floor.desktops * np.expand_dims(idle, -1),
        of_dynamic=of_rest.desktops * np.expand_dims(dynamic, -1),
        idle=of_floor.rest * idle,
        overhead=of_floor.overhead * idle + of_rest.overhead * dynamic,
        unattributed=of_rest.rest * dynamic + unknown,
    )


def _check(energy: Joules, desktops: Desktops) -> None:
    told = {
        "energy": energy,
        "CPU time": desktops.cpu,
        "CPU time of a host": desktops.host_cpu,
        "reservation": desktops.reserved,
        "capacity": desktops.capacity,
        "time of presence": desktops.present,
    }
    for name, column in told.items():
        if np.any(column < 0):
            raise ValueError(f"a negative {name} can't be attributed")


def _by_cpu(d: Desktops) -> Shares:
    """Return shares of CPU time; nobody has more than all of it, whatever clocks the readings are from.

    What desktops did not use is the hypervisor's, unless a desktop's own reading is missing: then nobody knows whose.
    """
    complete = ~np.any(np.isnan(d.cpu), axis=-1)
    used = np.where(np.isnan(d.cpu), 0.0, d.cpu)
    together = np.sum(used, axis=-1)
    told = ~np.isnan(d.host_cpu)
    whole = np.where(told, np.maximum(np.where(told, d.host_cpu, 0.0), together), together)
    # Where neither the host nor one of its desktops can be read, nobody's share is known.
    whole = np.where(told | complete, whole, np.nan)
    overhead = np.where(complete, _quotient(whole - together, whole), 0.0)
    return Shares(_quotient(used, np.expand_dims(whole, -1)), overhead)


def _by_reservation(d: Desktops) -> Shares:
    """Return shares of the capacity; desktops that reserve more than there is share what there is."""
    reserved = np.where(np.isnan(d.reserved), 0.0, d.reserved)
    together = np.sum(reserved, axis=-1)
    whole = np.where(np.isnan(d.capacity), together, np.maximum(d.capacity, together))
    return _without_overhead(_quotient(reserved, np.expand_dims(whole, -1)))


def _by_presence(d: Desktops) -> Shares:
    return _without_overhead(_quotient(d.present, np.expand_dims(np.sum(d.present, axis=-1), -1)))


def _to_nobody(d: Desktops) -> Shares:
    return _without_overhead(np.zeros(np.shape(d.present)))


def _without_overhead(share: Ratio) -> Shares:
    return Shares(share, np.zeros(np.shape(share)[:-1]))


def _quotient(part: Seconds, whole: Seconds) -> Ratio:
    """Return part / whole, 0 where there is no whole."""
    share = part / np.where(whole > 0, whole, np.nan)
    found: Ratio = np.where(np.isnan(share), 0.0, share)
    return found


POLICIES: Final[Mapping[str, tuple[Callable[[Desktops], Shares], Callable[[Desktops], Shares]]]] = {
    "reservation": (_by_reservation, _by_cpu),
    "activity": (_by_cpu, _by_cpu),
    "equal": (_by_presence, _by_presence),
    "marginal": (_to_nobody, _by_cpu),
}
"""By what the idle floor is shared, and by what the dynamic part."""
