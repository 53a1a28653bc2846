"""Counters that overlap, spliced into one that counts no joule twice. Pure: no file, no clock.

A :class:`Node` is a cumulative counter made of others. Each of its *ways* is some counters that together measure what
the node stands for, or less of it: psys, or all packages with their memory; a register, or its twin; one die, or all.
At every tick, and by each way whose counters all have news:

    node(now) ≥ node(then) + Σ (counter(now) - counter(then)),   then = the last tick at which they all had

and the node becomes the first or the largest of these, never less than it was. No way counts more than was drawn, so by
induction the node never does, whichever ways come, go, fail or lie still; and where one has it all, so has the node.
When a way comes back, what another counted in its stead is in the node already and is not added again.

A counter that stands still has no news: what runs never draws exactly 0 J. If it moves again within ``max_gap``, the
splice reaches back to where it stopped; later, it begins anew. Time that no way saw is not covered.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

from thinwatt_agent.counters import EnergyCounter, Instant, another_boot, elapsed

DIES: Final = "dies"
"""The way that takes all dies of a place."""
NEAR_SECONDS: Final = 0.1
NEAR_SHARE: Final = 1e-3
"""Two dies are alike where they are closer than 0.1 s of full power, and than 0.1 %: one is read after the other."""
SURELY_APART: Final = 2
SURELY_ALIKE: Final = 3
"""So many looks in a row make dies several, or one again."""


Ways = Mapping[str, "tuple[Leaf | Node, ...]"]


class Device(Protocol):
    """What a register hangs on: whether it was there when it was last looked for."""

    present: bool


@dataclass(frozen=True, slots=True)
class Look:
    """What a node had at a tick: joules, covered time [ns], and what those of its counters had that had news.

    ``ways`` are those that had news, each with the counters that it was made of then; ``told``: so had the node.
    """

    at: Instant
    joules: float
    covered: int
    whole: int
    members: Mapping[Leaf | Node, float]
    ways: Mapping[str, frozenset[Leaf | Node]]
    told: bool


@dataclass(frozen=True, slots=True)
class Reach:
    """What a node has now by one of its ways, spliced to a look back; ``whole`` is what a whole saw [ns]."""

    back: Look
    joules: float
    covered: int
    whole: int


class Leaf:
    """One register: what it measures (``domain``), by which driver (lower ``rank`` first), its name for people.

    ``at`` is the last tick at which it had news: it counted, or began. ``shown`` is the last number in it but 0 [J],
    believed or not, and ``moved`` whether this tick brought it.
    """

    __slots__ = ("_joules", "at", "counter", "device", "domain", "label", "max_gap", "moved", "rank", "shown")

    def __init__(
        self, label: str, domain: str, rank: int, counter: EnergyCounter, device: Device, max_gap: int
    ) -> None:
        self.label = label
        self.domain = domain
        self.rank = rank
        self.counter = counter
        self.device = device
        self.max_gap = max_gap
        self.at: Instant | None = None
        self.shown = 0.0
        self.moved = False
        self._joules = -1.0

    @property
    def joules(self) -> float:
        """Counted since tick 0 [J]."""
        return self.counter.joules

    @property
    def start(self) -> tuple[Instant, float] | None:
        """Where its unbroken run began, and what it had then [J]."""
        start = self.counter.start
        return (start[0], start[1] * self.counter.limits.unit) if start else None

    def reads(self, now: Instant) -> bool:
        """Whether this tick's reading is a good one."""
        return self.counter.last is not None and self.counter.last.at == now

    def update(self, now: Instant, tick: int) -> None:  # noqa: ARG002 - the form of a node
        """See whether it has news; its meter was read."""
        point = self.counter.candidates[-1] if self.counter.candidates else self.counter.last
        shown = point.value * self.counter.limits.unit if point and point.at == now else 0.0
        self.moved = shown not in (0.0, self.shown)
        self.shown = shown or self.shown
        began = self.counter.start is not None and self.counter.start[0] == now
        if self.reads(now) and (began or self.joules > self._joules):
            self.at, self._joules = now, self.joules

    def idle(self, now: Instant) -> bool:  # noqa: ARG002 - the form of a node
        """A register by itself is always asked for."""
        return False

    def still(self, now: Instant) -> bool:
        """Whether it has been read twice and has never moved."""
        return self.reads(now) and not self.joules and self.start is not None and self.start[0] != now

    def gone(self, now: Instant) -> bool:
        """Whether its device is away and has never counted, or has been away for longer than what is bridged."""
        if self.device.present:
            return False
        if not self.counter.covered:
            return True
        last = self.counter.last
        return last is None or another_boot(last.at, now) or elapsed(last.at, now) > self.max_gap

    def leaves(self) -> Iterator[Leaf]:
        """Yield the registers below, itself."""
        yield self

    def counting(self, now: Instant) -> Iterator[Leaf]:  # noqa: ARG002 - the form of a node
        """Yield those of them that count."""
        yield self


