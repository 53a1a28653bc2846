"""One figure for all time: cited or refused, and beside the record where it is a contract's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from thinwatt_collector.factors import FactorError, load

GOOD = {
    "kind": "record",
    "zone": "YT",
    "intensity": "0.8 kg/kWh",
    "name": "a zone",
    "version": "2024",
    "published": "2025-01-15",
    "valid_from": "2025-01-01",
    "uncertainty": "20 %",
    "publisher": "a document, page 3",
}


def test_it_holds_from_its_first_day_on_and_is_flagged_before() -> None:
    found = load("fixed", GOOD)
    first = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp()) // 900
    value, flags = found.at(np.array([[first - 1], [first]]))
    assert (value * 3600.0).round(9).tolist() == [[0.8], [0.8]]
    assert flags.tolist() == [[True], [False]]
    factor = found.factor_of(0)
    assert (found.method, found.zone, found.vintage) == ("record_fixed", "YT", "2025-01-15")
    assert (factor.name, factor.source, factor.vintage) == ("a zone", "a document, page 3", "from 2025-01-01")
    assert factor.uncertainty == pytest.approx(0.2 / 1.96)


def test_a_contract_may_say_0_and_a_record_may_not() -> None:
    market = load("fixed", GOOD | {"kind": "market", "intensity": "0 g/kWh"})
    assert (market.kind, market.method, market.at(np.array([0]))[0].tolist()) == ("market", "market_fixed", [0.0])
    with pytest.raises(FactorError, match="no grid emits 0 g/kWh"):
        load("fixed", GOOD | {"intensity": "0 g/kWh"})
    with pytest.raises(FactorError, match="no 'live' method, but record, market; sources with one: csv, eco2mix"):
        load("fixed", GOOD | {"kind": "live"})


@pytest.mark.parametrize("key", [k for k in GOOD if k not in {"kind", "zone"}])
def test_a_figure_that_nobody_could_check_is_refused(key: str) -> None:
    with pytest.raises(FactorError, match=f"{key} is not set"):
        load("fixed", {k: v for k, v in GOOD.items() if k != key})


@pytest.mark.parametrize(
    "change, told",
    [
        ({"intensity": "0.8"}, "has no unit"),
        ({"intensity": "0.8 kg"}, "no unit of carbon intensity"),
        ({"uncertainty": "much"}, "'much' is no number"),
        ({"published": "lately"}, "published 'lately' is no day"),
        ({"valid_from": "lately"}, "valid_from 'lately' is no day"),
        ({"value": "1"}, "unknown option 'value'"),
    ],
)
def test_options_are_checked(change: dict[str, Any], told: str) -> None:
    with pytest.raises(FactorError, match=told):
        load("fixed", GOOD | change)
