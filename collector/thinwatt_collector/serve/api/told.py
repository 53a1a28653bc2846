"""What a year's rows of the ledger say of the inventory's machines; law 7 is kept by where the rows come from.

The role technical gets what the ledger has, to the room. The role public gets hosts as they are, and of endpoints the
*published cells* and nothing else (``privacy.py``): what is worked out from figures that everybody may see already,
and from numbers of devices, tells nobody more. The last day is the one before yesterday, which is over and closed in
every time zone, and all of it is worked out once a local day.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from thinwatt_collector.inventory.annual import ANY, DAYS, Days, Where, readings
from thinwatt_collector.inventory.devices import devices_on
from thinwatt_collector.inventory.heard import Heard
from thinwatt_collector.inventory.watched import Standing
from thinwatt_collector.serve.api import calendar, privacy
from thinwatt_collector.serve.api.books import Census, Known, Reader
from thinwatt_collector.serve.api.energy import Accounts
from thinwatt_collector.serve.api.privacy import OTHER, Role
from thinwatt_collector.serve.api.question import Question
from thinwatt_collector.serve.api.rows import Ints, Mask, Rows, codes, joined, summed

PLACE: Final = ("site", "building", "room")
GROUPS: Final = ("class", "model", "simulated", *PLACE)
"""What devices that are compared with each other have in common."""


ELSEWHERE: Final = frozenset({"virtual_machine"})
"""Classes whose energy is their host's."""


@dataclass(frozen=True, slots=True)
class Line:
    """What the inventory says of a machine that the ledger knows."""

    name: str
    kind: str
    model: str
    room: str


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
        record = standing.places.at(device.name, now).line
        line = there.get(record.name) if record else None
        if line is not None:
            found[device] = Line(line.name, line.kind, line.model, line.room)
        elif device.kind not in ELSEWHERE:
            unlisted[device.kind] += 1
    marks = Counter(device.simulated for device in found)
    return Connected(found, unlisted, simulated=marks[True] > marks[False])


def window(now: int, zone: ZoneInfo) -> Ints:
    """Return the limits of the 364 local days before yesterday, UTC [s], shape (365,)."""
    yesterday = datetime.fromtimestamp(now, zone).date() - timedelta(days=1)
    first = yesterday - timedelta(days=DAYS)
    begin, end = (int(datetime(d.year, d.month, d.day, tzinfo=zone).timestamp()) for d in (first, yesterday))
    return calendar.edges(begin, end, "day", zone)


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
    first = reader.first()
    begin = max(int(limits[0]), first if first is not None else int(limits[-1]))
    if begin >= limits[-1] or not who.lines:
        return Heard(who.by_line)
    mark = ("true" if who.simulated else "false",)

    def ask(by: tuple[str, ...], grain: calendar.Grain, kinds: tuple[str, ...] = ()) -> Rows:
        where = {"simulated": mark} | ({"class": kinds} if kinds else {})
        asked = Question(begin, int(limits[-1]), grain, zone, by, where)
        return summed(accounts.exact(reader, asked, (begin, int(limits[-1])), now), by, apart=True)

    if privacy.sees_all(role):
        daily, by_basis = ask(GROUPS, "day"), ask((*GROUPS, "basis"), "month")
    else:
        nobodys = tuple(sorted(privacy.NOBODYS))
        asked = Question(begin, int(limits[-1]), "day", zone, (*GROUPS, "basis"), {"simulated": mark})
        cells = summed(accounts.cells(reader, asked, begin, now).rows, (*GROUPS, "basis"))
        daily = joined([ask(GROUPS, "day", nobodys), summed(cells, GROUPS)], GROUPS)
        by_basis = joined([ask((*GROUPS, "basis"), "month", nobodys), cells], (*GROUPS, "basis"))
    lost = nowhere(daily, who)
    found = days(placed_again(daily, lost), placed_again(by_basis, lost), limits, models(who))
    return Heard(who.by_line, readings(found, set(silent_when_off(who, found))))


def nowhere(daily: Rows, who: Connected) -> dict[str, bool]:
    """Return the classes with rows of no place though each of their devices has one: their place was not known then.

    The inventory came later than the agents, or older days are folded. True says that most days are of that kind: then
    the class is told as one. Else these days are left out.
    """
    at = _nowhere(daily)
    found = {}
    for kind in set(daily.dims["class"][at].tolist()):
        if not who.unlisted.get(kind) and all(line.room for device, line in who.lines.items() if device.kind == kind):
            mine = daily.dims["class"] == kind
            found[kind] = 2 * len(np.unique(daily.begin[mine & at])) >= len(np.unique(daily.begin[mine]))
    return found


