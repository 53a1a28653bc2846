from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.recording import at
from thinwatt_agent.loop import Sampler, SamplerOptions
from thinwatt_agent.sources import fake

DAY = 86_400.0


def simulated(options: dict[str, Any], times: list[float], interval: float = 10.0) -> tuple[dict[str, float], Sampler]:
    sampler = Sampler(Path("/"), SamplerOptions(interval=interval, sources={"fake": {"enabled": True, **options}}))
    row: list[float] = []
    for t in times:
        row = sampler.sample(at(t))
    columns = sampler.schema.groups[0].columns
    return {f"{c.source} {c.quantity}": v for c, v in zip(columns, row, strict=True) if c.source != "agent"}, sampler


@given(st.text(max_size=8), st.sampled_from(list(fake.CLASSES)), st.floats(0, 1e7), st.floats(0, 1e6))
def test_its_true_energy_is_the_integral_of_its_power(name: str, class_: str, t0: float, span: float) -> None:
    made_up = fake.machine({"name": name, "class": class_})
    assert made_up.idle <= made_up.watts(t0) <= made_up.peak
    true = fake.true_joules({"name": name, "class": class_}, t0, t0 + span)
    # Gauss-Legendre with two points a minute: no formula of the machine's own.
    steps = int(span / 60) + 1
    dt, half = span / steps, span / steps / 2 / 3**0.5
    middles = [t0 + dt * (i + 0.5) for i in range(steps)] if steps < 2000 else []
    if middles:
        numeric = sum(made_up.watts(m - half) + made_up.watts(m + half) for m in middles) * dt / 2
        assert true == pytest.approx(numeric, rel=1e-6, abs=1e-3)


def test_the_register_counts_the_true_energy_through_its_wraps() -> None:
    options = {"name": "host-7", "class": "host"}
    times = [1000.0 + 10 * i for i in range(721)]
    row, _ = simulated(options, times)
    true = fake.true_joules(options, times[0], times[-1])
    assert row["fake wraps"] >= true // 65_536 >= 20
    assert row["fake energy"] == pytest.approx(true, abs=2 * fake.UNIT)
    assert row["fake covered"] == 7200.0


def test_the_gauge_integrates_to_the_true_energy() -> None:
    options = {"name": "tc-3", "class": "thin_client", "meter": "gauge"}
    times = [10.0 * i for i in range(1000)]
    row, _ = simulated(options, times)
    assert row["fake energy"] == pytest.approx(fake.true_joules(options, times[0], times[-1]), rel=1e-4)


def test_its_load_goes_with_its_power() -> None:
    options = {"class": "desktop", "idle": 30.0, "peak": 130.0, "cpus": 4}
    times = [10.0 * i for i in range(361)]
    row, _ = simulated(options, times)
    load = row["load cpu"] / row["load cpu_capacity"]
    assert row["load covered"] == pytest.approx(3600.0)
    assert row["load cpu_capacity"] == pytest.approx(4 * 3600.0)
    assert row["fake energy"] == pytest.approx((30.0 + 100.0 * load) * 3600.0, rel=1e-6)


def test_machines_of_other_names_behave_otherwise_and_the_same_name_always_alike() -> None:
    energies = {name: fake.true_joules({"name": name}, 0, 1000) for name in ("a", "b", "c", "a")}
    assert len(set(energies.values())) == 3
    assert fake.true_joules({"name": "a"}, 0, 1000) == energies["a"]


def test_it_says_that_it_is_made_up() -> None:
    _, sampler = simulated({"class": "laptop"}, [0.0])
    described = sampler.machine()
    assert described["simulated"] is True
    assert (described["class"], described["model"], described["cores"]) == ("laptop", "made-up laptop", 8)


@pytest.mark.parametrize(
    "options,told",
    [({"class": "mainframe"}, "host, desktop"), ({"idle": 500.0}, "idle"), ({"meter": "dial"}, "counter")],
)
def test_options_that_cannot_be_are_named(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        fake.probe(Path("/"), options)


def test_two_intervals_of_it_add_up() -> None:
    whole = fake.true_joules({}, 5.0, 3 * DAY)
    assert fake.true_joules({}, 5.0, DAY) + fake.true_joules({}, DAY, 3 * DAY) == pytest.approx(whole, rel=1e-12)


HOST = {"name": "vdi-1", "class": "host", "desktops": 7, "roaming": 2, "pools": "tp, staff"}


def carried(options: dict[str, Any], times: list[float]) -> dict[str, dict[str, float]]:
    """What the columns of each desktop say at the end."""
    sampler = Sampler(Path("/"), SamplerOptions(sources={"fake": {"enabled": True, **options}}))
    row: list[float] = []
    for t in times:
        row = sampler.sample(at(t))
    found: dict[str, dict[str, float]] = {}
    for column, value in zip(sampler.schema.groups[0].columns, row, strict=True):
        if column.consumer:
            found.setdefault(column.consumer, {})[column.quantity] = value
    return found


def test_desktops_come_go_and_use_their_share_of_the_load() -> None:
    times = [10.0 * i for i in range(8641)]
    found = carried(HOST, times)
    assert {name.partition("/")[0] for name in found} == {"tp", "staff", "roaming"}
    busy = fake.machine(HOST).cpus * (fake.machine(HOST).load_seconds(86_400.0) - fake.machine(HOST).load_seconds(0.0))
    assert 0.5 * busy < sum(d["cpu"] for d in found.values()) < 0.95 * busy
    for name, of in found.items():
        assert 0 < of["present"] < 86_400.0, name
        assert of["covered"] == of["present"]
        assert of["vcpus"] == pytest.approx(4 * of["present"])
        assert of["active"] + of["disconnected"] <= of["present"] + 1e-6


def test_a_restart_begins_from_0_and_loses_less_than_an_interval() -> None:
    desktop = fake.desktops(HOST)[0]
    host, times = fake.machine(HOST), [10.0 * i for i in range(8641)]
    used = carried(HOST, times)[desktop.name]["cpu"]
    there = sum(
        desktop.share * host.cpus * (host.load_seconds(b) - host.load_seconds(a))
        for a, b in pairwise(times)
        if desktop.since(a) is not None and desktop.since(b) == desktop.since(a)
    )
    # What it used before the first reading of each stay, two readings at most, nobody has seen.
    stays = 86_400.0 / desktop.period + 1
    assert there * (1 + 1e-9) >= used >= there - stays * 20.0 * desktop.share * host.cpus


def test_those_that_roam_are_on_one_host_at_a_time() -> None:
    here, there = (fake.desktops(HOST | {"side": side})[-1] for side in (0, 1))
    assert here.name == there.name == "roaming/001"
    for t in range(0, 20_000, 7):
        assert (here.since(float(t)) is None) != (there.since(float(t)) is None)


@pytest.mark.parametrize("wrong", [{"desktops": -1}, {"side": 2}, {"pools": " , "}, {"roaming": -3}])
def test_desktops_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))}: "):
        fake.desktops(HOST | wrong)
