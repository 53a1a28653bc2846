"""Run the benchmarks named, or all: ``python -m benchmarks [--quick] [NAME …]``; alone with ``--list`` they are listed.

Each is a program of its own (``python -m benchmarks.ingest --help``), so that none inherits another's memory.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
from typing import Final

NAMES: Final = (
    "exposition",
    "calibration",
    "steps",
    "desktops",
    "estimate",
    "query",
    "history",
    "ingest",
    "connections",
    "soak",
    "agent",
)
"""From the shortest to the longest."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; none: all")
    parser.add_argument("--quick", action="store_true", default=bool(os.environ.get("QUICK")), help="short forms")
    parser.add_argument("--list", action="store_true", help="say what each measures")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(NAMES))
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    if options.list:
        for name in NAMES:
            said = importlib.import_module(f"benchmarks.{name}").__doc__ or ""
            print(f"{name:12}{said.splitlines()[0]}")
        return 0
    failed = [name for name in options.names or NAMES if not _run(name, quick=options.quick)]
    for name in failed:
        print(f"benchmark {name} did not run to its end", file=sys.stderr)
    return 1 if failed else 0


def _run(name: str, *, quick: bool) -> bool:
    print(f"\n── {name} " + "─" * (100 - len(name)), flush=True)
    command = [sys.executable, "-m", f"benchmarks.{name}", *(["--quick"] if quick else [])]
    return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
