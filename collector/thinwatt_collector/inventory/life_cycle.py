"""The lives of an inventory's devices in arrays: what was made when, who bears it until when, and where it stood.

A device that moved bears its making in each place for its days; where its lines tell nothing, it stands where it was
seen next, or last. Times are days of the site's clocks, in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.inventory.events import REUSED, Life, lives
from thinwatt_collector.inventory.making import DAY, KG, YEAR, Made, default, made
from thinwatt_collector.inventory.places import ALWAYS, FOR_EVER, Place, Places, ledger_name
from thinwatt_collector.inventory.tables import Inventory
from thinwatt_collector.models import second_life
from thinwatt_collector.models.devices import CLASSES
from thinwatt_collector.models.second_life import Lives, Spread
from thinwatt_collector.units import Flags, Ratio, Seconds

Ints = NDArray[np.int64]
FIRST, EVENLY, AGAIN = range(3)
"""Parts of a making: as its first life bears it, as all its lives do, and its reconditionings."""


BY: Final = ("establishment", "site", "building", "room", "class", "model")
"""What figures are told by, in the order of :class:`Where`."""


class Where(NamedTuple):
    """Place, class and model of machines, and the pool that they serve; "" is unknown, or none."""

    establishment: str
    site: str
    building: str
    room: str
    kind: str
    model: str
    pool: str = ""

    def told(self, by: Sequence[str]) -> tuple[str, ...]:
        """Return some of it, named as in :data:`BY`."""
        return tuple(self[BY.index(name)] for name in by)


@dataclass(frozen=True, slots=True)
class Again:
    """A reconditioning: mass [g] with its relative standard uncertainty [1], and its time [s]."""

    mass: float
    spread: float
    declared: bool
    begin: float
    length: float
    cut: float


@dataclass(frozen=True, slots=True)
class Stays:
    """Where lives were, and when; a row is a life and a place, in the order of lives; shape (n,).

    Attributes:
        life: its number.
        begin: first moment there [s].
        end: first moment no more [s].
        where: number of the place, class and model.
    """

    life: Ints
    begin: Seconds
    end: Seconds
    where: Ints

    def of(self, who: Ints) -> tuple[Ints, Ints]:
        """Return all stays of the lives ``who``: which of ``who`` they are of, and their own numbers."""
        first = np.searchsorted(self.life, who)
        length = np.searchsorted(self.life, who, side="right") - first
        ends = np.cumsum(length)
        at = np.arange(int(length.sum())) + np.repeat(first - (ends - length), length)
        return np.repeat(np.arange(len(who)), length).astype(np.int64), at.astype(np.int64)

    def when(self, who: Ints, time: Seconds, before: bool = False) -> tuple[Ints, Ints]:
        """Return the stay in which each life of ``who`` was at its time [s], or just before it; as :meth:`of` does."""
        of, at = self.of(who)
        moment = time[of]
        inside = (self.begin[at] < moment) & (moment <= self.end[at])
        if not before:
            inside = (self.begin[at] <= moment) & (moment < self.end[at])
        return of[inside], at[inside]


@dataclass(frozen=True, slots=True)
class Charges:
    """Masses in time, shape (n,).

    Attributes:
        who: number of the life that bears it.
        part: :data:`FIRST`, :data:`EVENLY` or :data:`AGAIN`.
        spread: of all machines of that life.
        key: number of what its error is common to.
        doubt: relative standard uncertainty [1].
    """

    who: Ints
    part: Ints
    spread: Spread
    key: Ints
    doubt: Ratio


class LifeCycle:
    """The lives of all devices of known classes. Immutable: threads may share it.

    Args:
        inventory: what stands where, and what became of it.
        places: the same, by names of the ledger.
        zone: by whose clocks its days begin.

    Attributes:
        lives: what became of them; the other columns have their order, shape (l,).
        kinds: class of each.
        made: making of one machine of each.
        count: machines of each [1].
        bought: NaN where nobody says [s].
        out: when it left; inf where it has not [s].
        due: when the life that it is in, or was in, is planned to end; NaN where nobody says when it began [s].
        stays: where they were.
        wheres: what ``stays.where`` numbers.
        charges: what they bear.
    """

    def __init__(self, inventory: Inventory, places: Places, zone: ZoneInfo) -> None:
        self.lives: list[Life] = []
        self.kinds: list[str] = []
        self.made: list[Made] = []
        for life in lives(inventory):
            model = next(iter(inventory.tables["models"].get(life.line.text("model"), ())), None)
            told = life.line.text("class") or (model.text("class") if model else "")
            kind = "host" if life.line.table == "hosts" else told
            if kind in CLASSES:
                self.lives.append(life)
                self.kinds.append(kind)
                self.made.append(made(kind, model))
        self.count = np.array([life.count for life in self.lives], np.float64)
        self.bought = _seconds([life.bought for life in self.lives], np.nan)
        self.out = np.fmax(_seconds([life.out for life in self.lives], np.inf), self.bought)
        self.wheres: list[Where] = []
        self.stays = self._stood(places, zone)
        self.due = np.full(len(self.lives), np.nan)
        self.charges = self._charged()

    @property
    def passes(self) -> Flags:
        """Return whether somebody else uses each life's machines when they have left."""
        return np.array([life.fate in REUSED for life in self.lives], np.bool_)

    def machines(self, begin: float = -np.inf, end: float = np.inf, of: Ratio | float = 1.0) -> Ratio:
        """Return how many machines were in service in each of ``wheres`` at some time of [begin, end) [1].

        Args:
            begin: [s].
            end: [s].
            of: what a machine of each life counts, shape (l,) [1].
        """
        life, stays = self.stays.life, self.stays
        there = (np.nan_to_num(self.bought, nan=-np.inf)[life] < end) & (self.out[life] > begin)
        there &= (stays.begin < end) & (stays.end > begin)
        weight = (self.count * of)[life[there]]
        found: Ratio = np.bincount(stays.where[there], weight, len(self.wheres)).astype(np.float64)
        return found

    def _stood(self, places: Places, zone: ZoneInfo) -> Stays:
        known: dict[Where, int] = {}
        rows = []
        for n, life in enumerate(self.lives):
            told = self.kinds[n], life.line.text("model")
            for begin, end, of in _seen(places, ledger_name(life.line), zone):
                where = Where(of.establishment, of.site, of.building, of.room, *told, of.pool)
                rows.append((n, begin, end, known.setdefault(where, len(known))))
        self.wheres = list(known)
        table = np.array(rows, np.float64).reshape(len(rows), 4).T
        return Stays(table[0].astype(np.int64), table[1], table[2], table[3].astype(np.int64))

    def _charged(self) -> Charges:
        """Put the making of all dated lives into time."""
        dated = np.flatnonzero(~np.isnan(self.bought)).astype(np.int64)
        again = {n: self._again(n) for n in dated.tolist()}
        owners = np.array([self._owner(n, again[n]) for n in dated.tolist()]).reshape(len(dated), 7).T
        self.due[dated] = [_due(self.bought[n], self.made[n], again[n]) for n in dated.tolist()]
        making, bought, lifetime, before, turn, last, out = owners
        of = Lives(making * self.count[dated], bought, lifetime, before, turn, last, out, self.passes[dated])
        flat = [(n, told) for n in dated.tolist() for told in again[n]]
        who = np.array([n for n, _ in flat], np.int64)
        more = np.array([(a.mass, a.begin, a.length, a.cut) for _, a in flat]).reshape(len(flat), 4).T
        spreads = (
            second_life.first_bears(of),
            second_life.all_bear(of),
            second_life.again(more[0] * self.count[who], *more[1:]),
        )
        errors = [self._error(n) for n in dated.tolist()]
        errors = [*errors, *errors, *(("again", a.declared, self.kinds[n]) for n, a in flat)]
        keys = {of: n for n, of in enumerate(dict.fromkeys(errors))}
        doubts = [self.made[n].spread for n in dated.tolist()]
        return Charges(
            who=np.concatenate([dated, dated, who]),
            part=np.repeat([FIRST, EVENLY, AGAIN], [len(dated), len(dated), len(who)]).astype(np.int64),
            spread=Spread(*(np.concatenate([getattr(s, name) for s in spreads]) for name in Spread.__slots__)),
            key=np.array([keys[of] for of in errors], np.int64),
            doubt=np.array([*doubts, *doubts, *(a.spread for _, a in flat)], np.float64),
        )

    def _error(self, n: int) -> tuple[object, ...]:
        """Return what the error of a making is common to: all devices of a model, or of a class."""
        origin = self.made[n].origin
        return origin, self.kinds[n] if origin == "class" else self.lives[n].line.text("model")

    def _again(self, n: int) -> list[Again]:
        """Return the reconditionings of a life that were done for this owner."""
        life, kind, of = self.lives[n], self.kinds[n], self.made[n]
        days = [e for e in life.again if self.bought[n] <= _seconds([e.day("date")], np.nan)[0] < self.out[n]]
        begins = [*_seconds([e.day("date") for e in days], np.nan).tolist(), float(self.out[n])]
        usual, years = default(kind, "reconditioning"), default(kind, "second_lifetime")
        found = []
        for event, begin, cut in zip(days, begins, begins[1:], strict=False):
            declared = "embodied" in event.told
            mass = event.number("embodied") * KG if declared else of.mass * usual.value
            spread = default(kind, "sheet").uncertainty if declared else usual.uncertainty
            length = event.number("lifetime") * YEAR if "lifetime" in event.told else years.value
            found.append(Again(mass, spread, declared, begin, length, cut))
        return found

    def _owner(self, n: int, again: Sequence[Again]) -> tuple[float, ...]:
        """Return a row of :class:`Lives`, without its last column."""
        life, of = self.lives[n], self.made[n]
        bought, out = float(self.bought[n]), float(self.out[n])
        last = _due(bought, of, again)
        if life.fate in REUSED:
            told = life.last.told.get("lifetime") if life.last else None
            last = out + (default(self.kinds[n], "second_lifetime").value if told is None else told * YEAR)
        turn = next((a.begin for a in again if a.begin > bought), np.inf)
        return of.mass, bought, of.lifetime, of.lifetime if life.used else 0.0, turn, max(last, bought + DAY), out


