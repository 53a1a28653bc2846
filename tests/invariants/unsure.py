"""The collector with a ledger whose commits now and then fail, end the process, or happen and are not reported.

``python -m tests.invariants.unsure CLOCK OUTCOME,OUTCOME,… --config FILE``: an outcome for each COMMIT, then all are
taken. The file CLOCK holds what the collector's wall clock is off by [s].

``taken``    as it should be;
``refused``  the transaction is rolled back and an error reported;
``unknown``  it is committed and an error reported;
``before``   the process is killed when everything but the COMMIT is done;
``after``    the process is killed when it is committed and nobody was told.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb

from tests.invariants.wall_clock import steppable
from thinwatt_collector.__main__ import main as collector
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger

OUTCOMES = ("taken", "refused", "unknown", "before", "after")


class Connection:
    """A connection whose COMMITs are unsure."""

    def __init__(self, inner: duckdb.DuckDBPyConnection, outcomes: Iterator[str]) -> None:
        self._inner, self._outcomes = inner, outcomes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def execute(self, statement: str, *arguments: Any) -> Any:
        if statement != "COMMIT":
            return self._inner.execute(statement, *arguments)
        outcome = next(self._outcomes, "taken")
        if outcome == "refused":
            self._inner.execute("ROLLBACK")
            raise duckdb.IOException("refused by the test")
        if outcome == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = self._inner.execute("COMMIT")
        if outcome == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        if outcome == "unknown":
            raise duckdb.IOException("committed, which the test keeps to itself")
        return done


def main() -> int:
    outcomes = iter(sys.argv[2].split(","))
    opened = DuckDBLedger._open

    def unsure(ledger: DuckDBLedger) -> Any:
        return Connection(opened(ledger), outcomes)

    with steppable(Path(sys.argv[1])), mock.patch.object(DuckDBLedger, "_open", unsure):
        return collector(["run", *sys.argv[3:]])


if __name__ == "__main__":
    sys.exit(main())
