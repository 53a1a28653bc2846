"""Events of devices: read in French and English, checked, and made into lives that hold every machine once."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinwatt_collector.inventory import check
from thinwatt_collector.inventory.aliases import aliases
from thinwatt_collector.inventory.devices import devices_on
from thinwatt_collector.inventory.events import Life, lives
from thinwatt_collector.inventory.files import Entry, Origin, parse_csv
from thinwatt_collector.inventory.messages import Problem
from thinwatt_collector.inventory.tables import EVENTS, Inventory, records

TODAY = date(2026, 11, 24)
DEVICES = """name;class;room;count;purchased;retired
PCs;desktop;B305;20;01/09/2020;
PC 7;desktop;B305;;01/09/2021;
old;desktop;B305;;01/09/2014;30/06/2024
"""
HEAD = "device;date;event;count;to;embodied;lifetime;cost;note\n"


def read(events: str, devices: str = DEVICES, file: str = "events.csv") -> tuple[Inventory, list[Problem]]:
    frame = parse_csv(b"name;building\nB305;B\n", "rooms.csv")[0] + parse_csv(devices.encode(), "devices.csv")[0]
    told, wrong = parse_csv(events.encode(), file)
    inventory, cells = records([*frame, *told])
    mine = [p for p in check.whole(inventory, TODAY) if p.file == file]
    return inventory, [*wrong, *cells, *mine]


def of(inventory: Inventory, name: str) -> list[Life]:
    return [life for life in lives(inventory) if life.line.name == name]


def test_a_lot_is_split_by_what_happened_to_some_of_it() -> None:
    inventory, wrong = read(
        HEAD
        + "PCs;01/07/2025;reconditioned;12;;24;3;;\n"
        + "PCs;15/07/2025;given;4;a school;;3;;\n"
        + "PCs;01/02/2026;scrapped;5;;;;;\n"
    )
    assert wrong == []
    found = {(life.count, life.fate, len(life.again)) for life in of(inventory, "PCs")}
    # Those with the fewest events go first: four of the eight untouched, then the other four and a reconditioned one.
    assert found == {(4, "given", 0), (4, "scrapped", 0), (1, "scrapped", 1), (11, "", 1)}
    there = {day: sum(d.count for d in devices_on(inventory, day) if d.name == "PCs") for day in
             (date(2020, 8, 31), date(2020, 9, 1), date(2025, 7, 14), date(2025, 7, 15), date(2026, 2, 1))}  # fmt: skip
    assert list(there.values()) == [0, 20, 20, 16, 11]


def test_what_is_retired_and_given_later_stands_in_stock_between() -> None:
    inventory, wrong = read(HEAD + "old;15/09/2024;given;;;;;;\n")
    (life,) = of(inventory, "old")
    assert wrong == []
    assert (life.out, life.gone, life.fate) == (date(2024, 6, 30), date(2024, 9, 15), "given")
    (bare,) = of(read(HEAD)[0], "old")
    assert (bare.out, bare.gone, bare.fate) == (date(2024, 6, 30), None, "retired")


def test_what_was_bought_reconditioned_had_its_first_life_elsewhere() -> None:
    inventory, wrong = read(HEAD + "PC 7;01/09/2021;bought;;;;;300;\nPC 7;01/09/2021;reconditioned;;;20;4;;\n")
    (life,) = of(inventory, "PC 7")
    assert wrong == []
    assert (life.used, len(life.again)) == (True, 1)


def test_french_tables_columns_and_words() -> None:
    lines = "Appareil;Date;Événement;Nombre;Vers;Coût;Remarque\nPCs;01/07/2025;Donné;4;une école;0;sans disque\n"
    for file in ("evenements.csv", "Événements.csv", "cycle de vie.csv"):
        inventory, wrong = read(lines, file=file)
        (event,) = inventory.records("events")
        assert wrong == []
        assert (event.text("event"), event.text("to"), event.number("count")) == ("given", "une école", 4)
    for french, name in aliases("event").items():
        (event,) = read(HEAD + f"PCs;01/07/2025;{french.upper()};;;;;;\n")[0].records("events")
        assert event.text("event") == name


PLANTED = [
    ("PCx;01/07/2025;given;;;;;;\n", "event-unknown", "device", "add it to devices"),
    ("pc-7;01/07/2025;given;;;;;;\n", "event-unknown", "device", "write device = 'PC 7'"),
    ("PC 7;01/07/2021;reassigned;;;;;;\n", "event-before", "date", "correct the date here"),
    ("PC 7;02/09/2021;bought;;;;;;\n", "event-apart", "date", "leave purchased empty"),
    ("old;01/01/2020;sold;;;;;;\n", "event-apart", "date", "leave retired empty"),
    ("PCs;01/07/2025;given;21;;;;;\n", "event-many", "count", "correct count here"),
    ("PC 7;01/07/2027;given;;;;;;\n", "date-future", "date", "the day it happened"),
    ("PC 7;31/02/2025;given;;;;;;\n", "date-wrong", "date", "31/01/2025"),
    ("PC 7;01/07/2025;lost;;;;;;\n", "choice-wrong", "event", "write one of them"),
    ("PC 7;01/07/2025;;;;;;;\n", "missing", "event", "write event = given"),
    (";01/07/2025;given;;;;;;\n", "missing", "device", "write device ="),
    ("PC 7;01/07/2025;reconditioned;;;;;;\n", "no-reconditioning", "embodied", "write embodied"),
]


@pytest.mark.parametrize("row, id_, key, remedy", PLANTED)
def test_a_planted_mistake_is_found_at_its_line(row: str, id_: str, key: str, remedy: str) -> None:
    _, wrong = read(HEAD + "PCs;01/06/2025;reassigned;2;B306;;;;\n" + row)
    assert [(p.id, p.line, p.key) for p in wrong] == [(id_, 3, key)]
    assert remedy in wrong[0].remedy()
    assert wrong[0].said("fr")


@pytest.mark.parametrize("left", ["given", "sold", "scrapped"])
@pytest.mark.parametrize("after", sorted(set(EVENTS) - {"bought"}))
def test_nothing_happens_to_what_has_left(left: str, after: str) -> None:
    _, wrong = read(HEAD + f"PC 7;01/03/2025;{left};;;;;;\nPC 7;01/07/2025;{after};;;20;;;\n")
    assert [(p.id, p.line) for p in wrong] == [("event-order", 3)]
    assert "events.csv:2" in wrong[0].what()


def test_an_event_twice_is_told_once() -> None:
    line = "PC 7;01/03/2025;scrapped;;;;;;\n"
    _, wrong = read(HEAD + line + line)
    assert [(p.id, p.line) for p in wrong] == [("event-double", 3)]
    _, wrong = read(HEAD + "PCs;01/03/2025;given;2;a;;;;\nPCs;01/03/2025;given;2;b;;;;\n")
    assert wrong == [], "to two places on one day"
    _, wrong = read(HEAD + "PC 7;01/09/2021;bought;;;;;;\nPC 7;01/09/2021;bought;;;;;90;\n")
    assert [(p.id, p.line) for p in wrong] == [("event-double", 3)]


def test_the_message_is_in_french_where_it_is_asked_for() -> None:
    _, wrong = read(HEAD + "PC 7;01/03/2025;scrapped;;;;;;\nPC 7;01/07/2025;reassigned;;;;;;\n")
    first = wrong[0].said("fr").split("\n")[0]
    assert first.startswith("events.csv:3: date\u202f: réaffecté le 2025-07-01, mais déjà mis au rebut le 2025-03-01")


@given(
    count=st.integers(1, 50),
    told=st.lists(
        st.tuples(st.integers(-200, 4000), st.sampled_from(EVENTS), st.none() | st.integers(1, 60)), max_size=8
    ),
    retired=st.none() | st.integers(0, 4000),
)
def test_each_machine_has_one_life_whatever_is_told(
    count: int, told: list[tuple[int, str, int | None]], retired: int | None
) -> None:
    start = date(2012, 1, 1)
    line = {"name": "x", "class": "desktop", "count": count, "purchased": start}
    if retired is not None:
        line["retired"] = start + timedelta(days=retired)
    entries = [Entry("devices", line, Origin("d.toml", 1))]
    for n, (days, event, some) in enumerate(told):
        cells = {"device": "x", "date": start + timedelta(days=days), "event": event}
        entries.append(Entry("events", cells | ({"count": some} if some else {}), Origin("e.csv", n + 2)))
    inventory, wrong = records(entries)
    assert wrong == []
    found = of(inventory, "x")
    assert sum(life.count for life in found) == count
    assert all(life.count > 0 and (life.out is None) == (life.fate == "") for life in found)
    assert all(str(p) and p.said("fr") for p in check.whole(inventory, TODAY))


def test_the_example_shows_events(tmp_path: Path) -> None:
    from thinwatt_collector.inventory import example
    from thinwatt_collector.inventory.tables import load

    assert tmp_path / "events.csv" in example.write(tmp_path)
    inventory, wrong = load(tmp_path)
    assert wrong == []
    assert {life.fate for life in of(inventory, "B306 PCs")} == {"", "given"}
