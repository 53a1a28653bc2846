"""What was emitted before the first watt: the making of the devices of an inventory, in the two views that exist.

*Amortised*: each device over its own lifetime from its purchase on. *Purchases*: all of it in the period of the
purchase. They answer two questions and are never added. Where a device's making comes from, finest first: its model's
sheet (``embodied``), its model's parts (bottom-up, servers), the default of its class.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from math import nan, sqrt
from types import MappingProxyType
from typing import Final, Literal

import numpy as np

from thinwatt_collector.data import Row, rows
from thinwatt_collector.inventory.tables import Inventory, Record
from thinwatt_collector.models import embodied
from thinwatt_collector.models.devices import CLASSES
from thinwatt_collector.models.estimate import interval
from thinwatt_collector.units import scale

DEFAULTS: Final = MappingProxyType({"making": "g", "lifetime": "s", "sheet": "1"})
COMPONENTS: Final = MappingProxyType({"by_size": "g/m^2", "by_weight": "1", "each": "g", "density": "B/m^2"})
YEAR: Final = scale("year", "s")
"""365.25 days [s]."""
DAY: Final = scale("day", "s")
KG: Final = scale("kg", "g")
GB: Final = scale("GB", "B")
MM2: Final = 1e-6
"""[m²]."""
NEEDED: Final = frozenset({"processors", "die", "memory", "modules", "supplies", "supply_weight"})
"""Of a server that is counted by its parts; disks may be none."""
Origin = Literal["sheet", "parts", "class"]


@dataclass(frozen=True, slots=True)
class Made:
    """The making of one device: mass [g], its relative standard uncertainty [1], planned lifetime [s], where from."""

    mass: float
    spread: float
    lifetime: float
    origin: Origin


@dataclass(frozen=True, slots=True)
class Part:
    """Components alike of a server: ``count`` of ``size`` (m² of die, bytes, g), 0 where they have none."""

    component: str
    count: float
    size: float


@dataclass(frozen=True, slots=True)
class View:
    """The making of a class in a period [g].

    Attributes:
        amortised: what the period bears of devices within their lifetime; ``low`` and ``high``: its 95 % interval.
        written_off: what was left to bear of devices that were retired in the period before their lifetime's end.
        purchases: of what was bought in the period, ``bought`` devices.
        beyond: devices older than their lifetime at the period's end, and their years beyond it, added up.
        undated: devices without a day of purchase: they are in none of these figures.
        origins: devices by where their making comes from.
    """

    kind: str
    devices: int
    amortised: float
    low: float
    high: float
    written_off: float
    purchases: float
    bought: int
    beyond: int
    beyond_years: float
    undated: int
    origins: Mapping[Origin, int]


@cache
def _defaults() -> dict[tuple[str, str], Row]:
    return {(r.of["class"], r.of["quantity"]): r for r in rows("making", ("class", "quantity"), dict(DEFAULTS))}


@cache
def _components() -> dict[tuple[str, str], Row]:
    table = rows("components", ("component", "quantity"), dict(COMPONENTS))
    return {(r.of["component"], r.of["quantity"]): r for r in table}


def bottom_up(parts: Sequence[Part]) -> tuple[float, float]:
    """Return the making of a server from its parts [g], and its relative standard uncertainty [1].

    The errors of components are taken as independent of each other, those within a component as one.

    Raises:
        ValueError: a component that data/components.csv does not know.

    Two processors of 523 mm² and twelve modules of 32 GB:

    >>> mass, _ = bottom_up([Part("cpu", 2, 523e-6)])
    >>> round(mass / 1000, 4)
    38.8862
    >>> mass, _ = bottom_up([Part("ram", 12, 32e9)])
    >>> round(mass / 1000, 2)
    741.54
    """
    total = variance = 0.0
    for of in parts:
        each = _components().get((of.component, "each"))
        by_size, by_weight, density = (
            _components().get((of.component, q)) for q in ("by_size", "by_weight", "density")
        )
        by_size = by_size or by_weight
        size = of.size / density.value if density else of.size
        base = float(
            embodied.part(np.array(0.0), np.array(0.0), np.array(each.value if each else 0.0), np.array(of.count))
        )
        slope = np.array(by_size.value if by_size else 0.0)
        mass = float(embodied.part(np.array(size), slope, np.array(each.value if each else 0.0), np.array(of.count)))
        u_size = sqrt(sum(r.uncertainty**2 for r in (by_size, density) if r))
        variance += (base * (each.uncertainty if each else 0.0)) ** 2 + ((mass - base) * u_size) ** 2
        total += mass
    return total, sqrt(variance) / total if total else nan


def made(kind: str, model: Record | None) -> Made:
    """Return the making of one device of a class, from the finest that is known of its model.

    >>> found = made("desktop", None)
    >>> found.origin, round(found.mass / KG, 1), round(found.lifetime / YEAR, 1)
    ('class', 304.7, 5.0)
    """
    usual, life = _defaults()[kind, "making"], _defaults()[kind, "lifetime"]
    told = model.told if model else {}
    lifetime = told["lifetime"] * YEAR if "lifetime" in told else life.value
    if model and "embodied" in told:
        return Made(model.number("embodied") * KG, _defaults()[kind, "sheet"].uncertainty, lifetime, "sheet")
    if model and (parts := _parts(model)):
        return Made(*bottom_up(parts), lifetime, "parts")
    return Made(usual.value, usual.uncertainty, lifetime, "class")


def _parts(model: Record) -> list[Part]:
    """Return the parts of a server; none where its line does not tell all of them."""
    if not model.told.keys() >= NEEDED:
        return []
    number = {name: float(model.told[name]) for name in (*NEEDED, "ssds", "ssd", "hdds") if name in model.told}
    parts = [
        Part("cpu", number["processors"], number["die"] * MM2),
        Part("ram", number["modules"], number["memory"] / number["modules"] * GB),
        Part("supply", number["supplies"], number["supply_weight"] * KG),
        *(Part(name, 1, 0.0) for name in ("board", str(model.told.get("case", "rack")), "assembly")),
    ]
    if "ssds" in number and "ssd" in number:
        parts.append(Part("ssd", number["ssds"], number["ssd"] * GB))
    if "hdds" in number:
        parts.append(Part("hdd", number["hdds"], 0.0))
    return parts


def views(inventory: Inventory, begin: date, end: date) -> list[View]:
    """Return the making of each class in [begin, end), classes in their usual order.

    A device counts once, by its newest line; one that is retired before its lifetime's end is written off on that day.

    Raises:
        ValueError: a period that ends before it begins.
    """
    if end < begin:
        raise ValueError(f"the period ends on {end}, before it begins on {begin}")
    lines = defaultdict(list)
    for table in ("hosts", "devices"):
        for same in inventory.tables.get(table, {}).values():
            newest = max(same, key=lambda record: record.span[0])
            if (kind := _kind(inventory, newest)) in CLASSES:
                lines[kind].append(newest)
    return [_view(inventory, kind, lines[kind], begin, end) for kind in CLASSES if lines[kind]]


def _kind(inventory: Inventory, record: Record) -> str:
    if record.table == "hosts":
        return "host"
    model = next(iter(inventory.tables["models"].get(record.text("model"), ())), None)
    return record.text("class") or (model.text("class") if model else "")


def _view(inventory: Inventory, kind: str, lines: Sequence[Record], begin: date, end: date) -> View:
    models = inventory.tables["models"]
    of = [made(kind, next(iter(models.get(line.text("model"), ())), None)) for line in lines]
    count = np.array([float(line.told.get("count", 1)) for line in lines])
    bought = np.array([_second(line.day("purchased")) for line in lines])
    retired = np.array([_second(line.day("retired")) for line in lines])
    gone = np.where(np.isnan(retired), np.inf, retired)
    mass, life = np.array([m.mass for m in of]) * count, np.array([m.lifetime for m in of])
    first, last = np.array(_second(begin)), np.array(_second(end))
    there = ~np.isnan(bought) & (bought < last)
    bears = embodied.amortised(mass, bought, life, np.minimum(first, gone), np.minimum(last, gone))
    left = mass - embodied.amortised(mass, bought, life, np.full(len(of), -np.inf), gone)
    over = embodied.beyond(bought, life, last) / YEAR
    still = there & (gone >= last)
    by_error: dict[tuple[Origin, str], float] = defaultdict(float)
    for line, m, part in zip(lines, of, np.where(there, bears, 0.0).tolist(), strict=True):
        by_error[m.origin, "" if m.origin == "class" else line.text("model")] += part * m.spread
    amortised = float(bears[there].sum())
    low, high = interval(amortised, sqrt(sum(x**2 for x in by_error.values())))
    new = there & (bought >= first)
    origins = Counter[Origin]()
    for m, n in zip(of, count.tolist(), strict=True):
        origins[m.origin] += round(n)
    return View(
        kind=kind,
        devices=round(count[still | (np.isnan(bought) & (gone >= last))].sum()),
        amortised=amortised,
        low=low,
        high=high,
        written_off=float(left[there & (gone >= first) & (gone < last)].sum()),
        purchases=float(mass[new].sum()),
        bought=round(count[new].sum()),
        beyond=round(count[still & (over > 0)].sum()),
        beyond_years=float((over * count)[still].sum()),
        undated=round(count[np.isnan(bought)].sum()),
        origins=origins,
    )


def _second(day: date | None) -> float:
    return nan if day is None else day.toordinal() * DAY
