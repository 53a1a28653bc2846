"""From the specs of a source to columns of a row: one meter a spec."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from thinwatt_agent.counters import EnergyCounter, Event, Instant, Limits
from thinwatt_agent.gauges import Integral, PowerGauge, Tally
from thinwatt_agent.sources import Count, Energy, Gauge, Held, Power, Spec
from thinwatt_agent.wire import Column

NOT_A_NUMBER = float("nan")


class Meter(Protocol):
    """Readings in, values of its columns out."""

    columns: tuple[Column, ...]
    events: list[Event]

    def read(self, value: float | None, now: Instant) -> None:
        """Take this tick's reading; None says that it failed."""

    def values(self) -> tuple[float, ...]:
        """Return one value a column."""

    def state(self, boot_id: str) -> Any:
        """Return what a new process needs to go on in this boot, JSON; None where there is nothing."""

    def restore(self, state: Any, boot_id: str) -> None:
        """Go on from a state, the columns at 0."""


class EnergyMeter:
    """Joules and covered seconds of a part, from a register or a reading of power."""

    __slots__ = ("columns", "counter", "events", "part", "present", "read", "restore", "spec", "state")

    def __init__(self, source: str, spec: Energy | Power, max_gap: int) -> None:
        self.part = spec.part
        self.spec = spec
        self.present = True
        self.counter: EnergyCounter | PowerGauge = (
            EnergyCounter(_limits(spec, max_gap))
            if isinstance(spec, Energy)
            else PowerGauge(spec.max_power, max_gap)
        )  # fmt: skip
        self.columns = _energy_columns(spec.source or source, spec)
        self.events = self.counter.events
        self.read, self.state, self.restore = self.counter.read, self.counter.state, self.counter.restore

    def respec(self, spec: Energy | Power, max_gap: int) -> None:
        """Take new limits, where the device was probed again; the columns stay what they are."""
        self.spec = spec
        if isinstance(self.counter, EnergyCounter) and isinstance(spec, Energy):
            self.counter.respec(_limits(spec, max_gap))

    def count_in(self, total: bool) -> None:
        """Say in the schema whether the part belongs to its source's sum."""
        self.columns = tuple(replace(c, total=total) if c.quantity == "energy" else c for c in self.columns)

    def values(self) -> tuple[float, ...]:
        """Joules, covered seconds."""
        return self.counter.joules, self.counter.covered / 1e9


def _limits(spec: Energy, max_gap: int) -> Limits:
    return Limits(spec.unit, spec.range, spec.max_power, max_gap, spec.wrap_power, spec.scaled)


def _energy_columns(source: str, spec: Energy | Power) -> tuple[Column, ...]:
    energy = Column(source, "energy", "counter", "J", spec.part, "", spec.scope, spec.basis, spec.total)
    return energy, Column(source, "covered", "counter", "s", spec.part)


class CountMeter:
    """A counter since tick 0."""

    __slots__ = ("columns", "events", "read", "restore", "scale", "state", "tally")

    def __init__(self, source: str, spec: Count) -> None:
        self.tally = Tally()
        self.scale = spec.scale
        self.columns: tuple[Column, ...] = (
            Column(spec.source or source, spec.quantity, "counter", spec.unit, spec.part, spec.consumer),
        )
        self.events: list[Event] = []
        self.read, self.state, self.restore = self.tally.read, self.tally.state, self.tally.restore

    def values(self) -> tuple[float, ...]:
        """The counter, in its unit."""
        return (self.tally.total * self.scale,)


class HeldMeter:
    """A gauge times time since tick 0."""

    __slots__ = ("columns", "events", "integral", "read", "restore", "state")

    def __init__(self, source: str, spec: Held, max_gap: int) -> None:
        self.integral = Integral(max_gap, spec.awake)
        self.columns: tuple[Column, ...] = (
            Column(spec.source or source, spec.quantity, "counter", spec.unit, spec.part, spec.consumer),
        )
        self.events: list[Event] = []
        self.read, self.state, self.restore = self.integral.read, self.integral.state, self.integral.restore

    def values(self) -> tuple[float, ...]:
        """The integral."""
        return (self.integral.total,)


class GaugeMeter:
    """The last reading, not a number where this tick has none."""

    __slots__ = ("columns", "events", "last")

    def __init__(self, source: str, spec: Gauge) -> None:
        self.last: float = NOT_A_NUMBER
        self.columns: tuple[Column, ...] = (
            Column(spec.source or source, spec.quantity, "gauge", spec.unit, spec.part),
        )
        self.events: list[Event] = []

    def read(self, value: float | None, now: Instant) -> None:  # noqa: ARG002 - the meters' common form
        """Take this tick's reading."""
        self.last = NOT_A_NUMBER if value is None else value

    def values(self) -> tuple[float, ...]:
        """The gauge."""
        return (self.last,)

    def state(self, boot_id: str) -> None:
        """Return nothing: a gauge has no past."""

    def restore(self, state: Any, boot_id: str) -> None:
        """Do nothing: a gauge has no past."""


def meter(source: str, spec: Spec, max_gap: int) -> Meter:
    """Return the meter of a spec; ``max_gap`` [ns]."""
    match spec:
        case Energy() | Power():
            return EnergyMeter(source, spec, max_gap)
        case Count():
            return CountMeter(source, spec)
        case Gauge():
            return GaugeMeter(source, spec)
        case Held():
            return HeldMeter(source, spec, max_gap)
