"""The bytes: what goes in comes out, any other bytes are an error by name, and the layout never changes by accident."""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Golden
from thinwatt_agent import wire
from thinwatt_agent.wire import Answer, Column, Group, Hello, Refusal, RowsHeader, Schema, WireError

GOLDEN = Path(__file__).parents[1] / "golden" / "wire"
versions = st.sampled_from((1, 2))
int64 = st.integers(-(2**63), 2**63 - 1)
uint64 = st.integers(0, 2**64 - 1)
texts = st.text(
    st.characters(min_codepoint=32, codec="utf-8", exclude_characters=[chr(c) for c in range(127, 160)]), max_size=20
)
names = st.text("abcdefghij_", min_size=1, max_size=8)


def key(column: Column) -> tuple[str, ...]:
    return column.source, column.quantity, column.part, column.consumer


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    columns = st.builds(
        Column, names, names, st.sampled_from(("counter", "gauge")), names, texts, texts, names, names, st.booleans()
    )
    groups = draw(
        st.lists(
            st.builds(
                Group,
                st.lists(texts, min_size=1, max_size=3, unique=True).map(tuple),
                st.lists(columns, min_size=1, max_size=4, unique_by=key),
            ),
            min_size=1,
            max_size=2,
        )
    )  # fmt: skip
    # devices of different groups are different devices
    return Schema(tuple(Group(tuple(f"{i}{d}" for d in g.devices), tuple(g.columns)) for i, g in enumerate(groups)))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3),
    max_leaves=8,
)


@given(schemas(), st.dictionaries(texts, json_values, max_size=5), versions)
def test_a_hello_comes_out_as_it_went_in(schema: Schema, machine: dict[str, Any], version: int) -> None:
    found = wire.decode_hello(wire.encode_hello(Hello(schema, machine), version))
    assert found.schema == schema
    assert found.schema.id == schema.id
    assert found.machine == machine


@pytest.mark.parametrize("changed", [{"unit": "s"}, {"total": False}, {"part": "1"}])
@pytest.mark.parametrize("wrong", [{"part": 1}, {"total": 1}])
def test_a_schema_read_once_is_not_taken_for_another(changed: dict[str, Any], wrong: dict[str, Any]) -> None:
    column = {"source": "plug", "quantity": "energy", "kind": "counter", "unit": "J"}

    def hello(column: dict[str, Any], cores: int) -> bytes:
        schema = [{"devices": [""], "columns": [column]}]
        return sealed(wire.HELLO, json.dumps({"machine": {"cores": cores}, "schema": schema}).encode())

    first, same = wire.decode_hello(hello(column, 4)), wire.decode_hello(hello(dict(reversed(column.items())), 8))
    assert same.schema is first.schema
    assert (first.machine, same.machine) == ({"cores": 4}, {"cores": 8})
    assert wire.decode_hello(hello(column | changed, 4)).schema.id != first.schema.id
    with pytest.raises(WireError, match="bad_schema"):
        wire.decode_hello(hello(column | wrong, 4))


@st.composite
def frames(draw: st.DrawFn) -> tuple[RowsHeader, list[int], list[int], list[list[float]]]:
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    ids = st.binary(min_size=16, max_size=16)
    header = RowsHeader(
        draw(versions), draw(ids), draw(ids), draw(st.binary(min_size=8, max_size=8)), draw(uint64), draw(int64),
        draw(int64), draw(int64), rows, columns, draw(st.integers(0, 255)),
    )  # fmt: skip
    numbers = st.lists(st.floats(width=64), min_size=columns, max_size=columns)
    return (
        header,
        draw(st.lists(uint64, min_size=rows, max_size=rows)),
        draw(st.lists(int64, min_size=rows, max_size=rows)),
        draw(st.lists(numbers, min_size=rows, max_size=rows)),
    )


def same(a: float, b: float) -> bool:
    return struct.pack("<d", a) == struct.pack("<d", b) or (math.isnan(a) and math.isnan(b))


@given(frames())
def test_rows_come_out_as_they_went_in(frame: tuple[RowsHeader, list[int], list[int], list[list[float]]]) -> None:
    header, ticks, times, rows = frame
    found_header, found_ticks, found_times, found = wire.decode_rows(wire.encode_rows(header, ticks, times, rows))
    assert found_header == header
    assert (list(found_ticks), list(found_times)) == (ticks, times)
    assert all(same(a, b) for x, y in zip(rows, found, strict=True) for a, b in zip(x, y, strict=True))


