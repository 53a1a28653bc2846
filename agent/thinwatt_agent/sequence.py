"""Which frames go next: the agent's half of the protocol, without sockets and clocks.

What a collector answers is the truth. Rows up to the answered position are forgotten; a frame says it comes *after*
that position, or after the frame sent just before it. When an answer shows that a frame in flight can't be booked
(it comes after rows that the collector lacks), sending starts again from the answer.

A frame that is refused as wrong would be sent for ever: the stream is then sent record by record, and the refused
record is dropped, for its joules are in the next row.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from thinwatt_agent.spool import Frame

log = logging.getLogger(__name__)

SECOND: Final = 1_000_000_000
WRONG: Final = frozenset(
    ("truncated", "too_large", "bad_checksum", "bad_size", "bad_order", "bad_value", "bad_schema", "too_much")
)


class Rows(Protocol):
    """What is asked of the spool."""

    answered: dict[bytes, int]

    def streams(self) -> list[tuple[bytes, int]]:
        """Return the streams that have rows, oldest first, each with its last tick."""

    def take(self, stream: bytes, beyond: int, size: int) -> Frame | None:
        """Return rows behind a tick."""

    def answer(self, stream: bytes, position: int) -> None:
        """Forget rows up to a tick."""

    def skip(self, stream: bytes, last: int) -> bool:
        """Drop a frame; return whether that was possible."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``frames`` and ``size`` [bytes] in flight; ``frame`` [bytes] of backlog a message; times [ns]."""

    frames: int = 8
    size: int = 1 << 20
    frame: int = 256 << 10
    timeout: int = 30 * SECOND
    shortest: int = 1 * SECOND
    longest: int = 300 * SECOND


def backoff(limits: Limits, strikes: int, uniform: Callable[[float, float], float]) -> int:
    """Return how long to wait [ns] after so many failures in a row: twice as long each time, jittered by half."""
    cap = min(limits.longest, limits.shortest << min(strikes, 30))
    return round(uniform(0.5, 1.0) * cap)


@dataclass(frozen=True, slots=True)
class Flight:
    """A frame that was sent and not answered; ``sent`` is monotonic [ns]."""

    stream: bytes
    after: int
    last: int
    size: int
    sent: int


class Sequence:
    """The order of sending over one spool. Times are monotonic [ns], given by the caller."""

    def __init__(self, rows: Rows, limits: Limits | None = None, rng: random.Random | None = None) -> None:
        self._rows = rows
        self.limits = limits or Limits()
        self._random = rng or random.Random()
        self.flight: list[Flight] = []
        self.strikes = 0
        self.ahead: set[bytes] = set()
        self._marks: dict[bytes, int] = {}
        self._careful: set[bytes] = set()
        self._held: dict[bytes, int] = {}
        self._wait = 0

    def restart(self) -> None:
        """Send again from the last answers: after a reconnect, a time-out, at another collector."""
        self.flight.clear()
        self._marks.clear()

    def next(self, now: int) -> Frame | None:
        """Return the frame to send, its header's ``after`` filled in; None if there is none or the window is full.

        A stream waits until those before it are answered to their end: the collector takes the time between an agent's
        last row and its next stream for a gap, and a row that came in there later would be counted beside it.
        """
        window = 1 if self.strikes else self.limits.frames
        if now < self._wait or len(self.flight) >= window or sum(f.size for f in self.flight) >= self.limits.size:
            return None
        for stream, last in self._rows.streams():
            mark = self._mark(stream)
            if self._held.get(stream, 0) == last:
                continue
            under_way = any(f.stream == stream for f in self.flight)
            if last <= mark and not under_way:
                continue
            careful = stream in self._careful
            if under_way and (careful or last <= mark):
                return None
            frame = self._rows.take(stream, mark, 1 if careful else self.limits.frame)
            if frame is not None:
                return replace(frame, header=replace(frame.header, after=mark))
        return None

    def sent(self, frame: Frame, now: int) -> None:
        """Note that ``frame`` went out."""
        h = frame.header
        self.flight.append(Flight(h.stream, h.after, frame.last, len(frame.message), now))
        self._marks[h.stream] = frame.last

    def answered(self, stream: bytes, position: int) -> int | None:
        """Take an answer; return when the frame that it answers was sent, None if there is no such frame."""
        sent = next((f.sent for f in self.flight if f.stream == stream and f.last == position), None)
        if position > dict(self._rows.streams()).get(stream, position):
            self.ahead.add(stream)
        if position > self._rows.answered.get(stream, 0):
            self.strikes = self._wait = 0
            self._careful.discard(stream)
            self._held.pop(stream, None)
        self._rows.answer(stream, position)
        self.flight = [f for f in self.flight if f.stream != stream or f.last > position]
        first = next((f for f in self.flight if f.stream == stream), None)
        if first is None or first.after > position:
            self._again(stream)
        return sent

    def refused(self, stream: bytes, reason: str) -> None:
        """Take the refusal of a frame of ``stream``."""
        if reason not in WRONG or stream not in dict(self._rows.streams()):
            return
        first = next((f for f in self.flight if f.stream == stream), None)
        if stream not in self._careful:
            self._careful.add(stream)
        elif first is not None:
            if self._rows.skip(stream, first.last):
                log.error(
                    "rows up to tick %d are refused (%s) and dropped: the next row has their joules", first.last, reason
                )
            else:
                self._held[stream] = first.last
                log.error("the last rows of a stream are refused (%s) and wait for others behind them", reason)
        self._again(stream)

    def again(self, stream: bytes, now: int) -> None:
        """Send a stream again from its last answer, a moment later if that happens again and again."""
        self._again(stream)
        self.wait(now)

    def expired(self, now: int) -> bool:
        """Return whether the oldest frame in flight waited too long; then everything is sent again, later."""
        if not self.flight or now < self.flight[0].sent + self.limits.timeout:
            return False
        self.restart()
        self.wait(now)
        return True

    def wait(self, now: int) -> None:
        """Count a failure and send nothing for a while."""
        self._wait = now + backoff(self.limits, self.strikes, self._random.uniform)
        self.strikes += 1

    def due(self, now: int) -> int | None:
        """Return when :meth:`next` or :meth:`expired` is to be asked again without any answer; None: never."""
        times = [self.flight[0].sent + self.limits.timeout] if self.flight else []
        if self._wait > now:
            times.append(self._wait)
        return min(times, default=None)

    @property
    def idle(self) -> bool:
        """Whether every row is answered."""
        return not self.flight and all(last <= self._mark(stream) for stream, last in self._rows.streams())

    def _mark(self, stream: bytes) -> int:
        return self._marks.get(stream, self._rows.answered.get(stream, 0))

    def _again(self, stream: bytes) -> None:
        self.flight = [f for f in self.flight if f.stream != stream]
        self._marks.pop(stream, None)
