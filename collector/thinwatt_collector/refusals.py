"""Whose messages are not taken: told in the log once an agent and reason, then ever more rarely, and counted.

An agent that gets nothing through looks like one that is silent: nothing of it is booked. Who looks for it finds here
since when, and why.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

log = logging.getLogger(__name__)

ORDINARY: Final = frozenset({"unknown_schema", "unknown_version"})
"""How two programs come to terms, after a restart or an upgrade: nobody has to do anything."""
LOOK: Final = "see its own log there (journalctl -u thinwatt-agent)"
REMEDIES: Final = MappingProxyType(
    {
        "bad_value": "look at its readings there (thinwatt-agent sources) and restart it, which begins a new stream",
        "bad_order": "restart it, which begins a new stream; if that doesn't end it, look at that machine's clock",
        "too_much": "if that can't be, that machine, or who has its key, makes it up: take the key off the list",
        "bad_schema": f"its own log names what it reports for; {LOOK}",
        "bad_checksum": "its bytes change on the way: look at what stands between, and at that machine's memory",
        "not_thinwatt": "something else than an agent has its key: give it another one, take this one off the list",
    }
)


@dataclass(frozen=True, slots=True)
class Refused:
    """An agent of which nothing was booked since: why, in how many messages; ``since`` and ``last`` in UTC [ns]."""

    reason: str
    text: str
    since: int
    last: int
    messages: int


class Refusals:
    """What was refused of whom, for the life of the process: as many entries as agents and reasons."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._open: dict[str, Refused] = {}

    def note(self, agent: str, reason: str, text: str, at: int) -> None:
        """Take the refusal of a message of ``agent`` at ``at`` [UTC ns]; told at the first, 10th, 100th and so on."""
        if reason in ORDINARY:
            return
        self._counts[agent, reason] += 1
        count = self._counts[agent, reason]
        before = self._open.get(agent)
        self._open[agent] = (
            replace(before, reason=reason, text=text, last=at, messages=before.messages + 1)
            if before
            else Refused(reason, text, at, at, 1)
        )
        if str(count).strip("0") == "1":
            times = f"; {count:,} of its messages by now" if count > 1 else ""
            log.warning("%s: refused as %s: %s; %s%s", agent, reason, text, REMEDIES.get(reason, LOOK), times)

    def booked(self, agents: Iterable[str]) -> None:
        """Note of whom something was booked."""
        for agent in agents if self._open else ():
            if found := self._open.pop(agent, None):
                log.info("%s: is booked again after %d messages that were not taken", agent, found.messages)

    def now(self) -> Mapping[str, Refused]:
        """Return the agents of which nothing was booked since a message was refused, by name."""
        return MappingProxyType(self._open)
