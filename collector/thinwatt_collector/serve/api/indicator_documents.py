"""What /indicators answers with, as the OpenAPI document tells it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from thinwatt_collector.models.rules import Rule
from thinwatt_collector.serve.api.documents import Carbon
from thinwatt_collector.serve.api.making_documents import Caution, Count, Day

Each = Annotated[float | None, Field(description="greenhouse gases [gCO2e]; null: no figure, see `reason`", ge=0)]
Served = Annotated[float | None, Field(description="hours [h]; null: no figure, see `reason`", ge=0)]


class Energy(BaseModel):
    """Electricity of the window, with what rooms need for their machines, and its 95 % interval."""

    kwh: float = Field(description="electricity [kWh]", ge=0)
    kwh_low: float = Field(description="lower end of the 95 % interval [kWh]", ge=0)
    kwh_high: float = Field(description="upper end of it [kWh]", ge=0)


class Mass(BaseModel):
    """Greenhouse gases of the window with their 95 % interval."""

    kgco2e: float = Field(description="greenhouse gases [kgCO2e]", ge=0)
    kgco2e_low: float = Field(description="lower end of the 95 % interval [kgCO2e]", ge=0)
    kgco2e_high: float = Field(description="upper end of it [kgCO2e]", ge=0)


class Score(BaseModel):
    """The software carbon intensity (ISO/IEC 21031): (E · I + M) for each of what was served."""

    gco2e: Each
    gco2e_low: Each
    gco2e_high: Each
    served: Served
    use_kgco2e: float | None = Field(description="E · I: of using electricity [kgCO2e]", ge=0)
    use_kgco2e_low: float | None = Field(description="lower end of its 95 % interval [kgCO2e]", ge=0)
    use_kgco2e_high: float | None = Field(description="upper end of it [kgCO2e]", ge=0)
    making_kgco2e: float | None = Field(description="M: the amortised making that is reserved for it [kgCO2e]", ge=0)
    making_kgco2e_low: float | None = Field(description="lower end of its 95 % interval [kgCO2e]", ge=0)
    making_kgco2e_high: float | None = Field(description="upper end of it [kgCO2e]", ge=0)
    reason: Caution | None = Field(description="why there is no figure; null where there is one")


class SeatScore(Score):
    """For an hour of a seat: endpoints in rooms with seats, and the hosts of the seats' pools."""

    seats: int | None = Field(
        description="that it is of, when the window ends: in rooms where 95 % of the endpoints have their energy in "
        "the ledger [1]; null where the inventory tells none",
        ge=0,
    )
    seats_all: int | None = Field(description="of these places [1]", ge=0)


class PoolScore(Score):
    """For an hour with somebody at a desktop of a pool, without endpoints."""

    pool: str


class ActiveScore(Score):
    """For an hour with somebody at a desktop, of all pools."""

    pools: list[PoolScore]


class Sci(BaseModel):
    """One figure for each functional unit; they are not compared with each other."""

    seat_hour: SeatScore
    active_hour: ActiveScore = Field(description="role technical")
    session: Score


class Criterion(BaseModel):
    """What the electricity took of another criterion; indicative."""

    criterion: Literal["primary_energy", "adpe", "water"] = Field(
        description="primary energy; abiotic resources, elements; water consumed by making the electricity"
    )
    value: float = Field(description="of the window's electricity [unit]", ge=0)
    value_low: float = Field(description="lower end of the 95 % interval [unit]", ge=0)
    value_high: float = Field(description="upper end of it [unit]", ge=0)
    unit: str
    each_kwh: float = Field(description="the factor used [unit / kWh]", ge=0)
    indicative: bool
    source: str


class Equivalence(BaseModel):
    """What emits as much."""

    name: str
    value: float = Field(description="how many [unit]", ge=0)
    value_low: float = Field(description="lower end of the 95 % interval [unit]", ge=0)
    value_high: float = Field(description="upper end of it [unit]", ge=0)
    unit: str
    en: str = Field(description="what it is a number of, in English")
    fr: str = Field(description="what it is a number of, in French")
    kgco2e_each: float = Field(description="the factor used [kgCO2e / unit]", gt=0)
    source: str


class Indicators(BaseModel):
    """Indicators of whole days: raw figures first, equivalences last and never without them."""

    begin: Day = Field(description="first day, or that on which the ledger begins")
    end: Day = Field(description="first day no more of it")
    rule: Rule
    boundary: Literal["room"] = Field(description="energy is that of the machines and of what their room needs (PUE)")
    simulated: bool = Field(description="the devices are made up by a demonstration")
    devices: Count = Field(description="machines of the inventory in these places when the window ends [1]")
    agents: Count = Field(description="of them, those whose energy is in the ledger [1]")
    energy: Energy
    use: Mass
    making: Mass = Field(description="amortised: what the window bears of making the inventory's devices")
    total: Mass | None = Field(
        description="use and amortised making of the `agents` devices whose energy is in the ledger; null without any"
    )
    incomplete: Caution | None = Field(description="how many devices it is not of; null where it is of all")
    carbon: Carbon
    sci: Sci
    annex: list[Criterion] = Field(description="other criteria of the electricity; empty for a zone without factors")
    annex_caution: Caution
    equivalences_of: Literal["total", "use"] = Field(description="which of the figures above they explain")
    equivalences: list[Equivalence]
