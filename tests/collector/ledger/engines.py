"""The ledger's engines, each as a test asks for a new ledger of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tests.postgresql import Server
from thinwatt_collector.book import objects
from thinwatt_collector.ledger import open_ledger
from thinwatt_collector.ledger.session import Session, given
from thinwatt_collector.ledger.tables import Tables

SUMS = "sum(joules), sum(variance), sum(bias), sum(covered)"
MEMORY = 1 << 30


class Engine:
    """Makes ledgers of one kind: files below a folder, or schemas of a server."""

    def __init__(self, folder: Path, server: Server | None = None) -> None:
        self._folder, self._server = folder, server
        self._numbers = itertools.count()

    def __repr__(self) -> str:
        return "DuckDB" if self._server is None else "PostgreSQL"

    def place(self) -> str:
        """Return where a new ledger can be."""
        if self._server is not None:
            return self._server.url()
        return f"duckdb:{self._folder / f'ledger-{next(self._numbers)}.duckdb'}"

    def open(self, place: str = "") -> Tables:
        """Open the ledger at a place, or a new one."""
        ledger = open_ledger(place or self.place(), MEMORY)
        assert isinstance(ledger, Tables)
        return ledger

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Have a new ledger inside, and look at its tables."""
        ledger = self.open()
        try:
            yield ledger.session
        finally:
            ledger.close()


def enter(session: Session, table: str, rows: Sequence[Sequence[Any]]) -> None:
    """Write rows into a table, in the order of its columns."""
    if rows:
        columns = {f"c{i}": column(values) for i, values in enumerate(zip(*rows, strict=True))}
        with session.whole(), given(session, {"entered": columns}):
            session.execute(f"INSERT INTO {table} SELECT * FROM entered")  # noqa: S608  # a name of ours


def column(values: Sequence[Any]) -> Any:
    return objects(values) if isinstance(values[0], str | bytes) else np.array(values)
