"""Where the energy of hosts that carry desktops went: by pool, and what no pool carries (role technical)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, Field

from thinwatt_collector.serve.api import answers
from thinwatt_collector.serve.api.answers import Columns
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
from thinwatt_collector.serve.api.energy import Energy
from thinwatt_collector.serve.api.question import Question
from thinwatt_collector.serve.api.rows import texts
from thinwatt_collector.sharing import SOURCE, line_of
from thinwatt_collector.units import scale

BY: Final = ("part", "scope")
FILTERS: Final = ("simulated", "device")


class Share(BaseModel):
    """A part of the energy of hosts in a bucket of time."""

    begin: Moment
    end: Moment
    simulated: str = Field(description="made up by a demonstration: 'true' or 'false'")
    pool: str = Field(description="of desktops; '' for what no pool carries, 'other' for pools of less than five")
    part: str = Field(
        description="of a pool: idle (its reserved part of the idle floor), dynamic (by its CPU time); of none: idle "
        "(reserved by nobody), overhead (the hypervisor's own), unattributed (nobody can say)"
    )
    policy: str = Field(description="by which it was shared; policies are never added")
    kwh: KWh
    kwh_low: KWh
    kwh_high: KWh
    kgco2e: Kg
    kgco2e_low: Kg
    kgco2e_high: Kg
    eur: Euros
    eur_low: Euros
    eur_high: Euros
    desktop_hours: float | None = Field(description="for which desktops of the pool were there [h]; null where no pool")


class Shares(BaseModel):
    """All parts of a host's energy add up to its energy."""

    begin: Moment
    end: Moment
    grain: str
    zone: str
    carbon: Carbon
    boundary: Boundary = BOUNDARY
    pues: list[Effectiveness] = PUES
    rows: list[Share]
    next: Next


def of_hosts(asked: Question) -> Question:
    """Return the question of the shared energy of the same window."""
    return replace(asked, by=(*asked.by, *BY), where={**asked.where, "source": (SOURCE,)})


def columns(found: Energy, asked: Question) -> Columns:
    """Return the parts as columns, named as in the OpenAPI document."""
    every: dict[str, Any] = answers.energy_columns(found, asked)
    lines = [line_of(text) for text in found.rows.dims["part"].tolist()]
    of_pool = np.array([bool(line.pool) for line in lines], np.bool_)
    kept = tuple(f"{name}{end}" for name in ("kwh", "kgco2e", "eur") for end in ("", "_low", "_high"))
    return {
        **{name: every[name] for name in ("begin", "end", "simulated")},
        "pool": texts(line.pool for line in lines),
        "part": texts(line.part for line in lines),
        "policy": found.rows.dims["scope"],
        **{name: every[name] for name in kept},
        "desktop_hours": np.where(of_pool, found.rows.covered / scale("h", "s"), np.nan),
    }
