"""Import after import: each change of GLPI is a line with its day, and what people wrote stays."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.collector.inventory.glpi.imports import DAY, after, export, imported, lines, pc, planned, stands
from tests.collector.inventory.test_making import mass, views
from thinwatt_collector.inventory import check
from thinwatt_collector.inventory.files import read_folder
from thinwatt_collector.inventory.glpi import mapping, report
from thinwatt_collector.inventory.glpi.export import parse
from thinwatt_collector.inventory.glpi.mapping import Meanings
from thinwatt_collector.inventory.glpi.plan import Kind, Plan, plan
from thinwatt_collector.inventory.tables import load


def kinds(found: Plan) -> list[tuple[Kind, str]]:
    return [(change.kind, change.name) for change in found.changes]


def test_a_first_import_is_a_good_inventory(tmp_path: Path) -> None:
    found = imported(tmp_path, [pc(1), pc(2, serial="", room="Nord > B > B306", type="Ordinateur de bureau", model="")])
    assert kinds(found) == [("new", "PC-1"), ("new", "PC-2")]
    bought = {"purchased": "2023-09-01", "price": "640.00"}
    assert lines(tmp_path) == [
        {"name": "PC-1", "model": "Latitude", "room": "B305", **bought, "serial": "S1", "asset": "1"},
        {"name": "PC-2", "class": "desktop", "room": "B306", **bought, "asset": "2"},
    ]  # fmt: skip
    inventory, problems = load(tmp_path)
    assert not problems
    assert [p for p in check.whole(inventory, DAY) if p.severity == "error"] == []
    site, building = inventory.tables["sites"]["Nord"][0], inventory.tables["buildings"]["B"][0]
    assert (site.text("establishment"), building.text("site")) == ("Université", "Nord")
    assert found.wishes.unknown_models == {"Latitude": ("laptop", 1)}


def test_a_move_ends_one_line_and_begins_another(tmp_path: Path) -> None:
    imported(tmp_path, [pc(1), pc(2)])
    found = imported(tmp_path, [pc(1, room="Nord > B > B306"), pc(2)], after(10))
    (move,) = found.changes
    assert (move.kind, move.name, move.before, move.after) == ("moved", "PC-1", "B305", "B306")
    old, _, new = lines(tmp_path)
    assert (old["room"], old["valid_to"], "valid_from" in old) == ("B305", "2026-09-10", False)
    assert (new["room"], new["valid_from"], "valid_to" in new) == ("B306", "2026-09-11", False)
    assert stands(tmp_path, after(9))["PC-1"][0] == "B305"
    assert stands(tmp_path, after(10))["PC-1"][0] == "B306"


def test_what_a_person_wrote_beside_a_machine_stays(tmp_path: Path) -> None:
    imported(tmp_path, [pc(1), pc(2)])
    file = tmp_path / "devices.glpi.csv"
    text = file.read_text(encoding="utf-8-sig").replace("asset\n", "asset;agent;remarque\n")
    file.write_text(text.replace(";S1;1\n", ";S1;1;none;prêtée\n"), encoding="cp1252")
    imported(tmp_path, [pc(1, room="Nord > B > B306"), pc(2)], after(1))
    told = [(line.get("agent"), line.get("remarque")) for line in lines(tmp_path) if line["name"] == "PC-1"]
    assert told == [("none", "prêtée")] * 2


@pytest.mark.parametrize("state, kind, retired", [("En stock", "stocked", None), ("Réformé", "scrapped", "2026-09-11")])
def test_a_machine_out_of_use_ends_its_line(tmp_path: Path, state: str, kind: Kind, retired: str | None) -> None:
    imported(tmp_path, [pc(1), pc(2)])
    assert kinds(imported(tmp_path, [pc(1, state=state), pc(2)], after(10))) == [(kind, "PC-1")]
    assert list(stands(tmp_path, after(10))) == ["PC-2"]
    assert lines(tmp_path)[0].get("retired") == retired
    assert kinds(imported(tmp_path, [pc(1), pc(2)], after(20))) == [("back", "PC-1")]
    assert [name in stands(tmp_path, after(n)) for n, name in ((9, "PC-1"), (15, "PC-1"), (20, "PC-1"))] == [
        True,
        False,
        True,
    ]


def test_the_day_of_decommission_is_the_day_it_was_retired(tmp_path: Path) -> None:
    imported(tmp_path, [pc(1), pc(2)])
    imported(tmp_path, [pc(1, state="Réformé", end="05-09-2026"), pc(2, state="Réformé", end="01-01-2020")], after(10))
    assert [(line["valid_to"], line["retired"]) for line in lines(tmp_path)] == [
        ("2026-09-04", "2026-09-05"),
        ("2026-09-10", "2026-09-11"),  # before it was bought: the day of the import
    ]


def test_what_glpi_knows_no_more_is_retired_not_removed(tmp_path: Path) -> None:
    imported(tmp_path, [pc(1), pc(2)])
    assert kinds(imported(tmp_path, [pc(2)], after(10))) == [("gone", "PC-1")]
    assert (lines(tmp_path)[0]["retired"], len(lines(tmp_path))) == ("2026-09-11", 2)
    assert kinds(imported(tmp_path, [pc(1), pc(2)], after(11))) == [("back", "PC-1")]


def test_another_machine_of_the_same_name_is_another(tmp_path: Path) -> None:
    imported(tmp_path, [pc(1, name="B305-01"), pc(2)])
    new = pc(9, name="B305-01", bought="01-06-2026", price="700,00")
    for rows in ([new, pc(2)], [pc(1, name="B305-01", state="Réformé"), new, pc(2)]):
        assert ("replaced", "B305-01") in kinds(planned(tmp_path, rows, after(10)))
    imported(tmp_path, [new, pc(2)], after(10))
    old, _, now = lines(tmp_path)
    assert (old["serial"], old["retired"], old["purchased"]) == ("S1", "2026-09-11", "2023-09-01")
    assert (now["serial"], now["valid_from"], now["purchased"], now["price"]) == (
        "S9",
        "2026-09-11",
        "2026-06-01",
        "700.00",
    )


def test_what_a_person_wrote_beside_a_machine_is_not_its_successor_s(tmp_path: Path) -> None:
    imported(tmp_path, [pc(1, name="B305-01"), pc(2)])
    file = tmp_path / "devices.glpi.csv"
    text = file.read_text(encoding="utf-8-sig").replace("asset\n", "asset;agent\n")
    file.write_text(text.replace(";S1;1\n", ";S1;1;none\n"), encoding="utf-8")
    imported(tmp_path, [pc(9, name="B305-01"), pc(2)], after(10))
    assert [line.get("agent") for line in lines(tmp_path) if line["name"] == "B305-01"] == ["none", None]


def test_of_two_of_a_name_without_numbers_the_one_in_use_is_known_again(tmp_path: Path) -> None:
    bare = {"id": "", "serial": "", "name": "PC"}
    imported(tmp_path, [pc(1, **bare)])
    assert kinds(imported(tmp_path, [pc(2, **bare, state="Réformé"), pc(1, **bare)], after(10))) == []


def test_a_new_name_is_the_same_machine_bought_once(tmp_path: Path) -> None:
    imported(tmp_path, [pc(1), pc(2)])
    before = views(load(tmp_path)[0], date(2023, 1, 1), date(2027, 1, 1))
    found = imported(tmp_path, [pc(1, name="LAB-1"), pc(2)], after(10))
    assert [(c.kind, c.before, c.after) for c in found.changes] == [("renamed", "PC-1", "LAB-1")]
    assert [sorted(stands(tmp_path, after(n))) for n in (9, 10)] == [["PC-1", "PC-2"], ["LAB-1", "PC-2"]]
    (one,), (other,) = before, views(load(tmp_path)[0], date(2023, 1, 1), date(2027, 1, 1))
    assert (other.bought, mass(other, "purchases"), other.devices) == (one.bought, mass(one, "purchases"), one.devices)
    assert mass(other, "amortised") == pytest.approx(mass(one, "amortised"))
    inventory, _ = load(tmp_path)
    assert [p for p in check.whole(inventory, after(10)) if p.severity == "error"] == []


def test_a_machine_that_comes_out_of_stock_under_a_new_name_was_bought_once(tmp_path: Path) -> None:
    imported(tmp_path, [pc(1), pc(2)])
    (before,) = views(load(tmp_path)[0], date(2023, 1, 1), date(2027, 1, 1))
    imported(tmp_path, [pc(1, state="En stock"), pc(2)], after(10))
    imported(tmp_path, [pc(1, name="LAB-1"), pc(2)], after(20))
    (now,) = views(load(tmp_path)[0], date(2023, 1, 1), date(2027, 1, 1))
    bought = before.bought, mass(before, "purchases"), before.devices
    assert (now.bought, mass(now, "purchases"), now.devices) == bought
    assert [sorted(stands(tmp_path, after(n))) for n in (9, 10, 20)] == [["PC-1", "PC-2"], ["PC-2"], ["LAB-1", "PC-2"]]


def test_a_machine_that_becomes_a_host_was_bought_once(tmp_path: Path) -> None:
    imported(tmp_path, [pc(1), pc(2)])
    meanings = mapping.parse('[types]\n"Serveur" = "host"\n', tmp_path / "m.toml")
    rows = [pc(1, type="Serveur", model="R640"), pc(2)]
    found = imported(tmp_path, rows, after(10), meanings)
    assert [(c.kind, c.name, c.before, c.after) for c in found.changes] == [("changed", "PC-1", "devices", "hosts")]
    host, laptop = views(load(tmp_path)[0], date(2023, 1, 1), date(2027, 1, 1))
    assert (host.label, host.bought, laptop.label, laptop.bought) == (("host",), 1, ("laptop",), 1)
    assert [sorted(stands(tmp_path, after(n))) for n in (9, 10)] == [["PC-1", "PC-2"]] * 2


def test_a_serial_number_knows_a_machine_again_whatever_else_is_new(tmp_path: Path) -> None:
    imported(tmp_path, [pc(1), pc(2)])
    found = imported(tmp_path, [pc(71, name="PC-1", serial="s1"), pc(2)], after(10))
    assert [(c.kind, c.column, c.after) for c in found.changes] == [
        ("corrected", "serial", "s1"),
        ("corrected", "asset", "71"),
    ]


def test_a_glpi_set_up_anew_has_other_numbers(tmp_path: Path) -> None:
    imported(tmp_path, [pc(1), pc(2)])
    found = imported(tmp_path, [pc(2, name="PC-1", serial="S1"), pc(1, name="PC-2", serial="S2")], after(10))
    assert {(c.kind, c.column) for c in found.changes} == {("corrected", "asset")}


def test_a_day_of_purchase_that_becomes_known_has_no_day_of_its_own(tmp_path: Path) -> None:
    imported(tmp_path, [pc(1, bought="", price="0,00")])
    found = imported(tmp_path, [pc(1)], after(10))
    assert [(c.kind, c.column, c.after) for c in found.changes] == [
        ("corrected", "purchased", "2023-09-01"),
        ("corrected", "price", "640.00"),
    ]
    assert len(lines(tmp_path)) == 1
    assert kinds(imported(tmp_path, [pc(1, bought="", price="", serial="", room="", model="")], after(20))) == []


def test_two_imports_on_a_day_leave_one_line_of_it(tmp_path: Path) -> None:
    imported(tmp_path, [pc(1)])
    for room in ("B306", "B307", "B305"):
        imported(tmp_path, [pc(1, room=f"Nord > B > {room}")], after(10))
    assert [line["room"] for line in lines(tmp_path)] == ["B305", "B305"]
    imported(tmp_path, [pc(1, state="En stock")], after(10))
    assert [line["valid_to"] for line in lines(tmp_path)] == ["2026-09-10"]
    imported(tmp_path, [pc(1, name="LAB")], after(10))
    imported(tmp_path, [pc(1)], after(10))
    assert [(line["name"], line.get("valid_from")) for line in lines(tmp_path)] == [
        ("PC-1", "2023-09-01"),  # the day of purchase, which the other name has had for an hour
        ("PC-1", "2026-09-11"),
    ]


def test_your_own_lines_are_read_and_never_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        '[[establishments]]\nname = "U"\n[[sites]]\nname = "Nord"\nestablishment = "U"\n'
        '[[buildings]]\nname = "B"\nsite = "Nord"\n[[rooms]]\nname = "B305"\nbuilding = "B"\npue = 1.3\n'
        '[[models]]\nname = "LATITUDE"\nclass = "laptop"\nidle = 4.0\n'
        '[[devices]]\nname = "PC-1"\nmodel = "LATITUDE"\nroom = "B305"\nagent = "planned"\n'
    )
    before = (tmp_path / "mine.toml").read_bytes()
    found = imported(tmp_path, [pc(1, room="Nord > B > B306"), pc(2), pc(3, state="Réformé", name="PC-3")])
    assert [(c.kind, c.name, c.before, c.after, c.at) for c in found.changes] == [
        ("yours", "PC-1", "B305", "B306", "mine.toml:17"),
        ("new", "PC-2", "", "B305", ""),
    ]
    assert (tmp_path / "mine.toml").read_bytes() == before
    assert [line["model"] for line in lines(tmp_path)] == ["LATITUDE"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["devices.glpi.csv", "mine.toml", "rooms.glpi.csv"]
    assert found.wishes.unknown_models == {}


def test_rooms_of_one_name_in_two_buildings_are_two_and_stay_so(tmp_path: Path) -> None:
    imported(tmp_path, [pc(1, room="Nord > A > 101")])
    imported(tmp_path, [pc(1, room="Nord > A > 101"), pc(2, room="Nord > B > 101")], after(1))
    third = [pc(1, room="Nord > A > 101"), pc(2, room="Nord > B > 101"), pc(3, room="Sud > B > 101")]
    imported(tmp_path, third, after(2))
    assert {name: room for name, (room, _) in stands(tmp_path, after(2)).items()} == {
        "PC-1": "101",
        "PC-2": "B / 101",
        "PC-3": "Sud / B / 101",
    }
    inventory, _ = load(tmp_path)
    assert [p.id for p in check.whole(inventory, after(2)) if p.severity == "error" or p.id == "near-name"] == []


def test_two_machines_of_one_name_are_told_apart_and_stay_so(tmp_path: Path) -> None:
    rows = [pc(1, name="SALLE"), pc(2, name="SALLE"), pc(3, name="SALLE", serial="")]
    imported(tmp_path, rows)
    assert sorted(stands(tmp_path, DAY)) == ["SALLE (3)", "SALLE (S1)", "SALLE (S2)"]
    assert kinds(imported(tmp_path, rows[1:], after(1))) == [("gone", "SALLE (S1)")]
    imported(tmp_path, [*rows[1:], pc(4, name="SALLE")], after(2))
    assert sorted(stands(tmp_path, after(2))) == ["SALLE (3)", "SALLE (S2)", "SALLE (S4)"]


def test_what_is_entered_twice_is_read_once(tmp_path: Path) -> None:
    rows = [
        pc(1), pc(1, room="Nord > B > B306"), pc(5, name="NEW", serial="S1"), pc(6, name="X", serial="", id=""),
        pc(7, name="X", serial="", id=""), pc(8, name=""),
    ]  # fmt: skip
    found = imported(tmp_path, rows)
    assert sorted((left.reason, left.detail) for left in found.wishes.left) == [
        ("no-name", ""),
        ("same-name", "X"),
        ("same-number", "1"),
        ("same-serial", "S1: NEW"),
    ]
    assert sorted(stands(tmp_path, DAY)) == ["NEW", "X"]


def test_what_has_no_class_is_not_read_and_not_gone(tmp_path: Path) -> None:
    rows = [pc(1), pc(2, type="Borne", model="Kiosk"), pc(3, type="VMware"), pc(4, type="Serveur", model="")]
    found = imported(tmp_path, rows)
    assert sorted((left.reason, left.detail) for left in found.wishes.left) == [
        ("no-class", "Borne"),
        ("no-class", "Serveur"),
        ("type-left-out", "VMware"),
    ]
    assert kinds(planned(tmp_path, [pc(1, type="Borne", model="Kiosk")], after(1))) == []


def test_the_mapping_file_says_what_words_mean(tmp_path: Path) -> None:
    text = """
        [states]
        "En prêt" = "stock"
        [types]
        "Serveur VDI" = "host"
        "Borne" = "leave_out"
        [models]
        "LATITUDE 5400 BTX" = { model = "Latitude 5400", class = "laptop" }
        [locations]
        levels = "- > site > building > - > room"
        unnamed = "inconnue"
        [locations.names]
        "France > Nord > Bat B" = "France > Nord > Bât. B"
        [entities]
        level = 1
        [entities.names]
        "Racine > DSI" = "Direction"
    """
    meanings = mapping.parse(text, tmp_path / "m.toml")
    rows = [
        pc(1, room="France > Nord > Bat B > 3e > B305", model="Latitude 5400 btx", type="?"),
        pc(2, room="France > Nord > Bât. B", entity="Racine > DSI > Parc", type="Serveur VDI", model="R640"),
        pc(3, state="en pret"), pc(4, type="borne", model=""),
    ]  # fmt: skip
    found = imported(tmp_path, rows, meanings=meanings)
    assert stands(tmp_path, DAY) == {"PC-1": ("B305", "Latitude 5400"), "PC-2": ("Bât. B / inconnue", "R640")}
    assert list(load(tmp_path)[0].tables["hosts"]) == ["PC-2"]
    assert found.away == {"stock": 1}
    assert found.places.several == {"Nord": {"Direction": 1, "Racine": 1}}


def stopped(found: Plan, limit: float = 10.0) -> list[str]:
    return report.stops(found, limit, [], "en")


def test_an_export_that_lacks_many_is_not_written_unless_told(tmp_path: Path) -> None:
    imported(tmp_path, [pc(n) for n in range(20)])
    assert stopped(planned(tmp_path, [pc(n) for n in range(18)], after(1))) == []
    (why,) = stopped(planned(tmp_path, [pc(n) for n in range(17)], after(1)))
    assert why == "3 of 20 known machines would be gone, more than 10 %: is the export whole? If it is: --gone-limit 15"
    assert stopped(planned(tmp_path, [pc(n) for n in range(17)], after(1)), 15.0) == []


def test_the_past_is_not_written_behind_the_present(tmp_path: Path) -> None:
    imported(tmp_path, [pc(1)])
    imported(tmp_path, [pc(1, room="Nord > B > B306")], after(10))
    (why,) = stopped(planned(tmp_path, [pc(1)], after(5)))
    assert why.startswith("1 lines of the import begin after 2026-09-06")


def test_lines_that_would_be_lost_are_told_first(tmp_path: Path) -> None:
    imported(tmp_path, [pc(1)])
    file = tmp_path / "devices.glpi.csv"
    file.write_bytes(file.read_bytes() + b";x;;;;;\r\nPC-1;x;;;;;;;;much;more\r\n")
    entries, problems = read_folder(tmp_path)
    found = plan(parse(export([pc(1)]), "x.csv", {}), Meanings(), entries, DAY)
    assert [why.split(": mend")[0] for why in report.stops(found, 100.0, problems, "en")] == [
        "devices.glpi.csv:4: has 11 cells, the first line has 7",
        "devices.glpi.csv:3: lines need 'name', and it is empty",
    ]
