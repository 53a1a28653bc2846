"""An estimate as a person reads it, and as a program does: kWh, EUR and kgCO2e of a year."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from thinwatt_collector.inventory.campus import KWH, Advice, Cell, Fleet, Group, Named, Range, ranked
from thinwatt_collector.models.devices import CLASSES
from thinwatt_collector.words import Words

SHOWN: Final = 15
"""Lines of advice that a person reads."""
ENGLISH: Final = Words("en")


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


def page(fleet: Fleet, words: Words = ENGLISH) -> str:
    """Return an estimate as a person reads it."""
    found = fleet.whole()
    parts = ((found.measured, "measured"), (found.modelled, "modelled"))
    told = ", ".join(f"{percent(part, words)} {words(f'basis.{name}')}" for part, name in parts if part)
    basis = words("estimate.rest", told=told) if told else words("estimate.assumed")
    lines = [words("estimate.title", day=found.day, basis=basis), "", _range("energy", "kWh", found.energy, KWH, words)]
    if found.tariffs:
        part = "" if found.priced > 0.9995 else words("estimate.priced", part=percent(found.priced, words))
        prices = "; ".join(_tariff(text, words) for text in found.tariffs)
        lines.append(f"{_range('price', 'EUR', found.price, 1.0, words)}   {prices}{part}")
    else:
        lines.append(words("estimate.unpriced"))
    lines.append(f"{_range('carbon', 'kgCO2e', found.carbon, 1000.0, words)}   {_factor(found.factor, words)}")
    lines += [words("estimate.note"), "", words("estimate.heads")]
    for g in classes(fleet):
        agents = words("estimate.connected", n=g.with_agent)
        agents += words("estimate.design", n=g.by_design) if g.by_design else ""
        kind, devices = words.named("class", g.name[0]), words.number(g.devices)
        lines.append(f"  {kind:<12}{devices:>9}{words.figure(g.energy.expected / KWH):>11}   {agents}")
    lines += ["", *_advice(connect_next(fleet), words)]
    if found.unplaced:
        lines += ["", words("estimate.unplaced", devices=words.counted("devices", found.unplaced))]
    if found.unknown:
        lines += ["", words("estimate.unknown", devices=words.counted("devices", found.unknown))]
    return "\n".join(lines)


def _tariff(text: str, words: Words) -> str:
    price, rest = text.split(" ", 1)
    decimals = len(price.partition(".")[2])
    rest = rest.replace("(from ", f"({words('from')} ").replace("(undated)", f"({words('undated')})")
    return f"{words.number(float(price), decimals)} {rest}"


def _factor(text: str, words: Words) -> str:
    return text.replace(", as fallback", f", {words('as-fallback')}").replace(", smoothed ", f", {words('smoothed')} ")


def percent(part: float, words: Words) -> str:
    """Return a part as the language writes it.

    >>> percent(0.25, Words("en")), percent(0.25, Words("fr"))
    ('25%', '25\u202f%')
    """
    return f"{words.number(100 * part)}{chr(0x202F) if words.language == 'fr' else ''}%"


def _range(name: str, unit: str, of: Range, size: float, words: Words) -> str:
    low, middle, high = (words.figure(x / size) for x in (of.low, of.expected, of.high))
    head = f"  {words(f'estimate.{name}'):<8}{middle:>10} {words(f'unit.{unit}'):<12}"
    return f"{head} {words('estimate.between', low=low, high=high)}"


def _advice(found: Sequence[Advice], words: Words) -> list[str]:
    if not found:
        return [words("advice.none")]
    lines = [words("advice.title")]
    for i, a in enumerate(found[:SHOWN], 1):
        what = f"{words.named('what', a.name[0])} {a.name[1]}{words('colon')} {_machines(a, words)}"
        lines.append(f"  {i:>2}.{words.figure(a.narrower / KWH):>9} {words('unit.kWh')}   {what}")
    if len(found) > SHOWN:
        lines.append(words("advice.more", n=words.number(len(found) - SHOWN)))
    return lines


def _machines(advice: Advice, words: Words) -> str:
    if advice.devices < advice.of:
        return words("advice.some", some=words.number(advice.devices), of=words.number(advice.of))
    return words.counted("devices", advice.of)
