"""One TOML file: every key explained, every mistake told with its line and what to write instead."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.agent.recording import write
from tests.mutations import assert_told, disturbed, values, with_value
from tests.mutations import keys as lines_of_keys
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
    "not TOML": ("[agent]\ninterval = 10 s\n", 2, "stand in quotes"),
    "a text without an end": ('[agent]\nmodel = "x\n', 2, "with the quote that it began with"),
    "a text over lines without an end": ('[agent]\nmodel = """x\ny\n', 2, "with the quote that it began with"),
    "a path of Windows": ('[agent]\nstate = "C:\\data"\n', 2, "single quotes"),
    "a table twice": ('[agent]\n[log]\n[agent]\nstate = ""\n', 3, "agent: '[agent]' stands there twice, first in"),
    "a key twice": ('[log]\nlevel = "info"\nlevel = "info"\n', 3, "stands there twice, first in line 2"),
    "an endless number": (f"[agent]\ninterval = {'9' * 5000}\n", 2, "too many digits"),
    "a table of several": ("[[agent]]\n", 1, "write it as a table: [agent]"),
    "a list for a text": ('[agent]\nclass = ["host"]\n', 2, "is no text"),
    "a truth for a duration": ("[agent]\ninterval = true\n", 2, "True is no number with one of the units"),
    "a table for a key": ("[agent.interval]\ns = 10\n", 1, "no number with one of the units"),
    "a key that is nearly one": ('[agent]\nstate = "s"\nintervall = "10 s"\n', 3, "did you mean 'interval'?"),
    "a key of another table": ('[log]\nlevel = "info"\ninterval = "10 s"\n', 3, "no key 'interval' is known here"),
    "a table that is nearly one": ('\n[agnet]\nstate = "s"\n', 2, "did you mean 'agent'?"),
    "a key outside its table": ('\ninterval = "10 s"\n', 2, "interval: this key belongs in the table [agent]"),
    "a key of the log outside its table": ('level = "info"\n[agent]\n', 1, "belongs in the table [log]"),
    "a collector's key outside its table": ('\n\naddress = "tcp://a:1"\n', 3, "belongs in the table [[collectors]]"),
    "a source's key outside its table": ("max_power = 3\n", 1, "[sources.rapl]"),
    "a misspelt key outside its table": ('intervall = "10 s"\n', 1, "did you mean 'interval', in the table [agent]?"),
    "a key outside any table": ("zzz = 1\n", 1, "below the line of its table: agent, log, collectors"),
    "a table that is a number": ("[log]\n[log.level]\nx = 1\n", 2, "none of debug, info"),
    "a number without a unit": ("[agent]\n# every\ninterval = 10\n", 3, "write '10 s'"),
    "a unit of something else": ('[agent]\ninterval = "10 W"\n', 2, "units ms, s, min, h, d"),
    "no number": ('[agent]\nframe = "soon"\n', 2, "'soon' is no number"),
    "nothing": ('[agent]\ninterval = "0 s"\n', 2, "less than 0.1 s"),
    "less than nothing": ('[agent]\ninterval = "-5 s"\n', 2, "is no number"),
    "a day between readings": ('[agent]\ninterval = "1 d"\n', 2, "more than 15 min"),
    "a frame of a day": ('[agent]\nframe = "1 d"\n', 2, "more than 1 h"),
    "a duration beyond all": (f'[agent]\ninterval = "{"9" * 400} h"\n', 2, "too large"),
    "more rows than a message has": ('[agent]\ninterval = "0.1 s"\nframe = "10 min"\n', 3, "write '60 s' or less"),
    "a spool smaller than its frames": ('[agent]\ninterval = "1 s"\nframe = "5 min"\nspool = "1 MiB"\n', 4, "1.2 MiB"),
    "a memory smaller than its frames": (
        '[agent]\ninterval = "1 s"\nframe = "5 min"\nspool_memory = "1 MiB"\n', 4, "a shorter frame"),
    "more memory than a thin client has": ('[agent]\nspool_memory = "64 GiB"\n', 2, "more than 1 GiB"),
    "a class with a space": ('[agent]\nclass = "thin client"\n', 2, "write small letters"),
    "a model over two lines": ('[agent]\nmodel = "a\\nb"\n', 2, "a character that nobody sees"),
    "a path with a zero": ('[agent]\nstate = "a\\u0000"\n', 2, "a character that nobody sees"),
    "somebody's home": ('[agent]\nsecret_key = "~/agent.key"\n', 2, "write the whole path"),
    "a short frame": ('[agent]\ninterval = "1 min"\nframe = "10 s"\n', 3, "shorter than the interval"),
    "a gap in every interval": ('[agent]\nmax_gap = "10 s"\n', 2, "every interval of 10 s would be a gap"),
    "too small a spool": ('[agent]\nspool = "1 KiB"\n', 2, "less than 64 KiB"),
    "an empty path": ('[agent]\nstate = ""\n', 2, "write a path"),
    "a path that is a number": ("[agent]\nstate = 1\n", 2, "in quotes"),
    "a level": ('[log]\nlevel = "loud"\n', 2, "none of debug, info, warning, error"),
    "no address": ('[[collectors]]\nserver_key = "k"\n', 1, "address is missing"),
    "no key": (COLLECTOR + '\n[[collectors]]\naddress = "tcp://b:1"\n', 5, "server_key is missing"),
    "the second collector": (COLLECTOR + '[[collectors]]\nserver_key = "k"\naddress = "b:1"\n', 6, "write 'tcp://"),
    "a port that can't be": (COLLECTOR.replace(":1", ":99999"), 2, "'99999' is no port: write a number from 1"),
    "port 0": (COLLECTOR.replace(":1", ":0"), 2, "'0' is no port"),
    "any port": (COLLECTOR.replace(":1", ":*"), 2, "'*' is no port"),
    "an address that can't be": (COLLECTOR.replace("//a", "//300.1.1.1"), 2, "is no name or IP address"),
    "no host": (COLLECTOR.replace("//a", "//"), 2, "'' is no name or IP address"),
    "a broken IPv6 address": (COLLECTOR.replace("//a", "//[fe80:::1]"), 2, "is no name or IP address"),
    "an IPv6 address without brackets": (COLLECTOR.replace("//a", "//fe80::1"), 2, "is no address: write 'tcp://"),
    "every address": (COLLECTOR.replace("//a", "//0.0.0.0"), 2, "and no one's"),
    "a path behind the port": (COLLECTOR.replace(":1", ":1/x"), 2, "is no port"),
    "a key in the place of its file": (
        COLLECTOR.replace('"k"', '"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"'), 3, "write it into a file"),
    "an unknown key of a collector": (COLLECTOR + "serverkey = 1\n", 4, "did you mean 'server_key'?"),
    "one bracket": ('[collectors]\naddress = "tcp://a:1"\n', 1, "in two brackets"),
    "a collector that is a text": ('collectors = ["tcp://a:1"]\n', 1, "write a table [[collectors]]"),
    "a source": ("[sources.rappl]\nenabled = true\n", 1, "did you mean 'rapl'?"),
    "a source's key": ("[sources.rapl]\nenabled = true\nmax_pwoer = 1\n", 3, "did you mean 'max_power'?"),
    "a source's unit": ('[sources.rapl]\nmax_power = "3 s"\n', 2, "units mW, W, kW"),
    "a source's kind of value": ("[sources.load]\nenabled = 1\n", 2, "write true"),
    "a dotted key": ('[agent]\nstate = "s"\n[sources]\nload.enabled = "yes"\n', 4, "write true"),
    "a quoted key": ('[agent]\n"frame" = 3\n', 2, "write '10 s'"),
    "an inline table": ("\nsources = { load = { enable = true } }\n", 2, "did you mean 'enabled'?"),
    "a toaster": ('[sources.fake]\nclass = "toaster"\n', 2, "none of host, desktop, laptop, thin_client, monitor"),
    "no meter": ('[sources.fake]\nmeter = "dial"\n', 2, "none of counter, gauge"),
    "idle above peak": ('[sources.fake]\nidle = "90 W"\npeak = "50 W"\n', 2, "write an idle that is at most peak"),
    "peak below the idle of its class": ('[sources.fake]\nclass = "host"\npeak = "5 W"\n', 3, "no load draws 180 W"),
    "CPUs below none": ("[sources.fake]\ncpus = -1\n", 2, "write a number from 0 to 4096"),
    "a third side": ("[sources.fake]\nside = 2\n", 2, "write a number from 0 to 1"),
    "no pools": ('[sources.fake]\npools = " , "\n', 2, "names no pool"),
    "a broken expression": ('[sources.hwmon]\nexclude = "("\n', 2, "is no regular expression"),
    "no power": ('[sources.battery]\nmax_power = "0 W"\n', 2, "write more than 0"),
    "no age": ('[sources.textfile]\nmax_age = "0 s"\n', 2, "write more than 0"),
    "a folder from nowhere": ('[sources.textfile]\nfolder = "here"\n', 2, "that starts with /"),
    "sources that are none": ("sources = 3\n", 1, "write it as a table: [sources]"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_told_with_file_line_key_and_remedy(mistake: str) -> None:
    text, line, says = WRONG[mistake]
    with pytest.raises(ConfigError) as found:
        config.parse(text, HERE)
    assert says in str(found.value)
    assert len(found.value.problems) == 1
    assert str(found.value).startswith(f"{HERE}:{line}: ")


def test_all_mistakes_are_told_at_once_by_their_lines() -> None:
    texts = [
        text for name, (text, _, _) in WRONG.items() if name in ("a toaster", "a level", "a number without a unit")
    ]
    with pytest.raises(ConfigError) as found:
        config.parse('zzz = 1\n[agent]\nstate = ""\nframe = 1\n' + "".join(texts[1:]) + COLLECTOR, HERE)
    lines = [int(problem.split(":")[1]) for problem in found.value.problems]
    assert lines == [1, 3, 4, 6, 8]
    assert str(found.value).splitlines() == list(found.value.problems)


JUNK = {
    "": "it has 0 characters instead of 40",
    "KEY": "it has 35 characters instead of 40",
    "KEY12345\nKEY12345": "it has 81 characters instead of 40",
    "KEY1234;": "';' is none of the characters of Z85",
    "KEY1234é": "'é' is none of the characters of Z85",
    "#" * 40: "its characters stand for no 32 bytes",
}


def test_the_checker_looks_at_the_key_files_and_says_how_to_make_one(tmp_path: Path) -> None:
    second = COLLECTOR.replace('"k"', '"l"')
    file = write(tmp_path, {"agent.toml": f"[agent]\n{COLLECTOR}\n{second}"}) / "agent.toml"

    def says() -> str:
        with pytest.raises(ConfigError) as found:
            config.check(file)
        return str(found.value)

    own, first, second = says().splitlines()
    made = f"{tmp_path}/agent.key is not there; make a pair of keys with: thinwatt-agent keygen {tmp_path}/agent.key"
    assert own == f"{file}:1: agent.secret_key: by default 'agent.key': {made}"
    assert first.startswith(f"{file}:4: collectors.server_key: {tmp_path}/k is not there; ")
    assert "thinwatt-collector keygen" in first
    assert second.startswith(f"{file}:8: collectors.server_key: {tmp_path}/l is not there; ")
    keys.generate(tmp_path / "agent.key")
    keys.generate(tmp_path / "collector.key")
    shutil.copy(tmp_path / "collector.key.pub", tmp_path / "k")
    assert says().startswith(f"{file}:8: collectors.server_key: ")
    good = (tmp_path / "k").read_text().strip()
    for junk, why in JUNK.items():
        (tmp_path / "l").write_text(junk.replace("KEY", good[:35]))
        assert f"{tmp_path}/l holds no key, {why}" in says()
    (tmp_path / "l").unlink()
    (tmp_path / "l").mkdir()
    assert "l is a folder" in says()
    (tmp_path / "l").rmdir()
    shutil.copy(tmp_path / "agent.key.pub", tmp_path / "l")
    assert "l holds this agent's own key: copy the collector's" in says()
    shutil.copy(tmp_path / "agent.key", tmp_path / "l")
    assert "l holds this agent's own secret key: copy the collector's" in says()
    shutil.copy(tmp_path / "collector.key", tmp_path / "l")
    shutil.copy(tmp_path / "collector.key.pub", tmp_path / "l.pub")
    assert "l holds a secret key, which no other machine should have: copy the collector's" in says()
    shutil.copy(tmp_path / "k", tmp_path / "l")
    assert len(config.check(file).collectors) == 2
    (tmp_path / "agent.key").chmod(0o644)
    assert "chmod 600" in says()
    assert len(config.load(file).collectors) == 2, "what runs on another machine may be read without its keys"
    file.write_text(f'[agent]\nsecret_key = "agent.key.pub"\n{COLLECTOR}')
    assert f"by its name the public half: the secret one is {tmp_path}/agent.key" in says()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The example with everything in place that it names; returns the configuration."""
    for name in ("agent", "collector"):
        keys.generate(tmp_path / f"{name}.key")
    shutil.copy(tmp_path / "collector.key.pub", tmp_path / "collector.pub")
    text = config.example().replace('"/var/lib/thinwatt-agent"', '"state"')
    return write(tmp_path, {"agent.toml": text}) / "agent.toml"


@pytest.mark.parametrize(
    "key, value, says",
    [
        ("root", "none", "is no folder"),
        ("root", "agent.key", "is no folder"),
        ("root", ".", "holds neither sys/ nor proc/"),
        ("secret_key", "none", "none is not there; make a pair of keys with: thinwatt-agent keygen"),
    ],
)
def test_the_checker_looks_at_this_machine(site: Path, key: str, value: str, says: str) -> None:
    assert config.check(site).root == Path("/")
    text = site.read_text()
    site.write_text(re.sub(rf"(?m)^{key} = .*$", f'{key} = "{value}"', text))
    with pytest.raises(ConfigError) as found:
        config.check(site)
    assert says in str(found.value)
    assert_told(found.value.problems, site.read_text(), site)
    config.load(site)


@pytest.mark.parametrize("state", ["agent.key", "agent.key/below"])
def test_a_state_that_can_be_no_folder_is_told_to_whoever_asks_closely(site: Path, state: str) -> None:
    text = site.read_text()
    site.write_text(text.replace('"state"', f'"{state}"'))
    config.check(site)
    with pytest.raises(ConfigError, match=r"agent\.key is no folder"):
        config.check(site, closely=True)
    site.write_text(text.replace('"state"', '"/proc/thinwatt"'))  # no place on a disk is no mistake
    config.check(site, closely=True)


def test_whoever_has_nobody_to_send_to_is_told(site: Path) -> None:
    site.write_text("[agent]\n")
    with pytest.raises(ConfigError, match=r"agent.toml:1: collectors: there is none.*write a table \[\[collectors\]\]"):
        config.check(site)


def test_run_refuses_what_the_checker_refuses_of_all_its_files(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    second = site.with_name("second.toml")
    site.write_text(site.read_text().replace('root = "/"', 'root = "none"').replace('"10 s"', '"10"'))
    second.write_text(COLLECTOR)
    assert main(["config", str(site)]) == 2
    first = capsys.readouterr().err
    assert main(["config", str(second)]) == 2
    both = first + capsys.readouterr().err
    assert len(both.splitlines()) == 3
    assert main(["run", "--config", str(site), "--config", str(second)]) == 2
    assert capsys.readouterr().err == both


@pytest.mark.parametrize("command", ["once", "sources"])
def test_a_machine_that_is_not_there_is_not_read(site: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--root", "/none"]) == 2
    assert capsys.readouterr().err.startswith("thinwatt-agent: --root: /none is no folder")
    site.write_text('[agent]\nroot = "none"\n')
    assert main([command, "--config", str(site)]) == 2
    assert "agent.root" in capsys.readouterr().err


def test_the_command_that_checks_a_configuration_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, {"agent.toml": COLLECTOR}) / "agent.toml"
    assert main(["config", str(file)]) != 0
    keys.generate(tmp_path / "agent.key")
    assert main(["config", str(file)]) != 0
    assert "server_key" in capsys.readouterr().err
    keys.generate(tmp_path / "collector.key")
    shutil.copy(tmp_path / "collector.key.pub", tmp_path / "k")
    assert main(["config", str(file)]) == 0


def test_a_file_that_is_not_there_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="config --example"):
        config.load(tmp_path / "agent.toml")
    with pytest.raises(ConfigError, match="can't be read: Is a directory"):
        config.load(tmp_path)


def test_what_an_editor_makes_of_the_file_is_read_or_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_bytes('\ufeff[agent]\r\nmodel = "é"\r\n'.encode())
    assert config.load(file).model == "é"
    file.write_bytes('[agent]\nmodel = "é"\n'.encode("cp1252"))
    with pytest.raises(ConfigError, match=r"agent\.toml:2: can't be read: .* save the file as UTF-8"):
        config.load(file)


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


@given(st.data())
def test_one_value_changed_to_anything_is_good_or_a_mistake_with_file_line_and_key(
    data: st.DataObject,
) -> None:
    text = config.example()
    text = with_value(text, data.draw(st.sampled_from(lines_of_keys(text))), data.draw(values))
    try:
        config.parse(text, HERE)
    except ConfigError as error:
        assert_told(error.problems, text, HERE)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_one_value_changed_to_anything_is_good_or_a_mistake_on_this_machine(site: Path, data: st.DataObject) -> None:
    text = site.read_text()
    text = with_value(text, data.draw(st.sampled_from(lines_of_keys(text))), data.draw(values))
    changed = site.with_name("changed.toml")
    changed.write_text(text, encoding="utf-8")
    try:
        config.check(changed, closely=True)
    except ConfigError as error:
        assert_told(error.problems, text, changed)
    assert not site.with_name("state").exists()


@given(disturbed(config.example()))
def test_lines_gone_doubled_cut_or_moved_are_good_or_told_with_a_line(text: str) -> None:
    try:
        config.parse(text, HERE)
    except ConfigError as error:
        lines = [re.match(rf"{HERE}:(\d+): .", problem) for problem in error.problems]
        assert all(found and 1 <= int(found[1]) <= text.count("\n") + 1 for found in lines), error  # noqa: PT017 - or good


def test_each_of_several_keys_outside_their_tables_is_shown_its_place() -> None:
    with pytest.raises(ConfigError) as found:
        config.parse('level = "info"\ninterval = "x"\n', HERE)
    first, second = found.value.problems
    assert "level: this key belongs in the table [log]" in first
    assert "interval: this key belongs in the table [agent]" in second


def test_reading_a_configuration_loads_no_source_that_it_does_not_name(tmp_path: Path) -> None:
    """The made-up machine brings OpenSSL along: a quarter of an agent's memory."""
    file = write(tmp_path, {"agent.toml": COLLECTOR}) / "agent.toml"
    look = "import sys; from thinwatt_agent import config; from pathlib import Path; config.load(Path(sys.argv[1]));"
    look += "print([m for m in sys.modules if m in ('hashlib', 'difflib') or m.startswith('thinwatt_agent.sources.')])"
    done = subprocess.run([sys.executable, "-c", look, file], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
