"""A ledger in dictionaries: the contract of ``ledger.Ledger`` said a second time, slowly and plainly.

The exactly-once machine runs on it because it is fast; ``tests/collector/ledger`` holds it against DuckDB, statement
by statement, so that what is proven here is proven of the real one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from thinwatt_collector.book import Ints, StreamRow, Totals, Transaction, merged_totals
from thinwatt_collector.ledger import BehindError, Dimensions, News
from thinwatt_collector.ledger.compaction import Plan

SlotKey = tuple[int, int, int]


@dataclass
class Tables:
    schemas: dict[bytes, str] = field(default_factory=dict)
    devices: dict[int, tuple[int, str, str, str, str, bool]] = field(default_factory=dict)
    sources: dict[int, tuple[int, str, str, str, str]] = field(default_factory=dict)
    labels: dict[int, tuple[str, str]] = field(default_factory=dict)
    booked: dict[int, float] = field(default_factory=dict)
    streams: dict[tuple[str, bytes], StreamRow] = field(default_factory=dict)
    open: dict[SlotKey, list[float]] = field(default_factory=dict)
    sealed: list[tuple[SlotKey, list[float]]] = field(default_factory=list)
    events: list[tuple[int, str, str, str]] = field(default_factory=list)

    def copy(self) -> Tables:
        return Tables(
            dict(self.schemas),
            dict(self.devices),
            dict(self.sources),
            dict(self.labels),
            dict(self.booked),
            dict(self.streams),
            {key: list(amounts) for key, amounts in self.open.items()},
            list(self.sealed),
            list(self.events),
        )


class MemoryLedger:
    """``compare`` off is the ledger without compare-and-set, for showing that it matters."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.compare = True

    def dimensions(self) -> Dimensions:
        t = self.tables
        return Dimensions(
            schemas=dict(t.schemas),
            devices=[t.devices[i] for i in sorted(t.devices)],
            sources=[t.sources[i] for i in sorted(t.sources)],
            labels=[(i, *t.labels[i], t.booked.get(i, 0.0)) for i in sorted(t.labels)],
        )

    def streams(self, wanted: Iterable[tuple[str, bytes]]) -> list[StreamRow]:
        return [self.tables.streams[pair] for pair in wanted if pair in self.tables.streams]

    def last_rows(self, agents: Iterable[str]) -> list[tuple[str, bytes, int, int]]:
        found: dict[tuple[str, bytes], tuple[int, int]] = {}
        names = set(agents)
        for row in self.tables.streams.values():
            if row.agent in names:
                utc, time = row.position_time + row.utc_offset, row.position_time
                before = found.get((row.agent, row.boot), (utc, time))
                found[row.agent, row.boot] = max(utc, before[0]), max(time, before[1])
        return [(agent, boot, *last) for (agent, boot), last in found.items()]

    def commit(self, transaction: Transaction) -> Ints:
        tables = self.tables.copy()
        moved = self._write(tables, transaction)
        self.tables = tables
        return moved

    def _name(self, tables: Tables, t: Transaction) -> None:
        for identity, document in t.schemas:
            tables.schemas.setdefault(identity, document)
        named = {row[1]: number for number, row in tables.devices.items()} if t.devices else {}
        labelled = set(tables.labels.values()) if t.labels else set()
        for device in t.devices:
            other = tables.devices.get(device[0], device)
            if named.setdefault(device[1], device[0]) != device[0] or other[1] != device[1]:
                raise BehindError(f"device {device[0]} is another one")
            tables.devices[device[0]] = device
        for source in t.sources:
            if source[0] in tables.sources:
                raise BehindError(f"source {source[0]} is there")
            tables.sources[source[0]] = source
        for number, family, labels in t.labels:
            if number in tables.labels or (family, labels) in labelled:
                raise BehindError(f"label {number} is there")
            tables.labels[number] = (family, labels)
            labelled.add((family, labels))
        tables.events.extend((e.at, e.kind, e.subject, e.text) for e in t.events)

    def _write(self, tables: Tables, t: Transaction) -> Ints:
        self._name(tables, t)
        moved = self._move(tables, t)
        e, b = t.energy, t.totals
        for i in np.flatnonzero(np.isin(e.stream, moved)).tolist():
            slot = tables.open.setdefault((int(e.device[i]), int(e.slot[i]), int(e.source[i])), [0.0] * 4)
            for k, column in enumerate((e.joules, e.variance, e.bias, e.covered)):
                slot[k] += float(column[i])
        ours = np.isin(b.stream, moved)
        # Merged as the other ledger takes them: what is shown may not differ in the last digit.
        amounts = merged_totals(Totals(b.stream[ours], b.label[ours], b.amount[ours]))
        for label, amount in zip(*(column.tolist() for column in amounts), strict=True):
            tables.booked[label] = tables.booked.get(label, 0.0) + amount
        return moved

    def _move(self, tables: Tables, t: Transaction) -> Ints:
        moved, rows = [], t.moves.rows
        for i, number in enumerate(t.moves.index.tolist()):
            key = (rows.agent[i], rows.stream[i])
            there = tables.streams.get(key)
            position = there.position if there else (None if t.moves.saved[i] else 0)
            if self.compare and position != t.moves.old[i]:
                continue
            tables.streams[key] = StreamRow(
                agent=rows.agent[i],
                stream=rows.stream[i],
                schema=rows.schema_id[i],
                boot=there.boot if there else rows.boot[i],
                base=there.base if there else int(rows.base[i]),
                position=int(rows.pos[i]),
                position_time=int(rows.t_pos[i]),
                utc_offset=int(rows.utc_offset[i]),
                uncertain=bool(rows.uncertain[i]),
                seen=int(rows.seen[i]),
                state=rows.state[i],
            )
            moved.append(number)
        return np.array(moved, np.int64)

    def news(self) -> News:
        t = self.tables
        known = len(t.schemas), len(t.devices), len(t.sources), len(t.labels)
        return News(known, np.array([*t.booked], np.int64), np.array([*t.booked.values()], np.float64))

    def seal(self, before: int) -> None:
        t = self.tables
        for key in [key for key in t.open if key[1] < before]:
            t.sealed.append((key, t.open.pop(key)))

    def forget_streams(self, before: int) -> None:
        t = self.tables
        t.streams = {key: row for key, row in t.streams.items() if row.seen >= before}

    def energy(self) -> dict[SlotKey, list[float]]:
        """Return joules, variance, bias and covered seconds by (device, slot, source), open and sealed."""
        out = {key: list(amounts) for key, amounts in self.tables.open.items()}
        for key, amounts in self.tables.sealed:
            out[key] = [a + b for a, b in zip(out.get(key, [0.0] * 4), amounts, strict=True)]
        return out

    def save(self) -> Tables:
        return self.tables.copy()

    def load(self, saved: Tables) -> None:
        self.tables = saved.copy()

    def backup(self, path: str) -> int:
        raise NotImplementedError

    def compact(self, now: float, limit: int, plan: Plan) -> int:
        """Nothing is ever due."""
        return 0

    def checkpoint(self) -> bool:
        """Nothing to write."""
        return True

    def size(self) -> int:
        return 0

    def reopen(self) -> None:
        pass

    def close(self) -> None:
        pass
