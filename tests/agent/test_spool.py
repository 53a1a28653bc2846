"""The spool: durable before it is sent, whole after any interruption, never larger than its bound."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.stores import FaultyDisk, KeptMarker
from thinwatt_agent import frames, segment, wire
from thinwatt_agent.sequence import SECOND
from thinwatt_agent.spool import Spool
from thinwatt_agent.store import Disk, Memory
from thinwatt_agent.wire import Column, Group, Hello, RowsHeader, Schema

BOOT, OTHER_BOOT = bytes(range(16)), bytes(range(16, 32))
COLUMNS = (Column("fake", "energy", "counter", "J", "wall"), Column("fake", "covered", "counter", "s", "wall"))
SCHEMA, NARROW = Schema((Group(("",), COLUMNS),)), Schema((Group(("",), COLUMNS[:1]),))
HELLO = wire.encode_hello(Hello(SCHEMA, {"class": "host"}))
A, B = b"A" * 16, b"B" * 16


def rows(
    stream: bytes, first: int, last: int, boot: bytes = BOOT, schema: Schema = SCHEMA, offset: int = 0, flags: int = 0
) -> bytes:
    ticks = range(first, last + 1)
    header = RowsHeader(2, stream, boot, schema.id, first - 1, 0, offset, 0, len(ticks), schema.width, flags)
    times = [t * 10 * SECOND for t in ticks]
    return wire.encode_rows(header, ticks, times, [[20.0 * t, 10.0 * t][: schema.width] for t in ticks])


def state(tick: int) -> bytes:
    return json.dumps({"tick": tick}).encode()


def ticks_of(message: bytes) -> list[int]:
    return list(frames.columns(message)[0])


def spool_on(store: FaultyDisk | Path, **options: object) -> Spool:
    opened = store.open if isinstance(store, FaultyDisk) else lambda: Disk(store)
    return Spool(opened, BOOT, **options)  # type: ignore[arg-type] # options are each test's own, of several types


# Frames


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_frames_put_together_have_all_rows_once(counts: list[int]) -> None:
    ends = [sum(counts[: i + 1]) for i in range(len(counts))]
    parts = [rows(A, end - count + 1, end) for count, end in zip(counts, ends, strict=True)]
    merged = frames.merge(parts)
    header, ticks, times, matrix = wire.decode_rows(merged)
    assert header.after == 0
    assert list(ticks) == list(range(1, ends[-1] + 1))
    assert matrix == [row for part in parts for row in wire.decode_rows(part)[3]]
    assert list(times) == [t * 10 * SECOND for t in ticks]


@given(st.integers(2, 40))
def test_thinned_rows_are_some_of_the_rows_and_the_last_is_one_of_them(count: int) -> None:
    message = rows(A, 1, count)
    _, ticks, _, matrix = wire.decode_rows(frames.halve(message))
    everything = wire.decode_rows(message)[3]
    assert ticks[-1] == count
    assert len(ticks) == (count + 1) // 2
    assert matrix == [everything[t - 1] for t in ticks]


@given(st.integers(1, 20), st.integers(0, 19))
def test_rows_beyond_a_tick(count: int, tick: int) -> None:
    if tick < count:
        assert ticks_of(frames.beyond(rows(A, 1, count), tick)) == list(range(tick + 1, count + 1))


# Before the first send


def test_a_frame_is_on_the_disk_when_append_returns() -> None:
    disk = FaultyDisk()
    spool = spool_on(disk)
    for i in range(3):
        before = disk.writes
        spool.append(HELLO, rows(A, i + 1, i + 1), state(i + 1))
        assert disk.writes == before + 1, "one durable write a frame"
        found = segment.parse("x", disk, disk.read(disk.names()[-1])).segment
        assert found is not None
        assert list(found.lasts) == list(range(1, i + 2))


def test_what_was_spooled_is_there_for_the_next_process(tmp_path: Path) -> None:
    first = spool_on(tmp_path)
    messages = [rows(A, 1, 6), rows(A, 7, 12)]
    for i, message in enumerate(messages):
        first.append(HELLO, message, state(6 * i + 6))
    first.close()
    second = spool_on(tmp_path)
    assert second.streams() == [(A, 12)]
    frame = second.take(A, 0, 1)
    assert frame is not None
    assert (frame.message, frame.hello()) == (messages[0], HELLO)
    resume = second.resume()
    assert resume is not None
    assert (resume.time, resume.state) == (120 * SECOND, {"tick": 12})


def test_old_streams_come_first_oldest_first(tmp_path: Path) -> None:
    for stream in (B, A):
        spool = spool_on(tmp_path)
        spool.append(HELLO, rows(stream, 1, 3), b"")
        spool.close()
    assert [s for s, _ in spool_on(tmp_path).streams()] == [B, A]


def test_one_process_holds_the_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = spool_on(tmp_path)
    first.append(HELLO, rows(A, 1, 1), state(1))
    second = spool_on(tmp_path)
    assert "another agent uses this folder" in caplog.text
    assert second.streams() == []
    assert second.resume() is None
    second.append(HELLO, rows(B, 1, 1), b"")
    assert not second.durable
    first.close()
    second.append(HELLO, rows(B, 2, 2), b"")
    assert second.durable


# Where the next process goes on


def test_another_boot_goes_on_from_now(tmp_path: Path) -> None:
    spool = spool_on(tmp_path)
    spool.append(HELLO, rows(A, 1, 6), state(6))
    spool.close()
    other = Spool(lambda: Disk(tmp_path), OTHER_BOOT)
    assert other.resume() is None
    assert other.streams() == [(A, 6)]


def test_the_state_outlives_the_answer() -> None:
    disk = FaultyDisk()
    spool = spool_on(disk)
    spool.append(HELLO, rows(A, 1, 6), state(6))
    spool.answer(A, 6)
    assert spool.rows == 0
    again = spool_on(disk)
    resume = again.resume()
    assert resume is not None
    assert resume.state == {"tick": 6}
    assert (again.answered[A], again.rows) == (6, 0), "the answer was noted: nothing is sent twice for nothing"


def test_a_frame_without_a_state_is_no_place_to_go_on_from() -> None:
    disk = FaultyDisk()
    spool = spool_on(disk)
    spool.append(HELLO, rows(A, 1, 6), state(6))
    spool.append(HELLO, rows(A, 7, 7), b"")
    assert spool_on(disk).resume() is None


@pytest.mark.parametrize("trouble", ["full", "read-only", "gone"])
def test_a_state_older_than_frames_sent_from_memory_is_not_trusted(trouble: str) -> None:
    disk, marker = FaultyDisk(), KeptMarker()
    spool = spool_on(disk, marker=marker)
    spool.append(HELLO, rows(A, 1, 6), state(6))
    said = [marker.is_set]
    disk.trouble = trouble
    spool.append(HELLO, rows(A, 7, 12), state(12))
    assert [*said, marker.is_set] == [False, True], "before the frame can be sent"
    disk.trouble = ""
    assert spool_on(disk, marker=marker).resume() is None


def test_a_disk_that_cannot_be_written_now_is_not_trusted_either() -> None:
    disk = FaultyDisk()
    spool = spool_on(disk)
    spool.append(HELLO, rows(A, 1, 6), state(6))
    disk.trouble = "read-only"
    again = spool_on(disk)
    assert again.resume() is None
    assert again.streams() == [(A, 6)], "its rows can be read and sent all the same"


@pytest.mark.parametrize("before", [0, 2])
def test_a_folder_that_comes_back_after_the_start_is_gone_on_with(before: int) -> None:
    """What earlier lives left there is sent, not written over, and the next life goes on from the newest state."""
    disk, marker = FaultyDisk(), KeptMarker()
    first = spool_on(disk, marker=marker)
    for i in range(3):
        first.append(HELLO, rows(A, 2 * i + 1, 2 * i + 2), state(2 * i + 2))
    disk.trouble = "gone"
    second = spool_on(disk, marker=marker)
    assert second.resume() is None
    for i in range(before):
        second.append(HELLO, rows(B, i + 1, i + 1), state(100 + i))
    disk.trouble = ""
    second.append(HELLO, rows(B, before + 1, before + 1), state(107))
    assert second.streams() == [(A, 6), (B, before + 1)]
    frame = second.take(A, 0, 1 << 20)
    assert frame
    assert ticks_of(frame.message) == [1, 2, 3, 4, 5, 6]
    third = spool_on(disk, marker=marker)
    resume = third.resume()
    assert resume
    assert resume.state == {"tick": 107}
    assert third.streams() == [(A, 6), (B, before + 1)]


def test_the_marker_goes_when_the_newest_rows_are_durable_again() -> None:
    disk, marker = FaultyDisk(), KeptMarker()
    spool = spool_on(disk, marker=marker)
    disk.trouble = "full"
    spool.append(HELLO, rows(A, 1, 6), state(6))
    said: list[tuple[bool, bool, int]] = [(marker.is_set, spool.durable, spool.rows)]
    spool.append(HELLO, rows(A, 7, 12), state(12))
    disk.trouble = ""
    spool.append(HELLO, rows(A, 13, 18), state(18))
    said.append((marker.is_set, spool.durable, spool.rows))
    assert said == [(True, False, 6), (False, True, 18)]
    again = spool_on(disk, marker=marker)
    resume = again.resume()
    assert resume is not None
    assert resume.state == {"tick": 18}
    frame = again.take(A, 0, 1 << 20)
    assert frame is not None
    assert ticks_of(frame.message)[0] == 1


def test_the_marker_goes_only_when_newer_rows_lie_on_the_disk() -> None:
    disk, seen = FaultyDisk(), []

    class Watching(KeptMarker):
        def clear(self) -> None:
            seen.append([segment.parse("x", disk, disk.read(n)).segment is not None for n in disk.names()])
            super().clear()

    marker = Watching()
    marker.set()
    spool = spool_on(disk, marker=marker)
    disk.trouble = "full"
    spool.append(HELLO, rows(A, 1, 6), state(6))
    assert seen == []
    disk.trouble = ""
    spool.append(HELLO, rows(A, 7, 12), state(12))
    assert seen == [[True]]


# Interruptions and damage


@pytest.mark.parametrize(
    "name", ["000000000001-old.spool", "1.spool", "\u00b2.spool", "a.spool", "9" * 40 + ".spool", "-1.spool"]
)
def test_a_stray_file_is_named_and_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    first = Spool(lambda: Disk(tmp_path), BOOT)
    first.append(HELLO, rows(A, 1, 3), state(3))
    first.close()
    data = (tmp_path / "000000000001.spool").read_bytes()
    (tmp_path / name).write_bytes(data)
    (tmp_path / "folder.spool").mkdir()
    again = Spool(lambda: Disk(tmp_path), BOOT)
    assert again.streams() == [(A, 3)]
    resume = again.resume()
    assert resume is not None
    assert resume.state == {"tick": 3}
    again.append(HELLO, rows(B, 1, 1), state(1))
    again.answer(A, 3)
    again.close()
    assert (tmp_path / name).read_bytes() == data
    assert [repr(name) in caplog.text, "'folder.spool'" in caplog.text] == [True, True]


def written(disk: FaultyDisk) -> tuple[str, bytes]:
    spool = spool_on(disk)
    for i in range(4):
        spool.append(HELLO, rows(A, 3 * i + 1, 3 * i + 3), state(3 * i + 3))
    return disk.names()[-1], disk.read(disk.names()[-1])


@given(st.integers(0, 10_000))
def test_a_write_that_was_interrupted_is_cut_and_what_lies_before_counts(place: int) -> None:
    disk = FaultyDisk()
    name, data = written(disk)
    ends = [end for _, _, end in segment.bodies(data)]
    cut = ends[1] + place % (len(data) - ends[1])
    disk.cut(name, cut)
    again = spool_on(disk)
    whole = [end for end in ends if end <= cut]
    resume = again.resume()
    assert resume is not None
    assert resume.state == {"tick": 3 * (len(whole) - 1)}
    assert len(disk.read(name)) == whole[-1], "the torn end is gone"
    again.answer(A, 3)  # a note goes behind it
    assert spool_on(disk).answered == {A: 3}


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_damage_costs_a_record_and_the_trust_in_the_state(place: int, change: int) -> None:
    disk = FaultyDisk()
    name, data = written(disk)
    changed = bytearray(data)
    changed[place % len(data)] ^= change
    disk.write(name, bytes(changed))
    again = spool_on(disk)
    for stream, _ in again.streams():
        beyond = 0
        while frame := again.take(stream, beyond, 1):
            assert wire.decode_rows(frame.message)[3] == [(20.0 * t, 10.0 * t) for t in ticks_of(frame.message)]
            beyond = frame.last
    resume = again.resume()
    assert resume is None or resume.state["tick"] == 12 or again.streams() == [(A, resume.state["tick"])]


def test_a_whole_record_with_a_wrong_checksum_is_no_interruption() -> None:
    disk = FaultyDisk()
    name, data = written(disk)
    disk.write(name, data[:-1] + b"?")
    again = spool_on(disk)
    assert again.streams() == [(A, 9)]
    assert again.resume() is None, "frames behind it may have been sent"


@given(st.binary(max_size=400))
def test_any_file_is_a_segment_or_is_none(data: bytes) -> None:
    disk = FaultyDisk()
    disk.write("000000000007.spool", data)
    disk.write("000000000008.spool", segment.record(b"R" + data))
    disk.write(
        "000000000009.spool", segment.head(A, BOOT, HELLO) + segment.record(b"N" + data) + segment.record(b"R" + data)
    )
    spool = spool_on(disk)
    assert spool.streams() == []
    spool.append(HELLO, rows(A, 1, 1), state(1))
    assert spool_on(disk).streams() == [(A, 1)]


def test_rot_found_while_sending_costs_the_frame_only() -> None:
    disk = FaultyDisk()
    spool = spool_on(disk)
    for i in range(3):
        spool.append(HELLO, rows(A, 2 * i + 1, 2 * i + 2), state(i))
    name = disk.names()[0]
    data = bytearray(disk.read(name))
    place = bytes(data).index(rows(A, 3, 4))
    data[place + 100] ^= 1
    disk.write(name, bytes(data))
    frame = spool.take(A, 0, 1 << 20)
    assert frame is not None
    assert ticks_of(frame.message) == [1, 2, 5, 6]


# The bound


@pytest.mark.parametrize("bound", [64 << 10, 200 << 10])
def test_at_the_bound_rows_go_and_joules_stay(bound: int) -> None:
    disk = FaultyDisk()
    spool = spool_on(disk, bound=bound)
    last = 0
    for _ in range(4000):
        spool.append(HELLO, rows(A, last + 1, last + 6), state(last + 6))
        last += 6
        assert disk.size <= bound
    assert disk.size > bound // 4
    kept: list[int] = []
    while frame := spool.take(A, kept[-1] if kept else 0, 16 << 10):
        kept += ticks_of(frame.message)
    assert kept[-1] == last
    assert kept == sorted(set(kept))
    assert spool.lost_rows == last - len(kept)
    gaps = [b - a for a, b in pairwise(kept)]
    assert max(gaps) <= 8 * last / len(kept), "no part is much coarser than the rest"
    assert spool_on(disk, bound=bound).streams() == [(A, last)]


def test_the_last_row_of_an_old_stream_outlives_all_rows_of_newer_ones() -> None:
    disk = FaultyDisk()
    for stream in (B, b"C" * 16):
        spool_on(disk, bound=64 << 10).append(HELLO, rows(stream, 1, 100), b"")
    spool = spool_on(disk, bound=64 << 10)
    for i in range(2000):
        spool.append(HELLO, rows(A, 6 * i + 1, 6 * i + 6), b"")
    assert [(s, last) for s, last in spool.streams()] == [(B, 100), (b"C" * 16, 100), (A, 12_000)]
    assert spool.lost_streams == 0


def test_more_streams_than_the_bound_holds_cost_the_oldest() -> None:
    disk = FaultyDisk()
    spool = spool_on(disk)
    for i in range(300):
        spool = spool_on(disk, bound=64 << 10)
        spool.append(HELLO, rows(i.to_bytes(16, "little"), 1, 3), b"")
    assert disk.size <= 64 << 10
    kept = [int.from_bytes(s, "little") for s, _ in spool.streams()]
    assert kept == list(range(300 - len(kept), 300))
    assert len(kept) > 100


def test_memory_is_bounded_too() -> None:
    spool = Spool(None, BOOT, memory_bound=64 << 10)
    for i in range(3000):
        spool.append(HELLO, rows(A, 6 * i + 1, 6 * i + 6), b"")
        assert spool.size <= 64 << 10
    assert spool.streams() == [(A, 18_000)]


def test_answered_segments_are_given_back() -> None:
    disk = FaultyDisk()
    spool = spool_on(disk, bound=64 << 10)
    for i in range(500):
        spool.append(HELLO, rows(A, 6 * i + 1, 6 * i + 6), b"")
        spool.answer(A, 6 * i + 6)
    assert len(disk.names()) <= 2
    assert spool.rows == 0


def test_a_schema_that_changes_begins_a_segment_and_both_are_described() -> None:
    spool = spool_on(FaultyDisk())
    narrow = wire.encode_hello(Hello(NARROW))
    spool.append(narrow, rows(A, 1, 2, schema=NARROW), b"")
    spool.append(HELLO, rows(A, 3, 4), b"")
    first = spool.take(A, 0, 1 << 20)
    assert first is not None
    second = spool.take(A, first.last, 1 << 20)
    assert second is not None
    assert (first.hello(), second.hello()) == (narrow, HELLO)
    assert (ticks_of(first.message), ticks_of(second.message)) == ([1, 2], [3, 4])


# Clocks


def test_what_a_collector_said_of_a_boot_s_clock_goes_with_its_rows() -> None:
    disk = FaultyDisk()
    spool = spool_on(disk)
    assert spool.placed(5, synced=True) == (5, wire.SYNCED)
    assert spool.placed(5, synced=False) == (5, 0)
    spool.append(HELLO, rows(A, 1, 2, offset=5), state(2))
    spool.place(77)
    assert spool.placed(5, synced=True) == (77, wire.OFFSET_KNOWN)
    spool.answer(A, 1)  # the note has it
    later = Spool(disk.open, OTHER_BOOT)
    frame = later.take(A, 0, 1 << 20)
    assert frame is not None
    assert (frame.header.wall_offset, frame.header.flags) == (77, wire.OFFSET_KNOWN)


def test_a_boot_without_contact_keeps_its_best_wall_clock() -> None:
    disk = FaultyDisk()
    spool = spool_on(disk)
    spool.append(HELLO, rows(A, 1, 2, offset=5), state(2))
    spool.append(HELLO, rows(A, 3, 4, offset=1000, flags=wire.SYNCED), state(4))
    spool.append(HELLO, rows(A, 5, 6, offset=6), state(6))
    later = Spool(disk.open, OTHER_BOOT)
    frame = later.take(A, 0, 1)
    assert frame is not None
    assert (frame.header.wall_offset, frame.header.flags) == (1000, wire.SYNCED)


# Real files


FILL = """
import resource, signal, sys
from pathlib import Path
sys.path[:0] = {path!r}
from tests.agent.test_spool import *
from thinwatt_agent.marker import Marker
spool = spool_on(Path({folder!r}), marker=Marker([Path({folder!r}).parent], "x", BOOT))
spool.append(HELLO, rows(A, 1, 6), state(6))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
spool.append(HELLO, rows(A, 7, 12), state(12))
print(spool.durable, spool.rows, len(list(Path({folder!r}).parent.glob("*.memory"))))
"""


@pytest.mark.parametrize("more", [0, 1, 100, 200])
def test_a_write_that_the_kernel_cuts_short_leaves_what_was_there(tmp_path: Path, more: int) -> None:
    """A limit on file size makes write(2) short and then fail, as a full disk does."""
    folder = tmp_path / "spool"
    probe = spool_on(tmp_path / "probe")
    probe.append(HELLO, rows(A, 1, 6), state(6))
    limit = probe.size + more
    script = FILL.format(path=[p for p in sys.path if p], folder=str(folder), limit=limit)
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "12", "0" if more == 0 and limit < 32 else "1"]
    assert [p.stat().st_size for p in folder.iterdir()] == [probe.size]
    again = spool_on(folder)
    assert again.streams() == [(A, 6)]


def test_a_file_where_the_folder_should_be_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = tmp_path / "spool"
    place.write_text("")
    spool = spool_on(place)
    for i in range(5):
        spool.append(HELLO, rows(A, i + 1, i + 1), state(i + 1))
    assert sum("rows are kept in memory" in r.message for r in caplog.records) == 1
    assert [spool.durable, spool.rows] == [False, 5]
    place.unlink()
    spool.append(HELLO, rows(A, 6, 6), state(6))
    assert (spool.durable, spool.rows) == (True, 6)
    assert "can be written again" in caplog.text
    spool.close()
    assert spool_on(place).streams() == [(A, 6)]


KILLED = """
import sys
sys.path[:0] = {path!r}
from tests.agent.test_spool import *
spool = spool_on(Path({folder!r}), bound=65536)
i = 0
while True:
    spool.append(HELLO, rows(A, 6 * i + 1, 6 * i + 6), state(6 * i + 6))
    i += 1
    print(6 * i, flush=True)