@given(frames())
def test_the_matrix_can_be_read_in_place(frame: tuple[RowsHeader, list[int], list[int], list[list[float]]]) -> None:
    header, ticks, times, rows = frame
    message = wire.encode_rows(header, ticks, times, rows)
    n = header.rows
    assert np.frombuffer(message, "<u8", n, wire.ROWS_OFFSET).tolist() == ticks
    assert np.frombuffer(message, "<i8", n, wire.ROWS_OFFSET + 8 * n).tolist() == times
    matrix = np.frombuffer(message, "<f8", offset=wire.ROWS_OFFSET + 16 * n).reshape(header.columns, n)
    assert matrix.T.tobytes() == np.array(rows, "<f8").tobytes()


@given(frames(), versions, uint64, int64)
def test_restamping_changes_the_header_only(
    frame: tuple[RowsHeader, list[int], list[int], list[list[float]]], version: int, after: int, sent: int
) -> None:
    header, ticks, times, rows = frame
    message = wire.encode_rows(header, ticks, times, rows)
    stamped = wire.restamp(message, replace(header, version=version, after=after, sent=sent))
    assert wire.decode_rows(stamped)[0] == replace(header, version=version, after=after, sent=sent)
    assert stamped[wire.ROWS_OFFSET :] == message[wire.ROWS_OFFSET :]


@given(st.binary(min_size=16, max_size=16), uint64, int64, versions)
def test_answers_come_out_as_they_went_in(stream: bytes, position: int, utc: int, version: int) -> None:
    answer = Answer(stream, position, utc, version)
    assert wire.decode_answer(wire.encode_answer(answer)) == answer


@given(st.binary(min_size=16, max_size=16), st.sampled_from(wire.REASONS), texts, versions)
def test_refusals_come_out_as_they_went_in(stream: bytes, reason: str, text: str, version: int) -> None:
    refusal = Refusal(stream, reason, text, version)
    assert wire.decode_refusal(wire.encode_refusal(refusal)) == refusal


@given(st.text(max_size=600))
def test_a_long_text_of_a_refusal_is_cut_not_broken(text: str) -> None:
    found = wire.decode_refusal(
        wire.encode_refusal(Refusal(bytes(16), "bad_value", text.encode(errors="ignore").decode()))
    )
    assert len(found.text.encode()) <= 503


DECODERS: tuple[Callable[[bytes], object], ...] = (
    wire.kind_of, wire.decode_hello, wire.rows_header, wire.decode_rows, wire.decode_answer, wire.decode_refusal,
)  # fmt: skip


def takes_or_names(decode: Callable[[bytes], object], message: bytes) -> None:
    found: WireError | None = None
    try:
        decode(message)
    except WireError as error:
        found = error
    assert found is None or (found.reason in wire.REASONS and len(found.text) < 1000)


def sealed(kind: int, body: bytes, version: int = 2) -> bytes:
    return struct.pack("<2sBBI", b"tw", version, kind, zlib.crc32(body) if version == 2 else 0) + body


@given(st.binary(max_size=300) | st.builds(sealed, st.integers(0, 5), st.binary(max_size=300), st.integers(0, 3)))
def test_any_bytes_are_taken_or_refused_by_name(message: bytes) -> None:
    for decode in DECODERS:
        takes_or_names(decode, message)


@given(json_values, versions)
def test_any_json_is_a_schema_or_is_refused_by_name(document: Any, version: int) -> None:
    for whole in (document, {"schema": document}, {"schema": [{"devices": [""], "columns": document}]},
                  {"schema": [{"devices": document, "columns": [document]}], "machine": document}):  # fmt: skip
        takes_or_names(wire.decode_hello, sealed(wire.HELLO, json.dumps(whole).encode(), version))


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000,
        b'{"schema":' + b"9" * 100_000 + b"}",
        b'{"schema":[{"devices":["\\ud800"],"columns":[]}]}',
        b'{"schema":[{"devices":[""],"columns":[{"source":"a","quantity":"b","kind":"gauge","unit":"W"}]}],"machine":{"class":"\\ud800"}}',
        b'{"schema":[{"devices":[""],"columns":[{"source":"a","quantity":"b","kind":"gauge","unit":"W"}]}],"machine":{"cores":NaN}}',
        b'{"schema":[{"devices":[""],"columns":[{"source":"a","quantity":"b","kind":"gauge","unit":"W"}]}],"machine":[]}',
        b'{"schema":[{"devices":["",""],"columns":[{"source":"a","quantity":"b","kind":"gauge","unit":"W"}]}]}',
        b'{"schema":[{"devices":[""],"columns":[{"source":"a","quantity":"b","kind":"rate","unit":"W"}]}]}',
        b'{"schema":[{"devices":[""],"columns":[{"source":"a\\u0000","quantity":"b","kind":"gauge","unit":"W"}]}]}',
        b'{"schema":[{"devices":[""],"columns":[{"source":"a","kind":"gauge","unit":"W"}]}]}',
        b"\xff\xfe",
        b"null",
    ],
)  # fmt: skip
def test_what_is_no_schema_is_a_bad_schema(body: bytes) -> None:
    with pytest.raises(WireError) as found:
        wire.decode_hello(sealed(wire.HELLO, body))
    assert found.value.reason == "bad_schema"


