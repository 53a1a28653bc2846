"""Energy of a fleet before it is measured: what is assumed, how sure that is, and what a meter would take away.

Devices that are alike in model, place and habit form a cell. The relative error of device i of cell g is

    z_gi = L_g · f + d_g ε_gi        f, ε independent, of variance 1

with common errors ``f`` (the watts of a model, the hours of a class, the habits of a room: they do not shrink with the
number of devices) and the device's own. An agent tells ``z_gi`` but for the error of its meter, ``u_g η``. What is
common is learnt with it, for devices without an agent too: conditioning of a Gaussian, in closed form by cell.
It follows that the variance of the total depends on which devices are measured, not on what they say, and that one more
measured device never makes it larger.

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


@dataclass(frozen=True, slots=True)
class Cells:
    """Devices that are alike, g cells of them, with k common errors of their own and r of their rooms.

    Attributes:
        energy: expected of one device in the period, its room's PUE in it, shape (g,) [J].
        devices: how many, shape (g,) [1].
        loadings: relative standard deviation by common error, shape (g, k) [1].
        own: relative standard deviation of one device alone, above 0, shape (g,) [1].
        meter: of what an agent says, shape (g,) [1].
        around: of what no agent of the device sees, its room's PUE, by room, shape (g, r) [1].
    """

    energy: Joules
    devices: Counts
    loadings: Ratio
    own: Ratio
    meter: Ratio
    around: Ratio


@dataclass(frozen=True, slots=True)
class Estimate:
    """Expected energy by cell and the standard deviation of the total [J]."""

    energy: Joules
    deviation: float

    @property
    def total(self) -> float:
        """Return the expected total [J]."""
        return float(np.sum(self.energy))


def estimate(cells: Cells, measured: Counts, told: Joules) -> Estimate:
    """Return the energy of all cells with some of their devices measured.

    Args:
        cells: the fleet.
        measured: devices with an agent, shape (g,), at most ``cells.devices`` [1].
        told: mean energy of a measured device, shape (g,) [J]; NaN: not known yet, the expected one.

    Two hundred PCs of 100 J with 30 % of error in common, 40 % of their own: two hundred do not make it sure.

    >>> one = np.array([1.0])
    >>> pcs = Cells(100 * one, 200 * one, np.array([[0.3]]), 0.4 * one, 0.03 * one, np.zeros((1, 0)))
    >>> [round(estimate(pcs, n * one, np.nan * one).deviation) for n in (0, 1, 10, 200)]
    [6027, 4814, 2288, 42]
    """
    noise = cells.own**2 + cells.meter**2
    surprise = np.where(np.isnan(told) | (measured == 0), 0.0, told / cells.energy - 1.0)
    precision = _precision(cells, measured)
    learnt = np.linalg.solve(precision, cells.loadings.T @ (measured * surprise / noise))
    of_cell = cells.loadings @ learnt
    kept = cells.meter**2 / noise
    unseen = (cells.devices - measured) * (1.0 + of_cell)
    seen = measured * (1.0 + (1.0 - kept) * surprise + kept * of_cell)
    energy = np.maximum(cells.energy * (unseen + seen), 0.0)
    return Estimate(energy, float(np.sqrt(_variance(cells, measured, precision))))


def deviation(cells: Cells, measured: Counts) -> float:
    """Return the standard deviation of the total with some devices measured [J].

    With other ``energy`` (times a price by cell, say) the same errors count: it is then that of the sum in its unit.
    """
    return float(np.sqrt(_variance(cells, measured, _precision(cells, measured))))


def removed(cells: Cells, measured: Counts, candidates: Sequence[tuple[NDArray[np.int64], Counts]]) -> Joules:
    """Return by how much the 95 % interval of the total gets narrower if more devices are measured.

    Args:
        cells: the fleet.
        measured: devices with an agent by now, shape (g,) [1].
        candidates: c of them, each which cells and how many more devices of each; parts of a device are
            understood (a sample spread evenly) [1].

    Returns:
        Width that goes away, shape (c,) [J].
    """
    inverse = np.linalg.inv(_precision(cells, measured))
    weight = _weights(cells, measured)
    common, alone = cells.loadings.T @ weight, _alone(cells, measured)
    around = _around(cells)
    before = np.sqrt(common @ inverse @ common + np.sum(alone) + around)
    noise = cells.own**2 + cells.meter**2
    after = []
    for which, more in candidates:
        rows, gained = cells.loadings[which], 1.0 - cells.meter[which] ** 2 / noise[which]
        left = common - rows.T @ (cells.energy[which] * more * gained)
        # Matrix inversion lemma: as many new readings as the candidate has cells.
        reach = rows @ inverse
        within = reach @ rows.T + np.diag(noise[which] / np.maximum(more, 1e-12))
        toward = reach @ left
        factors = left @ inverse @ left - toward @ np.linalg.solve(within, toward)
        own = np.sum(alone) - np.sum(cells.energy[which] ** 2 * more * cells.own[which] ** 2 * gained)
        after.append(np.sqrt(max(float(factors + own + around), 0.0)))
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


def _precision(cells: Cells, measured: Counts) -> Ratio:
    certain = measured / (cells.own**2 + cells.meter**2)
    found: Ratio = np.eye(cells.loadings.shape[1]) + (cells.loadings.T * certain) @ cells.loadings
    return found


def _weights(cells: Cells, measured: Counts) -> Joules:
    """Return energy by cell that still moves with the common errors, shape (g,) [J]."""
    kept = cells.meter**2 / (cells.own**2 + cells.meter**2)
    found: Joules = cells.energy * (cells.devices - measured * (1.0 - kept))
    return found


def _alone(cells: Cells, measured: Counts) -> Joules:
    """Return the variance by cell that no other device shares, shape (g,) [J²]."""
    kept = cells.meter**2 / (cells.own**2 + cells.meter**2)
    found: Joules = cells.energy**2 * cells.own**2 * (cells.devices - measured * (1.0 - kept))
    return found


def _around(cells: Cells) -> float:
    return float(np.sum((cells.around.T @ (cells.energy * cells.devices)) ** 2))


def _variance(cells: Cells, measured: Counts, precision: Ratio) -> float:
    common = cells.loadings.T @ _weights(cells, measured)
    factors = common @ np.linalg.solve(precision, common)
    return float(factors + np.sum(_alone(cells, measured)) + _around(cells))
