"""An intensity that is read anew when what it was made of has changed: another program may have fetched.

What is in use stays in use until the new one is whole; one that cannot be read changes nothing, and is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from thinwatt_collector.factors import Factor, Intensity, Kind
from thinwatt_collector.units import Flags, GramsPerJoule, Slots

Stamp = tuple[tuple[str, int, int], ...]


class Latest:
    """An intensity, and how to load it anew.

    Args:
        load: makes it.
        options: of its source; the paths in them are watched.

    Raises:
        FactorError: it cannot be loaded at first.
    """

    def __init__(self, load: Callable[[], Intensity], options: Mapping[str, Any]) -> None:
        self._load, self._paths = load, [value for value in options.values() if isinstance(value, Path)]
        self._stamp = self._seen()
        self._now = load()

    def refresh(self) -> bool:
        """Load it anew if something has changed; return whether it was.

        Raises:
            FactorError: it cannot be loaded; the one before stays in use, and the next change is waited for.
        """
        stamp = self._seen()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        self._now = self._load()
        return True

    def _seen(self) -> Stamp:
        files = [f for path in self._paths for f in ([path] if path.is_file() else path.rglob("*")) if f.is_file()]
        stats = ((str(f), f.stat()) for f in sorted(files) if f.suffix in {".csv", ".json"})
        return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)

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
        """The state of publication."""
        return self._now.vintage

    @property
    def factors(self) -> Sequence[Factor]:
        """Everything it may answer with."""
        return self._now.factors

    def at(self, slots: Slots) -> tuple[GramsPerJoule, Flags]:
        """Return the intensity of slots [g/J] and which of them are fallbacks, shapes (n,)."""
        return self._now.at(slots)

    def factor_of(self, slot: int) -> Factor:
        """Return where the intensity of a slot comes from."""
        return self._now.factor_of(slot)
