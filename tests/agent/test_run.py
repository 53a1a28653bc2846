"""The running agent: its grid, its frames, where it goes on, what systemd hears; alone and as a real process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.standin import StandIn, until
from tests.agent.stores import FaultyDisk
from thinwatt_agent import config, keys, run, wire
from thinwatt_agent.counters import Instant
from thinwatt_agent.machine import clock
from thinwatt_agent.notify import Notify
from thinwatt_agent.run import Agent
from thinwatt_agent.sequence import SECOND
from thinwatt_agent.sources import fake
from thinwatt_agent.spool import Frame, Spool
from thinwatt_agent.store import Disk
from thinwatt_agent.wire import Column, Group, Schema

BOOT = bytes(range(16))
ENERGY = Column("fake", "energy", "counter", "J", "wall")
PLAIN = Schema((Group(("",), (ENERGY,)),))
PLUS = Schema((Group(("",), (ENERGY, replace(ENERGY, part="psu"))),))


class Clock:
    def __init__(self) -> None:
        self.time = 1000 * SECOND

    def __call__(self) -> Instant:
        return Instant(self.time, self.time, self.time + 10**18, "boot")


class Meter:
    """What outlives the processes: a register that counts 20 W."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.schema = PLAIN

    @property
    def register(self) -> float:
        return self.clock.time / SECOND * 20.0


class Reader:
    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.own: dict[str, float] = {}
        self.start: float | None = None
        self.seen = 0.0

    @property
    def schema(self) -> Schema:
        return self.meter.schema

    def sample(self, now: Instant) -> list[float]:
        self.seen = self.meter.register
        if self.start is None:
            self.start = self.seen
        return [self.seen - self.start] * self.schema.width

    def state(self) -> dict[str, Any]:
        return {"register": self.seen}

    def restore(self, state: dict[str, Any]) -> None:
        self.start = state["register"]

    def machine(self) -> dict[str, Any]:
        return {"class": "host"}


@dataclass
class Order:
    ahead: set[bytes] = field(default_factory=set)
    idle: bool = True


class NoLink:
    """Nobody to send to."""

    def __init__(self, clock: Clock) -> None:
        self.order, self.hello = Order(), b""
        self.clock = clock

    def step(self) -> int:
        return self.clock.time + 3600 * SECOND

    def sockets(self) -> list[zmq.Socket[bytes]]:
        return []

    def close(self, linger_ms: int = 0) -> None:
        pass


class Desk:
    def __init__(self) -> None:
        self.clock = Clock()
        self.meter = Meter(self.clock)
        self.disk = FaultyDisk()

    def agent(self, interval: float = 10, frame: float = 60) -> Agent:
        self.spool = Spool(self.disk.open, BOOT)
        self.link = NoLink(self.clock)
        return Agent(lambda: Reader(self.meter), self.spool, self.link, self.clock, interval, frame)  # type: ignore[arg-type] # stand-ins

    def frames(self) -> list[Frame]:
        found = []
        for stream, last in self.spool.streams():
            beyond = 0
            while beyond < last:
                frame = self.spool.take(stream, beyond, 1)
                assert frame is not None
                found.append(frame)
                beyond = frame.last
        return found

    def rows(self, stream: bytes | None = None) -> list[tuple[int, float, float]]:
        """Return tick, time [s] and joules of all rows spooled."""
        found = []
        for frame in self.frames():
            if stream in (None, frame.header.stream):
                _, ticks, times, rows = wire.decode_rows(frame.message)
                found += [(t, at / SECOND, row[0]) for t, at, row in zip(ticks, times, rows, strict=True)]
        return found


def test_rows_lie_on_a_grid_and_go_in_frames_of_a_minute_the_first_at_once() -> None:
    desk = Desk()
    agent = desk.agent()
    for _ in range(30):
        desk.clock.time = agent.step()
    assert [f.last for f in desk.frames()] == [1, 7, 13, 19, 25]
    assert desk.rows()[:3] == [(1, 1010.0, 200.0), (2, 1020.0, 400.0), (3, 1030.0, 600.0)]
    assert {f.header.base for f in desk.frames()} == {1000 * SECOND}
    assert [f.header.after for f in desk.frames()] == [0, 1, 7, 13, 19]


@given(st.lists(st.integers(0, 50 * SECOND), min_size=1, max_size=40))
def test_a_late_row_is_taken_once_and_the_grid_stays(delays: list[int]) -> None:
    desk = Desk()
    agent = desk.agent(frame=10)
    first = agent.step()
    taken = []
    desk.clock.time = first
    for delay in delays:
        desk.clock.time += delay
        before = agent.taken
        due = agent.step()
        assert agent.taken - before <= 1, "never a burst"
        if agent.taken > before:
            taken.append(desk.clock.time)
        assert (due - first) % (10 * SECOND) == 0
        assert desk.clock.time < due <= desk.clock.time + 10 * SECOND
        desk.clock.time = due
    agent.step()
    assert [round(at * SECOND) for _, at, _ in desk.rows()] == [*taken, desk.clock.time]


