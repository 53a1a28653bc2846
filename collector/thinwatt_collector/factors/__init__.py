"""Carbon intensity of electricity: one file a source, and dropping the file in is the registration.

A source is a module of this package with one function::

    def load(options: Mapping[str, Any]) -> Intensity

It reads what lies on this machine and never calls out. A source whose publisher has a server has a second one,
``fetch(options, fetcher, now) -> str``, which asks it and files the answer in an archive on disk; it runs only where
somebody asks for it. ``KINDS`` names the methods that the source can serve, ``OPTIONS`` its keys. What several sources
need stands in ``grid/``.

An intensity has a method, and intensities of different methods are never added: a life-cycle figure of consumption
and a direct-combustion figure of production differ in what they count, not only in how often they are told. There are
four kinds of method:

- ``record``: the figure of reports and totals
- ``live``: what the grid does now, for choosing *when*; never in a total with a record
- ``profile``: the record's year mean in the shape of the live figure
- ``market``: what a contract says; shown beside the record, never in its place
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, Final, Literal, Protocol, cast, get_args

from thinwatt_collector.units import Flags, GramsPerJoule, Slots

Kind = Literal["record", "live", "profile", "market"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


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
        intensity: [g/J]; of a series, the mean of the slots that it is of.
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
    def kind(self) -> Kind:
        """Which of the four kinds its method is."""

    @property
    def method(self) -> str:
        """The label ``method`` of everything made with it."""

    @property
    def zone(self) -> str:
        """The grid's zone."""

    @property
    def vintage(self) -> str:
        """The state of publication: when the newest of its figures was published, or first seen; ISO, UTC."""

    @property
    def factors(self) -> Sequence[Factor]:
        """Everything it may answer with."""

    def at(self, slots: Slots) -> tuple[GramsPerJoule, Flags]:
        """Return the intensity of each slot [g/J] and whether it is a fallback: shapes (n,)."""

    def factor_of(self, slot: int) -> Factor:
        """Return the provenance of a slot's intensity."""


def names() -> list[str]:
    """Return the names of the sources."""
    return sorted(found.name for found in pkgutil.iter_modules(__path__) if not found.ispkg)


def source(name: str) -> ModuleType:
    """Return the module of a source.

    Raises:
        FactorError: there is none of that name.
    """
    if name not in names():
        raise FactorError(f"no source of factors is called {name!r}; there are {', '.join(names())}")
    return import_module(f"{__name__}.{name}")


def load(name: str, options: Mapping[str, Any]) -> Intensity:
    """Return the intensity that a source makes of its options.

    Raises:
        FactorError: the source, the method or an option is not known, or there is nothing to load.
    """
    module = source(name)
    kind = options.get("kind", "record")
    if kind not in module.KINDS:
        able = [other for other in names() if kind in source(other).KINDS]
        raise FactorError(
            f"factors.{name} has no {kind!r} method, but {', '.join(module.KINDS)}"
            + (f"; sources with one: {', '.join(able)}" if able else f"; methods are {', '.join(KINDS)}")
        )
    return cast("Intensity", module.load(options))


def record(zone: str, name: str, tables: Mapping[str, Mapping[str, Any]], as_of: str = "") -> Intensity:
    """Return the record of a source: the kind that carbon is booked with.

    Args:
        zone: of the grid.
        name: of the source.
        tables: source → its options.
        as_of: a day; what was published later is left out.

    Raises:
        FactorError: see :func:`load`.
    """
    options = {"zone": zone, **tables.get(name, {}), "kind": "record"}
    return load(name, options | {"as_of": as_of} if as_of else options)


def beside(zone: str, kind: Kind, name: str, tables: Mapping[str, Mapping[str, Any]]) -> Intensity | None:
    """Return the intensity that is shown beside the record, and never in a total with it; None where there is none.

    Raises:
        FactorError: see :func:`load`.
    """
    return load(name, {"zone": zone, **tables.get(name, {}), "kind": kind}) if kind != "record" else None


def check(name: str, options: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse an option that the source does not know.

    Raises:
        FactorError: with the ones that there are.
    """
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise FactorError(f"factors.{name}: unknown option {unknown[0]!r}; there are {', '.join(known)}")
