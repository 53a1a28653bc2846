"""Energy, carbon and euros of a question, as its asker may see them: ledger → law 7 → factor, price → interval."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.calibrated import Calibrations
from thinwatt_collector.factors import Factor, Intensity
from thinwatt_collector.inventory.places import LEVELS, Coarse, Whereabouts, place_of
from thinwatt_collector.inventory.profiles import times
from thinwatt_collector.inventory.watched import Now
from thinwatt_collector.models.carbon import grams
from thinwatt_collector.models.energy import pue_energy
from thinwatt_collector.serve.api import calendar, privacy, restating
from thinwatt_collector.serve.api.books import PLACE, Reader
from thinwatt_collector.serve.api.calendar import Grain
from thinwatt_collector.serve.api.prices import Range, rates
from thinwatt_collector.serve.api.privacy import FINE, PRICE, Cells, Role
from thinwatt_collector.serve.api.published import Published, Read
from thinwatt_collector.serve.api.question import SLOT, Question
from thinwatt_collector.serve.api.rows import Floats, Mask, Rows, codes, empty, joined, summed, texts
from thinwatt_collector.units import Flags, Grams, Joules

View = Literal["booked", "restated"]
Z95: Final = 1.959963984540054
"""Half the width of a 95 % interval in standard deviations."""


@dataclass(frozen=True, slots=True)
class Energy:
    """The answer: rows in order, and beside each what is worked out from it; every column has shape (n,).

    Attributes:
        rows: sums of the ledger; NaN where they are withheld.
        end: of the bucket, UTC [s].
        grams: CO2e [g].
        half: half the 95 % interval of the energy [J].
        grams_half: half that of the CO2e, which has the factor's own uncertainty too [g].
        eur: price [EUR]; NaN where any joule of a row has none.
        eur_low: with the low end of the energy, and of the prices where it is not told which holds for what.
        eur_high: likewise the high end.
        fallback: whether the factor is of another year or zone.
        factors: all that were used.
        terms: keys of all prices and PUEs that were used.
    """

    rows: Rows
    end: NDArray[np.int64]
    grams: Grams
    half: Joules
    grams_half: Grams
    eur: Floats
    eur_low: Floats
    eur_high: Floats
    fallback: Flags
    factors: Sequence[Factor]
    terms: frozenset[str]

    @property
    def withheld(self) -> Mask:
        """Which rows are withheld."""
        return np.isnan(self.rows.joules)


@dataclass(frozen=True, slots=True)
class Segment:
    """A span of time [s] with one intensity [g/J]."""

    begin: int
    end: int
    intensity: float
    fallback: bool
    factor: Factor


def segments(intensity: Intensity, begin: int, end: int) -> list[Segment]:
    """Return the spans of [begin, end) with one intensity."""
    slots = np.arange(begin // SLOT, end // SLOT)
    value, fallback = intensity.at(slots)
    changes = np.flatnonzero((np.diff(value) != 0) | (np.diff(fallback.astype(np.int8)) != 0)) + 1
    limits = [0, *changes.tolist(), len(slots)]
    return [
        Segment(
            int(slots[a]) * SLOT,
            int(slots[b - 1] + 1) * SLOT,
            float(value[a]),
            bool(fallback[a]),
            intensity.factor_of(int(slots[a])),
        )
        for a, b in pairwise(limits)
    ]


class Accounts:
    """Answers questions about energy.

    Args:
        intensity: of the grid, as it is known now.
        published: the cells of endpoints, for the role public.
        known: what stands where now.
        zone: of the site, by whose days cells are cut.
        booked: of the grid, as it was known on each day; None: nothing else was known then.
        calibrations: what is known now of hardware models.
    """

    def __init__(
        self,
        intensity: Intensity,
        published: Published,
        known: Now,
        zone: str,
        booked: Intensity | None = None,
        calibrations: Callable[[], Calibrations] = Calibrations,
    ) -> None:
        self.intensity, self._published, self._known, self._zone = intensity, published, known, zone
        self._booked, self._calibrations = booked or intensity, calibrations

    def energy(self, reader: Reader, asked: Question, role: Role, now: int, view: View = "restated") -> Energy:
        """Return energy, carbon and euros.

        Args:
            reader: of the ledger.
            asked: the question; its right to ask for devices is checked already.
            role: of the asker.
            now: UTC [s].
            view: restated: models and carbon by what is known now; booked: by what was known on the day.
        """
        first = reader.first()
        begin = asked.end if first is None else max(asked.begin, first)
        if begin >= asked.end:
            return _priced(asked, [])
        # What is asked of one series by name is of that series, whatever models say.
        known = Calibrations() if view == "booked" or "source" in asked.where else self._calibrations()
        spans = segments(self._booked if view == "booked" else self.intensity, begin, asked.end)
        if not self._by_days(asked):
            spans = [replace(s, begin=a, end=b) for s in spans for a, b in known.spans(s.begin, s.end)]
        if privacy.sees_all(role):
            return _priced(asked, [Part(s, self._exact_now(reader, asked, s, now, known), True) for s in spans])
        of_hosts = _of_hosts(asked)
        parts = [Part(s, self._exact_now(reader, of_hosts, s, 0, known), True) for s in spans] if of_hosts else []
        cells = self.cells(reader, asked, begin, now, known)
        return _priced(asked, [*parts, *_endpoints(cells, asked, spans)])

    def cells(
        self, reader: Reader, asked: Question, begin: int, now: int, calibrations: Calibrations | None = None
    ) -> Cells:
        """Return the cells of endpoints that a question's filters leave, as ``calibrations`` have them."""
        coarse = {*asked.by, *asked.where} <= {"class", "simulated"}
        whole = asked.grain in ("day", "month") and asked.zone.key == self._zone
        # The day in which the ledger begins is a whole one all the same.
        clock, read = calendar.clocks(self._zone), reading(reader)
        begin = max(asked.begin, calendar.midnight(begin, clock))
        found = self._published.cells(read, begin, asked.end, now, coarse, whole)
        if calibrations:
            place = self._published.cells(read, begin, asked.end, now, False, whole) if coarse else found
            found = restating.cells_now(found, place, coarse, calibrations, lambda t: calendar.midnight(t, clock))
        return found.at(_meets(found.rows, asked.where))

    def _exact_now(self, reader: Reader, asked: Question, span: Segment, now: int, known: Calibrations) -> Rows:
        """Return what the ledger has of a span, as the calibrations of now have it.

        A calibration begins to hold at a midnight of the site: months are added up from its days, and buckets of
        other clocks are cut there, by whoever asks.
        """
        window, by = (span.begin, span.end), (*asked.by, PRICE)
        if not known:
            return self.exact(reader, asked, window, now)
        bases = asked.where.get("basis", ())
        where = {name: texts for name, texts in asked.where.items() if name != "basis"}
        wide = replace(asked, by=tuple(dict.fromkeys((*asked.by, *restating.NEEDED))), where=where)
        by_days = self._by_days(asked)
        if by_days and asked.grain == "month":
            rows = self.exact(reader, replace(wide, grain="day"), window, now)
        else:
            rows = self.exact(reader, wide, window, now)
        rows = restating.rows_now(rows, known, None if by_days else span.begin)
        rows = _placed(rows, calendar.edges(asked.begin, asked.end, asked.grain, asked.zone))
        if bases:
            rows = rows.at(_meets(rows, {"basis": bases}))
        # One device may be on several bases; it is of one class and model.
        within = tuple(name for name in rows.dims if name != "basis" or name in asked.by)
        found = summed(summed(rows, within), by, apart=True)
        if bases or "basis" in asked.by:
            return found
        plain = self.exact(reader, asked, window, now)
        return replace(found, devices=plain.devices) if len(plain) == len(found) else found

    def _by_days(self, asked: Question) -> bool:
        """Return whether no bucket of a question but a month goes over a midnight of the site."""
        return asked.grain in ("slot", "hour") or asked.zone.key == self._zone

    def apart_until(self, asked: Question, role: Role) -> int | None:
        """Return since when [s] models, bases and places of endpoints are not told apart yet; None: they all are."""
        if privacy.sees_all(role) or {*asked.by, *asked.where} <= {"class", "simulated"}:
            return None
        return self._published.apart_until(asked.begin, asked.end)

    def exact(
        self, reader: Reader, asked: Question, window: tuple[int, int], now: int, grain: Grain | None = None
    ) -> Rows:
        """Return what the ledger has of a window, by bucket, ``by`` and price; buckets are cut where devices move."""
        by = tuple(name for name in asked.by if name not in LEVELS)
        if "device" in {*by, *asked.where}:
            by = tuple(dict.fromkeys((*by, "class", "device")))
        where = {name: texts for name, texts in asked.where.items() if name not in LEVELS}
        zone = "UTC" if grain else asked.zone.key
        levels = tuple(level for level in LEVELS if level in {*asked.by, *asked.where})
        places = Coarse(self._known().places, levels)
        rows = placed(reader.energy(*window, grain or asked.grain, zone, (*by, PLACE), where, places))
        rows = rows.at(_meets(rows, {name: texts for name, texts in asked.where.items() if name in LEVELS}))
        if "device" in by:
            rows = privacy.folded(rows, now)
        if "device" in asked.where:
            rows = rows.at(rows.dims["device"] != privacy.FOLDED)
        return summed(rows, (*asked.by, PRICE), apart=True)

    def hosts(self, reader: Reader, asked: Question, window: tuple[int, int], grain: Grain | None = None) -> Rows:
        """Return what the ledger has of hosts, which are nobody's."""
        of_hosts = _of_hosts(asked)
        return self.exact(reader, of_hosts, window, 0, grain) if of_hosts else empty((*asked.by, PRICE))


