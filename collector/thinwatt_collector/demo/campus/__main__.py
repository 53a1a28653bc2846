"""Write months of a made-up campus into a new ledger: FOLDER/ledger.duckdb, and FOLDER/simulated-truth.csv beside it.

Every device is marked as simulated. The same seed and the same end give the same rows, whenever and wherever.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from thinwatt_collector.demo.campus.history import Written, first_day, write, write_truth
from thinwatt_collector.demo.campus.parameters import ZONE
from thinwatt_collector.demo.campus.simulation import Campus
from thinwatt_collector.ledger import LedgerError
from thinwatt_collector.words import Words

MOST_MONTHS = 60
ENGLISH = Words("en")


def _months(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_MONTHS:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 1 and {MOST_MONTHS}")
    return int(text)


def _end(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 2026-09-01 or 2026-09-01T12:00") from None
    return int((at if at.tzinfo else at.replace(tzinfo=ZoneInfo(ZONE))).timestamp())


def parser() -> argparse.ArgumentParser:
    """Return the command's own parser."""
    found = argparse.ArgumentParser(prog="python -m thinwatt_collector.demo.campus", description=__doc__)
    found.add_argument("folder", type=Path, metavar="FOLDER", help="where to; made if it is not there")
    found.add_argument("--months", type=_months, default=12, help="how many, up to the end (default: 12)")
    found.add_argument("--seed", type=int, default=1, help="another one is another campus (default: 1)")
    found.add_argument("--until", type=_end, help=f"the end, in {ZONE} unless it says otherwise (default: now)")
    return found


def run(folder: Path, seed: int, months: int, until: int, words: Words = ENGLISH) -> Written:
    """Write it all, with a bar that shows how far it is."""
    folder.mkdir(parents=True, exist_ok=True)
    campus = Campus(seed)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    first = first_day(until, months)
    days = max((datetime.fromtimestamp(until, ZoneInfo(ZONE)).date() - first).days, 1)
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(words("demo.progress", n=words.number(len(campus.places.devices))), total=days)
        written = write(
            folder / "ledger.duckdb",
            campus,
            first,
            until,
            lambda part: progress.update(task, completed=round(part * days)),
        )
    write_truth(folder / "simulated-truth.csv", campus.places, written)
    return written


def main() -> int:
    """Read the call and run."""
    options = parser().parse_args()
    began = time.monotonic()
    try:
        written = run(options.folder, options.seed, options.months, options.until or int(time.time()))
    except KeyboardInterrupt:
        print("thinwatt: stopped; nothing was kept", file=sys.stderr)
        return 130
    except (LedgerError, OSError, ValueError) as error:
        print(f"thinwatt: {error}", file=sys.stderr)
        return 1
    size = (options.folder / "ledger.duckdb").stat().st_size
    drawn, booked = (np.nansum(amount) / 3.6e6 for amount in (written.true, written.reported))
    print(
        f"{options.folder}: {written.slots:,} slots of 15 min (simulated), {size / 2**20:.0f} MiB, "
        f"{drawn:,.0f} kWh truly drawn, {booked:,.0f} kWh in the ledger; "
        f"{time.monotonic() - began:.1f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
