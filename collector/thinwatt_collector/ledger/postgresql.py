"""The ledger in a schema of a PostgreSQL database: for several collectors, or where a site keeps its databases there.

One collector writes at a time: every transaction that writes takes one lock of the ledger first, so that none can
deadlock, none sees half of another's seal, and compare-and-set on the stream rows says whose frames were first.
Batches go in by binary COPY to temporary tables that stay for the connection's life and are emptied at each commit.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Timer
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thinwatt_collector.ledger import LedgerError, remedies
from thinwatt_collector.ledger.address import MISSING, Address
from thinwatt_collector.ledger.binary_copy import encoded, type_of
from thinwatt_collector.ledger.migrating import migrate
from thinwatt_collector.ledger.session import Columns, ConflictError, EngineError, line_of
from thinwatt_collector.ledger.tables import Tables

if TYPE_CHECKING:
    import psycopg

# A server that went away without a word is given up after 20 s; one that never answers at all, after 5.
REACHED: Final = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
    "application_name": "thinwatt-collector",
}
# A collector that is stopped in mid-transaction holds up the others for as long as the last of these.
PATIENCE: Final = "SET lock_timeout = '20s'; SET idle_in_transaction_session_timeout = '20s'"
STUCK: Final = 60.0
"""A transaction that takes longer is given up, and with it the connection [s]."""
UPGRADE: Final = 3600.0
"""The same for a step from one version of the tables to the next [s]."""
MOVING: Final = 7 * 86_400.0
"""The same where a whole ledger is moved [s]."""
LOCK: Final = 0x7477
"""Begins the numbers of this program's advisory locks: "tw"."""
OWN: Final = {
    # Rows that change at every commit find room beside themselves: no index is touched (HOT updates).
    1: """
ALTER TABLE open_slot SET (fillfactor = 50);
ALTER TABLE booked SET (fillfactor = 50);
ALTER TABLE stream SET (fillfactor = 50);
CREATE INDEX sealed_slot_slot ON sealed_slot (slot);
""",
    2: """
CREATE INDEX kept_slot_slot ON kept_slot (slot);
CREATE INDEX hour_slot_hour ON hour_slot (hour);
CREATE INDEX day_slot_day ON day_slot (day);
""",
}
"""What a version has beside its common text here."""
IN_USE: Final = f"SELECT ({LOCK + 1}::bigint << 32) + oid::bigint FROM pg_namespace WHERE nspname = ?"
"""The lock that whoever has the ledger open to write holds together with the others."""
LINGERS: Final = 2.0
"""The server may know of a connection a little longer than who has closed it [s]."""
SIZE: Final = """
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = ? AND c.relkind = 'r'
"""
ARRAYS: Final = {16: np.bool_, 20: np.int64, 21: np.int64, 23: np.int64, 700: np.float64, 701: np.float64}
"""Number of a type → array of it; all others are objects."""


