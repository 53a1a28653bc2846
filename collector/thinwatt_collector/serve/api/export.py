"""Columns as CSV or Parquet: written by DuckDB's COPY to a temporary file, sent, deleted."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import duckdb
from numpy.typing import NDArray
from starlette.concurrency import iterate_in_threadpool
from starlette.responses import StreamingResponse

from thinwatt_collector.serve.api import calendar

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


def sent(export: Export, form: Format, window: tuple[int, int], zone: ZoneInfo) -> StreamingResponse:
    """Return a file as an answer, named for the days of a window [s]; it is gone when it was sent, or not."""

    async def chunks() -> AsyncIterator[bytes]:
        try:
            async for chunk in iterate_in_threadpool(export.chunks()):
                yield chunk
        finally:
            export.close()

    days = (calendar.text(at, zone)[:10] for at in window)
    headers = {
        "content-disposition": f'attachment; filename="thinwatt-{"-".join(days)}.{form}"',
        "content-length": str(export.size),
        "cache-control": "no-store",
    }
    return StreamingResponse(chunks(), headers=headers, media_type=MEDIA[form])
