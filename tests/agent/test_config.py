"""One TOML file: every key explained, every mistake told with its line and what to write instead."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.recording import write
from thinwatt_agent import config, keys, sources
from thinwatt_agent.__main__ import main
from thinwatt_agent.config import ConfigError

HERE = Path("/etc/thinwatt/agent.toml")


def test_the_example_is_a_configuration_of_the_defaults() -> None:
    found = config.parse(config.example(), HERE)
    assert found.sources.keys() == set(sources.names())
    assert found.collectors == (
        config.Peer("tcp://collector.example.org:8466", Path("/etc/thinwatt/collector.pub")),
    )  # fmt: skip
    empty = config.parse("", HERE)
    assert (empty.interval, empty.frame, empty.max_gap, empty.spool) == (10.0, 60.0, None, 64 << 20)
    for field in ("state", "secret_key", "interval", "frame", "max_gap", "kind", "model", "root", "spool", "log_level"):
        assert getattr(found, field) == getattr(empty, field)
    assert empty.sources == {}
    assert empty.collectors == ()


def test_every_key_of_the_example_has_a_comment_above_it() -> None:
    lines = config.example().splitlines()
    keys = [i for i, line in enumerate(lines) if re.match(r"\w+ = ", line)]
    assert len(keys) == len(config.KEYS) + len(config.PEER) + sum(len(sources.options(n)) for n in sources.names())
    for i in keys:
        assert re.match(r"# \w", lines[i - 1]), lines[i]


def test_source_options_of_the_example_are_the_sources_own_defaults() -> None:
    found = config.parse(config.example(), HERE)
    for name in sources.names():
        for option in sources.options(name):
            assert found.sources[name][option.key] == option.default
            assert type(found.sources[name][option.key]) is type(option.default)


def test_paths_are_relative_to_the_file() -> None:
    found = config.parse('[agent]\nstate = "../s"\nsecret_key = "/k"\n', Path("/a/b/c.toml"))
    assert (found.state, found.secret_key) == (Path("/a/b/../s"), Path("/k"))


def test_units_are_read() -> None:
    text = '[agent]\ninterval="500 ms"\nframe="2 min"\nspool="1.5 GiB"\nmax_gap="1 h"\n'
    text += '[sources.rapl]\nmax_power="1.2 kW"\n'
    found = config.parse(text, HERE)
    assert (found.interval, found.frame, found.spool, found.max_gap) == (0.5, 120.0, 3 << 29, 3600.0)
    assert found.sources == {"rapl": {"max_power": 1200.0}}


COLLECTOR = '[[collectors]]\naddress = "tcp://a:1"\nserver_key = "k"\n'
WRONG = {
    "not TOML": ("[agent]\ninterval = 10 s\n", None, "line 2"),
    "a key that is nearly one": ('[agent]\nstate = "s"\nintervall = "10 s"\n', 3, "did you mean 'interval'?"),
    "a key of another table": ('[log]\nlevel = "info"\ninterval = "10 s"\n', 3, "no key 'interval' is known here"),
    "a table that is nearly one": ('\n[agnet]\nstate = "s"\n', 2, "did you mean 'agent'?"),
    "a key outside its table": ('\ninterval = "10 s"\n', 2, "interval: this key belongs in the table [agent]"),
    "a key of the log outside its table": ('level = "info"\n[agent]\n', 1, "belongs in the table [log]"),
    "a collector's key outside its table": ('\n\naddress = "tcp://a:1"\n', 3, "belongs in the table [[collectors]]"),
    "a source's key outside its table": ("max_power = 3\n", 1, "[sources.rapl]"),
    "a misspelt key outside its table": ('intervall = "10 s"\n', 1, "did you mean 'interval', in the table [agent]?"),
    "an unknown key outside any table": ("zzz = 1\n", 1, "below the line of its table: agent, log, collectors"),
    "a table that is a number": ("[log]\n[log.level]\nx = 1\n", 2, "none of debug, info"),
    "a number without a unit": ("[agent]\n# every\ninterval = 10\n", 3, "write '10 s'"),
    "a unit of something else": ('[agent]\ninterval = "10 W"\n', 2, "units ms, s, min, h, d"),
    "no number": ('[agent]\nframe = "soon"\n', 2, "'soon' is no number"),
    "nothing": ('[agent]\ninterval = "0 s"\n', 2, "shorter than 0.1 s"),
    "a short frame": ('[agent]\ninterval = "1 min"\nframe = "10 s"\n', 3, "shorter than the interval"),
    "a gap in every interval": ('[agent]\nmax_gap = "10 s"\n', 2, "every interval of 10 s would be a gap"),
    "too small a spool": ('[agent]\nspool = "1 KiB"\n', 2, "less than 64 KiB"),
    "an empty path": ('[agent]\nstate = ""\n', 2, "write a path"),
    "a path that is a number": ("[agent]\nstate = 1\n", 2, "in quotes"),
    "a level": ('[log]\nlevel = "loud"\n', 2, "none of debug, info, warning, error"),
    "no address": ('[[collectors]]\nserver_key = "k"\n', 1, "address is missing"),
    "no key": (COLLECTOR + '\n[[collectors]]\naddress = "tcp://b:1"\n', 5, "server_key is missing"),
    "the second collector": (COLLECTOR + '[[collectors]]\nserver_key = "k"\naddress = "b:1"\n', 6, "write 'tcp://"),
    "a port that can't be": (COLLECTOR.replace(":1", ":99999"), 2, "is no address"),
    "an unknown key of a collector": (COLLECTOR + "serverkey = 1\n", 4, "did you mean 'server_key'?"),
    "one bracket": ('[collectors]\naddress = "tcp://a:1"\n', 1, "in two brackets"),
    "a source": ("[sources.rappl]\nenabled = true\n", 1, "did you mean 'rapl'?"),
    "a source's key": ("[sources.rapl]\nenabled = true\nmax_pwoer = 1\n", 3, "did you mean 'max_power'?"),
    "a source's unit": ('[sources.rapl]\nmax_power = "3 s"\n', 2, "units mW, W, kW"),
    "a source's kind of value": ("[sources.load]\nenabled = 1\n", 2, "write true"),
    "a dotted key": ('[agent]\nstate = "s"\n[sources]\nload.enabled = "yes"\n', 4, "write true"),
    "a quoted key": ('[agent]\n"frame" = 3\n', 2, "write '10 s'"),
    "an inline table": ("\nsources = { load = { enable = true } }\n", 2, "did you mean 'enabled'?"),
    "sources that are none": ("sources = 3\n", 1, "write it as a table: [sources]"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_told_with_file_line_key_and_remedy(mistake: str) -> None:
    text, line, says = WRONG[mistake]
    with pytest.raises(ConfigError) as found:
        config.parse(text, HERE)
    assert says in str(found.value)
    assert str(found.value).startswith(f"{HERE}:{line}: " if line else f"{HERE}: ")


def test_the_checker_looks_at_the_key_files_and_says_how_to_make_one(tmp_path: Path) -> None:
    second = COLLECTOR.replace('"k"', '"l"')
    file = write(tmp_path, {"agent.toml": f"[agent]\n{COLLECTOR}\n{second}"}) / "agent.toml"

    def says() -> str:
        with pytest.raises(ConfigError) as found:
            config.check(file)
        return str(found.value)

    missing = f"{file}:1: agent.secret_key: {tmp_path}/agent.key is not there; make it with: thinwatt-agent keygen"
    assert says().startswith(missing)
    keys.generate(tmp_path / "agent.key")
    assert says().startswith(f"{file}:4: collectors.server_key: {tmp_path}/k is not there; ")
    assert "thinwatt-collector keygen" in says()
    (tmp_path / "agent.key.pub").rename(tmp_path / "k")
    assert says().startswith(f"{file}:8: collectors.server_key: {tmp_path}/l is not there; ")
    (tmp_path / "l").write_text("no key")
    assert "l holds no key" in says()
    shutil.copy(tmp_path / "k", tmp_path / "l")
    assert len(config.check(file).collectors) == 2
    (tmp_path / "agent.key").chmod(0o644)
    assert "chmod 600" in says()
    assert config.load(file).collectors, "what runs on another machine may be read without its keys"


def test_the_command_that_checks_a_configuration_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, {"agent.toml": COLLECTOR}) / "agent.toml"
    assert main(["config", str(file)]) != 0
    keys.generate(tmp_path / "agent.key")
    assert main(["config", str(file)]) != 0
    assert "server_key" in capsys.readouterr().err
    shutil.copy(tmp_path / "agent.key.pub", tmp_path / "k")
    assert main(["config", str(file)]) == 0


def test_a_file_that_is_not_there_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="config --example"):
        config.load(tmp_path / "agent.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="can't be read"):
        config.load(tmp_path / "binary.toml")


@given(st.floats(0, 1e6), st.sampled_from(["s", "B", "W"]))
def test_every_unit_means_what_it_says(number: float, unit: str) -> None:
    for name, factor in config.UNITS[unit].items():
        text = f"{number:.6f} {name}"
        assert config.quantity(text, unit) == pytest.approx(float(f"{number:.6f}") * factor)


@given(st.dictionaries(st.sampled_from(["agent", "log", "collectors", "sources", "x"]),
                       st.dictionaries(st.sampled_from(["interval", "state", "level", "load", "y"]),
                                       st.sampled_from(["1", "true", '"10 s"', "[]", "{}", "{ enabled = 2 }"])),
                       max_size=4))  # fmt: skip
def test_any_toml_is_a_configuration_or_a_mistake_with_a_line(tables: dict[str, dict[str, str]]) -> None:
    text = "".join(f"[{t}]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()) for t, keys in tables.items())
    tomllib.loads(text)
    try:
        config.parse(text, HERE)
    except ConfigError as error:
        found = re.match(rf"{HERE}:(\d+): ", str(error))
        assert found, error  # noqa: PT017 - either outcome is good, a text without a line is not
        assert 1 <= int(found[1]) <= max(1, text.count("\n"))
