from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.recording import at, write
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
