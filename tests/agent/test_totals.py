"""The total of overlapping registers of machines whose true energy is known: never twice, and all where it is seen."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from itertools import combinations, pairwise
from pathlib import Path

from hypothesis import example, given

from tests.agent.machines import FINE, STEP, Machine, Register, machines, play
from tests.agent.recording import at
from thinwatt_agent.loop import Sampler, SamplerOptions

F, U, Z, S, A, H = FINE, "unreadable", "zero", "frozen", "away", "halted"
ALL_FINE = (F,) * 9


def made(watts: dict[str, int], shown: dict[str, tuple[str, ...]], psys: bool = False, live: bool = False) -> Machine:
    """A machine that fuzzing found: parts with their power, and what the registers of the first of them do."""
    registers = [
        Register((name,), next(iter(watts)), "amd" if name.startswith("E") else "intel-rapl", states, 70 * 10**9)
        for name, states in shown.items()
    ]
    powers = {part: (w,) * 8 for part, w in watts.items()}
    registers += [Register((part,), part, "intel-rapl", ALL_FINE, 70 * 10**9) for part in list(watts)[1:]]
    if psys:
        powers["psys"] = (1 + sum(watts.values()),) * 8
        registers.append(Register(("psys",), "psys", "intel-rapl", ALL_FINE, 70 * 10**9))
    tops = {(r.door, r.path[0]) for r in registers if r.door != "amd"}
    dies = {"package-0": ("package-0",)} if any("-die-" in name for name in shown) else {}
    return Machine(tuple(registers), powers, (tuple(range(len(tops))),) * 9, dies, live)


STALE_AFTER_A_GAP = made({"package-0": 1}, {"package-0": (F, U, U, U, S, F, F, F, F), "Esocket0": ALL_FINE})
STALE_DIE = made(
    {"package-0": 1},
    {"package-0-die-0": (Z, F, U, U, U, S, F, F, F), "package-0-die-1": ALL_FINE},
    live=True,
)
DIE_THAT_CATCHES_UP = made(
    {"package-0": 1},
    {
        "package-0-die-0": (U, F, U, U, F, F, F, F, F),
        "package-0-die-1": (U, U, F, F, F, F, F, F, F),
        "package-0-die-2": (U, U, F, F, F, F, F, F, F),
    },
    psys=True,
)
HALTED_BESIDE_PSYS = made(
    {"package-0": 1, "package-1": 1},
    {"package-0": (U, U, H, H, H, F, F, F, F), "Esocket0": (U, F, F, F, F, U, F, F, F)},
    psys=True,
)
HALTED_TWIN = made({"package-0": 1}, {"package-0": (U, *ALL_FINE[1:]), "Esocket0": (H, H, H, F, F, F, F, F, F)})
LATE_SOCKET = made({"package-0": 1, "package-1": 1}, {"package-0": (A, A, F, F, F, F, F, F, F)})

ONLY = {name: {"enabled": False} for name in ("load", "sessions", "battery", "textfile")}
MOST_BRIDGED = 3
"""Intervals."""
MEMORY = Path("/dev/shm")


def totals(machine: Machine) -> list[tuple[float, ...]]:
    """Joules, covered seconds, seconds seen by psys after each tick."""
    found: list[tuple[float, ...]] = []
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        sampler = Sampler(Path(folder), SamplerOptions(interval=STEP, sources=ONLY))
        for tick in play(machine, Path(folder)):
            if not machine.live:
                sampler.reroot(Path(folder))
            sampler.sample(at(5000 + STEP * tick))
            found.append(sampler.totals.values() or (0.0, 0.0, 0.0))
    return found


def fine(machine: Machine, registers: Iterable[Register], first: int, last: int) -> bool:
    """Whether registers show the truth from one tick to another; a first number beyond belief is none."""
    return all(
        all(r.moves(tick) for tick in range(first, last + 1)) and r.believed(first, machine.energy(r.part))
        for r in registers
    )


def place_of(register: Register) -> str:
    """What has to be known as a whole: a socket, a memory, the platform."""
    return register.part.partition("-die-")[0]


def there(machine: Machine, register: Register, tick: int) -> bool:
    """Whether a register's zone is there; one around others is as long as they are."""
    around = any(r.door == register.door and r.path[:-1] == register.path for r in machine.registers)
    return around or register.states[tick] != "away"


