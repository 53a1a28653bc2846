"""Hosts: what desktops ask of them, and the power that this takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.demo.campus import draws
from thinwatt_collector.demo.campus.academic import Days
from thinwatt_collector.demo.campus.parameters import HOUR, Hosts, Parameters
from thinwatt_collector.demo.campus.places import OLDER_HOST
from thinwatt_collector.demo.campus.sessions import held, one_row
from thinwatt_collector.models.energy import SLOT_SECONDS

Floats = NDArray[np.float64]

REMEMBERED = 24
"""Slots of the past that noise still has something of."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What runs on the hosts, mean of each slot; every column but the last has shape (slots,).

    Attributes:
        seated: sessions of seats.
        distant: sessions from home.
        video: of the seated ones, those with a conference.
        left: desktops running on without anybody.
        pools: sessions, of these with a conference, and desktops left running, by pool, shape (3, pools, slots).
    """

    seated: Floats
    distant: Floats
    video: Floats
    left: Floats
    pools: Floats

    @property
    def sessions(self) -> Floats:
        """Sessions with somebody in front of them."""
        return self.seated + self.distant


def load(seed: int, names: list[str], activity: Activity, days: Days, window: tuple[int, int], p: Parameters) -> Floats:
    """Return the load of each host (0 to 1), shape (hosts, slots): the broker spreads sessions almost evenly."""
    first, slots = window
    h = p.hosts
    at = np.arange(first, first + slots)
    together = draws.keys(seed, ["hosts"], "load")
    burst = 1.0 + h.burst / np.sqrt(np.maximum(activity.sessions, 1.0)) * draws.rough_normal(together, at)
    cores = h.cores_per_session * activity.sessions * np.maximum(burst, 0.2)
    cores += h.video * activity.video + p.disconnected.cores * activity.left + boots(days, window, h)
    begin = days.begin[days.patched]
    patched = held(one_row(begin, begin + 24 * HOUR), 1, first, slots)[0] > 0
    cores *= np.where(patched, h.patch, 1.0)
    weight = 1.0 + h.uneven * faded(draws.keys(seed, names, "share"), at, h.memory_of_noise)
    shared = cores * weight / len(names) + h.own
    found: Floats = np.clip(shared / h.cores, 0.0, 1.0)
    return found


def boots(days: Days, window: tuple[int, int], h: Hosts) -> Floats:
    """Return the cores that desktops take which are started before a day with lessons."""
    hour, apart, work = h.boots
    begin = _with_lessons(days) + hour * HOUR
    lasts = np.rint(4 * h.density) * apart
    found: Floats = held(one_row(begin, begin + lasts), 1, *window)[0] / SLOT_SECONDS * work / apart
    return found


def prepared(days: Days, window: tuple[int, int], h: Hosts) -> Floats:
    """Return the part of all desktops that is kept running, used or not, on days with lessons, shape (slots,)."""
    begin = _with_lessons(days)
    found: Floats = held(one_row(begin + h.boots[0] * HOUR, begin + h.kept * HOUR), 1, *window)[0] / SLOT_SECONDS
    return h.prepared * found


def _with_lessons(days: Days) -> NDArray[np.int64]:
    return days.clock[(days.students > 0.3) & (days.weekday < 5)]


def faded(key: draws.Keys, at: NDArray[np.int64], memory: float) -> Floats:
    """Return first-order autoregressive noise of unit variance, shape (n, slots), of the last few slots' shocks."""
    reach = np.arange(at[0] - REMEMBERED, at[-1] + 1)
    shock = draws.normal(key[:, None], reach)
    weight = memory ** np.arange(REMEMBERED + 1)
    weight /= np.sqrt((weight**2).sum())
    found = np.zeros((len(key), len(at)))
    for back, share in enumerate(weight.tolist()):
        found += share * shock[:, REMEMBERED - back : REMEMBERED - back + len(at)]
    return found


def watts(seed: int, names: list[str], loaded: Floats, window: tuple[int, int], h: Hosts) -> Floats:
    """Return what each host draws [W], shape (hosts, slots)."""
    at = np.arange(window[0], window[0] + window[1])
    noise = h.noise * faded(draws.keys(seed, names, "watts"), at, h.memory_of_noise)
    older = np.where(np.arange(len(names)) == OLDER_HOST, h.older, 1.0)[:, None]
    found: Floats = older * curve(loaded, h) + noise
    return found


def curve(loaded: Floats, h: Hosts) -> Floats:
    """Return the power of a host by its load [W].

    >>> curve(np.array([0.0, 1.0]), Hosts()).tolist()
    [150.0, 560.0]
    """
    return h.idle + h.span * loaded**h.exponent


def autoscaled(loaded: Floats, sessions: Floats, h: Hosts) -> Floats:
    """Return what all hosts would draw if those that nobody needs were off but for one spare [W], shape (slots,).

    Args:
        loaded: of each host as they are, shape (hosts, slots).
        sessions: at one time, shape (slots,).
        h: their power.
    """
    count = len(loaded)
    needed = np.clip(np.ceil(sessions / h.density) + 1, 2, count)
    work = np.maximum(loaded.sum(axis=0) - count * h.own / h.cores, 0.0)
    each = np.clip(work / needed + h.own / h.cores, 0.0, 1.0)
    found: Floats = needed * curve(each, h)
    return found
