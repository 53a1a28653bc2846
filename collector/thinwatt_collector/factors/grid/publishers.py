"""What is known of the publishers themselves: data/publishers.csv; and what every source with an archive does alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from thinwatt_collector.data import rows
from thinwatt_collector.factors import FactorError
from thinwatt_collector.factors.grid.archive import Archive
from thinwatt_collector.factors.grid.readings import Batch
from thinwatt_collector.fetch import FetchError
from thinwatt_collector.models.energy import SLOT_SECONDS

COLUMNS: Final = ("publisher", "quantity")
QUANTITIES: Final = {"largest": "g/J", "doubt": "1"}
"""Greatest intensity that is believed; relative standard uncertainty of a figure."""
DAY: Final = 86_400


@cache
def known(publisher: str) -> Mapping[str, float]:
    """Return the numbers of a publisher, by quantity."""
    return {
        r.of["quantity"]: r.value for r in rows("publishers", COLUMNS, QUANTITIES) if r.of["publisher"] == publisher
    }


def folder(name: str, options: Mapping[str, Any]) -> Path:
    """Return the folder of a source's archive.

    Raises:
        FactorError: none is named.
    """
    if not options.get("archive"):
        raise FactorError(f"factors.{name}: archive is not set: the folder that its figures are kept in")
    return Path(options["archive"])


def day(name: str, options: Mapping[str, Any], key: str) -> int | None:
    """Return an option that is a day or a moment, UTC [s]; None where it is not set.

    Raises:
        FactorError: it is none.
    """
    written = options.get(key)
    if not written:
        return None
    try:
        found = datetime.fromisoformat(str(written))
    except ValueError:
        raise FactorError(f"factors.{name}: {key} {written!r} is no day: write '2025-01-31'") from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def windows(begin: int, end: int, length: int) -> list[tuple[int, int]]:
    """Return windows that cover [begin, end) and lie on multiples of a length [s]: the same ones again tomorrow."""
    first = begin // length * length
    return [(at, at + length) for at in range(first, end, length)]


def ask(
    name: str, archive: Archive, spans: Sequence[tuple[int, int]], get: Callable[[int, int], Batch], now: float
) -> str:
    """Ask for spans of time one after the other, file each as it comes, and say in words what came.

    What was filed before a failure stays filed.

    Raises:
        FactorError: a span was not to be had; it says what the archive holds all the same.
    """
    new, counts = 0, Counter[str]()
    for begin, end in spans:
        try:
            batch = get(begin, end)
        except FetchError as error:
            raise FactorError(f"factors.{name}: {error}; {age(archive, now)}") from error
        new += archive.add(batch.readings, now)
        counts.update(batch.counts)
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f"{new} new quarters of an hour ({told or 'nothing to ask for'})"


def age(archive: Archive, now: float) -> str:
    """Return in words what an archive holds and how old it is."""
    readings, checked = archive.read(), archive.checked()
    if not len(readings):
        return f"the archive {archive.folder} is empty"
    end = (int(readings.slot.max()) + 1) * SLOT_SECONDS
    days = f", {max(0.0, now - checked) / DAY:.1f} days ago" if checked else ""
    asked = f"its publisher last answered {_minute(checked)}{days}" if checked else "its publisher was never asked"
    first = _minute(int(readings.slot.min()) * SLOT_SECONDS)
    return f"the archive {archive.folder} reaches from {first} to {_minute(end)}; {asked}"


def _minute(utc: float) -> str:
    return f"{datetime.fromtimestamp(utc, UTC):%Y-%m-%d %H:%M} UTC"
