"""What one transaction contains: pure, so that it can be checked without a database.

Everything is an array. ``Energy`` has one row a (stream, device, slot, source); the ledger adds the rows of those
streams only whose position moved as expected (compare-and-set), which is why every row knows its stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Objects = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Energy:
    """Increments of the ledger's slots.

    ``bias`` [J] is the part of the uncertainty that does not shrink with n and adds linearly (model, calibration);
    ``variance`` [J²] the independent part, which adds as it stands (METHOD §1).
    """

    stream: Ints
    device: Ints
    slot: Ints
    source: Ints
    joules: Floats
    variance: Floats
    bias: Floats
    covered: Floats


@dataclass(frozen=True, slots=True)
class Totals:
    """Increments of the booked accumulators, one row a (stream, label)."""

    stream: Ints
    label: Ints
    amount: Floats


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A stream's row in the ledger. Times in ns; ``state`` is the cumulative columns at ``position``."""

    agent: str
    stream: bytes
    schema: bytes
    boot: bytes
    base: int
    position: int
    position_time: int
    utc_offset: int
    uncertain: bool
    seen: int
    state: bytes


@dataclass(frozen=True, slots=True)
class StreamRows:
    """Rows of streams as columns, named as in the ledger; bytes and texts in object arrays."""

    agent: Objects
    stream: Objects
    schema_id: Objects
    boot: Objects
    base: Ints
    pos: Ints
    t_pos: Ints
    utc_offset: Ints
    uncertain: NDArray[np.bool_]
    seen: Ints
    state: Objects

    def at(self, chosen: NDArray[np.bool_]) -> StreamRows:
        """Return the chosen rows."""
        return StreamRows(*(getattr(self, name)[chosen] for name in StreamRows.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Moves:
    """Streams whose position moves: index (ours), old position, the new rows, and whether the ledger has them yet."""

    index: Ints
    old: Ints
    rows: StreamRows
    saved: NDArray[np.bool_]


BETWEEN: Final = "\n\n"
"""Between the French and the English text of an event."""


def in_both(french: str, english: str) -> str:
    """Return the text of an event in two languages, as the ledger keeps it."""
    return f"{french}{BETWEEN}{english}"


def languages(text: str) -> tuple[str, str]:
    """Return the French and the English text of an event; of one in a single language, twice the same.

    >>> languages(in_both("une panne", "an outage"))
    ('une panne', 'an outage')
    """
    french, found, english = text.partition(BETWEEN)
    return (french, english) if found else (text, text)


@dataclass(frozen=True, slots=True)
class Event:
    """Something a person should be able to read later; ``at`` is UTC in ns, ``text`` of :func:`in_both`."""

    at: int
    kind: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Transaction:
    """All that one commit writes. New dimension rows come first: (id, …) tuples in the tables' column order."""

    moves: Moves
    energy: Energy
    totals: Totals
    schemas: Sequence[tuple[bytes, str]] = ()
    devices: Sequence[tuple[int, str, str, str, str, bool]] = ()
    sources: Sequence[tuple[int, str, str, str, str]] = ()
    labels: Sequence[tuple[int, str, str]] = ()
    events: Sequence[Event] = field(default_factory=tuple)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (len(self.moves.index) or self.schemas or self.devices or self.labels or self.sources or self.events)


def of_streams(transaction: Transaction, moved: Ints) -> Transaction:
    """Return the transaction with the energy and totals of the streams in ``moved`` only.

    Args:
        transaction: what the step worked out.
        moved: indices of the streams whose compare-and-set held.
    """
    if len(moved) == len(transaction.moves.index):
        return transaction
    e, t = transaction.energy, transaction.totals
    ours, counted = np.isin(e.stream, moved), np.isin(t.stream, moved)
    return replace(
        transaction,
        energy=Energy(*(getattr(e, name)[ours] for name in Energy.__dataclass_fields__)),
        totals=Totals(t.stream[counted], t.label[counted], t.amount[counted]),
    )


def merged_energy(energy: Energy) -> Energy:
    """Return one row a (device, slot, source), sorted, its stream dropped to 0: what the upsert takes."""
    order = np.lexsort((energy.source, energy.slot, energy.device))
    device, slot, source = energy.device[order], energy.slot[order], energy.source[order]
    starts = _starts(device, slot, source)

    def total(column: Floats) -> Floats:
        return np.add.reduceat(column[order], starts) if len(starts) else column[:0]

    return Energy(
        stream=np.zeros(len(starts), np.int64),
        device=device[starts],
        slot=slot[starts],
        source=source[starts],
        joules=total(energy.joules),
        variance=total(energy.variance),
        bias=total(energy.bias),
        covered=total(energy.covered),
    )


def merged_totals(totals: Totals) -> tuple[Ints, Floats]:
    """Return labels, sorted and each once, and the amount to add to each."""
    order = np.argsort(totals.label, kind="stable")
    label = totals.label[order]
    starts = _starts(label)
    amount = np.add.reduceat(totals.amount[order], starts) if len(starts) else totals.amount[:0]
    return label[starts], amount


def objects(values: Sequence[Any]) -> Objects:
    """Return an object array of ``values`` as they are."""
    out = np.empty(len(values), object)
    out[:] = values
    return out


def _starts(*keys: Ints) -> Ints:
    """Return where a new key begins in sorted key columns."""
    if not len(keys[0]):
        return np.zeros(0, np.int64)
    change = np.zeros(len(keys[0]), np.bool_)
    change[0] = True
    for key in keys:
        change[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(change)


def concat_energy(parts: Sequence[Energy]) -> Energy:
    """Return the rows of all parts, one behind the other."""
    return Energy(
        stream=_ints([p.stream for p in parts]),
        device=_ints([p.device for p in parts]),
        slot=_ints([p.slot for p in parts]),
        source=_ints([p.source for p in parts]),
        joules=_floats([p.joules for p in parts]),
        variance=_floats([p.variance for p in parts]),
        bias=_floats([p.bias for p in parts]),
        covered=_floats([p.covered for p in parts]),
    )


def concat_totals(parts: Sequence[Totals]) -> Totals:
    """Return the rows of all parts by label, those of one label in their order: to be merged twice, it sorts once."""
    label = _ints([p.label for p in parts])
    order = np.argsort(label, kind="stable")
    stream, amount = _ints([p.stream for p in parts]), _floats([p.amount for p in parts])
    return Totals(stream[order], label[order], amount[order])


def _ints(columns: list[Ints]) -> Ints:
    return np.concatenate([*columns, np.zeros(0, np.int64)])


def _floats(columns: list[Floats]) -> Floats:
    return np.concatenate([*columns, np.zeros(0)])
