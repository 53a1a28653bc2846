"""Yearly factors from a table: the record method of France, ADEME's mean consumption mix.

A slot takes the factor of the year in which it lies, by the clocks of the zone. A year without a factor takes the
latest one published and is flagged: when its own appears, the carbon is restated. A factor that its publisher corrects
gets one more row, of the same year and with its own day of publication; the old row stays, so that what was reported
with it can be had again (``as_of``).

The figure is of the whole life cycle, location-based, at the consumer: fuel upstream, plants and losses are in it, so
nothing is added to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from thinwatt_collector.data import DataError, Row, rows
from thinwatt_collector.factors import Factor, FactorError, Kind, check
from thinwatt_collector.factors.grid import publishers
from thinwatt_collector.models.energy import SLOT_SECONDS
from thinwatt_collector.units import Flags, GramsPerJoule, Slots

NAME: Final = "table"
KINDS: Final[tuple[Kind, ...]] = ("record",)
METHOD: Final = "ademe_acv_annual"
COLUMNS: Final = ("zone", "timezone", "method", "year", "factor", "version", "published")
OPTIONS: Final = ("zone", "method", "file", "fallback_zone", "as_of", "kind")


def load(options: Mapping[str, Any]) -> YearlyTable:
    """Return the intensity that the options ask for.

    Args:
        options: ``zone`` ("FR"), ``method`` ("ademe_acv_annual"), ``file``: a table with the columns of
            data/electricity.csv to use in its place, ``fallback_zone``: whose factors to take, all of them flagged,
            when the table has none of ``zone``; ``as_of``: a day; factors published later are left out.

    Raises:
        FactorError: an option or a zone that is not known, or a table that cannot be used.

    >>> from datetime import datetime, UTC
    >>> noon = int(datetime(2025, 6, 1, 12, tzinfo=UTC).timestamp()) // 900
    >>> france = load({"zone": "FR"})
    >>> intensity, fallback = france.at(np.array([noon]))
    >>> round(float(intensity[0]) * 3.6e6, 6), bool(fallback[0]), france.factor_of(noon).version
    (46.1, False, 'Base Empreinte 2025, smoothed 2022–2025')
    """
    check(NAME, options, OPTIONS)
    zone, method = str(options.get("zone", "FR")), str(options.get("method", METHOD))
    path = Path(options["file"]) if options.get("file") else None
    as_of = publishers.day(NAME, options, "as_of")
    try:
        table = [r for r in rows("electricity", COLUMNS, "g/J", path) if r.of["method"] == method]
        table = [r for r in table if as_of is None or _published(r) <= as_of]
    except DataError as error:
        raise FactorError(f"factors.table: {error}") from error
    taken = [r for r in table if r.of["zone"] == zone]
    instead = str(options.get("fallback_zone") or "")
    if not taken and instead:
        taken = [r for r in table if r.of["zone"] == instead]
    if not taken:
        known = ", ".join(sorted({r.of["zone"] for r in table})) or "none"
        known += f" on {options['as_of']}" if as_of is not None else ""
        raise FactorError(
            f"factors.table: no factor of zone {instead or zone!r} by {method}; zones with one: {known}. Set zone, or "
            "fallback_zone to one of these (every figure is then flagged as a fallback), or file to a table of your own"
        )
    return YearlyTable(zone, method, taken)


class YearlyTable:
    """Intensity by calendar year of the zone. Immutable.

    Args:
        zone: that was asked for.
        method: label of the figures.
        table: of one zone; if it is another zone, every answer is a fallback. Of several rows of a year the one that
            was published last counts.
    """

    kind: Kind = "record"

    def __init__(self, zone: str, method: str, table: Sequence[Row]) -> None:
        self.zone, self.method = zone, method
        self.factor_zone = table[0].of["zone"]
        self._zone_is_fallback = self.factor_zone != zone
        by_year = {_year(row): row for row in sorted(table, key=_published)}
        if len({(_year(row), _published(row)) for row in table}) != len(table):
            raise FactorError(
                f"factors.table: zone {self.factor_zone} has two factors of one year, published on one day, at "
                f"{table[0].place}"
            )
        years = sorted(by_year)
        self.factors = tuple(_factor(by_year[y]) for y in years)
        self.vintage = max(f.published for f in self.factors)
        first, last = years[0], years[-1]
        # One entry a year from the one before the first to the one after the last, which stand for all beyond.
        known = [by_year.get(y) for y in range(first - 1, last + 2)]
        latest = self.factors[-1]
        self._of_year = [_factor(row) if row is not None else latest for row in known]
        self._intensity = np.array([f.intensity for f in self._of_year])
        self._missing = np.array([row is None or self._zone_is_fallback for row in known])
        clock = _clock(table[0])
        starts = [datetime(y, 1, 1, tzinfo=clock).astimezone(UTC).timestamp() for y in range(first, last + 2)]
        self._starts = np.array(starts) / SLOT_SECONDS

    def at(self, slots: Slots) -> tuple[GramsPerJoule, Flags]:
        """Return the intensity of slots and which of them are fallbacks.

        Args:
            slots: epoch // 900, any shape.

        Returns:
            Intensity [g/J] and flags, of the shape of ``slots``.
        """
        year = np.searchsorted(self._starts, slots, side="right")
        return self._intensity[year], self._missing[year]

    def factor_of(self, slot: int) -> Factor:
        """Return where the intensity of a slot comes from."""
        return self._of_year[int(np.searchsorted(self._starts, slot, side="right"))]


def _factor(row: Row) -> Factor:
    of = row.of
    return Factor(of["factor"], of["version"], of["year"], of["published"], row.value, row.uncertainty, row.source)


def _year(row: Row) -> int:
    try:
        year = int(row.of["year"])
    except ValueError:
        raise FactorError(f"factors.table: {row.place}: year {row.of['year']!r} is no year") from None
    if not 1900 <= year <= 2200:
        raise FactorError(f"factors.table: {row.place}: year {year} lies outside 1900 to 2200")
    return year


def _published(row: Row) -> int:
    try:
        return int(datetime.fromisoformat(row.of["published"]).replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise FactorError(f"factors.table: {row.place}: published {row.of['published']!r} is no day") from None


def _clock(row: Row) -> ZoneInfo:
    name = row.of["timezone"]
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise FactorError(
            f"factors.table: {row.place}: no time zone {name!r} on this machine: a name like Europe/Paris, and the "
            "system's package tzdata, are needed"
        ) from error
