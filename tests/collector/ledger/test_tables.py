"""The ledger on every engine: whole or not at all, and the same as the plain one of the model."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from tests.collector.ledger.engines import Engine
from tests.collector.ledger.transactions import Place, energy, everything, first, named, stream_row, transaction
from tests.collector.sending import Bench, Sender
from tests.invariants.memory_ledger import MemoryLedger
from thinwatt_collector.ledger import LedgerError
from thinwatt_collector.ledger.session import EngineError
from thinwatt_collector.ledger.tables import Tables


def test_everything_is_there_when_it_is_opened_again(ledger: Tables) -> None:
    first(ledger)
    before = everything(ledger)
    ledger.reopen()
    assert everything(ledger) == before
    (row,) = ledger.streams([("a", stream_row(1).stream), ("a", stream_row(2).stream), ("b", stream_row(1).stream)])
    assert row == stream_row(1, 6)
    known = ledger.dimensions()
    assert known.schemas == {b"schema".ljust(8): "[]"}
    assert known.labels == [(0, "ENERGY", '{"class": "0"}', 100.0), (1, "ENERGY", '{"class": "1"}', 0.0)]
    assert [row[1] for row in known.devices] == ["d0", "d1"]


def test_last_rows_are_those_of_each_boot(ledger: Tables) -> None:
    rows = [stream_row(1, 6), stream_row(2, 9), stream_row(3, 2, boot=b"2" * 16), stream_row(4, 50, agent="b")]
    ledger.commit(transaction([(row, 0, False) for row in rows], **named()))
    assert sorted(ledger.last_rows(["a", "c"])) == [("a", b"2" * 16, 1020, 20), ("a", b"boot".ljust(16), 1090, 90)]
    assert list(ledger.last_rows([])) == []


# Transactions


def test_a_position_that_is_not_as_expected_moves_nothing(ledger: Tables) -> None:
    first(ledger)
    before = everything(ledger)
    for old, saved in ((0, False), (0, True), (3, True), (9, True)):
        stale = transaction([(stream_row(1, 12), old, saved)], [(0, 0, 7, 0, 5.0)], [(0, 0, 5.0)])
        assert ledger.commit(stale).tolist() == []
    assert everything(ledger) == before


def test_of_two_streams_only_the_one_that_moves_brings_its_energy(ledger: Tables) -> None:
    first(ledger)
    both = transaction(
        [(stream_row(1, 12), 3, True), (stream_row(2, 5), 0, False)],
        [(0, 0, 7, 0, 1000.0), (1, 0, 7, 0, 7.0), (1, 1, 7, 1, 8.0)],
        [(0, 0, 1000.0), (1, 0, 7.0), (1, 1, 8.0)],
    )
    assert ledger.commit(both).tolist() == [1]
    assert energy(ledger)[0, 7, 0] == pytest.approx((67.0, 67.0, 67.0, 67.0 / 50))
    assert energy(ledger)[1, 7, 1][0] == 8.0
    assert [total for *_, total in ledger.dimensions().labels] == [107.0, 8.0]
    positions = {row.stream: row.position for row in ledger.streams([("a", stream_row(n).stream) for n in (1, 2)])}
    assert positions == {stream_row(1).stream: 6, stream_row(2).stream: 5}


def test_the_same_transaction_twice_counts_once(ledger: Tables) -> None:
    first(ledger)
    again = transaction([(stream_row(1, 6), 0, False)], [(0, 0, 7, 0, 60.0)], [(0, 0, 60.0)])
    assert ledger.commit(again).tolist() == []
    assert sum(amounts[0] for amounts in energy(ledger).values()) == 100.0


def test_a_number_that_another_collector_gave_fails_the_whole_transaction(ledger: Tables) -> None:
    first(ledger)
    before = everything(ledger)
    move = [(stream_row(2, 1), 0, False)]
    for names in (
        {"devices": [(1, "another", "b", "host", "", False)]},
        {"devices": [(5, "d1", "b", "host", "", False)]},
        {"sources": [(1, "another", "", "", "")]},
        {"labels": [(1, "ENERGY", '{"class": "another"}')]},
        {"labels": [(7, "ENERGY", '{"class": "1"}')]},
    ):
        with pytest.raises(LedgerError):
            ledger.commit(transaction(move, [(0, 0, 7, 0, 5.0)], [(0, 0, 5.0)], **names))
        assert everything(ledger) == before
    assert ledger.commit(transaction(move, devices=[(1, "d1", "a", "desktop", "y", True)])).tolist() == [0]
    assert ledger.dimensions().devices[1] == (1, "d1", "a", "desktop", "y", True)


def failing_after(statements: int, error: Exception) -> Callable[..., object]:
    work, calls = Tables._batch, itertools.count()

    def batch(*arguments: Any) -> object:
        if next(calls) == statements:
            raise error
        return work(*arguments)

    return batch


def test_a_failure_at_any_statement_leaves_nothing_half_done(ledger: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    first(ledger)
    before = everything(ledger)
    t = transaction(
        [(stream_row(1, 12), 6, True), (stream_row(2, 5), 0, False)],
        [(0, 0, 7, 0, 1.0), (1, 1, 7, 1, 8.0)],
        [(0, 0, 1.0), (1, 2, 8.0)],
        devices=[(2, "d2", "a", "host", "", False)],
        sources=[(2, "s2", "", "", "")],
        labels=[(2, "GAP", "{}")],
        schemas=[(b"2" * 8, "[]")],
    )
    for error in (EngineError("disk"), OSError("disk"), ValueError("bug")):
        for statements in range(8):
            with monkeypatch.context() as patch:
                patch.setattr(Tables, "_batch", failing_after(statements, error))
                with pytest.raises(ValueError if isinstance(error, ValueError) else LedgerError):
                    ledger.commit(t)
            assert everything(ledger) == before
    assert ledger.commit(t).tolist() == [0, 1]


def test_after_it_was_closed_everything_says_so_until_it_is_reopened(ledger: Tables) -> None:
    first(ledger)
    ledger.close()
    for call in (
        lambda: ledger.commit(transaction([(stream_row(2, 1), 0, False)])),
        lambda: ledger.streams([("a", b"x")]),
        lambda: ledger.last_rows(["a"]),
        ledger.dimensions,
        lambda: ledger.seal(9),
        lambda: ledger.forget_streams(9),
        lambda: ledger.backup("copy"),
    ):
        with pytest.raises(LedgerError):
            call()
    ledger.reopen()
    assert len(ledger.streams([("a", stream_row(1).stream)])) == 1


# Sealing


def test_sealing_moves_slots_and_late_energy_enters_them_again(ledger: Tables) -> None:
    first(ledger)
    before = energy(ledger)
    ledger.seal(8)
    assert energy(ledger) == before
    assert set(energy(ledger, "open_slot")) == {(0, 8, 0)}
    for position in (12, 18, 24):
        late = transaction([(stream_row(1, position), position - 6, True)], [(0, 0, 7, 0, 5.0)])
        assert ledger.commit(late).tolist() == [0]
        assert (0, 7, 0) in energy(ledger, "open_slot")
        ledger.seal(8)
    ledger.seal(100)
    assert not energy(ledger, "open_slot")
    assert energy(ledger)[0, 7, 0][0] == 75.0
    assert energy(ledger)[0, 8, 0][0] == 40.0


def test_sealing_and_late_energy_beside_a_reader(ledger: Tables) -> None:
    """A reader keeps its view; rows deleted under it and entered again are no duplicate keys."""
    first(ledger)
    reader = ledger.reader()
    with reader.snapshot():
        assert reader.execute("SELECT sum(joules) FROM energy").fetchall() == [(100.0,)]
        ledger.seal(100)
        assert ledger.commit(transaction([(stream_row(1, 12), 6, True)], [(0, 0, 7, 0, 5.0)])).tolist() == [0]
        ledger.seal(100)
        assert ledger.commit(transaction([(stream_row(1, 18), 12, True)], [(0, 0, 7, 0, 5.0)])).tolist() == [0]
        assert reader.execute("SELECT sum(joules) FROM energy").fetchall() == [(100.0,)]
    reader.close()
    assert sum(amounts[0] for amounts in energy(ledger).values()) == 110.0


def test_streams_silent_for_long_are_forgotten_and_their_energy_is_not(ledger: Tables) -> None:
    first(ledger)
    ledger.forget_streams(6)
    assert len(ledger.streams([("a", stream_row(1).stream)])) == 1
    ledger.forget_streams(7)
    assert not ledger.streams([("a", stream_row(1).stream)])
    assert sum(amounts[0] for amounts in energy(ledger).values()) == 100.0


# Against the plain one

AMOUNT = st.floats(0, 1e6, allow_subnormal=False)
MOVE = st.tuples(st.integers(1, 3), st.integers(0, 3), st.integers(1, 4))
TRANSACTION = st.tuples(
    st.lists(MOVE, max_size=3, unique_by=lambda move: move[0]),
    st.lists(st.tuples(st.integers(0, 2), *[st.integers(0, 1)] * 3, AMOUNT), max_size=6),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), AMOUNT), max_size=4),
)
STEPS = st.lists(st.one_of(TRANSACTION, st.integers(0, 3)), max_size=12)


@settings(max_examples=40)
@given(STEPS)
def test_it_does_what_the_plain_ledger_of_the_model_does(
    engine: Engine,
    steps: list[tuple[list[tuple[int, int, int]], list[Place], list[tuple[int, int, float]]] | int],
) -> None:
    real, plain = engine.open(), MemoryLedger()
    try:
        for ledger in (real, plain):
            ledger.commit(transaction(**named()))
        for step in steps:
            if isinstance(step, int):
                real.seal(step)
                plain.seal(step)
                continue
            moves, places, totals = step
            known = {row.stream for row in plain.streams([("a", stream_row(n).stream) for n in (1, 2, 3)])}
            # A stream that is not in the ledger is at position 0 in every collector's memory.
            moving = [(n, old if stream_row(n).stream in known else 0, by) for n, old, by in moves]
            rows = [(stream_row(n, old + by), old, stream_row(n).stream in known) for n, old, by in moving]
            ours = [place for place in places if place[0] < len(rows)]
            t = transaction(rows, ours, [total for total in totals if total[0] < len(rows)])
            assert real.commit(t).tolist() == plain.commit(t).tolist()
        wanted = [("a", stream_row(n).stream) for n in (1, 2, 3)]
        assert sorted(real.streams(wanted), key=repr) == sorted(plain.streams(wanted), key=repr)
        assert sorted(real.last_rows(["a"])) == sorted(plain.last_rows(["a"]))
        assert real.dimensions() == plain.dimensions()
        found, expected = energy(real), plain.energy()
        assert set(found) == set(expected)
        for key, amounts in expected.items():
            assert found[key] == pytest.approx(amounts, rel=1e-12)
    finally:
        real.close()


def test_totals_in_memory_are_those_of_the_ledger_to_the_last_bit(ledger: Tables) -> None:
    bench, s = Bench(ledger), Sender()
    bench.hello(s)
    joules, shown = 0.0, [0.0]
    for n in range(1, 60):
        joules += 0.1 * n / 7
        assert bench.book(s, s.frame(n - 1, [(n, 37.7 * n, [joules, 37.7 * n])])) == n
        shown = bench.step.fleet.totals.values.tolist()
        assert shown == [total for *_, total in ledger.dimensions().labels]
    bench.restart()
    assert bench.step.fleet.totals.values.tolist() == shown
    assert bench.totals()["ENERGY", "measured, host"] == pytest.approx(joules, rel=1e-12)
