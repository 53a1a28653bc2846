"""The demonstration: from nothing to a rising kWh, and nothing left running."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from thinwatt_collector.demo import machines
from thinwatt_collector.demo.__main__ import energy


def until(what: Callable[[], bool], seconds: float) -> None:
    """Wait until it is so; fail when it isn't within ``seconds``."""
    limit = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < limit, f"not within {seconds:.0f} s"
        time.sleep(0.5)


def test_there_are_twenty_made_up_machines_of_different_names() -> None:
    assert len({m.name for m in machines.FLEET}) == 20
    assert machines.THIS_MACHINE not in {m.name for m in machines.FLEET}


def test_this_machine_says_itself_what_it_is_and_the_others_that_they_are_made_up(tmp_path: Path) -> None:
    """A virtual machine that was called a host had a host's 658 W assumed for it."""
    this, *others = (tomllib.loads(path.read_text()) for path in machines.write(tmp_path, 1, 2))
    assert not {"class", "model"} & this["agent"].keys()
    assert "sources" not in this
    assert all(machine["sources"]["fake"]["enabled"] for machine in others)
    assert {machine["agent"]["class"] for machine in others} == {"host", "thin_client", "desktop"}


@pytest.mark.slow
def test_from_nothing_to_rising_energy_and_nothing_left_running(tmp_path: Path) -> None:
    state = tmp_path / "state"
    call = [sys.executable, "-m", "thinwatt_collector.demo", "--state", str(state)]
    with (tmp_path / "said").open("w") as said:
        demo = subprocess.Popen(call, stdout=said, stderr=subprocess.STDOUT)
    children = []
    try:
        until(lambda: "/metrics\n" in (tmp_path / "said").read_text(), 60)
        url = re.findall(r"http://\S+/metrics", (tmp_path / "said").read_text())[0]
        until(lambda: energy(url)[3] == 21 and energy(url)[0] > 0, 90)
        first = energy(url)
        until(lambda: energy(url)[0] > first[0] and energy(url)[1] > first[1], 30)
        children = psutil.Process(demo.pid).children(recursive=True)
        assert len(children) >= 3
    finally:
        demo.send_signal(signal.SIGINT)
        code = demo.wait(60)
    assert code == 0, (tmp_path / "said").read_text()
    assert not [p for p in children if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    told = (tmp_path / "said").read_text()
    assert "Traceback" not in told
    assert "WARNING" not in told
    assert (state / "collector" / "ledger.duckdb").exists()
