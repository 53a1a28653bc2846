"""Booked totals: one accumulator a label set, added to in the commit and nowhere else.

Inside, a label set is an integer made of family and up to two small integers (device, source, class …); the ledger and
/metrics know it by its labels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Family(IntEnum):
    """Families of booked counters; the value is part of the key in memory, the name is the key in the ledger."""

    ENERGY = 1
    CARBON = 2
    COVERED = 3
    GAP = 4
    DEVICE_ENERGY = 5
    SOURCE_ENERGY = 6
    DEVICE_COVERED = 7
    DEVICE_GAP = 8
    SHARED = 9


def key(family: Family, first: Ints, second: Ints | int = 0) -> Ints:
    """Return the integer keys of label sets: first below 2³², second below 2²⁴."""
    packed: Ints = (np.int64(family) << 56) | (np.asarray(first, np.int64) << 24) | np.asarray(second, np.int64)
    return packed


class Totals:
    """The label sets known and their committed totals; rows are never removed, so a row number is an identity."""

    def __init__(self, describe: Callable[[Family, int, int], dict[str, str]]) -> None:
        self._describe = describe
        self._keys = np.zeros(0, np.int64)
        self._rows = np.zeros(0, np.int64)
        self._known: dict[tuple[str, str], int] = {}
        self._unsaved: list[tuple[int, str, str]] = []
        self.texts: list[str] = []
        self.family = np.zeros(0, np.int64)
        self.first = np.zeros(0, np.int64)
        self.second = np.zeros(0, np.int64)
        self.values = np.zeros(0)

    def load(self, saved: Iterable[tuple[int, str, str, float]], device_of: Callable[[dict[str, str]], int]) -> None:
        """Take label sets and totals from the ledger; their keys are learnt when they are next used.

        Args:
            saved: (row, family, labels, total).
            device_of: the device that labels of a device's family name, -1 where they are not its present ones.
        """
        rows = list(saved)
        self._grow(max((row for row, *_ in rows), default=-1) + 1)
        for row, family, labels, total in rows:
            self._known[family, labels] = row
            self.texts[row] = labels
            self.values[row] = total
            self.family[row] = Family[family]
            if self.family[row] >= Family.DEVICE_ENERGY:
                self.first[row] = device_of(json.loads(labels))

    def rows(self, keys: Ints) -> Ints:
        """Return the row of each key; a key never seen gets a new row with total 0."""
        at = np.searchsorted(self._keys, keys)
        clipped = np.minimum(at, max(len(self._keys) - 1, 0))
        known = self._keys[clipped] == keys if len(self._keys) else np.zeros(len(keys), np.bool_)
        if not known.all():
            self._learn(np.unique(keys[~known]))
            at = np.searchsorted(self._keys, keys)
        return self._rows[at]

    def _learn(self, fresh: Ints) -> None:
        parts = [(Family(k >> 56), (k >> 24) & 0xFFFFFFFF, k & 0xFFFFFF) for k in fresh.tolist()]
        names = [(f.name, json.dumps(self._describe(f, a, b), sort_keys=True)) for f, a, b in parts]
        size = len(self.values)
        for name in names:
            if name not in self._known:
                self._known[name] = size
                self._unsaved.append((size, *name))
                size += 1
        self._grow(size)
        rows = np.array([self._known[name] for name in names], np.int64)
        for row, name, (family, first, second) in zip(rows.tolist(), names, parts, strict=True):
            self.texts[row] = name[1]
            self.family[row], self.first[row], self.second[row] = family, first, second
        keys = np.concatenate((self._keys, fresh))
        order = np.argsort(keys)
        self._keys = keys[order]
        self._rows = np.concatenate((self._rows, rows))[order]

    def _grow(self, size: int) -> None:
        more = size - len(self.values)
        if more > 0:
            self.texts.extend([""] * more)
            self.values = np.concatenate((self.values, np.zeros(more)))
            self.family = np.concatenate((self.family, np.zeros(more, np.int64)))
            self.first = np.concatenate((self.first, np.full(more, -1)))
            self.second = np.concatenate((self.second, np.full(more, -1)))

    def rename(self, devices: Ints) -> None:
        """Have the labels of devices' totals made again at their next use: their class changed."""
        ours = ((self._keys >> 56) >= Family.DEVICE_ENERGY) & np.isin((self._keys >> 24) & 0xFFFFFFFF, devices)
        self.first[self._rows[ours]] = -1
        self._keys, self._rows = self._keys[~ours], self._rows[~ours]

    def unsaved(self) -> list[tuple[int, str, str]]:
        """Return the label sets that the next transaction must write: (row, family, labels)."""
        return list(self._unsaved)

    def committed(self, saved: int, rows: Ints, amounts: Floats) -> None:
        """Add what a transaction added, and forget the first ``saved`` of the unsaved: they are in the ledger."""
        del self._unsaved[:saved]
        self.values[rows] += amounts

    def take(self, rows: Ints, totals: Floats) -> None:
        """Take totals as the ledger has them: what others have added is in them, and so they never fall."""
        self.values[rows] = totals

    def of(self, family: Family) -> Ints:
        """Return the rows of one family."""
        return np.flatnonzero(self.family == family)
