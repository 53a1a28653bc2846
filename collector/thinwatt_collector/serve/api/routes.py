"""The endpoints of /api/v1. They parse, ask and write; what may be shown is decided in ``privacy.py``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol

import orjson
from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from thinwatt_agent import __version__
from thinwatt_collector.factors import Intensity
from thinwatt_collector.inventory.watched import Now, nothing_known
from thinwatt_collector.serve.api import (
    answers,
    calendar,
    calibrations,
    campus_documents,
    documents,
    paging,
    prices,
    shares,
)
from thinwatt_collector.serve.api.access import Access
from thinwatt_collector.serve.api.books import Books, Gate, Reader, UnreadableError
from thinwatt_collector.serve.api.calendar import Grain
from thinwatt_collector.serve.api.campus import CampusView
from thinwatt_collector.serve.api.coverage import coverage
from thinwatt_collector.serve.api.energy import Accounts, View
from thinwatt_collector.serve.api.export import MEDIA as EXPORTS
from thinwatt_collector.serve.api.export import Export, Format, sent
from thinwatt_collector.serve.api.openapi import RESPONSES, describe
from thinwatt_collector.serve.api.privacy import Role, sees_all
from thinwatt_collector.serve.api.problems import ProblemError, wrong
from thinwatt_collector.serve.api.published import Published
from thinwatt_collector.serve.api.question import DIMENSIONS, FILTERS, MOMENT, Question, known, question
from thinwatt_collector.serve.api.shown import of_classes
from thinwatt_collector.serve.exposition import Family

LONGEST_EXPORT: Final = 2_000_000
"""Rows of one export."""
Clock = Callable[[], float]


class Snapshot(Protocol):
    """The part of the pages' source that the API shows."""

    def families(self, technical: bool = False) -> Sequence[Family]:
        """Return the families of the last committed snapshot, as everybody or as the technical role may see them."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the API is made of.

    Attributes:
        snapshot: the fleet now.
        books: the ledger.
        intensity: of the grid, as it is known now.
        access: who may see what.
        zone: time zone of the site: whose days law 7 goes by, and the default of ``zone``.
        clock: UTC [s].
        inventory: what stands where, as known now.
        cells: those of endpoints, for the role public; None: new ones.
        booked: of the grid, as it was known on each day; None: nothing else was known then.
        stale_after: silence after which a device has departed [s].
        calibrations: what metered machines have taught of their hardware models.
    """

    snapshot: Snapshot
    books: Books
    intensity: Intensity
    access: Access
    zone: str
    clock: Clock = time.time
    inventory: Now = nothing_known
    cells: Published | None = None
    booked: Intensity | None = None
    stale_after: float = 600.0
    calibrations: calibrations.Knows = calibrations.NOBODY

    @property
    def published(self) -> Published:
        """Return the cells of endpoints, for the role public."""
        return self.cells or Published(calendar.clocks(self.zone), None, self.inventory)


WRITTEN: Final[dict[str, Any]] = {"pattern": f"^{MOMENT}$"}
"""In the document only: a time that is none gets an error of its own."""
Begin = Annotated[
    str | None,
    Query(
        json_schema_extra=WRITTEN,
        description="from when on, ISO 8601; a date is its midnight in `zone`; default: today's",
        examples=["2026-11-01"],
    ),
]
End = Annotated[
    str | None,
    Query(json_schema_extra=WRITTEN, description="until before when; default: now", examples=["2026-12-01"]),
]
GrainOf = Annotated[Grain, Query(description="length of a bucket; a slot is a quarter of an hour UTC")]
Zone = Annotated[
    str | None,
    Query(
        description="time zone by whose clocks days and months begin; default: the collector's",
        max_length=64,
        examples=["Europe/Paris"],
    ),
]
ENERGY_BY: Final = "|".join(DIMENSIONS)
By = Annotated[
    str,
    Query(
        json_schema_extra={"pattern": f"^(({ENERGY_BY})(,({ENERGY_BY}))*)?$"},
        description="dimensions of the rows, with commas; made-up devices always stand apart; device: role technical",
        examples=["class,basis", "site,building,room"],
    ),
]
ViewOf = Annotated[
    View,
    Query(
        description="restated: carbon by the factors, and modelled energy by the calibrations, that are known now; "
        "booked: by those known on each day"
    ),
]
Limit = Annotated[int, Query(ge=1, le=10_000, description="rows on a page [1]")]
Cursor = Annotated[str | None, Query(max_length=2_000, description="`next` of the page before")]


