"""The README's walk through an installation on one's own machines, typed as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
WAIT = 60.0


def blocks(page: Path) -> tuple[list[str], list[str]]:
    """Return the lines to type on the server and those to type on a machine."""
    found = re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    server, machine = (block for block in found if block.startswith("pip install"))
    return server.splitlines(), machine.splitlines()


def shell(line: str, folder: Path) -> str:
    path = f"{BIN}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", line], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def running(line: str, folder: Path) -> Iterator[None]:
    program, *arguments = line.split("#", maxsplit=1)[0].split()
    process = subprocess.Popen([str(BIN / program), *arguments], cwd=folder)
    try:
        yield
        assert process.poll() is None, f"{line} ended by itself"
    finally:
        process.terminate()
        process.wait(30)
    assert process.returncode == 0, f"{line} did not end cleanly"


def edit(path: Path, **values: str) -> None:
    """Set keys of a TOML file that `config --example` printed, as a person would in an editor."""
    text = path.read_text(encoding="utf-8")
    for key, value in values.items():
        text, count = re.subn(rf"^{key} = .*$", f'{key} = "{value}"', text, count=1, flags=re.MULTILINE)
        assert count == 1, f"{path.name} has no key {key}"
    path.write_text(text, encoding="utf-8")


def free_port() -> int:
    with zmq.Context() as context, context.socket(zmq.REP) as probe:
        return probe.bind_to_random_port("tcp://127.0.0.1")


def awaited(url: str, words: str) -> str:
    """Return the page at ``url`` as soon as ``words`` stand in it."""
    end = time.monotonic() + WAIT
    text = "no answer"
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                text = response.read().decode()
        except (urllib.error.URLError, OSError) as error:
            text = str(error)
        if words in text:
            return text
        time.sleep(0.2)
    shown = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    pytest.fail(f"{words} does not appear at {url}:\n{shown[:3000]}")


def test_the_walk_through_leads_to_energy_on_metrics(root: Path, tmp_path: Path) -> None:
    server, machine = tmp_path / "server", tmp_path / "machine"
    server.mkdir()
    machine.mkdir()
    on_server, on_machine = (
        [line for line in lines if not line.startswith(("pip", "scp"))] for lines in blocks(root / "README.md")
    )
    *prepare_server, run_collector = on_server
    *prepare_machine, check_agent, run_agent = on_machine

    link, web = free_port(), free_port()
    for line in prepare_server:
        shell(line, server)
    edit(server / "collector.toml", bind=f"tcp://127.0.0.1:{link}", listen=f"127.0.0.1:{web}", commit_every="1 s")
    for line in prepare_machine:
        shell(line, machine)
    (machine / "collector.pub").write_text((server / "collector.key.pub").read_text())
    (server / "agents.keys").write_text(f"one {(machine / 'agent.key.pub').read_text().strip()}\n")
    edit(machine / "agent.toml", address=f"tcp://127.0.0.1:{link}", **{"class": "host"})
    edit(machine / "agent.toml", state="state", interval="1 s", frame="2 s")  # so that a minute is seconds
    shell(check_agent, machine)

    with running(run_collector, server), running(run_agent, machine):
        text = awaited(f"http://127.0.0.1:{web}/metrics", 'thinwatt_energy_joules_total{class="')
    # Measured, modelled or assumed, by what there is to read here: the joules say which.
    labels = r'class="host",basis="(measured|modelled|assumed)",simulated="false"'
    pattern = rf"^thinwatt_energy_joules_total\{{{labels}\}} [0-9.e+]+$"
    assert re.search(pattern, text, re.MULTILINE)


def test_what_the_makefile_says_of_a_clean_clone(root: Path) -> None:
    """`make clean` takes the demo's folder, which holds all that a demo writes."""
    printed = subprocess.run(
        ["make", "-n", "-C", str(root), "clean"], check=True, capture_output=True, text=True
    ).stdout
    assert "demo-state" in printed
    assert ".venv" not in printed
