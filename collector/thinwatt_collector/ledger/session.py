"""A connection to an engine, as the ledger's one SQL text needs it.

Marks of parameters are ``?``. What the engines do not do alike is a method or an attribute here, and nothing else is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from numpy.typing import NDArray

from thinwatt_collector.ledger import LedgerError

Columns = Mapping[str, NDArray[Any]]
Relations = Mapping[str, Columns]


class EngineError(LedgerError):
    """What the engine itself said, in one line."""


class ConflictError(EngineError):
    """A row with the same key is there already."""


class Rows(Protocol):
    """What a statement found."""

    def fetchall(self) -> list[Any]:
        """Return all rows; of a statement that changes rows and returns none, one row: how many."""

    def fetchnumpy(self) -> dict[str, Any]:
        """Return the columns as arrays."""


class Session(Protocol):
    """A connection of one thread. Every method may raise :class:`EngineError`."""

    bits: bool
    """Whether devices may be counted as bits (``bitstring_agg``), which only one engine can."""
    order: str
    """What makes texts sort by their bytes, behind the name of a column."""

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> Rows:
        """Run a statement."""

    def register(self, name: str, columns: Columns) -> None:
        """Have columns of one length stand as the relation ``name``, in a transaction."""

    def unregister(self, name: str) -> None:
        """Have it there no longer."""

    def pieces(self, table: str, columns: str, size: int) -> Iterator[dict[str, Any]]:
        """Yield all rows of a table by pieces of about ``size`` rows, in a transaction; each a dict of arrays."""

    def whole(self) -> AbstractContextManager[None]:
        """Commit what is done inside, or nothing of it, whatever goes wrong; nobody else writes meanwhile."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Have everything asked inside see one moment of the ledger."""

    def interrupt(self) -> None:
        """End what another thread is waiting for here."""

    def close(self) -> None:
        """Close."""


@contextmanager
def given(session: Session, relations: Relations) -> Iterator[None]:
    """Have relations stand inside."""
    try:
        for name, columns in relations.items():
            session.register(name, columns)
        yield
    finally:
        for name in relations:
            session.unregister(name)


def line_of(error: Exception) -> str:
    """Return the first line of what an engine says."""
    return str(error).splitlines()[0][:1000] if str(error) else repr(error)
