"""GLPI's REST API of old, ``apirest.php``: a session, lists by range, and the session's end whatever happens.

Sources: apirest.md of glpi-project/glpi ("Init session", "Get all items", "Change active entities", "Errors"), and
src/Glpi/Api/API.php beside it for what the page leaves open:

- lists are sorted by ``id`` unless told otherwise; a range that begins behind the last row is an error 400;
- ``with_infocoms`` is heard for single things and ``getMultipleItems`` only, so that purchases are read as the list
  ``Infocom``, and by ``getMultipleItems`` where GLPI has no such list;
- ``changeActiveEntities`` takes any ``entities_id`` as a number, so that it is left out for all of them.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from thinwatt_collector.inventory.glpi.access import missing
from thinwatt_collector.inventory.glpi.assets import Asset, Read, asset
from thinwatt_collector.inventory.glpi.export import GlpiError
from thinwatt_collector.inventory.glpi.pages import Row, rows
from thinwatt_collector.inventory.glpi.talk import Line, RefusedError, listed, named, total

ROOT: Final = "apirest.php"
BATCH: Final = 50
"""Things a question of ``getMultipleItems``: its address stays below 4 kB."""
SESSIONS: Final = 5
"""A session that ends is begun anew; so often that a list of any length is read, not for ever."""
JSON: Final = {"Content-Type": "application/json"}
PURCHASE: Final = {"bought": "buy_date", "used": "use_date", "scrapped": "decommission_date", "price": "value"}


@dataclass(slots=True)
class Session:
    """A session of GLPI; ``token`` changes when GLPI forgets it."""

    line: Line
    login: dict[str, str]
    token: str = ""
    begun: int = 0

    def begin(self) -> None:
        """Begin a session, with all entities that are to be read."""
        self.begun += 1
        document, _ = self.line.ask(f"{ROOT}/initSession", headers=JSON | self.login)
        token = document.get("session_token") if isinstance(document, dict) else None
        if not isinstance(token, str) or not (token.isascii() and token.isprintable()):
            raise GlpiError(f"{self.line.access.url}/{ROOT}/initSession answered no session_token")
        self.token = token
        entity = self.line.access.entity
        wanted = {"is_recursive": True} | ({} if entity is None else {"entities_id": entity})
        said, _ = self._ask("changeActiveEntities", None, json.dumps(wanted).encode())
        if said is False:
            raise GlpiError(f"{self.line.mapping}: [api] entity {entity}: GLPI does not let this account in there")

    def end(self) -> None:
        """End the session; a GLPI that does not answer ends it by itself."""
        if self.token:
            self.line = self.line.hasty()
            with contextlib.suppress(GlpiError):
                self._ask("killSession")
            self.token = ""

    def ask(self, path: str, query: Mapping[str, str | int]) -> tuple[Any, Any]:
        """Ask, with a new session where GLPI has forgotten this one."""
        try:
            return self._ask(path, query)
        except RefusedError as error:
            if error.code != "ERROR_SESSION_TOKEN_INVALID" or self.begun >= SESSIONS:
                raise
        self.token = ""
        self.begin()
        return self._ask(path, query)

    def _ask(
        self, path: str, query: Mapping[str, str | int] | None = None, body: bytes | None = None
    ) -> tuple[Any, Any]:
        app = {name: text for name, text in self.login.items() if name == "App-Token"}
        return self.line.ask(f"{ROOT}/{path}", query, JSON | app | {"Session-Token": self.token}, body)


@contextmanager
def session(line: Line) -> Iterator[Session]:
    """A session, which ends whatever happens in it."""
    found = Session(line, _login(line))
    try:
        found.begin()
        yield found
    finally:
        found.end()


def _login(line: Line) -> dict[str, str]:
    access = line.access
    app, token = access.secret("app_token"), access.secret("user_token")
    headers = {"App-Token": app} if app else {}
    if token:
        return headers | {"Authorization": f"user_token {token}"}
    if not access.user:
        raise GlpiError(f"{line.mapping}: who asks is not told: {missing('user_token')}; or [api] user")
    password = access.secret("password")
    if not password:
        raise GlpiError(f"{line.mapping}: [api] user has no password: {missing('password')}")
    told = base64.b64encode(f"{access.user}:{password}".encode()).decode()
    return headers | {"Authorization": f"Basic {told}"}


def read(line: Line) -> Read:
    """Return all that GLPI has of the item types that are asked for.

    Raises:
        GlpiError: it did not let us, or not within our patience.
    """
    found: list[Asset] = []
    kept_back: list[tuple[str, dict[str, object]]] = []
    with session(line) as open_session:
        for item in line.access.items:
            things = [
                row for row in _list(open_session, item) if not row.get("is_deleted") and not row.get("is_template")
            ]
            bought: Mapping[int, Row] = {}
            if line.access.purchases:
                try:
                    bought = _purchases(open_session, item, [int(row["id"]) for row in things])
                except RefusedError as error:
                    if error.status != 403:
                        raise
                    kept_back.append(("no-purchases", {"items": item}))
            found += [_asset(item, row, bought.get(int(row["id"]), {})) for row in things]
    return Read(f"{line.access.url}/{ROOT}", found, kept_back)


def _list(on: Session, item: str, expand: bool = True) -> list[Row]:
    told = {"expand_dropdowns": str(expand).lower(), "get_hateoas": "false", "sort": "id", "order": "ASC"}

    def page(start: int, size: int) -> tuple[Sequence[Row], int]:
        try:
            document, answer = on.ask(item, {**told, "range": f"{start}-{start + size - 1}"})
        except RefusedError as error:
            if error.code == "ERROR_RANGE_EXCEED_TOTAL":
                return [], 0
            raise
        return listed(document, f"{on.line.access.url}/{ROOT}/{item}"), total(answer)

    return rows(page, on.line.access.page)


def _purchases(on: Session, item: str, numbers: Sequence[int]) -> Mapping[int, Row]:
    """Return the purchase of each thing, by its number."""
    try:
        found = _list(on, "Infocom", expand=False)
    except RefusedError as error:
        if "NOT_FOUND" not in error.code and error.code != "ERROR_METHOD_NOT_ALLOWED":
            raise
        return {n: row for i in range(0, len(numbers), BATCH) for n, row in _several(on, item, numbers[i : i + BATCH])}
    return {
        int(row["items_id"]): row for row in found if row.get("itemtype") == item and str(row["items_id"]).isdigit()
    }


def _several(on: Session, item: str, numbers: Sequence[int]) -> Iterator[tuple[int, Row]]:
    """Yield the purchases of some things; one that is gone by now costs the others nothing."""
    query: dict[str, str | int] = {"with_infocoms": "true", "get_hateoas": "false"}
    for i, number in enumerate(numbers):
        query |= {f"items[{i}][itemtype]": item, f"items[{i}][items_id]": number}
    try:
        document, _ = on.ask("getMultipleItems", query)
    except RefusedError as error:
        if error.code != "ERROR_ITEM_NOT_FOUND":
            raise
        half = len(numbers) // 2
        for some in (numbers[:half], numbers[half:]) if half else ():
            yield from _several(on, item, some)
        return
    for row in listed(document, f"{on.line.access.url}/{ROOT}/getMultipleItems"):
        told = row.get("_infocoms")
        if isinstance(told, dict) and "error" in told:
            raise RefusedError("GLPI keeps purchases to itself", 403, "ERROR_RIGHT_MISSING")
        if isinstance(told, dict):
            yield int(row["id"]), told


def _asset(item: str, row: Row, bought: Row) -> Asset:
    kind = item.lower()
    number = str(row["id"]) if item == "Computer" else f"{item}/{row['id']}"
    told = {
        "name": row.get("name"),
        "number": number,
        "serial": row.get("serial"),
        "inventory_number": row.get("otherserial"),
        "entity": named(row.get("entities_id")),
        "location": named(row.get("locations_id")),
        "state": named(row.get("states_id")),
        "type": named(row.get(f"{kind}types_id")),
        "model": named(row.get(f"{kind}models_id")),
        "maker": named(row.get("manufacturers_id")),
    }
    return asset(f"{item} {row['id']}", told | {name: bought.get(key) for name, key in PURCHASE.items()})
