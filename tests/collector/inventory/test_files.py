"""Files to records: whatever the bytes, and whatever a spreadsheet makes of them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from thinwatt_collector.inventory import campus, check, reuse
from thinwatt_collector.inventory.bearing import Bearing
from thinwatt_collector.inventory.files import TABLES, Entry, Origin, parse_csv, parse_toml, read_folder
from thinwatt_collector.inventory.life_cycle import of_folder
from thinwatt_collector.inventory.messages import IDS, Problem
from thinwatt_collector.inventory.tables import COLUMNS, EVENTS, CellError, Inventory, day, load, number, records

TODAY = date(2026, 11, 24)
KNOWN = sorted({c for columns in COLUMNS.values() for c in columns})
CELL = st.one_of(
    st.sampled_from(
        ["B305", "b305", "desktop", "FR", "0,21", "1.45", "01/09/2023", "2025-01-31", "none", "", "-1", "x", "given"]
    ),
    st.text(max_size=8),
)


def told(entries: list[Entry], wrong: list[Problem]) -> list[str]:
    """Check all that is there, and return every message in full."""
    inventory, more = records(entries)
    found = [*wrong, *more, *check.whole(inventory, TODAY)]
    campus.Fleet(inventory, TODAY).whole()
    lives = of_folder(inventory)
    assert all(row.devices >= 0 for row in Bearing(lives, [("",)] * len(lives.wheres)).rows((date(2020, 1, 1), TODAY)))
    reuse.by_year(lives, (2024, 2025, 2026), [("",)] * len(lives.wheres))
    return [str(problem) for problem in found]


@given(table=st.sampled_from(TABLES), data=st.binary(max_size=400))
@example("rooms", b'name;building\n"B305;Bat. B\nx;y')
@example("rooms", b"name\n\x81\x8d\n")
@example("devices", b"\xff\xfen")
@example("devices", b"sep=\x00\nname\x00x\n1\x002")
@example("devices", b"count,name,class\n\xb2,x,desktop")
def test_no_bytes_of_a_csv_file_are_too_much(table: str, data: bytes) -> None:
    assert all(told(*parse_csv(data, f"{table}.csv")))


@given(
    table=st.sampled_from(TABLES),
    columns=st.lists(st.sampled_from(KNOWN), min_size=1, max_size=8),
    rows=st.lists(st.lists(CELL, max_size=9), max_size=6),
    delimiter=st.sampled_from(";,\t"),
)
def test_no_cells_are_too_much(table: str, columns: list[str], rows: list[list[str]], delimiter: str) -> None:
    text = "\n".join(delimiter.join(row) for row in [["name", *columns], *rows])
    assert all(told(*parse_csv(text.encode("utf-8", "surrogatepass"), f"{table}.csv")))


@given(
    lots=st.lists(st.tuples(st.sampled_from("ab"), CELL, CELL, CELL), max_size=4),
    happened=st.lists(
        st.tuples(
            st.sampled_from("abc"),
            CELL | st.dates().map(str),
            CELL | st.sampled_from(EVENTS),
            CELL | st.sampled_from(["1", "3", "0", "9999999"]),
            CELL,
            CELL | st.sampled_from(["0.1", "30", "40"]),
        ),
        max_size=6,
    ),
)
@example(
    [("a", "", "31/12/9999", "")], [("a", "9999-12-31", "given", "", "", "40"), ("a", "0001-01-01", "sold", "", "", "")]
)
@example(
    [("a", "3", "29/02/2016", "")],
    [("a", "2026-03-01", "given", "1", "", ""), ("a", "29/02/2016", "bought", "", "", "")],
)
def test_no_life_is_too_odd(
    lots: list[tuple[str, str, str, str]], happened: list[tuple[str, str, str, str, str, str]]
) -> None:
    def rows(head: str, lines: list[tuple[str, ...]], table: str) -> tuple[list[Entry], list[Problem]]:
        text = "\n".join([head, *(";".join(line) for line in lines)])
        return parse_csv(text.encode("utf-8", "replace"), f"{table}.csv")

    devices = rows("name;count;purchased;retired;class", [(*lot, "desktop") for lot in lots], "devices")
    events = rows("device;date;event;count;embodied;lifetime", list(happened), "events")
    assert all(told([*devices[0], *events[0]], [*devices[1], *events[1]]))


@given(data=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda t: t.encode("utf-8", "replace"))))
@example(b"rooms = " + b"[" * 5000)
@example(b"[[rooms]]\nname = {a = 1}\npue = nan\nvalid_from = 10:00:00\n")
@example(b"[[devices]]\nname = 'x'\ncount = inf\nclass = ['desktop']\npurchased = 2025-01-01T00:00:00Z\n")
@example(b"rooms = 1\n")
def test_no_bytes_of_a_toml_file_are_too_much(data: bytes) -> None:
    assert all(told(*parse_toml(data, "inventory.toml")))


ROOMS = "name;building;pue;tariff;tariff_date\nSalle été;Bât. B;1,45;0,21;01/02/2025\n"


@pytest.mark.parametrize(
    "data",
    [
        ROOMS.encode("utf-8-sig"),
        ROOMS.encode(),
        ROOMS.encode("cp1252"),
        ROOMS.encode("utf-16"),
        ROOMS.replace("\n", "\r\n").encode("cp1252"),
        ROOMS.replace("\n", "\r").encode("cp1252"),
        ("sep=;\n" + ROOMS).encode("cp1252"),
        ROOMS.replace(",", ".").replace(";", ",").encode(),
        ROOMS.replace(";", "\t").encode("utf-8"),
        ROOMS.replace("name;building;pue;tariff;tariff_date", "Nom;Bâtiment;PUE;Tarif;Date tarif").encode("cp1252"),
        ROOMS.replace("0,21", "0,21 €/kWh").encode("cp1252"),
        ROOMS.replace("Salle été", "Salle e\u0301te\u0301").encode(),
    ],
)
@pytest.mark.parametrize("file", ["rooms.csv", "Salles.CSV"])
def test_a_spreadsheet_may_save_as_it_likes(data: bytes, file: str) -> None:
    inventory, wrong = records(parse_csv(data, file)[0])
    assert not wrong
    (room,) = inventory.records("rooms")
    assert (room.name, room.text("building")) == ("Salle été", "Bât. B")
    assert (room.number("pue"), room.number("tariff"), room.day("tariff_date")) == (1.45, 0.21, date(2025, 2, 1))


def test_a_cell_of_several_lines_does_not_shift_the_lines_below_it() -> None:
    entries, _ = parse_csv(b'name;class\n"one\nand the rest";desktop\n\n;\nx;toaster\n', "devices.csv")
    assert [entry.origin.line() for entry in entries] == [2, 6]
    _, (wrong,) = records(entries)
    assert str(wrong).startswith("devices.csv:6: class: 'toaster' is none of host, thin_client,")


def test_a_toml_file_tells_the_line_of_the_key_in_its_own_entry() -> None:
    text = '[[rooms]]\nname = "A"\nbuilding = "B"\n\n[[rooms]]\nname = "C"\npue = 0.4\nbuilding = "B"\n'
    entries, _ = parse_toml(text.encode(), "i.toml")
    _, (wrong,) = records(entries)
    assert (wrong.id, wrong.line, wrong.key) == ("number-range", 7, "pue")


@pytest.mark.parametrize(
    "file, data, id_, line",
    [
        ("rums.csv", b"name\nx\n", "table-unknown", 1),
        ("rooms.csv", b"name;bulding\nx;B\n", "column-unknown", 2),
        ("rooms.csv", b"name;building;name\nx;B;y\n", "column-double", 1),
        ("rooms.csv", b"name;building\nx;B;3\n", "cells-too-many", 2),
        ("rooms.csv", b"name;building\n;B\n", "missing", 2),
        ("rooms.csv", b'name;building\nx;B\n"' + b"y" * 140_000 + b'";B\n', "csv-broken", 3),
        ("rooms.csv", b"name;building\nx;B\n\x81;B\n", "encoding", 3),
        ("i.toml", b"[[rooms]]\nname = B305\n", "toml-broken", 2),
        ("i.toml", b"\n[rooms]\nname = 'x'\n", "table-shape", 2),
        ("i.toml", b"\n[[rums]]\nname = 'x'\n", "table-unknown", 2),
        ("i.toml", b"[[rooms]]\nname = 'x'\nbuilding = true\n", "text-wrong", 3),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(tmp_path: Path, file: str, data: bytes, id_: str, line: int) -> None:
    (tmp_path / file).write_bytes(data)
    _, problems = load(tmp_path)
    assert (id_, file, line) in {(p.id, p.file, p.line) for p in problems}
    assert all(p.what() and p.remedy() for p in problems)


def test_a_folder_without_an_inventory_says_how_to_begin(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none", tmp_path / "none" / "x"):
        entries, (wrong,) = read_folder(folder)
        assert not entries
        assert "inventory example" in wrong.remedy()


@pytest.mark.parametrize(
    "cell", ["31/02/2025", "2025-13-01", "2025", "1/1/25", True, 45000, "\u0663\u0661/01/2025", ""]
)
def test_what_is_no_date_is_refused(cell: object) -> None:
    with pytest.raises(CellError):
        day(cell)


@pytest.mark.parametrize("cell", ["0,2,1", "1e3", "nan", "inf", float("nan"), True, "2 EUR", "²", "9" * 50, [1]])
def test_what_is_no_number_is_refused(cell: object) -> None:
    with pytest.raises(CellError):
        number("price", 0.0, 5.0, "EUR/kWh")(cell)


def test_every_message_is_told_by_somebody() -> None:
    package = Path(check.__file__).parent
    source = "".join(p.read_text("utf-8") for p in package.glob("*.py") if p.name != "messages.py")
    assert not [id_ for id_ in IDS if f'"{id_}"' not in source]


def test_an_entry_of_no_file_has_no_line_to_look_for() -> None:
    inventory, _ = records([Entry("rooms", {"name": "x", "building": "y"}, Origin("rooms.csv", 7))])
    assert isinstance(inventory, Inventory)
    assert inventory.records("rooms")[0].where == "rooms.csv:7"


def test_broken_toml_is_told_with_line_and_column() -> None:
    (problem,) = parse_toml(b"[[rooms]]\nname = broken\n", "zz.toml")[1]
    assert str(problem).startswith("zz.toml:2: ")
    assert "line 2, column 8" in problem.what()
    (problem,) = parse_toml(b'[[rooms]]\nname = "a"\nx = [1,\n', "zz.toml")[1]
    assert problem.line == 3, "an end that comes too soon is told at the last line"
