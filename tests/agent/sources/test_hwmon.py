from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest

from tests.agent.recording import at, write, zone
from thinwatt_agent import show
from thinwatt_agent.sources import Energy, Power, Read, hwmon


def chip(number: int, name: str, **files: object) -> dict[str, object]:
    place = f"sys/class/hwmon/hwmon{number}"
    return {f"{place}/name": name} | {f"{place}/{file}": content for file, content in files.items()}


def probed(root: Path, **options: object) -> Read:
    read = hwmon.probe(root, options)
    assert read is not None
    return read


def parts(root: Path, **options: object) -> dict[str, Energy | Power]:
    return {s.part: s for s in probed(root, **options).specs if isinstance(s, Energy | Power)}


def test_chips_that_report_no_power_are_absence(tmp_path: Path) -> None:
    assert hwmon.probe(tmp_path, {}) is None
    write(tmp_path, chip(0, "coretemp", temp1_input=45000, power1_cap=150_000_000, power1_average_interval=1000))
    assert hwmon.probe(tmp_path, {}) is None


def test_an_acpi_power_meter_is_the_whole_machine_and_all_others_lie_inside(tmp_path: Path) -> None:
    write(tmp_path, chip(0, "power_meter", power1_average=200_000_000) | chip(1, "amdgpu", power1_input=30_000_000))
    found = parts(tmp_path)
    assert [(s.scope, s.basis, s.total) for s in found.values()] == [
        ("node", "measured", True),
        ("component", "modelled", False),
    ]
    assert probed(tmp_path).values(at(0)) == [200.0, 30.0]


def test_a_whole_machine_at_0_w_is_a_meter_that_is_off_and_a_component_may_be_off(tmp_path: Path) -> None:
    write(tmp_path, chip(0, "power_meter", power1_average=0) | chip(1, "amdgpu", power1_input=0))
    assert probed(tmp_path).values(at(0)) == [None, 0.0]


def test_an_average_goes_before_a_momentary_reading_of_the_same_channel(tmp_path: Path) -> None:
    write(tmp_path, chip(0, "amdgpu", power1_input=50_000_000, power1_average=31_000_000))
    assert probed(tmp_path).values(at(0)) == [31.0]


def test_two_chips_of_one_name_are_told_apart_by_what_they_hang_on(tmp_path: Path) -> None:
    for number, address in ((2, "0000:03:00.0"), (10, "0000:83:00.0")):
        write(tmp_path, chip(number, "amdgpu", power1_input=1, power1_label="PPT"))
        device = tmp_path / "sys/devices" / address
        device.mkdir(parents=True)
        (tmp_path / f"sys/class/hwmon/hwmon{number}/device").symlink_to(device)
    assert list(parts(tmp_path)) == ["amdgpu/PPT (0000:03:00.0)", "amdgpu/PPT (0000:83:00.0)"]


def test_a_chip_keeps_its_key_when_numbers_change_at_a_reboot(tmp_path: Path) -> None:
    keys = []
    for boot, number in (("a", 1), ("b", 4)):
        root = write(tmp_path / boot, chip(number, "amdgpu", power1_input=1))
        device = root / "sys/devices/0000:03:00.0"
        device.mkdir(parents=True)
        (root / f"sys/class/hwmon/hwmon{number}/device").symlink_to(device)
        keys += [s.key for s in parts(root).values()]
    assert keys[0] == keys[1]


def test_a_register_of_energy_is_read_as_one(tmp_path: Path) -> None:
    write(tmp_path, chip(0, "amd_energy", energy1_input=123_456_789, energy1_label="Esocket0"))
    spec = parts(tmp_path)["amd_energy/Esocket0"]
    assert isinstance(spec, Energy)
    assert (spec.unit, spec.range) == (1e-6, None)
    assert probed(tmp_path).values(at(0)) == [123_456_789]


def test_a_battery_is_the_business_of_its_own_source(tmp_path: Path) -> None:
    place = "sys/class/hwmon/hwmon0/device"
    write(tmp_path, chip(0, "BAT0", power1_input=9) | {f"{place}/type": "Battery", f"{place}/status": "Full"})
    assert hwmon.probe(tmp_path, {}) is None


