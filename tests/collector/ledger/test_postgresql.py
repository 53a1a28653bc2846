"""The ledger on a real PostgreSQL server: how it is reached, what it says when it is not, and several collectors."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.collector.ledger.engines import enter
from tests.collector.ledger.transactions import energy, everything, first, named, stream_row, transaction
from tests.postgresql import Server
from thinwatt_collector.ledger import LedgerError, copies, open_ledger
from thinwatt_collector.ledger.address import address_of
from thinwatt_collector.ledger.migrating import migrations, version_of
from thinwatt_collector.ledger.postgresql import PostgreSQLLedger
from thinwatt_collector.ledger.session import EngineError

pytestmark = pytest.mark.peer


@pytest.fixture
def ledger(postgresql: Server) -> Iterator[PostgreSQLLedger]:
    made = opened(postgresql.url())
    yield made
    made.close()


@pytest.fixture
def other(ledger: PostgreSQLLedger) -> Iterator[PostgreSQLLedger]:
    """A second collector's connection to the same ledger."""
    made = PostgreSQLLedger(ledger.address)
    yield made
    made.close()


def opened(url: str) -> PostgreSQLLedger:
    made = open_ledger(url, 0)
    assert isinstance(made, PostgreSQLLedger)
    return made


# Reached, or not


def test_a_schema_is_made_once_by_however_many_come_first(postgresql: Server) -> None:
    url = postgresql.url()
    with ThreadPoolExecutor(8) as pool:
        ledgers = list(pool.map(lambda _: opened(url), range(8)))
    assert not any(everything(ledgers[0]).values())
    for each in ledgers:
        assert version_of(each.session) == migrations()[-1][0]
        each.close()


def test_a_ledger_of_a_newer_thinwatt_is_refused(ledger: PostgreSQLLedger) -> None:
    ledger.session.execute("INSERT INTO schema_version VALUES (999)")
    with pytest.raises(LedgerError, match=r"schema ledger_\d+: the ledger has version 999.*upgrade thinwatt"):
        PostgreSQLLedger(ledger.address)
    ledger.session.execute("DELETE FROM schema_version WHERE version = 999")


def test_the_password_comes_from_its_file_and_is_told_to_nobody(postgresql: Server, tmp_path: Path) -> None:
    url = postgresql.url(tcp=True)
    opened(url).close()
    wrong = tmp_path / "wrong"
    wrong.write_text("guessed-by-somebody\n")
    for file, word in ((wrong, "password authentication failed"), (tmp_path / "none", "No such file")):
        with pytest.raises(LedgerError, match=word) as caught:
            open_ledger(url.replace(str(postgresql.password_file), str(file)), 0)
        assert "guessed" not in str(caught.value)
        assert "can't open the ledger postgresql://thinwatt@127.0.0.1" in str(caught.value)


@pytest.mark.parametrize(
    "more, said",
    [("&port=1", "refused|No such file"), ("&colour=red", "colour"), ("&sslmode=verify-full", "SSL|root certificate")],
)
def test_what_libpq_says_of_an_address_is_told(postgresql: Server, more: str, said: str) -> None:
    url = postgresql.url(tcp=more != "&port=1")
    with pytest.raises(LedgerError, match=said) as caught:
        open_ledger(url.replace(f"&port={postgresql.port}", "") + more, 0)
    assert "\n" not in str(caught.value)


REMEDIES = {
    "a server that is not there": ("tcp", {":{port}/": ":1/"}, "pg_isready --host=127.0.0.1 --port=1"),
    "a socket that is not there": ("", {"port={port}": "port=1"}, "pg_isready"),
    "a database that is not there": ("", {"/postgres?": "/energy?"}, "CREATE DATABASE energy OWNER thinwatt"),
    "a role that is not there": ("", {"thinwatt@": "nobody_here@"}, "CREATE ROLE nobody_here LOGIN"),
    "a wrong password": ("tcp", {"{password}": "{wrong}"}, "write the password of the role thinwatt into {wrong}"),
    "no password": ("tcp", {"password_file={password}": "passfile=/dev/null"}, "password_file=ledger.password"),
    "no encryption": ("tcp", {"?": "?sslmode=require&"}, "ssl = on in postgresql.conf"),
}


@pytest.mark.parametrize("case", REMEDIES)
def test_what_keeps_it_from_its_server_is_said_with_what_to_do(postgresql: Server, tmp_path: Path, case: str) -> None:
    way, changes, remedy = REMEDIES[case]
    wrong = tmp_path / "wrong"
    wrong.write_text("guessed-by-somebody\n")
    known = {"port": postgresql.port, "password": postgresql.password_file, "wrong": wrong}
    url = postgresql.url(tcp=way == "tcp")
    for old, new in changes.items():
        assert old.format(**known) in url, url
        url = url.replace(old.format(**known), new.format(**known))
    with pytest.raises(LedgerError) as caught:
        open_ledger(url, 0)
    assert remedy.format(**known) in str(caught.value)
    assert "guessed" not in str(caught.value)


