"""Where something stands in a TOML file, and what a misspelt name may have meant: tomllib tells neither."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

Place = tuple[str, ...]
"""Tables and key, from the outside in."""


def meant(word: str, known: Iterable[str]) -> str:
    """Return the end of an error about an unknown name: the known one that is close, or all of them."""
    import difflib

    names = sorted(known)
    close = difflib.get_close_matches(word, names, 1)
    return f": did you mean {close[0]!r}?" if close else f"; known: {', '.join(names)}"


_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]")
_KEY: Final = re.compile(r"\s*((?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"|'[^']*'))*)\s*=")
_PART: Final = re.compile(r"[\w-]+|\"[^\"]*\"|'[^']*'")


def line_of(text: str, at: Place, n: int = 0) -> int:
    """Return the line where a key or table stands: that of the nearest thing around it if it isn't written, else 1.

    ``n`` counts the tables of an array, such as ``[[collectors]]``.
    """
    table: tuple[str, ...] = ()
    counts: dict[tuple[str, ...], int] = {}
    best, depth = 1, 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = found = _parts(header[2])
            counts[table] = counts.get(table, -1) + 1
        elif key := _KEY.match(line):
            found = table + _parts(key[1])
        else:
            continue
        if len(found) > depth and found == at[: len(found)] and counts.get(table, 0) == n * (len(table) > 0):
            best, depth = number, len(found)
    return best


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(name))
