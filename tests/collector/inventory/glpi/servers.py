"""A GLPI of ours, small and on loopback: both REST APIs as its documents and its code say, and its failures.

- legacy: ``apirest.php`` with initSession, killSession, changeActiveEntities, lists by range (206 and Content-Range,
  400 ERROR_RANGE_EXCEED_TOTAL), getMultipleItems with_infocoms; refusals are ``["CODE", "text"]``.
- v2: ``api.php/token`` with OAuth's grants, ``api.php/v2`` with lists by start, limit, sort and filter (206 and
  Content-Range, whose end may lie beyond the last row), refusals are ``{"status", "title", "detail"}``.

A fault is what the next answer suffers; ``before`` is called before each answer and may change what GLPI knows.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

USER_TOKEN, APP_TOKEN = "q56hqkniwot8wntb3z1qarka5atf365taaa2uyjrn", "f7g3csp8mgatg5ebc5elnazakw20i9fyev1qopya7"
ACCOUNT, PASSWORD = "thinwatt", "mot de passe à lire"
CLIENT, SECRET = "a1b2c3", "d4e5f6-secret"
Row = dict[str, Any]
Answer = tuple[int, Any, dict[str, str]]


@dataclass
class Glpi:
    """What it knows, who is in, what was asked and what is to go wrong.

    Computers have ``id``, ``name``, ``serial``, ``otherserial``, ``type``, ``model``, ``state``, ``maker`` (texts),
    ``entity`` and ``location`` (whole paths) and ``infocom`` (a dict or None).
    """

    url: str = ""
    computers: list[Row] = field(default_factory=list)
    monitors: list[Row] = field(default_factory=list)
    sessions: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    begun: int = 0
    killed: int = 0
    entity: Any = None
    asked: list[str] = field(default_factory=list)
    faults: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    before: Callable[[Glpi, str], None] = lambda _glpi, _path: None
    rights: set[str] = field(default_factory=lambda: {"computer", "infocom", "location"})
    lists_infocoms: bool = True
    credentials: bool = True
    overshoots: bool = True

    def add(self, number: int, **told: Any) -> Row:
        usual: Row = {
            "id": number, "name": f"PC-{number}", "serial": f"S{number}", "otherserial": "", "type": "Notebook",
            "model": "Latitude 5400", "state": "En service", "maker": "Dell", "entity": "Root entity > Université",
            "location": "Nord > Bât. B > B305", "infocom": {"buy": "2022-09-01", "use": None, "value": "812.5000"},
            "is_deleted": 0, "is_template": 0,
        }  # fmt: skip
        self.computers.append(usual | told)
        return self.computers[-1]

    def ways(self) -> list[Row]:
        """Locations as rows: one for each level of each path."""
        paths: dict[str, int] = {}
        for computer in (*self.computers, *self.monitors):
            parts = computer["location"].split(" > ") if computer["location"] else []
            for n in range(len(parts)):
                paths.setdefault(" > ".join(parts[: n + 1]), len(paths) + 1)
        found = []
        for path, number in paths.items():
            above, _, name = path.rpartition(" > ")
            parent = {"id": paths[above], "name": above.rpartition(" > ")[2]} if above else None
            found.append({"id": number, "name": name, "completename": path, "parent": parent})
        return found


class Handler(BaseHTTPRequestHandler):
    glpi: Glpi

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _serve(self, body: bytes) -> None:
        glpi = self.glpi
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = parts.path.strip("/")
        glpi.asked.append(f"{path}?{parts.query}" if parts.query else path)
        glpi.before(glpi, path)
        if glpi.faults:
            status, headers, said = glpi.faults.pop(0)
        else:
            kind, _, rest = path.partition("/")
            answer = {"apirest.php": legacy, "api.php": v2}.get(kind)
            status, document, headers = (
                answer(glpi, rest, query, {k.lower(): v for k, v in self.headers.items()}, body)
                if answer
                else (404, "<html>not here</html>", {})
            )
            said = json.dumps(document).encode() if document is not None else b""
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # http.server's name
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that does not trust the certificate hangs up


@contextmanager
def server(certificate: tuple[Path, Path] | None = None) -> Iterator[Glpi]:
    glpi = Glpi()
    found = Server(("127.0.0.1", 0), type("Ours", (Handler,), {"glpi": glpi}))
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        found.socket = context.wrap_socket(found.socket, server_side=True)
    glpi.url = f"http{'s' if certificate else ''}://127.0.0.1:{found.server_address[1]}"
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield glpi
    finally:
        found.shutdown()
        found.server_close()
        thread.join()


def refuse(status: int, code: str, text: str) -> Answer:
    return status, [code, text], {}


def legacy(glpi: Glpi, path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Answer:
    if path != "initSession" and not headers.get("session-token"):
        return refuse(400, "ERROR_SESSION_TOKEN_MISSING", "parameter session_token is missing or empty")
    app = headers.get("app-token", "")
    if app != APP_TOKEN:
        code = "ERROR_WRONG_APP_TOKEN_PARAMETER" if app else "ERROR_APP_TOKEN_PARAMETERS_MISSING"
        return refuse(400, code, "parameter app_token seems wrong")
    if path == "initSession":
        return _init(glpi, headers.get("authorization", ""))
    if headers["session-token"] not in glpi.sessions:
        return refuse(401, "ERROR_SESSION_TOKEN_INVALID", "session_token seems invalid")
    return _within(glpi, path, query, headers, body)


def _within(glpi: Glpi, path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Answer:
    if path == "killSession":
        glpi.sessions.discard(headers["session-token"])
        glpi.killed += 1
        return 200, True, {}
    if path == "changeActiveEntities":
        told = json.loads(body)
        if not isinstance(told.get("is_recursive"), bool):
            return refuse(400, "ERROR", "Bad Request")
        glpi.entity = int(told["entities_id"]) if "entities_id" in told else "all"
        return 200, glpi.entity != 99, {}
    if path == "Computer":
        return _listed(glpi, query, [_legacy(row, query) for row in _sorted(glpi) if not row["is_deleted"]])
    if path == "Monitor":
        rows = [_legacy(row, query) for row in glpi.monitors]
        return _listed(glpi, query, [{n.replace("computer", "monitor"): v for n, v in row.items()} for row in rows])
    if path == "Infocom" and glpi.lists_infocoms:
        if "infocom" not in glpi.rights:
            return refuse(403, "ERROR_RIGHT_MISSING", "You don't have permission to perform this action.")
        return _listed(glpi, query, [_infocom(row) for row in _sorted(glpi) if row["infocom"]])
    if path == "getMultipleItems":
        return _multiple(glpi, query)
    return refuse(400, "ERROR_ITEMTYPE_NOT_FOUND_NOR_COMMONDBTM", "resource not found")


def _init(glpi: Glpi, authorization: str) -> Answer:
    basic = base64.b64encode(f"{ACCOUNT}:{PASSWORD}".encode()).decode()
    kind, _, told = authorization.partition(" ")
    if kind == "user_token" and told != USER_TOKEN:
        return refuse(401, "ERROR_GLPI_LOGIN_USER_TOKEN", "parameter user_token seems invalid")
    if kind == "Basic" and not glpi.credentials:
        text = "usage of initSession resource with credentials is disabled"
        return refuse(400, "ERROR_LOGIN_WITH_CREDENTIALS_DISABLED", text)
    if kind == "Basic" and told != basic:
        return refuse(401, "ERROR_GLPI_LOGIN", "Incorrect username or password")
    if kind not in ("user_token", "Basic"):
        return refuse(400, "ERROR_LOGIN_PARAMETERS_MISSING", "parameter(s) login, password or user_token are missing")
    glpi.begun += 1
    token = f"83af7e620c83a50a18d3eac2f6ed05a3ca0bea{glpi.begun:02d}"
    glpi.sessions.add(token)
    return 200, {"session_token": token}, {}


def _sorted(glpi: Glpi) -> list[Row]:
    return sorted(glpi.computers, key=lambda row: int(row["id"]))


def _listed(glpi: Glpi, query: dict[str, str], rows: list[Row]) -> Answer:
    told = re.fullmatch(r"(\d+)-(\d+)", query.get("range", "0-49"))
    if told is None or query.get("sort", "id") != "id":
        return refuse(400, "ERROR", "range must be in format : [start-end] with integers")
    start, end = int(told[1]), int(told[2])
    if start > len(rows):
        return refuse(400, "ERROR_RANGE_EXCEED_TOTAL", f"Provided range exceed total count of data: {len(rows)}")
    page = rows[start : end + 1]
    last = start + len(page) - 1
    partial = len(page) < len(rows)
    headers = {"Content-Range": f"{start}-{last}/{len(rows)}", "Accept-Range": "Computer 990"}
    return (206 if partial else 200), page, headers


def _legacy(row: Row, query: dict[str, str]) -> Row:
    """A row as the legacy API has it: ids for names unless they are expanded, &#62; and &nbsp; as old versions do."""
    expand = query.get("expand_dropdowns") == "true"

    def dropdown(text: str) -> Any:
        return (text.replace(">", "&#62;") or "&nbsp;") if expand else len(text)

    return {
        "id": row["id"], "name": row["name"], "serial": row["serial"], "otherserial": row["otherserial"],
        "entities_id": dropdown(row["entity"]), "locations_id": dropdown(row["location"]),
        "states_id": dropdown(row["state"]), "computertypes_id": dropdown(row["type"]),
        "computermodels_id": dropdown(row["model"]), "manufacturers_id": dropdown(row["maker"]),
        "contact": "a.person", "users_id": "a.person", "is_deleted": row["is_deleted"],
        "is_template": row["is_template"], "ticket_tco": "0.0000",
    }  # fmt: skip


