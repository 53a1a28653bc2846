"""Columns to PostgreSQL's binary COPY format, and back, without a loop over numbers.

https://www.postgresql.org/docs/15/sql-copy.html, "Binary Format": a signature, then for each row the count of fields
and each field as its length and its bytes, big-endian, then −1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.ledger.session import Columns

SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
END: Final = struct.pack(">h", -1)
TYPES: Final = {"i": ("BIGINT", ">i8"), "f": ("DOUBLE PRECISION", ">f8"), "b": ("BOOLEAN", "u1")}
"""Kind of a numpy type → PostgreSQL's type, and its bytes."""


def type_of(column: NDArray[Any]) -> str:
    """Return the type that PostgreSQL has for a column."""
    if column.dtype.kind in TYPES:
        return TYPES[column.dtype.kind][0]
    return "BYTEA" if len(column) and isinstance(column[0], bytes) else "TEXT"


def encoded(columns: Columns) -> bytes:
    """Return columns of one length as one COPY.

    Args:
        columns: numbers and truths as arrays of their own, texts and bytes as arrays of objects, none of them None.
    """
    arrays = list(columns.values())
    rows = len(arrays[0])
    runs: list[Iterable[bytes]] = []
    fixed: list[tuple[str, Any]] = [("count", np.full(rows, len(arrays), ">i2"))]
    for i, column in enumerate(arrays):
        if column.dtype.kind in TYPES:
            value = column.astype(TYPES[column.dtype.kind][1])
            fixed += [(f"length_{i}", np.full(rows, value.itemsize, ">i4")), (f"value_{i}", value)]
        else:
            if fixed:
                runs.append(_together(fixed).tolist())
                fixed = []
            things = [v if isinstance(v, bytes) else str(v).encode() for v in column.tolist()]
            runs.append([len(v).to_bytes(4, "big") + v for v in things])
    if fixed and not runs:
        return SIGNATURE + _together(fixed).tobytes() + END
    if fixed:
        runs.append(_together(fixed).tolist())
    return SIGNATURE + b"".join(part for row in zip(*runs, strict=True) for part in row) + END


def _together(fields: list[tuple[str, Any]]) -> NDArray[Any]:
    """Return one opaque item a row that holds the bytes of its fields."""
    table = np.empty(len(fields[0][1]), [(name, values.dtype) for name, values in fields])
    for name, values in fields:
        table[name] = values
    return table.view(f"V{table.dtype.itemsize}")
