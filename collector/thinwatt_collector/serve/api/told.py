"""What a year's rows of the ledger say of the inventory's machines; law 7 is kept by where the rows come from.

The role technical gets what the ledger has, by the line that the inventory has of each device today. The role public
gets hosts likewise, and of endpoints the *published cells* and nothing else (``privacy.py``): what is worked out from
figures that everybody may see already, and from numbers of devices, tells nobody more. The last day is the one before
yesterday, which is over and closed in every time zone, and all of it is worked out once a local day.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from thinwatt_collector.inventory.annual import ANY, WEEKS, Weeks, Where, readings
from thinwatt_collector.inventory.devices import devices_on
from thinwatt_collector.inventory.heard import Heard
from thinwatt_collector.inventory.places import place_of
from thinwatt_collector.inventory.watched import Standing
from thinwatt_collector.serve.api import privacy
from thinwatt_collector.serve.api.books import PLACE, Census, Known, Reader
from thinwatt_collector.serve.api.energy import Accounts
from thinwatt_collector.serve.api.privacy import OTHER, Role
from thinwatt_collector.serve.api.question import Question
from thinwatt_collector.serve.api.rows import Ints, Rows, codes, joined, summed
from thinwatt_collector.units import Ratio

LEVELS: Final = ("site", "building", "room")
ELSEWHERE: Final = frozenset({"virtual_machine"})
"""Classes whose energy is their host's."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the inventory, of a machine that the ledger knows, and what it says of it."""

    name: str
    where: Where


@dataclass(frozen=True, slots=True)
class Connected:
    """Who of the ledger is whom of the inventory.

    Attributes:
        lines: devices of the ledger, and their line.
        unlisted: how many devices of the ledger have no line, by class.
        simulated: whether those that have one are made up.
    """

    lines: Mapping[Known, Line]
    unlisted: Mapping[str, int]
    simulated: bool

    @property
    def by_line(self) -> Counter[str]:
        """Return how many devices have a line."""
        return Counter(line.name for line in self.lines.values())


def connected(standing: Standing, census: Census, day: date, now: int) -> Connected:
    """Return which devices of the ledger have a line in an inventory, of a day and a time [s]."""
    if standing.inventory is None:
        return Connected({}, {}, simulated=False)
    there = {d.name: d for d in devices_on(standing.inventory, day)}
    found = {}
    unlisted: Counter[str] = Counter()
    for device in census.devices:
        stay = standing.places.at(device.name, now)
        line = there.get(stay.line.name) if stay.line else None
        if line is not None:
            where = Where(line.kind, line.model, stay.place.site, stay.place.building, line.room)
            found[device] = Line(line.name, where)
        elif device.kind not in ELSEWHERE:
            unlisted[device.kind] += 1
    marks = Counter(device.simulated for device in found)
    return Connected(found, unlisted, simulated=marks[True] > marks[False])


def window(now: int, zone: ZoneInfo) -> Ints:
    """Return the limits of the 52 weeks that ended when yesterday began, UTC [s], shape (53,)."""
    yesterday = datetime.fromtimestamp(now, zone).date() - timedelta(days=1)
    days = (yesterday - timedelta(weeks=n) for n in range(WEEKS, -1, -1))
    return np.array([int(datetime(d.year, d.month, d.day, tzinfo=zone).timestamp()) for d in days], np.int64)


@dataclass(frozen=True, slots=True)
class Told:
    """Rows, and whose each of them is: ``of`` numbers the places in ``where``, shape (rows,)."""

    rows: Rows
    of: Ints
    where: Sequence[Where]

    def within(self, kept: Mapping[Where, Where], groups: Mapping[Where, int]) -> tuple[Rows, Ints]:
        """Return the rows that are kept, and the number of the group of each."""
        number = np.array([groups[kept[where]] if where in kept else -1 for where in self.where], np.int64)
        group = number[self.of] if len(self.of) else self.of
        return self.rows.at(group >= 0), group[group >= 0]


