"""From energy and the keys of prices to euros. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector import units
from thinwatt_collector.inventory.places import price_of
from thinwatt_collector.serve.api.rows import Objects

Floats = NDArray[np.float64]
UNIT: Final = "EUR/kWh"


@dataclass(frozen=True, slots=True)
class Rates:
    """Euros a joule of each row, shape (n,): at most likely, and from where to where; NaN where no price is known."""

    middle: Floats
    low: Floats
    high: Floats


def rates(keys: Objects) -> Rates:
    """Return the rates of rows.

    Args:
        keys: of their prices: one, or several, a line each, where it is not told which holds for which part of it.
    """
    known = {text: _rate(text) for text in set(keys.tolist())}
    columns = np.array([known[text] for text in keys.tolist()], np.float64).reshape(len(keys), 2)
    return Rates(columns.mean(axis=1), columns[:, 0], columns[:, 1])


def _rate(text: str) -> tuple[float, float]:
    prices = [price_of(key) for key in text.split("\n")]
    kwh = units.scale("kWh", "J")
    told = [price.eur_per_kwh / kwh for price in prices if price is not None]
    return (min(told), max(told)) if len(told) == len(prices) else (np.nan, np.nan)


def told(keys: Iterable[str]) -> list[dict[str, Any]]:
    """Return the prices of some rows as objects, each once."""
    prices = {price for text in keys for key in text.split("\n") if (price := price_of(key)) is not None}
    listed = sorted(prices, key=lambda p: (p.where, str(p.since), p.eur_per_kwh))
    return [
        {
            "price": price.eur_per_kwh,
            "unit": UNIT,
            "date": price.since.isoformat() if price.since else None,
            "where": price.where,
        }
        for price in listed
    ]
