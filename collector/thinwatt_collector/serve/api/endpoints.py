"""What the endpoints of /api/v1 do: parse, ask and write; what may be shown is decided in ``privacy.py``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Protocol

import orjson
from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from thinwatt_agent import __version__
from thinwatt_collector.factors import Intensity
from thinwatt_collector.inventory.watched import Now, nothing_known
from thinwatt_collector.models.devices import ModelOf, model_of
from thinwatt_collector.models.rules import DEFAULT as DEFAULT_RULE
from thinwatt_collector.models.rules import Rule
from thinwatt_collector.serve.api import answers, calendar, calibrations, events, paging, pools, prices, shares
from thinwatt_collector.serve.api.access import Access
from thinwatt_collector.serve.api.books import Books, Gate, Reader, UnreadableError
from thinwatt_collector.serve.api.campus import CampusView
from thinwatt_collector.serve.api.coverage import coverage
from thinwatt_collector.serve.api.energy import Accounts, View
from thinwatt_collector.serve.api.export import Export, Format, sent
from thinwatt_collector.serve.api.parameters import Begin, By, End, GrainOf, Texts, Zone, only
from thinwatt_collector.serve.api.privacy import Role, sees_all
from thinwatt_collector.serve.api.problems import ProblemError, unfit
from thinwatt_collector.serve.api.published import Published
from thinwatt_collector.serve.api.question import FILTERS, Question, known, question
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
        second_life: the rule by which two lives share a making, if none is asked for.
        assumed: power models before any calibration.
        newest: when the snapshot was made, UTC [s], and why it is not newer.
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
    second_life: Rule = DEFAULT_RULE
    assumed: ModelOf = model_of
    newest: Callable[[], tuple[int | None, str]] = lambda: (None, "")

    @property
    def published(self) -> Published:
        """Return the cells of endpoints, for the role public."""
        return self.cells or Published(calendar.clocks(self.zone), None, self.inventory)


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
        kind: Annotated[Texts, only("class")] = None,
        model: Annotated[Texts, only("model")] = None,
        basis: Annotated[Texts, only("basis")] = None,
        simulated: Annotated[Texts, only("simulated")] = None,
        establishment: Annotated[Texts, only("establishment")] = None,
        site: Annotated[Texts, only("site")] = None,
        building: Annotated[Texts, only("building")] = None,
        room: Annotated[Texts, only("room")] = None,
        pool: Annotated[Texts, only("pool")] = None,
        device: Annotated[Texts, only("device")] = None,
    ) -> Question:
        """Return what is asked."""
        given = (kind, model, basis, simulated, establishment, site, building, room, pool, device)
        where = {name: texts for name, texts in zip(FILTERS, given, strict=True) if texts}
        return question(
            begin,
            end,
            grain,
            self._set.zone if zone is None else zone,
            by.split(",") if by else (),
            where,
            self.role(request),
            int(self._set.clock()),
        )

    @property
    def gate(self) -> Gate:
        """Return what lets questions through to the ledger."""
        return self._gate

    @property
    def accounts(self) -> Accounts:
        """Return what answers questions about energy."""
        return self._accounts

    def now(self) -> int:
        """Return UTC [s]."""
        return int(self._set.clock())

    async def simulated(self) -> bool | None:
        """Return whether devices of the inventory are made up by a demonstration; None: the ledger can't be read."""
        try:
            return await self._campus.simulated(self.now())
        except ProblemError:
            return None

    async def fleet(self, request: Request) -> Response:
        """Return what the fleet draws now, by class, and who is expected, connected and silent."""
        allow(request)
        shown = answers.fleet(of_classes(self._set.snapshot.families(sees_all(self.role(request)))))
        found = await self._campus.fleet(shown, self.role(request), self.now(), self._set.stale_after)
        at, trouble = self._set.newest()
        when = None if at is None else calendar.text(at, calendar.clocks(self._set.zone))
        return sent_as_json(found | {"at": when, "trouble": trouble or None})

    async def estimate(self, request: Request) -> Response:
        """Return a year of the inventory's fleet."""
        allow(request)
        return sent_as_json(await self._campus.estimate(self.role(request), self.now()))

    def me(self, request: Request) -> Response:
        """Return who asks, and what there is to show."""
        allow(request)
        shown = answers.fleet(of_classes(self._set.snapshot.families()))
        there = self._set.inventory().inventory is not None
        about = {"zone": self._set.zone, "inventory": there, "demo": any(row["simulated"] for row in shown)}
        return sent_as_json({"role": self.role(request), **about, "version": __version__})

    async def energy(self, request: Request, asked: Question, view: View, limit: int, cursor: str | None) -> Response:
        """Return a page of energy, carbon and euros."""
        role, now = self.role(request), self.now()
        last = paging.behind(cursor, _key(asked, role), 1 + len(asked.by))
        found = await self._gate.ask(lambda reader: self._accounts.energy(reader, asked, role, now, view))
        apart = self._accounts.apart_until(asked, role)
        chosen, after = answers.page(found.rows, asked.by, last, limit)
        columns = answers.energy_columns(found, asked)
        return sent_as_json(
            about(asked)
            | {"view": view, "by": list(asked.by), "apart_until": apart and calendar.text(apart, asked.zone)}
            | {"carbon": answers.carbon(self._set.intensity, found.factors, view), "tariffs": prices.told(found.terms)}
            | {"boundary": asked.boundary, "pues": prices.effectiveness(found.terms)}
            | {"rows": answers.records(columns, chosen), "next": after and paging.cursor(_key(asked, role), after)}
        )

    async def coverage(self, request: Request, asked: Question, limit: int, cursor: str | None) -> Response:
        """Return a page of covered and gap time."""
        role, now = self.role(request), self.now()
        last = paging.behind(cursor, _key(asked, role), 1 + len(asked.by))
        rows, expected, end = await self._gate.ask(lambda reader: coverage(self._accounts, reader, asked, role, now))
        chosen, after = answers.page(rows, asked.by, last, limit)
        columns = answers.coverage_columns(rows, expected, end, asked)
        return sent_as_json(
            about(asked)
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
        return sent_as_json(
            about(asked)
            | {"carbon": answers.carbon(self._set.intensity, found.factors)}
            | {"boundary": asked.boundary, "pues": prices.effectiveness(found.terms)}
            | {"rows": answers.records(shares.columns(found, whole), chosen)}
            | {"next": after and paging.cursor(_key(whole, role), after)}
        )

    async def pools(self, request: Request, asked: Question, limit: int, cursor: str | None) -> Response:
        """Return a page of pools of desktops: their part of hosts' energy, and of their time."""
        role, now = self._technical(request, "what pools of desktops draw is"), self.now()
        by = (*asked.by, *pools.BY)
        last = paging.behind(cursor, _key(replace(asked, by=by), role), 1 + len(by))
        wide = pools.of_hosts(asked)
        found, hours = pools.together(
            await self._gate.ask(lambda reader: self._accounts.energy(reader, wide, role, now)), asked
        )
        whole = replace(asked, by=by)
        chosen, after = answers.page(found.rows, by, last, limit)
        return sent_as_json(
            about(asked)
            | {"carbon": answers.carbon(self._set.intensity, found.factors)}
            | {"boundary": asked.boundary, "pues": prices.effectiveness(found.terms)}
            | {"rows": answers.records(pools.columns(found, hours, whole), chosen)}
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
        allow(request, "limit", "cursor")
        self._technical(request, "agents are")
        last = paging.behind(cursor, "agents", 1)
        try:
            found = await run_in_threadpool(self._set.books.agents, str(last[0]) if last else "", limit + 1)
        except UnreadableError as error:
            raise ProblemError(503, str(error), remedy="ask again later", headers={"Retry-After": "5"}) from error
        after = [found[limit - 1].name] if len(found) > limit else None
        listed = [answers.agent(a) for a in found[:limit]]
        return sent_as_json({"agents": listed, "next": after and paging.cursor("agents", after)})

    async def events(self, request: Request, limit: int, cursor: str | None) -> Response:
        """Return a page of what happened."""
        allow(request, "limit", "cursor")
        last = paging.behind(cursor, "events", 1)
        before = last[0] if last else None
        if not (before is None or (isinstance(before, int) and 0 < before < 2**62)):
            raise unfit("cursor", "it is no cursor", "take `next` of the page before as it stands")
        found = await self._gate.ask(lambda reader: reader.events(before, limit + 1))
        clock = calendar.clocks(self._set.zone)
        after = paging.cursor("events", [found[limit - 1].at]) if len(found) > limit else None
        told = events.shown(found[:limit], self.role(request), clock)
        return sent_as_json({"zone": clock.key, "events": told, "next": after})

    async def calibrations(self, request: Request, device: str | None) -> Response:
        """Return what is known of hardware models."""
        allow(request, "device")
        role, clock = self.role(request), calendar.clocks(self._set.zone)
        found = None
        if device is not None:
            self._technical(request, "single devices are")
            census = await self._gate.ask(lambda reader: reader.census())
            found = next((known for known in census.devices if known.name == device), None)
            if found is None:
                raise ProblemError(
                    404, f"device: the ledger knows no {device!r}", "device", "ask /energy?by=device for their names"
                )
        knows, assumed = self._set.calibrations, self._set.assumed
        return sent_as_json(calibrations.document(knows, assumed, role, clock, found, self.now()))

    async def export(self, request: Request, asked: Question, view: View, form: Format) -> Response:
        """Return energy, carbon and euros as a file."""
        role, now = self.role(request), self.now()

        def write(reader: Reader) -> Export:
            found = self._accounts.energy(reader, asked, role, now, view)
            if len(found.rows) > LONGEST_EXPORT:
                raise unfit("grain", f"that is {len(found.rows)} rows", "take a coarser grain or a shorter window")
            return Export(answers.energy_columns(found, asked), form)

        return sent(await self._gate.ask(write), form, (asked.begin, asked.end), asked.zone)


def allow(request: Request, *names: str) -> None:
    """Refuse a parameter that an endpoint does not have."""
    known([name for name, _ in request.query_params.multi_items()], names)


def sent_as_json(document: Any) -> Response:
    """Return a document as an answer that nobody keeps."""
    return Response(orjson.dumps(document), media_type="application/json", headers={"cache-control": "no-store"})


def about(asked: Question) -> dict[str, Any]:
    """Return what every answer to a question tells of it."""
    begin, end = (calendar.text(t, asked.zone) for t in (asked.begin, asked.end))
    return {"begin": begin, "end": end, "grain": asked.grain, "zone": asked.zone.key}


def _key(asked: Question, role: Role) -> str:
    """Return what tells a question from others."""
    where = sorted((name, list(texts)) for name, texts in asked.where.items())
    return json.dumps([asked.begin, asked.grain, asked.zone.key, asked.by, where, asked.boundary, role])
