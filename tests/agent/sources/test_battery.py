from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from tests.agent.recording import at, write
from thinwatt_agent.loop import Sampler, SamplerOptions
from thinwatt_agent.sources import Power, battery

PLACE = "sys/class/power_supply/BAT0"


def reading(root: Path, **files: object) -> float | None:
    write(root, {f"{PLACE}/{name}": content for name, content in ({"type": "Battery"} | files).items()})
    read = battery.probe(root, {})
    assert read is not None
    value: float | None = read.values(at(0))[0]
    return value


def test_no_battery_or_only_a_mouse_is_absence(tmp_path: Path) -> None:
    assert battery.probe(tmp_path, {}) is None
    mouse = "sys/class/power_supply/hidpp_battery_0"
    write(tmp_path, {"sys/class/power_supply/AC/type": "Mains", f"{mouse}/type": "Battery", f"{mouse}/scope": "Device"})
    assert battery.probe(tmp_path, {}) is None


def test_it_is_the_whole_machine_measured(tmp_path: Path) -> None:
    write(tmp_path, {f"{PLACE}/type": "Battery", f"{PLACE}/status": "Full"})
    read = battery.probe(tmp_path, {})
    assert read is not None
    assert read.specs == (Power("batteries", "BAT0", 300.0, "node", "measured"),)


@pytest.mark.parametrize("power", [9_500_000, -9_500_000])
def test_discharge_is_told_in_watts_whatever_its_sign(power: int, tmp_path: Path) -> None:
    assert reading(tmp_path, status="Discharging", power_now=power) == 9.5


def test_current_and_voltage_do_where_there_is_no_power(tmp_path: Path) -> None:
    found = reading(tmp_path, status="Discharging", current_now=800_000, voltage_now=11_500_000)
    assert found == pytest.approx(9.2)


@pytest.mark.parametrize("status", ["Charging", "Full", "Not charging", "Unknown"])
def test_on_mains_there_is_nothing_to_measure(status: str, tmp_path: Path) -> None:
    found = reading(tmp_path, status=status, power_now=30_000_000)
    assert found is not None
    assert math.isnan(found)


@pytest.mark.parametrize(
    "files",
    [
        {"status": "Discharging", "power_now": 0},
        {"status": "Discharging", "power_now": ""},
        {"status": "Discharging"},
        {"status": "", "power_now": 9_500_000},
        {"status": None, "power_now": 9_500_000},
    ],
)
def test_a_reading_that_cannot_be_is_failed_and_no_zero(files: dict[str, object], tmp_path: Path) -> None:
    assert reading(tmp_path, **files) is None


def test_batteries_that_come_and_go_stay_one_part(tmp_path: Path) -> None:
    """Two parts would both be the machine: they would not both cover a moment again."""
    sampler = Sampler(tmp_path, SamplerOptions(probe_every=30, sources={"load": {"enabled": False}}))
    rows = []
    for i in range(12):
        if i in (0, 3):
            place = f"sys/class/power_supply/BAT{int(i == 3)}"
            write(tmp_path, {f"{place}/type": "Battery", f"{place}/status": "Discharging", f"{place}/power_now": 10**7})
        if i == 8:  # between two looks for devices
            (tmp_path / PLACE / "status").write_text("")  # as the kernel's: what was open reads no more
            shutil.rmtree(tmp_path / PLACE)
        row = sampler.sample(at(10 * i))
        rows.append({(c.quantity, c.part): v for c, v in zip(sampler.schema.groups[0].columns, row, strict=True)})
    parts = [c.part for c in sampler.schema.groups[0].columns if c.source == "battery" and c.quantity == "energy"]
    assert parts == ["BAT0"]
    assert rows[-1]["covered", "BAT0"] == 110
    assert rows[-1]["energy", "BAT0"] == pytest.approx(10 * 20 + 150 + 20 * 40 + 150 + 10 * 30)
