"""What the API answers with, as its OpenAPI document tells it: every number with its unit."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field

Basis = Literal["measured", "modelled", "assumed", "mixed"]
Joules = Annotated[float | None, Field(description="energy [J]; null where it is withheld", ge=0)]
KWh = Annotated[float | None, Field(description="energy [kWh]; null where it is withheld", ge=0)]
Kg = Annotated[float | None, Field(description="greenhouse gases [kgCO2e]; null where they are withheld", ge=0)]
Euros = Annotated[
    float | None,
    Field(description="price [EUR]; null where it is withheld, and where any joule has no price", ge=0),
]
Moment = Annotated[
    str, Field(description="ISO 8601 with the offset of `zone`", json_schema_extra={"format": "date-time"})
]
Next = Annotated[str | None, Field(description="`cursor` of the next page; null on the last one")]


Boundary = Literal["machines", "room"]
BOUNDARY: Final[Any] = Field(description="what the figures are of: the machines, or with what their room needs")
PUES: Final[Any] = Field(
    description="of the rooms in which the machines of all rows stood; in the figures with boundary=room only"
)


def Place(what: str) -> Any:  # noqa: N802  # stands where Field does
    """Return the field of a level of places."""
    about = (
        f"{what}, as the inventory had it at the time; '' where it knows none, 'other' where single ones are too few"
    )
    return Field(None, description=about)


class Row(BaseModel):
    """A bucket of time and a group of devices. The dimensions asked for in `by` stand beside."""

    begin: Moment
    end: Moment
    simulated: str = Field(description="made up by a demonstration: 'true' or 'false'")
    kind: str | None = Field(None, alias="class", description="class of devices")
    model: str | None = Field(None, description="hardware model; 'other' where single ones would be too few")
    basis: str | None = Field(
        None, description="measured, modelled, assumed; 'mixed' where single ones would be too few"
    )
    establishment: str | None = Place("establishment")
    site: str | None = Place("site")
    building: str | None = Place("building")
    room: str | None = Place("room")
    pool: str | None = Place("pool")
    device: str | None = Field(None, description="device")


class EnergyRow(Row):
    """Energy, carbon and euros of a bucket of time and a group of devices."""

    joules: Joules
    joules_low: Joules
    joules_high: Joules
    kwh: KWh
    kwh_low: KWh
    kwh_high: KWh
    kgco2e: Kg
    kgco2e_low: Kg
    kgco2e_high: Kg
    eur: Euros
    eur_low: Euros
    eur_high: Euros
    covered_seconds: float | None = Field(description="time with known energy, added up over devices [s]")
    devices: int | None = Field(description="different devices [1]; of sums over time or models: at least so many")
    fallback: bool = Field(description="the carbon factor is of another year or zone, for want of the right one")
    withheld: bool = Field(description="not shown: it would be the figure of fewer than five endpoints (law 7)")


class FactorOf(BaseModel):
    """Where the carbon intensity comes from."""

    name: str
    version: str
    vintage: str
    published: str
    source: str
    kg_per_kwh: float = Field(description="intensity [kgCO2e/kWh]")
    uncertainty: float = Field(description="relative standard uncertainty [1]")


class Carbon(BaseModel):
    """The method of the carbon figures: figures of different methods are never added."""

    method: str
    zone: str = Field(description="zone of the grid")
    known: str = Field(
        description="view=restated: when the newest of its figures was published; view=booked: 'on each day', by the "
        "factor that was known when the energy was drawn"
    )
    factors: list[FactorOf]


class Tariff(BaseModel):
    """A price of electricity that was used."""

    price: float = Field(description="price [EUR/kWh]", ge=0)
    unit: Literal["EUR/kWh"]
    date: str | None = Field(description="first day on which it was paid; null: undated, taken for all time")
    where: str = Field(description="room or site that it is of; 'collector': where neither has one")


class Effectiveness(BaseModel):
    """A power usage effectiveness that was used."""

    pue: float = Field(description="energy of the room divided by that of its machines [1]", gt=1)
    where: str = Field(description="room that it is of")


class Energy(BaseModel):
    """Energy, carbon and euros."""

    begin: Moment
    end: Moment
    grain: str
    zone: str
    view: str
    by: list[str]
    carbon: Carbon
    apart_until: str | None = Field(
        description="role public: since when endpoints are not told apart by model, basis and place yet, but are "
        "`other` and `mixed`, as a day is until two hours after its end; null: all that is asked for is told apart",
        json_schema_extra={"format": "date-time"},
    )
    boundary: Boundary = BOUNDARY
    pues: list[Effectiveness] = PUES
    tariffs: list[Tariff] = Field(description="prices that the euros of all rows were made with")
    rows: list[EnergyRow]
    next: Next


class CoverageRow(Row):
    """For how much of the time the energy is known."""

    covered_seconds: float | None = Field(description="time with known energy, added up over devices [s]")
    gap_seconds: float | None = Field(
        description="time without, in the quarters of an hour in which a device was heard, added up over devices [s]"
    )
    coverage: float | None = Field(description="covered part of both [1]")
    withheld: bool = Field(description="not shown: it would be the figure of fewer than five endpoints (law 7)")


class Coverage(BaseModel):
    """Covered and gap time."""

    begin: Moment
    end: Moment
    grain: str
    zone: str
    by: list[str]
    rows: list[CoverageRow]
    next: Next


class RefusedRow(BaseModel):
    """Why nothing of an agent is booked."""

    reason: str
    text: str
    since: str = Field(description="when the first of these messages came, UTC")
    messages: int = Field(description="how many were refused since then")


class AgentRow(BaseModel):
    """An agent's health; null: it has not said."""

    agent: str
    last_seen: str = Field(description="when it was heard last, UTC")
    skew_seconds: float | None = Field(description="its wall clock minus the collector's [s]")
    spool_rows: float | None = Field(description="rows that wait in its spool [1]")
    spool_bytes: float | None = Field(description="size of its spool [B]")
    version: str | None
    simulated: bool | None
    conflict: bool = Field(description="two machines are alive under this name: a cloned key")
    refused: RefusedRow | None = Field(description="null: its last message was taken, or none was refused")


class Agents(BaseModel):
    """Agents in the order of their names."""

    agents: list[AgentRow]
    next: Next
