"""The order of things: accept → count → commit → answer → publish.

``take`` sorts what arrived; ``commit`` turns it into one transaction. Only what the ledger has committed is answered
and shown. When a commit fails, or nobody knows whether it did, everything of the step is dropped, the streams are read
from the ledger again and the agents send again: the ledger alone says what is booked.
"""

from __future__ import annotations

from collections.abc import Iterable

from thinwatt_agent import wire
from thinwatt_collector import decode
from thinwatt_collector.accept import DEVICE_POWER
from thinwatt_collector.book import Event
from thinwatt_collector.booking import Booking, Intensity
from thinwatt_collector.calibrated import Calibrations
from thinwatt_collector.decode import Rejected
from thinwatt_collector.fleet import Fleet
from thinwatt_collector.ledger import BehindError, Ledger
from thinwatt_collector.models.attribution import DEFAULT, Policy
from thinwatt_collector.models.devices import ModelOf
from thinwatt_collector.receive import Message
from thinwatt_collector.tallies import Reply, Tallies, refusal


class Step:
    """The collector's state machine between socket and ledger. One thread."""

    def __init__(
        self,
        ledger: Ledger,
        model_of: ModelOf,
        intensity: Intensity,
        policy: Policy = DEFAULT,
        calibrations: Calibrations | None = None,
        device_power: float = DEVICE_POWER,
    ) -> None:
        self.ledger = ledger
        self._model_of = model_of
        self._intensity, self._policy, self._device_power = intensity, policy, device_power
        self._hellos: dict[str, wire.Hello] = {}
        self._schemas: dict[bytes, wire.Schema] = {}
        self.fleet = Fleet(ledger.dimensions(), model_of, intensity.method, calibrations)
        self._frames: list[Message] = []
        self._events: list[Event] = []
        self.uncommitted_bytes = 0
        self.oldest_uncommitted: int | None = None
        self.tallies = Tallies()

    def take(self, messages: Iterable[Message]) -> list[Reply]:
        """Sort messages that arrived: frames wait for the commit, hellos are learnt, the rest is refused by name."""
        replies: list[Reply] = []
        schemas = self.fleet.schemas
        for message in messages:
            found = decode.checked(message)
            if isinstance(found, Rejected):
                replies.append(refusal(found, self.tallies))
            elif found[1] == wire.HELLO:
                replies.extend(self._hello(message))
            elif decode.schema_of(message) not in schemas:
                error = wire.WireError("unknown_schema", "send the hello that describes these rows")
                replies.append(refusal(Rejected(message, decode.stream_of(message), error), self.tallies))
            else:
                self._frames.append(message)
                self.uncommitted_bytes += len(message.data)
                if self.oldest_uncommitted is None:
                    self.oldest_uncommitted = message.received
        return replies

    def _hello(self, message: Message) -> list[Reply]:
        try:
            hello = wire.decode_hello(message.data)
            if not self.fleet.learn_schema(message.agent, hello.schema, message.received):
                raise wire.WireError("bad_schema", "too many new columns or devices in an hour; send it again later")
        except wire.WireError as error:
            return [refusal(Rejected(message, bytes(16), error), self.tallies)]
        # A thousand machines of one schema keep one, not a thousand of the same.
        schema = self._schemas.setdefault(hello.schema.id, hello.schema)
        self._hellos[message.agent] = wire.Hello(schema, hello.machine)
        self.fleet.describe_machine(message.agent, hello.machine, hello.schema, message.received)
        return []

    def commit(self, now: int) -> list[Reply]:
        """Book what was taken and return the answers.

        Args:
            now: the collector's UTC [ns].

        Raises:
            LedgerError: nobody knows whether it was booked; call :meth:`rebuild` before anything else. What was taken
                is forgotten, the agents send it again.
        """
        frames, self._frames = self._frames, []
        events, self._events = self._events, []
        self.uncommitted_bytes, self.oldest_uncommitted = 0, None
        try:
            return self._book(frames, events, now)
        except BehindError:
            self._read_again()
            known = self.fleet.schemas
            return self._book([m for m in frames if decode.schema_of(m) in known], events, now)

    def _book(self, frames: list[Message], events: list[Event], now: int) -> list[Reply]:
        known = self.fleet, self.ledger, self._intensity, self.tallies
        booking = Booking(*known, now, self._policy, self._device_power)
        replies = booking.run(frames, events)
        return replies + self._as_the_ledger_says(booking.heard.values(), now) if booking.elsewhere else replies

    def _as_the_ledger_says(self, heard: Iterable[Message], now: int) -> list[Reply]:
        """Answer streams after another collector was first with some of them."""
        of = {(message.agent, decode.stream_of(message)): message for message in heard}
        replies = []
        for row in self.ledger.streams(of):
            message = of[row.agent, row.stream]
            answer = wire.Answer(row.stream, row.position, now, decode.version_of(message))
            replies.append(Reply(message.route, wire.encode_answer(answer)))
        return replies

    def catch_up(self) -> None:
        """Take in what other collectors have written to the same ledger: names, and what they added to the totals.

        Raises:
            LedgerError: the ledger does not answer.
        """
        news = self.ledger.news()
        if news is None:
            return
        if news.known != self.fleet.in_ledger:
            self._read_again()
        else:
            self.fleet.totals.take(news.label, news.total)

    def rebuild(self) -> None:
        """Throw the fleet away and read it from the ledger again: after a commit that failed or may have happened.

        Raises:
            LedgerError: the ledger is still out of reach; the old fleet stays as it was, for the readers.
        """
        self.ledger.reopen()
        self._read_again()

    def _read_again(self) -> None:
        fleet = Fleet(self.ledger.dimensions(), self._model_of, self._intensity.method, self.fleet.powers.calibrations)
        unwritten = self.fleet.unwritten()
        for agent, hello in self._hellos.items():
            if fleet.learn_schema(agent, hello.schema):
                if agent in unwritten or fleet.device_number(agent) is None:
                    fleet.describe_machine(agent, hello.machine, hello.schema)
                else:  # The ledger knows better: the machine may have told another collector something since.
                    fleet.machines[agent] = hello.machine
        fleet.recall(self.fleet)
        self.fleet = fleet

    def note(self, event: Event) -> None:
        """Have an event written with the next commit."""
        self._events.append(event)