class Found:
    """What a statement found."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self._cursor = cursor

    def fetchall(self) -> list[Any]:
        return [(self._cursor.rowcount,)] if self._cursor.description is None else self._cursor.fetchall()

    def fetchnumpy(self) -> dict[str, Any]:
        described = self._cursor.description or []
        columns = list(zip(*self._cursor.fetchall(), strict=True)) or [()] * len(described)
        found: dict[str, Any] = {}
        for about, values in zip(described, columns, strict=True):
            found[about.name] = np.empty(len(values), ARRAYS.get(about.type_code, np.object_))
            found[about.name][:] = values
        return found


class PostgreSQLSession:
    """A connection to the server, in autocommit outside of :meth:`whole` and :meth:`snapshot`."""

    bits = False
    order = ' COLLATE "C"'

    def __init__(self, connection: psycopg.Connection[Any], schema: str) -> None:
        import psycopg

        self.connection = connection
        self._errors = (psycopg.Error, OSError)
        self._conflict = psycopg.IntegrityError
        self._schema, self._role = schema, connection.info.user
        self._lock = (
            f"SELECT pg_advisory_xact_lock(({LOCK}::bigint << 32) + oid::bigint) FROM pg_namespace "
            f"WHERE nspname = '{schema}'"
        )
        self.patience = STUCK
        self._tables: dict[str, list[str]] = {}
        self._fresh: list[str] = []
        self._filled: set[str] = set()

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> Found:
        try:
            # Several statements at once travel in the simple protocol, which knows no binary.
            cursor = self.connection.cursor(binary=";" not in statement)
            if parameters:
                return Found(cursor.execute(_marked(statement), list(parameters)))
            return Found(cursor.execute(statement.encode()))
        except self._conflict as error:
            raise ConflictError(line_of(error)) from error
        except self._errors as error:
            raise self._told(error) from error

    def register(self, name: str, columns: Columns) -> None:
        types = [f'"{column}" {type_of(values)}' for column, values in columns.items()]
        if self._tables.get(name, types) != types:
            self.execute(f"DROP TABLE {name}")
            del self._tables[name]
        if name not in self._tables:
            self.execute(f"CREATE TEMP TABLE {name} ({', '.join(types)}) ON COMMIT DELETE ROWS")
            self._tables[name] = types
            self._fresh.append(name)
        elif name in self._filled:
            self.execute(f"TRUNCATE {name}")
        self._filled.add(name)
        try:
            with self.connection.cursor().copy(f"COPY pg_temp.{name} FROM STDIN (FORMAT BINARY)".encode()) as copy:
                copy.write(encoded(columns))
        except self._errors as error:
            raise self._told(error) from error

    def _told(self, error: Exception) -> EngineError:
        """Return what the server said, and what to do about it."""
        state = getattr(error, "sqlstate", None)
        return EngineError(remedies.of_statement(str(error) or repr(error), state, self._schema, self._role))

    def unregister(self, name: str) -> None:
        """Leave it: the transaction's end empties it."""

    def pieces(self, table: str, columns: str, size: int) -> Iterator[dict[str, Any]]:
        self.execute(f"DECLARE pieces CURSOR FOR SELECT {columns} FROM {table}")
        while len(next(iter((piece := self.execute(f"FETCH {size} FROM pieces").fetchnumpy()).values()))):
            yield piece
        self.execute("CLOSE pieces")

    @contextmanager
    def whole(self) -> Iterator[None]:
        with self._within("BEGIN", "COMMIT"):
            self.execute(self._lock)
            yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        # END is COMMIT: temporary tables stay.
        with self._within("BEGIN ISOLATION LEVEL REPEATABLE READ", "END"):
            yield

    @contextmanager
    def _within(self, begin: str, end: str) -> Iterator[None]:
        self._fresh, self._filled = [], set()
        # A server that stands still keeps its connections open: nothing but a clock of our own tells.
        watch = Timer(self.patience, self._cut)
        watch.daemon = True
        watch.start()
        try:
            self.execute(begin)
            yield
            self.execute(end)
        except BaseException:
            for name in self._fresh:
                self._tables.pop(name, None)
            with suppress(EngineError):
                self.execute("ROLLBACK")
            raise
        finally:
            watch.cancel()

    def _cut(self) -> None:
        """End the connection under whoever waits for it; from another thread."""
        with suppress(*self._errors), socket.socket(fileno=os.dup(self.connection.fileno())) as way:
            way.shutdown(socket.SHUT_RDWR)

    def interrupt(self) -> None:
        with suppress(*self._errors):
            self.connection.cancel_safe(timeout=5.0)

    def close(self) -> None:
        with suppress(*self._errors):
            self.connection.close()