def places_there(machine: Machine, tick: int) -> list[list[Register]]:
    """The registers of each socket and memory of which anything is there at a tick."""
    of: dict[str, list[Register]] = {}
    for r in machine.registers:
        if r.part in machine.parts:
            of.setdefault(place_of(r), []).append(r)
    return [registers for registers in of.values() if any(there(machine, r, tick) for r in registers)]


def bridged(register: Register, tick: int) -> bool:
    """Whether a register that reads may have counted the interval before a tick: not from what it showed by mistake."""
    before = range(max(tick - MOST_BRIDGED, 0), tick)
    after = range(tick, min(tick + MOST_BRIDGED, len(register.states)))
    wrong = ("unreadable", "away")
    return any(register.states[t] not in wrong for t in before) and any(register.states[t] not in wrong for t in after)


def sufficient(machine: Machine, first: int, last: int) -> bool:
    """Whether the energy of every socket and memory is to be had from registers that are fine all the time."""
    ways: dict[str, list[list[Register]]] = {}
    for r in machine.registers:
        if r.part in machine.watts and not r.part.endswith(("psys", "/core")) and "-die-" not in r.path[0]:
            ways.setdefault(r.part, []).append([r])
    for package, parts in machine.dies.items():
        shown = [r for r in machine.registers if r.path[0].startswith(package + "-die-")]
        one = parts == (package,)
        known = any(fine(machine, shown, max(tick - 1, 0), tick) for tick in range(first + 1))
        ways[package] = [shown] if not one else [[r] for r in shown] if known else []
    return all(any(fine(machine, way, first, last) for way in of) for of in ways.values())


@example(STALE_AFTER_A_GAP)
@example(STALE_DIE)
@example(DIE_THAT_CATCHES_UP)
@example(HALTED_BESIDE_PSYS)
@given(machines())
def test_no_joule_counts_twice_and_what_is_counted_stays(machine: Machine) -> None:
    found = totals(machine)
    parts = ["psys"] if "psys" in machine.watts else machine.parts
    for tick, (joules, covered, platform) in enumerate(found):
        assert joules <= machine.true(parts, 0, tick) * (1 + 1e-9) + 1e-6
        assert 0 <= platform <= covered <= STEP * tick
    for before, after in pairwise(found):
        assert all(b >= a for a, b in zip(before, after, strict=True))


@example(HALTED_TWIN)
@given(machines())
def test_where_enough_is_readable_the_total_has_all_of_it(machine: Machine) -> None:
    found = totals(machine)
    psys = [r for r in machine.registers if r.part == "psys"]
    for first, last in combinations(range(machine.ticks), 2):
        counted = found[last][0] - found[first][0]
        if psys and fine(machine, psys, first, last):
            assert counted >= machine.true(["psys"], first, last) * (1 - 1e-9)
        elif sufficient(machine, first, last):
            assert counted >= machine.true(machine.parts, first, last) * (1 - 1e-9)
        else:
            continue
        assert found[last][1] - found[first][1] >= STEP * (last - first) - 1e-6


@example(LATE_SOCKET)
@given(machines())
def test_what_nobody_saw_is_not_covered(machine: Machine) -> None:
    """An interval is covered only if every socket that is there has good readings not long before and after it."""
    covered = totals(machine)[-1][1]
    seen = [
        all(any(bridged(r, tick) for r in of) for of in places_there(machine, tick) or [list(machine.registers)])
        or any(bridged(r, tick) for r in machine.registers if r.part == "psys")
        for tick in range(1, machine.ticks)
    ]
    assert covered <= STEP * sum(seen) + 1e-6
