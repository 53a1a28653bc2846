from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

import pytest

from tests.agent.recording import write, zone
from thinwatt_agent import show
from thinwatt_agent import sources as registry
from thinwatt_agent.loop import SamplerOptions

NOBODY = 65534
SOURCES = Path(__file__).parents[1] / "sources"


def rapl_machine(folder: Path) -> Path:
    write(folder, zone("package-0", 1_234_567_890))
    (folder / "sys/class/powercap/intel-rapl:0/energy_uj").chmod(0o400)
    return folder


def shown(function: Callable[..., int], root: Path, options: SamplerOptions | None = None, **more: Any) -> Any:
    out = StringIO()
    assert function(root, options, True, out, **more) == 0
    return json.loads(out.getvalue())


def by_nobody(work: Callable[[TextIO], object]) -> str:
    """Let a user without rights write something, in a process of its own; return what it wrote."""
    names = registry.names()
    for name in names:
        registry.module(name)  # nobody may not be allowed into the folder that they are imported from
    read, write_ = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            registry.names = lambda: names  # nor to list it
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            with os.fdopen(write_, "w") as out:
                work(out)
        finally:
            os._exit(0)
    os.close(write_)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """A folder that everybody may enter."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    return tmp_path


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_what_only_root_may_read_is_denied_and_the_command_leaves_it_closed(open_path: Path) -> None:
    root = rapl_machine(open_path / "machine")
    told = json.loads(by_nobody(lambda out: show.sources(root, None, True, out)))["rapl"]
    assert told["status"] == "denied"
    assert "CVE-2020-8694" in told["why"]
    for command in (told["remedy"], told["by_hand"]):
        assert "dac_read_search" in command.lower()
        assert "chmod" not in command
    assert told["remedy"] in by_nobody(lambda out: show.sources(root, None, False, out))
    once = json.loads(by_nobody(lambda out: show.once(root, None, True, out, seconds=0)))
    assert once["sources"]["rapl"]["status"] == "denied"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_the_capability_of_the_command_is_enough(open_path: Path) -> None:
    root = rapl_machine(open_path / "machine")
    caps = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--bounding-set=-all,+dac_read_search"]
    who = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    code = "import sys, pathlib; from thinwatt_agent import show; show.sources(pathlib.Path(sys.argv[1]), None, True)"
    ran = subprocess.run(
        ["setpriv", *who, *caps, sys.executable, "-B", "-c", code, str(root)],
        check=True,
        capture_output=True,
        env={"PYTHONPATH": str(Path(show.__file__).parents[1]), "PATH": os.environ["PATH"]},
    )
    assert json.loads(ran.stdout)["rapl"]["status"] == "works"


def test_absent_sources_say_what_absence_means(tmp_path: Path) -> None:
    told = shown(show.sources, tmp_path)
    assert {name: t["status"] for name, t in told.items()} == {
        **dict.fromkeys(("battery", "hwmon", "load", "rapl", "sessions", "textfile"), "absent"),
        "fake": "off",
    }
    assert "modprobe" in told["rapl"]["why"]
    assert all(t["why"] and t["reads"] for t in told.values())


def test_sources_that_work_say_their_parts_and_those_that_do_not_say_why(tmp_path: Path) -> None:
    write(tmp_path, zone("package-0", 10**9) | zone("dram", "torn", id_="intel-rapl:0:0"))
    write(tmp_path, {"sys/class/hwmon/hwmon0/name": "ina226", "sys/class/hwmon/hwmon0/power1_input": ""})
    told = shown(show.sources, tmp_path, SamplerOptions(sources={"textfile": {"enabled": False}}))
    assert told["rapl"]["status"] == "works"
    assert told["rapl"]["parts"] == ["package-0", "dram"]
    assert (told["hwmon"]["status"], told["hwmon"]["why"]) == ("failed", "no good reading of ina226/power1")
    assert told["textfile"]["status"] == "off"


def test_once_reads_twice_and_tells_watts(tmp_path: Path) -> None:
    zone_file = write(tmp_path, zone("package-0", 10**9)) / "sys/class/powercap/intel-rapl:0/energy_uj"

    def sleep(_: float) -> None:
        zone_file.write_text("1000000042\n")

    told = shown(show.once, tmp_path, sleep=sleep)
    part = told["sources"]["rapl"]["parts"]["package-0"]
    assert part["joules"] == pytest.approx(42e-6)
    assert part["watts"] == pytest.approx(42e-6 / part["covered"])
    assert told["sources"]["battery"]["status"] == "absent"


def test_once_is_read_by_people_too(tmp_path: Path) -> None:
    write(tmp_path, zone("package-0", None))
    write(tmp_path, {"proc/stat": (SOURCES / "load/two-cpus/0/proc/stat").read_text()})
    out = StringIO()
    assert show.once(tmp_path, None, False, out, seconds=0) == 0
    text = out.getvalue()
    assert "rapl package-0" in text
    assert "no reading" in text
    assert "thinwatt-agent sources" in text


def test_once_of_this_machine_says_how_many_cpus_it_has() -> None:
    told = shown(show.once, Path("/"), seconds=0)
    assert told["readings"]["load"]["cpus"]["value"] == told["machine"]["cores"] > 0
