"""A fleet's energy from what is assumed, surer with every device that tells; linear algebra without numbers of its own.

Devices that are alike (class, model, place) are a cell. The relative error of device i of cell g is

    z_gi = L_g · f + d_g ε_gi        f, ε independent, of variance 1

with common errors ``f`` (the watts of a model, the hours of a class, the habits of a room: they do not shrink with the
number of devices) and the device's own. A reading r tells the sum of what m devices draw, of one cell or of several,
but for errors of its own: of each meter ``u η``, of the whole reading ``a α``, and ``S_r · s`` that readings have in
common (a model of components, weeks that nobody has seen). Relative to what was expected of these devices that is

    y_r = Σ w_gi (z_gi + u_g η_gi) + a_r α_r + S_r · s        w: expected energy of each, as part of the sum

What is common is learnt with it, for devices without an agent too: conditioning of a Gaussian, in closed form by cell.
It follows that the variance of the total depends on which devices are read, not on what they say. The devices of one
cell are alike, so their sum says all that each of them would: one more device in a reading of one cell never makes the
variance larger, nor does one more reading. In a reading of several cells a device unlike the others may dilute it.

References:
    JCGM 100:2008 (GUM), 5.2: correlated input quantities. Rasmussen and Williams 2006, Gaussian Processes for Machine
    Learning, A.2 (conditioning) and A.3 (matrix inversion lemma).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.units import Joules, Ratio

Z95: Final = 1.959963984540054
"""Standard deviations from the middle to each end of a normal's 95 % interval [1]."""
Counts = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sparse:
    """A matrix of few numbers: where they stand, and what they are; of two in one place the sum counts."""

    row: Numbers
    column: Numbers
    value: Ratio
    shape: tuple[int, int]

    @classmethod
    def of(cls, dense: Ratio) -> Sparse:
        """Return a matrix that is written out."""
        row, column = np.nonzero(dense)
        return cls(row.astype(np.int64), column.astype(np.int64), dense[row, column], (dense.shape[0], dense.shape[1]))

    def dot(self, x: Ratio) -> Ratio:
        """Return the product with a column, shape (rows,)."""
        return np.bincount(self.row, self.value * x[self.column], self.shape[0]).astype(np.float64)

    def rows(self, chosen: Numbers) -> Ratio:
        """Return some rows written out."""
        place = np.full(self.shape[0], -1, np.int64)
        place[chosen] = np.arange(len(chosen))
        mine = np.flatnonzero(place[self.row] >= 0)
        found = np.zeros((len(chosen), self.shape[1]))
        np.add.at(found, (place[self.row[mine]], self.column[mine]), self.value[mine])
        return found

    def gathered(self, into: Numbers, weight: Ratio, rows: int) -> Sparse:
        """Return weighted rows added up: ``into`` numbers the sum that each is in, -1 for none, shape (rows,)."""
        mine = np.flatnonzero(into[self.row] >= 0)
        return summed(
            into[self.row[mine]], self.column[mine], self.value[mine] * weight[self.row[mine]], rows, self.shape[1]
        )


