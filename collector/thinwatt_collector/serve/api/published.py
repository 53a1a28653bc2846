"""What everybody may see of endpoints, day by day, as it was first shown: in memory, and in files for the next start.

Each slot is read once, half an hour after its end; a day is closed two hours after its end. What agents bring later is
read a day and a week after its end and then never again: it is cut into cells of its own, of what is new only, and
shown if five devices brought it. Shown as soon as it came, it would be the difference of two answers, of one device.

Where a device stood is pinned when its day is read first; what the inventory learns later changes no past day.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from math import fsum
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from thinwatt_collector.factors import Intensity
from thinwatt_collector.inventory.places import Pinned, Whereabouts
from thinwatt_collector.inventory.watched import Now, nothing_known
from thinwatt_collector.serve.api import calendar, kept
from thinwatt_collector.serve.api.books import TooFineError, UnreadableError
from thinwatt_collector.serve.api.calendar import Grain
from thinwatt_collector.serve.api.kept import BrokenError
from thinwatt_collector.serve.api.privacy import DIMS, FINE, OTHER, PRICE, Cells, Cuts, cells, together
from thinwatt_collector.serve.api.rows import Ints, Rows, codes, empty, joined, summed, texts

log = logging.getLogger(__name__)

SETTLED: Final = 1_800
"""A slot is read this long after its end [s]."""
OVER: Final = 7_200
"""A day is closed this long after its end [s]."""
LATE: Final = (86_400, 7 * 86_400)
"""What came late is read this long after the end of its day [s]."""
FINEST: Final = 31 * 86_400
"""Days that were over longer ago when they are read first are cut by the hour [s]."""
AT_ONCE: Final = 31
"""Days read in one go at most."""
ROWS: Final = 250_000
"""So many rows are read in one go, as far as the days before tell."""
NOISE: Final = 1e-9
"""Sums that differ by less were added up in another order."""

Read = Callable[[int, int, Grain, Whereabouts], Rows]
"""From [begin, end) [s], slot or hour, and where devices stand, to rows by these and :data:`FINE`."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What was read of a day: its rows until a time [s], and where its devices stood."""

    until: int
    rows: Rows
    pinned: Pinned


@dataclass(frozen=True, slots=True)
class Day:
    """A day that is closed: its end [s], its cells, how often it was looked at for what came late."""

    end: int
    cuts: Cuts
    looked: int


@dataclass(frozen=True, slots=True)
class Counter:
    """What was published of a class since the ledger began: J by basis, g, s."""

    joules: Mapping[str, float]
    grams: float
    covered: float
    gap: float


@dataclass(slots=True)
class Shelf:
    """All closed days, one behind the other: in time, in place, and each day as one."""

    time: Cells = field(default_factory=lambda: together([]))
    place: Cells = field(default_factory=lambda: together([]))
    whole: Cells = field(default_factory=lambda: together([]))


