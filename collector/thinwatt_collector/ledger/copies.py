"""Whole copies of a ledger's file: made, read to the last row, and put in its place.

Nothing takes the place of a good file before it was read whole: neither a backup that of an older one, nor a restored
ledger that of the present one. The engine says of each block whether it is as it was written, when it reads it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

import duckdb

from thinwatt_collector.ledger import LedgerError
from thinwatt_collector.ledger.duckdb_file import verify, wal_of
from thinwatt_collector.ledger.migrating import migrations
from thinwatt_collector.ledger.session import line_of

TABLES: Final = "SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"


def file_of(ledger: str) -> Path:
    """Return the file of a ledger as the configuration names it.

    Raises:
        LedgerError: it is none in a file.
    """
    kind, _, path = ledger.partition(":")
    if kind != "duckdb":
        raise LedgerError(f"the ledger {kind}:… is no file: copy it with the tools of its server (pg_dump, pg_restore)")
    return Path(path)


def keep_apart(ledger: Path, other: Path) -> None:
    """Raise where a copy would be written over the ledger itself, or made of it."""
    for ours in (ledger, wal_of(ledger)):
        if other.resolve() == ours.resolve() or (other.exists() and ours.exists() and other.samefile(ours)):
            raise LedgerError(f"{other} is the ledger itself: name another file")


def intact(path: Path) -> int:
    """Return the version of the ledger in ``path`` after reading all of it.

    Raises:
        LedgerError: it is no ledger, or a part of it is not as it was written.
    """
    version = verify(path)
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            for (table,) in connection.execute(TABLES).fetchall():
                # Every value of every row; an engine that may skip a column would not see its blocks.
                connection.execute(f'SELECT bit_xor(hash(every_row)) FROM "{table}" AS every_row').fetchall()
    except duckdb.Error as error:
        raise LedgerError(f"{path} is damaged: {line_of(error)}") from error
    return version


def accepted(made: Path, target: Path) -> int:
    """Put a copy that was just made in the place of an older one, if it is whole, and return its size [B].

    Raises:
        LedgerError: it is not; what was in its place still is.
    """
    try:
        intact(made)
        made.replace(target)
        _settle(target.parent)
    except (LedgerError, OSError) as error:
        _remove(made)
        raise LedgerError(
            f"no backup was written to {target}, what was there still is: the copy of the ledger can't be used: "
            f"{line_of(error)}; restore the last good one, agents send again what it does not hold"
        ) from error
    return target.stat().st_size


def alone(ledger: Path, made: Path) -> None:
    """Copy a ledger that no collector has open, with what only its log holds; the ledger is read and nothing else.

    Raises:
        LedgerError: there is none, somebody has it open, it is damaged, or there is no room for the copy.
    """
    try:
        with _held(ledger) as source:
            _copy(source, ledger, made)
        _join_log(made)
    except (LedgerError, duckdb.Error, OSError) as error:
        _remove(made)
        raise LedgerError(f"no backup of {ledger} was written: {line_of(error)}") from error


def restore(backup: Path, ledger: Path) -> tuple[int, Path | None]:
    """Put a copy of ``backup`` in the place of ``ledger`` and return its version, and where the ledger is now.

    Raises:
        LedgerError: the backup can't be used, or there is no room for it; the ledger is as it was.
    """
    keep_apart(ledger, backup)
    made = ledger.with_name(f"{ledger.name}.partial")
    try:
        _known(verify(backup), backup)
        ledger.parent.mkdir(parents=True, exist_ok=True)
        with backup.open("rb") as source:
            _copy(source, backup, made)
        _join_log(made)
        version = _known(intact(made), backup)
        return version, _exchange(made, ledger)
    except (LedgerError, duckdb.Error, OSError) as error:
        _remove(made)
        raise LedgerError(f"{backup} was not restored, the ledger is as it was: {line_of(error)}") from error


def _known(version: int, backup: Path) -> int:
    newest = migrations()[-1][0]
    if version > newest:
        raise LedgerError(f"{backup} has version {version}, this thinwatt knows {newest}: upgrade thinwatt first")
    return version


def _exchange(made: Path, ledger: Path) -> Path | None:
    """Put ``made`` in the place of the ledger, which is kept with its log; there is a ledger at every instant."""
    if not ledger.exists():
        made.rename(ledger)
        return None
    with _held(ledger) as source:
        kept = ledger.with_name(f"{ledger.name}.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
        try:
            kept.hardlink_to(ledger)
        except FileExistsError:
            raise LedgerError(f"{kept} is there already: wait a second") from None
        except OSError:  # a file system without such links
            _copy(source, ledger, kept)
        with suppress(FileNotFoundError):
            wal_of(ledger).rename(wal_of(kept))
        made.replace(ledger)
    _settle(ledger.parent)
    return kept


@contextmanager
def _held(ledger: Path) -> Iterator[IO[bytes]]:
    """Open a ledger that nobody writes, and keep it so; whoever writes it has locked it in the same way."""
    if not ledger.exists():
        raise LedgerError(f"there is no ledger {ledger} yet")
    with ledger.open("rb") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LedgerError(
                f"another process has {ledger} open: is a collector running with another state folder?"
            ) from None
        yield file


def _copy(source: IO[bytes], path: Path, made: Path) -> None:
    """Copy a file that is open, and its log; no other descriptor of it is closed, which would end our lock on it."""
    _remove(made)
    with made.open("xb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        os.fsync(target.fileno())
    if wal_of(path).exists():
        shutil.copyfile(wal_of(path), wal_of(made))


def _join_log(made: Path) -> None:
    """Have the engine write into a copy what only its log holds."""
    if wal_of(made).exists():
        with duckdb.connect(str(made)) as connection:
            connection.execute("FORCE CHECKPOINT")


def _remove(made: Path) -> None:
    for path in (made, wal_of(made)):
        path.unlink(missing_ok=True)


def _settle(folder: Path) -> None:
    """Have a rename last through a loss of power."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
