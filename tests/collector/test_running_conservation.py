"""Law 1 on the running collector: whatever desktops do on two hosts, the lines of a slot are what the host drew.

What desktops do is drawn: they come, go, migrate and restart at any moment, are parked, reserve more than there is or
fail to be read; the agent's own counting makes rows of it, whose schema grows as desktops are first seen.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count, groupby, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.agent.recording import at
from tests.collector.sending import SECOND, Sender
from tests.collector.test_running_carbon import asked, running
from tests.collector.test_running_shares import total
from thinwatt_agent.counters import Instant
from thinwatt_agent.loop import Sampler, SamplerOptions
from thinwatt_agent.sources import Held, Read, desktop_specs, fake
from thinwatt_agent.wire import Schema
from thinwatt_collector.receive import Message
from thinwatt_collector.run import Collector

BEGIN: Final = datetime(2026, 3, 2, 8, tzinfo=UTC)
MEMORY: Final = 512.0 * 2**30
POOLS: Final = ("tp", "paris/tp", "staff", "")
ROWS: Final = 14
STATES: Final = ("active", "disconnected", "present")
Row = tuple[Schema, float, list[float]]


@dataclass(frozen=True)
class Stay:
    """A desktop on a host from its beginning to its end [s]; its CPU time begins with it."""

    host: int
    begin: float
    end: float


@dataclass(frozen=True)
class Desktop:
    """One with its stays: ``busy`` CPUs and ``memory`` [B], ``unread`` a share of its readings, somebody at it."""

    name: str
    stays: tuple[Stay, ...]
    busy: float
    memory: float
    unread: float
    seated: float

    def at(self, host: int, t: float, luck: float) -> list[float | None]:
        stay = next((s for s in self.stays if s.host == host and s.begin <= t < s.end), None)
        if stay is None:
            return [np.nan, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
        done = (t - stay.begin) / (stay.end - stay.begin)
        sessions = [float(done < self.seated), float(self.seated <= done < 2 * self.seated)]
        if luck < self.unread:
            return [None, 0.0, 1.0, self.memory, 4.0, None, None]
        return [self.busy * (t - stay.begin), 1.0, 1.0, self.memory, 4.0, *sessions]


@dataclass(frozen=True)
class World:
    """Two hosts for some slots: ``desktops`` of each, ``roaming`` ones, how much is reserved, what of it is parked."""

    desktops: tuple[int, int]
    roaming: int
    reserved: float
    parked: float
    unread: float
    meter: str
    seed: int
    clock: list[float] = field(default_factory=lambda: [0.0])

    def times(self) -> list[float]:
        draws = np.random.default_rng(self.seed)
        steps = np.cumsum(draws.choice([20.0, 61.5, 140.0, 250.0], ROWS))
        return [float(t) for t in draws.uniform(1000, 1900) + steps]

    def guests(self) -> list[Desktop]:
        draws, times = np.random.default_rng([self.seed, 1]), self.times()
        homes = [0] * self.desktops[0] + [1] * self.desktops[1] + [-1] * self.roaming
        found = []
        for i, home in enumerate(homes):
            cuts = [times[0] - 1, *np.sort(draws.uniform(times[0], times[-1], draws.integers(0, 4))), times[-1] + 1]
            hosts = [home if home >= 0 else k % 2 for k in range(len(cuts))]
            # Between two stays it is away, or restarts, or is on the other host at once.
            stays = (Stay(h, a, b) for h, (a, b) in zip(hosts, pairwise(cuts), strict=False) if draws.random() < 0.8)
            busy = 0.0 if draws.random() < self.parked else draws.uniform(0, 128 / len(homes))
            share = self.reserved * MEMORY / len(homes)
            name = "/".join(filter(None, (POOLS[i % len(POOLS)], f"d{i}")))
            found.append(Desktop(name, tuple(stays), busy, share, self.unread, draws.choice([0.0, 0.3, 0.5])))
        return found

    def rows(self, host: int, name: str) -> Iterator[Row]:
        """Yield what the agent of a host makes of it, tick 0 first."""
        guests, luck, bare = self.guests(), np.random.default_rng([self.seed, 2, host]), fake.probe
        broken = sorted(luck.choice(self.times(), 2))

        def probe(root: Path, options: Mapping[str, Any]) -> Read:
            alone, now = bare(root, options), self.clock[0]
            seen = [d for d in guests if any(s.host == host and s.begin <= now for s in d.stays)]
            assert alone is not None

            def read(moment: Instant) -> list[float | None]:
                values, t = list(alone.values(moment)), moment.boottime / SECOND
                if self.meter != "none" and broken[0] <= t < broken[1]:
                    values[0] = None
                return [*values, MEMORY, *(v for d in seen for v in d.at(host, t, luck.random()))]

            specs = (s for d in seen for s in desktop_specs(d.name))
            return Read((*alone.specs, Held("memory_capacity", "B s", awake=True), *specs), read)

        made_up = {"enabled": True, "name": name, "class": "host", "meter": self.meter}
        options = SamplerOptions(interval=60.0, probe_every=200.0, sources={"fake": made_up})
        sampler = Sampler(Path("/"), options)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(fake, "probe", probe)
            for t in self.times():
                self.clock[0] = t
                row = sampler.sample(at(t))
                yield sampler.schema, t, row


def send(collector: Collector, name: str, rows: list[Row]) -> None:
    sender = Sender(name, schema=rows[0][0], base=rows[0][1], offset=int(BEGIN.timestamp()) * SECOND)
    data, tick = [], 0
    for _, run in groupby(rows[1:], key=lambda row: row[0].id):
        ours = list(run)
        sender = replace(sender, schema=ours[0][0])
        data.append(sender.hello({"class": "host", "simulated": True}))
        for start in range(0, len(ours), 4):
            frame = [(tick + n, t, values) for n, (_, t, values) in enumerate(ours[start : start + 4], 1)]
            data.append(sender.frame(tick, frame, at=rows[-1][1]))
            tick += len(frame)
    assert collector._step.take([Message(b"\0r", name, one, time.time_ns()) for one in data]) == []
    collector.commit()


def counted(rows: list[Row]) -> dict[str, float]:
    """What an agent's counters say of the time of its desktops, by pool and state, small pools together."""
    found: defaultdict[str, float] = defaultdict(float)
    for (old, _, a), (new, _, b) in pairwise(rows):
        before = dict(zip(old.groups[0].columns, a, strict=True))
        columns = [c for c in new.groups[0].columns if c.consumer]
        size = Counter(c.consumer.rpartition("/")[0] for c in columns if c.quantity == "present")
        for column, value in zip(new.groups[0].columns, b, strict=True):
            if column.consumer and column.quantity in STATES:
                pool = column.consumer.rpartition("/")[0]
                shown = pool if pool and size[pool] >= 5 else "other"
                found[f"{shown}/{column.quantity}"] += value - before.get(column, 0.0)
    return found


