"""Many slots at once into a ledger that nobody else writes: a history that is made up, or comes from elsewhere.

They go where the ledger itself would have them by now: sealed, or, where whole local days of them are handed over as
old, in the rows of slots, hours and days that compaction leaves behind (migration 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.ledger import LedgerError
from thinwatt_collector.ledger.compaction import whole_day
from thinwatt_collector.ledger.days import HOUR, zone_of
from thinwatt_collector.ledger.session import EngineError, Session, given
from thinwatt_collector.models.energy import SLOT_SECONDS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

AMOUNTS: Final = ("joules", "bias", "covered")
PER_HOUR: Final = HOUR // SLOT_SECONDS


@dataclass(frozen=True, slots=True)
class Series:
    """Energy of a stretch of slots; one row a (device, source), each once.

    Attributes:
        first: slot, epoch // 900.
        device: shape (n,).
        source: shape (n,).
        joules: shape (n, slots) [J].
        bias: likewise, of the uncertainty that does not shrink [J].
        covered: likewise [s]; where it is 0 there is nothing, and nothing is written.
    """

    first: int
    device: Ints
    source: Ints
    joules: Floats
    bias: Floats
    covered: Floats


def add(session: Session, series: Series, zone: str = "") -> int:
    """Write a series in one transaction and return how many slots of it there were.

    Args:
        session: the ledger's, or a reader's.
        series: what was never written before: nothing is merged.
        zone: leave the slots sealed if "", else compact them as days of this zone; they are whole days then.

    Raises:
        LedgerError: the ledger refused; nothing was written.
        ValueError: the days are not whole, or the ledger's are of another zone.
    """
    limits = _limits(series, zone) if zone else []
    slots = _summed(series, np.arange(series.joules.shape[1]))
    times = np.arange(series.joules.shape[1]) + series.first
    try:
        with session.whole():
            if zone:
                _days_of(session, zone)
                _insert(session, "kept_slot", "slot", series, slots, times)
                hours = np.arange(0, series.joules.shape[1], PER_HOUR)
                _insert(session, "hour_slot", "hour", series, _summed(series, hours), (hours + series.first) // 4)
                begins = np.array([day for day, _ in limits])
                summed = _summed(series, begins * PER_HOUR - series.first)
                _insert(session, "day_slot", "day", series, summed, begins)
                for limit in limits:
                    session.execute("INSERT INTO local_day VALUES (?, ?, FALSE) ON CONFLICT (day) DO NOTHING", limit)
            else:
                _insert(session, "sealed_slot", "slot", series, slots, times)
    except EngineError as error:
        raise LedgerError(f"the ledger refused a history: {error}") from error
    return int(np.count_nonzero(series.covered))


def _limits(series: Series, zone: str) -> list[tuple[int, int]]:
    """Return the local days of a series, in hours: first, and that of the next day."""
    place = zone_of(zone)
    at, past = series.first * SLOT_SECONDS, (series.first + series.joules.shape[1]) * SLOT_SECONDS
    found = []
    while at < past:
        day, after = whole_day(at, place)
        found.append((day, after))
        if day * HOUR != at or after * HOUR > past:
            raise ValueError(f"the slots from {series.first} on are not whole days of {zone}: only those can be old")
        at = after * HOUR
    return found


def _days_of(session: Session, zone: str) -> None:
    rows = session.execute("SELECT name FROM day_zone").fetchall()
    if not rows:
        session.execute("INSERT INTO day_zone VALUES (?, TRUE)", [zone])
    elif rows[0][0] != zone:
        raise ValueError(f"the ledger's days are those of {rows[0][0]}, not of {zone}")


def _summed(series: Series, begins: Ints) -> dict[str, NDArray[Any]]:
    """Return amounts and number of slots from each begin to the next, shape (n, begins)."""
    if len(begins) == series.joules.shape[1]:
        found: dict[str, NDArray[Any]] = {name: getattr(series, name) for name in AMOUNTS}
        return found | {"slots": (series.covered > 0).astype(np.int32)}
    sums: dict[str, NDArray[Any]] = {n: np.add.reduceat(getattr(series, n), begins, axis=1) for n in AMOUNTS}
    return sums | {"slots": np.add.reduceat((series.covered > 0).astype(np.int32), begins, axis=1)}


def _insert(
    session: Session,
    table: str,
    grain: str,
    series: Series,
    amounts: dict[str, NDArray[Any]],
    times: Ints,
) -> None:
    there = amounts["slots"] > 0
    row, at = np.nonzero(there)
    batch = {name: values[there] for name, values in amounts.items()}
    batch |= {"device": series.device[row], "source": series.source[row], "begins": times[at]}
    sealed = table == "sealed_slot"
    with given(session, {"history": batch}):
        session.execute(
            f"""INSERT INTO {table} (device, {grain}, source, joules, variance, bias, covered
            {"" if sealed else ", slots, devices"})
            SELECT device, begins, source, joules, 0, bias, covered {"" if sealed else ", slots, 1"} FROM history"""
        )