def _of_hosts(asked: Question) -> Question | None:
    """Return a question for the hosts in it; None where it leaves none in."""
    kinds = [kind for kind in asked.where.get("class", privacy.NOBODYS) if kind in privacy.NOBODYS]
    return replace(asked, where={**asked.where, "class": tuple(sorted(kinds))}) if kinds else None


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one intensity by bucket, what is asked for and price; ``apart``: no device is of two prices at once."""

    segment: Segment | None
    rows: Rows
    apart: bool


def _endpoints(cells: Cells, asked: Question, spans: Sequence[Segment]) -> Iterator[Part]:
    """Yield the sums of cells: a cell's carbon is that of the intensity at its beginning; it lies in one day."""
    window, by = (asked.begin, asked.end), (*asked.by, PRICE)
    edges = calendar.edges(*window, asked.grain, asked.zone)
    _, cut = privacy.answer(cells, edges, by, window)
    yield Part(None, cut, False)
    for span in spans:
        mine = (cells.rows.begin >= span.begin) & (cells.rows.begin < span.end)
        sums, _ = privacy.answer(cells.at(mine), edges, by, window)
        yield Part(span, sums, False)


def _priced(asked: Question, parts: Sequence[Part]) -> Energy:
    """Return the sum of parts; of what is withheld in one of them nothing is shown."""
    edges = calendar.edges(asked.begin, asked.end, asked.grain, asked.zone)
    each = [rates(p.rows.dims[PRICE]) for p in parts]
    room = asked.boundary == "room"
    paid = [of.room_eur if room else of.eur for of in each]
    euros = [[p.rows.joules * rate for rate in (of.middle, of.low, of.high)] for p, of in zip(parts, paid, strict=True)]
    if room:
        parts = [replace(p, rows=_of_room(p.rows, of.pue)) for p, of in zip(parts, each, strict=True)]
    rows = summed(_placed(joined([summed(p.rows, asked.by, p.apart) for p in parts], asked.by), edges), asked.by)
    together = _placed(joined([p.rows for p in parts], (*asked.by, PRICE)), edges)
    lengths = [len(p.rows) for p in parts]
    intensity = np.repeat([p.segment.intensity if p.segment else 0.0 for p in parts], lengths)
    fallback = np.repeat([float(bool(p.segment and p.segment.fallback)) for p in parts], lengths)
    columns = [grams(together.joules, intensity), fallback]
    columns += [np.concatenate(of) for of in zip(*euros, strict=True)] or [np.zeros(0)] * 3
    if len(rows):
        at, _ = codes(together.begin, *(together.dims[name] for name in asked.by))
        columns = [np.bincount(at, column, len(rows)) for column in columns]
    mass, doubt, eur, least, most = columns
    used = {id(p.segment.factor): p.segment.factor for p in parts if p.segment and len(p.rows)}.values()
    half, grams_half = intervals(rows, mass, used)
    wide = half / np.where(rows.joules > 0, rows.joules, 1.0)
    return Energy(
        rows=rows,
        end=edges[np.searchsorted(edges, rows.begin, side="right")] if len(rows) else rows.begin,
        grams=mass,
        half=half,
        grams_half=grams_half,
        eur=eur,
        eur_low=least * np.maximum(1.0 - wide, 0.0),
        eur_high=most * (1.0 + wide),
        fallback=doubt > 0,
        factors=list(used),
        terms=frozenset(together.dims[PRICE].tolist()),
    )


