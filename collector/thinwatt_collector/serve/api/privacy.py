"""Law 7 for every figure of endpoints that everybody may see: /api/v1, the page and /metrics. Pure.

**The rule.** A host is nobody's: its figures are shown as they are. The energy of endpoints is first cut into *cells*,
once, the same for every question; the role ``public`` is answered with sums of whole cells and nothing else.

**The cells** of a class (the made-up devices apart) are those of one local day of the site, cut in two ways:

1. *In time*: slots in a row, up to and including one in which at least five devices were heard; what is left at the
   end of the day joins the last of these blocks. The one PC that runs at night is in a block with the morning. A day
   without a slot of five devices has no cell: it is in no total either.
2. *In place* (and by model and basis), of the whole day: a room's devices of one model and basis stand alone if they
   are five. Those that are not join others of their room: first other models, then other bases, then the other pools;
   then other rooms of their building, other buildings of their site, other sites. "other" and "mixed" are their names.

Questions by class only are answered from the first cut, all others from the second. Each cell by itself is of five
devices. The two cuts cross: what a room drew in an hour is in neither. That no sum and no difference of cells of both
is a figure of fewer than five devices needs one thing more, :func:`tied`, which is looked at before a cut is used; the
proof stands in docs/decisions/one-publication.md. A cut in place that is not tied to that in time is made coarser.

**A day that is not over** has the cut in time only, and without its last block, of which nobody knows yet what will
join it: so what is shown today is a sum of cells of the day when it is over. *Rows once shown are not read again* (see
``published.py``): otherwise the energy of one device that comes late would be the difference of two answers.

Devices are counted from below: those of one model in two bases are counted once, models and places have no device in
common, and the fullest slot counts. What the ledger says is "heard", with or without energy.

Technical and admin see all groups, and single devices; of endpoints only the last 30 days one by one (older rows are
folded into their group).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from thinwatt_collector.inventory.places import LEVELS, place_of
from thinwatt_collector.serve.api.books import PLACE
from thinwatt_collector.serve.api.rows import (
    Chosen,
    Ints,
    Mask,
    Objects,
    Rows,
    codes,
    empty,
    joined,
    summed,
    texts,
    whole,
)
from thinwatt_collector.units import Seconds

Role = Literal["public", "technical", "admin"]
ROLES: Final[tuple[Role, ...]] = ("public", "technical", "admin")

K: Final = 5
"""Endpoint figures are of at least this many devices."""
NOBODYS: Final = frozenset({"host"})
"""Classes whose devices are nobody's."""
FINE: Final = ("class", "model", "basis", "simulated", PLACE)
"""What rows must be grouped by before they are cut into cells."""
PRICE: Final = "price"
"""The dimension that holds the key of a price, or several, a line each."""
DIMS: Final = ("class", "model", "basis", "simulated", *LEVELS, PRICE)
"""What cells tell of themselves."""
OTHER: Final = "other"
VAGUE: Final = ("model", "basis", *LEVELS)
"""What a cell that is withheld does not tell of itself."""
MIXED: Final = "mixed"
FOLDED: Final = "(folded)"
KEPT: Final = 30 * 86_400
"""Endpoints stand one by one for 30 days [s]."""
SLOT: Final = 900
COARSER: Final = (6, 5, 4, 3, 2, 1, 0)
"""How many of site, building, room, pool, basis and model are told apart at most, from fine to coarse."""


@dataclass(frozen=True, slots=True)
class Cells:
    """What may be shown of endpoints: ``rows`` begins where a cell does, ``end`` is where it ends [s], shape (n,).

    ``expected`` is the time of the slots in which its devices were heard, added up over devices [s].
    """

    rows: Rows
    end: Ints
    expected: Seconds

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, chosen: Chosen) -> Cells:
        """Return the chosen cells: the same where all are."""
        if whole(chosen):
            return self
        return Cells(self.rows.at(chosen), self.end[chosen], self.expected[chosen])


NO_CELLS: Final = Cells(empty(DIMS), np.zeros(0, np.int64), np.zeros(0))


