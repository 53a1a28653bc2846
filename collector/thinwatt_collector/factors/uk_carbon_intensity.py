"""Carbon Intensity API of Great Britain's system operator: every half hour, free and without a key.

Emissions of generation, imports and losses included, no upstream: a live figure, for *when*. What it calls actual is an
estimate made afterwards; of half hours that are not over, and of some that are, there is a forecast only: it is flagged
as a fallback until the actual comes. ``actual: null`` is no zero.

References:
    carbon-intensity.github.io/api-definitions: ``GET /intensity/{from}/{to}``, at most 14 days a question, UTC, and the
    half hour that ends at ``from`` comes along. CC BY 4.0, National Energy System Operator.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from thinwatt_collector import units
from thinwatt_collector.factors import FactorError, Kind, check
from thinwatt_collector.factors.grid import publishers
from thinwatt_collector.factors.grid.archive import Archive
from thinwatt_collector.factors.grid.readings import Batch, Said, document, moment, number, on_slots
from thinwatt_collector.factors.grid.series import Publication, Revision, Series
from thinwatt_collector.fetch import Fetcher
from thinwatt_collector.models.energy import SLOT_SECONDS

NAME: Final = "uk_carbon_intensity"
KINDS: Final[tuple[Kind, ...]] = ("live",)
METHOD: Final = "uk_generation_30min"
OPTIONS: Final = ("kind", "zone", "archive", "url", "since", "as_of")
URL: Final = "https://api.carbonintensity.org.uk"
REVISIONS: Final = (Revision("forecast", "forecast", sure=False), Revision("actual", "actual"))
DAY: Final = 86_400
LONG: Final = 13 * DAY
"""Length of a question [s]: with the half hour before it, it stays within the 14 days."""
HALF_HOUR: Final = 1800
FIRST: Final = 30 * DAY
OPEN: Final = 3 * DAY
"""Figures younger than this are asked for again: an actual may come late [s]."""


def load(options: Mapping[str, Any]) -> Series:
    """Return the live intensity of Great Britain from the archive.

    Args:
        options: ``kind`` ("live"), ``zone`` ("GB"), ``archive``: folder that ``fetch`` fills, ``as_of``: a day; what
            was told later is left out.

    Raises:
        FactorError: an option is wrong, or the archive is empty.
    """
    check(NAME, options, OPTIONS)
    if options.get("zone", "GB") != "GB":
        raise FactorError(f"factors.{NAME}: it knows no zone {options['zone']!r}: set zone to GB, or another source")
    as_of = publishers.day(NAME, options, "as_of")
    source = "National Energy System Operator, Carbon Intensity API, carbonintensity.org.uk, CC BY 4.0"
    of = Publication("live", METHOD, "intensity", source, REVISIONS, publishers.known(NAME)["doubt"])
    try:
        return Series(of, "GB", _archive(options).read(), math.inf if as_of is None else as_of)
    except FactorError as error:
        raise FactorError(f"factors.{NAME}: {error}: run thinwatt-collector factors fetch") from error


def fetch(options: Mapping[str, Any], fetcher: Fetcher, now: float) -> str:
    """Ask for what is new and file it. Return in words what came.

    Raises:
        FactorError: it did not give it; it says what the archive holds all the same.
    """
    check(NAME, options, OPTIONS)
    archive, url = _archive(options), str(options.get("url") or URL)
    readings = archive.read()
    since = publishers.day(NAME, options, "since") or int(now) - FIRST
    begin = max(since, int(readings.slot.max()) * SLOT_SECONDS - OPEN) if len(readings) else since

    def get(first: int, last: int) -> Batch:
        address = f"{url}/intensity/{_iso(first)}/{_iso(last)}"
        return fetcher.get(address, lambda body: readings_of(rows_of(body), now))

    told = publishers.ask(NAME, archive, publishers.windows(begin, int(now), LONG), get, now)
    return f"{NAME}: {told}; {publishers.age(archive, now)}"


def rows_of(body: bytes) -> list[Any]:
    """Return the rows of an answer.

    Raises:
        ValueError: it is none.
    """
    found = document(body)
    error = found.get("error") if isinstance(found, dict) else None
    if error:
        raise ValueError(str(error.get("message", error) if isinstance(error, dict) else error))
    rows = found.get("data") if isinstance(found, dict) else None
    if not isinstance(rows, list):
        raise ValueError("an answer without data")  # noqa: TRY004  # it is the answer that is wrong
    return rows


def readings_of(rows: Iterable[Any], told: float) -> Batch:
    """Return half hours as readings: the actual, or the forecast where there is none.

    >>> row = {"from": "2018-01-20T12:00Z", "to": "2018-01-20T12:30Z", "intensity": {"forecast": 266, "actual": None}}
    >>> batch = readings_of([row], 0.0)
    >>> (batch.readings.intensity * 3.6e6).round(9).tolist(), batch.readings.rank.tolist()
    ([266.0, 266.0], [0, 0])
    """
    per, said, strange = units.scale("g/kWh", "g/J"), [], 0
    for row in rows:
        try:
            begin, told_of = moment(row.get("from")), row["intensity"]
            if moment(row.get("to")) - begin != HALF_HOUR:
                raise ValueError("no half hour")
            actual, forecast = number(told_of.get("actual")), number(told_of.get("forecast"))
        except (ValueError, AttributeError, KeyError, TypeError):
            strange += 1
            continue
        sure = not math.isnan(actual)
        intensity = (actual if sure else forecast) * per
        said += [Said(begin + quarter, intensity, int(sure)) for quarter in range(0, HALF_HOUR, SLOT_SECONDS)]
    batch = on_slots(said, told, 1, publishers.known(NAME)["largest"])
    batch.counts["unreadable"] = strange
    return batch


def _archive(options: Mapping[str, Any]) -> Archive:
    return Archive(publishers.folder(NAME, options), [r.word for r in REVISIONS])


def _iso(utc: int) -> str:
    return f"{datetime.fromtimestamp(utc, UTC):%Y-%m-%dT%H:%MZ}"
