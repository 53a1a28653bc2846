"""Everything that a publisher ever told us, on disk: a folder of CSV files, one a month, that a person can read.

A row is never changed and never removed: a revision is one more row, with the day on which it came. So the intensity
as it was known on any day can be had again, and a restated figure can be compared with the one that it replaced.

    begin,g_per_kwh,revision,told
    2021-12-01T00:00Z,70,tr,2021-12-01T02:10:00Z

Files are replaced whole, so a power cut leaves the old one or the new one; two programs that write take turns.
"""

from __future__ import annotations

import csv
import fcntl
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from thinwatt_collector import units
from thinwatt_collector.factors import FactorError
from thinwatt_collector.factors.grid.readings import Readings, best, empty, joined, moment
from thinwatt_collector.fetch import write_atomic
from thinwatt_collector.models.energy import SLOT_SECONDS

COLUMNS: Final = ("begin", "g_per_kwh", "revision", "told")
CHECKED: Final = "checked"
"""The file that says when the publisher last answered."""


class Archive:
    """A folder of readings.

    Args:
        folder: made when the first readings come.
        revisions: words for the ranks 0, 1 …, as they stand in the files.
    """

    def __init__(self, folder: Path, revisions: Sequence[str]) -> None:
        self.folder, self.revisions = folder, tuple(revisions)

    def read(self) -> Readings:
        """Return all readings.

        Raises:
            FactorError: a file cannot be read; it names line and remedy.
        """
        return joined(self._month(path) for path in sorted(self.folder.glob("????-??.csv")))

    def add(self, readings: Readings, checked: float) -> int:
        """File what is new in some readings, and that the publisher has answered.

        Args:
            readings: of one answer; what is known of a slot and revision already is left out.
            checked: when it answered, UTC [s].

        Returns:
            How many readings were new.

        Raises:
            FactorError: the folder cannot be written.
        """
        try:
            with self._alone():
                new = sum(self._file(month, readings.at(rows)) for month, rows in _months(readings))
                write_atomic(self.folder / CHECKED, f"{_iso(checked)}\n".encode())
        except OSError as error:
            raise FactorError(
                f"the archive {self.folder} cannot be written: {error.strerror}; it must belong to the account that "
                "fetches"
            ) from error
        return new

    def checked(self) -> float | None:
        """Return when the publisher last answered, UTC [s]; None if it never did."""
        try:
            return float(moment((self.folder / CHECKED).read_text(encoding="utf-8").strip()))
        except (OSError, ValueError):
            return None

    def _file(self, month: str, readings: Readings) -> int:
        path = self.folder / f"{month}.csv"
        old = self._month(path) if path.exists() else empty()
        newest: dict[tuple[int, int], str] = {}
        for rank in np.unique(old.rank):
            of_rank = best(old.at(np.flatnonzero(old.rank == rank)))
            newest |= dict(zip(_keys(of_rank), _written(of_rank), strict=True))
        both = zip(_keys(readings), _written(readings), strict=True)
        new = [i for i, (key, value) in enumerate(both) if newest.get(key) != value]
        if new:
            write_atomic(path, self._text(joined([old, readings.at(np.array(new))])).encode())
        return len(new)

    def _text(self, readings: Readings) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        values = _written(readings)
        order = np.lexsort((readings.told, readings.rank, readings.slot))
        for i in order.tolist():
            begin = _iso(readings.slot[i] * SLOT_SECONDS).replace(":00Z", "Z")
            writer.writerow((begin, values[i], self.revisions[readings.rank[i]], _iso(readings.told[i])))
        return text.getvalue()

    def _month(self, path: Path) -> Readings:
        rank = {word: number for number, word in enumerate(self.revisions)}
        per, line = units.scale("g/kWh", "g/J"), 1
        columns: tuple[list[int], list[float], list[int], list[int]] = ([], [], [], [])
        try:
            reader = csv.reader(io.StringIO(path.read_text(encoding="utf-8")), strict=True)
            if tuple(next(reader, ())) != COLUMNS:
                raise ValueError(f"the first line is not {','.join(COLUMNS)}")
            for cells in reader:
                line = reader.line_num
                begin, value, revision, told = cells
                columns[0].append(moment(begin) // SLOT_SECONDS)
                columns[1].append(float(value) * per)
                columns[2].append(rank[revision])
                columns[3].append(moment(told))
        except (OSError, ValueError, KeyError, csv.Error) as error:
            raise FactorError(
                f"{path}: line {line}: {error}: the archive is damaged; put a backup of this file there, or remove it "
                "and fetch its month again"
            ) from error
        whole = (np.array(columns[i], np.int64) for i in (0, 2, 3))
        slot, ranks, tolds = whole
        return Readings(slot, np.array(columns[1], float), ranks, tolds)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _keys(readings: Readings) -> list[tuple[int, int]]:
    return list(zip(readings.slot.tolist(), readings.rank.tolist(), strict=True))


def _written(readings: Readings) -> list[str]:
    """Return intensities as they stand in the files [g/kWh]: two that are written alike are one figure."""
    return [f"{value:.12g}" for value in (readings.intensity / units.scale("g/kWh", "g/J")).tolist()]


def _months(readings: Readings) -> Iterator[tuple[str, np.ndarray[tuple[int], np.dtype[np.intp]]]]:
    stamps = (readings.slot * SLOT_SECONDS).astype("datetime64[s]").astype("datetime64[M]")
    for month in np.unique(stamps):
        yield str(month), np.flatnonzero(stamps == month)


def _iso(utc: float) -> str:
    return f"{datetime.fromtimestamp(int(utc), UTC):%Y-%m-%dT%H:%M:%S}Z"