def test_a_role_without_a_schema_and_one_that_only_reads_are_told_what_they_lack(postgresql: Server) -> None:
    with psycopg.connect(postgresql.url().partition("?")[0] + f"?host={postgresql.folder}&port={postgresql.port}") as c:
        c.execute("CREATE ROLE newcomer LOGIN")
        c.execute("CREATE ROLE reader LOGIN SUPERUSER")
        c.execute("ALTER ROLE reader SET default_transaction_read_only = on")
    for role, remedy in (
        ("newcomer", "CREATE SCHEMA {schema} AUTHORIZATION newcomer"),
        ("reader", "the role or the database is read-only"),
    ):
        url = postgresql.url().replace("thinwatt@", f"{role}@")
        with pytest.raises(LedgerError) as caught:
            open_ledger(url, 0)
        assert remedy.format(schema=address_of(url).schema) in str(caught.value)


@pytest.mark.parametrize(
    "where",
    [
        "postgresql://tw:s3cret@db/energy",
        "postgresql://tw:s3/cret@db/energy",
        "postgresql://tw:s3#cret@db:port/energy",
        "postgresql://db/energy?sslpassword=s3cret",
        "mysql://tw:s3cret@db/energy",
    ],
)
def test_no_error_shows_a_password_whatever_else_is_wrong(where: str) -> None:
    with pytest.raises(ValueError, match="chmod 600") as caught:
        address_of(where)
    assert "cret" not in str(caught.value)


def test_a_database_that_can_not_hold_every_name_is_refused(postgresql: Server) -> None:
    with psycopg.connect(host=str(postgresql.folder), port=postgresql.port, user="thinwatt", dbname="postgres") as c:
        c.autocommit = True
        c.execute("CREATE DATABASE latin ENCODING LATIN1 LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0")
    with pytest.raises(LedgerError, match="encoding is LATIN1: make a database with createdb --encoding=UTF8"):
        open_ledger(postgresql.url().replace("/postgres?", "/latin?"), 0)


def test_without_the_driver_it_is_said_how_to_come_by_it(postgresql: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(LedgerError, match=r"pip install 'thinwatt\[collector,postgres\]'"):
        open_ledger(postgresql.url(), 0)


def test_names_of_any_letters_are_kept(ledger: PostgreSQLLedger) -> None:
    name = "salle «é» \\ ' \" % ? 𝄞"
    ledger.commit(transaction(devices=[(0, name, name, "host", name, False)], labels=[(0, "ENERGY", name)]))
    ledger.reopen()
    known = ledger.dimensions()
    assert known.devices == [(0, name, name, "host", name, False)]
    assert known.labels == [(0, "ENERGY", name, 0.0)]


def test_copies_are_the_servers_business(ledger: PostgreSQLLedger) -> None:
    with pytest.raises(LedgerError, match="pg_dump"):
        ledger.backup("/tmp/copy")
    with pytest.raises(LedgerError, match="pg_dump"):
        copies.file_of("postgresql://db/energy")
    assert ledger.size() > 100_000
    assert ledger.checkpoint()


# A server that goes away


@pytest.fixture(scope="module")
def frail() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_went_away_is_told_and_found_again(
    frail: Server, postgresql: Server, how: signal.Signals
) -> None:
    ledger = opened(frail.url())
    first(ledger)
    before = everything(ledger)
    size = ledger.size()
    frail.stop(how)
    for call in (
        lambda: ledger.commit(transaction([(stream_row(1, 12), 6, True)])),
        lambda: ledger.streams([("a", b"x")]),
        ledger.dimensions,
        lambda: ledger.seal(9),
        ledger.reader,
        ledger.reopen,
    ):
        with pytest.raises(LedgerError):
            call()
    assert ledger.size() == size
    frail.start()
    ledger.reopen()
    assert everything(ledger) == before
    first_moves = transaction([(stream_row(1, 12), 6, True)], [(0, 0, 7, 0, 5.0)])
    assert ledger.commit(first_moves).tolist() == [0]
    ledger.close()


def test_a_server_that_stands_still_is_given_up(frail: Server, postgresql: Server) -> None:
    """Its connections stay open, the kernel acknowledges what is sent: only a clock tells."""
    ledger = opened(frail.url(tcp=True))
    first(ledger)
    ledger.session.patience = 0.5
    frail.pause()
    began = time.monotonic()
    with pytest.raises(LedgerError):
        ledger.commit(transaction([(stream_row(1, 12), 6, True)]))
    assert 0.4 < time.monotonic() - began < 10
    frail.go_on()
    ledger.reopen()
    assert ledger.streams([("a", stream_row(1).stream)])[0].position == 6
    ledger.close()


def test_an_interrupted_question_ends(ledger: PostgreSQLLedger) -> None:
    reader = ledger.reader()
    threading.Timer(0.3, reader.interrupt).start()
    began = time.monotonic()
    with pytest.raises(EngineError, match="canceling statement"):
        reader.execute("SELECT pg_sleep(60)")
    assert time.monotonic() - began < 10
    reader.close()


# Several collectors


def test_of_two_collectors_with_the_same_frames_one_books_them(
    ledger: PostgreSQLLedger, other: PostgreSQLLedger
) -> None:
    first(ledger)
    for position in range(12, 600, 12):
        row = transaction([(stream_row(1, position), position - 12 or 6, True)], [(0, 0, 7, 0, 1.0)], [(0, 0, 1.0)])
        with ThreadPoolExecutor(2) as pool:
            moved = [done.tolist() for done in pool.map(PostgreSQLLedger.commit, (ledger, other), (row, row))]
        assert sorted(moved) == [[], [0]]
    assert energy(ledger)[0, 7, 0][0] == 60.0 + 49
    assert ledger.dimensions().labels[0][3] == 100.0 + 49


def test_two_that_write_in_another_order_wait_for_each_other_and_neither_fails(
    ledger: PostgreSQLLedger, other: PostgreSQLLedger
) -> None:
    ledger.commit(transaction([(stream_row(n), 0, False) for n in range(40)], **named()))

    def book(each: PostgreSQLLedger, streams: range) -> None:
        for position in range(60):
            moves = [(stream_row(n, position + 1), position, True) for n in streams]
            places = [(i, n % 2, position, n % 2, 1.0) for i, n in enumerate(streams)]
            totals = [(i, n % 2, 1.0) for i, n in enumerate(streams)]
            assert each.commit(transaction(moves, places, totals)).tolist() == list(range(len(streams)))

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(book, ledger, range(20)), pool.submit(book, other, range(39, 19, -1))]:
            done.result()
    assert sum(amounts[0] for amounts in energy(ledger).values()) == 40 * 60
    assert sum(total for *_, total in ledger.dimensions().labels) == 40 * 60


