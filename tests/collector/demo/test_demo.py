"""The demonstration: a campus and this machine, and nothing left running."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from thinwatt_collector.config import load
from thinwatt_collector.demo import machines
from thinwatt_collector.demo.__main__ import Shown, make_campus, shown, told


def until(what: Callable[[], bool], seconds: float) -> None:
    """Wait until it is so; fail when it isn't within ``seconds``."""
    limit = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < limit, f"not within {seconds:.0f} s"
        time.sleep(0.5)


def test_this_machine_says_itself_what_it_is(tmp_path: Path) -> None:
    """A virtual machine that was called a host had a host's 658 W assumed for it."""
    collector, agent = machines.write(tmp_path, 1, 2)
    written = tomllib.loads(agent.read_text())
    assert not {"class", "model"} & written["agent"].keys()
    assert "sources" not in written
    assert load(collector).listen == "127.0.0.1:2"


def test_real_and_simulated_machines_are_told_apart_and_never_added(tmp_path: Path) -> None:
    (tmp_path / "metrics").write_text(
        'thinwatt_power_watts{class="desktop",simulated="false"} 40\n'
        'thinwatt_power_watts{class="desktop",simulated="true"} 5000\n'
        'thinwatt_power_watts{class="host",simulated="true"} 900\n'
        'thinwatt_energy_joules_total{basis="measured",class="host",simulated="true"} 7.2e6\n'
        'thinwatt_devices{class="host",simulated="true"} 6\n'
    )
    real, simulated = shown((tmp_path / "metrics").as_uri())
    assert real == Shown(watts=40.0)
    assert simulated == Shown(devices=6, watts=5900.0, joules=7.2e6)
    assert told(simulated) == "6 devices with an agent, 5,900.0 W now, 2.0 kWh"


def test_what_nobody_measured_is_unknown_and_no_zero(tmp_path: Path) -> None:
    """A virtual machine has no power of its own; the console said that it drew 0.0 W."""
    (tmp_path / "metrics").write_text('thinwatt_devices{class="virtual_machine",simulated="false"} 1\n')
    real, simulated = shown((tmp_path / "metrics").as_uri())
    assert told(real) == "power unknown, energy unknown"
    assert told(simulated) == "the first rows come within a minute"


def test_the_state_of_an_older_demonstration_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "collector").mkdir()
    (tmp_path / "collector" / "ledger.duckdb").write_text("mine")
    with pytest.raises(SystemExit, match="make clean"):
        make_campus(tmp_path, 1)
    assert (tmp_path / "collector" / "ledger.duckdb").read_text() == "mine"


def started(state: Path, said: Path) -> subprocess.Popen[bytes]:
    call = [sys.executable, "-m", "thinwatt_collector.demo", "--state", str(state), "--months", "1"]
    with said.open("w") as file:
        return subprocess.Popen(call, stdout=file, stderr=subprocess.STDOUT)


def _says(said: Path, words: str) -> bool:
    return words in said.read_text()


def _all_are_heard(url: str, token: str) -> bool:
    return [group.devices for group in shown(url, token)] == [1, 936]


def _lines(url: str, token: str = "") -> list[str]:
    request = urllib.request.Request(url, headers={"X-Thinwatt-Token": token} if token else {})
    with urllib.request.urlopen(request, timeout=5) as answer:
        text: str = answer.read().decode()
    return text.splitlines()


def _endpoints(lines: list[str]) -> set[str]:
    """Return the made-up endpoints that stand there one by one: all but hosts."""
    found = {name for line in lines for name in re.findall(r'(?<!_)device="([^"]*)"', line)}
    return {name for name in found if name.startswith("sim-") and "/host" not in name}


def _unmarked(url: str, token: str) -> set[str]:
    """Return the devices and agents of which something is shown as if they were real."""
    lines = _lines(url, token)
    ours = [line for line in lines if re.match(r"thinwatt_(device|source|agent)_", line)]
    assert ours
    return {re.findall(r'(?:device|agent)="([^"]*)"', line)[0] for line in ours if 'simulated="true"' not in line}


def _more_than(url: str, token: str, joules: float) -> bool:
    return (shown(url, token)[1].joules or 0.0) > joules


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_campus_that_goes_on_over_two_starts_and_nothing_left_running(tmp_path: Path) -> None:
    state, before = tmp_path / "state", 0.0
    for turn in ("first", "second"):
        said, began = tmp_path / turn, time.monotonic()
        demo, children = started(state, said), []
        try:
            until(partial(_says, said, "/metrics\n"), 120)
            print(f"{turn} start: {time.monotonic() - began:.1f} s")
            url = re.findall(r"http://\S+/metrics", said.read_text())[0]
            token = (state / "keys" / "technical.token").read_text().strip()
            until(partial(_all_are_heard, url, token), 90)
            assert _unmarked(url, token) == {machines.THIS_MACHINE}
            assert len(_endpoints(_lines(url, token))) > 900
            assert not _endpoints(_lines(url)), "everybody sees endpoints one by one"
            first = shown(url, token)[1].joules or 0.0
            assert first >= before
            until(partial(_more_than, url, token, first), 90)
            before = shown(url, token)[1].joules or 0.0
            children = psutil.Process(demo.pid).children(recursive=True)
            assert len(children) >= 3
        finally:
            demo.send_signal(signal.SIGINT)
            code = demo.wait(60)
        assert code == 0, said.read_text()
        assert not [p for p in children if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        assert "Traceback" not in said.read_text()
        assert "WARNING" not in said.read_text()
        assert ("a made-up campus, 1 month " in said.read_text()) == (turn == "first")
