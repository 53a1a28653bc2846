"""What is denied is allowed by commands that work when they are pasted into a shell."""

from __future__ import annotations

import configparser
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.agent.recording import write
from tests.agent.test_show import by_nobody, open_path, rapl_machine
from thinwatt_agent import show
from thinwatt_agent.sources import _allow

__all__ = ["open_path"]

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")


def paste(command: str, folder: Path, sudo: str = 'exec "$@"') -> str:
    """Let a shell run a command as it stands, with a ``sudo`` of our own in front of the others."""
    (folder / "bin").mkdir(exist_ok=True)
    for name, text in (("sudo", sudo), ("systemctl", 'echo "systemctl $*"')):
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / "bin" / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    ran = subprocess.run(["bash", "-euc", command], check=True, capture_output=True, text=True, env=environment)
    return ran.stdout


def test_the_service_gets_a_capability_and_exists(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    sudo = f'case $1 in tee) cat > {tmp_path}/read.conf;; *) echo "$*";; esac'
    said = paste(_allow.TO_SERVICE, tmp_path, sudo).splitlines()
    assert said == [
        "mkdir -p /etc/systemd/system/thinwatt-agent.service.d",
        "systemctl daemon-reload",
        "systemctl restart thinwatt-agent",
    ]
    drop_in = configparser.ConfigParser()
    drop_in.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys have capitals
    drop_in.read(tmp_path / "read.conf")
    wanted = "CAP_DAC_READ_SEARCH"
    assert dict(drop_in["Service"]) == {"AmbientCapabilities": wanted, "CapabilityBoundingSet": wanted}
    assert (root / "deploy/thinwatt-agent.service").exists()
    for readme in ("README.md", "README.fr.md"):
        assert "deploy/thinwatt-agent.service" in (root / readme).read_text(encoding="utf-8")


@pytest.mark.root
@ROOT
def test_by_hand_is_a_command(tmp_path: Path) -> None:
    assert "CPU" in paste(_allow.by_hand(), tmp_path) or "load" in paste(_allow.by_hand(), tmp_path)


@pytest.mark.root
@ROOT
def test_sensors_for_root_only_are_denied_with_the_same_commands(open_path: Path) -> None:
    write(open_path, {"sys/class/hwmon/hwmon0/name": "power_meter", "sys/class/hwmon/hwmon0/power1_average": 1})
    (open_path / "sys/class/hwmon/hwmon0/power1_average").chmod(0o400)
    told = json.loads(by_nobody(lambda out: show.sources(open_path, None, True, out)))["hwmon"]
    assert (told["status"], told["remedy"]) == ("denied", _allow.TO_SERVICE)
    assert told["by_hand"].endswith(" once")


@pytest.mark.root
@ROOT
@pytest.mark.parametrize("closed", ["a.prom", "."])
def test_files_of_a_script_are_readable_after_the_command(open_path: Path, closed: str) -> None:
    machine = open_path / "it's a machine"
    machine.mkdir(mode=0o755)
    folder = write(machine, {"var/lib/thinwatt/textfile/a.prom": "plug_watts 1\n"}) / "var/lib/thinwatt/textfile"
    (folder / closed).chmod(0o700 if closed == "." else 0o600)
    told = json.loads(by_nobody(lambda out: show.sources(machine, None, True, out)))["textfile"]
    assert told["status"] == "denied"
    paste(told["remedy"], open_path)
    assert json.loads(by_nobody(lambda out: show.sources(machine, None, True, out)))["textfile"]["status"] == "works"


@pytest.mark.root
@ROOT
def test_energy_stays_closed(open_path: Path) -> None:
    machine = rapl_machine(open_path / "machine")
    told = json.loads(by_nobody(lambda out: show.sources(machine, None, True, out)))["rapl"]
    assert told["remedy"] == _allow.TO_SERVICE
