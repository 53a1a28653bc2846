"""The collector's configuration: one TOML file to frozen dataclasses.

The table :data:`KEYS` is the only place that knows a key: it parses the file, makes the errors and writes the example.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from thinwatt_agent.places import line_of, meant
from thinwatt_collector import units
from thinwatt_collector.models.attribution import DEFAULT, POLICIES, Policy

PerDevice = Literal["hosts", "all", "none"]


class ConfigError(ValueError):
    """A configuration that can't be used; the text names file, line, key and what to write instead."""


@dataclass(frozen=True, slots=True)
class Config:
    """The collector's configuration. Durations in s, sizes in bytes."""

    state: Path
    bind: str
    secret_key: Path
    agents: Path
    ledger: str
    ledger_memory: float
    commit_every: float
    hold: float
    listen: str
    web_config: Path | None
    tokens: Path | None
    anonymous: Literal["public", "refuse"]
    clocks: str
    per_device: PerDevice
    stale_after: float
    zone: str
    policy: Policy
    log_level: str
    log_format: str


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its table and name in the file, field of :class:`Config`, how it is read, default as written, help."""

    table: str
    name: str
    field: str
    read: Callable[[Any, Path], Any]
    default: Any
    help: str


def _text(value: Any, _: Path) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is no text: write it in quotes")
    return value


def _path(value: Any, folder: Path) -> Path:
    return folder / _text(value, folder)


def _maybe_path(value: Any, folder: Path) -> Path | None:
    return _path(value, folder) if value != "" else None


def _seconds(value: Any, folder: Path) -> float:
    found = units.seconds(_text(value, folder))
    if found <= 0:
        raise ValueError(f"{value!r} is not longer than nothing: write '10 s'")
    return found


def _bytes(value: Any, folder: Path) -> float:
    return units.parse(_text(value, folder), "B")


def _choice(*allowed: str) -> Callable[[Any, Path], str]:
    def read(value: Any, _: Path) -> str:
        if value not in allowed:
            raise ValueError(f"{value!r} is none of {', '.join(allowed)}")
        return str(value)

    return read


def _endpoint(value: Any, folder: Path) -> str:
    text = _text(value, folder)
    if not re.fullmatch(r"tcp://(\*|\[[0-9A-Fa-f:]+\]|[\w.-]+):(\*|\d{1,5})", text):
        raise ValueError(f"{text!r} is no address to bind: write 'tcp://*:8466'")
    return text


def _listen(value: Any, folder: Path) -> str:
    text = _text(value, folder)
    if not re.fullmatch(r"(\[[0-9A-Fa-f:]+\]|[\w.-]+)?:\d{1,5}", text):
        raise ValueError(f"{text!r} is no address to listen on: write '127.0.0.1:9466' or ':9466'")
    return text


def _clocks(value: Any, folder: Path) -> str:
    text = _text(value, folder)
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{text!r} is no time zone: write a name like 'Europe/Paris'") from None
    return text


def _ledger(value: Any, folder: Path) -> str:
    kind, colon, rest = _text(value, folder).partition(":")
    if kind != "duckdb" or not colon or not rest:
        raise ValueError(f"{value!r} is no ledger: write 'duckdb:ledger.duckdb' (PostgreSQL comes later)")
    return f"duckdb:{folder / rest}"


LEVELS: Final = ("debug", "info", "warning", "error")
KEYS: Final = (
    Key("collector", "state", "state", _path, "state", "folder of everything the collector writes"),
    Key("link", "bind", "bind", _endpoint, "tcp://*:8466", "where agents connect"),
    Key("link", "secret_key", "secret_key", _path, "collector.key", "made by thinwatt-collector keygen"),
    Key("link", "agents", "agents", _path, "agents.keys", "who is let in: a line 'name public-key' an agent"),
    Key("ledger", "ledger", "ledger", _ledger, "duckdb:state/ledger.duckdb", "one file, one collector"),
    Key("ledger", "memory", "ledger_memory", _bytes, "1 GiB", "what the ledger's engine may use"),
    Key("ledger", "commit_every", "commit_every", _seconds, "10 s", "answers wait for the commit"),
    Key("ledger", "hold", "hold", _bytes, "64 MiB", "uncommitted frames beyond which nothing more is received"),
    Key("web", "listen", "listen", _listen, "127.0.0.1:9466", "where /metrics is; open it to others with a web_config"),
    Key("web", "web_config", "web_config", _maybe_path, "", "TLS and passwords, the file of Prometheus exporters"),
    Key("api", "tokens", "tokens", _maybe_path, "", "who reads /api/v1 with which role; api-token adds one"),
    Key("api", "anonymous", "anonymous", _choice("public", "refuse"), "public", "a reader without a token: or refuse"),
    Key("api", "clocks", "clocks", _clocks, "Europe/Paris", "time zone of the site: when its days begin"),
    Key(
        "metrics",
        "per_device",
        "per_device",
        _choice("hosts", "all", "none"),
        "hosts",
        "device series: of hosts, of all (technical role only: a one-person office is a person), or none",
    ),
    Key("metrics", "stale_after", "stale_after", _seconds, "10 min", "silence after which a device has departed"),
    Key("carbon", "zone", "zone", _text, "FR", "grid zone of the emission factors"),
    Key(
        "attribution",
        "policy",
        "policy",
        _choice(*POLICIES),
        DEFAULT,
        "how a host's energy goes to its desktops: reservation (idle by reserved memory, the rest by CPU time), "
        "activity, equal or marginal",
    ),
    Key("log", "level", "log_level", _choice(*LEVELS), "info", ", ".join(LEVELS)),
    Key("log", "format", "log_format", _choice("text", "json"), "text", "text for people, json for machines"),
)


def example() -> str:
    """Return a configuration file with every key, its default and what it means."""
    lines = ["# thinwatt-collector. Every key with its default; paths are relative to this file."]
    table = ""
    for key in KEYS:
        if key.table != table:
            table = key.table
            lines += ["", f"[{table}]"]
        lines += [f"# {key.help}", f'{key.name} = "{key.default}"']
    return "\n".join(lines) + "\n"


def load(path: Path) -> Config:
    """Return the configuration in ``path``.

    Raises:
        ConfigError: the file can't be read, or a key or value in it is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read: {error}") from None
    return parse(text, path)


def parse(text: str, path: Path) -> Config:
    """Return the configuration written in ``text``; ``path`` is where it came from."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from None
    _check_names(document, text, path)
    found = {}
    for key in KEYS:
        value = document.get(key.table, {}).get(key.name, key.default)
        try:
            found[key.field] = key.read(value, path.parent)
        except ValueError as error:
            raise ConfigError(
                f"{path}:{line_of(text, (key.table, key.name))}: {key.table}.{key.name}: {error}"
            ) from None
    return Config(**found)


def _check_names(document: dict[str, Any], text: str, path: Path) -> None:
    tables = {key.table for key in KEYS}
    for table, content in document.items():
        if table not in tables or not isinstance(content, dict):
            raise ConfigError(f"{path}:{line_of(text, (table,))}: no table [{table}] is known{meant(table, tables)}")
        names = {key.name for key in KEYS if key.table == table}
        for name in content:
            if name not in names:
                where = line_of(text, (table, name))
                raise ConfigError(f"{path}:{where}: no key {name!r} is known in [{table}]{meant(name, names)}")
