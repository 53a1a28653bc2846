"""From what a meter says to joules since tick 0: the only place that decides wrap, restart, torn read and gap.

Pure: :class:`EnergyCounter` for registers of energy; :mod:`thinwatt_agent.gauges` has what integrates readings of
power, and the rest.

A reading of a register has one of five outcomes (METHOD §1):

``advance``  it rose by no more than the stated maximum power allows: the difference counts.
``wrap``     it fell, its range is known, the machine did not sleep in between and the implied power is plausible.
``restart``  it starts again from elsewhere (another boot, a reset): nothing is counted for the interval.
``failed``   no number, a number out of range, or one that the next good reading gives the lie (a torn read): the
             sample is missing, the state is kept, and the next good reading covers both intervals.
``gap``      longer than ``max_gap``, or long enough to hold a whole turn of the register: the energy is unknown but
             for a lower bound, nothing is counted. If the register shows the same number as before, it stood still and
             may show later what it missed: that first rise belongs to the gap too.

What one reading cannot decide, a later one does. A fall that is no clear wrap, and a rise that no machine makes, are
held back as *candidates*. If the next good reading goes on from the candidate, that was a restart (or the wrap it might
have been); if it goes on from the reading before, the candidate was torn, and nothing of it is counted. So the
cumulative columns may lag by a sample or two; they are never wrong. A torn read is the head of a decimal number, or 0:
that settles the cases in which both are plausible, and keeps two torn reads in a row from vouching for each other.

Nor is the reading that a register goes on *from* believed before the next one has confirmed it: the first of all, and
the first after a gap or a boot, may be a torn one as well. Where it was 0, or the head of a number that the register
may have shown then, the rise from it counts only at a power that the interval before or the one after it bears out.

Covered time is the time of the intervals that were counted; everything else that elapsed is uncovered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

EventKind = Literal["wrap", "restart", "failed", "gap"]
EVENTS: Final[tuple[EventKind, ...]] = ("wrap", "restart", "failed", "gap")
Relation = Literal["advance", "wrap", "restart", "gap", "same", "odd"]

SUSPEND: Final = 500_000_000
"""Boottime that outruns the monotonic clock by more [ns] between two readings was spent asleep."""


HIGHEST: Final = 1e100
"""No meter shows more, in any unit: such a reading, and an infinite one, is a failed one."""

AS_BEFORE: Final = 1.25
"""Where a register fell, so many times the power of the interval before is believed, if its limits say less.

Where it rose from what may be a torn read: so many times that of the interval before or after, whichever is more."""

PROOF: Final = 2
"""So many intervals in a row vouch for the reading that a run began with; reads are not torn time after time."""


@dataclass(frozen=True, slots=True)
class Instant:
    """One look at the clocks of a machine, in ns; read once a tick."""

    boottime: int
    monotonic: int
    utc: int
    boot_id: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What is known of a register beside its readings.

    ``unit`` [J] is the energy of one count; ``range`` [counts] is what is added at a fall (None: not known, so a fall
    is never a wrap); ``max_power`` [W] is the highest power that is believed; ``max_gap`` [ns]. ``wrap_power`` [W] is
    the highest that is believed of an interval with a fall in it (None: the same). It may be lower, because the two
    mistakes cost differently: a burst that isn't believed is lost, a restart taken for a wrap is energy made up.
    ``scaled`` is by how many digits the source moved the decimal point of what it read.
    """

    unit: float
    range: int | None
    max_power: float
    max_gap: int
    wrap_power: float | None = None
    scaled: int = 0


class Point(NamedTuple):
    """A good reading [counts], its instant, and whether it shows another number than the one before."""

    value: int
    at: Instant
    moved: bool = True


@dataclass(frozen=True, slots=True)
class Event:
    """Something other than an advance. ``at_least`` [J] is the lower bound that a gap leaves."""

    kind: EventKind
    at: Instant
    at_least: float = 0.0


def elapsed(a: Instant, b: Instant) -> int:
    """Time from ``a`` to ``b`` [ns], never negative: boottime in one boot, the wall clock across boots."""
    if another_boot(a, b):
        return max(0, b.utc - a.utc)
    return b.boottime - a.boottime


