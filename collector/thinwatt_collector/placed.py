"""Columns that grow by a row, and the states of streams in them: one row a stream, a schema beside another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.layout import Layout


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
    """A layout with the states of the streams that use it: cumulative columns at the position, and device numbers."""

    layout: Layout
    sources: list[NDArray[np.int64]]
    rows: Rows
