"""The sampler: reads every source each interval into one row of the wire's matrix. No socket, no spool.

Three outcomes of a source: absent (quiet, looked for again every few minutes), failed (counted, warned of once, tried
again at the next tick) and bug (its traceback in the log, that source off until the next look for devices). None of
them costs another source.

Every instant is given by the caller, and so is the root: a recorded machine is sampled by the same code (replay.py).
"""

from __future__ import annotations

import logging
import mmap
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from thinwatt_agent import machine, sources
from thinwatt_agent.counters import EVENTS, HIGHEST, EnergyCounter, Event, Instant
from thinwatt_agent.files import File
from thinwatt_agent.meters import NOT_A_NUMBER, EnergyMeter, Meter, meter
from thinwatt_agent.sources import Denied, Energy, Read, Values
from thinwatt_agent.totals import Totals
from thinwatt_agent.wire import Column, Group, Schema

__all__ = ["Instant", "Sampler", "SamplerOptions"]

log = logging.getLogger(__name__)

SECOND: Final = 1_000_000_000
AGAIN: Final = 3
"""Parts that went are looked for at so many further ticks, then with all devices."""
SHORTEST_GAP: Final = 30.0
"""``max_gap`` is three intervals, but never less [s] (METHOD §1)."""
OUTCOMES: Final = ("wraps", "restarts", "failures", "gaps")
"""The columns that count :data:`thinwatt_agent.counters.EVENTS`, in that order, of every source of energy."""
OWN: Final = (
    Column("agent", "rows", "counter", "1"),
    Column("agent", "lost_resolution", "counter", "s"),
    Column("agent", "spool_rows", "gauge", "1"),
    Column("agent", "spool_bytes", "gauge", "B"),
)
"""What only the caller knows of the agent's own cost: keys of :attr:`Sampler.own`."""


@dataclass(frozen=True, slots=True)
class SamplerOptions:
    """``interval`` and ``max_gap`` [s] (None: three intervals, at least 30 s); a table a source, a table ``machine``.

    ``probe_every`` [s] is how often sources look for devices that came or went.
    """

    interval: float = 10.0
    max_gap: float | None = None
    probe_every: float = 300.0
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)

    @property
    def gap(self) -> float:
        """The gap in force [s]."""
        return max(3 * self.interval, SHORTEST_GAP) if self.max_gap is None else self.max_gap

    @property
    def simulated(self) -> bool:
        """Whether the machine is made up: then nothing real is read."""
        return bool(self.sources.get("fake", {}).get("enabled", False))

    def enabled(self) -> list[str]:
        """Return the names of the sources to read."""
        if self.simulated:
            return ["fake"]
        return [n for n in sources.names() if n != "fake" and self.sources.get(n, {}).get("enabled", True)]


