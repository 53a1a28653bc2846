"""Imports of made-up exports, and what the inventory then says."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from thinwatt_collector.inventory.files import read_folder
from thinwatt_collector.inventory.glpi.export import parse
from thinwatt_collector.inventory.glpi.mapping import Meanings
from thinwatt_collector.inventory.glpi.plan import Plan, plan
from thinwatt_collector.inventory.glpi.write import write
from thinwatt_collector.inventory.tables import load

DAY = date(2026, 9, 1)
HEAD = {
    "id": "ID", "name": "Nom", "serial": "Numéro de série", "room": "Lieu", "model": "Modèle", "type": "Type",
    "state": "Statut", "bought": "Date d'achat", "price": "Valeur", "end": "Date de réforme", "entity": "Entité",
}  # fmt: skip
Row = dict[str, Any]


def pc(number: int, **told: Any) -> Row:
    usual: Row = {
        "id": number, "name": f"PC-{number}", "serial": f"S{number}", "room": "Nord > B > B305", "model": "Latitude",
        "type": "Portable", "state": "En service", "bought": "01-09-2023", "price": "640,00",
        "entity": "Racine > Université",
    }  # fmt: skip
    return usual | told


def export(rows: Sequence[Row]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";")
    writer.writerow(HEAD.values())
    writer.writerows([row.get(name, "") for name in HEAD] for row in rows)
    return out.getvalue().encode("cp1252")


def planned(folder: Path, rows: Sequence[Row], day: date = DAY, meanings: Meanings | None = None) -> Plan:
    return plan(parse(export(rows), "glpi.csv", {}), meanings or Meanings(), read_folder(folder)[0], day)


def imported(folder: Path, rows: Sequence[Row], day: date = DAY, meanings: Meanings | None = None) -> Plan:
    found = planned(folder, rows, day, meanings)
    write(found, folder)
    assert not planned(folder, rows, day, meanings).touched, "a second run has nothing to do"
    return found


def stands(folder: Path, day: date) -> dict[str, tuple[str, str]]:
    """Name → room and model, of what stands there on a day."""
    inventory, _ = load(folder)
    return {
        r.name: (r.text("room"), r.text("model"))
        for table in ("hosts", "devices")
        for r in inventory.records(table)
        if r.span[0] <= day <= r.span[1] and not (r.day("retired") and r.day("retired") <= day)  # type: ignore[operator]  # both are days
    }


def lines(folder: Path) -> list[dict[str, str]]:
    text = (folder / "devices.glpi.csv").read_text(encoding="utf-8-sig")
    return [{k: v for k, v in row.items() if v} for row in csv.DictReader(io.StringIO(text), delimiter=";")]


def after(days: int) -> date:
    return DAY + timedelta(days=days)
