"""The making of an inventory as a person reads it, and as a program does: kgCO2e."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final

from thinwatt_collector.inventory.bearing import MASSES, Row
from thinwatt_collector.inventory.campus import Range
from thinwatt_collector.inventory.making import KG
from thinwatt_collector.inventory.page import percent
from thinwatt_collector.inventory.reuse import Reuse
from thinwatt_collector.models.devices import CLASSES
from thinwatt_collector.models.rules import RULES, Rule
from thinwatt_collector.words import LANGUAGES, Words

LINE: Final = "  {:<16}{:>10}{:>12}   {:<20}{:>14}{:>12}{:>10}{:>12}"
NEVER_ADDED: Final = ("amortised_kgco2e", "purchases_kgco2e")


def masses(of: Mapping[str, Range], digits: int | None = None) -> dict[str, float]:
    """Return masses with their intervals for programs [kgCO2e]."""
    found = {}
    for name in MASSES:
        for end, grams in (("", of[name].expected), ("_low", of[name].low), ("_high", of[name].high)):
            found[f"{name}_kgco2e{end}"] = grams / KG if digits is None else round(grams / KG, digits)
    return found


def row(of: Row, by: Sequence[str], rule: Rule, digits: int | None = None) -> dict[str, Any]:
    """Return the figures of a group for programs."""
    years = of.beyond_years if digits is None else round(of.beyond_years, 2)
    return {
        "begin": of.begin.isoformat(),
        "end": of.end.isoformat(),
        **dict(zip(by, of.label, strict=True)),
        "devices": of.devices,
        **masses(of.masses[rule], digits),
        "by_rule": {rule: masses(of.masses[rule], digits) for rule in RULES},
        "bought": of.bought,
        "bought_reconditioned": of.bought_used,
        "reconditioned": of.reconditioned,
        "left": dict(of.left),
        "beyond_lifetime": of.beyond,
        "years_beyond_lifetime": years,
        "undated": of.undated,
        "making_from": dict(of.origins),
    }


def reused(of: Reuse, by: Sequence[str] = ("establishment",)) -> dict[str, Any]:
    """Return the re-use of a year for programs."""
    low, high = of.bounds or (None, None)
    return {
        "year": of.year,
        **dict(zip(by, of.label, strict=True)),
        "reused": of.reused,
        "scrapped": of.scrapped,
        "unknown": of.unknown,
        "older_than_ten_years": of.older,
        "undated": of.undated,
        "in_stock_on_january_1": of.stock,
        "proportion_of_the_decree": of.proportion,
        "share_of_what_left": of.share,
        "share_low": low,
        "share_high": high,
        "objective": of.objective,
    }


def document(
    rows: Sequence[Row],
    years: Sequence[Reuse],
    window: tuple[date, date],
    by: Sequence[str],
    rule: Rule,
    digits: int | None = None,
) -> dict[str, Any]:
    """Return all of it for programs."""
    begin, end = window
    return {
        "begin": begin.isoformat(),
        "end": end.isoformat(),
        "by": list(by),
        "rule": rule,
        "never_added": list(NEVER_ADDED),
        "rows": [row(of, by, rule, digits) for of in rows],
        "reuse": [reused(of) for of in years],
        "reuse_caution": {language: Words(language)("reuse.caution") for language in LANGUAGES},
    }


def page(rows: Sequence[Row], years: Sequence[Reuse], window: tuple[date, date], rule: Rule, words: Words) -> str:
    """Return the figures of classes as a person reads them."""
    begin, end = window
    rows = sorted(rows, key=lambda of: CLASSES.index(of.label[0]))
    lines = [words("making.title", begin=begin, end=end), ""]
    lines.append(LINE.format(*words("making.heads").split("|")).rstrip())
    for of in rows:
        mass = of.masses[rule]
        figures = {name: words.figure(mass[name].expected / KG) for name in MASSES}
        low, high = (words.figure(x / KG) for x in (mass["amortised"].low, mass["amortised"].high))
        between = words("making.between", low=low, high=high)
        numbers = figures["written_off"], figures["passed_on"], words.number(of.bought), figures["purchases"]
        kind = words.named("class", of.label[0])
        lines.append(LINE.format(kind, words.number(of.devices), figures["amortised"], between, *numbers))
    lines += ["", words("making.views"), words("making.never"), "", words("making.rules", rule=_named(rule, words))]
    lines += list(_rules(rows, words))
    notes = [
        f"  {words.named('class', of.label[0])}{words('colon')} {told}" for of in rows for told in _notes(of, words)
    ]
    lines += ["", *notes] if notes else []
    return "\n".join([*lines, *_reuse(years, words)])


def _named(rule: Rule, words: Words) -> str:
    return words.named("rule", rule)


def _rules(rows: Sequence[Row], words: Words) -> Iterator[str]:
    for rule in RULES:
        totals = {name: sum(of.masses[rule][name].expected for of in rows) / KG for name in MASSES}
        told = {name: words.figure(x) for name, x in totals.items()}
        yield words("making.rule", rule=_named(rule, words), **told)


def _notes(of: Row, words: Words) -> Iterator[str]:
    if of.beyond:
        devices = words.counted("devices", of.beyond)
        yield words("making.beyond", devices=devices, years=words.number(of.beyond_years))
    if of.undated:
        yield words("making.undated", devices=words.counted("devices", of.undated))
    if n := of.origins.get("class"):
        yield words("making.average", devices=words.counted("devices", n))
    if of.bought_used:
        yield words("making.used", devices=words.counted("devices", of.bought_used))
    if of.reconditioned:
        yield words("making.again", devices=words.counted("devices", of.reconditioned))


def _reuse(years: Sequence[Reuse], words: Words) -> list[str]:
    if not years:
        return []
    lines = ["", words("reuse.title")]
    for of in years:
        share = words("reuse.nothing") if of.share is None else percent(of.share, words)
        law = words("reuse.no-stock")
        if of.proportion is not None:
            law = words("reuse.law", law=percent(of.proportion, words), stock=words.number(of.stock))
        aim = words("reuse.no-objective") if of.objective is None else percent(of.objective, words)
        told = {"reused": of.reused, "scrapped": of.scrapped, "unknown": of.unknown}
        numbers = {name: words.number(n) for name, n in told.items()}
        where = of.label[0] or words("reuse.nowhere")
        lines.append(words("reuse.line", year=of.year, where=where, share=share, law=law, aim=aim, **numbers))
    return [*lines, *textwrap.wrap(words("reuse.caution"), 110, initial_indent="  ", subsequent_indent="  ")]
