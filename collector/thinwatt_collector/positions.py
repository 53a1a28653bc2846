"""Where streams stand in the ledger: brought into memory when they are first heard, and when another was at them."""

from __future__ import annotations

from collections.abc import Iterable

from thinwatt_collector.book import StreamRow
from thinwatt_collector.fleet import Fleet
from thinwatt_collector.ledger import BehindError, Ledger

Pairs = Iterable[tuple[str, bytes]]
"""Agents and streams."""


def bring(fleet: Fleet, ledger: Ledger, heard: Pairs) -> None:
    """Bring the streams into memory that are heard for the first time since the start.

    Raises:
        BehindError: their rows name schemas that are not known here.
        LedgerError: the ledger does not answer.
    """
    missing = fleet.missing(heard)
    if missing:
        for row in _rows(fleet, ledger, missing):
            fleet.add_stream(row, saved=True)
        for last in ledger.last_rows({agent for agent, _ in missing}):
            fleet.past.add(*last)


def moved_on(fleet: Fleet, ledger: Ledger, pairs: Pairs) -> bool:
    """Bring streams into memory anew that another collector has moved on; return whether there are such.

    Raises:
        BehindError, LedgerError: as :func:`bring`.
    """
    rows = _rows(fleet, ledger, pairs)
    moved = [row for row in rows if row.position > fleet.stream["pos"][fleet.stream_id(row.agent, row.stream)]]
    for row in moved:
        fleet.add_stream(row, saved=True)
    return bool(moved)


def _rows(fleet: Fleet, ledger: Ledger, pairs: Pairs) -> list[StreamRow]:
    rows = ledger.streams(pairs)
    if not fleet.schemas.keys() >= {row.schema for row in rows}:
        raise BehindError("another collector has written schemas that are not known here")
    return rows