def _only(what: str) -> Any:
    return Query(alias=what, description=f"only this {what}; may be repeated", max_length=50)


Texts = list[Annotated[str, Query(max_length=200)]] | None


class Endpoints:
    """The endpoints over one setting."""

    def __init__(self, setting: Setting) -> None:
        self._set = setting
        self._gate = Gate(setting.books)
        self._accounts = Accounts(
            setting.intensity,
            setting.published,
            setting.inventory,
            setting.zone,
            setting.booked,
            setting.calibrations.now,
        )
        self._campus = CampusView(self._gate, self._accounts, setting.inventory, calendar.clocks(setting.zone))

    def role(self, request: Request) -> Role:
        """Return the asker's role."""
        return self._set.access.role(request)

    def question(
        self,
        request: Request,
        begin: Begin = None,
        end: End = None,
        grain: GrainOf = "day",
        zone: Zone = None,
        by: By = "class",
        kind: Annotated[Texts, _only("class")] = None,
        model: Annotated[Texts, _only("model")] = None,
        basis: Annotated[Texts, _only("basis")] = None,
        simulated: Annotated[Texts, _only("simulated")] = None,
        establishment: Annotated[Texts, _only("establishment")] = None,
        site: Annotated[Texts, _only("site")] = None,
        building: Annotated[Texts, _only("building")] = None,
        room: Annotated[Texts, _only("room")] = None,
        pool: Annotated[Texts, _only("pool")] = None,
        device: Annotated[Texts, _only("device")] = None,
    ) -> Question:
        """Return what is asked."""
        given = (kind, model, basis, simulated, establishment, site, building, room, pool, device)
        where = {name: texts for name, texts in zip(FILTERS, given, strict=True) if texts}
        return question(
            begin,
            end,
            grain,
            zone or self._set.zone,
            [name for name in by.split(",") if name],
            where,
            self.role(request),
            int(self._set.clock()),
        )

    def now(self) -> int:
        """Return UTC [s]."""
        return int(self._set.clock())

    async def fleet(self, request: Request) -> Response:
        """Return what the fleet draws now, by class, and who is expected, connected and silent."""
        _allow(request)
        shown = answers.fleet(of_classes(self._set.snapshot.families(sees_all(self.role(request)))))
        return _json(await self._campus.fleet(shown, self.role(request), self.now(), self._set.stale_after))

    async def estimate(self, request: Request) -> Response:
        """Return a year of the inventory's fleet."""
        _allow(request)
        return _json(await self._campus.estimate(self.role(request), self.now()))

    def me(self, request: Request) -> Response:
        """Return who asks, and what there is to show."""
        _allow(request)
        shown = answers.fleet(of_classes(self._set.snapshot.families()))
        there = self._set.inventory().inventory is not None
        about = {"zone": self._set.zone, "inventory": there, "demo": any(row["simulated"] for row in shown)}
        return _json({"role": self.role(request), **about, "version": __version__})

    async def energy(self, request: Request, asked: Question, view: View, limit: int, cursor: str | None) -> Response:
        """Return a page of energy, carbon and euros."""
        role, now = self.role(request), self.now()
        last = paging.behind(cursor, _key(asked, role), 1 + len(asked.by))
        found = await self._gate.ask(lambda reader: self._accounts.energy(reader, asked, role, now, view))
        apart = self._accounts.apart_until(asked, role)
        chosen, after = answers.page(found.rows, asked.by, last, limit)
        columns = answers.energy_columns(found, asked)
        return _json(
            _about(asked)
            | {"view": view, "by": list(asked.by), "apart_until": apart and calendar.text(apart, asked.zone)}
            | {"carbon": answers.carbon(self._set.intensity, found.factors, view), "tariffs": prices.told(found.prices)}
            | {"rows": answers.records(columns, chosen), "next": after and paging.cursor(_key(asked, role), after)}
        )

    async def coverage(self, request: Request, asked: Question, limit: int, cursor: str | None) -> Response:
        """Return a page of covered and gap time."""
        role, now = self.role(request), self.now()
        last = paging.behind(cursor, _key(asked, role), 1 + len(asked.by))
        rows, expected, end = await self._gate.ask(lambda reader: coverage(self._accounts, reader, asked, role, now))
        chosen, after = answers.page(rows, asked.by, last, limit)
        columns = answers.coverage_columns(rows, expected, end, asked)
        return _json(
            _about(asked)
            | {"by": list(asked.by), "rows": answers.records(columns, chosen)}
            | {"next": after and paging.cursor(_key(asked, role), after)}
        )

    async def shares(self, request: Request, asked: Question, limit: int, cursor: str | None) -> Response:
        """Return a page of the parts of hosts' energy."""
        role, now = self._technical(request, "where the energy of desktops went is"), self.now()
        whole = shares.of_hosts(asked)
        last = paging.behind(cursor, _key(whole, role), 1 + len(whole.by))
        found = await self._gate.ask(lambda reader: self._accounts.energy(reader, whole, role, now))
        chosen, after = answers.page(found.rows, whole.by, last, limit)
        return _json(
            _about(asked)
            | {"carbon": answers.carbon(self._set.intensity, found.factors)}
            | {"rows": answers.records(shares.columns(found, whole), chosen)}
            | {"next": after and paging.cursor(_key(whole, role), after)}
        )

    def _technical(self, request: Request, what: str) -> Role:
        """Return a role that sees all, or refuse the asker."""
        role = self.role(request)
        if not sees_all(role):
            raise ProblemError(403, f"{what} not shown to the role {role}", remedy="show a token of the role technical")
        return role

    async def agents(self, request: Request, limit: int, cursor: str | None) -> Response:
        """Return a page of agents."""
        _allow(request, "limit", "cursor")
        self._technical(request, "agents are")
        last = paging.behind(cursor, "agents", 1)
        try:
            found = await run_in_threadpool(self._set.books.agents, str(last[0]) if last else "", limit + 1)
        except UnreadableError as error:
            raise ProblemError(503, str(error), remedy="ask again later", headers={"Retry-After": "5"}) from error
        after = [found[limit - 1].name] if len(found) > limit else None
        listed = [answers.agent(a) for a in found[:limit]]
        return _json({"agents": listed, "next": after and paging.cursor("agents", after)})

    async def calibrations(self, request: Request, device: str | None) -> Response:
        """Return what is known of hardware models."""
        _allow(request, "device")
        role, clock = self.role(request), calendar.clocks(self._set.zone)
        found = None
        if device is not None:
            self._technical(request, "single devices are")
            census = await self._gate.ask(lambda reader: reader.census())
            found = next((known for known in census.devices if known.name == device), None)
            if found is None:
                raise wrong("device", f"the ledger knows no {device!r}", "ask /energy?by=device for their names")
        return _json(calibrations.document(self._set.calibrations, role, clock, found, self.now()))

    async def export(self, request: Request, asked: Question, view: View, form: Format) -> Response:
        """Return energy, carbon and euros as a file."""
        role, now = self.role(request), self.now()

        def write(reader: Reader) -> Export:
            found = self._accounts.energy(reader, asked, role, now, view)
            if len(found.rows) > LONGEST_EXPORT:
                raise wrong("grain", f"that is {len(found.rows)} rows", "take a coarser grain or a shorter window")
            return Export(answers.energy_columns(found, asked), form)

        return sent(await self._gate.ask(write), form, (asked.begin, asked.end), asked.zone)


