"""Carbon intensity of electricity: one file a source, each with ``load(options) -> Intensity``.

An intensity has a method, and intensities of different methods are never added: a life-cycle figure of consumption
and a direct-combustion figure of production differ in what they count, not only in how often they are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from thinwatt_collector.units import Flags, GramsPerJoule, Slots


class FactorError(ValueError):
    """A factor source cannot be set up; ``str()`` names the option and the remedy."""


@dataclass(frozen=True, slots=True)
class Factor:
    """Where an intensity comes from.

    Attributes:
        name: what its publisher calls it.
        version: edition of the publication.
        vintage: period that it is of: a year, for yearly factors.
        published: ISO date.
        intensity: [g/J].
        uncertainty: relative standard uncertainty [1].
        source: document or commit.
    """

    name: str
    version: str
    vintage: str
    published: str
    intensity: float
    uncertainty: float
    source: str


class Intensity(Protocol):
    """Carbon intensity by slot, with where it comes from."""

    @property
    def method(self) -> str:
        """The label ``method`` of everything made with it."""

    @property
    def zone(self) -> str:
        """The grid's zone."""

    @property
    def factors(self) -> Sequence[Factor]:
        """Everything it may answer with."""

    def at(self, slots: Slots) -> tuple[GramsPerJoule, Flags]:
        """Return the intensity of each slot [g/J] and whether it is a fallback: shapes (n,)."""

    def factor_of(self, slot: int) -> Factor:
        """Return the provenance of a slot's intensity."""
