"""The collector's TOML file: every key explained, every mistake told with its line and what to write instead."""

from __future__ import annotations

import re
from pathlib import Path

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mutations import assert_told, disturbed, values, with_value
from tests.mutations import keys as lines_of_keys
from thinwatt_collector import config
from thinwatt_collector.config import ConfigError
from thinwatt_collector.ledger.address import Address, address_of

HERE = Path("/etc/thinwatt/collector.toml")


def test_the_example_is_a_configuration_of_the_defaults() -> None:
    assert config.parse(config.example(), HERE) == config.parse("", HERE)


def test_every_key_of_the_example_has_a_comment_above_it() -> None:
    lines = config.example().splitlines()
    keys = [i for i, line in enumerate(lines) if re.match(r"\w+ = ", line)]
    assert len(keys) == len(config.KEYS)
    assert all(re.match(r"# \w", lines[i - 1]) for i in keys)


def test_units_and_paths_are_read() -> None:
    text = '[ledger]\ncommit_every = "500 ms"\nhold = "9.5 MiB"\nledger = "duckdb:x/l.duckdb"\n[link]\nagents = "/a"\n'
    found = config.parse(text, HERE)
    assert (found.commit_every, found.hold) == (0.5, 9_961_472.0)
    assert (found.ledger, found.agents) == ("duckdb:/etc/thinwatt/x/l.duckdb", Path("/a"))
    assert found.secret_key == Path("/etc/thinwatt/collector.key")


