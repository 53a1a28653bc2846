"""Frames are booked by the calibration of their time: hand-worked, on a ledger in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.collector.calibrated.test_calibrations import LOAD, RAPL
from tests.collector.sending import HOST, NOW, SECOND, Bench, Sender, pair
from tests.collector.sending import LOAD as LOAD_COLUMNS
from tests.collector.sending import RAPL as RAPL_COLUMNS
from thinwatt_agent.wire import Column, Group, Schema
from thinwatt_collector.calibrated import Calibrations
from thinwatt_collector.fleet import Fleet

BEGIN = NOW // SECOND
MACHINE = {"class": "host", "model": "X"}
COMPONENTS = replace(
    RAPL,
    kind="host",
    valid_from=BEGIN + 900,
    assumed=(HOST.base, HOST.efficiency),
    rest_watts=HOST.base / HOST.efficiency,
)
CURVE = replace(
    LOAD, kind="host", valid_from=BEGIN + 900, assumed=tuple(HOST.watts.tolist()), rest_watts=float(HOST.watts[0])
)


def by_basis(bench: Bench) -> dict[tuple[str, int], tuple[float, float, float]]:
    """Joules, bias and seconds of the winners by basis and slot."""
    known = bench.ledger.dimensions()
    basis = {row[0]: row[4] for row in known.sources if row[1] == "booked"}
    return {
        (basis[s], slot - BEGIN // 900): (joules, bias, covered)
        for (_, slot, s), (joules, _, bias, covered) in bench.ledger.energy().items()
        if s in basis
    }


def sent(columns: tuple[Column, ...], per_row: list[float], rows: int = 30) -> tuple[Bench, Sender]:
    """Half an hour in rows of a minute, in one frame."""
    bench = Bench()
    bench.step.fleet.powers.calibrate(Calibrations([COMPONENTS, CURVE]))
    sender = Sender(schema=Schema((Group(("",), columns),)))
    bench.hello(sender, MACHINE)
    told = [(n, 60.0 * n, [n * of for of in per_row]) for n in range(1, rows + 1)]
    assert bench.book(sender, sender.frame(0, told)) == rows
    return bench, sender


def test_components_are_brought_to_the_wall_by_what_holds_in_their_slot() -> None:
    # 45 W of components. Before: (45 + 30) / 0.9 W; from the second slot on 1.1 × 45 / 0.9 + 1.2 × 30 / 0.9 = 95 W.
    bench, _ = sent(RAPL_COLUMNS, [2700.0, 60.0])
    before, after = by_basis(bench)[("modelled", 0)], by_basis(bench)[("modelled", 1)]
    assert before == pytest.approx((900 * 75 / 0.9, 900 * 75 / 0.9 * HOST.u_component, 900.0))
    assert after == pytest.approx((900 * 95.0, 900 * 95.0 * COMPONENTS.uncertainty, 900.0))


def test_a_calibrated_load_is_modelled_and_one_before_it_is_assumed() -> None:
    # Load 0.3: 175 W assumed; then 1.2 × 100 + 0.8 × 75 = 180 W.
    bench, _ = sent(LOAD_COLUMNS, [72.0, 240.0, 60.0])
    found = by_basis(bench)
    assert found == {
        ("assumed", 0): pytest.approx((900 * 175.0, 900 * 175.0 * HOST.u_load, 900.0)),
        ("modelled", 1): pytest.approx((900 * 180.0, 900 * 180.0 * CURVE.uncertainty, 900.0)),
    }
    assert bench.totals()[("ENERGY", "modelled, host")] == pytest.approx(900 * 180.0)


def test_what_was_booked_never_changes_and_late_rows_are_booked_by_what_held_then() -> None:
    bench, sender = sent(LOAD_COLUMNS, [72.0, 240.0, 60.0], rows=15)
    before = by_basis(bench)
    # Much later: a newer calibration holds, and a frame comes that reaches from the old into the new.
    bench.step.fleet.powers.calibrate(
        Calibrations([COMPONENTS, CURVE, replace(CURVE, version=2, valid_from=BEGIN + 1800, rest=2.0)])
    )
    rows = [(n, 60.0 * n, [72.0 * n, 240.0 * n, 60.0 * n]) for n in range(16, 46)]
    assert bench.book(sender, sender.frame(15, rows)) == 45
    found = by_basis(bench)
    assert found[("assumed", 0)] == before[("assumed", 0)]
    assert found[("modelled", 1)][0] == pytest.approx(900 * 180.0)
    assert found[("modelled", 2)][0] == pytest.approx(900 * (200.0 + 60.0))


def test_a_ledger_that_failed_leaves_the_calibrations() -> None:
    bench, _ = sent(LOAD_COLUMNS, [72.0, 240.0, 60.0])
    bench.step.rebuild()
    fleet: Fleet = bench.step.fleet
    assert fleet.powers.calibrations.epochs == (BEGIN + 900,)
    assert fleet.powers.of(fleet.winner_ids[:1] * 0).watts[0].tolist() == pytest.approx(CURVE.watts.tolist())


def test_beside_a_meter_the_ledger_keeps_what_the_models_assume() -> None:
    columns = (*pair("plug"), *RAPL_COLUMNS, *LOAD_COLUMNS)
    bench, _ = sent(columns, [9000.0, 60.0, 2700.0, 60.0, 72.0, 240.0, 60.0])
    known = bench.ledger.dimensions()
    parts = {row[0]: row[2] for row in known.sources if row[1] == "model"}
    found: dict[str, float] = {}
    for (_, _, s), (joules, _, _, covered) in bench.ledger.energy().items():
        if s in parts:
            assert covered == 900.0
            found[parts[s]] = found.get(parts[s], 0.0) + joules
    # By what was assumed, whatever is known since: else a calibration would be learnt from itself.
    assert found == {
        "components/rest": pytest.approx(1800 * 30 / 0.9),
        "components/moving": pytest.approx(1800 * 45 / 0.9),
        "load/rest": pytest.approx(1800 * 100.0),
        "load/moving": pytest.approx(1800 * 75.0),
    }
    assert {basis for basis, _ in by_basis(bench)} == {"measured"}
