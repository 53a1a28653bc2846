"""What a configuration names is looked at on this machine: folders, addresses, keys, lists, the engine's file."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.mutations import assert_told, texts, values, with_value
from tests.mutations import keys as lines_of_keys
from thinwatt_agent import keys
from thinwatt_collector import config, preflight
from thinwatt_collector.config import ConfigError
from thinwatt_collector.ledger import LedgerError, open_ledger


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The example with everything in place that it names; returns the configuration."""
    keys.generate(tmp_path / "collector.key")
    (tmp_path / "agents.keys").write_text("# nobody yet\n")
    path = tmp_path / "collector.toml"
    path.write_text(config.example())
    return path


def says(site: Path, closely: bool = False, /, **changed: str) -> str:
    """Return what is said of the site with some values changed, "" if it is good."""
    text = site.read_text()
    for key, value in changed.items():
        assert len(re.findall(rf'(?m)^{key} = ".*"$', text)) == 1
        text = re.sub(rf'(?m)^{key} = ".*"$', f'{key} = "{value}"', text)
    file = site.with_name("changed.toml")
    file.write_text(text)
    try:
        config.check(file, closely)
    except ConfigError as error:
        assert_told(error.problems, text, file)
        return str(error)
    return ""


def test_the_example_is_good_where_everything_is_in_place_and_nothing_is_left_behind(site: Path) -> None:
    before = sorted(site.parent.iterdir())
    config.check(site, closely=True)
    assert sorted(site.parent.iterdir()) == before


def test_everything_is_told_at_once(site: Path) -> None:
    said = says(
        site, True, state="/proc/thinwatt", bind="tcp://203.0.113.7:8466", secret_key="none", agents="none",
        ledger="duckdb:none/l.duckdb", web_config="none", tokens="none", zone="Atlantis", memory="1 MB",
    )  # fmt: skip
    named = [line.split(": ")[1] for line in said.splitlines()]
    assert named == [
        "collector.state", "link.bind", "link.secret_key", "link.agents", "ledger.ledger", "ledger.memory",
        "web.web_config", "api.tokens", "carbon.zone",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "folder", ["/proc/thinwatt", "/proc", "/sys/thinwatt", "agents.keys", "agents.keys/x", "x" * 300]
)
def test_a_state_folder_where_nothing_can_be_written(site: Path, folder: str) -> None:
    said = says(site, state=folder, ledger=f"duckdb:{site.parent}/l.duckdb")
    assert ": collector.state: " in said
    assert "write a folder that this account can write to" in said


def test_a_state_folder_whose_socket_has_too_long_a_path(site: Path) -> None:
    assert "too long for a socket: choose a shorter [collector] state" in says(site, state="/".join(["y" * 50] * 3))


@pytest.mark.parametrize("ledger", ["none/l.duckdb", "/proc/l.duckdb", "collector.key/l.duckdb", "state/../none/l"])
def test_the_ledgers_folder_must_be_there_and_writable(site: Path, ledger: str) -> None:
    assert ": ledger.ledger: " in says(site, ledger=f"duckdb:{ledger}")


@pytest.mark.parametrize("ledger", ["state/ledger.duckdb", "state/below/l.duckdb", "l.duckdb"])
def test_a_folder_below_the_state_is_made_when_it_is_needed(site: Path, ledger: str) -> None:
    assert not says(site, ledger=f"duckdb:{ledger}")


def test_a_ledger_that_is_there_is_one(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = site.parent / "l.duckdb"
    open_ledger(f"duckdb:{ledger}", 64 << 20).close()
    assert not says(site, ledger=f"duckdb:{ledger}")
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda path, mode: mode != os.W_OK or path != ledger)
        assert "can't be written by this account" in says(site, ledger=f"duckdb:{ledger}")
    assert "collector.toml is no ledger" in says(site, ledger="duckdb:collector.toml")
    assert "is a folder: write the path of a file" in says(site, ledger=f"duckdb:{site.parent}")
    ledger.write_bytes(b"")
    assert "put a backup in its place: thinwatt-collector restore" in says(site, ledger=f"duckdb:{ledger}")
    with pytest.raises(LedgerError, match="not a valid DuckDB"):
        open_ledger(f"duckdb:{ledger}", 64 << 20)


