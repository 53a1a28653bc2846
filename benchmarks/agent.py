"""The agent's CPU and memory beside node_exporter and collectd: at most a third of the one, no more than the other.

All run side by side on this machine for the same ten minutes: the agent as it is installed (10 s interval, frames of
a minute, every source that can be read here, its spool on disk, a real CURVE connection to a receiver that answers);
the same agent on this machine with meters added (recorded RAPL zones, a power meter, batteries and a text file);
node_exporter with its default collectors, and with those that match ours with and without the same meters, each
scraped every 10 s as Prometheus does;
collectd with what it has of the same readings, every 10 s, written as CSV, with and without its count of processes
by state (our run queue). CPU is the scheduler's nanoseconds. The receiver's and the scraper's CPU is not counted.
"""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.measure import Figure, Memory, Spread, cpu_seconds, memory, parser, report, spread
from tests.invariants.processes import free_port
from thinwatt_agent import keys, wire
from thinwatt_collector.keys import AllowList
from thinwatt_collector.receive import Receiver

INTERVAL: Final = 10.0
"""Of every reading and scrape [s]."""
WINDOW: Final = 60.0
"""CPU is looked at once a minute: a whole frame of ours, and six readings of each [s]."""
SHARE: Final = 1 / 3
PSS: Final = 25.0
"""Aim of the memory [MiB]."""
MEBIBYTE: Final = 1 << 20
RECORDED: Final = Path(__file__).parents[1] / "tests/sources"
METERS: Final = ("rapl/two-sockets-with-memory", "hwmon/worked-example", "battery/two-by-current")
MATCHING: Final = ("cpu", "meminfo", "diskstats", "netdev", "pressure", "loadavg", "stat")
"""Not logind: without a D-Bus it fails, and writes that down, at each scrape."""
MATCHING_METERS: Final = ("rapl", "hwmon", "powersupplyclass", "textfile")
COLLECTD: Final = ("cpu", "memory", "swap", "disk", "interface", "load", "users")
OURS, METERED = "agent", "agent with meters"
DEFAULT, MATCHED, MATCHED_METERED = (
    "node_exporter, default",
    "node_exporter, matching",
    "node_exporter, matching, meters",
)
PLAIN, PROCESSES = "collectd", "collectd with processes"
HEADERS: Final = {
    "Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
    "Accept-Encoding": "gzip",
}


@dataclass
class Contender:
    """A program that is measured; ``scrape`` is what is done to it each interval."""

    name: str
    process: subprocess.Popen[bytes]
    scrape: Callable[[], object] = lambda: None
    cpu: list[float] = field(default_factory=list)
    seen: list[Memory] = field(default_factory=list)
    alone: list[int] = field(default_factory=list)

    def look(self) -> None:
        """Note CPU and memory as they stand."""
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended by itself, with status {self.process.returncode}: see its log")
        self.cpu.append(cpu_seconds(self.process.pid))
        self.seen.append(memory(self.process.pid))
        self.alone.append(_alone(self.process.pid))

    @property
    def windows(self) -> list[float]:
        """CPU of each window [s]."""
        return [b - a for a, b in zip(self.cpu, self.cpu[1:], strict=False)]


def _alone(pid: int) -> int:
    """Return what the PSS would be if nothing else on this machine ran this Python [B]: several do here.

    Files of Python and its packages count in full, all else by the share.
    """
    ours = tuple(str(Path(p).resolve()) for p in (sys.base_prefix, sys.prefix))
    total, whole = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        key, _, rest = line.partition(" ")
        if not key.endswith(":"):
            whole = line.split(None, 5)[-1].startswith(ours)
        elif key == ("Rss:" if whole else "Pss:"):
            total += 1024 * int(rest.split()[0])
    return total