class Node:
    """A counter made of others.

    Args:
        max_gap: what is bridged at most [ns].
        largest: of several ways the one that has most counts (a whole and its parts); else (twins) the one that saw
            most of the time, spliced to the latest look, the first of those that are alike.
        optional: while it reads and has never moved, it is not wired up: a sum without it is not short of it.
    """

    def __init__(self, max_gap: int, *, largest: bool = False, optional: bool = False) -> None:
        self.max_gap = max_gap
        self.largest = largest
        self.optional = optional
        self.ways: Ways = {}
        self.wholes: dict[str, tuple[Leaf | Node, ...]] = {}
        self.joules = 0.0
        self.covered = 0
        self.whole = 0
        self.at: Instant | None = None
        self.start: tuple[Instant, float] | None = None
        self.chosen = ""
        self._begun_covered = 0
        self._looks: list[Look] = []
        self._tick = -1

    def begin(self, at: Instant) -> None:
        """Count from there: another process has counted up to then."""
        self._looks = [Look(at, 0.0, 0, 0, {}, {}, told=True)]

    def update(self, now: Instant, tick: int) -> None:
        """Take in what the counters below have after their readings of this tick."""
        if self._tick == tick:
            return
        self._tick = tick
        self._looks = [k for k in self._looks if not another_boot(k.at, now) and elapsed(k.at, now) <= self.max_gap]
        for member in self._members():
            member.update(now, tick)
        reached: dict[str, Reach] = {}
        ways: dict[str, frozenset[Leaf | Node]] = {}
        for name, way in self._open(now).items():
            needed = self._needed(way, now)
            if all(member.at == now for member in needed):
                ways[name] = frozenset(needed)
                reach = self._reach(name, needed, now)
                if reach:
                    reached[name] = reach
        if reached:
            self._take(reached, now)
        news = {member: member.joules for member in self._members() if member.at == now}
        look = Look(now, self.joules, self.covered, self.whole, news, ways, told=bool(reached))
        if ways and not reached and not self._awaits(ways):
            self._begin(look, now)
        self._looks.append(look)

    def _open(self, now: Instant) -> Ways:  # noqa: ARG002 - Place needs it
        """Return the ways that may count at this tick."""
        return self.ways

    def _members(self) -> Iterator[Leaf | Node]:
        return (member for way in self.ways.values() for member in way)

    def _needed(self, way: tuple[Leaf | Node, ...], now: Instant) -> tuple[Leaf | Node, ...]:
        there = tuple(member for member in way if not member.gone(now))
        return tuple(member for member in there if not member.idle(now)) or there or way

    def _reach(self, name: str, needed: tuple[Leaf | Node, ...], now: Instant) -> Reach | None:
        """Return what the node has by a way, from the last look at which all its counters had news and were unbroken.

        Where the node had none itself, an earlier look has more. It does not reach back beyond a look at which the way
        did without one of them.
        """
        starts = [member.start for member in needed]
        found: Reach | None = None
        for back in reversed(self._looks):
            if name in back.ways and not back.ways[name].issuperset(needed):
                break
            since = elapsed(back.at, now)
            rise = 0.0
            for member, start in zip(needed, starts, strict=True):
                if start is None or start[0].boottime > back.at.boottime:
                    return found
                if start[0].boottime == back.at.boottime:
                    rise += member.joules - start[1]
                elif member in back.members:
                    rise += member.joules - back.members[member]
                else:
                    break
            else:
                if since:
                    whole = back.whole + (since if name in self.wholes else 0)
                    found = Reach(back, back.joules + rise, back.covered + since, whole)
                    if back.told:
                        break
        return found

    def _take(self, reached: Mapping[str, Reach], now: Instant) -> None:
        self.chosen = max(reached, key=lambda name: self._worth(reached[name]))
        reach = reached[self.chosen]
        self.joules = max(self.joules, reach.joules)
        self.whole = max(self.whole, reach.whole)
        self.covered = max(self.covered, *(r.covered for r in reached.values()))
        self._begin(reach.back, now)

    def _worth(self, reach: Reach) -> tuple[float, int]:
        return (reach.joules, 0) if self.largest else (reach.covered, reach.back.at.boottime)

    def _begin(self, back: Look, now: Instant) -> None:
        """Have news; an unbroken run goes on, or begins at that look."""
        self.at = now
        run = self.start
        if run is None or another_boot(run[0], now) or self.covered - self._begun_covered != elapsed(run[0], now):
            self.start, self._begun_covered = (back.at, back.joules), back.covered

    def _awaits(self, begun: Container[str]) -> bool:
        """Whether another way may still bring what was drawn up to now."""
        others = {member for name, way in self.ways.items() if name not in begun for member in way}
        return any(not others.isdisjoint(look.members) for look in self._looks)

    def idle(self, now: Instant) -> bool:
        """Whether it reads and has never moved, where that says that it is not wired up."""
        return self.optional and not self.joules and any(leaf.still(now) for leaf in self.leaves())

    def gone(self, now: Instant) -> bool:
        """Whether all devices below have been away for longer than what is bridged."""
        return all(leaf.gone(now) for leaf in self.leaves())

    def leaves(self) -> Iterator[Leaf]:
        """Yield the registers below, each once."""
        yield from dict.fromkeys(leaf for member in self._members() for leaf in member.leaves())

    def counting(self, now: Instant) -> Iterator[Leaf]:
        """Yield the registers that counted at the last tick at which any did; before that, those that shall."""
        for member in self._needed(self.ways[self.chosen or self._first(now)], now):
            yield from member.counting(now)

    def _first(self, now: Instant) -> str:
        """Return the way that shall count as far as one reading tells: the first that reads; a whole, not 0."""
        for name, way in self._open(now).items():
            leaves = [leaf for member in way for leaf in member.leaves()]
            reads = all(any(leaf.reads(now) for leaf in m.leaves()) for m in way)
            if reads and (name not in self.wholes or any(leaf.shown for leaf in leaves)):
                return name
        return list(self.ways)[-1 if self.largest else 0]


