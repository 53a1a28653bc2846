"""The collector's configuration: one TOML file to frozen dataclasses.

The table :data:`KEYS` is the only place that knows a key: it parses the file, makes the errors and writes the example.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from thinwatt_agent.places import (
    ConfigError,
    File,
    Key,
    Place,
    choice,
    endpoint,
    filled,
    maybe,
    path,
    read,
    shown,
    text,
    told,
    within,
)
from thinwatt_collector import preflight, units
from thinwatt_collector.factors import KINDS, FactorError, Intensity, Kind, beside, names, record
from thinwatt_collector.inventory.tables import CellError, day, number
from thinwatt_collector.inventory.terms import Price
from thinwatt_collector.ledger import address
from thinwatt_collector.models.attribution import DEFAULT as DEFAULT_POLICY
from thinwatt_collector.models.attribution import POLICIES, Policy
from thinwatt_collector.models.rules import DEFAULT as DEFAULT_RULE
from thinwatt_collector.models.rules import RULES, Rule

__all__ = ["DEFAULT", "KEYS", "Config", "ConfigError", "check", "example", "load", "parse"]

DEFAULT: Final = Path("/etc/thinwatt/collector.toml")
PerDevice = Literal["hosts", "all", "none"]


@dataclass(frozen=True, slots=True)
class Config:
    """The collector's configuration. Durations in s, sizes in bytes."""

    state: Path
    bind: str
    secret_key: Path
    agents: Path
    device_power: float
    ledger: str
    ledger_memory: float
    commit_every: float
    hold: float
    keep_slots: float
    keep_endpoints: float
    listen: str
    web_config: Path | None
    tokens: Path | None
    anonymous: Literal["public", "refuse"]
    clocks: str
    per_device: PerDevice
    stale_after: float
    zone: str
    carbon_method: Kind
    carbon_source: str
    factors: Mapping[str, Mapping[str, Any]]
    policy: Policy
    machines: Path | None
    inventory: Path | None
    second_life: Rule
    tariff: float | None
    tariff_date: date | None
    log_level: str
    log_format: str

    @property
    def price(self) -> Price | None:
        """The price of electricity where no room or site has one."""
        return None if self.tariff is None else Price(self.tariff, self.tariff_date, "collector")

    @property
    def booked_source(self) -> str:
        """The source of factors that carbon is booked with: what is no record stands beside."""
        return self.carbon_source if self.carbon_method == "record" else "table"

    def record(self, as_of: str = "") -> Intensity:
        """Return the intensity that carbon is booked with; see :func:`thinwatt_collector.factors.record`."""
        return record(self.zone, self.booked_source, self.factors, as_of)

    def beside(self) -> Intensity | None:
        """Return the one that stands beside; see :func:`thinwatt_collector.factors.beside`."""
        return beside(self.zone, self.carbon_method, self.carbon_source, self.factors)


def _seconds(value: Any, folder: Path) -> float:
    return _quantity(value, folder, "s")


def _watts(value: Any, folder: Path) -> float:
    return _quantity(value, folder, "W")


def _bytes(value: Any, folder: Path) -> float:
    return _quantity(value, folder, "B")


def _quantity(value: Any, folder: Path, unit: str) -> float:
    what, example = units.COHERENT[unit]
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} has no unit: write {what} like {example!r}, in quotes")  # noqa: TRY004 - as all
    return units.parse(text(value, folder), unit)


def _bind(value: Any, _: Path) -> str:
    endpoint(value, "tcp://*:8466", "tcp://", hosts="*", ports="*")
    return str(value)


def _listen(value: Any, _: Path) -> str:
    endpoint(value, "127.0.0.1:9466", "", hosts="", ports="*")
    return str(value)


def _parts(address: str) -> tuple[str, str]:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return host, port


def _bind_here(address: str) -> Iterable[str]:
    return preflight.address(*_parts(address), interfaces=True)