def test_a_password_of_the_ledger_is_there_and_nobody_elses(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = site.with_name("l.password")
    where = "postgresql://tw@db/energy?password_file=l.password"
    assert "l.password" in says(site, ledger=where)
    file.write_text("secret")
    file.chmod(0o640)
    assert f"others can read it: chmod 600 {file}" in says(site, ledger=where)
    file.chmod(0o600)
    assert not says(site, ledger=where)
    monkeypatch.setattr("thinwatt_collector.preflight.find_spec", lambda _: None)
    assert "pip install 'thinwatt[collector,postgres]'" in says(site, ledger=where)


def test_the_secret_key_is_a_key_that_nobody_else_may_read(site: Path) -> None:
    key = site.with_name("collector.key")
    key.chmod(0o640)
    assert f"others may read it (mode 0640): chmod 600 {key}" in says(site)
    key.chmod(0o600)
    key.write_text("junk")
    assert "holds no key, it has 4 characters instead of 40" in says(site)
    key.unlink()
    assert f"thinwatt-collector keygen {key}" in says(site)
    assert "write" not in says(site, secret_key="collector.key.pub")
    assert "by its name the public half: the secret one is" in says(site, secret_key="collector.key.pub")


def test_the_list_of_agents_is_a_file_and_its_wrong_lines_are_told_to_whoever_asks_closely(site: Path) -> None:
    listed = site.with_name("agents.keys")
    keys.generate(site.with_name("host.key"))
    key = site.with_name("host.key.pub").read_text().strip()
    listed.write_bytes(f"host-1 {key}\nhost-2 tooshort\nh\xe9 {key}\n".encode("latin-1") + b"x " + b"#" * 40)
    assert not says(site), "a wrong line stops no collector"
    said = says(site, True).splitlines()
    assert [re.findall(r"agents\.keys, (line \d)", line) for line in said] == [["line 2"], ["line 3"], ["line 4"]]
    listed.unlink()
    assert f"begin an empty list with: touch {listed}" in says(site)
    listed.mkdir()
    assert "agents.keys is a folder" in says(site)
    listed.rmdir()
    os.mkfifo(listed)
    assert "agents.keys is no ordinary file" in says(site)


@pytest.mark.parametrize("key, file", [("web_config", "web.yml"), ("tokens", "tokens.toml"), ("agents", "agents.keys")])
def test_a_file_that_is_named_must_be_there_and_readable(
    site: Path, key: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = site.with_name(file)
    path.unlink(missing_ok=True)
    assert f"{path} is not there" in says(site, **{key: file})
    path.write_text("")
    assert not says(site, **{key: file})
    monkeypatch.setattr(os, "access", lambda asked, mode: asked != path)
    assert f"{path} can't be read by this account: see ls -l" in says(site, **{key: file})


@pytest.mark.parametrize(
    "key, content, words",
    [
        ("web_config", b"tls_server_config:\n  cert_file: none\n", "key_file: is missing"),
        ("web_config", b"basic_auth_users:\n  a: plain\n", "bcrypt"),
        ("web_config", b"\xff", "is no YAML"),
        ("tokens", b"token = 1\n", "write [[token]]"),
        ("tokens", b"\xff", "can't be read"),
    ],
)
def test_a_file_that_is_named_must_be_one_of_its_kind(site: Path, key: str, content: bytes, words: str) -> None:
    site.with_name("named").write_bytes(content)
    said = says(site, **{key: "named"})
    assert f".{key}: " in said
    assert words in said


@pytest.mark.parametrize(
    "key, address, words",
    [
        ("bind", "tcp://203.0.113.7:8466", "one that ip addr shows"),
        ("bind", "tcp://nobody.invalid:8466", "is no address or name of this machine"),
        ("listen", "203.0.113.7:9466", "one that ip addr shows"),
        ("listen", "lo:9466", "is no address or name of this machine"),
    ],
)
def test_an_address_that_is_not_this_machines(site: Path, key: str, address: str, words: str) -> None:
    assert words in says(site, **{key: address})


@pytest.mark.parametrize("bind", ["tcp://lo:8466", "tcp://localhost:8466", "tcp://0.0.0.0:*", "tcp://*:*"])
def test_an_address_that_is_this_machines(site: Path, bind: str) -> None:
    assert not says(site, bind=bind)


def test_an_address_that_somebody_has_may_be_our_own_collector(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert not says(site, listen=f"127.0.0.1:{taken.getsockname()[1]}")


def test_a_port_for_root_only(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(socket.socket):
        def bind(self, _: Any) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(preflight.socket, "socket", Refusing)  # type: ignore[attr-defined] # the module's own import
    assert "write a port from 1024" in says(site, listen="127.0.0.1:443")


def wild(draw: Callable[..., Any], line: str) -> Any:
    """Return anything for a key; for an address, nothing that a name server would be asked for."""
    return draw(values if not line.startswith(("bind", "listen")) else st.integers() | st.sampled_from(
        ["tcp://*:1", "tcp://203.0.113.1:8466", "127.0.0.1:8466", ":80", "tcp://[::1]:8466", "[fe80::1]:9", "tcp://lo:9466"]
    ) | texts.filter(lambda text: ":" not in text))  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_one_value_changed_to_anything_is_good_or_a_mistake_on_this_machine(site: Path, data: st.DataObject) -> None:
    text = site.read_text()
    number = data.draw(st.sampled_from(lines_of_keys(text)))
    text = with_value(text, number, wild(data.draw, text.splitlines()[number]))
    changed = site.with_name("changed.toml")
    changed.write_text(text, encoding="utf-8")
    try:
        config.check(changed, closely=True)
    except ConfigError as error:
        assert_told(error.problems, text, changed)
    assert {path.name for path in site.parent.iterdir()} == {
        "agents.keys", "changed.toml", "collector.key", "collector.key.pub", "collector.toml"
    }  # fmt: skip


def test_the_key_of_an_agent_is_no_collectors(site: Path) -> None:
    public = (site.parent / "collector.key.pub").read_text()
    (site.parent / "agents.keys").write_text(f"host-1 {public}")
    said = says(site)
    assert "link.secret_key: " in said
    assert "is the key of the agent 'host-1' in" in said
    assert "thinwatt-collector keygen" in said


def test_a_price_needs_its_day(site: Path) -> None:
    assert "tariff.eur_per_kwh: a price holds from a day on" in says(site, eur_per_kwh="0.21")
    assert says(site, eur_per_kwh="0.21", date="2026-02-01") == ""


@pytest.mark.parametrize(
    "where", ["duckdb::memory:", "duckdb::memory:named", "duckdb:state/:memory:", "duckdb:md:site"]
)
def test_a_ledger_that_is_no_file_is_refused(where: str, site: Path) -> None:
    assert "ledger.ledger: " in (said := says(site, ledger=where))
    assert "write 'duckdb:state/ledger.duckdb'" in said
    with pytest.raises(LedgerError, match="is no file"):
        open_ledger(where, 2.0**28)


@pytest.mark.parametrize(
    "listen, loud",
    [
        ("127.0.0.1:9466", False), ("127.8.9.1:9466", False), ("localhost:9466", False), ("[::1]:9466", False),
        ("0.0.0.0:9466", True), ("[::]:9466", True), (":9466", True), ("10.1.2.3:9466", True), ("here.local:1", True),
    ],
)  # fmt: skip
def test_what_is_open_to_others_without_a_password_is_said_loudly(listen: str, loud: bool, tmp_path: Path) -> None:
    said = list(preflight.open_doors(listen, None))
    assert len(said) == loud
    assert all("docs/web-config.md" in line and listen in line for line in said)
    assert list(preflight.open_doors(listen, tmp_path / "web.yml")) == []
