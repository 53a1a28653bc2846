"""The ledger in one DuckDB file: the default, for one collector.

A second process cannot open the file, not even to read, so whatever wants a copy beside a running collector asks the
collector. The thread that commits is the only one that uses this connection.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
from numpy.typing import NDArray

from thinwatt_collector import book
from thinwatt_collector.book import Energy, Ints, StreamRow, Transaction
from thinwatt_collector.ledger import Dimensions, LedgerError
from thinwatt_collector.ledger import statements as sql

CHECKPOINT_AT: Final = "64MiB"
STREAM_COLUMNS: Final = "agent stream schema_id boot base pos t_pos utc_offset uncertain seen state".split()


class DuckDBLedger:
    """A ledger in the file ``path``; created when absent, migrated when older.

    Raises:
        LedgerError: the file is no ledger, is newer than this program, or another process holds it.
    """

    def __init__(self, path: Path, memory_limit: str = "1GiB", threads: int = 1) -> None:
        self.path = path
        self._settings = {"memory_limit": memory_limit, "threads": str(threads), "wal_autocheckpoint": CHECKPOINT_AT}
        self._connection = self._open()

    def _open(self) -> duckdb.DuckDBPyConnection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = duckdb.connect(str(self.path), config=dict(self._settings))
            migrate(connection)
        except (duckdb.Error, OSError) as error:
            raise LedgerError(f"can't open the ledger {self.path}: {_line(error)}") from error
        return connection

    def reopen(self) -> None:
        with suppress(duckdb.Error):
            self._connection.close()
        self._connection = self._open()

    def close(self) -> None:
        with suppress(duckdb.Error):
            self._connection.close()

    def dimensions(self) -> Dimensions:
        rows = self._rows
        labels = "SELECT l.id, l.family, l.labels, b.total FROM label AS l JOIN booked AS b ON b.label = l.id ORDER BY 1"
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
        batch = {"agent": _objects([a for a, _ in pairs]), "stream": _objects([s for _, s in pairs])}
        rows = self._with({"wanted": batch}, lambda: self._rows(sql.STREAMS_OF.format(wanted="wanted")))
        return [StreamRow(a, bytes(s), bytes(i), bytes(b), *rest, bytes(state)) for a, s, i, b, *rest, state in rows]

    def last_rows(self, agents: Iterable[str]) -> dict[str, int]:
        names = list(agents)
        if not names:
            return {}
        batch = {"wanted": {"agent": _objects(names)}}
        return dict(self._with(batch, lambda: self._rows(sql.LAST_OF_AGENTS.format(wanted="wanted"))))

    def commit(self, transaction: Transaction) -> Ints:
        try:
            self._connection.execute("BEGIN TRANSACTION")
            moved = self._write(transaction)
            self._connection.execute("COMMIT")
        except (duckdb.Error, OSError) as error:
            with suppress(duckdb.Error):
                self._connection.execute("ROLLBACK")
            raise LedgerError(f"the ledger did not take a transaction: {_line(error)}") from error
        return moved

    def _write(self, t: Transaction) -> Ints:
        many = self._connection.executemany
        for statement, rows in (
            (sql.ADD_SCHEMA, t.schemas),
            (sql.ADD_DEVICE, t.devices),
            (sql.ADD_SOURCE, t.sources),
            (sql.ADD_LABEL, t.labels),
            (sql.ADD_EVENT, [(e.at, e.kind, e.subject, e.text) for e in t.events]),
        ):
            if rows:
                many(statement, [list(row) for row in rows])
        if t.new_streams:
            batch = _stream_batch(t.new_streams)
            self._with({"streams": batch}, lambda: self._execute(sql.NEW_STREAMS.format(streams="streams")))
        moved = self._move(t)
        ours = book.of_streams(t, moved)
        self._add(ours)
        return moved

    def _move(self, t: Transaction) -> Ints:
        if not len(t.moves.index):
            return t.moves.index
        batch = {**_stream_batch(t.moves.rows), "old": t.moves.old}
        statement = sql.MOVE.format(moves="moves")
        found = self._with({"moves": batch}, lambda: self._execute(statement).fetchall())
        if len(found) == len(t.moves.index):
            return t.moves.index
        moved = {(agent, bytes(stream)) for agent, stream in found}
        held = [(row.agent, row.stream) in moved for row in t.moves.rows]
        return t.moves.index[np.array(held, np.bool_)]

    def _add(self, t: Transaction) -> None:
        energy = book.merged_energy(t.energy)
        if len(energy.device):
            batch = {name: getattr(energy, name) for name in Energy.__dataclass_fields__ if name != "stream"}
            self._with({"energy_batch": batch}, lambda: self._execute(sql.ADD_ENERGY.format(energy="energy_batch")))
        label, amount = book.merged_totals(t.totals)
        if len(label):
            totals = {"label": label, "amount": amount}
            self._with({"totals": totals}, lambda: self._execute(sql.ADD_TOTALS.format(totals="totals")))

    def seal(self, before: int) -> None:
        self._transaction([(statement, [before]) for statement in sql.SEAL])

    def forget_streams(self, before: int) -> None:
        self._transaction([(sql.FORGET_STREAMS, [before])])

    def _transaction(self, statements: Sequence[tuple[str, list[Any]]]) -> None:
        try:
            self._connection.execute("BEGIN TRANSACTION")
            for statement, parameters in statements:
                self._connection.execute(statement, parameters)
            self._connection.execute("COMMIT")
        except (duckdb.Error, OSError) as error:
            with suppress(duckdb.Error):
                self._connection.execute("ROLLBACK")
            raise LedgerError(f"the ledger refused its own upkeep: {_line(error)}") from error

    def backup(self, path: str) -> int:
        target = Path(path)
        partial = target.with_name(target.name + ".partial")
        try:
            self._connection.execute("FORCE CHECKPOINT")
            shutil.copyfile(self.path, partial)
            with partial.open("rb+") as copy:
                os.fsync(copy.fileno())
            verify(partial)
            partial.replace(target)
        except (duckdb.Error, OSError) as error:
            partial.unlink(missing_ok=True)
            raise LedgerError(f"no backup was written to {target}: {_line(error)}") from error
        return target.stat().st_size

    def size(self) -> int:
        wal = self.path.with_name(self.path.name + ".wal")
        return sum(p.stat().st_size for p in (self.path, wal) if p.exists())

    def _rows(self, statement: str) -> list[Any]:
        return self._execute(statement).fetchall()

    def _execute(self, statement: str) -> duckdb.DuckDBPyConnection:
        try:
            return self._connection.execute(statement)
        except duckdb.Error as error:
            raise LedgerError(f"the ledger did not answer: {_line(error)}") from error

    def _with(self, batches: Mapping[str, dict[str, NDArray[Any]]], work: Any) -> Any:
        for name, batch in batches.items():
            self._connection.register(name, batch)
        try:
            return work()
        finally:
            for name in batches:
                with suppress(duckdb.Error):
                    self._connection.unregister(name)


def _stream_batch(rows: Sequence[StreamRow]) -> dict[str, NDArray[Any]]:
    return {
        "agent": _objects([r.agent for r in rows]),
        "stream": _objects([r.stream for r in rows]),
        "schema_id": _objects([r.schema for r in rows]),
        "boot": _objects([r.boot for r in rows]),
        "base": np.array([r.base for r in rows], np.int64),
        "pos": np.array([r.position for r in rows], np.int64),
        "t_pos": np.array([r.position_time for r in rows], np.int64),
        "utc_offset": np.array([r.utc_offset for r in rows], np.int64),
        "uncertain": np.array([r.uncertain for r in rows], np.bool_),
        "seen": np.array([r.seen for r in rows], np.int64),
        "state": _objects([r.state for r in rows]),
    }


def _objects(values: Sequence[Any]) -> NDArray[Any]:
    out = np.empty(len(values), object)
    out[:] = values
    return out


def _line(error: Exception) -> str:
    return str(error).splitlines()[0][:300] if str(error) else repr(error)


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
    except duckdb.Error as error:
        raise LedgerError(f"{path} is no ledger: {_line(error)}") from error
    return int(version)