def test_what_is_booked_while_another_collector_seals_is_sealed_or_stays_open(
    ledger: PostgreSQLLedger, other: PostgreSQLLedger
) -> None:
    """The INSERT and the DELETE of a seal see the same rows, whoever commits in between."""
    first(ledger)
    stop = threading.Event()

    def seal() -> int:
        seals = 0
        while not stop.is_set():
            other.seal(100)
            seals += 1
        return seals

    with ThreadPoolExecutor(1) as pool:
        sealing = pool.submit(seal)
        for position in range(12, 1200, 12):
            moves = [(stream_row(1, position), position - 12 or 6, True)]
            assert ledger.commit(transaction(moves, [(0, 0, 7, 0, 1.0)])).tolist() == [0]
        stop.set()
        assert sealing.result() > 10
    assert sum(amounts[0] for amounts in energy(ledger).values()) == 100.0 + 99


def test_a_collector_that_stands_still_in_mid_transaction_holds_up_the_others_for_seconds(
    ledger: PostgreSQLLedger, other: PostgreSQLLedger
) -> None:
    first(ledger)
    other.session.execute("SET idle_in_transaction_session_timeout = '500ms'")
    with pytest.raises(EngineError), other.session.whole():  # noqa: PT012  # what it stands still in
        other.session.execute("UPDATE stream SET pos = 99")
        began = time.monotonic()
        assert ledger.commit(transaction([(stream_row(1, 12), 6, True)])).tolist() == [0]
        assert 0.2 < time.monotonic() - began < 10
        other.session.execute("SELECT 1")
    assert ledger.streams([("a", stream_row(1).stream)])[0].position == 12
    other.reopen()
    assert other.streams([("a", stream_row(1).stream)])[0].position == 12


def test_a_lock_that_is_not_had_in_time_is_an_error_and_not_the_end(
    ledger: PostgreSQLLedger, other: PostgreSQLLedger
) -> None:
    first(ledger)
    ledger.session.execute("SET lock_timeout = '200ms'")
    with other.session.whole(), pytest.raises(LedgerError, match="lock timeout"):
        ledger.commit(transaction([(stream_row(1, 12), 6, True)]))
    assert ledger.commit(transaction([(stream_row(1, 12), 6, True)])).tolist() == [0]


def test_a_large_question_reads_no_more_than_its_window(ledger: PostgreSQLLedger) -> None:
    enter(ledger.session, "sealed_slot", [(d, s, 0, 1.0, 0.0, 0.0, 1.0) for d in range(20) for s in range(5000)])
    ledger.session.execute("ANALYZE sealed_slot")
    plan = "EXPLAIN SELECT sum(joules) FROM sealed_slot AS t WHERE t.slot BETWEEN 100 AND 104"
    assert "sealed_slot_slot" in str(ledger.session.execute(plan).fetchall())


def test_the_address_stands_in_what_is_shown(ledger: PostgreSQLLedger) -> None:
    assert str(ledger).startswith("postgresql://thinwatt@/postgres, schema ledger_")
    assert address_of(str(ledger).partition(",")[0]).server == "postgresql://thinwatt@/postgres"