def kept(collector: Collector, name: str) -> dict[tuple[str, str, str, int], tuple[float, float]]:
    """Joules and seconds of a host's series: by name, part, basis and slot."""
    reader = collector._ledger.reader()
    try:
        return {
            (source, part, basis, slot): (joules, covered)
            for source, part, basis, slot, joules, covered in reader.execute(
                "SELECT s.name, s.part, s.basis, e.slot, SUM(e.joules), SUM(e.covered) FROM energy e "
                "JOIN device d ON d.id = e.device JOIN source s ON s.id = e.source WHERE d.name = ? GROUP BY ALL",
                [name],
            ).fetchall()
        }
    finally:
        reader.close()


WORLDS = st.builds(
    World,
    desktops=st.tuples(*[st.one_of(st.integers(0, 12), st.integers(0, 200))] * 2),
    roaming=st.sampled_from([0, 0, 3, 8]),
    reserved=st.sampled_from([0.1, 0.8, 1.0, 3.0]),
    parked=st.sampled_from([0.0, 0.3, 1.0]),
    unread=st.sampled_from([0.0, 0.0, 0.05]),
    meter=st.sampled_from(["counter", "gauge", "none"]),
    seed=st.integers(0, 2**16),
)


@pytest.mark.parametrize("policy", ["reservation", "activity", "equal", "marginal"])
def test_the_lines_of_every_slot_are_the_host(policy: str, tmp_path: Path) -> None:
    numbers = count()
    with running(tmp_path, f'[attribution]\npolicy = "{policy}"\n') as collector:

        @given(WORLDS)
        @example(World((0, 0), 0, 0.8, 0.0, 0.0, "counter", 0))
        @example(World((200, 200), 8, 3.0, 0.3, 0.05, "gauge", 1))
        @settings(max_examples=8)
        def conserves(world: World) -> None:
            for host in (0, 1):
                name = f"vdi-{next(numbers)}"
                rows = list(world.rows(host, name))
                send(collector, name, rows)
                drawn, lines = (defaultdict[tuple[str, int], float](float) for _ in range(2))
                seconds = defaultdict[str, float](float)
                for (source, part, basis, slot), (joules, covered) in kept(collector, name).items():
                    if source == "booked":
                        drawn[basis, slot] += joules
                    elif source == "shared":
                        assert joules > 0, part
                        lines[basis, slot] += joules
                    elif source == "sessions":
                        seconds[part] += covered
                assert len({slot for _, slot in drawn}) > 1
                assert lines == pytest.approx(drawn, rel=1e-9, abs=1e-9)
                told = counted(rows)
                for pool in {text.rpartition("/")[0] for text in told}:
                    told[f"{pool}/told"] = told[f"{pool}/present"]
                assert seconds == pytest.approx({key: value for key, value in told.items() if value}, rel=1e-9)

        conserves()
        window = "begin=2026-03-02T08:00Z&end=2026-03-02T12:00Z&grain=slot"
        whole = asked(collector, f"energy?{window}&by=class").json()["rows"]
        parts = asked(collector, f"shares?{window}").json()["rows"]
        for slot in {row["begin"] for row in whole}:
            of_slot = [total([row for row in rows if row["begin"] == slot]) for rows in (parts, whole)]
            assert of_slot[0] == pytest.approx(of_slot[1], rel=1e-9)