@dataclass(frozen=True, slots=True)
class Cuts:
    """One energy of endpoints, cut in time and cut in place; a day that is not over has no cut in place yet."""

    time: Cells = NO_CELLS
    place: Cells = NO_CELLS


def sees_all(role: Role) -> bool:
    """Return whether a role sees figures of any number of devices."""
    return role != "public"


def cells(fine: Rows, over: bool, step: int = SLOT) -> Cuts:
    """Return the cells of one local day.

    Args:
        fine: of that day, one row a slot and :data:`FINE`; rows of hosts are passed over.
        over: whether the day is over and its rows will not be read again.
        step: how long a row is [s]: an hour, of old days.
    """
    fine = fine.at(~nobodys(fine))
    if not len(fine):
        return Cuts()
    group, _ = codes(fine.dims["class"], fine.dims["simulated"])
    order = np.argsort(group, kind="stable")
    limits = np.flatnonzero(np.diff(group[order])) + 1
    made = [_of_class(fine.at(chosen), over, step) for chosen in np.split(order, limits)]
    return Cuts(together([m.time for m in made]), together([m.place for m in made]))


def together(parts: Sequence[Cells]) -> Cells:
    """Return the cells of all parts."""
    parts = [p for p in parts if len(p)] or [NO_CELLS]
    if len(parts) == 1:
        return parts[0]
    return Cells(
        joined([p.rows for p in parts], DIMS),
        np.concatenate([p.end for p in parts]),
        np.concatenate([p.expected for p in parts]),
    )


def nobodys(rows: Rows) -> Mask:
    """Return which rows are of classes that are nobody's; ``class`` must be one of the dimensions."""
    return np.array([kind in NOBODYS for kind in rows.dims["class"]], np.bool_)


class Heard:
    """How many devices of a class were heard in each slot, by leaf: place, model and basis.

    Attributes:
        leaf: number of each row's leaf, shape (n,).
        slot: number of each row's slot, likewise.
        slots: their beginnings [s].
        first: a row of each leaf.
        count: devices, shape (leaves, slots).
    """

    def __init__(self, fine: Rows) -> None:
        self.slots, slot = np.unique(fine.begin, return_inverse=True)
        self.slot = slot.reshape(len(fine)).astype(np.int64)
        self.leaf, self.first = codes(fine.dims[PLACE], fine.dims["model"], fine.dims["basis"])
        self.count = np.zeros((len(self.first), len(self.slots)), np.int64)
        np.maximum.at(self.count, (self.leaf, self.slot), fine.devices)
        # Devices of one place and model may be in several bases: those of the fullest count.
        self._who, _ = codes(fine.dims[PLACE][self.first], fine.dims["model"][self.first])

    def of(self, leaves: Sequence[int] | Ints, there: Mask | None = None) -> Ints:
        """Return at least how many different devices of some leaves were heard in each slot, shape of ``slots``.

        ``there`` tells of each leaf and slot whether it counts.
        """
        chosen = np.asarray(leaves, np.int64)
        found: Ints = self._in(np.zeros(len(chosen), np.int64), chosen, there)[0]
        return found

    def by(self, part: Ints) -> Ints:
        """Return the same for each part: ``part`` numbers those of the leaves; shape (parts, slots)."""
        return self._in(part, np.arange(len(part)), None)

    def _in(self, part: Ints, leaves: Ints, there: Mask | None) -> Ints:
        count, who = self.count[leaves], self._who[leaves]
        if there is not None:
            count = np.where(there[leaves], count, 0)
        order = np.lexsort((who, part))
        part, who = part[order], who[order]
        fresh = np.diff(part, prepend=-1) != 0
        starts = np.flatnonzero(fresh | (np.diff(who, prepend=-1) != 0))
        fullest = np.maximum.reduceat(count[order], starts, axis=0)
        found: Ints = np.add.reduceat(fullest, np.flatnonzero(fresh[starts]), axis=0)
        return found


