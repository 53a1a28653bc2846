"""Frames: bytes to values and back, without sockets, clocks or disks.

Four messages, each one ZeroMQ part, all little-endian, all starting with ``tw``, version, kind:

``HELLO``    agent → collector: one JSON object, the schema of the rows and the machine's description.
             Sent once a connection, whenever the schema changes and when the collector asks for it.
``ROWS``     agent → collector: a fixed header, then ticks (u64), times (i64, ns of CLOCK_BOOTTIME) and the
             float64 matrix, column-major, so that the collector reads it in place with ``numpy.frombuffer``.
``ANSWER``   collector → agent: the position up to which a stream is in the ledger.
``REFUSAL``  collector → agent: why a message was not taken, by name.

Version 2 put a CRC-32 over everything behind the checksum field, because the spool keeps frames on disk as they
stand; version 1 has zero there. Both ends speak both: the collector takes either and answers in the version it
was spoken to; an agent refused for its version speaks the older one.

Every decoder raises :class:`WireError` with a ``reason`` from :data:`REASONS` for any bytes whatever, in time and
memory bounded by the message's own length. Nothing is allocated on the word of a header.
"""

from __future__ import annotations

import json
import struct
import zlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import chain
from typing import Any, Final, Literal

try:
    from _blake2 import blake2b  # hashlib would load OpenSSL: 3.6 MiB of an agent's memory, for one hash
except ImportError:  # another Python than CPython
    from hashlib import blake2b

VERSION: Final = 2
OLDEST_VERSION: Final = 1
HELLO: Final = 1
ROWS: Final = 2
ANSWER: Final = 3
REFUSAL: Final = 4

SYNCED: Final = 1
"""Flag: the agent's wall clock was synchronised when the frame was sent."""
LIVE: Final = 2
"""Flag: the rows are of the boot that sends them, so ``sent`` and the row times share one clock."""
OFFSET_KNOWN: Final = 4
"""Flag: ``wall_offset`` comes from a collector's answer in the boot of these rows."""

MAX_MESSAGE: Final = 8 << 20
MAX_HELLO: Final = 1 << 20
MAX_ROWS: Final = 1 << 16
MAX_COLUMNS: Final = (1 << 16) - 1
KEPT_SCHEMA: Final = 16 << 10
"""A schema of at most so many bytes is read once: thousands of machines send the same. Larger ones are gateways', each
its own."""

REASONS: Final = (
    "not_thinwatt",
    "unknown_version",
    "unknown_kind",
    "truncated",
    "too_large",
    "bad_checksum",
    "bad_size",
    "bad_order",
    "bad_value",
    "bad_schema",
    "unknown_schema",
    "not_allowed",
    "too_much",
)
"""Why a message is not taken; also the values of the label ``reason`` of the counter of dropped messages."""

_PREFIX = struct.Struct("<2sBBI")  # magic, version, kind, crc of all that follows
_ROWS = struct.Struct("<16s16s8sQqqqIHBx")
# stream, boot, schema, after, base, wall_offset, sent, rows, columns, flags
_ANSWER = struct.Struct("<16sQq")  # stream, position, the collector's UTC in ns
_REFUSAL = struct.Struct("<16sB")  # stream (zeros if none), index into REASONS; then UTF-8 text
_MAGIC: Final = b"tw"
ROWS_OFFSET: Final = _PREFIX.size + _ROWS.size
"""Bytes before the tick column of a ``ROWS`` message; a multiple of 8."""

_CONTROL: Final = frozenset(map(chr, (*range(32), *range(127, 160))))

Kind = Literal["counter", "gauge"]


class WireError(ValueError):
    """A message that can't be taken; ``reason`` is one of :data:`REASONS`."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(f"{reason}: {text}")
        self.reason = reason
        self.text = text


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the matrix.

    ``counter`` columns are cumulative since tick 0 of the stream and never fall; ``gauge`` columns are the last
    reading. ``basis`` and ``scope`` are filled for energy only (METHOD §1). ``total`` says that the part belongs to
    the sum of its source: nested domains (a core inside its package) and twins are sent but not summed.
    """

    source: str
    quantity: str
    kind: Kind
    unit: str
    part: str = ""
    consumer: str = ""
    scope: str = ""
    basis: str = ""
    total: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """Devices that have the same columns. An agent's own machine is the device ``""``."""

    devices: tuple[str, ...]
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Schema:
    """What the columns of a matrix mean: groups in order, in a group device after device, in a device its columns."""

    groups: tuple[Group, ...]

    @cached_property
    def width(self) -> int:
        """Number of columns of the matrix."""
        return sum(len(g.devices) * len(g.columns) for g in self.groups)

    @cached_property
    def id(self) -> bytes:
        """Eight bytes that name this schema: the same columns have the same id on every machine."""
        return blake2b(_canonical(self.document()), digest_size=8).digest()

    def document(self) -> list[dict[str, Any]]:
        """The schema as plain lists and dictionaries, defaults left out."""
        return [{"devices": list(g.devices), "columns": [_sparse(c) for c in g.columns]} for g in self.groups]


