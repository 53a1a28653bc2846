"""Readers of the ledger beside the step: connections of their own to the same database, in other threads.

The engine gives each reader the state of the last commit, so nobody waits for anybody; a reader is closed after one
question, since a file can be opened anew after a failure only when the last one has left.
"""

from __future__ import annotations

import heapq
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from thinwatt_collector.book import languages
from thinwatt_collector.inventory.places import EMPTY, Places, Whereabouts
from thinwatt_collector.ledger import LedgerError, ReadableLedger, history
from thinwatt_collector.ledger.session import Rows as Found
from thinwatt_collector.ledger.session import Session
from thinwatt_collector.named import printable
from thinwatt_collector.serve.api.books import PLACE, Agent, Census, Happened, Known, TooFineError, UnreadableError
from thinwatt_collector.serve.api.calendar import Grain
from thinwatt_collector.serve.api.rows import Rows, summed, texts
from thinwatt_collector.step import Step

FIRST: Final = """SELECT min(slot) FROM (SELECT min(slot) AS slot FROM open_slot
    UNION ALL SELECT min(slot) FROM sealed_slot UNION ALL SELECT min(hour) * 4 FROM hour_slot) AS firsts"""
"""Kept slots are the parts of hours: theirs, the largest table, need not be looked at."""
LAST: Final = """SELECT max(slot) FROM (SELECT max(slot) AS slot FROM open_slot WHERE slot < ?
    UNION ALL SELECT max(slot) FROM sealed_slot WHERE slot < ?
    UNION ALL SELECT max(hour) * 4 + 3 FROM hour_slot WHERE hour < ?) AS lasts"""
EVENTS: Final = "SELECT utc, kind, subject, text FROM event WHERE utc < ? ORDER BY utc DESC, kind, subject LIMIT ?"
MOVED: Final = "→"
"""Begins the label of a device that moves within a window."""
QUESTIONS: Final = 64
"""Questions to the step that wait at one time."""
ROUND_WITHIN: Final = 5.0
"""A question to the step that was not answered after this time is given up [s]."""