def _listen_here(address: str) -> Iterable[str]:
    return preflight.address(*_parts(address))


def _clocks(value: Any, folder: Path) -> str:
    name = filled(value, folder)
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{shown(name)} is no time zone: write a name like 'Europe/Paris'") from None
    return name


def _ledger(value: Any, folder: Path) -> str:
    where = filled(value, folder)
    kind, colon, rest = where.partition(":")
    if kind in address.SCHEMES:
        return address.text_of(address.address_of(where, folder))
    if kind != "duckdb" or not colon or not rest:
        address.without_password(where)
        raise ValueError(f"{shown(value)} is no ledger: write 'duckdb:ledger.duckdb', or {address.EXAMPLE!r}")
    if ":" in Path(rest).name:
        raise ValueError(
            f"{shown(value)} is no file: to the engine it is memory or another server, and agents would be told that "
            "is booked what a restart forgets; write 'duckdb:state/ledger.duckdb'"
        )
    return f"duckdb:{path(rest, folder)}"


def _price(value: Any, _: Path) -> float:
    try:
        return number("price", 0.0, 5.0, "EUR/kWh")(value)
    except CellError:
        raise ValueError(f"{shown(value)} is no price in EUR/kWh from 0 to 5: write 0.21") from None


def _day(value: Any, _: Path) -> date:
    try:
        return day(value)
    except CellError:
        raise ValueError(f"{shown(value)} is no date: write 2026-02-01") from None