"""


@pytest.mark.parametrize("frames_before", [1, 40, 700])
def test_nothing_that_was_spooled_is_lost_by_kill_9(tmp_path: Path, frames_before: int) -> None:
    script = KILLED.format(path=[p for p in sys.path if p], folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = ""
        for _ in range(frames_before):
            said = process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        told = int((said + process.stdout.read()).split()[-1])
    again = spool_on(tmp_path, bound=65536)
    [(stream, last)] = again.streams()
    assert (stream, last % 6) == (A, 0)
    assert told <= last <= told + 6
    resume = again.resume()
    assert resume is not None
    assert resume.state == {"tick": last}


def test_the_disk_is_asked_to_write_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("thinwatt_agent.store.os.fsync", lambda fd: synced.append(os.fstat(fd).st_size))
    monkeypatch.setattr("thinwatt_agent.store.os.fdatasync", lambda fd: synced.append(os.fstat(fd).st_size))
    spool = spool_on(tmp_path)
    for i in range(3):
        synced.clear()
        spool.append(HELLO, rows(A, i + 1, i + 1), state(1))
        assert spool.size in synced
    synced.clear()
    spool.answer(A, 2)
    assert synced == [], "an answer costs no wait for the disk"


def test_both_stores_do_the_same(tmp_path: Path) -> None:
    for store in (Memory(), Disk(tmp_path)):
        store.write("b.spool", b"123")
        store.append("b.spool", b"456")
        store.append("b.spool", b"7", durable=False)
        store.write("a.spool", b"x")
        assert store.names() == ["a.spool", "b.spool"]
        assert (store.read("b.spool"), store.read("b.spool", 2, 3)) == (b"1234567", b"345")
        store.cut("b.spool", 4)
        store.append("b.spool", b"!")
        assert store.read("b.spool") == b"1234!"
        store.write("b.spool", b"new")
        store.append("b.spool", b"er")
        assert store.read("b.spool") == b"newer"
        store.remove("b.spool")
        store.remove("b.spool")
        assert store.names() == ["a.spool"]
        store.close()


def test_what_an_interrupted_write_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "000000000001.spool.part").write_bytes(b"half")
    assert Disk(tmp_path).names() == []
    assert list(tmp_path.iterdir()) == []