class Answering:
    """A collector's receiver that books nothing: each round it answers all frames that came, as after a commit."""

    def __init__(self, folder: Path) -> None:
        self.frames = 0
        self.sources: dict[str, set[str]] = {}
        self.key = folder / "collector"
        keys.generate(self.key)
        self._list = folder / "agents"
        self._list.touch()
        self.port = free_port()
        self._folder = folder
        self._receiver: Receiver | None = None

    def admit(self, name: str) -> Path:
        """Make a key for an agent and let it in; before :meth:`open`."""
        key = self._folder / name
        with self._list.open("a") as listed:
            listed.write(f"{name} {keys.generate(key)}\n")
        return key

    def open(self) -> None:
        """Listen."""
        address = f"tcp://127.0.0.1:{self.port}"
        self._receiver = Receiver(address, keys.read_secret(self.key), AllowList(self._list))

    def answer(self) -> None:
        """Answer what has come."""
        assert self._receiver is not None
        for message in self._receiver.drain(0, 64 << 20):
            version, kind = wire.kind_of(message.data)
            if kind != wire.ROWS:
                schema = wire.decode_hello(message.data).schema
                self.sources[message.agent] = {c.source for g in schema.groups for c in g.columns}
                continue
            header, ticks, _, _ = wire.decode_rows(message.data)
            answer = wire.Answer(header.stream, ticks[-1], time.time_ns(), version)
            self._receiver.send(message.route, wire.encode_answer(answer))
            self.frames += 1

    def close(self) -> None:
        """Stop listening."""
        if self._receiver is not None:
            self._receiver.close()


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=None, help="of measurement, at least two windows")
    options.add_argument("--window", type=float, default=None, help="seconds from one look at the CPU to the next")
    chosen = options.parse_args()
    window = chosen.window or (20.0 if chosen.quick else WINDOW)
    seconds = chosen.seconds or (60.0 if chosen.quick else 10 * WINDOW)
    for program in ("prometheus-node-exporter", "collectd"):
        if not _program(program):
            sys.exit(f"{program} is not installed: sudo apt-get install -y --no-install-recommends {program}")
    with tempfile.TemporaryDirectory(prefix="thinwatt-bench-") as name:
        folder = Path(name)
        receiver = Answering(folder)
        with _running(folder, receiver) as contenders:
            busy = _measure(contenders, receiver, window, max(2, round(seconds / window)))
        _tell(contenders, receiver, window, busy)


def _measure(contenders: Sequence[Contender], receiver: Answering, window: float, windows: int) -> float:
    """Let all run; return the share of this machine's CPUs that was busy meanwhile, whoever used it."""
    _pass(contenders, receiver, max(window, 2 * INTERVAL))  # what is done only once is over
    idle, start = _idle(), time.monotonic()
    for c in contenders:
        c.look()
    for n in range(windows):
        _pass(contenders, receiver, start + (n + 1) * window - time.monotonic())
        for c in contenders:
            c.look()
        said = ", ".join(f"{c.name} {1e3 * c.windows[-1]:.1f} ms" for c in contenders)
        print(f"  {n + 1}/{windows}: {said}", flush=True)
    return 1 - (_idle() - idle) / ((time.monotonic() - start) * (os.cpu_count() or 1))


def _pass(contenders: Sequence[Contender], receiver: Answering, seconds: float) -> None:
    """Scrape and answer each interval until ``seconds`` are over."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if left >= INTERVAL / 2:
            receiver.answer()
            for c in contenders:
                c.scrape()
        time.sleep(max(0.0, min(INTERVAL, end - time.monotonic())))


def _idle() -> float:
    """Return the seconds that all CPUs together were idle or waited for a disk since the start."""
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return (int(words[4]) + int(words[5])) / os.sysconf("SC_CLK_TCK")


# The contenders


@contextmanager
def _running(folder: Path, receiver: Answering) -> Iterator[list[Contender]]:
    started: list[Contender] = []

    def start(name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Contender:
        with (folder / f"{name}.log").open("ab") as log:
            found = Contender(
                name,
                subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", "--", *command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **(environment or {})},
                ),
            )
        started.append(found)
        return found

    root = _metered(folder)
    configs = [_agent(folder, receiver, OURS, Path("/")), _agent(folder, receiver, METERED.replace(" ", "-"), root)]
    receiver.open()
    try:
        for name, config in zip((OURS, METERED), configs, strict=True):
            python = [sys.executable, "-m", "thinwatt_agent", "run", "--config", str(config)]
            start(name, python, {"RUNTIME_DIRECTORY": str(config.parent)})
        exporters: tuple[tuple[str, list[str]], ...] = (
            (DEFAULT, []),
            (MATCHED, _matching()),
            (MATCHED_METERED, _matching(root)),
        )
        for name, more in exporters:
            port = free_port()
            command = ["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{port}", *more]
            start(name, command).scrape = _scraper(port)
        for name, plugins in ((PLAIN, COLLECTD), (PROCESSES, (*COLLECTD, "processes"))):
            start(name, [_program("collectd"), "-f", "-C", str(_collectd(folder / name, plugins))])
        time.sleep(2)
        yield started
    except BaseException:
        for c in started:
            print(f"---- {c.name}\n{(folder / f'{c.name}.log').read_text(errors='replace')[-2000:]}", file=sys.stderr)
        raise
    finally:
        for c in started:
            c.process.terminate()
        for c in started:
            with suppress(subprocess.TimeoutExpired):
                c.process.wait(10)
            c.process.kill()
        receiver.close()


def _program(name: str) -> str:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""


def _agent(folder: Path, receiver: Answering, name: str, root: Path) -> Path:
    """Write an agent's configuration; the spool is beside it, on a real disk."""
    home = folder / f"{name}-state"
    home.mkdir()
    config = home / "agent.toml"
    config.write_text(
        f"""
[agent]
state = "."
secret_key = "{receiver.admit(name)}"
interval = "{INTERVAL:g} s"
frame = "60 s"
root = "{root}"
[[collectors]]
address = "tcp://127.0.0.1:{receiver.port}"
server_key = "{keys.public_path(receiver.key)}"
"""
    )
    return config


