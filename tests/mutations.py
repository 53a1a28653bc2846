"""Configurations with one value changed to anything that TOML can write, and what a program may say of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

_numbers = st.from_regex(r"-?[0-9]{1,4}(\.[0-9]{1,3})?(e[0-9]{1,3})?", fullmatch=True)
_units = st.sampled_from(["", "ms", "s", "min", "h", "d", "B", "kB", "KiB", "MiB", "MB", "GiB", "TB", "W", "kg", "Å"])
_hosts = st.sampled_from(["*", "", "0.0.0.0", "127.0.0.1", "300.1.1.1", "[::1]", "[::", "a..b", "a b", "-", "é"])
_ports = st.sampled_from(["*", "", "0", "1", "8466", "65535", "65536", "99999", "-1", "1e3", "٣", "9" * 5000])
_words = st.sampled_from(
    [
        *("", " ", "/", "~", "~/x", "/proc/x", "/dev/null/x", "../x", "a/" * 3000, "x" * 300, "duckdb:", "duckdb:/"),
        *("duckdb::memory:", "info", "none", "host", "toaster", "Europe", "Europe/Paris", "tcp://"),
        *("(", "[", "*", "(?P<", "a{9999999999}", "(" * 2000),
    ]
)
quantities = st.builds("{}{}{}".format, _numbers, st.sampled_from(["", " ", "  "]), _units)
addresses = st.builds("{}{}:{}".format, st.sampled_from(["tcp://", "", "http://", "tcp:/"]), _hosts, _ports)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
_single = (
    quantities
    | addresses
    | _words
    | texts
    | st.integers()
    | st.sampled_from([2**63, -(10**4000), 0])
    | st.floats()
    | st.booleans()
    | st.just(datetime(2025, 1, 31, tzinfo=UTC))
)
values = _single | st.lists(_single, max_size=3) | st.dictionaries(st.text("ab", min_size=1), _single, max_size=2)
"""Whatever can stand behind the ``=`` of a TOML file."""


def written(value: Any) -> str:
    """Return a value as TOML."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            plain = (c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08X}" for c in value)
            return '"' + "".join(plain) + '"'
        case int():
            return str(value)
        case list():
            return "[" + ", ".join(written(entry) for entry in value) + "]"
        case dict():
            return "{" + ", ".join(f"{key} = {written(entry)}" for key, entry in value.items()) + "}"
        case datetime():
            return value.isoformat()
        case _:
            return repr(float(value))


def keys(text: str) -> list[int]:
    """Return where in the lines of a configuration keys stand."""
    return [number for number, line in enumerate(text.splitlines()) if re.match(r"\w+ = ", line)]


def with_value(text: str, number: int, value: Any) -> str:
    """Return a configuration with another value behind the key of a line."""
    lines = text.splitlines()
    lines[number] = f"{lines[number].partition(' = ')[0]} = {written(value)}"
    return "\n".join(lines) + "\n"


@st.composite
def disturbed(draw: st.DrawFn, text: str) -> str:
    """Return a configuration in which some lines are gone, doubled, cut, moved or not of it."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        number = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["gone", "doubled", "cut", "moved", "strange"])):
            case "gone":
                del lines[number]
            case "doubled":
                lines.insert(draw(st.integers(0, len(lines))), lines[number])
            case "cut":
                lines[number] = lines[number][: draw(st.integers(0, len(lines[number])))]
            case "moved":
                lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(number))
            case _:
                lines.insert(number, draw(st.text("[]{}=.\"'# ab1", max_size=10)))
    return "\n".join(lines) + "\n"


def assert_told(problems: tuple[str, ...], text: str, file: Path) -> None:
    """Each problem is one line with the file, a line of it and the key that stands there, and says something."""
    assert problems
    lines = text.split("\n")
    for problem in problems:
        found = re.fullmatch(rf"{re.escape(str(file))}:(\d+): ([\w.]+): .{{10,}}", problem)
        assert found, problem
        key = found[2].rpartition(".")[2]
        assert lines[int(found[1]) - 1].startswith((f"{key} = ", "[")), problem
