"""Where on the UTC axis a stream's boottime lies: pinned once, moved only when a live contact proves it wrong.

Rows carry CLOCK_BOOTTIME, which no one can step. A *live* frame was sent in the boot of its rows, so that its
``sent`` and the receipt name the same instant on two clocks. Transport delay only ever makes receipt late, so a
positive skew must be seen twice before it moves anything: a frame held back by the network is no clock error. Frames
held back by the same stall are one sighting, not two: the second must have been sent after the first had arrived.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

SECOND: Final = 1_000_000_000
TOLERANCE: Final = 2 * SECOND
"""An agent's own wall clock is believed within 2 s of the collector's [ns]."""
AHEAD: Final = 86_400 * SECOND
"""No row is placed later than so long after its receipt [ns]: no clock that was once checked goes further wrong."""
BEHIND: Final = 3650 * 86_400 * SECOND
"""Nor is a stream whose rows end longer ago than a machine lives [ns]: a battery that is empty says 1970."""
PATIENCE: Final = 600_000_000_000
"""A stall of the network is thought to last no longer than this [ns]."""


@dataclass(frozen=True, slots=True)
class Contact:
    """What one frame says about clocks; all in ns."""

    live: bool
    offset_known: bool
    wall_offset: int
    sent: int
    received: int


@dataclass(frozen=True, slots=True)
class Pin:
    """A stream's UTC − boottime [ns]; ``uncertain`` when it rests on a clock no collector ever checked.

    ``suspect`` is a late skew that waits to be confirmed, ``suspected`` when its frame was ``sent``.
    """

    offset: int
    uncertain: bool
    suspect: int = 0
    suspected: int = 0


def first_pin(contact: Contact, last_row_time: int, not_before: int) -> Pin:
    """Return the pin for a stream's first frame.

    Args:
        contact: of that frame.
        last_row_time: boottime of the frame's last row [ns].
        not_before: UTC of the agent's last committed row of any stream [ns], 0 if none: with the receipt it bounds
            the clock of a boot that no collector ever heard.
    """
    pin = _told(contact)
    placed = last_row_time + pin.offset
    if not pin.uncertain and contact.received - BEHIND <= placed <= contact.received + AHEAD:
        return pin
    placed = min(max(placed, not_before, contact.received - BEHIND), contact.received)
    return Pin(placed - last_row_time, uncertain=True)


def _told(contact: Contact) -> Pin:
    """Return the pin that a frame's own words make."""
    if contact.live:
        skew = contact.received - (contact.sent + contact.wall_offset)
        return Pin(contact.wall_offset if abs(skew) <= TOLERANCE else contact.received - contact.sent, uncertain=False)
    return Pin(contact.wall_offset, uncertain=not contact.offset_known)


def skew(pin: Pin, contact: Contact) -> int:
    """Return receipt − (sent placed by the pin) [ns]; meaningful for live contacts only."""
    return contact.received - (contact.sent + pin.offset)


def renewed(pin: Pin, contact: Contact) -> Pin:
    """Return the pin for the rows from now on.

    An early receipt (negative skew) cannot come from delay and moves the pin at once. A late one is first a
    suspicion; a live contact that was sent so much later that the same stall can't have held it back confirms it, and
    the smaller of the two skews is taken.
    """
    if not contact.live:
        return pin
    found = skew(pin, contact)
    if abs(found) <= TOLERANCE:
        return Pin(pin.offset, uncertain=False) if pin.suspect or pin.uncertain else pin
    if found < 0:
        return Pin(pin.offset + found, uncertain=False)
    if not pin.suspect:
        return Pin(pin.offset, pin.uncertain, found, contact.sent)
    if contact.sent - pin.suspected < min(pin.suspect, PATIENCE):
        return pin
    return Pin(pin.offset + min(found, pin.suspect), uncertain=False)


def bounded(pin: Pin, last_row_time: int, received: int) -> Pin:
    """Return a pin moved, where needed, so that the row at ``last_row_time`` is neither of the future nor of long ago.

    One that rests on a checked clock may be a little ahead of it.
    """
    placed = last_row_time + pin.offset
    if received - BEHIND <= placed <= received + (0 if pin.uncertain else AHEAD):
        return pin
    return Pin(min(max(placed, received - BEHIND), received) - last_row_time, uncertain=True)


def newest(rows: Iterable[tuple[Ints, Ints, Ints]]) -> Iterator[tuple[int, int, int]]:
    """Yield number, and the latest UTC and boottime [ns], of each stream in arrays of these three."""
    number, utc, time = (np.concatenate(column) for column in zip(*rows, strict=True))
    streams, at = np.unique(number, return_inverse=True)
    latest, last = (np.full(len(streams), np.iinfo(np.int64).min) for _ in range(2))
    np.maximum.at(latest, at, utc)
    np.maximum.at(last, at, time)
    return zip(streams.tolist(), latest.tolist(), last.tolist(), strict=True)


class Past:
    """The newest row of each boot of each agent: when a new stream begins, what came before it."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[bytes, tuple[int, int]]] = {}

    def add(self, agent: str, boot: bytes, utc: int, time: int) -> None:
        """Take a row: where it lies in UTC and its boottime [ns]."""
        boots = self._rows.setdefault(agent, {})
        before = boots.get(boot, (utc, time))
        boots[boot] = max(utc, before[0]), max(time, before[1])

    def newest(self, agent: str) -> int:
        """Return the UTC of the agent's newest row [ns], 0 if there is none."""
        return max((utc for utc, _ in self._rows.get(agent, {}).values()), default=0)

    def gap(self, agent: str, boot: bytes, base: int, begins: int) -> float:
        """Return the time without a row before a new stream [s], 0 where there is none.

        Two streams of one boot share a clock that no one steps; where streams lie in UTC is known to 2 s only.

        Args:
            agent: whose stream it is.
            boot: of the stream.
            base: its tick 0 [ns of boottime].
            begins: the same instant in UTC [ns].
        """
        if boot in self._rows.get(agent, {}):
            return max(0, base - self._rows[agent][boot][1]) / SECOND
        newest = self.newest(agent)
        return max(0, begins - newest) / SECOND if newest else 0.0
