"""Exactly once, on real processes and real sockets: nothing that is done to them here changes a joule.

The laws (``laws.check``) hold whenever a ledger is looked at, in the middle of the worst of it as at the end:

    per stream, Σ ledger = the counter at the booked position = what the made-up machine truly drew
    time without a stored row is a gap, to the second; and no instant is booked twice
    what /metrics shows is committed, equals the ledger, and never falls

Every test prints the seed of its faults; ``THINWATT_SEED`` sets it.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.invariants import laws, pages
from tests.invariants.pages import Follower
from tests.invariants.processes import Collector, Machine, Site, fill, full, relieve, site, wait_for
from tests.invariants.proxy import Proxy
from tests.invariants.relay import Relay
from tests.invariants.settling import booked_more, joules, settle
from tests.invariants.spools import answered
from tests.invariants.unsure import OUTCOMES
from tests.invariants.wall_clock import step

pytestmark = pytest.mark.slow

PLAIN = ("thinwatt_collector", "run")
UNSURE = "tests.invariants.unsure"
HURRIED = "tests.invariants.hurried"
COLLECTOR_KILLS = 30
AGENT_KILLS = 10
HOUR = 3600

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts file systems")


@pytest.fixture
def seed() -> int:
    found = int(os.environ.get("THINWATT_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"THINWATT_SEED={found}")
    return found


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as found:
        yield found


@pytest.fixture(params=["file", pytest.param("server", marks=pytest.mark.peer)])
def server(request: pytest.FixtureRequest) -> str:
    """Where on a server the ledger is; "" for a file."""
    return request.getfixturevalue("postgresql").url() if request.param == "server" else ""


def nothing_is_booked(collector: Collector, machine: Machine) -> bool:
    """Look at an outage for a while; return whether it held so long: what the engine gives back may end it early."""
    before = pages.booked(collector.page("/metrics")[1]), answered(machine.state)
    for _ in range(10):
        status, text = collector.page("/readyz")
        if status != 503:
            return False
        assert "the ledger fails" in text
        time.sleep(0.3)
    status, text = collector.page("/metrics")
    return (pages.booked(text), answered(machine.state)) == before and "thinwatt_collector_ledger_up 0.0" in text


@pytest.mark.root
@needs_root
def test_a_storm(here: Site, seed: int) -> None:
    """Everything at once: both sides killed at random instants, the network and both wall clocks at their worst."""
    rng = random.Random(seed)
    collector = here.collector()
    clocks = [here.folder / f"clock-{i}" for i in range(4)]
    small = here.small_disk("small", 96 << 10)
    proxy = Proxy(collector.port, rng.randrange(1 << 32), delay=1.0, reset_every=4.0)
    keys = here.folder / "keys" / "collector.pub", here.key("relay"), here.key("relayed")
    relay = Relay(collector.port, *keys, rng.randrange(1 << 32))
    way = [(proxy.port, "collector")]
    poor = here.agents(
        here.machine("read-only", way, state=here.read_only("locked")),
        here.machine("small-disk", way, state=small),
        program=(HURRIED, str(clocks[1])),
    )
    agents = [
        here.agents(here.machine("plain", way, idle=2000.0, peak=4000.0)),
        here.agents(
            here.machine("stepped", way),
            here.machine("gauge", way, meter="gauge"),
            program=(HURRIED, str(clocks[0])),
        ),
        poor,
        here.agents(here.machine("relayed", [(relay.port, "relay")]), program=(HURRIED, str(clocks[2]))),
    ]
    machines = [m for a in agents for m in a.machines]
    with closing(proxy), closing(relay), closing(Follower(collector)) as follower:
        for a in agents:
            a.start()
        victims = rng.sample([*agents, *agents, poor, poor], AGENT_KILLS)
        doomed = dict(zip(rng.sample(range(COLLECTOR_KILLS), AGENT_KILLS), victims, strict=True))
        for n in range(COLLECTOR_KILLS):
            unsure = ",".join(rng.choices(OUTCOMES, (6, 1, 2, 1, 1), k=20))
            collector.play(*((UNSURE, str(clocks[3]), unsure) if rng.random() < 0.4 else PLAIN))
            collector.start()
            if n % 4:  # every fourth is killed at any instant of its start
                wait_for(lambda: collector.page("/healthz")[0] == 200 or not collector.running, "its pages")
            life = rng.uniform(0.1, 2.2)
            time.sleep(life / 3)
            for clock in clocks:
                step(clock, rng.choice((-HOUR, 0, HOUR)))
            rng.choice((fill, relieve))(small)
            victim = doomed.get(n)
            if victim:
                victim.kill()
            time.sleep(life / 3)
            if victim:
                rng.choice((fill, relieve))(small)
                victim.start()
            time.sleep(life / 3)
            collector.kill()
            books = laws.read(collector.ledger)
            laws.check(books, machines)
            pages.are_committed(follower.last, books)
            for machine in machines:
                for stream, position in answered(machine.state).items():
                    assert position <= books.positions().get(stream, 0), (
                        f"{machine.name} was answered what is not booked"
                    )
        proxy.calm()
        relay.calm()
        relieve(small)
        collector.play(*PLAIN)
        collector.up()
        agents[0].kill()  # its patience is that of real life: a new process asks at once
        books = settle(collector, agents)
        assert not follower.falls, follower.falls
        rows = sum(s.pos for s in books.streams)
        print(f"{rows} rows of {len(books.streams)} streams, {follower.pages} pages; {proxy.resets} resets; "
              f"relay: {relay.lost} lost, {relay.doubled} doubled, {relay.held} held")  # fmt: skip


def test_nobody_knows_what_became_of_a_commit(here: Site, seed: int, server: str) -> None:
    """Commits that fail, that happen unreported, and kills just before and just after the COMMIT itself."""
    rng = random.Random(seed)
    collector = here.collector(server=server)
    agents = here.agents(here.machine("one", [(collector.port, "collector")]), program=(HURRIED, "none"))
    agents.start()
    with closing(Follower(collector)) as follower:
        for last in ("before", "after"):
            outcomes = ["taken"] * rng.randint(1, 3) + [rng.choice(("unknown", "refused")), "taken", "unknown", last]
            collector.play(UNSURE, "none", ",".join(outcomes))
            collector.start()
            wait_for(lambda: not collector.running, f"the end {last} a commit")
            books = laws.of(collector)
            laws.check(books, agents.machines)
            pages.are_committed(follower.last, books)
        collector.play(*PLAIN)
        collector.up()
        settle(collector, [agents])
        assert not follower.falls, follower.falls


@pytest.mark.root
@needs_root
def test_the_disk_of_the_ledger_is_full(here: Site, seed: int) -> None:
    """Nothing is answered, everything is shown, everybody is told; with room again it heals by itself."""
    disk = here.small_disk("disk", 24 << 20)
    collector = here.collector(ledger=disk / "ledger.duckdb")
    machine = here.machine("one", [(collector.port, "collector")])
    agents = here.agents(machine, program=(HURRIED, "none"))
    agents.start()
    collector.up()
    with closing(Follower(collector)) as follower:
        wait_for(lambda: follower.last, "something booked")
        for killed in (False, True):
            with full(disk):
                wait_for(lambda: nothing_is_booked(collector, machine), "the outage")
                if killed:
                    collector.kill()
                    laws.check(laws.read(collector.ledger), [machine])
            if killed:
                collector.up()
            wait_for(lambda: collector.page("/readyz")[0] == 200, "ready again")
            booked_more(collector)
        settle(collector, [agents])
        assert not follower.falls, follower.falls
    said = collector.said()
    assert "nothing is answered until it works" in said
    assert "the ledger takes transactions again" in said


def test_a_ledger_restored_from_a_backup(here: Site, seed: int) -> None:
    """What came after the backup comes again from the spools and the agents' counters; the rest is a gap."""
    collector = here.collector()
    way = [(collector.port, "collector")]
    stays, restarted = here.machine("stays", way), replace(here.machine("restarted", way), durable=False)
    agents = [here.agents(machine, program=(HURRIED, "none")) for machine in (stays, restarted)]
    backup = here.folder / "backup.duckdb"
    for a in agents:
        a.start()
    collector.up()
    with closing(Follower(collector)) as follower:
        wait_for(lambda: len(joules(collector)) == 2, "something booked")
        shown = pages.booked(collector.page("/metrics")[1])
        collector.ask("backup", str(backup))
        books = laws.read(backup)
        laws.check(books, [m for a in agents for m in a.machines])
        pages.are_committed(shown, books)
        time.sleep(2)
        agents[1].kill()
        agents[1].start()
        time.sleep(2)
        collector.kill()
        assert not follower.falls, follower.falls
        later = laws.read(collector.ledger)
        collector.ask("restore", str(backup))
        restored = laws.read(collector.ledger)
        assert restored == books
        assert sum(restored.booked.values()) < sum(later.booked.values())
        follower.forget()
        collector.up()
        settle(collector, agents)
        assert not follower.falls, follower.falls


