"""Every kind of mistake is found where it was planted, and nothing where there is none."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Golden
from thinwatt_collector.inventory import check, example
from thinwatt_collector.inventory.files import parse_csv, parse_toml
from thinwatt_collector.inventory.messages import Problem
from thinwatt_collector.inventory.tables import records

GOLDEN = Path(__file__).parents[2] / "golden/inventory"
TODAY = date(2026, 11, 24)
FRAME = """
[[establishments]]
name = "U"

[[sites]]
name = "North"
establishment = "U"
tariff = 0.2
tariff_date = 2025-01-01

[[buildings]]
name = "Bât. B"
site = "North"

[[buildings]]
name = "Bât. C"
site = "North"

[[rooms]]
name = "B305"
building = "Bât. B"

[[rooms]]
name = "Old lab"
building = "Bât. B"
valid_to = 2024-06-30

[[models]]
name = "FUTRO S740"
class = "thin_client"
released = 2019-06-01
embodied = 106
"""
HEAD = "name;model;class;room;count;purchased;retired;agent;valid_from;valid_to\n"
GOOD = "tc{n};FUTRO S740;;B305;1;01/09/2020;;planned;;\n"


def found(devices: str, more: str = "") -> list[Problem]:
    entries, wrong = parse_toml((FRAME + more).encode(), "frame.toml")
    rows, broken = parse_csv(devices.encode(), "devices.csv")
    inventory, cells = records([*entries, *rows])
    return [*wrong, *broken, *cells, *check.whole(inventory, TODAY)]


def test_a_good_inventory_has_nothing_to_mend(tmp_path: Path) -> None:
    assert found(HEAD + GOOD.format(n=1)) == []
    example.write(tmp_path)
    assert [p.id for p in check.check(tmp_path, TODAY)] == ["default-power"]


PLANTED = [
    ("x;FUTRO S740;;B999;1;01/09/2020;;;;\n", "orphan", "room", "add it to rooms"),
    ("x;FUTRO S740;;Bât. B / b305;1;01/09/2020;;;;\n", "orphan", "room", "write room = 'B305'"),
    ("x;Futro S-740;;B305;1;01/09/2020;;;;\n", "orphan", "model", "write model = 'FUTRO S740'"),
    ("x;FUTRO S740;;Old lab;1;01/09/2020;;;;\n", "orphan-dates", "room", "valid_from and valid_to"),
    ("tc2;FUTRO S740;;B305;1;01/09/2020;;;;\n", "double", "name", "remove one"),
    ("tc 2;FUTRO S740;;B305;1;01/09/2020;;;;\n", "near-name", "name", "keep 'tc 2'"),
    ("x;FUTRO S740;;B305;1;01/05/2019;;;;\n", "before-model", "purchased", "'released' there"),
    ("x;FUTRO S740;;B305;1;01/09/2020;31/08/2020;;;\n", "date-order", "retired", "correct one"),
    ("x;FUTRO S740;;B305;1;01/09/2020;;;2025-01-01;2024-01-01\n", "date-order", "valid_to", "correct one"),
    ("x;FUTRO S740;;B305;1;25/11/2026;;;;\n", "date-future", "purchased", "the day it happened"),
    ("x;FUTRO S740;;B305;1;01/09/2020;01/01/2027;;;\n", "date-future", "retired", "leave retired empty"),
    ("x;FUTRO S740;;B305;1;31/02/2020;;;;\n", "date-wrong", "purchased", "31/01/2025"),
    ("x;FUTRO S740;;B305;1,5;01/09/2020;;;;\n", "number-range", "count", "write 25"),
    ("x;FUTRO S740;;B305;many;01/09/2020;;;;\n", "number-wrong", "count", "write 25"),
    ("x;FUTRO S740;;B305;1;01/09/2020;;maybe;;\n", "choice-wrong", "agent", "write one of them"),
    ("x;;;B305;1;01/09/2020;;;;\n", "no-power", "class", "write its model, or its class"),
    (";FUTRO S740;;B305;1;01/09/2020;;;;\n", "missing", "name", "write name ="),
    ("x;FUTRO S740;;;1;01/09/2020;;;;\n", "nowhere", "name", "write room"),
]


@pytest.mark.parametrize("row, id_, key, remedy", PLANTED)
@given(before=st.integers(3, 9), after=st.integers(0, 4), blank=st.integers(0, 2))
def test_a_planted_mistake_is_found_at_its_line(
    row: str, id_: str, key: str, remedy: str, before: int, after: int, blank: int
) -> None:
    good = [GOOD.format(n=n) for n in range(before + after)]
    text = HEAD + "".join(good[:before]) + "\n" * blank + row + "".join(good[before:])
    line = 1 + before + blank + 1
    told = found(text)
    mine = [p for p in told if p.id == id_]
    if id_ == "near-name":  # the one that is kept is the longer name, so the other line is the one to remove
        (one,) = mine
        assert (one.line, one.fields["where"]) == (1 + 2 + 1, f"devices.csv:{line}")
    else:
        assert [(p.file, p.line, p.key) for p in mine] == [("devices.csv", line, key)]
    assert remedy in mine[0].remedy()
    assert [p for p in told if p.id != id_] == [], "and nothing else is made of it"


@pytest.mark.parametrize(
    "more, id_, key",
    [
        ('[[rooms]]\nname = "salle b305"\nbuilding = "Bât. B"\n', "near-name", "name"),
        ('[[rooms]]\nname = "Bât. B / B305"\nbuilding = "Bât. B"\n', "near-name", "name"),
        ('[[rooms]]\nname = "D1"\nbuilding = "Bât. D"\n', "orphan", "building"),
        ('[[rooms]]\nname = "D1"\nbuilding = "Bât. B"\nzone = "ZZ"\n', "no-zone-factor", "zone"),
        ('[[rooms]]\nname = "D1"\nbuilding = "Bât. B"\ntariff = 0.2\n', "tariff-undated", "tariff"),
        ('[[rooms]]\nname = "D1"\nbuilding = "Bât. B"\npue = 0.9\n', "number-range", "pue"),
        ('[[sites]]\nname = "South"\nestablishment = "U"\n', "no-tariff", "name"),
        ('[[models]]\nname = "Tower X"\nclass = "desktop"\nembodied = 300\n', "default-power", "name"),
        ('[[models]]\nname = "Wall X"\nclass = "desktop"\nidle = 9\nactive = 20\n', "no-embodied", "name"),
        ('[[hosts]]\nname = "h1"\nmodel = "FUTRO S740"\nroom = "B305"\n', "host-room-pue", "pue"),
    ],
)
def test_mistakes_of_places_and_models(more: str, id_: str, key: str) -> None:
    (only,) = found(HEAD + GOOD.format(n=1), more)
    assert (only.id, only.key) == (id_, key)
    text = (FRAME + more).splitlines()
    # In the entry that was added, or in that of the thing it is about.
    assert text[only.line - 1].startswith((key, "[[rooms]]"))


def test_a_merge_keeps_what_more_entries_refer_to_whichever_comes_first() -> None:
    more = '[[rooms]]\nname = "Bâtiment B, salle B305"\nbuilding = "Bât. B"\n'
    (used,) = found(HEAD + GOOD.format(n=1), more)
    assert used.fields["keep"] == "B305"
    far = GOOD.format(n=1).replace("B305", "Bâtiment B, salle B305") + GOOD.format(n=2).replace(
        "B305", "Bâtiment B, salle B305"
    )
    (other,) = found(HEAD + far + GOOD.format(n=3), more)
    assert (other.fields["keep"], other.fields["drop"]) == ("Bâtiment B, salle B305", "B305")
    assert "where it is named (1×)" in other.remedy()


def test_a_number_of_two_buildings_is_two_rooms() -> None:
    more = '[[rooms]]\nname = "101"\nbuilding = "Bât. B"\n[[rooms]]\nname = "Salle 101"\nbuilding = "Bât. C"\n'
    assert found(HEAD, more) == []


def test_a_thing_that_changed_is_no_double_and_a_gap_between_is_told() -> None:
    dated = '[[rooms]]\nname = "Hall"\nbuilding = "Bât. B"\n{}\n[[rooms]]\nname = "Hall"\nbuilding = "Bât. B"\n{}\n'
    row = "x;FUTRO S740;;Hall;1;01/09/2020;;;;\n"
    assert found(HEAD + row, dated.format("valid_to = 2025-08-31", "valid_from = 2025-09-01")) == []
    (gap,) = found(HEAD + row, dated.format("valid_to = 2025-08-30", "valid_from = 2025-09-01"))
    assert (gap.id, gap.file, gap.line) == ("orphan-dates", "devices.csv", 2)
    (double,) = found(HEAD + row, dated.format("valid_to = 2025-09-01", "valid_from = 2025-09-01"))
    assert double.id == "double"


def test_the_words_of_a_bad_inventory(golden: Golden) -> None:
    rows = "".join(GOOD.format(n=n) for n in range(3)) + "".join(
        row.replace("x;", f"planted{n};", 1) if row.startswith("x;") else row for n, (row, *_) in enumerate(PLANTED)
    )
    told = sorted(found(HEAD + rows, '[[rooms]]\nname = "salle b305"\nbuilding = "Bat B"\n'), key=lambda p: p.order)
    golden("".join(f"{p.severity}: {p}\n" for p in told), GOLDEN / "check.txt")
    golden("".join(f"{p.severity} : {p.said('fr')}\n" for p in told), GOLDEN / "check.fr.txt")
