from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.agent.recording import at, write, zone
from thinwatt_agent.loop import Sampler, SamplerOptions
from thinwatt_agent.sources import Denied, Energy, Read, rapl

MICROWATTS = 1_000_000


def probed(root: Path, **options: Any) -> Read:
    read = rapl.probe(root, options)
    assert read is not None
    return read


def specs(root: Path, **options: Any) -> dict[str, Energy]:
    return {s.part: s for s in probed(root, **options).specs if isinstance(s, Energy)}


def believed(root: Path, name: str = "package-0", **constraints: int) -> float:
    place = "sys/class/powercap/intel-rapl:0"
    write(root, zone(name, 5) | {f"{place}/{k}": watts * MICROWATTS for k, watts in constraints.items()})
    return specs(root)[name].max_power


def test_no_zone_is_absence(tmp_path: Path) -> None:
    assert rapl.probe(tmp_path, {}) is None
    write(tmp_path, {"sys/class/powercap/dtpm/name": "dtpm", "sys/class/powercap/dtpm:0/name": "soc"})
    assert rapl.probe(tmp_path, {}) is None


def test_a_zone_is_read_once_whatever_path_leads_to_it(tmp_path: Path) -> None:
    device = "sys/devices/virtual/powercap/intel-rapl"
    flat = {k.replace("sys/class/powercap", device): v for k, v in zone("package-0", 7).items()}
    nested = zone("dram", 8, id_="intel-rapl:0/intel-rapl:0:0")
    write(tmp_path, flat | {k.replace("sys/class/powercap", device): v for k, v in nested.items()})
    links = tmp_path / "sys/class/powercap"
    links.mkdir(parents=True)
    for name, target in {
        "intel-rapl": "intel-rapl",
        "intel-rapl:0": "intel-rapl/intel-rapl:0",
        "intel-rapl:0:0": "intel-rapl/intel-rapl:0/intel-rapl:0:0",
    }.items():
        (links / name).symlink_to(f"../../devices/virtual/powercap/{target}")
    (tmp_path / device / "intel-rapl:0/subsystem").symlink_to("../../../../../class/powercap")
    (tmp_path / device / "intel-rapl:0/intel-rapl:0:0/device").symlink_to("..")
    read = probed(tmp_path)
    assert [s.part for s in read.specs] == ["package-0", "dram"]
    assert read.values(at(0)) == [7, 8]


def test_a_zone_without_a_range_never_wraps(tmp_path: Path) -> None:
    write(tmp_path, zone("package-0", 7, range_=None) | zone("package-1", 8, range_="?", id_="intel-rapl:1"))
    assert [s.range for s in specs(tmp_path).values()] == [None, None]


def test_each_zone_has_its_own_range(tmp_path: Path) -> None:
    write(tmp_path, zone("package-0", 7) | zone("dram", 8, 65_712_999_613, "intel-rapl:0:0"))
    assert [s.range for s in specs(tmp_path).values()] == [262_143_328_850, 65_712_999_613]


@pytest.mark.parametrize("range_,known", [(262_143_328_850, True), (65_532_610_987, True), (26_214_332, False)])
def test_of_a_reading_beyond_its_range_the_reading_is_wrong_where_registers_have_such_a_range(
    range_: int, known: bool, tmp_path: Path
) -> None:
    write(tmp_path, zone("package-0", 999_999_999_999_999, range_))
    assert specs(tmp_path)["package-0"].range == (range_ if known else None)


def test_readings_that_stay_beyond_the_range_cover_nothing(tmp_path: Path) -> None:
    write(tmp_path, zone("package-0", 999_999_999_999_999))
    sampler = Sampler(tmp_path, SamplerOptions(sources={"load": {"enabled": False}}))
    for i in range(29):
        sampler.sample(at(100 + 10 * i))
    (meter,) = sampler.sources[[s.name for s in sampler.sources].index("rapl")].energy
    assert (meter.values(), sampler.totals.covered) == ((0.0, 0.0), 0)
    assert [s.outcomes["failed"] for s in sampler.sources if s.name == "rapl"] == [29]


def test_burst_and_limits_bound_what_is_believed(tmp_path: Path) -> None:
    laptop = believed(
        tmp_path / "laptop",
        constraint_0_max_power_uw=15,
        constraint_0_power_limit_uw=15,
        constraint_1_power_limit_uw=44,
    )
    assert 44 < laptop < 200, "a burst is no torn read, and a restart 2 kJ before the end of the range is no wrap"
    server = believed(
        tmp_path / "server",
        constraint_0_max_power_uw=350,
        constraint_1_power_limit_uw=420,
        constraint_2_power_limit_uw=600,
    )
    assert server == 750.0
    assert believed(tmp_path / "none") == 1000.0
    assert believed(tmp_path / "zero", constraint_0_max_power_uw=0, constraint_1_power_limit_uw=0) == 1000.0
    assert believed(tmp_path / "unlimited", constraint_0_power_limit_uw=4095, constraint_0_max_power_uw=125) == 275.0
    assert believed(tmp_path / "memory", "dram", constraint_0_max_power_uw=40) == 60.0


def test_a_fall_is_believed_to_be_a_wrap_up_to_what_is_stated(tmp_path: Path) -> None:
    place = "sys/class/powercap/intel-rapl:0"
    write(tmp_path, zone("package-0", 5) | {f"{place}/constraint_0_max_power_uw": 95_000_000})
    spec = specs(tmp_path)["package-0"]
    assert (spec.max_power, spec.wrap_power) == (245.0, 118.75)
    write(tmp_path, zone("package-1", 5, id_="intel-rapl:1"))
    assert (specs(tmp_path)["package-1"].max_power, specs(tmp_path)["package-1"].wrap_power) == (1000.0, 500.0)


