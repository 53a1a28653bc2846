"""Energy and carbon of a question, as its asker may see them: ledger → law 7 → factor → interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.factors import Factor, Intensity
from thinwatt_collector.models.carbon import grams
from thinwatt_collector.serve.api import calendar, privacy
from thinwatt_collector.serve.api.books import Reader
from thinwatt_collector.serve.api.calendar import Grain
from thinwatt_collector.serve.api.privacy import FINE, Cells, Role
from thinwatt_collector.serve.api.published import Published
from thinwatt_collector.serve.api.question import SLOT, Question
from thinwatt_collector.serve.api.rows import Mask, Rows, codes, empty, joined, summed
from thinwatt_collector.units import Flags, Grams, Joules

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
        fallback: whether the factor is of another year or zone.
        factors: all that were used.
        withheld: classes of endpoints (and whether made up) of which something is not shown.
    """

    rows: Rows
    end: NDArray[np.int64]
    grams: Grams
    half: Joules
    grams_half: Grams
    fallback: Flags
    factors: Sequence[Factor]

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
        intensity: of the grid.
        published: the cells of endpoints, for the role public.
    """

    def __init__(self, intensity: Intensity, published: Published) -> None:
        self.intensity, self._published = intensity, published

    def energy(self, reader: Reader, asked: Question, role: Role, now: int) -> Energy:
        """Return energy and carbon.

        Args:
            reader: of the ledger.
            asked: the question; its right to ask for devices is checked already.
            role: of the asker.
            now: UTC [s].
        """
        first = reader.first()
        begin = asked.end if first is None else max(asked.begin, first)
        if begin >= asked.end:
            return self._priced(asked, [(None, empty(asked.by))])
        spans = segments(self.intensity, begin, asked.end)
        if privacy.sees_all(role):
            return self._priced(asked, [(s, self._exact(reader, asked, s, now)) for s in spans])
        parts = [(s, self._hosts(reader, asked, s)) for s in spans]
        cells = self.cells(reader, asked, begin, now)
        return self._priced(asked, [*parts, *self._endpoints(cells, asked, spans)])

    def cells(self, reader: Reader, asked: Question, begin: int, now: int) -> Cells:
        """Return the cells of endpoints that a question's filters leave."""

        def read(a: int, b: int, grain: Grain) -> Rows:
            return reader.energy(a, b, grain, "UTC", FINE, {})

        found = self._published.cells(read, begin, asked.end, now)
        kept = _meets(found.rows, asked.where)
        return found.at(kept)

    def _exact(self, reader: Reader, asked: Question, span: Segment, now: int) -> Rows:
        begin, end = span.begin, span.end
        if "device" not in {*asked.by, *asked.where}:
            return reader.energy(begin, end, asked.grain, asked.zone.key, asked.by, asked.where)
        by = tuple(dict.fromkeys((*asked.by, "class", "device")))
        rows = reader.energy(begin, end, asked.grain, asked.zone.key, by, asked.where)
        rows = privacy.folded(rows, now)
        if "device" in asked.where:
            rows = rows.at(rows.dims["device"] != privacy.FOLDED)
        return summed(rows, asked.by)

    def _hosts(self, reader: Reader, asked: Question, span: Segment) -> Rows:
        kinds = [kind for kind in asked.where.get("class", privacy.NOBODYS) if kind in privacy.NOBODYS]
        if not kinds:
            return empty(asked.by)
        where = {**asked.where, "class": tuple(sorted(kinds))}
        return reader.energy(span.begin, span.end, asked.grain, asked.zone.key, asked.by, where)

    def _endpoints(
        self, cells: Cells, asked: Question, spans: Sequence[Segment]
    ) -> Iterator[tuple[Segment | None, Rows]]:
        """Yield the sums of cells: a cell's carbon is that of the intensity at its beginning; it lies in one day."""
        window = (asked.begin, asked.end)
        edges = calendar.edges(*window, asked.grain, asked.zone)
        _, cut = privacy.answer(cells, edges, asked.by, window)
        yield None, cut
        for span in spans:
            mine = (cells.rows.begin >= span.begin) & (cells.rows.begin < span.end)
            sums, _ = privacy.answer(cells.at(mine), edges, asked.by, window)
            yield span, sums

    def _priced(self, asked: Question, parts: Sequence[tuple[Segment | None, Rows]]) -> Energy:
        """Return the sum of parts, each of one intensity; of what is withheld in one part nothing is shown."""
        edges = calendar.edges(asked.begin, asked.end, asked.grain, asked.zone)
        together = _placed(joined([rows for _, rows in parts], asked.by), edges)
        mass = np.concatenate([grams(rows.joules, np.array(s.intensity if s else 0.0)) for s, rows in parts])
        doubt = np.concatenate([np.full(len(rows), float(s.fallback if s else False)) for s, rows in parts])
        rows = summed(together, asked.by)
        if len(rows):
            at, _ = codes(together.begin, *(together.dims[name] for name in asked.by))
            mass, doubt = np.bincount(at, mass, len(rows)), np.bincount(at, doubt, len(rows))
        used = {id(s.factor): s.factor for s, part in parts if s and len(part)}.values()
        spread = max((f.uncertainty for f in used), default=0.0)
        sigma = np.sqrt(rows.variance + rows.bias**2)
        shown = np.where(rows.joules > 0, rows.joules, 1.0)
        grams_sigma = np.hypot(mass / shown * sigma, mass * spread)
        end = edges[np.searchsorted(edges, rows.begin, side="right")] if len(rows) else rows.begin
        return Energy(rows, end, mass, Z95 * sigma, Z95 * grams_sigma, doubt > 0, list(used))


def _placed(rows: Rows, edges: NDArray[np.int64]) -> Rows:
    """Return rows with the beginnings of our own buckets: an engine may have cut its first one to the window."""
    at = np.clip(np.searchsorted(edges, rows.begin, side="right") - 1, 0, max(len(edges) - 2, 0))
    return replace(rows, begin=edges[at])


def _meets(rows: Rows, where: Mapping[str, Sequence[str]]) -> Mask:
    kept = np.ones(len(rows), np.bool_)
    for name, wanted in where.items():
        kept &= np.isin(rows.dims[name].astype(str), list(wanted))
    return kept