def another_boot(a: Instant, b: Instant) -> bool:
    """Whether the machine started between the two; a boottime that went back says so too."""
    return a.boot_id != b.boot_id or b.boottime < a.boottime


def slept(a: Instant, b: Instant) -> bool:
    """Whether the machine was suspended between two instants of one boot."""
    return (b.boottime - a.boottime) - (b.monotonic - a.monotonic) > SUSPEND


def relation(a: Point, b: Point, limits: Limits) -> tuple[Relation, int]:
    """How reading ``b`` can follow reading ``a``, and the counts between them (the lower bound for a gap)."""
    if another_boot(a.at, b.at):
        return "restart", 0
    dt = b.at.boottime - a.at.boottime
    if dt == 0:
        return "same", 0
    rise = b.value - a.value
    possible = dt / 1e9 * limits.max_power / limits.unit
    if dt > limits.max_gap or (limits.range is not None and possible >= limits.range):
        return "gap", rise if rise >= 0 else b.value
    if 0 <= rise <= possible:
        return "advance", rise
    if rise < 0 and limits.range is not None and not slept(a.at, b.at):
        believed = possible if limits.wrap_power is None else dt / 1e9 * limits.wrap_power / limits.unit
        if 0 <= rise + limits.range <= believed:
            return "wrap", rise + limits.range
    return "odd", 0


def torn(a: Point, b: Point, limits: Limits) -> bool:
    """Whether ``b`` may be the head of a number that could have been read then: ``2000`` of ``200000000``, or 0.

    >>> slow = Limits(unit=1e-6, range=None, max_power=40.0, max_gap=30 * 10**9)
    >>> start, after = Instant(0, 0, 0, ""), Instant(10**10, 10**10, 0, "")
    >>> [torn(Point(200_000_000, start), Point(v, after), slow) for v in (20004, 0, 95, 700_000_000)]
    [True, True, False, False]
    """
    if b.value == 0:
        return True
    high = a.value + int(min(HIGHEST, (b.at.boottime - a.at.boottime) / 1e9 * limits.max_power / limits.unit))
    if limits.range is not None:
        high = min(high, limits.range)
    head, width = b.value, 10**limits.scaled
    while head % width:
        width //= 10
    whole = width == 10**limits.scaled
    while head <= high:
        if width > 1 and head + width > a.value:
            return True
        if not whole:
            return False
        head, width = head * 10, width * 10
    return False


def headlike(a: Point, b: Point) -> bool:
    """Whether ``a``, from which a register advanced to ``b``, may be the head of a number in between.

    A digit more is ten times as much, and the advance reaches down to ``a``: whatever is in between was possible.

    >>> now = Instant(0, 0, 0, "")
    >>> [headlike(Point(v, now), Point(280_000_000, now)) for v in (0, 2, 28_000_000, 28_000_001)]
    [True, True, True, False]
    >>> headlike(Point(0, now), Point(0, now))
    False
    """
    return 0 < b.value >= 10 * a.value


def _power(a: Point, b: Point, counts: int, limits: Limits) -> float:
    """Return the mean power between two readings [W]."""
    return counts * limits.unit / (b.at.boottime - a.at.boottime) * 1e9


