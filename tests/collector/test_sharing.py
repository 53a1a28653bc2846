"""Law 1 in the ledger: what pools, hypervisor and nobody have of a host is what the host drew, slot by slot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agent.recording import at
from tests.collector.sending import LOAD, NOW, Bench, Sender, pair
from thinwatt_agent.loop import Sampler, SamplerOptions
from thinwatt_agent.sources import fake
from thinwatt_agent.wire import Column, Group, Schema
from thinwatt_collector.models.attribution import Policy
from thinwatt_collector.models.devices import DeviceModel
from thinwatt_collector.sharing import OTHER, SOURCE, Line, line_of

POLICIES: tuple[Policy, ...] = ("reservation", "activity", "equal", "marginal")
OF_DESKTOP = (("cpu", "s"), ("covered", "s"), ("present", "s"), ("memory", "B s"))
GIB = float(2**30)


def schema(names: Iterable[str]) -> Schema:
    """A host with a plug meter, its load, its memory, and desktops."""
    desktops = (Column("libvirt", q, "counter", u, consumer=n) for n in names for q, u in OF_DESKTOP)
    return Schema(
        (Group(("",), (*pair("plug"), *LOAD, Column("libvirt", "memory_capacity", "counter", "B s"), *desktops)),)
    )


def shared(bench: Bench) -> dict[tuple[str, int], dict[str, float]]:
    """Joules of a device and slot (since ``NOW``), by line."""
    known = bench.ledger.dimensions()
    devices, sources = ({row[0]: row for row in rows} for rows in (known.devices, known.sources))
    out: dict[tuple[str, int], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for (d, slot, s), (joules, *_) in bench.ledger.energy().items():
        if sources[s][1] == SOURCE:
            out[devices[d][1], slot - NOW // 10**9 // 900][sources[s][2]] += joules
    return out


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[str], list[list[tuple[int, float, list[float]]]]]:
    """Frames of a host whose desktops come, go, restart and fall silent; more reserved than there is, now and then."""
    most = draw(st.sampled_from([0, 1, 4, 9, 30]))
    names = [f"{draw(st.sampled_from(['tp', 'staff', 'labs/b']))}/{i:03d}" for i in range(most)]
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    width = len(schema(names).groups[0].columns)
    state, t, tick, frames = np.zeros(width), 0.0, 0, []
    for _ in range(draw(st.integers(1, 4))):
        rows = []
        for _ in range(draw(st.integers(1, 5))):
            dt = float(random.choice([10.0, 60.0, 700.0, 1900.0]))
            t, tick = t + dt, tick + 1
            metered = random.random() < 0.8
            there = random.random(most) * (random.random(most) < 0.7) * dt
            read = there * (random.random(most) < 0.8)
            rise = [random.uniform(0, 400) * dt * metered, dt * metered, random.uniform(0, 64) * dt, 64 * dt, dt]
            rise.append(random.choice([64.0, 512.0]) * GIB * dt)
            for i in range(most):
                rise += [
                    random.uniform(0, 4) * read[i],
                    read[i],
                    there[i],
                    random.choice([0.0, 8.0, 64.0]) * GIB * there[i],
                ]
            state = state + np.array(rise)
            rows.append((tick, t, state.tolist()))
        frames.append(rows)
    return names, frames


@settings(max_examples=60, deadline=None)
@given(histories(), st.sampled_from(POLICIES), st.booleans())
def test_the_lines_of_a_host_are_what_it_drew(
    history: tuple[list[str], list[list[tuple[int, float, list[float]]]]], policy: Policy, idle_known: bool
) -> None:
    names, frames = history
    model = DeviceModel(watts=np.array([120.0, 150.0, 200.0, 300.0]) if idle_known else np.full(4, np.nan))
    bench, s = Bench(policy=policy, model=model), Sender(schema=schema(names))
    bench.hello(s)
    after = 0
    for rows in frames:
        assert bench.book(s, s.frame(after, rows)) == rows[-1][0]
        after = rows[-1][0]
    drew, found = bench.slots(), shared(bench)
    for slot, (joules, _) in drew.items():  # an empty host's too: it told the memory that it has for desktops
        assert sum(found["a", slot].values()) == pytest.approx(joules, rel=1e-9, abs=1e-9)
    booked = bench.totals()
    lines = sum(v for (family, _), v in booked.items() if family == "SHARED")
    assert lines == pytest.approx(sum(v for (f, _), v in booked.items() if f == "DEVICE_ENERGY"))


def test_frames_of_any_size_share_the_same() -> None:
    names = [f"tp/{i}" for i in range(6)]
    rise = [3000.0, 10.0, 100.0, 640.0, 10.0, 512 * GIB * 10, *([12.0, 10.0, 10.0, 80 * GIB] * 6)]
    rows = [(n, 10.0 * n, (np.array(rise) * n).tolist()) for n in range(1, 13)]
    found = []
    for size in (1, 5, 12):
        bench, s = Bench(), Sender(schema=schema(names))
        bench.hello(s)
        for start in range(0, 12, size):
            bench.book(s, s.frame(start, rows[start : start + size]))
        found.append(dict(shared(bench)["a", 0]))
    # 36,000 J: 12,000 of them idle, of which 6 × 8 of 512 GiB; above it 72 of 100 s each second of the host.
    assert found[0] == pytest.approx(
        {"tp/idle": 1125.0, "tp/dynamic": 17_280.0, "idle": 10_875.0, "overhead": 6_720.0}, rel=1e-12
    )
    assert found[1] == pytest.approx(found[0])
    assert found[2] == pytest.approx(found[0])


def test_a_pool_of_few_desktops_is_not_told_apart() -> None:
    names = [*(f"tp/{i}" for i in range(5)), *(f"dean/{i}" for i in range(2)), "alone"]
    rise = [3000.0, 10.0, 100.0, 640.0, 10.0, 512 * GIB * 10, *([10.0, 10.0, 10.0, 80 * GIB] * 8)]
    bench, s = Bench(), Sender(schema=schema(names))
    bench.hello(s)
    bench.book(s, s.frame(0, [(1, 10.0, rise)]))
    assert {line_of(text).pool for text in shared(bench)["a", 0]} == {"tp", OTHER, ""}


def test_a_desktop_that_cannot_be_read_is_no_idle_one() -> None:
    names = [f"tp/{i}" for i in range(5)]
    rise = [
        3000.0,
        10.0,
        100.0,
        640.0,
        10.0,
        512 * GIB * 10,
        *([10.0, 10.0, 10.0, 80 * GIB] * 4),
        0.0,
        0.0,
        10.0,
        80 * GIB,
    ]
    bench, s = Bench(), Sender(schema=schema(names))
    bench.hello(s)
    bench.book(s, s.frame(0, [(1, 10.0, rise)]))
    found = shared(bench)["a", 0]
    assert found["unattributed"] == pytest.approx(2000.0 * 60 / 100)
    assert "overhead" not in found


def test_made_up_hosts_share_by_what_their_desktops_truly_used() -> None:
    hosts: list[dict[str, Any]] = [
        {"name": f"vdi-{side}", "class": "host", "idle": 100.0, "peak": 300.0, "desktops": 12, "pools": "tp, staff"}
        | {"roaming": 5, "side": side}
        for side in (0, 1)
    ]
    bench, times = Bench(), [10.0 * i for i in range(1081)]
    truth: dict[str, float] = defaultdict(float)
    for options in hosts:
        sampler = Sampler(Path("/"), SamplerOptions(sources={"fake": {"enabled": True, **options}}))
        first, *rows = [sampler.sample(at(t)) for t in times]
        sender = Sender(name=options["name"], schema=sampler.schema)
        bench.hello(sender)
        base = np.array(first)
        ticks = [
            (n, t, (np.array(row) - base).tolist()) for n, (t, row) in enumerate(zip(times[1:], rows, strict=True), 1)
        ]
        for start in range(0, len(ticks), 6):
            bench.book(sender, sender.frame(start, ticks[start : start + 6]))
        made_up = fake.machine(options)
        for desktop in fake.desktops(options):
            pool = line_of(f"{desktop.name}").pool
            for t in times[1:]:
                if (begun := desktop.since(t)) is not None and begun <= t - 10.0:
                    truth[pool] += desktop.share * (made_up.joules(t) - made_up.joules(t - 10.0) - 100.0 * 10.0)
    found: dict[Line, float] = defaultdict(float)
    for lines in shared(bench).values():
        for text, joules in lines.items():
            found[line_of(text)] += joules
    assert {line.pool for line in found} == {"tp", "staff", "roaming", ""}
    for pool, joules in truth.items():
        # A host of the fleet above draws 100 W idle as well: what is above it follows the CPU time.
        assert found[Line(pool, "dynamic")] == pytest.approx(joules, rel=0.02), pool
    # They were on one host or the other all the time: 5 of 17 desktops of 95 % of it reserve 80 % of a host's memory.
    assert found[Line("roaming", "idle")] == pytest.approx(100.0 * 10_800.0 * 0.8 * 0.95 * 5 / 17, rel=0.02)


def test_a_restart_of_the_collector_goes_on_with_the_same_totals() -> None:
    names = [f"tp/{i}" for i in range(6)]
    rise = [3000.0, 10.0, 100.0, 640.0, 10.0, 512 * GIB * 10, *([12.0, 10.0, 10.0, 80 * GIB] * 6)]
    rows = [(n, 10.0 * n, (np.array(rise) * n).tolist()) for n in range(1, 7)]
    bench, s = Bench(), Sender(schema=schema(names))
    bench.hello(s)
    bench.book(s, s.frame(0, rows[:3]))
    before = {key: v for key, v in bench.totals().items() if key[0] == "SHARED"}
    bench.restart()
    bench.hello(s)
    bench.book(s, s.frame(3, rows[3:]))
    after = {key: v for key, v in bench.totals().items() if key[0] == "SHARED"}
    assert after == pytest.approx({key: 2 * v for key, v in before.items()})
