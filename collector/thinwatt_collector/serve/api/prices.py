"""From energy and the keys of its terms to euros, and to the energy of the rooms it was drawn in. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector import units
from thinwatt_collector.inventory.terms import terms_of
from thinwatt_collector.serve.api.rows import Objects, texts

Floats = NDArray[np.float64]
UNIT: Final = "EUR/kWh"
LIKELY: Final = "= "
"""Begins the line that says which rates are likely for the whole, where several hold for parts of it."""


class Of(NamedTuple):
    """What a joule of a machine comes to: euros, euros of the room, joules of the room."""

    eur: float
    room_eur: float
    pue: float


@dataclass(frozen=True, slots=True)
class Range:
    """What is most likely, and from where to where, shape (n,); NaN where nobody knows."""

    middle: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class Rates:
    """What a joule of each row comes to: euros of the machine, euros of its room [EUR/J], the room's PUE [1]."""

    eur: Range
    room_eur: Range
    pue: Range


def rates(keys: Objects) -> Rates:
    """Return the rates of rows.

    Args:
        keys: of their terms: one, or several, a line each, where it is not told which holds for which part of it; a
            last line may say which rates are likely (:func:`likely`), else each is the middle of them.
    """
    known = {text: _rates(text) for text in set(keys.tolist())}
    columns = np.array([known[text] for text in keys.tolist()], np.float64).reshape(len(keys), 3, 3)
    return Rates(*(Range(*(columns[:, end, of] for end in range(3))) for of in range(3)))


def _rates(text: str) -> tuple[Of, Of, Of]:
    """Return what is likely, the least and the most."""
    told = [_of(key) for key in told_of(text)]
    least, most = Of(*map(min, zip(*told, strict=True))), Of(*map(max, zip(*told, strict=True)))
    if any(np.isnan(of.eur) for of in told):
        least, most = least._replace(eur=np.nan, room_eur=np.nan), most._replace(eur=np.nan, room_eur=np.nan)
    _, said, likely_ones = text.rpartition("\n" + LIKELY)
    if said:
        return Of(*map(float, likely_ones.split(" "))), least, most
    return Of(*((a + b) / 2 for a, b in zip(least, most, strict=True))), least, most


def _of(key: str) -> Of:
    terms = terms_of(key)
    pue = terms.pue.ratio if terms.pue else 1.0
    eur = terms.price.eur_per_kwh / units.scale("kWh", "J") if terms.price else np.nan
    return Of(eur, eur * pue, pue)


def told_of(text: str) -> list[str]:
    """Return the keys of the terms that a key of several is of."""
    return [key for key in text.split("\n") if not key.startswith(LIKELY)]


def likely(keys: Iterable[str], rate: Of) -> str:
    r"""Return the key of several terms, of which it is not told which holds for what.

    Args:
        keys: of the terms.
        rate: those that are likely for the whole; NaN where nobody knows.

    >>> likely(["b", "a"], Of(0.25, 0.5, 2.0))
    'a\nb\n= 0.25 0.5 2.0'
    """
    return "\n".join([*sorted(set(keys)), LIKELY + " ".join(repr(float(of)) for of in rate)])


@dataclass(frozen=True, slots=True)
class Priced:
    """What cells tell of their terms: class, day, energy [J] and keys of each, shape (n,)."""

    group: Objects
    day: NDArray[np.int64]
    joules: Floats
    keys: Objects


@dataclass(frozen=True, slots=True)
class Days:
    """Keys of terms by class and day, for cells in time; and the rates that were likely last, by class."""

    keys: Mapping[tuple[str, int], str]
    last: Mapping[str, Of]

    def of(self, time: Priced) -> Objects:
        """Return the keys of cells in time of these days."""
        return texts(self.keys[of] for of in zip(time.group.tolist(), time.day.tolist(), strict=True))


def by_day(time: Priced, place: Priced, last: Mapping[str, Of] | None = None) -> Days:
    """Return what cells in time come to: what their class came to on the whole day, by its cells in place.

    So the euros of the hours of a day are those of the day. A day that is not over has no cells in place: what the last
    one came to that has is likely for it, within its own terms. Each of the day may hold for each hour.

    Args:
        time: of cells in time.
        place: of cells in place, of the days that are over.
        last: what was likely before these days.
    """
    terms: dict[tuple[str, int], set[str]] = defaultdict(set)
    for group, day, key in zip(time.group.tolist(), time.day.tolist(), time.keys.tolist(), strict=True):
        terms[group, day].update(told_of(key))
    paid: dict[tuple[str, int], Floats] = defaultdict(lambda: np.zeros(4))
    known = rates(place.keys)
    of_joule = [known.eur.middle, known.room_eur.middle, known.pue.middle, np.ones(len(place.joules))]
    came_to = np.stack([place.joules * of for of in of_joule], axis=1)
    for group, day, amounts in zip(place.group.tolist(), place.day.tolist(), came_to, strict=True):
        paid[group, day] += amounts
    found, likely_now = {}, dict(last or {})
    for group, day in sorted(terms):
        told = sorted(terms[group, day])
        *amounts, joules = paid[group, day].tolist()
        if joules > 0:
            rate = likely_now[group] = Of(*(amount / joules for amount in amounts))
        else:
            middle, least, most = _rates("\n".join(told))
            before = likely_now.get(group, Of(np.nan, np.nan, middle.pue))
            rate = Of(*np.clip(before, least, most).tolist())
        found[group, day] = told[0] if len(told) == 1 else likely(told, rate)
    return Days(found, likely_now)


def told(keys: Iterable[str]) -> list[dict[str, Any]]:
    """Return the prices of some rows as objects, each once."""
    prices = {price for text in keys for key in told_of(text) if (price := terms_of(key).price) is not None}
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


def effectiveness(keys: Iterable[str]) -> list[dict[str, Any]]:
    """Return the PUEs of some rows as objects, each once."""
    pues = {pue for text in keys for key in told_of(text) if (pue := terms_of(key).pue) is not None}
    return [{"pue": pue.ratio, "where": pue.where} for pue in sorted(pues, key=lambda p: (p.where, p.ratio))]
