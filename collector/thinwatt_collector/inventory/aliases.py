"""French names of tables, columns and words, as a spreadsheet may have them: ``aliases.csv``, the only place.

The first name of a line's meaning is the one that messages use.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

FILE = Path(__file__).with_name("aliases.csv")


@cache
def aliases(kind: str) -> Mapping[str, str]:
    """Return the names that stand for those of the code: of a ``table``, a ``column``, or the words of one column.

    Of kind ``events`` are columns of that table alone: see :func:`column`.

    >>> aliases("class")["client leger"], aliases("column")["salle"]
    ('thin_client', 'room')
    """
    with FILE.open(encoding="utf-8", newline="") as file:
        return MappingProxyType({row["french"]: row["name"] for row in csv.DictReader(file) if row["kind"] == kind})


def column(table: str, name: str) -> str:
    """Return the column of a table that a plain name stands for; itself where it stands for none.

    >>> column("rooms", "batiment"), column("events", "remarque"), column("devices", "remarque")
    ('building', 'note', 'remarque')
    """
    return aliases("column").get(name) or aliases(table).get(name, name)


@cache
def _french(kind: str) -> Mapping[str, str]:
    # Words of events are columns of that table alone: other files may have a "remarque" of their own.
    told = [*aliases(kind).items(), *(aliases("events").items() if kind == "column" else ())]
    return {name: french for french, name in reversed(told)}


def in_french(kind: str, name: str) -> str:
    """Return the French name of a table or column; its own where it has none.

    >>> in_french("column", "retired"), in_french("table", "rooms"), in_french("column", "pue")
    ('retrait', 'salles', 'pue')
    """
    return _french(kind).get(name, name)