WRONG = {
    "a key that is nearly one": ('[ledger]\n\ncommit_evry = "1 s"\n', 3, "did you mean 'commit_every'"),
    "a table that is nearly one": ("[ledgr]\nx = 1\n", 1, "did you mean 'ledger'"),
    "a key outside its table": ('\nbind = "tcp://*:8466"\n', 2, "bind: this key belongs in the table [link]"),
    "a misspelt key outside its table": ('bnid = "tcp://*:1"\n', 1, "did you mean 'bind', in the table [link]?"),
    "a table that is a text": ('link = "x"\n', 1, "write it as a table: [link]"),
    "a table of several": ("[[link]]\n", 1, "write it as a table: [link]"),
    "a table twice": ("[link]\n[web]\n[link]\n", 3, "stands there twice, first in line 1"),
    "a key twice": (
        '[link]\nbind = "a"\nbind = "b"\n',
        3,
        "link.bind: 'bind = \"b\"' stands there twice, first in",
    ),
    "no TOML": ("\nx = = 1\n", 2, "is no TOML"),
    "a number without a unit": (
        "[ledger]\ncommit_every = 10\n",
        2,
        "10 has no unit: write a duration like '10 min', ",
    ),
    "a text without a unit": ('[ledger]\ncommit_every = "10"\n', 2, "has no unit"),
    "a unit of something else": ('[ledger]\ncommit_every = "10 kg"\n', 2, "no unit of duration"),
    "a number for a text": ("[carbon]\nzone = 33\n", 2, "33 is no text: write one, in quotes"),
    "a list for a text": ('[carbon]\nzone = ["FR"]\n', 2, "is no text"),
    "a truth for a word": ("[metrics]\nper_device = true\n", 2, "True is none of hosts, all, none"),
    "no word of those": ('[metrics]\nper_device = "everything"\n', 2, "none of hosts, all, none"),
    "nothing": ('[carbon]\nzone = ""\n', 2, "it is empty"),
    "no pause between commits": ('[ledger]\ncommit_every = "0 s"\n', 2, "less than 50 ms"),
    "a pause below none": ('[ledger]\ncommit_every = "-1 s"\n', 2, "is negative"),
    "answers that nobody waits for": ('[ledger]\ncommit_every = "1 min"\n', 2, "agents would send all of it again"),
    "departed between two frames": ('[metrics]\nstale_after = "5 s"\n', 2, "between two frames of an agent"),
    "never departed": ('[metrics]\nstale_after = "100 years"\n', 2, "more than 30 d"),
    "a duration beyond all": ('[metrics]\nstale_after = "1e999 s"\n', 2, "too large for a duration"),
    "too small an engine": ('[ledger]\nmemory = "1 MB"\n', 2, "less than 64 MiB, the least with which"),
    "no engine": ('[ledger]\nmemory = "63.9 MiB"\n', 2, "write '64 MiB' to '1 TiB'"),
    "less than a frame": ('[ledger]\nhold = "7.9 MiB"\n', 2, "less than 8 MiB, which a single frame may have"),
    "another ledger": ('[ledger]\nledger = "sqlite:l.db"\n', 2, "'duckdb:ledger.duckdb', or 'postgresql://"),
    "no database": ('[ledger]\nledger = "postgresql://db"\n', 2, "no database stands in"),
    "a password for all to read": (
        '[ledger]\nledger = "postgresql://u:secret@db/d"\n',
        2,
        "name that: ?password_file=/etc/thinwatt",
    ),
    "a password behind the address": ('[ledger]\nledger = "postgresql://db/d?password=x"\n', 2, "(chmod 600)"),
    "a schema of odd letters": ('[ledger]\nledger = "postgresql://db/d?schema=a-b"\n', 2, "small letters, digits"),
    "a parameter twice": ('[ledger]\nledger = "postgres://db/d?schema=a&schema=b"\n', 2, "stands twice"),
    "a ledger without a file": ('[ledger]\nledger = "duckdb:"\n', 2, "is no ledger"),
    "the ledger in the place of its folder": ('[ledger]\nledger = "duckdb:state"\n', 2, "this is the folder of state"),
    "no address": ('\n[link]\nbind = "8466"\n', 3, "tcp://*:8466"),
    "an address of something else": ('[link]\nbind = "http://*:8466"\n', 2, "is no address: write 'tcp://*:8466'"),
    "a port that can't be": (
        '[link]\nbind = "tcp://*:99999"\n',
        2,
        "'99999' is no port: write a number from 1 to",
    ),
    "port 0": ('[link]\nbind = "tcp://*:0"\n', 2, "'0' is no port"),
    "an IP address that can't be": ('[link]\nbind = "tcp://10.0.0.256:8466"\n', 2, "'10.0.0.256' is no name or IP"),
    "no address to listen on": ('[web]\nlisten = "9466"\n', 2, "127.0.0.1:9466"),
    "a port that nobody can listen on": ('[web]\nlisten = ":70000"\n', 2, "'70000' is no port"),
    "port 0 to listen on": ('[web]\nlisten = "127.0.0.1:0"\n', 2, "'0' is no port"),
    "a page in the address": ('[web]\nlisten = "http://127.0.0.1:9466"\n', 2, "is no address: write '127.0.0.1:9466'"),
    "both on one port": ('[link]\nbind = "tcp://*:9466"\n', 1, "agents connect to port 9466 already, by bind"),
    "endpoints for nobody": ('[metrics]\nper_device = "all"\n', 2, "[api] tokens = "),
    "no time zone": ('[api]\nclocks = "Paris"\n', 2, "'Europe/Paris'"),
    "a path with a zero": ('[link]\nagents = "a\\u0000"\n', 2, "a character that nobody sees"),
    "somebody's home": ('[collector]\nstate = "~/thinwatt"\n', 2, "write the whole path"),
}


def test_a_ledger_on_a_server_is_libpqs_address_and_two_parameters_of_ours() -> None:
    told = "postgresql://tw@db.example.fr:5433/energy?sslmode=verify-full&schema=campus&password_file=l.password"
    found = config.parse(f'[ledger]\nledger = "{told}"\n', HERE).ledger
    place = address_of(found)
    assert place.server == "postgresql://tw@db.example.fr:5433/energy?sslmode=verify-full"
    assert (place.schema, place.password_file) == ("campus", HERE.parent / "l.password")
    assert str(place) == "postgresql://tw@db.example.fr:5433/energy, schema campus"
    assert config.parse(f'[ledger]\nledger = "{found}"\n', HERE).ledger == found
    assert address_of("postgresql:///energy?host=/run/postgresql") == Address(
        "postgresql:///energy?host=%2Frun%2Fpostgresql", "thinwatt", None
    )


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_told_with_file_line_key_and_remedy(mistake: str) -> None:
    text, line, words = WRONG[mistake]
    with pytest.raises(ConfigError) as caught:
        config.parse(text, HERE)
    assert words in str(caught.value)
    assert len(caught.value.problems) == 1
    assert str(caught.value).startswith(f"{HERE}:{line}: ")