def _of_class(fine: Rows, over: bool, step: int) -> Cuts:
    heard = Heard(fine)
    count = heard.of(range(len(heard.first)))
    closed = np.flatnonzero(count >= K)
    if not over:
        # Nothing is known of the last block but that it is not over.
        closed = closed[:-1]
    if not len(closed):
        return Cuts()
    if not over:
        fine = fine.at(heard.slot <= closed[-1])
        heard = Heard(fine)
        count = count[: len(heard.slots)]
    # A block ends with a full slot; the last one takes what is left of the day.
    block = np.minimum(np.searchsorted(closed, np.arange(len(heard.slots))), len(closed) - 1).astype(np.int64)
    starts = _starts(block)
    begins = heard.slots[starts]
    ends = np.append(heard.slots[starts[1:] - 1], heard.slots[-1]) + step
    inside = np.maximum.reduceat(heard.count, starts, axis=1) > 0
    sums = fine.added_up(block[heard.slot], len(begins))
    rows = Rows(begins, _names(fine, heard, inside), *sums, np.maximum.reduceat(count, starts))
    in_time = Cells(rows, ends, np.add.reduceat(count, starts) * float(step))
    if not over:
        return Cuts(in_time)
    part = parts(fine, heard, block)
    counts = heard.by(part)
    n = len(counts)
    sums = fine.added_up(part[heard.leaf], n)
    names = _names(fine, heard, part[:, None] == np.arange(n))
    # All cells have the limits of the whole: a cell's own would tell when its devices were on.
    rows = Rows(np.full(n, begins[0]), names, *sums, counts.max(axis=1))
    return Cuts(in_time, Cells(rows, np.full(n, ends[-1]), counts.sum(axis=1) * float(step)))


def _starts(block: Ints) -> Ints:
    return np.flatnonzero(np.diff(block, prepend=-1)).astype(np.int64)


def _names(fine: Rows, heard: Heard, inside: Mask) -> dict[str, Objects]:
    """Return what cells tell of themselves; ``inside`` tells which leaves are in which, shape (leaves, cells).

    What the leaves of one do not have in common is "other", "mixed", or a list of prices.
    """
    places = [place_of(key) for key in fine.dims[PLACE][heard.first].tolist()]
    of: dict[str, list[str]] = {name: fine.dims[name][heard.first].tolist() for name in DIMS[:4]}
    of |= {level: [place.level(level) for place in places] for level in LEVELS}
    of[PRICE] = [place.terms.key for place in places]
    return {name: _common(name, of[name], inside) for name in DIMS}


def _common(name: str, told: list[str], inside: Mask) -> Objects:
    known = sorted(set(told))
    if len(known) == 1:
        return texts(known * inside.shape[1])
    rank = np.array([known.index(text) for text in told])[:, None]
    least = np.where(inside, rank, len(known)).min(axis=0)
    most = np.where(inside, rank, -1).max(axis=0)
    different = MIXED if name == "basis" else OTHER
    found = [known[a] if a == b else different for a, b in zip(least.tolist(), most.tolist(), strict=True)]
    if name == PRICE:
        for cell in np.flatnonzero(least != most).tolist():
            found[cell] = "\n".join(sorted({told[leaf] for leaf in np.flatnonzero(inside[:, cell]).tolist()}))
    return texts(found)


def parts(fine: Rows, heard: Heard, block: Ints) -> Ints:
    """Return the number of the part that each leaf is in: the finest cut in place that is tied to that in time.

    Args:
        fine: rows of a class and day.
        heard: its devices.
        block: number of each slot's block.
    """
    first = heard.first
    places = [place_of(key) for key in fine.dims[PLACE][first].tolist()]
    bases, models = fine.dims["basis"][first].tolist(), fine.dims["model"][first].tolist()
    paths = [
        ((p.establishment, p.site), p.building, p.room, p.pool, basis, model)
        for p, basis, model in zip(places, bases, models, strict=True)
    ]
    part = np.zeros(len(paths), np.int64)
    for depth in COARSER:
        for number, leaves in enumerate(_grown(paths, depth, heard)):
            part[leaves] = number
        if depth == 0 or tied(heard, part, block):
            break
    return part


Path = tuple[object, ...]
Part = tuple[int, list[int]]
"""How many devices at least, and which leaves."""


