"""The endpoints of /api/v1 and their OpenAPI document; what they do stands in ``endpoints.py``."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from thinwatt_agent import __version__
from thinwatt_collector.serve.api import calibrations, campus_documents, cycle_routes, documents, events, pools, shares
from thinwatt_collector.serve.api.endpoints import Endpoints, Setting, allow, sent_as_json
from thinwatt_collector.serve.api.export import MEDIA as EXPORTS
from thinwatt_collector.serve.api.export import Format
from thinwatt_collector.serve.api.openapi import describe, refusals
from thinwatt_collector.serve.api.parameters import (
    Begin,
    BoundaryOf,
    Cursor,
    End,
    GrainOf,
    Limit,
    Texts,
    ViewOf,
    Zone,
    only,
)
from thinwatt_collector.serve.api.problems import ProblemError, wrong
from thinwatt_collector.serve.api.question import FILTERS, Question

__all__ = ("Setting", "create_api")


def create_api(setting: Setting) -> FastAPI:
    """Return the application to be mounted at /api/v1."""
    ends = Endpoints(setting)
    routes = APIRouter(default_response_class=JSONResponse)
    asking = Depends(ends.question)
    names = ("begin", "end", "grain", "zone", "by", *FILTERS)

    of_now, of_the_ledger, of_a_role = refusals(), refusals(403, 422, 503), refusals(403, 404, 503)

    @routes.get(
        "/fleet",
        response_model=campus_documents.Fleet,
        responses=of_now,
        summary="Power now, by class, and who is there",
    )
    async def fleet(request: Request) -> Response:
        return await ends.fleet(request)

    @routes.get(
        "/estimate",
        response_model=campus_documents.Estimate,
        responses=refusals(404, 503),
        summary="A year, and what to measure next",
    )
    async def estimate(request: Request) -> Response:
        return await ends.estimate(request)

    @routes.get(
        "/me", response_model=campus_documents.Me, responses=of_now, summary="Who asks, and what there is to show"
    )
    async def me(request: Request) -> Response:
        return ends.me(request)

    @routes.get(
        "/energy",
        response_model=documents.Energy,
        responses=of_the_ledger,
        summary="Energy and carbon, with their interval",
    )
    async def energy(
        request: Request,
        asked: Question = asking,
        view: ViewOf = "restated",
        boundary: BoundaryOf = "machines",
        limit: Limit = 1000,
        cursor: Cursor = None,
    ) -> Response:
        allow(request, *names, "view", "boundary", "limit", "cursor")
        return await ends.energy(request, replace(asked, boundary=boundary), view, limit, cursor)

    @routes.get(
        "/coverage",
        response_model=documents.Coverage,
        responses=of_the_ledger,
        summary="For how much of the time energy is known",
    )
    async def covered(
        request: Request, asked: Question = asking, limit: Limit = 1000, cursor: Cursor = None
    ) -> Response:
        allow(request, *names, "limit", "cursor")
        return await ends.coverage(request, asked, limit, cursor)

    @routes.get(
        "/events",
        response_model=events.Events,
        responses=refusals(403, 422, 503),
        summary="Why earlier figures changed, in words",
    )
    async def happened(request: Request, limit: Limit = 100, cursor: Cursor = None) -> Response:
        return await ends.events(request, limit, cursor)

    @routes.get(
        "/agents",
        response_model=documents.Agents,
        responses=of_the_ledger,
        summary="Agents and their health (role technical)",
    )
    async def agents(request: Request, limit: Limit = 1000, cursor: Cursor = None) -> Response:
        return await ends.agents(request, limit, cursor)

    @routes.get(
        "/calibrations",
        response_model=calibrations.CalibrationsOf,
        responses=of_a_role,
        summary="Power models of hardware, and their error",
    )
    async def models(
        request: Request,
        device: Annotated[
            str | None, Query(max_length=200, description="whose models are told as well (role technical)")
        ] = None,
    ) -> Response:
        return await ends.calibrations(request, device)

    files: dict[int | str, dict[str, Any]] = of_the_ledger | {
        200: {"description": "the file", "content": {EXPORTS[form].split(";")[0]: {} for form in EXPORTS}}
    }

    @routes.get("/export", response_class=Response, responses=files, summary="The rows of /energy as CSV or Parquet")
    async def export(
        request: Request,
        asked: Question = asking,
        format: Annotated[Format, Query(description="of the file")] = "csv",  # noqa: A002  # its name in the address
        view: ViewOf = "restated",
        boundary: BoundaryOf = "machines",
    ) -> Response:
        allow(request, *names, "view", "boundary", "format")
        return await ends.export(request, replace(asked, boundary=boundary), view, format)

    _of_desktops(routes, ends)
    cycle_routes.add(routes, setting, ends)
    app = FastAPI(title="thinwatt", version=__version__, openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(routes)
    app.add_api_route("/openapi.json", lambda: sent_as_json(app.openapi()), include_in_schema=False)
    describe(app)
    _errors(app)
    return app


def _of_desktops(routes: APIRouter, ends: Endpoints) -> None:
    """Add what is told of desktops on hosts."""
    names = ("begin", "end", "grain", "zone", *shares.FILTERS, "boundary", "limit", "cursor")

    of_the_ledger = refusals(403, 422, 503)

    @routes.get(
        "/shares",
        response_model=shares.Shares,
        responses=of_the_ledger,
        summary="Where hosts' energy went, by pool (role technical)",
    )
    async def shared(
        request: Request,
        begin: Begin = None,
        end: End = None,
        grain: GrainOf = "day",
        zone: Zone = None,
        simulated: Annotated[Texts, only("simulated")] = None,
        device: Annotated[Texts, only("device")] = None,
        boundary: BoundaryOf = "machines",
        limit: Limit = 1000,
        cursor: Cursor = None,
    ) -> Response:
        allow(request, *names)
        asked = ends.question(request, begin, end, grain, zone, "", simulated=simulated, device=device)
        return await ends.shares(request, replace(asked, boundary=boundary), limit, cursor)

    @routes.get(
        "/pools",
        response_model=pools.Pools,
        responses=of_the_ledger,
        summary="What pools of desktops draw per active hour (role technical)",
    )
    async def of_pools(
        request: Request,
        begin: Begin = None,
        end: End = None,
        grain: GrainOf = "day",
        zone: Zone = None,
        simulated: Annotated[Texts, only("simulated")] = None,
        device: Annotated[Texts, only("device")] = None,
        boundary: BoundaryOf = "room",
        limit: Limit = 1000,
        cursor: Cursor = None,
    ) -> Response:
        allow(request, *names)
        asked = ends.question(request, begin, end, grain, zone, "", simulated=simulated, device=device)
        return await ends.pools(request, replace(asked, boundary=boundary), limit, cursor)


LIMITS: Final = {
    "ge": "at least",
    "gt": "more than",
    "le": "at most",
    "lt": "less than",
    "expected": "one of",
    "max_length": "a text of a length of at most",
}
"""What pydantic calls a limit, in words."""


def _errors(app: FastAPI) -> None:
    async def problem(_: Request, error: Exception) -> Response:
        if not isinstance(error, ProblemError):
            raise error
        return error.response()

    async def invalid(_: Request, error: Exception) -> Response:
        if not isinstance(error, RequestValidationError):
            raise error
        first = error.errors()[0]
        name = str(first["loc"][1]) if len(first["loc"]) > 1 else "query"
        limits = [f"{LIMITS[key]} {limit}" for key, limit in first.get("ctx", {}).items() if key in LIMITS]
        remedy = f"give {' and '.join(limits)}" if limits else "see the OpenAPI document"
        return wrong(name, str(first["msg"]), remedy).response()

    async def http(_: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        remedy = "/api/v1/openapi.json lists what there is" if error.status_code == 404 else ""
        return ProblemError(error.status_code, error.detail, remedy=remedy, headers=error.headers).response()

    app.add_exception_handler(ProblemError, problem)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
