"""What holds in a ledger at any moment, whatever happened: read from a copy of its files, checked against the truth.

The truth is not the agents' word: a made-up machine's register at any instant is known in closed form.
"""

from __future__ import annotations

import json
import math
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import floor, isclose
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np

from tests.invariants.processes import Collector, Machine
from thinwatt_agent.sources import fake
from thinwatt_agent.wire import schema_of
from thinwatt_collector.ledger.address import address_of
from thinwatt_collector.ledger.duckdb_file import DuckDBSession
from thinwatt_collector.ledger.postgresql import PostgreSQLLedger
from thinwatt_collector.ledger.session import Session

SECOND = 1_000_000_000
EXACT = 1e-9
TO_THE_SECOND = 1.0
JITTER = 1e-4
"""A trapezoid over rows 0.2 s apart is that near to the waves of a made-up machine."""

Series = tuple[str, str, str]
"""Device, source, part."""
Label = tuple[str, str]
"""Family and labels of a booked total."""


@dataclass(frozen=True)
class Stream:
    """A stream's row; ``columns`` is its state by (source, quantity, part)."""

    agent: str
    id: bytes
    base: int
    pos: int
    t_pos: int
    columns: dict[tuple[str, str, str], float]


@dataclass(frozen=True)
class Books:
    """What a ledger holds: streams, (joules, covered) of every series, booked totals."""

    streams: list[Stream] = field(default_factory=list)
    energy: dict[Series, tuple[float, float]] = field(default_factory=dict)
    booked: dict[Label, float] = field(default_factory=dict)

    def of(self, agent: str) -> list[Stream]:
        """Return the streams of an agent that were booked to some point, in the order of their beginnings."""
        return sorted((s for s in self.streams if s.agent == agent and s.pos), key=lambda s: (s.base, s.t_pos))

    def of_device(self, family: str, name: str) -> float:
        """Return what is booked for a device in a family."""
        return math.fsum(v for (f, labels), v in self.booked.items() if f == family and f'"device": "{name}"' in labels)

    def positions(self) -> dict[bytes, int]:
        return {s.id: s.pos for s in self.streams}


def read(ledger: Path) -> Books:
    """Return what a ledger holds whose collector is not running, from a copy; the files are not touched."""
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.duckdb"
        for path, target in ((ledger, copy), (_wal(ledger), _wal(copy))):
            if path.exists():
                shutil.copyfile(path, target)
        with duckdb.connect(str(copy)) as connection:
            return _books(DuckDBSession(connection))


def of(collector: Collector) -> Books:
    """Return what the ledger of a collector holds: on a server at this moment, in a file when it is not running."""
    return on_server(collector.server) if collector.server else read(collector.ledger)


def on_server(place: str) -> Books:
    """Return what a ledger on a server holds at this moment, whoever writes it."""
    session = PostgreSQLLedger(address_of(place)).session
    try:
        with session.snapshot():
            return _books(session)
    finally:
        session.close()


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def _books(session: Session) -> Books:
    def rows(query: str) -> list[Any]:
        return session.execute(query).fetchall()

    if not rows("SELECT 1 FROM information_schema.tables WHERE table_name = 'booked'"):
        return Books()  # killed before its first migration was through
    schemas = {bytes(i): json.loads(text) for i, text in rows("SELECT id, document FROM wire_schema")}
    streams = [
        Stream(agent, bytes(i), base, pos, t_pos, _columns(schemas[bytes(schema)], bytes(state)))
        for agent, i, schema, base, pos, t_pos, state in rows(
            "SELECT agent, stream, schema_id, base, pos, t_pos, state FROM stream"
        )
    ]
    energy = rows(
        """SELECT coalesce(d.name, 'folded'), s.name, s.part, sum(e.joules), sum(e.covered) FROM energy AS e
        LEFT JOIN device AS d ON e.device = d.id JOIN source AS s ON e.source = s.id GROUP BY 1, 2, 3"""
    )
    booked = rows("SELECT l.family, l.labels, b.total FROM label AS l JOIN booked AS b ON l.id = b.label")
    return Books(streams, {(d, s, p): (j, c) for d, s, p, j, c in energy}, {(f, t): total for f, t, total in booked})


def _columns(schema: Any, state: bytes) -> dict[tuple[str, str, str], float]:
    (group,) = schema_of(schema).groups
    values = np.frombuffer(state).tolist()
    # Behind the columns stands what the collector remembers of the device beside them.
    return {(c.source, c.quantity, c.part): v for c, v in zip(group.columns, values, strict=False)}


def check(books: Books, machines: Iterable[Machine], *, whole: bool = False) -> None:
    """Check every law that holds at any moment.

    Args:
        books: of a ledger.
        machines: whose agents may be in it.
        whole: nothing is under way any more: all time is accounted for, and machines whose spool lies on a disk
            that works have lost nothing.
    """
    for machine in machines:
        streams = books.of(machine.name)
        for stream in streams:
            counter_at_position(stream, machine)
        no_time_twice(streams)
        sum_is_counter(books, streams, machine.name)
        if streams:
            never_more_than_there_was(books, streams, machine)
            time_is_accounted_for(books, streams, machine, whole=whole)
    booked_is_ledger(books)


