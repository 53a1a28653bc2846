"""Rows that no collector has answered for yet: on disk before they are sent, in memory where there is no disk.

Streams lie in segments, oldest first. A segment is removed when all of it is answered, but the newest one stays: the
sampler's state in its last record is where the next process goes on. That state is worth something only if no newer
frame was ever sent, so before a frame is sent from memory a *marker* is put where it lives as long as the boot does
(``/run``, ``/dev/shm``); a process that finds a marker starts at now and loses the joules in between rather than
counting any of them twice.

At the bound, rows are dropped where there are most for the time, oldest first; never the last of a stream, so every
joule stays in a later row and what is lost is resolution, and the rows are counted.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from thinwatt_agent import frames, segment, wire
from thinwatt_agent.marker import Marker
from thinwatt_agent.segment import Note, Segment
from thinwatt_agent.store import Memory, Store

log = logging.getLogger(__name__)

SEGMENTS: Final = 64
"""The bound holds at least so many segments, so that answered ones are given back soon."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Where the last process of this boot ended: boottime of its last durable row [ns] and its sampler's state."""

    time: int
    state: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Frame:
    """Rows to send: a ``ROWS`` message as spooled, and the ``HELLO`` that describes it."""

    message: bytes
    header: wire.RowsHeader
    last: int
    hello: Callable[[], bytes]


