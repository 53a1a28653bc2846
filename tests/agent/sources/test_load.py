from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.agent.recording import at, write
from thinwatt_agent.sources import load

RECORDED = Path(__file__).parents[2] / "sources/load/two-cpus"


def values(root: Path) -> dict[str, float | None]:
    read = load.probe(root, {})
    assert read is not None
    return {s.key.strip(): v for s, v in zip(read.specs, read.values(at(0)), strict=True)}


def test_no_proc_is_absence(tmp_path: Path) -> None:
    assert load.probe(tmp_path, {}) is None


@pytest.mark.parametrize("name", ["stat", "meminfo", "diskstats", "net/dev", "loadavg", "pressure/cpu"])
@pytest.mark.parametrize("content", [None, b"", b"cpu\n", b"\xff\x00garbage 1 2 3\n" * 4])
def test_one_bad_file_costs_no_other(name: str, content: bytes | None, tmp_path: Path) -> None:
    shutil.copytree(RECORDED / "0", tmp_path, dirs_exist_ok=True)
    sound = values(tmp_path)
    write(tmp_path, {f"proc/{name}": content or b""})
    if content is None and name != "stat":
        (tmp_path / "proc" / name).unlink()
    found = values(tmp_path)
    mine = {
        "stat": {"cpu", "cpus", "covered", "cpu_capacity"},
        "meminfo": {"memory", "memory_size", "swap"},
        "diskstats": {"disk_read", "disk_written"},
        "net/dev": {"net_received", "net_sent"},
        "loadavg": {"run_queue"},
        "pressure/cpu": {"pressure_cpu_some"},
    }[name]
    assert {k: v for k, v in found.items() if k not in mine} == {k: v for k, v in sound.items() if k not in mine}
    if name not in ("diskstats", "net/dev"):
        assert all(found.get(k) is None for k in mine)


def test_only_interfaces_with_hardware_behind_them_count(tmp_path: Path) -> None:
    shutil.copytree(RECORDED / "0", tmp_path, dirs_exist_ok=True)
    lines = [
        "header",
        "header",
        *(f" {n}: {10**i} 0 0 0 0 0 0 0 1 0" for i, n in enumerate(["eth0", "br0", "odd", "lo"])),
    ]
    write(tmp_path, {"proc/net/dev": "\n".join(lines)})
    assert values(tmp_path)["net_received"] == 101.0
    for name, device in (("eth0", True), ("br0", False), ("odd", False), ("lo", False)):
        folder = tmp_path / "sys/class/net" / name
        (folder / "device" if device else folder).mkdir(parents=True)
    assert values(tmp_path)["net_received"] == 1.0


def test_the_kernel_of_this_machine_is_read_whole() -> None:
    found = values(Path("/"))
    assert [name for name, value in found.items() if value is None] == []


def test_without_proc_psutil_says_the_same_of_this_machine() -> None:
    ours = load.probe(Path("/"), {})
    theirs = load._portable()
    assert ours is not None
    one, other = ours.values(at(0)), theirs.values(at(0))
    by_name = {s.key.strip(): (a, b) for s, a, b in zip(theirs.specs, one, other, strict=False)}
    for name in ("cpus", "memory_size", "swap"):
        assert by_name[name][0] == by_name[name][1]
    busy, psutils = by_name["cpu"]
    assert busy is not None
    assert psutils is not None
    assert busy <= psutils * 1.01, "psutil's counts stolen time as busy"