def counter_at_position(stream: Stream, machine: Machine) -> None:
    """The state is what the register had counted at the last row booked."""
    joules, covered = stream.columns["fake", "energy", "wall"], stream.columns["fake", "covered", "wall"]
    counted_to = stream.base + round(covered * SECOND)
    assert counted_to == stream.t_pos, f"{machine.name}: {stream} lags by {(stream.t_pos - counted_to) / SECOND} s"
    truth = drawn(machine, stream.base, stream.t_pos)
    tolerance = EXACT if machine.options.get("meter", "counter") == "counter" else JITTER
    assert isclose(joules, truth, rel_tol=tolerance), f"{machine.name}: {joules} J at {stream}, of {truth} J"


def drawn(machine: Machine, start: int, end: int) -> float:
    """Joules between two instants [ns], as the machine's register counts them."""
    made_up = fake.machine(machine.options)
    if machine.options.get("meter", "counter") == "gauge":
        return made_up.joules(end * 1e-9) - made_up.joules(start * 1e-9)
    a, b = (floor(made_up.joules(t * 1e-9) / fake.UNIT) for t in (start, end))
    return (b - a) * fake.UNIT


def no_time_twice(streams: Sequence[Stream]) -> None:
    """No instant of a machine is booked from two streams."""
    for before, after in pairwise(streams):
        twice = (before.t_pos - after.base) / SECOND
        assert twice <= 0, f"{twice} s are booked twice: {before}, {after}"


def sum_is_counter(books: Books, streams: Sequence[Stream], name: str) -> None:
    """Per source Σ ledger = Σ counter at the position, and the one meter there is wins everything."""
    for quantity, place in (("energy", 0), ("covered", 1)):
        counted = math.fsum(s.columns["fake", quantity, "wall"] for s in streams)
        for source, part in (("fake", "wall"), ("booked", "")):
            ledger = books.energy.get((name, source, part), (0.0, 0.0))[place]
            assert isclose(ledger, counted, rel_tol=EXACT), f"{name}: {quantity} of {source}: {ledger}, not {counted}"


def never_more_than_there_was(books: Books, streams: Sequence[Stream], machine: Machine) -> None:
    """No more joules than were drawn from the first row to the last."""
    joules = books.energy[machine.name, "fake", "wall"][0]
    truth = drawn(machine, streams[0].base, streams[-1].t_pos)
    assert joules <= truth * (1 + JITTER), f"{machine.name}: {joules} J of {truth} J"


def time_is_accounted_for(books: Books, streams: Sequence[Stream], machine: Machine, *, whole: bool) -> None:
    """Time without a stored row is a gap, to the second; where nothing can be lost there is none."""
    covered, gap = (books.of_device(family, machine.name) for family in ("DEVICE_COVERED", "DEVICE_GAP"))
    elapsed = (streams[-1].t_pos - streams[0].base) / SECOND
    missing = math.fsum((b.base - a.t_pos) / SECOND for a, b in pairwise(streams))
    text = f"{machine.name}: {covered} s covered, {gap} s gap, {missing} s without rows in {elapsed} s"
    assert isclose(covered + missing, elapsed, abs_tol=1e-6), text
    assert isclose(gap, missing, abs_tol=TO_THE_SECOND), text
    if whole and machine.durable:
        assert missing == 0, text
        joules, _ = books.energy[machine.name, "fake", "wall"]
        truth = drawn(machine, streams[0].base, streams[-1].t_pos)
        assert isclose(joules, truth, rel_tol=EXACT if "meter" not in machine.options else JITTER), text


def booked_is_ledger(books: Books) -> None:
    """Booked totals, which are never summed again, are what the slots sum up to."""
    sums: dict[str, float] = defaultdict(float)
    for (_, source, _), (joules, covered) in books.energy.items():
        if source == "booked":
            sums["ENERGY"] += joules
            sums["DEVICE_ENERGY"] += joules
            sums["COVERED"] += covered
            sums["DEVICE_COVERED"] += covered
        elif source == "shared":
            sums["SHARED"] += joules
        elif source not in ("model", "sessions"):  # what models assume beside a meter counts nowhere
            sums["SOURCE_ENERGY"] += joules
    totals: dict[str, float] = defaultdict(float)
    for (family, _), total in books.booked.items():
        totals[family] += total
    for family, amount in sums.items():
        assert isclose(totals[family], amount, rel_tol=EXACT), f"{family}: booked {totals[family]}, slots {amount}"
    assert isclose(totals["GAP"], totals["DEVICE_GAP"], rel_tol=EXACT, abs_tol=EXACT)
