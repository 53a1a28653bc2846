"""Buckets of time: slots, and hours, days and months by the clocks of a place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final, Literal
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.models.energy import SLOT_SECONDS

Ints = NDArray[np.int64]
Grain = Literal["slot", "hour", "day", "month"]
LONGEST: Final[dict[Grain, int]] = {"slot": 62, "hour": 400, "day": 3_700, "month": 18_300}
"""The longest window that may be asked for at once [d]."""


@cache
def zones() -> frozenset[str]:
    """Return the names of the tz database, which browsers know as well."""
    return frozenset(available_timezones())


def clocks(name: str) -> ZoneInfo:
    """Return a time zone.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in zones():
        raise ValueError(f"{name!r} is no time zone: write a name like Europe/Paris or UTC")
    return ZoneInfo(name)


def edges(begin: int, end: int, grain: Grain, zone: ZoneInfo) -> Ints:
    """Return the limits of the buckets that hold [begin, end): m + 1 rising times for m buckets.

    The first bucket may begin before ``begin`` and the last end after ``end``. A day by local clocks may have 23 or 25
    hours.

    Args:
        begin: UTC [s since 1970].
        end: likewise, later.
        grain: of the buckets.
        zone: by whose clocks days and months begin.

    >>> paris = ZoneInfo("Europe/Paris")
    >>> at = int(datetime(2025, 10, 26, 12, tzinfo=UTC).timestamp())
    >>> (np.diff(edges(at, at + 1, "day", paris)) / 3600).tolist()
    [25.0]
    """
    if grain == "slot":
        return np.arange(begin // SLOT_SECONDS, -(-end // SLOT_SECONDS) + 1) * SLOT_SECONDS
    if grain == "hour":
        found = [_floor(begin, grain, zone)]
        while found[-1] < end:  # an hour that the clocks repeat is two
            found.append(found[-1] + 3600)
        return np.array(found, np.int64)
    local = datetime.fromtimestamp(_floor(begin, grain, zone), zone)
    found = [_seconds(local)]
    while found[-1] < end:
        local = _next(local, grain)
        found.append(_seconds(local))
    return np.array(found, np.int64)


def _seconds(local: datetime) -> int:
    return int(local.astimezone(UTC).timestamp())


def _floor(at: int, grain: Grain, zone: ZoneInfo) -> int:
    local = datetime.fromtimestamp(at, zone)
    if grain == "hour":
        return at - local.minute * 60 - local.second
    local = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return _seconds(local.replace(day=1) if grain == "month" else local)


def _next(local: datetime, grain: Grain) -> datetime:
    if grain == "day":
        return (local.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=local.tzinfo)
    year, month = divmod(local.year * 12 + local.month, 12)
    return local.replace(year=year, month=month + 1)


def midnight(at: int, zone: ZoneInfo) -> int:
    """Return the beginning of the local day that holds ``at``, UTC [s since 1970]."""
    return _floor(at, "day", zone)


def text(at: int, zone: ZoneInfo) -> str:
    """Return a time as ISO 8601 with the offset of the place.

    >>> text(0, ZoneInfo("Europe/Paris"))
    '1970-01-01T01:00:00+01:00'
    """
    return datetime.fromtimestamp(at, zone).isoformat()
