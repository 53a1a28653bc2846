"""What pools of desktops draw of their hosts, and for how long somebody was at them (role technical)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Final

import numpy as np
from pydantic import BaseModel, Field

from thinwatt_collector.layout import OF_SESSION
from thinwatt_collector.serve.api import answers
from thinwatt_collector.serve.api.answers import KG, Columns
from thinwatt_collector.serve.api.documents import (
    BOUNDARY,
    PUES,
    Boundary,
    Carbon,
    Effectiveness,
    Euros,
    Kg,
    KWh,
    Moment,
    Next,
)
from thinwatt_collector.serve.api.energy import Energy, intervals
from thinwatt_collector.serve.api.question import Question
from thinwatt_collector.serve.api.rows import Floats, Rows, codes, texts
from thinwatt_collector.sharing import PRESENT, SESSIONS, SOURCE, STATES, TOLD, line_of
from thinwatt_collector.units import scale

BY: Final = ("pool", "policy")
WITHIN: Final = ("source", "part", "scope")
Hours = Annotated[float | None, Field(description="added up over desktops [h]; null where nobody tells", ge=0)]


class Pool(BaseModel):
    """A pool of desktops in a bucket of time."""

    begin: Moment
    end: Moment
    simulated: str = Field(description="made up by a demonstration: 'true' or 'false'")
    pool: str = Field(
        description="of desktops; '' for what no pool carries (unreserved capacity, hypervisor, unattributed), 'other' "
        "for pools of less than five desktops on a host"
    )
    policy: str = Field(description="by which hosts' energy was shared; policies are never added")
    kwh: KWh
    kwh_low: KWh
    kwh_high: KWh
    kgco2e: Kg
    kgco2e_low: Kg
    kgco2e_high: Kg
    eur: Euros
    eur_low: Euros
    eur_high: Euros
    desktop_hours: Hours
    active_hours: Hours
    disconnected_hours: Hours
    wh_per_active_hour: float | None = Field(
        description="electricity for an hour of somebody at a desktop, spares and nights in it [Wh]; null: nobody was"
    )
    wh_per_active_hour_low: float | None
    wh_per_active_hour_high: float | None
    gco2e_per_active_hour: float | None = Field(description="greenhouse gases of its electricity [gCO2e]")
    gco2e_per_active_hour_low: float | None
    gco2e_per_active_hour_high: float | None


class Pools(BaseModel):
    """The rows of a bucket add up to the energy of its hosts that carry desktops."""

    begin: Moment
    end: Moment
    grain: str
    zone: str
    carbon: Carbon
    boundary: Boundary = BOUNDARY
    pues: list[Effectiveness] = PUES
    rows: list[Pool]
    next: Next


def of_hosts(asked: Question) -> Question:
    """Return the question of what is kept of hosts' pools: joules by line, time of sessions by state."""
    return replace(asked, by=(*asked.by, *WITHIN), where={**asked.where, "source": (SOURCE, SESSIONS)})


def together(found: Energy, asked: Question) -> tuple[Energy, dict[str, Floats]]:
    """Return pools with all their lines together, and the hours of each by state: present, active, disconnected.

    Args:
        found: of :func:`of_hosts`.
        asked: of the pools, ``by`` without :data:`BY`.
    """
    dims = found.rows.dims
    lines = [line_of(text) for text in dims["part"].tolist()]
    drew = dims["source"] == SOURCE
    by = (*asked.by, *BY)
    policies = _policies(dims["scope"][drew].tolist())
    more = {"pool": texts(line.pool for line in lines), "policy": np.where(drew, dims["scope"], policies)}
    named = {name: {**dims, **more}[name] for name in by}
    group, first = codes(found.rows.begin, *named.values())
    states = np.array([line.part for line in lines], object)

    def summed(column: Any, of: Any = True) -> Floats:
        return np.bincount(group, np.where(of, column, 0.0), len(first)).astype(np.float64)

    hour = scale("h", "s")
    seconds = {state: summed(found.rows.covered, ~drew & (states == state)) for state in STATES}
    known = {state: seconds[PRESENT if state == PRESENT else TOLD] > 0 for state in STATES}
    shown = {state: np.where(known[state], of / hour, np.nan) for state, of in seconds.items()}
    devices = np.zeros(len(first), np.int64)
    np.maximum.at(devices, group, found.rows.devices)
    rows = Rows(
        found.rows.begin[first],
        {name: column[first] for name, column in named.items()},
        *found.rows.added_up(group, len(first)),
        devices,
    )
    mass = summed(found.grams)
    half, grams_half = intervals(rows, mass, found.factors)
    whole = replace(
        found,
        rows=rows,
        end=found.end[first],
        grams=mass,
        half=half,
        grams_half=grams_half,
        eur=summed(found.eur),
        eur_low=summed(found.eur_low),
        eur_high=summed(found.eur_high),
        fallback=summed(found.fallback * 1.0) > 0,
    )
    return whole, shown


def _policies(told: Sequence[str]) -> str:
    """Return the policy whose rows the time of sessions stands with: the one there is, the first of several."""
    return min(told, default="")


def columns(found: Energy, hours: dict[str, Floats], asked: Question) -> Columns:
    """Return pools as columns, named as in the OpenAPI document."""
    every: dict[str, Any] = answers.energy_columns(found, asked)
    ends = ("", "_low", "_high")
    kept = tuple(f"{name}{end}" for name in ("kwh", "kgco2e", "eur") for end in ends)
    active = np.where(hours["active"] > 0, hours["active"], np.nan)
    of_hour = {f"wh_per_active_hour{end}": every[f"kwh{end}"] * 1000.0 / active for end in ends}
    of_hour |= {f"gco2e_per_active_hour{end}": every[f"kgco2e{end}"] * KG / active for end in ends}
    return {
        **{name: every[name] for name in ("begin", "end", "simulated", *BY, *kept)},
        "desktop_hours": hours[PRESENT],
        **{f"{state}_hours": hours[state] for state in OF_SESSION},
        **of_hour,
    }