def heard(accounts: Accounts, reader: Reader, who: Connected, role: Role, now: int, zone: ZoneInfo) -> Heard:
    """Return what agents told in a year, as a role may know it.

    Args:
        accounts: answers questions of energy.
        reader: of the ledger.
        who: is whom.
        role: of the asker.
        now: UTC [s].
        zone: by whose clocks a day begins.
    """
    limits = window(now, zone)
    if not who.lines or (reader.first() or limits[-1]) >= limits[-1]:
        return Heard(who.by_line)
    kinds = () if privacy.sees_all(role) else tuple(sorted(privacy.NOBODYS))
    weekly, by_basis = (_exact(reader, who, limits, kinds, basis=basis) for basis in (False, True))
    if not privacy.sees_all(role):
        cells = _published(accounts, reader, who, limits, now, zone)
        weekly, by_basis = _together(weekly, _by_day(cells)), _together(by_basis, cells)
    kept = grouped(set(weekly.where), nowhere(weekly, who))
    found = weeks(weekly, by_basis, limits, kept)
    return Heard(who.by_line, readings(found, set(silent_when_off(who, found))))


def _mark(who: Connected) -> dict[str, tuple[str, ...]]:
    return {"simulated": ("true" if who.simulated else "false",)}


def _exact(reader: Reader, who: Connected, limits: Ints, kinds: tuple[str, ...], *, basis: bool) -> Told:
    """Return what the ledger has: by week, or by basis."""
    number = {of: n for n, of in enumerate(dict.fromkeys(line.where for line in who.lines.values()))}
    labels = {device.name: str(number[line.where]) for device, line in who.lines.items()}
    named = {str(n): of for of, n in number.items()}
    times = limits.tolist() if not basis else [int(limits[0]), int(limits[-1])]
    by = ("class", PLACE, *(("basis",) if basis else ()))
    rows = reader.labelled(times, by, _mark(who) | ({"class": kinds} if kinds else {}), labels)
    return _told(rows, ("class", PLACE), lambda kind, label: named.get(label) or _folded(kind, label))


def _told(rows: Rows, by: Sequence[str], where: Callable[..., Where]) -> Told:
    """Return rows with whose they are, by the texts of some dimensions."""
    if not len(rows):
        return Told(rows, np.zeros(0, np.int64), ())
    code, first = codes(*(rows.dims[name] for name in by))
    return Told(rows, code, [where(*(str(rows.dims[name][row]) for name in by)) for row in first.tolist()])


def _folded(kind: str, label: str) -> Where:
    """Return whose a row is that stands for no device by itself, or for one without a line.

    Those of small rooms are folded into their building or site: it is told of no room apart.
    """
    if label[:1] != "[":
        return Where(kind, ANY, "", "", "")
    place = place_of(label)
    told = (place.site, place.building, place.room)
    return Where(kind, ANY, *(text or ANY for text in told)) if any(told) else Where(kind, ANY, *told)


def _published(accounts: Accounts, reader: Reader, who: Connected, limits: Ints, now: int, zone: ZoneInfo) -> Told:
    """Return the cells of endpoints."""
    begin, end = int(limits[0]), int(limits[-1])
    asked = Question(begin, end, "day", zone, ("class", "model", "basis", *LEVELS), _mark(who))
    rows = accounts.cells(reader, asked, max(begin, reader.first() or end), now).rows

    def where(kind: str, *place: str) -> Where:
        return Where(kind, ANY, *(ANY if text == OTHER else text for text in place))

    return _told(rows, ("class", *LEVELS), where)


def _by_day(cells: Told) -> Told:
    """Return cells by day and place: of a model's bases the one with most devices counts; models share no device."""
    dims = {"of": cells.of.astype(object), "model": cells.rows.dims["model"]}
    rows = summed(summed(replace(cells.rows, dims=dims), ("of", "model")), ("of",), apart=True)
    return Told(rows, rows.dims["of"].astype(np.int64), cells.where)


def _together(one: Told, other: Told) -> Told:
    by = [name for name in one.rows.dims if name in other.rows.dims]
    of = np.concatenate([one.of, other.of + len(one.where)])
    return Told(joined([one.rows, other.rows], by), of, [*one.where, *other.where])


