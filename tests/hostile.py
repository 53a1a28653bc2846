"""Everything that a hostile peer may send, for any collector: bytes with a good key, and connections without one."""

from __future__ import annotations

import json
import math
import random
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import zmq

from thinwatt_agent import keys, wire
from thinwatt_agent.wire import Column, Group, Hello, RowsHeader, Schema

SCHEMA = Schema(
    (
        Group(
            ("",),
            (
                Column("rapl", "energy", "counter", "J", "package-0", scope="component", basis="modelled"),
                Column("rapl", "covered", "counter", "s", "package-0"),
                Column("load", "cpus", "gauge", "1"),
            ),
        ),
    )
)
HELLO = wire.encode_hello(Hello(SCHEMA, {"class": "host", "model": "hostile", "interval_s": 10.0}))
SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Hostile:
    """One message (its parts), and the reasons under any of which it may be counted. ``deep``: seen past the wire."""

    name: str
    parts: tuple[bytes, ...]
    reasons: frozenset[str]
    deep: bool = False


def header(rng: random.Random, rows: int = 2) -> RowsHeader:
    """Return a sound header of a stream that nobody has."""
    boottime = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return RowsHeader(
        2, rng.randbytes(16), rng.randbytes(16), SCHEMA.id, 0, boottime - 60 * SECOND,
        time.time_ns() - boottime, boottime, rows, SCHEMA.width, wire.LIVE,
    )  # fmt: skip


def frame(h: RowsHeader, ticks: list[int] | None = None, values: list[list[float]] | None = None) -> bytes:
    """Return a ``ROWS`` message of rows 10 s apart that counts 20 W."""
    ticks = ticks or list(range(1, h.rows + 1))
    values = values or [[200.0 * (i + 1), 10.0 * (i + 1), 4.0] for i in range(h.rows)]
    times = [h.base + 10 * SECOND * (i + 1) for i in range(h.rows)]
    return wire.encode_rows(h, ticks, times, values)


def sealed(kind: int, body: bytes, version: int = 2) -> bytes:
    """Return any body with a prefix that is in order."""
    return struct.pack("<2sBBI", b"tw", version, kind, zlib.crc32(body) if version == 2 else 0) + body


def hostile_messages(rng: random.Random) -> Iterator[Hostile]:
    """Yield messages that no agent sends, each with the reason under which it must be counted."""
    good = frame(header(rng))
    body = good[8:]

    def shaped(rows: int, columns: int, rest: bytes = b"") -> bytes:
        """A header that claims so many rows and columns."""
        return sealed(wire.ROWS, body[:72] + struct.pack("<IH", rows, columns) + body[78:80] + (rest or body[80:]))

    def one(name: str, message: bytes, *reasons: str, deep: bool = False) -> Hostile:
        return Hostile(name, (message,), frozenset(reasons), deep)

    yield one("nothing", b"", "truncated")
    yield one("half a prefix", good[:5], "truncated")
    yield one("text", b"GET /metrics HTTP/1.1\r\n\r\n", "not_thinwatt")
    yield one("random bytes", b"?" + rng.randbytes(rng.randrange(8, 5000)), "not_thinwatt")
    yield one("version 0", good[:2] + b"\0" + good[3:], "unknown_version")
    yield one("version 3", good[:2] + b"\3" + good[3:], "unknown_version")
    yield one("version 255", good[:2] + b"\xff" + good[3:], "unknown_version")
    yield one("kind 9", good[:3] + b"\x09" + good[4:], "unknown_kind")
    yield one("an answer", wire.encode_answer(wire.Answer(bytes(16), 2**64 - 1, 0)), "unknown_kind")
    yield one("a refusal", wire.encode_refusal(wire.Refusal(bytes(16), "bad_value", "x" * 400)), "unknown_kind")
    yield one("cut short", good[: rng.randrange(8, len(good))], "bad_checksum", "truncated")
    place = rng.randrange(8, len(good))
    yield one("one bit wrong", good[:place] + bytes([good[place] ^ 16]) + good[place + 1 :], "bad_checksum")
    yield one("a header only", sealed(wire.ROWS, body[:40]), "truncated")
    yield one("no rows", shaped(0, SCHEMA.width), "bad_size")
    yield one("a billion rows", shaped(10**9, SCHEMA.width), "bad_size")
    yield one("four billion rows", shaped(2**32 - 1, 65_535), "bad_size")
    yield one("more rows than bytes", shaped(3, SCHEMA.width), "bad_size")
    yield one("no columns", shaped(2, 0, bytes(32)), "bad_size")
    yield one("huge", sealed(wire.ROWS, bytes(wire.MAX_MESSAGE)), "too_large")
    yield one("a huge hello", sealed(wire.HELLO, b"[" * wire.MAX_HELLO), "too_large")
    yield Hostile("three parts", (good, b"", rng.randbytes(10)), frozenset(("not_thinwatt",)))
    yield Hostile("a request's empty part", (b"", good), frozenset(("not_thinwatt",)))
    wide = shaped(2, SCHEMA.width + 4, bytes(16 * (SCHEMA.width + 6)))
    yield one("more columns than the schema", wide, "bad_size", deep=True)
    yield from _hellos(rng)
    yield from _deep(rng)


