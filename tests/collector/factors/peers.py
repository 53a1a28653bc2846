"""Three public servers in one, small and on loopback: they answer as their documents say, and fail as servers do.

- ODRÉ, Opendatasoft Explore API v2.1: ``records`` (100 rows a page, 10,000 in all), ``exports/json`` (a bare array).
- Electricity Maps v3: ``history``, ``past-range`` (10 days of hours), a token in the header ``auth-token``.
- Carbon Intensity API of Great Britain: ``/intensity/{from}/{to}`` (14 days), the half hour before comes along.

A fault is what the next answer suffers: a status, a body cut off, a page of HTML in its place.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "a-token"
HTML = b"<!DOCTYPE html><html><body>We will be back soon</body></html>"
STREAM = (
    b'[{"date_heure": "2025-01-01T00:00:00+00:00", "taux_co2": 1}, Streaming interrupted due to the following error'
)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """What one answer suffers.

    ``status`` in its place, with ``headers``; ``body`` in its place; ``cut``: only so many bytes of it, of all that its
    Content-Length promises; ``drip``: a pause before each of its bytes [s]; ``reset``: nothing at all.
    """

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    cut: int | None = None
    drip: float = 0.0
    reset: bool = False


@dataclass
class Servers:
    """What they know, what was asked of them, and what is to go wrong."""

    url: str = ""
    datasets: dict[str, list[Row]] = field(default_factory=dict)
    zones: dict[str, list[Row]] = field(default_factory=dict)
    britain: list[Row] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    revalidated: int = 0

    @property
    def odre(self) -> str:
        return f"{self.url}/api/explore/v2.1/catalog/datasets"

    @property
    def maps(self) -> str:
        return f"{self.url}/v3"


class Handler(BaseHTTPRequestHandler):
    state: Servers

    def do_GET(self) -> None:
        state = self.state
        state.asked.append(unquote(self.path))
        state.headers.append({k.lower(): v for k, v in self.headers.items()})
        fault = state.faults.pop(0) if state.faults else Fault()
        if fault.reset:
            return
        status, found = answer(state, self.path, self.headers.get("auth-token", ""))
        body = json.dumps(found).encode() if fault.body is None else fault.body
        self._send(fault.status or status, body, fault)

    def _send(self, status: int, body: bytes, fault: Fault) -> None:
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if status == 200 and self.headers.get("If-None-Match") == etag and not fault.body:
            self.state.revalidated += 1
            status, body = 304, b""
        self.send_response(status)
        for name, text in fault.headers:
            self.send_header(name, text)
        if status == 200:
            self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for piece in [body[i : i + 1] for i in range(len(body))] if fault.drip else [body[: fault.cut]]:
            time.sleep(fault.drip)
            self.wfile.write(piece)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # http.server's name
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that has had enough hangs up


@contextmanager
def servers() -> Iterator[Servers]:
    state = Servers()
    server = Server(("127.0.0.1", 0), type("Ours", (Handler,), {"state": state}))
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(state: Servers, path: str, token: str) -> tuple[int, Any]:
    parts = urlsplit(path)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    for pattern, do in (
        (r"/api/explore/v2\.1/catalog/datasets/([\w-]+)/(records|exports/json)", odre),
        (r"/v3/carbon-intensity/(history|past-range|latest)", lambda s, g, q: maps(s, g, q, token)),
        (r"/intensity/([^/]+)/([^/]+)", lambda s, g, _: britain(s, g)),
    ):
        if match := re.fullmatch(pattern, parts.path):
            do_it: Callable[..., tuple[int, Any]] = do
            return do_it(state, match.groups(), query)
    return 404, {"error_code": "NotFound", "message": f"no such path {parts.path}"}


def moments(text: str) -> list[datetime]:
    return [datetime.fromisoformat(found) for found in re.findall(r"\d{4}-\d\d-\d\dT[\d:]+(?:Z|[+-]\d\d:\d\d)", text)]


def odre(state: Servers, groups: tuple[str, ...], query: dict[str, str]) -> tuple[int, Any]:
    dataset, what = groups
    if dataset not in state.datasets:
        return 404, {
            "error_code": "DatasetNotFoundError",
            "message": f"The requested dataset {dataset} does not exist.",
        }
    if query.get("timezone") != "UTC":
        return 400, {"error_code": "TestError", "message": "times would be local"}
    first, last = moments(query["where"])
    rows = [r for r in state.datasets[dataset] if first <= datetime.fromisoformat(r["date_heure"]) < last]
    rows.sort(key=lambda r: str(r["date_heure"]))
    wanted = query["select"].split(",")
    rows = [{name: r.get(name) for name in wanted} | {"column_30": None} for r in rows]
    if what == "exports/json":
        return 200, rows
    limit, offset = int(query.get("limit", 10)), int(query.get("offset", 0))
    for value, greatest, name in ((limit, 100, "limit"), (limit + offset, 10_000, "sum of offset + limit")):
        if value > greatest:
            text = f"Invalid value for {name} API parameter: {value} was found but <= {greatest} is expected."
            return 400, {"error_code": "InvalidRESTParameterError", "message": text}
    return 200, {"total_count": len(rows), "results": rows[offset : offset + limit]}


def maps(state: Servers, groups: tuple[str, ...], query: dict[str, str], token: str) -> tuple[int, Any]:
    if token != TOKEN:
        return 401, {"status": "error", "message": "Invalid auth-token"}
    zone = query["zone"]
    if zone not in state.zones:
        if query.get("shouldUseFallbackCallerLookup") == "false":
            return 404, {"status": "error", "message": f"Zone '{zone}' does not exist."}
        zone = "SE-SE4"
    rows = [r for r in state.zones.get(zone, []) if r["emissionFactorType"] == query["emissionFactorType"]]
    if groups[0] == "history":
        return 200, {"zone": zone, "history": rows[-24:]}
    first, last = datetime.fromisoformat(query["start"]), datetime.fromisoformat(query["end"])
    if last - first > timedelta(days=10):
        return 400, {"error": "The time range is limited to 10 days for an hourly granularity"}
    return 200, {"zone": zone, "data": [r for r in rows if first <= datetime.fromisoformat(r["datetime"]) < last]}


def britain(state: Servers, groups: tuple[str, ...]) -> tuple[int, Any]:
    first, last = (datetime.fromisoformat(unquote(text)) for text in groups)
    if last - first > timedelta(days=14):
        return 400, {"error": {"code": "400 Bad Request", "message": "Date range must be 14 days or less"}}
    first -= timedelta(minutes=30)
    return 200, {"data": [r for r in state.britain if first <= datetime.fromisoformat(r["from"]) < last]}