def test_a_schema_of_too_many_columns_is_refused_before_it_is_built() -> None:
    column = {"source": "a", "quantity": "b", "kind": "gauge", "unit": "W"}
    document = [
        {"devices": [str(i) for i in range(30_000)], "columns": [column | {"part": str(i)} for i in range(300)]}
    ]
    with pytest.raises(WireError, match="9000000 columns"):
        wire.schema_of(document)


COLUMNS = (
    Column("rapl", "energy", "counter", "J", "package-0", scope="component", basis="modelled"),
    Column("rapl", "energy", "counter", "J", "core", scope="component", basis="modelled", total=False),
    Column("load", "cpus", "gauge", "1"),
)
SCHEMA = Schema((Group(("",), COLUMNS), Group(("outlet 1", "outlet é2"), COLUMNS[:1])))
HEADER = RowsHeader(
    2, bytes(range(16)), bytes(range(16, 32)), SCHEMA.id, 6, 1_000_000_000, 1_700_000_000_000_000_000,
    71_000_000_000, 2, 5, wire.SYNCED | wire.LIVE,
)  # fmt: skip


def messages(version: int) -> dict[str, bytes]:
    rows = [[1.5, 1.25, 8.0, 3.0, 4.0], [2.5, 2.25, math.nan, 3.5, 4.5]]
    header = replace(HEADER, version=version)
    return {
        "hello": wire.encode_hello(Hello(SCHEMA, {"class": "host", "model": "é", "cores": 8}), version),
        "rows": wire.encode_rows(header, [7, 8], [61_000_000_000, 71_000_000_000], rows),
        "answer": wire.encode_answer(Answer(HEADER.stream, 8, 1_700_000_071_000_000_000, version)),
        "refusal": wire.encode_refusal(Refusal(HEADER.stream, "unknown_schema", "send the hello", version)),
    }


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("kind", ["hello", "rows", "answer", "refusal"])
def test_the_bytes_on_the_wire_are_these(golden: Golden, kind: str, version: int) -> None:
    message = messages(version)[kind]
    lines = [message[i : i + 32].hex(" ", 8) for i in range(0, len(message), 32)]
    golden("\n".join(lines) + "\n", GOLDEN / f"{kind}.v{version}.hex")


def damaged(message: bytes) -> list[tuple[str, bytes]]:
    body = message[8:]
    return [
        ("truncated", b""),
        ("truncated", message[:7]),
        ("not_thinwatt", b"TW" + message[2:]),
        ("unknown_version", message[:2] + b"\x00" + message[3:]),
        ("unknown_version", message[:2] + b"\x03" + message[3:]),
        ("unknown_kind", message[:3] + b"\x05" + message[4:]),
        ("too_large", message + bytes(wire.MAX_MESSAGE)),
        ("bad_checksum", message[:-1] + bytes([message[-1] ^ 1])),
        ("bad_checksum", message + b"\0"),
        ("truncated", sealed(wire.ROWS, body[:10])),
        ("bad_size", sealed(wire.ROWS, body[:-8])),
        ("bad_size", sealed(wire.ROWS, body + bytes(8))),
        ("bad_size", sealed(wire.ROWS, body[:72] + struct.pack("<I", 10**9) + body[76:])),
        ("bad_size", sealed(wire.ROWS, body[:72] + struct.pack("<IH", 0, 0) + body[78:])),
        ("bad_size", sealed(wire.ROWS, body[:72] + struct.pack("<IH", 1 << 31, 65_535) + body[78:])),
    ]


@pytest.mark.parametrize("case", range(len(damaged(messages(2)["rows"]))))
def test_damage_has_a_name(case: int) -> None:
    reason, message = damaged(messages(2)["rows"])[case]
    with pytest.raises(WireError) as found:
        wire.rows_header(message)
    assert found.value.reason == reason


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_single_wrong_byte_is_taken_in_version_2(place: int, change: int) -> None:
    message = bytearray(messages(2)["rows"])
    message[place % len(message)] ^= change
    if place % len(message) == 2 and message[2] == 1:
        return  # version 1 has no checksum: that is why there is a version 2
    with pytest.raises(WireError):
        wire.rows_header(bytes(message))


def test_the_same_columns_have_the_same_id_on_every_machine() -> None:
    assert Schema((Group(("",), COLUMNS),)).id.hex() == Schema((Group(("",), tuple(COLUMNS)),)).id.hex()
    ids = {SCHEMA.id, Schema(SCHEMA.groups[:1]).id, Schema((Group(("",), COLUMNS[::-1]),)).id}
    assert len(ids) == 3
    assert wire.schema_of(json.loads(json.dumps(SCHEMA.document()))).id == SCHEMA.id
