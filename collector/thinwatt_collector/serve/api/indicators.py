"""/indicators: what stands in a report beside kWh: SCI, other criteria of the electricity, equivalences.

**SCI** (ISO/IEC 21031): (E · I + M) for each of R, what was served. R is an *hour of a seat* of the inventory: E and M
are those of the endpoints in the rooms of seats, and of the hosts of the seats' pools, in a part of the seats by their
hours. Or R is an *hour with somebody at a desktop* of a pool: E is the pool's part of its hosts' energy, M their making
in the part of the idle energy that was reserved for it. Of endpoints, everybody's is made of published cells only.

No figure is of half a fleet: the total is of the devices whose energy the ledger has, that of seats of the rooms where
all endpoints have it, and both say how many those are. Where there is none, it is told why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from thinwatt_collector.data import Row, rows
from thinwatt_collector.inventory.bearing import Bearing
from thinwatt_collector.inventory.making import DAY
from thinwatt_collector.inventory.places import LEVELS, ledger_name
from thinwatt_collector.models.estimate import Z95
from thinwatt_collector.models.indicators import equivalent, of_electricity
from thinwatt_collector.serve.api import answers, sci
from thinwatt_collector.serve.api.answers import KG
from thinwatt_collector.serve.api.books import Reader
from thinwatt_collector.serve.api.energy import Accounts, Energy
from thinwatt_collector.serve.api.figures import NOTHING, Asked, Figure, Window, drawn, said
from thinwatt_collector.serve.api.making import Known
from thinwatt_collector.serve.api.privacy import Role, sees_all
from thinwatt_collector.serve.api.question import Question
from thinwatt_collector.serve.api.rows import Floats
from thinwatt_collector.units import Ratio, scale

KWH: Final = scale("kWh", "J")
FILTERS: Final = ("establishment", "site", "building", "room")
ENOUGH: Final = 0.95
"""Part of the devices with energy below which a figure for each seat is none [1]."""
CRITERIA: Final = {"primary_energy": "1", "adpe": "g/J", "water": "m^3/J"}
SHOWN: Final = {"primary_energy": ("MJ", 1e6), "adpe": ("kg Sb eq", 1e3), "water": ("m³", 1.0)}
"""Unit of a criterion for people, and its size in ours."""


class Indicators:
    """Answers what is asked of indicators.

    Args:
        accounts: of the ledger's energy.
        zone: of the grid.
    """

    def __init__(self, accounts: Accounts, zone: str) -> None:
        self._accounts, self._zone = accounts, zone

    def answer(self, reader: Reader, known: Known, asked: Asked) -> dict[str, Any]:
        """Return the answer as a document: raw figures first, equivalences last."""
        inventory = known.standing.inventory
        window = asked.window.since(reader.first())
        if window is None or inventory is None:
            window = replace(asked.window, begin=asked.window.end)
        has = self._has_energy(reader, known)
        devices, agents = self._counts(known, asked, has)
        found = self._energy(reader, asked, window) if window.begin < window.end else None
        energy, use = drawn(found, self._of_place(found, asked)) if found else (NOTHING, NOTHING)
        making = self._making(known, asked, window)
        total = use.plus(self._making(known, asked, window, of=has)) if energy.value else None
        raw = {
            "begin": window.begin.isoformat(),
            "end": window.end.isoformat(),
            "rule": asked.rule,
            "boundary": "room",
            "simulated": asked.simulated,
            "devices": devices,
            "agents": agents,
            "energy": energy.told("kwh", KWH),
            "use": use.told("kgco2e", KG),
            "making": making.told("kgco2e", KG),
            "total": total.told("kgco2e", KG) if total else None,
            "incomplete": said("indicators.incomplete", devices=devices, agents=agents) if agents < devices else None,
            "carbon": answers.carbon(self._accounts.intensity, found.factors if found else ()),
        }
        return {
            **raw,
            "sci": {
                "seat_hour": self._seat_hour(known, asked, found, window, has),
                "active_hour": sci.active_hour(self._accounts, reader, known, asked, window),
                "session": sci.none_since("sci.no-sessions"),
            },
            "annex": self._annex(energy),
            "annex_caution": said("annex.indicative") if self._criteria() else said("annex.none", zone=self._zone),
            "equivalences_of": "total" if total else "use",
            "equivalences": _equivalences(total or use),
        }

    # What is there

    def _shown(self, known: Known, role: Role) -> list[Any]:
        return list(known.cycle.wheres if sees_all(role) else known.everybody)

    def _has_energy(self, reader: Reader, known: Known) -> Ratio:
        """Return of each life whether the ledger knows its device, shape (l,)."""
        names = {device.name for device in reader.census().devices}
        return np.array([float(ledger_name(life.line) in names) for life in known.cycle.lives], np.float64)

    def _counts(self, known: Known, asked: Asked, has: Ratio) -> tuple[int, int]:
        """Return how many machines of the places are in service when the window ends, and how many have energy."""
        inside = np.array([float(bool(w) and _meets(w, asked.where)) for w in self._shown(known, asked.role)])
        every, some = self._machines(known, asked, has)
        return round(float(every @ inside)), round(float(some @ inside))

    def _machines(self, known: Known, asked: Asked, has: Ratio) -> tuple[Ratio, Ratio]:
        last = asked.window.end.toordinal() * DAY
        return known.cycle.machines(last - 1.0, last), known.cycle.machines(last - 1.0, last, has)

    def _energy(self, reader: Reader, asked: Asked, window: Window) -> Energy:
        begin, end = window.utc
        where = {"simulated": (str(asked.simulated).lower(),)}
        by = ("class", "simulated", *LEVELS)
        question = Question(begin, end, "month", window.zone, by, where, "room")
        return self._accounts.energy(reader, question, asked.role, asked.now)

    def _of_place(self, found: Energy, asked: Asked) -> Floats:
        dims, weight = found.rows.dims, np.ones(len(found.rows))
        for level, names in asked.where.items():
            weight *= np.isin(dims[level].astype(str), list(names))
        return weight

    def _making(
        self, known: Known, asked: Asked, window: Window, weight: Floats | None = None, of: Ratio | None = None
    ) -> Figure:
        """Return the amortised making of some places, each in its part; those that are asked for if none are given.

        ``of`` is the part of each life that counts.
        """
        shown = self._shown(known, asked.role)
        part = [float(bool(w) and _meets(w, asked.where)) for w in shown] if weight is None else weight.tolist()
        parts = sorted({p for p in part if p})
        labels = [(f"{parts.index(p):06}",) if p else None for p in part]
        found = Bearing(known.cycle, labels, of).rows((window.begin, window.end))
        value = deviation = 0.0
        for row in found:
            mass, size = row.masses[asked.rule]["amortised"], parts[int(row.label[0])]
            value += size * mass.expected
            deviation += size * (mass.high - mass.low) / (2.0 * Z95)  # one model may be in several: not independent
        return Figure(value, deviation)

    # For each of what was served

    def _seat_hour(
        self, known: Known, asked: Asked, found: Energy | None, window: Window, has: Ratio
    ) -> dict[str, Any]:
        """Return the score of an hour of a seat: of seats in rooms whose endpoints have energy, and their hosts."""
        inventory = known.standing.inventory
        if inventory is None or found is None:
            return sci.none_since("sci.no-energy") | {"seats": None, "seats_all": None}
        every = sci.seats(inventory, window, asked.where)
        if every.hours <= 0:
            return sci.none_since("sci.no-seats") | {"seats": None, "seats_all": None}
        of = sci.seats(inventory, window, asked.where, self._rooms(known, asked, has))
        told = {"seats": of.count, "seats_all": every.count}
        part = np.array([of.part(w.kind, w.room, w.pool) if w else 0.0 for w in self._shown(known, asked.role)])
        all_of_them, some = (round(float(n @ (part > 0))) for n in self._machines(known, asked, has))
        if of.hours <= 0 or some < ENOUGH * all_of_them:
            return sci.none_since("sci.incomplete") | told
        dims = found.rows.dims
        served = zip(*(dims[name].tolist() for name in ("class", "room", "pool")), strict=True)
        energy, use = drawn(found, np.array([of.part(*one) for one in served]))
        if not energy.value:
            return sci.none_since("sci.no-energy") | told
        making = self._making(known, asked, window, part)
        return sci.scored(sci.score(energy, use, making, of.hours), use, making, of.hours) | told

    def _rooms(self, known: Known, asked: Asked, has: Ratio) -> set[str]:
        """Return the rooms whose endpoints have their energy in the ledger, all or nearly."""
        every: dict[str, list[float]] = {}
        for where, n, some in zip(self._shown(known, asked.role), *self._machines(known, asked, has), strict=True):
            if where and where.kind != "host":
                told = every.setdefault(where.room, [0.0, 0.0])
                told[0] += n
                told[1] += some
        return {room for room, (n, some) in every.items() if n and some >= ENOUGH * n}

    # Other criteria

    def _criteria(self) -> list[Row]:
        return [row for row in rows("criteria", ("zone", "quantity"), dict(CRITERIA)) if row.of["zone"] == self._zone]

    def _annex(self, energy: Figure) -> list[dict[str, Any]]:
        found = []
        for row in self._criteria():
            unit, size = SHOWN[row.of["quantity"]]
            value = float(of_electricity(np.array(energy.value), np.array(row.value)))
            deviation = float(np.hypot(energy.deviation * row.value, value * row.uncertainty))
            of_kwh = row.value * KWH / size
            told = {"criterion": row.of["quantity"], **Figure(value, deviation).told("value", size), "unit": unit}
            found.append(told | {"each_kwh": of_kwh, "indicative": True, "source": row.source})
        return found


def _meets(where: Any, wanted: Mapping[str, Sequence[str]]) -> bool:
    return all(getattr(where, level) in names for level, names in wanted.items())


def _equivalences(mass: Figure) -> list[dict[str, Any]]:
    found = []
    for row in rows("equivalences", ("name", "per", "en", "fr"), "g"):
        value = float(equivalent(np.array(mass.value), np.array(row.value)))
        relative = np.hypot(mass.deviation / mass.value, row.uncertainty) if mass.value else 0.0
        told = Figure(value, value * float(relative)).told("value", 1.0)
        about = {"unit": row.of["per"], "en": row.of["en"], "fr": row.of["fr"]}
        found.append({"name": row.of["name"], **told, **about, "kgco2e_each": row.value / KG, "source": row.source})
    return found
