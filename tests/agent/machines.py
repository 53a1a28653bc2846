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


@st.composite
def machines(draw: st.DrawFn, ticks: int = 9) -> Machine:  # noqa: C901  # one draw a part of the machine, in order
    """Draw a machine of one to three sockets, with or without psys, memory, cores, dies, MMIO twins and amd_energy."""
    live = draw(st.booleans())
    faults = [f for f in FAULTS if not (live and f == "away")]
    watts: dict[str, tuple[int, ...]] = {}
    registers: list[Register] = []
    dies: dict[str, tuple[str, ...]] = {}

    def powers(low: int = 1, high: int = 120) -> tuple[int, ...]:
        return tuple(draw(st.lists(st.integers(low, high), min_size=ticks - 1, max_size=ticks - 1)))

    def add(
        path: tuple[str, ...], part: str, door: str = "intel-rapl", offset: int | None = None, one: bool = False
    ) -> None:
        # A register that is shown several times halts everywhere or nowhere.
        may = [fault for fault in faults if not (one and fault == "halted")]
        at = draw(st.integers(70, 200)) * 10**9 if offset is None else offset
        states = [FINE] * ticks
        for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
            first = draw(st.integers(0, ticks - 1))
            for tick in range(first, min(ticks, first + draw(st.sampled_from([1, 1, 2, 3, ticks])))):
                states[tick] = ""
            fault = draw(st.sampled_from(may))
            states = [s or fault for s in states]
        registers.append(Register(path, part, door, tuple(states), at))

    sockets = draw(st.integers(1, 3))
    mmio, amd = draw(st.booleans()), draw(st.booleans())
    for s in range(sockets):
        package = f"package-{s}"
        kind = draw(st.sampled_from(["whole", "whole", "mirrored", "several"]))
        count = draw(st.integers(2, 3))
        if kind == "whole":
            watts[package] = powers()
            add((package,), package)
            if mmio:
                add((package,), package, "intel-rapl-mmio")
            if draw(st.booleans()):
                watts[f"{package}/dram"] = powers(1, 30)
                add((package, "dram"), f"{package}/dram")
            if draw(st.booleans()):
                watts[f"{package}/core"] = tuple(max(w - 1, 0) for w in watts[package])
                add((package, "core"), f"{package}/core")
        elif kind == "mirrored":
            watts[package] = powers()
            base = draw(st.integers(70, 200)) * 10**9
            dies[package] = (package,)
            for d in range(count):
                add((f"{package}-die-{d}",), package, offset=base + draw(st.integers(0, 900)), one=True)
        else:
            dies[package] = tuple(f"{package}-die-{d}" for d in range(count))
            for d, die in enumerate(dies[package]):
                watts[die] = powers()
                add((die,), die, offset=(70 + 50 * d) * 10**9)
        if amd and kind == "whole":
            add((f"Esocket{s}",), package, "amd")
    if draw(st.booleans()):
        parts = [part for part in watts if not part.endswith("/core")]
        watts["psys"] = tuple(draw(st.integers(1, 40)) + sum(watts[p][i] for p in parts) for i in range(ticks - 1))
        add(("psys",), "psys")
    tops = len({(r.door, r.path[0]) for r in registers if r.door != "amd"})
    still = tuple(range(tops))
    orders = [still] * ticks
    if draw(st.booleans()):
        orders = [tuple(draw(st.permutations(still))) for _ in range(ticks)]
    return Machine(tuple(registers), watts, tuple(orders), dies, live)


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
