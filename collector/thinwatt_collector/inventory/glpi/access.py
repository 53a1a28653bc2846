"""How GLPI is asked: where, as whom, how patiently. Secrets stand in files or in the environment, nowhere else."""

from __future__ import annotations

import os
import re
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from thinwatt_agent.places import Key, choice, maybe, path, shown, text
from thinwatt_collector.fetch import LOOPBACK
from thinwatt_collector.inventory.glpi.export import GlpiError

SECRETS: Final = ("user_token", "app_token", "password", "client_secret")
HEADERS: Final = ("user_token", "app_token")
"""Secrets that travel in a header as they are."""
ENVIRONMENT: Final = "THINWATT_GLPI_"
ITEMS: Final = ("Computer", "Monitor")
"""Item types of GLPI that have a class here."""


@dataclass(frozen=True, slots=True)
class Access:
    """The table [api] of a mapping file. Times in s; "" and None for what is not told."""

    kind: str
    url: str
    user: str
    user_token_file: Path | None
    app_token_file: Path | None
    password_file: Path | None
    client_id: str
    client_secret_file: Path | None
    grant: str
    entity: int | None
    items: tuple[str, ...]
    filter: str
    purchases: bool
    page: int
    timeout: float
    attempts: int
    ca_file: Path | None

    def tls(self) -> ssl.SSLContext | None:
        """Return whom to trust, None for the system's authorities; certificates are always verified.

        Raises:
            GlpiError: ``ca_file`` holds none.
        """
        if self.ca_file is None:
            return None
        try:
            return ssl.create_default_context(cafile=str(self.ca_file))
        except (OSError, ssl.SSLError) as error:
            why = error.strerror or str(error)
            raise GlpiError(
                f"[api] ca_file {self.ca_file} cannot be used: {why}; it holds certificates in PEM"
            ) from error

    def secret(self, name: str, environment: Mapping[str, str] = os.environ) -> str:
        """Return a secret from its file, else from the environment, "" where neither is told.

        Raises:
            GlpiError: its file cannot be read, others may read it, or it holds more than the secret.
        """
        file: Path | None = getattr(self, f"{name}_file")
        if file is None:
            found = environment.get(ENVIRONMENT + name.upper(), "")
            where = f"the environment's {ENVIRONMENT}{name.upper()}"
            return _alone(found.strip(), where, name) if found.strip() else ""
        try:
            mode = stat.S_IMODE(file.stat().st_mode)
            found = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            raise GlpiError(f"[api] {name}_file {file} cannot be read: {why}") from None
        if mode & 0o077:
            raise GlpiError(f"[api] {name}_file {file} holds a secret and others may read it: chmod 600 {file}")
        return _alone(found, f"[api] {name}_file {file}", name)


def _alone(found: str, where: str, name: str) -> str:
    if not found or not found.isprintable() or (name in HEADERS and not found.isascii()):
        raise GlpiError(f"{where} holds no secret alone in a line")
    return found


def missing(name: str) -> str:
    """Return what to write where a secret is needed and not told."""
    return f"write [api] {name}_file, a file with it alone, or set {ENVIRONMENT}{name.upper()} in the environment"


def _url(value: Any, folder: Path) -> str:
    found = text(value, folder).strip().rstrip("/")
    found = re.sub(r"/(apirest\.php|api\.php)(/v[\d.]+)?$", "", found)
    if not found:
        return ""
    parts = urlsplit(found)
    if parts.query or parts.username or parts.password:  # not shown: there may be a secret in it
        raise ValueError("it holds more than an address: write https://glpi.example.org alone")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{shown(value)} is no address of a GLPI: write https://glpi.example.org")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError(f"{shown(value)}: tokens would travel in the open: write https://…")
    return found


def _items(value: Any, folder: Path) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text(value, folder).split(","))
    if wrong := [part for part in found if part not in ITEMS]:
        raise ValueError(f"{shown(wrong[0])} is none of {', '.join(ITEMS)}: write one of them, or both with a comma")
    return found


def _entity(value: Any, _: Path) -> int | None:
    if value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{shown(value)} is no number of an entity: write it without quotes, such as 0")
    return value


def whole(low: int, high: int) -> Any:
    """Return a reader of whole numbers of a range."""

    def found(value: Any, _: Path) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{shown(value)} is no whole number from {low} to {high}")
        return value

    return found


def truth(value: Any, _: Path) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{shown(value)} is neither true nor false: write one of them, without quotes")  # noqa: TRY004 - as all
    return value


def _seconds(value: Any, folder: Path) -> float:
    told = re.fullmatch(r"(\d{1,4}(?:\.\d+)?) ?s", text(value, folder).strip(), re.ASCII)
    if told is None or not 1 <= float(told[1]) <= 600:
        raise ValueError(f"{shown(value)} is no time from 1 s to 600 s: write '30 s'")
    return float(told[1])


KEYS: Final = (
    Key("api", "kind", "kind", choice("legacy", "v2"), "legacy", "legacy: apirest.php; v2: api.php, GLPI 11 and later"),
    Key("api", "url", "url", _url, "", "address of GLPI, such as https://glpi.example.org"),
    Key("api", "user_token_file", "user_token_file", maybe(path), "",
        "legacy: a file with the account's API token alone; or THINWATT_GLPI_USER_TOKEN in the environment"),
    Key("api", "app_token_file", "app_token_file", maybe(path), "",
        "legacy: the API client's token, where it has one; or THINWATT_GLPI_APP_TOKEN"),
    Key("api", "user", "user", text, "", "v2, or legacy without a token: the account, which needs to read only"),
    Key("api", "password_file", "password_file", maybe(path), "", "its password; or THINWATT_GLPI_PASSWORD"),
    Key("api", "grant", "grant", choice("password", "client_credentials"), "password",
        "v2: client_credentials has no account behind it, and GLPI 11 lets it see nothing"),
    Key("api", "client_id", "client_id", text, "", "v2: of the OAuth client, with the scope api"),
    Key("api", "client_secret_file", "client_secret_file", maybe(path), "",
        "v2: its secret; or THINWATT_GLPI_CLIENT_SECRET"),
    Key("api", "entity", "entity", _entity, "", "number of the entity to read, with all below it; empty: all"),
    Key("api", "items", "items", _items, "Computer", "Computer, Monitor, or both with a comma"),
    Key("api", "filter", "filter", text, "", "v2: only what this RSQL lets through, such as status.name==Production"),
    Key("api", "purchases", "purchases", truth, True,
        "read purchase days and prices; v2 has one question a computer for them"),
    Key("api", "page", "page", whole(2, 5000), 500, "machines a question"),
    Key("api", "timeout", "timeout", _seconds, "30 s", "time for one answer"),
    Key("api", "attempts", "attempts", whole(1, 10), 4, "how often a question is asked that GLPI is too busy for"),
    Key("api", "ca_file", "ca_file", maybe(path), "", "PEM file of the authority that GLPI's certificate comes from"),
)  # fmt: skip
