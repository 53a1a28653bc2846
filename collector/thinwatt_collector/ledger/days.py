"""Hours and days of a place in hours of UTC: what the ledger sums over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.models.energy import SLOT_SECONDS

Ints = NDArray[np.int64]
Grain = Literal["slot", "hour", "day", "month"]
HOUR: Final = 3600
DAY: Final = 86_400


def zone_of(name: str) -> ZoneInfo:
    """Return a time zone.

    Raises:
        ValueError: there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone: write a name such as Europe/Paris or UTC") from error


def edges(begin: int, end: int, grain: Grain, zone: ZoneInfo) -> Ints:
    """Return the limits of the buckets that hold [begin, end), UTC [s]: m + 1 rising times for m buckets.

    A day or month is that of the zone's clocks; so is an hour, and the hour that clocks repeat is two.

    >>> at = int(datetime(2025, 10, 26, 12, tzinfo=UTC).timestamp())
    >>> (np.diff(edges(at, at + 1, "day", ZoneInfo("Europe/Paris"))) / HOUR).tolist()
    [25.0]
    """
    if grain == "slot":
        return np.arange(begin // SLOT_SECONDS, -(-end // SLOT_SECONDS) + 1) * SLOT_SECONDS
    if grain == "hour":
        local = datetime.fromtimestamp(begin, zone)
        return np.arange(begin - local.minute * 60 - local.second, end + HOUR, HOUR)
    first = datetime.fromtimestamp(begin, zone).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    found = [first.replace(day=1) if grain == "month" else first]
    while _utc(found[-1], zone) < end:
        found.append(_next(found[-1], grain))
    return np.array([_utc(local, zone) for local in found], np.int64)


def day_of(at: int, zone: ZoneInfo) -> tuple[int, int] | None:
    """Return the first hour of the local day of ``at`` and of the next, or None where a day is not whole hours of UTC.

    Args:
        at: UTC [s].
        zone: by whose clocks.
    """
    begin, end = (int(edge) for edge in edges(at, at + 1, "day", zone)[:2])
    return None if begin % HOUR or end % HOUR else (begin // HOUR, end // HOUR)


def _next(local: datetime, grain: Grain) -> datetime:
    if grain == "day":
        return local + timedelta(days=1)
    year, month = divmod(local.year * 12 + local.month, 12)
    return local.replace(year=year, month=month + 1)


def _utc(local: datetime, zone: ZoneInfo) -> int:
    return int(local.replace(tzinfo=zone).astimezone(UTC).timestamp())