def test_a_process_goes_on_where_the_last_durable_row_was() -> None:
    desk = Desk()
    agent = desk.agent()
    for _ in range(11):  # ten rows; seven are in frames, three are lost with the process
        desk.clock.time = agent.step()
    desk.clock.time += 123 * SECOND
    again = desk.agent()
    desk.clock.time = again.step()
    second = desk.frames()[-1].header
    assert second.base == 1070 * SECOND
    streams = [desk.rows(s)[-1] for s, _ in desk.spool.streams()]
    assert sum(joules for _, _, joules in streams) == desk.rows(second.stream)[-1][1] * 20.0 - 20_000.0


def test_in_another_boot_it_begins_at_now() -> None:
    desk = Desk()
    agent = desk.agent()
    desk.clock.time = agent.step()
    desk.clock.time = agent.step()
    spool = Spool(desk.disk.open, bytes(16))
    desk.clock.time = 50 * SECOND
    again = Agent(lambda: Reader(desk.meter), spool, NoLink(desk.clock), desk.clock, 10, 60)  # type: ignore[arg-type] # stand-ins
    desk.clock.time = again.step()
    desk.clock.time = again.step()
    [_, (stream, _)] = spool.streams()
    frame = spool.take(stream, 0, 1)
    assert frame is not None
    assert (frame.header.base, wire.decode_rows(frame.message)[3]) == (50 * SECOND, [(200.0,)])


def test_columns_that_come_up_do_not_mix_with_rows_before_them() -> None:
    desk = Desk()
    agent = desk.agent()
    for _ in range(4):
        desk.clock.time = agent.step()
    desk.meter.schema = PLUS
    desk.clock.time = agent.step()
    assert [(f.header.schema, f.last, f.header.columns) for f in desk.frames()] == [
        (PLAIN.id, 1, 1), (PLAIN.id, 3, 1), (PLUS.id, 4, 2),
    ]  # fmt: skip
    resume = Spool(desk.disk.open, BOOT).resume()
    assert resume is not None
    assert resume.time == 1040 * SECOND
    assert wire.decode_hello(desk.frames()[-1].hello()).schema == PLUS


def test_a_copied_machine_begins_a_stream_of_its_own() -> None:
    desk = Desk()
    agent = desk.agent()
    for _ in range(3):
        desk.clock.time = agent.step()
    old = desk.frames()[-1].header.stream
    desk.link.order.ahead.add(old)
    for _ in range(3):
        desk.clock.time = agent.step()
    new = desk.frames()[-1].header
    assert new.stream != old
    assert new.base >= 1030 * SECOND
    assert desk.rows(new.stream)[0][2] == 200.0


def test_the_end_spools_what_is_pending_and_a_last_row() -> None:
    desk = Desk()
    agent = desk.agent()
    for _ in range(4):
        desk.clock.time = agent.step()
    desk.clock.time -= 3 * SECOND
    agent.finish()
    assert [t for t, _, _ in desk.rows()] == [1, 2, 3, 4]
    resume = Spool(desk.disk.open, BOOT).resume()
    assert resume is not None
    assert resume.time == desk.clock.time


def test_what_the_agent_costs_is_among_its_readings() -> None:
    desk = Desk()
    readers: list[Reader] = []

    def make() -> Reader:
        readers.append(Reader(desk.meter))
        return readers[-1]

    spool = Spool(desk.disk.open, BOOT)
    agent = Agent(make, spool, NoLink(desk.clock), desk.clock, 10, 10)  # type: ignore[arg-type] # stand-ins
    for _ in range(6):
        desk.clock.time = agent.step()
    assert readers[0].own["rows"] == 5
    assert readers[0].own["spool_rows"] == 4
    assert 0 < readers[0].own["spool_bytes"] <= desk.disk.size
    assert readers[0].own["lost_resolution"] == 0.0


# systemd


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.settimeout(60)
        s.bind(address)
        yield s


def everything(s: socket.socket) -> Iterator[bytes]:
    with suppress(BlockingIOError):
        while True:
            yield s.recv(100)


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_what_it_asked_for(tmp_path: Path, abstract: bool) -> None:
    name = f"\0thinwatt-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with listening(name) as s:
        environment = {"NOTIFY_SOCKET": name.replace("\0", "@"), "WATCHDOG_USEC": "20000000"}
        notify = Notify(environment)
        assert notify.watchdog == 10 * SECOND
        notify.ready()
        notify.alive()
        notify.stopping()
        assert [s.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]
        assert Notify({**environment, "WATCHDOG_PID": "1"}).watchdog is None
        assert Notify({"NOTIFY_SOCKET": name.replace("\0", "@")}).watchdog is None


