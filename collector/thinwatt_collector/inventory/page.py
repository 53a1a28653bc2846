"""An estimate as a person reads it, and as a program does: kWh, EUR and kgCO2e of a year."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from thinwatt_collector.inventory.campus import KWH, Advice, Cell, Fleet, Group, Named, Range, ranked
from thinwatt_collector.models.devices import CLASSES

SHOWN: Final = 15
"""Lines of advice that a person reads."""


def counted(n: int, one: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "error"), counted(0, "note")
    ('1 error', '0 notes')
    """
    return f"{n:,} {one}{'' if n == 1 else 's'}"


def figure(number: float) -> str:
    """Return a number to three digits: more would claim what nobody knows.

    >>> figure(123456.0), figure(0.0), figure(12.345)
    ('123,000', '0', '12.3')
    """
    rounded = float(f"{number:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 or rounded == round(rounded) else f"{rounded:g}"


def by_class(cells: Sequence[Cell]) -> list[Named]:
    """Return the class of each cell."""
    return [(c.where.kind,) for c in cells]


def by_room(cells: Sequence[Cell]) -> list[Named | None]:
    """Return the room of each cell, None for nowhere."""
    return [("room", c.where.room) if c.where.room else None for c in cells]


def by_pool(cells: Sequence[Cell]) -> list[Named | None]:
    """Return the pool of each cell, None for none."""
    return [("pool", c.pool) if c.pool else None for c in cells]


def by_model(cells: Sequence[Cell]) -> list[Named | None]:
    """Return the hardware model of each cell, None for an unknown one."""
    return [("model", c.where.model) if c.where.model else None for c in cells]


def classes(fleet: Fleet) -> list[Group]:
    """Return the estimate by class, in the order of the classes."""
    return sorted(fleet.groups(by_class), key=lambda g: CLASSES.index(g.name[0]))


def connect_next(fleet: Fleet) -> list[Advice]:
    """Return whole rooms and pools, and samples of models, what narrows the interval most first."""
    return ranked([*fleet.advice(by_room, by_pool), *fleet.advice(by_model, samples=True)])


def document(fleet: Fleet) -> dict[str, Any]:
    """Return an estimate for programs: kWh, EUR, kgCO2e a year."""
    found = fleet.whole()
    priced = {**_ends(found.price, 1.0), "tariffs": list(found.tariffs), "share_priced": round(found.priced, 6)}
    return {
        "day": found.day.isoformat(),
        "period": "a year of 8,760 h of the fleet as of that day",
        "basis": {
            "measured": round(found.measured, 6),
            "modelled": round(found.modelled, 6),
            "assumed": round(1.0 - found.measured - found.modelled, 6),
        },
        "energy_kwh": _ends(found.energy, KWH),
        "price_eur": priced if found.tariffs else None,
        "carbon_kgco2e": {**_ends(found.carbon, 1000.0), "factor": found.factor, "method": found.method},
        "classes": [
            {
                "class": g.name[0],
                "devices": g.devices,
                "connected": g.with_agent,
                "without_agent_by_design": g.by_design,
                "energy_kwh": _kwh(g.energy.expected),
            }
            for g in classes(fleet)
        ],
        "connect_next": [
            {
                "what": a.name[0],
                "name": a.name[1],
                "devices": a.devices,
                "of": a.of,
                "energy_kwh": _kwh(a.energy),
                "interval_removed_kwh": _kwh(a.narrower),
            }
            for a in connect_next(fleet)
        ],
        "devices_in_no_known_room": found.unplaced,
        "devices_of_no_known_class": found.unknown,
    }


def _kwh(joules: float) -> float:
    return round(joules / KWH, 3)


def _ends(of: Range, unit: float) -> dict[str, float]:
    return {name: round(value / unit, 3) for name, value in asdict(of).items()}


def page(fleet: Fleet) -> str:
    """Return an estimate as a person reads it."""
    found = fleet.whole()
    told = [f"{part:.0%} {name}" for part, name in ((found.measured, "measured"), (found.modelled, "modelled")) if part]
    basis = f"{', '.join(told)}, the rest assumed" if told else "all assumed"
    lines = [f"A year of the fleet as of {found.day}, from the inventory: {basis}", ""]
    lines.append(_range("energy", found.energy, KWH, "kWh/year"))
    if found.tariffs:
        part = "" if found.priced > 0.9995 else f", of the {found.priced:.0%} whose price is known"
        lines.append(f"{_range('price', found.price, 1.0, 'EUR/year')}   {'; '.join(found.tariffs)}{part}")
    else:
        lines.append("  price     unknown: write tariff and tariff_date of a site")
    lines.append(f"{_range('carbon', found.carbon, 1000.0, 'kgCO2e/year')}   {found.factor}")
    lines += ["  95 % intervals; electricity of use only, without making", ""]
    lines.append("  class         devices   kWh/year   agents")
    for g in classes(fleet):
        agents = f"{g.with_agent} connected" + (f", {g.by_design} without one by design" if g.by_design else "")
        lines.append(f"  {g.name[0]:<12}{g.devices:>9,}{figure(g.energy.expected / KWH):>11}   {agents}")
    lines += ["", *_advice(connect_next(fleet))]
    if found.unplaced:
        lines += ["", f"{counted(found.unplaced, 'device')} in no known room: counted without PUE and price"]
    if found.unknown:
        lines += ["", f"{counted(found.unknown, 'device')} of no known class: not counted at all"]
    return "\n".join(lines)


def _range(name: str, of: Range, unit: float, shown: str) -> str:
    low, middle, high = (figure(x / unit) for x in (of.low, of.expected, of.high))
    return f"  {name:<8}{middle:>10} {shown:<12} between {low} and {high}"


def _advice(found: Sequence[Advice]) -> list[str]:
    if not found:
        return ["Nothing left to connect."]
    lines = ["What to connect next, each by itself, and how much narrower the interval of the energy gets:"]
    for i, a in enumerate(found[:SHOWN], 1):
        lines.append(f"  {i:>2}.{figure(a.narrower / KWH):>9} kWh/year   {a.name[0]} {a.name[1]}: {_machines(a)}")
    if len(found) > SHOWN:
        lines.append(f"  and {len(found) - SHOWN:,} more: --json has them")
    return lines


def _machines(advice: Advice) -> str:
    if advice.devices < advice.of:
        return f"{advice.devices} of {advice.of:,} devices, spread over their rooms"
    return counted(advice.of, "device")
