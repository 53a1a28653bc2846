"""Asking GLPI over HTTP: what its refusals mean, and which key of which file to mend. Nothing else calls out."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode

from thinwatt_collector.fetch import Answer, Fetcher, FetchError, Patience
from thinwatt_collector.inventory.glpi.access import ENVIRONMENT, SECRETS, Access
from thinwatt_collector.inventory.glpi.assets import tidy
from thinwatt_collector.inventory.glpi.export import GlpiError

REMEDIES: Final[Mapping[str, str]] = {
    "ERROR_GLPI_LOGIN_USER_TOKEN": "the API token is no account's: {user_token}; it stands in the account's settings",
    "ERROR_GLPI_LOGIN": "account or password are wrong: [api] user, and {password}",
    "ERROR_LOGIN_PARAMETERS_MISSING": "neither token nor account: {user_token}, or [api] user and {password}",
    "ERROR_LOGIN_WITH_CREDENTIALS_DISABLED": "GLPI lets nobody in by password here: use {user_token}",
    "ERROR_APP_TOKEN_PARAMETERS_MISSING": "GLPI wants its API client's token as well: {app_token}",
    "ERROR_WRONG_APP_TOKEN_PARAMETER": "the API client's token is wrong: {app_token}",
    "ERROR_NOT_ALLOWED_IP": "no API client of GLPI lets this machine's address in: Setup > General > API",
    "ERROR_RIGHT_MISSING": "the account's profile may not read this: give it the right to read in GLPI",
    "ERROR_SESSION_TOKEN_INVALID": "GLPI has forgotten the session, again and again: look at its logs",
    "ERROR_ITEM_NOT_FOUND": "GLPI has no such thing: is [api] kind the one of this GLPI?",
    "invalid_client": "client or its secret are wrong: [api] client_id, and {client_secret}",
    "invalid_grant": "account or password are wrong: [api] user, and {password}",
    "invalid_credentials": "account or password are wrong: [api] user, and {password}",
    "unauthorized_client": "the OAuth client may not use this grant: [api] grant, or Setup > OAuth clients in GLPI",
    "unsupported_grant_type": "GLPI knows no such grant: [api] grant",
    "invalid_scope": "the OAuth client has not the scope api: Setup > OAuth clients in GLPI",
    "ERROR_UNAUTHENTICATED": "the token is nobody's: with client_credentials no account is behind it; [api] grant",
    "ERROR_INVALID_PARAMETER": "GLPI does not understand the question: [api] filter",
}
"""GLPI's codes and OAuth's → what to do; in braces a secret and where it comes from."""


class RefusedError(GlpiError):
    """GLPI said no. ``status`` of HTTP, ``code`` of GLPI or OAuth ("" for none)."""

    def __init__(self, text: str, status: int, code: str) -> None:
        super().__init__(text)
        self.status, self.code = status, code


@dataclass(slots=True)
class Line:
    """A GLPI and who asks it."""

    access: Access
    fetcher: Fetcher
    mapping: str

    def hasty(self) -> Line:
        """Return the same line, on which each question is asked once."""
        patience = replace(self.fetcher.patience, attempts=1)
        return replace(self, fetcher=replace(self.fetcher, patience=patience))

    def ask(
        self,
        path: str,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> tuple[Any, Answer]:
        """Return the JSON document of an answer, and the answer.

        Raises:
            RefusedError: GLPI said no; the text tells which key of which file to mend.
        """
        url = f"{self.access.url}/{path}{f'?{urlencode(query)}' if query else ''}"
        try:
            return self.fetcher.ask(url, _document, headers, body)
        except FetchError as error:
            raise self._told(error) from None

    def _told(self, error: FetchError) -> RefusedError:
        code = _code(error.body)
        remedy = REMEDIES.get(code, "").format_map({name: self._where(name) for name in SECRETS})
        if "certificate is not trusted" in str(error):
            remedy = "write [api] ca_file, the certificates of your own authority in PEM"
        elif not remedy and error.status == 404:  # the web server's own, without a code of GLPI's
            remedy = "is [api] url the address of GLPI, and [api] kind its version?"
        elif not remedy and not error.status:
            remedy = "is [api] url right, and GLPI within [api] timeout and attempts?"
        text = re.sub(r": is the token right, and does its plan hold this\?$", "", str(error))
        return RefusedError(f"{text}{f'. {self.mapping}: {remedy}' if remedy else ''}", error.status, code)

    def _where(self, name: str) -> str:
        file = getattr(self.access, f"{name}_file")
        return f"[api] {name}_file {file}" if file else f"the environment's {ENVIRONMENT}{name.upper()}"


def line(access: Access, mapping: str, fetcher: Fetcher | None = None) -> Line:
    """Return a line to GLPI; ``mapping`` is the file that errors name.

    Raises:
        GlpiError: no address is told, or ``ca_file`` holds no certificates.
    """
    if not access.url:
        raise GlpiError(f"{mapping}: [api] url is not told: write https://glpi.example.org")
    fetcher = fetcher or Fetcher(patience=Patience(access.timeout, access.attempts))
    fetcher.tls = access.tls()
    return Line(access, fetcher, mapping)


def _document(answer: Answer) -> tuple[Any, Answer]:
    try:
        return (json.loads(answer.body) if answer.body.strip() else None), answer
    except (ValueError, RecursionError):
        raise ValueError("no JSON came, but a page of something in between: is it GLPI's own address?") from None


def _code(body: bytes) -> str:
    """Return the code of a refusal: ``["CODE", "text"]``, ``{"status": "CODE"}``, ``{"error": "code"}``."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    found = said[0] if isinstance(said, list) and said else ""
    if isinstance(said, dict):
        found = said.get("error") or said.get("status") or ""
    return found if isinstance(found, str) else ""


def listed(document: Any, where: str) -> list[dict[str, Any]]:
    """Return the rows of an answer that is a list of things with a number each.

    Raises:
        GlpiError: it is something else.
    """
    if not isinstance(document, list) or not all(isinstance(row, dict) and _number(row.get("id")) for row in document):
        raise GlpiError(f"{where} answered something other than a list of things with an id")
    return document


def _number(value: Any) -> bool:
    return isinstance(value, int) or (
        isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19
    )


def named(value: Any) -> str:
    """Return a name that stands in the place of a number, "" where the number itself still does."""
    return "" if isinstance(value, (int, float)) else tidy(value)


def total(answer: Answer) -> int:
    """Return how many rows there are in all, by ``Content-Range: 0-49/200``; without it any number.

    The end of GLPI's range may lie beyond the last row, so that only what stands behind the stroke is believed.
    """
    told = re.fullmatch(r"\s*(?:\w+\s+)?\d*-?\d*\s*/\s*(\d+)\s*", answer.headers.get("Content-Range") or "", re.ASCII)
    return int(told[1]) if told else sys.maxsize
