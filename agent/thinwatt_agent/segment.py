"""The spool's format: a segment holds frames of one stream and one schema.

A segment is a sequence of records, each ``length, CRC-32`` and a body whose first byte is its kind:

``H``  stream, boot, and the ``HELLO`` message that describes the rows; the first record.
``R``  one ``ROWS`` message and behind it the sampler's state (JSON, may be empty) at its last row.
``N``  a note: the answered position of a stream, and the offset of a boot's clock that an answer gave.

A record that ends behind the end of the data was being written when the process ended: it was never sent, because a
frame is sent only when it lies here. A whole record with a wrong checksum is damage.
"""

from __future__ import annotations

import re
import struct
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from thinwatt_agent import frames, wire
from thinwatt_agent.store import SUFFIX, Store

_NAME = re.compile(rf"([0-9]{{12,15}}){re.escape(SUFFIX)}")
_RECORD = struct.Struct("<II")
_HEAD = struct.Struct("<c16s16s")
_NOTE = struct.Struct("<c16sQ16sq?")
_LENGTH = struct.Struct("<cI")

ROWS_HEAD = _RECORD.size + _LENGTH.size
"""Bytes from the start of a frame's record to its message."""


@dataclass(frozen=True, slots=True)
class Note:
    """``stream`` is answered up to ``position``; UTC − boottime of ``boot`` is ``offset`` [ns] if ``known``."""

    stream: bytes
    position: int
    boot: bytes
    offset: int
    known: bool


def name_of(number: int) -> str:
    """Return the name of the segment with this number, from 1."""
    return f"{number:012d}{SUFFIX}"


def number_of(name: str) -> int | None:
    """Return the number of the segment that has this name, None where no segment has such a one."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def record(body: bytes) -> bytes:
    """Return a body with its length and checksum in front."""
    return _RECORD.pack(len(body), zlib.crc32(body)) + body


def head(stream: bytes, boot: bytes, hello: bytes) -> bytes:
    """Return the first record of a segment."""
    return record(_HEAD.pack(b"H", stream, boot) + hello)


def rows(message: bytes, state: bytes) -> bytes:
    """Return the record of a frame."""
    return record(_LENGTH.pack(b"R", len(message)) + message + state)


def state_of(body: bytes) -> bytes:
    """Return the state in the body of a frame's record."""
    return body[_LENGTH.size + _LENGTH.unpack_from(body)[1] :]


def note(n: Note) -> bytes:
    """Return the record of a note."""
    return record(_NOTE.pack(b"N", n.stream, n.position, n.boot, n.offset, n.known))


@dataclass(slots=True)
class Segment:
    """Where the frames of one segment lie: an index in memory, the frames themselves in the store."""

    name: str
    store: Store
    stream: bytes
    boot: bytes
    schema: bytes
    hello: tuple[int, int]
    size: int = 0
    lasts: array[int] = field(default_factory=lambda: array("Q"))
    counts: array[int] = field(default_factory=lambda: array("L"))
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    lengths: array[int] = field(default_factory=lambda: array("L"))
    state: bytes = b""
    start: int = 0
    end: int = 0
    thinned: bool = False

    @property
    def last(self) -> int:
        """The last tick in it."""
        return self.lasts[-1]

    def add(self, message: bytes, state: bytes, offset: int) -> None:
        """Enter a frame that lies at ``offset`` into the index."""
        ticks, times = frames.columns(message)
        if not self.lasts:
            self.start = times[0]
        self.end = times[-1]
        self.state = state
        self.lasts.append(ticks[-1])
        self.counts.append(len(ticks))
        self.offsets.append(offset)
        self.lengths.append(len(message))

    def rows_beyond(self, tick: int) -> int:
        """Return how many rows lie in frames that end behind ``tick``."""
        return sum(self.counts[self.first_beyond(tick) :])

    def first_beyond(self, tick: int) -> int:
        """Return the place of the first frame that ends behind ``tick``."""
        return bisect_right(self.lasts, tick)

    def read(self, index: int) -> bytes:
        """Return a frame.

        Raises:
            OSError: the store can't read it.
            wire.WireError: it is damaged.
        """
        message = self.store.read(self.name, self.offsets[index], self.lengths[index])
        wire.rows_header(message)
        return message

    def read_hello(self) -> bytes:
        """Return the ``HELLO`` message."""
        return self.store.read(self.name, *self.hello)

    def drop(self, index: int) -> None:
        """Take a frame out of the index."""
        for column in (self.lasts, self.counts, self.offsets, self.lengths):
            del column[index]


@dataclass(slots=True)
class Found:
    """What :func:`parse` found: ``whole`` is how many bytes are good, ``damaged`` whether a whole record was not."""

    segment: Segment | None = None
    notes: list[Note] = field(default_factory=list)
    headers: list[wire.RowsHeader] = field(default_factory=list)
    whole: int = 0
    damaged: bool = False


def bodies(data: bytes) -> Iterator[tuple[int, bytes | None, int]]:
    """Yield where each record's body starts, the body (None: damaged) and where it ends, up to the first torn one."""
    position = 0
    while position + _RECORD.size < len(data):
        length, crc = _RECORD.unpack_from(data, position)
        start = position + _RECORD.size
        end = start + length
        if not length or end > len(data):
            return
        body = data[start:end]
        yield start, body if zlib.crc32(body) == crc else None, end
        position = end


def last_state(data: bytes) -> bytes:
    """Return the state of the last frame in a segment."""
    state = b""
    for _, body, _ in bodies(data):
        if body and body[:1] == b"R":
            state = state_of(body)
    return state


def parse(name: str, store: Store, data: bytes) -> Found:
    """Return what a segment holds; no bytes whatever make it raise."""
    found = Found()
    for start, body, end in bodies(data):
        found.whole = end
        try:
            if body is None:
                raise wire.WireError("bad_checksum", "a record of the spool")
            _enter(found, name, store, start, body)
        except (wire.WireError, struct.error):
            found.damaged = True
    if found.segment is not None:
        found.segment.size = found.whole
        if not found.segment.lasts:
            found.segment = None
    return found


def _enter(found: Found, name: str, store: Store, start: int, body: bytes) -> None:
    kind, segment = body[:1], found.segment
    if kind == b"H" and segment is None:
        _, stream, boot = _HEAD.unpack_from(body)
        hello = body[_HEAD.size :]
        schema = wire.decode_hello(hello).schema.id
        found.segment = Segment(name, store, stream, boot, schema, (start + _HEAD.size, len(hello)))
    elif kind == b"R" and segment is not None:
        _, length = _LENGTH.unpack_from(body)
        message, state = body[_LENGTH.size : _LENGTH.size + length], body[_LENGTH.size + length :]
        header = wire.rows_header(message)
        ticks, _ = frames.columns(message)
        if (header.stream, header.schema) != (segment.stream, segment.schema) or (
            segment.lasts and ticks[0] <= segment.last
        ):
            raise wire.WireError("bad_order", "a frame that does not belong here")
        segment.add(message, state, start + _LENGTH.size)
        found.headers.append(header)
    elif kind == b"N":
        found.notes.append(Note(*_NOTE.unpack(body)[1:]))
    else:
        raise wire.WireError("unknown_kind", f"a record of kind {kind!r}")
