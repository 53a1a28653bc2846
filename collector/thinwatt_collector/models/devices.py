"""Which power model a device has: the rows of its hardware model, else the default of its class, else none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.data import DataError, Row, rows
from thinwatt_collector.models.power import LOAD_KNOTS, SUPPLY_KNOTS, piecewise, psu_efficiency
from thinwatt_collector.units import Ratio, Watts

CLASSES: Final = ("host", "thin_client", "desktop", "laptop", "monitor")
COLUMNS: Final = ("class", "model", "quantity")
STATES: Final = ("off", "sleep", "idle", "active")
AT_KNOTS: Final = ("idle", "load_10", "load_50", "load_100")
"""Quantities of power at :data:`~thinwatt_collector.models.power.LOAD_KNOTS`."""
OF_SUPPLY: Final = ("supply_10", "supply_20", "supply_50", "supply_100")
"""Efficiencies at power.SUPPLY_KNOTS; beside them stands ``rating``, what all power supplies are made for."""
UNITS: Final = MappingProxyType(
    {
        **dict.fromkeys((*STATES, *AT_KNOTS, "base", "rating"), "W"),
        **dict.fromkeys(("efficiency", *OF_SUPPLY, "meter", "components"), "1"),
    }
)


def _unknown(*shape: int) -> Watts:
    return np.full(shape, np.nan)


@dataclass(frozen=True, slots=True)
class DeviceModel:
    """Power of one hardware model; NaN for what is not known.

    Attributes:
        watts: at load 0, 10 %, 50 % and 100 %, shape (4,) [W].
        states: off, asleep, idle, active, shape (4,) [W].
        base: of everything beside the components that have counters [W].
        efficiency: of the power supply where its curve is not known; at rest where it is [1].
        rating: DC output for which the power supplies that share the load are made together [W].
        supply: their efficiency at 10, 20, 50 and 100 % of it, shape (4,) [1].
        u_meter: relative standard uncertainty of a wall or node meter's reading [1].
        u_component: of component counters brought to the wall [1].
        u_load: of the power by load [1].
        u_states: of the power by state, shape (4,) [1].
        of: the hardware model whose rows were taken; "" for the default of the class.
        sources: of the numbers, by quantity.
    """

    watts: Watts = field(default_factory=lambda: _unknown(4))
    states: Watts = field(default_factory=lambda: _unknown(4))
    base: float = np.nan
    efficiency: float = np.nan
    rating: float = np.nan
    supply: Ratio = field(default_factory=lambda: _unknown(4))
    u_meter: float = np.nan
    u_component: float = np.nan
    u_load: float = np.nan
    u_states: Ratio = field(default_factory=lambda: _unknown(4))
    of: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)


ModelOf = Callable[[str, str], DeviceModel]
"""The power model of a class and a hardware model."""


@dataclass(frozen=True, slots=True)
class DeviceModels:
    """Power models of devices, aligned with the devices counted: shapes (frames, devices) or (frames, devices, 4).

    ``rating`` [W] and ``supply``, its efficiency at 10, 20, 50 and 100 % of it, are a power supply's curve.

    ``watts`` [W] at load 0, 10 %, 50 %, 100 %; ``base`` [W] beside the metered components; ``efficiency`` of the power
    supply; the ``u_…`` are relative standard uncertainties. NaN where a device has no model. ``by_load`` tells of
    which devices the curve of the load was calibrated, ``assumed`` what was taken before any calibration; None: none
    was, and the same.
    """

    watts: NDArray[np.float64]
    base: NDArray[np.float64]
    efficiency: NDArray[np.float64]
    u_meter: NDArray[np.float64]
    u_component: NDArray[np.float64]
    u_load: NDArray[np.float64]
    rating: NDArray[np.float64]
    supply: NDArray[np.float64]
    by_load: NDArray[np.bool_] | None = None
    assumed: DeviceModels | None = None


class DeviceTable:
    """Rows of ``data/devices.csv``, looked up by class and hardware model.

    Args:
        table: rows with the columns class, model and quantity.

    >>> table = DeviceTable.packaged()
    >>> table.of("thin_client", "FUJITSU FUTRO S740").states.tolist()
    [0.19, 1.25, 5.01, 10.5]
    >>> table.of("toaster", "").watts.tolist()
    [nan, nan, nan, nan]
    """

    def __init__(self, table: Iterable[Row]) -> None:
        self._rows: dict[str, dict[str, dict[str, Row]]] = {}
        for row in table:
            kind, model, quantity = row.of["class"], row.of["model"], row.of["quantity"]
            of_model = self._rows.setdefault(kind, {}).setdefault(model, {})
            if quantity in of_model:
                raise ValueError(f"{row.place}: {kind} {model!r} has {quantity} twice, see {of_model[quantity].place}")
            of_model[quantity] = row
        self._models: dict[tuple[str, str], DeviceModel] = {}

    @classmethod
    def packaged(cls, own: Path | None = None) -> DeviceTable:
        """Return the table that comes with the package, behind the rows of a site's own.

        Args:
            own: a file with the same columns; of a hardware model that it has nothing is taken from the package but
                what it does not tell, and of a curve or a power supply that it begins, nothing.

        Raises:
            DataError: a row that cannot be; ``str()`` has file and line.
        """
        ours = rows("devices", COLUMNS, dict(UNITS))
        theirs = rows("devices", COLUMNS, dict(UNITS), own) if own else []
        told = {(*_hardware(row), quantity) for row in theirs for quantity in _whole(row.of["quantity"])}
        table = cls([*theirs, *(row for row in ours if (*_hardware(row), row.of["quantity"]) not in told)])
        table.check()
        return table

    def check(self) -> None:
        """Raise DataError for what a model can't be: a power supply told in part, an efficiency that is none."""
        for row, text in self._wrong():
            raise DataError(f"{row.place}: {text}")

    def _wrong(self) -> Iterator[tuple[Row, str]]:
        for models in self._rows.values():
            for told in models.values():
                for quantity in ("efficiency", *OF_SUPPLY):
                    if quantity in told and not 0.0 < told[quantity].value <= 1.0:
                        yield told[quantity], f"{quantity} {told[quantity].value:g} is no efficiency: write 92 %"
                supply = [q for q in ("rating", *OF_SUPPLY) if q in told]
                missing = [q for q in ("rating", *OF_SUPPLY[1:]) if q not in told]
                if supply and missing:
                    yield told[supply[0]], f"a power supply needs {' and '.join(missing)} too"
                elif supply and not told["rating"].value > 0.0:
                    yield told["rating"], "a power supply is made for more than 0 W"

    def of(self, kind: str, model: str) -> DeviceModel:
        """Return the power model of a class and a hardware model as the machine names itself.

        A row's model matches when it stands in the machine's name as whole words; the longest match wins, what it does
        not tell comes from the default of the class. NaN everywhere for a class that the table does not have.
        """
        named = self._named(kind, model)
        if (kind, named) not in self._models:
            self._models[kind, named] = self._made(kind, named)
        return self._models[kind, named]

    def _named(self, kind: str, model: str) -> str:
        asked = _words(model)
        matching = [name for name in self._rows.get(kind, {}) if name and f" {_words(name)} " in f" {asked} "]
        return max(matching, key=len, default="")

    def _made(self, kind: str, named: str) -> DeviceModel:
        of_class = self._rows.get(kind, {})
        default, own = of_class.get("", {}), of_class.get(named, {})
        # A curve is of one machine: points of two are not mixed.
        curve = own if {"idle", "load_100"} <= own.keys() else default
        found = {**default, **own}
        rating, supply = _supply(found)
        base = _value(found, "base")
        efficiency = _value(found, "efficiency")
        if np.isfinite(rating) and np.isfinite(base):
            efficiency = float(psu_efficiency(np.array(base / rating), SUPPLY_KNOTS, supply))
        return DeviceModel(
            watts=_at_knots(curve),
            states=np.array([_value(found, state) for state in STATES]),
            base=base,
            efficiency=efficiency,
            rating=rating,
            supply=supply,
            u_meter=_spread(found, "meter"),
            u_component=_spread(found, "components"),
            u_load=max((curve[q].uncertainty for q in AT_KNOTS if q in curve), default=np.nan),
            u_states=np.array([_spread(found, state) for state in STATES]),
            of=named,
            sources={q: row.source for q, row in found.items()},
        )


