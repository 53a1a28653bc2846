"""The numbers of the world, as tables: ``rows(name)`` reads ``<name>.csv``.

Each row has a value with its unit, the day from which it holds, its uncertainty and where it comes from; a row that
lacks one of them is refused, with its line. Columns of a table's own say what the number is of.

``uncertainty`` is read with ``distribution``:

- ``normal``: half of the 95 % interval, as a part of the value ("10 %")
- ``uniform``: half of the width of what is possible, as a part of the value ("10 %")
- ``lognormal``: the geometric standard deviation ("1.35")
- ``exact``: 0 %, of what a law sets
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Final

from thinwatt_collector import units
from thinwatt_collector.units import UnitError

ALWAYS: Final = ("value", "unit", "valid_from", "uncertainty", "distribution", "source")


class DataError(ValueError):
    """A table of numbers is not fit for use; ``str()`` names file, line and remedy."""


@dataclass(frozen=True, slots=True)
class Row:
    """One number of the world.

    Attributes:
        of: the table's own columns: what the number is of.
        value: in the coherent unit that the table was read for.
        uncertainty: relative standard uncertainty [1].
        source: document, section, date or commit.
        place: file and line.
    """

    of: dict[str, str]
    value: float
    valid_from: date
    uncertainty: float
    source: str
    place: str


def rows(name: str, columns: Sequence[str], unit: str | dict[str, str], path: Path | None = None) -> list[Row]:
    """Return the rows of a table of this package, or of a file with the same columns.

    Args:
        name: of the table, without ``.csv``.
        columns: the table's own columns; others than these and :data:`ALWAYS` are refused.
        unit: the coherent unit of all values, or of each value of the column ``quantity``.
        path: a file in its place.

    Raises:
        DataError: a file that cannot be read, a column or cell missing, a value without a fitting unit.
    """
    shown = str(path) if path else f"{name}.csv"
    try:
        text = (path or resources.files(__name__).joinpath(f"{name}.csv")).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{shown}: cannot be read as UTF-8 text: {error}") from error
    reader = csv.DictReader(io.StringIO(text), strict=True)
    wanted = {*columns, *ALWAYS}
    found = set(reader.fieldnames or ())
    if found != wanted:
        wrong = [f"add {c!r}" for c in sorted(wanted - found)] + [f"remove {c!r}" for c in sorted(found - wanted)]
        raise DataError(f"{shown}: line 1 must name the columns {', '.join([*columns, *ALWAYS])}: {', '.join(wrong)}")
    try:
        return [_row(cells, columns, unit, f"{shown}: line {reader.line_num}") for cells in reader]
    except csv.Error as error:
        raise DataError(f"{shown}: line {reader.line_num}: {error}") from error


def _row(cells: dict[str, str], columns: Sequence[str], unit: str | dict[str, str], place: str) -> Row:
    for column in ALWAYS:
        if not (cells.get(column) or "").strip():
            raise DataError(f"{place}: {column} is empty: a number without it cannot be checked by anyone")
    if None in cells or None in cells.values():
        raise DataError(f"{place}: has more or fewer cells than line 1; a comma inside a cell needs quotes around it")
    of = {column: cells[column].strip() for column in columns}
    if isinstance(unit, dict):
        if of["quantity"] not in unit:
            raise DataError(f"{place}: quantity {of['quantity']!r} is none of {', '.join(unit)}")
        unit = unit[of["quantity"]]
    try:
        value = units.parse(f"{cells['value'].strip()} {cells['unit'].strip()}".removesuffix(" 1"), unit)
        return Row(
            of=of,
            value=value,
            valid_from=date.fromisoformat(cells["valid_from"].strip()),
            uncertainty=_standard(cells["uncertainty"].strip(), cells["distribution"].strip()),
            source=cells["source"].strip(),
            place=place,
        )
    except UnitError as error:
        raise DataError(f"{place}: {error}") from error
    except ValueError as error:
        raise DataError(f"{place}: {error}: valid_from is a date like 2025-01-31") from error


def _standard(text: str, distribution: str) -> float:
    """Return a relative standard uncertainty (GUM 4.3 for the uniform, the moments of a lognormal for the last)."""
    number = units.ratio(text)
    if distribution == "exact" and number == 0.0:
        return 0.0
    if distribution == "normal":
        return number / 1.96
    if distribution == "uniform":
        return number / math.sqrt(3.0)
    if distribution == "lognormal" and number >= 1.0:
        return math.sqrt(math.expm1(math.log(number) ** 2))
    raise UnitError(f"uncertainty {text!r} of {distribution!r}: normal and uniform take 10 %, lognormal takes 1.35")
