"""An intensity as it was known on each day: what carbon was booked with, whatever was published since.

A publication never overwrites an earlier one, so what was known on a day can be had again (``as_of``), and does not
change any more. Of a source that keeps no earlier publications there is one state only.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np

from thinwatt_collector.factors import Factor, FactorError, Intensity, Kind
from thinwatt_collector.models.energy import SLOT_SECONDS
from thinwatt_collector.units import Flags, GramsPerJoule, Slots

log = logging.getLogger(__name__)
PER_DAY = 86_400 // SLOT_SECONDS
AsOf = Callable[[str], Intensity]


class Then:
    """Answers for each slot with what was known when its day (UTC) began.

    Args:
        now: what is known now, of the same method and zone.
        as_of: the same as it was known on a day; raises ``FactorError`` where that cannot be told.
    """

    def __init__(self, now: Intensity, as_of: AsOf) -> None:
        self._now, self._as_of = now, as_of
        self._known: dict[int, Intensity | None] = {}
        self._state = now.vintage
        self._turn = threading.Lock()

    @property
    def kind(self) -> Kind:
        """Which of the four kinds its method is."""
        return self._now.kind

    @property
    def method(self) -> str:
        """The label ``method`` of everything made with it."""
        return self._now.method

    @property
    def zone(self) -> str:
        """The grid's zone."""
        return self._now.zone

    @property
    def vintage(self) -> str:
        """The state of publication now: that of each day is as old as the day."""
        return self._now.vintage

    @property
    def factors(self) -> Sequence[Factor]:
        """Everything that is known now."""
        return self._now.factors

    def at(self, slots: Slots) -> tuple[GramsPerJoule, Flags]:
        """Return the intensity of slots [g/J] and which are fallbacks, shapes (n,); what nobody knew then is one."""
        value, flags = self._now.at(slots)
        value, flags = value.copy(), flags.copy()
        days = np.asarray(slots) // PER_DAY
        if not days.size:
            return value, flags
        with self._turn:
            self._look()
            first, last = int(days.min()), int(days.max())
            states = self._states(first, last)
        for begin, end, state in states:
            here = (days >= begin) & (days < end)
            if state is not None:
                value[here], flags[here] = state.at(slots[here])
            elif self._tells():
                flags[here] = True
        return value, flags

    def factor_of(self, slot: int) -> Factor:
        """Return where the intensity of a slot comes from."""
        with self._turn:
            self._look()
            state = self._of(slot // PER_DAY)
        return (state or self._now).factor_of(slot)

    def _look(self) -> None:
        if self._now.vintage != self._state:
            self._state, self._known = self._now.vintage, {}

    def _tells(self) -> bool:
        """Return whether the source tells what was known earlier at all."""
        with self._turn:
            return self._of(int(datetime.now(UTC).timestamp()) // 86_400) is not None

    def _of(self, day: int) -> Intensity | None:
        if day not in self._known:
            try:
                self._known[day] = self._as_of(datetime.fromtimestamp(day * 86_400, UTC).date().isoformat())
            except FactorError as error:
                log.debug("%s", error)
                self._known[day] = None
        return self._known[day]

    def _states(self, first: int, last: int) -> list[tuple[int, int, Intensity | None]]:
        """Return spans of days [begin, end) of one state of publication: where both ends are alike, all between is."""
        one, other = self._of(first), self._of(last)
        if first == last or _state(one) == _state(other):
            return [(first, last + 1, one)]
        middle = (first + last) // 2
        return [*self._states(first, middle), *self._states(middle + 1, last)]


def _state(known: Intensity | None) -> str:
    return known.vintage if known is not None else ""