def create_api(setting: Setting) -> FastAPI:
    """Return the application to be mounted at /api/v1."""
    ends = Endpoints(setting)
    routes = APIRouter(responses=RESPONSES, default_response_class=Response)
    asking = Depends(ends.question)
    energy_names = ("begin", "end", "grain", "zone", "by", "view", *FILTERS)

    @routes.get("/fleet", response_model=campus_documents.Fleet, summary="Power now, by class, and who is there")
    async def fleet(request: Request) -> Response:
        return await ends.fleet(request)

    @routes.get("/estimate", response_model=campus_documents.Estimate, summary="A year, and what to measure next")
    async def estimate(request: Request) -> Response:
        return await ends.estimate(request)

    @routes.get("/me", response_model=campus_documents.Me, summary="Who asks, and what there is to show")
    async def me(request: Request) -> Response:
        return ends.me(request)

    @routes.get("/energy", response_model=documents.Energy, summary="Energy and carbon, with their interval")
    async def energy(
        request: Request,
        asked: Question = asking,
        view: ViewOf = "restated",
        limit: Limit = 1000,
        cursor: Cursor = None,
    ) -> Response:
        _allow(request, *energy_names, "limit", "cursor")
        return await ends.energy(request, asked, view, limit, cursor)

    @routes.get("/coverage", response_model=documents.Coverage, summary="For how much of the time energy is known")
    async def covered(
        request: Request, asked: Question = asking, limit: Limit = 1000, cursor: Cursor = None
    ) -> Response:
        _allow(request, *(name for name in energy_names if name != "view"), "limit", "cursor")
        return await ends.coverage(request, asked, limit, cursor)

    @routes.get("/shares", response_model=shares.Shares, summary="Where hosts' energy went, by pool (role technical)")
    async def shared(
        request: Request,
        begin: Begin = None,
        end: End = None,
        grain: GrainOf = "day",
        zone: Zone = None,
        simulated: Annotated[Texts, _only("simulated")] = None,
        device: Annotated[Texts, _only("device")] = None,
        limit: Limit = 1000,
        cursor: Cursor = None,
    ) -> Response:
        _allow(request, "begin", "end", "grain", "zone", *shares.FILTERS, "limit", "cursor")
        asked = ends.question(request, begin, end, grain, zone, "", simulated=simulated, device=device)
        return await ends.shares(request, asked, limit, cursor)

    @routes.get("/agents", response_model=documents.Agents, summary="Agents and their health (role technical)")
    async def agents(request: Request, limit: Limit = 1000, cursor: Cursor = None) -> Response:
        return await ends.agents(request, limit, cursor)

    @routes.get(
        "/calibrations", response_model=calibrations.CalibrationsOf, summary="Power models of hardware, and their error"
    )
    async def models(
        request: Request,
        device: Annotated[
            str | None, Query(max_length=200, description="whose models are told as well (role technical)")
        ] = None,
    ) -> Response:
        return await ends.calibrations(request, device)

    files: dict[int | str, dict[str, Any]] = {
        200: {"description": "the file", "content": {EXPORTS[form].split(";")[0]: {} for form in EXPORTS}}
    }

    @routes.get("/export", response_class=Response, responses=files, summary="The rows of /energy as CSV or Parquet")
    async def export(
        request: Request,
        asked: Question = asking,
        format: Annotated[Format, Query(description="of the file")] = "csv",  # noqa: A002  # its name in the address
        view: ViewOf = "restated",
    ) -> Response:
        _allow(request, *energy_names, "format")
        return await ends.export(request, asked, view, format)

    app = FastAPI(title="thinwatt", version=__version__, openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(routes)
    app.add_api_route("/openapi.json", lambda: _json(app.openapi()), include_in_schema=False)
    describe(app)
    _errors(app)
    return app


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
        limits = ", ".join(f"{key}: {limit}" for key, limit in first.get("ctx", {}).items() if key != "error")
        remedy = f"it must meet {limits}" if limits else "see the OpenAPI document"
        return wrong(name, str(first["msg"]), remedy).response()

    async def http(_: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        remedy = "/api/v1/openapi.json lists what there is" if error.status_code == 404 else ""
        return ProblemError(error.status_code, error.detail, remedy=remedy, headers=error.headers).response()

    app.add_exception_handler(ProblemError, problem)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


def _allow(request: Request, *names: str) -> None:
    known([name for name, _ in request.query_params.multi_items()], names)


def _json(document: Any) -> Response:
    return Response(orjson.dumps(document), media_type="application/json", headers={"cache-control": "no-store"})


def _about(asked: Question) -> dict[str, Any]:
    begin, end = (calendar.text(t, asked.zone) for t in (asked.begin, asked.end))
    return {"begin": begin, "end": end, "grain": asked.grain, "zone": asked.zone.key}


def _key(asked: Question, role: Role) -> str:
    """Return what tells a question from others."""
    where = sorted((name, list(texts)) for name, texts in asked.where.items())
    return json.dumps([asked.begin, asked.grain, asked.zone.key, asked.by, where, role])