class EnergyCounter:
    """Joules and covered seconds since tick 0 of a register, from its readings.

    ``start`` is where its last unbroken run began, the instant and the counts then: all time from there to ``last`` is
    counted; none while it stands still after a gap. ``shown`` is the last number but 0, believed or not, ``power`` [W]
    that of the last interval, ``unproved`` how many intervals more have to count until a run is no torn read's.
    """

    __slots__ = (
        "another",
        "candidates",
        "counts",
        "covered",
        "events",
        "last",
        "limits",
        "power",
        "shown",
        "start",
        "unproved",
    )

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.another = False
        self.counts = 0
        self.covered = 0
        self.shown, self.power, self.unproved = 0, 0.0, PROOF
        self.last: Point | None = None
        self.start: tuple[Instant, int] | None = None
        self.candidates: list[Point] = []
        self.events: list[Event] = []

    @property
    def joules(self) -> float:
        """Energy counted since tick 0 [J]."""
        return self.counts * self.limits.unit

    def respec(self, limits: Limits) -> None:
        """Take what is known now that the device was looked at again; the unit stays.

        A range that can't be read any more is the old one. Another range is another register under the same name: a
        fall from the old one's last reading is no wrap. Readings from before any range was known have to lie in it.
        """
        before, self.limits = self.limits.range, replace(limits, unit=self.limits.unit)
        if limits.range is None:
            self.limits = replace(self.limits, range=before)
        elif before is None:
            self._disown()
        elif limits.range != before:
            self.another = True

    def read(self, value: float | None, now: Instant) -> None:
        """Take the reading of this tick [counts]; None says that it failed."""
        if value is None or not 0 <= value <= self._highest:
            self.events.append(Event("failed", now))
            return
        point = Point(int(value), now, value != self.shown)
        self.shown = point.value or self.shown
        if self.last is None:
            self.last, self.start = point, (now, self.counts)
            self.unproved = PROOF if point.value else 0  # a meter that starts shows 0, and no head of a number does
        elif self.candidates:
            self._decide(self.last, point)
        else:
            self._take(self.last, point)

    @property
    def _highest(self) -> float:
        return HIGHEST if self.limits.range is None else self.limits.range

    def _disown(self) -> None:
        """Readings beyond the range, held from before it was known, were bad reads: go on from the others, or anew."""
        held = [self.last, *self.candidates] if self.last else []
        bad = [point for point in held if point.value > self._highest]
        if bad and self.last in bad:
            self.last, self.start, self.candidates, self.shown = None, None, [], 0
            for point in held:
                self.read(point.value, point.at)
        elif bad:
            self.candidates = [point for point in self.candidates if point not in bad]
            self.events += [Event("failed", point.at) for point in bad]

    def settle(self, end: bool = True) -> None:
        """Decide about candidates that no reading will confirm: at the end of a recording, and before a gap.

        A fall over a suspend is a restart, even if the number may be torn. At the ``end`` of a recording one that is a
        plausible wrap is a wrap, at a power that the interval before bears out, or where none is known. A fall from
        which further readings went on was real: reads are not torn at the same place time after time.
        """
        if self.last is None or not self.candidates:
            return
        first = self.candidates[0]
        if self._doubted(self.last, first):
            self._weigh(self.last, first)
            return
        fell = first.value < self.last.value
        explained = (end and self._wrapped(self.last, first)) or (fell and slept(self.last.at, first.at))
        went_on = fell and len(self.candidates) > 1
        head = first.value or self._after(self.last, first)[0] == "wrap"
        if head and not explained and not went_on and self._spoilt(self.last, first):
            self._reject()
        else:
            self._adopt(self.last)

    def _take(self, last: Point, point: Point) -> None:
        how, counts = self._after(last, point)
        if how == "same":
            return
        held = how == "odd" or (how == "wrap" and torn(last, point, self.limits))
        if held or (self._doubted(last, point) and not self._borne_out(last, point, self.power)):
            self.candidates.append(point)
            return
        if self.start is None and counts and how in ("advance", "wrap"):
            how = "gap"
        if how == "gap":
            self.events.append(Event("gap", point.at, counts * self.limits.unit))
        elif how == "restart":
            self.events.append(Event("restart", point.at))
        else:
            self._count(how, counts, last, point)
        self._go_on(point, unbroken=how not in ("gap", "restart"))

    def _doubted(self, last: Point, point: Point) -> bool:
        """Whether an advance would be from what may have been a torn read."""
        advance = self.unproved and self._after(last, point)[0] == "advance"
        return bool(advance) and headlike(last, point)

    def _borne_out(self, last: Point, point: Point, power: float) -> bool:
        return _power(last, point, point.value - last.value, self.limits) <= AS_BEFORE * power

    def _wrapped(self, last: Point, point: Point) -> bool:
        how, counts = self._after(last, point)
        power = _power(last, point, counts, self.limits) if how == "wrap" else 0.0
        return how == "wrap" and (not self.power or power <= AS_BEFORE * self.power)

    def _weigh(self, last: Point, point: Point, further: Point | None = None) -> None:
        """Decide about the reading that a doubted advance went on from; ``further`` is the next, None where none is."""
        self.candidates = []
        onward, counts = relation(point, further, self.limits) if further else ("gap", 0)
        after = 0.0
        if further and onward in ("advance", "wrap") and not headlike(point, further):
            after = _power(point, further, counts, self.limits)
        alone = not (self.power or after) and (further is None or last.value == 0)
        if self.start and (alone or self._borne_out(last, point, max(self.power, after))):
            self._count("advance", point.value - last.value, last, point)
            self._go_on(point, unbroken=True)
        else:
            self.events.append(Event("failed", last.at))
            self._go_on(point, unbroken=False)

    def _go_on(self, point: Point, unbroken: bool) -> None:
        self.last, self.another = point, False
        if not unbroken:
            self.start = (point.at, self.counts) if point.moved else None
            self.unproved = PROOF

    def _after(self, last: Point, point: Point) -> tuple[Relation, int]:
        """How a reading follows the last good one, which may be another register's."""
        limits, as_before = self.limits, AS_BEFORE * self.power
        if self.another or (point.value < last.value and as_before > (limits.wrap_power or HIGHEST)):
            turns = None if self.another else limits.range
            limits = replace(limits, range=turns, wrap_power=min(limits.max_power, as_before))
        return relation(last, point, limits)

    def _decide(self, last: Point, point: Point) -> None:
        first = self.candidates[0]
        if self._doubted(last, first):
            onward = relation(first, point, self.limits)[0]
            if onward == "odd" and torn(first, point, self.limits):
                self.events.append(Event("failed", point.at))
            elif onward != "same" and (onward != "advance" or point.value > first.value):
                self._weigh(last, first, point)
                self._take(first, point)
            return
        onward = relation(self.candidates[-1], point, self.limits)[0]
        if onward == "same":
            return
        direct = self._after(last, point)[0]
        goes_on, goes_back = onward in ("advance", "wrap"), direct in ("advance", "wrap")
        wrapped = self._after(last, first)[0] == "wrap"
        spoilt = self._spoilt(last, first)
        still = point.value < last.value and torn(last, point, self.limits)
        if goes_on and spoilt and still and direct != "gap":
            self.candidates.append(point)
            return
        if goes_on and (wrapped or not (goes_back and spoilt)):
            self._adopt(last)
        elif onward in ("gap", "restart"):
            self.settle(end=False)
        else:
            self._reject()
        self._take(self.last or point, point)

    def _spoilt(self, last: Point, point: Point) -> bool:
        """Whether a reading looks like a bad read rather than a register that starts again."""
        return point.value > last.value or torn(last, point, self.limits)

    def _adopt(self, last: Point) -> None:
        """The candidates were real: the first is a wrap or a restart, the others went on from it."""
        first, *others = self.candidates
        self.candidates = []
        how, counts = self._after(last, first)
        wrapped = how == "wrap" and self.start is not None
        if wrapped:
            self._count("wrap", counts, last, first)
        else:
            self.events.append(Event("restart", first.at))
        self._go_on(first, unbroken=wrapped)
        self.unproved = 0 if wrapped else self.unproved  # torn or not, what it and the next one count is right together
        for point in others:
            self._take(self.last or first, point)

    def _reject(self) -> None:
        """The candidates were bad reads: the state is kept."""
        self.events += [Event("failed", point.at) for point in self.candidates]
        self.candidates = []

    def _count(self, how: Relation, counts: int, last: Point, point: Point) -> None:
        lasted = point.at.boottime - last.at.boottime
        self.counts += counts
        self.unproved = max(0, self.unproved - 1)
        self.covered += lasted
        self.power = _power(last, point, counts, self.limits)
        if how == "wrap":
            self.events.append(Event("wrap", point.at))

    def state(self, boot_id: str) -> list[list[int]] | None:
        """What a new process needs to go on: the last reading and the candidates."""
        if self.last is None or self.last.at.boot_id != boot_id:
            return None
        points = [self.last, *self.candidates]
        return [[p.value, p.at.boottime, p.at.monotonic, p.at.utc] for p in points]

    def restore(self, state: Any, boot_id: str) -> None:
        """Go on from what :meth:`state` gave, with nothing counted yet."""
        points = [Point(int(v), Instant(int(b), int(m), int(u), boot_id)) for v, b, m, u in state]
        self.last, self.candidates, self.shown = points[0], points[1:], points[-1].value
        self.start = (points[0].at, 0)
        self._disown()
