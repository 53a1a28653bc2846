"""Law 1: desktops + idle + overhead + unattributed = host, whatever runs on it and whatever could not be read."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from thinwatt_collector.models.attribution import POLICIES, Attribution, Desktops, Policy, attribute

ALL: tuple[Policy, ...] = ("reservation", "activity", "equal", "marginal")
POLICY = st.sampled_from(ALL)
HOUR = 3600.0


def desktops(**columns: Any) -> Desktops:
    """One host, an hour, two desktops of 8 GB that were there; what is given replaces it."""
    usual = {
        "cpu": [1800.0, 600.0],
        "host_cpu": 3000.0,
        "reserved": [8.0 * HOUR, 8.0 * HOUR],
        "capacity": 64.0 * HOUR,
        "present": [HOUR, HOUR],
    }
    return Desktops(**{name: np.array(column, float) for name, column in {**usual, **columns}.items()})


def lines(found: Attribution) -> tuple[float, float, float]:
    return float(found.idle), float(found.overhead), float(found.unattributed)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[Any, Any, Desktops]:
    """Hosts with none to two hundred desktops each, readings missing here and there, more reserved than there is."""
    hosts, most = draw(st.integers(1, 4)), draw(st.one_of(st.integers(0, 8), st.just(200)))

    def column(shape: tuple[int, ...], high: float, *, missing: bool = False) -> Any:
        number = st.floats(0.0, high, allow_subnormal=False)
        return draw(hnp.arrays(float, shape, elements=st.one_of(number, st.just(0.0), *[st.just(np.nan)] * missing)))

    fleet = Desktops(
        cpu=column((hosts, most), 1e5, missing=True),
        host_cpu=column((hosts,), 1e6, missing=True),
        reserved=column((hosts, most), 1e14, missing=True),
        capacity=column((hosts,), 1e15, missing=True),
        present=column((hosts, most), 900.0),
    )
    return column((hosts,), 1e9), column((hosts,), 1e9, missing=True), fleet


@given(fleets(), POLICY)
def test_the_parts_are_the_host(case: tuple[Any, Any, Desktops], policy: Policy) -> None:
    energy, floor, fleet = case
    found = attribute(energy, floor, fleet, policy)
    whole = found.desktops.sum(axis=-1) + found.idle + found.overhead + found.unattributed
    assert whole == pytest.approx(energy, rel=1e-9, abs=1e-9)
    for field in fields(found):
        part = getattr(found, field.name)
        assert np.all(part >= 0), field.name
        assert not np.isnan(part).any(), field.name


@given(fleets(), POLICY, st.randoms(use_true_random=False))
def test_the_order_of_desktops_is_nothing(case: tuple[Any, Any, Desktops], policy: Policy, random: Any) -> None:
    energy, floor, fleet = case
    order = list(range(fleet.cpu.shape[-1]))
    random.shuffle(order)
    mixed = replace(fleet, **{name: getattr(fleet, name)[:, order] for name in ("cpu", "reserved", "present")})
    one, other = attribute(energy, floor, fleet, policy), attribute(energy, floor, mixed, policy)
    assert other.desktops == pytest.approx(one.desktops[:, order], rel=1e-9, abs=1e-6)


@given(fleets(), POLICY)
def test_a_place_without_a_desktop_changes_nothing(case: tuple[Any, Any, Desktops], policy: Policy) -> None:
    energy, floor, fleet = case
    wider = replace(fleet, **{n: np.pad(getattr(fleet, n), ((0, 0), (0, 3))) for n in ("cpu", "reserved", "present")})
    one, other = attribute(energy, floor, fleet, policy), attribute(energy, floor, wider, policy)
    assert not other.desktops[:, fleet.cpu.shape[-1] :].any()
    assert other.unattributed == pytest.approx(one.unattributed, rel=1e-9, abs=1e-6)


def test_idle_goes_by_what_is_reserved_and_dynamic_by_cpu_time() -> None:
    found = attribute(np.array(400.0), np.array(160.0), desktops())
    # 160 J of floor: an eighth each, six eighths nobody's; 240 J above: 1800, 600 and 600 of 3000 s.
    assert found.of_idle.tolist() == [20.0, 20.0]
    assert found.of_dynamic.tolist() == [144.0, 48.0]
    assert lines(found) == (120.0, 48.0, 0.0)


def test_a_parked_desktop_carries_its_idle_share() -> None:
    found = attribute(np.array(400.0), np.array(160.0), desktops(cpu=[1800.0, 0.0]))
    assert found.desktops[1] == 20.0


def test_more_reserved_than_there_is_leaves_nothing_idle() -> None:
    found = attribute(np.array(400.0), np.array(160.0), desktops(reserved=[96 * HOUR, 32 * HOUR]))
    assert found.of_idle.tolist() == [120.0, 40.0]
    assert found.idle == 0.0


def test_nobody_has_more_than_all_cpu_time() -> None:
    # Guests' clocks run ahead of the host's: 4,000 s of 3,000.
    found = attribute(np.array(400.0), np.array(160.0), desktops(cpu=[3000.0, 1000.0]))
    assert found.of_dynamic.tolist() == [180.0, 60.0]
    assert lines(found) == (120.0, 0.0, 0.0)


def test_a_reading_that_failed_makes_nobody_else_larger() -> None:
    found = attribute(np.array(400.0), np.array(160.0), desktops(cpu=[1800.0, np.nan]))
    assert found.of_dynamic.tolist() == [144.0, 0.0]
    # Hypervisor or desktop: nobody knows.
    assert lines(found) == (120.0, 0.0, 96.0)


def test_neither_host_nor_desktop_read_is_unattributed() -> None:
    found = attribute(np.array(400.0), np.array(160.0), desktops(cpu=[1800.0, np.nan], host_cpu=np.nan))
    assert found.of_dynamic.tolist() == [0.0, 0.0]
    assert lines(found) == (120.0, 0.0, 240.0)


def test_an_empty_host_is_idle_and_its_hypervisor() -> None:
    found = attribute(np.array(400.0), np.array(160.0), desktops(cpu=[], reserved=[], present=[]))
    assert lines(found) == (160.0, 240.0, 0.0)


def test_without_an_idle_power_only_policies_that_need_none_attribute() -> None:
    unknown = np.array(np.nan)
    assert lines(attribute(np.array(400.0), unknown, desktops())) == (0.0, 0.0, 400.0)
    assert attribute(np.array(400.0), unknown, desktops(), "equal").desktops.tolist() == [200.0, 200.0]
    assert attribute(np.array(400.0), unknown, desktops(), "activity").desktops.tolist() == [240.0, 80.0]


def test_marginal_leaves_the_floor_to_nobody() -> None:
    found = attribute(np.array(400.0), np.array(160.0), desktops(), "marginal")
    assert found.desktops.tolist() == [144.0, 48.0]
    assert lines(found) == (160.0, 48.0, 0.0)


def test_a_floor_above_what_was_drawn_is_all_idle() -> None:
    found = attribute(np.array(100.0), np.array(160.0), desktops())
    assert found.of_dynamic.tolist() == [0.0, 0.0]
    assert found.of_idle.tolist() == [12.5, 12.5]


@pytest.mark.parametrize("column", ["cpu", "host_cpu", "reserved", "capacity", "present"])
def test_what_is_negative_is_refused_by_name(column: str) -> None:
    wrong = {"cpu": [-1.0, 0.0], "reserved": [-1.0, 0.0], "present": [-1.0, 0.0]}.get(column, -1.0)
    with pytest.raises(ValueError, match="negative"):
        attribute(np.array(1.0), np.array(0.0), desktops(**{column: wrong}))


def test_an_unknown_policy_is_told_which_there_are() -> None:
    with pytest.raises(ValueError, match="reservation, activity, equal, marginal"):
        attribute(np.array(1.0), np.array(0.0), desktops(), "fair")  # type: ignore[arg-type]  # the wrong word is the point


def test_every_policy_is_tried() -> None:
    assert set(ALL) == set(POLICIES)
