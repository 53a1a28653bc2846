"""The ledger in one DuckDB file: the default, for one collector.

A second process cannot open the file, not even to read, so whatever wants a copy beside a running collector asks the
collector. The thread that commits is the only one that uses this connection.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any, BinaryIO, Final

import duckdb
import numpy as np
from numpy.typing import NDArray

from thinwatt_collector import book
from thinwatt_collector.book import Energy, Ints, Moves, StreamRow, StreamRows, Transaction, objects
from thinwatt_collector.ledger import Dimensions, LedgerError, compaction
from thinwatt_collector.ledger import statements as sql
from thinwatt_collector.ledger.compaction import Plan

CHECKPOINT_AT: Final = "64MiB"
LONG_LOG: Final = 2 * 64 << 20
"""The engine writes its log into the file at 64 MiB by itself, unless somebody reads then [B]."""
PLAIN_TEXTS: Final = "SET disabled_compression_methods = 'dict_fsst'"
"""``stream``, whose rows change at every commit, is written anew at every checkpoint, and to compress its texts cost
seven times the rest of that. The slots, the bulk of the ledger, have no texts. (Ignored without a word when given to
``connect``, so it is said afterwards.)"""


class _MovedElsewhereError(Exception):
    """Some streams do not stand where they were expected."""


class DuckDBLedger:
    """A ledger in the file ``path``; created when absent, migrated when older.

    Raises:
        LedgerError: the file is no ledger, is newer than this program, or another process holds it.
    """

    def __init__(self, path: Path, memory_limit: str = "1GiB", threads: int = 1) -> None:
        self.path = path
        self._settings = {"memory_limit": memory_limit, "threads": str(threads), "wal_autocheckpoint": CHECKPOINT_AT}
        self._connection = self._open()
        self._file: BinaryIO | None = None

    def _open(self) -> duckdb.DuckDBPyConnection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = duckdb.connect(str(self.path), config=dict(self._settings))
        except (duckdb.Error, OSError) as error:
            raise LedgerError(f"can't open the ledger {self.path}: {line_of(error)}") from error
        try:
            connection.execute(PLAIN_TEXTS)
            migrate(connection)
        except (duckdb.Error, LedgerError) as error:
            connection.close()
            raise LedgerError(f"can't open the ledger {self.path}: {line_of(error)}") from error
        return connection

    def reader(self) -> duckdb.DuckDBPyConnection:
        try:
            return self._connection.cursor()
        except duckdb.Error as error:
            raise LedgerError(f"the ledger can't be read: {line_of(error)}") from error

    def reopen(self) -> None:
        with suppress(duckdb.Error):
            self._connection.close()
        self._connection = self._open()

    def close(self) -> None:
        with suppress(duckdb.Error):
            self._connection.close()
        if self._file is not None:
            self._file.close()
            self._file = None

    def dimensions(self) -> Dimensions:
        rows = self._rows
        # A label may have no total yet: another collector moved its stream first, in the transaction that named it.
        labels = """SELECT l.id, l.family, l.labels, coalesce(b.total, 0)
            FROM label AS l LEFT JOIN booked AS b ON b.label = l.id ORDER BY 1"""
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
        rows = self._batch(sql.STREAMS_OF, batch)
        return [_stream_row(*row) for row in rows]

    def last_rows(self, agents: Iterable[str]) -> list[tuple[str, bytes, int, int]]:
        names = list(agents)
        rows = self._batch(sql.LAST_OF_AGENTS, {"agent": objects(names)}) if names else []
        return [(agent, bytes(boot), utc, time) for agent, boot, utc, time in rows]

    def commit(self, transaction: Transaction) -> Ints:
        try:
            try:
                with self._whole():
                    return self._write(transaction, self._move)
            except _MovedElsewhereError:
                with self._whole():
                    return self._write(transaction, self._move_and_tell)
        except (duckdb.Error, OSError, LedgerError) as error:
            raise LedgerError(f"the ledger did not take a transaction: {line_of(error)}") from error

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Commit what is done inside, or nothing of it, whatever goes wrong."""
        self._connection.execute("BEGIN TRANSACTION")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with suppress(duckdb.Error):
                self._connection.execute("ROLLBACK")
            raise

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
                    raise LedgerError("another collector has given numbers to devices; read the ledger again")
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

    def seal(self, before: int) -> None:
        self._transaction([(statement, [before]) for statement in sql.SEAL])

    def forget_streams(self, before: int) -> None:
        self._transaction([(sql.FORGET_STREAMS, [before])])

    def compact(self, now: float, limit: int, plan: Plan) -> int:
        return compaction.compact(self._connection, now, limit, plan)

    def checkpoint(self) -> bool:
        if self._log_size() <= LONG_LOG:
            return True
        with suppress(duckdb.Error):  # somebody still reads: the next call finds another moment
            self._connection.execute("CHECKPOINT")
        return self._log_size() <= LONG_LOG

    def _log_size(self) -> int:
        log_file = wal_of(self.path)
        return log_file.stat().st_size if log_file.exists() else 0

    def _transaction(self, statements: Sequence[tuple[str, list[Any]]]) -> None:
        try:
            with self._whole():
                for statement, parameters in statements:
                    self._connection.execute(statement, parameters)
        except (duckdb.Error, OSError) as error:
            raise LedgerError(f"the ledger refused its own upkeep: {line_of(error)}") from error

    def backup(self, path: str) -> int:
        target = Path(path)
        partial = target.with_name(target.name + ".partial")
        try:
            if target.exists() and target.samefile(self.path):
                raise LedgerError("that is the ledger itself")
            self._connection.execute("FORCE CHECKPOINT")
            self._copy(partial)
            verify(partial)
            partial.replace(target)
        except (duckdb.Error, OSError, LedgerError) as error:
            partial.unlink(missing_ok=True)
            raise LedgerError(f"no backup was written to {target}: {line_of(error)}") from error
        return target.stat().st_size

    def _copy(self, target: Path) -> None:
        """Copy the file through a descriptor that stays open.

        When a process closes any descriptor of a file its locks on it end (fcntl(2)), the engine's as well: a second
        collector could open the ledger beside this one.
        """
        if self._file is None or not os.path.samestat(os.fstat(self._file.fileno()), self.path.stat()):
            self._file = self.path.open("rb")
        self._file.seek(0)
        with target.open("wb") as copy:
            shutil.copyfileobj(self._file, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())

    def size(self) -> int:
        return self._log_size() + (self.path.stat().st_size if self.path.exists() else 0)

    def _rows(self, statement: str) -> list[Any]:
        return self._execute(statement).fetchall()

    def _execute(self, statement: str) -> duckdb.DuckDBPyConnection:
        try:
            return self._connection.execute(statement)
        except duckdb.Error as error:
            raise LedgerError(f"the ledger did not answer: {line_of(error)}") from error

    def _batch(self, statement: str, columns: Mapping[str, NDArray[Any]]) -> list[Any]:
        """Run a statement over a batch handed over as columns and return its rows."""
        try:
            self._connection.register("batch", dict(columns))
            return self._connection.execute(statement.format(rows="batch")).fetchall()
        except duckdb.Error as error:
            raise LedgerError(f"the ledger did not answer: {line_of(error)}") from error
        finally:
            with suppress(duckdb.Error):
                self._connection.unregister("batch")


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


