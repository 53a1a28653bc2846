"""Two machines under one name: a cloned key shows as two boots that are both alive."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Final


class Conflicts:
    """Two live boots under one name: a cloned key. Both are booked; somebody must know."""

    WINDOW: Final = 300_000_000_000
    """A boot unheard for five minutes is over [ns]."""

    def __init__(self) -> None:
        self._heard: dict[str, dict[bytes, tuple[int, int]]] = defaultdict(dict)

    def hear(self, agent: str, boot: bytes, at: int) -> None:
        """Note a live frame of a boot at ``at`` [UTC ns]."""
        boots = self._heard[agent]
        first = boots.get(boot, (at, at))[0]
        boots[boot] = (first, at)
        if len(boots) > 1:
            self._heard[agent] = {b: seen for b, seen in boots.items() if at - seen[1] <= self.WINDOW}

    def now(self) -> list[str]:
        """Return the agents of which an older boot was heard after a newer one appeared."""
        return [agent for agent, boots in self._heard.items() if len(boots) > 1 and _interleaved(boots.values())]


def _interleaved(spans: Iterable[tuple[int, int]]) -> bool:
    ordered = sorted(spans)
    return any(earlier[1] > later[0] for earlier, later in pairwise(ordered))
