"""What was emitted before the first watt: the making of one device.

Where it comes from, finest first: its model's sheet (``embodied``), its model's parts (bottom-up, servers), the default
of its class. Who bears it, and when: ``bearing.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import nan, sqrt
from types import MappingProxyType
from typing import Final, Literal

import numpy as np

from thinwatt_collector.data import Row, rows
from thinwatt_collector.inventory.tables import Record
from thinwatt_collector.models import embodied
from thinwatt_collector.units import scale

DEFAULTS: Final = MappingProxyType(
    {"making": "g", "lifetime": "s", "sheet": "1", "reconditioning": "1", "second_lifetime": "s"}
)
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


@cache
def _defaults() -> dict[tuple[str, str], Row]:
    return {(r.of["class"], r.of["quantity"]): r for r in rows("making", ("class", "quantity"), dict(DEFAULTS))}


@cache
def _components() -> dict[tuple[str, str], Row]:
    table = rows("components", ("component", "quantity"), dict(COMPONENTS))
    return {(r.of["component"], r.of["quantity"]): r for r in table}


def default(kind: str, quantity: str) -> Row:
    """Return what is usual of a class: one of :data:`DEFAULTS`.

    Raises:
        KeyError: data/making.csv has no such row.
    """
    return _defaults()[kind, quantity]


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
    usual, life = default(kind, "making"), default(kind, "lifetime")
    told = model.told if model else {}
    lifetime = told["lifetime"] * YEAR if "lifetime" in told else life.value
    if model and "embodied" in told:
        return Made(model.number("embodied") * KG, default(kind, "sheet").uncertainty, lifetime, "sheet")
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
