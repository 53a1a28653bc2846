from __future__ import annotations

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
