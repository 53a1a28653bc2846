"""Thin clients and PCs: how long each is active, idle and off within each slot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.demo.campus import draws
from thinwatt_collector.demo.campus.academic import KINDS, Days
from thinwatt_collector.demo.campus.parameters import HOUR, Computers, ThinClients
from thinwatt_collector.demo.campus.sessions import Seated, Spans, held, next_begin, one_row, spans
from thinwatt_collector.models.energy import SLOT_SECONDS

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LOOK_BACK = 75
"""Days before a window that decide what is on at its beginning: longer than any closure."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of each slot by state, shape (devices, slots); the rest of a slot is off."""

    active: Floats
    idle: Floats

    @property
    def off(self) -> Floats:
        """Seconds switched off."""
        return SLOT_SECONDS - self.active - self.idle


def thin_clients(seed: int, names: list[str], seated: Seated, window: tuple[int, int], p: ThinClients) -> Times:
    """Return the times of thin clients: idle for half an hour after a session, then off, but for those that never are.

    Args:
        seed: of the campus.
        names: of the devices.
        seated: their sessions.
        window: first slot and number of slots.
        p: how many misbehave.
    """
    first, slots = window
    active = held(spans(seated), len(names), first, slots)
    there = np.isfinite(seated.begin)
    row, day, k = np.nonzero(there)
    end = seated.end[row, day, k]
    until = np.minimum(end + p.auto_off, next_begin(seated)[row, day, k])
    idle = held(Spans(row, end, until), len(names), first, slots)
    ghost, never = fates(seed, names, p)
    active[ghost] = SLOT_SECONDS
    idle[never] = SLOT_SECONDS - active[never]
    idle[ghost] = 0.0
    return Times(active, idle)


def fates(seed: int, names: list[str], p: ThinClients) -> tuple[Flags, Flags]:
    """Return which thin clients are active day and night by a fault of their firmware, and which never switch off."""
    drawn = draws.uniform(draws.keys(seed, names, "fate"))
    return drawn < p.ghost, (drawn >= p.ghost) & (drawn < p.ghost + p.never)


def bad_supply(seed: int, names: list[str], p: ThinClients) -> Flags:
    """Return which have a power supply that wastes some watts."""
    return draws.uniform(draws.keys(seed, names, "supply")) < p.bad_supply


def computers(
    seed: int, names: list[str], seated: Seated, days: Days, window: tuple[int, int], p: Computers, *, offices: bool
) -> Times:
    """Return the times of PCs: on from the first session of a day to the last, and often through the night.

    Args:
        seed: of the campus.
        names: of the devices.
        seated: their sessions.
        days: of the sessions, beginning :data:`LOOK_BACK` days before the window.
        window: first slot and number of slots.
        p: habits.
        offices: whether they are of people who know their PC, not of teaching rooms.
    """
    first, slots = window
    active = held(spans(seated), len(names), first, slots)
    on = held(_on(seed, names, seated, days, p, offices), len(names), first, slots)
    woken = days.clock[days.patched] + p.patch[0] * HOUR
    patch = held(one_row(woken, woken + p.patch[1] * HOUR), 1, first, slots)
    active = np.maximum(active, patch)
    return Times(active, np.maximum(on, active) - active)


def _on(seed: int, names: list[str], seated: Seated, days: Days, p: Computers, offices: bool) -> Spans:
    used: Flags = np.any(np.isfinite(seated.begin), axis=2)
    first = np.where(used, np.nanmin(np.where(used[..., None], seated.begin, 0.0), axis=2), 0.0)
    last = np.where(used, np.nanmax(np.where(used[..., None], seated.end, 0.0), axis=2), 0.0) + p.shutdown
    left = left_on(seed, names, used, days, p, offices)
    before = np.concatenate((np.zeros((len(names), 1), np.bool_), left[:, :-1]), axis=1)
    next_midnight = days.clock + 24 * HOUR  # clocks change before noon
    begin = np.where(before, days.begin, first)
    end = np.where(left | (before & ~used), next_midnight, np.minimum(last, next_midnight))
    row, day = np.nonzero(used | before)
    return Spans(row, begin[row, day], end[row, day])


def left_on(seed: int, names: list[str], used: Flags, days: Days, p: Computers, offices: bool) -> Flags:
    """Return which PCs are on at the end of each day, shape (PCs, days); one that nobody uses stays as it is."""
    habit = draws.beta(p.habit, draws.keys(seed, names, "habit"))
    mean = p.habit[0] / sum(p.habit)
    usual = p.left_staff if offices else p.left_rooms
    rate = np.where(days.weekday == 4, p.left_weekend, usual) / mean
    key = draws.keys(seed, names, "left")[:, None]
    leaves = draws.uniform(key, days.number, 0) < habit[:, None] * rate
    closed = days.kind == KINDS.index("closed")
    closing = closed & ~np.concatenate(([False], closed[:-1]))
    stays = draws.uniform(key, days.number, 1) < p.closing
    out = np.zeros(used.shape, np.bool_)
    state = np.zeros(len(used), np.bool_)
    for i in range(used.shape[1]):
        state = np.where(used[:, i], leaves[:, i], state & stays[:, i] if closing[i] else state)
        out[:, i] = state
    return out
