"""What metered machines teach, and what they are refused for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinwatt_collector.calibrated import Learnt, Way, words
from thinwatt_collector.calibrated.learning import Assumed, Found, Refusal, Sample, fewest, learn, news
from thinwatt_collector.models.devices import supply
from thinwatt_collector.models.power import psu_efficiency

PC = Assumed((30.0, 36.0, 60.0, 90.0), 0.3, 0.0)
HOURS = 60


def machines(
    count: int,
    *,
    rest: float = 1.0,
    moving: float = 1.0,
    own: float = 0.0,
    seed: int = 0,
    range_: tuple[float, float] = (0.0, 60.0),
) -> Sample:
    """Hours of PCs whose load is drawn from a range of watts; each draws what it does, times what is its own."""
    random = np.random.default_rng(seed)
    idle = np.full((count, HOURS), 30.0 * 3600)
    busy = random.uniform(*range_, (count, HOURS)) * 3600
    factor = np.exp(own * random.standard_normal((count, 1)))
    return Sample(factor * (rest * idle + moving * busy), idle, busy, np.full((count, HOURS), 3600.0))


@settings(max_examples=50)
@given(st.integers(5, 12), st.floats(0.5, 2.0), st.floats(0.5, 2.0), st.integers(0, 99))
def test_machines_alike_give_their_two_numbers(n: int, rest: float, moving: float, seed: int) -> None:
    found = learn(machines(n, rest=rest, moving=moving, seed=seed), PC, "load", 5)
    assert isinstance(found, Found)
    assert [found.rest, found.moving] == pytest.approx([rest, moving], rel=1e-3)
    assert found.rest_watts == 30.0
    assert (found.machines, found.hours) == (n, n * HOURS)
    assert found.own + found.common + found.residual < 0.01


def test_counters_of_the_whole_platform_have_nothing_beside_them_to_be_learnt() -> None:
    sample = machines(6, moving=1.2)
    alone = replace(sample, rest=np.zeros_like(sample.rest), wall=sample.wall - sample.rest)
    found = learn(alone, Assumed((16.5, 0.88), 0.26, 0.0), "components", 5)
    assert isinstance(found, Found)
    assert found.moving == pytest.approx(1.2, rel=0.01)
    assert found.rest_watts == 0.0


def test_hours_in_which_something_is_missing_count_for_nothing() -> None:
    sample = machines(6, rest=1.3, own=0.05, seed=1)
    gone = np.broadcast_to(np.arange(HOURS) % 2 == 0, sample.wall.shape)
    half = learn(replace(sample, wall=np.where(gone, np.nan, sample.wall)), PC, "load", 5)
    other = learn(
        Sample(*(of[:, 1::2] for of in (sample.wall, sample.rest, sample.moving, sample.seconds))), PC, "load", 5
    )
    assert isinstance(half, Found)
    assert isinstance(other, Found)
    assert half.hours == other.hours == 180
    assert (half.rest, half.moving, half.own) == pytest.approx((other.rest, other.moving, other.own))


def test_the_interval_holds_what_the_unmetered_drew_19_times_in_20() -> None:
    """300 fleets of 48 PCs, 8 of them metered, whose machines differ by 6 %."""
    held = []
    for seed in range(300):
        every = machines(48, rest=1.3, moving=0.8, own=0.06, seed=seed)
        some = Sample(*(of[:8] for of in (every.wall, every.rest, every.moving, every.seconds)))
        found = learn(some, PC, "load", 5)
        assert isinstance(found, Found)
        truth = every.wall[8:].sum()
        said = found.rest * every.rest[8:].sum() + found.moving * every.moving[8:].sum()
        held.append(abs(said - truth) <= words.Z95 * said * np.hypot(found.common, found.own / np.sqrt(40)))
    # 95 % of 300, give or take three standard deviations of that.
    assert np.mean(held) == pytest.approx(0.95, abs=0.038)


def test_counters_behind_a_power_supply_with_a_curve_teach_the_hosts_without_a_meter() -> None:
    """Ten hosts, each with a base of its own about 80 W behind a Gold supply of 500 W; assumed are 103 W and 92 %."""
    random = np.random.default_rng(5)
    packages = random.uniform(40.0, 250.0, (10, HOURS))
    base = 80.0 * (1 + 0.04 * random.standard_normal((10, 1)))
    wall = (packages + base) / psu_efficiency((packages + base) / 500.0, *supply("gold"))
    hour = np.full_like(wall, 3600.0)
    every = Sample(wall * hour, 103.0 / 0.92 * hour, packages / 0.92 * hour, hour)
    some, others = (Sample(*(getattr(every, name)[at] for name in PARTS)) for at in (slice(3), slice(3, 10)))
    found = learn(some, Assumed((103.0, 0.92), 0.35, 0.0), "components", 3)
    assert isinstance(found, Found)
    said = found.rest * others.rest.sum() + found.moving * others.moving.sum()
    assert said == pytest.approx(others.wall.sum(), rel=0.03)
    assert abs((others.rest + others.moving).sum() / others.wall.sum() - 1) > 0.08, "what was assumed is off"
    assert found.residual < 0.03, "one efficiency instead of the supply's curve costs little"


PARTS = ("wall", "rest", "moving", "seconds")
NONSENSE = [
    ("few", machines(4), PC, "load"),
    ("few", replace(machines(6), seconds=np.full((6, HOURS), 300.0)), PC, "load"),
    ("nothing", machines(6), Assumed((np.nan,) * 4, 0.3, 0.0), "load"),
    ("nothing", machines(6), Assumed(PC.powers, 0.0, 0.0), "load"),
    ("steady", machines(6, range_=(20.0, 20.5)), PC, "load"),
    ("absurd", machines(6, rest=9.0, moving=9.0), PC, "load"),
    ("absurd", machines(6, rest=0.1, moving=0.1), PC, "load"),
    ("supply", machines(6, rest=0.7, moving=0.7), Assumed((16.5, 0.88), 0.26, 0.0), "components"),
    ("unlike", machines(6, own=0.6, seed=3), replace(PC, spread=0.2), "load"),
]


@pytest.mark.parametrize("why, sample, assumed, way", NONSENSE)
def test_nonsense_is_refused_and_told_in_words(why: str, sample: Sample, assumed: Assumed, way: Way) -> None:
    found = learn(sample, assumed, way, 5)
    assert isinstance(found, Refusal)
    assert found.why == why
    english, french = (words.refused("desktop", "OptiPlex", way, found, lang) for lang in words.LANGUAGES[::-1])
    assert english.startswith("OptiPlex (desktop), by ")
    assert "not calibrated: " in english
    assert "pas d’étalonnage : " in french


def test_meters_that_have_nothing_to_do_with_the_load_are_refused() -> None:
    sample = machines(6)
    random = np.random.default_rng(1)
    found = learn(replace(sample, wall=sample.wall * random.lognormal(0.0, 0.8, sample.wall.shape)), PC, "load", 5)
    assert isinstance(found, Refusal)
    assert found.why == "residual"
    assert "at most 25%" in words.refused("desktop", "X", "load", found, "en")


def test_endpoints_need_five_and_hosts_three() -> None:
    nobodys = frozenset({"host"})
    assert (fewest("desktop", nobodys), fewest("host", nobodys)) == (5, 3)
    assert isinstance(learn(machines(3), PC, "load", 3), Found)


def test_what_moves_less_than_it_may_be_off_is_no_news() -> None:
    found = learn(machines(8, rest=1.2, own=0.05), PC, "load", 5)
    assert isinstance(found, Found)
    of = {name: getattr(found, name) for name in Found.__dataclass_fields__}
    before = Learnt(1, "desktop", "X", False, "load", 0, assumed=PC.powers, begin=0, end=0, learnt=0, **of)
    assert news(found, None)
    assert not news(found, before)
    assert news(replace(found, rest=found.rest * 1.1), before)
    assert news(replace(found, own=found.own / 2, common=found.common / 2), before)
