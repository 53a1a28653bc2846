"""Electricity Maps: the zone asked for, estimates that are flagged, ten days a question, a token that stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.collector.factors.peers import HTML, TOKEN, Fault, Row, Servers
from thinwatt_collector import units
from thinwatt_collector.factors import FactorError, electricitymaps, load
from thinwatt_collector.factors.electricitymaps import readings_of, rows_of
from thinwatt_collector.fetch import Fetcher

PER = units.scale("g/kWh", "g/J")
HOUR = 3600
NOW = datetime(2025, 6, 15, 12, 10, tzinfo=UTC).timestamp()
Made = Callable[..., Fetcher]


def row(begin: float, intensity: Any, estimated: bool = False, kind: str = "lifecycle", zone: str = "DE") -> Row:
    return {
        "zone": zone,
        "carbonIntensity": intensity,
        "datetime": f"{datetime.fromtimestamp(begin, UTC):%Y-%m-%dT%H:%M:%S}.000Z",
        "updatedAt": "2025-06-15T09:49:19.074Z",
        "createdAt": "2025-06-12T11:51:52.559Z",
        "emissionFactorType": kind,
        "isEstimated": estimated,
        "estimationMethod": "TIME_SLICER_AVERAGE" if estimated else None,
    }


def hours(first: float, last: float, **more: Any) -> list[Row]:
    return [row(at, 300 + at // HOUR % 100, **more) for at in range(int(first), int(last), HOUR)]


@pytest.fixture
def options(tmp_path: Path, peer: Servers) -> dict[str, Any]:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    last = int(NOW) // HOUR * HOUR
    peer.zones["DE"] = [
        *hours(last - 40 * 24 * HOUR, last - 24 * HOUR),
        *hours(last - 24 * HOUR, last + HOUR, estimated=True),
        *hours(last - 40 * 24 * HOUR, last, kind="direct"),
    ]
    return {
        "kind": "record",
        "zone": "DE",
        "archive": tmp_path / "archive",
        "url": peer.maps,
        "token_file": tmp_path / "token",
        "since": "2025-05-20",
    }


def known(options: dict[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in ("kind", "zone", "archive")}


def test_a_zones_history_is_had_in_questions_of_ten_days(options: dict[str, Any], peer: Servers, fetcher: Made) -> None:
    said = electricitymaps.fetch(options, fetcher(), NOW)
    assert 3 <= len(peer.asked) <= 4
    assert all("/past-range?zone=DE&emissionFactorType=lifecycle&" in a for a in peer.asked)
    assert "new quarters of an hour" in said
    found = load("electricitymaps", known(options))
    slot = int(NOW - 5 * 24 * HOUR) // 900
    value, flags = found.at(np.array([slot, slot + 4, slot + 8]))
    assert (value / PER).round(6).tolist() == [300 + (slot + 4 * i) // 4 % 100 for i in range(3)]
    assert not flags.any()
    assert (found.kind, found.method, found.zone) == ("record", "electricitymaps_lifecycle", "DE")


def test_an_estimate_is_flagged_until_the_measured_figure_comes(
    options: dict[str, Any], peer: Servers, fetcher: Made
) -> None:
    electricitymaps.fetch(options, fetcher(), NOW)
    slots = np.arange(int(NOW - 10 * HOUR) // 3600 * 4, int(NOW - 9 * HOUR) // 3600 * 4)
    found = load("electricitymaps", known(options))
    assert found.at(slots)[1].all()
    assert found.factor_of(int(slots[0])).version == "estimated"
    peer.zones["DE"] = hours(NOW // HOUR * HOUR - 48 * HOUR, NOW // HOUR * HOUR + 48 * HOUR)
    electricitymaps.fetch(options, fetcher(), NOW + 24 * HOUR)
    found = load("electricitymaps", known(options))
    assert not found.at(slots)[1].any()


def test_life_cycle_and_direct_never_meet(options: dict[str, Any], peer: Servers, fetcher: Made) -> None:
    for kind in ("record", "live"):
        electricitymaps.fetch(options | {"kind": kind}, fetcher(), NOW)
    assert {p.name for p in options["archive"].iterdir()} == {"DE-lifecycle", "DE-direct"}
    assert load("electricitymaps", known(options) | {"kind": "live"}).method == "electricitymaps_direct"
    batch = readings_of([row(0, 5, kind="direct"), row(HOUR, 6)], "lifecycle", 0.0)
    assert ((batch.readings.intensity / PER).round(6).tolist(), batch.counts["unreadable"]) == ([6.0] * 4, 1)


def test_a_free_token_gets_the_last_day(options: dict[str, Any], peer: Servers, fetcher: Made) -> None:
    said = electricitymaps.fetch(options | {"past": False}, fetcher(), NOW)
    assert "electricitymaps: 96 new quarters" in said
    assert len(peer.asked) == 1
    assert "/history?" in peer.asked[0]


def test_an_unknown_zone_is_no_zone_of_where_we_seem_to_call_from(
    options: dict[str, Any], peer: Servers, fetcher: Made
) -> None:
    with pytest.raises(FactorError, match=r"answer 404 \(Zone 'XX' does not exist\.\)"):
        electricitymaps.fetch(options | {"zone": "XX"}, fetcher(), NOW)
    body = json.dumps({"zone": "SE-SE4", "data": []}).encode()
    peer.faults = [Fault(body=body)] * 4
    with pytest.raises(FactorError, match="asked for zone DE, answered for 'SE-SE4'"):
        electricitymaps.fetch(options, fetcher(), NOW)


def test_a_token_stands_in_no_error_and_no_file(
    options: dict[str, Any], peer: Servers, fetcher: Made, tmp_path: Path
) -> None:
    options["token_file"].write_text("secret-token")
    with pytest.raises(FactorError, match=r"answer 401 \(Invalid auth-token\): is the token right") as caught:
        electricitymaps.fetch(options, fetcher(cache=tmp_path / "cache"), NOW)
    assert "secret-token" not in str(caught.value)
    options["token_file"].write_text(TOKEN)
    electricitymaps.fetch(options, fetcher(cache=tmp_path / "cache"), NOW)
    for path in tmp_path.rglob("*"):
        if path.is_file() and path != options["token_file"]:
            assert TOKEN.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("fault", [Fault(status=429), Fault(status=502), Fault(cut=99), Fault(body=HTML)])
def test_a_fault_that_passes_costs_nothing(options: dict[str, Any], peer: Servers, fetcher: Made, fault: Fault) -> None:
    peer.faults = [fault]
    electricitymaps.fetch(options, fetcher(), NOW)
    assert load("electricitymaps", known(options)).at(np.array([int(NOW - 5 * 86_400) // 900]))[1].tolist() == [False]


def test_a_fault_half_way_keeps_what_came_before(options: dict[str, Any], peer: Servers, fetcher: Made) -> None:
    peer.faults = [Fault(), *[Fault(status=500)] * 9]
    with pytest.raises(FactorError, match=r"answer 500, after 4 attempts; the archive .* reaches from"):
        electricitymaps.fetch(options, fetcher(), NOW)
    assert load("electricitymaps", known(options)).at(np.array([0]))[1].all()


@pytest.mark.parametrize(
    "found, told",
    [
        ([], "neither rows"),
        ({"zone": "DE"}, "without history or data"),
        ({"zone": "DE", "data": "none"}, "without history or data"),
        ({"error": "Invalid auth-token"}, "Invalid auth-token"),
        ({"status": "error", "message": "Zone 'X' does not exist."}, "Zone 'X' does not exist."),
    ],
)
def test_what_is_no_answer_is_told_for_what_it_is(found: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        rows_of(json.dumps(found).encode(), "DE")


@pytest.mark.parametrize("intensity, missing", [(None, 4), ("", 4), (0, 0), ("19.5", 0)])
def test_a_null_is_missing_and_a_zero_is_zero(intensity: Any, missing: int) -> None:
    """A zone may burn nothing: here 0 is a figure, unlike in éCO2mix."""
    assert readings_of([row(0, intensity)], "lifecycle", 0.0).counts["missing"] == missing


def test_a_row_that_does_not_say_whether_it_is_estimated_counts_as_if_it_were() -> None:
    rows = [row(0, 5) | {"isEstimated": None}, {k: v for k, v in row(HOUR, 5).items() if k != "isEstimated"}, 7]
    batch = readings_of(rows, "lifecycle", 0.0)
    assert set(batch.readings.rank.tolist()) == {0}
    assert batch.counts["unreadable"] == 1


@pytest.mark.parametrize(
    "change, told",
    [
        ({"zone": "../x"}, "is no zone"),
        ({"token_file": ""}, "token_file is not set"),
        ({"token_file": "/nowhere"}, "cannot be read"),
        ({"archive": ""}, "archive is not set"),
        ({"tokenfile": "x"}, "unknown option 'tokenfile'"),
    ],
)
def test_options_are_checked(options: dict[str, Any], fetcher: Made, change: dict[str, Any], told: str) -> None:
    with pytest.raises(FactorError, match=told):
        electricitymaps.fetch(options | change, fetcher(), NOW)
    with pytest.raises(FactorError, match="fetch"):
        load("electricitymaps", {"zone": "DE", "archive": "nowhere"})


def test_a_token_of_two_lines_is_none(options: dict[str, Any], fetcher: Made) -> None:
    options["token_file"].write_text("one\ntwo")
    with pytest.raises(FactorError, match="no token alone in a line"):
        electricitymaps.fetch(options, fetcher(), NOW)
