"""Where a key stands in a TOML file is found in any file that is one; what is no TOML is told with its line as well."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mutations import values, written
from thinwatt_agent.places import ConfigError, File, line_of

HERE = Path("/etc/thinwatt/any.toml")
names = st.from_regex(r"[a-z]{1,3}", fullmatch=True)
deceptions = st.sampled_from(
    [
        '"""\n[a]\nb = 1\n"""',
        "'''\na = 1\n[b]\n'''",
        '[\n"[a]", # ]\n["b = 1"],\n]',
        '"a = 1 # [b]"',
        "'\"'",
        r'"\"\\"',
        '""""a"""""',
        "{ a = 1, b = [ { a = 2 } ] }",
        "1 # a = \u2028 b\x85",
    ]
)


@given(st.data())
def test_every_key_is_found_in_its_line_whatever_stands_before_it(data: st.DataObject) -> None:
    text = ""
    places: dict[tuple[str, ...], int] = {}
    for table in data.draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        header = data.draw(st.sampled_from(["[{}]", "[ {} ] # x = 1", '["{}"]', "\t['{}']"])).format(table)
        text += header + "\n"
        places[(table,)] = text.count("\n")
        for key in data.draw(st.lists(names, max_size=4, unique=True)):
            name = data.draw(st.sampled_from(["{}", "{} ", '"{}"', "'{}'", " {}\t"])).format(key)
            text += data.draw(st.sampled_from(["", "\n", "# [no]\n", "\r\n"]))
            places[table, key] = text.count("\n") + 1
            text += f"{name}= {data.draw(deceptions | values.map(written))}\n"
    tomllib.loads(text)
    assert {place: line_of(text, place) for place in places} == places


def test_a_key_is_found_in_its_own_table_of_an_array_and_inside_of_dots() -> None:
    text = '[[a]]\nb = 1\n[[a]]\n"b" = 2\n[c.d]\n[e]\nf."g.h" = 1\n["\\u0069"]\nj = 1\n'
    assert [line_of(text, ("a", "b"), n) for n in (0, 1)] == [2, 4]
    assert [line_of(text, at) for at in (("c",), ("c", "d"), ("e", "f"), ("e", "f", "g.h"), ("i", "j"))] == [
        5,
        5,
        7,
        7,
        9,
    ]
    assert line_of(text, ("e", "x")) == 6, "what is not written is where its table is"
    assert line_of(text, ("x",)) == 1


@given(st.text("[]{}=.,\"'\\#\n\r ab1-\ufeff"))
def test_any_text_is_read_or_told_with_a_line_of_it(text: str) -> None:
    try:
        File(text, HERE)
    except ConfigError as error:
        (problem,) = error.problems
        found = re.match(rf"{HERE}:(\d+): .", problem)
        assert found, problem
        assert 1 <= int(found[1]) <= text.count("\n") + 1


@pytest.mark.parametrize(
    "text, line", [("a = " + "[" * 5000, 1), (f"\na = {'7' * 5000}\n", 2), ("[a]\nb = [\n1,\n", 2), ("a = 1\n\n[b", 3)]
)
def test_what_makes_the_reader_itself_stumble_has_a_line_too(text: str, line: int) -> None:
    with pytest.raises(ConfigError, match=f"^{HERE}:{line}: "):
        File(text, HERE)
