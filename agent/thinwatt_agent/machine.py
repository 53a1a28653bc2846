"""What kind of machine this is, and what its clocks say."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from thinwatt_agent import __version__
from thinwatt_agent.counters import Instant
from thinwatt_agent.files import fields, number, text

# System enclosure types of the SMBIOS specification (DSP0134, table 17) that say more than "other".
CHASSIS: Final = {
    **dict.fromkeys((3, 4, 5, 6, 7, 13, 15, 16, 24, 35), "desktop"),
    **dict.fromkeys((8, 9, 10, 14, 31, 32), "laptop"),
    **dict.fromkeys((17, 23, 25, 28, 29), "host"),
    34: "thin_client",
    36: "thin_client",
}
VIRTUAL: Final = "virtual_machine"
"""The class of a machine that is a program on another one: whatever it draws is in its host's energy already."""
# Vendors and products that only hypervisors give their guests, as the start of either (systemd knows the same,
# src/basic/virt.c). Vendors of both kinds are told apart by the product: a Surface is Microsoft's too, a bare-metal
# machine Amazon's.
HYPERVISORS: Final = (
    *("QEMU", "KVM", "Bochs", "VMware", "VMW", "innotek GmbH", "VirtualBox", "Xen", "Parallels", "BHYVE"),
    *("OpenStack", "KubeVirt", "oVirt", "RHEV", "Nutanix AHV", "AHV", "Apple Virtualization", "Virtual Machine"),
    "Google Compute Engine",
)
XEN_CONTROL: Final = 1 << 11
"""XENFEAT_dom0 in what Xen tells a domain (xen/interface/features.h)."""
MADE_UP_NAMES: Final = {"", "To Be Filled By O.E.M.", "System Product Name", "System manufacturer", "Default string"}


def clock() -> Callable[[], Instant]:
    """Return the function that looks at this machine's clocks; the boot's id is read once."""
    boot = boot_id()
    boottime = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def now() -> Instant:
        return Instant(time.clock_gettime_ns(boottime), time.monotonic_ns(), time.time_ns(), boot)

    return now


def boot_id() -> str:
    """Return what names this boot: the kernel's random id, or the time of the boot where there is none."""
    found = text(Path("/proc/sys/kernel/random/boot_id"))
    if not found:
        import psutil  # what /proc does not give; a few MiB that Linux agents do without

        found = f"boot at {round(psutil.boot_time())}"
    return found


def describe(root: Path, stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return class, model, cores, memory, system and agent version; ``stated`` (the configuration) goes first.

    A guest is a ``virtual_machine`` whatever enclosure its hypervisor makes up (Hyper-V says desktop).
    """
    dmi = root / "sys/class/dmi/id"
    found = {
        "class": VIRTUAL if is_virtual(root) else CHASSIS.get(number(dmi / "chassis_type") or 0, ""),
        "model": _model(dmi),
        "cores": _cores(root),
        "memory_bytes": _memory(root),
        "os": _system(root),
        "agent_version": __version__,
    }
    return found | {key: value for key, value in stated.items() if value not in ("", None)}


def is_virtual(root: Path) -> bool:
    """Return whether the machine is a guest of a hypervisor.

    By what its firmware is called, else by the processor's ``hypervisor`` bit, which hardware never sets, else by what
    the kernel knows of Xen. The control domain of Xen sees the last two and is the host itself.
    """
    if _controls_xen(root):
        return False
    dmi = root / "sys/class/dmi/id"
    if any(text(dmi / name).startswith(HYPERVISORS) for name in ("sys_vendor", "product_name", "bios_vendor")):
        return True
    flags = fields(text(root / "proc/cpuinfo").encode(), b":").get(b"flags", b"")
    return b"hypervisor" in flags.split() or text(root / "sys/hypervisor/type") == "xen"


def _controls_xen(root: Path) -> bool:
    try:
        features = int(text(root / "sys/hypervisor/properties/features") or "0", 16)
    except ValueError:
        features = 0
    return bool(features & XEN_CONTROL) or "control_d" in text(root / "proc/xen/capabilities")


def _model(dmi: Path) -> str:
    names = [text(dmi / name) for name in ("sys_vendor", "product_name")]
    return " ".join(name for name in names if name not in MADE_UP_NAMES)[:100]


def _cores(root: Path) -> int:
    lines = text(root / "proc/stat").splitlines()
    return sum(line.startswith("cpu") and line[3:4].isdigit() for line in lines)


def _memory(root: Path) -> int:
    total = fields(text(root / "proc/meminfo").encode(), b":").get(b"MemTotal", b"0 kB").split()
    return int(total[0]) * 1024 if total and total[0].isdigit() else 0


def _system(root: Path) -> str:
    for place in ("etc/os-release", "usr/lib/os-release"):
        name = fields(text(root / place).encode(), b"=").get(b"PRETTY_NAME")
        if name:
            return name.decode("utf-8", "replace").strip('"')
    return platform.system()
