"""CPU time, memory, swap, disk and network bytes, pressure and run queue: what a machine does, not what it draws.

Sums over whole disks and physical interfaces only, so that a byte that passes a bridge, a bond or a RAID counts once.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from thinwatt_agent.counters import Instant
from thinwatt_agent.files import File, children
from thinwatt_agent.sources import Count, Gauge, Held, Read, Spec, Values

ABSENT = "no /proc/stat: not a Linux machine, or /proc is not mounted"
TICK: Final = 1 / (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100)
SECTOR: Final = 512
MICROSECOND: Final = 1e-6
DISK: Final = re.compile(rb"(?:sd[a-z]+|vd[a-z]+|xvd[a-z]+|hd[a-z]+|nvme\d+n\d+|mmcblk\d+)")
NOT_PHYSICAL: Final = re.compile(
    r"lo|(?:veth|docker|br|virbr|vmbr|vnet|tap|tun|ifb|dummy|bond|team|fw|wg|zt|cni|cali|flannel|kube|lxc|lxd|ovs|"
    r"podman|sit|ip6|gre|vlan|macv|ipvl|vxlan|nlmon|vcan|can|usbmon|teql)[\w-]*\d?.*|.*[.@:].*"
)
PRESSURE: Final = (("cpu", b"some"), ("memory", b"some"), ("memory", b"full"), ("io", b"some"), ("io", b"full"))
SPECS: Final[tuple[Spec, ...]] = (
    Count("cpu", "s", scale=TICK),
    Held("cpu_capacity", "s", awake=True),
    Held("covered", "s", awake=True),
    Gauge("cpus", "1"),
    Gauge("memory", "B"),
    Gauge("memory_size", "B"),
    Gauge("swap", "B"),
    Count("disk_read", "B", scale=SECTOR),
    Count("disk_written", "B", scale=SECTOR),
    Count("net_received", "B"),
    Count("net_sent", "B"),
    Gauge("run_queue", "1"),
)


def probe(root: Path, options: Mapping[str, Any]) -> Read | None:  # noqa: ARG001 - the sources' common form
    """Return the kernel's counters; pressure where the kernel was built with it."""
    if not (root / "proc/stat").exists():
        return _portable() if sys.platform != "linux" and root == Path("/") else None
    proc = Proc(root)
    pressure = [(n, what) for n, what in PRESSURE if (root / "proc/pressure" / n).exists()]
    specs = tuple(Count(f"pressure_{n}_{what.decode()}", "s", scale=MICROSECOND) for n, what in pressure)

    def read(_: Instant) -> Values:
        return [*proc.values(), *proc.pressure(pressure)]

    return Read(SPECS + specs, read)


class Proc:
    """The files of ``/proc`` that are read at every tick."""

    def __init__(self, root: Path) -> None:
        proc = root / "proc"
        self._stat, self._meminfo, self._loadavg = File(proc / "stat"), File(proc / "meminfo"), File(proc / "loadavg")
        self._diskstats, self._net = File(proc / "diskstats"), File(proc / "net/dev")
        self._pressure = {name: File(proc / "pressure" / name) for name, _ in PRESSURE}
        self._interfaces = root / "sys/class/net"
        self._hardware = any((self._interfaces / name / "device").exists() for name in children(self._interfaces))
        self._physical: dict[bytes, bool] = {}

    def values(self) -> list[float | None]:
        """Return the values of :data:`SPECS`."""
        busy, cpus = _each(self._stat, cpu_ticks, 2)
        covered = None if cpus is None else 1.0
        memory = _each(self._meminfo, memory_bytes, 3)
        disk = _each(self._diskstats, disk_sectors, 2)
        net = _each(self._net, self._network, 2)
        return [busy, cpus, covered, cpus, *memory, *disk, *net, *_each(self._loadavg, run_queue, 1)]

    def pressure(self, wanted: list[tuple[str, bytes]]) -> list[float | None]:
        """Return the stall times [µs]."""
        texts = {name: _bytes(self._pressure[name]) for name in dict(wanted)}
        return [stalled(texts[name], what) for name, what in wanted]

    def _network(self, data: bytes) -> tuple[float, float]:
        received = sent = 0
        for line in data.splitlines()[2:]:
            name, _, rest = line.partition(b":")
            if self._is_physical(name.strip()):
                counters = rest.split(None, 9)
                received += int(counters[0])
                sent += int(counters[8])
        return received, sent

    def _is_physical(self, name: bytes) -> bool:
        found = self._physical.get(name)
        if found is None:
            interface = name.decode("utf-8", "replace")
            device = (self._interfaces / interface / "device").exists()
            found = device if self._hardware else not NOT_PHYSICAL.fullmatch(interface)
            self._physical[name] = found
        return found


