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
from itertools import combinations
from typing import Final, Protocol

from thinwatt_agent.counters import EnergyCounter, Instant, another_boot, elapsed

NEAR_SECONDS: Final = 0.1
NEAR_SHARE: Final = 1e-3
"""Two dies show one register where they are closer than 0.1 s of full power, and than 0.1 %: they are read one after
the other."""
SURELY_APART: Final = 2
"""So many readings in a row tell two dies apart: between the two reads of one, the agent may have been held up."""
SURELY_ALIKE: Final = 3
"""So many in a row make one register of dies that were two: two that pass each other are alike for a moment."""


class Device(Protocol):
    """What a register hangs on: whether it was there when it was last looked for."""

    present: bool


@dataclass(frozen=True, slots=True)
class Look:
    """What a node had at a tick: joules, covered time [ns], and what those of its counters had that had news.

    ``ways`` are those that had news, each with the counters that it was made of then.
    """

    at: Instant
    joules: float
    covered: int
    whole: int
    members: Mapping[Leaf | Node, float]
    ways: Mapping[str, frozenset[Leaf | Node]]


@dataclass(frozen=True, slots=True)
class Reach:
    """What a node has now by one of its ways, spliced to a look back; ``whole`` is what a whole saw [ns]."""

    back: Look
    joules: float
    covered: int
    whole: int


class Leaf:
    """One register: what it measures (``domain``), by which driver (lower ``rank`` first), its name for people.

    ``at`` is the last tick at which it had news: it moved, or began.
    """

    __slots__ = ("_joules", "at", "counter", "device", "domain", "label", "max_gap", "rank")

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

    @property
    def shown(self) -> float:
        """What the register showed at its last good reading [J]."""
        last = self.counter.last
        return last.value * self.counter.limits.unit if last else 0.0

    def reads(self, now: Instant) -> bool:
        """Whether this tick's reading is a good one."""
        return self.counter.last is not None and self.counter.last.at == now

    def update(self, now: Instant, tick: int) -> None:  # noqa: ARG002 - the form of a node
        """See whether it has news; its meter was read."""
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
        self.ways: dict[str, tuple[Leaf | Node, ...]] = {}
        self.wholes: set[str] = set()
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
        self._looks = [Look(at, 0.0, 0, 0, {}, {})]

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
        for name, way in self.ways.items():
            needed = self._needed(way, now)
            if all(member.at == now for member in needed):
                ways[name] = frozenset(needed)
                reach = self._reach(name, needed, now)
                if reach:
                    reached[name] = reach
        if reached:
            self._take(reached, now)
        news = {member: member.joules for member in self._members() if member.at == now}
        look = Look(now, self.joules, self.covered, self.whole, news, ways)
        if ways and not reached and not self._awaits(ways):
            self._begin(look, now)
        self._looks.append(look)

    def _members(self) -> Iterator[Leaf | Node]:
        return (member for way in self.ways.values() for member in way)

    def _needed(self, way: tuple[Leaf | Node, ...], now: Instant) -> tuple[Leaf | Node, ...]:
        there = tuple(member for member in way if not member.gone(now))
        return tuple(member for member in there if not member.idle(now)) or there or way

    def _reach(self, name: str, needed: tuple[Leaf | Node, ...], now: Instant) -> Reach | None:
        """Return what the node has by a way, from the last look at which all its counters had news and were unbroken.

        It does not reach back beyond a look at which the way did without one of them.
        """
        starts = [member.start for member in needed]
        for back in reversed(self._looks):
            if name in back.ways and not back.ways[name].issuperset(needed):
                return None
            since = elapsed(back.at, now)
            rise = 0.0
            for member, start in zip(needed, starts, strict=True):
                if start is None or start[0].boottime > back.at.boottime:
                    return None
                if start[0].boottime == back.at.boottime:
                    rise += member.joules - start[1]
                elif member in back.members:
                    rise += member.joules - back.members[member]
                else:
                    break
            else:
                if since:
                    whole = back.whole + (since if name in self.wholes else 0)
                    return Reach(back, back.joules + rise, back.covered + since, whole)
        return None

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
        for name, way in self.ways.items():
            leaves = [leaf for member in way for leaf in member.leaves()]
            reads = all(any(leaf.reads(now) for leaf in m.leaves()) for m in way)
            if reads and (name not in self.wholes or any(leaf.shown for leaf in leaves)):
                return name
        return list(self.ways)[-1 if self.largest else 0]


class Dies(Node):
    """The dies of one socket: each has a register of its own, or some show the same one.

    Which it is shows in the readings: registers that are read one after the other and are alike are one. As long as
    nothing tells, they are several, and all are needed. When it turns out otherwise, counting begins anew.
    """

    def __init__(self, max_gap: int) -> None:
        super().__init__(max_gap)
        self.dies: dict[str, Node] = {}
        self._runs: dict[tuple[str, str], int] = {}
        self._alike: dict[tuple[str, str], bool] = {}
        self._grouped = ""

    def update(self, now: Instant, tick: int) -> None:
        """Judge which dies are one, then take in what they have."""
        if self._tick == tick:
            return
        for die in self.dies.values():
            die.update(now, tick)
        for pair in combinations(self.dies, 2):
            self._judge(pair, now)
        groups: list[list[str]] = []
        for name in self.dies:
            one = next((g for g in groups if any(self._alike.get((other, name)) for other in g)), None)
            if one is None:
                groups.append([name])
            else:
                one.append(name)
        self._group(groups)
        super().update(now, tick)

    def _judge(self, pair: tuple[str, str], now: Instant) -> None:
        """Look at two dies; one that stands still tells nothing, but for the first look."""
        a, b = (next(self.dies[name].leaves()) for name in pair)
        if not a.reads(now) or not b.reads(now) or not a.shown or not b.shown:
            return
        run = self._runs.get(pair, 0)
        if run and (a.at != now or b.at != now):
            return
        run = max(run, 0) + 1 if _near(a, b) else min(run, 0) - 1
        self._runs[pair] = run
        if run >= (1 if pair not in self._alike else SURELY_ALIKE):
            self._alike[pair] = True
        elif run <= -SURELY_APART:
            self._alike[pair] = False

    def _group(self, groups: list[list[str]]) -> None:
        """Take each group for one register."""
        grouped = " ".join("=".join(group) for group in groups)
        if grouped == self._grouped:
            return
        if self._grouped:
            self._looks = []
        self._grouped = grouped
        self.ways = {"dies": tuple(self._one(group) for group in groups)}

    def _one(self, group: list[str]) -> Node:
        if len(group) == 1:
            return self.dies[group[0]]
        one = Node(self.max_gap)
        if self._looks and not self.at:
            one.begin(self._looks[0].at)  # where another process left off
        one.ways = {name: (self.dies[name],) for name in group}
        return one


def _near(a: Leaf, b: Leaf) -> bool:
    power = max(leaf.counter.limits.max_power for leaf in (a, b))
    return abs(a.shown - b.shown) <= min(NEAR_SECONDS * power, NEAR_SHARE * max(a.shown, b.shown))
