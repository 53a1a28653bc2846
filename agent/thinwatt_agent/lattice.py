"""Counters that overlap, spliced so that no joule counts twice. Pure: no file, no clock.

What is known is energy *between two ticks*. After each tick, every counter says from which ticks on, up to now, it saw
everything, and how much it saw: its :attr:`spans`. A register has them between the ticks at which it had news. A
:class:`Node` stands for something with several counters (a socket; its dies; its memory), and each of its *ways* is
some of them that together measure it, or less of it: a register, or its twin; one die, or all. Then

    span(then, now) = the first way's Σ span(then, now) of its counters, or span(then, between) + span(between, now)

and the :class:`Total` of the machine, whose ways are psys and all packages with their memory, is

    total(now) = the largest way's total(then) + Σ span(then, now) of its counters, of all ``then`` within ``max_gap``

but never less than it was. No way counts more than was drawn between two ticks, so no span does, and by induction the
total never does, whichever ways come, go, fail or lie still; and where one has it all, so has the total. When a way
comes back, what another counted in its stead is in the total already and is not added again.

A counter that stands still has no news: what runs never draws exactly 0 J. If it moves again within ``max_gap``, its
span reaches back to where it stopped; later, it begins anew. Time that no way saw is not covered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

from thinwatt_agent.counters import EnergyCounter, Instant, Point, another_boot, elapsed

DIES: Final = "dies"
"""The way that takes all dies of a place."""
NEAR_SECONDS: Final = 0.1
NEAR_SHARE: Final = 1e-3
"""Two dies are alike where they are closer than 0.1 s of full power, and than 0.1 %: one is read after the other."""
SURELY_APART: Final = 2
SURELY_ALIKE: Final = 3
"""So many looks in a row make dies several, or one again."""

Ways = Mapping[str, "tuple[Leaf | Node, ...]"]
Spans = dict[int, float]
"""Joules from a tick, by its boottime [ns], up to now; empty for what has no news now, else now is in it, with 0."""


class Device(Protocol):
    """What a register hangs on: whether it was there when it was last looked for."""

    present: bool


class Leaf:
    """One register: what it measures (``domain``), by which driver (lower ``rank`` first), its name for people.

    It has news when it counted, or began. ``moved``: this tick's number is another than the last, believed or not.
    """

    __slots__ = (
        "_counts",
        "_news",
        "_point",
        "_start",
        "counter",
        "device",
        "domain",
        "label",
        "max_gap",
        "moved",
        "rank",
        "spans",
    )

    def __init__(
        self, label: str, domain: str, rank: int, counter: EnergyCounter, device: Device, max_gap: int
    ) -> None:
        self.label = label
        self.domain = domain
        self.rank = rank
        self.counter = counter
        self.device = device
        self.max_gap = max_gap
        self.moved = False
        self.spans: Spans = {}
        self._counts = 0
        self._news: dict[int, int] = {}
        self._point: Point | None = None
        self._start: tuple[Instant, int] | None = None

    @property
    def shown(self) -> float:
        """The last number in the register but 0 [J], believed or not."""
        return self.counter.shown * self.counter.limits.unit

    def reads(self, now: Instant) -> bool:
        """Whether this tick's reading is a good one."""
        return self.counter.last is not None and self.counter.last.at == now

    def update(self, now: Instant, tick: int) -> None:  # noqa: ARG002 - the form of a node
        """See whether it has news; its meter was read."""
        counter, at = self.counter, now.boottime
        point = counter.candidates[-1] if counter.candidates else counter.last
        new = point and point.at == now and point is not self._point
        self.moved = bool(new and point and point.moved and point.value)
        self._point = point
        if counter.start is not self._start:
            self._start = counter.start
            self._news = {self._start[0].boottime: self._start[1]} if self._start else {}
            self._counts = self._start[1] if self._start else counter.counts
        self.spans = {}
        if self._start and self.reads(now) and (counter.counts > self._counts or at in self._news):
            self._counts = self._news[at] = counter.counts
            self._news = {then: counts for then, counts in self._news.items() if at - then <= self.max_gap}
            unit = counter.limits.unit
            self.spans = {then: (self._counts - counts) * unit for then, counts in self._news.items()}

    def idle(self, now: Instant) -> bool:  # noqa: ARG002 - the form of a node
        """A register by itself is always asked for."""
        return False

    def still(self, now: Instant) -> bool:
        """Whether it has been read twice and has never moved."""
        start = self.counter.start
        return self.reads(now) and not self.counter.counts and not (start and start[0] == now)

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


