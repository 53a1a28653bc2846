"""The making of an inventory: from sheets, parts and defaults, in two views that are never added."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Golden
from thinwatt_collector.__main__ import main
from thinwatt_collector.inventory.bearing import Bearing, Row
from thinwatt_collector.inventory.files import Entry
from thinwatt_collector.inventory.files import Origin as Place
from thinwatt_collector.inventory.life_cycle import of_folder
from thinwatt_collector.inventory.making import KG, Part, bottom_up, made
from thinwatt_collector.inventory.tables import Inventory, load, records
from thinwatt_collector.models.rules import Rule

GOLDEN = Path(__file__).parents[2] / "golden" / "inventory"
SERVER = """
[[models]]
name = "two sockets"
class = "host"
processors = 2
die = 523
memory = 384
modules = 12
ssds = 2
ssd = 960
supplies = 2
supply_weight = 3
lifetime = 6

[[models]]
name = "Wyse 5070"
class = "thin_client"
embodied = 106.5
lifetime = 7
"""


def inventory(folder: Path, text: str) -> Inventory:
    (folder / "inventory.toml").write_text(SERVER + text, encoding="utf-8")
    found, problems = load(folder)
    assert not problems, [str(p) for p in problems]
    return found


def views(fleet: Inventory, begin: date, end: date) -> list[Row]:
    cycle = of_folder(fleet)
    return Bearing(cycle, [where.told(("class",)) for where in cycle.wheres]).rows((begin, end))


def of(found: list[Row], kind: str) -> Row:
    return next(row for row in found if row.label == (kind,))


def mass(row: Row, name: str, rule: Rule = "cutoff") -> float:
    return row.masses[rule][name].expected


def test_a_server_of_known_parts(tmp_path: Path) -> None:
    model = inventory(tmp_path, "").tables["models"]["two sockets"][0]
    found = made("host", model)
    # 38.8862 + 741.54 + 89.64 + 2 × 72.90 + 66.10 + 150 + 6.68: published factors, added up by hand.
    assert found.origin == "parts"
    assert found.mass / KG == pytest.approx(1238.65, abs=0.01)
    assert 0.15 < found.spread < 0.45


def test_disks_that_turn_and_blades_are_parts_too() -> None:
    assert bottom_up([Part("hdd", 4, 0.0)])[0] / KG == pytest.approx(4 * 31.11)
    assert bottom_up([Part("blade", 1, 0.0)])[0] / KG == pytest.approx(30.9 + 880 / 16)


def test_a_sheet_goes_before_parts_and_parts_before_the_class(tmp_path: Path) -> None:
    models = inventory(tmp_path, "").tables["models"]
    assert made("thin_client", models["Wyse 5070"][0]).mass == 106.5 * KG
    assert made("host", models["Wyse 5070"][0]).origin == "sheet"
    assert made("host", None).origin == "class"


def test_a_year_of_a_fleet(tmp_path: Path) -> None:
    found = views(
        inventory(
            tmp_path,
            """
            [[devices]]
            name = "thin clients"
            model = "Wyse 5070"
            count = 300
            purchased = 2025-01-01

            [[devices]]
            name = "old PCs"
            class = "desktop"
            count = 10
            purchased = 2015-01-01

            [[devices]]
            name = "nobody knows"
            class = "desktop"
            count = 3
            """,
        ),
        date(2025, 1, 1),
        date(2026, 1, 1),
    )
    thin, old = of(found, "thin_client"), of(found, "desktop")
    assert mass(thin, "amortised") / KG == pytest.approx(300 * 106.5 / 7 * 365 / 365.25, rel=1e-12)
    assert mass(thin, "purchases") / KG == pytest.approx(300 * 106.5)
    assert thin.bought == 300
    for name in ("amortised", "purchases"):
        assert thin.masses["cutoff"][name].low < mass(thin, name) < thin.masses["cutoff"][name].high
    assert (mass(old, "amortised"), mass(old, "purchases"), old.beyond, old.undated, old.devices) == (
        0.0,
        0.0,
        10,
        3,
        13,
    )
    assert old.beyond_years == pytest.approx(10 * 6.0, rel=1e-3)


def test_what_is_retired_early_is_written_off_once(tmp_path: Path) -> None:
    fleet = inventory(
        tmp_path, '[[devices]]\nname = "x"\nmodel = "Wyse 5070"\npurchased = 2024-01-01\nretired = 2026-07-01\n'
    )
    by_year = [views(fleet, date(y, 1, 1), date(y + 1, 1, 1)) for y in range(2023, 2033)]
    there = [of(rows, "thin_client") for rows in by_year if rows]
    assert [bool(rows) for rows in by_year] == [False, True, True, True] + [False] * 6
    assert [mass(row, "written_off") > 0 for row in there] == [False, False, True]
    assert sum(mass(v, "amortised") + mass(v, "written_off") for v in there) / KG == pytest.approx(106.5, rel=1e-12)
    assert sum(mass(v, "purchases") for v in there) / KG == pytest.approx(106.5, rel=1e-12)
    assert (there[2].devices, there[2].left) == (0, {"retired": 1})


DAYS = st.dates(date(2000, 1, 1), date(2040, 1, 1))


@settings(max_examples=60)
@given(
    st.lists(st.tuples(DAYS, st.integers(1, 6000), st.booleans(), st.integers(1, 500)), min_size=1, max_size=5),
    st.lists(DAYS, max_size=4),
)
def test_all_periods_together_bear_every_device_once(lots: list[tuple[date, int, bool, int]], cuts: list[date]) -> None:
    entries = []
    for i, (bought, days, retires, count) in enumerate(lots):
        cells = {"name": f"lot {i}", "class": "desktop", "count": count, "purchased": bought}
        if retires:
            cells["retired"] = bought + timedelta(days=days)
        entries.append(Entry("devices", cells, Place("made-up.toml", i + 1)))
    fleet, problems = records(entries)
    assert not problems
    edges = [date(1990, 1, 1), *sorted(cuts), date(2100, 1, 1)]
    found = [v for a, b in pairwise(edges) for v in views(fleet, a, b)]
    whole = sum(count for *_, count in lots) * made("desktop", None).mass
    assert sum(mass(v, "amortised") + mass(v, "written_off") for v in found) == pytest.approx(whole, rel=1e-9)
    assert sum(mass(v, "purchases") for v in found) == pytest.approx(whole, rel=1e-9)


def test_a_period_that_ends_before_it_begins_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="before it begins"):
        views(inventory(tmp_path, ""), date(2026, 1, 1), date(2025, 1, 1))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], golden: Golden) -> None:
    folder = str(tmp_path / "inventory")
    assert main(["inventory", "example", folder]) == 0
    capsys.readouterr()
    asked = ["inventory", "making", folder, "--begin", "2025-01-01", "--end", "2026-01-01"]
    assert main(asked) == 0
    golden(capsys.readouterr().out, GOLDEN / "making.txt")
    assert main([*asked, "--lang", "fr", "--rule", "linear"]) == 0
    golden(capsys.readouterr().out, GOLDEN / "making.fr.txt")
    assert main([*asked, "--json"]) == 0
    golden(capsys.readouterr().out, GOLDEN / "making.json")
    assert main([*asked[:-1], "2024-01-01"]) == 2
    assert "--end 2024-01-01 is not behind --begin 2025-01-01" in capsys.readouterr().err
    assert main(["inventory", "making", str(tmp_path / "nowhere")]) == 1
    assert "nowhere" in capsys.readouterr().err
