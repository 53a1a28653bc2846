"""Two machines under one name: a cloned key shows as two boots that are both alive."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise
from typing import Final


class Conflicts:
    """Two live boots under one name: a cloned key. Both are booked; somebody must know."""

    WINDOW: Final = 300_000_000_000
    """A boot unheard for five minutes is over [ns]."""
    MOST: Final = 16
    """Boots of an agent that are kept: a cloned key has two or three, and who makes them up has as many as he likes."""

    def __init__(self) -> None:
        self._heard: dict[str, dict[bytes, tuple[int, int]]] = defaultdict(dict)

    def hear(self, agent: str, boot: bytes, at: int) -> None:
        """Note a live frame of a boot at ``at`` [UTC ns]."""
        boots = self._heard[agent]
        first = boots.get(boot, (at, at))[0]
        boots[boot] = (first, at)
        if len(boots) > 1:
            alive = sorted((seen[1], b) for b, seen in boots.items() if at - seen[1] <= self.WINDOW)
            self._heard[agent] = {b: boots[b] for _, b in alive[-self.MOST :]}

    def now(self, at: int | None = None) -> list[str]:
        """Return the agents of which an older boot was heard after a newer one appeared, or :data:`MOST` are alive.

        Args:
            at: the collector's UTC [ns]: boots unheard for :data:`WINDOW` are over, so that the alarm ends as well when
                both fall silent. None: as it stood at the last frame.
        """
        return [agent for agent, boots in self._heard.items() if len(boots) > 1 and _conflict(_alive(boots, at))]


def _alive(boots: Mapping[bytes, tuple[int, int]], at: int | None) -> list[tuple[int, int]]:
    return [seen for seen in boots.values() if at is None or at - seen[1] <= Conflicts.WINDOW]


def _conflict(spans: Collection[tuple[int, int]]) -> bool:
    return len(spans) >= Conflicts.MOST or _interleaved(spans)


def _interleaved(spans: Iterable[tuple[int, int]]) -> bool:
    ordered = sorted(spans)
    return any(earlier[1] > later[0] for earlier, later in pairwise(ordered))
