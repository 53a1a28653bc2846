"""The finest estimate of a whole device's energy, moment by moment: the winner. Pure, over all frames of one schema.

A wall meter goes before a node meter, that before what the agent tells as modelled, before package counters brought to
the wall, before what the agent tells as assumed, before a model of the load. In the rows that the finer one does not
cover the next one fills in, under its own basis. A failed reading is no lack where the next good one covers it. What
nothing covers stays a gap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.layout import GroupLayout, SourceKey
from thinwatt_collector.models import power
from thinwatt_collector.models.devices import DeviceModels

Floats = NDArray[np.float64]

SLIVER: Final = 1e-3
"""A frame that lacks less coverage than this has no gap: that is the time between two reads of one tick [s]."""
LATE: Final = (3, 30.0, 180.0)
"""A source whose last reading in a frame failed may still have a good one, which then covers the lack as well: what a
coarser one filled in there would count twice. It comes so many rows after the last good one, at least and at most so
many seconds: the agent leaves out what is longer."""

MEASURED: Final = SourceKey("booked", "", "wall", "measured")
MODELLED: Final = SourceKey("booked", "", "wall", "modelled")
ASSUMED: Final = SourceKey("booked", "", "wall", "assumed")
WINNERS: Final = (MEASURED, MODELLED, ASSUMED)
LEARNING: Final = "model"
"""The series' name of what the assumed models say of a metered machine; its part is a way and one of two parts."""
PARTS: Final = ("rest", "moving")
BASIS_OF: Final = {"components": "modelled", "load": "assumed"}


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of whole devices, row by row: place of its basis in :data:`WINNERS`, and how to work it out.

    ``count`` returns joules and covered seconds, (frames, devices, rows) each; a coarse one is asked only where a finer
    one lacks something.
    """

    basis: int
    count: Callable[[], tuple[Floats, Floats]]


def learning(group: GroupLayout, series: Floats, ours: Floats, models: DeviceModels) -> tuple[list[SourceKey], Floats]:
    """Return what the assumed models say of metered machines, in two parts each (see ``calibrated``).

    Returns:
        The series, and joules and covered seconds of each in turn, shape (frames, devices, 2 × series, rows).
    """
    if not group.meters or not (group.components or has_load(group)):
        return [], series[:, :, :0]
    keys, columns = [], []
    if group.components:
        joules, covered = _at_the_wall(group, series, ours, models)
        of_rest = (models.base / models.efficiency)[:, :, None]
        rest = np.where(covered > 0, _seconds_beside(group, covered, ours) * of_rest, 0.0)
        keys += [SourceKey(LEARNING, f"components/{part}", "wall", BASIS_OF["components"]) for part in PARTS]
        columns += [rest, covered, joules - rest, covered]
    if group.cpu is not None and group.cpu_capacity is not None and group.load_covered is not None:
        joules, covered = _load_model([group.cpu, group.cpu_capacity, group.load_covered], ours, models)
        rest = np.where(covered > 0, models.watts[:, :, None, 0] * covered, 0.0)
        keys += [SourceKey(LEARNING, f"load/{part}", "wall", BASIS_OF["load"]) for part in PARTS]
        columns += [rest, covered, joules - rest, covered]
    return keys, np.stack(columns, axis=2)


def bases(group: GroupLayout, models: DeviceModels) -> NDArray[np.bool_]:
    """Return on which bases energy of whole devices may be counted, (…, 3) by :data:`WINNERS`.

    Args:
        group: the meaning of the columns.
        models: of devices, (…).
    """
    anything = np.ones_like(models.base, np.bool_)
    learnt = anything & (False if models.by_load is None or group.assumed else models.by_load)
    at_the_wall = np.isfinite(models.efficiency) & (np.isfinite(models.base) | group.platform)
    by_load = np.isfinite(models.watts).all(axis=-1)
    found = (
        anything & bool(group.meters),
        anything & bool(group.modelled) | at_the_wall & bool(group.components) | by_load & learnt & has_load(group),
        anything & bool(group.assumed) | by_load & ~learnt & has_load(group),
    )
    return np.stack(found, axis=-1)


def has_load(group: GroupLayout) -> bool:
    """Return whether the columns allow a model of the load."""
    return group.cpu is not None and group.cpu_capacity is not None and group.load_covered is not None


def _load_model(at: list[int], ours: Floats, models: DeviceModels) -> tuple[Floats, Floats]:
    """Return joules and covered seconds of the load model, (frames, devices, rows) each; 0 s where it has no curve."""
    busy, capacity, covered = np.diff(ours[:, :, at], axis=3).transpose(2, 0, 1, 3)
    load = np.clip(np.divide(busy, capacity, out=np.zeros_like(busy), where=capacity > 0), 0.0, 1.0)
    watts = power.piecewise(load, power.LOAD_KNOTS, models.watts[:, :, None, :])
    known = np.isfinite(watts)
    return np.where(known, watts, 0.0) * covered, np.where(known, covered, 0.0)


def _together(group: GroupLayout, series: Floats, parts: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Return joules and covered seconds of several energies of the agent's, (frames, devices, rows) each."""
    sources = len(group.sources)
    joules, covered = series[:, :, :sources], series[:, :, sources:]
    if len(parts) == 1:
        return joules[:, :, parts[0]], covered[:, :, parts[0]]
    joules, covered = joules[:, :, parts], covered[:, :, parts]
    all_of_them = covered.min(axis=2)
    apart = covered - all_of_them[:, :, None] >= SLIVER
    if not apart.any():
        return joules.sum(axis=2), all_of_them
    # While one of them is silent nobody knows their sum: of the others the time counts that all have.
    share = np.divide(all_of_them[:, :, None], covered, out=np.ones_like(covered), where=apart)
    return (joules * share).sum(axis=2), all_of_them


