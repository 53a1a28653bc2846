"""Transactions made by hand, for ledgers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from thinwatt_collector.book import Energy, Event, Moves, StreamRow, StreamRows, Totals, Transaction, objects
from thinwatt_collector.ledger.tables import Tables

Place = tuple[int, int, int, int, float]
"""Index of the stream, device, slot, source, joules."""
Slots = dict[tuple[int, int, int], tuple[float, ...]]
STATE = np.array([1.0, 2.0]).tobytes()


def stream_row(stream: int, position: int = 0, agent: str = "a", **more: Any) -> StreamRow:
    row: dict[str, Any] = {
        "agent": agent,
        "stream": stream.to_bytes(16, "big"),
        "schema": b"schema".ljust(8),
        "boot": b"boot".ljust(16),
        "base": 5,
        "position": position,
        "position_time": position * 10,
        "utc_offset": 1000,
        "uncertain": False,
        "seen": position,
        "state": STATE,
    }
    return StreamRow(**(row | more))


def moves_of(moves: Sequence[tuple[StreamRow, int, bool]]) -> Moves:
    """``(row, old position, whether the ledger has it)`` each; indices are 0, 1, 2 …."""
    rows = [row for row, _, _ in moves]

    def whole(name: str) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.array([getattr(row, name) for row in rows], np.int64)

    def things(name: str) -> np.ndarray[Any, np.dtype[np.object_]]:
        return objects([getattr(row, name) for row in rows])

    columns = StreamRows(
        agent=things("agent"),
        stream=things("stream"),
        schema_id=things("schema"),
        boot=things("boot"),
        base=whole("base"),
        pos=whole("position"),
        t_pos=whole("position_time"),
        utc_offset=whole("utc_offset"),
        uncertain=np.array([row.uncertain for row in rows], np.bool_),
        seen=whole("seen"),
        state=things("state"),
    )
    return Moves(
        np.arange(len(rows)),
        np.array([old for _, old, _ in moves], np.int64),
        columns,
        np.array([saved for *_, saved in moves], np.bool_),
    )


def transaction(
    moves: Sequence[tuple[StreamRow, int, bool]] = (),
    energy: Sequence[Place] = (),
    totals: Sequence[tuple[int, int, float]] = (),
    **more: Any,
) -> Transaction:
    def whole(rows: Sequence[Sequence[float]], at: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.array([row[at] for row in rows], np.int64)

    joules = np.array([place[4] for place in energy], float)
    return Transaction(
        moves=moves_of(moves),
        energy=Energy(
            whole(energy, 0), whole(energy, 1), whole(energy, 2), whole(energy, 3), joules, joules, joules, joules / 50
        ),
        totals=Totals(whole(totals, 0), whole(totals, 1), np.array([t[2] for t in totals], float)),
        **more,
    )


def named(devices: int = 2, sources: int = 2, labels: int = 2) -> dict[str, Any]:
    """Names for the numbers of a transaction, as ``transaction(**named())``."""
    return {
        "schemas": [(b"schema".ljust(8), "[]")],
        "devices": [(i, f"d{i}", "a", "host", "x", False) for i in range(devices)],
        "sources": [(i, f"s{i}", "", "wall", "measured") for i in range(sources)],
        "labels": [(i, "ENERGY", f'{{"class": "{i}"}}') for i in range(labels)],
        "events": [Event(1, "start", "ledger", "made")],
    }


def energy(ledger: Tables, table: str = "energy") -> Slots:
    sums = "sum(joules), sum(variance), sum(bias), sum(covered)"
    text = f"SELECT device, slot, source, {sums} FROM {table} GROUP BY device, slot, source"  # noqa: S608  # a name of ours
    return {(d, slot, s): tuple(amounts) for d, slot, s, *amounts in ledger._rows(text)}


def everything(ledger: Tables) -> dict[str, list[str]]:
    tables = ("wire_schema", "device", "source", "stream", "label", "booked", "event", "open_slot", "sealed_slot")
    return {name: sorted(map(repr, ledger._rows(f"SELECT * FROM {name}"))) for name in tables}  # noqa: S608  # ours


def first(ledger: Tables) -> None:
    """One stream at position 6 with 100 J in two slots, and its total."""
    t = transaction(
        [(stream_row(1, 6), 0, False)], [(0, 0, 7, 0, 60.0), (0, 0, 8, 0, 40.0)], [(0, 0, 100.0)], **named()
    )
    assert ledger.commit(t).tolist() == [0]