class PostgreSQLLedger(Tables):
    """A ledger at ``address``; its schema is made when absent, migrated when older.

    Raises:
        LedgerError: the server is out of reach, lets nobody in, or has a ledger newer than this program.
    """

    session: PostgreSQLSession

    def __init__(self, address: Address) -> None:
        self.address = address
        self._size = self._in_use = 0
        super().__init__(self._opened())

    def __str__(self) -> str:
        return str(self.address)

    def _opened(self) -> PostgreSQLSession:
        session = self._session()
        try:
            self._prepare(session)
        except LedgerError as error:
            session.close()
            raise LedgerError(f"can't open the ledger {self.address}: {line_of(error)}") from error
        return session

    def _prepare(self, session: PostgreSQLSession) -> None:
        """Make the schema, or bring it to the newest version, where no other collector is at it."""
        schema = self.address.schema
        session.execute("SELECT pg_advisory_lock(?)", [LOCK])
        try:
            if not session.execute("SELECT 1 FROM pg_namespace WHERE nspname = ?", [schema]).fetchall():
                session.execute(f"CREATE SCHEMA {schema}")
            session.patience = UPGRADE
            ((self._in_use,),) = session.execute(IN_USE, [schema]).fetchall()
            if not _locked(session, "pg_try_advisory_lock_shared", self._in_use):
                raise LedgerError("it is being moved: wait until that is done")
            migrate(session, lambda version, text: text.replace(" BLOB", " BYTEA") + OWN.get(version, ""))
        finally:
            session.patience = STUCK
            with suppress(EngineError):
                session.execute("SELECT pg_advisory_unlock(?)", [LOCK])

    def _session(self) -> PostgreSQLSession:
        try:
            connection = self._open()
        except LedgerError as error:
            raise LedgerError(f"can't open the ledger {self.address}: {error}") from error
        session = PostgreSQLSession(connection, self.address.schema)
        try:
            session.execute(f"{PATIENCE}; SET client_min_messages = warning; SET search_path = {self.address.schema}")
            ((encoding,),) = session.execute("SHOW server_encoding").fetchall()
            if encoding != "UTF8":
                raise EngineError(f"its encoding is {encoding}: make a database with createdb --encoding=UTF8")
        except EngineError as error:
            session.close()
            raise LedgerError(f"can't open the ledger {self.address}: {error}") from error
        return session

    def _open(self) -> psycopg.Connection[Any]:
        try:
            import psycopg
            from psycopg.conninfo import conninfo_to_dict
        except ImportError as error:
            raise LedgerError(f"{MISSING} ({line_of(error)})") from error
        told: dict[str, Any] = {}
        try:
            told = REACHED | conninfo_to_dict(self.address.server)
            return psycopg.connect(**(told | self._password()), autocommit=True, prepare_threshold=None)
        except (psycopg.Error, OSError, UnicodeError) as error:
            file = self.address.password_file
            raise EngineError(remedies.of_connection(str(error), told, str(file or ""))) from error

    def _password(self) -> dict[str, str]:
        """Return the password, read each time: it may have been changed."""
        file = self.address.password_file
        return {} if file is None else {"password": file.read_text(encoding="utf-8").strip("\r\n")}

    def alone(self) -> bool:
        self.session.patience = MOVING
        self.session.execute("SET idle_in_transaction_session_timeout = 0")
        return _locked(self.session, "pg_try_advisory_lock", self._in_use)

    def reader(self) -> PostgreSQLSession:
        return self._session()

    def reopen(self) -> None:
        self.session.close()
        self.session = self._opened()

    def close(self) -> None:
        with suppress(EngineError):
            self.session.execute("SELECT pg_advisory_unlock_all()")
        self.session.close()

    def checkpoint(self) -> bool:
        return True  # the server's business

    def backup(self, path: str) -> int:
        raise LedgerError(f"no backup was written to {path}: a ledger on PostgreSQL is copied by pg_dump")

    def size(self) -> int:
        """Return what the tables take; what was last known while the server does not answer."""
        with suppress(EngineError), self.session.snapshot():
            ((self._size,),) = self.session.execute(SIZE, [self.address.schema]).fetchall()
        return self._size


def _locked(session: PostgreSQLSession, function: str, key: int) -> bool:
    until = time.monotonic() + LINGERS
    while not session.execute(f"SELECT {function}(?)", [key]).fetchall()[0][0]:
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _marked(statement: str) -> bytes:
    """Return a statement with the marks of parameters that libpq's wrapper knows."""
    return statement.replace("%", "%%").replace("?", "%s").encode()