def placed_again(rows: Rows, lost: Mapping[str, bool]) -> Rows:
    """Return rows without those of no place, or with them of any place."""
    at = _nowhere(rows)
    kinds = rows.dims["class"]
    rows = rows.at(~(at & np.array([not lost.get(kind, True) for kind in kinds], np.bool_)))
    any_place = _nowhere(rows) & np.array([lost.get(kind, False) for kind in rows.dims["class"]], np.bool_)
    dims = {name: np.where(any_place & (name in PLACE), OTHER, column) for name, column in rows.dims.items()}
    return replace(rows, dims=dims)


def _nowhere(rows: Rows) -> Mask:
    return np.array([not any(of) for of in zip(*(rows.dims[name] for name in PLACE), strict=True)], np.bool_)


Models = Mapping[tuple[str, str], Mapping[str, str]]
"""Class and room → model as devices name themselves → as the inventory names it."""


def models(who: Connected) -> Models:
    """Return what models are called, in rooms where each name is of one model."""
    names: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for device, line in who.lines.items():
        names[device.kind, line.room][device.model].add(line.model)
    return {
        place: {own: next(iter(told)) for own, told in of.items()}
        for place, of in names.items()
        if all(len(told) == 1 for told in of.values())
    }


def days(daily: Rows, by_basis: Rows, limits: Ints, named: Models) -> dict[Where, Days]:
    """Return a year's days by group.

    Args:
        daily: rows by day and :data:`GROUPS`; no device stands in two of a day.
        by_basis: rows by these and basis, in any buckets.
        limits: of the days, UTC [s].
        named: what models are called.
    """
    where = _groups(daily, named)
    number = {of: n for n, of in enumerate(dict.fromkeys(where))}
    at = np.array([number[of] for of in where], np.int64)
    day = np.clip(np.searchsorted(limits, daily.begin, side="right") - 1, 0, DAYS - 1)
    sums = np.zeros((3, len(number), DAYS))
    for which, column in enumerate((daily.joules, daily.covered, daily.devices)):
        np.add.at(sums[which], (at, day), column)
    bases: dict[Where, dict[str, tuple[float, float]]] = {of: {} for of in number}
    told = zip(by_basis.dims["basis"].tolist(), by_basis.joules.tolist(), by_basis.bias.tolist(), strict=True)
    for of, (basis, joules, bias) in zip(_groups(by_basis, named), told, strict=True):
        if of in bases:
            before = bases[of].get(basis, (0.0, 0.0))
            bases[of][basis] = (before[0] + joules, before[1] + bias)
    return {of: Days(sums[0, n], sums[1, n], sums[2, n], bases[of]) for of, n in number.items()}


def _groups(rows: Rows, named: Models) -> list[Where]:
    """Return the group of each row.

    What is told together with others on one day is told with them on all days: so each device is in one group all year.
    """
    code, first = codes(*(rows.dims[name] for name in GROUPS)) if len(rows) else (np.zeros(0, np.int64), ())
    dims = {name: rows.dims[name] for name in GROUPS}
    found = []
    for row in first:
        place = [ANY if (text := str(dims[name][row])) == OTHER else text for name in PLACE]
        kind = str(dims["class"][row])
        model = named.get((kind, place[-1]), {}).get(str(dims["model"][row]), ANY)
        found.append(Where(kind, model, *place))
    for told in range(len(PLACE)):
        wider = dict.fromkeys(PLACE[told:], ANY)
        there = {of._replace(model=ANY) for of in found}
        found = [wide if (wide := of._replace(**wider))._replace(model=ANY) in there else of for of in found]
    vague = {of for of in found if of.model == ANY}
    found = [wide if (wide := of._replace(model=ANY)) in vague else of for of in found]
    return [found[n] for n in code.tolist()]


def silent_when_off(who: Connected, groups: Iterable[Where]) -> Iterator[Where]:
    """Yield the groups of endpoints of which most speak for themselves."""
    tally: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for device, line in who.lines.items():
        for room in (line.room, ANY):
            tally[device.kind, room][not device.alone] += 1
    for where in groups:
        alone, spoken_for = tally[where.kind, where.room]
        if where.kind not in privacy.NOBODYS and alone > spoken_for:
            yield where