def _grown(paths: Sequence[Path], depth: int, heard: Heard) -> list[list[int]]:
    """Return parts of at least five devices: leaves of one path up to ``depth``, and the few joined to their nearest.

    From the inside out: the parts of a room that are too few are one, into which others of the room follow until it has
    five; what has not five with all of the room is one of the building's few, and so on.
    """
    members: dict[Path, list[int]] = {}
    for leaf, path in enumerate(paths):
        members.setdefault(path[:depth], []).append(leaf)
    number = np.zeros(len(paths), np.int64)
    for at, leaves in enumerate(members.values()):
        number[leaves] = at
    sizes = heard.by(number).max(axis=1).tolist()
    found = {path: [(size, leaves)] for size, (path, leaves) in zip(sizes, members.items(), strict=True)}
    for length in range(depth - 1, -1, -1):
        around: dict[Path, list[Part]] = {}
        for path, same in found.items():
            around.setdefault(path[:length], []).extend(same)
        found = {path: _joined(same, heard) for path, same in around.items()}
    return [leaves for same in found.values() for _, leaves in same]


def _joined(same: list[Part], heard: Heard) -> list[Part]:
    few = [leaf for size, leaves in same if size < K for leaf in leaves]
    if not few:
        return same
    # What is mixed already loses least, then the smallest.
    enough = sorted((part for part in same if part[0] >= K), key=lambda part: (len(part[1]) > 1, -part[0], part[1]))
    size = int(heard.of(few).max())
    while size < K and enough:
        few += enough.pop()[1]
        size = int(heard.of(few).max())
    return [*enough, (size, sorted(few))]


def tied(heard: Heard, part: Ints, block: Ints) -> bool:
    """Return whether no combination of blocks and parts leaves a figure of fewer than five devices.

    Blocks and parts are the nodes of a graph, the devices of a part heard in a block what goes between them. Nodes
    with five devices between them go together, and so do two groups with five devices between all of the one and all of
    the other. If in the end nothing goes from one group to another, all weights in a group cancel.
    """
    between = np.maximum.reduceat(heard.by(part), _starts(block), axis=1)
    group = _connected(between >= K)
    of_leaf, of_slot = group[: len(between)][part][:, None], group[len(between) :][block][None, :]
    while (crossing := (heard.count > 0) & (of_leaf != of_slot)).any():
        leaves, slots = np.nonzero(crossing)
        ends = np.sort(np.stack((of_leaf[leaves, 0], of_slot[0, slots])), axis=0)
        for one, other in np.unique(ends, axis=1).T.tolist():
            ours = ((of_leaf == one) & (of_slot == other)) | ((of_leaf == other) & (of_slot == one))
            if int(heard.of(range(len(part)), ours).max()) >= K:
                of_leaf, of_slot = (np.where(of == other, one, of) for of in (of_leaf, of_slot))
                break
        else:
            return False
    return True


def _connected(edges: Mask) -> Ints:
    """Return the group of each node of a bipartite graph, rows first; the least number of its nodes names a group."""
    rows, columns = np.arange(edges.shape[0]), np.arange(edges.shape[0], sum(edges.shape))
    nobody = sum(edges.shape)
    while True:
        of_columns = np.minimum(columns, np.where(edges, rows[:, None], nobody).min(axis=0))
        of_rows = np.minimum(rows, np.where(edges, of_columns[None, :], nobody).min(axis=1))
        if np.array_equal(of_rows, rows) and np.array_equal(of_columns, columns):
            return np.concatenate((rows, columns)).astype(np.int64)
        rows, columns = of_rows, of_columns


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
    within = (first_bucket == last_bucket) & (rows.begin >= lower[first_bucket]) & (ends <= upper[first_bucket])
    sums = summed(_moved(rows.at(within), edges[first_bucket[within]]), by)
    cut = _touched(rows.at(~within), first_bucket[~within], last_bucket[~within], edges, by)
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
    # By place, model or basis they are "other" and "mixed": so they hide no row of hosts, which are shown as they are.
    vague = {name: texts([MIXED if name == "basis" else OTHER] * len(rows)) for name in VAGUE}
    rows = replace(rows, dims={**rows.dims, **{name: of for name, of in vague.items() if name in rows.dims}})
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