@dataclass(frozen=True, slots=True)
class Asked:
    """What a way was made of at a tick ``at``, whether all of it had news, and since when it may count [ns]."""

    needed: tuple[Leaf | Node, ...]
    begun: bool
    at: int
    since: int


class Node:
    """A counter made of others; of its ways, which are twins, the first counts that has news.

    ``changed``: since the tick before, another way counts, or it is made of others.

    Args:
        max_gap: what is bridged at most [ns].
        optional: while it reads and has never moved, it is not wired up: a sum without it is not short of it.
    """

    def __init__(self, max_gap: int, *, optional: bool = False) -> None:
        self.max_gap = max_gap
        self.optional = optional
        self.ways: Ways = {}
        self.spans: Spans = {}
        self.chosen = ""
        self.changed = True
        self._asked: dict[str, Asked] = {}
        self._past: dict[int, Spans] = {}
        self._now: Instant | None = None
        self._tick = -1

    def update(self, now: Instant, tick: int) -> None:
        """Take in what the counters below have after their readings of this tick."""
        if self._tick == tick:
            return
        if self._now and another_boot(self._now, now):
            self._forget()
        self._tick, self._now, chosen = tick, now, self.chosen
        self.changed = False
        for way in self.ways.values():
            for member in way:
                member.update(now, tick)
        self._join(now)
        self.changed |= self.chosen != chosen

    def _join(self, now: Instant) -> None:
        """Make the spans of those of the counters below."""
        name, way = next(iter(self.ways.items()))
        if len(self.ways) == len(way) == 1:
            self.spans = way[0].spans
            self.chosen = name if len(self.spans) > 1 else self.chosen
        else:
            self._take(self._steps(now), now)

    def _forget(self) -> None:
        """Forget all instants: boottime begins anew."""
        self._asked, self._past = {}, {}

    def _steps(self, now: Instant) -> dict[str, Spans]:
        """Return what each open way has, if all that it is made of has news."""
        steps: dict[str, Spans] = {}
        for name, way in self._open(now).items():
            first, *others = needed = self._needed(way, now)
            rise = first.spans
            for member in others:
                rise = {then: joules + member.spans[then] for then, joules in rise.items() if then in member.spans}
            since = self._since(name, needed, bool(rise), now.boottime)
            if rise:
                steps[name] = {then: joules for then, joules in rise.items() if then >= since} if since else rise
        return steps

    def _since(self, name: str, needed: tuple[Leaf | Node, ...], begun: bool, now: int) -> int:
        """Since when a way may count: not before a tick at which it lacked something that it needs no more."""
        before = self._asked.get(name)
        since = before.since if before else 0
        self.changed |= not before or needed != before.needed
        if before and needed != before.needed and not set(needed).issuperset(before.needed):
            since = before.at if before.begun else now
        self._asked[name] = Asked(needed, begun, now, since)
        return since

    def _take(self, steps: Mapping[str, Spans], now: Instant) -> None:
        at = now.boottime
        self.spans = {}
        for rise in reversed([*steps.values()]):
            self.spans |= rise
        if any(len(rise) > 1 for rise in steps.values()):
            self.chosen = max(steps, key=lambda name: max((t for t in steps[name] if t < at), default=-1))
        if len(self.ways) < 2:
            return
        step = list(self.spans.items())
        past = {t: spans for t, spans in self._past.items() if at - t <= self.max_gap}
        for between, joules in step:
            for then, before in past.get(between, {}).items():
                if then in past:
                    self.spans[then] = max(self.spans.get(then, 0.0), before + joules)
        self._past = past | {at: self.spans}

    def _open(self, now: Instant) -> Ways:  # noqa: ARG002 - Place needs it
        """Return the ways that may count at this tick."""
        return self.ways

    def _needed(self, way: tuple[Leaf | Node, ...], now: Instant) -> tuple[Leaf | Node, ...]:
        if len(way) == 1:
            return way
        there = tuple(member for member in way if not member.gone(now))
        return tuple(member for member in there if not member.idle(now)) or there or way

    def idle(self, now: Instant) -> bool:
        """Whether it reads and has never moved, where that says that it is not wired up."""
        if not self.optional:
            return False
        if any(leaf.counter.counts for leaf in self.leaves()):
            return False
        return any(leaf.still(now) for leaf in self.leaves())

    def gone(self, now: Instant) -> bool:
        """Whether all devices below have been away for longer than what is bridged."""
        return all(member.gone(now) for way in self.ways.values() for member in way)

    def leaves(self) -> Iterator[Leaf]:
        """Yield the registers below; some more than once."""
        for way in self.ways.values():
            for member in way:
                yield from member.leaves()

    def counting(self, now: Instant) -> Iterator[Leaf]:
        """Yield the registers that counted at the last tick at which any did; before that, those that shall."""
        for member in self._needed(self.ways[self.chosen or self._first(now)], now):
            yield from member.counting(now)

    def _first(self, now: Instant) -> str:
        """Return the way that shall count as far as one reading tells: the first that reads."""
        for name, way in self._open(now).items():
            if all(any(leaf.reads(now) for leaf in member.leaves()) for member in way):
                return name
        return next(iter(self.ways))


