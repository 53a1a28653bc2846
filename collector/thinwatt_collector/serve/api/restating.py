"""Modelled energy worked out again by the calibrations known now: of rows of the ledger, and of cells. Pure.

What a hardware model's machines drew is linear in the joules and the covered seconds that are booked, so rows are
restated as sums of any number of machines and slots, as long as all were booked by one model: within one epoch.

**Law 7.** A cell of endpoints is restated from its own joules, seconds and number of devices, and by coefficients that
everybody may read and that five machines at least were asked for. So a restated figure says nothing that the cell does
not say. A cell in place of one hardware model and one basis is restated exactly. A cell in time is of many models: it
is multiplied by one ratio a class and local day, that of the cells in place of that day; a cell whose models or bases
are not told apart counts in it as it was booked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from thinwatt_collector.calibrated import Calibrations, Hardware, Learnt, restated
from thinwatt_collector.serve.api.privacy import Cells
from thinwatt_collector.serve.api.rows import Floats, Rows, codes

Key = tuple[int, str, str]
"""Beginning of a local day [s], class, made up or not."""

NEEDED: Final = ("class", "model", "basis", "simulated")
"""What rows must be told apart by."""


def rows_now(rows: Rows, calibrations: Calibrations, epoch: int | None = None) -> Rows:
    """Return rows as the calibrations of now have them.

    Their interval is that of the model: what machines differ by shrinks with their number, what is common does not; in
    time both stay (a machine that draws more does so every day).

    Args:
        rows: told apart by :data:`NEEDED`.
        calibrations: all.
        epoch: a time [s] in the epoch of all rows; None: that in which each begins.
    """
    if not len(rows) or not calibrations:
        return rows
    at = rows.begin if epoch is None else np.full(len(rows), epoch, np.int64)
    number = np.searchsorted(np.array(calibrations.epochs), at, side="right").astype(np.int64)
    group, first = codes(number, *(rows.dims[name] for name in NEEDED))
    joules, bias, basis = rows.joules.copy(), rows.bias.copy(), rows.dims["basis"].copy()
    for n, row in enumerate(first.tolist()):
        kind, model, booked_as, simulated = (str(rows.dims[name][row]) for name in NEEDED)
        found = calibrations.restated_as(Hardware(kind, model, simulated == "true"), booked_as, float(at[row]))
        if found is not None:
            ours = group == n
            joules[ours], bias[ours] = _of(rows.at(ours), *found)
            basis[ours] = "modelled"
    return replace(rows, joules=joules, bias=bias, dims={**rows.dims, "basis": basis})


def _of(rows: Rows, before: Learnt | None, now: Learnt) -> tuple[Floats, Floats]:
    joules = restated(rows.joules, rows.covered, before, now)
    return joules, joules * now.of(rows.devices)


def cells_now(
    cells: Cells, place: Cells, coarse: bool, calibrations: Calibrations, day_of: Callable[[int], int]
) -> Cells:
    """Return cells as the calibrations of now have them.

    Args:
        cells: of the question.
        place: those in place of the same days, nothing left out; a day that is not over has those in time.
        coarse: whether ``cells`` are cut in time, or sums of whole days: then by one ratio a class and day.
        calibrations: all.
        day_of: from a time to the beginning of its local day [s].
    """
    if not len(cells) or not calibrations:
        return cells
    if not coarse:
        return replace(cells, rows=rows_now(cells.rows, calibrations))
    of: dict[Key, Floats] = defaultdict(lambda: np.zeros(4))
    now = rows_now(place.rows, calibrations)
    columns = np.stack((place.rows.joules, now.joules, place.rows.bias, now.bias), axis=1)
    for key, row in zip(_keys(place.rows, day_of), columns, strict=True):
        of[key] += row
    sums = np.array([of[key] for key in _keys(cells.rows, day_of)])
    energy, width = (_ratio(sums[:, k + 1], sums[:, k]) for k in (0, 2))
    return replace(cells, rows=replace(cells.rows, joules=cells.rows.joules * energy, bias=cells.rows.bias * width))


def _ratio(now: Floats, before: Floats) -> Floats:
    return np.divide(now, before, out=np.ones_like(now), where=before > 0)


def _keys(rows: Rows, day_of: Callable[[int], int]) -> list[Key]:
    times, number = np.unique(rows.begin, return_inverse=True)
    days = [day_of(at) for at in times.tolist()]
    named = zip(number.reshape(-1).tolist(), rows.dims["class"], rows.dims["simulated"], strict=True)
    return [(days[n], str(kind), str(simulated)) for n, kind, simulated in named]
