"""The pages: / for people, /metrics, /healthz and /readyz. They show the last snapshot and never wait for the step."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

import prometheus_client
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest
from prometheus_client.registry import CollectorRegistry
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from thinwatt_collector.serve.api.access import Access
from thinwatt_collector.serve.api.problems import ProblemError
from thinwatt_collector.serve.exposition import Family, render
from thinwatt_collector.serve.guard import PROVEN
from thinwatt_collector.serve.page import page
from thinwatt_collector.serve.server import Handle, serve

__all__ = ["Handle", "Source", "create_app", "serve"]

log = logging.getLogger(__name__)

SCRAPES: Final = 8
"""Documents of /metrics that exist at one time; more scrapes at once are told to come back."""
CHUNK: Final = 1 << 16
SEND_WITHIN: Final = 30.0
"""A reader that has not taken a document after this time is left [s]: it would hold its memory."""
OPENMETRICS: Final = "application/openmetrics-text"


class Source(Protocol):
    """What the pages show."""

    @property
    def registry(self) -> CollectorRegistry:
        """The collector's own metrics."""

    def families(self, technical: bool = False) -> Sequence[Family]:
        """Return the families of the last committed snapshot, at once; they are never changed.

        Args:
            technical: whether who asks has proven the technical role; else they are everybody's (law 7).
        """

    def ready(self) -> tuple[bool, list[str]]:
        """Return whether what is shown is up to date, and what a person should know, in words."""


def create_app(source: Source, api: ASGIApp | None = None, access: Access | None = None) -> Starlette:
    """Return the application that shows ``source``, and ``api`` at /api/v1; ``access`` knows tokens for /metrics."""
    # Times of creation would double the series of our own counters and mean no more than process_start_time.
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call] # the package has no types there

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def ready(_: Request) -> Response:
        good, said = source.ready()
        return PlainTextResponse("".join(f"{line}\n" for line in [_word(good), *said]), 200 if good else 503)

    routes: list[BaseRoute] = [
        Route("/", page),
        Route("/page/{name}", page),
        Route("/metrics", Metrics(source, access)),
        Route("/healthz", healthy),
        Route("/readyz", ready),
    ]
    if api is not None:
        routes.append(Mount("/api/v1", api))
    return Starlette(routes=routes, exception_handlers={HTTPException: _short})


def below(api: ASGIApp) -> Starlette:
    """Return the API alone, where the whole application has it."""
    return Starlette(routes=[Mount("/api/v1", api)], exception_handlers={HTTPException: _short})


def _word(ready: bool) -> str:
    return "ready" if ready else "not ready"


async def _short(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    text = "there is /, /metrics, /healthz and /readyz" if error.status_code == 404 else error.detail
    return PlainTextResponse(f"{text}\n", error.status_code, error.headers)


class Metrics:
    """/metrics, in the format and the encoding that the scraper asks for."""

    def __init__(self, source: Source, access: Access | None = None) -> None:
        self._source, self._access = source, access
        self._busy = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write one document, unless too many are on their way."""
        request = Request(scope)
        if request.method not in ("GET", "HEAD"):
            raise HTTPException(405, "GET and HEAD are what there is", {"Allow": "GET, HEAD"})
        encoder, content_type = negotiate(",".join(request.headers.getlist("accept")))
        packed = accepts_gzip(",".join(request.headers.getlist("accept-encoding")))
        headers = {"content-type": content_type, "vary": "Accept, Accept-Encoding, Authorization, X-Thinwatt-Token"}
        if packed:
            headers["content-encoding"] = "gzip"
        try:
            technical = self._technical(request)
        except ProblemError as error:
            raise HTTPException(error.status, f"{error}: {error.remedy}", error.headers) from error
        if request.method == "HEAD":
            await Response(headers=headers)(scope, receive, send)
        elif self._busy >= SCRAPES:
            raise HTTPException(503, f"{SCRAPES} scrapes are under way", {"Retry-After": "5"})
        else:
            self._busy += 1
            try:
                document = partial(self._document, technical, encoder, content_type.startswith(OPENMETRICS), packed)
                await _send(send, headers, await run_in_threadpool(document))
            finally:
                self._busy -= 1

    def _technical(self, request: Request) -> bool:
        """Return whether a scraper has proven the technical role: by a token, or by what the web-config file asks."""
        return bool(request.scope.get(PROVEN)) or (self._access is not None and self._access.proves(request))

    def _document(
        self, technical: bool, encoder: Callable[[CollectorRegistry], bytes], openmetrics: bool, packed: bool
    ) -> bytes:
        """Return fleet and own metrics as one document; the encoder of the second writes OpenMetrics' end."""
        text = render(self._source.families(technical), openmetrics) + encoder(self._source.registry)
        return gzip.compress(text, 1, mtime=0) if packed else text


async def _send(send: Send, headers: dict[str, str], body: bytes) -> None:
    start = Response(headers={**headers, "content-length": str(len(body))})
    try:
        async with asyncio.timeout(SEND_WITHIN):
            await send({"type": "http.response.start", "status": 200, "headers": start.raw_headers})
            for at in range(0, len(body), CHUNK):
                more = at + CHUNK < len(body)
                await send({"type": "http.response.body", "body": body[at : at + CHUNK], "more_body": more})
    except TimeoutError:
        log.warning("a scrape of %d bytes was not read within %g s and is given up", len(body), SEND_WITHIN)


def negotiate(accept: str) -> tuple[Callable[[CollectorRegistry], bytes], str]:
    """Return the encoder of prometheus-client and the content type that an Accept header asks for.

    OpenMetrics 1.0 or text 0.0.4; later versions are answered with these, as the specification allows.

    >>> negotiate("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")[1]
    'application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores'
    >>> negotiate("*/*")[1]
    'text/plain; version=0.0.4; charset=utf-8'
    """
    try:
        # Our names need no escaping; the scheme `dots` would change them all the same.
        encoder, content_type = choose_encoder(accept.replace("escaping=dots", "escaping=underscores"))
    except (TypeError, ValueError):  # a version that is no version
        return generate_latest, CONTENT_TYPE_PLAIN_0_0_4
    if not content_type.startswith(OPENMETRICS):
        return generate_latest, CONTENT_TYPE_PLAIN_0_0_4
    return (encoder, content_type) if "version=1." in content_type else choose_encoder(OPENMETRICS)


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether gzip is accepted.

    >>> [accepts_gzip(text) for text in ("gzip", "br, GZIP;q=0.5", "gzip;q=0", "identity", "")]
    [True, True, False, False, False]
    """
    for accepted in accept_encoding.lower().split(","):
        coding, _, quality = accepted.replace(" ", "").partition(";q=")
        if coding == "gzip":
            return quality not in ("0", "0.0", "0.00", "0.000")
    return False