def nowhere(weekly: Told, who: Connected) -> dict[str, bool]:
    """Return the classes with rows of no place though each of their devices has one: their place was not known then.

    The inventory came later than the agents, or older days are folded. True says that most weeks are of that kind: then
    the class is told as one. Else they are left out.
    """
    lines = [line.where for line in who.lines.values()]
    placed = {where.kind for where in lines} - {where.kind for where in lines if not any(where[2:])}
    found = {}
    for kind in sorted(placed - {kind for kind, count in who.unlisted.items() if count}):
        mine = np.array([where.kind == kind for where in weekly.where], np.bool_)
        without = mine & np.array([not any(where[2:]) for where in weekly.where], np.bool_)
        if without.any():
            times, lost = (len(np.unique(weekly.rows.begin[which[weekly.of]])) for which in (mine, without))
            found[kind] = 2 * lost >= times
    return found


def grouped(there: Iterable[Where], lost: Mapping[str, bool]) -> dict[Where, Where]:
    """Return the group that each place is told in; one that is not in it is left out.

    What is told together with others in one week is told with them in all: so each device is in one group all year.

    Args:
        there: class, model and place of some rows.
        lost: of :func:`nowhere`.
    """
    found = {of: of for of in there if any(of[2:]) or lost.get(of.kind, True)}
    for of in found:
        if not any(of[2:]) and of.kind in lost:
            found[of] = Where(of.kind)
    for told in range(len(LEVELS)):
        wider = dict.fromkeys(LEVELS[told:], ANY)
        known = {of._replace(model=ANY) for of in found.values()}
        for raw, of in found.items():
            if (wide := of._replace(**wider))._replace(model=ANY) in known:
                found[raw] = wide
    vague = {of for of in found.values() if of.model == ANY}
    return {raw: wide if (wide := of._replace(model=ANY)) in vague else of for raw, of in found.items()}


def weeks(weekly: Told, by_basis: Told, limits: Ints, kept: Mapping[Where, Where]) -> dict[Where, Weeks]:
    """Return a year's weeks by group.

    Args:
        weekly: rows of parts of weeks; no device stands in two of one time.
        by_basis: rows by basis, of any times.
        limits: of the weeks, UTC [s].
        kept: the group that each place is told in.
    """
    number = {of: n for n, of in enumerate(dict.fromkeys(kept[where] for where in weekly.where if where in kept))}
    rows, at = weekly.within(kept, number)
    week = np.clip(np.searchsorted(limits, rows.begin, side="right") - 1, 0, WEEKS - 1)
    joules, covered = np.zeros((len(number), WEEKS)), np.zeros((len(number), WEEKS))
    np.add.at(joules, (at, week), rows.joules)
    np.add.at(covered, (at, week), rows.covered)
    devices = _most(at, week, rows, len(number))
    bases: list[dict[str, tuple[float, float]]] = [{} for _ in number]
    rows, at = by_basis.within(kept, number)
    columns = (at.tolist(), rows.dims["basis"].tolist(), rows.joules.tolist(), rows.bias.tolist())
    for n, basis, energy, bias in zip(*columns, strict=True):
        before = bases[n].get(basis, (0.0, 0.0))
        bases[n][basis] = (before[0] + energy, before[1] + bias)
    return {of: Weeks(joules[n], covered[n], devices[n], bases[n]) for of, n in number.items()}


def _most(at: Ints, week: Ints, rows: Rows, groups: int) -> Ratio:
    """Return the most devices that a week's parts have, shape (groups, weeks); rows of one time have none in common."""
    moments, moment = np.unique(rows.begin, return_inverse=True)
    key = at * len(moments) + moment.reshape(len(at))
    keys, first, place = np.unique(key, return_index=True, return_inverse=True)
    together = np.bincount(place.reshape(len(at)), rows.devices, len(keys))
    found = np.zeros((groups, WEEKS))
    np.maximum.at(found, (at[first], week[first]), together)
    return found


def silent_when_off(who: Connected, groups: Iterable[Where]) -> Iterator[Where]:
    """Yield the groups of endpoints of which most speak for themselves."""
    tally: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for device, line in who.lines.items():
        for room in (line.where.room, ANY):
            tally[line.where.kind, room][not device.alone] += 1
    for where in groups:
        alone, spoken_for = tally[where.kind, where.room]
        if where.kind not in privacy.NOBODYS and alone > spoken_for:
            yield where