def _bytes(file: File) -> bytes:
    try:
        return file.read()
    except OSError:
        return b""


def _each(file: File, parse: Any, count: int) -> tuple[float | None, ...]:
    """Return what ``parse`` finds in the file, as many Nones where it finds nothing."""
    try:
        found: tuple[float | None, ...] = parse(file.read())
    except (OSError, ValueError, IndexError):
        return (None,) * count
    return found


def cpu_ticks(stat: bytes) -> tuple[float, float]:
    r"""Return busy ticks of all CPUs, and the number of CPUs.

    Busy is user, nice, system, irq and softirq: a guest's time is in user already, and stolen time ran elsewhere.

    >>> cpu_ticks(b"cpu  100 1 50 9000 70 2 3 4 60 0\ncpu0 50 1 25 4500\ncpu1 50 0 25 4500\nintr 5\n")
    (156, 2)
    """
    head, user, nice, system, _, _, irq, softirq = stat.split(None, 8)[:8]
    cpus = stat.count(b"\ncpu")
    if head != b"cpu" or not cpus:
        raise ValueError("no line 'cpu'")
    return int(user) + int(nice) + int(system) + int(irq) + int(softirq), cpus


def memory_bytes(meminfo: bytes) -> tuple[float, float, float]:
    r"""Return memory that can't be had without swapping, all memory and used swap [B].

    >>> memory_bytes(b"MemTotal: 100 kB\nMemFree: 10 kB\nMemAvailable: 40 kB\nSwapTotal: 8 kB\nSwapFree: 5 kB\n")
    (61440, 102400, 3072)
    """
    total, available = _kilobytes(meminfo, b"MemTotal:"), _kilobytes(meminfo, b"MemAvailable:")
    swap = _kilobytes(meminfo, b"SwapTotal:") - _kilobytes(meminfo, b"SwapFree:")
    return total - available, total, swap


def _kilobytes(meminfo: bytes, key: bytes) -> int:
    start = meminfo.index(key) + len(key)
    return int(meminfo[start : meminfo.index(b" kB", start)]) * 1024


def disk_sectors(diskstats: bytes) -> tuple[float, float]:
    r"""Return the sectors read from and written to all whole disks; partitions and layers above them left out.

    >>> disk_sectors(b" 8 0 sda 1 0 20 3 4 0 50 6 0 7 8\n 8 1 sda1 1 0 20 3 4 0 50 6 0 7 8\n 253 0 dm-0 1 0 9 3 4 0\n")
    (20, 50)
    """
    read = written = 0
    for line in diskstats.splitlines():
        words = line.split(None, 10)
        if DISK.fullmatch(words[2]):
            read += int(words[5])
            written += int(words[9])
    return read, written


def run_queue(loadavg: bytes) -> tuple[float]:
    """Return the number of tasks that run or wait for a CPU.

    >>> run_queue(b"0.20 0.18 0.12 3/80 11206")
    (3,)
    """
    running, _ = loadavg.split()[3].split(b"/")
    return (int(running),)


def stalled(pressure: bytes, what: bytes) -> float | None:
    r"""Return the stall time of a pressure file [µs].

    >>> stalled(b"some avg10=0.20 avg60=0.45 avg300=0.32 total=5451919\nfull avg10=0.00 total=7\n", b"full")
    7
    """
    for line in pressure.splitlines():
        if line.startswith(what):
            total = line.rpartition(b"total=")[2]
            return int(total) if total.isdigit() else None
    return None


def _portable() -> Read:
    """Return the same readings by psutil, where there is no /proc: no pressure, no run queue."""
    import psutil  # only where it is needed: it costs a few MiB

    def read(_: Instant) -> Values:
        times, memory, swap = psutil.cpu_times(), psutil.virtual_memory(), psutil.swap_memory()
        disk, net = psutil.disk_io_counters(), psutil.net_io_counters()
        busy = sum(times) - times.idle - getattr(times, "iowait", 0.0)
        cpus = float(psutil.cpu_count() or 1)
        sectors = (disk.read_bytes / SECTOR, disk.write_bytes / SECTOR) if disk else (None, None)
        used = memory.total - memory.available
        return [
            busy / TICK,
            cpus,
            1.0,
            cpus,
            used,
            memory.total,
            swap.used,
            *sectors,
            net.bytes_recv,
            net.bytes_sent,
            None,
        ]

    return Read(SPECS, read)
