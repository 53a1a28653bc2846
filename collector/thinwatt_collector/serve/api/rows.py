"""Rows of energy as columns, and their sums: what the ledger answers with and every endpoint passes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.units import Joules, Seconds

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Objects = NDArray[np.object_]
Mask = NDArray[np.bool_]
Chosen = Mask | Ints | slice
LARGEST: Final = 2**62


@dataclass(frozen=True, slots=True)
class Rows:
    """Energy of buckets of time and groups of devices; every column has shape (n,).

    Attributes:
        begin: of the bucket, UTC [s since 1970].
        dims: what the rows are grouped by: name → text of each row.
        joules: [J].
        variance: of the independent part of the uncertainty [J²].
        bias: the part that does not shrink with n [J].
        covered: [s], added up over devices.
        devices: how many different devices are in it; of a sum at least so many.
    """

    begin: Ints
    dims: Mapping[str, Objects]
    joules: Joules
    variance: NDArray[np.float64]
    bias: Joules
    covered: Seconds
    devices: Ints

    def __len__(self) -> int:
        return len(self.begin)

    def at(self, chosen: Chosen) -> Rows:
        """Return the chosen rows: the same where all are."""
        if whole(chosen):
            return self
        return Rows(
            self.begin[chosen],
            {name: column[chosen] for name, column in self.dims.items()},
            self.joules[chosen],
            self.variance[chosen],
            self.bias[chosen],
            self.covered[chosen],
            self.devices[chosen],
        )

    def numbers(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Return the columns that add up: joules, variance, bias, covered."""
        return self.joules, self.variance, self.bias, self.covered

    def added_up(self, group: Ints, groups: int) -> tuple[Floats, Floats, Floats, Floats]:
        """Return the sums of these columns over the rows of each group; ``group`` numbers them, shape (n,)."""
        joules, variance, bias, covered = (np.bincount(group, c, groups).astype(np.float64) for c in self.numbers())
        return joules, variance, bias, covered


def whole(chosen: Chosen) -> bool:
    """Return whether a choice leaves nothing out."""
    return not isinstance(chosen, slice) and chosen.dtype == np.bool_ and bool(chosen.all())


def texts(column: Iterable[Any]) -> Objects:
    """Return texts as an object array."""
    items = list(column)
    out = np.empty(len(items), object)
    out[:] = items
    return out


def empty(by: Sequence[str]) -> Rows:
    """Return no rows."""
    none = np.zeros(0)
    whole = np.zeros(0, np.int64)
    return Rows(whole, {name: texts(()) for name in by}, none, none, none, none, whole)


def joined(parts: Sequence[Rows], by: Sequence[str]) -> Rows:
    """Return the rows of all parts, one behind the other, with the dimensions ``by``."""
    parts = parts or [empty(by)]
    return Rows(
        np.concatenate([p.begin for p in parts]),
        {name: np.concatenate([p.dims[name] for p in parts]) for name in by},
        np.concatenate([p.joules for p in parts]),
        np.concatenate([p.variance for p in parts]),
        np.concatenate([p.bias for p in parts]),
        np.concatenate([p.covered for p in parts]),
        np.concatenate([p.devices for p in parts]),
    )


def codes(*columns: NDArray[Any]) -> tuple[Ints, Ints]:
    """Return a number for each row, equal where all columns are, and the first row of each number; sorted by columns.

    >>> codes(np.array([2, 1, 2]), texts(["a", "b", "a"]))
    (array([1, 0, 1]), array([1, 0]))
    """
    n = len(columns[0])
    found, size = np.zeros(n, np.int64), 1
    for column in columns:
        rank, count = _ranks(column)
        if size > LARGEST // max(count, 1):
            found, size = np.unique(found, return_inverse=True)[1].reshape(n), n
        found, size = found * count + rank, size * max(count, 1)
    _, first, number = np.unique(found, return_index=True, return_inverse=True)
    return number.reshape(n), first


def _ranks(column: NDArray[Any]) -> tuple[Ints, int]:
    """Return the place of each entry among the different ones in order, and how many they are."""
    if column.dtype.kind != "O":
        keys, inverse = np.unique(column, return_inverse=True)
        return inverse.reshape(len(column)), len(keys)
    entries = column.tolist()  # a few texts, many times: a dictionary is faster than sorting objects
    rank = {text: at for at, text in enumerate(sorted(set(entries)))}
    return np.fromiter(map(rank.__getitem__, entries), np.int64, len(entries)), len(rank)


def summed(rows: Rows, by: Sequence[str], apart: bool = False) -> Rows:
    """Return one row a bucket and group, sorted by them.

    Energy, variance, bias and covered time add up (METHOD §1). Of the devices the largest number stands: one device
    may be in several of the rows. ``apart`` says that none is: then they add up as well.
    """
    if not len(rows):
        return empty(by)
    group, first = codes(rows.begin, *(rows.dims[name] for name in by))
    devices = np.zeros(len(first), np.int64)
    (np.add if apart else np.maximum).at(devices, group, rows.devices)
    return Rows(
        rows.begin[first],
        {name: rows.dims[name][first] for name in by},
        *rows.added_up(group, len(first)),
        devices,
    )
