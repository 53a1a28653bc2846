"""What metered machines teach of the others: docs/calibration.svg and the table of docs/calibration.md.

    python -m benchmarks.learning docs/calibration.svg

Fifty PCs of one hardware model, made up by the source ``fake``, whose true energy is known exactly; no two draw alike
(3 % of standard deviation at rest and above). More and more of them have a meter; of the others only the load is
known. The file is written, the table printed; each row is of many draws of which PCs have the meters.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_agent.sources import fake
from thinwatt_collector.calibrated.learning import Assumed, Found, Sample, learn
from thinwatt_collector.calibrated.words import Z95
from thinwatt_collector.models.devices import model_of

Floats = NDArray[np.float64]

PCS: Final = 50
HOURS: Final = 7 * 24
DRAWS: Final = 200
METERED: Final = (5, 6, 8, 10, 15, 20, 30, 40)
DIFFER: Final = 0.03
IDLE, RANGE = 41.0, 66.0
"""What these PCs draw at rest and from there to full load [W]; assumed of a desktop are 30 and 60."""


@dataclass(frozen=True, slots=True)
class Step:
    """With so many meters: the sum of the others, of the truth, and half its interval, and that of one machine [1]."""

    metered: int
    said: float
    many: float
    one: float
    held: float


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__)
    options.add_argument("file", type=Path, metavar="FILE", help="of the chart")
    draw(options.parse_args().file)


def fleet() -> tuple[Sample, Assumed]:
    """Return every PC, as if all had a meter, and what is assumed of them."""
    assumed = model_of("desktop", "")
    random = np.random.default_rng(1)
    hours = np.arange(HOURS + 1) * 3600.0
    wall, busy = [], []
    for n in range(PCS):
        idle, range_ = IDLE * (1 + DIFFER * random.standard_normal()), RANGE * (1 + DIFFER * random.standard_normal())
        one = fake.machine({"name": f"pc-{n}", "class": "desktop", "idle": idle, "peak": idle + range_})
        wall.append(np.diff([one.joules(t) for t in hours]))
        busy.append(np.diff([one.load_seconds(t) for t in hours]))
    load = np.array(busy) / 3600.0
    watts = np.interp(load, [0.0, 0.1, 0.5, 1.0], assumed.watts)
    rest = np.full_like(watts, 3600.0 * assumed.watts[0])
    every = Sample(np.array(wall), rest, 3600.0 * watts - rest, np.full_like(watts, 3600.0))
    return every, Assumed(tuple(assumed.watts.tolist()), assumed.u_load, 0.0)


def step(every: Sample, assumed: Assumed, metered: int) -> Step:
    """Return what so many meters say of the PCs without one: medians of the draws."""
    found = []
    for seed in range(DRAWS):
        some, others = np.split(np.random.default_rng(seed).permutation(PCS), [metered])
        learnt = learn(_of(every, some), assumed, "load", 5)
        if not isinstance(learnt, Found):
            raise SystemExit(f"{metered} metered PCs are refused: {learnt.why}")
        truth = every.wall[others].sum()
        said = learnt.rest * every.rest[others].sum() + learnt.moving * every.moving[others].sum()
        many = Z95 * np.hypot(learnt.common, learnt.own / np.sqrt(len(others)))
        held = abs(said - truth) <= many * said
        found.append((said / truth, many, Z95 * np.hypot(learnt.common, learnt.own), held))
    said, many, one, held = np.array(found, np.float64).T
    far = said[np.argsort(np.abs(said - 1.0))[round(0.95 * len(said)) - 1]]
    return Step(metered, float(far), float(np.median(many)), float(np.median(one)), float(held.mean()))


def _of(every: Sample, which: NDArray[np.int64]) -> Sample:
    return Sample(every.wall[which], every.rest[which], every.moving[which], every.seconds[which])


def draw(path: Path) -> None:
    every, assumed = fleet()
    off = float((every.rest + every.moving).sum() / every.wall.sum())
    steps = [
        Step(0, off, Z95 * assumed.spread, Z95 * assumed.spread, float(abs(off - 1) <= Z95 * assumed.spread * off))
    ]
    steps += [step(every, assumed, n) for n in METERED]
    print("| metered | the others are missed by (95 % of draws) | interval of many | of one | intervals that hold |")
    print("|---|---|---|---|---|")
    for s in steps:
        missed = f"{100 * abs(s.said - 1):.1f} %"
        print(f"| {s.metered} | {missed} | ± {100 * s.many:.1f} % | ± {100 * s.one:.1f} % | {100 * s.held:.0f} % |")
    path.write_text(_svg(steps), encoding="utf-8")


LEFT, RIGHT, TOP, BOTTOM = 56.0, 704.0, 28.0, 272.0
MOST: Final = 70.0
LEGEND: Final = (
    "half the 95 % interval [%]: pale of one PC without a meter, dark of all of them together",
    "red: by how much their sum was truly missed, at most, in 95 % of draws",
)
STYLE: Final = (
    "svg{font:13px system-ui,sans-serif;color:#1f2933;background:#fff}text{fill:currentColor}.grid{stroke:#d5dbe1}"
    ".one{fill:#2a7f9e;opacity:.18}.many{fill:#2a7f9e;opacity:.45}.off{fill:#b3261e}"
    "@media(prefers-color-scheme:dark){svg{color:#e6eaee;background:#12181e}.grid{stroke:#38434d}.off{fill:#ff8a80}"
    ".one,.many{fill:#6cc4e4}}"
)


def _svg(steps: Sequence[Step]) -> str:
    width = (RIGHT - LEFT) / len(steps)

    def y(percent: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * percent / MOST

    grid = "".join(
        f'<line class="grid" x1="{LEFT:g}" x2="{RIGHT:g}" y1="{y(at):.1f}" y2="{y(at):.1f}"/>'
        f'<text x="{LEFT - 8:g}" y="{y(at) + 4:.1f}" text-anchor="end">{at:g}</text>\n'
        for at in np.arange(0.0, MOST + 1.0, 10.0).tolist()
    )
    bars = []
    for n, s in enumerate(steps):
        x = LEFT + width * n
        for name, of, inset in (("one", s.one, 0.15), ("many", s.many, 0.3)):
            bars.append(
                f'<rect class="{name}" x="{x + inset * width:.1f}" width="{(1 - 2 * inset) * width:.1f}" '
                f'y="{y(100 * of):.1f}" height="{BOTTOM - y(100 * of):.1f}"/>'
            )
        bars.append(f'<circle class="off" cx="{x + width / 2:.1f}" cy="{y(100 * abs(s.said - 1)):.1f}" r="4"/>')
        bars.append(f'<text x="{x + width / 2:.1f}" y="292" text-anchor="middle">{s.metered}</text>\n')
    first, five = steps[0], steps[1]
    about = (
        f"Without a meter the power of a PC is assumed to ± {100 * first.one:.0f} % and is off by "
        f"{100 * abs(first.said - 1):.0f} %; five metered PCs of fifty bring one to ± {100 * five.one:.0f} % and the "
        f"sum of all others to ± {100 * five.many:.0f} %."
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 320" role="img" aria-label="{about}">
<style>{STYLE}</style>
{grid}{"".join(bars)}<text x="12" y="15">{LEGEND[0]}</text>
<text x="{RIGHT:g}" y="{TOP + 14:g}" text-anchor="end">{LEGEND[1]}</text>
<text x="380.0" y="312" text-anchor="middle">PCs with a meter, of fifty of one hardware model</text>
</svg>
"""


if __name__ == "__main__":
    main()
