"""What the processors' counters make together: which of them count, decided anew at every tick. Pure.

A machine shows its energy several times over. Names say what a register measures, as the kernel's powercap does::

    psys, psys-1            the platform: everything below lies inside it
    package-0               a socket
    package-0-die-1         a die of it
    package-0/dram          the memory beside a socket (or a die: package-0-die-1/dram)
    package-0/core, …       inside its socket: no part of a total

Registers of one name are twins (an MSR and its memory-mapped copy, powercap and ``amd_energy``). From the names comes
the lattice: the largest of psys and of the sockets together with their memories; a socket is the first of its twins
that reads, else its dies. :mod:`thinwatt_agent.lattice` splices them into cumulative columns: joules, covered
seconds, and those of the covered seconds that the platform's register saw, so that nothing is added beside it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

from thinwatt_agent.counters import EnergyCounter, Instant
from thinwatt_agent.lattice import Device, Leaf, Node, Place, Total, Ways
from thinwatt_agent.wire import Column

COLUMNS: Final = (
    Column("rapl", "energy", "counter", "J", "total", "", "component", "modelled", total=False),
    Column("rapl", "covered", "counter", "s", "total"),
    Column("rapl", "platform", "counter", "s", "total"),
)
"""``total`` is False: it is the sum of the parts, not one of them."""

PSYS: Final = re.compile(r"psys(-\d+)?")
SOCKET: Final = re.compile(r"(package-\d+)(-die-\d+)?(/dram)?")
PACKAGES: Final = "packages"


class Totals:
    """The total of one machine. Meters join when they come up; ``max_gap`` [ns] is the agent's."""

    def __init__(self, max_gap: int) -> None:
        self._max_gap = max_gap
        self._tick = 0
        self._resumed: Instant | None = None
        self._now: Instant | None = None
        self._leaves: list[Leaf] = []
        self._nodes: dict[str, Node] = {}
        self._places: dict[str, Place] = {}
        self._root = Total(max_gap)
        self._counting: list[Leaf] = []

    @property
    def columns(self) -> tuple[Column, ...]:
        """Joules, covered seconds, seconds seen by the platform's register; none where nothing makes a total."""
        return COLUMNS if self._root.ways else ()

    @property
    def covered(self) -> int:
        """Time for which the total is known [ns]."""
        return self._root.covered

    def values(self) -> tuple[float, ...]:
        """Return one value a column."""
        root = self._root
        return (root.joules, root.covered / 1e9, root.whole / 1e9) if root.ways else ()

    def join(self, label: str, domain: str, rank: int, counter: EnergyCounter, device: Device) -> None:
        """Take in a register: its name for people, what it measures, its driver's rank among twins."""
        begins = counter.start[0] if counter.start else None
        if self._resumed and self._tick == 0 and begins and begins.boottime > self._resumed.boottime:
            self._root.begin(begins)  # it stood still when the other process looked last, and was not counted then
        self._leaves.append(Leaf(label, domain, rank, counter, device, self._max_gap))
        if PSYS.fullmatch(domain):
            self._root.wholes[domain] = (self._register(domain),)
        elif found := SOCKET.fullmatch(domain):
            self._socket(domain, found[1] + (found[3] or ""))
        sockets = any(not name.endswith("/dram") for name in self._places)
        packages = {PACKAGES: tuple(self._places.values())} if sockets else {}
        self._root.ways = {**self._root.wholes, **packages}

    def _socket(self, domain: str, name: str) -> None:
        """Take in a register of a socket or a memory, ``name``: of the whole of it, or of a die."""
        place = self._places.get(name) or Place(self._max_gap, optional=name.endswith("/dram"))
        self._places[name] = place
        if domain != name:
            place.dies[domain] = self._register(domain, optional=True)
        place.ways = {**self._twins(name), **place.by_dies}

    def _register(self, domain: str, optional: bool = False) -> Node:
        """Return the node of all twins that measure a thing."""
        if domain not in self._nodes:
            self._nodes[domain] = Node(self._max_gap, optional=optional)
        self._nodes[domain].ways = self._twins(domain)
        return self._nodes[domain]

    def _twins(self, domain: str) -> Ways:
        twins = sorted((leaf for leaf in self._leaves if leaf.domain == domain), key=lambda leaf: leaf.rank)
        return {f"{leaf.rank} {leaf.label}": (leaf,) for leaf in twins}

    def update(self, now: Instant) -> None:
        """Take in the readings of a tick."""
        self._now = now
        self._tick += 1
        self._root.update(now, self._tick)

    def settle(self) -> None:
        """Take in what only the end of a recording decided."""
        if self._now is not None:
            self.update(self._now)

    def counting(self) -> list[Leaf]:
        """Return the registers that count now; before the first interval, those that shall."""
        if self._now is None or not self._root.ways:
            return []
        nodes = (self._root, *self._places.values(), *self._nodes.values())
        if not self._root.chosen or any(node.changed for node in nodes):
            self._counting = list(dict.fromkeys(self._root.counting(self._now)))
        return self._counting

    def roles(self) -> dict[object, str]:
        """Return what each register is to the total, for people, by its counter."""
        counting = self.counting()
        still = {leaf for leaf in self._leaves if self._now and leaf.still(self._now)}
        return {leaf.counter: _role(leaf, counting, still) for leaf in self._leaves}

    def state(self) -> int | None:
        """Return the boottime up to which the total is decided [ns]."""
        return self._root.at.boottime if self._root.at else None

    def restore(self, state: Any, now: Instant) -> None:
        """Count from where another process of this boot left off, as :meth:`state` says; None: nobody knows where."""
        if state is not None:
            self._resumed = replace(now, boottime=int(state))
            self._root.begin(self._resumed)


def _role(leaf: Leaf, counting: list[Leaf], still: set[Leaf]) -> str:
    if leaf in counting:
        return "counts"
    if leaf in still:
        return "left out: it stands still"
    for other in counting:
        if other.domain == leaf.domain or (_place(other.domain) == _place(leaf.domain) != ""):
            return f"the same as {other.label}"
    for other in counting:
        if _holds(other.domain, leaf.domain):
            return f"inside {other.label}"
    if any(_holds(leaf.domain, other.domain) for other in counting):
        return "left out: what lies inside it counts"
    return "not in the total"


def _place(domain: str) -> str:
    """Return the socket or memory that a die's register belongs to, "" for any other."""
    found = SOCKET.fullmatch(domain)
    return found[1] + (found[3] or "") if found else ""


def _holds(outer: str, inner: str) -> bool:
    """Whether a register lies inside another.

    >>> [_holds("package-0", d) for d in ("package-0/core", "package-0-die-1/core", "package-0/dram", "package-00")]
    [True, True, False, False]
    """
    if PSYS.fullmatch(outer):
        return not PSYS.fullmatch(inner)
    return bool(re.fullmatch(re.escape(outer) + r"(-die-\d+)?(/(?!dram).*)?", inner)) and outer != inner
