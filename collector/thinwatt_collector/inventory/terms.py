"""What a machine's joules come to where it stands: the price of its electricity, and its room's PUE. Pure.

Both travel beside energy as one text, their key: rows of one key have one price and one PUE.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final

BETWEEN: Final = "\x1f"
"""Between a PUE and a price; no name of an inventory has it."""
MARK: Final = "×"


@dataclass(frozen=True, slots=True)
class Price:
    """A price of electricity [EUR/kWh], the first day on which it was paid, and what says so."""

    eur_per_kwh: float
    since: date | None
    where: str

    def holds(self, day: date) -> bool:
        """Return whether it was paid on a day; without a first day, always."""
        return self.since is None or self.since <= day


@dataclass(frozen=True, slots=True)
class Pue:
    """Power usage effectiveness: energy of a room divided by that of its machines, above 1 [1]; and what says so."""

    ratio: float
    where: str


@dataclass(frozen=True, slots=True)
class Terms:
    """A price and a PUE; None where nobody says. A room without a PUE is not cooled for its machines."""

    price: Price | None = None
    pue: Pue | None = None

    @property
    def key(self) -> str:
        """Return them as a text, which :func:`terms_of` reads; "" for neither.

        >>> terms_of(Terms(Price(0.19, date(2026, 2, 1), "site North"), Pue(1.45, "room DC")).key).pue
        Pue(ratio=1.45, where='room DC')
        >>> Terms(Price(0.19, None, "site North")).key
        '0.19 - site North'
        """
        price, pue = self.price, self.pue
        paid = f"{price.eur_per_kwh!r} {price.since or '-'} {price.where}" if price else ""
        return f"{MARK}{pue.ratio!r} {pue.where}{BETWEEN}{paid}" if pue else paid


@lru_cache(maxsize=1 << 16)
def terms_of(key: str) -> Terms:
    """Return the terms that a text tells."""
    pue, paid = None, key
    if key.startswith(MARK):
        around, _, paid = key.partition(BETWEEN)
        ratio, where = around.removeprefix(MARK).split(" ", 1)
        pue = Pue(float(ratio), where)
    if not paid:
        return Terms(None, pue)
    eur, since, where = paid.split(" ", 2)
    return Terms(Price(float(eur), None if since == "-" else date.fromisoformat(since), where), pue)