def test_two_collectors_with_a_ledger_each(here: Site, seed: int) -> None:
    """An agent that goes from one to the other and back: each ledger is right by itself."""
    first, second = here.collector("first"), here.collector("second")
    ways = [Proxy(first.port, 1), Proxy(second.port, 2)]
    with closing(ways[0]), closing(ways[1]):
        machine = here.machine("one", [(ways[0].port, "first"), (ways[1].port, "second")])
        agents = here.agents(machine, program=(HURRIED, "none"))
        agents.start()
        for c in (first, second):
            c.up()
        for n in range(4):
            here_now, there = (first, second) if n % 2 == 0 else (second, first)
            ways[n % 2].open, ways[1 - n % 2].open = True, False
            booked_more(here_now)
            if n == 1:
                agents.kill()
                agents.start()
            there.kill()
            laws.check(laws.read(there.ledger), [machine])
            there.up()
        for way in ways:
            way.open = True
        at = agents.terminate()
        assert agents.ended() == 0
        last = []
        for c in (first, second):
            c.down()
            books = laws.read(c.ledger)
            laws.check(books, [machine])
            last.append(books.of("one")[-1].t_pos)
        assert max(last) >= at


def test_sigterm_commits_answers_and_closes(here: Site, server: str) -> None:
    """What a collector had received when it was asked to end is booked, and the agents know."""
    collector = here.collector(commit="20 s", server=server)
    machine = here.machine("one", [(collector.port, "collector")])
    agents = here.agents(machine)
    collector.up()
    agents.start()
    wait_for(lambda: "thinwatt_collector_uncommitted_bytes 0.0" not in collector.page("/metrics")[1], "rows received")
    assert not pages.booked(collector.page("/metrics")[1])
    collector.down()
    books = laws.of(collector)
    laws.check(books, [machine])
    (stream,) = books.of("one")
    wait_for(lambda: answered(machine.state) == {stream.id: stream.pos}, "the answer")
    agents.kill()
