"""The ledger: joules by device, slot and source, and the position of every stream, moved together or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from thinwatt_collector.book import Floats, Ints, StreamRow, Transaction

if TYPE_CHECKING:
    from thinwatt_collector.ledger.compaction import Plan
    from thinwatt_collector.ledger.session import Session


class LedgerError(Exception):
    """The ledger did not take a transaction, or nobody knows whether it did; ``str()`` says what to do."""


class BehindError(LedgerError):
    """Nothing was written: another collector has written names that are not known here; read them and try again."""


@dataclass(frozen=True, slots=True)
class Dimensions:
    """Everything in the ledger that names things, and the booked totals; small beside the slots."""

    schemas: Mapping[bytes, str]
    devices: Sequence[tuple[int, str, str, str, str, bool]]
    sources: Sequence[tuple[int, str, str, str, str]]
    labels: Sequence[tuple[int, str, str, float]]


@dataclass(frozen=True, slots=True)
class News:
    """What a ledger holds that several collectors write.

    Attributes:
        known: how many schemas, devices, sources and labels there are.
        label: numbers of labels.
        total: their booked totals.
    """

    known: tuple[int, int, int, int]
    label: Ints
    total: Floats


class Ledger(Protocol):
    """What the collector asks of an engine. Every method may raise :class:`LedgerError`."""

    def dimensions(self) -> Dimensions:
        """Return names and booked totals."""

    def streams(self, wanted: Iterable[tuple[str, bytes]]) -> list[StreamRow]:
        """Return the rows of the wanted (agent, stream) pairs that exist."""

    def last_rows(self, agents: Iterable[str]) -> list[tuple[str, bytes, int, int]]:
        """Return (agent, boot, UTC [ns], boottime [ns]) of the last committed row of each boot of these agents."""

    def commit(self, transaction: Transaction) -> Ints:
        """Write ``transaction`` whole, or raise; return the indices of the streams whose position moved.

        Raises:
            BehindError: another collector has given the numbers or names in it; nothing was written.
        """

    def news(self) -> News | None:
        """Return what others may have changed; None where nobody else writes."""

    def seal(self, before: int) -> None:
        """Move slots before ``before`` from open to sealed."""

    def forget_streams(self, before: int) -> None:
        """Delete the rows of streams last seen before ``before`` [UTC ns]."""

    def compact(self, now: float, limit: int, plan: Plan) -> int:
        """Do a piece of the compaction that is due at ``now`` [UTC s]; return how many rows it took, 0: none is due."""

    def checkpoint(self) -> bool:
        """Write a log that has grown too long into the file; return whether there is none left that is too long."""

    def backup(self, path: str) -> int:
        """Write a whole, consistent copy to ``path`` and return its size in bytes."""

    def size(self) -> int:
        """Return the ledger's size on disk in bytes."""

    def reopen(self) -> None:
        """Drop the connection and open it again, after a failure."""

    def close(self) -> None:
        """Close; what was committed is durable already."""


class ReadableLedger(Ledger, Protocol):
    """A ledger that others may read beside the thread that commits."""

    def reader(self) -> Session:
        """Return a connection of its own for one question in another thread; whoever asked closes it soon."""


def open_ledger(where: str, memory: float) -> ReadableLedger:
    """Return the ledger at ``where``, made or migrated if need be.

    Args:
        where: ``duckdb:PATH`` or ``postgresql://…``; see :mod:`thinwatt_collector.ledger.address`.
        memory: what the engine may use [B].

    Raises:
        LedgerError: it can't be opened.
    """
    kind, _, path = where.partition(":")
    if kind == "duckdb":
        from thinwatt_collector.ledger.duckdb_file import DuckDBLedger

        if ":" in Path(path).name:
            raise LedgerError(f"{where!r} is no file: memory, or another server, forgets what agents were answered")
        return DuckDBLedger(Path(path), memory_limit=f"{int(memory // 2**20)}MiB")
    from thinwatt_collector.ledger.address import address_of
    from thinwatt_collector.ledger.postgresql import PostgreSQLLedger

    try:
        return PostgreSQLLedger(address_of(where))
    except ValueError as error:
        raise LedgerError(str(error)) from error
