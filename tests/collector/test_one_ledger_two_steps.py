"""Two collectors' steps on one ledger: each reads what the other wrote, none counts anything twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.collector.sending import Bench, Sender
from tests.invariants.memory_ledger import MemoryLedger
from tests.postgresql import Server
from thinwatt_collector.ledger import open_ledger

Pair = tuple[Bench, Bench]


@pytest.fixture(params=["memory", pytest.param("postgresql", marks=pytest.mark.peer)])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    if request.param == "memory":
        ledger = MemoryLedger()
        yield Bench(ledger), Bench(ledger)
        return
    server: Server = request.getfixturevalue("postgresql")
    url = server.url()
    with closing(open_ledger(url, 0)) as one, closing(open_ledger(url, 0)) as two:
        yield Bench(one), Bench(two)


def rows(first: int, last: int) -> list[tuple[int, float, list[float]]]:
    return [(n, 10.0 * n, [500.0 * n, 10.0 * n]) for n in range(first, last + 1)]


def test_both_give_the_same_numbers_to_different_names_and_nothing_fails(pair: Pair) -> None:
    a, b = pair
    one, two = Sender("one"), Sender("two")
    a.hello(one)
    b.hello(two, {"class": "desktop", "model": "x"})
    assert a.book(one, one.frame(0, rows(1, 6))) == 6
    assert b.book(two, two.frame(0, rows(1, 6))) == 6, "it had given number 0 to another device"
    assert [row[:2] for row in b.ledger.dimensions().devices] == [(0, "one"), (1, "two")]
    for bench in pair:
        bench.step.catch_up()
    assert a.totals() == b.totals()
    assert {name: total for (family, name), total in a.totals().items() if family == "ENERGY"} == {
        "measured, desktop": pytest.approx(3000.0),
        "measured, host": pytest.approx(3000.0),
    }


def test_what_the_other_booked_is_shown_by_both(pair: Pair) -> None:
    a, b = pair
    s = Sender()
    for bench in pair:
        bench.hello(s)
    for n in range(1, 20):
        bench, other = pair[n % 2], pair[1 - n % 2]
        assert bench.book(s, s.frame(n - 1, rows(n, n))) == n
        other.step.catch_up()
        bench.step.catch_up()
        assert a.totals() == b.totals()
        assert a.totals()["ENERGY", "measured, host"] == pytest.approx(500.0 * n)


def test_who_was_second_answers_as_the_ledger_says(pair: Pair) -> None:
    a, b = pair
    s, alone = Sender(), Sender("alone")
    for bench in pair:
        bench.hello(s)
        bench.hello(alone)
    assert a.book(s, s.frame(0, rows(1, 3))) == 3
    assert b.book(s, s.frame(3, rows(4, 6))) == 6
    a.give(alone, alone.frame(0, rows(1, 2)))
    a.give(s, s.frame(3, rows(4, 5)))
    positions, refusals = a.commit()
    assert (positions, refusals) == ({s.stream: 6, alone.stream: 2}, [])
    assert a.step.tallies.frames["elsewhere"] == 1
    assert a.book(s, s.frame(6, rows(7, 7))) == 7
    b.step.catch_up()
    assert b.totals()["ENERGY", "measured, host"] == pytest.approx(500.0 * 9)
    assert sum(amounts for *_, amounts in b.ledger.dimensions().labels) == sum(b.totals().values())


def test_what_a_machine_said_to_the_other_later_is_not_taken_back(pair: Pair) -> None:
    a, b = pair
    s = Sender()
    a.hello(s, {"class": "desktop", "model": "old"})
    assert a.book(s, s.frame(0, rows(1, 1))) == 1
    b.step.catch_up()
    b.hello(s, {"class": "host", "model": "new"})
    assert b.book(s, s.frame(1, rows(2, 2))) == 2
    for bench in (a, b, a):
        bench.step.catch_up()
        bench.commit()
    a.step.rebuild()
    a.commit()
    assert a.ledger.dimensions().devices == [(0, s.name, s.name, "host", "new", False)]
    assert a.totals() == b.totals()


def test_frames_of_a_schema_that_is_lost_on_the_way_come_again(pair: Pair) -> None:
    """Names are read again in the middle of a commit; what only an older hello said is not known then."""
    a, b = pair
    one, two = Sender("one"), Sender("two")
    a.hello(one)
    b.hello(two)
    b.give(two, two.frame(0, rows(1, 1)))
    assert a.book(one, one.frame(0, rows(1, 1))) == 1
    b.step._hellos.clear()
    assert b.commit()[0] in ({}, {two.stream: 1})
    b.hello(two)
    assert b.book(two, two.frame(0, rows(1, 1))) == 1