def _hellos(rng: random.Random) -> Iterator[Hostile]:
    column = {"source": "a", "quantity": "b", "kind": "gauge", "unit": "W"}
    documents = {
        "nested": b"[" * 900_000,
        "digits": b"9" * 900_000,
        "no object": b"[]",
        "no schema": b"{}",
        "no columns": json.dumps({"schema": []}).encode(),
        "a number too many": json.dumps({"schema": [{"devices": [""], "columns": [column | {"x": 1}]}]}).encode(),
        "the same twice": json.dumps({"schema": [{"devices": [""], "columns": [column, column]}]}).encode(),
        "no text": b'{"schema":[{"devices":["\\ud800"],"columns":[]}]}',
        "a control character": json.dumps({"schema": [{"devices": ["a\nb"], "columns": [column]}]}).encode(),
        "a machine of broken text": json.dumps({"schema": [{"devices": [""], "columns": [column]}]}).encode()[:-1]
        + b',"machine":{"class":"\\udfff"}}',
        "a billion columns": json.dumps(
            {"schema": [{"devices": [str(i) for i in range(20_000)],
                         "columns": [column | {"part": str(i)} for i in range(5_000)]}]}
        ).encode(),
        "no JSON": rng.randbytes(1000),
    }  # fmt: skip
    for name, document in documents.items():
        message = sealed(wire.HELLO, document)
        yield Hostile(f"a hello: {name}", (message,), frozenset(("bad_schema",)))


def _deep(rng: random.Random) -> Iterator[Hostile]:
    """Frames that are in order as bytes; sent after :data:`HELLO`."""

    def one(name: str, message: bytes, *reasons: str) -> Hostile:
        return Hostile(name, (message,), frozenset(reasons), deep=True)

    h = header(rng)
    yield one("a schema nobody described", frame(replace(h, schema=rng.randbytes(8))), "unknown_schema")
    yield one("ticks that fall", frame(h, [2, 1]), "bad_order")
    yield one("the same tick twice", frame(h, [5, 5]), "bad_order")
    yield one("tick 0", frame(h, [0, 1]), "bad_order")
    yield one("ticks beyond any counter", frame(h, [2**63, 2**64 - 1]), "bad_order")
    yield one("it comes after itself", frame(replace(h, after=2)), "bad_order")
    yield one("it comes after anything", frame(replace(h, after=2**64 - 1)), "bad_order")
    yield one("energy that is no number", frame(h, values=[[math.nan, 1, 1], [math.nan, 2, 1]]), "bad_value")
    yield one("endless energy", frame(h, values=[[math.inf, 1, 1], [math.inf, 2, 1]]), "bad_value")
    yield one("energy that falls", frame(h, values=[[200.0, 10, 1], [100.0, 20, 1]]), "bad_value")
    yield one("negative energy", frame(h, values=[[-200.0, 10, 1], [-100.0, 20, 1]]), "bad_value")
    yield one("times that fall", swapped(frame(h)), "bad_order")
    yield one("times before time", frame(replace(h, base=-(2**62))), "bad_order", "bad_value")


def swapped(message: bytes) -> bytes:
    """Return a frame of two rows with their times exchanged."""
    a, b = wire.ROWS_OFFSET + 16, wire.ROWS_OFFSET + 24
    return sealed(wire.ROWS, message[8:a] + message[b : b + 8] + message[a:b] + message[b + 8 :])


class Peer:
    """A client of any key; with ``immediate`` it can send only when it was let in. Close it."""

    def __init__(
        self,
        address: str,
        server_key: bytes,
        pair: tuple[bytes, bytes] | None = None,
        routing_id: bytes = b"",
        immediate: bool = False,
    ) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        s = self.socket = self._context.socket(zmq.DEALER)
        s.linger, s.ipv6, s.immediate = 0, True, immediate
        s.curve_publickey, s.curve_secretkey = pair or zmq.curve_keypair()
        s.curve_serverkey = server_key
        if routing_id:
            s.routing_id = routing_id
        s.connect(address)

    def send(self, *parts: bytes) -> bool:
        """Send if there is room for it; return whether there was."""
        try:
            self.socket.send_multipart(parts, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def refusal(self, timeout_ms: int) -> str:
        """Return the reason of the next refusal, "" if none comes."""
        while self.socket.poll(timeout_ms):
            with suppress(wire.WireError):
                return wire.decode_refusal(self.socket.recv()).reason
        return ""

    def close(self) -> None:
        self._context.destroy(linger=0)


def pair_of(secret: bytes) -> tuple[bytes, bytes]:
    """Return the public and the secret key."""
    return keys.public_of(secret), secret


GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00"


def strangers(port: int, rng: random.Random) -> list[socket.socket]:
    """Open connections of programs that are no agents; the caller closes them."""
    curve, null = (GREETING + name.ljust(20, b"\0") + bytes(32) for name in (b"CURVE", b"NULL"))
    said = [
        b"", b"\0",
        rng.randbytes(64), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        GREETING[:5], null, null + b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x06DEALER", curve,
        curve + b"\x04\xc8\x05HELLO" + bytes(194), curve + b"\x04\xc8\x05HELLO" + rng.randbytes(194),
        curve + b"\x06" + struct.pack(">Q", 2**63 - 1) + rng.randbytes(100),
        curve + b"\x06" + struct.pack(">Q", 2**22) + bytes(1000), curve + b"\x00\x01x", curve + rng.randbytes(3000),
    ]  # fmt: skip
    opened = []
    for data in said:
        s = socket.create_connection(("127.0.0.1", port), timeout=10)
        with suppress(OSError):
            s.sendall(data)
        opened.append(s)
    return opened
