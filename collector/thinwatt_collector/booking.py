"""One commit: frames in, one transaction and its answers out.

The arrays of the fleet move on while frames are counted, so that several frames of a stream follow each other; when
the transaction fails the caller throws the fleet's streams away and reads them again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from thinwatt_agent import wire
from thinwatt_collector import accept, book, clock, counting, decode, epochs, positions, sharing, zeros
from thinwatt_collector.book import Energy, Event, Ints, StreamRow, Totals, Transaction
from thinwatt_collector.counting import Counted, Floats
from thinwatt_collector.decode import Batch, Rejected
from thinwatt_collector.fleet import Fleet, Latest
from thinwatt_collector.labels import Family, key
from thinwatt_collector.layout import Layout
from thinwatt_collector.ledger import Ledger
from thinwatt_collector.models.attribution import DEFAULT, Policy
from thinwatt_collector.placed import Placed
from thinwatt_collector.receive import Message
from thinwatt_collector.sharing import Shared
from thinwatt_collector.tallies import Reply, Tallies, refusal
from thinwatt_collector.winner import SLIVER, WINNERS

SECOND: Final = counting.SECOND
WIDE_WORK: Final = 1 << 21
"""Values that frames with more slots than rows may grow to in one commit; further ones wait in the spools."""
NEWCOMERS: Final = 64
"""Streams of one agent that are first heard in one commit; further ones wait in its spool."""
UNFIT: Final = -1
POSTPONED: Final = -2
CLOCK_LIMIT: Final = 1 << 61
"""Times of a frame lie within ±73 years of 0 [ns]: sums of them stay in 64 bits."""


class Intensity(Protocol):
    """Carbon intensity by slot, for the booked carbon."""

    @property
    def method(self) -> str:
        """The label ``method`` of everything made with it."""

    def at(self, slots: Ints) -> tuple[Floats, NDArray[np.bool_]]:
        """Return intensity [g/J] and whether it is a fallback, each of shape (slots,)."""


class Booking:
    """One commit: the arrays that grow while frames are counted, thrown away afterwards."""

    def __init__(
        self,
        fleet: Fleet,
        ledger: Ledger,
        intensity: Intensity,
        tallies: Tallies,
        now: int,
        policy: Policy = DEFAULT,
        device_power: float = accept.DEVICE_POWER,
    ) -> None:
        self.fleet, self.ledger, self.now = fleet, ledger, now
        self._intensity, self._tallies, self._policy, self._device_power = intensity, tallies, policy, device_power
        self.energy: list[Energy] = []
        self.totals: list[Totals] = []
        self.moved: list[tuple[Ints, Ints]] = []
        self.heard: dict[int, Message] = {}
        self.newest: list[tuple[Ints, Ints, Ints]] = []
        self.replies: list[Reply] = []
        self.frames: Counter[str] = Counter()
        self.newcomers: Counter[str] = Counter()
        self.wide_work = self.rows = 0
        self.elsewhere = False
        self.refreshed: list[Latest] = []

    def run(self, frames: list[Message], events: list[Event]) -> list[Reply]:
        """Count ``frames``, commit, and return answers and refusals.

        Raises:
            LedgerError: nobody knows whether it was committed.
        """
        fleet = self.fleet
        zeros.begin(fleet, self._policy)
        positions.bring(fleet, self.ledger, ((m.agent, decode.stream_of(m)) for m in frames))
        for group in decode.rounds(frames):
            for (schema, _, version), messages in group.items():
                for portion in decode.portions(messages):
                    batch, rejected = decode.batch_of(portion, fleet.placed(schema).layout.width, version)
                    self.replies.extend(refusal(r, self._tallies) for r in rejected)
                    if batch is not None:
                        self._book(batch)
        transaction = self._transaction(events)
        moved = transaction.moves.index if transaction.empty else self.ledger.commit(transaction)
        self._committed(transaction, moved)
        return self.replies + self._answers()

    def _book(self, batch: Batch) -> None:
        """Count the new rows of a batch in which no stream stands twice."""
        batch, numbers = self._known_streams(batch)
        if len(batch) and self._moved_elsewhere(batch, numbers):
            batch, numbers = self._known_streams(batch)
        if not len(batch):
            return
        self.heard.update(zip(numbers.tolist(), batch.messages, strict=True))
        self._contacts(batch, numbers)
        verdict = accept.judge(self.fleet.stream["pos"][numbers], batch.after, batch.ticks[:, -1])
        self.frames["duplicate"] += int((verdict == accept.DUPLICATE).sum())
        self.frames["hole"] += int((verdict == accept.HOLE).sum())
        new = np.flatnonzero(verdict == accept.NEW)
        if len(new):
            self._count(decode.part_of(batch, new), numbers[new])

    def _moved_elsewhere(self, batch: Batch, numbers: Ints) -> bool:
        """Look into the ledger where rows seem to be missing: an agent that comes back was with another collector.

        Not where this commit moves the stream already: it stands in the transaction once.
        """
        hole = batch.after > self.fleet.stream["pos"][numbers]
        if hole.any():
            hole &= ~np.isin(numbers, np.concatenate([np.zeros(0, np.int64), *(moved for moved, _ in self.moved)]))
        doubtful = [(batch.messages[i].agent, batch.streams[i]) for i in np.flatnonzero(hole).tolist()]
        return bool(doubtful) and positions.moved_on(self.fleet, self.ledger, doubtful)

    def _known_streams(self, batch: Batch) -> tuple[Batch, Ints]:
        ordered: NDArray[np.bool_] = accept.in_order(batch.ticks, batch.times, batch.after)
        ordered = ordered & (batch.times[:, 0] >= batch.base)
        for clock_column in (batch.base, batch.wall_offset, batch.sent, batch.times[:, -1]):
            ordered = ordered & (clock_column > -CLOCK_LIMIT) & (clock_column < CLOCK_LIMIT)
        if not ordered.all():
            self._refuse(batch, np.flatnonzero(~ordered), "bad_order", "ticks or times of the rows do not rise")
            batch = decode.part_of(batch, np.flatnonzero(ordered))
        numbers = self._numbers(batch)
        unfit = np.flatnonzero(numbers == UNFIT)
        if len(unfit):
            self._refuse(batch, unfit, "bad_schema", "the new schema of this stream lacks columns that the old one had")
        self.frames["postponed"] += int((numbers == POSTPONED).sum())
        return decode.part_of(batch, np.flatnonzero(numbers >= 0)), numbers[numbers >= 0]

    def _numbers(self, batch: Batch) -> Ints:
        """Return the number of each frame's stream, their states in the frames' schema where rows are new."""
        number_of, layouts = self.fleet.stream_id, self.fleet.stream_layout
        numbers = []
        for i, (message, stream) in enumerate(zip(batch.messages, batch.streams, strict=True)):
            try:
                number = number_of(message.agent, stream)
            except KeyError:
                number = self._new_stream(batch, i, message.agent, stream)
            if number >= 0 and layouts[number] != batch.schema:
                number = self._in_schema(batch, i, number)
            numbers.append(number)
        return np.array(numbers, np.int64)

    def _in_schema(self, batch: Batch, i: int, number: int) -> int:
        if batch.after[i] <= self.fleet.stream["pos"][number] < batch.ticks[i, -1]:
            try:
                if not self.fleet.move_to_schema(number, batch.schema, self.now):
                    return POSTPONED
            except wire.WireError:
                return UNFIT
        return number

    def _new_stream(self, batch: Batch, i: int, agent: str, stream: bytes) -> int:
        fleet = self.fleet
        self.newcomers[agent] += 1
        if self.newcomers[agent] > NEWCOMERS or not fleet.may_begin(agent, batch.schema, self.now):
            return POSTPONED
        self._remember()
        base, last = int(batch.base[i]), int(batch.times[i, -1])
        pin = clock.first_pin(decode.contact(batch, i), last, fleet.past.newest(agent))
        width = fleet.placed(batch.schema).layout.width
        row = StreamRow(
            agent=agent,
            stream=stream,
            schema=batch.schema,
            boot=batch.boot[i],
            base=base,
            position=0,
            position_time=base,
            utc_offset=pin.offset,
            uncertain=pin.uncertain,
            seen=self.now,
            state=np.zeros(width).tobytes(),
        )
        return fleet.add_stream(row, saved=False)

    def _contacts(self, batch: Batch, numbers: Ints) -> None:
        """Hold the pinned clocks against live frames; note skews and cloned names."""
        fleet = self.fleet
        live = (batch.flags & wire.LIVE) != 0
        received = np.array([m.received for m in batch.messages], np.int64)
        skew = received - (batch.sent + fleet.stream["offset"][numbers])
        suspect = fleet.stream["suspect"][numbers] != 0
        for i in np.flatnonzero(live & ((np.abs(skew) > clock.TOLERANCE) | suspect)).tolist():
            number = int(numbers[i])
            fleet.set_pin(number, clock.renewed(fleet.pin(number), decode.contact(batch, i)))
        ahead = batch.times[:, -1] + fleet.stream["offset"][numbers] - received
        doubtful = ~live & fleet.stream["uncertain"][numbers]
        astray = (ahead > np.where(doubtful, 0, clock.AHEAD)) | (ahead < -clock.BEHIND)
        for i in np.flatnonzero(astray).tolist():
            pin = clock.bounded(fleet.pin(int(numbers[i])), int(batch.times[i, -1]), batch.messages[i].received)
            fleet.set_pin(int(numbers[i]), pin)
        wall_skew = (received - batch.sent - batch.wall_offset).tolist()
        told, hear = self._tallies.skew, self._tallies.conflicts.hear
        for message, boot, off, is_live in zip(batch.messages, batch.boot, wall_skew, live.tolist(), strict=True):
            if is_live:
                told[message.agent] = off
                hear(message.agent, boot, message.received)

    def _count(self, batch: Batch, numbers: Ints) -> None:
        fleet = self.fleet
        stream, placed = fleet.stream, fleet.placed(batch.schema)
        places = stream["place"][numbers]
        state = placed.rows["state"][places]
        times, columns = accept.rest_on_state(
            batch.ticks, batch.times, batch.matrix, stream["pos"][numbers], stream["t_pos"][numbers], state
        )
        utc = times + stream["offset"][numbers][:, None]
        sound: NDArray[np.bool_] = accept.sound(columns, *placed.layout.bounds) & ~counting.too_wide(utc)
        sound = sound & (times[:, 1] >= times[:, 0])
        work = counting.wide_work(utc, placed.layout.width)
        sound = sound & (work <= WIDE_WORK)
        if not sound.all():
            self._refuse(batch, np.flatnonzero(~sound), "bad_value", "a counter falls or is no number, or time jumps")
        lasting = accept.lasting(times, stream["base"][numbers])
        sound = sound & self._possible(batch, placed.layout, columns, lasting, sound)
        sound = sound & self._claimed(batch, numbers, utc, sound)
        now = sound & (self.wide_work + np.cumsum(np.where(sound, work, 0)) <= WIDE_WORK)
        if not now.all():
            self.frames["postponed"] += int((sound & ~now).sum())
            kept = np.flatnonzero(now)
            batch, numbers, places = decode.part_of(batch, kept), numbers[kept], places[kept]
            utc, columns = utc[kept], columns[kept]
        self.wide_work += int(work[now].sum())
        if not len(batch):
            return
        fresh = batch.ticks > stream["pos"][numbers][:, None]
        self.rows += int(fresh.sum())
        self.frames["booked"] += len(batch)
        self._gap_before(placed, numbers, places, utc[:, 0])
        start, of_streams, filled = 0, placed.rows["device"][places], placed.rows["filled"][places]
        for group, sources in zip(placed.layout.groups, placed.sources, strict=True):
            mine = slice(start, start + len(group.devices))
            devices, start = of_streams[:, mine], mine.stop
            for part in epochs.parts(utc, fleet.powers.calibrations.epochs):
                rows, ours = part.rows, devices[part.frames]
                models = fleet.powers.of(ours, part.epoch)
                told, state = utc[part.frames][:, rows], columns[part.frames][:, :, rows]
                counted = counting.count(group, told, state, models, self._policy, filled[part.frames, mine])
                filled[part.frames, mine] = counted.filled
                self._enter(counted, numbers[part.frames], ours, sources)
                self._refresh(counted, ours, told[:, -1])
        self.moved.append((numbers, stream["pos"][numbers]))
        self.newest.append((numbers, utc[:, -1], batch.times[:, -1]))
        stream["pos"][numbers], stream["t_pos"][numbers] = batch.ticks[:, -1], batch.times[:, -1]
        stream["seen"][numbers] = self.now
        placed.rows["state"][places], placed.rows["filled"][places] = columns[:, :, -1], filled

    def _possible(
        self, batch: Batch, layout: Layout, columns: Floats, lasting: Floats, sound: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Return which of the sound frames tell no more than can be, and refuse the others."""
        most = layout.most(self._device_power)
        fits: NDArray[np.bool_] = accept.possible(columns, lasting, layout.amounts, most) | ~sound
        for i in np.flatnonzero(~fits).tolist():
            told = layout.excess(columns[i, :, -1], lasting[i, -1], most)
            self._refuse(batch, np.array([i]), "too_much", told)
        return fits

    def _claimed(self, batch: Batch, numbers: Ints, utc: Ints, sound: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which of the sound frames are of time that their agents may still tell of; the others come again."""
        seconds = (utc[:, -1] - utc[:, 0]) / SECOND
        for i, gap in self._gaps(numbers, utc[:, 0]):
            seconds[i] += accept.BEFORE + gap
        may = self.fleet.allowances.time
        frames = zip(batch.messages, seconds.tolist(), sound.tolist(), strict=True)
        within = np.array([ok and may(m.agent, s, self.now) for m, s, ok in frames], np.bool_)
        self.frames["postponed"] += int((sound & ~within).sum())
        return within

    def _remember(self) -> None:
        """Enter the newest rows counted so far into what came before streams that begin."""
        fleet, newest = self.fleet, self.newest
        if not newest:
            return
        for n, utc, time in clock.newest(newest):
            agent, _, boot = fleet.stream_rows[n]
            fleet.past.add(agent, boot, utc, time)
        newest.clear()

    def _refuse(self, batch: Batch, which: Ints, reason: str, text: str) -> None:
        error = wire.WireError(reason, text)
        for i in which.tolist():
            self.replies.append(refusal(Rejected(batch.messages[i], batch.streams[i], error), self._tallies))

    def _gaps(self, numbers: Ints, begins: Ints) -> Iterator[tuple[int, float]]:
        """Yield which streams begin, by their place, and the time without a row before each [s]."""
        stream = self.fleet.stream
        begun = np.flatnonzero(stream["pos"][numbers] == 0).tolist()
        if begun:
            self._remember()
        for i in begun:
            number = int(numbers[i])
            agent, _, boot = self.fleet.stream_rows[number]
            yield i, self.fleet.past.gap(agent, boot, int(stream["base"][number]), int(begins[i]))

    def _gap_before(self, placed: Placed, numbers: Ints, places: Ints, begins: Ints) -> None:
        """Book the time between an agent's last row and the first row of its new stream as a gap."""
        for i, gap in self._gaps(numbers, begins):
            if gap > 0:
                devices = placed.rows["device"][places[i]]
                owner = np.full(len(devices), numbers[i], np.int64)
                self._total(Family.DEVICE_GAP, owner, devices, 0, np.full(len(devices), gap))
                self._total(Family.GAP, owner, self.fleet.device["group"][devices], 0, np.full(len(devices), gap))

    def _enter(self, counted: Counted, numbers: Ints, devices: Ints, sources: Ints) -> None:
        """Turn what was counted into rows of the ledger and of the booked totals."""
        fleet, chunks = self.fleet, counted.chunks
        shape = counted.won_covered.shape[:2]
        stream = np.broadcast_to(numbers[chunks.frame][:, None], shape)
        device = devices[chunks.frame]
        slot = np.broadcast_to(chunks.slot[:, None], shape)
        series = ((sources, counted.joules, counted.covered, np.zeros_like(counted.joules), Family.SOURCE_ENERGY),)
        winners = ((fleet.winner_ids, counted.won, counted.won_covered, counted.bias, Family.DEVICE_ENERGY),)
        for ids, joules, covered, bias, family in series + winners:
            for k, source in enumerate(ids.tolist()):
                there = (covered[:, :, k] > 0) | (joules[:, :, k] > 0)
                if there.any():
                    s, d, j = stream[there], device[there], joules[:, :, k][there]
                    self._slots(s, d, slot[there], source, j, bias[:, :, k][there], covered[:, :, k][there])
                    self._total(family, s, d, source, j)
                    if family is Family.DEVICE_ENERGY:
                        self._by_class(s, d, slot[there], source, j)
        for beside in counted.beside:
            there = beside.covered > 0
            if there.any():
                source = fleet.source_id(beside.source)
                of, zero = beside.joules[there], np.zeros(int(there.sum()))
                self._slots(stream[there], device[there], slot[there], source, of, zero, beside.covered[there])
        if counted.shared is not None:
            self._share(counted, counted.shared, stream, device, slot)
        total = counted.won_covered.sum(axis=2)
        gap = np.maximum(chunks.elapsed[:, None] - total, 0.0)
        gap[gap < SLIVER] = 0.0
        kind = fleet.device["group"][device]
        for amount, per_device, per_class in (
            (total, Family.DEVICE_COVERED, Family.COVERED),
            (gap, Family.DEVICE_GAP, Family.GAP),
        ):
            there = amount > 0
            self._total(per_device, stream[there], device[there], 0, amount[there])
            self._total(per_class, stream[there], kind[there], 0, amount[there])

    def _share(self, counted: Counted, shared: Shared, stream: Ints, device: Ints, slot: Ints) -> None:
        """Enter where the energy of hosts went, by pool."""
        sure = np.divide(counted.bias, counted.won, out=np.zeros_like(counted.won), where=counted.won > 0)
        for (basis, winner), (k, line) in product(enumerate(WINNERS), enumerate(shared.lines)):
            joules, seconds = shared.joules[:, :, basis, k], shared.seconds[:, :, basis, k]
            there = joules > 0
            if there.any():
                source = self.fleet.source_id(sharing.source_of(line, self._policy, winner.basis))
                s, d, j = stream[there], device[there], joules[there]
                self._slots(s, d, slot[there], source, j, j * sure[:, :, basis][there], seconds[there])
                self._total(Family.SHARED, s, d, source, j)

    def _slots(self, s: Ints, d: Ints, slot: Ints, source: int, joules: Floats, bias: Floats, covered: Floats) -> None:
        zero = np.zeros(len(joules))
        self.energy.append(Energy(s, d, slot, np.full(len(s), source, np.int64), joules, zero, bias, covered))

    def _total(self, family: Family, stream: Ints, first: Ints, second: int, amount: Floats) -> None:
        if len(amount):
            self.totals.append(Totals(stream, self.fleet.totals.rows(key(family, first, second)), amount))

    def _by_class(self, stream: Ints, device: Ints, slot: Ints, source: int, joules: Floats) -> None:
        kind = self.fleet.device["group"][device]
        grams_per_joule, fallback = self._intensity.at(slot)
        self._tallies.factor_fallbacks += int(fallback.any())
        self._total(Family.ENERGY, stream, kind, source, joules)
        self._total(Family.CARBON, stream, kind, 0, joules * grams_per_joule)

    def _refresh(self, counted: Counted, devices: Ints, last: Ints) -> None:
        """Remember each device's latest power: the mean of its newest frame."""
        joules, covered, bias, frame = counted.won, counted.won_covered, counted.bias, counted.chunks.frame
        if len(frame) > len(last):  # some have several chunks, which stand together
            joules, covered, bias = (np.zeros((len(last), devices.shape[1], 3)) for _ in range(3))
            for whole, part in ((joules, counted.won), (covered, counted.won_covered), (bias, counted.bias)):
                np.add.at(whole, frame, part)
        seconds = covered.sum(axis=2)
        watts, unsure = (
            np.divide(of.sum(axis=2), seconds, out=np.full(seconds.shape, np.nan), where=seconds > 0)
            for of in (joules, bias)
        )
        utc = np.broadcast_to(last[:, None], devices.shape)
        self.refreshed.append(Latest(devices, utc, watts, unsure, covered.argmax(axis=2)))

    def _transaction(self, events: list[Event]) -> Transaction:
        fleet = self.fleet
        self._remember()
        first: dict[int, int] = {}
        for numbers, stood in reversed(self.moved):
            first.update(zip(numbers.tolist(), stood.tolist(), strict=True))
        order = sorted(first, key=fleet.stream_rows.__getitem__)
        index = np.array(order, np.int64)
        old = np.array([first[n] for n in order], np.int64)
        return Transaction(
            moves=fleet.moves(index, old),
            energy=book.concat_energy(self.energy),
            totals=book.concat_totals(self.totals),
            schemas=list(fleet.unsaved.schemas.items()),
            devices=[(d.id, d.name, d.agent, d.kind, d.model, d.simulated) for d in fleet.unsaved.devices.values()],
            sources=[(i, k.source, k.part, k.scope, k.basis) for i, k in fleet.unsaved.sources],
            labels=fleet.totals.unsaved(),
            events=events,
        )

    def _committed(self, transaction: Transaction, moved: Ints) -> None:
        fleet, tallies = self.fleet, self._tallies
        ours = book.of_streams(transaction, moved)
        rows, amounts = book.merged_totals(ours.totals)
        fleet.totals.committed(len(transaction.labels), rows, amounts)
        devices = [fleet.devices[d[0]] for d in transaction.devices]
        fleet.stream["saved"][moved] = True
        fleet.saved(devices, [s for s, _ in transaction.schemas], len(transaction.sources))
        tallies.frames.update(self.frames)
        tallies.rows += self.rows
        tallies.refusals.booked(fleet.stream_rows[number][0] for number in moved.tolist())
        for latest in self.refreshed:
            fleet.refresh(latest, self.now)
        if len(moved) < len(transaction.moves.index):
            tallies.frames["elsewhere"] += len(transaction.moves.index) - len(moved)
            fleet.forget_streams()
            self.elsewhere = True

    def _answers(self) -> list[Reply]:
        """Answer every stream that was heard with its position in the ledger."""
        fleet = self.fleet
        if self.elsewhere:
            return []  # the ledger has other positions than these
        positions = fleet.stream["pos"][list(self.heard)].tolist()
        answers = []
        for (number, message), position in zip(self.heard.items(), positions, strict=True):
            stream = fleet.stream_rows[number][1]
            answer = wire.Answer(stream, position, self.now, decode.version_of(message))
            answers.append(Reply(message.route, wire.encode_answer(answer)))
        return answers
