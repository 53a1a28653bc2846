"""From the calendar to joules: what every device truly drew in each slot, and what its meter or agent said of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.demo.campus import desktops, draws, endpoints, hosts, reports, sessions
from thinwatt_collector.demo.campus.academic import Days, days
from thinwatt_collector.demo.campus.desktops import Carried
from thinwatt_collector.demo.campus.endpoints import Times
from thinwatt_collector.demo.campus.hosts import Activity
from thinwatt_collector.demo.campus.parameters import HOUR, Parameters
from thinwatt_collector.demo.campus.places import DISTANT, OFFICES, Places, Room, drawn_as, university
from thinwatt_collector.demo.campus.reports import Reports
from thinwatt_collector.demo.campus.sessions import Seated, Spans, held, one_row
from thinwatt_collector.models.devices import DeviceTable
from thinwatt_collector.models.energy import SLOT_SECONDS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Window = tuple[int, int]
"""First slot and number of slots."""

LIVELY: Final = 0.02
"""Spread of an endpoint's power from slot to slot, while it is on."""
BEFORE: Final = 3
"""Days before a window whose sessions may reach into it."""
FAN, STUCK = 2, 6
"""Places of the host with a bad fan, and of the meter that gets stuck in the first metered room of PCs."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some whole days of the campus.

    Attributes:
        first: slot, epoch // 900.
        days: local days of it.
        true: energy that was drawn, shape (devices, slots) [J].
        reports: what meters and agents made of it.
        activity: sessions on the hosts.
        load: of the hosts, shape (hosts, slots).
        carried: desktops on the hosts.
        logons: begins of seats' sessions, UTC [s], shape (n,).
    """

    first: int
    days: Days
    true: Floats
    reports: Reports
    activity: Activity
    load: Floats
    carried: Carried
    logons: Floats

    @property
    def slots(self) -> int:
        """How many there are."""
        return int(self.true.shape[1])


@dataclass(frozen=True, slots=True)
class _Run:
    """What the sessions of a room's seats are on the hosts, mean of each slot (3, slots), and their begins [s]."""

    mean: Floats
    logons: Floats


