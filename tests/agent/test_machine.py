"""What a machine says of itself: its class by its firmware, and a guest never the class of real hardware."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.recording import write
from thinwatt_agent.machine import describe

DMI = "sys/class/dmi/id/"
BARE = "processor\t: 0\nflags\t\t: fpu vme de pse tsc msr\n\nprocessor\t: 1\nflags\t\t: fpu vme de pse tsc msr\n"
GUEST = BARE.replace("msr\n", "msr hypervisor lahf_lm\n")


def kind(root: Path, vendor: str, product: str, chassis: str, cpuinfo: str = BARE, **files: str) -> str:
    dmi = {"sys_vendor": vendor, "product_name": product, "chassis_type": chassis}
    write(root, {DMI + name: f"{text}\n" for name, text in dmi.items() if text} | {"proc/cpuinfo": cpuinfo})
    write(root, {name.replace("__", "/"): text for name, text in files.items()})
    return str(describe(root, {})["class"])


@pytest.mark.parametrize(
    "vendor, product, chassis, said",
    [
        ("Dell Inc.", "PowerEdge R640", "23", "host"),
        ("LENOVO", "20XW0026FR", "10", "laptop"),
        ("Microsoft Corporation", "Surface Laptop 3", "9", "laptop"),
        ("FUJITSU", "FUTRO S740", "36", "thin_client"),
        ("Dell Inc.", "OptiPlex 7090", "3", "desktop"),
        ("Amazon EC2", "m5.metal", "23", "host"),
    ],
)
def test_hardware_is_of_the_class_that_its_enclosure_says(
    tmp_path: Path, vendor: str, product: str, chassis: str, said: str
) -> None:
    assert kind(tmp_path, vendor, product, chassis) == said


@pytest.mark.parametrize(
    "vendor, product, chassis",
    [
        ("QEMU", "Standard PC (Q35 + ICH9, 2009)", "1"),
        ("VMware, Inc.", "VMware7,1", "1"),
        ("Microsoft Corporation", "Virtual Machine", "3"),
        ("innotek GmbH", "VirtualBox", "1"),
        ("Xen", "HVM domU", "1"),
        ("Red Hat", "KVM", "1"),
        ("Nutanix", "AHV", "1"),
        ("Google", "Google Compute Engine", "1"),
    ],
)
def test_a_guest_is_known_by_its_firmware_whatever_enclosure_that_makes_up(
    tmp_path: Path, vendor: str, product: str, chassis: str
) -> None:
    assert kind(tmp_path, vendor, product, chassis) == "virtual_machine"


def test_a_guest_without_firmware_is_known_by_its_processor(tmp_path: Path) -> None:
    assert kind(tmp_path, "", "", "", GUEST) == "virtual_machine"


def test_a_rented_guest_under_the_name_of_rented_hardware_is_known_by_its_processor(tmp_path: Path) -> None:
    assert kind(tmp_path, "Amazon EC2", "m5.large", "1", GUEST) == "virtual_machine"


def test_a_paravirtual_guest_is_known_by_its_kernel(tmp_path: Path) -> None:
    assert kind(tmp_path, "", "", "", sys__hypervisor__type="xen\n") == "virtual_machine"


@pytest.mark.parametrize(
    "proof",
    [{"proc__xen__capabilities": "control_d\n"}, {"sys__hypervisor__properties__features": "00000f05\n"}],
)
def test_the_control_domain_of_xen_is_the_host_itself(tmp_path: Path, proof: dict[str, str]) -> None:
    seen = {"sys__hypervisor__type": "xen\n", **proof}
    assert kind(tmp_path, "Dell Inc.", "PowerEdge R640", "23", GUEST, **seen) == "host"


def test_a_board_that_says_nothing_has_no_class(tmp_path: Path) -> None:
    assert kind(tmp_path, "", "", "") == ""


def test_what_the_configuration_states_goes_first(tmp_path: Path) -> None:
    write(tmp_path, {"proc/cpuinfo": GUEST})
    assert describe(tmp_path, {"class": "host", "model": ""})["class"] == "host"
