"""/indicators: what stands in a report beside kWh: SCI, other criteria of the electricity, equivalences.

**SCI** (ISO/IEC 21031): (E · I + M) for each of R, what was served. R is an *hour of a seat* of the inventory: E and M
are those of the endpoints in the rooms of seats, and of the hosts of the seats' pools, in a part of the seats by their
hours. Or R is an *hour with somebody at a desktop* of a pool: E is the pool's part of its hosts' energy, M their making
in the part of the idle energy that was reserved for it. Of endpoints, everybody's is made of published cells only.

A figure that would be of half a fleet is none: energy is of devices with an agent, making and seats of all of them. It
is told why.
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
from thinwatt_collector.units import scale

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
        there = self._there(reader, known, asked)
        found = self._energy(reader, asked, window) if window.begin < window.end else None
        energy, use = drawn(found, self._of_place(found, asked)) if found else (NOTHING, NOTHING)
        making = self._making(known, asked, window)
        whole = bool(found) and there["agents"] >= ENOUGH * there["devices"]
        total = use.plus(making) if whole else None
        raw = {
            "begin": window.begin.isoformat(),
            "end": window.end.isoformat(),
            "rule": asked.rule,
            "boundary": "room",
            "simulated": asked.simulated,
            **there,
            "energy": energy.told("kwh", KWH),
            "use": use.told("kgco2e", KG),
            "making": making.told("kgco2e", KG),
            "total": total.told("kgco2e", KG) if total else None,
            "incomplete": None if whole else said("indicators.incomplete", **there),
            "carbon": answers.carbon(self._accounts.intensity, found.factors if found else ()),
        }
        return {
            **raw,
            "sci": {
                "seat_hour": self._seat_hour(reader, known, asked, found, window),
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

    def _there(self, reader: Reader, known: Known, asked: Asked) -> dict[str, int]:
        inside = [bool(w) and _meets(w, asked.where) for w in self._shown(known, asked.role)]
        devices, agents = self._with_agent(reader, known, asked, inside)
        return {"devices": devices, "agents": agents}

    def _with_agent(self, reader: Reader, known: Known, asked: Asked, inside: Sequence[bool]) -> tuple[int, int]:
        """Return how many machines of some places are in service when the window ends, and how many have energy."""
        last = asked.window.end.toordinal() * DAY
        names = {device.name for device in reader.census().devices}
        has = np.array([float(ledger_name(life.line) in names) for life in known.cycle.lives])
        chosen = np.array(inside, np.float64)
        every = known.cycle.machines(last - 1.0, last)
        return round(float(every @ chosen)), round(float(known.cycle.machines(last - 1.0, last, has) @ chosen))

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

    def _making(self, known: Known, asked: Asked, window: Window, weight: Floats | None = None) -> Figure:
        """Return the amortised making of some places, each in its part; those that are asked for if none are given."""
        shown = self._shown(known, asked.role)
        part = [float(bool(w) and _meets(w, asked.where)) for w in shown] if weight is None else weight.tolist()
        parts = sorted({p for p in part if p})
        labels = [(f"{parts.index(p):06}",) if p else None for p in part]
        found = Bearing(known.cycle, labels).rows((window.begin, window.end))
        value = deviation = 0.0
        for row in found:
            of, size = row.masses[asked.rule]["amortised"], parts[int(row.label[0])]
            value += size * of.expected
            deviation += size * (of.high - of.low) / (2.0 * Z95)  # one model may be in several: not independent
        return Figure(value, deviation)

    # For each of what was served

    def _seat_hour(
        self, reader: Reader, known: Known, asked: Asked, found: Energy | None, window: Window
    ) -> dict[str, Any]:
        inventory = known.standing.inventory
        if inventory is None or found is None:
            return sci.none_since("sci.no-energy") | {"seats": None}
        of = sci.seats(inventory, window, asked.where)
        if of.hours <= 0:
            return sci.none_since("sci.no-seats") | {"seats": None}
        shown = self._shown(known, asked.role)
        part = np.array([of.part(w.kind, w.room, w.pool) if w else 0.0 for w in shown])
        devices, agents = self._with_agent(reader, known, asked, [bool(p) for p in part.tolist()])
        if not devices or agents < ENOUGH * devices:
            return sci.none_since("sci.incomplete", devices=devices, agents=agents) | {"seats": of.count}
        dims = found.rows.dims
        told = zip(*(dims[name].tolist() for name in ("class", "room", "pool")), strict=True)
        energy, use = drawn(found, np.array([of.part(*one) for one in told]))
        if not energy.value:
            return sci.none_since("sci.no-energy") | {"seats": of.count}
        making = self._making(known, asked, window, part)
        return sci.scored(sci.score(energy, use, making, of.hours), use, making, of.hours) | {"seats": of.count}

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
