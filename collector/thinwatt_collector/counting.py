"""From cumulative columns to joules by device and slot: pure, over all frames of one schema at once.

An interval between two rows is split at slot boundaries in proportion to time. Every energy column of the agent is
kept as a series of its own; beside them stands the *winner*, the finest estimate of the whole device's energy for
each moment: a wall meter, a node meter, what the agent tells as modelled, package counters brought to the wall, what
the agent tells as assumed, a load model. In the rows that the
finer one does not cover the next one fills in, under its own basis. A failed reading is no lack where the next good
one covers it. What nothing covers stays a gap.

What a host is taken to have drawn is shared among the pools of the desktops on it (sharing.py), beside all this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector import sharing
from thinwatt_collector.layout import GroupLayout, SourceKey
from thinwatt_collector.models import attribution, energy, power
from thinwatt_collector.models.attribution import Policy
from thinwatt_collector.sharing import Shared

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SECOND: Final = 1_000_000_000
MAX_SLOTS_IN_FRAME: Final = 40_000
"""A frame that spans more slots than this (over a year) is refused: its clock is broken."""

SLIVER: Final = 1e-3
"""A frame that lacks less coverage than this has no gap: that is the time between two reads of one tick [s]."""
PER_SLOT: Final = 8
"""What a slot costs beside its columns, in values."""

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
class DeviceModels:
    """Power models of devices, aligned with the devices counted: shapes (frames, devices) or (frames, devices, 4).

    ``watts`` [W] at load 0, 10 %, 50 %, 100 %; ``base`` [W] beside the metered components; ``efficiency`` of the power
    supply; the ``u_…`` are relative standard uncertainties. NaN where a device has no model. ``by_load`` tells of
    which devices the curve of the load was calibrated, ``assumed`` what was taken before any calibration; None: none
    was, and the same.
    """

    watts: Floats
    base: Floats
    efficiency: Floats
    u_meter: Floats
    u_component: Floats
    u_load: Floats
    by_load: NDArray[np.bool_] | None = None
    assumed: DeviceModels | None = None


@dataclass(frozen=True, slots=True)
class Chunks:
    """A frame's share of a slot: index of the frame, slot, elapsed seconds; shapes (chunks,)."""

    frame: Ints
    slot: Ints
    elapsed: Floats


@dataclass(frozen=True, slots=True)
class Beside:
    """A series that is kept beside the energy that is counted; shapes (chunks, devices).

    It is what the assumed models say of machines that have a meter, to be learnt from, or the time of sessions.
    """

    source: SourceKey
    joules: Floats
    covered: Floats


