"""Messages to arrays: frames of one shape are read together, in place, without a Python loop over their values."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_agent import wire
from thinwatt_collector import clock
from thinwatt_collector.receive import Message

_VERSION: Final = 2
_STREAM: Final = slice(8, 24)
_SCHEMA: Final = slice(40, 48)
_USUAL: Final = b"tw" + bytes((wire.VERSION, wire.ROWS))
TOGETHER: Final = 2 << 20
"""So many bytes of frames are worked on at a time: near the processor, and memory bounded whatever has come."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that is not taken, and why."""

    message: Message
    stream: bytes
    error: wire.WireError


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames of one schema and one number of rows, in order of arrival.

    ``ticks`` and ``times`` [ns] have shape (frames, rows), ``matrix`` (frames, columns, rows); the other arrays
    (frames,), int64 and ns where they are times.
    """

    messages: list[Message]
    streams: list[bytes]
    schema: bytes
    version: int
    after: NDArray[np.int64]
    base: NDArray[np.int64]
    wall_offset: NDArray[np.int64]
    sent: NDArray[np.int64]
    flags: NDArray[np.uint8]
    boot: list[bytes]
    ticks: NDArray[np.int64]
    times: NDArray[np.int64]
    matrix: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.messages)


@lru_cache(maxsize=512)
def _dtype(columns: int, rows: int) -> np.dtype[np.void]:
    return np.dtype(
        [
            ("prefix", "V8"),
            ("stream", "V16"),
            ("boot", "V16"),
            ("schema", "V8"),
            ("after", "<u8"),
            ("base", "<i8"),
            ("wall_offset", "<i8"),
            ("sent", "<i8"),
            ("rows", "<u4"),
            ("columns", "<u2"),
            ("flags", "u1"),
            ("pad", "u1"),
            ("ticks", "<u8", (rows,)),
            ("times", "<i8", (rows,)),
            ("matrix", "<f8", (columns, rows)),
        ]
    )


def checked(message: Message) -> tuple[int, int] | Rejected:
    """Return (version, kind) of a message whose prefix, size and checksum hold."""
    data = message.data
    if data[:4] == _USUAL and wire.ROWS_OFFSET <= len(data) <= wire.MAX_MESSAGE and _holds(data):
        return wire.VERSION, wire.ROWS
    try:
        version, kind = wire.kind_of(data)
        if kind not in (wire.ROWS, wire.HELLO):
            raise wire.WireError("unknown_kind", f"kind {kind} is not for a collector")
        if kind == wire.ROWS:
            if len(data) < wire.ROWS_OFFSET:
                raise wire.WireError("truncated", f"{len(data)} bytes are fewer than a header has")
            if version >= 2 and not _holds(data):
                raise wire.WireError("bad_checksum", "the checksum does not fit the bytes")
    except wire.WireError as error:
        return Rejected(message, bytes(16), error)
    return version, kind


def _holds(data: bytes) -> bool:
    return zlib.crc32(memoryview(data)[8:]) == int.from_bytes(data[4:8], "little")


def stream_of(message: Message) -> bytes:
    """Return the stream id of a ``ROWS`` message."""
    return message.data[_STREAM]


def schema_of(message: Message) -> bytes:
    """Return the schema id of a ``ROWS`` message."""
    return message.data[_SCHEMA]


def version_of(message: Message) -> int:
    """Return the wire version of a message."""
    return message.data[_VERSION]


def batch_of(messages: Sequence[Message], width: int, version: int) -> tuple[Batch | None, list[Rejected]]:
    """Return the frames of one shape as arrays, and those whose header lies about it.

    Args:
        messages: ``ROWS`` messages that share schema, length and version and passed :func:`checked`.
        width: number of columns of their schema.
        version: of the wire, shared.
    """
    size = len(messages[0].data)
    rows, rest = divmod(size - wire.ROWS_OFFSET, 8 * (2 + width))
    if rest or not 0 < rows <= wire.MAX_ROWS:
        error = wire.WireError("bad_size", f"{size} bytes are no whole number of rows of {width} columns")
        return None, [Rejected(m, stream_of(m), error) for m in messages]
    table = np.frombuffer(b"".join(m.data for m in messages), _dtype(width, rows))
    ticks = table["ticks"].astype(np.int64)
    after = table["after"].astype(np.int64)
    honest = (table["rows"] == rows) & (table["columns"] == width)
    rejected: list[Rejected] = []
    kept = list(messages)
    if not honest.all():
        error = wire.WireError("bad_size", "the header's rows and columns do not fit its bytes")
        rejected = [Rejected(m, stream_of(m), error) for m, ok in zip(messages, honest, strict=True) if not ok]
        kept = [m for m, ok in zip(messages, honest, strict=True) if ok]
        table, ticks, after = table[honest], ticks[honest], after[honest]
    if not kept:
        return None, rejected
    batch = Batch(
        messages=kept,
        streams=table["stream"].tolist(),
        schema=schema_of(messages[0]),
        version=version,
        after=after,
        base=table["base"].astype(np.int64),
        wall_offset=table["wall_offset"].astype(np.int64),
        sent=table["sent"].astype(np.int64),
        flags=table["flags"].copy(),
        boot=table["boot"].tolist(),
        ticks=ticks,
        times=table["times"].astype(np.int64),
        matrix=table["matrix"],
    )
    return batch, rejected


def rounds(frames: Iterable[Message]) -> list[dict[tuple[bytes, int, int], list[Message]]]:
    """Return frames in rounds in which no agent stands twice, each by (schema, length, version): first frames first.

    So an agent's frames are counted in their order, its old streams before its new one: the gap between two streams
    is right only then.
    """
    seen: dict[str, int] = {}
    found: list[defaultdict[tuple[bytes, int, int], list[Message]]] = []
    for message in frames:
        _, agent, data, _ = message
        turn = seen.get(agent, 0)
        seen[agent] = turn + 1
        if turn == len(found):
            found.append(defaultdict(list))
        found[turn][data[_SCHEMA], len(data), data[_VERSION]].append(message)
    return [dict(shapes) for shapes in found]


def portions(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """Yield messages of one length by at most :data:`TOGETHER` bytes, at least one at a time."""
    count = max(1, TOGETHER // len(messages[0].data))
    for first in range(0, len(messages), count):
        yield messages[first : first + count]


def part_of(batch: Batch, chosen: NDArray[np.intp]) -> Batch:
    """Return the frames of ``batch`` at the indices ``chosen``."""
    if len(chosen) == len(batch):
        return batch
    picked = chosen.tolist()
    arrays = ("after", "base", "wall_offset", "sent", "flags", "ticks", "times", "matrix")
    return replace(
        batch,
        messages=[batch.messages[i] for i in picked],
        streams=[batch.streams[i] for i in picked],
        boot=[batch.boot[i] for i in picked],
        **{name: getattr(batch, name)[chosen] for name in arrays},
    )


def contact(batch: Batch, i: int) -> clock.Contact:
    """Return what a frame says of its sender's clock."""
    flags = int(batch.flags[i])
    return clock.Contact(
        live=bool(flags & wire.LIVE),
        offset_known=bool(flags & wire.OFFSET_KNOWN),
        wall_offset=int(batch.wall_offset[i]),
        sent=int(batch.sent[i]),
        received=batch.messages[i].received,
    )
