"""What an endpoint's energy is kept as when it is 30 days old: its room's, if five devices of its class stand there.

Those of smaller rooms join their building, then their site, then all of their class: a one-person office is a person
(law 7). Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from thinwatt_collector.inventory.places import Place, Places

DIMENSION: Final = "place"
FEWEST: Final = 5


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A device of the ledger: number, name, class, and whether it is made up."""

    number: int
    name: str
    kind: str
    simulated: bool


def _room(place: Place) -> Place:
    return replace(place, pool="")


def _building(place: Place) -> Place:
    return replace(place, pool="", room="")


def _site(place: Place) -> Place:
    return replace(place, pool="", room="", building="")


WIDER: Final = (replace, _room, _building, _site)


def folded(places: Places, endpoints: Sequence[Endpoint], time: int) -> tuple[list[int], list[str]]:
    """Return the numbers of devices and the key of the place that each is folded into.

    A device that is not among them is folded into its class: nobody knows where it stood, or too few stood there.

    Args:
        places: where they stood.
        endpoints: of any class.
        time: on the day that is folded, UTC [s].
    """
    left = [(e, places.at(e.name, time).place) for e in endpoints if e.name in places]
    numbers: list[int] = []
    keys: list[str] = []
    for wider in WIDER:
        stand = [(e, wider(place)) for e, place in left]
        counts = Counter((e.kind, e.simulated, place) for e, place in stand)
        many = [counts[e.kind, e.simulated, place] >= FEWEST for e, place in stand]
        for (e, place), enough in zip(stand, many, strict=True):
            if enough:
                numbers.append(e.number)
                keys.append(place.key)
        left = [known for known, enough in zip(left, many, strict=True) if not enough]
    return numbers, keys