def _metered(folder: Path) -> Path:
    """Return a root that is this machine and has meters: theirs are files that stand still, read like living ones."""
    root = folder / "root"
    for name in METERS:
        shutil.copytree(RECORDED / name / "0/sys", root / "sys", dirs_exist_ok=True)
    for place in ("proc", "run", "etc"):
        (root / place).symlink_to(Path("/") / place)
    for place in ("class/net", "block", "devices"):
        (root / "sys" / place).symlink_to(Path("/sys") / place)
    text = root / "var/lib/thinwatt/textfile/plug.prom"
    text.parent.mkdir(parents=True)
    text.write_text("# TYPE plug_energy_joules_total counter\nplug_energy_joules_total 1234567.5\n")
    ahead = time.time() + 3600  # never too old
    os.utime(text, (ahead, ahead))
    return root


def _matching(root: Path | None = None) -> list[str]:
    names = MATCHING if root is None else (*MATCHING, *MATCHING_METERS)
    options = ["--collector.disable-defaults", *(f"--collector.{name}" for name in names)]
    if root is not None:
        options += [f"--path.sysfs={root}/sys", f"--collector.textfile.directory={root}/var/lib/thinwatt/textfile"]
    return options


def _scraper(port: int) -> Callable[[], object]:
    """Return what scrapes as Prometheus does: one connection, compressed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def scrape() -> bytes:
        connection.request("GET", "/metrics", headers=HEADERS)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"node_exporter answers {answer.status}: {text[:200]!r}")
        return text

    return scrape


def _collectd(folder: Path, plugins: Sequence[str]) -> Path:
    folder.mkdir()
    config = folder / "collectd.conf"
    lines = [f'BaseDir "{folder}"', f'PIDFile "{folder}/pid"', f"Interval {INTERVAL:g}", "FQDNLookup false"]
    lines += ['TypesDB "/usr/share/collectd/types.db"', *(f"LoadPlugin {name}" for name in (*plugins, "csv"))]
    lines += ["<Plugin cpu>", "  ReportByCpu false", "</Plugin>"]
    lines += ["<Plugin csv>", f'  DataDir "{folder}/csv"', "</Plugin>"]
    config.write_text("\n".join(lines) + "\n")
    return config


# What is told


def _tell(contenders: Sequence[Contender], receiver: Answering, window: float, busy: float) -> None:
    by_name = {c.name: c for c in contenders}
    against = "the same windows of the same run"
    figures = [Figure(f"CPU of {c.name}", _percent(c, window), "% of a core", "", None, against) for c in contenders]
    for mine, matched in ((OURS, MATCHED), (METERED, MATCHED_METERED)):
        ours = by_name[mine]
        for theirs, most in ((DEFAULT, SHARE), (matched, SHARE), (PLAIN, 1.0), (PROCESSES, 1.0)):
            ratio = spread([a / b for a, b in zip(ours.windows, by_name[theirs].windows, strict=True)])
            aim = "≤ 1/3" if most == SHARE else "≤ 1"
            figures.append(Figure(f"CPU, {mine} ÷ {theirs}", ratio, "", aim, ratio.median <= most, against))
    for c in contenders:
        pss = spread([m.pss / MEBIBYTE for m in c.seen])
        figures.append(Figure(f"PSS of {c.name}", pss, "MiB", "", None, against))
    for c in (by_name[OURS], by_name[METERED]):
        pss = spread([b / MEBIBYTE for b in c.alone])
        name = f"PSS of {c.name} if no other Python ran"
        figures.append(Figure(name, pss, "MiB", f"≤ {PSS:g}", pss.high <= PSS, "the aim"))
    n = len(contenders[0].windows)
    notes = [
        f"{n} windows of {window:g} s; {receiver.frames} frames of ours answered; all CPUs {100 * busy:.0f} % busy",
        "whole run, CPU ms an interval: " + ", ".join(f"{c.name} {_each(c, window):.2f}" for c in contenders),
        "before the first window, CPU ms: " + ", ".join(f"{c.name} {1e3 * c.cpu[0]:.0f}" for c in contenders),
        "RSS MiB: " + ", ".join(f"{c.name} {c.seen[-1].rss / MEBIBYTE:.1f}" for c in contenders),
    ]
    notes += [f"{n} reads {', '.join(sorted(s - {'agent'}))}" for n, s in receiver.sources.items()]
    report("agent", figures, notes)


def _percent(c: Contender, window: float) -> Spread:
    return spread([100 * cpu / window for cpu in c.windows])


def _each(c: Contender, window: float) -> float:
    return 1e3 * sum(c.windows) / (len(c.windows) * window / INTERVAL)


if __name__ == "__main__":
    main()
