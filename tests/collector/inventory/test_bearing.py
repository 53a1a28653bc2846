"""Who bears what: nothing lost between rules, periods and places; re-use by year as the law has it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinwatt_collector.inventory import reuse
from thinwatt_collector.inventory.bearing import MASSES, Bearing, Row
from thinwatt_collector.inventory.files import parse_csv, parse_toml
from thinwatt_collector.inventory.life_cycle import LifeCycle, of_folder
from thinwatt_collector.inventory.making import KG
from thinwatt_collector.inventory.tables import EVENTS, records
from thinwatt_collector.models.rules import RULES, Rule

PLACES = """
[[establishments]]
name = "U"
[[establishments]]
name = "V"
[[sites]]
name = "North"
establishment = "U"
[[sites]]
name = "South"
establishment = "V"
[[buildings]]
name = "B"
site = "North"
[[buildings]]
name = "C"
site = "South"
[[rooms]]
name = "B1"
building = "B"
[[rooms]]
name = "C1"
building = "C"
[[models]]
name = "PC"
class = "desktop"
embodied = 300
lifetime = 5
[[models]]
name = "PC 2"
class = "desktop"
embodied = 300
lifetime = 5
[[models]]
name = "thin"
class = "thin_client"
embodied = 106
lifetime = 7
"""
DEVICES = "name;model;room;count;purchased;retired;valid_from;valid_to\n"
EVENT = "device;date;event;count;embodied;lifetime\n"


def cycle(devices: str, events: str = "", zone: str = "") -> LifeCycle:
    entries = [
        *parse_toml(PLACES.encode(), "i.toml")[0],
        *parse_csv((DEVICES + devices).encode(), "devices.csv")[0],
        *parse_csv((EVENT + events).encode(), "events.csv")[0],
    ]
    inventory, wrong = records(entries)
    assert wrong == []
    return of_folder(inventory)


def rows(of: LifeCycle, edges: list[date], *by: str) -> list[Row]:
    return Bearing(of, [where.told(by) for where in of.wheres]).rows(edges)


def kg(row: Row, name: str = "amortised", rule: Rule = "cutoff") -> float:
    return row.masses[rule][name].expected / KG


def test_the_worked_pc_of_two_lives() -> None:
    # 300 kg, five years, then three more after a reconditioning of 24 kg: what each of its lives bears, by each rule.
    day = date(2015, 1, 1)
    first, last = day + timedelta(days=5 * 365.25), day + timedelta(days=8 * 365.25)
    of = cycle(f"x;PC;B1;;{day};;;\n", f"x;{first};reconditioned;;24;3\n")
    one, other = rows(of, [day, first, last])
    found = {rule: [kg(one, rule=rule) + kg(one, "written_off", rule), kg(other, rule=rule)] for rule in RULES}
    # Five years of 365.25 days end a quarter of a day after the day on which the second life begins.
    expected = {"cutoff": [300.0, 24.0], "linear": [187.5, 136.5], "50_50": [243.75, 80.25]}
    for rule in RULES:
        assert found[rule] == pytest.approx(expected[rule], abs=0.05)
    assert [kg(one, "purchases"), kg(other, "purchases")] == [300.0, 24.0], "and all of it when it was bought, or done"


def test_what_moved_bears_in_each_room_for_its_days() -> None:
    of = cycle("x;PC;B1;;2025-01-01;;;2025-03-31\nx;PC;C1;;2025-01-01;;2025-04-01;\n")
    found = {row.label: row for row in rows(of, [date(2025, 1, 1), date(2026, 1, 1)], "establishment", "room")}
    year = 60.0 / 365.25
    assert kg(found["U", "B1"]) == pytest.approx(90 * year, rel=1e-12)
    assert kg(found["V", "C1"]) == pytest.approx(275 * year, rel=1e-12)
    assert [kg(found[of], "purchases") for of in (("U", "B1"), ("V", "C1"))] == [300.0, 0.0]
    assert [found[of].devices for of in (("U", "B1"), ("V", "C1"))] == [0, 1]


def test_what_is_given_is_written_off_or_passed_on_where_it_stood_last() -> None:
    of = cycle("x;PC;B1;10;2021-01-01;;;\n", "x;2025-01-01;given;4;;4\n")
    (row,) = rows(of, [date(2025, 1, 1), date(2025, 2, 1)], "room")
    rest = 1 - 1461 / (5 * 365.25)
    assert kg(row, "written_off") == pytest.approx(4 * 300 * rest, rel=1e-9)
    assert kg(row, "passed_on", "linear") == pytest.approx(4 * 300 * 4 / 8, rel=1e-9)
    assert (kg(row, "passed_on"), kg(row, "written_off", "linear")) == (0.0, 0.0)
    assert (row.devices, row.left) == (6, {"given": 4})


def test_what_is_bought_reconditioned() -> None:
    of = cycle("x;PC;B1;;2025-01-01;;;\n", "x;2025-01-01;bought;;;\nx;2025-01-01;reconditioned;;20;4\n")
    (row,) = rows(of, [date(2025, 1, 1), date(2026, 1, 1)], "class")
    assert (row.bought, row.bought_used, row.reconditioned) == (1, 1, 0)
    assert kg(row, "purchases") == pytest.approx(20.0)
    assert kg(row, "purchases", "linear") == pytest.approx(20.0 + 300.0 * 4 / 9)
    assert kg(row) == pytest.approx(20.0 / 4 * 365 / 365.25, rel=1e-9)


def test_errors_of_one_model_do_not_shrink_with_numbers_and_those_of_two_do() -> None:
    window = [date(2025, 1, 1), date(2026, 1, 1)]

    def half(devices: str) -> float:
        (row,) = rows(cycle(devices), window)
        found = row.masses["cutoff"]["amortised"]
        return (found.high - found.low) / 2 / found.expected

    one, many = half("x;PC;B1;1;2025-01-01;;;\n"), half("x;PC;B1;500;2025-01-01;;;\n")
    assert one == pytest.approx(many, rel=1e-9)
    both = half("x;PC;B1;50;2025-01-01;;;\ny;PC 2;B1;50;2025-01-01;;;\n")
    assert both == pytest.approx(one / 2**0.5, rel=0.02)


DAY0 = date(2010, 1, 1)
DAYS = st.integers(0, 6000)
LOT = st.tuples(st.sampled_from(["PC", "thin"]), st.integers(1, 40), DAYS, st.none() | DAYS, st.none() | DAYS)
HAPPENED = st.tuples(st.integers(0, 3), DAYS, st.sampled_from(EVENTS[1:]), st.none() | st.integers(1, 40))


Lot = tuple[str, int, int, int | None, int | None]
Happened = tuple[int, int, str, int | None]


def written(lots: list[Lot], happened: list[Happened], used: bool) -> tuple[str, str]:
    """Return lots and what happened to them as lines of files."""

    def day(n: int) -> str:
        return (DAY0 + timedelta(days=n)).isoformat()

    devices, events = "", ""
    for n, (model, count, bought, retired, moved) in enumerate(lots):
        out = "" if retired is None else day(bought + retired + 1)
        until = "" if moved is None else day(moved)
        devices += f"d{n};{model};B1;{count};{day(bought)};{out};;{until}\n"
        if moved is not None:
            devices += f"d{n};{model};C1;{count};{day(bought)};{out};{day(moved + 1)};\n"
        events += f"d{n};{day(bought)};reconditioned;;15;3\n" if used and n == 0 else ""
    for n, at, event, some in happened:
        events += f"d{n};{day(lots[n][2] + at)};{event};{some or ''};;\n" if n < len(lots) else ""
    return devices, events


@settings(max_examples=60)
@given(
    st.lists(LOT, min_size=1, max_size=4),
    st.lists(HAPPENED, max_size=8),
    st.lists(DAYS, max_size=4),
    st.booleans(),
)
def test_whatever_happens_all_of_it_is_borne_once(
    lots: list[Lot],
    happened: list[Happened],
    cuts: list[int],
    used: bool,
) -> None:
    of = cycle(*written(lots, happened, used))
    edges = [date(2000, 1, 1), *(DAY0 + timedelta(days=n) for n in sorted(cuts)), date(2130, 1, 1)]
    whole = {rule: dict.fromkeys(MASSES, 0.0) for rule in RULES}
    for row in rows(of, edges, "establishment", "room", "class"):
        for rule in RULES:
            for name in MASSES:
                of_row = row.masses[rule][name]
                assert 0 <= of_row.low <= of_row.expected <= of_row.high
                whole[rule][name] += of_row.expected
    for told in whole.values():
        borne = told["amortised"] + told["written_off"] + told["passed_on"]
        assert borne == pytest.approx(told["purchases"], rel=1e-9, abs=1e-3)
    assert whole["cutoff"]["passed_on"] == 0.0
    for name in MASSES:
        mean = (whole["cutoff"][name] + whole["linear"][name]) / 2
        assert whole["50_50"][name] == pytest.approx(mean, rel=1e-9, abs=1e-3)
    (all_in_one,) = rows(of, [edges[0], edges[-1]])
    for rule in RULES:
        assert all_in_one.masses[rule]["amortised"].expected == pytest.approx(whole[rule]["amortised"], rel=1e-9)


def by_year(of: LifeCycle, *years: int) -> list[reuse.Reuse]:
    return reuse.by_year(of, years, [where.told(("establishment",)) for where in of.wheres])


def test_re_use_as_the_decree_counts_it_and_as_a_share_of_what_left() -> None:
    of = cycle(
        "a;PC;B1;10;2019-01-01;2024-06-30;;\n"  # ten retired in 2024, six of them given in 2025, one scrapped
        "b;PC;B1;4;2020-01-01;;;\n"  # sold when they were retired: in A, never in B
        "c;PC;B1;3;2010-01-01;;;\n"  # too old to count
        "d;thin;C1;2;2020-01-01;2025-05-01;;\n",  # retired, and nobody says where they went
        "a;2025-02-01;given;6;;\na;2025-03-01;scrapped;1;;\nb;2025-04-01;sold;;;\nc;2025-04-01;given;;;\n",
    )
    before, here, there = by_year(of, 2024, 2025)
    assert (before.year, before.label, before.unknown, before.stock) == (2024, ("U",), 3, 0)
    assert (here.year, here.label) == (2025, ("U",))
    assert (here.reused, here.scrapped, here.older, here.stock, here.unknown) == (10, 1, 3, 10, 0)
    assert (here.proportion, here.objective) == (1.0, 0.5)
    assert here.share == pytest.approx(10 / 11)
    assert (there.label, there.unknown, there.share, there.proportion) == (("V",), 2, None, None)
    assert there.bounds == (0.0, 1.0)
    assert before.objective == 0.35


def test_ten_years_to_the_day_still_count() -> None:
    (young,) = by_year(cycle("a;PC;B1;;2015-03-01;;;\n", "a;2025-03-01;given;;;\n"), 2025)
    (old,) = by_year(cycle("a;PC;B1;;2015-03-01;;;\n", "a;2025-03-02;given;;;\n"), 2025)
    assert (young.reused, young.older, old.reused, old.older) == (1, 0, 0, 1)


@given(st.lists(st.tuples(DAYS, st.none() | DAYS, st.none() | DAYS, st.sampled_from(["given", "sold", "scrapped"]))))
def test_every_departure_is_counted_in_one_year(lots: list[tuple[int, int | None, int | None, str]]) -> None:
    devices, events = "", ""
    for n, (bought, retired, gone, event) in enumerate(lots):
        dates = [DAY0 + timedelta(days=bought + (x or 0)) for x in (0, retired, gone)]
        devices += f"d{n};PC;B1;;{dates[0]};{'' if retired is None else dates[1]};;\n"
        events += "" if gone is None else f"d{n};{dates[2]};{event};;;\n"
    of = cycle(devices, events)
    found = by_year(of, *range(2005, 2050))
    gone = sum(1 for life in of.lives if life.fate)
    assert sum(r.reused + r.scrapped + r.unknown + r.older for r in found) == gone
    assert all(r.bounds is None or r.bounds[0] <= r.bounds[1] <= 1 for r in found)