def _infocom(row: Row) -> Row:
    told = row["infocom"] or {}
    return {
        "id": row["id"] + 10_000, "itemtype": "Computer", "items_id": row["id"], "buy_date": told.get("buy"),
        "use_date": told.get("use"), "decommission_date": told.get("end"), "value": told.get("value", "0.0000"),
    }  # fmt: skip


def _multiple(glpi: Glpi, query: dict[str, str]) -> Answer:
    wanted = [int(text) for name, text in query.items() if name.endswith("[items_id]")]
    known = {row["id"]: row for row in glpi.computers}
    if any(number not in known for number in wanted):
        return refuse(404, "ERROR_ITEM_NOT_FOUND", "Item not found")
    found = []
    for number in wanted:
        row = _legacy(known[number], query)
        if query.get("with_infocoms") == "true":
            right = "infocom" in glpi.rights
            row["_infocoms"] = (
                _infocom(known[number]) if right else {"error": 401, "message": "You don't have permission"}
            )
        found.append(row)
    return 200, found, {}


def said(status: int, code: str, title: str, detail: str | None = None) -> Answer:
    return status, {"status": code, "title": title, "detail": detail}, {}


def v2(glpi: Glpi, path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Answer:
    if path == "token":
        return _token(glpi, {name: values[0] for name, values in parse_qs(body.decode()).items()})
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    if bearer and not re.fullmatch(r"token-\d+(-nobody)?", bearer):
        return said(400, "ERROR_INVALID_PARAMETER", "Invalid OAuth token", "Error while decoding to JSON")
    if bearer not in glpi.tokens or bearer.endswith("-nobody"):
        title = "You are not authenticated"
        return said(401, "ERROR_UNAUTHENTICATED", title, "The Authorization header is missing or invalid")
    glpi.entity = (headers.get("glpi-entity"), headers.get("glpi-entity-recursive"))
    path = path.removeprefix("v2/")
    return _asked(glpi, path, query)


def _asked(glpi: Glpi, path: str, query: dict[str, str]) -> Answer:
    if told := re.fullmatch(r"Assets/Computer/(\d+)/Infocom", path):
        return _purchase(glpi, int(told[1]))
    if path == "Assets/Computer":
        rows = [_v2(glpi, row) for row in glpi.computers]
        if only := query.get("filter"):
            field_, _, value = only.partition("==")
            outer, _, inner = field_.partition(".")
            if outer not in ("name", "status") or not value:
                return said(
                    400, "ERROR_INVALID_PARAMETER", "RSQL query has invalid filters", f"Invalid property: {field_}"
                )
            rows = [row for row in rows if (row[outer][inner] if inner else row[outer]) == value]
        return _page(glpi, query, rows)
    if path == "Assets/Monitor":
        return _page(glpi, query, [_v2(glpi, row) for row in glpi.monitors])
    if path == "Dropdowns/Location":
        if "location" not in glpi.rights:
            return said(403, "ERROR_RIGHT_MISSING", "You don't have permission to perform this action.")
        return _page(glpi, query, glpi.ways())
    return said(404, "ERROR_ITEM_NOT_FOUND", "Not found")


def _token(glpi: Glpi, form: dict[str, str]) -> Answer:
    if (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
        return 401, {"error": "invalid_client", "error_description": "Client authentication failed"}, {}
    if form.get("scope") != "api":
        return 400, {"error": "invalid_scope", "error_description": "The requested scope is invalid"}, {}
    nobody = form.get("grant_type") == "client_credentials"
    if not nobody and (form.get("username"), form.get("password")) != (ACCOUNT, PASSWORD):
        return 400, {"error": "invalid_grant", "error_description": "The user credentials were incorrect."}, {}
    glpi.begun += 1
    token = f"token-{glpi.begun}{'-nobody' if nobody else ''}"
    glpi.tokens.add(token)
    return 200, {"token_type": "Bearer", "expires_in": 3600, "access_token": token}, {}


def _page(glpi: Glpi, query: dict[str, str], rows: list[Row]) -> Answer:
    start, limit = int(query.get("start", 0)), int(query.get("limit", 100))
    if query.get("sort") == "id":
        rows = sorted(rows, key=lambda row: int(row["id"]))
    more = start + limit < len(rows)
    end = max(0, start + limit - 1) if glpi.overshoots else min(start + limit, len(rows)) - 1
    return (206 if more else 200), rows[start : start + limit], {"Content-Range": f"{start}-{end}/{len(rows)}"}


def _v2(glpi: Glpi, row: Row) -> Row:
    number = {way["completename"]: way["id"] for way in glpi.ways()}
    location = row["location"]

    def dropdown(text: str) -> Any:
        return {"id": len(text), "name": text} if text else None

    return {
        "id": row["id"], "name": row["name"], "serial": row["serial"], "otherserial": row["otherserial"],
        "type": dropdown(row["type"]), "model": dropdown(row["model"]), "status": dropdown(row["state"]),
        "manufacturer": dropdown(row["maker"]), "is_deleted": bool(row["is_deleted"]),
        "location": {"id": number[location], "name": location.rpartition(" > ")[2]} if location else None,
        "entity": {"id": 1, "name": row["entity"].rpartition(" > ")[2], "completename": row["entity"]},
        "user": {"id": 7, "name": "a.person"},
    }  # fmt: skip


def _purchase(glpi: Glpi, number: int) -> Answer:
    if "infocom" not in glpi.rights:
        return said(403, "ERROR_RIGHT_MISSING", "You don't have permission to perform this action.")
    row = next((row for row in glpi.computers if row["id"] == number), None)
    if row is None or not row["infocom"]:
        return said(404, "ERROR_ITEM_NOT_FOUND", "Not found")
    told = row["infocom"]
    value = float(told.get("value", 0))
    document = {
        "date_buy": told.get("buy"),
        "date_use": told.get("use"),
        "date_decommission": told.get("end"),
        "value": value,
    }
    return 200, document, {}
