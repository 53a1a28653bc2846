"""What a publisher said, by slot: numbers and times as they come over the wire, brought onto the grid of UTC slots.

Publishers' tables have holes and doubles where clocks change, nulls that are not zeros, numbers in quotes, and steps
that differ between years. Here each of them has one place, and each is counted:

- a time without its offset from UTC is refused: in October it names two instants;
- a null, an empty cell or a word in the place of a number is *missing*; so is 0 where the publisher writes 0 for it;
- of two rows of one instant and revision the one whose own clock time is that instant counts, and if both do, the
  greater: a contradiction is not settled in our favour;
- a row covers its publisher's step, found from the rows around it, and no longer.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.models.energy import SLOT_SECONDS
from thinwatt_collector.units import GramsPerJoule, Slots

AROUND: Final = 8
"""Rows on each side that show what step a row has."""
STEPS: Final = (1, 2, 4)
"""Steps that publishers have [slots]."""


class Said(NamedTuple):
    """One row of an answer.

    Attributes:
        begin: UTC [s].
        intensity: [g/J], NaN where it is missing.
        rank: of its revision.
        straight: whether the row's own clock time, where it has one, is that instant.
    """

    begin: int
    intensity: float
    rank: int
    straight: bool = True


@dataclass(frozen=True, slots=True)
class Readings:
    """Columns of shape (n,): slot, intensity [g/J], rank of the revision, and when we were told [UTC, s]."""

    slot: Slots
    intensity: GramsPerJoule
    rank: NDArray[np.int64]
    told: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.slot)

    def at(self, rows: NDArray[Any]) -> Readings:
        """Return some of the rows."""
        return Readings(self.slot[rows], self.intensity[rows], self.rank[rows], self.told[rows])


@dataclass(frozen=True, slots=True)
class Batch:
    """Readings of one answer, and how many of its rows were missing, double and so on."""

    readings: Readings
    counts: Counter[str] = field(default_factory=Counter)


def empty() -> Readings:
    """Return no readings."""
    none = np.zeros(0, np.int64)
    return Readings(none, np.zeros(0), none, none)


def joined(parts: Iterable[Readings]) -> Readings:
    """Return all rows of some readings."""
    each = [*parts, empty()]
    return Readings(
        np.concatenate([p.slot for p in each]),
        np.concatenate([p.intensity for p in each]),
        np.concatenate([p.rank for p in each]),
        np.concatenate([p.told for p in each]),
    )


def best(readings: Readings, as_of: float = math.inf) -> Readings:
    """Return one row a slot, in the order of slots: of the highest rank, and of those what was told last.

    Args:
        readings: any number a slot, in any order.
        as_of: what was told later is as if it had not been [UTC, s].
    """
    known = readings.at(np.flatnonzero(readings.told <= as_of))
    order = np.lexsort((known.intensity, known.told, known.rank, known.slot))
    last = np.ones(len(order), np.bool_)
    last[:-1] = np.diff(known.slot[order]) != 0
    return known.at(order[last])


def on_slots(said: Sequence[Said], told: float, longest: int, largest: float) -> Batch:
    """Return rows on the grid of slots.

    Args:
        said: rows in any order.
        told: when they were told, UTC [s].
        longest: the publisher's longest step [slots].
        largest: a greater intensity is a fault [g/J].
    """
    counts = Counter(rows=len(said))
    kept: dict[tuple[int, int], Said] = {}
    for row in said:
        if math.isnan(row.intensity):
            counts["missing"] += 1
        elif not 0.0 <= row.intensity <= largest:
            counts["implausible"] += 1
        elif row.begin % SLOT_SECONDS:
            counts["off the grid"] += 1
        else:
            _add(kept, row, counts)
    rows = sorted(kept.values())
    begin = np.array([row.begin // SLOT_SECONDS for row in rows], np.int64)
    rank = np.array([row.rank for row in rows], np.int64)
    width = np.ones(len(rows), np.int64)
    for each in np.unique(rank):
        width[rank == each] = steps(begin[rank == each], longest)
    offset = np.arange(width.sum()) - np.repeat(np.cumsum(width) - width, width)
    intensity = np.array([row.intensity for row in rows], float)
    columns = Readings(
        np.repeat(begin, width) + offset,
        np.repeat(intensity, width),
        np.repeat(rank, width),
        np.full(int(width.sum()), int(told), np.int64),
    )
    return Batch(columns, counts)


def _add(kept: dict[tuple[int, int], Said], row: Said, counts: Counter[str]) -> None:
    key = (row.begin, row.rank)
    other = kept.get(key)
    if other is not None:
        counts["double"] += 1
        counts["contradicting"] += int(other.straight == row.straight and other.intensity != row.intensity)
        row = max(row, other, key=lambda r: (r.straight, r.intensity))
    kept[key] = row


def steps(slot: Slots, longest: int) -> NDArray[np.int64]:
    """Return how many slots each row covers: the smallest distance between rows around it, if that is a step.

    A row that is missing among rows of a quarter of an hour leaves a hole; its neighbour is not stretched over it.

    >>> steps(np.array([0, 2, 4, 6]), 4).tolist(), steps(np.array([0, 1, 2, 4]), 4).tolist(), steps(np.array([7]), 4)
    ([2, 2, 2, 2], [1, 1, 1, 1], array([1]))
    """
    if len(slot) < 2:
        return np.ones(len(slot), np.int64)
    gap = np.diff(slot)
    wide = np.pad(gap, AROUND, constant_values=np.iinfo(np.int64).max)
    around = np.lib.stride_tricks.sliding_window_view(wide, 2 * AROUND).min(axis=1)
    return np.where(np.isin(around, [s for s in STEPS if s <= longest]), around, 1)


def number(cell: object, zero_is_null: bool = False) -> float:
    """Return a cell as a number, NaN where there is none.

    >>> number("64"), number(64), number("ND"), number(None), number("-"), number(True), number(0, zero_is_null=True)
    (64.0, 64.0, nan, nan, nan, nan, nan)
    """
    if isinstance(cell, bool) or not isinstance(cell, int | float | str):
        return math.nan
    try:
        found = float(cell.strip().replace(",", ".")) if isinstance(cell, str) else float(cell)
    except (ValueError, OverflowError):
        return math.nan
    return math.nan if math.isinf(found) or (zero_is_null and found == 0.0) else found


def moment(cell: object) -> int:
    """Return an ISO 8601 time with its offset as UTC [s].

    >>> moment("2021-12-01T00:00:00+01:00") == moment("2021-11-30T23:00Z")
    True

    Raises:
        ValueError: it is none, or has no offset.
    """
    found = datetime.fromisoformat(cell) if isinstance(cell, str) else None
    if found is None or found.tzinfo is None:
        raise ValueError(f"{cell!r} is no time with its offset from UTC, like 2025-01-31T12:00:00+00:00")
    return int(found.astimezone(UTC).timestamp())


def document(body: bytes) -> Any:
    """Return a JSON document.

    Raises:
        ValueError: it is none, with what it looks like.
    """
    text = body.decode("utf-8-sig", errors="replace").strip()
    if text.startswith("<"):
        raise ValueError("an HTML page came in the place of JSON: of a proxy, a login or a server under repair")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the answer is cut off or no JSON: {_seen(text)} ({type(error).__name__})") from error


def _seen(text: str) -> str:
    """Return the end of what is no JSON: a server that fails half way writes there what happened."""
    return f"it ends with {text[-120:]!r}" if text else "it is empty"
