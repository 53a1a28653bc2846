"""Law 7 for every figure of the API: what a role sees. Pure.

**The rule.** A host is nobody's: its figures are shown as they are. The energy of endpoints is first cut into *cells*,
once, the same for every question; each holds what five devices or more drew. The role ``public`` is answered with sums
of whole cells and nothing else. So whatever is asked, in whatever window, grain, time zone, grouping and filter, and
whatever is subtracted from whatever, every figure is a sum over cells, and no combination of cells is a figure of
fewer than five devices: cells do not overlap. There is no secondary suppression to get right: a remainder is a sum of
cells too.

**The cells** of a class (the made-up devices apart) are those of one local day of the site:

1. In time: slots in a row, up to and including one in which at least five devices were heard; what is left at the
   end of the day joins the last of these blocks. The one PC that runs at night is in a block with the morning. A day
   without a slot of five devices has no cell: it is in no total either.
2. By model and basis: within a day, a pair of them stands alone if in each block it has no device or at least five. The
   others are one cell a block, "other" or "mixed", into which the smallest pair follows until it has five as well. All
   pairs in all blocks are one partition: two overlapping ones, by time and by model, would let a difference isolate the
   few devices of a crossing.

**A day that is not over** is shown by class only, and without its last block, of which nobody knows yet what will join
it: so what is shown today is a sum of cells of the day when it is over. *Rows once shown are not read again* (see
``published.py``): otherwise the energy of one device that comes late would be the difference of two answers.

Devices are counted from below: those of one model in two bases are counted once, models have no device in common, and
of a block the fullest slot counts. What the ledger says is "heard", with or without energy.

Technical and admin see all groups, and single devices; of endpoints only the last 30 days one by one (older rows are
folded into their group).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from thinwatt_collector.serve.api.rows import Ints, Mask, Objects, Rows, codes, empty, joined, summed, texts
from thinwatt_collector.units import Seconds

Role = Literal["public", "technical", "admin"]
ROLES: Final[tuple[Role, ...]] = ("public", "technical", "admin")

K: Final = 5
"""Endpoint figures are of at least this many devices."""
NOBODYS: Final = frozenset({"host"})
"""Classes whose devices are nobody's."""
FINE: Final = ("class", "model", "basis", "simulated")
"""What rows must be grouped by before they are cut into cells."""
OTHER: Final = "other"
MIXED: Final = "mixed"
FOLDED: Final = "(folded)"
KEPT: Final = 30 * 86_400
"""Endpoints stand one by one for 30 days [s]."""
SLOT: Final = 900


@dataclass(frozen=True, slots=True)
class Cells:
    """What may be shown of endpoints: ``rows`` begins where a cell does, ``end`` is where it ends [s], shape (n,).

    ``expected`` is the time of the slots in which its devices were heard, added up over devices [s].
    """

    rows: Rows
    end: Ints
    expected: Seconds

    def at(self, chosen: Mask) -> Cells:
        """Return the chosen cells."""
        return Cells(self.rows.at(chosen), self.end[chosen], self.expected[chosen])


NO_CELLS: Final = Cells(empty(FINE), np.zeros(0, np.int64), np.zeros(0))


def sees_all(role: Role) -> bool:
    """Return whether a role sees figures of any number of devices."""
    return role != "public"


def cells(fine: Rows, over: bool, step: int = SLOT) -> Cells:
    """Return the cells of one local day.

    Args:
        fine: of that day, one row a slot and :data:`FINE`; rows of hosts are passed over.
        over: whether the day is over and its rows will not be read again.
        step: how long a row is [s]: an hour, of old days of which the slots are kept no longer.
    """
    fine = fine.at(~nobodys(fine))
    if not len(fine):
        return NO_CELLS
    group, _ = codes(fine.dims["class"], fine.dims["simulated"])
    made = [_of_group(fine.at(group == g), over, step) for g in range(int(group.max()) + 1)]
    return together(made)


def together(parts: Sequence[Cells]) -> Cells:
    """Return the cells of all parts."""
    parts = [NO_CELLS, *parts]
    return Cells(
        joined([p.rows for p in parts], FINE),
        np.concatenate([p.end for p in parts]),
        np.concatenate([p.expected for p in parts]),
    )


def nobodys(rows: Rows) -> Mask:
    """Return which rows are of classes that are nobody's; ``class`` must be one of the dimensions."""
    return np.array([kind in NOBODYS for kind in rows.dims["class"]], np.bool_)


def _of_group(fine: Rows, over: bool, step: int) -> Cells:
    """Return the cells of one class."""
    slots = np.unique(fine.begin)
    closed = np.flatnonzero(_heard(fine, slots) >= K)
    if not over:
        # Nothing is known of the last block but that it is not over.
        closed = closed[:-1]
    if not len(closed):
        return NO_CELLS
    if not over:
        fine = fine.at(fine.begin <= slots[closed[-1]])
    # A block ends with a full slot; the last one takes what is left of the day.
    block = np.minimum(np.searchsorted(slots[closed], fine.begin), len(closed) - 1)
    pair, first = codes(fine.dims["model"], fine.dims["basis"])
    alone = _alone(fine, block, pair, len(first), len(closed)) if over else np.zeros(len(first), np.bool_)
    return _cut(fine, block, np.where(alone[pair], pair, -1), step)


def _heard(rows: Rows, slots: Ints) -> Ints:
    """Return at least how many devices were heard in each slot, shape of ``slots``."""
    by_model = summed(rows, ("model",))  # of a model's bases the one with most devices: one device may be in each
    at = np.searchsorted(slots, by_model.begin)
    return np.bincount(at, by_model.devices, len(slots)).astype(np.int64)


