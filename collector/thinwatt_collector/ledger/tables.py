"""What every engine does alike: the ledger's tables, read and written by one SQL text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector import book
from thinwatt_collector.book import Energy, Ints, Moves, StreamRow, StreamRows, Transaction, objects
from thinwatt_collector.ledger import BehindError, Dimensions, LedgerError, News, compaction
from thinwatt_collector.ledger import statements as sql
from thinwatt_collector.ledger.compaction import Plan
from thinwatt_collector.ledger.session import ConflictError, EngineError, Session, given, line_of


class _MovedElsewhereError(Exception):
    """Some streams do not stand where they were expected."""


class Tables(ABC):
    """The tables behind ``session``, which is that of the thread that commits; an engine adds what is its own."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._names: dict[tuple[str, ...], str] = {}

    @abstractmethod
    def reader(self) -> Session: ...

    @abstractmethod
    def alone(self) -> bool:
        """Return whether nobody else has the ledger open; nobody else can open it then, until it is closed."""

    @abstractmethod
    def reopen(self) -> None: ...

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def checkpoint(self) -> bool: ...

    @abstractmethod
    def backup(self, path: str) -> int: ...

    @abstractmethod
    def size(self) -> int: ...

    def dimensions(self) -> Dimensions:
        # A label may have no total yet: another collector moved its stream first, in the transaction that named it.
        labels = """SELECT l.id, l.family, l.labels, coalesce(b.total, 0)
            FROM label AS l LEFT JOIN booked AS b ON b.label = l.id ORDER BY 1"""
        rows = self._rows
        with self._moment():
            return Dimensions(
                schemas={bytes(i): d for i, d in rows("SELECT id, document FROM wire_schema")},
                devices=rows("SELECT id, name, agent, class, model, simulated FROM device ORDER BY id"),
                sources=rows("SELECT id, name, part, scope, basis FROM source ORDER BY id"),
                labels=rows(labels),
            )

    def streams(self, wanted: Iterable[tuple[str, bytes]]) -> list[StreamRow]:
        pairs = list(wanted)
        if not pairs:
            return []
        batch = {"agent": objects([a for a, _ in pairs]), "stream": objects([s for _, s in pairs])}
        with self._moment():
            rows = self._batch(sql.STREAMS_OF, batch)
        return [_stream_row(*row) for row in rows]

    def last_rows(self, agents: Iterable[str]) -> list[tuple[str, bytes, int, int]]:
        names = list(agents)
        if not names:
            return []
        with self._moment():
            rows = self._batch(sql.LAST_OF_AGENTS, {"agent": objects(names)})
        return [(agent, bytes(boot), utc, time) for agent, boot, utc, time in rows]

    def commit(self, transaction: Transaction) -> Ints:
        try:
            try:
                with self.session.whole():
                    return self._write(transaction, self._move)
            except _MovedElsewhereError:
                with self.session.whole():
                    return self._write(transaction, self._move_and_tell)
        except ConflictError as error:
            raise BehindError(f"another collector has given numbers in the meantime: {error}") from error
        except BehindError:
            raise
        except (OSError, LedgerError) as error:
            raise LedgerError(f"the ledger did not take a transaction: {line_of(error)}") from error

    def _write(self, t: Transaction, move: Callable[[Moves], Ints]) -> Ints:
        for statement, names, rows in (
            (sql.ADD_SCHEMAS, "id document", t.schemas),
            (sql.ADD_DEVICES, "id name agent class model simulated", t.devices),
            (sql.ADD_SOURCES, "id name part scope basis", t.sources),
            (sql.ADD_LABELS, "id family labels", t.labels),
            (sql.ADD_EVENTS, "utc kind subject text", [(e.at, e.kind, e.subject, e.text) for e in t.events]),
        ):
            if rows:
                written = self._batch(statement, _columns(names, rows))
                if statement == sql.ADD_DEVICES and len(written) < len(rows):
                    raise BehindError("another collector has given numbers to devices in the meantime")
        self._enter(t.moves)
        moved = move(t.moves)
        ours = book.of_streams(t, moved)
        energy = book.merged_energy(ours.energy)
        if len(energy.device):
            self._batch(sql.ADD_ENERGY, {n: getattr(energy, n) for n in Energy.__dataclass_fields__ if n != "stream"})
        label, amount = book.merged_totals(ours.totals)
        if len(label):
            self._batch(sql.ADD_TOTALS, {"label": label, "amount": amount})
        return moved

    def _enter(self, moves: Moves) -> None:
        """Have new streams come in, at position 0."""
        if not moves.saved.all():
            fresh = _stream_columns(moves.rows.at(~moves.saved))
            self._batch(sql.NEW_STREAMS, {**fresh, "pos": np.zeros_like(fresh["pos"])})

    def _move(self, moves: Moves) -> Ints:
        """Move all positions, or raise where one is not as expected: an update that returns rows costs three times."""
        if len(moves.index):
            ((count,),) = self._batch(sql.MOVE, {**_stream_columns(moves.rows), "old": moves.old})
            if count != len(moves.index):
                raise _MovedElsewhereError
        return moves.index

    def _move_and_tell(self, moves: Moves) -> Ints:
        """Move the positions that are as expected and return their indices."""
        found = self._batch(sql.MOVE_AND_TELL, {**_stream_columns(moves.rows), "old": moves.old})
        held = {(agent, bytes(stream)) for agent, stream in found}
        pairs = zip(moves.rows.agent.tolist(), moves.rows.stream.tolist(), strict=True)
        return moves.index[np.array([pair in held for pair in pairs], np.bool_)]

    def news(self) -> News | None:
        with self._moment():
            ((schemas, devices, sources, labels),) = self._rows(sql.KNOWN)
            found = self.session.execute("SELECT label, total FROM booked").fetchnumpy()
        return News((schemas, devices, sources, labels), found["label"], found["total"])

    def seal(self, before: int) -> None:
        self._transaction([(statement, [before]) for statement in sql.SEAL])

    def forget_streams(self, before: int) -> None:
        self._transaction([(sql.FORGET_STREAMS, [before])])

    def compact(self, now: float, limit: int, plan: Plan) -> int:
        return compaction.compact(self.session, now, limit, plan)

    @contextmanager
    def _moment(self) -> Iterator[None]:
        try:
            with self.session.snapshot():
                yield
        except EngineError as error:
            raise LedgerError(f"the ledger did not answer: {error}") from error

    def _transaction(self, statements: Sequence[tuple[str, list[Any]]]) -> None:
        try:
            with self.session.whole():
                for statement, parameters in statements:
                    self.session.execute(statement, parameters)
        except (OSError, LedgerError) as error:
            raise LedgerError(f"the ledger refused its own upkeep: {line_of(error)}") from error

    def _rows(self, statement: str) -> list[Any]:
        try:
            return self.session.execute(statement).fetchall()
        except EngineError as error:
            raise LedgerError(f"the ledger did not answer: {error}") from error

    def _batch(self, statement: str, columns: Mapping[str, NDArray[Any]]) -> list[Any]:
        """Run a statement over a batch handed over as columns, in a transaction, and return its rows."""
        name = self._names.setdefault(tuple(columns), f"batch_{len(self._names)}")
        try:
            with given(self.session, {name: columns}):
                return self.session.execute(statement.format(rows=name)).fetchall()
        except ConflictError:
            raise
        except EngineError as error:
            raise LedgerError(f"the ledger did not answer: {error}") from error


def _stream_row(
    agent: str, stream: Any, schema: Any, boot: Any, base: int, pos: int, t_pos: int, *rest: Any
) -> StreamRow:
    utc_offset, uncertain, seen, state = rest
    ids = bytes(stream), bytes(schema), bytes(boot)
    return StreamRow(agent, *ids, base, pos, t_pos, utc_offset, uncertain, seen, bytes(state))


def _stream_columns(rows: StreamRows) -> dict[str, NDArray[Any]]:
    return {name: getattr(rows, name) for name in StreamRows.__dataclass_fields__}


def _columns(names: str, rows: Sequence[tuple[Any, ...]]) -> dict[str, NDArray[Any]]:
    typed = {int: np.int64, bool: np.bool_}
    return {
        name: np.array(values, typed[type(values[0])]) if type(values[0]) in typed else objects(values)
        for name, values in zip(names.split(), zip(*rows, strict=True), strict=True)
    }