class Total(Node):
    """What a machine drew since tick 0, of which a whole's register saw ``whole`` [ns]: of its ways, the largest."""

    def __init__(self, max_gap: int) -> None:
        super().__init__(max_gap)
        self.wholes: dict[str, tuple[Leaf | Node, ...]] = {}
        self.joules = 0.0
        self.covered = 0
        self.whole = 0
        self.at: Instant | None = None
        self._looks: dict[int, tuple[float, int, int]] = {}

    def begin(self, at: Instant) -> None:
        """Count from there: another process has counted up to then; of several instants, from whichever is needed."""
        self._looks[at.boottime] = 0.0, 0, 0

    def _forget(self) -> None:
        super()._forget()
        self._looks = {}

    def _join(self, now: Instant) -> None:
        if self.ways:
            self._take(self._steps(now), now)

    def _take(self, steps: Mapping[str, Spans], now: Instant) -> None:
        at = now.boottime
        self._looks = {t: look for t, look in self._looks.items() if at - t <= self.max_gap}
        best, seen = (-1.0, 0), 0
        for name, rise in steps.items():
            for then, joules in rise.items():
                if then == at or then not in self._looks:
                    continue
                before, covered, whole = self._looks[then]
                self.covered = max(self.covered, covered + at - then)
                if (before + joules, then) > best:
                    best = before + joules, then
                    self.chosen, seen = name, whole + (at - then if name in self.wholes else 0)
        self.joules, self.whole = max(self.joules, best[0]), max(self.whole, seen)
        if steps:
            self.at = now
        self._looks[at] = self.joules, self.covered, self.whole

    def _first(self, now: Instant) -> str:
        """Return the way that shall count: the first that reads; a whole if it shows more than 0."""
        for name, way in self.ways.items():
            leaves = [[*member.leaves()] for member in way]
            reads = all(any(leaf.reads(now) for leaf in of) for of in leaves)
            if reads and (name not in self.wholes or any(leaf.shown for of in leaves for leaf in of)):
                return name
        return list(self.ways)[-1]


class Place(Node):
    """A socket, or its memory, whose dies may have registers beside or instead of its own.

    Some processors have a register in each die (Intel Cascade Lake-AP), on others every die shows the one register of
    the socket (AMD Zen): all of them do, or none. Only readings tell which:

    - One register can't show two numbers at a time, but for what is drawn between two reads. Dies that moved and are
      apart, twice in a row, have their own; once may be an agent held up, or a torn read.
    - Registers of their own may be alike by chance, once in thousands. Dies that are alike are taken for one until they
      are apart. Taken for several before, they have to be alike for longer.

    A die by itself is never more than its socket, so each is a way unless they are several; their sum is one only while
    they are. As long as it can't be known nothing counts, unless there is but one die to count. When it is known, or
    turns out otherwise, spans say what was drawn since, as far back as ``max_gap``; nothing is taken back. So too much
    counts only where one register read twice differed twice in a row: the socket's energy again for each further die,
    from ``max_gap`` before until they have been alike for three looks.
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
