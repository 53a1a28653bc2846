"""From cumulative columns to joules by device and slot: pure, over all frames of one schema at once.

An interval between two rows is split at slot boundaries in proportion to time. Every energy column of the agent is
kept as a series of its own; beside them stands the *winner*, the finest estimate of the whole device's energy for
each moment: a wall meter, a node meter, package counters brought to the wall, a load model. Where the finer one has
no coverage for longer than a failed reading or two, the next one fills in, under its own basis. What nothing covers
stays a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.layout import GroupLayout, SourceKey
from thinwatt_collector.models import energy, power

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SECOND: Final = 1_000_000_000
MAX_SLOTS_IN_FRAME: Final = 40_000
"""A frame that spans more slots than this (over a year) is refused: its clock is broken."""

SLIVER: Final = 1e-3
"""A frame that lacks less coverage than this has no gap: that is the time between two reads of one tick [s]."""
PER_SLOT: Final = 8
"""What a slot costs beside its columns, in values."""

PENDING: Final = 60.0
"""A finer source that lacks less than this in a frame may still be waiting for its next good reading, which then covers
the lack as well: what a coarser one filled in there would count twice [s]."""

MEASURED: Final = SourceKey("booked", "", "wall", "measured")
MODELLED: Final = SourceKey("booked", "", "wall", "modelled")
ASSUMED: Final = SourceKey("booked", "", "wall", "assumed")
WINNERS: Final = (MEASURED, MODELLED, ASSUMED)


@dataclass(frozen=True, slots=True)
class DeviceModels:
    """Power models of devices, aligned with the devices counted: shapes (frames, devices) or (frames, devices, 4).

    ``watts`` [W] at load 0, 10 %, 50 %, 100 %; ``base`` [W] beside the metered components; ``efficiency`` of the power
    supply; the ``u_…`` are relative standard uncertainties. NaN where a device has no model.
    """

    watts: Floats
    base: Floats
    efficiency: Floats
    u_meter: Floats
    u_component: Floats
    u_load: Floats


@dataclass(frozen=True, slots=True)
class Chunks:
    """A frame's share of a slot: index of the frame, slot, elapsed seconds; shapes (chunks,)."""

    frame: Ints
    slot: Ints
    elapsed: Floats


@dataclass(frozen=True, slots=True)
class Counted:
    """Joules and seconds of the devices of one group.

    ``joules`` and ``covered`` of the agent's series: (chunks, devices, sources). ``won`` and ``won_covered`` of the
    winner: (chunks, devices, 3), by :data:`WINNERS`; ``bias`` [J] likewise.
    """

    chunks: Chunks
    joules: Floats
    covered: Floats
    won: Floats
    won_covered: Floats
    bias: Floats


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


def count(group: GroupLayout, utc: Ints, columns: Floats, models: DeviceModels) -> Counted:
    """Return what the devices of one group drew, by slot.

    Args:
        group: the meaning of the columns.
        utc: (frames, 1 + rows) [ns], the state's time in front.
        columns: cumulative columns of the whole schema with the state in front, (frames, columns, 1 + rows).
        models: of the group's devices, in order.
    """
    frames, _, more = columns.shape
    devices, sources = len(group.devices), len(group.sources)
    ours = columns[:, group.start : group.stop].reshape(frames, devices, group.columns, more)
    series = np.diff(ours[:, :, np.concatenate((group.joules, group.covered))], axis=3)
    modelled = _load_model(group, ours, models)
    values = np.concatenate((series, modelled), axis=2)
    per_device = values.shape[2]
    chunks, sums = split(utc, values.reshape(frames, devices * per_device, more - 1))
    sums = sums.reshape(len(chunks.frame), devices, per_device)
    joules, covered = sums[:, :, :sources], sums[:, :, sources : 2 * sources]
    won, won_covered, bias = _winner(group, joules, covered, sums[:, :, 2 * sources :], _at(models, chunks.frame))
    return Counted(chunks, joules, covered, won, won_covered, bias)


def _at(models: DeviceModels, frame: Ints) -> DeviceModels:
    return DeviceModels(*(getattr(models, name)[frame] for name in DeviceModels.__dataclass_fields__))


def _load_model(group: GroupLayout, ours: Floats, models: DeviceModels) -> Floats:
    """Return joules and covered seconds of the load model, (frames, devices, 2, rows); 0 s where there is none."""
    frames, devices, _, more = ours.shape
    out = np.zeros((frames, devices, 2, more - 1))
    if group.cpu is None or group.cpu_capacity is None or group.load_covered is None:
        return out
    busy, capacity, covered = np.diff(
        ours[:, :, [group.cpu, group.cpu_capacity, group.load_covered]], axis=3
    ).transpose(2, 0, 1, 3)
    load = np.clip(np.divide(busy, capacity, out=np.zeros_like(busy), where=capacity > 0), 0.0, 1.0)
    watts = power.piecewise(load, power.LOAD_KNOTS, models.watts[:, :, None, :])
    known = np.isfinite(watts)
    out[:, :, 0] = np.where(known, watts, 0.0) * covered
    out[:, :, 1] = np.where(known, covered, 0.0)
    return out


def _winner(
    group: GroupLayout, joules: Floats, covered: Floats, load: Floats, models: DeviceModels
) -> tuple[Floats, Floats, Floats]:
    """Return joules, covered seconds and bias by basis, (chunks, devices, 3) each."""
    shape = (*joules.shape[:2], len(WINNERS))
    won, won_covered, bias = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    done = np.zeros(shape[:2])

    def take(j: Floats, c: Floats, basis: int, relative: Floats) -> None:
        left = c - done
        adds = np.where(left > np.where(done > 0, PENDING, 0.0), left, 0.0)
        taken = j * np.divide(adds, c, out=np.zeros_like(c), where=c > 0)
        won[:, :, basis] += taken
        won_covered[:, :, basis] += adds
        bias[:, :, basis] += np.abs(taken) * np.nan_to_num(relative)
        np.add(done, adds, out=done)

    for meter in group.meters:
        take(joules[:, :, meter].sum(axis=2), covered[:, :, meter].min(axis=2), 0, models.u_meter)
    if group.components:
        base = np.zeros_like(models.base) if group.platform else models.base
        c = covered[:, :, group.components].min(axis=2)
        wall = power.wall_from_components(joules[:, :, group.components].sum(axis=2), base * c, models.efficiency)
        known = np.isfinite(wall)
        take(np.where(known, wall, 0.0), np.where(known, c, 0.0), 1, models.u_component)
    take(load[:, :, 0], load[:, :, 1], 2, models.u_load)
    return won, won_covered, bias
