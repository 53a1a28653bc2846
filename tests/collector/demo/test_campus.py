"""The made-up campus: its draws, its calendar, a week of it, and a year within the bounds of the prototype."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from thinwatt_collector.demo.campus import academic, desktops, draws, endpoints, hosts, reports, sessions
from thinwatt_collector.demo.campus.parameters import Hosts, OffCampus, Parameters
from thinwatt_collector.demo.campus.places import Places, university
from thinwatt_collector.demo.campus.simulation import Block, Campus

Floats = NDArray[np.float64]

MONDAY = date(2026, 3, 16)
JOULES_PER_KWH = 3.6e6


@pytest.fixture(scope="module")
def week() -> Block:
    return Campus(1).block(MONDAY, MONDAY + timedelta(days=7))


# ---------------------------------------------------------------------------------------------------------- draws


def test_the_hash_is_the_published_one() -> None:
    """SplitMix64 from state 0: the first outputs as in the reference implementation of Vigna (2015)."""
    first = draws.bits(np.zeros(1, np.uint64), 0)
    assert hex(int(first[0])) == "0xe220a8397b1dcdaf"


def test_a_draw_follows_from_seed_name_purpose_and_counters_alone() -> None:
    names = [f"device-{i}" for i in range(50)]
    day = np.arange(30)
    whole = draws.uniform(draws.keys(1, names, "x")[:, None], day)
    assert np.array_equal(whole[7:8, 3:9], draws.uniform(draws.keys(1, names[7:8], "x")[:, None], day[3:9]))
    for other in (draws.keys(2, names, "x"), draws.keys(1, names, "y")):
        assert not (whole == draws.uniform(other[:, None], day)).any()


def test_draws_have_the_distributions_that_they_are_named_for() -> None:
    key, at = draws.keys(1, [f"d{i}" for i in range(200)], "law")[:, None], np.arange(500)
    u = draws.uniform(key, at)
    assert u.min() > 0.0
    assert u.max() < 1.0
    assert np.allclose(np.histogram(u, 10, (0, 1))[0] / u.size, 0.1, atol=0.004)
    assert abs(np.corrcoef(u[:, :-1].ravel(), u[:, 1:].ravel())[0, 1]) < 0.01
    for drawn in (draws.normal(key, at), draws.rough_normal(key, at)):
        assert abs(drawn.mean()) < 0.015
        assert drawn.std() == pytest.approx(1.0, abs=0.015)
    assert np.median(draws.lognormal((240.0, 0.6), key, at)) == pytest.approx(240.0, rel=0.02)
    assert draws.exponential(360.0, key, at).mean() == pytest.approx(360.0, rel=0.02)
    assert draws.beta((1.2, 2.3), key, at).mean() == pytest.approx(1.2 / 3.5, rel=0.02)


# ------------------------------------------------------------------------------------------------------- calendar


@pytest.mark.parametrize(
    "day, kind",
    [
        ("2025-10-24", "teach"),
        ("2025-10-27", "break"),
        ("2025-11-02", "break"),
        ("2025-11-03", "teach"),
        ("2025-12-19", "exam"),
        ("2025-12-20", "closed"),
        ("2026-01-04", "closed"),
        ("2026-01-05", "exam"),
        ("2026-01-16", "exam"),
        ("2026-02-23", "break"),
        ("2026-04-26", "break"),
        ("2026-05-22", "exam"),
        ("2026-06-15", "resit"),
        ("2026-07-03", "resit"),
        ("2026-07-04", "summer"),
        ("2026-07-25", "closed"),
        ("2026-08-23", "closed"),
        ("2026-08-24", "summer"),
        ("2026-12-24", "closed"),
        ("2027-01-04", "exam"),
    ],
)
def test_the_academic_year(day: str, kind: str) -> None:
    assert academic.kind_of(date.fromisoformat(day)) == kind


def test_nobody_teaches_on_public_holidays() -> None:
    for day in ("2025-11-11", "2026-04-06", "2026-05-01", "2026-05-14", "2026-05-25"):
        at = date.fromisoformat(day)
        assert academic.days(at, at + timedelta(days=1)).students.tolist() == [0.0]


@given(st.integers(1990, 2060))
def test_easter_is_a_sunday_of_spring(year: int) -> None:
    assert academic.easter(year).weekday() == 6
    assert date(year, 3, 22) <= academic.easter(year) <= date(year, 4, 25)


def test_days_of_changed_clocks_have_their_own_length() -> None:
    for day, hours in ((date(2025, 10, 26), 25), (date(2026, 3, 29), 23)):
        block = Campus(1, few()).block(day, day + timedelta(days=1))
        assert block.slots == 4 * hours


# -------------------------------------------------------------------------------------------------------- seconds


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(-2000, 9000), st.integers(0, 5000)), max_size=20),
)
def test_seconds_by_slot_are_those_of_each_second_counted(spans: list[tuple[int, int, int]]) -> None:
    row, begin, lasts = (np.array([s[i] for s in spans], np.int64) for i in range(3))
    origin = 900 * 100
    at = (begin + origin).astype(np.float64)
    found = sessions.held(sessions.Spans(row, at, at + lasts), 3, 100, 8)
    expected = np.zeros((3, 8 * 900))
    for r, b, n in spans:
        expected[r, max(b, 0) : max(b + n, 0)] += 1
    assert np.array_equal(found, expected.reshape(3, 8, 900).sum(axis=2))


# ---------------------------------------------------------------------------------------------------------- a week


FEW = {"tp-01", "tp-07", "bu-1", "bu-4", "adm-01", "adm-10", "pc-01", "pc-05", "pc-09"}


def few() -> Places:
    """Some rooms of each kind, one without an agent yet and one by design."""
    whole = university()
    rooms = tuple(r for r in whole.rooms if r.name in FEW)
    names = {room.name for room in rooms}
    return replace(whole, rooms=rooms, devices=(*whole.hosts, *(d for d in whole.devices if d.room in names)))


def test_there_are_six_hosts_750_seats_and_300_computers() -> None:
    places = university()
    kinds = [device.kind for device in places.devices]
    assert [kinds.count(kind) for kind in ("host", "thin_client", "desktop")] == [6, 750, 300]
    assert len({device.name for device in places.devices}) == 1056
    assert sum(pool.desktops for pool in places.pools if pool.name != "distance") == 750
    agents = [device.has_agent for device in places.devices]
    assert [agents.count(state) for state in ("yes", "planned", "none")] == [936, 95, 25]
    assert len(places.spoken_for) == 936


@pytest.mark.parametrize("long", [1, 5])
@pytest.mark.parametrize("day", [date(2026, 1, 5), date(2025, 10, 26)])
def test_a_day_is_the_same_in_whatever_block_it_is_made(day: date, long: int) -> None:
    """Behind a closure, where what is on was decided weeks before, and where clocks change."""
    campus = Campus(3, few())
    alone = campus.block(day, day + timedelta(days=1))
    within = campus.block(day - timedelta(days=6), day + timedelta(days=long))
    at = slice(alone.first - within.first, alone.first - within.first + alone.slots)
    assert np.array_equal(alone.true, within.true[:, at])
    for name in ("joules", "bias", "covered"):
        assert np.array_equal(getattr(alone.reports, name), getattr(within.reports, name)[:, at])
    assert np.array_equal(alone.activity.sessions, within.activity.sessions[at])
    for name in ("present", "active", "left", "cpu", "host_cpu"):
        assert np.array_equal(getattr(alone.carried, name), getattr(within.carried, name)[..., at])


def test_changing_one_device_moves_no_other() -> None:
    places = few()
    seat = next(i for i, device in enumerate(places.devices) if device.name == "sim-bat-e/pc-05-03")
    renamed = replace(places.devices[seat], name="sim-bat-e/pc-05-other")
    changed = replace(places, devices=(*places.devices[:seat], renamed, *places.devices[seat + 1 :]))
    day = MONDAY + timedelta(days=1)
    one, other = (Campus(1, p).block(day, day + timedelta(days=2)) for p in (places, changed))
    differs = (one.true != other.true).any(axis=1)
    assert np.flatnonzero(differs).tolist() == [seat]
    said = (one.reports.joules != other.reports.joules).any(axis=1)
    assert set(one.reports.device[said].tolist()) == {seat}


def test_another_seed_is_another_campus() -> None:
    one, other = (Campus(seed, few()).block(MONDAY, MONDAY + timedelta(days=1)) for seed in (1, 2))
    assert (one.true != other.true).any(axis=1).mean() > 0.95


def test_nobody_says_more_than_there_is_time(week: Block) -> None:
    said = week.reports
    total = np.zeros((len(week.true), week.slots))
    np.add.at(total, said.device, said.covered)
    assert total.min() >= 0
    assert total.max() <= 900 + 1  # two rows of one slot are rounded each
    assert not said.joules[said.covered == 0].any()
    assert (said.joules >= 0).all()
    assert np.array_equal(said.joules, np.rint(said.joules))


def test_two_percent_of_the_samples_are_lost_and_come_to_nothing(week: Block) -> None:
    said = week.reports
    metered = said.covered[said.basis == reports.MEASURED]
    assert 1.0 - metered.mean() / 900 == pytest.approx(0.02, abs=0.005)


def test_meters_are_near_the_truth_and_what_is_assumed_is_within_its_uncertainty(week: Block) -> None:
    said = week.reports
    for basis, tolerance in ((reports.MEASURED, 0.05), (reports.MODELLED, 0.6), (reports.ASSUMED, 0.3)):
        rows = said.basis == basis
        joules = np.zeros(len(week.true))
        np.add.at(joules, said.device, said.joules.sum(axis=1))
        devices = np.unique(said.device[rows])
        assert joules[devices].sum() == pytest.approx(week.true[devices].sum(), rel=tolerance)


def test_a_slot_lies_within_what_the_devices_can_draw(week: Block) -> None:
    watts = week.true / 900
    assert watts.min() > 0
    assert watts[:6].max() < 1.25 * 560 + 40 + 30
    assert watts[6:756].max() < 20
    assert watts[756:].max() < 45 * 2


def test_desktops_start_before_the_lessons_and_nights_are_idle(week: Block) -> None:
    load = week.load.mean(axis=0)[: 5 * 96].reshape(5, 24, 4).mean(axis=(0, 2))
    assert load[10] > 5 * load[3]
    night = week.true[:5, 8:20].mean() / 900
    assert night == pytest.approx(160, abs=15)


def test_desktops_are_the_sessions_and_take_what_the_hosts_do(week: Block) -> None:
    of, places, own = week.carried, university(), Hosts().own * 900
    assert 6 * of.active.sum(axis=0) == pytest.approx(week.activity.sessions)
    assert 6 * of.left.sum(axis=0) == pytest.approx(week.activity.left)
    assert of.host_cpu == pytest.approx(64 * 900 * week.load)
    assert of.cpu.sum(axis=1) == pytest.approx(np.where(of.cpu.sum(axis=1) > 0, of.host_cpu - own, 0.0), abs=1e-6)
    assert (of.present >= of.active + of.left).all()
    assert (of.present <= np.array(desktops.places_of(places))[:, None]).all()
    assert of.present.min() > 0, "spare ones at night"
    memory = sum(pool.memory for pool in places.pools) / 4
    assert of.present.sum(axis=0).max() * memory < Hosts().memory
    for at in (40, 300):
        told = desktops.told(places, of, at, Hosts().memory)[:, 2:].reshape(6, -1, 6)
        assert told[0, :, 0].sum() == pytest.approx(of.cpu[0, :, at].sum())
        assert told[0, :, 4].sum() == pytest.approx(900 * of.active[:, at].sum())
        assert (told[:, :, 4] + told[:, :, 5] <= told[:, :, 2] + 1e-9).all()
        assert told[:, :, 2].max() <= 900


def test_most_thin_clients_are_off_at_night_and_some_never(week: Block) -> None:
    night = week.true[6:756, 3 * 4 : 5 * 4].mean(axis=1) / 900
    assert np.median(night) < 1.0
    assert 0.02 < (night > 3.0).mean() < 0.10


def test_the_fan_and_the_stuck_meter_show_in_their_days_only() -> None:
    campus = Campus(1, few())
    for first, adds in ((date(2026, 2, 2), 0.0), (date(2026, 2, 3), 40.0), (date(2026, 2, 12), 0.0)):
        block = campus.block(first, first + timedelta(days=1))
        calm = replace(campus.parameters, faults=replace(campus.parameters.faults, fan_watts=0.0))
        without = Campus(1, few(), calm).block(first, first + timedelta(days=1))
        assert np.allclose((block.true - without.true)[2] / 900, adds)
    block = campus.block(date(2026, 3, 10), date(2026, 3, 11))
    said = block.reports
    there = said.covered > 0
    power = said.joules / np.maximum(said.covered, 1)
    spread = np.max(power, axis=1, where=there, initial=0) - np.min(power, axis=1, where=there, initial=np.inf)
    constant = (spread < 0.01) & (said.basis == reports.MEASURED)
    assert constant.sum() == 1


def test_hosts_restart_after_patches() -> None:
    wednesday = date(2026, 3, 11)
    block = Campus(1, few()).block(wednesday, wednesday + timedelta(days=1))
    assert (block.reports.covered[range(6), [8, 9, 10, 11, 12, 13]] <= 300).all()


def test_a_device_that_never_switches_off_has_that_from_its_name() -> None:
    names = [device.name for device in university().devices if device.kind == "thin_client"]
    p = Parameters().thin_clients
    ghost, never = endpoints.fates(1, names, p)
    assert not (ghost & never).any()
    assert never.mean() == pytest.approx(p.never, abs=0.025)


# ---------------------------------------------------------------------------------------------------------- a year


@dataclass(frozen=True)
class Year:
    """September 2025 to August 2026: sessions by slot, load and hosts' watts, and figures of each local day."""

    seated: Floats
    distant: Floats
    load: Floats
    hosts: float
    autoscaled: float
    teaching: NDArray[np.bool_]
    weekend: NDArray[np.bool_]
    august: NDArray[np.bool_]
    peak: Floats
    on_site: Floats
    all: Floats
    logons: Floats


