"""From cumulative columns to joules by device and slot: pure, over all frames of one schema at once.

An interval between two rows is split at slot boundaries in proportion to time. Every energy column of the agent is
kept as a series of its own; beside them stands the finest estimate of the whole device's energy for each moment
(winner.py), under its basis.

What a host is taken to have drawn is shared among the pools of the desktops on it (sharing.py), beside all this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector import sharing, winner
from thinwatt_collector.layout import GroupLayout, SourceKey
from thinwatt_collector.models import attribution, energy
from thinwatt_collector.models.attribution import Policy
from thinwatt_collector.models.devices import DeviceModels
from thinwatt_collector.sharing import Shared
from thinwatt_collector.winner import ASSUMED, MEASURED, MODELLED, WINNERS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SECOND: Final = 1_000_000_000
MAX_SLOTS_IN_FRAME: Final = 40_000
"""A frame that spans more slots than this (over a year) is refused: its clock is broken."""

PER_SLOT: Final = 8
"""What a slot costs beside its columns, in values."""


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
    ``filled`` of each device, for the next frame: (frames, devices) [s].
    """

    chunks: Chunks
    joules: Floats
    covered: Floats
    won: Floats
    won_covered: Floats
    bias: Floats
    shared: Shared | None = None
    beside: tuple[Beside, ...] = ()
    filled: Floats = field(default_factory=lambda: np.zeros((0, 0)))


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
    group: GroupLayout,
    utc: Ints,
    columns: Floats,
    models: DeviceModels,
    policy: Policy = attribution.DEFAULT,
    filled: Floats | None = None,
) -> Counted:
    """Return what the devices of one group drew, by slot.

    Args:
        group: the meaning of the columns.
        utc: (frames, 1 + rows) [ns], the state's time in front.
        columns: cumulative columns of the whole schema with the state in front, (frames, columns, 1 + rows).
        models: of the group's devices, in order.
        policy: by which hosts' energy goes to the desktops on them.
        filled: of each device, what was told of the frame before (winner.py), (frames, devices) [s]; None: nothing.
    """
    frames, _, more = columns.shape
    devices, sources = len(group.devices), len(group.sources)
    ours = columns[:, group.start : group.stop].reshape(frames, devices, group.columns, more)
    series = np.diff(ours[:, :, np.concatenate((group.joules, group.covered))], axis=3)
    elapsed = np.diff(utc) / SECOND
    told_of = winner.estimates(group, series, ours, models)
    before = np.zeros((frames, devices)) if filled is None else filled
    bases, best, filled = winner.finest(told_of, elapsed, series.shape, before)
    carried = group.desktops
    told = sharing.told(carried, group.cpu, ours) if carried else ours[:, :, :0, 1:]
    lessons, learnable = winner.learning(group, series, ours, models.assumed or models)
    values = np.concatenate((series, best, learnable, told), axis=2)
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
    shared, past = None, start + 2 * len(lessons)
    if carried:
        idle = models.watts[chunks.frame, :, 0]
        shared = sharing.shared(carried, won, won_covered, idle, sums[:, :, past:], policy)
    pairs = sums[:, :, start:past]
    beside = [Beside(key, pairs[:, :, 2 * k], pairs[:, :, 2 * k + 1]) for k, key in enumerate(lessons)]
    for line, seconds in shared.sessions if shared else ():
        key = SourceKey(sharing.SESSIONS, line.text, "", MEASURED.basis)
        beside.append(Beside(key, np.zeros_like(seconds), seconds))
    return Counted(chunks, joules, covered, won, won_covered, bias, shared, tuple(beside), filled)


def _by_calibrated_load(
    group: GroupLayout, models: DeviceModels, chunks: Chunks, columns: tuple[Floats, Floats, Floats]
) -> None:
    """Move the energy by a calibrated curve of the load from assumed to modelled, in place.

    Nothing else is assumed of a device but by its load, unless its agent says so: then nobody can tell the two apart.
    """
    if models.by_load is None or group.assumed or not winner.has_load(group):
        return
    learnt = models.by_load[chunks.frame]
    to, of = WINNERS.index(MODELLED), WINNERS.index(ASSUMED)
    for column in columns:
        column[:, :, to] += np.where(learnt, column[:, :, of], 0.0)
        column[:, :, of] = np.where(learnt, 0.0, column[:, :, of])