FACTOR_PATHS: Final = frozenset({"archive", "exports", "file", "token_file"})
"""Options of sources of factors that are paths."""
LEVELS: Final = ("debug", "info", "warning", "error")
# Tried: with 48 MiB the engine fails within a day of 1,000 devices, with 64 it carries 10,000, with 256 100,000.
MEMORY: Final = within(_bytes, "64 MiB", "1 TiB", least="the least with which the ledger's engine works")
# The largest message of the protocol (wire.MAX_MESSAGE), so that one at least is held.
HOLD: Final = within(_bytes, "8 MiB", "64 GiB", least="which a single frame may have")
# An agent sends again what is not answered in 30 s, and the answer waits for the commit.
COMMIT: Final = within(_seconds, "50 ms", "20 s", most="and agents would send all of it again and again")
STALE: Final = within(_seconds, "1 min", "30 d", least="the time between two frames of an agent")
POWER: Final = within(_watts, "1 kW", "100 MW", least="which a server may draw")
KEEP: Final = within(_seconds, "2 d", "100 years", least="the day that is summed and the one after it")
KEYS: Final = (
    Key("collector", "state", "state", path, "state", "folder of everything the collector writes", preflight.state),
    Key("link", "bind", "bind", _bind, "tcp://*:8466", "where agents connect", _bind_here),
    Key("link", "secret_key", "secret_key", path, "collector.key", "made by thinwatt-collector keygen",
        preflight.secret),
    Key("link", "agents", "agents", path, "agents.keys", "who is let in: a line 'name public-key' an agent",
        preflight.agents, preflight.lines_of_agents),
    Key("link", "device_power", "device_power", POWER, "100 kW",
        "what one device draws at most; frames that tell more are refused: a rack or a building may need more"),
    Key("ledger", "ledger", "ledger", _ledger, "duckdb:state/ledger.duckdb",
        "one file, one collector; or postgresql://USER@HOST/DATABASE, for several: docs/postgresql.md",
        preflight.ledger),
    Key("ledger", "memory", "ledger_memory", MEMORY, "1 GiB", "what the ledger's engine may use, 64 MiB at least"),
    Key("ledger", "commit_every", "commit_every", COMMIT, "10 s", "answers wait for the commit: 20 s at most"),
    Key("ledger", "hold", "hold", HOLD, "64 MiB", "uncommitted frames beyond which nothing more is received"),
    Key("ledger", "keep_slots", "keep_slots", KEEP, "400 d", "quarters of an hour; older ones are hours and days"),
    Key("ledger", "keep_endpoints", "keep_endpoints", KEEP, "30 d",
        "PCs and thin clients one by one; older energy is that of their room, or of their class"),
    Key("web", "listen", "listen", _listen, "127.0.0.1:9466", "where /metrics is; open it to others with a web_config",
        _listen_here),
    Key("web", "web_config", "web_config", maybe(path), "", "TLS and passwords, the file of Prometheus exporters",
        preflight.web_config),
    Key("api", "tokens", "tokens", maybe(path), "", "who reads /api/v1 with which role; api-token adds one",
        preflight.tokens),
    Key("api", "anonymous", "anonymous", choice("public", "refuse"), "public", "a reader without a token: or refuse"),
    Key("api", "clocks", "clocks", _clocks, "Europe/Paris", "time zone of the site: when its days begin"),
    Key("metrics", "per_device", "per_device", choice("hosts", "all", "none"), "hosts",
        "device series: of hosts, of all (to a scraper with a token of the role technical), or none"),
    Key("metrics", "stale_after", "stale_after", STALE, "10 min", "silence after which a device has departed"),
    Key("carbon", "zone", "zone", filled, "FR", "grid zone of the emission factors"),
    Key("carbon", "method", "carbon_method", choice(*KINDS), "record", "record is booked; others stand beside"),
    Key("carbon", "source", "carbon_source", choice(*names()), "table",
        "its options in [carbon.<source>]: docs/factors.md"),
    Key("attribution", "policy", "policy", choice(*POLICIES), DEFAULT_POLICY,
        "how a host's energy goes to its desktops: reservation (idle by reserved memory, the rest by CPU time), "
        "activity, equal or marginal"),
    Key("models", "devices", "machines", maybe(path), "", "powers of your own hardware: see docs/models.md",
        preflight.machines),
    Key("inventory", "folder", "inventory", maybe(path), "", "what stands where; see thinwatt-collector inventory",
        preflight.inventory),
    Key("inventory", "second_life", "second_life", choice(*RULES), DEFAULT_RULE,
        "who bears the making of what has a second life: cutoff (the first), linear (all evenly) or 50_50"),
    Key("tariff", "eur_per_kwh", "tariff", maybe(_price), "", "price of electricity where no room or site has one"),
    Key("tariff", "date", "tariff_date", maybe(_day), "", "first day on which that was paid: 2026-02-01"),
    Key("log", "level", "log_level", choice(*LEVELS), "info", ", ".join(LEVELS)),
    Key("log", "format", "log_format", choice("text", "json"), "text", "text for people, json for machines"),
)  # fmt: skip
TABLES: Final = tuple(dict.fromkeys(key.table for key in KEYS))


def example() -> str:
    """Return a configuration file with every key, its default and what it means."""
    lines = ["# thinwatt-collector. Every key with its default; paths are relative to this file."]
    for table in TABLES:
        lines += ["", f"[{table}]", *told((k.name, k.default, k.help) for k in KEYS if k.table == table)]
    return "\n".join(lines) + "\n"


def load(file: Path) -> Config:
    """Return the configuration in ``file``.

    Raises:
        ConfigError: the file can't be read, or keys or values in it are wrong; it names all of them.
    """
    return parse(_text(file), file)


def check(file: Path, closely: bool = False) -> Config:
    """Return the configuration in ``file`` after a look at what it names on this machine: :mod:`preflight`.

    Args:
        file: the configuration.
        closely: whether to raise also for what stops no collector: a wrong line in the list of agents.

    Raises:
        ConfigError: as :func:`load`, or something that it names can't be used here.
    """
    return parse(_text(file), file, here=True, closely=closely)


def _text(file: Path) -> str:
    return read(file, f"thinwatt-collector config --example > {file}")