class Place(Node):
    """A socket, or its memory, whose dies may have registers beside or instead of its own.

    Some processors have a register in each die (Intel Cascade Lake-AP), on others every die shows the one register of
    the socket (AMD Zen): all of them do, or none. Only readings tell which:

    - One register can't show two numbers at a time, but for what is drawn between two reads. Dies that moved and are
      apart, twice in a row, have their own (once may be an agent held up, or a torn read).
    - Registers of their own may be alike by chance, once in thousands. Dies that are alike are taken for one, until
      they are apart: too little, never too much. Taken for several before, they have to be alike for longer.

    A die by itself is never more than its socket, so each is a way; their sum is one only while they are several. As
    long as it can't be known, nothing counts, unless there is but one die to count. When it is known, counting goes on
    from the last look at which all had news; a wrong answer is not taken back, it is amended from then on.
    """

    def __init__(self, max_gap: int, *, optional: bool = False) -> None:
        super().__init__(max_gap, optional=optional)
        self.dies: dict[str, Node] = {}
        self.one: bool | None = None
        self._run = 0

    @property
    def by_dies(self) -> Ways:
        """The ways by its dies: their sum, and each."""
        return {DIES: tuple(self.dies.values())} | {n: (die,) for n, die in self.dies.items()} if self.dies else {}

    def update(self, now: Instant, tick: int) -> None:
        """Judge whether its dies are one, then take in what they have."""
        if self._tick != tick and self.dies:
            for die in self.dies.values():
                die.update(now, tick)
            self._judge()
        super().update(now, tick)

    def _open(self, now: Instant) -> Ways:
        if not self.dies:
            return self.ways
        unknown = self.one is None and len(self._needed(self.ways[DIES], now)) > 1
        shut = {DIES, *self.dies} if unknown else {DIES} if self.one else self.dies.keys()
        return {name: way for name, way in self.ways.items() if name not in shut}

    def _judge(self) -> None:
        """Look at the dies that moved at this tick."""
        moved = sorted(
            (leaf.shown, leaf.counter.limits.max_power)
            for leaf in (next((k for k in die.leaves() if k.moved), None) for die in self.dies.values())
            if leaf
        )
        if len(moved) < 2:
            return
        alike = any(b - a <= min(NEAR_SECONDS * power, NEAR_SHARE * b) for (a, _), (b, power) in pairwise(moved))
        self._run = max(self._run, 0) + 1 if alike else min(self._run, 0) - 1
        if self._run >= (SURELY_ALIKE if self.one is False else 1):
            self.one = True
        elif self._run <= -SURELY_APART:
            self.one = False
