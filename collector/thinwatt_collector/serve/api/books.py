"""How the API asks the ledger: beside the step, a few at a time, and not for ever."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from thinwatt_collector.inventory.places import Whereabouts
from thinwatt_collector.refusals import Refused
from thinwatt_collector.serve.api.calendar import Grain
from thinwatt_collector.serve.api.problems import ProblemError, unfit
from thinwatt_collector.serve.api.rows import Rows

log = logging.getLogger(__name__)
T = TypeVar("T")

PLACE: Final = "place"
"""The dimension that tells where devices stand, in the keys of the inventory's places."""
PLACES: Final = 2
"""Questions answered at one time: the step needs a core."""
WAITING: Final = 16
"""Questions that wait for a place; more are told to come back."""
WITHIN: Final = 30.0
"""A question that has taken this long is given up [s]."""


class UnreadableError(Exception):
    """The ledger can't be read now; ``str()`` says why."""


class TooFineError(UnreadableError):
    """Older energy is not kept so finely any more; ``str()`` says since when."""


@dataclass(frozen=True, slots=True)
class Known:
    """A device that the ledger knows, and the agent that speaks for it."""

    name: str
    agent: str
    kind: str
    model: str
    simulated: bool

    @property
    def alone(self) -> bool:
        """Whether it speaks for itself: then it is silent when it is off."""
        return self.name == self.agent


@dataclass(frozen=True, slots=True)
class Census:
    """Who is known: devices, and when each agent was heard last, UTC [ns]; one that is not in it never was."""

    devices: Sequence[Known] = ()
    heard: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that the ledger tells of itself; ``at`` is UTC [ns]."""

    at: int
    kind: str
    subject: str
    french: str
    english: str


class Reader(Protocol):
    """One reader of the ledger; every method may raise :class:`UnreadableError`."""

    def first(self) -> int | None:
        """Return the beginning of the oldest slot with energy, UTC [s]; None where there is none."""

    def census(self) -> Census:
        """Return who is known."""

    def events(self, before: int | None, limit: int) -> list[Happened]:
        """Return what happened before a time [ns], newest first; None: until now."""

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
        """Return booked energy of [begin, end) by bucket and ``by``; ``begin`` of a bucket is not cut to the window.

        With :data:`PLACE` in ``by`` that dimension holds the keys of ``places``, and a bucket is cut in two where a
        device moves: rows of one bucket and different places are of different devices.

        Raises:
            TooFineError: older energy is not kept so finely any more.
        """

    def labelled(
        self,
        limits: Sequence[int],
        by: Sequence[str],
        where: Mapping[str, Sequence[str]],
        labels: Mapping[str, str],
    ) -> Rows:
        """Return booked energy by ``by`` between some times [s], and cut where a month of UTC ends.

        With :data:`PLACE` in ``by`` that dimension holds a device's label, "" without one; of what was folded, the
        label that it was folded by.
        """

    def interrupt(self) -> None:
        """End what another thread is waiting for here."""

    def close(self) -> None:
        """Close."""


@dataclass(frozen=True, slots=True)
class Agent:
    """What is known of an agent: times in UTC [ns] and s, the rows that its spool holds; None where it said nothing."""

    name: str
    seen: int
    skew: float | None
    spool_rows: float | None
    spool_bytes: float | None
    version: str | None
    simulated: bool | None
    conflict: bool
    refused: Refused | None = None


class Books(Protocol):
    """What the API shows."""

    def reader(self) -> Reader:
        """Return a new reader of the ledger."""

    def agents(self, after: str, limit: int) -> list[Agent]:
        """Return agents in the order of their names, those behind ``after``."""


class Gate:
    """Lets a few questions at a time through to the ledger.

    Args:
        books: where readers come from.
        within: seconds after which a question is given up.
    """

    def __init__(self, books: Books, within: float = WITHIN) -> None:
        self._books, self._within = books, within
        self._places: asyncio.Semaphore | None = None
        self._waiting = 0

    async def ask(self, question: Callable[[Reader], T]) -> T:
        """Return the answer to a question, worked out in a thread with a reader of its own.

        Raises:
            ProblemError: 503; too many questions, too long, or no ledger.
        """
        if self._places is None:
            self._places = asyncio.Semaphore(PLACES)
        if self._waiting >= WAITING:
            raise _later(f"{WAITING} questions wait already", 5)
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        call = _Call(self._books, question)
        work = asyncio.get_running_loop().run_in_executor(None, call)
        work.add_done_callback(self._leave)
        try:
            return await asyncio.wait_for(asyncio.shield(work), self._within)
        except TimeoutError:
            call.stop()
            raise _later(f"the answer took longer than {self._within:g} s", 30, "ask for a shorter window") from None
        except TooFineError as error:
            raise unfit("grain", str(error), "take a coarser grain or a later window") from error
        except UnreadableError as error:
            remedy = "ask again later; /readyz and the collector's log say what to mend"
            raise _later(f"the ledger can't be read now: {error}", 10, remedy) from error
        except BaseException:
            call.stop()
            raise

    def _leave(self, done: asyncio.Future[T]) -> None:
        """Give the place back when the thread has ended, which may be after its asker has left."""
        if self._places is not None:
            self._places.release()
        if not done.cancelled():
            done.exception()  # told to the asker, if there still is one


class _Call(Generic[T]):
    """One question in a thread; :meth:`stop` may come from another."""

    def __init__(self, books: Books, question: Callable[[Reader], T]) -> None:
        self._books, self._question = books, question
        self._lock = threading.Lock()
        self._reader: Reader | None = None
        self._stopped = False

    def __call__(self) -> T:
        reader = self._books.reader()
        with self._lock:
            self._reader = reader
            stopped = self._stopped
        try:
            if stopped:
                raise UnreadableError("given up before it began")
            return self._question(reader)
        finally:
            with self._lock:
                self._reader = None
            reader.close()

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._reader is not None:
                self._reader.interrupt()


def _later(detail: str, seconds: int, remedy: str = "ask again later") -> ProblemError:
    return ProblemError(503, detail, remedy=remedy, headers={"Retry-After": str(seconds)})
