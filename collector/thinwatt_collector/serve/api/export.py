"""Columns as CSV or Parquet: written by DuckDB's COPY to a temporary file, sent, deleted."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import duckdb
from numpy.typing import NDArray

Format = Literal["csv", "parquet"]
MEDIA: Final[dict[Format, str]] = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}
COPY: Final[dict[Format, str]] = {
    "csv": "COPY rows TO '{path}' (FORMAT csv, HEADER)",
    "parquet": "COPY rows TO '{path}' (FORMAT parquet, COMPRESSION zstd)",
}
CHUNK: Final = 1 << 16


class Export:
    """A file that has no name any more: it is gone when it has been sent, or the sender has left, or the power."""

    def __init__(self, columns: Mapping[str, NDArray[Any]], kind: Format) -> None:
        with tempfile.TemporaryDirectory(prefix="thinwatt-export-") as folder:
            path = Path(folder) / f"energy.{kind}"
            with duckdb.connect(":memory:", config={"threads": "1", "memory_limit": "256MiB"}) as connection:
                connection.register("rows", dict(columns))
                connection.execute(COPY[kind].format(path=str(path).replace("'", "''")))
            self.size = path.stat().st_size
            self._file = path.open("rb")

    def chunks(self) -> Iterator[bytes]:
        """Yield its bytes, once."""
        with self._file as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def close(self) -> None:
        """Close it, which deletes it."""
        self._file.close()
