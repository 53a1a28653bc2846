"""Who sits where and when: sessions of seats in lessons, open rooms and offices, and sessions from home.

Sessions of seats are columns (seats, days, k) of UTC seconds, in order and never two at a time; NaN is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.demo.campus import draws
from thinwatt_collector.demo.campus.academic import Days
from thinwatt_collector.demo.campus.parameters import (
    HOUR,
    MINUTE,
    Disconnected,
    OffCampus,
    OpenAccess,
    Parameters,
    Staff,
    Timetable,
)
from thinwatt_collector.demo.campus.places import OFFICES, OPEN, Places, Room
from thinwatt_collector.models.energy import SLOT_SECONDS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

SHORTEST = MINUTE
"""A session that would be shorter does not take place [s]."""


@dataclass(frozen=True, slots=True)
class Spans:
    """Stretches of time; every column has shape (n,), times are UTC [s].

    Attributes:
        row: whose they are: a place among rows.
    """

    row: Ints
    begin: Floats
    end: Floats

    def of_one(self) -> Spans:
        """Return them as if they were all of one."""
        return one_row(self.begin, self.end)


def one_row(begin: NDArray[Any], end: NDArray[Any]) -> Spans:
    """Return spans that are all of row 0."""
    return Spans(np.zeros(len(begin), np.int64), begin.astype(np.float64), end.astype(np.float64))


@dataclass(frozen=True, slots=True)
class Seated:
    """Sessions of one room: UTC [s], shape (seats, days, k); ``video`` where they hold a conference."""

    begin: Floats
    end: Floats
    video: Flags

    def with_video(self) -> Seated:
        """Return those that hold a conference."""
        return Seated(np.where(self.video, self.begin, np.nan), np.where(self.video, self.end, np.nan), self.video)


def held(spans: Spans, rows: int, first: int, slots: int) -> Floats:
    """Return how long spans last within each slot [s], shape (rows, slots); those of a row that overlap add up.

    Args:
        spans: whole seconds, or the sums are not exact.
        rows: how many there are.
        first: slot, epoch // 900.
        slots: how many.
    """
    found = _since(spans.row, spans.begin, rows, first, slots) - _since(spans.row, spans.end, rows, first, slots)
    return found[:, :slots]


def _since(row: Ints, at: Floats, rows: int, first: int, slots: int) -> Floats:
    """Return for how much of each slot a step up at ``at`` has happened [s], added up by row."""
    passed = np.clip(at - first * SLOT_SECONDS, 0.0, slots * SLOT_SECONDS)
    slot = (passed // SLOT_SECONDS).astype(np.int64)
    width, size = slots + 2, rows * (slots + 2)
    place = row * width + slot
    part = np.bincount(place, (slot + 1) * SLOT_SECONDS - passed, size).reshape(rows, width)
    whole = np.cumsum(np.bincount(place + 1, minlength=size).reshape(rows, width), axis=1)
    found: Floats = part + whole * float(SLOT_SECONDS)
    return found


def of_room(seed: int, room: Room, names: list[str], days: Days, p: Parameters) -> Seated:
    """Return the sessions of a room's seats."""
    if room.use == OPEN:
        return open_access(draws.keys(seed, names, "open"), days, p.open_access)
    if room.use == OFFICES:
        return staff(draws.keys(seed, names, "staff"), days, p.staff)
    return lessons(draws.keys(seed, [room.name], "lessons"), draws.keys(seed, names, "lessons"), days, p.timetable)


def demand(days: Days, t: Timetable) -> Floats:
    """Return the share of teaching rooms that each lesson of each day fills, shape (days, lessons)."""
    grown = t.daily * (days.progress - _TEACHING_DAYS / 2) + t.step * (days.spring - 0.5)
    factor = days.students * np.array(t.weekday)[days.weekday] * (1.0 + grown / t.peak)
    share = factor[:, None] * np.array(t.fill)
    afternoon = np.array(t.begins) >= 12.0
    share *= np.where((days.weekday == 3)[:, None] & afternoon, t.sport, 1.0)
    found: Floats = np.clip(share, 0.0, 1.0)
    return found


_TEACHING_DAYS = 150
"""Of an academic year, nearly: growth is counted from its middle."""


def lessons(room: draws.Keys, seats: draws.Keys, days: Days, t: Timetable) -> Seated:
    """Return who is present in the lessons of one room.

    Args:
        room: its key, shape (1,).
        seats: shape (n,).
        days: of the timetable.
        t: its hours.
    """
    day, lesson = days.number[:, None], np.arange(len(t.begins))
    booked = draws.uniform(room[:, None], day, lesson, 0) < demand(days, t)
    video = draws.uniform(room[:, None], day, lesson, 1) < t.video
    key, at = seats[:, None, None], (day, lesson)
    there = booked & (draws.uniform(key, *at, 0) < t.present)
    begins = days.clock[:, None] + np.array(t.begins) * HOUR
    begin = begins + np.minimum(draws.lognormal(t.logon, key, *at, 1), t.latest)
    end = begins + t.lasts * HOUR - draws.exponential(t.leave, key, *at, 2)
    return _seated(begin, end, there, np.broadcast_to(video, there.shape))


