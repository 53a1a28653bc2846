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
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.units import Joules, Ratio

Z95: Final = 1.959963984540054
"""Standard deviations from the middle to each end of a normal's 95 % interval [1]."""
Counts = NDArray[np.float64]
Numbers = NDArray[np.int64]


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
    loadings: Ratio
    own: Ratio
    meter: Ratio
    around: Ratio


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
    shared: Ratio


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
    return Readings(of, measured, told[has] / cells.energy[has], np.zeros(len(has)), np.zeros((len(has), 0)))


class Estimate:
    """The energy of all cells, given readings.

    Args:
        cells: the fleet.
        readings: of some of its devices.

    Two hundred PCs of 100 J with 30 % of error in common, 40 % of their own: two hundred do not make it sure.

    >>> one = np.array([1.0])
    >>> pcs = Cells(100 * one, 200 * one, np.array([[0.3]]), 0.4 * one, 0.03 * one, np.zeros((1, 0)))
    >>> [round(Estimate(pcs, by_cell(pcs, n * one, 100 * one)).deviation()) for n in (0, 1, 10, 200)]
    [6027, 4814, 2288, 42]
    """

    def __init__(self, cells: Cells, readings: Readings) -> None:
        self.cells, self.readings = cells, readings
        count, shared = readings.shared.shape
        self._loadings = np.hstack([cells.loadings, np.zeros((len(cells.energy), shared))])
        self._in = np.flatnonzero(readings.of >= 0)
        at, measured = readings.of[self._in], readings.measured[self._in]
        expected = np.bincount(at, cells.energy[self._in] * measured, count)
        weight = cells.energy[self._in] / expected[at]
        self._seen = np.zeros((count, self._loadings.shape[1]))
        np.add.at(self._seen, at, (weight * measured)[:, None] * self._loadings[self._in])
        self._seen[:, cells.loadings.shape[1] :] += readings.shared
        own, meter = cells.own[self._in], cells.meter[self._in]
        self._noise = np.bincount(at, measured * weight**2 * (own**2 + meter**2), count) + readings.alone**2
        # Covariance of the devices' own errors: of a cell's sum with its reading, relative to one of its devices.
        self._covariance = measured * weight * own**2
        precision = np.eye(self._loadings.shape[1]) + (self._seen.T / self._noise) @ self._seen
        self._inverse = np.linalg.inv(precision)
        self._learnt = self._inverse @ (self._seen.T @ ((readings.told - 1.0) / self._noise))

    @property
    def energy(self) -> Joules:
        """Return what is expected of each cell, never below 0, shape (g,) [J]."""
        cells, at = self.cells, self.readings.of[self._in]
        left = (self.readings.told - 1.0 - self._seen @ self._learnt) / self._noise
        relative = cells.devices * (1.0 + self._loadings @ self._learnt)
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
            price: of a joule of each cell, shape (g,); 1 or 0 for the total of some cells.
        """
        return float(self.deviations((np.ones(len(self.cells.energy)) if price is None else price)[None, :])[0])

    def deviations(self, prices: Ratio) -> Joules:
        """Return the standard deviations of several sums, prices of shape (n, g), shape (n,)."""
        cells = self.cells
        energy = prices * cells.energy
        common, learnt = self._still(energy)
        factors = np.einsum("nk,kl,nl->n", common, self._inverse, common)
        own = energy**2 @ (cells.devices * cells.own**2) - learnt**2 @ self._noise
        around = np.sum(((energy * cells.devices) @ cells.around) ** 2, axis=1)
        found: Joules = np.sqrt(np.maximum(factors + own + around, 0.0))
        return found

    def _still(self, energy: Joules) -> tuple[Joules, Joules]:
        """Return what moves with the common errors (n, k), and how sums follow the readings (n, r) [J]."""
        follow = np.zeros((len(energy), len(self._noise)))
        np.add.at(follow.T, self.readings.of[self._in], (energy[:, self._in] * self._covariance).T)
        follow /= self._noise
        return (energy * self.cells.devices) @ self._loadings - follow @ self._seen, follow

    def removed(self, candidates: Sequence[tuple[Numbers, Counts]]) -> Joules:
        """Return by how much the 95 % interval of the total gets narrower if more devices had a meter for all the time.

        Args:
            candidates: c of them, each which cells and how many more devices of each, that are in no reading; parts of
                a device are understood (a sample spread evenly) [1].

        Returns:
            Width that goes away, shape (c,) [J].
        """
        cells, inverse = self.cells, self._inverse
        common = self._still(cells.energy[None, :])[0][0]
        before = self.deviation()
        rest = before**2 - common @ inverse @ common
        noise = cells.own**2 + cells.meter**2
        after = []
        for which, more in candidates:
            rows, gained = self._loadings[which], cells.own[which] ** 2 / noise[which]
            left = common - rows.T @ (cells.energy[which] * more * gained)
            # Matrix inversion lemma: as many new readings as the candidate has cells.
            reach = rows @ inverse
            within = reach @ rows.T + np.diag(noise[which] / np.maximum(more, 1e-12))
            toward = reach @ left
            factors = left @ inverse @ left - toward @ np.linalg.solve(within, toward)
            own = rest - np.sum(cells.energy[which] ** 2 * more * cells.own[which] ** 2 * gained)
            after.append(np.sqrt(max(float(factors + own), 0.0)))
        narrower: Joules = np.maximum(2.0 * Z95 * (before - np.array(after)), 0.0)
        return narrower


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
