"""From energy and the keys of prices to euros. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector import units
from thinwatt_collector.inventory.places import price_of
from thinwatt_collector.serve.api.rows import Objects, texts

Floats = NDArray[np.float64]
UNIT: Final = "EUR/kWh"
LIKELY: Final = "= "
"""Begins the line that says which price [EUR/kWh] is likely for the whole, where several hold for parts of it."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Euros a joule of each row, shape (n,): at most likely, and from where to where; NaN where no price is known."""

    middle: Floats
    low: Floats
    high: Floats


def rates(keys: Objects) -> Rates:
    """Return the rates of rows.

    Args:
        keys: of their prices: one, or several, a line each, where it is not told which holds for which part of it; a
            last line may say which is likely (:func:`likely`), else it is the middle of them.
    """
    known = {text: _rate(text) for text in set(keys.tolist())}
    columns = np.array([known[text] for text in keys.tolist()], np.float64).reshape(len(keys), 3)
    return Rates(columns[:, 0], columns[:, 1], columns[:, 2])


def _rate(text: str) -> tuple[float, float, float]:
    kwh = units.scale("kWh", "J")
    prices = [price_of(key) for key in told_of(text)]
    told = [price.eur_per_kwh / kwh for price in prices if price is not None]
    least, most = (min(told), max(told)) if len(told) == len(prices) else (np.nan, np.nan)
    _, said, rate = text.rpartition("\n" + LIKELY)
    return (float(rate) / kwh if said else (least + most) / 2), least, most


def told_of(text: str) -> list[str]:
    """Return the keys of the prices that a key of several is of."""
    return [key for key in text.split("\n") if not key.startswith(LIKELY)]


def likely(keys: Iterable[str], rate: float) -> str:
    r"""Return the key of several prices, of which it is not told which holds for what.

    Args:
        keys: of the prices.
        rate: the one that is likely for the whole [EUR/kWh]; NaN where nobody knows.

    >>> likely(["b", "a"], 0.25)
    'a\nb\n= 0.25'
    """
    return "\n".join([*sorted(set(keys)), LIKELY + repr(float(rate))])


@dataclass(frozen=True, slots=True)
class Priced:
    """What cells tell of their prices: class, day, energy [J] and keys of each, shape (n,)."""

    group: Objects
    day: NDArray[np.int64]
    joules: Floats
    keys: Objects


@dataclass(frozen=True, slots=True)
class Days:
    """Keys of prices by class and day, for cells in time; and the price that was likely last, by class [EUR/kWh]."""

    keys: Mapping[tuple[str, int], str]
    last: Mapping[str, float]

    def of(self, time: Priced) -> Objects:
        """Return the keys of cells in time of these days."""
        return texts(self.keys[of] for of in zip(time.group.tolist(), time.day.tolist(), strict=True))


def by_day(time: Priced, place: Priced, last: Mapping[str, float] | None = None) -> Days:
    """Return what cells in time cost: what their class cost on the whole day, by its cells in place.

    So the euros of the hours of a day are those of the day. A day that is not over has no cells in place: what the last
    one cost that has is likely for it, within its own prices. Each price of the day may hold for each hour.

    Args:
        time: of cells in time.
        place: of cells in place, of the days that are over.
        last: what was likely before these days.
    """
    prices: dict[tuple[str, int], set[str]] = defaultdict(set)
    for group, day, key in zip(time.group.tolist(), time.day.tolist(), time.keys.tolist(), strict=True):
        prices[group, day].update(told_of(key))
    paid: dict[tuple[str, int], tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    euros = place.joules * rates(place.keys).middle
    columns = (place.group.tolist(), place.day.tolist(), euros.tolist(), place.joules.tolist())
    for group, day, eur, joules in zip(*columns, strict=True):
        before = paid[group, day]
        paid[group, day] = (before[0] + eur, before[1] + joules)
    kwh = units.scale("kWh", "J")
    found, likely_now = {}, dict(last or {})
    for group, day in sorted(prices):
        told = sorted(prices[group, day])
        eur, joules = paid.get((group, day), (0.0, 0.0))
        if joules > 0:
            rate = likely_now[group] = eur / joules * kwh
        else:
            _, least, most = _rate("\n".join(told))
            rate = float(np.clip(likely_now.get(group, np.nan), least * kwh, most * kwh))
        found[group, day] = told[0] if len(told) == 1 else likely(told, rate)
    return Days(found, likely_now)


def told(keys: Iterable[str]) -> list[dict[str, Any]]:
    """Return the prices of some rows as objects, each once."""
    prices = {price for text in keys for key in told_of(text) if (price := price_of(key)) is not None}
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