class LedgerReader:
    """A reader of the ledger.

    Args:
        session: of its own; closed with it.
        left: called when it is closed.
    """

    def __init__(self, session: Session, left: Callable[[], None] = lambda: None) -> None:
        self._session, self._left = session, left

    def first(self) -> int | None:
        """Return the beginning of the oldest slot with energy, UTC [s]."""
        (found,) = self._execute(FIRST, []).fetchall()[0]
        return None if found is None else int(found) * 900

    def last(self, before: int) -> int | None:
        """Return the end of the newest slot with energy that begins before a time, UTC [s]."""
        (found,) = self._execute(LAST, [before // 900] * 2 + [before // 3600]).fetchall()[0]
        return None if found is None else (int(found) + 1) * 900

    def census(self) -> Census:
        """Return who is known."""
        devices = self._execute("SELECT name, agent, class, model, simulated FROM device ORDER BY id", []).fetchall()
        heard = self._execute("SELECT agent, max(seen) FROM stream GROUP BY agent", []).fetchall()
        return Census([Known(*row) for row in devices], {agent: int(seen) for agent, seen in heard})

    def events(self, before: int | None, limit: int) -> list[Happened]:
        """Return what happened before a time [ns], newest first; None: until now."""
        rows = self._execute(EVENTS, [2**62 if before is None else before, limit]).fetchall()
        return [Happened(int(at), kind, subject, *languages(text)) for at, kind, subject, text in rows]

    def energy(
        self,
        begin: int,
        end: int,
        grain: Grain,
        zone: str,
        by: Sequence[str],
        where: Mapping[str, Sequence[str]],
        places: Whereabouts | None = None,
    ) -> Rows:
        """Return booked energy by bucket and ``by``; buckets are cut where devices move."""
        if PLACE not in by:
            return self._rows(begin, end, grain, zone, by, where)
        places = Places(EMPTY, ZoneInfo("UTC")) if places is None else places
        known = self._execute("SELECT id, name FROM device", []).fetchall()
        keys, cuts = places.within([name for _, name in known], begin, end)
        # What has moved is told apart by its name, and put where it stood when its time is known.
        labels = [
            (number, text)
            for (number, name), key in zip(known, keys, strict=True)
            if (text := key or (MOVED + name if name in places else ""))
        ]
        groups = {PLACE: ([number for number, _ in labels], [text for _, text in labels])}
        rows = self._rows(begin, end, grain, zone, by, where, groups, cuts)
        moving = np.array([text[:1] != "[" for text in rows.dims[PLACE]], np.bool_)
        if not moving.any():
            return rows
        at = np.maximum(rows.begin[moving], begin).tolist()
        told = zip(rows.dims[PLACE][moving].tolist(), at, strict=True)
        stood = rows.dims[PLACE].copy()
        stood[moving] = texts(places.key_at(text.removeprefix(MOVED), time) for text, time in told)
        return summed(replace(rows, dims={**rows.dims, PLACE: stood}), tuple(by), apart=True)

    def labelled(
        self,
        limits: Sequence[int],
        by: Sequence[str],
        where: Mapping[str, Sequence[str]],
        labels: Mapping[str, str],
    ) -> Rows:
        """Return booked energy between limits by ``by``, devices put together by their labels."""
        known = self._execute("SELECT id, name FROM device", []).fetchall()
        groups = [(number, labels[name]) for number, name in known if name in labels]
        told = {PLACE: ([number for number, _ in groups], [label for _, label in groups])}
        return self._rows(limits[0], limits[-1], "month", "UTC", by, where, told, limits[1:-1])

    def _rows(
        self,
        begin: int,
        end: int,
        grain: Grain,
        zone: str,
        by: Sequence[str],
        where: Mapping[str, Sequence[str]],
        groups: history.Groups | None = None,
        cuts: Sequence[int] = (),
    ) -> Rows:
        try:
            found = history.energy(self._session, begin, end, grain, zone, tuple(by), where, groups=groups, cuts=cuts)
        except history.TooFineError as error:
            raise TooFineError(str(error)) from error
        except LedgerError as error:
            raise UnreadableError(str(error)) from error
        return Rows(found.begin, found.dims, found.joules, found.variance, found.bias, found.covered, found.devices)

    def _execute(self, statement: str, given: list[Any]) -> Found:
        try:
            return self._session.execute(statement, given)
        except LedgerError as error:
            raise UnreadableError(str(error)) from error

    def interrupt(self) -> None:
        """End what another thread is waiting for here."""
        self._session.interrupt()

    def close(self) -> None:
        """Close."""
        self._session.close()
        self._left()


class LedgerBooks:
    """What /api/v1 shows: readers of the ledger, and the agents as the step knows them.

    Args:
        ledger: of the step.
        step: its state is looked at between two rounds of its loop only, by :meth:`serve`.
    """

    def __init__(self, ledger: ReadableLedger, step: Step) -> None:
        self._ledger, self._step = ledger, step
        self._room = threading.Event()
        self._room.set()
        self._reading = 0
        self._count = threading.Lock()
        self.trouble = ""
        """Why the step can't write; "" while it can."""
        self._asked: queue.Queue[tuple[Callable[[], list[Agent]], Future[list[Agent]]]] = queue.Queue(QUESTIONS)

    def reader(self) -> LedgerReader:
        """Return a new reader of the ledger; from any thread."""
        if not self._room.wait(ROUND_WITHIN):
            raise UnreadableError("the ledger writes its log into its file, behind the last reader")
        try:
            found = LedgerReader(self._ledger.reader(), self._left)
        except LedgerError as error:
            raise UnreadableError(self.trouble or str(error)) from error
        with self._count:
            self._reading += 1
        return found

    def _left(self) -> None:
        with self._count:
            self._reading -= 1

    def pause(self) -> bool:
        """Let no new reader in; return whether none is left."""
        self._room.clear()
        return self._reading == 0

    def resume(self) -> None:
        """Let readers in again."""
        self._room.set()

    def agents(self, after: str, limit: int) -> list[Agent]:
        """Return agents in the order of their names, those behind ``after``; from any thread but the step's."""
        future: Future[list[Agent]] = Future()
        try:
            self._asked.put_nowait((lambda: agents_of(self._step, after, limit), future))
            return future.result(ROUND_WITHIN)
        except (queue.Full, TimeoutError, CancelledError) as error:
            future.cancel()
            raise UnreadableError("the collector is busy with a commit") from error

    def serve(self) -> None:
        """Answer what was asked since the last call; in the step's thread."""
        while not self._asked.empty():
            answer, future = self._asked.get_nowait()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(answer())
            except Exception as error:  # noqa: BLE001  # whatever goes wrong is the asker's, not the step's end
                future.set_exception(error)


def agents_of(step: Step, after: str, limit: int) -> list[Agent]:
    """Return the agents of whom a stream is known, in the order of their names, those behind ``after``."""
    fleet, skew = step.fleet, step.tallies.skew
    newest: dict[str, int] = {}
    seen = fleet.stream["seen"].tolist()
    for number, (name, _, _) in enumerate(fleet.stream_rows):
        if name > after and (name not in newest or seen[number] >= seen[newest[name]]):
            newest[name] = number
    names = heapq.nsmallest(limit, newest)
    conflicts, refused = set(step.tallies.conflicts.now()), step.tallies.refusals.now()
    found = []
    for name in names:
        number = newest[name]
        placed = fleet.layouts[fleet.stream_layout[number]]
        state = placed.rows["state"][fleet.stream["place"][number]]
        own = {q: float(state[at]) for q, at in placed.layout.own.items()}
        machine = fleet.machines.get(name)
        found.append(
            Agent(
                name,
                seen[number],
                skew[name] / 1e9 if name in skew else None,
                own.get("spool_rows"),
                own.get("spool_bytes"),
                printable(machine.get("agent_version"), 64) or None if machine else None,
                bool(machine.get("simulated")) if machine else None,
                name in conflicts,
                refused.get(name),
            )
        )
    return found
