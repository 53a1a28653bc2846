"""``ROWS`` messages of one stream put together and thinned out, as bytes: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from thinwatt_agent import wire
from thinwatt_agent.wire import ROWS_OFFSET, RowsHeader


def merge(messages: Sequence[bytes]) -> bytes:
    """Return one message with the rows of all ``messages``: of one stream and schema, each behind the one before.

    It comes after what the first came after; clocks and flags are those of the last.
    """
    if len(messages) == 1:
        return messages[0]
    headers = [wire.rows_header(m) for m in messages]
    width = headers[0].columns
    pieces = [m[ROWS_OFFSET + 8 * h.rows * c : ROWS_OFFSET + 8 * h.rows * (c + 1)] for c in range(2 + width)
              for m, h in zip(messages, headers, strict=True)]  # fmt: skip
    header = replace(headers[-1], after=headers[0].after, rows=sum(h.rows for h in headers))
    return wire.restamp(bytes(ROWS_OFFSET) + b"".join(pieces), header)


def pick(message: bytes, rows: Sequence[int]) -> bytes:
    """Return ``message`` with the rows at the given places only; there is at least one."""
    header, ticks, times, matrix = wire.decode_rows(message)
    if len(rows) == header.rows:
        return message
    kept = replace(header, rows=len(rows))
    return wire.encode_rows(kept, [ticks[i] for i in rows], [times[i] for i in rows], [matrix[i] for i in rows])


def beyond(message: bytes, tick: int) -> bytes:
    """Return ``message`` without the rows up to ``tick``; its last row is behind it."""
    ticks, _ = columns(message)
    if ticks[0] > tick:
        return message
    return pick(message, range(sum(t <= tick for t in ticks), len(ticks)))


def halve(message: bytes) -> bytes:
    """Return ``message`` with every second row, the last one among them: two intervals are known only together now."""
    count = wire.rows_header(message).rows
    return pick(message, range((count - 1) % 2, count, 2))


def columns(message: bytes) -> tuple[memoryview[int], memoryview[int]]:
    """Return ticks and times of the rows, without their matrix."""
    header = wire.rows_header(message)
    middle, end = ROWS_OFFSET + 8 * header.rows, ROWS_OFFSET + 16 * header.rows
    return memoryview(message)[ROWS_OFFSET:middle].cast("Q"), memoryview(message)[middle:end].cast("q")


def stamp(message: bytes, header: RowsHeader) -> bytes:
    """Return ``message`` under another header; its shape stays that of the message."""
    found = wire.rows_header(message)
    return wire.restamp(message, replace(header, rows=found.rows, columns=found.columns))