@dataclass(frozen=True, slots=True)
class Counted:
    """Joules and seconds of the devices of one group.

    ``joules`` and ``covered`` of the agent's series: (chunks, devices, sources). ``won`` and ``won_covered`` of the
    winner: (chunks, devices, 3), by :data:`WINNERS`; ``bias`` [J] likewise. ``shared``, where a host carries desktops.
    """

    chunks: Chunks
    joules: Floats
    covered: Floats
    won: Floats
    won_covered: Floats
    bias: Floats
    shared: Shared | None = None
    beside: tuple[Beside, ...] = ()


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of whole devices, row by row: place of its basis in :data:`WINNERS`, and how to work it out.

    ``count`` returns joules and covered seconds, (frames, devices, rows) each; a coarse one is asked only where a finer
    one lacks something.
    """

    basis: int
    count: Callable[[], tuple[Floats, Floats]]


def split(utc: Ints, values: Floats) -> tuple[Chunks, Floats]:
    """Return the chunks of frames and the values summed into them.

    Args:
        utc: times of rows with the state's in front, not falling, shape (frames, 1 + rows) [ns].
        values: what each interval holds, shape (frames, columns, rows).

    Returns:
        Chunks, sorted by frame and slot, and values of shape (chunks, columns).
    """
    width = energy.SLOT_SECONDS * SECOND
    first, last = utc[:, 0] // width, np.maximum(utc[:, -1] - 1, utc[:, 0]) // width
    whole = np.flatnonzero(first == last)
    cut = np.flatnonzero(first != last)
    elapsed = (utc[whole, -1] - utc[whole, 0]) / SECOND
    chunks, sums = Chunks(whole, first[whole], elapsed), values[whole].sum(axis=2)
    if not len(cut):
        return chunks, sums
    more, more_sums = _split_cut(utc[cut], values[cut], width)
    frame = np.concatenate((chunks.frame, cut[more.frame]))
    order = np.argsort(frame, kind="stable")
    joined = Chunks(
        frame[order],
        np.concatenate((chunks.slot, more.slot))[order],
        np.concatenate((chunks.elapsed, more.elapsed))[order],
    )
    return joined, np.concatenate((sums, more_sums))[order]


def _split_cut(utc: Ints, values: Floats, width: int) -> tuple[Chunks, Floats]:
    frames, columns, rows = values.shape
    start, end = utc[:, :-1].ravel(), utc[:, 1:].ravel()
    slot = start // width
    pieces = np.maximum((end - 1) // width, slot) - slot + 1
    interval = np.repeat(np.arange(frames * rows), pieces)
    behind = np.arange(len(interval)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    at = slot[interval] + behind
    lasted = np.minimum(end[interval], (at + 1) * width) - np.maximum(start[interval], at * width)
    span = (end - start)[interval]
    share = np.where(span > 0, lasted / np.maximum(span, 1), 1.0)
    flat = values.transpose(0, 2, 1).reshape(frames * rows, columns)
    parts = flat[interval] * share[:, None]
    frame = interval // rows
    begins = np.flatnonzero(np.r_[True, (frame[1:] != frame[:-1]) | (at[1:] != at[:-1])])
    elapsed = np.add.reduceat(lasted / SECOND, begins)
    return Chunks(frame[begins], at[begins], elapsed), np.add.reduceat(parts, begins, axis=0)


def too_wide(utc: Ints) -> NDArray[np.bool_]:
    """Return which frames span more slots than anyone believes; shape (frames,)."""
    return (utc[:, -1] - utc[:, 0]) // (energy.SLOT_SECONDS * SECOND) > MAX_SLOTS_IN_FRAME


def wide_work(utc: Ints, columns: int) -> Ints:
    """Return the values that each frame grows to when split, 0 where it has no more slots than rows; shape (frames,).

    Args:
        utc: (frames, 1 + rows) [ns].
        columns: of the schema.
    """
    width = energy.SLOT_SECONDS * SECOND
    slots = utc[:, -1] // width - utc[:, 0] // width + 1
    work: Ints = np.where(slots > utc.shape[1], slots * (columns + PER_SLOT), 0)
    return work


def count(
    group: GroupLayout, utc: Ints, columns: Floats, models: DeviceModels, policy: Policy = attribution.DEFAULT
) -> Counted:
    """Return what the devices of one group drew, by slot.

    Args:
        group: the meaning of the columns.
        utc: (frames, 1 + rows) [ns], the state's time in front.
        columns: cumulative columns of the whole schema with the state in front, (frames, columns, 1 + rows).
        models: of the group's devices, in order.
        policy: by which hosts' energy goes to the desktops on them.
    """
    frames, _, more = columns.shape
    devices, sources = len(group.devices), len(group.sources)
    ours = columns[:, group.start : group.stop].reshape(frames, devices, group.columns, more)
    series = np.diff(ours[:, :, np.concatenate((group.joules, group.covered))], axis=3)
    elapsed = np.diff(utc) / SECOND
    estimates = _estimates(group, series, ours, models)
    bases, winner = _winner(estimates, elapsed, series.shape)
    carried = group.desktops
    told = sharing.told(carried, group.cpu, ours) if carried else ours[:, :, :0, 1:]
    learning, learnable = _learning(group, series, ours, models.assumed or models)
    values = np.concatenate((series, winner, learnable, told), axis=2)
    per_device = values.shape[2]
    chunks, sums = split(utc, values.reshape(frames, devices * per_device, more - 1))
    sums = sums.reshape(len(chunks.frame), devices, per_device)
    joules, covered = sums[:, :, :sources], sums[:, :, sources : 2 * sources]
    won, won_covered = (np.zeros((len(chunks.frame), devices, len(WINNERS))) for _ in range(2))
    start = 2 * sources + len(bases)
    won[:, :, bases] = sums[:, :, 2 * sources : start]
    won_covered[:, :, bases] = sums[:, :, start : start + len(bases)]
    relative = np.stack((models.u_meter, models.u_component, models.u_load), axis=2)[chunks.frame]
    bias = np.abs(won) * np.nan_to_num(relative)
    _by_calibrated_load(group, models, chunks, (won, won_covered, bias))
    start += len(bases)
    shared, past = None, start + 2 * len(learning)
    if carried:
        idle = models.watts[chunks.frame, :, 0]
        shared = sharing.shared(carried, won, won_covered, idle, sums[:, :, past:], policy)
    pairs = sums[:, :, start:past]
    beside = [Beside(key, pairs[:, :, 2 * k], pairs[:, :, 2 * k + 1]) for k, key in enumerate(learning)]
    for line, seconds in shared.sessions if shared else ():
        key = SourceKey(sharing.SESSIONS, line.text, "", MEASURED.basis)
        beside.append(Beside(key, np.zeros_like(seconds), seconds))
    return Counted(chunks, joules, covered, won, won_covered, bias, shared, tuple(beside))


def _by_calibrated_load(
    group: GroupLayout, models: DeviceModels, chunks: Chunks, columns: tuple[Floats, Floats, Floats]
) -> None:
    """Move the energy by a calibrated curve of the load from assumed to modelled, in place.

    Nothing else is assumed of a device but by its load, unless its agent says so: then nobody can tell the two apart.
    """
    if models.by_load is None or group.assumed or not _has_load(group):
        return
    learnt = models.by_load[chunks.frame]
    to, of = WINNERS.index(MODELLED), WINNERS.index(ASSUMED)
    for column in columns:
        column[:, :, to] += np.where(learnt, column[:, :, of], 0.0)
        column[:, :, of] = np.where(learnt, 0.0, column[:, :, of])


def _learning(group: GroupLayout, series: Floats, ours: Floats, models: DeviceModels) -> tuple[list[SourceKey], Floats]:
    """Return what the assumed models say of metered machines, in two parts each (see ``calibrated``).

    Returns:
        The series, and joules and covered seconds of each in turn, shape (frames, devices, 2 × series, rows).
    """
    if not group.meters or not (group.components or _has_load(group)):
        return [], series[:, :, :0]
    keys, columns = [], []
    if group.components:
        joules, covered = _at_the_wall(group, series, ours, models)
        metered = np.where(covered > 0, _of_components(group, series)[0] / models.efficiency[:, :, None], 0.0)
        keys += [SourceKey(LEARNING, f"components/{part}", "wall", BASIS_OF["components"]) for part in PARTS]
        columns += [joules - metered, covered, metered, covered]
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
        anything & bool(group.modelled) | at_the_wall & bool(group.components) | by_load & learnt & _has_load(group),
        anything & bool(group.assumed) | by_load & ~learnt & _has_load(group),
    )
    return np.stack(found, axis=-1)


def _has_load(group: GroupLayout) -> bool:
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
    return joules[:, :, parts].sum(axis=2), covered[:, :, parts].min(axis=2)


def _of_components(group: GroupLayout, series: Floats) -> tuple[Floats, Floats]:
    return _together(group, series, group.components)


def _at_the_wall(group: GroupLayout, series: Floats, ours: Floats, models: DeviceModels) -> tuple[Floats, Floats]:
    """Return joules and covered seconds at the wall from the components' counters, (frames, devices, rows) each."""
    j, c = _of_components(group, series)
    seconds = c - _platform_seconds(group, c, ours)
    beside = np.where(seconds != 0, models.base[:, :, None] * seconds, 0.0)
    # What psys saw of a time in which at first the packages counted comes in a later row, its seconds with it.
    wall = np.maximum(power.wall_from_components(j, beside, models.efficiency[:, :, None]), 0.0)
    known = np.isfinite(wall)
    return np.where(known, wall, 0.0), np.where(known, c, 0.0)


