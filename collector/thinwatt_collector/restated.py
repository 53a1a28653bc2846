"""What was published since the last run, and what it changes in the ledger: an event in words, in two languages.

A file in the state folder names the state of publication that the carbon was last worked out with. At a start, and when
factors are read anew, the ledger's energy is multiplied by what was known then and by what is known now; the difference
is told. The ledger's joules are read, and nothing is written but the event.

The energy is read by hours: yearly factors change at hours, and older energy is kept no finer. Of a source whose
figures change within an hour the event is that much less exact; the figures themselves are not touched by it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from thinwatt_collector.book import in_both
from thinwatt_collector.factors import FactorError, Intensity
from thinwatt_collector.factors.grid.restatement import changes, words
from thinwatt_collector.fetch import write_atomic
from thinwatt_collector.units import Joules, Slots

ANOTHER: Final = in_both(
    "Le carbone est désormais calculé par {now.method}, zone {now.zone} (source {now.source}), auparavant par "
    "{before.method}, zone {before.zone} (source {before.source}) : deux chiffres à ne pas additionner.",
    "Carbon is worked out by {now.method}, zone {now.zone} (source {now.source}) from now on, before by "
    "{before.method}, zone {before.zone} (source {before.source}): two figures that are never added.",
)
LOST: Final = in_both(
    "Les facteurs d’émission sont passés de {before} à {now} ; les anciens ne sont plus disponibles : {error}",
    "Emission factors changed from {before} to {now}; the old ones are not to be had: {error}",
)
Booked = Callable[[], tuple[Slots, Joules]]
AsOf = Callable[[str], Intensity]


@dataclass(frozen=True, slots=True)
class State:
    """What carbon was worked out with."""

    source: str
    method: str
    zone: str
    vintage: str


class Restated:
    """Remembers what carbon was last worked out with.

    Args:
        path: of the file that does.
        source: that is configured.
        clock: whose local times are written.
    """

    def __init__(self, path: Path, source: str, clock: ZoneInfo) -> None:
        self._path, self._source, self._clock = path, source, clock

    def told(self, intensity: Intensity) -> None:
        """Remember an intensity: what it changed is in the ledger's events."""
        write_atomic(self._path, json.dumps(asdict(self._state(intensity)), indent=1).encode())

    def events(self, intensity: Intensity, as_of: AsOf, booked: Booked) -> list[str]:
        """Return what is to be told of an intensity, compared with the one remembered.

        Args:
            intensity: as it is known now.
            as_of: the same as it was known on a day; raises ``FactorError`` where it can't be had any more.
            booked: slots and their energy, of all of the ledger; asked for only when something has changed.

        Raises:
            FactorError: the file cannot be read.
        """
        before, now = self._remembered(), self._state(intensity)
        if before is None or before == now:
            return []
        if (before.source, before.method, before.zone) != (now.source, now.method, now.zone):
            return [ANOTHER.format(before=before, now=now)]
        try:
            old = as_of(before.vintage)
        except FactorError as error:
            return [LOST.format(before=before.vintage, now=now.vintage, error=error)]
        found = changes(*booked(), old, intensity)
        return [in_both(words(found, intensity, self._clock, "fr"), words(found, intensity, self._clock, "en"))]

    def _state(self, intensity: Intensity) -> State:
        return State(self._source, intensity.method, intensity.zone, intensity.vintage)

    def _remembered(self) -> State | None:
        try:
            return State(**json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise FactorError(
                f"{self._path} cannot be read ({error}): remove it; what was published since is then told by no event"
            ) from error
