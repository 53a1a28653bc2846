"""Several collectors on one PostgreSQL ledger, as real processes: who books what changes no joule.

Agents go from one collector to another in mid-frame, collectors are killed around the COMMIT, the server goes away.
The laws are looked at in the ledger while both write:

    per stream, Σ ledger = the counter at the booked position, nothing lost and nothing twice
    what each collector shows is committed and never falls, and soon both show the same
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

from tests.invariants import laws, pages
from tests.invariants.pages import Follower
from tests.invariants.processes import Agents, Collector, Site, site, wait_for
from tests.invariants.proxy import Proxy
from tests.invariants.spools import answered
from tests.invariants.unsure import OUTCOMES
from tests.postgresql import Server
from thinwatt_collector.snapshot import AGGREGATES

pytestmark = [pytest.mark.slow, pytest.mark.peer]

PLAIN = ("thinwatt_collector", "run")
UNSURE = "tests.invariants.unsure"
HURRIED = "tests.invariants.hurried"
ROUNDS = ((0, False), (1, True), (1, False), (0, True))
"""Which collector is killed at the end of each, and whether its COMMITs are unsure in its next life."""
OF_ALL = {family.name for family in AGGREGATES}


@pytest.fixture
def seed() -> int:
    found = int(os.environ.get("THINWATT_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"THINWATT_SEED={found}")
    return found


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as found:
        yield found


def totals(collector: Collector) -> dict[pages.Series, float]:
    """Return what a collector shows of everything together; what it shows of devices are those that it hears."""
    shown = pages.booked(collector.page("/metrics")[1])
    return {series: total for series, total in shown.items() if series[0] in OF_ALL}


def shows(collector: Collector, expected: dict[pages.Series, float]) -> bool:
    assert collector.running, collector.said()[-3000:]
    return {s: t for s, t in totals(collector).items() if t} == expected


def counted(collector: Collector, name: str) -> int:
    """Return one of a collector's counters of its own; 0 where it does not run."""
    lines = collector.page("/metrics")[1].splitlines()
    return sum(int(float(line.split()[1])) for line in lines if line.startswith(f"thinwatt_collector_{name} "))


def waiting(collector: Collector) -> bool:
    return counted(collector, "uncommitted_bytes") > 0


def leave(collectors: list[Collector], ways: list[Proxy], left: int) -> None:
    """Cut all agents off one of the collectors while it has frames that wait for their commit."""
    ways[1 - left].open, ways[left].open = True, True
    with suppress(AssertionError):  # not all agents need be there
        wait_for(partial(waiting, collectors[left]), "frames that wait for their commit", 2)
    ways[left].open = False


def restart(collectors: list[Collector]) -> None:
    """Have plain ones run: the last were perhaps about to kill themselves."""
    for c in collectors:
        c.end()
        c.play(*PLAIN)
        c.up()


def heard(server: str, name: str, at: int) -> bool:
    return any(s.t_pos > at for s in laws.on_server(server).of(name))


def hold(server: str, followers: list[Follower], agents: list[Agents]) -> laws.Books:
    """Look at the ledger while everybody writes: what was shown and answered before is in it."""
    shown = [follower.last for follower in followers]
    machines = [m for a in agents for m in a.machines]
    told = {m.name: answered(m.state) for m in machines}
    books = laws.on_server(server)
    laws.check(books, machines)
    for last in shown:
        pages.are_committed(last, books)
    for name, positions in told.items():
        for stream, position in positions.items():
            assert position <= books.positions().get(stream, 0), f"{name} was answered what is not booked"
    return books


def settle(collectors: list[Collector], agents: list[Agents], server: str) -> laws.Books:
    """Let everything arrive; both collectors then show the same, which is what the ledger holds."""
    machines = [m for a in agents for m in a.machines]
    for _ in range(6):
        begun = laws.on_server(server)
        for a in agents:
            if not a.running:
                a.start()
        for m in machines:
            at = max((s.t_pos for s in begun.of(m.name)), default=0)
            wait_for(partial(heard, server, m.name, at), f"{m.name} is heard")
        since = {m.name: at for a in agents for at in [a.terminate()] for m in a.machines}
        for a in agents:
            assert a.ended() == 0, a.said()[-3000:]
        books = laws.on_server(server)
        if all(books.of(m.name)[-1].t_pos >= since[m.name] for m in machines):
            break
    else:
        pytest.fail("rows that are never booked")
    laws.check(books, machines, whole=True)
    there = pages.in_ledger(books)
    of_all = {series: total for series, total in there.items() if series[0] in OF_ALL and total}
    for collector in collectors:
        wait_for(partial(shows, collector, of_all), f"{collector.log.name}: what the ledger holds is shown", 15)
    return books


