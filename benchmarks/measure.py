"""CPU, memory and spread, as all benchmarks measure them, and where their results go."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

RESULTS: Final = Path("bench-results")
SCHEDULER_CLOCK: Final = 2  # CPUCLOCK_SCHED, linux/posix-timers.h


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, all its threads, also those that have ended [s].

    The scheduler's own nanoseconds: the sum of ``/proc/PID/task/*/schedstat``, without losing threads that end.
    """
    return time.clock_gettime(~pid << 3 | SCHEDULER_CLOCK)


@dataclass(frozen=True, slots=True)
class Memory:
    """Of a process [B]: everything mapped, and the share that is its own where pages are shared."""

    rss: int
    pss: int


def memory(pid: int) -> Memory:
    """Return the memory of a process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return Memory(kilobytes["Rss"] * 1024, kilobytes["Pss"] * 1024)


def own_rss() -> int:
    """Return the resident memory of this process [B]."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Spread:
    """What several measurements of one thing gave."""

    low: float
    median: float
    high: float
    n: int

    def text(self) -> str:
        """Return ``low · median · high (n)``."""
        return " · ".join(plain(v) for v in (self.low, self.median, self.high)) + f" (n = {self.n})"


def plain(number: float) -> str:
    """Return a number as people write it: three digits that count, whole ones with commas, never an exponent."""
    if abs(number) >= 99.95 or not math.isfinite(number):
        return f"{number:,.0f}"
    return f"{Decimal(f'{number:.3g}'):f}"


def spread(found: Sequence[float]) -> Spread:
    """Return the spread of at least one measurement."""
    return Spread(min(found), statistics.median(found), max(found), len(found))


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of docs/benchmarks.md: what was seen, what was aimed at, and what it was measured against."""

    name: str
    seen: Spread
    unit: str
    aim: str
    reached: bool | None
    against: str

    def text(self) -> str:
        """Return the line that is printed."""
        untold = "too short to tell" if self.aim else "none"
        verdict = {True: "reached", False: "NOT reached", None: untold}[self.reached]
        unit = f" {self.unit}" if self.unit else ""
        aim = f"{self.aim}: {verdict}" if self.aim else verdict
        return f"{self.name}: {self.seen.text()}{unit}; aim {aim}; against {self.against}"


def report(name: str, figures: Sequence[Figure], notes: Sequence[str] = ()) -> None:
    """Print the figures of a benchmark and keep them in ``bench-results/``."""
    print(f"\n{name} on {machine()}")
    for line in (*(f.text() for f in figures), *notes):
        print(f"  {line}")
    RESULTS.mkdir(exist_ok=True)
    document = {
        "benchmark": name,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(),
        "load_average": os.getloadavg(),
        "figures": [asdict(f) for f in figures],
        "notes": list(notes),
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")


def machine() -> str:
    """Return what ran this: CPU, cores, system, Python."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    return f"{model}, {os.cpu_count()} CPUs, Linux {platform.release()}, Python {platform.python_version()}"


def parser(text: str | None) -> argparse.ArgumentParser:
    """Return a command line with ``--quick``, the short form that shows that it works and little more."""
    found = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--quick", action="store_true", default=bool(os.environ.get("QUICK")), help="a short form")
    return found
