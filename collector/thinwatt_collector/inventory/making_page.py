"""The making of an inventory as a person reads it, and as a program does: kgCO2e."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, Final

from thinwatt_collector.inventory.making import KG, View
from thinwatt_collector.inventory.page import ENGLISH

HEADS: Final = ("class", "devices", "amortised", "95 % interval", "written off", "bought", "purchases")
LINE: Final = "  {:<12}{:>9}{:>12}   {:<20}{:>13}{:>9}{:>12}"


def document(found: Sequence[View], begin: date, end: date) -> dict[str, Any]:
    """Return the views for programs."""
    classes = [
        {
            "class": v.kind,
            "devices": v.devices,
            "amortised_kgco2e": _kg(v.amortised),
            "amortised_kgco2e_low": _kg(v.low),
            "amortised_kgco2e_high": _kg(v.high),
            "written_off_kgco2e": _kg(v.written_off),
            "bought": v.bought,
            "purchases_kgco2e": _kg(v.purchases),
            "beyond_lifetime": v.beyond,
            "years_beyond_lifetime": round(v.beyond_years, 2),
            "undated": v.undated,
            "making_from": dict(v.origins),
        }
        for v in found
    ]
    return {
        "begin": begin.isoformat(),
        "end": end.isoformat(),
        "never_added": ["amortised_kgco2e", "purchases_kgco2e"],
        "classes": classes,
    }


def _kg(grams: float) -> float:
    return round(grams / KG, 3)


def page(found: Sequence[View], begin: date, end: date) -> str:
    """Return the views as a person reads them."""
    lines = [
        f"Making of the devices of the inventory from {begin} until before {end} [kgCO2e]",
        "",
        LINE.format(*HEADS),
    ]
    for v in found:
        ends = f"{ENGLISH.figure(v.low / KG)} to {ENGLISH.figure(v.high / KG)}"
        masses = [ENGLISH.figure(x / KG) for x in (v.amortised, v.written_off, v.purchases)]
        lines.append(LINE.format(v.kind, f"{v.devices:,}", masses[0], ends, masses[1], f"{v.bought:,}", masses[2]))
    lines += ["", "  amortised: each device over its own lifetime; purchases: all of it when bought."]
    lines += ["  Two views of one making: never add them."]
    return "\n".join([*lines, *(f"  {v.kind}: {told}" for v in found for told in _notes(v))])


def _notes(v: View) -> Iterator[str]:
    if v.beyond:
        years = f"{v.beyond_years:,.0f} years in all"
        yield f"{ENGLISH.counted('devices', v.beyond)} older than the lifetime, by {years}: nothing left to bear"
    if v.undated:
        yield f"{ENGLISH.counted('devices', v.undated)} without a day of purchase, in neither view: write purchased"
    if n := v.origins.get("class"):
        yield f"{ENGLISH.counted('devices', n)} with the average of the class: write embodied, or a server's parts"