def test_two_collectors_on_one_ledger(here: Site, seed: int, postgresql: Server) -> None:
    """One or the other is killed, at any instant or around a COMMIT; agents change between them all the while.

    The first commits so rarely that agents lose patience and leave it: the second often books first what it holds.
    """
    rng = random.Random(seed)
    server = postgresql.url()
    collectors = [here.collector(n, server=server, commit=c) for n, c in (("first", "3 s"), ("second", "0.2 s"))]
    ways = [Proxy(c.port, rng.randrange(1 << 32), delay=0.2) for c in collectors]
    both = [(ways[0].port, "first"), (ways[1].port, "second")]
    agents = [
        here.agents(
            here.machine("north", both, idle=2000.0, peak=4000.0),
            here.machine("south", both),
            program=(HURRIED, "none"),
        ),
        here.agents(here.machine("restarted", both, meter="gauge"), program=(HURRIED, "none")),
    ]
    elsewhere = 0
    with closing(ways[0]), closing(ways[1]):
        for c in collectors:
            c.up()
        followers = [Follower(c) for c in collectors]
        with closing(followers[0]), closing(followers[1]):
            for a in agents:
                a.start()
            for n, (victim, unsure) in enumerate(ROUNDS):
                if n % 3 == 2:
                    agents[1].kill()
                    agents[1].start()
                leave(collectors, ways, n % 2)
                time.sleep(rng.uniform(0.5, 1.0))
                hold(server, followers, agents)
                collectors[victim].end()
                outcomes = ",".join(rng.choices(OUTCOMES, (2, 1, 3, 1, 1), k=9))
                collectors[victim].play(*((UNSURE, "none", outcomes) if unsure else PLAIN))
                collectors[victim].up()
            restart(collectors)
            for n in range(40):  # every second one may do; about one in two of them does
                leave(collectors, ways, n % 2)
                wait_for(lambda: not waiting(collectors[0]), "the first has tried to book what it held")
                hold(server, followers, agents)
                elsewhere = counted(collectors[0], 'frames_total{result="elsewhere"}')
                if elsewhere:
                    break
            for way in ways:
                way.open = True
            books = settle(collectors, agents, server)
        for follower in followers:
            assert not follower.falls, follower.falls
        for c in collectors:
            c.down()
        assert laws.on_server(server).booked == books.booked
    rows = sum(s.pos for s in books.streams)
    print(f"{rows} rows of {len(books.streams)} streams; {sum(w.resets for w in ways)} resets, {elsewhere} elsewhere")
    assert elsewhere, "nothing was ever booked by the other one first: this test shows little"


def test_the_server_goes_away_and_comes_back(here: Site, seed: int) -> None:
    """Nothing is answered, everything is shown, everybody is told; with the server again it heals by itself."""
    server = Server()
    try:
        place = server.url(tcp=True)
        collectors = [here.collector(name, server=place) for name in ("first", "second")]
        machine = here.machine("one", [(collectors[0].port, "first"), (collectors[1].port, "second")])
        agents = here.agents(machine, program=(HURRIED, "none"))
        for c in collectors:
            c.up()
        agents.start()
        wait_for(lambda: all(totals(c) for c in collectors), "something booked, and shown by both")
        for _ in range(2):
            server.stop()
            for c in collectors:
                wait_for(partial(_told, c), "the outage is told")
            before, known = [totals(c) for c in collectors], answered(machine.state)
            time.sleep(2.5)
            assert [totals(c) for c in collectors] == before
            assert all(before)
            assert answered(machine.state) == known
            server.start()
            for c in collectors:
                wait_for(partial(_ready, c), "ready again")
            laws.check(laws.on_server(place), [machine])
        settle(collectors, [agents], place)
        for c in collectors:
            assert "nothing is answered until it works" in c.said()
            assert "the ledger takes transactions again" in c.said()
            c.down()
    finally:
        server.close()


def _ready(collector: Collector) -> bool:
    return collector.page("/readyz")[0] == 200


def _told(collector: Collector) -> bool:
    status, text = collector.page("/readyz")
    return status == 503 and "the ledger fails" in text
