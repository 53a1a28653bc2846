"""One intensity for all time: what a contract says, or a zone for which nothing better is published.

It is in the configuration with all that makes it a factor: who published it, when, and how sure it is. As ``market``
it is a contract's, and shown beside the record; as ``record`` it is one, for every slot from ``valid_from`` on, and
flagged before. A contract may well say 0 g/kWh; no grid's record is 0, so there it is refused as missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from thinwatt_collector import units
from thinwatt_collector.factors import Factor, FactorError, Kind, check
from thinwatt_collector.factors.grid import publishers
from thinwatt_collector.models.energy import SLOT_SECONDS
from thinwatt_collector.units import Flags, GramsPerJoule, Slots, UnitError

NAME: Final = "fixed"
KINDS: Final[tuple[Kind, ...]] = ("record", "market")
NEEDED: Final = ("intensity", "name", "version", "published", "valid_from", "uncertainty", "publisher")
OPTIONS: Final = ("kind", "zone", "method", *NEEDED)


def load(options: Mapping[str, Any]) -> Fixed:
    """Return the intensity that the options state.

    Args:
        options: ``kind`` ("record" or "market"), ``zone``, ``method``: its label ("record_fixed"); ``intensity``
            ("0.012 kg/kWh"), ``name``, ``version``, ``published`` and ``valid_from`` (days), ``uncertainty`` ("10 %",
            half of the 95 % interval), ``publisher``: document, section, address.

    Raises:
        FactorError: one of them is missing or wrong.

    >>> contract = load({"kind": "market", "intensity": "0 g/kWh", "name": "guarantees of origin", "version": "2025",
    ...     "published": "2025-01-15", "valid_from": "2025-01-01", "uncertainty": "5 %", "publisher": "contract 42"})
    >>> contract.method, contract.at(np.array([1_929_000]))
    ('market_fixed', (array([0.]), array([False])))
    """
    check(NAME, options, OPTIONS)
    kind: Kind = "market" if options.get("kind") == "market" else "record"
    for key in NEEDED:
        if not str(options.get(key) or "").strip():
            raise FactorError(f"factors.{NAME}: {key} is not set: without it nobody can check the figure")
    try:
        intensity = units.grams_per_joule(str(options["intensity"]))
        spread = units.ratio(str(options["uncertainty"])) / 1.96
    except UnitError as error:
        raise FactorError(f"factors.{NAME}: {error}") from error
    if intensity == 0.0 and kind == "record":
        raise FactorError(f"factors.{NAME}: no grid emits 0 g/kWh: a contract that says so is of the method market")
    first, published = publishers.day(NAME, options, "valid_from"), str(options["published"])
    publishers.day(NAME, options, "published")
    factor = Factor(
        str(options["name"]),
        str(options["version"]),
        f"from {options['valid_from']}",
        published,
        intensity,
        spread,
        str(options["publisher"]),
    )
    label = str(options.get("method") or f"{kind}_{NAME}")
    return Fixed(kind, label, str(options.get("zone", "FR")), factor, (first or 0) // SLOT_SECONDS)


class Fixed:
    """One factor from a slot on; before it, as a fallback. Immutable."""

    def __init__(self, kind: Kind, method: str, zone: str, factor: Factor, first: int) -> None:
        self.kind, self.method, self.zone, self.vintage = kind, method, zone, factor.published
        self.factors, self._first = (factor,), first

    def at(self, slots: Slots) -> tuple[GramsPerJoule, Flags]:
        """Return the intensity of slots [g/J] and which of them lie before it was valid, of the shape of ``slots``."""
        slots = np.asarray(slots, np.int64)
        return np.full(slots.shape, self.factors[0].intensity), slots < self._first

    def factor_of(self, slot: int) -> Factor:  # noqa: ARG002  # of every slot the same
        """Return where the intensity comes from."""
        return self.factors[0]
