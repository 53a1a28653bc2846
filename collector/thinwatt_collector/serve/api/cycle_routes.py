"""The endpoints of what devices took to make, and what they make of the ledger's energy."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from thinwatt_collector.inventory.life_cycle import BY
from thinwatt_collector.models.rules import Rule
from thinwatt_collector.serve.api import calendar, figures, indicator_documents, indicators, making, making_documents
from thinwatt_collector.serve.api.endpoints import Endpoints, Setting, allow, sent_as_json
from thinwatt_collector.serve.api.making import Grain
from thinwatt_collector.serve.api.openapi import refusals
from thinwatt_collector.serve.api.parameters import Texts, only
from thinwatt_collector.serve.api.problems import unfit
from thinwatt_collector.serve.api.question import DATE

DAY: Final[dict[str, Any]] = {"pattern": f"^{DATE}$"}
FirstDay = Annotated[
    str | None,
    Query(json_schema_extra=DAY, description="first day; default: 1 January of the last one", examples=["2025-01-01"]),
]
LastDay = Annotated[
    str | None,
    Query(json_schema_extra=DAY, description="first day no more of it; default: tomorrow", examples=["2026-01-01"]),
]
LastWholeDay = Annotated[
    str | None,
    Query(json_schema_extra=DAY, description="first day no more of it; default: today", examples=["2026-01-01"]),
]
NAMES: Final = "|".join(BY)
ByOf = Annotated[
    str,
    Query(
        json_schema_extra={"pattern": f"^(({NAMES})(,({NAMES}))*)?$"},
        description="dimensions of the rows, with commas",
        examples=["class", "establishment,class", "site,building,room"],
    ),
]
GrainOf = Annotated[Grain, Query(description="length of a period by the calendar; all: the whole window")]
RuleOf = Annotated[
    Rule | None,
    Query(
        description="who bears the making of what has a second life; default: [inventory] second_life. cutoff: the "
        "first life bears the making, the second its reconditioning; linear: all lives bear it evenly; 50_50: the mean"
    ),
]


def add(routes: APIRouter, setting: Setting, ends: Endpoints) -> None:
    """Add the endpoints to those of the API."""
    view = making.MakingView(setting.inventory, calendar.clocks(setting.zone))
    _making(routes, setting, ends, view)
    _indicators(routes, setting, ends, view)


def _split(by: str) -> list[str]:
    return by.split(",") if by else []


def _making(routes: APIRouter, setting: Setting, ends: Endpoints, view: making.MakingView) -> None:
    names = ("begin", "end", "grain", "by", "rule", *making.FILTERS)

    @routes.get(
        "/making",
        response_model=making_documents.Making,
        responses=refusals(404, 422),
        summary="Carbon of making the devices: amortised, purchases, written off; and what is used again",
    )
    async def told(
        request: Request,
        begin: FirstDay = None,
        end: LastDay = None,
        grain: GrainOf = "all",
        by: ByOf = "class",
        rule: RuleOf = None,
        establishment: Annotated[Texts, only("establishment")] = None,
        site: Annotated[Texts, only("site")] = None,
        building: Annotated[Texts, only("building")] = None,
        room: Annotated[Texts, only("room")] = None,
        kind: Annotated[Texts, only("class")] = None,
        model: Annotated[Texts, only("model")] = None,
    ) -> Response:
        allow(request, *names)
        given = (establishment, site, building, room, kind, model)
        where = {name: texts for name, texts in zip(making.FILTERS, given, strict=True) if texts}
        today = view.today(ends.now())
        asked = making.asked(begin, end, grain, _split(by), rule or setting.second_life, where, today)
        document = await run_in_threadpool(view.answer, asked, ends.role(request))
        return sent_as_json(document | {"simulated": await ends.simulated()})


def _indicators(routes: APIRouter, setting: Setting, ends: Endpoints, view: making.MakingView) -> None:
    names = ("begin", "end", "rule", *indicators.FILTERS)
    found = indicators.Indicators(ends.accounts, setting.intensity.zone)

    @routes.get(
        "/indicators",
        response_model=indicator_documents.Indicators,
        responses=refusals(404, 422, 503),
        summary="SCI, other criteria of electricity, equivalences: what stands in a report beside kWh",
    )
    async def told(
        request: Request,
        begin: FirstDay = None,
        end: LastWholeDay = None,
        rule: RuleOf = None,
        establishment: Annotated[Texts, only("establishment")] = None,
        site: Annotated[Texts, only("site")] = None,
        building: Annotated[Texts, only("building")] = None,
        room: Annotated[Texts, only("room")] = None,
    ) -> Response:
        allow(request, *names)
        given = (establishment, site, building, room)
        where = {name: texts for name, texts in zip(indicators.FILTERS, given, strict=True) if texts}
        today, chosen = view.today(ends.now()), rule or setting.second_life
        asked = making.asked(begin, today.isoformat() if end is None else end, "all", (), chosen, where, today)
        if asked.end > today:
            raise unfit("end", f"the days from {today} on are not over", "ask for whole days that are over")
        known = await run_in_threadpool(view.known)
        window = figures.Window(asked.begin, asked.end, calendar.clocks(setting.zone))
        made_up = bool(await ends.simulated())
        whole = figures.Asked(window, asked.where, chosen, ends.role(request), made_up, ends.now())
        return sent_as_json(await ends.gate.ask(lambda reader: found.answer(reader, known, whole)))
