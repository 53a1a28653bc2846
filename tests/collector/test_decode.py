"""Frames of one shape are read together; a lie is refused under its own reason and costs its neighbours nothing."""

from __future__ import annotations

import struct
import zlib

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from tests.collector.sending import NOW, PLUG, Sender
from thinwatt_agent import wire
from thinwatt_collector import decode
from thinwatt_collector.decode import Batch, Rejected
from thinwatt_collector.receive import Message

ROWS = [(1, 10.0, [5.0, 10.0]), (2, 20.0, [9.0, 20.0])]


def message(data: bytes, agent: str = "a") -> Message:
    return Message(b"\0route", agent, data, NOW)


def resealed(data: bytes, at: int, form: str, *values: object) -> bytes:
    """Change a field and make the checksum right again: a lie, not an accident."""
    changed = bytearray(data)
    struct.pack_into(form, changed, at, *values)
    struct.pack_into("<I", changed, 4, zlib.crc32(changed[8:]) if changed[2] >= 2 else 0)
    return bytes(changed)


def reason(data: bytes) -> str:
    """Why a collector that knows the schema does not take it; "" if it does."""
    found = decode.checked(message(data))
    if isinstance(found, Rejected):
        return found.error.reason
    batch, rejected = decode.batch_of([message(data)], PLUG.width, found[0])
    assert (batch is None) == bool(rejected)
    return rejected[0].error.reason if rejected else ""


@pytest.mark.parametrize("version", [1, 2])
def test_a_batch_says_what_the_frames_said(version: int) -> None:
    one, two = Sender("a", version=version), Sender("b", version=version, base=3.0)
    data = [one.frame(0, ROWS, at=33.0), two.frame(7, [(8, 70.0, [1.5, 2.5]), (9, 80.0, [3.5, 4.5])])]
    batch, rejected = decode.batch_of([message(d) for d in data], PLUG.width, version)
    assert batch is not None
    assert not rejected
    assert batch.ticks.tolist() == [[1, 2], [8, 9]]
    assert batch.times.tolist() == [[10**10, 2 * 10**10], [7 * 10**10, 8 * 10**10]]
    assert batch.matrix.tolist() == [[[5.0, 9.0], [10.0, 20.0]], [[1.5, 3.5], [2.5, 4.5]]]
    assert batch.after.tolist() == [0, 7]
    assert batch.base.tolist() == [0, 3 * 10**9]
    assert batch.sent.tolist() == [33 * 10**9, 0]
    assert batch.streams == [one.stream, two.stream]
    assert batch.flags.tolist() == [wire.OFFSET_KNOWN] * 2
    part = decode.part_of(batch, np.array([1]))
    assert (part.streams, part.ticks.tolist(), part.boot) == ([two.stream], [[8, 9]], [two.boot])


FRAME = Sender().frame(0, ROWS)
HEADER_ROWS, HEADER_COLUMNS = 8 + 16 + 16 + 8 + 32, 8 + 16 + 16 + 8 + 36


@pytest.mark.parametrize(
    "data, why",
    [
        (b"", "truncated"),
        (FRAME[:7], "truncated"),
        (FRAME[:60], "truncated"),
        (b"xx" + FRAME[2:], "not_thinwatt"),
        (FRAME[:2] + b"\x09" + FRAME[3:], "unknown_version"),
        (FRAME[:2] + b"\x00" + FRAME[3:], "unknown_version"),
        (FRAME[:3] + b"\x07" + FRAME[4:], "unknown_kind"),
        (wire.encode_answer(wire.Answer(bytes(16), 1, 2)), "unknown_kind"),
        (FRAME[:-1], "bad_checksum"),
        (FRAME[:-1] + bytes([FRAME[-1] ^ 1]), "bad_checksum"),
        (resealed(FRAME, HEADER_ROWS, "<I", 10**9), "bad_size"),
        (resealed(FRAME, HEADER_ROWS, "<I", 0), "bad_size"),
        (resealed(FRAME, HEADER_ROWS, "<I", 1), "bad_size"),
        (resealed(FRAME, HEADER_COLUMNS, "<H", 65535), "bad_size"),
        (resealed(FRAME, HEADER_COLUMNS, "<H", 1), "bad_size"),
        (resealed(FRAME[:-8] + b"", HEADER_ROWS, "<I", 2), "bad_size"),
        (resealed(FRAME + bytes(8), HEADER_ROWS, "<I", 2), "bad_size"),
        (resealed(FRAME[: wire.ROWS_OFFSET], HEADER_ROWS, "<I", 0), "bad_size"),
        (FRAME + bytes(wire.MAX_MESSAGE), "too_large"),
    ],
)  # fmt: skip
def test_every_lie_has_its_own_reason(data: bytes, why: str) -> None:
    assert reason(FRAME) == ""
    assert reason(data) == why


def test_a_frame_that_lies_about_its_rows_costs_its_neighbours_nothing() -> None:
    frames = [Sender().frame(0, ROWS) for _ in range(4)]
    frames[2] = resealed(frames[2], HEADER_ROWS, "<I", 3)
    batch, rejected = decode.batch_of([message(f) for f in frames], PLUG.width, 2)
    assert batch is not None
    assert [m.data for m in batch.messages] == [frames[0], frames[1], frames[3]]
    assert [r.message.data for r in rejected] == [frames[2]]


@given(st.binary(max_size=300), st.sampled_from((b"", b"tw\x02\x02", b"tw\x01\x02")))
def test_any_bytes_are_taken_or_have_a_reason(data: bytes, start: bytes) -> None:
    assert reason(start + data) in ("", *wire.REASONS)


@given(st.integers(8, len(FRAME) - 1), st.integers(1, 255))
def test_a_changed_byte_is_seen(at: int, change: int) -> None:
    data = bytearray(FRAME)
    data[at] ^= change
    assert reason(bytes(data)) == "bad_checksum"


def test_an_agents_frames_are_read_in_their_order_and_no_agent_stands_twice_in_a_round() -> None:
    old, new, other = Sender("a"), Sender("a"), Sender("b")
    sent = [old.frame(0, ROWS), other.frame(0, ROWS), old.frame(2, ROWS[:1]), new.frame(0, ROWS), new.frame(2, ROWS)]
    names = ["a", "b", "a", "a", "a"]
    frames = [message(data, name) for data, name in zip(sent, names, strict=True)]
    rounds = decode.rounds(frames)
    taken = [[m.data for messages in r.values() for m in messages] for r in rounds]
    assert taken == [[sent[0], sent[1]], [sent[2]], [sent[3]], [sent[4]]]
    assert all(len({(len(m.data), m.data[40:48]) for m in ms}) == 1 for r in rounds for ms in r.values())


def test_nothing_is_made_for_rows_that_are_only_claimed() -> None:
    """10⁹ rows claimed in 100 bytes: refused by the length of the bytes, before any array."""
    data = resealed(Sender().frame(0, ROWS[:1]), HEADER_ROWS, "<I", 1_000_000_000)
    batch, rejected = decode.batch_of([message(data)], PLUG.width, 2)
    assert batch is None
    assert rejected[0].error.reason == "bad_size"


def test_a_batch_is_as_long_as_its_frames() -> None:
    batch, _ = decode.batch_of([message(FRAME)], PLUG.width, 2)
    assert isinstance(batch, Batch)
    assert len(batch) == 1
