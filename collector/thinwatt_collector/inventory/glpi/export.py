"""A CSV file as GLPI's list of computers exports it, in French or English, or as an office program saved it again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from thinwatt_agent.places import meant
from thinwatt_collector.inventory.files import LIMIT, decode, dialect, plain, rows
from thinwatt_collector.inventory.glpi.assets import FIELDS, Asset, Read, asset
from thinwatt_collector.inventory.messages import Problem

HEADINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("Nom", "Name"),
    "number": ("ID", "Identifiant"),
    "serial": ("Numéro de série", "Serial number", "Serial"),
    "inventory_number": ("Numéro d'inventaire", "Inventory number", "Inventory/Asset number"),
    "entity": ("Entité", "Entity"),
    "location": ("Lieu", "Location"),
    "state": ("Statut", "Status", "État", "State"),
    "type": ("Type",),
    "model": ("Modèle", "Model"),
    "maker": ("Fabricant", "Manufacturer"),
    "bought": ("Date d'achat", "Date of purchase", "Purchase date"),
    "used": ("Date de mise en service", "Startup date"),
    "scrapped": ("Date de réforme", "Decommission date"),
    "price": ("Valeur", "Value", "Prix d'achat", "Purchase price"),
}
"""Of GLPI's search options for computers, French and English."""
GROUPED: Final = frozenset({"bought", "used", "scrapped", "price"})
"""What GLPI writes behind the name of its group: "Financial and administrative information - Value". Any other column
with such a name is of something else: "Operating system - Name"."""
_KNOWN: Final = {plain(heading): name for name, headings in HEADINGS.items() for heading in headings}


class GlpiError(RuntimeError):
    """GLPI could not be read, or the inventory not written; ``str()`` says why and what to do."""


def read(path: Path, columns: Mapping[str, str], month_first: bool = False, mapping: str = "the mapping file") -> Read:
    """Return the assets of an export.

    Args:
        path: of the file.
        columns: field → heading, where a site's own differs; both as written.
        month_first: whether its dates are MM-DD-YYYY.
        mapping: what the file with ``columns`` is called in an error.

    Raises:
        GlpiError: it cannot be read, or no column tells the name.
    """
    try:
        if path.stat().st_size > LIMIT:
            raise GlpiError(f"{path} is larger than {LIMIT // 2**20} MiB: is it the export of a list?")
        data = path.read_bytes()
    except OSError as error:
        raise GlpiError(f"{path} cannot be read: {error.strerror}") from error
    return parse(data, str(path), columns, month_first, mapping)


def parse(
    data: bytes, file: str, columns: Mapping[str, str], month_first: bool = False, mapping: str = "the mapping file"
) -> Read:
    """Return the assets of an export's bytes, see :func:`read`. What has lost its shape is left out and told."""
    if data[:4] == b"PK\x03\x04":
        raise GlpiError(f"{file} is a spreadsheet, not CSV: export the list as CSV, or save it as 'CSV UTF-8'")
    text, problems = decode(data, file)
    delimiter, told = dialect(text)
    lines = rows(text, delimiter, file, problems, strict=True)
    if told:
        next(lines, None)
    line, head = next(lines, (1, []))
    at = _columns(head, columns, f"{file}:{line}", mapping)
    found: list[Asset] = []
    torn: list[int] = []
    for number, cells in lines:
        if len(cells) > len(head) and any(cells[len(head) :]):
            torn.append(number)
        else:
            told_cells = {name: cells[i] for name, i in at.items() if i < len(cells)}
            found.append(asset(f"{file}:{number}", told_cells, month_first))
    kept_back = [_kept_back(problem) for problem in problems]
    if torn:
        kept_back.append(("torn", {"n": len(torn), "lines": ", ".join(map(str, torn[:5])), "delimiter": delimiter}))
    if missing := [name for name in FIELDS if name not in at and name not in ("number", "inventory_number", "maker")]:
        kept_back.append(("no-columns", {"fields": missing}))
    return Read(Path(file).name, found, kept_back)


def _kept_back(problem: Problem) -> tuple[str, dict[str, object]]:
    return problem.id, {"file": problem.file, "line": problem.line, **problem.fields}


def _columns(head: list[str], columns: Mapping[str, str], where: str, mapping: str) -> dict[str, int]:
    """Return which column tells a field: the heading of the mapping file, else the first that is known."""
    found: dict[str, int] = {}
    for name, heading in columns.items():
        wanted = plain(heading)
        at = next((i for i, cell in enumerate(head) if plain(cell) == wanted), None)
        if at is None:
            raise GlpiError(
                f"{mapping}: [columns] {name} = {heading!r}, and {where} has no such heading{meant(heading, head)}"
            )
        found[name] = at
    for i, cell in enumerate(head):
        _, dash, last = cell.rpartition(" - ")
        name = _KNOWN.get(plain(last if dash else cell), "")
        if name and (not dash or name in GROUPED) and name not in found:
            found[name] = i
    if "name" not in found:
        raise GlpiError(
            f"{where}: no column tells the name; its headings are {', '.join(map(repr, head[:20])) or 'none'}. "
            f"Show the column 'Name' in GLPI's list, or write [columns] name = … in {mapping}"
        )
    return found
