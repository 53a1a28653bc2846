"""What has a name in the ledger: devices, and what totals are added up over."""

from __future__ import annotations

from dataclasses import dataclass, field

from thinwatt_collector.layout import SourceKey


@dataclass(frozen=True, slots=True)
class Group:
    """What totals are added up over: a class of devices, the made-up ones apart from the real ones."""

    kind: str
    simulated: bool

    def labels(self) -> dict[str, str]:
        """Return the labels of its totals."""
        return {"class": self.kind, "simulated": str(self.simulated).lower()}


@dataclass(frozen=True, slots=True)
class Device:
    """A device as the ledger knows it."""

    id: int
    name: str
    agent: str
    kind: str
    model: str
    simulated: bool

    @property
    def marked(self) -> str:
        """The value of its label ``simulated``."""
        return str(self.simulated).lower()


@dataclass(slots=True)
class Unsaved:
    """Dimension rows that the next transaction must write."""

    schemas: dict[bytes, str] = field(default_factory=dict)
    devices: dict[int, Device] = field(default_factory=dict)
    sources: list[tuple[int, SourceKey]] = field(default_factory=list)


def printable(value: object, longest: int) -> str:
    """Return what a machine says of itself as text that every database and exposition can hold; "" for nothing."""
    return "".join(c for c in str(value or "")[:longest] if c.isprintable())
