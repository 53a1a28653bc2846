"""A table of one's own by time: a site with a meter of its grid, a supplier's file, figures bought elsewhere.

    begin,intensity
    2025-01-01T10:00Z,31 g/kWh
    2025-01-01T10:30Z,28 g/kWh
    2025-01-01T11:00Z,

``begin`` is a beginning of a quarter of an hour, with its offset from UTC; a row holds until the next one, at most for
the step (``step``, one hour if it is not said); an empty cell is a hole, and no zero. A cell is an intensity with its
unit, so a table in kg and one in g cannot be taken for each other. `;` between cells works as well.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from thinwatt_collector import units
from thinwatt_collector.factors import FactorError, Kind, check
from thinwatt_collector.factors.grid import publishers
from thinwatt_collector.factors.grid.readings import Readings, moment
from thinwatt_collector.factors.grid.series import Publication, Revision, Series
from thinwatt_collector.models.energy import SLOT_SECONDS
from thinwatt_collector.units import UnitError

NAME: Final = "csv"
KINDS: Final[tuple[Kind, ...]] = ("record", "live", "market")
NEEDED: Final = ("file", "name", "version", "published", "uncertainty", "publisher")
OPTIONS: Final = ("kind", "zone", "method", "step", *NEEDED)
COLUMNS: Final = ("begin", "intensity")


def load(options: Mapping[str, Any]) -> Series:
    """Return the intensity that a file states.

    Args:
        options: ``kind`` ("record", "live" or "market"), ``zone``, ``method``: its label ("record_csv"), ``file``,
            ``step`` ("1 h"); ``name``, ``version``, ``published`` (a day), ``uncertainty`` ("10 %", half of the 95 %
            interval), ``publisher``: document, section, address.

    Raises:
        FactorError: an option is missing or wrong, or the file cannot be used; it names the line.
    """
    check(NAME, options, OPTIONS)
    for key in NEEDED:
        if not str(options.get(key) or "").strip():
            raise FactorError(f"factors.{NAME}: {key} is not set: without it nobody can check the figures")
    kind: Kind = options.get("kind", "record")
    try:
        step = units.seconds(str(options.get("step") or "1 h"))
        spread = units.ratio(str(options["uncertainty"])) / 1.96
    except UnitError as error:
        raise FactorError(f"factors.{NAME}: {error}") from error
    if step < SLOT_SECONDS or step % SLOT_SECONDS:
        raise FactorError(f"factors.{NAME}: step {options['step']!r} is no whole number of quarters of an hour")
    path, told = Path(options["file"]), publishers.day(NAME, options, "published") or 0
    of = Publication(
        kind,
        str(options.get("method") or f"{kind}_{NAME}"),
        str(options["name"]),
        str(options["publisher"]),
        [Revision("table", str(options["version"]))],
        spread,
    )
    readings = _held(list(_rows(path)), int(step) // SLOT_SECONDS, told, path)
    if kind == "record" and not readings.intensity.all():
        raise FactorError(f"factors.{NAME}: {path}: a record of 0 g/kWh: leave the cell empty where it is not known")
    return Series(of, str(options.get("zone", "FR")), readings)


def _rows(path: Path) -> Iterator[tuple[int, float]]:
    """Yield beginning [slot] and intensity [g/J], NaN where the cell is empty."""
    line = 1
    try:
        text = path.read_text(encoding="utf-8-sig")
        delimiter = ";" if ";" in text.partition("\n")[0] else ","
        reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
        if tuple(c.strip() for c in next(reader, ())) != COLUMNS:
            raise ValueError(f"the first line must be {delimiter.join(COLUMNS)}")
        for cells in reader:
            line = reader.line_num
            if not any(cells):
                continue
            begin, intensity = cells
            slot, rest = divmod(moment(begin.strip()), SLOT_SECONDS)
            if rest:
                raise ValueError(f"{begin} is no beginning of a quarter of an hour")
            yield slot, units.grams_per_joule(intensity) if intensity.strip() else math.nan
    except (OSError, ValueError, csv.Error) as error:
        raise FactorError(f"factors.{NAME}: {path}: line {line}: {error}") from error


def _held(rows: list[tuple[int, float]], longest: int, told: int, path: Path) -> Readings:
    begin = np.array([slot for slot, _ in rows], np.int64)
    if np.any(np.diff(begin) <= 0):
        line = int(np.flatnonzero(np.diff(begin) <= 0)[0]) + 3
        raise FactorError(f"factors.{NAME}: {path}: line {line}: not later than the line before")
    width = np.minimum(np.append(np.diff(begin), longest)[: len(begin)], longest)
    offset = np.arange(width.sum()) - np.repeat(np.cumsum(width) - width, width)
    intensity = np.repeat(np.array([value for _, value in rows], float), width)
    there = np.flatnonzero(~np.isnan(intensity))
    slot, none = np.repeat(begin, width) + offset, np.zeros(len(intensity), np.int64)
    return Readings(slot, intensity, none, none + told).at(there)