def _of_components(group: GroupLayout, series: Floats) -> tuple[Floats, Floats]:
    return _together(group, series, group.components)


def _at_the_wall(group: GroupLayout, series: Floats, ours: Floats, models: DeviceModels) -> tuple[Floats, Floats]:
    """Return joules and covered seconds at the wall from the components' counters, (frames, devices, rows) each."""
    j, c = _of_components(group, series)
    seconds = _seconds_beside(group, c, ours)
    beside = np.where(seconds != 0, models.base[:, :, None] * seconds, 0.0)
    wall = power.wall_from_components(j, beside, models.efficiency[:, :, None])
    wall = np.where(np.isfinite(models.rating)[:, :, None], _through_supply(j, c, seconds, models), wall)
    # What psys saw of a time in which at first the packages counted comes in a later row, its seconds with it.
    wall = np.maximum(wall, 0.0)
    known = np.isfinite(wall)
    return np.where(known, wall, 0.0), np.where(known, c, 0.0)


def _through_supply(joules: Floats, covered: Floats, seconds: Floats, models: DeviceModels) -> Floats:
    """Return joules at the wall of components behind power supplies with a known curve, (frames, devices, rows).

    What was learnt since makes two factors (see ``calibrated``): of what is drawn at rest, and of what is above it.
    """
    assumed = models.assumed or models
    base, at_rest, to = (of[:, :, None] for of in (assumed.base, assumed.efficiency, models.efficiency))
    behind = joules + np.where(seconds != 0, base * seconds, 0.0)
    watts = np.divide(behind, covered, out=np.zeros_like(behind), where=covered > 0)
    curve = assumed.supply[:, :, None, :]
    efficiency = power.psu_efficiency(watts / assumed.rating[:, :, None], power.SUPPLY_KNOTS, curve)
    wall = behind / np.where(np.isfinite(efficiency), efficiency, at_rest)
    if models.assumed is None:
        return wall
    moving = at_rest / to
    learnt: Floats = moving * wall + np.where(
        seconds != 0, (models.base[:, :, None] / to - moving * base / at_rest) * seconds, 0.0
    )
    return learnt


def _seconds_beside(group: GroupLayout, covered: Floats, ours: Floats) -> Floats:
    """Return the seconds in which something stands beside what the components' counters hold."""
    return covered - _platform_seconds(group, covered, ours)


def _platform_seconds(group: GroupLayout, covered: Floats, ours: Floats) -> Floats | float:
    """Return the seconds in which nothing stands beside what the components' counters hold."""
    if group.platform_seconds is None:
        return covered if group.platform else 0.0
    seconds: Floats = np.diff(ours[:, :, group.platform_seconds], axis=2)
    return seconds


def estimates(group: GroupLayout, series: Floats, ours: Floats, models: DeviceModels) -> list[Estimate]:
    """Return the estimates of whole devices that the columns allow, finest first."""
    found = [Estimate(0, partial(_together, group, series, meter)) for meter in group.meters]
    found += [Estimate(1, partial(_together, group, series, told)) for told in group.modelled]
    if group.components:
        found.append(Estimate(1, partial(_at_the_wall, group, series, ours, models)))
    found += [Estimate(2, partial(_together, group, series, told)) for told in group.assumed]
    if group.cpu is not None and group.cpu_capacity is not None and group.load_covered is not None:
        at = [group.cpu, group.cpu_capacity, group.load_covered]
        found.append(Estimate(2, lambda: _load_model(at, ours, models)))
    return found