def of_folder(inventory: Inventory) -> LifeCycle:
    """Return the lives of an inventory by itself: its days are days, by whatever clocks."""
    zone = ZoneInfo("UTC")
    return LifeCycle(inventory, Places(inventory, zone), zone)


def _due(bought: float, of: Made, again: Sequence[Again]) -> float:
    return again[-1].begin + again[-1].length if again else bought + of.lifetime


def _seconds(days: Sequence[date | None], nothing: float) -> Seconds:
    return np.array([nothing if day is None else day.toordinal() * DAY for day in days], np.float64)


def _seen(places: Places, name: str, zone: ZoneInfo) -> Iterator[tuple[float, float, Place]]:
    """Yield where a device stood, from when until when [s]."""
    stays = places.stays(name)
    told = [stay for stay in stays if stay.line is not None] or list(stays[:1])
    # What no line holds for is of the next one that does, or of the last.
    begins = [-np.inf, *(_local(stay.begin, zone) for stay in told[1:])]
    for stay, begin, end in zip(told, begins, [*begins[1:], np.inf], strict=True):
        yield begin, end, stay.place


SLACK: Final = 43_200
"""Half a day: the beginning of a stay lies on a slot, up to a slot before its midnight [s]."""


def _local(at: int, zone: ZoneInfo) -> float:
    """Return the day of a time [UTC s] that is a midnight by some clocks, in seconds of days."""
    if at in (ALWAYS, FOR_EVER):
        return -np.inf if at == ALWAYS else np.inf
    return datetime.fromtimestamp(at + SLACK, UTC).astimezone(zone).date().toordinal() * DAY