@dataclass(frozen=True, slots=True)
class Hello:
    """The schema of the rows to come and the machine's description (class, model, cores, interval, simulated …)."""

    schema: Schema
    machine: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RowsHeader:
    """The fixed part of a ``ROWS`` message. Times are ns; ``base`` is CLOCK_BOOTTIME at tick 0."""

    version: int
    stream: bytes
    boot: bytes
    schema: bytes
    after: int
    base: int
    wall_offset: int
    sent: int
    rows: int
    columns: int
    flags: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of ``stream`` up to ``position`` are in the ledger; ``utc`` is the collector's clock in ns."""

    stream: bytes
    position: int
    utc: int
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message was not taken."""

    stream: bytes
    reason: str
    text: str
    version: int = VERSION


def _canonical(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


_DEFAULTS: Final = {"part": "", "consumer": "", "scope": "", "basis": "", "total": True}


_FIELDS: Final = tuple(Column.__dataclass_fields__)


def _sparse(column: Column) -> dict[str, Any]:
    return {k: v for k in _FIELDS if (v := getattr(column, k)) != _DEFAULTS.get(k, ...)}


def _seal(kind: int, body: bytes, version: int) -> bytes:
    crc = zlib.crc32(body) if version >= 2 else 0
    return _PREFIX.pack(_MAGIC, version, kind, crc) + body


def kind_of(message: bytes | memoryview) -> tuple[int, int]:
    """Return ``(version, kind)`` of any message, without looking at its body.

    Raises:
        WireError: ``not_thinwatt``, ``unknown_version``, ``unknown_kind``, ``truncated`` or ``too_large``.
    """
    if len(message) < _PREFIX.size:
        raise WireError("truncated", f"{len(message)} bytes are fewer than a prefix has")
    magic, version, kind, _ = _PREFIX.unpack_from(message)
    if magic != _MAGIC:
        raise WireError("not_thinwatt", "the message does not start with 'tw'")
    if not OLDEST_VERSION <= version <= VERSION:
        raise WireError("unknown_version", f"version {version}; spoken here: {OLDEST_VERSION} to {VERSION}")
    if kind not in (HELLO, ROWS, ANSWER, REFUSAL):
        raise WireError("unknown_kind", f"kind {kind}")
    if len(message) > (MAX_HELLO if kind == HELLO else MAX_MESSAGE):
        raise WireError("too_large", f"{len(message)} bytes")
    return version, kind


def _body(message: bytes | memoryview, kind: int) -> tuple[int, memoryview]:
    version, found = kind_of(message)
    if found != kind:
        raise WireError("unknown_kind", f"kind {found} where {kind} belongs")
    body = memoryview(message)[_PREFIX.size :]
    if version >= 2 and zlib.crc32(body) != _PREFIX.unpack_from(message)[3]:
        raise WireError("bad_checksum", "the checksum does not fit the bytes")
    return version, body


def encode_hello(hello: Hello, version: int = VERSION) -> bytes:
    """Return the ``HELLO`` message."""
    document = {"schema": hello.schema.document(), "machine": dict(hello.machine)}
    return _seal(HELLO, _canonical(document), version)


def decode_hello(message: bytes | memoryview) -> Hello:
    """Return the hello in ``message``.

    Raises:
        WireError: also ``bad_schema`` for JSON that is no schema.
    """
    _, body = _body(message, HELLO)
    try:
        document = json.loads(bytes(body))
        machine = document.get("machine", {})
        if not isinstance(machine, dict):
            raise TypeError("'machine' is no object")
        json.dumps(machine, ensure_ascii=False, allow_nan=False).encode()  # texts are texts, numbers are numbers
        text = _canonical(document["schema"])
        schema = _kept_schema(text) if len(text) <= KEPT_SCHEMA else schema_of(document["schema"])
    except WireError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise WireError("bad_schema", f"no schema in this hello: {error!r}") from None
    return Hello(schema, machine)


@lru_cache(maxsize=256)
def _kept_schema(text: bytes) -> Schema:
    return schema_of(json.loads(text))


def schema_of(document: Any) -> Schema:
    """Return the schema written as :meth:`Schema.document` writes it.

    Raises:
        WireError: ``bad_schema``, with the part that is wrong.
    """
    try:
        groups = tuple(
            Group(tuple(_text(d, "device") for d in g["devices"]), tuple(_column(c) for c in g["columns"]))
            for g in document
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise WireError("bad_schema", f"{error!r}") from None
    schema = Schema(groups)
    if not 0 < schema.width <= MAX_COLUMNS:
        raise WireError("bad_schema", f"{schema.width} columns; 1 to {MAX_COLUMNS} are taken")
    keys = {(d, c.source, c.quantity, c.part, c.consumer) for g in groups for d in g.devices for c in g.columns}
    if len(keys) != schema.width:
        raise WireError("bad_schema", "two columns have the same device, source, quantity, part and consumer")
    return schema


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or len(value) > 200 or not _CONTROL.isdisjoint(value):
        raise WireError("bad_schema", f"{what} is no printable text of at most 200 characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise WireError("bad_schema", f"{what} is no valid text") from None
    return value


def _column(document: Any) -> Column:
    if not isinstance(document, dict) or not set(document) <= set(Column.__dataclass_fields__):
        raise WireError("bad_schema", "a column has a field that is not known")
    total = document.get("total", True)
    texts = {k: _text(v, k) for k, v in document.items() if k != "total"}
    if texts.get("kind") not in ("counter", "gauge") or not isinstance(total, bool):
        raise WireError("bad_schema", "a column's kind is counter or gauge and its total true or false")
    return Column(**texts, total=total)  # type: ignore[arg-type]  # kind was checked above


def encode_rows(
    header: RowsHeader, ticks: Sequence[int], times: Sequence[int], rows: Sequence[Sequence[float]]
) -> bytes:
    """Return the ``ROWS`` message; ``rows`` holds one sequence of floats a row, transposed here.

    ``header.rows``, ``.columns`` and ``.version`` are taken as they stand.
    """
    matrix = array("d", chain.from_iterable(zip(*rows, strict=True)))
    body = b"".join((_pack_rows(header), array("Q", ticks), array("q", times), matrix))
    return _seal(ROWS, body, header.version)


def _pack_rows(h: RowsHeader) -> bytes:
    return _ROWS.pack(
        h.stream, h.boot, h.schema, h.after, h.base, h.wall_offset, h.sent, h.rows, h.columns, h.flags
    )  # fmt: skip


def restamp(message: bytes, header: RowsHeader) -> bytes:
    """Return ``message`` with another header of the same shape: what changes from one sending to the next."""
    return _seal(ROWS, _pack_rows(header) + message[ROWS_OFFSET:], header.version)


def rows_header(message: bytes | memoryview) -> RowsHeader:
    """Return the header of a ``ROWS`` message after checking that its length is what it claims.

    Raises:
        WireError: also ``bad_size`` where rows × columns do not fit the bytes, ``truncated``, ``bad_checksum``.
    """
    version, body = _body(message, ROWS)
    if len(body) < _ROWS.size:
        raise WireError("truncated", f"{len(message)} bytes are fewer than a header has")
    header = RowsHeader(version, *_ROWS.unpack_from(body))
    if not (0 < header.rows <= MAX_ROWS and 0 < header.columns <= MAX_COLUMNS):
        raise WireError("bad_size", f"{header.rows} rows of {header.columns} columns")
    if len(message) != ROWS_OFFSET + 8 * header.rows * (2 + header.columns):
        raise WireError("bad_size", f"{len(message)} bytes for {header.rows} rows of {header.columns} columns")
    return header


def decode_rows(message: bytes) -> tuple[RowsHeader, array[int], array[int], list[tuple[float, ...]]]:
    """Return header, ticks, times and rows: for the agent's spool and for tests; the collector reads in place."""
    header = rows_header(message)
    n = header.rows
    ticks, times, matrix = array("Q"), array("q"), array("d")
    ticks.frombytes(message[ROWS_OFFSET : ROWS_OFFSET + 8 * n])
    times.frombytes(message[ROWS_OFFSET + 8 * n : ROWS_OFFSET + 16 * n])
    matrix.frombytes(message[ROWS_OFFSET + 16 * n :])
    return header, ticks, times, list(zip(*(matrix[i * n : (i + 1) * n] for i in range(header.columns)), strict=True))


