"""A plan's lines to the files of an inventory's folder: parents first, each file in one step."""

from __future__ import annotations

import csv
import io
import stat
from collections.abc import Sequence
from pathlib import Path

from thinwatt_collector import fetch
from thinwatt_collector.inventory.files import TABLES
from thinwatt_collector.inventory.glpi.lines import OWN, Cells
from thinwatt_collector.inventory.glpi.plan import Plan
from thinwatt_collector.inventory.tables import COLUMNS


def text(table: str, lines: Sequence[Cells]) -> str:
    """Return a file as a spreadsheet opens it: ``;``, every column that any line has, the known ones first."""
    told = {name for cells in lines for name in cells}
    columns = [name for name in COLUMNS[table] if name in told]
    columns += sorted(told - set(columns))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", delimiter=";", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def write(plan: Plan, folder: Path) -> list[Path]:
    """Write what a plan would change, and return the files.

    Whatever happens between two of them, the folder is a good inventory: what others name is there before them. A
    second import does the rest.
    """
    written = []
    order = [table for table in TABLES if table not in ("hosts", "devices")] + ["hosts", "devices"]
    for table in order:
        if table in plan.touched:
            path = folder / OWN[table]
            mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
            fetch.write_atomic(path, ("\ufeff" + text(table, plan.tables[table])).encode(), mode)
            written.append(path)
    return written