def _platform_seconds(group: GroupLayout, covered: Floats, ours: Floats) -> Floats | float:
    """Return the seconds in which nothing stands beside what the components' counters hold."""
    if group.platform_seconds is None:
        return covered if group.platform else 0.0
    seconds: Floats = np.diff(ours[:, :, group.platform_seconds], axis=2)
    return seconds


def _estimates(group: GroupLayout, series: Floats, ours: Floats, models: DeviceModels) -> list[Estimate]:
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


def _winner(estimates: list[Estimate], elapsed: Floats, shape: tuple[int, ...]) -> tuple[list[int], Floats]:
    """Return what the finest estimate of each moment says, row by row.

    The finest has all that it counted. A coarser one has its own power for the seconds of each row that the finer ones
    lack, so that it is the same in one large frame as in many small ones.

    Args:
        estimates: finest first.
        elapsed: between rows, shape (frames, rows) [s].
        shape: (frames, devices, anything, rows).

    Returns:
        Places in :data:`WINNERS`, and joules of each, then seconds of each, shape (frames, devices, 2 × places, rows).
    """
    frames, devices, _, rows = shape
    if not estimates:
        return [], np.zeros((frames, devices, 0, rows))
    finest, *coarser = estimates
    joules, covered = finest.count()
    lack = _lack(covered, elapsed[:, None]) if coarser else np.zeros(())
    lack = _without_late(lack, covered, elapsed[:, None]) if lack.any() else lack
    if not lack.any():
        return [finest.basis], np.stack((joules, covered), axis=2)
    bases = sorted({e.basis for e in estimates})
    out = np.zeros((frames, devices, 2 * len(bases), rows))
    place = bases.index(finest.basis)
    out[:, :, place], out[:, :, len(bases) + place] = joules, covered
    frame, device = np.nonzero(lack.any(axis=-1))
    span = elapsed[frame]
    done = span - lack[frame, device]
    for estimate in coarser:
        place = bases.index(estimate.basis)
        joules, covered = (column[frame, device] for column in estimate.count())
        has = span - _lack(covered, span)
        adds = np.maximum(has - done, 0.0)
        out[frame, device, place] += _power(joules, covered) * adds
        out[frame, device, len(bases) + place] += adds
        done = np.maximum(done, has)
    return bases, out


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
