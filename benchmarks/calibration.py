"""Calibration: one machine in ten metered, what the others of its model drew, and how often the interval holds that.

The made-up campus of the demonstration, a university of its own for each seed: its PCs and thin clients draw what they
draw, one in ten of a model has a meter (gain wrong by 1 %), and of the others only the seconds in each state are known.
Beside it, on published SPECpower_ssj2008 results, the error of a power curve on four knots, of a straight line, and of
Fan's curve (ISCA 2007, r = 1.4).
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Figure, Spread, parser, report, spread
from thinwatt_collector.demo.campus import draws, endpoints, sessions
from thinwatt_collector.demo.campus.academic import days
from thinwatt_collector.demo.campus.places import OFFICES
from thinwatt_collector.demo.campus.simulation import Campus
from thinwatt_collector.inventory.profiles import times
from thinwatt_collector.models.calibration import calibrate
from thinwatt_collector.models.devices import DeviceTable
from thinwatt_collector.models.energy import SLOT_SECONDS
from thinwatt_collector.models.power import LOAD_KNOTS, linear, piecewise

Floats = NDArray[np.float64]

BEGIN: Final = date(2025, 10, 6)
WEEKS: Final = 4
SHARE: Final = 0.1
Z95: Final = 1.959963984540054
SLOTS_A_DAY: Final = 96

# Average active power [W] at active idle, 10 %, … 100 % target load, www.spec.org/power_ssj2008, as public simulators
# quote them (CloudSim and its descendants); read 2026-11.
SPECPOWER: Final = {
    "HP ProLiant ML110 G4": (86, 89.4, 92.6, 96, 99.5, 102, 106, 108, 112, 114, 117),
    "HP DL360 G7": (54.6, 87.8, 98.5, 107, 115, 123, 131, 140, 153, 165, 178),
    "IBM x3550 M3, X5670 (2010)": (66, 107, 120, 131, 143, 156, 173, 191, 211, 229, 247),
    "IBM x3550 M3, X5675 (2011)": (58.4, 98, 109, 118, 128, 140, 153, 170, 189, 205, 222),
    "Supermicro 6025B-TR, E5345 (2008)": (220, 235, 249, 261, 273, 286, 298, 309, 319, 327, 334),
    "Dell PowerEdge R640 (2017)": (55, 125, 151, 176, 202, 232, 261, 301, 357, 421, 469),
    "Dell PowerEdge R940 (2017)": (106, 245, 292, 336, 383, 437, 502, 583, 694, 820, 915),
    "Dell PowerEdge R240 (2018)": (20, 25.1, 28.5, 32.3, 36.6, 41.7, 47.5, 55.9, 67.2, 81, 93.1),
}
FAN: Final = 1.4


@dataclass(frozen=True, slots=True)
class Fleet:
    """Machines of one hardware model: seconds by state, shape (machines, days, 4); true energy (machines, days) [J]."""

    kind: str
    model: str
    names: tuple[str, ...]
    seconds: Floats
    drew: Floats


@dataclass(frozen=True, slots=True)
class Judged:
    """How far the sum of the unmetered machines is off, whether the interval held, and how far without any meter."""

    off: float
    held: bool
    by_default: float


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, default=None)
    chosen = options.parse_args()
    seeds = chosen.seeds or (5 if chosen.quick else 200)
    found: dict[str, list[Judged]] = defaultdict(list)
    for seed in range(seeds):
        for fleet in fleets(seed):
            found[fleet.model].append(judged(fleet, seed))
        if sys.stderr.isatty():
            print(f"\r  {seed + 1} of {seeds} campuses", end="", file=sys.stderr, flush=True)
    figures = [figure for model, of in found.items() for figure in _of_model(model, of)]
    every = [j for of in found.values() for j in of]
    held = float(np.mean([j.held for j in every]))
    whole = Spread(held, held, held, len(every))
    inside = None if seeds < 200 else 0.93 <= held <= 0.97
    figures.append(Figure("all models: 95 % intervals that hold", whole, "", "0.93 to 0.97", inside, "the truth"))
    notes = [f"{seeds} universities, {WEEKS} weeks from {BEGIN}; errors are of the sum of all unmetered machines"]
    report("calibration", [*figures, *_curves()], notes)


def fleets(seed: int) -> Iterator[Fleet]:
    """Yield the endpoints of a university, model by model, days as intervals."""
    campus = Campus(seed)
    past = BEGIN + timedelta(weeks=WEEKS)
    true = campus.block(BEGIN, past).true
    wide = days(BEGIN - timedelta(days=endpoints.LOOK_BACK), past)
    window = int(wide.begin[endpoints.LOOK_BACK]) // SLOT_SECONDS, true.shape[1]
    parts: dict[tuple[str, str], list[tuple[list[str], Floats, Floats]]] = defaultdict(list)
    for room, first in sessions.rooms_of(campus.places):
        here = [d.name for d in campus.places.devices[first : first + room.count]]
        if room.kind == "desktop":
            there = sessions.of_room(seed, room, here, wide, campus.parameters)
            office = room.use == OFFICES
            spent = endpoints.computers(seed, here, there, wide, window, campus.parameters.computers, offices=office)
        else:
            near = wide.at(slice(endpoints.LOOK_BACK - 3, None))
            there = sessions.of_room(seed, room, here, near, campus.parameters)
            spent = endpoints.thin_clients(seed, here, there, window, campus.parameters.thin_clients)
        states = np.stack((spent.off, np.zeros_like(spent.off), spent.idle, spent.active), axis=2)
        parts[room.kind, room.model].append((here, _by_day(states), _by_day(true[first : first + room.count])))
    for (kind, model), of in parts.items():
        names, seconds, drew = zip(*of, strict=True)
        yield Fleet(
            kind, model, tuple(n for room in names for n in room), np.concatenate(seconds), np.concatenate(drew)
        )


def _by_day(columns: Floats) -> Floats:
    whole = columns[:, : columns.shape[1] // SLOTS_A_DAY * SLOTS_A_DAY]
    sums: Floats = whole.reshape(len(whole), -1, SLOTS_A_DAY, *whole.shape[2:]).sum(axis=2)
    return sums


def judged(fleet: Fleet, seed: int) -> Judged:
    """Return how the metered tenth of a model says what the others drew."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(fleet.names))
    metered, others = np.split(order, [max(3, round(SHARE * len(order)))])
    gain = 1.0 + 0.01 * draws.normal(draws.keys(seed, fleet.names, "gain"))
    table = DeviceTable.packaged().of(fleet.kind, fleet.model)
    known = np.isfinite(table.states)
    # Each meter has an error of its own: it is in the spread of the machines already, none is common to them.
    found = calibrate(
        fleet.seconds[metered][:, :, known],
        fleet.drew[metered] * gain[metered, None],
        table.states[known],
        np.maximum(table.u_states[known], 0.05),
        0.0,
        times()[fleet.kind, "fault"].value,
    )
    each = (fleet.seconds[others][:, :, known] @ found.costs).sum(axis=1)
    said, drew = float(each.sum()), float(fleet.drew[others].sum())
    sigma = float(np.hypot(np.sqrt(((each * found.own) ** 2).sum()), said * found.common))
    default = float((fleet.seconds[others][:, :, known] @ table.states[known]).sum())
    return Judged(said / drew - 1.0, abs(said - drew) <= Z95 * sigma, default / drew - 1.0)


