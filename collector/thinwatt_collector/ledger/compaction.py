"""Older slots become hours and days, endpoints become groups, and what is left to do can be seen in the tables.

Every transaction takes rows out of one table and puts their sums into others, so nothing has to be remembered: after
a kill the next call finds what still lies there. Late energy is sealed again, and merged into the hour and day it
belongs to. Hours are of UTC and add up to whatever is asked; days are of one zone, a help for questions over months.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from thinwatt_collector.ledger import LedgerError
from thinwatt_collector.ledger.days import DAY, HOUR, day_of, zone_of
from thinwatt_collector.ledger.session import EngineError, Session, given

NEVER_FOLDED: Final = ("host",)
SUMS: Final = (
    "sum(joules) AS joules, sum(variance) AS variance, sum(bias) AS bias, sum(covered) AS covered, "
    "CAST(sum(slots) AS INTEGER) AS slots"
)
GRAINS: Final = {"kept_slot": "slot", "hour_slot": "hour", "day_slot": "day"}


Groups = tuple[Sequence[int], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Plan:
    """When what is folded and forgotten.

    Attributes:
        zone: whose days the day rows are.
        after: how long slots stay as they were sealed, after the end of their day [s].
        keep_slots: how long the slots of an hour stay beside it [s].
        keep_endpoints: how long an endpoint stands for itself (law 7) [s].
        dimension: what endpoints are folded by.
        groups: from a time on the day that is folded, UTC [s], to numbers of devices and the label of each in that
            dimension; a device without one is folded into its class.
    """

    zone: str = "Europe/Paris"
    after: int = DAY
    keep_slots: int = 400 * DAY
    keep_endpoints: int = 30 * DAY
    dimension: str = "class"
    groups: Callable[[int], Groups] = lambda _: ((), ())


def compact(session: Session, now: float, limit: int = 200_000, plan: Plan | None = None) -> int:
    """Do one piece of the work that is due, in one transaction, and return how many rows it took; 0: nothing is due.

    Call it again until it returns 0, with steps between.

    Args:
        session: the ledger's, or a reader's.
        now: UTC [s].
        limit: rows that a piece takes at most; at least a device's day, an hour of a folded day, or a day of hours or
            slots is taken all the same.
        plan: see there.

    Raises:
        LedgerError: the ledger refused; nothing was done.
        ValueError: the zone is unknown, or its days are not whole hours of UTC.
    """
    plan = plan or Plan()
    zone = zone_of(plan.zone)
    whole_day(int(now), zone)
    try:
        with session.whole():
            work = _Work(session, int(now), limit, plan, zone)
            return work.zone() or work.slots() or work.fold() or work.forget()
    except EngineError as error:
        raise LedgerError(f"the ledger refused its compaction: {error}") from error


def whole_day(at: int, zone: ZoneInfo) -> tuple[int, int]:
    """Return the first hour of the local day of ``at`` [UTC s] and of the next.

    Raises:
        ValueError: they are not whole hours of UTC.
    """
    found = day_of(at, zone)
    if found is None:
        raise ValueError(f"days of {zone.key} do not begin at a full hour of UTC: choose a zone where they do, or UTC")
    return found


@dataclass(frozen=True, slots=True)
class _Work:
    """The pieces of work, each within a transaction; they return how many rows they took."""

    session: Session
    now: int
    limit: int
    plan: Plan
    place: ZoneInfo

    def zone(self) -> int:
        """Make day rows of the plan's zone anew where those that there are belong to another."""
        rows = self._rows("SELECT name, complete FROM day_zone")
        if not rows or rows[0][0] != self.plan.zone:
            for statement in ("DELETE FROM day_zone", "DELETE FROM day_slot", "DELETE FROM local_day"):
                self._do(statement)
            empty = not self._rows("SELECT 1 FROM hour_slot LIMIT 1")
            self._do("INSERT INTO day_zone VALUES (?, ?)", self.plan.zone, empty)
            return 1
        return 0 if rows[0][1] else self._day_again()

    def _day_again(self) -> int:
        ((first, last),) = self._rows("SELECT min(hour), max(hour) FROM hour_slot")
        there = {day for (day,) in self._rows("SELECT day FROM local_day")}
        hour = first
        while hour <= last:
            day, past = whole_day(hour * HOUR, self.place)
            if day not in there:
                self._do("INSERT INTO local_day VALUES (?, ?, FALSE)", day, past)
                return 1 + self._fresh(
                    "day_slot", "SELECT *, ? AS day FROM hour_slot WHERE hour >= ? AND hour < ?", day, day, past
                )
            hour = past
        self._do("UPDATE day_zone SET complete = TRUE")
        return 1

    def slots(self) -> int:
        """Take sealed slots of the oldest day, of as many devices as the limit lets in."""
        before = self._before(self.plan.after)
        ((slot,),) = self._rows("SELECT min(slot) FROM sealed_slot WHERE slot < ?", before * 4)
        if slot is None:
            return 0
        day, past = whole_day(slot * HOUR // 4, self.place)
        last, count = self._devices(day, past)
        self._do("INSERT INTO local_day VALUES (?, ?, FALSE) ON CONFLICT (day) DO UPDATE SET folded = FALSE", day, past)
        taken = "slot >= ? AND slot < ? AND device <= ?"
        bounds = (day * 4, past * 4, last)
        # Slots that are kept already are counted already.
        self._do(
            f"""CREATE TEMP TABLE arrived AS SELECT s.*, CASE WHEN EXISTS (SELECT 1 FROM kept_slot AS k WHERE
                k.device = s.device AND k.slot = s.slot AND k.source = s.source AND k.slot >= ? AND k.slot < ?)
                THEN 0 ELSE 1 END AS slots, 1 AS devices FROM (SELECT device, slot, source, sum(joules) AS joules,
                sum(variance) AS variance, sum(bias) AS bias, sum(covered) AS covered
                FROM sealed_slot WHERE {taken} GROUP BY device, slot, source) AS s""",
            day * 4,
            past * 4,
            *bounds,
        )
        self._fresh("day_slot", "SELECT *, ? AS day FROM arrived", day)
        self._fresh("hour_slot", "SELECT *, slot >> 2 AS hour FROM arrived")
        ((kept,),) = self._rows("SELECT max(hour) FROM slots_kept")
        self._fresh("kept_slot", "SELECT * FROM arrived WHERE slot >= ?", kept * 4)
        self._do("DROP TABLE arrived")
        self._do(f"DELETE FROM sealed_slot WHERE {taken}", *bounds)
        return count

    def _devices(self, day: int, past: int) -> tuple[int, int]:
        """Return the last device that this piece takes, and how many rows that is."""
        found = self._rows(
            """SELECT device, count(*) FROM sealed_slot WHERE slot >= ? AND slot < ? GROUP BY device ORDER BY device""",
            day * 4,
            past * 4,
        )
        counts = np.cumsum([count for _, count in found])
        at = max(int(np.searchsorted(counts, self.limit, side="right")) - 1, 0)
        return found[at][0], int(counts[at])

    def fold(self) -> int:
        """Put groups in the place of endpoints, some hours of the oldest day that is due; its day rows last."""
        before = self._before(self.plan.keep_endpoints)
        rows = self._rows("SELECT day, past FROM local_day WHERE NOT folded AND past <= ? ORDER BY day LIMIT 1", before)
        if not rows:
            return 0
        ((day, past),) = rows
        self._groups(day * HOUR)
        found = self._rows(
            """SELECT hour, count(*) FROM hour_slot JOIN fold ON id = device WHERE hour >= ? AND hour < ?
            GROUP BY hour ORDER BY hour""",
            day,
            past,
        )
        if found:
            counts = np.cumsum([5 * count for _, count in found])
            at = max(int(np.searchsorted(counts, self.limit, side="right")) - 1, 0)
            low, high = found[0][0], found[at][0] + 1
            self._put_groups("hour_slot", low, high)
            self._put_groups("kept_slot", low * 4, high * 4)
            count = int(counts[at])
        else:
            count = 1 + self._put_groups("day_slot", day, day + 1)
            self._do("UPDATE local_day SET folded = TRUE WHERE day = ?", day)
        self._do("DROP TABLE fold")
        return count

    def _groups(self, time: int) -> None:
        """Make the relation ``fold`` from an endpoint to the group that stands for it; new groups get their number."""
        ids, labels = self.plan.groups(time)
        label = np.empty(len(labels), object)
        label[:] = list(labels)
        never = ", ".join(f"'{name}'" for name in NEVER_FOLDED)
        with given(self.session, {"grouped": {"device": np.asarray(ids, np.int64), "label": label}}):
            self._do(
                f"""CREATE TEMP TABLE wanted AS SELECT d.id, d.class, d.simulated,
                CASE WHEN g.label IS NULL THEN 'class' ELSE ? END AS dimension, coalesce(g.label, d.class) AS label
                FROM device AS d LEFT JOIN (SELECT device, max(label) AS label FROM grouped GROUP BY device) AS g
                ON g.device = d.id WHERE d.class NOT IN ({never})""",
                self.plan.dimension,
            )
        self._do(
            """INSERT INTO folded_device SELECT (SELECT coalesce(min(id), 0) FROM folded_device)
            - row_number() OVER (ORDER BY class, simulated, dimension, label), class, simulated, dimension, label
            FROM (SELECT class, simulated, dimension, label FROM wanted
            EXCEPT SELECT class, simulated, dimension, label FROM folded_device) AS unheard"""
        )
        self._do(
            """CREATE TEMP TABLE fold AS SELECT w.id, f.id AS into_device FROM wanted AS w JOIN folded_device AS f
            ON f.class = w.class AND f.simulated = w.simulated AND f.dimension = w.dimension AND f.label = w.label"""
        )
        self._do("DROP TABLE wanted")

    def _put_groups(self, table: str, first: int, past: int) -> int:
        grain = GRAINS[table]
        here = f"{grain} >= ? AND {grain} < ?"
        count = self._fresh(
            table,
            f"""SELECT into_device AS device, {grain}, source, {SUMS},
            CAST(count(DISTINCT device) AS INTEGER) AS devices
            FROM {table} JOIN fold ON id = device WHERE {here} GROUP BY into_device, {grain}, source""",
            first,
            past,
        )
        self._do(f"DELETE FROM {table} WHERE {here} AND device IN (SELECT id FROM fold)", first, past)
        return count

    def forget(self) -> int:
        """Delete the slots of the oldest day whose hours are enough by now."""
        before = self._before(self.plan.keep_slots)
        ((kept,),) = self._rows("SELECT max(hour) FROM slots_kept")
        ((slot,),) = self._rows("SELECT min(slot) FROM kept_slot WHERE slot < ?", before * 4)
        if slot is None:
            return 0
        past = whole_day(slot * HOUR // 4, self.place)[1]
        ((count,),) = self._rows("SELECT count(*) FROM kept_slot WHERE slot < ?", past * 4)
        self._do("DELETE FROM kept_slot WHERE slot < ?", past * 4)
        self._do("UPDATE slots_kept SET hour = ?", max(past, kept))
        return int(count)

    def _fresh(self, table: str, query: str, *parameters: object) -> int:
        """Add the rows of ``query`` to ``table``, in one row with those of the same device, time and source there."""
        grain = GRAINS[table]
        columns = f"device, {grain}, source, joules, variance, bias, covered, slots, devices"
        sums = f"SELECT device, {grain}, source, {SUMS}, max(devices) AS devices"
        group = f"GROUP BY device, {grain}, source"
        self._do(f"CREATE TEMP TABLE fresh AS {sums} FROM ({query}) AS q {group}", *parameters)
        ((low, high, count),) = self._rows(f"SELECT min({grain}), max({grain}), count(*) FROM fresh")
        if count:
            same = f"""t.{grain} >= {low} AND t.{grain} <= {high} AND EXISTS (SELECT 1 FROM fresh AS f
                WHERE f.device = t.device AND f.{grain} = t.{grain} AND f.source = t.source)"""
            merged = f"SELECT {columns} FROM fresh"
            if self._rows(f"SELECT 1 FROM {table} AS t WHERE {same} LIMIT 1"):
                self._do(f"CREATE TEMP TABLE there AS SELECT {columns} FROM {table} AS t WHERE {same}")
                self._do(f"DELETE FROM {table} AS t WHERE {same}")
                merged = f"{sums} FROM (SELECT {columns} FROM fresh UNION ALL SELECT {columns} FROM there) AS u {group}"
            self._do(f"INSERT INTO {table} ({columns}) {merged} ORDER BY device, source, {grain}")
            self._do("DROP TABLE IF EXISTS there")
        self._do("DROP TABLE fresh")
        return int(count)

    def _before(self, age: int) -> int:
        """Return the hour before which whole days are older than ``age`` [s]."""
        return whole_day(max(self.now - age, 0), self.place)[0]

    def _rows(self, statement: str, *parameters: object) -> list[Any]:
        return self.session.execute(statement, parameters).fetchall()

    def _do(self, statement: str, *parameters: object) -> None:
        self.session.execute(statement, parameters)