def test_nobody_to_notify_is_no_error(tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}, {"WATCHDOG_USEC": "1"}):
        notify = Notify(environment)
        notify.ready()
        notify.alive()
        notify.stopping()
        assert notify.watchdog is None


# Real processes


@dataclass
class Site:
    """A collector, and agents as processes with the source ``fake``."""

    folder: Path
    collector: StandIn
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def configure(self, name: str, extra: str = "", interval: str = "100 ms", frame: str = "300 ms") -> Path:
        key = self.folder / f"{name}.key"
        if not key.exists():
            keys.generate(key)
            with self.collector.list.open("a") as file:
                file.write(f"{name} {keys.read_public(keys.public_path(key)).decode()}\n")
        path = self.folder / f"{name}.toml"
        path.write_text(
            f'[agent]\nstate = "{name}"\nsecret_key = "{key}"\ninterval = "{interval}"\nframe = "{frame}"\n{extra}'
            f'[[collectors]]\naddress = "{self.collector.address}"\nserver_key = "one/collector.pub"\n'
            f'[sources.fake]\nenabled = true\nname = "{name}"\nclass = "host"\n'
        )
        return path

    def start(self, *configs: Path, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "thinwatt_agent", "run"]
        for path in configs:
            command += ["--config", str(path)]
        environment = {**os.environ, "RUNTIME_DIRECTORY": str(self.folder), **(environment or {})}
        self.processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
        return self.processes[-1]

    def until(self, done: Callable[[], bool]) -> None:
        until(done, self.collector.turn)

    def stop(self, process: subprocess.Popen[str], number: int = signal.SIGTERM) -> str:
        process.send_signal(number)
        self.until(lambda: process.poll() is not None)
        self.processes.remove(process)
        assert process.stderr is not None
        with process.stderr:
            return process.stderr.read()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    s = Site(tmp_path, StandIn(tmp_path / "one"))
    yield s
    for process in s.processes:
        process.kill()
        process.communicate()
    s.collector.close()


def booked(site: Site) -> list[tuple[int, int, int]]:
    """Return base, time of the position and position of each stream, in the order they began."""
    bases = {h.stream: h.base for h in site.collector.headers}
    return sorted((bases[s], row.time, row.position) for s, row in site.collector.ledger.items())


TRUE = {"name": "host-1", "class": "host"}


def exact(site: Site, expected: float) -> None:
    """The fake's register counts 2⁻¹⁶ J: one unit a stream is lost where a stream begins."""
    assert site.collector.joules == pytest.approx(expected, abs=len(site.collector.ledger) * 2**-15)


def test_a_process_reads_sends_and_ends_when_told(site: Site) -> None:
    notify = site.folder / "notify"
    with listening(str(notify)) as s:
        path = site.configure("host-1")
        process = site.start(path, environment={"NOTIFY_SOCKET": str(notify), "WATCHDOG_USEC": "400000"})
        site.until(lambda: len(site.collector.headers) >= 4)
        said = site.stop(process)
        assert process.returncode == 0, said
        s.setblocking(False)
        heard = list(everything(s))
    assert heard.count(b"READY=1") == 1
    assert heard.index(b"READY=1") <= 2
    assert heard.count(b"WATCHDOG=1") >= 2
    assert heard[-1] == b"STOPPING=1"
    [(base, at, position)] = booked(site)
    assert position >= 8
    exact(site, fake.true_joules(TRUE, base / SECOND, at / SECOND))
    assert site.collector.hellos[0].machine["simulated"] is True
    spool = Spool(lambda: Disk(site.folder / "host-1" / "spool"), run.boot_bytes(clock()().boot_id))
    assert spool.rows == 0, "everything was answered before it ended"
    resume = spool.resume()
    assert resume is not None
    assert resume.time == at, "the last row was delivered too"


def test_kill_9_and_start_again_loses_no_joule(site: Site) -> None:
    path = site.configure("host-1")
    for round_ in range(5):
        process = site.start(path)
        site.until(
            partial(lambda r: len(site.collector.ledger) > r and len(site.collector.headers) > 3 * r + 3, round_)
        )
        process.kill()
        process.wait()
    process = site.start(path)
    site.until(lambda: len(site.collector.ledger) == 6)
    site.stop(process)
    site.until(lambda: True)
    streams = booked(site)
    assert [base for base, _, _ in streams[1:]] == [at for _, at, _ in streams[:-1]], "each begins where one ended"
    exact(site, fake.true_joules(TRUE, streams[0][0] / SECOND, streams[-1][1] / SECOND))


