"""From a host's joules to those of the pools of desktops on it: pure, over all hosts of one schema at once.

What an agent tells of single desktops ends here: a pool's part is what leaves (law 7). The sum of a host's lines is
what the host drew (law 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.layout import OF_SESSION, DesktopColumns, SourceKey
from thinwatt_collector.models import attribution
from thinwatt_collector.models.attribution import Policy

Floats = NDArray[np.float64]

SOURCE: Final = "shared"
"""The series' name in the ledger; its part is a line's text, its scope the policy."""
HOST_LINES: Final = ("idle", "overhead", "unattributed")
"""What a host keeps for itself."""
SESSIONS: Final = "sessions"
"""The series of the time of desktops; its part is the pool and the state, ``tp/active``, its covered time theirs."""
PRESENT: Final = "present"
"""The state of a desktop that is there, whoever is at it."""
TOLD: Final = "told"
"""That of one whose sessions are told too: without it nobody knows that there were none."""
STATES: Final = (PRESENT, TOLD, *OF_SESSION)
FEWEST: Final = 5
"""Desktops of a smaller pool are in the pool :data:`OTHER`: what one desktop does is somebody's own affair."""
OTHER: Final = "other"


@dataclass(frozen=True, slots=True)
class Line:
    """A part of a host's energy: a pool's idle or dynamic part, or, of the pool "", one of :data:`HOST_LINES`."""

    pool: str
    part: str

    @property
    def text(self) -> str:
        """As the ledger names it: ``tp/idle``, ``overhead``."""
        return f"{self.pool}/{self.part}" if self.pool else self.part


def line_of(text: str) -> Line:
    """Return the line of a text of the ledger.

    >>> line_of("paris/tp/idle"), line_of("overhead")
    (Line(pool='paris/tp', part='idle'), Line(pool='', part='overhead'))
    """
    pool, _, part = text.rpartition("/")
    return Line(pool, part)


@dataclass(frozen=True, slots=True)
class Shared:
    """Where the joules of hosts went.

    Attributes:
        lines: what the last axis is of.
        joules: by basis, shape (chunks, devices, bases, lines) [J].
        seconds: for which desktops of the pool were there, added up, or the host, by basis, likewise [s].
        sessions: time of desktops by state and pool (a line's part is the state), each (chunks, devices) [s].
    """

    lines: tuple[Line, ...]
    joules: Floats
    seconds: Floats
    sessions: tuple[tuple[Line, Floats], ...] = ()


def told(desktops: DesktopColumns, host_cpu: int | None, ours: Floats) -> Floats:
    """Return what desktops and their hosts say in each row, in the order that :func:`shared` takes.

    Args:
        desktops: of the group.
        host_cpu: column of the host's own CPU time.
        ours: cumulative columns of the group, the state in front, (frames, devices, columns, 1 + rows).

    Returns:
        (frames, devices, 4 n + 2 + 2 n, rows), the last of them only where sessions are told; NaN where nobody tells.
    """
    at = np.concatenate((desktops.cpu, desktops.covered, desktops.present, desktops.memory))
    nobody = np.full_like(ours[:, :, :1], np.nan)
    host = [ours[:, :, [i]] if i is not None else nobody for i in (host_cpu, desktops.capacity)]
    sessions = [] if desktops.sessions is None else [ours[:, :, desktops.sessions.ravel()]]
    return np.diff(np.concatenate((ours[:, :, at], *host, *sessions), axis=2), axis=3)


def shared(
    desktops: DesktopColumns, energy: Floats, covered: Floats, idle: Floats, said: Floats, policy: Policy
) -> Shared:
    """Return where the energy of hosts went, by pool.

    Args:
        desktops: of the group.
        energy: of hosts by basis, (chunks, devices, bases) [J].
        covered: likewise [s].
        idle: power of an idle host, (chunks, devices) [W]; NaN where it has no model.
        said: sums of :func:`told` by chunk, (chunks, devices, 4 n + 2, or with sessions 6 n + 2).
        policy: see models/attribution.py.
    """
    n = len(desktops.names)
    cpu, read, present, memory = (said[:, :, i * n : (i + 1) * n] for i in range(4))
    on_host = attribution.Desktops(
        # One that was there and could not be read has no CPU time that anybody knows.
        cpu=np.where((present > 0) & (read <= 0), np.nan, cpu)[:, :, None],
        host_cpu=said[:, :, None, 4 * n],
        reserved=memory[:, :, None],
        capacity=said[:, :, None, 4 * n + 1],
        present=present[:, :, None],
    )
    found = attribution.attribute(energy, idle[:, :, None] * covered, on_host, policy)
    pools, member = _pools(desktops)
    whole = np.divide(covered, covered.sum(axis=2, keepdims=True), out=np.zeros_like(covered), where=covered > 0)
    there = (present @ member)[:, :, None] * whole[..., None]
    host = np.stack((found.idle, found.overhead, found.unattributed), axis=3)
    of_states: list[Floats] = []
    if desktops.sessions is not None:
        of_states = [present, *np.split(said[:, :, 4 * n + 2 :], len(OF_SESSION), axis=2)]
    sessions = [
        (Line(pool, state), seconds)
        for state, of_desktops in zip(STATES, (present, *of_states), strict=False)
        for pool, seconds in zip(pools, np.moveaxis(of_desktops @ member, 2, 0), strict=True)
    ]
    return Shared(
        _lines(pools),
        np.concatenate((found.of_idle @ member, found.of_dynamic @ member, host), axis=3),
        np.concatenate((there, there, *[covered[..., None]] * len(HOST_LINES)), axis=3),
        tuple(sessions),
    )


def source_of(line: Line, policy: Policy, basis: str) -> SourceKey:
    """Return the series in the ledger of what went to a line by a policy."""
    return SourceKey(SOURCE, line.text, policy, basis)


def lines(desktops: DesktopColumns) -> tuple[Line, ...]:
    """Return the lines that hosts with these desktops have, in the order of :func:`shared`."""
    return _lines(_pools(desktops)[0])


def _lines(pools: list[str]) -> tuple[Line, ...]:
    return (*(Line(pool, part) for part in ("idle", "dynamic") for pool in pools), *(Line("", p) for p in HOST_LINES))


def _pools(desktops: DesktopColumns) -> tuple[list[str], Floats]:
    """Return the pools shown, and which desktop belongs to which, shape (n, pools)."""
    counts = np.bincount(desktops.pool, minlength=len(desktops.pools))
    shown = [pool if count >= FEWEST and pool else OTHER for pool, count in zip(desktops.pools, counts, strict=True)]
    names = sorted(set(shown))
    place = np.array([names.index(pool) for pool in shown], np.intp)
    return names, np.equal.outer(place[desktops.pool], np.arange(len(names))).astype(np.float64)