def intervals(rows: Rows, mass: Grams, factors: Iterable[Factor]) -> tuple[Joules, Grams]:
    """Return half the 95 % intervals of energy [J] and CO2e [g] of rows, shape (n,) each.

    Args:
        rows: sums of energy.
        mass: of their CO2e, shape (n,) [g].
        factors: that it was made with; the most uncertain one is taken for all.
    """
    spread = max((f.uncertainty for f in factors), default=0.0)
    sigma = np.sqrt(rows.variance + rows.bias**2)
    drawn = np.where(rows.joules > 0, rows.joules, 1.0)
    return Z95 * sigma, Z95 * np.hypot(mass / drawn * sigma, mass * spread)


def _of_room(rows: Rows, pue: Range) -> Rows:
    """Return rows with what the room needs for its machines: cooling, and losses on the way to them.

    A PUE is off by a common relative uncertainty; where it is not told which of several holds for what, its likely
    value may be anywhere between them (uniform). Neither shrinks with the number of machines.
    """
    stated = times()["", "pue"].uncertainty * np.where(pue.middle > 1.0, pue.middle, 0.0)
    spread = np.hypot(stated, (pue.high - pue.low) / np.sqrt(12.0))
    return replace(
        rows,
        joules=pue_energy(rows.joules, pue.middle),
        variance=rows.variance * pue.middle**2,
        bias=np.hypot(rows.bias * pue.middle, rows.joules * spread),
    )


