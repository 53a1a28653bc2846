"""The ledger in one DuckDB file: the default, for one collector.

A second process cannot open the file, not even to read, so whatever wants a copy beside a running collector asks the
collector. The thread that commits is the only one that uses this connection.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import duckdb
import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.book import objects
from thinwatt_collector.ledger import LedgerError
from thinwatt_collector.ledger.migrating import migrate
from thinwatt_collector.ledger.session import Columns, ConflictError, EngineError, line_of
from thinwatt_collector.ledger.tables import Tables

CHECKPOINT_AT: Final = "64MiB"
LONG_LOG: Final = 2 * 64 << 20
"""The engine writes its log into the file at 64 MiB by itself, unless somebody reads then [B]."""
QUIET: Final = "SET enable_progress_bar = false"
"""A service draws no bars into its journal; cursors have it from their connection."""
PLAIN_TEXTS: Final = "SET disabled_compression_methods = 'dict_fsst'"
"""``stream``, whose rows change at every commit, is written anew at every checkpoint, and to compress its texts cost
seven times the rest of that. The slots, the bulk of the ledger, have no texts. (Ignored without a word when given to
``connect``, so it is said afterwards.)"""


class DuckDBSession:
    """A connection to the file, or a cursor of one."""

    bits = True
    order = ""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> duckdb.DuckDBPyConnection:
        try:
            if parameters:
                return self.connection.execute(statement, list(parameters))
            return self.connection.execute(statement)
        except duckdb.ConstraintException as error:
            raise ConflictError(line_of(error)) from error
        except duckdb.Error as error:
            raise EngineError(line_of(error)) from error
        except RuntimeError as error:
            if str(error) == "Query interrupted":  # what the engine makes of Ctrl-C
                raise KeyboardInterrupt from error
            raise

    def register(self, name: str, columns: Columns) -> None:
        try:
            self.connection.register(name, dict(columns))
        except duckdb.Error as error:
            raise EngineError(line_of(error)) from error

    def unregister(self, name: str) -> None:
        with suppress(duckdb.Error):
            self.connection.unregister(name)

    def pieces(self, table: str, columns: str, size: int) -> Iterator[dict[str, Any]]:
        ((last,),) = self.execute(f"SELECT coalesce(max(rowid), -1) FROM {table}").fetchall()
        for low in range(0, last + 1, size):
            bounds = f"rowid >= {low} AND rowid < {low + size}"
            found = self.execute(f"SELECT {columns} FROM {table} WHERE {bounds}").fetchnumpy()
            yield {name: _bytes(np.asarray(values)) for name, values in found.items()}

    @contextmanager
    def whole(self) -> Iterator[None]:
        self.execute("BEGIN TRANSACTION")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            self._back()
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        self.execute("BEGIN TRANSACTION")
        try:
            yield
        finally:
            self._back()

    def _back(self) -> None:
        with suppress(duckdb.Error):
            self.connection.execute("ROLLBACK")

    def interrupt(self) -> None:
        self.connection.interrupt()

    def close(self) -> None:
        with suppress(duckdb.Error):
            self.connection.close()


class DuckDBLedger(Tables):
    """A ledger in the file ``path``; created when absent, migrated when older.

    Raises:
        LedgerError: the file is no ledger, is newer than this program, or another process holds it.
    """

    def __init__(self, path: Path, memory_limit: str = "1GiB", threads: int = 1) -> None:
        self.path = path
        self._settings = {"memory_limit": memory_limit, "threads": str(threads), "wal_autocheckpoint": CHECKPOINT_AT}
        self._connection = self._open()
        super().__init__(DuckDBSession(self._connection))
        self._file: BinaryIO | None = None

    def __str__(self) -> str:
        return str(self.path)

    def _open(self) -> duckdb.DuckDBPyConnection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = duckdb.connect(str(self.path), config=dict(self._settings))
        except (duckdb.Error, OSError) as error:
            raise LedgerError(f"can't open the ledger {self.path}: {line_of(error)}") from error
        try:
            connection.execute(PLAIN_TEXTS)
            connection.execute(QUIET)
            migrate(DuckDBSession(connection))
        except (duckdb.Error, LedgerError) as error:
            connection.close()
            raise LedgerError(f"can't open the ledger {self.path}: {line_of(error)}") from error
        return connection

    def alone(self) -> bool:
        return True  # or the file could not have been opened

    def reader(self) -> DuckDBSession:
        try:
            return DuckDBSession(self._connection.cursor())
        except duckdb.Error as error:
            raise LedgerError(f"the ledger can't be read: {line_of(error)}") from error

    def news(self) -> None:
        """Nobody else can write the file."""

    def reopen(self) -> None:
        with suppress(duckdb.Error):
            self._connection.close()
        self._connection = self._open()
        self.session = DuckDBSession(self._connection)

    def close(self) -> None:
        with suppress(duckdb.Error):
            self._connection.close()
        if self._file is not None:
            self._file.close()
            self._file = None

    def checkpoint(self) -> bool:
        if self._log_size() <= LONG_LOG:
            return True
        with suppress(duckdb.Error):  # somebody still reads: the next call finds another moment
            self._connection.execute("CHECKPOINT")
        return self._log_size() <= LONG_LOG

    def _log_size(self) -> int:
        log_file = wal_of(self.path)
        return log_file.stat().st_size if log_file.exists() else 0

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


def _bytes(values: NDArray[Any]) -> NDArray[Any]:
    """Return a column as it would be handed over: the engine gives bytes that could be changed."""
    if values.dtype.kind != "O" or not len(values) or not isinstance(values[0], bytearray):
        return values
    return objects([bytes(value) for value in values])


def wal_of(path: Path) -> Path:
    """Return the engine's log of a ledger's file: what is committed and not yet in the file."""
    return path.with_name(f"{path.name}.wal")


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