class Published:
    """Cells by local day.

    Args:
        zone: by whose clocks a day begins: the site's, the same for every question.
        folder: where they are kept; None: nowhere, they are made anew at the next start.
        known: what stands where now.
    """

    def __init__(self, zone: ZoneInfo, folder: Path | None = None, known: Now = nothing_known) -> None:
        self._zone, self._folder, self._known = zone, folder, known
        self._days: dict[int, Day] = {}
        self._taken: dict[int, Taken] = {}
        self._shelf: Shelf | None = None
        self._complete = False
        self._at_once = 1
        self._loaded = folder is None
        self._turn = threading.Lock()
        self.said: list[str] = []

    def cells(self, read: Read, begin: int, end: int, now: int, coarse: bool, whole: bool) -> Cells:
        """Return the cells of the days that a window touches.

        Args:
            read: asks the ledger.
            begin: of the window, UTC [s].
            end: of the window.
            now: UTC [s]; later days have no cells.
            coarse: whether a question is of classes only: then cells are cut in time, else in place.
            whole: whether its buckets are local days or longer: then days within the window need not be cut in time.
        """
        if begin >= min(end, now):
            return together([])
        self.bring(read, begin, min(end, now), now)
        with self._turn:
            shelf = self._shelf = self._shelf or self._shelve()
            open_ones = [cells(t.rows, over=False).time for t in self._open(begin, end)]
            if not coarse:
                return together([_touching(shelf.place, begin, end), *open_ones])
            if not whole:
                return together([_touching(shelf.time, begin, end), *open_ones])
            days = sorted(day for day in self._days if day < end and self._days[day].end > begin)
            inner = [day for day in days if begin <= day and self._days[day].end <= end]
            if not inner:
                return together([_touching(shelf.time, begin, end), *open_ones])
            first, last = inner[0], self._days[inner[-1]].end
            rims = [_touching(shelf.time, *rim) for rim in ((begin, first), (last, end)) if rim[0] < rim[1]]
            return together([_touching(shelf.whole, first, last), *rims, *open_ones])

    def _open(self, begin: int, end: int) -> list[Taken]:
        """Return what was read of the days that are not over."""
        at = [day for day in self._taken if day not in self._days and day < end]
        return [self._taken[day] for day in sorted(at) if self._taken[day].until > begin]

    def bring(self, read: Read, begin: int, end: int, now: int) -> None:
        """Read what has settled since the last time, of the days that a window touches; some at a time.

        Raises:
            UnreadableError: the ledger can't be read, or what was read can't be kept.
        """
        days = calendar.edges(begin, min(end, now), "day", self._zone).tolist()
        try:
            while True:
                with self._turn:
                    self._load()
                    span = self._missing(days, now)
                    if span is None:
                        break
                    self._close_old(read, *span, now)
            for day, past in pairwise(days):
                with self._turn:
                    self._go_on(read, day, past, now)
        except BrokenError as error:
            self.said = [str(error)]
            raise UnreadableError(str(error)) from error

    def bring_all(self, read: Read, first: int | None, now: int) -> None:
        """Read what has settled since the last time, of all days since the ledger's first; then there are counters."""
        if first is not None and first < now:
            self.bring(read, first, now, now)
        with self._turn:
            self._complete = True

    def counters(self, intensity: Intensity) -> dict[tuple[str, str], Counter] | None:
        """Return what was published since the ledger began, by class and simulated; None: not all is read yet."""
        with self._turn:
            if not self._complete:
                return None
            shelf = self._shelf = self._shelf or self._shelve()
            every = together([shelf.time, *(cells(t.rows, over=False).time for t in self._open(0, 2**62))])
        rows = every.rows
        group, first = codes(rows.dims["class"], rows.dims["simulated"])
        grams = rows.joules * intensity.at(rows.begin // 900)[0]
        gaps = np.maximum(every.expected - rows.covered, 0.0)
        found = {}
        for number, at in enumerate(first.tolist()):
            ours = group == number
            bases = rows.dims["basis"][ours]
            # Sums to the last digit, whatever the order: a counter that falls by a rounding would begin anew.
            joules = {basis: fsum(rows.joules[ours][bases == basis].tolist()) for basis in sorted(set(bases.tolist()))}
            key = str(rows.dims["class"][at]), str(rows.dims["simulated"][at])
            found[key] = Counter(joules, *(fsum(of[ours].tolist()) for of in (grams, rows.covered, gaps)))
        return found

    def _missing(self, days: list[int], now: int) -> tuple[int, int] | None:
        """Return the first days that are over and of which nothing was shown, as many as are read in one go."""
        span: list[int] = []
        for begin, end in pairwise(days):
            fresh = not self._seen(begin, end) and now >= end + OVER
            if span and (not fresh or len(span) > self._at_once or _fine(span[-1], now) != _fine(end, now)):
                break
            if fresh:
                span = [*(span or [begin]), end]
        return (span[0], span[-1]) if span else None

    def _seen(self, begin: int, end: int) -> bool:
        """Return whether something of a day was shown, or of another zone's day that it overlaps."""
        if begin in self._days or begin in self._taken:
            return True
        return any(day < end and of.end > begin for day, of in self._days.items())

    def _close_old(self, read: Read, first: int, last: int, now: int) -> None:
        """Read days that are over in one go and close them."""
        places = self._known().places
        step = 900 if _fine(last, now) else 3600
        try:
            rows = read(first, last, "slot" if step == 900 else "hour", places)
        except TooFineError:
            rows, step = read(first, last, "hour", places), 3600
        days = calendar.edges(first, last, "day", self._zone).tolist()
        self._at_once = int(np.clip(ROWS * (len(days) - 1) // max(len(rows), 1), 1, AT_ONCE))
        made: dict[int, Day] = {}
        at = np.searchsorted(days, rows.begin, side="right") - 1
        order = np.argsort(at, kind="stable")
        rows, limits = rows.at(order), np.searchsorted(at[order], np.arange(len(days)))
        for n, (begin, end) in enumerate(pairwise(days)):
            mine = rows.at(np.arange(limits[n], limits[n + 1]))
            looked = sum(now >= end + late for late in LATE)
            made[begin] = Day(end, cells(mine, over=True, step=step), looked)
            if looked < len(LATE) and step == 900:
                self._take(begin, Taken(end, mine, places.pinned(begin)))
        self._keep(made)

    def _go_on(self, read: Read, begin: int, end: int, now: int) -> None:
        """Read what has settled of a day since the last time; close it in its time; look for what came late."""
        if begin in self._days:
            self._look_again(read, begin, now)
            return
        if self._seen(begin, end) and begin not in self._taken:
            return
        taken = self._taken.get(begin)
        settled = min(end, (now - SETTLED) // 900 * 900)
        if settled > (taken.until if taken else begin):
            pinned = taken.pinned if taken else self._known().places.pinned(begin)
            before = taken or Taken(begin, empty(FINE), pinned)
            rows = joined([before.rows, read(before.until, settled, "slot", pinned)], FINE)
            taken = Taken(settled, rows, pinned)
            self._take(begin, taken)
        if taken and now >= end + OVER:
            self._keep({begin: Day(end, cells(taken.rows, over=True), 0)})

    def _look_again(self, read: Read, begin: int, now: int) -> None:
        day, taken = self._days[begin], self._taken.get(begin)
        if taken is None or now < day.end + LATE[min(day.looked, len(LATE) - 1)]:
            return
        looked = sum(now >= day.end + late for late in LATE)
        rows = read(begin, day.end, "slot", taken.pinned)
        late = cells(news(taken.rows, rows), over=True)
        cuts = Cuts(together([day.cuts.time, late.time]), together([day.cuts.place, late.place]))
        # The rows first: of what is cut off between the two files nothing is shown, rather than something twice.
        self._take(begin, Taken(day.end, rows, taken.pinned))
        self._keep({begin: Day(day.end, cuts, looked)})
        if looked == len(LATE):
            del self._taken[begin]
            if self._folder is not None:
                self._rows_file(begin).unlink(missing_ok=True)

    def _take(self, begin: int, taken: Taken) -> None:
        if self._folder is not None:
            names = list(taken.pinned.keys)
            columns = kept.columns_of(taken.rows) | {
                "until": np.array([taken.until]),
                "names": np.array(names, np.str_),
                "keys": np.array([taken.pinned.keys[name] for name in names], np.str_),
                "nowhere": np.array([taken.pinned.nowhere], np.str_),
            }
            kept.write(self._rows_file(begin), columns)
        self._taken[begin] = taken

    def _keep(self, made: Mapping[int, Day]) -> None:
        """Write the months of some days, then have them be the days."""
        days = {**self._days, **made}
        if self._folder is not None:
            for month in {self._month(begin) for begin in made}:
                self._write(month, {begin: day for begin, day in days.items() if self._month(begin) == month})
        self._days, self._shelf = days, None

    def _month(self, begin: int) -> str:
        return f"{datetime.fromtimestamp(begin, self._zone):%Y-%m}"

    def _rows_file(self, begin: int) -> Path:
        return (self._folder or Path()) / f"rows-{begin}.npz"

    def _write(self, month: str, days: Mapping[int, Day]) -> None:
        every = [(begin, days[begin]) for begin in sorted(days)]
        columns: kept.Columns = {
            "begins": np.array([begin for begin, _ in every], np.int64),
            "ends": np.array([day.end for _, day in every], np.int64),
            "looked": np.array([day.looked for _, day in every], np.int64),
        }
        for name in ("time", "place"):
            parts = [getattr(day.cuts, name) for _, day in every]
            of = together(parts)
            columns |= kept.columns_of(of.rows, f"{name}.")
            columns |= {f"{name}.end": of.end, f"{name}.expected": of.expected}
            columns[f"{name}.of"] = np.repeat(np.arange(len(every)), [len(part) for part in parts])
        kept.write((self._folder or Path()) / f"cells-{month}.npz", columns)

    def _load(self) -> None:
        """Read what earlier runs have published; a file that can't be read leaves its days unshown."""
        if self._loaded or self._folder is None:
            return
        for path in sorted(self._folder.glob("cells-*.npz")):
            self._days |= _days_in(kept.read(path))
        for path in sorted(self._folder.glob("rows-*.npz")):
            begin, columns = int(path.stem.removeprefix("rows-")), kept.read(path)
            keys = dict(zip(columns["names"].tolist(), columns["keys"].tolist(), strict=True))
            pinned = Pinned(keys, str(columns["nowhere"][0]))
            self._taken[begin] = Taken(int(columns["until"][0]), kept.rows_of(columns), pinned)
        self._loaded, self.said = True, []

    def _shelve(self) -> Shelf:
        """Put all days one behind the other, and have each be a part of the whole: nothing is kept twice."""
        begins = sorted(self._days)
        days = [self._days[begin] for begin in begins]
        shelf = Shelf(
            together([day.cuts.time for day in days]),
            together([day.cuts.place for day in days]),
            together([as_one(day.cuts) for day in days]),
        )
        time = place = 0
        for begin, day in zip(begins, days, strict=True):
            first, time = time, time + len(day.cuts.time)
            other, place = place, place + len(day.cuts.place)
            cuts = Cuts(shelf.time.at(slice(first, time)), shelf.place.at(slice(other, place)))
            self._days[begin] = replace(day, cuts=cuts)
        return shelf


def _fine(end: int, now: int) -> bool:
    return now < end + FINEST


def _touching(of: Cells, begin: int, end: int) -> Cells:
    return of.at((of.end > begin) & (of.rows.begin < end))


def _days_in(columns: kept.Columns) -> dict[int, Day]:
    parts: dict[str, tuple[Cells, Ints]] = {}
    for name in ("time", "place"):
        rows = kept.rows_of(columns, f"{name}.")
        parts[name] = Cells(rows, columns[f"{name}.end"], columns[f"{name}.expected"]), columns[f"{name}.of"]
    found = {}
    told = (columns[name].tolist() for name in ("begins", "ends", "looked"))
    for at, (begin, end, looked) in enumerate(zip(*told, strict=True)):
        time, place = (of.at(number == at) for of, number in parts.values())
        found[begin] = Day(end, Cuts(time, place), looked)
    return found


def as_one(cuts: Cuts) -> Cells:
    """Return the cells of a day by class and price: sums of those in place, for questions of whole days."""
    of = cuts.place
    if not len(of):
        return of
    by = ("class", "simulated", PRICE)
    group, first = codes(of.rows.begin, *(of.rows.dims[name] for name in by))
    rows = summed(of.rows, by)
    # Heard together they are more than in any one place.
    most: dict[tuple[str, str], int] = {}
    kinds = zip(*(cuts.time.rows.dims[name].tolist() for name in by[:2]), strict=True)
    for kind, devices in zip(kinds, cuts.time.rows.devices.tolist(), strict=True):
        most[kind] = max(most.get(kind, 0), devices)
    told = zip(*(rows.dims[name].tolist() for name in by[:2]), strict=True)
    devices = np.array([most[kind] for kind in told], np.int64)
    dims = {name: rows.dims.get(name, texts([OTHER] * len(rows))) for name in DIMS}
    expected = np.bincount(group, of.expected, len(first)).astype(np.float64)
    return Cells(replace(rows, dims=dims, devices=devices), of.end[first], expected)


def news(before: Rows, now: Rows) -> Rows:
    """Return what is in ``now`` and was not in ``before``: energy, and devices at least, of each row.

    Where the energy of a class has become less (a device has got another model since) nothing of it is new.
    """
    gone = replace(
        before, joules=-before.joules, variance=-before.variance, bias=-before.bias, covered=-before.covered,
        devices=-before.devices,
    )  # fmt: skip
    both = joined([now, gone], FINE)
    found = summed(both, FINE, apart=True)
    size = summed(replace(both, joules=np.abs(both.joules)), FINE, apart=True).joules
    heard = np.abs(found.covered) > NOISE * 900
    moved = (np.abs(found.joules) > NOISE * size) | heard | (found.devices > 0)
    less = (found.joules < -NOISE * size) & moved
    group, _ = codes(found.dims["class"], found.dims["simulated"]) if len(found) else (np.zeros(0, np.int64), None)
    bad = np.isin(group, np.unique(group[less]))
    kept_rows = found.at(moved & ~bad)
    return replace(
        kept_rows,
        joules=np.maximum(kept_rows.joules, 0.0),
        variance=np.maximum(kept_rows.variance, 0.0),
        bias=np.maximum(kept_rows.bias, 0.0),
        covered=np.maximum(kept_rows.covered, 0.0),
        devices=np.maximum(kept_rows.devices, 0),
    )
