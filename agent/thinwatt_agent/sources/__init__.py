"""Where readings come from: one file a source, and dropping the file in is the registration.

A source is a module of this package with one function::

    def probe(root: Path, options: Mapping[str, Any]) -> Read | None

It looks at the machine below ``root`` and returns what it can read there, or None when there is nothing (absent,
quiet). It raises :class:`Denied` with the command that would allow it. ``Read.specs`` says once what each value is;
``Read.values(now)`` returns one value a spec at every tick: a number, None where this reading failed, or not a number
where there is nothing to measure now; an infinite one failed. An ``OSError`` or ``ValueError`` from it fails all of
them for this tick; any other exception is a bug, and turns that source off until devices are looked for again.

A module says of itself: its docstring's first line (what it reads), ``ABSENT`` (what absence means and what may help)
and ``OPTIONS`` (the keys of its table in the configuration). Where keys must agree with each other it has a function
``check(options)`` that raises :class:`Unfit`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from thinwatt_agent.counters import Instant


def as_it_is(value: Any, _: Path) -> Any:
    """Return an option's value, whatever it is."""
    return value


def above_zero(value: Any, _: Path) -> Any:
    """Return a number that is more than nothing."""
    if not value > 0:
        raise ValueError("it is nothing: write more than 0")
    return value


@dataclass(frozen=True, slots=True)
class Option:
    """A key of a source's table in the configuration: its default, its unit and a comment for people.

    A value comes to ``read`` as a number of the unit, or as the default's type: ValueError with what to write instead.
    """

    key: str
    default: bool | int | float | str
    comment: str
    unit: str = ""
    read: Callable[[Any, Path], Any] = as_it_is


class Unfit(ValueError):  # noqa: N818 - what an option is beside the others
    """An option that does not agree with the others; ``key`` is its name, the text says what to write."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


@dataclass(frozen=True, slots=True)
class Energy:
    """A register that counts energy. ``key`` names it on this machine for ever, ``part`` names it for people.

    ``unit`` [J], ``range`` [counts], ``max_power`` and ``wrap_power`` [W], ``scaled``: see
    :class:`thinwatt_agent.counters.Limits`.
    A register of the processors says in ``domain`` what it measures (see :mod:`thinwatt_agent.totals`, which then
    decides whether it counts), and in ``rank`` which of several twins goes first. Where ``total`` is false, ``role``
    says for people what it lies in or repeats.
    """

    key: str
    part: str
    unit: float
    range: int | None
    max_power: float
    scope: str
    basis: str
    total: bool = True
    source: str = ""
    wrap_power: float | None = None
    scaled: int = 0
    domain: str = ""
    rank: int = 0
    role: str = ""


@dataclass(frozen=True, slots=True)
class Power:
    """A reading of power [W], integrated here; ``total`` and ``role`` as of :class:`Energy`."""

    key: str
    part: str
    max_power: float
    scope: str
    basis: str
    total: bool = True
    source: str = ""
    role: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    """Any other counter; ``scale`` turns its readings into ``unit``; ``consumer`` is the desktop that it is of."""

    quantity: str
    unit: str
    part: str = ""
    scale: float = 1.0
    source: str = ""
    consumer: str = ""

    @property
    def key(self) -> str:
        """The counter's name on this machine."""
        return f"{self.quantity} {self.part}" + (f" {self.consumer}" if self.consumer else "")


@dataclass(frozen=True, slots=True)
class Gauge:
    """A reading that is sent as it is."""

    quantity: str
    unit: str
    part: str = ""
    source: str = ""

    @property
    def key(self) -> str:
        """The gauge's name on this machine."""
        return f"{self.quantity} {self.part}"


@dataclass(frozen=True, slots=True)
class Held:
    """A gauge that is sent as its integral over time; ``awake``: see :class:`thinwatt_agent.counters.Integral`."""

    quantity: str
    unit: str
    part: str = ""
    awake: bool = False
    source: str = ""
    consumer: str = ""

    @property
    def key(self) -> str:
        """The integral's name on this machine."""
        return f"{self.quantity} {self.part}" + (f" {self.consumer}" if self.consumer else "")


Spec = Energy | Power | Count | Gauge | Held
Values = Sequence[float | None]


def desktop_specs(name: str) -> tuple[Spec, ...]:
    """Return what any source says of a desktop ``pool/name``: what it used, what is reserved for it, who is at it.

    CPU time begins anew with the desktop. ``covered`` is the time for which it could be read, ``present`` that for
    which it was there: a failed read is no idle desktop. Values come in the order of the specs.
    """
    held = (
        ("covered", "s"),
        ("present", "s"),
        ("memory", "B s"),
        ("vcpus", "s"),
        ("active", "s"),
        ("disconnected", "s"),
    )
    return (Count("cpu", "s", consumer=name), *(Held(q, unit, awake=True, consumer=name) for q, unit in held))


@dataclass(frozen=True, slots=True)
class Read:
    """What a source reads here: what its values are, and the function that reads them."""

    specs: tuple[Spec, ...]
    values: Callable[[Instant], Values]


class Denied(Exception):  # noqa: N818 - an outcome by name, as absent and failed are, not an error of ours
    """The source is there and may not be read.

    ``remedy`` is the command that allows it to the service for good, ``by_hand`` one that allows it to a single run.
    """

    def __init__(self, what: str, remedy: str, by_hand: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.by_hand = by_hand


def names() -> list[str]:
    """Return the names of all sources."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def module(name: str) -> ModuleType:
    """Return the module of a source."""
    return import_module(f"{__name__}.{name}")


def options(name: str) -> tuple[Option, ...]:
    """Return the keys that a source knows in its table of the configuration, ``enabled`` first."""
    source = module(name)
    enabled = Option("enabled", bool(getattr(source, "ENABLED", True)), "read this source")
    return (enabled, *getattr(source, "OPTIONS", ()))


def option(options: Mapping[str, Any], known: Sequence[Option], key: str) -> Any:
    """Return the value of a key, its default where it isn't given.

    Raises:
        ValueError: it can't be.
    """
    found = next(o for o in known if o.key == key)
    try:
        return found.read(options.get(key, found.default), Path())
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
