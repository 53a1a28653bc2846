"""``thinwatt-collector factors show | fetch``: what carbon is worked out with; the one command that calls out."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thinwatt_collector import factors, units
from thinwatt_collector.factors import FactorError, Intensity, Kind
from thinwatt_collector.fetch import Fetcher
from thinwatt_collector.models.energy import SLOT_SECONDS

if TYPE_CHECKING:
    from thinwatt_collector.config import Config

Tables = Mapping[str, Mapping[str, Any]]
MONTH: Final = 30 * 86_400 // SLOT_SECONDS


def fetch(zone: str, kind: Kind, name: str, tables: Tables, cache: Path, now: float) -> Iterator[tuple[bool, str]]:
    """Ask the publishers of the configured sources; yield for each whether it answered, and what came, in words.

    Args:
        zone: of the grid.
        kind: that is configured.
        name: of the configured source.
        tables: source → options; a source without a table in the configuration is never asked.
        cache: folder of kept answers.
        now: UTC [s].
    """
    fetcher = Fetcher(cache)
    for each in sorted(tables):
        module = factors.source(each)
        if not hasattr(module, "fetch"):
            continue
        options = {"zone": zone, **tables[each]}
        options["kind"] = kind if each == name else options.get("kind", module.KINDS[0])
        try:
            yield True, str(module.fetch(options, fetcher, now))
        except FactorError as error:
            yield False, str(error)


def show(intensity: Intensity, now: float) -> str:
    """Return an intensity in words: its method and factors, what it says now, and how much of it is filled in."""
    per, slot = units.scale("g/kWh", "g/J"), int(now) // SLOT_SECONDS
    month, flags = intensity.at(np.arange(slot - MONTH, slot))
    (value,), (fallback,) = intensity.at(np.array([slot]))
    own = intensity.factor_of(slot)
    now_is = (
        f"{_minute(slot)}: {value / per:.1f} gCO2e/kWh{', a fallback' if fallback else ''}; {own.name}, {own.version}"
    )
    lately = f"{month.mean() / per:.1f} gCO2e/kWh on average, {flags.mean():.1%} of the quarters of an hour by fallback"
    lines = [
        f"{intensity.kind}: method {intensity.method}, zone {intensity.zone}, published until {intensity.vintage}",
        f"  {now_is}",
        f"  the last 30 days: {lately}",
    ]
    lines += [
        f"  {f.name}, {f.version}, of {f.vintage}, published {f.published}: {f.intensity / per:.1f} gCO2e/kWh "
        f"± {1.96 * f.uncertainty:.0%}; {f.source}"
        for f in intensity.factors
    ]
    return "\n".join(lines)


def run(what: str, settings: Config) -> int:
    """Do what was asked on the command line; return its exit status."""
    now = time.time()
    if what == "show":
        found = [settings.record(), settings.beside()]
        sys.stdout.write("\n".join(show(each, now) for each in found if each) + "\n")
        return 0
    asked = (settings.zone, settings.carbon_method, settings.carbon_source, settings.factors)
    said = list(fetch(*asked, settings.state / "fetched", now))
    if not said:
        raise FactorError("no source with a publisher to ask is configured: write a table [carbon.eco2mix], say")
    for good, text in said:
        (sys.stdout if good else sys.stderr).write(text + "\n")
    return 0 if all(good for good, _ in said) else 1


def _minute(slot: int) -> str:
    return f"{datetime.fromtimestamp(slot * SLOT_SECONDS, UTC):%Y-%m-%d %H:%M} UTC"