def year(parameters: Parameters, seed: int) -> Year:
    campus = Campus(seed, parameters=parameters)
    firsts = [date(2025 + (m > 12), (m - 1) % 12 + 1, 1) for m in range(9, 22)]
    slots: list[tuple[Floats, ...]] = []
    rows = []
    kwh = 0.0
    for first, past in itertools.pairwise(firsts):
        block = campus.block(first, past)
        seated, distant = block.activity.seated, block.activity.distant
        auto = hosts.autoscaled(block.load, seated, campus.parameters.hosts)
        slots.append((seated, distant, auto, *block.load))
        kwh += float(block.true[:6].sum()) / JOULES_PER_KWH
        days = block.days
        edges = np.append(days.begin, (block.first + block.slots) * 900)
        for i, (begin, end) in enumerate(itertools.pairwise(edges.tolist())):
            at = slice(begin // 900 - block.first, end // 900 - block.first)
            fives = np.histogram(block.logons, np.arange(begin, end + 1, 300))[0].max()
            teaching = academic.KINDS[days.kind[i]] == "teach" and days.weekday[i] < 5 and not days.holiday[i]
            day = date.fromordinal(int(days.number[i]))
            on_site, every = seated[at].sum() / 4, (seated[at] + distant[at]).sum() / 4
            rows.append((teaching, days.weekday[i] >= 5, day.month == 8, seated[at].max(), on_site, every, fives))
    joined = [np.concatenate(column) for column in zip(*slots, strict=True)]
    columns = np.array(rows, np.float64).T
    return Year(
        seated=joined[0],
        distant=joined[1],
        load=np.stack(joined[3:]),
        hosts=kwh,
        autoscaled=float(joined[2].sum()) * 900 / JOULES_PER_KWH,
        teaching=columns[0] > 0,
        weekend=columns[1] > 0,
        august=columns[2] > 0,
        peak=columns[3],
        on_site=columns[4],
        all=columns[5],
        logons=columns[6],
    )


ON_SITE = Parameters(off_campus=OffCampus(daily=0.0), hosts=Hosts(patch=1.0, video=0.0, uneven=0.0, burst=0.0))
"""As the prototype was: no sessions from home, none heavier than another, none at patch time."""


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_year_on_site_is_within_15_percent_of_the_prototype(seed: int) -> None:
    """Figures of a numpy prototype with the same parameters, on-site traffic only (domain research, 2026-11-23, §5)."""
    y = year(ON_SITE, seed)
    within = partial(pytest.approx, rel=0.15)
    assert 0.55 <= y.seated.max() / 750 <= 0.80
    assert y.seated.max() == within(507)
    assert np.median(y.peak[y.teaching]) == within(418)
    assert np.percentile(y.peak[y.teaching], 95) == within(477)
    assert y.seated.sum() / 4 == within(499_858)
    assert y.seated.max() / y.seated.mean() == within(8.9)
    assert y.logons.max() == within(241)
    assert np.median(y.logons[y.teaching]) == within(193)
    assert y.hosts == within(9058)
    assert y.autoscaled == within(4277)
    assert y.load.mean() == within(0.033)
    assert y.load.max() == within(0.29)
    # Of a hundredth of the whole, 15 % is less than what two seeds differ by: here it is the order that is held.
    assert 0.001 < y.on_site[y.weekend].sum() / y.on_site.sum() < 0.005
    assert 0.004 < y.on_site[y.august].sum() / y.on_site.sum() < 0.014


@pytest.mark.slow
def test_sessions_from_home_are_what_weekends_are_made_of() -> None:
    y = year(Parameters(), 1)
    assert 0.04 <= y.all[y.weekend].sum() / y.all.sum() <= 0.08
    assert y.hosts == pytest.approx(9058, rel=0.15)
    half = len(y.peak) // 2
    autumn, spring = (np.median(y.peak[part][y.teaching[part]]) for part in (slice(0, half), slice(half, None)))
    assert spring - autumn > 60, "growth"