def summed(row: Numbers, column: Numbers, value: Ratio, rows: int, columns: int) -> Sparse:
    """Return a matrix whose numbers stand in order, one in a place."""
    key, place = np.unique(row * columns + column, return_inverse=True)
    sums = np.bincount(place.reshape(len(row)), value, len(key)).astype(np.float64)
    return Sparse(key // max(columns, 1), key % max(columns, 1), sums, (rows, columns))


@dataclass(frozen=True, slots=True)
class Cells:
    """Devices that are alike, g cells of them, with k common errors of their own and p of their rooms.

    Attributes:
        energy: expected of one device in the period, its room's PUE in it, shape (g,) [J].
        devices: how many, shape (g,) [1].
        loadings: relative standard deviation by common error, shape (g, k) [1].
        own: relative standard deviation of one device alone, above 0, shape (g,) [1].
        meter: of what an agent says of one device, shape (g,) [1].
        around: of what no agent of the device sees, its room's PUE, by room, shape (g, p) [1].
    """

    energy: Joules
    devices: Counts
    loadings: Sparse
    own: Ratio
    meter: Ratio
    around: Sparse


@dataclass(frozen=True, slots=True)
class Readings:
    """What agents told: r sums, and which devices are in them.

    Attributes:
        of: the reading that devices of a cell are in, -1 for none, shape (g,).
        measured: how many of them, at most ``Cells.devices``, shape (g,) [1].
        told: what they drew as part of what was expected of them, shape (r,) [1].
        alone: relative standard deviation of the whole reading, beside its meters', shape (r,) [1].
        shared: likewise of what readings have in common, by error, shape (r, s) [1].
    """

    of: Numbers
    measured: Counts
    told: Ratio
    alone: Ratio
    shared: Sparse


def by_cell(cells: Cells, measured: Counts, told: Joules) -> Readings:
    """Return the readings of agents that tell single devices, with nothing to doubt but their meters.

    Args:
        cells: the fleet.
        measured: devices with such an agent, shape (g,) [1].
        told: mean energy of one of them, shape (g,) [J].
    """
    has = np.flatnonzero(measured > 0)
    of = np.full(len(measured), -1, np.int64)
    of[has] = np.arange(len(has))
    nothing = Sparse.of(np.zeros((len(has), 0)))
    return Readings(of, measured, told[has] / cells.energy[has], np.zeros(len(has)), nothing)


class Estimate:
    """The energy of all cells, given readings.

    Args:
        cells: the fleet.
        readings: of some of its devices.

    Two hundred PCs of 100 J with 30 % of error in common, 40 % of their own: two hundred do not make it sure.

    >>> one = np.array([1.0])
    >>> common, none = Sparse.of(np.array([[0.3]])), Sparse.of(np.zeros((1, 0)))
    >>> pcs = Cells(100 * one, 200 * one, common, 0.4 * one, 0.03 * one, none)
    >>> [round(Estimate(pcs, by_cell(pcs, n * one, 100 * one)).deviation()) for n in (0, 1, 10, 200)]
    [6027, 4814, 2288, 42]
    """

    def __init__(self, cells: Cells, readings: Readings) -> None:
        self.cells, self.readings = cells, readings
        (count, shared), errors = readings.shared.shape, cells.loadings.shape[1]
        self._loadings = replace(cells.loadings, shape=(len(cells.energy), errors + shared))
        self._in = np.flatnonzero(readings.of >= 0)
        at, measured = readings.of[self._in], readings.measured[self._in]
        expected = np.bincount(at, cells.energy[self._in] * measured, count)
        weight = cells.energy[self._in] / expected[at]
        share = np.zeros(len(cells.energy))
        share[self._in] = weight * measured
        own = self._loadings.gathered(readings.of, share, count)
        self._seen = summed(
            np.concatenate([own.row, readings.shared.row]),
            np.concatenate([own.column, readings.shared.column + errors]),
            np.concatenate([own.value, readings.shared.value]),
            count,
            errors + shared,
        )
        noise = cells.own[self._in] ** 2 + cells.meter[self._in] ** 2
        self._noise = np.bincount(at, measured * weight**2 * noise, count) + readings.alone**2
        # Covariance of the devices' own errors: of a cell's sum with its reading, relative to one of its devices.
        self._covariance = measured * weight * cells.own[self._in] ** 2
        self._inverse = np.linalg.inv(_precision(self._seen, self._noise))
        surprise = (readings.told - 1.0) / self._noise
        seen = np.bincount(self._seen.column, self._seen.value * surprise[self._seen.row], errors + shared)
        self._learnt = self._inverse @ seen

    @property
    def energy(self) -> Joules:
        """Return what is expected of each cell, never below 0, shape (g,) [J]."""
        cells, at = self.cells, self.readings.of[self._in]
        left = (self.readings.told - 1.0 - self._seen.dot(self._learnt)) / self._noise
        relative = cells.devices * (1.0 + self._loadings.dot(self._learnt))
        relative[self._in] += self._covariance * left[at]
        found: Joules = np.maximum(cells.energy * relative, 0.0)
        return found

    @property
    def total(self) -> float:
        """Return the expected total [J]."""
        return float(np.sum(self.energy))

    def deviation(self, price: Ratio | None = None) -> float:
        """Return the standard deviation of the total, or of its price.

        Args:
            price: of a joule of each cell, shape (g,).
        """
        return float(self.deviations(np.zeros(len(self.cells.energy), np.int64), 1, price)[0])

    def deviations(self, groups: Numbers, count: int, price: Ratio | None = None) -> Joules:
        """Return the standard deviations of the sums of groups of cells, or of their prices, shape (count,).

        Args:
            groups: number of the group that a cell is in, -1 for none, shape (g,).
            count: of the groups.
            price: of a joule of each cell, shape (g,).
        """
        cells = self.cells
        energy = cells.energy if price is None else cells.energy * price
        common, follow = self._still(groups, count, energy)
        limits = np.searchsorted(common.row, np.arange(count + 1)).tolist()
        factors = np.zeros(count)
        for n, (first, last) in enumerate(pairwise(limits)):
            which, value = common.column[first:last], common.value[first:last]
            factors[n] = value @ self._inverse[np.ix_(which, which)] @ value
        there = groups >= 0
        own = np.bincount(groups[there], (energy**2 * cells.devices * cells.own**2)[there], count)
        own -= np.bincount(follow.row, follow.value**2 * self._noise[follow.column], count)
        around = cells.around.gathered(groups, energy * cells.devices, count)
        rooms = np.bincount(around.row, around.value**2, count)
        found: Joules = np.sqrt(np.maximum(factors + own + rooms, 0.0))
        return found

    def _still(self, groups: Numbers, count: int, energy: Joules) -> tuple[Sparse, Sparse]:
        """Return what still moves with the common errors, by group, and how groups follow the readings [J]."""
        at, of = self.readings.of[self._in], groups[self._in]
        mine = np.flatnonzero(of >= 0)
        value = (energy[self._in] * self._covariance)[mine] / self._noise[at[mine]]
        follow = summed(of[mine], at[mine], value, count, len(self._noise))
        first, length = _spans(self._seen.row, follow.column)
        entry = _runs(first, length)
        moved = self._loadings.gathered(groups, energy * self.cells.devices, count)
        common = summed(
            np.concatenate([moved.row, np.repeat(follow.row, length)]),
            np.concatenate([moved.column, self._seen.column[entry]]),
            np.concatenate([moved.value, -np.repeat(follow.value, length) * self._seen.value[entry]]),
            count,
            self._seen.shape[1],
        )
        return common, follow

    def removed(self, candidates: Sequence[tuple[Numbers, Counts]]) -> Joules:
        """Return by how much the 95 % interval of the total gets narrower if more devices had a meter for all the time.

        Args:
            candidates: c of them, each which cells and how many more devices of each, that are in no reading; parts of
                a device are understood (a sample spread evenly) [1].

        Returns:
            Width that goes away, shape (c,) [J].
        """
        cells = self.cells
        some = np.unique(np.concatenate([which for which, _ in candidates])) if candidates else np.zeros(0, np.int64)
        common = self._still(np.zeros(len(cells.energy), np.int64), 1, cells.energy)[0].rows(np.zeros(1, np.int64))[0]
        loadings = self._loadings.rows(some)
        reach = loadings @ self._inverse
        now = reach @ common
        factors, before = common @ self._inverse @ common, self.deviation()
        noise = cells.own**2 + cells.meter**2
        kept = cells.own**2 / noise
        after = []
        for which, more in candidates:
            at = np.searchsorted(some, which)
            among = reach[at] @ loadings[at].T
            gone = cells.energy[which] * more * kept[which]
            # Matrix inversion lemma: as many new readings as the candidate has cells.
            toward = now[at] - among @ gone
            within = among + np.diag(noise[which] / np.maximum(more, 1e-12))
            left = factors - 2.0 * gone @ now[at] + gone @ among @ gone - toward @ np.linalg.solve(within, toward)
            own = np.sum(cells.energy[which] ** 2 * more * cells.own[which] ** 2 * kept[which])
            after.append(np.sqrt(max(float(before**2 - factors + left - own), 0.0)))
        narrower: Joules = np.maximum(2.0 * Z95 * (before - np.array(after)), 0.0)
        return narrower


def _precision(seen: Sparse, noise: Ratio) -> Ratio:
    """Return 1 + Sᵀ N⁻¹ S, shape (k, k)."""
    first, length = _spans(seen.row, seen.row)
    one, other = np.repeat(np.arange(len(seen.row)), length), _runs(first, length)
    size = seen.shape[1]
    products = seen.value[one] * seen.value[other] / noise[seen.row[one]]
    found = np.bincount(seen.column[one] * size + seen.column[other], products, size * size)
    precision: Ratio = np.eye(size) + found.reshape(size, size)
    return precision


def _spans(rows: Numbers, asked: Numbers) -> tuple[Numbers, Numbers]:
    """Return where the entries of rows begin among sorted ones, and how many they are."""
    first = np.searchsorted(rows, asked).astype(np.int64)
    return first, np.searchsorted(rows, asked, side="right").astype(np.int64) - first


def _runs(first: Numbers, length: Numbers) -> Numbers:
    """Return the numbers first, first + 1, … of each run, one run behind the other."""
    ends = np.cumsum(length)
    found: Numbers = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(first - (ends - length), length)
    return found


def interval(total: float, deviation: float) -> tuple[float, float]:
    """Return a 95 % interval of something positive, as wide as a normal's and placed as a lognormal's.

    Its ends multiply to the square of the lognormal's median, so none is negative; its width, 3.92 deviations, falls
    whenever the deviation does. For a deviation of half of the total it holds a lognormal with 95 %.

    Args:
        total: mean [J, or anything].
        deviation: standard deviation, same unit.

    >>> [round(x, 2) for x in interval(100.0, 1.0)], [round(x, 1) for x in interval(100.0, 44.0)]
    ([98.05, 101.97], [39.5, 212.0])
    """
    if total <= 0.0 or deviation <= 0.0:
        return max(total, 0.0), max(total, 0.0)
    half, median = Z95 * deviation, total / np.hypot(1.0, deviation / total)
    upper = float(np.hypot(median, half) + half)
    return float(median**2 / upper), upper