def finest(
    told: list[Estimate], elapsed: Floats, shape: tuple[int, ...], filled: Floats
) -> tuple[list[int], Floats, Floats]:
    """Return what the finest estimate of each moment says, row by row.

    The finest has all that it counted. A coarser one has its own power for the seconds of each row that the finer ones
    lack, so that it is the same in one large frame as in many small ones. When the finest recovers, its reading may be
    of seconds for which a coarser one was booked before: then it has its own power for the others only.

    Args:
        told: finest first.
        elapsed: between rows, shape (frames, rows) [s].
        shape: (frames, devices, anything, rows).
        filled: seconds since the finest last had a reading that coarser ones were booked for, (frames, devices) [s].

    Returns:
        Places in :data:`WINNERS`; joules of each, then seconds of each, shape (frames, devices, 2 × places, rows); and
        ``filled`` for the next frame.
    """
    frames, devices, _, rows = shape
    if not told:
        return [], np.zeros((frames, devices, 0, rows)), filled
    first, *coarser = told
    joules, covered = first.count()
    good = covered > 0
    lack = _lack(covered, elapsed[:, None]) if coarser else np.zeros(())
    lack = _without_late(lack, covered, elapsed[:, None]) if lack.any() else lack
    if filled.any():
        joules, covered = _without_filled(joules, covered, elapsed[:, None], filled)
        filled = np.where(good.any(axis=-1), 0.0, filled)
    if not lack.any():
        return [first.basis], np.stack((joules, covered), axis=2), filled
    bases = sorted({e.basis for e in told})
    out = np.zeros((frames, devices, 2 * len(bases), rows))
    place = bases.index(first.basis)
    out[:, :, place], out[:, :, len(bases) + place] = joules, covered
    frame, device = np.nonzero(lack.any(axis=-1))
    span = elapsed[frame]
    done = before = span - lack[frame, device]
    for estimate in coarser:
        place = bases.index(estimate.basis)
        joules, covered = (column[frame, device] for column in estimate.count())
        has = span - _lack(covered, span)
        adds = np.maximum(has - done, 0.0)
        out[frame, device, place] += _power(joules, covered) * adds
        out[frame, device, len(bases) + place] += adds
        done = np.maximum(done, has)
    # What was filled in behind the last good reading, the next one may be of.
    behind = np.logical_or.accumulate(good[frame, device][:, ::-1], axis=-1)[:, ::-1]
    filled = filled.copy()
    filled[frame, device] += np.where(behind, 0.0, done - before).sum(axis=-1)
    return bases, out, filled


def _without_filled(joules: Floats, covered: Floats, elapsed: Floats, filled: Floats) -> tuple[Floats, Floats]:
    """Return joules and covered seconds without those of the time before the frame that coarser ones were booked for.

    Args:
        joules: of the finest, shape (frames, devices, rows) [J].
        covered: likewise [s].
        elapsed: between rows, (frames, 1, rows) [s].
        filled: (frames, devices) [s].
    """
    behind = np.minimum(np.cumsum(elapsed - covered, axis=-1), 0.0)
    reached = np.minimum(-np.minimum.accumulate(behind, axis=-1), filled[..., None])
    twice = np.minimum(np.diff(reached, axis=-1, prepend=0.0), covered)
    kept = np.divide(covered - twice, covered, out=np.ones_like(covered), where=covered > 0)
    return joules * kept, covered - twice


def _lack(covered: Floats, elapsed: Floats) -> Floats:
    """Return the seconds of each row that no reading covers, the late ones of later rows counted; shapes (…, rows)."""
    missed = elapsed - covered
    if missed.size and missed.max() < SLIVER:
        return np.zeros_like(missed)  # no row lacks more than its own coverage does
    behind = np.cumsum(missed, axis=-1)
    start = np.zeros((*behind.shape[:-1], 1))
    least = np.minimum.accumulate(np.concatenate((start, behind), axis=-1)[..., ::-1], axis=-1)[..., ::-1]
    lack = np.diff(least, axis=-1)
    return np.where(lack < SLIVER, 0.0, lack)


def _without_late(lack: Floats, covered: Floats, elapsed: Floats) -> Floats:
    """Return ``lack`` without that at the end of a frame which the next good reading may cover; see :data:`LATE`."""
    rows, least, most = LATE
    usual = np.where(elapsed > 0, elapsed, np.inf).min(axis=-1)
    usual = np.where(np.isfinite(usual), usual, 0.0)
    patience = np.clip(rows * usual, least, most) - usual  # the next good reading is a row further
    good = covered > 0
    last = np.where(good.any(axis=-1), good.shape[-1] - 1 - np.argmax(good[..., ::-1], axis=-1), good.shape[-1])
    tail = np.arange(good.shape[-1]) >= last[..., None]
    late = np.where(tail, lack, 0.0).sum(axis=-1) <= patience
    return np.where(tail & late[..., None], 0.0, lack)


def _power(joules: Floats, covered: Floats) -> Floats:
    """Return the mean power of each row [W], of the next good one where a row has no reading; shapes (n, rows)."""
    good = covered > 0
    at = np.where(good, np.arange(covered.shape[-1]), covered.shape[-1] - 1)
    at = np.minimum.accumulate(at[:, ::-1], axis=-1)[:, ::-1]
    power_of_row = np.divide(joules, covered, out=np.zeros_like(joules), where=good)
    return np.take_along_axis(power_of_row, at, axis=-1)