@pytest.mark.parametrize("asks", [True, False])
def test_endpoints_one_by_one_are_for_who_can_prove_the_technical_role(tmp_path: Path, asks: bool) -> None:
    """A web-config file that asks for nothing proves nothing."""
    user = f"prometheus: {bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}"
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{{user}}}\n" if asks else "{}\n")
    text = '[web]\nweb_config = "web.yml"\n[metrics]\nper_device = "all"\n'
    try:
        config.parse(text, tmp_path / "collector.toml", here=True)
        told = ""
    except ConfigError as error:
        told = str(error)
    assert ("metrics.per_device: endpoints one by one" in told) != asks


def test_all_mistakes_are_told_at_once_by_their_lines() -> None:
    texts = [WRONG[name][0] for name in ("a misspelt key outside its table", "a table that is nearly one", "nothing")]
    with pytest.raises(ConfigError) as caught:
        config.parse("".join(texts) + '[web]\nlisten = ""\nx = 1\n', HERE)
    places = [problem.split(": ")[:2] for problem in caught.value.problems]
    lines = (1, "bnid"), (2, "ledgr"), (5, "carbon.zone"), (7, "web.listen"), (8, "web.x")
    assert places == [[f"{HERE}:{line}", key] for line, key in lines]


@pytest.mark.parametrize(
    "text",
    [
        '[link]\nbind = "tcp://127.0.0.1:*"\n[web]\nlisten = "[::1]:*"\n',
        '[link]\nbind = "tcp://[::]:65535"\n[web]\nlisten = "srv-1.example.org:1"\n',
        '[link]\nbind = "tcp://eth0:9466"\n[web]\nlisten = "10.0.0.1:9466"\n',
        '[api]\ntokens = "tokens.toml"\n[metrics]\nper_device = "all"\n',
        '[ledger]\nmemory = "64 MiB"\nhold = "8 MiB"\ncommit_every = "20 s"\n[metrics]\nstale_after = "1 min"\n',
    ],
)
def test_what_is_at_the_edge_is_good(text: str) -> None:
    config.parse(text, HERE)


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
        config.parse(text, HERE)
    except ConfigError as error:
        assert all(re.match(rf"{HERE}:\d+: ", problem) for problem in error.problems)  # noqa: PT017 - either is good


@given(st.data())
def test_one_value_changed_to_anything_is_good_or_a_mistake_with_file_line_and_key(data: st.DataObject) -> None:
    text = config.example()
    text = with_value(text, data.draw(st.sampled_from(lines_of_keys(text))), data.draw(values))
    try:
        config.parse(text, HERE)
    except ConfigError as error:
        assert_told(error.problems, text, HERE)


@given(disturbed(config.example()))
def test_lines_gone_doubled_cut_or_moved_are_good_or_told_with_a_line(text: str) -> None:
    try:
        config.parse(text, HERE)
    except ConfigError as error:
        lines = [re.match(rf"{HERE}:(\d+): .", problem) for problem in error.problems]
        assert all(found and 1 <= int(found[1]) <= text.count("\n") + 1 for found in lines), error  # noqa: PT017 - or good


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


def test_each_of_several_keys_outside_their_tables_is_shown_its_place() -> None:
    with pytest.raises(ConfigError) as found:
        config.parse('level = "info"\nbind = "x"\n', HERE)
    first, second = found.value.problems
    assert "level: this key belongs in the table [log]" in first
    assert "bind: this key belongs in the table [link]" in second
