"""What is sent back, and what the collector counts of its own work."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from thinwatt_agent import wire
from thinwatt_collector.decode import Rejected
from thinwatt_collector.identity import Conflicts
from thinwatt_collector.refusals import Refusals


class Reply(NamedTuple):
    """Bytes for one connection."""

    route: bytes
    data: bytes


@dataclass(slots=True)
class Tallies:
    """What the collector counts of its own work; grows for the life of the process."""

    dropped: Counter[str] = field(default_factory=Counter)
    frames: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    factor_fallbacks: int = 0
    skew: dict[str, int] = field(default_factory=dict)
    conflicts: Conflicts = field(default_factory=Conflicts)
    refusals: Refusals = field(default_factory=Refusals)


def refusal(rejected: Rejected, tallies: Tallies) -> Reply:
    """Count a message that is not taken and return the refusal that names why."""
    message, error = rejected.message, rejected.error
    tallies.dropped[error.reason] += 1
    tallies.refusals.note(message.agent, error.reason, error.text, message.received)
    data = message.data
    spoken = data[2] if len(data) > 2 and wire.OLDEST_VERSION <= data[2] <= wire.VERSION else wire.OLDEST_VERSION
    refused = wire.Refusal(rejected.stream, error.reason, error.text, spoken)
    return Reply(message.route, wire.encode_refusal(refused))