def open_access(seats: draws.Keys, days: Days, p: OpenAccess) -> Seated:
    """Return who uses seats that are open to all: whoever finds one taken waits for it.

    So many tries a seat with a small chance each are nearly Poisson, and stay as they are when a seat is added.
    """
    key, at = seats[:, None, None], (days.number[:, None], np.arange(p.most))
    week = np.where(days.weekday < 5, 1.0, np.where(days.weekday == 5, p.saturday, 0.0))
    chance = days.students * week * p.daily / (_OPEN_SEATS * p.most)
    comes = draws.uniform(key, *at, 0) < chance[:, None]
    hour = np.clip(p.begins[0] + p.begins[1] * draws.normal(key, *at, 1), *p.open)
    begin = np.where(comes, days.clock[:, None] + hour * HOUR, np.inf)
    lasts = draws.lognormal(p.lasts, key, *at, 2)
    order = np.argsort(begin, axis=2)
    begin, lasts = (np.take_along_axis(a, order, axis=2) for a in (begin, lasts))
    closing = days.clock + p.open[1] * HOUR
    end = np.full_like(begin, -np.inf)
    for i in range(p.most):
        begin[:, :, i] = np.maximum(begin[:, :, i], end[:, :, i - 1] + MINUTE) if i else begin[:, :, i]
        end[:, :, i] = np.minimum(begin[:, :, i] + lasts[:, :, i], closing)
        gone = ~(end[:, :, i] - begin[:, :, i] >= SHORTEST)
        if i:
            end[:, :, i][gone] = end[:, :, i - 1][gone]
    return _seated(begin, end, np.isfinite(begin), np.zeros(begin.shape, np.bool_))


_OPEN_SEATS = 100


def staff(seats: draws.Keys, days: Days, p: Staff) -> Seated:
    """Return who is in the office: one session from arrival to departure."""
    key, day = seats[:, None], days.number
    chance = p.present * days.staff * np.where(np.isin(days.weekday, p.telework_days), p.telework, 1.0)
    there = draws.uniform(key, day, 0) < chance
    begin = days.clock + (p.arrives[0] + p.arrives[1] * draws.normal(key, day, 1)) * HOUR
    end = days.clock + (p.leaves[0] + p.leaves[1] * draws.normal(key, day, 2)) * HOUR
    return _seated(begin[..., None], end[..., None], there[..., None], np.zeros((*there.shape, 1), np.bool_))


def _seated(begin: Floats, end: Floats, there: Flags, video: Flags) -> Seated:
    with np.errstate(invalid="ignore"):
        begin, end = np.rint(begin), np.rint(end)
        none = ~(there & (end - begin >= SHORTEST))
    begin[none] = end[none] = np.nan
    return Seated(begin, end, video & ~none)


def off_campus(seed: int, days: Days, p: OffCampus) -> Spans:
    """Return the sessions from home, all of row 0."""
    key = draws.keys(seed, ["off-campus"], "sessions")[:, None]
    at = (days.number[:, None], np.arange(p.most))
    free = np.where((days.weekday >= 5) | days.holiday, p.weekend, 1.0)
    chance = np.array(p.periods)[days.kind] * free * p.daily / p.most
    comes = draws.uniform(key, *at, 0) < chance[:, None]
    evening = p.evening_begins[0] + p.evening_begins[1] * draws.normal(key, *at, 1)
    day = p.day[0] + (p.day[1] - p.day[0]) * draws.uniform(key, *at, 2)
    hour = np.where(draws.uniform(key, *at, 3) < p.evening, evening, day)
    begin = np.rint(days.clock[:, None] + hour * HOUR)[comes]
    end = begin + np.rint(draws.lognormal(p.lasts, key, *at, 4))[comes]
    return one_row(begin, end)


def disconnected(keys: draws.Keys, seated: Seated, days: Days, p: Disconnected) -> Spans:
    """Return the time for which desktops run on after a session, by seat."""
    at = (days.number[:, None], np.arange(seated.begin.shape[2]))
    stays = draws.uniform(keys[:, None, None], *at, 0) < p.share
    lasts = np.minimum(draws.exponential(p.lasts, keys[:, None, None], *at, 1), p.longest)
    row, day, k = np.nonzero(stays & np.isfinite(seated.end))
    end = seated.end[row, day, k]
    return Spans(row, end, end + np.rint(lasts[row, day, k]))


def spans(seated: Seated) -> Spans:
    """Return the sessions one behind the other, by seat."""
    row, day, k = np.nonzero(np.isfinite(seated.begin))
    return Spans(row, seated.begin[row, day, k], seated.end[row, day, k])


def next_begin(seated: Seated) -> Floats:
    """Return when the next session of the seat begins, in the shape of ``begin``; infinite where none is known."""
    seats = len(seated.begin)
    flat = np.where(np.isfinite(seated.begin), seated.begin, np.inf).reshape(seats, -1)
    later = np.full_like(flat, np.inf)
    later[:, :-1] = np.minimum.accumulate(flat[:, :0:-1], axis=1)[:, ::-1]
    return later.reshape(seated.begin.shape)


def rooms_of(places: Places) -> list[tuple[Room, int]]:
    """Return each room and the number of its first device."""
    past = len(places.hosts) + np.cumsum([room.count for room in places.rooms])
    return [(room, end - room.count) for room, end in zip(places.rooms, past.tolist(), strict=True)]
