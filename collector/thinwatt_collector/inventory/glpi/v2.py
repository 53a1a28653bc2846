"""GLPI's REST API of version 11 on, ``api.php``: OAuth, lists by start and limit, things in things.

Sources: resources/api_doc.MD of glpi-project/glpi, its OpenAPI document, and for what both leave open the code in
src/Glpi/Api/HL (Router, ResourceAccessor, Search, AssetController, DropdownController):

- a page that is not the last has the status 206; the end in its Content-Range may lie beyond the last row;
- a token that has run out is answered 401, a damaged one 400 "Invalid OAuth token";
- a computer tells the name of its location but not the way there, which the list of locations does;
- the purchase of a computer is a question of its own, and 404 where it has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from thinwatt_collector.inventory.glpi.access import missing
from thinwatt_collector.inventory.glpi.assets import Asset, Read, asset, tidy
from thinwatt_collector.inventory.glpi.export import GlpiError
from thinwatt_collector.inventory.glpi.pages import Row, rows
from thinwatt_collector.inventory.glpi.talk import Line, RefusedError, listed, total

ROOT: Final = "api.php/v2"
TOKEN: Final = "api.php/token"  # noqa: S105 - its address
SCOPE: Final = "api"
LOGINS: Final = 20
"""A token holds for an hour unless GLPI is told otherwise: so often it is had anew."""
PURCHASE: Final = {"bought": "date_buy", "used": "date_use", "scrapped": "date_decommission", "price": "value"}


@dataclass(slots=True)
class Session:
    """A token of GLPI, had anew when it has run out."""

    line: Line
    login: Mapping[str, str]
    token: str = ""
    begun: int = 0

    def begin(self) -> None:
        """Have a token."""
        self.begun += 1
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        document, _ = self.line.ask(TOKEN, None, form, urlencode(self.login).encode())
        token = document.get("access_token") if isinstance(document, dict) else None
        if not isinstance(token, str) or not (token.isascii() and token.isprintable()):
            raise GlpiError(f"{self.line.access.url}/{TOKEN} answered no access_token")
        self.token = token

    def ask(self, path: str, query: Mapping[str, str | int] | None = None) -> tuple[Any, Any]:
        """Ask, with a new token where GLPI takes this one no more."""
        fresh = not self.token
        if fresh:
            self.begin()
        try:
            return self._ask(path, query)
        except RefusedError as error:
            worn = error.status == 401 or "Invalid OAuth token" in str(error)
            if not worn or fresh or self.begun >= LOGINS:
                raise
        self.begin()
        return self._ask(path, query)

    def _ask(self, path: str, query: Mapping[str, str | int] | None) -> tuple[Any, Any]:
        entity = self.line.access.entity
        within = {} if entity is None else {"GLPI-Entity": str(entity), "GLPI-Entity-Recursive": "true"}
        return self.line.ask(f"{ROOT}/{path}", query, {"Authorization": f"Bearer {self.token}", **within})


def _login(line: Line) -> dict[str, str]:
    access, where = line.access, line.mapping
    secret = access.secret("client_secret")
    if not access.client_id or not secret:
        raise GlpiError(f"{where}: [api] client_id and its secret are needed: {missing('client_secret')}")
    told = {"grant_type": access.grant, "client_id": access.client_id, "client_secret": secret, "scope": SCOPE}
    if access.grant == "client_credentials":
        return told
    password = access.secret("password")
    if not access.user or not password:
        raise GlpiError(f"{where}: [api] user and its password are needed: {missing('password')}")
    return told | {"username": access.user, "password": password}


def read(line: Line) -> Read:
    """Return all that GLPI has of the item types that are asked for.

    Raises:
        GlpiError: it did not let us, or not within our patience.
    """
    on = Session(line, _login(line))
    found: list[Asset] = []
    kept_back: list[tuple[str, dict[str, object]]] = []
    things = {item: _list(on, f"Assets/{item}", line.access.filter) for item in line.access.items}
    try:
        ways = _ways(_list(on, "Dropdowns/Location"))
    except RefusedError as error:
        if error.status not in (403, 404):
            raise
        ways = {}
        kept_back.append(("short-locations", {}))
    ask_more = line.access.purchases
    for item, listing in things.items():
        for row in listing:
            if row.get("is_deleted") or row.get("is_template"):
                continue
            bought: Row = {}
            if ask_more:
                try:
                    bought = _purchase(on, item, int(row["id"]))
                except RefusedError as error:
                    if error.status != 403:
                        raise
                    ask_more = False
                    kept_back.append(("no-purchases", {"items": ", ".join(line.access.items)}))
            found.append(_asset(item, row, bought, ways))
    return Read(f"{line.access.url}/{ROOT}", found, kept_back)


def _list(on: Session, path: str, only: str = "") -> list[Row]:
    told = {"sort": "id", **({"filter": only} if only else {})}

    def page(start: int, size: int) -> tuple[Sequence[Row], int]:
        document, answer = on.ask(path, {**told, "start": start, "limit": size})
        return listed(document, f"{on.line.access.url}/{ROOT}/{path}"), total(answer)

    return rows(page, on.line.access.page)


def _purchase(on: Session, item: str, number: int) -> Row:
    try:
        document, _ = on.ask(f"Assets/{item}/{number}/Infocom")
    except RefusedError as error:
        if error.status == 404:  # nobody wrote any
            return {}
        raise
    return document if isinstance(document, dict) else {}


def _ways(locations: Sequence[Row]) -> dict[int, str]:
    """Return the whole path of each location, by its number."""
    by_number = {int(row["id"]): row for row in locations}
    found = {}
    for number, row in by_number.items():
        path, at, seen = [tidy(row.get("name"))], row, {number}
        while (parent := by_number.get(_inner(at.get("parent"), "id") or 0)) and int(parent["id"]) not in seen:
            path.append(tidy(parent.get("name")))
            seen.add(int(parent["id"]))
            at = parent
        found[number] = tidy(row.get("completename")) or " > ".join(reversed(path))
    return found


def _inner(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _asset(item: str, row: Row, bought: Row, ways: Mapping[int, str]) -> Asset:
    location = row.get("location")
    entity = row.get("entity")
    told = {
        "name": row.get("name"),
        "number": str(row["id"]) if item == "Computer" else f"{item}/{row['id']}",
        "serial": row.get("serial"),
        "inventory_number": row.get("otherserial"),
        "entity": _inner(entity, "completename") or _inner(entity, "name"),
        "location": ways.get(_inner(location, "id") or 0) or _inner(location, "name"),
        "state": _inner(row.get("status"), "name") or _inner(row.get("state"), "name"),
        "type": _inner(row.get("type"), "name"),
        "model": _inner(row.get("model"), "name"),
        "maker": _inner(row.get("manufacturer"), "name"),
    }
    return asset(f"{item} {row['id']}", told | {name: bought.get(key) for name, key in PURCHASE.items()})
