"""Where something stands in a TOML file: tomllib does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

Place = tuple[str, ...]
"""Tables and key, from the outside in."""

_PART: Final = r"(?:[\w-]+|\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*')"
_NAME: Final = rf"({_PART}(?:\s*\.\s*{_PART})*)"
_HEADER: Final = re.compile(rf"\s*\[\[?\s*{_NAME}\s*\]")
_KEY: Final = re.compile(rf"\s*{_NAME}\s*=")
# Texts over lines (without an end: up to that of the file), texts, comments, brackets, ends of lines.
_TOKEN: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|'
    r"'''.*?'{3,5}|"
    r'""".*|'
    r"'''.*|"
    r'"(?:[^"\\\n]|\\.)*"|'
    r"'[^'\n]*'|"
    r"#[^\n]*|"
    r"[\[\]{}\n]",
    re.DOTALL,
)


def line_of(text: str, at: Place, n: int = 0) -> int:
    r"""Return the line where a key or table stands: that of the nearest thing around it if it isn't written, else 1.

    ``n`` counts the tables of an array, such as ``[[collectors]]``.

    >>> line_of('[a]\nb = [\n"c = 1",\n]\nc = 2', ("a", "c"))
    5
    """
    best, depth = 1, 0
    for number, found, table, count in statements(text):
        common = min(len(found), len(at))
        if common > depth and found[:common] == at[:common] and count == n * (len(table) > 0):
            best, depth = number, common
    return best


@lru_cache(maxsize=8)
def statements(text: str) -> tuple[tuple[int, Place, Place, int], ...]:
    """Return line, place, table and number of the table in its array of every header and key."""
    table: Place = ()
    counts: dict[Place, int] = {}
    found = []
    for number, statement in split(text):
        if header := _HEADER.match(statement):
            table = place = _parts(header[1])
            counts[table] = counts.get(table, -1) + 1
        elif key := _KEY.match(statement):
            place = table + _parts(key[1])
        else:
            continue
        found.append((number, place, table, counts.get(table, 0)))
    return tuple(found)


def split(text: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of every line that begins something, whole where it goes on in the next ones."""
    begin, number, depth, line = 0, 1, 0, 1
    for token in _TOKEN.finditer(text):
        line += token[0].count("\n")
        depth += (token[0] in "[{") - (token[0] in "]}")
        if token[0] == "\n" and depth <= 0:
            yield number, text[begin : token.start()]
            begin, number, depth = token.end(), line, 0
    yield number, text[begin:]


def _parts(name: str) -> Place:
    return tuple(_plain(part) for part in re.findall(_PART, name))


def _plain(part: str) -> str:
    if part[0] != '"' or "\\" not in part:
        return part.strip("\"'")
    import tomllib

    try:
        return str(tomllib.loads(f"part = {part}")["part"])
    except tomllib.TOMLDecodeError:
        return part
