"""How agents narrow the estimate of the demonstration's campus: docs/estimate.svg and the table of docs/inventory.md.

    python -m benchmarks.narrowing docs/estimate.svg

Rooms are connected in the order proposed, each device with a meter that tells the year that it truly drew. The file is
written, the table printed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from thinwatt_collector.demo.campus.inventory import PUE, write
from thinwatt_collector.demo.campus.places import university
from thinwatt_collector.demo.campus.simulation import Campus
from thinwatt_collector.inventory.campus import KWH, Fleet
from thinwatt_collector.inventory.heard import alone
from thinwatt_collector.inventory.page import connect_next, figure
from thinwatt_collector.inventory.tables import load

DAY: Final = date(2026, 9, 1)
TOLD: Final = (0, 1, 3, 5, 10, 20)
"""Numbers of rooms that the table tells, besides all."""


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.narrowing", description=__doc__)
    options.add_argument("file", type=Path, metavar="FILE", help="of the chart")
    draw(options.parse_args().file)


def draw(path: Path) -> None:
    made, first = Campus(1), DAY - timedelta(days=365)
    joules = np.zeros(len(made.places.devices))
    for begin in range(0, 365, 73):  # a block at a time: all of them would take gigabytes
        joules += made.block(first + timedelta(days=begin), first + timedelta(days=begin + 73)).true.sum(axis=1)
    drawn = dict(zip((d.name for d in made.places.devices), joules.tolist(), strict=True))
    true = sum(energy * (PUE if "/host-" in name else 1.0) for name, energy in drawn.items()) / KWH
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), university(), DAY)
        inventory, _ = load(Path(folder))
    told: dict[str, float] = {}
    steps: list[tuple[str, int, float, float, float]] = []
    room = ""
    while True:
        fleet = Fleet(inventory, DAY, alone(inventory, DAY, told))
        found = fleet.whole().energy
        steps.append((room, len(told), found.expected / KWH, found.low / KWH, found.high / KWH))
        room = next((a.name[1] for a in connect_next(fleet) if a.name[0] == "room"), "")
        if not room:
            break
        told |= {d.name: drawn[d.name] for d in made.places.devices if d.room == room}
    print("| rooms connected | devices | expected [kWh/year] | 95 % interval | width |\n|---|---|---|---|---|")
    for n, (last, count, middle, low, high) in enumerate(steps):
        if n in TOLD or n == len(steps) - 1:
            rooms = f"{n} (last: {last})" if last else "0"
            print(
                f"| {rooms} | {count:,} | {figure(middle)} | {figure(low)} to {figure(high)} | {figure(high - low)} |"
            )
    print(f"| *the truth* | | {figure(true)} | | |")
    path.write_text(_svg(steps, true), encoding="utf-8")


LEFT, RIGHT, TOP, BOTTOM = 56.0, 704.0, 24.0, 272.0
STYLE: Final = (
    "svg{font:13px system-ui,sans-serif;color:#1f2933;background:#fff}text{fill:currentColor}.grid{stroke:#d5dbe1}"
    ".band{fill:#2a7f9e;opacity:.25}.mid{fill:none;stroke:#2a7f9e;stroke-width:2}"
    ".true{stroke:#b3261e;stroke-width:1.5;stroke-dasharray:6 4}@media(prefers-color-scheme:dark){"
    "svg{color:#e6eaee;background:#12181e}.grid{stroke:#38434d}.true{stroke:#ff8a80}.band,.mid{stroke:#6cc4e4}"
    ".band{fill:#6cc4e4;stroke:none}}"
)


def _svg(steps: Sequence[tuple[str, int, float, float, float]], true: float) -> str:
    count, middle, low, high = (np.array(column) for column in list(zip(*steps, strict=True))[1:])
    top = float(np.ceil(high.max() / 2e4) * 2e4)
    x = LEFT + (RIGHT - LEFT) * count / count.max()

    def y(kwh: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * kwh / top

    def points(columns: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{a:.1f},{y(b):.1f}" for a, b in columns)

    grid = "".join(
        f'<line class="grid" x1="{LEFT:g}" x2="{RIGHT:g}" y1="{y(at):.1f}" y2="{y(at):.1f}"/>'
        f'<text x="{LEFT - 8:g}" y="{y(at) + 4:.1f}" text-anchor="end">{at / 1000:g}</text>\n'
        for at in np.arange(0.0, top + 1.0, 2e4).tolist()
    )
    below = "".join(
        f'<text x="{LEFT + (RIGHT - LEFT) * n / count.max():.1f}" y="292" text-anchor="middle">{n}</text>\n'
        for n in range(0, int(count.max()) + 1, 200)
    )
    band = points([*zip(x, high, strict=True), *reversed(list(zip(x, low, strict=True)))])
    ends = [f"{v / 1000:.0f}" for v in (low[0], high[0], low[-1], high[-1])]
    about = (
        f"The 95 % interval of a year of the campus narrows from {ends[0]} to {ends[1]} MWh without agents to "
        f"{ends[2]} to {ends[3]} MWh with all that get one; the truth, {true / 1000:.1f} MWh, is always inside."
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 320" role="img" aria-label="{about}">
<style>{STYLE}</style>
{grid}{below}<polygon class="band" points="{band}"/>
<polyline class="mid" points="{points(list(zip(x, middle, strict=True)))}"/>
<line class="true" x1="{LEFT:g}" x2="{RIGHT:g}" y1="{y(true):.1f}" y2="{y(true):.1f}"/>
<text x="{RIGHT:g}" y="{y(true) + 22:.1f}" text-anchor="end">dashed: what was truly drawn, {true / 1000:.1f}</text>
<text x="{x[4] + 8:.1f}" y="{y(float(high[4])) - 14:.1f}">95 % interval, and what is expected</text>
<text x="12" y="15">MWh a year</text>
<text x="380.0" y="312" text-anchor="middle">devices with a meter, connected room by room in the order proposed</text>
</svg>
"""


if __name__ == "__main__":
    main()