class Spool:
    """The unanswered rows of this process and of those before it.

    Args:
        open_store: opens the folder, tried again while it fails; None where rows are meant to stay in memory.
        boot: this boot's id, 16 bytes.
        bound: of the folder [bytes].
        memory_bound: of what is kept in memory while there is no disk [bytes].
        marker: is set before a frame is sent that only memory has.
    """

    def __init__(
        self,
        open_store: Callable[[], Store] | None,
        boot: bytes,
        bound: int = 64 << 20,
        memory_bound: int = 4 << 20,
        marker: Marker | None = None,
    ) -> None:
        self.boot = boot
        self.lost_rows = 0
        self.lost_streams = 0
        self.answered: dict[bytes, int] = {}
        self._bound, self._memory_bound = bound, memory_bound
        self._open_store = open_store
        self._segments: list[Segment] = []
        self._memory = Memory()
        self._disk: Store | None = None
        self._offsets: dict[bytes, tuple[int, int]] = {}
        self._told = False
        self._marker = marker or Marker((), "", boot)
        self._trusted = False
        self._next = 1
        self._start()

    # What the agent asks

    @property
    def rows(self) -> int:
        """Rows that are not answered for."""
        return sum(s.rows_beyond(self.answered.get(s.stream, 0)) for s in self._segments)

    @property
    def size(self) -> int:
        """Bytes in the folder and in memory."""
        return sum(s.size for s in self._segments)

    @property
    def durable(self) -> bool:
        """Whether the newest rows are on disk."""
        return self._disk is not None and not any(s.store is self._memory for s in self._segments)

    def resume(self) -> Resume | None:
        """Return where the last process of this boot ended; None if nobody can say for sure."""
        newest = self._segments[-1] if self._segments else None
        if newest is None or not self._trusted or newest.boot != self.boot or not newest.state:
            return None
        try:
            state = json.loads(newest.state)
        except ValueError:
            return None
        return Resume(newest.end, state) if isinstance(state, dict) else None

    def append(self, hello: bytes, message: bytes, state: bytes) -> None:
        """Keep a frame of this boot; when this returns it may be sent.

        Args:
            hello: the ``HELLO`` message that describes it.
            message: the ``ROWS`` message.
            state: the sampler's state at its last row, JSON; empty where there is none.
        """
        if self._disk is None or not self.durable:
            self._recover()
        try:
            if self._disk is None:
                raise OSError(0, "no folder")
            self._put(self._disk, hello, message, state)
            self._marker.clear()
        except OSError as error:
            self._fall_back(error)
            self._put(self._memory, hello, message, state)
        self._thin()

    def place(self, offset: int) -> None:
        """Keep what an answer said of this boot's clock: UTC − boottime [ns]."""
        self._offsets[self.boot] = (offset, wire.OFFSET_KNOWN)

    def placed(self, wall_offset: int, synced: bool) -> tuple[int, int]:
        """Return offset and flags to spool with a frame: those that a collector gave, else the wall clock's."""
        offset, flags = self._offsets.get(self.boot, (0, 0))
        return (offset, flags) if flags & wire.OFFSET_KNOWN else (wall_offset, wire.SYNCED if synced else 0)

    # What the link asks

    def streams(self) -> list[tuple[bytes, int]]:
        """Return the streams that have rows, oldest first, each with its last tick."""
        lasts: dict[bytes, int] = {}
        for s in self._segments:
            lasts[s.stream] = s.last
        return list(lasts.items())

    def take(self, stream: bytes, beyond: int, size: int) -> Frame | None:
        """Return the rows of ``stream`` behind tick ``beyond``, up to about ``size`` bytes; None if there are none."""
        for s in [s for s in self._segments if s.stream == stream and s.last > beyond]:
            messages = self._messages(s, beyond, size)
            if messages:
                message = frames.beyond(frames.merge(messages), beyond)
                return Frame(message, self._header(s, message), frames.columns(message)[0][-1], s.read_hello)
        return None

    def answer(self, stream: bytes, position: int) -> None:
        """Forget the rows of ``stream`` up to ``position``, which may have gone back."""
        self.answered[stream] = position
        for s in [s for s in self._segments[:-1] if s.stream == stream and s.last <= position]:
            self._remove(s)
        self._note(stream, position)

    def skip(self, stream: bytes, last: int) -> bool:
        """Drop the frame that ends at ``last`` because no collector takes it; return whether that was possible.

        Its joules are in the next row, so the last frame of a stream can't go.
        """
        lasts = dict(self.streams())
        if lasts.get(stream, 0) <= last:
            return False
        for s in self._segments:
            if s.stream == stream and last in s.lasts:
                index = s.lasts.index(last)
                self.lost_rows += s.counts[index]
                s.drop(index)
                if not s.lasts:
                    self._remove(s)
                return True
        return False

    def close(self) -> None:
        """Let go of the folder; what is in memory is lost."""
        if self._disk:
            self._disk.close()
        self._disk = None

    # Start

    def _start(self) -> None:
        try:
            self._disk = self._open_store() if self._open_store else None
            for name in self._disk.names() if self._disk else ():
                self._load(self._disk, name)  # type: ignore[arg-type]  # there are names only where there is a disk
        except OSError as error:
            self._lose(error)
        for s in self._segments[:-1]:
            s.state = b""
        self._trusted = self._trusted and not self._marker.is_set and self._writable()

    def _load(self, disk: Store, name: str) -> None:
        number = segment.number_of(name)
        if number is None:
            log.warning("%r in the spool's folder is not the agent's: it is left alone; move it elsewhere", name)
            return
        self._next = max(self._next, number + 1)
        try:
            data = disk.read(name)
        except OSError as error:
            log.error("%s can't be read (%s): its rows are lost", name, error.strerror)
            self._trusted = False
            return
        found = segment.parse(name, disk, data)
        self._trusted = not found.damaged
        if found.damaged:
            log.error("%s is damaged: rows are lost, their joules count with the next good row", name)
        if found.whole < len(data):
            log.warning("%s: the last %d bytes were never written whole and are cut", name, len(data) - found.whole)
            with suppress(OSError):
                disk.cut(name, found.whole)
        for n in found.notes:
            self.answered[n.stream] = n.position
            if n.known:
                self._offsets[n.boot] = (n.offset, wire.OFFSET_KNOWN)
        for h in found.headers:
            flags = h.flags & (wire.SYNCED | wire.OFFSET_KNOWN)
            if flags >= self._offsets.get(h.boot, (0, 0))[1]:
                self._offsets[h.boot] = (h.wall_offset, flags)
        if found.segment:
            self._segments.append(found.segment)

    def _writable(self) -> bool:
        if self._disk is None:
            return False
        try:
            self._disk.write("probe", b"")
            self._disk.remove("probe")
        except OSError as error:
            self._lose(error)
            return False
        return True

    # Writing

    def _put(self, store: Store, hello: bytes, message: bytes, state: bytes) -> None:
        header = wire.rows_header(message)
        data = segment.rows(message, state)
        active = self._segments[-1] if self._segments else None
        fits = (
            active is not None
            and active.store is store
            and not active.thinned
            and (active.stream, active.schema) == (header.stream, header.schema)
            and active.size + len(data) <= max(self._bound // SEGMENTS, 1024)
        )
        if active is not None and fits:
            store.append(active.name, data)
        else:
            first = segment.head(header.stream, header.boot, hello)
            place = (len(first) - len(hello), len(hello))
            active = Segment(segment.name_of(self._next), store, header.stream, header.boot, header.schema, place)
            store.write(active.name, first + data)
            active.size = len(first)
            self._next += 1
            self._segments.append(active)
            self._give_back()
        active.add(message, b"", active.size + segment.ROWS_HEAD)
        active.size += len(data)

    def _give_back(self) -> None:
        """Remove the segment that stayed only because it was the newest."""
        for s in [s for s in self._segments[:-1] if s.last <= self.answered.get(s.stream, 0)]:
            self._remove(s)

    def _note(self, stream: bytes, position: int) -> None:
        """Write an answer behind the newest frame, not durably: what it saves is sending again."""
        active = self._segments[-1] if self._segments else None
        if active is None or active.store is self._memory:
            return
        offset, flags = self._offsets.get(self.boot, (0, 0))
        data = segment.note(Note(stream, position, self.boot, offset, bool(flags & wire.OFFSET_KNOWN)))
        try:
            active.store.append(active.name, data, durable=False)
            active.size += len(data)
        except OSError as error:
            log.debug("an answer was not noted: %s", error)

    def _remove(self, s: Segment) -> None:
        self._segments.remove(s)
        try:
            s.store.remove(s.name)
        except OSError as error:
            log.debug("%s can't be removed: %s", s.name, error)

    # Memory instead of a disk

    def _lose(self, error: OSError) -> None:
        text = "another agent uses this folder" if isinstance(error, BlockingIOError) else str(error)
        if not self._told and self._open_store:
            log.error("the spool's folder can't be written (%s): rows are kept in memory until it can", text)
        self._told = True
        if self._disk and not self._segments:
            self._disk.close()
            self._disk = None

    def _fall_back(self, error: OSError) -> None:
        self._lose(error)
        if self._open_store:
            self._marker.set()

    def _recover(self) -> None:
        """Try to write to disk what is in memory."""
        if self._open_store is None:
            return
        try:
            if self._disk is None:
                self._disk = self._take_in(self._open_store())
            for s in [s for s in self._segments if s.store is self._memory]:
                self._disk.write(s.name, self._memory.read(s.name))
                s.store = self._disk
                self._memory.remove(s.name)
        except OSError as error:
            self._lose(error)
            return
        if self._told:
            log.warning("the spool's folder can be written again")
            self._told = False

    def _take_in(self, disk: Store) -> Store:
        """Put what a folder that could not be opened at the start has from earlier lives before the rows of this one.

        Their numbers go on behind it: the newest state is that of the newest file, and no file is written over.
        """
        mine, self._segments = self._segments, []
        try:
            for name in disk.names():
                self._load(disk, name)
        except OSError:
            disk.close()
            self._segments = mine
            raise
        for s in self._segments:
            s.state = b""
        for s in mine:
            data, name = self._memory.read(s.name), segment.name_of(self._next)
            self._memory.remove(s.name)
            self._memory.write(name, data)
            s.name, self._next = name, self._next + 1
        self._segments += mine
        return disk

    # Reading

    def _messages(self, s: Segment, beyond: int, size: int) -> list[bytes]:
        messages: list[bytes] = []
        index, taken = s.first_beyond(beyond), 0
        while index < len(s.lasts) and (not taken or taken + s.lengths[index] <= size):
            try:
                messages.append(s.read(index))
            except OSError as error:
                log.warning("%s can't be read now: %s", s.name, error)
                break
            except wire.WireError as error:
                log.error("%s: the frame up to tick %d is damaged (%s)", s.name, s.lasts[index], error)
                s.drop(index)
                continue
            taken += s.lengths[index]
            index += 1
        if not s.lasts:
            self._remove(s)
        return messages

    def _header(self, s: Segment, message: bytes) -> wire.RowsHeader:
        header = wire.rows_header(message)
        if s.boot == self.boot or header.flags & wire.OFFSET_KNOWN:
            return header
        offset, flags = self._offsets.get(s.boot, (header.wall_offset, header.flags))
        return replace(header, wall_offset=offset, flags=flags)

    # The bound

    def _thin(self) -> None:
        for store, bound in ((self._disk, self._bound), (self._memory, self._memory_bound)):
            try:
                while store and sum(s.size for s in self._segments if s.store is store) > bound:
                    if not self._thin_one(store):
                        break
            except (OSError, wire.WireError) as error:
                log.warning("the spool is at its bound and can't be thinned out: %s", error)

    def _thin_one(self, store: Store) -> bool:
        """Drop rows of one segment where there are most for the time; return whether there was anything to drop."""
        s = self._finest(store, self._segments[:-1]) or self._finest(store, self._segments)
        if s is None:
            s = next(s for s in self._segments if s.store is store)
            if s is self._segments[-1]:
                return False
            log.error("the spool is full of streams with one row each: the oldest is dropped, its time will be a gap")
            self.lost_streams += 1
            self._remove(s)
        elif sum(s.counts) > 1:
            self._halve(s)
        else:
            self.lost_rows += 1
            self._remove(s)
        return True

    def _finest(self, store: Store, segments: list[Segment]) -> Segment | None:
        """Return the segment with the least time a row (by powers of two), the oldest of those that are alike.

        A segment whose only row is the last of its stream can't lose any: none of that kind is returned.
        """
        found, least = None, 0
        newest = self._segments[-1]
        starts = {newest.stream: newest.start} if segments[-1:] != [newest] else {}
        for s in reversed(segments):
            end = starts.get(s.stream)
            starts[s.stream] = s.start
            rows = sum(s.counts)
            if s.store is not store or (end is None and rows == 1):
                continue
            key = (((s.end if end is None else end) - s.start) // rows).bit_length()
            if found is None or key <= least:
                found, least = s, key
        return found

    def _halve(self, s: Segment) -> None:
        state = segment.last_state(s.store.read(s.name))
        thinner = frames.halve(frames.merge([s.read(i) for i in range(len(s.lasts))]))
        hello = s.read_hello()
        first = segment.head(s.stream, s.boot, hello)
        data = segment.rows(thinner, state)
        s.store.write(s.name, first + data)
        fresh = Segment(s.name, s.store, s.stream, s.boot, s.schema, (len(first) - len(hello), len(hello)), len(first))
        fresh.thinned = True
        fresh.add(thinner, b"", fresh.size + segment.ROWS_HEAD)
        fresh.size += len(data)
        self._segments[self._segments.index(s)] = fresh
        self.lost_rows += sum(s.counts) - sum(fresh.counts)