class Source:
    """One source of one machine: its meters, and how its readings went."""

    def __init__(self, name: str, options: Mapping[str, Any], gap: int, taken: set[Column]) -> None:
        self.name = name
        self.options = options
        self.meters: dict[str, Meter] = {}
        self.events: list[tuple[str, Event]] = []
        self.outcomes = dict.fromkeys(EVENTS, 0)
        self.failures = 0
        self.spent = 0
        self.off = False
        self._again = 0
        self.resume: dict[str, Any] = {}
        self._gap = gap
        self._taken = taken
        self._values: Any = None
        self._order: list[Meter] = []
        self._missing: list[Meter] = []
        self._warned: set[str] = set()
        self._failing = False
        self._denied = False

    @property
    def status(self) -> str:
        """How its last reading went: works, absent, denied or failed."""
        if self.off or self._failing:
            return "failed"
        return "works" if self._values else "denied" if self._denied else "absent"

    @property
    def energy(self) -> Iterator[EnergyMeter]:
        """The meters of its parts that are energy."""
        return (m for m in self.meters.values() if isinstance(m, EnergyMeter))

    @property
    def counts_energy(self) -> bool:
        """Whether one of its parts is energy."""
        return any(self.energy)

    def sample(self, root: Path, now: Instant, probe: bool) -> bool:
        """Read all values of this tick; return whether columns came up. Raises nothing.

        Where parts went, it looks at the next ticks too: a file half written is whole a moment later.
        """
        if self.off and not probe:
            return False
        self.off = False
        start, known = time.perf_counter_ns(), len(self.meters)
        try:
            if probe or self._again:
                self._again = AGAIN if probe else self._again - 1
                self._probe(root, now)
            if self.meters:
                self._read(now)
        except (OSError, ValueError) as error:
            self._fail(now, f"{error}", [*self._order, *self._missing])
        except Exception as bug:  # noqa: BLE001  # one source's bug costs no other source
            self._bug(now, f"has a bug and is off until the next look for devices: {bug!r}")
        self._collect()
        self.spent += time.perf_counter_ns() - start
        return len(self.meters) > known

    def settle(self) -> None:
        """Decide what only a further reading could have confirmed: at the end of a recording."""
        for m in self.energy:
            m.counter.settle()
        self._collect()

    def _probe(self, root: Path, now: Instant) -> None:
        read: Read | None = None
        self._denied = False
        try:
            read = sources.module(self.name).probe(root, self.options)
        except Denied as denied:
            self._denied = True
            self._warn(f"{denied.what}. To allow it: {denied.remedy}")
        specs = read.specs if read else ()
        for spec in specs:
            m = self.meters.get(spec.key)
            if isinstance(m, EnergyMeter):
                m.respec(spec, self._gap)  # type: ignore[arg-type]  # a key never changes its kind
            elif m is None:
                m = self.meters[spec.key] = meter(self.name, spec, self._gap)
                self._claim(m)
                if spec.key in self.resume:
                    m.restore(self.resume.pop(spec.key), now.boot_id)
        self._values = read.values if read else None
        self._order = [self.meters[spec.key] for spec in specs]
        keys = {spec.key for spec in specs}
        self._missing = [m for key, m in self.meters.items() if key not in keys]
        self._again = self._again if self._missing else 0
        for m in self.energy:
            m.present = m.spec.key in keys

    def _claim(self, m: Meter) -> None:
        """Leave out columns that another source has already."""
        columns = {_name(c) for c in m.columns}
        if columns & self._taken:
            self._warn(f"{m.columns[0].quantity} {m.columns[0].part!r} is read twice; the second is left out")
            m.columns = ()
        self._taken |= columns

    def _read(self, now: Instant) -> None:
        values: Values = self._values(now) if self._values else ()
        if len(values) != len(self._order):
            raise RuntimeError(f"{len(values)} values for {len(self._order)} specs")
        failed = list(self._missing)
        for m, got in zip(self._order, values, strict=False):
            value = None if got is None or abs(got) > HIGHEST else got
            m.read(value, now)
            if value is None:
                failed.append(m)
        for m in self._missing:
            m.read(None, now)
        if failed:
            self._fail_once(
                f"no good reading of {', '.join(m.columns[0].part or m.columns[0].quantity for m in failed)}"
            )
        else:
            self._failing = False

    def _fail(self, now: Instant, why: str, meters: list[Meter]) -> None:
        for m in meters:
            m.read(None, now)
        self._fail_once(why)

    def _bug(self, now: Instant, text: str) -> None:
        """Log its traceback once, and a line each further time; all its parts failed."""
        log.error("source %s %s", self.name, text, exc_info=text not in self._warned)
        self._warned.add(text)
        self.off, self._failing = True, True
        self._fail(now, text, [*self._order, *self._missing])

    def _fail_once(self, why: str) -> None:
        self.failures += 1
        if not self._failing:
            self._failing = True
            log.warning("source %s failed: %s; its next good reading covers what it can", self.name, why)

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            log.warning("source %s: %s", self.name, text)

    def _collect(self) -> None:
        self.events = []
        for m in self.meters.values():
            if m.events:
                self.events += [(m.columns[0].part if m.columns else "", event) for event in m.events]
                for event in m.events:
                    self.outcomes[event.kind] += 1
                m.events.clear()


def _name(column: Column) -> Column:
    return Column(column.source, column.quantity, "gauge", "", column.part, column.consumer)