def supply(level: str, kind: str = "redundant") -> tuple[Ratio, Ratio]:
    """Return certified loads and the efficiency at them, of a level of 80 PLUS at 230 V.

    Args:
        level: bronze, silver, gold, platinum, titanium; plain of single ones only.
        kind: ``redundant`` (servers) or ``single`` (PCs).

    Raises:
        ValueError: no such level.

    >>> loads, efficiency = supply("gold")
    >>> loads.tolist(), efficiency.tolist()
    ([0.2, 0.5, 1.0], [0.88, 0.92, 0.88])
    """
    table = rows("supplies", ("kind", "level", "load"), "1")
    points = [(r.of["load"], r.value) for r in table if (r.of["kind"], r.of["level"]) == (kind, level)]
    if not points:
        known = sorted({f"{r.of['kind']} {r.of['level']}" for r in table})
        raise ValueError(f"no power supply {kind} {level!r} in data/supplies.csv: it has {', '.join(known)}")
    loads = np.array([float(load.removesuffix("%")) / 100.0 for load, _ in points])
    return loads, np.array([efficiency for _, efficiency in points])


def _hardware(row: Row) -> tuple[str, str]:
    return row.of["class"], row.of["model"]


def _whole(quantity: str) -> tuple[str, ...]:
    """Return the quantities that are told together: points of two machines are not mixed."""
    return next((of for of in (AT_KNOTS, ("rating", *OF_SUPPLY)) if quantity in of), (quantity,))


def _supply(found: dict[str, Row]) -> tuple[float, Ratio]:
    """Return rating and efficiencies of a power supply; below the first certified load that of the first is held."""
    known = [k for k, quantity in enumerate(OF_SUPPLY) if quantity in found]
    if "rating" not in found or not known:
        return np.nan, _unknown(len(OF_SUPPLY))
    at = np.array([found[OF_SUPPLY[k]].value for k in known])
    return found["rating"].value, piecewise(SUPPLY_KNOTS, SUPPLY_KNOTS[known], at)


def _words(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.casefold()))


def _value(found: dict[str, Row], quantity: str) -> float:
    return found[quantity].value if quantity in found else np.nan


def _spread(found: dict[str, Row], quantity: str) -> float:
    return found[quantity].uncertainty if quantity in found else np.nan


def _at_knots(curve: dict[str, Row]) -> Watts:
    """Return the power at the four knots, with straight lines over those between that the table does not tell."""
    known = [k for k, quantity in enumerate(AT_KNOTS) if quantity in curve]
    if len(known) < 2:
        return _unknown(len(AT_KNOTS))
    loads, watts = LOAD_KNOTS[known], np.array([curve[AT_KNOTS[k]].value for k in known])
    return piecewise(LOAD_KNOTS, loads, watts)


@cache
def _packaged() -> DeviceTable:
    return DeviceTable.packaged()


def model_of(kind: str, model: str) -> DeviceModel:
    """Return the power model of a class and a hardware model, from the table that comes with the package."""
    return _packaged().of(kind, model)
