"""Versions of the ledger's tables, and the way from each to the next."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources

from thinwatt_collector.ledger import LedgerError
from thinwatt_collector.ledger.session import Session


def migrations() -> list[tuple[int, str]]:
    """Return (version, SQL) of every migration, in order."""
    folder = resources.files("thinwatt_collector.ledger") / "migrations"
    files = sorted(f.name for f in folder.iterdir() if f.name.endswith(".sql"))
    return [(int(name[:4]), (folder / name).read_text(encoding="utf-8")) for name in files]


def migrate(session: Session, spoken: Callable[[int, str], str] = lambda _, text: text) -> None:
    """Bring the database to the newest version, one transaction a step.

    Args:
        session: of the database.
        spoken: makes of a version and its text what the engine takes for it.

    Raises:
        LedgerError: it was written by a newer thinwatt, or holds tables that are not ours.
    """
    session.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
    known = migrations()
    found = version_of(session)
    if found > known[-1][0]:
        raise LedgerError(f"the ledger has version {found}, this thinwatt knows {known[-1][0]}: upgrade thinwatt")
    for version, text in known[found:]:
        with session.whole():
            if version_of(session) < version:  # else another collector has just done it
                session.execute(spoken(version, text))
                session.execute("INSERT INTO schema_version VALUES (?)", [version])


def version_of(session: Session) -> int:
    """Return the version of the tables that are there; 0: none."""
    ((found,),) = session.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchall()
    return int(found)
