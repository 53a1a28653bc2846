"""Great Britain's half hours: forecasts that are flagged, nulls that are no zeros, fourteen days a question."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.collector.factors.peers import HTML, Fault, Row, Servers
from thinwatt_collector import units
from thinwatt_collector.factors import FactorError, load, uk_carbon_intensity
from thinwatt_collector.factors.uk_carbon_intensity import readings_of, rows_of
from thinwatt_collector.fetch import Fetcher

PER = units.scale("g/kWh", "g/J")
NOW = datetime(2025, 3, 30, 12, 10, tzinfo=UTC).timestamp()
Made = Callable[..., Fetcher]


def row(begin: float, forecast: Any, actual: Any) -> Row:
    first, last = (f"{datetime.fromtimestamp(t, UTC):%Y-%m-%dT%H:%MZ}" for t in (begin, begin + 1800))
    return {"from": first, "to": last, "intensity": {"forecast": forecast, "actual": actual, "index": "moderate"}}


def half_hours(days: float, now: float) -> list[Row]:
    first = int(now - days * 86_400) // 1800 * 1800
    return [
        row(at, 250, 200 + at // 1800 % 50 if at + 1800 <= now else None)
        for at in range(first, int(now) + 86_400, 1800)
    ]


@pytest.fixture
def options(tmp_path: Path, peer: Servers) -> dict[str, Any]:
    peer.britain = half_hours(40, NOW)
    return {"kind": "live", "zone": "GB", "archive": tmp_path / "archive", "url": peer.url, "since": "2025-03-01"}


def known(options: dict[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in ("kind", "zone", "archive")}


def test_a_month_with_a_day_of_23_hours_is_whole(options: dict[str, Any], peer: Servers, fetcher: Made) -> None:
    uk_carbon_intensity.fetch(options, fetcher(), NOW)
    assert all(a.startswith("/intensity/") for a in peer.asked)
    found = load("uk_carbon_intensity", known(options))
    slots = np.arange(int(NOW - 28 * 86_400) // 900, int(NOW) // 1800 * 2)
    value, flags = found.at(slots)
    assert not flags.any()
    assert (value / PER).round(6).tolist() == [200 + s // 2 % 50 for s in slots.tolist()]
    assert (found.method, found.zone) == ("uk_generation_30min", "GB")


def test_a_forecast_is_flagged_until_the_actual_comes(options: dict[str, Any], peer: Servers, fetcher: Made) -> None:
    uk_carbon_intensity.fetch(options, fetcher(), NOW)
    slot = np.array([int(NOW) // 900 + 8])
    found = load("uk_carbon_intensity", known(options))
    value, flags = found.at(slot)
    assert ((value / PER).round(6).tolist(), flags.tolist()) == ([250.0], [True])
    assert found.factor_of(int(slot[0])).version == "forecast"
    peer.britain = half_hours(40, NOW + 86_400)
    uk_carbon_intensity.fetch(options, fetcher(), NOW + 86_400)
    value, flags = load("uk_carbon_intensity", known(options)).at(slot)
    assert ((value / PER).round(6).tolist(), flags.tolist()) == ([200 + slot[0] // 2 % 50], [False])


@pytest.mark.parametrize(
    "forecast, actual, said, rank",
    [(266, 263, 263.0, 1), (266, None, 266.0, 0), ("266", "263", 263.0, 1), (None, 0, 0.0, 1), (None, None, None, 0)],
)
def test_a_null_is_no_zero(forecast: Any, actual: Any, said: float | None, rank: int) -> None:
    batch = readings_of([row(0, forecast, actual)], 0.0)
    expected = [] if said is None else [said] * 2
    assert (batch.readings.intensity / PER).round(6).tolist() == expected
    assert set(batch.readings.rank.tolist()) <= {rank}


@pytest.mark.parametrize(
    "strange",
    [
        None,
        {},
        {"from": "2025-01-01T00:00Z"},
        row(0, 1, 1) | {"intensity": None},
        row(0, 1, 1) | {"to": "2025-01-01T00:00Z"},
    ],
)
def test_a_row_that_is_none_costs_no_other(strange: Any) -> None:
    batch = readings_of([strange, row(1800, 1, 2)], 0.0)
    assert (len(batch.readings), batch.counts["unreadable"]) == (2, 1)


@pytest.mark.parametrize(
    "found, told",
    [
        ({"error": {"code": "400 Bad Request", "message": "Date range must be 14 days or less"}}, "14 days or less"),
        ({"error": "x"}, "x"),
        ({"data": None}, "without data"),
        ([], "without data"),
    ],
)
def test_what_is_no_answer_is_told_for_what_it_is(found: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        rows_of(json.dumps(found).encode())


@pytest.mark.parametrize(
    "fault", [Fault(status=429), Fault(status=500), Fault(cut=99), Fault(body=HTML), Fault(reset=True)]
)
def test_a_fault_that_passes_costs_nothing_and_one_that_stays_is_told(
    options: dict[str, Any], peer: Servers, fetcher: Made, fault: Fault
) -> None:
    peer.faults = [fault]
    uk_carbon_intensity.fetch(options, fetcher(), NOW)
    peer.faults = [fault] * 9
    with pytest.raises(FactorError, match=r"after 4 attempts; the archive .* 2\.0 days ago"):
        uk_carbon_intensity.fetch(options, fetcher(), NOW + 2 * 86_400)


@pytest.mark.parametrize("options, told", [({"zone": "FR"}, "no zone 'FR'"), ({}, "archive is not set")])
def test_options_are_checked(options: dict[str, Any], told: str) -> None:
    with pytest.raises(FactorError, match=told):
        load("uk_carbon_intensity", options | {"kind": "live"})