def parse(document: str, place: Path, here: bool = False, closely: bool = False) -> Config:
    """Return the configuration written in ``document``.

    Args:
        document: the text of the file.
        place: where it came from; paths in it are relative to its folder.
        here: whether to look at what it names on this machine.
        closely: see :func:`check`.

    Raises:
        ConfigError: tables, keys or values are wrong.
    """
    file = File(document, place, here, closely)
    file.names(TABLES, lambda: ((f"[{key.table}]", key.name) for key in KEYS))
    found: dict[str, Any] = {}
    sources, rest = _factors(file, place.parent)
    for table in TABLES:
        content = rest if table == "carbon" else file.document.get(table, {})
        found |= file.table(content, [key for key in KEYS if key.table == table], (table,))
    found["factors"] = sources
    _agree(file, found)
    if file.here:
        _agree_here(file, found)
    _look_for_factors(file, found)
    file.done()
    return Config(**found)


def _factors(file: File, folder: Path) -> tuple[dict[str, dict[str, Any]], Any]:
    """Return the tables [carbon.<source>], whose contents the sources check themselves, and the rest of [carbon]."""
    carbon = file.document.get("carbon", {})
    if not isinstance(carbon, dict):
        return {}, carbon
    tables = {name: table for name, table in carbon.items() if isinstance(table, dict)}
    file.keys(tables, names(), ("carbon",), what="source of factors")
    found = {
        name: {key: folder / str(value) if key in FACTOR_PATHS and value else value for key, value in table.items()}
        for name, table in tables.items()
    }
    return found, {name: value for name, value in carbon.items() if name not in tables}


def _look_for_factors(file: File, found: Mapping[str, Any]) -> None:
    """Note why the emission factors can't be loaded here."""
    if not file.here or not {"zone", "carbon_method", "carbon_source"} <= found.keys():
        return
    zone, kind, source, tables = (found[name] for name in ("zone", "carbon_method", "carbon_source", "factors"))
    booked = source if kind == "record" else "table"
    try:
        record(zone, booked, tables)
    except FactorError as error:
        file.wrong(_at("zone" if booked == "table" else "carbon_source"), str(error))
    try:
        beside(zone, kind, source, tables)
    except FactorError as error:
        file.wrong(_at("carbon_source"), str(error))


def _agree(file: File, found: Mapping[str, Any]) -> None:
    """Note what can't be beside something else."""
    if {"bind", "listen"} <= found.keys():
        (host, port), (other, same) = _parts(found["bind"]), _parts(found["listen"])
        if port == same != "*" and (host == other or {host, other} & {"", "*", "0.0.0.0", "[::]"}):  # noqa: S104 - asks
            file.wrong(_at("listen"), f"agents connect to port {port} already, by bind: write another one here")
    if {"per_device", "tokens", "web_config"} <= found.keys() and found["per_device"] == "all":
        for why in preflight.nobody_proves(found["tokens"], found["web_config"], look=file.here):
            file.wrong(_at("per_device"), why)
    if {"state", "ledger"} <= found.keys():
        if found["ledger"] == f"duckdb:{found['state']}":
            file.wrong(_at("ledger"), "this is the folder of state: write a file, such as 'duckdb:state/ledger.duckdb'")
        for why in preflight.ledger_folder(found["ledger"], found["state"]) if file.here else ():
            file.wrong(_at("ledger"), why)


def _agree_here(file: File, found: Mapping[str, Any]) -> None:
    """Note what a collector that begins here may not have beside something else."""
    if {"secret_key", "agents"} <= found.keys():
        for why in preflight.key_of_an_agent(found["secret_key"], found["agents"]):
            file.wrong(_at("secret_key"), why)
    if found.get("tariff") is not None and found.get("tariff_date", "") is None:
        why = 'a price holds from a day on: write date = "2026-02-01", the first day on which it was paid, below it'
        file.wrong(_at("tariff"), why)


def _at(field: str) -> Place:
    return next((key.table, key.name) for key in KEYS if key.field == field)
