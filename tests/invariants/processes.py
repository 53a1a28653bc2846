"""Collectors and agents as real processes on this machine: their keys, their files, their lives and their ends.

Everything lies in one folder and every process ends with the test, whatever happens to it (``setpriv --pdeathsig``).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from thinwatt_agent import keys
from thinwatt_collector.serve.api.tokens import digest

ROOT = Path(__file__).parents[2]
BALLAST = "ballast"
TOKEN = "tw_of-the-technical-role"
TECHNICAL = {"Authorization": f"Bearer {TOKEN}"}
"""Endpoints one by one are for who shows it."""
PATIENCE = 60.0
"""Longer than anything here takes on a busy machine [s]: what has not come by then never comes."""


def boottime() -> int:
    """The clock that rows carry [ns]."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def free_port() -> int:
    """A port on which nothing listens, outside the range that the kernel gives to outgoing connections.

    Inside it a connection to a collector that is down could meet itself.
    """
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(1000):
        port = 10_000 + int.from_bytes(os.urandom(4), "little") % (low - 10_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port on 127.0.0.1")


def wait_for(what: Callable[[], object], text: str, seconds: float = PATIENCE) -> None:
    """Wait until ``what`` returns something true."""
    limit = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < limit, f"not within {seconds:g} s: {text}"
        time.sleep(0.05)


class Program:
    """A program that can be started again and again; what it writes is appended to one log."""

    def __init__(self, log: Path, command: Sequence[str], **environment: str) -> None:
        self.log, self.command = log, command
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        assert not self.running, f"{self.log.name} runs already"
        command = ["setpriv", "--pdeathsig", "KILL", "--", *self.command]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """Kill it in whatever it does, with no chance to say anything."""
        if self._process is not None:
            self._process.kill()
            status = self._process.wait(PATIENCE)
            assert status == -signal.SIGKILL, f"it ended by itself, with {status}:\n{self.said()[-3000:]}"

    def end(self) -> None:
        """Have it ended, however it does now."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)

    def terminate(self) -> int:
        """Ask it to end, when it has come so far that it hears; return the boottime of that moment [ns]."""
        assert self._process is not None
        wait_for(self._hears, f"{self.log.name} hears SIGTERM")
        at = boottime()
        self._process.send_signal(signal.SIGTERM)
        return at

    def _hears(self) -> bool:
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        (caught,) = (int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt"))
        return bool(caught >> (signal.SIGTERM - 1) & 1)

    def ended(self) -> int:
        """Wait for its end and return its exit status."""
        assert self._process is not None
        return self._process.wait(PATIENCE)

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Collector(Program):
    """A collector, its ledger and its pages."""

    def __init__(self, site: Site, name: str, ledger: Path, commit: str, server: str = "") -> None:
        self.port, self.web, self.server = free_port(), free_port(), server
        self.ledger, self.config, self.state = ledger, site.folder / f"{name}.toml", site.folder / name
        self.url = f"http://127.0.0.1:{self.web}"
        ledger.parent.mkdir(parents=True, exist_ok=True)
        (site.folder / "keys" / "tokens.toml").write_text(
            f'[[token]]\nname = "tests"\nrole = "technical"\nsha256 = "{digest(TOKEN)}"\n'
        )
        self.config.write_text(
            f"""
[collector]
state = "{name}"
[link]
bind = "tcp://127.0.0.1:{self.port}"
secret_key = "keys/{name}"
agents = "keys/agents"
[api]
tokens = "keys/tokens.toml"
[ledger]
ledger = "{server or f"duckdb:{ledger}"}"
commit_every = "{commit}"
[web]
listen = "127.0.0.1:{self.web}"
[metrics]
per_device = "all"
"""
        )
        super().__init__(site.folder / f"{name}.log", [])
        self.play("thinwatt_collector", "run")

    def play(self, *program: str) -> None:
        """Start with another program from the next start on."""
        self.command = [sys.executable, "-m", *program, "--config", str(self.config)]

    def page(self, path: str, accept: str = "*/*") -> tuple[int, str]:
        """Return status and text of one of its pages; status 0 where nobody answers."""
        request = urllib.request.Request(self.url + path, headers={"Accept": accept, **TECHNICAL})
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (OSError, HTTPException):  # killed while it answered
            return 0, ""

    def up(self) -> None:
        """Start it and wait until its pages answer."""
        self.start()
        self.await_pages()

    def await_pages(self) -> None:
        def there() -> bool:
            assert self.running, f"the collector ended by itself:\n{self.said()[-3000:]}"
            return self.page("/healthz")[0] == 200

        wait_for(there, "the collector's pages")

    def down(self) -> None:
        """End it as an administrator does."""
        self.terminate()
        assert self.ended() == 0, self.said()[-3000:]

    def ask(self, *arguments: str) -> str:
        """Run another of its commands and return what it says."""
        call = [sys.executable, "-m", "thinwatt_collector", *arguments, "--config", str(self.config)]
        done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        return done.stdout


@dataclass(frozen=True)
class Machine:
    """A made-up machine and its agent's files; ``options`` are those of the source ``fake``: what it truly drew.

    ``durable``: its spool lies on a disk that works, so that no kill loses anything.
    """

    name: str
    config: Path
    state: Path
    options: Mapping[str, Any]
    durable: bool


class Agents(Program):
    """One process with the agents of some machines."""

    def __init__(self, log: Path, program: Sequence[str], machines: Sequence[Machine], runtime: Path) -> None:
        self.machines = machines
        configs = [part for m in machines for part in ("--config", str(m.config))]
        super().__init__(log, [sys.executable, "-m", *program, *configs], RUNTIME_DIRECTORY=str(runtime))


@dataclass
class Site:
    """A folder with keys, configurations, states and logs."""

    folder: Path
    programs: list[Program] = field(default_factory=list)
    mounts: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("keys", "run"):
            (self.folder / name).mkdir()

    def key(self, name: str) -> Path:
        """Return a secret key, made when first asked for."""
        path = self.folder / "keys" / name
        if not path.exists():
            keys.generate(path)
        return path

    def collector(
        self, name: str = "collector", *, ledger: Path | None = None, commit: str = "0.3 s", server: str = ""
    ) -> Collector:
        """Return a collector, not started; its ledger is a file, or on a ``server``."""
        self.key(name)
        file = ledger or self.folder / f"{name}-ledger" / "ledger.duckdb"
        file.parent.mkdir(exist_ok=True)
        found = Collector(self, name, file, commit, server)
        self.programs.append(found)
        return found

    def machine(
        self,
        name: str,
        collectors: Sequence[tuple[int, str]],
        *,
        state: Path | None = None,
        interval: str = "0.2 s",
        frame: str = "0.6 s",
        **options: Any,
    ) -> Machine:
        """Return a made-up machine whose agent is configured and may in.

        Args:
            name: of the agent.
            collectors: port and key of each, in order of preference.
            state: the agent's folder, where it is not one that works.
            interval: of rows.
            frame: of rows.
            options: of the source ``fake``.
        """
        folder = state or self.folder / f"{name}-state"
        options = {"enabled": True, "name": name, "class": "host", **options}
        lines = ["[agent]", f'state = "{folder}"', f'secret_key = "{self.key(name)}"']
        lines += [f'interval = "{interval}"', f'frame = "{frame}"', "[sources.fake]"]
        lines += [f"{key} = {_toml(key, value)}" for key, value in options.items()]
        for port, server in collectors:
            self.key(server)
            lines += ["[[collectors]]", f'address = "tcp://127.0.0.1:{port}"', f'server_key = "keys/{server}.pub"']
        path = self.folder / f"{name}.toml"
        path.write_text("\n".join(lines) + "\n")
        with (self.folder / "keys" / "agents").open("a") as listed:
            listed.write(f"{name} {(self.folder / 'keys' / f'{name}.pub').read_text().strip()}\n")
        return Machine(name, path, folder, options, durable=state is None)

    def agents(self, *machines: Machine, program: Sequence[str] = ("thinwatt_agent", "run")) -> Agents:
        """Return the process of some machines' agents, not started; what lives as long as the boot is in the folder."""
        found = Agents(self.folder / f"{machines[0].name}.log", program, machines, self.folder / "run")
        self.programs.append(found)
        return found

    def mount(self, folder: Path, *arguments: str) -> Path:
        """Mount something on ``folder`` until the end of the test."""
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", *arguments, str(folder)], check=True, timeout=PATIENCE)
        self.mounts.append(folder)
        return folder

    def small_disk(self, name: str, size: int) -> Path:
        """Return a folder on a file system of ``size`` bytes."""
        return self.mount(self.folder / name, "-t", "tmpfs", "-o", f"size={size}", "thinwatt-test")

    def read_only(self, name: str) -> Path:
        """Return a folder that nobody can write to, not even root."""
        folder = self.mount(self.folder / name, "-t", "tmpfs", "-o", "size=65536", "thinwatt-test")
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True, timeout=PATIENCE)
        return folder

    def close(self) -> None:
        """End everything and leave nothing mounted."""
        for program in self.programs:
            program.end()
        for folder in reversed(self.mounts):
            subprocess.run(["umount", "-l", str(folder)], check=False, timeout=PATIENCE)


def _toml(key: str, value: object) -> str:
    if key in ("idle", "peak"):
        return f'"{value} W"'
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """Yield a site and end everything on it; the logs are printed, which pytest shows when the test fails."""
    found = Site(folder)
    try:
        yield found
    finally:
        found.close()
        for program in found.programs:
            print(f"---- {program.log.name}\n{program.said()[-6000:]}")


def fill(folder: Path) -> None:
    """Take all the room of a small disk."""
    with suppress(OSError), (folder / BALLAST).open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def relieve(folder: Path) -> None:
    """Give it back."""
    (folder / BALLAST).unlink(missing_ok=True)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Keep a small disk full: what is given back there is taken at once."""
    stop = threading.Event()

    def keep() -> None:
        while not stop.wait(0.01):
            fill(folder)

    thread = threading.Thread(target=keep, name="full disk", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        relieve(folder)
