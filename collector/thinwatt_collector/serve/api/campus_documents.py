"""What /estimate, /fleet and /me answer with, as the OpenAPI document tells it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from thinwatt_collector.serve.api.documents import Basis
from thinwatt_collector.serve.api.privacy import Role

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
PLACE = "as in the inventory; '' where it tells none, 'other' where single ones are too few"


class EnergyOfYear(BaseModel):
    """Energy of a year with its 95 % interval."""

    kwh: float = Field(description="expected [kWh]", ge=0)
    kwh_low: float = Field(description="lower end of the 95 % interval [kWh]", ge=0)
    kwh_high: float = Field(description="upper end of it [kWh]", ge=0)


class CarbonOfYear(BaseModel):
    """Greenhouse gases of using that electricity, without making, with their 95 % interval."""

    kgco2e: float = Field(description="expected [kgCO2e]", ge=0)
    kgco2e_low: float = Field(description="lower end of the 95 % interval [kgCO2e]", ge=0)
    kgco2e_high: float = Field(description="upper end of it [kgCO2e]", ge=0)


class PriceOfYear(BaseModel):
    """Price of the part of the energy whose tariff is known, with the energy's 95 % interval."""

    eur: float = Field(description="expected [EUR]", ge=0)
    eur_low: float = Field(description="lower end of the 95 % interval [EUR]", ge=0)
    eur_high: float = Field(description="upper end of it [EUR]", ge=0)
    tariffs: list[str] = Field(description="prices of electricity used, each with its first day")
    share_priced: Share = Field(description="part of the expected energy whose tariff is known [1]")


class Group(EnergyOfYear):
    """The devices of a class in a place: for the role public five endpoints at least."""

    site: str = Field(description=f"site, {PLACE}")
    building: str = Field(description=f"building, {PLACE}")
    room: str = Field(description=f"room, {PLACE}")
    kind: str = Field(alias="class", description="class of devices; 'other' where single ones are too few")
    devices: Count = Field(description="machines of the inventory [1]")
    with_agent: Count = Field(description="of them, those that an agent tells of [1]")
    by_design: Count = Field(description="of them, those that get no agent by design: a state, not a gap [1]")


class Advice(BaseModel):
    """What to connect next: agents with a meter on all devices of the line that have none, told for a year."""

    site: str = Field(description=f"site, {PLACE}")
    building: str = Field(description=f"building, {PLACE}")
    room: str = Field(description=f"room, {PLACE}")
    kind: str = Field(alias="class", description="class of devices; 'other' where single ones are too few")
    model: str = Field(description="hardware model; '' unknown, 'other' several")
    devices: Count = Field(description="machines to connect [1]")
    kwh_removed: float = Field(
        description="what goes off the width of the interval of the whole, each line by itself [kWh]", ge=0
    )
    share_removed: Share = Field(description="likewise, as part of that width [1]")


class Estimate(BaseModel):
    """A year of 8,760 h of today's fleet of the inventory: what agents told of it, and assumptions for the rest."""

    day: str = Field(description="whose fleet it is, ISO 8601", json_schema_extra={"format": "date"})
    devices: Count = Field(description="machines of the inventory [1]")
    agents: Count = Field(description="of them, those that an agent tells of [1]")
    by_design: Count = Field(description="of them, those that get no agent by design [1]")
    energy: EnergyOfYear
    carbon: CarbonOfYear
    price: PriceOfYear | None = Field(description="null where no tariff is known")
    measured: Share = Field(description="part of the expected energy that agents with a meter told [1]")
    modelled: Share = Field(description="part that agents told by a model of the hardware [1]")
    simulated: bool = Field(description="the devices with an agent are made up by a demonstration")
    unlisted: Count = Field(description="devices of the ledger that no line of the inventory names; not counted [1]")
    unplaced: Count = Field(description="machines in no known room: counted without its PUE and price [1]")
    unknown: Count = Field(description="machines of no known class: not counted [1]")
    groups: list[Group]
    advice: list[Advice] = Field(description="what narrows the interval most first; each line is by itself")
    method: str = Field(description="of the carbon factor")
    factor: str = Field(description="of carbon, in words")


class Agents(BaseModel):
    """Agents that the ledger knows, real or made up."""

    simulated: bool = Field(description="made up by a demonstration")
    known: Count = Field(
        description="agents that were ever heard [1]; for the role public those of hosts, and of endpoints those of "
        "classes of which five are known, which move five at a time or with the day"
    )
    silent: Count = Field(
        description="of them, not heard lately [1]; an endpoint that speaks for itself may be off: it is silent "
        "after a week, and not counted for the role public"
    )


class FleetClass(BaseModel):
    """A class of devices now; what fewer than five endpoints draw is not shown."""

    kind: str = Field(alias="class", description="class of devices")
    simulated: bool = Field(description="made up by a demonstration")
    devices: int | None = Field(description="devices heard lately [1]; null where it is withheld")
    watts: float | None = Field(description="power now [W]; null where it is withheld")
    watts_low: float | None = Field(description="low end of its 95 % interval [W]")
    watts_high: float | None = Field(description="high end [W]")
    share: dict[Basis, float] | None = Field(
        description="of the energy booked since the ledger began, the part of each basis [1]; null where it is withheld"
    )
    expected: int | None = Field(description="machines of the inventory [1]; null where it has none of these")
    with_agent: int | None = Field(
        description="machines that an agent tells of [1]; null where that is not known now, and for the role public "
        "where it is one to four endpoints; it moves by five of them at a time or with the day"
    )
    by_design: int | None = Field(description="machines of the inventory that get no agent by design: no gap [1]")
    silent: int | None = Field(
        description="machines with an agent that were not heard lately, endpoints that speak for themselves not for a "
        "week [1]; null where it is withheld: the role public sees that of hosts"
    )


class Fleet(BaseModel):
    """What the fleet draws now."""

    classes: list[FleetClass]
    at: str | None = Field(
        description="when it was so: the newest commit; power older than the staleness time is not told any more",
        json_schema_extra={"format": "date-time"},
    )
    trouble: str | None = Field(description="why nothing is booked now; null: all is well")
    agents: list[Agents] | None = Field(description="null where the ledger can't be read now")
    since: str | None = Field(
        description="the oldest energy of the ledger; null where there is none, or it can't be read now",
        json_schema_extra={"format": "date-time"},
    )


class Me(BaseModel):
    """Who asks, and what this collector has to show."""

    role: Role = Field(description="of the token; public without one")
    zone: str = Field(description="time zone of the site: the default of `zone`")
    inventory: bool = Field(description="whether there is an inventory, and so /estimate")
    demo: bool = Field(description="whether made-up devices of a demonstration are shown")
    version: str = Field(description="of the collector")
