"""The collector with a ledger whose commits now and then fail, end the process, or happen and are not reported.

``python -m tests.invariants.unsure CLOCK OUTCOME,OUTCOME,… --config FILE``: an outcome for each COMMIT from the first
start on, then all are taken. The file CLOCK holds what the collector's wall clock is off by [s].

``taken``    as it should be;
``refused``  the transaction is rolled back and an error reported;
``unknown``  it is committed and an error reported; on a server the connection is cut behind the COMMIT, which may or
             may not have arrived;
``before``   the process is killed when everything but the COMMIT is done;
``after``    the process is killed when it is committed and nobody was told.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

from tests.invariants.wall_clock import steppable
from thinwatt_collector.__main__ import main as collector
from thinwatt_collector.ledger.duckdb_file import DuckDBSession
from thinwatt_collector.ledger.postgresql import PostgreSQLSession
from thinwatt_collector.ledger.session import EngineError, Session
from thinwatt_collector.ledger.tables import Tables

OUTCOMES = ("taken", "refused", "unknown", "before", "after")


def unsure(kind: type[DuckDBSession | PostgreSQLSession], outcomes: list[str]) -> Any:
    """Return a session's ``execute`` whose COMMITs are unsure."""
    execute = kind.execute

    def unsurely(session: Any, statement: str, parameters: Sequence[object] = ()) -> Any:
        if statement != "COMMIT" or not outcomes:
            return execute(session, statement, parameters)
        outcome = outcomes.pop(0)
        if outcome == "refused":
            execute(session, "ROLLBACK")
            raise EngineError("refused by the test")
        if outcome == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        if outcome == "unknown" and isinstance(session, PostgreSQLSession):
            _send_and_cut(session)
            raise EngineError("the test has cut the connection")
        done = execute(session, "COMMIT")
        if outcome == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        if outcome == "unknown":
            raise EngineError("committed, which the test keeps to itself")
        return done

    return unsurely


def _send_and_cut(session: PostgreSQLSession) -> None:
    server = session.connection.pgconn
    server.send_query(b"COMMIT")
    server.flush()
    with socket.socket(fileno=os.dup(server.socket)) as way:
        way.shutdown(socket.SHUT_RDWR)


def main() -> int:
    waiting = sys.argv[2].split(",")
    outcomes: list[str] = []
    begin = Tables.__init__

    def opened(ledger: Tables, session: Session) -> None:
        begin(ledger, session)
        outcomes[:], waiting[:] = waiting or outcomes, []

    with steppable(Path(sys.argv[1])), ExitStack() as patched:
        for kind in (DuckDBSession, PostgreSQLSession):
            patched.enter_context(mock.patch.object(kind, "execute", unsure(kind, outcomes)))
        patched.enter_context(mock.patch.object(Tables, "__init__", opened))
        return collector(["run", *sys.argv[3:]])


if __name__ == "__main__":
    sys.exit(main())