def test_the_configuration_has_the_last_word_on_power(tmp_path: Path) -> None:
    write(tmp_path, zone("package-0", 5) | zone("dram", 5, id_="intel-rapl:0:0"))
    assert [s.max_power for s in specs(tmp_path, max_power=90.0).values()] == [90.0, 90.0]


def summed(root: Path) -> list[str]:
    """The parts that the schema of the first row counts in."""
    others = {name: {"enabled": False} for name in ("battery", "hwmon", "load", "sessions", "textfile")}
    sampler = Sampler(root, SamplerOptions(sources=others))
    sampler.sample(at(0))
    return [c.part for c in sampler.schema.groups[0].columns if c.quantity == "energy" and c.total]


def test_a_core_is_inside_its_package_and_memory_beside_it(tmp_path: Path) -> None:
    inner = zone("core", 1, id_="intel-rapl:0:0") | zone("uncore", 2, id_="intel-rapl:0:1")
    write(tmp_path, zone("package-0", 5) | inner | zone("dram", 3, id_="intel-rapl:0:2"))
    assert summed(tmp_path) == ["package-0", "dram"]


def test_psys_holds_all_others_unless_it_is_not_wired_up(tmp_path: Path) -> None:
    write(tmp_path, zone("package-0", 5) | zone("dram", 3, id_="intel-rapl:0:0") | zone("psys", 9, id_="intel-rapl:1"))
    assert summed(tmp_path) == ["psys"]
    write(tmp_path, zone("psys", 0, id_="intel-rapl:1"))
    assert summed(tmp_path) == ["package-0", "dram"]


def test_what_cannot_be_read_at_the_start_gives_way_to_what_can(tmp_path: Path) -> None:
    packages = zone("package-0", 5) | zone("dram", 3, id_="intel-rapl:0:0")
    write(tmp_path, packages | zone("psys", "", id_="intel-rapl:1"))
    assert summed(tmp_path) == ["package-0", "dram"]


def test_an_unreadable_msr_zone_gives_way_to_its_mmio_twin(tmp_path: Path) -> None:
    write(tmp_path, zone("package-0", "") | zone("package-0", 5, id_="intel-rapl-mmio:0"))
    assert summed(tmp_path) == ["package-0-mmio"]
    write(tmp_path, zone("package-0", "", id_="intel-rapl-mmio:0"))
    assert summed(tmp_path) == ["package-0"]


def test_an_mmio_zone_counts_only_where_no_msr_zone_says_the_same(tmp_path: Path) -> None:
    write(tmp_path, zone("package-0", 5, id_="intel-rapl-mmio:0"))
    assert summed(tmp_path) == ["package-0-mmio"]
    write(tmp_path, zone("package-0", 900, id_="intel-rapl:0"))
    assert summed(tmp_path) == ["package-0"]
    assert list(specs(tmp_path)) == ["package-0", "package-0-mmio"]


@pytest.mark.parametrize(
    "names,values,counted",
    [
        (("package-0-die-0", "package-0-die-1"), (68_000_000_000, 68_000_900_000), 1),
        (("package-0", "package-0"), (68_000_000_000, 68_000_900_000), 1),
        (("package-0-die-0", "package-0-die-1"), (68_000_000_000, 67_000_000_000), 2),
        (("package-0-die-0", "package-0-die-1"), (480_000_000, 500_000_000), 2),
        (("package-0", "package-1"), (68_000_000_000, 68_000_000_000), 2),
        (("package-0-die-0", "package-1-die-0"), (68_000_000_000, 68_000_000_000), 2),
        (("package-0-die-0", "package-0-die-1"), (68_000_000_000, None), 2),
    ],
)
def test_mirrored_dies_are_one_and_sockets_alike_are_two(
    names: tuple[str, str], values: tuple[int, int | None], counted: int, tmp_path: Path
) -> None:
    for i, (name, value) in enumerate(zip(names, values, strict=True)):
        write(tmp_path, zone(name, value, id_=f"intel-rapl:{i}"))
    assert len(summed(tmp_path)) == counted
    assert len(specs(tmp_path)) == 2, "each has a part of its own"


def test_parts_of_several_sockets_carry_their_package(tmp_path: Path) -> None:
    for s in range(2):
        inner = zone("dram", 3, id_=f"intel-rapl:{s}:0") | zone("core", 3, id_=f"intel-rapl:{s}:1")
        write(tmp_path, zone(f"package-{s}", 5, id_=f"intel-rapl:{s}") | inner)
    packages = ["package-0", "package-0/dram", "package-0/core", "package-1", "package-1/dram", "package-1/core"]
    assert list(specs(tmp_path)) == packages


@pytest.mark.parametrize("content", [b"", b"\n", b"12a\n", b"-5\n", b"0x10\n", b"1 2\n", b"\xff\xfe", b"9" * 60])
def test_what_is_no_number_is_a_failed_reading(content: bytes, tmp_path: Path) -> None:
    write(tmp_path, zone("package-0", content) | zone("package-1", 7, id_="intel-rapl:1"))
    first, second = probed(tmp_path).values(at(0))
    assert first is None or first < 0
    assert second == 7


def test_a_zone_that_only_root_may_read_is_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, zone("package-0", 7))

    def refuse(self: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("thinwatt_agent.files.File.read", refuse)
    with pytest.raises(Denied, match="CVE-2020-8694") as denied:
        rapl.probe(tmp_path, {})
    assert "AmbientCapabilities=CAP_DAC_READ_SEARCH" in denied.value.remedy