def _alone(fine: Rows, block: Ints, pair: Ints, pairs: int, blocks: int) -> Mask:
    """Return which pairs of model and basis stand alone, shape (pairs,)."""
    counts = np.zeros((pairs, blocks), np.int64)
    np.maximum.at(counts, (pair, block), fine.devices)
    there = np.zeros((pairs, blocks), np.bool_)
    there[pair, block] = True
    alone: Mask = np.all(~there | (counts >= K), axis=1)
    smallest = np.where(there, counts, np.iinfo(np.int64).max).min(axis=1)
    while not alone.all():
        rest = ~alone[pair]
        if _enough(fine.at(rest), block[rest]) or not alone.any():
            break
        at = np.flatnonzero(alone)
        alone[at[np.argmin(smallest[at])]] = False
    return alone


def _enough(rows: Rows, block: Ints) -> bool:
    """Return whether rows have five devices in each block in which they have any."""
    slots, at = np.unique(rows.begin, return_inverse=True)
    heard = _heard(rows, slots)
    most = np.zeros(int(block.max()) + 1, np.int64)
    np.maximum.at(most, block, heard[at])
    return bool((most[np.unique(block)] >= K).all())


def _cut(fine: Rows, block: Ints, part: Ints, step: int) -> Cells:
    """Return one cell a block and part; part -1 is what does not stand alone."""
    cell, first = codes(block, part)
    rest = part == -1
    names = {name: _named(fine.dims[name], rest, other) for name, other in (("model", OTHER), ("basis", MIXED))}
    slots, slot = np.unique(fine.begin, return_inverse=True)
    devices, expected = np.zeros(len(first), np.int64), np.zeros(len(first))
    for own in np.unique(part):
        mine = part == own
        heard = _heard(fine.at(mine), slots)
        at, which = np.unique(slot[mine], return_index=True)
        np.maximum.at(devices, cell[mine][which], heard[at])
        np.add.at(expected, cell[mine][which], heard[at] * float(step))
    # All cells of a block have its limits: a cell's own would tell when its devices were on.
    begin_of = np.full(int(block.max()) + 1, np.iinfo(np.int64).max)
    end_of = np.zeros(int(block.max()) + 1, np.int64)
    np.minimum.at(begin_of, block, fine.begin)
    np.maximum.at(end_of, block, fine.begin + step)
    begins, ends = begin_of[block[first]], end_of[block[first]]
    dims: dict[str, Objects] = {name: fine.dims[name][first] for name in ("class", "simulated")}
    dims |= {name: column[first] for name, column in names.items()}
    numbers = fine.added_up(cell, len(first))
    return Cells(Rows(begins, {name: dims[name] for name in FINE}, *numbers, devices), ends, expected)


def _named(column: Objects, rest: Mask, other: str) -> Objects:
    """Return the names of a dimension; those of the rest are one, unless they are all the same."""
    same = len(set(column[rest].tolist())) == 1
    return column if same else texts(np.where(rest, other, column))


def answer(published: Cells, edges: Ints, by: Sequence[str], window: tuple[int, int]) -> tuple[Rows, Rows]:
    """Return sums of cells by bucket, and the rows that are withheld since a cell reaches out of their bucket.

    Args:
        published: the cells that the question's filters leave.
        edges: limits of the buckets, rising, shape (m + 1,) [s].
        by: dimensions to group by.
        window: [begin, end) [s]; the first and last bucket are cut to it.

    Returns:
        Sums, and rows of which only ``begin`` and the dimensions mean anything: their numbers are NaN.
    """
    rows, ends = published.rows, published.end
    lower, upper = np.maximum(edges[:-1], window[0]), np.minimum(edges[1:], window[1])
    inside = (ends > window[0]) & (rows.begin < window[1])
    rows, ends = rows.at(inside), ends[inside]
    last = len(lower) - 1
    first_bucket = np.clip(np.searchsorted(edges, rows.begin, side="right") - 1, 0, last)
    last_bucket = np.clip(np.searchsorted(edges, ends, side="left") - 1, 0, last)
    whole = (first_bucket == last_bucket) & (rows.begin >= lower[first_bucket]) & (ends <= upper[first_bucket])
    sums = summed(_moved(rows.at(whole), edges[first_bucket[whole]]), by)
    cut = _touched(rows.at(~whole), first_bucket[~whole], last_bucket[~whole], edges, by)
    if not len(cut):
        return sums, cut
    keys = codes(np.concatenate([sums.begin, cut.begin]), *(np.concatenate([sums.dims[d], cut.dims[d]]) for d in by))[0]
    return sums.at(~np.isin(keys[: len(sums)], keys[len(sums) :])), cut


def _moved(rows: Rows, begin: Ints) -> Rows:
    return replace(rows, begin=begin)


def _touched(rows: Rows, first: Ints, last: Ints, edges: Ints, by: Sequence[str]) -> Rows:
    """Return one row without numbers for each bucket and group that a cell reaches into."""
    lengths = last - first + 1
    which = np.repeat(np.arange(len(rows)), lengths)
    offset = np.arange(len(which)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    found = summed(_moved(rows.at(which), edges[first[which] + offset]), by)
    unknown = np.full(len(found), np.nan)
    return Rows(found.begin, found.dims, unknown, unknown, unknown, unknown, np.zeros(len(found), np.int64))


def folded(rows: Rows, now: int) -> Rows:
    """Return rows with the names of endpoints taken away where they are older than 30 days.

    Args:
        rows: with the dimensions ``class`` and ``device``.
        now: UTC [s].
    """
    old = ~nobodys(rows) & (rows.begin < now - KEPT)
    dims = dict(rows.dims) | {"device": texts(np.where(old, FOLDED, rows.dims["device"]))}
    return summed(replace(rows, dims=dims), tuple(dims))