def encode_answer(answer: Answer) -> bytes:
    """Return the ``ANSWER`` message."""
    return _seal(ANSWER, _ANSWER.pack(answer.stream, answer.position, answer.utc), answer.version)


def decode_answer(message: bytes) -> Answer:
    """Return the answer in ``message``; raises :class:`WireError`."""
    version, body = _body(message, ANSWER)
    if len(body) != _ANSWER.size:
        raise WireError("bad_size", f"an answer of {len(message)} bytes")
    stream, position, utc = _ANSWER.unpack(body)
    return Answer(stream, position, utc, version)


def encode_refusal(refusal: Refusal) -> bytes:
    """Return the ``REFUSAL`` message."""
    body = _REFUSAL.pack(refusal.stream, REASONS.index(refusal.reason)) + refusal.text.encode()[:500]
    return _seal(REFUSAL, body, refusal.version)


def decode_refusal(message: bytes) -> Refusal:
    """Return the refusal in ``message``; raises :class:`WireError`."""
    version, body = _body(message, REFUSAL)
    if len(body) < _REFUSAL.size:
        raise WireError("truncated", f"a refusal of {len(message)} bytes")
    stream, index = _REFUSAL.unpack_from(body)
    reason = REASONS[index] if index < len(REASONS) else "bad_value"
    return Refusal(stream, reason, bytes(body[_REFUSAL.size :]).decode(errors="replace"), version)
