"""The collector's TOML file: every key explained, every mistake told with its line and what to write instead."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinwatt_collector import config
from thinwatt_collector.config import ConfigError

HERE = Path("/etc/thinwatt/collector.toml")


def test_the_example_is_a_configuration_of_the_defaults() -> None:
    assert config.parse(config.example(), HERE) == config.parse("", HERE)


def test_every_key_of_the_example_has_a_comment_above_it() -> None:
    lines = config.example().splitlines()
    keys = [i for i, line in enumerate(lines) if re.match(r"\w+ = ", line)]
    assert len(keys) == len(config.KEYS)
    assert all(re.match(r"# \w", lines[i - 1]) for i in keys)


def test_units_and_paths_are_read() -> None:
    text = '[ledger]\ncommit_every = "500 ms"\nhold = "1.5 MiB"\nledger = "duckdb:x/l.duckdb"\n[link]\nagents = "/a"\n'
    found = config.parse(text, HERE)
    assert (found.commit_every, found.hold) == (0.5, 1_572_864.0)
    assert (found.ledger, found.agents) == ("duckdb:/etc/thinwatt/x/l.duckdb", Path("/a"))
    assert found.secret_key == Path("/etc/thinwatt/collector.key")


@pytest.mark.parametrize(
    "text, line, words",
    [
        ('[ledger]\n\ncommit_evry = "1 s"\n', 3, "did you mean 'commit_every'"),
        ("[ledgr]\nx = 1\n", 1, "did you mean 'ledger'"),
        ('[ledger]\ncommit_every = "10"\n', 2, "has no unit"),
        ('[ledger]\ncommit_every = "0 s"\n', 2, "not longer than nothing"),
        ('[ledger]\ncommit_every = "10 kg"\n', 2, "no unit of duration"),
        ("[ledger]\ncommit_every = 10\n", 2, "in quotes"),
        ('[ledger]\nledger = "postgresql://x"\n', 2, "duckdb:ledger.duckdb"),
        ('\n[link]\nbind = "8466"\n', 3, "tcp://*:8466"),
        ('[web]\nlisten = "9466"\n', 2, "127.0.0.1:9466"),
        ('[metrics]\nper_device = "everything"\n', 2, "hosts, all, none"),
        ('link = "x"\n', 1, "no table [link]"),
    ],
)
def test_a_mistake_is_told_with_file_line_key_and_remedy(text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse(text, HERE)
    assert str(caught.value).startswith(f"{HERE}:{line}: ")
    assert words in str(caught.value)


def test_no_toml_is_told_with_the_place() -> None:
    with pytest.raises(ConfigError, match="line 2"):
        config.parse("\nx = = 1\n", HERE)


@given(
    st.dictionaries(st.sampled_from(["collector", "link", "x"]), st.dictionaries(st.text(), st.integers()) | st.text())
)
def test_any_document_is_a_configuration_or_a_mistake(document: dict[str, object]) -> None:
    lines = []
    for table, content in document.items():
        if isinstance(content, dict):
            lines.append(f"[{table}]")
            lines += [f"{key!r} = {value}" for key, value in content.items()]
    text = "\n".join(lines)
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    try:
        config.parse(text, HERE)
    except ConfigError as error:
        told = str(error)
    else:
        return
    assert re.match(rf"{HERE}:\d+: ", told)


def test_factors_have_tables_of_their_own(tmp_path: Path) -> None:
    text = (
        '[carbon]\nmethod = "live"\nsource = "eco2mix"\n[carbon.eco2mix]\narchive = "archive"\nsince = "2025-01-01"\n'
    )
    found = config.parse(text, HERE)
    assert (found.carbon_method, found.carbon_source) == ("live", "eco2mix")
    assert found.factors == {"eco2mix": {"archive": Path("/etc/thinwatt/archive"), "since": "2025-01-01"}}
    assert config.parse("", HERE).factors == {}
    assert found.booked_source == "table"
    assert found.record().method == "ademe_acv_annual", "what is booked is a record all the same"
    beside = config.parse("", HERE).beside()
    assert beside is None


@pytest.mark.parametrize(
    "text, line, words",
    [
        ('[carbon]\nmethod = "marginal"\n', 2, "record, live, profile, market"),
        ('[carbon]\n[carbon.eco3mix]\narchive = "x"\n', 2, "did you mean 'eco2mix'"),
        ('[carbon]\neco2mix = "x"\n', 2, "no key 'eco2mix'"),
    ],
)
def test_a_mistake_in_carbon_is_told_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse(text, HERE)
    assert str(caught.value).startswith(f"{HERE}:{line}: ")
    assert words in str(caught.value)
