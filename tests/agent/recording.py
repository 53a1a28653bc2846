"""Recorded machines for tests: files of /sys and /proc as the kernel writes them, and the clocks of each state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from thinwatt_agent.counters import Instant

SECOND = 1_000_000_000
RAPL_RANGE = 262_143_328_850
BOOT = "3f1c9a52-7d04-4e6b-9c1a-0b2f6d8e5a11"


def at(boottime: float, *, asleep: float = 0.0, boot: str = BOOT, utc: float | None = None) -> Instant:
    """An instant [s]; ``asleep`` is what the monotonic clock has missed so far."""
    wall = 1_764_000_000 + boottime if utc is None else utc
    return Instant(round(boottime * SECOND), round((boottime - asleep) * SECOND), round(wall * SECOND), boot)


def write(folder: Path, files: Mapping[str, object]) -> Path:
    """Write files below a root; None leaves one out."""
    for name, content in files.items():
        if content is not None:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())
    return folder


def zone(name: str, energy: object, range_: object = RAPL_RANGE, id_: str = "intel-rapl:0") -> dict[str, object]:
    """The files of one powercap zone."""
    place = f"sys/class/powercap/{id_}"
    return {f"{place}/name": name, f"{place}/energy_uj": energy, f"{place}/max_energy_range_uj": range_}


def clock(folder: Path, now: Instant) -> Path:
    """Write the clock.toml of a state."""
    lines = [f"{k} = {getattr(now, k) / SECOND:.9f}" for k in ("utc", "monotonic", "boottime")]
    return write(folder, {"clock.toml": "\n".join([*lines, f'boot_id = "{now.boot_id}"'])})


def record(folder: Path, states: Iterable[tuple[Instant, Mapping[str, object]]]) -> Path:
    """Write a recording: one numbered folder a state."""
    for number, (now, files) in enumerate(states):
        write(clock(folder / str(number), now), files)
    return folder