class Campus:
    """The university of one seed.

    Args:
        seed: another one is another university of the same kind.
        places: who is there.
        parameters: how they behave.
    """

    def __init__(self, seed: int, places: Places | None = None, parameters: Parameters | None = None) -> None:
        self.seed = seed
        self.places = places or university()
        self.parameters = parameters or Parameters()
        self._table = DeviceTable.packaged()

    def block(self, first: date, past: date) -> Block:
        """Return the local days from ``first`` to before ``past``; whatever block a day is in, it is the same."""
        wide = days(first - timedelta(days=endpoints.LOOK_BACK), past)
        inside = wide.at(slice(endpoints.LOOK_BACK, None))
        begin = int(inside.begin[0]) // SLOT_SECONDS
        window = begin, int(days(past, past + timedelta(days=1)).begin[0]) // SLOT_SECONDS - begin
        rooms = [self._room(*room, wide, window) for room in sessions.rooms_of(self.places)]
        activity = self._activity([run for _, _, run in rooms], wide, window)
        host_true, load, host_said = self._hosts(activity, wide, window)
        logons = np.concatenate([run.logons for _, _, run in rooms])
        inside_of = (logons >= begin * SLOT_SECONDS) & (logons < (begin + window[1]) * SLOT_SECONDS)
        return Block(
            first=begin,
            days=inside,
            true=np.concatenate([host_true, *(true for true, _, _ in rooms)]),
            reports=reports.together([host_said, *(said for _, said, _ in rooms)]),
            activity=activity,
            load=load,
            carried=desktops.carried(self.places, activity, load, wide, window, self.parameters),
            logons=np.sort(logons[inside_of]),
        )

    def _room(self, room: Room, first: int, wide: Days, window: Window) -> tuple[Floats, Reports, _Run]:
        """Return the true energy of a room's devices [J], what is said of it, and what their sessions are."""
        names = [device.name for device in self.places.devices[first : first + room.count]]
        mine = wide if room.kind == "desktop" else wide.at(slice(endpoints.LOOK_BACK - BEFORE, None))
        there = sessions.of_room(self.seed, room, names, mine, self.parameters)
        if room.kind == "desktop":
            habits, use = self.parameters.computers, room.use == OFFICES
            times = endpoints.computers(self.seed, names, there, mine, window, habits, offices=use)
        else:
            times = endpoints.thin_clients(self.seed, names, there, window, self.parameters.thin_clients)
        true_on, true_off = self._drawn(room, names, times, window)
        said = self._said(room, names, (true_on, true_off), times, wide, window).numbered(first)
        return true_on + true_off, said, self._run(room, names, there, mine, window)

    def _drawn(self, room: Room, names: list[str], times: Times, window: Window) -> tuple[Floats, Floats]:
        """Return the energy drawn while on and while off [J]: the model's, but each has its own."""
        p = self.parameters
        thin = room.kind == "thin_client"
        of_models, of_devices = (
            (p.thin_clients.model_spread, p.thin_clients.spread)
            if thin
            else (p.computers.model_spread, p.computers.spread)
        )
        stated = np.nan_to_num(self._table.of(room.kind, room.model).states)
        common = np.exp(of_models * draws.normal(draws.keys(self.seed, [drawn_as(room.model)], "watts"), np.arange(4)))
        off, _, idle, active = (stated * common).tolist()
        own = np.exp(of_devices * draws.normal(draws.keys(self.seed, names, "watts")))[:, None]
        wasted = np.zeros((len(names), 1))
        if thin:
            wasted[endpoints.bad_supply(self.seed, names, p.thin_clients)] = p.thin_clients.supply_watts
        lively = 1.0 + LIVELY * draws.rough_normal(draws.keys(self.seed, names, "lively")[:, None], _at(window))
        on = (times.active * active + times.idle * idle) * own * lively + (times.active + times.idle) * wasted
        return on, times.off * (off * own + wasted)

    def _said(
        self, room: Room, names: list[str], drawn: tuple[Floats, Floats], times: Times, wide: Days, window: Window
    ) -> Reports:
        p, seed = self.parameters, self.seed
        model = self._table.of(room.kind, room.model)
        gone = reports.lost(seed, names, _at(window), p.faults)
        if room.basis == "measured":
            said = reports.metered(seed, names, drawn[0] + drawn[1], gone, model, p.faults.meter_spread)
            if room.kind == "desktop":
                said = reports.stuck(said, STUCK, wide.during(p.faults.stuck, _at(window)), p.faults.stuck_watts)
            return said
        if room.basis == "modelled":
            spread = p.computers.modelled_spread
            return reports.by_components(seed, names, room.model, drawn[0], times, gone, model, spread)
        return reports.by_state(times, gone, model)

    def _run(self, room: Room, names: list[str], there: Seated, mine: Days, window: Window) -> _Run:
        if not room.pool:
            return _Run(np.zeros((3, window[1])), np.zeros(0))
        seated, video = sessions.spans(there), sessions.spans(there.with_video())
        keys = draws.keys(self.seed, names, "disconnected")
        left = sessions.disconnected(keys, there, mine, self.parameters.disconnected)
        return _Run(np.stack([_mean(s, window) for s in (seated, video, left)]), seated.begin)

    def _activity(self, runs: list[_Run], wide: Days, window: Window) -> Activity:
        near = wide.at(slice(endpoints.LOOK_BACK - BEFORE, None))
        distant = _mean(sessions.off_campus(self.seed, near, self.parameters.off_campus), window)
        seated, video, left = np.sum([run.mean for run in runs], axis=0)
        names = [pool.name for pool in self.places.pools]
        of_pools = np.zeros((3, len(names), window[1]))
        for room, run in zip(self.places.rooms, runs, strict=True):
            if room.pool:
                of_pools[:, names.index(room.pool)] += run.mean
        of_pools[0, names.index(DISTANT)] += distant
        return Activity(seated, distant, video, left, of_pools)

    def _hosts(self, activity: Activity, wide: Days, window: Window) -> tuple[Floats, Floats, Reports]:
        """Return the true energy of hosts [J], their load and what their meters say."""
        p, seed = self.parameters, self.seed
        names = [host.name for host in self.places.hosts]
        load = hosts.load(seed, names, activity, wide, window, p)
        drawn = hosts.watts(seed, names, load, window, p.hosts)
        drawn[FAN] += np.where(wide.during(p.faults.fan, _at(window)), p.faults.fan_watts, 0.0)
        gone = reports.lost(seed, names, _at(window), p.faults)
        for i, missed in enumerate(gone):
            begin = wide.clock[wide.patched] + (24.0 + p.faults.reboot_hour) * HOUR + i * SLOT_SECONDS
            restarts = one_row(begin, begin + p.faults.reboot_gap)
            np.maximum(missed, held(restarts, 1, *window)[0], out=missed)
        true = np.maximum(drawn, 0.0) * SLOT_SECONDS
        model = self._table.of("host", self.places.hosts[0].model)
        return true, load, reports.metered(seed, names, true, gone, model, p.faults.meter_spread)


def _at(window: Window) -> Ints:
    return np.arange(window[0], window[0] + window[1])


def _mean(spans: Spans, window: Window) -> Floats:
    found: Floats = held(spans.of_one(), 1, *window)[0] / SLOT_SECONDS
    return found