def line_of(error: Exception) -> str:
    """Return the first line of what an engine says."""
    return str(error).splitlines()[0][:300] if str(error) else repr(error)


def wal_of(path: Path) -> Path:
    """Return the engine's log of a ledger's file: what is committed and not yet in the file."""
    return path.with_name(f"{path.name}.wal")


def migrations() -> list[tuple[int, str]]:
    """Return (version, SQL) of every migration, in order."""
    folder = resources.files("thinwatt_collector.ledger") / "migrations"
    files = sorted(f.name for f in folder.iterdir() if f.name.endswith(".sql"))
    return [(int(name[:4]), (folder / name).read_text(encoding="utf-8")) for name in files]


def migrate(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring the database to the newest version, one transaction a step.

    Raises:
        LedgerError: it was written by a newer thinwatt, or holds tables that are not ours.
    """
    connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
    (found,) = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchall()[0]
    known = migrations()
    if found > known[-1][0]:
        raise LedgerError(f"the ledger has version {found}, this thinwatt knows {known[-1][0]}: upgrade thinwatt")
    for version, text in known:
        if version > found:
            connection.execute("BEGIN TRANSACTION")
            connection.execute(text)
            connection.execute("INSERT INTO schema_version VALUES (?)", [version])
            connection.execute("COMMIT")


def verify(path: Path) -> int:
    """Return the version of the ledger in ``path``, opened read-only.

    Raises:
        LedgerError: it is no ledger of ours or can't be read.
    """
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            (version,) = connection.execute("SELECT max(version) FROM schema_version").fetchall()[0]
            connection.execute("SELECT count(*) FROM stream").fetchall()
        return int(version)
    except (duckdb.Error, TypeError) as error:
        raise LedgerError(f"{path} is no ledger: {line_of(error)}") from error
