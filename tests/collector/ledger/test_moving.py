"""A ledger moved from a file to a server and back: whole, bit by bit, or not at all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.collector.ledger.engines import Engine
from tests.collector.ledger.transactions import energy, named, stream_row, transaction
from tests.collector.sending import Bench, Sender
from thinwatt_collector.__main__ import main
from thinwatt_collector.ledger import LedgerError, moving, open_ledger
from thinwatt_collector.ledger.bulk import Series, add
from thinwatt_collector.ledger.moving import TABLES, move
from thinwatt_collector.ledger.tables import Tables

FIRST = 20_000 * 96
COLUMNS = """SELECT column_name FROM information_schema.columns
    WHERE table_name = ? AND table_schema = current_schema() ORDER BY ordinal_position"""
BASE = "SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"


@pytest.fixture(params=["duckdb", pytest.param("postgresql", marks=pytest.mark.peer)])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """Where it is moved to."""
    return Engine(tmp_path, request.getfixturevalue("postgresql") if request.param == "postgresql" else None)


@pytest.fixture
def place(engine: Engine) -> str:
    """A ledger with everything in it."""
    found = engine.place()
    ledger = engine.open(found)
    rows = [(0, 0, FIRST + 400, 0, 0.1 + 0.2), (1, 1, FIRST + 400, 1, 1 / 3)]
    moves = [(stream_row(1, 6), 0, False), (stream_row(2, 9, agent="é"), 0, False)]
    ledger.commit(transaction(moves, rows, [(0, 0, 0.1 + 0.2), (1, 1, 1 / 3)], **named()))
    random = np.random.default_rng(1)
    joules = random.random((2, 192)) * 1000
    days = Series(FIRST, np.array([0, 1]), np.array([0, 1]), joules, joules / 20, np.full((2, 192), 900.0))
    add(ledger.session, days, "UTC")
    add(ledger.session, Series(FIRST + 192, days.device, days.source, joules, joules, days.covered))
    ledger.session.execute("INSERT INTO folded_device VALUES (-1, 'desktop', FALSE, 'room', 'A''1')")
    ledger.session.execute("UPDATE slots_kept SET hour = 7")
    ledger.close()
    return found


def content(place: str) -> dict[str, list[str]]:
    ledger = open_ledger(place, 1 << 30)
    assert isinstance(ledger, Tables)
    try:
        names = {table: ", ".join(c.partition(":")[0] for c in columns.split()) for table, columns in TABLES.items()}
        return {t: sorted(map(repr, ledger._rows(f"SELECT {c} FROM {t}"))) for t, c in names.items()}  # noqa: S608  # ours
    finally:
        ledger.close()


def nothing_there(place: str) -> bool:
    kind, _, path = place.partition(":")
    if kind == "duckdb":
        return not any(Path(path).parent.glob(Path(path).name + "*"))
    return not any(rows for table, rows in content(place).items() if table != "slots_kept")


def test_every_row_is_there_and_counters_go_on(place: str, other: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "PIECE", 37)
    before, target, told = content(place), other.place(), []
    moved = move(place, target, lambda *far: told.append(far))
    assert content(target) == before == content(place)
    assert all(before.values()), "the ledger that is moved has something in every table"
    assert moved.rows == {table: len(rows) for table, rows in before.items()}
    assert told[-1] == ("folded_device", sum(moved.rows.values()), sum(moved.rows.values()))
    ledger = other.open(target)
    assert moved.joules == pytest.approx(sum(amounts[0] for amounts in energy(ledger).values()))
    assert ledger.commit(transaction([(stream_row(1, 12), 6, True)], [(0, 0, 7, 0, 1.0)], [(0, 0, 1.0)])).tolist() == [
        0
    ]
    assert ledger.dimensions().labels[0][3] == 0.1 + 0.2 + 1.0
    ledger.close()


def test_agents_notice_nothing(engine: Engine, other: Engine) -> None:
    first, target = engine.place(), other.place()
    ledger = engine.open(first)
    bench, s = Bench(ledger), Sender()
    bench.hello(s)
    assert bench.book(s, s.frame(0, [(n, 10.0 * n, [500.0 / 7 * n, 10.0 * n]) for n in range(1, 7)])) == 6
    shown = bench.totals()
    ledger.close()
    move(first, target)
    moved = other.open(target)
    bench.ledger = moved
    bench.restart()
    assert bench.totals() == shown
    bench.hello(s)
    assert bench.book(s, s.frame(0, [(3, 30.0, [500.0 / 7 * 3, 30.0])])) == 6, "it knows what was booked"
    assert bench.book(s, s.frame(6, [(7, 70.0, [500.0, 70.0])])) == 7
    assert bench.totals()["ENERGY", "measured, host"] == pytest.approx(500.0, rel=1e-12)
    moved.close()


def test_it_knows_every_table_and_column(engine: Engine) -> None:
    with engine.session() as session:
        there = {name for (name,) in session.execute(f"{BASE} AND table_schema = current_schema()").fetchall()}
        assert there == TABLES.keys() | {"schema_version"}
        for table, columns in TABLES.items():
            found = [name for (name,) in session.execute(COLUMNS, [table]).fetchall()]
            assert found == [column.partition(":")[0] for column in columns.split()]


def test_a_target_with_something_in_it_is_left_alone(place: str, other: Engine) -> None:
    target = other.place()
    ledger = other.open(target)
    ledger.commit(transaction(**named()))
    ledger.close()
    before = content(target)
    with pytest.raises(LedgerError, match=r"is not empty, there are rows in wire_schema|is there already"):
        move(place, target)
    assert content(target) == before
    with pytest.raises(LedgerError, match="same ledger"):
        move(place, place)


@pytest.fixture
def running(place: str) -> Iterator[str]:
    """A collector has it open."""
    code = "import sys; from thinwatt_collector.ledger import open_ledger as o; l = o(sys.argv[1], 1 << 28); "
    child = subprocess.Popen(
        [sys.executable, "-c", f"{code}print(1, flush=True); sys.stdin.read()", place],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    child.stdout.readline()
    yield place
    child.communicate()


def test_not_beside_a_collector_that_runs(running: str, other: Engine) -> None:
    target = other.place()
    with pytest.raises(LedgerError, match=r"a collector runs on|Could not set lock"):
        move(running, target)
    assert nothing_there(target)


def test_no_collector_starts_on_a_ledger_that_is_being_moved(place: str, other: Engine) -> None:
    refused: list[str] = []
    target = other.place()

    def start(*_: object) -> None:
        for each in set() if refused else {place, target} - {p for p in (place, target) if p.startswith("duckdb")}:
            with pytest.raises(LedgerError, match="it is being moved") as caught:
                open_ledger(each, 1 << 28)
            refused.append(str(caught.value))

    move(place, target, start)
    assert bool(refused) == ("postgresql" in place + target)
    for each in (place, target):
        open_ledger(each, 1 << 28).close()


@pytest.mark.parametrize("wrong", ["a row less", "another bit", "a failure"])
def test_what_is_not_the_same_is_not_there(
    place: str, other: Engine, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, target = content(place), other.place()
    insert = moving._copy

    def badly(old: Any, new: Any, told: Any) -> dict[str, int]:
        found = insert(old, new, told)
        if wrong == "a failure":
            raise OSError("the disk is full")
        new.execute("DELETE FROM local_day" if wrong == "a row less" else "UPDATE booked SET total = total + 1e-15")
        return found

    monkeypatch.setattr(moving, "_copy", badly)
    with pytest.raises((LedgerError, OSError), match=r"nothing was moved|disk is full"):
        move(place, target)
    assert nothing_there(target)
    assert content(place) == before
    monkeypatch.undo()
    move(place, target)
    assert content(target) == before


@pytest.mark.parametrize(
    "source, target, said",
    [
        ("sqlite:x", "duckdb:y", "'sqlite:x' is no ledger"),
        ("duckdb:", "duckdb:y", "is no ledger"),
        ("duckdb:none", "duckdb:y", "there is no ledger"),
        ("postgresql://db", "duckdb:y", "no database stands in"),
    ],
)
def test_an_address_that_is_none(tmp_path: Path, source: str, target: str, said: str) -> None:
    with pytest.raises(LedgerError, match=said):
        move(source, target)


def test_the_command_says_what_to_do_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    open_ledger("duckdb:a.duckdb", 1 << 28).close()
    assert main(["move-ledger", "duckdb:a.duckdb", "duckdb:b.duckdb"]) == 0
    assert "compared column by column\nnow write it as ledger in [ledger]" in capsys.readouterr().out
    assert main(["move-ledger", "duckdb:a.duckdb", "duckdb:b.duckdb"]) == 1
    assert "is there already" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.duckdb", "b.duckdb"]