class Sampler:
    """All sources of one machine below ``root``; one row a call of :meth:`sample`.

    ``own`` takes what the caller knows of the agent's own cost (see :data:`OWN`) before each call.
    """

    def __init__(self, root: Path, options: SamplerOptions) -> None:
        self.root = root
        self.options = options
        self.own: dict[str, float] = {}
        taken: set[Column] = set()
        gap = round(options.gap * SECOND)
        self.sources = [Source(n, options.sources.get(n, {}), gap, taken) for n in options.enabled()]
        self.totals = Totals(gap)
        self._totalled: set[EnergyMeter] = set()
        self._counting: list[str] = []
        self._own_cost = _OwnCost()
        self._next_probe: int | None = None
        self._boot_id = ""
        self._restored: Mapping[str, Any] = {}

    @cached_property
    def schema(self) -> Schema:
        """The columns of the last row; it changes when devices come up, which its ``id`` shows."""
        return Schema((Group(("",), tuple(self._columns())),))

    def sample(self, now: Instant) -> list[float]:
        """Read everything and return the row of this tick, in the order of :attr:`schema`; never raises."""
        self._resume(now)
        probe = self._next_probe is None or now.boottime >= self._next_probe or now.boot_id != self._boot_id
        if probe:
            self._next_probe = now.boottime + round(self.options.probe_every * SECOND)
        self._boot_id = now.boot_id
        changed = [source.sample(self.root, now, probe) for source in self.sources]
        self._total(now, any(changed))
        if any(changed):
            self.__dict__.pop("schema", None)
        return self._row()

    def _total(self, now: Instant, changed: bool) -> None:
        """Work out the processors' total; parts that came up say in the schema whether they count as of now."""
        new = [(s, m) for s in self.sources for m in s.energy if m not in self._totalled] if changed else []
        for source, m in new:
            self._totalled.add(m)
            if isinstance(m.spec, Energy) and isinstance(m.counter, EnergyCounter) and m.spec.domain:
                self.totals.join(f"{source.name} {m.part}", m.spec.domain, m.spec.rank, m.counter, m)
        self.totals.update(now)
        counting = self.totals.counting()
        counters = {leaf.counter for leaf in counting}
        for _, m in new:
            if isinstance(m.spec, Energy) and m.spec.domain:
                m.count_in(m.counter in counters)
        names = [leaf.label for leaf in counting]
        if names != self._counting:
            log.info("the processors' total is made of %s", ", ".join(names))
            self._counting = names

    def reroot(self, root: Path) -> None:
        """Read another folder from the next tick on: the next state of a recording. Counters go on."""
        self.root = root
        self._next_probe = None

    def settle(self) -> None:
        """Decide what only a further reading could have confirmed: at the end of a recording."""
        for source in self.sources:
            source.settle()
        self.totals.settle()

    def roles(self) -> dict[EnergyMeter, str]:
        """Return of each part that is energy what it is to the total: "counts", or where else its joules are."""
        processors = self.totals.roles()
        return {
            m: processors.get(m.counter) or ("counts" if m.spec.total else m.spec.role or "inside another part")
            for source in self.sources
            for m in source.energy
        }

    def events(self) -> Iterator[tuple[str, str, Event]]:
        """Yield source, part and event of whatever the last call found that was no advance."""
        for source in self.sources:
            for part, event in source.events:
                yield source.name, part, event

    def state(self) -> dict[str, Any]:
        """Return the raw readings that a new process goes on from, as JSON."""
        found: dict[str, dict[str, Any]] = {}
        for source in self.sources:
            states = {key: m.state(self._boot_id) for key, m in source.meters.items()}
            found[source.name] = {key: state for key, state in states.items() if state is not None}
        return {"boot_id": self._boot_id, "meters": found, "total": self.totals.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from the readings of :meth:`state`: columns start at 0, registers do not. Ignored in another boot."""
        self._restored = state

    def machine(self) -> dict[str, Any]:
        """Return the description that travels with the schema."""
        described = machine.describe(self.root, self.options.machine)
        if self.options.simulated:
            described |= sources.module("fake").describe(self.options.sources["fake"])
        return described | {"interval_s": self.options.interval, "simulated": self.options.simulated}

    def _resume(self, now: Instant) -> None:
        if self._restored.get("boot_id") == now.boot_id:
            for source in self.sources:
                source.resume = dict(self._restored["meters"].get(source.name, {}))
            self.totals.restore(self._restored.get("total"), now)
        self._restored = {}

    def _columns(self) -> Iterator[Column]:
        for source in self.sources:
            for m in source.meters.values():
                yield from m.columns
            if source.counts_energy:
                yield from (Column(source.name, quantity, "counter", "1") for quantity in OUTCOMES)
        yield from self.totals.columns
        yield from self._own_cost.columns()
        yield from OWN
        for source in self.sources:
            yield Column("agent", "read_seconds", "counter", "s", source.name)
            yield Column("agent", "read_failures", "counter", "1", source.name)

    def _row(self) -> list[float]:
        row: list[float] = []
        for source in self.sources:
            for m in source.meters.values():
                if m.columns:
                    row += m.values()
            if source.counts_energy:
                row += source.outcomes.values()
        row += self.totals.values()
        row += self._own_cost.values()
        row += [self.own.get(column.quantity, 0.0) for column in OWN]
        for source in self.sources:
            row += (source.spent / 1e9, source.failures)
        return row


class _OwnCost:
    """CPU seconds and resident memory of this process."""

    def __init__(self) -> None:
        self._start = time.process_time_ns()
        self._statm = File(Path("/proc/self/statm"))

    def columns(self) -> tuple[Column, ...]:
        return Column("agent", "cpu", "counter", "s"), Column("agent", "rss", "gauge", "B")

    def values(self) -> tuple[float, float]:
        return (time.process_time_ns() - self._start) / 1e9, self._rss()

    def _rss(self) -> float:
        try:
            return int(self._statm.read().split()[1]) * mmap.PAGESIZE
        except (OSError, ValueError, IndexError):
            return NOT_A_NUMBER