def reading(reader: Reader) -> Read:
    """Return how cells are read of a ledger."""

    def read(begin: int, end: int, grain: Grain, places: Whereabouts) -> Rows:
        return reader.energy(begin, end, grain, "UTC", FINE, {}, places)

    return read


def placed(rows: Rows) -> Rows:
    """Return rows with the levels of their place, and its price, in the place of its key."""
    keys = rows.dims[PLACE].tolist()
    known = {key: place_of(key) for key in set(keys)}
    dims = {name: column for name, column in rows.dims.items() if name != PLACE}
    for level in LEVELS:
        of = {key: place.level(level) for key, place in known.items()}
        dims[level] = texts(of[key] for key in keys)
    prices = {key: place.terms.key for key, place in known.items()}
    return replace(rows, dims={**dims, PRICE: texts(prices[key] for key in keys)})


def _placed(rows: Rows, edges: NDArray[np.int64]) -> Rows:
    """Return rows with the beginnings of our own buckets: an engine may have cut its first one to the window."""
    at = np.clip(np.searchsorted(edges, rows.begin, side="right") - 1, 0, max(len(edges) - 2, 0))
    return replace(rows, begin=edges[at])


def _meets(rows: Rows, where: Mapping[str, Sequence[str]]) -> Mask:
    kept = np.ones(len(rows), np.bool_)
    for name, wanted in where.items():
        kept &= np.isin(rows.dims[name].astype(str), list(wanted))
    return kept
