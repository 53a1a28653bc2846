"""Rows as RTE makes them: a table of 96 quarters by the clocks of Paris, whatever the day.

Where clocks go forward it has an hour that never was, on instants that the next hour has as well; where they go back,
the hour that comes twice is in it once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

PARIS = ZoneInfo("Europe/Paris")
NATURES = ("Données temps réel", "Données consolidées", "Données définitives")
Row = dict[str, Any]


def slot(moment: datetime) -> int:
    return int(moment.timestamp()) // 900


def day(of: date, intensity: Callable[[int], Any], nature: int = 0, step: int = 15) -> list[Row]:
    """Return the rows of a local day; with a step of 30 min the rows between are there and empty."""
    rows = []
    for minutes in range(0, 24 * 60, 15):
        local = datetime.combine(of, time(minutes // 60, minutes % 60))
        instant = local.replace(tzinfo=PARIS).astimezone(UTC)
        rows.append(
            {
                "perimetre": "France",
                "nature": NATURES[nature],
                "date": f"{local:%Y-%m-%d}",
                "heure": f"{local:%H:%M}",
                "date_heure": instant.isoformat(),
                "consommation": 50_000,
                "eolien_offshore": "87",
                "taux_co2": intensity(slot(instant)) if minutes % step == 0 else None,
            }
        )
    return rows


def days(first: date, last: date) -> Iterator[date]:
    for i in range((last - first).days):
        yield first + timedelta(days=i)


def changes(year: int, zone: ZoneInfo = PARIS) -> list[date]:
    """Return the days of a year that do not have 24 hours."""
    return [d for d in days(date(year, 1, 1), date(year + 1, 1, 1)) if hours(d, zone) != 24]


def hours(of: date, zone: ZoneInfo = PARIS) -> float:
    first, last = midnights(of, zone)
    return (last - first) / 4


def midnights(of: date, zone: ZoneInfo = PARIS) -> tuple[int, int]:
    """Return the first slot of a local day, and the first of the next."""
    both = (datetime.combine(d, time(), zone) for d in (of, of + timedelta(days=1)))
    first, last = (slot(moment) for moment in both)
    return first, last
