"""Columns that grow by a row, and the states of streams in them: one row a stream, a schema beside another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.layout import Layout

Floats = NDArray[np.float64]
NOTHING: Final = np.zeros(0)


class Rows:
    """Growing columns of equal length; ``self[name]`` is the used part."""

    def __init__(self, **columns: tuple[Any, tuple[int, ...]]) -> None:
        self.size = 0
        self._columns = {n: np.zeros((16, *shape), dtype) for n, (dtype, shape) in columns.items()}

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._columns[name][: self.size]

    def append(self) -> int:
        """Add a row of zeros and return its number."""
        room = len(next(iter(self._columns.values())))
        if self.size == room:
            for name, column in self._columns.items():
                self._columns[name] = np.concatenate((column, np.zeros_like(column)))
        self.size += 1
        return self.size - 1


@dataclass(slots=True)
class Placed:
    """A layout with the states of the streams that use it, one row each.

    ``state`` are cumulative columns at the position, ``device`` device numbers, ``filled`` the seconds of each device
    since its finest estimate last had a reading that coarser ones were booked for (see ``winner``).
    """

    layout: Layout
    sources: list[NDArray[np.int64]]
    rows: Rows

    def take_filled(self, at: int, kept: Floats, before: tuple[Placed, int] | None) -> None:
        """Set ``filled`` of the stream in a row.

        Args:
            at: the row.
            kept: what the ledger has of it, empty for a stream that it does not have.
            before: the state that the stream goes on from then, if any: that of the same devices is taken.
        """
        found = self.rows["filled"][at]
        found[:] = 0.0
        if len(kept):
            found[:] = kept
        elif before is not None:
            other, was = before
            mine = dict(zip(other.rows["device"][was].tolist(), other.rows["filled"][was].tolist(), strict=True))
            found[:] = [mine.get(device, 0.0) for device in self.rows["device"][at].tolist()]


def rows_of(width: int, devices: int) -> Rows:
    """Return no rows of states of a layout with so many columns and devices."""
    return Rows(state=(np.float64, (width,)), device=(np.int64, (devices,)), filled=(np.float64, (devices,)))