def test_chips_can_be_left_out_by_name(tmp_path: Path) -> None:
    write(tmp_path, chip(0, "ina226", power1_input=1) | chip(1, "amdgpu", power1_input=1))
    assert list(parts(tmp_path, exclude="^ina")) == ["amdgpu/power1"]
    with pytest.raises(ValueError, match=r"exclude: '\(' is no regular expression"):
        hwmon.probe(tmp_path, {"exclude": "("})


def test_a_driver_that_fails_fails_its_own_reading_only(tmp_path: Path) -> None:
    write(tmp_path, chip(0, "ina226", power1_input="") | chip(1, "amdgpu", power1_input=2_000_000))
    assert probed(tmp_path).values(at(0)) == [None, 2.0]


def left_out(root: Path) -> dict[str, str]:
    return {part: spec.role for part, spec in parts(root).items() if not spec.total}


APU = {"power1_input": 15_000_000, "power1_label": "PPT", "in1_input": 900, "in1_label": "vddnb"}
CARD = {"power1_average": 90_000_000, "power1_label": "PPT", "in0_input": 900, "in0_label": "vddgfx"}
ZEN = {
    **{f"power{n}_input": 1_000_000 * n for n in (1, 2, 3, 4)},
    **dict(
        zip(
            [f"power{n}_label" for n in (1, 2, 3, 4)],
            ["SVI2_P_Core", "SVI2_P_SoC", "RAPL_P_Package", "RAPL_P_Core"],
            strict=True,
        )
    ),
}


def test_what_tells_of_a_processor_repeats_its_registers_and_a_card_does_not(tmp_path: Path) -> None:
    chips = chip(0, "amdgpu", **APU) | chip(1, "zenpower", **ZEN) | chip(2, "fam15h_power", power1_input=30_000_000)
    write(tmp_path, chips | chip(3, "nvme", power1_input=2_000_000) | zone("package-0", 90_000_000_000))
    assert left_out(tmp_path).keys() == parts(tmp_path).keys() - {"nvme/power1"}
    assert set(left_out(tmp_path).values()) == {hwmon.REPEATS}
    assert not left_out(write(tmp_path / "card", chip(0, "amdgpu", **CARD) | zone("package-0", 90_000_000_000)))


@pytest.mark.parametrize("energy", [None, ""])
def test_where_no_register_can_be_read_a_processor_counts_once(energy: str | None, tmp_path: Path) -> None:
    write(tmp_path, chip(1, "zenpower", **ZEN) | zone("package-0", energy))
    assert left_out(tmp_path) == dict.fromkeys(
        ("zenpower/SVI2_P_Core", "zenpower/SVI2_P_SoC", "zenpower/RAPL_P_Core"), "inside zenpower/RAPL_P_Package"
    )
    write(tmp_path, chip(0, "amdgpu", **APU))
    assert set(left_out(tmp_path).values()) == {"inside amdgpu/PPT"}
    assert [part for part, spec in parts(tmp_path).items() if spec.total] == ["amdgpu/PPT"]


def test_amd_energy_is_a_door_to_those_registers_too(tmp_path: Path) -> None:
    write(tmp_path, chip(0, "amd_energy", energy1_input=5_000_000, energy1_label="Esocket0") | chip(1, "amdgpu", **APU))
    assert left_out(tmp_path)["amdgpu/PPT"] == hwmon.REPEATS


def test_a_mac_is_its_total_beside_which_nothing_counts(tmp_path: Path) -> None:
    labels = ("Total System Power", "AC Input Power", "3.8 V Rail Power", "Heatpipe Power")
    files = {f"power{n}_{what}": v for n, l in enumerate(labels, 1) for what, v in (("input", 9_000_000), ("label", l))}
    write(tmp_path, chip(0, "macsmc_hwmon", **files))
    inside = "inside macsmc_hwmon/Total System Power"
    assert left_out(tmp_path) == {
        "macsmc_hwmon/AC Input Power": hwmon.WITH_BATTERY,
        "macsmc_hwmon/3.8 V Rail Power": inside,
        "macsmc_hwmon/Heatpipe Power": inside,
    }


def test_sources_says_why_a_part_is_not_summed(tmp_path: Path) -> None:
    write(tmp_path, chip(0, "amdgpu", **APU) | zone("package-0", 90_000_000_000))
    out = StringIO()
    show.sources(tmp_path, out=out)
    assert f"not summed: amdgpu/PPT: {hwmon.REPEATS}" in out.getvalue()