def _of_model(model: str, of: list[Judged]) -> list[Figure]:
    off = spread([abs(100.0 * j.off) for j in of])
    default = spread([abs(100.0 * j.by_default) for j in of])
    held = float(np.mean([j.held for j in of]))
    return [
        Figure(f"{model}, one in ten metered: the others' energy is off by", off, "%", "≤ 3", off.median <= 3, "truth"),
        Figure(f"{model}, without any meter", default, "%", "", None, "truth"),
        Figure(f"{model}: 95 % intervals that hold", Spread(held, held, held, len(of)), "", "", None, "truth"),
    ]


def _curves() -> list[Figure]:
    errors: dict[str, list[float]] = defaultdict(list)
    load = np.arange(1, 10) / 10.0
    for watts in SPECPOWER.values():
        told = np.array(watts, float)
        idle, peak = told[0], told[-1]
        models = {
            "piecewise on idle, 10, 50 and 100 %": piecewise(load, LOAD_KNOTS, told[[0, 1, 5, 10]]),
            "a straight line": linear(load, np.array(idle), np.array(peak)),
            f"Fan's curve, r = {FAN}": idle + (peak - idle) * (2 * load - load**FAN),
        }
        for name, curve in models.items():
            errors[name].append(float(np.mean(np.abs(curve / told[1:10] - 1.0))) * 100.0)
    return [
        Figure(f"SPECpower, {name}: mean error of a server", spread(of), "%", "", None, "10 to 90 % load as published")
        for name, of in errors.items()
    ]


if __name__ == "__main__":
    main()
