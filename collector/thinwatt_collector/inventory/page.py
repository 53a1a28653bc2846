"""An estimate as a person reads it, and as a program does: kWh, EUR and kgCO2e of a year."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from thinwatt_collector.inventory.campus import KWH, Advice, Campus, Range

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


def document(found: Campus) -> dict[str, Any]:
    """Return an estimate for programs: kWh, EUR, kgCO2e a year."""
    priced = {**_ends(found.price, 1.0), "tariffs": list(found.tariffs), "share_priced": round(found.priced, 6)}
    return {
        "day": found.day.isoformat(),
        "period": "a year of 8,760 h of the fleet as of that day",
        "basis": {"measured": round(found.measured, 6), "modelled": 0.0, "assumed": round(1.0 - found.measured, 6)},
        "energy_kwh": _ends(found.energy, KWH),
        "price_eur": priced if found.tariffs else None,
        "carbon_kgco2e": {**_ends(found.carbon, 1000.0), "factor": found.factor, "method": found.method},
        "classes": [
            {
                "class": g.kind,
                "devices": g.devices,
                "connected": g.connected,
                "without_agent_by_design": g.by_design,
                "energy_kwh": _kwh(g.energy),
            }
            for g in found.groups
        ],
        "connect_next": [
            {
                "what": a.what,
                "name": a.name,
                "devices": a.devices,
                "of": a.of,
                "energy_kwh": _kwh(a.energy),
                "interval_removed_kwh": _kwh(a.narrower),
            }
            for a in found.advice
        ],
        "devices_in_no_known_room": found.unplaced,
        "devices_of_no_known_class": found.unknown,
    }


def _kwh(joules: float) -> float:
    return round(joules / KWH, 3)


def _ends(of: Range, unit: float) -> dict[str, float]:
    return {name: round(value / unit, 3) for name, value in asdict(of).items()}


def page(found: Campus) -> str:
    """Return an estimate as a person reads it."""
    basis = "all assumed" if found.measured == 0 else f"{found.measured:.0%} measured, the rest assumed"
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
    for g in found.groups:
        agents = f"{g.connected} connected" + (f", {g.by_design} without one by design" if g.by_design else "")
        lines.append(f"  {g.kind:<12}{g.devices:>9,}{figure(g.energy / KWH):>11}   {agents}")
    lines += ["", *_advice(found)]
    if found.unplaced:
        lines += ["", f"{counted(found.unplaced, 'device')} in no known room: counted without PUE and price"]
    if found.unknown:
        lines += ["", f"{counted(found.unknown, 'device')} of no known class: not counted at all"]
    return "\n".join(lines)


def _range(name: str, of: Range, unit: float, shown: str) -> str:
    low, middle, high = (figure(x / unit) for x in (of.low, of.expected, of.high))
    return f"  {name:<8}{middle:>10} {shown:<12} between {low} and {high}"


def _advice(found: Campus) -> list[str]:
    if not found.advice:
        return ["Nothing left to connect."]
    lines = ["What to connect next, each by itself, and how much narrower the interval of the energy gets:"]
    for i, a in enumerate(found.advice[:SHOWN], 1):
        lines.append(f"  {i:>2}.{figure(a.narrower / KWH):>9} kWh/year   {a.what} {a.name}: {_machines(a)}")
    if len(found.advice) > SHOWN:
        lines.append(f"  and {len(found.advice) - SHOWN:,} more: --json has them")
    return lines


def _machines(advice: Advice) -> str:
    if advice.devices < advice.of:
        return f"{advice.devices} of {advice.of:,} devices, spread over their rooms"
    return counted(advice.of, "device")
