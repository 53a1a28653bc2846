"""Made-up machines whose registers overlap, their true energy known, as trees of /sys: powercap and ``amd_energy``.

A register is fine at a tick, or it does what registers do: it can't be read, its zone is away, it stands still and then
shows what it missed (``frozen``) or goes on from there (``halted``), or it shows 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from hypothesis import strategies as st

from tests.agent.recording import RAPL_RANGE, write, zone

FINE = "fine"
FAULTS = ("unreadable", "away", "frozen", "halted", "zero")
STEP = 10
"""Seconds between two ticks."""
BELIEVED = {"psys": 2000, "dram": 200, "package": 1000}
"""What the agent believes a zone without stated limits to draw at most [W]."""


@dataclass(frozen=True)
class Register:
    """One register: the zones around it and its own name, the part whose energy it shows, what it does at each tick.

    ``offset`` [µJ] is far enough from 0 that no rise from there is believed: a register that showed 0 was not one at 0.
    """

    path: tuple[str, ...]
    part: str
    door: str
    states: tuple[str, ...]
    offset: int

    def shows(self, energy: Sequence[int]) -> list[object]:
        """What its file holds at each tick, None where it isn't there; ``energy`` is its part's, cumulative [µJ]."""
        shown: list[object] = []
        value, lost = self.offset, 0
        for tick, state in enumerate(self.states):
            if state == "halted" and tick:
                lost += energy[tick] - energy[tick - 1]
            if state in (FINE, "halted") or not any(shown):
                value = (self.offset + energy[tick] - lost) % RAPL_RANGE
            shown.append({"unreadable": "", "away": None, "zero": 0}.get(state, value))
        return shown

    def moves(self, tick: int) -> bool:
        """Whether it shows the truth of the interval before this tick: fine, now and then."""
        return self.states[tick] == FINE

    def believed(self, tick: int, energy: Sequence[int]) -> bool:
        """Whether its number at a tick is no further above the one before than its kind draws in that time."""
        shown = self.shows(energy)
        before = next((t for t in range(tick - 1, -1, -1) if isinstance(shown[t], int) and shown[t]), None)
        now, then = shown[tick], shown[before] if before is not None else None
        if before is None or not isinstance(now, int) or not isinstance(then, int):
            return True
        kind = next(k for k in BELIEVED if k in self.part)
        return now - then <= BELIEVED[kind] * (tick - before) * STEP * 1_000_000


@dataclass(frozen=True)
class Machine:
    """Registers, the power of each part in each interval [W], and the order of the zones at each tick.

    ``dies`` says of a package that has dies which parts they show. ``live``: files keep open, and nobody looks again
    which zones there are.
    """

    registers: tuple[Register, ...]
    watts: Mapping[str, tuple[int, ...]]
    orders: tuple[tuple[int, ...], ...]
    dies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    live: bool = False

    @property
    def ticks(self) -> int:
        """How often it is read."""
        return len(self.orders)

    @property
    def parts(self) -> list[str]:
        """What adds up: sockets or their dies, and memories."""
        return [part for part in self.watts if not part.endswith(("psys", "/core"))]

    def energy(self, part: str) -> list[int]:
        """Cumulative at each tick [µJ]."""
        return list(accumulate((w * STEP * 1_000_000 for w in self.watts[part]), initial=0))

    def true(self, parts: Sequence[str], first: int, last: int) -> float:
        """What the parts drew between two ticks [J]."""
        return sum(self.energy(part)[last] - self.energy(part)[first] for part in parts) / 1e6

    def files(self, tick: int) -> dict[str, object]:
        """The files of /sys at a tick."""
        found: dict[str, object] = {}
        tops = sorted({(r.door, r.path[0]) for r in self.registers if r.door != "amd"})
        numbers = {top: n for n, top in zip(self.orders[tick], tops, strict=False)}
        inner: dict[tuple[str, str], int] = {}
        channel = 0
        for r in self.registers:
            shown = r.shows(self.energy(r.part))[tick]
            if r.door == "amd":
                channel += 1
                if shown is not None:
                    place = "sys/class/hwmon/hwmon4"
                    found[f"{place}/name"] = "amd_energy"
                    found[f"{place}/energy{channel}_label"] = r.path[0]
                    found[f"{place}/energy{channel}_input"] = shown
                continue
            id_ = f"{r.door}:{numbers[r.door, r.path[0]]}"
            if len(r.path) > 1:
                within = inner.get((r.door, r.path[0]), 0)
                inner[r.door, r.path[0]] = within + 1
                id_ += f":{within}"
            if shown is not None:
                found |= zone(r.path[-1], shown, id_=id_)
            elif len(r.path) == 1 and any(
                o.path[0] == r.path[0] and o.door == r.door for o in self.registers if o != r
            ):
                found |= zone(r.path[-1], "", id_=id_)  # a zone around others is there as long as they are
        return found


class Maker:
    """Draws the registers of a machine."""

    def __init__(self, draw: st.DrawFn, ticks: int, faults: Sequence[str]) -> None:
        self.draw = draw
        self.ticks = ticks
        self.faults = faults
        self.watts: dict[str, tuple[int, ...]] = {}
        self.registers: list[Register] = []
        self.dies: dict[str, tuple[str, ...]] = {}

    def powers(self, high: int = 120) -> tuple[int, ...]:
        """Draw the power of each interval [W]."""
        return tuple(self.draw(st.lists(st.integers(1, high), min_size=self.ticks - 1, max_size=self.ticks - 1)))

    def add(self, path: tuple[str, ...], part: str, door: str = "intel-rapl", offset: int | None = None) -> None:
        """Draw what a register does at each tick; one with a given offset is one of several that show one register."""
        at = self.draw(st.integers(70, 200)) * 10**9 if offset is None else offset
        states = [FINE] * self.ticks
        for _ in range(self.draw(st.sampled_from([0, 0, 0, 1, 2]))):
            first, lasts = (
                self.draw(st.integers(0, self.ticks - 1)),
                self.draw(st.sampled_from([1, 1, 2, 3, self.ticks])),
            )
            fault = self.draw(st.sampled_from([f for f in self.faults if offset is None or f != "halted"]))
            states[first : first + lasts] = [fault] * len(states[first : first + lasts])
        self.registers.append(Register(path, part, door, tuple(states), at))

    def whole(self, s: int, mmio: bool, amd: bool) -> None:
        """A socket that is one, with or without memory, core and twins."""
        package = f"package-{s}"
        self.watts[package] = self.powers()
        self.add((package,), package)
        if mmio:
            self.add((package,), package, "intel-rapl-mmio")
        if amd:
            self.add((f"Esocket{s}",), package, "amd")
        if self.draw(st.booleans()):
            self.watts[f"{package}/dram"] = self.powers(30)
            self.add((package, "dram"), f"{package}/dram")
        if self.draw(st.booleans()):
            self.watts[f"{package}/core"] = tuple(w - 1 for w in self.watts[package])
            self.add((package, "core"), f"{package}/core")

    def in_dies(self, s: int, mirrored: bool) -> None:
        """A socket of two or three dies that show one register, or one each."""
        package, count = f"package-{s}", self.draw(st.integers(2, 3))
        names = [f"{package}-die-{d}" for d in range(count)]
        self.dies[package] = (package,) if mirrored else tuple(names)
        for part in self.dies[package]:
            self.watts[part] = self.powers()
        base = self.draw(st.integers(70, 200)) * 10**9
        for d, name in enumerate(names):
            if mirrored:
                self.add((name,), package, offset=base + self.draw(st.integers(0, 900)))
            else:
                self.add((name,), name, offset=(70 + 50 * d) * 10**9)

    def psys(self) -> None:
        """The platform: all that is there, and something beside."""
        parts = [part for part in self.watts if not part.endswith("/core")]
        beside = self.powers(40)
        self.watts["psys"] = tuple(w + sum(self.watts[p][i] for p in parts) for i, w in enumerate(beside))
        self.add(("psys",), "psys")


@st.composite
def machines(draw: st.DrawFn, ticks: int = 9) -> Machine:  # one draw a part of the machine, in order
    """Draw a machine of one to three sockets, with or without psys, memory, cores, dies, MMIO twins and amd_energy."""
    live = draw(st.booleans())
    made = Maker(draw, ticks, [fault for fault in FAULTS if not (live and fault == "away")])
    mmio, amd = draw(st.booleans()), draw(st.booleans())
    for s in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["whole", "whole", "mirrored", "several"]))
        if kind == "whole":
            made.whole(s, mmio, amd)
        else:
            made.in_dies(s, kind == "mirrored")
    if draw(st.booleans()):
        made.psys()
    still = tuple(range(len({(r.door, r.path[0]) for r in made.registers if r.door != "amd"})))
    orders = [tuple(draw(st.permutations(still))) for _ in range(ticks)] if draw(st.booleans()) else [still] * ticks
    return Machine(tuple(made.registers), made.watts, tuple(orders), made.dies, live)


def play(machine: Machine, root: Path) -> Iterator[int]:
    """Yield the ticks, the machine's tree below ``root`` as it is at each."""
    before: dict[str, object] = {}
    for tick in range(machine.ticks):
        files = machine.files(tick)
        write(root, {name: content for name, content in files.items() if before.get(name) != content})
        for name in before.keys() - files.keys():
            (root / name).write_bytes(b"")  # who has it open reads nothing any more, as in /sys
            (root / name).unlink()
        before = files
        yield tick