def test_without_a_collector_it_ends_soon_and_the_rows_are_on_disk(site: Site) -> None:
    site.collector.close()
    path = site.configure("host-1")
    process = site.start(path)
    folder = site.folder / "host-1" / "spool"
    until(lambda: folder.exists() and any(p.stat().st_size > 4000 for p in folder.iterdir()), lambda: time.sleep(0.02))
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0
    spool = Spool(lambda: Disk(folder), bytes(16))
    assert spool.rows > 3
    spool.close()
    site.collector.open()
    again = site.start(path)
    site.until(lambda: len(site.collector.ledger) == 2)
    site.stop(again)
    streams = booked(site)
    exact(site, fake.true_joules(TRUE, streams[0][0] / SECOND, streams[-1][1] / SECOND))


def test_many_agents_in_one_process(site: Site) -> None:
    paths = [site.configure(f"host-{i}") for i in range(4)]
    process = site.start(*paths)
    site.until(lambda: len({h.stream for h in site.collector.headers}) == 4 and len(site.collector.headers) > 12)
    assert site.stop(process).count("Traceback") == 0
    assert process.returncode == 0
    bases = {h.stream: h.base for h in site.collector.headers}
    true = {
        round(fake.true_joules(TRUE | {"name": f"host-{i}"}, bases[s] / SECOND, row.time / SECOND), 2)
        for i in range(4)
        for s, row in site.collector.ledger.items()
    }
    assert {round(row.joules, 2) for row in site.collector.ledger.values()} <= {
        round(t + d, 2) for t in true for d in (-0.01, 0, 0.01)
    }


def test_a_state_folder_that_cannot_be_is_told_and_rows_come_all_the_same(site: Site) -> None:
    path = site.configure("host-1")
    (site.folder / "host-1").write_text("a file where the folder should be")
    process = site.start(path)
    site.until(lambda: len(site.collector.headers) >= 4)
    said = site.stop(process)
    assert said.count("rows are kept in memory") == 1
    [(base, at, _)] = booked(site)
    exact(site, fake.true_joules(TRUE, base / SECOND, at / SECOND))


@pytest.mark.parametrize(
    "change, says",
    [
        (("interval", "intervall"), "did you mean 'interval'?"),
        (("one/collector.pub", "one/none.pub"), "none.pub is not there"),
        (("[[collectors]]", "[[collectors]]\n[[collectors]]"), "address is missing"),
        (("host-1.key", "one/collector.pub"), "by its name the public half"),
    ],
)
def test_a_mistake_ends_it_with_a_sentence(site: Site, change: tuple[str, str], says: str) -> None:
    path = site.configure("host-1")
    path.write_text(path.read_text().replace(*change))
    ended = subprocess.run(
        [sys.executable, "-m", "thinwatt_agent", "run", "--config", path], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"{path}:")
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


def test_it_sleeps_between_rows_and_answers(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """One turn of the loop a row, one a message or event of the socket, a few more for timers: no polling."""
    path = site.configure("host-1")
    turns = 0
    step = Agent.step

    def counted(self: Agent) -> int:
        nonlocal turns
        turns += 1
        return step(self)

    def stop_after_eight_frames() -> None:
        site.until(lambda: len(site.collector.headers) >= 8)
        os.kill(os.getpid(), signal.SIGTERM)
        site.until(lambda: len(site.collector.headers) >= 9)

    monkeypatch.setattr(Agent, "step", counted)
    with zmq.Context() as context:
        agent = run.build(config.load(path), context)
        enough = threading.Thread(target=stop_after_eight_frames)
        enough.start()
        run.run([agent])
        enough.join()
    answers = len(site.collector.headers)
    assert agent.taken >= 16
    assert turns <= 2 * agent.taken + 3 * answers + 20
    site.until(lambda: True)


def test_keygen_once_sources_and_config_are_commands(tmp_path: Path) -> None:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "thinwatt_agent", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    made = call("keygen", str(tmp_path / "k"))
    assert (made.returncode, made.stdout.strip().encode()) == (0, keys.read_public(tmp_path / "k.pub"))
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    again = call("keygen", str(tmp_path / "k"))
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    example = call("config", "--example")
    (tmp_path / "a.toml").write_text(example.stdout)
    unfinished = call("config", str(tmp_path / "a.toml"))
    assert (unfinished.returncode, "agent.key is not there" in unfinished.stderr) == (2, True)
    (tmp_path / "k").rename(tmp_path / "agent.key")
    assert call("keygen", str(tmp_path / "collector")).returncode == 0
    assert call("config", str(tmp_path / "a.toml")).returncode == 0
    assert call("once", "--json", "--seconds", "0.01").stdout.startswith("{")
    assert "load" in call("sources").stdout
    assert call("--version").stdout.startswith("thinwatt-agent ")
