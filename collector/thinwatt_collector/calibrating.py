"""Calibrates hardware models once a local day: what metered machines say, read beside the step, taken by the step.

The thread reads and works out; :meth:`Calibrator.adopt`, in the thread that commits, says from when on what it found
holds: the first local midnight after everything that is booked. So no slot is booked by two models.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.book import in_both
from thinwatt_collector.calibrated import Calibrations, Hardware, Learnt, Way, archive, words
from thinwatt_collector.calibrated.learning import TOGETHER, Assumed, Found, Refusal, Sample, fewest, learn, news
from thinwatt_collector.calibrated.words import LANGUAGES
from thinwatt_collector.fetch import write_atomic
from thinwatt_collector.inventory.profiles import times
from thinwatt_collector.models.devices import DeviceModel, ModelOf
from thinwatt_collector.serve.api import calendar
from thinwatt_collector.serve.api.books import Reader, UnreadableError
from thinwatt_collector.serve.api.calendar import Grain
from thinwatt_collector.serve.api.privacy import NOBODYS
from thinwatt_collector.serve.api.restating import rows_now
from thinwatt_collector.serve.api.rows import Rows
from thinwatt_collector.winner import LEARNING, PARTS

log = logging.getLogger(__name__)

LOOK_BACK: Final = 28 * 86_400
"""What is learnt from [s]: less than endpoints are kept one by one."""
EVERY: Final = 60.0
"""How often it is looked whether a day has begun [s]."""
AFTER: Final = 3 * 3_600
"""After so much of a local day, when nobody works [s]."""
MOST: Final = 200
"""Metered machines of a model that are read at most: more say nothing new, and cost."""
HOURLY: Final = 40
"""Of more machines than these days are compared, not hours."""
AHEAD: Final = 86_400
"""Slots of a clock that is further ahead are passed over [s]."""
Restates = tuple[int, int, float, float]
BY: Final = ("class", "model", "device", "simulated", "basis", "source", "part", "scope")
OF_MODEL: Final = ("class", "model", "basis", "simulated")


class Newest(Reader, Protocol):
    """A reader that knows how far the ledger goes."""

    def last(self, before: int) -> int | None:
        """Return the end of the newest slot with energy that begins before a time, UTC [s]; None: there is none."""


class Books(Protocol):
    """Where readers come from."""

    def reader(self) -> Newest:
        """Return a new reader of the ledger."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a hardware model."""

    hardware: Hardware
    way: Way
    result: Found | Refusal
    assumed: tuple[float, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of all hardware models, and what each that is news will change."""

    tried: Sequence[Tried]
    changes: Sequence[Restates | None]


class Calibrator:
    """Learns, keeps what it has learnt, and tells it.

    Args:
        books: of the ledger.
        folder: of the archive.
        model_of: what is assumed before any calibration.
        clock: the site's.
    """

    def __init__(self, books: Books, folder: Path, model_of: ModelOf, clock: ZoneInfo) -> None:
        self._books, self._folder, self._model_of, self._clock = books, folder, model_of, clock
        self.known = archive.read(folder / archive.NAME)
        self._day = str(archive.refused(folder / archive.REFUSED).get("day", ""))
        self.refused: list[dict[str, str]] = list(archive.refused(folder / archive.REFUSED).get("refused", []))
        self._looked: Looked | None = None
        self._reader: Reader | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="calibrator", daemon=True)

    def now(self) -> Calibrations:
        """Return what is known."""
        return self.known

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End, also in the middle of a question."""
        self._stop.set()
        with self._lock:
            if self._reader is not None:
                self._reader.interrupt()
        if self._thread.is_alive():
            self._thread.join()

    def _follow(self) -> None:
        while not self._stop.wait(EVERY):
            self.turn(int(time.time()))

    def turn(self, now: int) -> None:
        """Look once a local day, at night; UTC [s]."""
        if now - calendar.midnight(now, self._clock) < AFTER or self._today(now) == self._day:
            return
        try:
            self.look(now)
        except UnreadableError as error:
            if not self._stop.is_set():
                log.warning("hardware models are not calibrated today: %s", error)
        self._day = self._today(now)

    def _today(self, now: int) -> str:
        return f"{datetime.fromtimestamp(now, self._clock).date()}"

    def look(self, now: int) -> None:
        """Work out what metered machines say of their hardware models by ``now``, UTC [s].

        Raises:
            UnreadableError: the ledger can't be read.
        """
        reader = self._books.reader()
        try:
            with self._lock:
                self._reader = reader
            tried = list(self._try(reader, now))
            changes = self._changes(reader, tried, now)
        finally:
            with self._lock:
                self._reader = None
            reader.close()
        with self._lock:
            self._looked = Looked(tried, changes)

    def _changes(self, reader: Newest, tried: Sequence[Tried], now: int) -> list[Restates | None]:
        """Return what will change of what was restated until now: read here, not between two commits."""
        end = midnight_after(reader.last(now + AHEAD) or now, self._clock)
        fresh = self._fresh(tried, end, now)
        known = self.known.with_more(fresh)
        return [_changed(reader, self.known, known, each, end) for each in fresh]

    def _fresh(self, tried: Sequence[Tried], valid_from: int, now: int) -> list[Learnt]:
        return [
            self._named(t, t.result, valid_from, now)
            for t in tried
            if isinstance(t.result, Found) and news(t.result, self.known.now(t.hardware, t.way))
        ]

    def _try(self, reader: Newest, now: int) -> Iterable[Tried]:
        last = reader.last(now + AHEAD)
        if last is None:
            return
        end = min(now, last) // 3600 * 3600
        begin = max(end - LOOK_BACK, (reader.first() or 0) // 3600 * 3600)
        where = {"source": (LEARNING,)}
        there = reader.energy(begin, end, "month", "UTC", BY, where)
        machines: dict[tuple[Hardware, Way], set[str]] = defaultdict(set)
        for hardware, device, part in zip(_hardware(there), there.dims["device"], there.dims["part"], strict=True):
            if device:  # what is folded has no name any more
                machines[hardware, "load" if part.startswith("load") else "components"].add(str(device))
        for (hardware, way), names in sorted(machines.items()):
            model = self._model_of(hardware.kind, hardware.model)
            assumed = _assumed(hardware, way, model)
            if not hardware.model:
                yield Tried(hardware, way, Refusal("nameless", len(names)), assumed.powers, begin, end)
                continue
            chosen = sorted(names)[:MOST]
            sample = _read(reader, hardware, way, chosen, (begin, end))
            result = learn(sample, assumed, way, fewest(hardware.kind, NOBODYS))
            yield Tried(hardware, way, result, assumed.powers, begin, end)

    def adopt(self, now: int) -> list[str]:
        """Take what was worked out since the last call, and return what is to be told; in the thread that commits.

        Args:
            now: UTC [s].

        Raises:
            OSError: it can't be kept, and so is not taken.
            UnreadableError: the ledger can't be read.
        """
        with self._lock:
            looked, self._looked = self._looked, None
        if looked is None:
            return []
        tried, changes = looked.tried, looked.changes
        reader = self._books.reader()
        try:
            valid_from = midnight_after(reader.last(now + AHEAD) or now, self._clock)
        finally:
            reader.close()
        fresh = self._fresh(tried, valid_from, now)
        fresh = [replace(each, restates=change) for each, change in zip(fresh, changes, strict=True)]
        known = self.known.with_more(fresh)
        if fresh:
            archive.write(self._folder / archive.NAME, known)
        self.known = known
        self.refused = [
            _told(t.hardware, t.way)
            | {lang: words.refused(t.hardware.kind, t.hardware.model, t.way, t.result, lang) for lang in LANGUAGES}
            for t in tried
            if isinstance(t.result, Refusal)
        ]
        document = {"day": self._today(now), "refused": self.refused}
        write_atomic(self._folder / archive.REFUSED, json.dumps(document, ensure_ascii=False, indent=1).encode())
        return [in_both(*(words.learnt(each, self._clock, language) for language in LANGUAGES)) for each in fresh]

    def _named(self, tried: Tried, found: Found, valid_from: int, now: int) -> Learnt:
        before = self.known.now(tried.hardware, tried.way)
        return Learnt(
            version=before.version + 1 if before else 1,
            kind=tried.hardware.kind,
            model=tried.hardware.model,
            simulated=tried.hardware.simulated,
            way=tried.way,
            valid_from=max(valid_from, before.valid_from if before else 0),
            rest=found.rest,
            moving=found.moving,
            rest_watts=found.rest_watts,
            assumed=tried.assumed,
            own=found.own,
            common=found.common,
            residual=found.residual,
            off=found.off,
            machines=found.machines,
            hours=found.hours,
            begin=tried.begin,
            end=tried.end,
            learnt=now,
        )


def midnight_after(at: int, clock: ZoneInfo) -> int:
    """Return the first local midnight at or after a time, on a whole hour of UTC [s].

    >>> paris = ZoneInfo("Europe/Paris")
    >>> datetime.fromtimestamp(midnight_after(1_700_000_000, paris), paris).isoformat()
    '2023-11-15T00:00:00+01:00'
    """
    day = calendar.midnight(at, clock)
    if day < at:
        tomorrow = datetime.fromtimestamp(day, clock).date() + timedelta(days=1)
        day = int(datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=clock).astimezone(UTC).timestamp())
    return -(-day // 3600) * 3600


def _told(hardware: Hardware, way: Way) -> dict[str, Any]:
    return {"class": hardware.kind, "model": hardware.model, "simulated": hardware.simulated, "way": way}


def _hardware(rows: Rows) -> list[Hardware]:
    columns = (rows.dims[name].tolist() for name in ("class", "model", "simulated"))
    return [Hardware(kind, model, simulated == "true") for kind, model, simulated in zip(*columns, strict=True)]


def _assumed(hardware: Hardware, way: Way, model: DeviceModel) -> Assumed:
    fault = times().get((hardware.kind, "fault"))
    meter = model.u_meter if np.isfinite(model.u_meter) else 0.0
    powers = tuple(model.watts.tolist()) if way == "load" else (float(model.base), float(model.efficiency))
    spread = model.u_load if way == "load" else model.u_component
    return Assumed(powers, float(np.nan_to_num(spread)), meter, fault.value if fault else 0.0)


def _read(reader: Reader, hardware: Hardware, way: Way, names: Sequence[str], window: tuple[int, int]) -> Sample:
    """Return what machines did, hour by hour, or day by day where they are many."""
    grain: Grain = "hour" if len(names) <= HOURLY else "day"
    where = {
        "class": (hardware.kind,),
        "model": (hardware.model,),
        "simulated": (str(hardware.simulated).lower(),),
        "device": tuple(names),
        "source": ("booked", LEARNING),
    }
    rows = reader.energy(*window, grain, "UTC", BY, where)
    begins, hour = np.unique(rows.begin, return_inverse=True)
    place = {name: at for at, name in enumerate(names)}
    device = np.array([place[name] for name in rows.dims["device"].tolist()], np.int64)
    series = [
        (rows.dims["source"] == "booked") & (rows.dims["basis"] == "measured"),
        *((rows.dims["source"] == LEARNING) & (rows.dims["part"] == f"{way}/{part}") for part in PARTS),
    ]
    columns = []
    for named in series:
        chosen = named.astype(np.bool_)
        both: list[NDArray[np.float64]] = []
        for of in (rows.joules, rows.covered):
            table = np.full((len(names), len(begins)), np.nan)
            table[device[chosen], hour.reshape(-1)[chosen]] = of[chosen]
            both.append(table)
        columns.append(both)
    (wall, metered), (rest, covered), (moving, _) = columns
    together = np.abs(metered - covered) <= TOGETHER * np.maximum(metered, covered)
    seconds = np.where(together, covered, np.nan)
    wall, rest, moving = (np.where(together, of, np.nan) for of in (wall, rest, moving))
    return Sample(wall, rest, moving, np.nan_to_num(seconds))


def _changed(reader: Reader, before: Calibrations, after: Calibrations, found: Learnt, end: int) -> Restates | None:
    """Return what a calibration changes in the energy of its hardware as it was restated until now."""
    first = reader.first()
    if first is None or first >= end:
        return None
    where = {
        "class": (found.kind,),
        "model": (found.model,),
        "simulated": (str(found.simulated).lower(),),
        "basis": ("modelled", "assumed"),
    }
    span, sums = [end, first], [0.0, 0.0]
    for begin, past in after.spans(first, end):
        rows = reader.energy(begin, past, "day", "UTC", OF_MODEL, where)
        touched = np.array(
            [
                (known := after.restated_as(found.hardware, str(basis), begin)) is not None and known[1] is found
                for basis in rows.dims["basis"].tolist()
            ],
            np.bool_,
        )
        if not touched.any():
            continue
        rows = rows.at(touched)
        span = [min(span[0], begin), max(span[1], past)]
        for k, all_of_then in enumerate((before, after)):
            sums[k] += float(rows_now(rows, all_of_then, begin).joules.sum())
    return (span[0], span[1], sums[0], sums[1]) if sums[0] > 0 else None
