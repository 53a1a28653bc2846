"""Readers beside the step: what they see, whom they ask, and that they hold up nobody."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.collector.ledger.transactions import named, stream_row, transaction
from tests.collector.sending import NOW, SECOND, Bench, Sender, pair
from thinwatt_agent.wire import Column, Group, Schema
from thinwatt_collector.factors import table
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger
from thinwatt_collector.ledger.tables import Tables
from thinwatt_collector.models.devices import DeviceTable
from thinwatt_collector.readers import LedgerBooks, agents_of
from thinwatt_collector.serve.api.books import UnreadableError
from thinwatt_collector.step import Step


@pytest.fixture
def books(ledger: Tables) -> LedgerBooks:
    return LedgerBooks(ledger, Step(ledger, DeviceTable.packaged().of, table.load({"zone": "FR"})))


def test_a_reader_sees_what_was_committed_and_holds_up_no_commit(ledger: Tables, books: LedgerBooks) -> None:
    reader = books.reader()
    assert reader.first() is None
    first = transaction([(stream_row(1, 6), 0, False)], [(0, 0, 7, 0, 60.0)], [(0, 0, 60.0)], **named())
    assert ledger.commit(first).tolist() == [0], "the reader is still open"
    assert reader.first() == 7 * 900
    reader.close()


def test_many_readers_while_the_step_commits(ledger: Tables, books: LedgerBooks) -> None:
    ledger.commit(transaction([(stream_row(1, 1), 0, False)], [(0, 0, 7, 0, 1.0)], [(0, 0, 1.0)], **named()))
    stop, wrong = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            reader = books.reader()
            if reader.first() != 7 * 900:
                wrong.append(reader)
            reader.close()

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for position in range(1, 60):
        moved = ledger.commit(
            transaction([(stream_row(1, position + 1), position, True)], [(0, 0, 8, 0, 1.0)], [(0, 0, 1.0)])
        )
        assert moved.tolist() == [0]
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_closed_file_is_told(tmp_path: Path) -> None:
    ledger = DuckDBLedger(tmp_path / "ledger.duckdb")
    books = LedgerBooks(ledger, Step(ledger, DeviceTable.packaged().of, table.load({"zone": "FR"})))
    ledger.close()
    with pytest.raises(UnreadableError, match="can't be read"):
        books.reader()


def test_agents_are_asked_for_between_two_rounds(books: LedgerBooks, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(books.agents("", 10)))
    thread.start()
    while thread.is_alive():
        books.serve()
    assert found == [[]]
    monkeypatch.setattr("thinwatt_collector.readers.ROUND_WITHIN", 0.05)
    with pytest.raises(UnreadableError, match="busy"):
        books.agents("", 10)
    books.serve()  # what nobody waits for any more is passed over


def test_the_newest_stream_of_an_agent_says_how_it_is() -> None:
    bench = Bench()
    own = Schema((Group(("",), (*pair("plug"), Column("agent", "spool_rows", "gauge", "1"))),))
    for name, at, rows in (("b", 1, 7.0), ("a", 2, 3.0), ("a", 3, 4.0), ("c", 4, 0.0)):
        bench.now = NOW + at * SECOND
        sender = Sender(name, own, boot=bytes([at]) * 16)
        bench.hello(sender, {"class": "desktop", "agent_version": "1.2", "simulated": name == "c"})
        assert bench.book(sender, sender.frame(0, [(1, 10.0, [10.0, 10.0, rows])])) == 1
    bench.step.tallies.skew["a"] = -SECOND // 2
    a, b, c = agents_of(bench.step, "", 10)
    assert (a.name, a.seen, a.skew, a.spool_rows, a.version, a.simulated) == (
        "a",
        NOW + 3 * SECOND,
        -0.5,
        4.0,
        "1.2",
        False,
    )
    assert (b.spool_rows, b.spool_bytes, c.simulated) == (7.0, None, True)
    assert [x.name for x in agents_of(bench.step, "a", 1)] == ["b"]
