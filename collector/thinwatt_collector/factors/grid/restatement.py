"""Why did last month change? Booked energy, an old and a new state of publication, and what lies between, in words.

Energy is never touched: the same joules are multiplied by what was known then and by what is known now. Only figures of
one method and zone are compared; a change of method is not a restatement but another figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector import units
from thinwatt_collector.factors import Factor, FactorError, Intensity
from thinwatt_collector.models.carbon import grams, restated
from thinwatt_collector.models.energy import SLOT_SECONDS
from thinwatt_collector.units import Joules, Slots

Language = Literal["fr", "en"]


@dataclass(frozen=True, slots=True)
class Change:
    """The slots whose intensity went from one factor to another.

    Attributes:
        begin, end: of the first and after the last of them, UTC [s].
        slots: how many different ones have energy.
        joules: booked in them [J].
        before, after: their CO2e then and now [g].
        delta: by how much it changes [g].
        old, new: where the intensities come from.
        old_fallback, new_fallback: whether they are fallbacks.
    """

    begin: int
    end: int
    slots: int
    joules: float
    before: float
    after: float
    delta: float
    old: Factor
    new: Factor
    old_fallback: bool
    new_fallback: bool


def changes(slots: Slots, joules: Joules, before: Intensity, after: Intensity) -> list[Change]:
    """Return what a new state of publication changes in the CO2e of booked energy, in the order of time.

    Args:
        slots: epoch // 900, in any order, shape (n,).
        joules: booked in each, shape (n,) [J].
        before: as it was known when the CO2e was reported.
        after: as it is known now.

    Returns:
        One change a pair of factors; none where nothing changes.

    Raises:
        FactorError: the two are of different methods or zones.
    """
    for what in ("method", "zone"):
        was, now = getattr(before, what), getattr(after, what)
        if was != now:
            raise FactorError(
                f"carbon by {what} {was} and by {now} are two figures: neither is a restatement of the other"
            )
    (old, old_flag), (new, new_flag) = before.at(slots), after.at(slots)
    moved = np.flatnonzero((old != new) & (joules != 0))
    groups: dict[tuple[Factor, Factor, bool, bool], list[int]] = {}
    for i in moved[np.argsort(slots[moved], kind="stable")].tolist():
        slot = int(slots[i])
        key = (before.factor_of(slot), after.factor_of(slot), bool(old_flag[i]), bool(new_flag[i]))
        groups.setdefault(key, []).append(i)
    delta = restated(joules, old, new)
    found = []
    for (was, now, was_flag, now_flag), rows in groups.items():
        mine: NDArray[np.int64] = slots[rows]
        found.append(
            Change(
                int(mine[0]) * SLOT_SECONDS,
                (int(mine[-1]) + 1) * SLOT_SECONDS,
                len(np.unique(mine)),
                float(joules[rows].sum()),
                float(grams(joules[rows], old[rows]).sum()),
                float(grams(joules[rows], new[rows]).sum()),
                float(delta[rows].sum()),
                was,
                now,
                was_flag,
                now_flag,
            )
        )
    return found


WORDS: Final = {
    "en": {
        "whole": (
            "Carbon of {begin} to {end} ({clock}) restated by {delta} ({share}): {before} became {after}. The energy "
            "of these {slots} quarters of an hour, {kwh}, is what it was. Method {method}, zone {zone}."
        ),
        "part": "{begin} to {end}, {slots} quarters of an hour, {kwh}, {delta}: {old} → {new}.",
        "factor": "{name}, {version}, published {published}, {intensity} ({source})",
        "fallback": " used for want of the right one",
        "none": "No carbon is restated.",
    },
    "fr": {
        "whole": (
            "Carbone du {begin} au {end} ({clock}) recalculé de {delta} ({share}) : {before} deviennent {after}. "
            "L’énergie de ces {slots} quarts d’heure, {kwh}, reste ce qu’elle était. Méthode {method}, zone {zone}."
        ),
        "part": "Du {begin} au {end}, {slots} quarts d’heure, {kwh}, {delta} : {old} → {new}.",
        "factor": "{name}, {version}, publié le {published}, {intensity} ({source})",
        "fallback": " pris à défaut du bon",
        "none": "Aucun carbone n’est recalculé.",
    },
}


def words(found: Sequence[Change], intensity: Intensity, clock: ZoneInfo, language: Language) -> str:
    """Return an event in words: how much changed, in which quarters of an hour, from which publication to which.

    Args:
        found: of :func:`changes`.
        intensity: the new one.
        clock: whose local times are written.
        language: "fr" or "en".
    """
    text = WORDS[language]
    if not found:
        return text["none"]
    before, delta = sum(c.before for c in found), sum(c.delta for c in found)
    share = f"{_number(delta / before * 100, language, '+.1f')} %" if before else "–"
    whole = text["whole"].format(
        **_span(min(c.begin for c in found), max(c.end for c in found), clock),
        clock=clock.key,
        delta=_kilograms(delta, language, "+.3f"),
        share=share,
        before=_kilograms(before, language, ".3f"),
        after=_kilograms(sum(c.after for c in found), language, ".3f"),
        slots=_number(sum(c.slots for c in found), language, ".0f"),
        kwh=_kwh(sum(c.joules for c in found), language),
        method=intensity.method,
        zone=intensity.zone,
    )
    return "\n".join([whole, *(_part(change, clock, language) for change in found)])


def _part(change: Change, clock: ZoneInfo, language: Language) -> str:
    return WORDS[language]["part"].format(
        **_span(change.begin, change.end, clock),
        slots=_number(change.slots, language, ".0f"),
        kwh=_kwh(change.joules, language),
        delta=_kilograms(change.delta, language, "+.3f"),
        old=_factor(change.old, change.before, change.joules, change.old_fallback, language),
        new=_factor(change.new, change.after, change.joules, change.new_fallback, language),
    )


def _factor(factor: Factor, mass: float, joules: float, fallback: bool, language: Language) -> str:
    per = units.scale("kg/kWh", "g/J")
    intensity = mass / joules if joules else factor.intensity
    text = WORDS[language]["factor"].format(
        name=factor.name,
        version=factor.version,
        published=factor.published,
        intensity=f"{_number(intensity / per, language, '.4f')} kgCO2e/kWh",
        source=factor.source,
    )
    return text + (WORDS[language]["fallback"] if fallback else "")


def _span(begin: int, end: int, clock: ZoneInfo) -> dict[str, str]:
    return {
        key: f"{datetime.fromtimestamp(utc, clock):%Y-%m-%d %H:%M}" for key, utc in (("begin", begin), ("end", end))
    }


def _kwh(joules: float, language: Language) -> str:
    return f"{_number(joules / units.scale('kWh', 'J'), language, '.3f')} kWh"


def _kilograms(mass: float, language: Language, how: str) -> str:
    return f"{_number(mass / units.scale('kg', 'g'), language, how)} kgCO2e"


def _number(value: float, language: Language, how: str) -> str:
    """Return a number as people write it: with a real minus, and in French with a comma and narrow spaces."""
    text = format(value, how.replace(".", ",.")).replace("-", "−")
    return text.translate(str.maketrans(",.", "\u202f,")) if language == "fr" else text
