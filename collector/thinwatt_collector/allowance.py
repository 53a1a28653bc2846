"""How much one agent may have the collector keep: so much at once, so much more in an hour.

Whoever has a key may send anything; what is kept of it for good (streams, schemas, names of devices) must not grow as
fast as he sends. An honest agent comes nowhere near, and what is put off it sends again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from thinwatt_agent.wire import MAX_COLUMNS

HOUR: Final = 3600 * 1_000_000_000
COLUMNS: Final = (4 * MAX_COLUMNS, MAX_COLUMNS)
"""Columns of schemas that nobody had sent before, of one agent: at once, and in an hour."""
LEAST_COLUMNS: Final = 512
"""A new schema counts as so many columns at least."""
NAMES: Final = (1 << 16, 1 << 12)
"""Devices that an agent had not named before: at once, and in an hour."""
STATES: Final = (8 << 20, 16 << 20)
"""States of new streams of one agent [B]: at once, and in an hour."""
LEAST_STATE: Final = 8 << 10
"""A new stream counts as so many bytes at least."""
TIME: Final = (1000 * 86_400, 32 * 3600)
"""Seconds that an agent tells of, over all its streams, from 1 h before each began, and gaps between them: at once, and
in an hour. A spool of years passes, and so do thirty clones of one key; who makes up streams has no more to fill."""
CLASSES: Final = 16
"""Classes that the devices of one agent may have: each is a series for every figure of a class."""
CLASS: Final = re.compile(r"\w[\w .-]{0,63}")


@dataclass(slots=True)
class Allowance:
    """A bucket for each agent, full at the start.

    Attributes:
        at_once: what it holds.
        an_hour: what flows into it.
    """

    at_once: float
    an_hour: float
    _left: dict[str, tuple[float, int]] = field(default_factory=dict)

    def take(self, agent: str, amount: float, now: int) -> bool:
        """Take ``amount`` if there is so much.

        Args:
            agent: whose bucket it is.
            amount: none is as good as always there.
            now: the collector's UTC [ns]; a clock that goes back gives nothing.

        >>> streams = Allowance(at_once=10, an_hour=6)
        >>> streams.take("a", 9, 0), streams.take("a", 2, 0), streams.take("b", 2, 0), streams.take("a", 2, HOUR // 6)
        (True, False, True, True)
        """
        left, since = self._left.get(agent, (self.at_once, now))
        left = min(self.at_once, left + self.an_hour * max(0, now - since) / HOUR)
        enough = amount <= left
        if amount:
            self._left[agent] = (left - amount * enough, now)
        return enough


class Allowances:
    """All that is kept for good of what agents say."""

    def __init__(self) -> None:
        found = (Allowance(*most) for most in (COLUMNS, NAMES, STATES, TIME))
        self._columns, self._names, self._states, self._time = found
        self._classes: dict[str, set[str]] = {}

    def names(self, agent: str, new: int, now: int) -> bool:
        """Return whether so many devices that the agent had not named before may be kept."""
        return self._names.take(agent, new, now)

    def a_schema(self, agent: str, width: int, now: int) -> bool:
        """Return whether a schema of ``width`` columns that nobody had sent before may be kept."""
        return self._columns.take(agent, max(width, LEAST_COLUMNS), now)

    def a_state(self, agent: str, width: int, now: int) -> bool:
        """Return whether the state of one more stream, of ``width`` columns, may be kept."""
        return self._states.take(agent, max(8 * width, LEAST_STATE), now)

    def time(self, agent: str, seconds: float, now: int) -> bool:
        """Return whether rows, and gaps, of so much time may be booked; whoever was away for longer waits no longer."""
        return self._time.take(agent, min(seconds, TIME[0]), now)

    def a_class(self, agent: str, kind: str) -> str:
        """Return the class that a device of the agent has when it says ``kind``.

        >>> Allowances().a_class("a", "thin client"), Allowances().a_class("a", "=cmd")
        ('thin client', 'unknown')
        """
        ours = self._classes.setdefault(agent, set())
        if not CLASS.fullmatch(kind) or (kind not in ours and len(ours) >= CLASSES):
            return "unknown"
        ours.add(kind)
        return kind
