"""What /making answers with, as the OpenAPI document tells it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from thinwatt_collector.models.rules import Rule

Kg = Annotated[float, Field(description="greenhouse gases of making [kgCO2e]", ge=0)]
Low = Annotated[float, Field(description="lower end of the 95 % interval [kgCO2e]", ge=0)]
High = Annotated[float, Field(description="upper end of it [kgCO2e]", ge=0)]
Count = Annotated[int, Field(ge=0)]
Day = Annotated[str, Field(json_schema_extra={"format": "date"})]
PLACE = "as the inventory has it; '' where it tells none, 'other' where single ones are too few"


class Masses(BaseModel):
    """The making in the views that there are; amortised and purchases are never added."""

    amortised_kgco2e: float = Field(
        description="what the period bears of devices within their lifetime, days / 365.25 of a year's part [kgCO2e]",
        ge=0,
    )
    amortised_kgco2e_low: Low
    amortised_kgco2e_high: High
    written_off_kgco2e: float = Field(
        description="what was left to bear of what left in the period, or had its first life end there [kgCO2e]", ge=0
    )
    written_off_kgco2e_low: Low
    written_off_kgco2e_high: High
    passed_on_kgco2e: float = Field(description="what goes with a device to whoever uses it next [kgCO2e]", ge=0)
    passed_on_kgco2e_low: Low
    passed_on_kgco2e_high: High
    purchases_kgco2e: float = Field(
        description="all of the making of what was bought, or reconditioned, in the period [kgCO2e]", ge=0
    )
    purchases_kgco2e_low: Low
    purchases_kgco2e_high: High


class MakingRow(Masses):
    """A period and a group of devices; the masses are by `rule`. The dimensions asked for in `by` stand beside."""

    begin: Day
    end: Day
    establishment: str | None = Field(None, description=f"establishment, {PLACE}")
    site: str | None = Field(None, description=f"site, {PLACE}")
    building: str | None = Field(None, description=f"building, {PLACE}")
    room: str | None = Field(None, description=f"room, {PLACE}")
    kind: str | None = Field(None, alias="class", description="class of devices; 'other' where single ones are too few")
    model: str | None = Field(None, description="hardware model; '' unknown, 'other' several")
    devices: Count = Field(description="in service when the period ends [1]")
    by_rule: dict[Rule, Masses] = Field(description="the same by each rule of a second life, side by side")
    bought: Count = Field(description="in the period [1]")
    bought_reconditioned: Count = Field(description="of them, those with a first life elsewhere [1]")
    reconditioned: Count = Field(description="here, in the period [1]")
    left: dict[Literal["given", "sold", "scrapped", "retired"], Count] = Field(
        description="what left in the period, by what became of it [1]; retired: no event says where it went"
    )
    beyond_lifetime: Count = Field(description="of `devices`, those older than planned: they bear nothing [1]")
    years_beyond_lifetime: float = Field(description="by how much, added up over devices [year]", ge=0)
    undated: Count = Field(description="of `devices`, those without a day of purchase: they are in no mass [1]")
    making_from: dict[Literal["sheet", "parts", "class"], Count] = Field(
        description="of `devices`, by where their making comes from: the model's sheet, its parts, the class's mean [1]"
    )


Part = Annotated[float | None, Field(ge=0)]


class ReuseYear(BaseModel):
    """A calendar year of an establishment: devices that were ten years old at most when they were retired."""

    year: int
    establishment: str = Field(description=f"establishment, {PLACE}")
    reused: Count = Field(description="given or sold in the year: A of the decree [1]")
    scrapped: Count = Field(description="scrapped in the year [1]")
    unknown: Count = Field(description="retired in the year, and no event says where they went [1]")
    older_than_ten_years: Count = Field(description="left or retired in the year, and too old to be counted [1]")
    undated: Count = Field(description="of the first three, those of unknown age; they are counted [1]")
    in_stock_on_january_1: Count = Field(
        description="retired before the year, and not gone by then as far as events tell: B of the decree [1]"
    )
    proportion_of_the_decree: Part = Field(description="A / B, may exceed 1 [1]; null where nothing was in stock")
    share_of_what_left: Part = Field(description="reused / (reused + scrapped) [1]; null where nothing left")
    share_low: Part = Field(description="the share if none of the unknown are used again [1]")
    share_high: Part = Field(description="the share if all of them are [1]")
    objective: Part = Field(description="that the decree asks for in the year [1]; null before 2023")


class Caution(BaseModel):
    """A text in both languages."""

    en: str
    fr: str


class Making(BaseModel):
    """The carbon of making the inventory's devices. It comes from the inventory alone."""

    begin: Day
    end: Day
    grain: str
    by: list[str]
    rule: Rule = Field(description="of the second life that the masses of the rows are by; `by_rule` has all three")
    never_added: list[str] = Field(description="two views of one making: their sum means nothing")
    simulated: bool | None = Field(
        description="the devices are made up by a demonstration; null: that can't be read from the ledger now"
    )
    withheld: bool = Field(description="some endpoints are in no row: there were fewer than five of them (law 7)")
    rows: list[MakingRow]
    reuse: list[ReuseYear] = Field(description="by the calendar years that the window touches")
    reuse_caution: Caution = Field(description="what the figures of re-use do not prove")
