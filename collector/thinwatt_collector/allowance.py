"""How much one agent may have the collector keep: so much at once, so much more in an hour.

Whoever has a key may send anything; what is kept of it for good (streams, schemas, names of devices) must not grow as
fast as he sends. An honest agent comes nowhere near, and what is put off it sends again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

HOUR: Final = 3600 * 1_000_000_000


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
