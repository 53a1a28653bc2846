"""Months of the campus into a new ledger, and beside it what is true: for every device and month, what it drew."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.book import Energy, Event, Moves, StreamRows, Totals, Transaction
from thinwatt_collector.demo.campus import shares
from thinwatt_collector.demo.campus.gateways import introduction
from thinwatt_collector.demo.campus.parameters import ZONE
from thinwatt_collector.demo.campus.places import Places
from thinwatt_collector.demo.campus.reports import BASES, Reports
from thinwatt_collector.demo.campus.simulation import Block, Campus
from thinwatt_collector.factors import table
from thinwatt_collector.fleet import Fleet
from thinwatt_collector.labels import Family, key
from thinwatt_collector.ledger import LedgerError, ReadableLedger, open_ledger
from thinwatt_collector.ledger.bulk import Series, add
from thinwatt_collector.models.devices import DeviceTable
from thinwatt_collector.models.energy import SLOT_SECONDS
from thinwatt_collector.sharing import SOURCE

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FRESH_DAYS: Final = 2
"""The newest local days are left as sealed slots; the collector compacts them when their time has come."""
MEMORY: Final = 512 * 2.0**20
"""What the ledger's engine may use [B]."""
AMOUNTS: Final = ("true_joules", "ledger_joules", "covered_seconds")


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        slots: rows of 15 minutes.
        months: local months, "2026-03".
        true: energy that was drawn, shape (months, devices) [J].
        reported: that the ledger has, likewise; NaN of devices without an agent.
        covered: time of which the ledger knows, likewise [s].
    """

    slots: int
    months: tuple[str, ...]
    true: Floats
    reported: Floats
    covered: Floats


def first_day(until: int, months: int) -> date:
    """Return the local day that lies so many months before ``until`` [UTC s]; of a short month the last.

    >>> first_day(int(datetime(2026, 3, 31, 12, tzinfo=UTC).timestamp()), 1)
    datetime.date(2026, 2, 28)
    """
    last = datetime.fromtimestamp(until, ZoneInfo(ZONE)).date()
    year, month = divmod(last.year * 12 + last.month - 1 - months, 12)
    next_month = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    return date(year, month + 1, min(last.day, (next_month - timedelta(days=1)).day))


def pieces(first: date, until: int) -> Iterator[tuple[date, date, bool]]:
    """Yield stretches of local days, none over two months: first, behind the last, whether they are old."""
    last = datetime.fromtimestamp(until - 1, ZoneInfo(ZONE)).date()
    past, fresh = last + timedelta(days=1), max(first, last - timedelta(days=FRESH_DAYS - 1))
    at = first
    while at < past:
        next_month = date(at.year + at.month // 12, at.month % 12 + 1, 1)
        end = min(next_month, fresh if at < fresh else past)
        yield at, end, at < fresh
        at = end


def write(
    path: Path, campus: Campus, first: date, until: int, done: Callable[[float], None] = lambda _: None
) -> Written:
    """Write the days from ``first`` to ``until`` into a new ledger.

    Args:
        path: of the ledger; half of one never lies there.
        campus: whose.
        first: local day.
        until: UTC [s]; what is within a slot is left out.
        done: is told the part that is done, 0 to 1.

    Raises:
        LedgerError: there is one already, or it can't be written.
        ValueError: there is nothing to write.
    """
    if path.exists():
        raise LedgerError(f"{path} is there already: choose another folder, or remove it")
    stretches = list(pieces(first, until))
    if not stretches:
        raise ValueError(f"{first} lies behind the end: there is nothing to write")
    partial = path.with_name(path.name + ".partial")
    _remove(partial)
    ledger = open_ledger(f"duckdb:{partial}", MEMORY)
    try:
        written = _fill(ledger, campus, stretches, until, done)
        ledger.close()
        partial.replace(path)
    except BaseException:
        ledger.close()
        _remove(partial)
        raise
    return written


def _remove(partial: Path) -> None:
    for file in (partial, partial.with_name(partial.name + ".wal")):
        file.unlink(missing_ok=True)


def _fill(
    ledger: ReadableLedger,
    campus: Campus,
    stretches: list[tuple[date, date, bool]],
    until: int,
    done: Callable[[float], None],
) -> Written:
    books = _Books(ledger, campus)
    whole = sum((past - first).days for first, past, _ in stretches)
    so_far = 0
    for first, past, old in stretches:
        books.add(campus.block(first, past), f"{first:%Y-%m}", until // SLOT_SECONDS, ZONE if old else "")
        so_far += (past - first).days
        done(so_far / whole)
    return books.close(stretches[0][0], until)


class _Books:
    """A new ledger being filled, and the sums that its counters and the truth beside it are made of."""

    def __init__(self, ledger: ReadableLedger, campus: Campus) -> None:
        self.ledger = ledger
        self.reader = ledger.reader()
        self.intensity = table.load({"zone": "FR"})
        self.fleet = Fleet(ledger.dimensions(), DeviceTable.packaged().of, self.intensity.method)
        self.every, self.heard = len(campus.places.devices), campus.places.spoken_for
        self.count = len(self.heard)
        self.devices = _register(self.fleet, campus.places)
        self.slots = 0
        self.energy = np.zeros((self.count, len(BASES)))
        self.shared: dict[int, Floats] = {}
        self.grams, self.covered, self.elapsed = (np.zeros(self.count) for _ in range(3))
        self.months: dict[str, Floats] = {}
        self.campus = campus
        hosts = campus.places.hosts
        self.idle = np.array([DeviceTable.packaged().of(host.kind, host.model).watts[0] for host in hosts])

    def add(self, block: Block, month: str, past: int, zone: str) -> None:
        """Write a block up to the slot ``past``, and count it."""
        slots = min(block.slots, past - block.first)
        said = block.reports.of(self.heard).until(slots)
        series = Series(
            first=block.first,
            device=self.devices[said.device],
            source=self.fleet.winner_ids[said.basis],
            joules=said.joules,
            bias=said.bias,
            covered=said.covered,
        )
        self.slots += add(self.reader, series, zone)
        self._share(block, said, slots, zone)
        intensity, _ = self.intensity.at(np.arange(block.first, block.first + slots))
        joules, covered = said.joules.sum(axis=1), said.covered.sum(axis=1)
        np.add.at(self.energy, (said.device, said.basis), joules)
        np.add.at(self.grams, said.device, said.joules @ intensity)
        np.add.at(self.covered, said.device, covered)
        self.elapsed += slots * SLOT_SECONDS
        if month not in self.months:
            self.months[month] = np.zeros((3, self.every))
            self.months[month][1:] = np.nan
            self.months[month][1:, self.heard] = 0.0
        sums, device = self.months[month], np.array(self.heard)[said.device]
        sums[0] += block.true[:, :slots].sum(axis=1)
        np.add.at(sums[1], device, joules)
        np.add.at(sums[2], device, covered)

    def _share(self, block: Block, said: Reports, slots: int, zone: str) -> None:
        """Write where the energy of hosts went, and count it."""
        hosts = np.arange(len(self.idle))
        memory = self.campus.parameters.hosts.memory
        parts = list(
            shares.series(self.campus.places, said.of(hosts.tolist()), block.carried.until(slots), self.idle, memory)
        )
        sources = [self.fleet.source_id(key) for key, *_ in parts]
        joules, bias, covered = (np.concatenate([part[i] for part in parts]) for i in (1, 2, 3))
        every = np.tile(self.devices[hosts], len(parts))
        add(self.reader, Series(block.first, every, np.repeat(sources, len(hosts)), joules, bias, covered), zone)
        for source, (key_of, amounts, *_) in zip(sources, parts, strict=True):
            if key_of.source == SOURCE:
                self.shared[source] = self.shared.get(source, 0.0) + amounts.sum(axis=1)

    def close(self, first: date, until: int) -> Written:
        """Write names and counters, and make the file one whole."""
        self.reader.close()
        text = f"a made-up campus, seed {self.campus.seed}, from {first} to {datetime.fromtimestamp(until, UTC):%FT%TZ}"
        event = Event(until * 10**9, "simulated", "campus", text)
        fleet, totals = self.fleet, self._totals()
        self.ledger.commit(
            Transaction(
                moves=_no_moves(),
                energy=Energy(*(np.zeros(0, np.int64),) * 4, *(np.zeros(0),) * 4),
                totals=totals,
                devices=[(d.id, d.name, d.agent, d.kind, d.model, d.simulated) for d in fleet.unsaved.devices.values()],
                sources=[(n, of.source, of.part, of.scope, of.basis) for n, of in fleet.unsaved.sources],
                labels=fleet.totals.unsaved(),
                events=[event],
            )
        )
        sums = np.stack([*self.months.values()], axis=1)
        return Written(self.slots, tuple(self.months), sums[0], sums[1], sums[2])

    def _totals(self) -> Totals:
        """Return what /metrics would have counted by now."""
        group = self.fleet.device["group"][self.devices]
        gap = np.maximum(self.elapsed - self.covered, 0.0)
        parts: list[tuple[Ints, Floats]] = []
        for of_device, of_class, amount in (
            (Family.DEVICE_COVERED, Family.COVERED, self.covered),
            (Family.DEVICE_GAP, Family.GAP, gap),
        ):
            parts += [(key(of_device, self.devices), amount), (key(of_class, group), amount)]
        parts.append((key(Family.CARBON, group), self.grams))
        for basis, source in enumerate(self.fleet.winner_ids.tolist()):
            there = self.energy[:, basis] > 0
            joules = self.energy[there, basis]
            parts.append((key(Family.DEVICE_ENERGY, self.devices[there], source), joules))
            parts.append((key(Family.ENERGY, group[there], source), joules))
        for source, joules in self.shared.items():
            there = joules > 0
            parts.append((key(Family.SHARED, self.devices[: len(joules)][there], source), joules[there]))
        label = self.fleet.totals.rows(np.concatenate([keys for keys, _ in parts]))
        return Totals(np.zeros(len(label), np.int64), label, np.concatenate([amount for _, amount in parts]))


def _register(fleet: Fleet, places: Places) -> Ints:
    """Make the devices known as their gateways do, and return their numbers; all say that they are simulated."""
    for gateway in places.gateways:
        hello = introduction(places, gateway)
        fleet.describe_machine(gateway, hello.machine, hello.schema)
    told = (places.devices[i] for i in places.spoken_for)
    return np.array([fleet.device_id(device.agent, device.own) for device in told], np.int64)


def _no_moves() -> Moves:
    none = np.zeros(0, np.int64)
    texts, flags = np.zeros(0, object), np.zeros(0, np.bool_)
    rows = StreamRows(texts, texts, texts, texts, none, none, none, none, flags, none, texts)
    return Moves(none, none, rows, flags)


def write_truth(path: Path, places: Places, written: Written) -> None:
    """Write a table: for each device and month what it drew and what the ledger has of it, nothing without an agent."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table_of = csv.writer(file, lineterminator="\n")
        table_of.writerow(["device", "class", "model", "room", "basis", "month", *AMOUNTS])
        for i, device in enumerate(places.devices):
            about = [device.name, device.kind, device.model, device.room, device.basis]
            for j, month in enumerate(written.months):
                amounts = (written.true[j, i], written.reported[j, i], written.covered[j, i])
                table_of.writerow([*about, month, *("" if np.isnan(x) else f"{x:.0f}" for x in amounts)])
