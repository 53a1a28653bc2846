"""The agent's configuration: one TOML file to a frozen dataclass.

The table :data:`KEYS`, and the ``OPTIONS`` of each source, are the only places that know a key: they read the file,
make the errors and write the example.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from thinwatt_agent import sources
from thinwatt_agent.loop import SamplerOptions
from thinwatt_agent.places import Place, line_of, meant
from thinwatt_agent.sources import Option

DEFAULT: Final = Path("/etc/thinwatt/agent.toml")


class ConfigError(ValueError):
    """A configuration that can't be used; the text names file, line, key and what to write instead."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A collector: where it listens, and the file of its public key."""

    address: str
    server_key: Path


@dataclass(frozen=True, slots=True)
class Config:
    """The agent's configuration. Durations in s, sizes in bytes; ``max_gap`` None: three intervals, at least 30 s."""

    state: Path
    secret_key: Path
    interval: float
    frame: float
    max_gap: float | None
    kind: str
    model: str
    root: Path
    spool: int
    spool_memory: int
    log_level: str
    collectors: tuple[Peer, ...] = ()
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def sampler_options(self) -> SamplerOptions:
        """Return what the sampler is to know."""
        machine = {"class": self.kind, "model": self.model}
        return SamplerOptions(self.interval, self.max_gap, sources=self.sources, machine=machine)


Read = Callable[[Any, Path], Any]


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its table and name in the file, the field it fills, how it is read, its default as written, help."""

    table: str
    name: str
    field: str
    read: Read
    default: str
    help: str


UNITS: Final[Mapping[str, Mapping[str, float]]] = {
    "s": {"ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86_400},
    "B": {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 1e3, "MB": 1e6, "GB": 1e9},
    "W": {"mW": 1e-3, "W": 1, "kW": 1e3},
}
EXAMPLES: Final = {"s": "10 s", "B": "64 MiB", "W": "65 W"}


def quantity(value: Any, unit: str) -> float:
    """Return a quantity as written in a configuration, in ``unit``.

    >>> quantity("1.5 min", "s"), quantity("64 MiB", "B"), quantity("65 W", "W")
    (90.0, 67108864.0, 65.0)

    Raises:
        ValueError: it has no unit or one of something else; the text says what to write.
    """
    known = UNITS[unit]
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", value) if isinstance(value, str) else None
    if found is None or found[2] not in known:
        raise ValueError(f"{value!r} is no number with one of the units {', '.join(known)}: write {EXAMPLES[unit]!r}")
    return float(found[1]) * known[found[2]]


def _text(value: Any, _: Path) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text: write it in quotes")  # noqa: TRY004 - one kind for all wrong values
    return value


def _path(value: Any, folder: Path) -> Path:
    text = _text(value, folder)
    if not text:
        raise ValueError("it is empty: write a path, absolute or relative to this file")
    return folder / text


def _seconds(value: Any, _: Path) -> float:
    found = quantity(value, "s")
    if found < 0.1:
        raise ValueError(f"{value!r} is shorter than 0.1 s: write '10 s'")
    return found


def _maybe_seconds(value: Any, folder: Path) -> float | None:
    return _seconds(value, folder) if value != "" else None


def _bytes(value: Any, _: Path) -> int:
    found = int(quantity(value, "B"))
    if found < 64 << 10:
        raise ValueError(f"{value!r} is less than 64 KiB, which is what a few frames need")
    return found


def _address(value: Any, folder: Path) -> str:
    text = _text(value, folder)
    if not re.fullmatch(r"tcp://(\[[0-9A-Fa-f:%.\w]+\]|[\w.-]+):\d{1,5}", text) or int(text.rpartition(":")[2]) > 65535:
        raise ValueError(f"{text!r} is no address: write 'tcp://collector.example.org:8466'")
    return text


def _level(value: Any, _: Path) -> str:
    if value not in LEVELS:
        raise ValueError(f"{value!r} is none of {', '.join(LEVELS)}")
    return str(value)


LEVELS: Final = ("debug", "info", "warning", "error")
KEYS: Final = (
    Key("agent", "state", "state", _path, "/var/lib/thinwatt-agent", "folder of the spool; may be read-only"),
    Key("agent", "secret_key", "secret_key", _path, "agent.key", "made by: thinwatt-agent keygen agent.key"),
    Key("agent", "interval", "interval", _seconds, "10 s", "time between two readings"),
    Key("agent", "frame", "frame", _seconds, "60 s", "rows sent together; '5 min' for very large fleets"),
    Key("agent", "max_gap", "max_gap", _maybe_seconds, "", "longer without a reading is a gap; empty: 3 intervals"),
    Key("agent", "class", "kind", _text, "", "host, desktop, laptop, thin_client …; empty: as the firmware says"),
    Key("agent", "model", "model", _text, "", "hardware model; empty: as the firmware says"),
    Key("agent", "root", "root", _path, "/", "where sys/ and proc/ are; another folder to read a recorded machine"),
    Key("agent", "spool", "spool", _bytes, "64 MiB", "bound of unanswered rows on disk; then they are thinned out"),
    Key("agent", "spool_memory", "spool_memory", _bytes, "4 MiB", "the same where there is no disk to write to"),
    Key("log", "level", "log_level", _level, "info", ", ".join(LEVELS)),
)  # fmt: skip
PEER: Final = (
    Key("collectors", "address", "address", _address, "tcp://collector.example.org:8466", "where it listens"),
    Key("collectors", "server_key", "server_key", _path, "collector.pub", "file with its public key"),
)


def example() -> str:
    """Return a configuration file with every key, its default and what it means."""
    lines = ["# thinwatt-agent. Every key with its default; paths are relative to this file."]
    for table in dict.fromkeys(key.table for key in KEYS):
        lines += ["", f"[{table}]", *_told((k.name, _toml(k.default), k.help) for k in KEYS if k.table == table)]
    lines += ["", "# One table a collector, in order of preference: the next is asked when one does not answer."]
    lines += ["[[collectors]]", *_told((k.name, _toml(k.default), k.help) for k in PEER)]
    for name in sources.names():
        lines += ["", f"# {(sources.module(name).__doc__ or name).splitlines()[0]}", f"[sources.{name}]"]
        lines += _told((o.key, _written(o), o.comment) for o in sources.options(name))
    return "\n".join(lines) + "\n"


def _told(keys: Iterable[tuple[str, str, str]]) -> list[str]:
    return [line for name, default, text in keys for line in (f"# {text}", f"{name} = {default}")]


def _toml(value: bool | float | str) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else f"{value}"


def _written(option: Option) -> str:
    return _toml(f"{option.default:g} {option.unit}" if option.unit else option.default)


def load(path: Path) -> Config:
    """Return the configuration in ``path``.

    Raises:
        ConfigError: the file can't be read, or a key or value in it is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} is not there; to begin with: thinwatt-agent config --example") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read: {error}") from None
    return parse(text, path)


def check(path: Path) -> Config:
    """Return the configuration in ``path`` after a look at the key files that it names.

    Raises:
        ConfigError: as :func:`load`, or a key file is missing or can't be used; the text names the line and the remedy.
    """
    from thinwatt_agent import keys

    config, text = load(path), path.read_text(encoding="utf-8")

    def good(at: Place, n: int, read: Callable[[Path], bytes], file: Path, remedy: str) -> None:
        try:
            read(file)
        except keys.KeyFileError as error:
            why = f"{file} is not there; {remedy}" if not file.exists() else f"{error}; {remedy}"
            raise ConfigError(f"{path}:{line_of(text, at, n)}: {'.'.join(at)}: {why}") from None

    own = f"make it with: thinwatt-agent keygen {config.secret_key}"
    good(("agent", "secret_key"), 0, keys.read_secret, config.secret_key, own)
    for n, peer in enumerate(config.collectors):
        made = "its collector makes it with: thinwatt-collector keygen collector.key"
        theirs = f"{made}; copy collector.key.pub to {peer.server_key}"
        good(("collectors", "server_key"), n, keys.read_public, peer.server_key, theirs)
    return config


def parse(text: str, path: Path) -> Config:
    """Return the configuration written in ``text``; ``path`` is where it came from.

    Raises:
        ConfigError: a table, key or value is wrong.
    """
    import tomllib

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from None
    return _File(document, text, path).config()


@dataclass(frozen=True, slots=True)
class _File:
    document: Mapping[str, Any]
    text: str
    path: Path

    def config(self) -> Config:
        """Return what the file says, or raise what is wrong with it."""
        tables = [*dict.fromkeys(key.table for key in KEYS), "collectors", "sources"]
        for name in self.document:
            if name not in tables:
                raise self._wrong(
                    (name,), 0, self._astray(name, tables) or f"no table [{name}] is known{meant(name, tables)}"
                )
        found: dict[str, Any] = {}
        for table in dict.fromkeys(key.table for key in KEYS):
            own = [key for key in KEYS if key.table == table]
            found |= self._table(self._mapping(self.document.get(table, {}), (table,)), own, (table,))
        config = Config(**found, collectors=self._peers(), sources=self._sources())
        self._agree(config)
        return config

    def _astray(self, name: str, tables: Iterable[str]) -> str:
        """Return where a key belongs that stands outside the tables, "" for what is a table."""
        if isinstance(self.document[name], dict | list):
            return ""
        import difflib

        homes: dict[str, str] = {}
        written = [(f"[{key.table}]", key.name) for key in KEYS] + [(f"[[{key.table}]]", key.name) for key in PEER]
        written += [(f"[sources.{s}]", option.key) for s in sources.names() for option in sources.options(s)]
        for table, key in written:
            homes[key] = f"{homes[key]} or {table}" if key in homes else table
        close = difflib.get_close_matches(name, homes, 1, 0.7)
        if name in homes:
            return f"this key belongs in the table {homes[name]}: write it below that line"
        if close:
            return f"no key {name!r} is known: did you mean {close[0]!r}, in the table {homes[close[0]]}?"
        return f"no key {name!r} is known; each key stands below the line of its table: {', '.join(tables)}"

    def _table(self, content: Mapping[str, Any], keys: Iterable[Key], at: Place, n: int = 0) -> dict[str, Any]:
        known = {key.name: key for key in keys}
        self._known(content, known, at, n)
        found = {}
        for name, key in known.items():
            try:
                found[key.field] = key.read(content.get(name, key.default), self.path.parent)
            except ValueError as error:
                raise self._wrong((*at, name), n, str(error)) from None
        return found

    def _peers(self) -> tuple[Peer, ...]:
        entries = self.document.get("collectors", [])
        if not isinstance(entries, list):
            raise self._wrong(("collectors",), 0, "write a table [[collectors]], in two brackets, for each collector")
        peers = []
        for n, entry in enumerate(entries):
            content = self._mapping(entry, ("collectors",))
            for key in PEER:
                if key.name not in content:
                    raise self._wrong(("collectors",), n, f"{key.name} is missing: {key.help}")
            peers.append(Peer(**self._table(content, PEER, ("collectors",), n)))
        return tuple(peers)

    def _sources(self) -> dict[str, dict[str, Any]]:
        tables = self._mapping(self.document.get("sources", {}), ("sources",))
        names, found = sources.names(), {}
        for name, content in tables.items():
            if name not in names:
                raise self._wrong(("sources", name), 0, f"no source {name!r} is known{meant(name, names)}")
            at = ("sources", name)
            options = {option.key: option for option in sources.options(name)}
            self._known(self._mapping(content, at), options, at, 0)
            found[name] = {key: self._option(options[key], value, (*at, key)) for key, value in content.items()}
        return found

    def _option(self, option: Option, value: Any, at: Place) -> Any:
        try:
            if option.unit in UNITS:
                return type(option.default)(quantity(value, option.unit))
            if isinstance(option.default, float) and isinstance(value, int) and not isinstance(value, bool):
                return float(value)
            if type(value) is not type(option.default):
                raise ValueError(f"{value!r} can't stand here: write {_toml(option.default)}, or one like it")
        except ValueError as error:
            raise self._wrong(at, 0, str(error)) from None
        return value

    def _agree(self, config: Config) -> None:
        if config.frame < config.interval:
            raise self._wrong(("agent", "frame"), 0, f"it is shorter than the interval of {config.interval:g} s")
        if config.max_gap is not None and config.max_gap <= config.interval:
            raise self._wrong(("agent", "max_gap"), 0, f"every interval of {config.interval:g} s would be a gap")

    def _mapping(self, value: Any, at: Place) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(at, 0, f"write it as a table: [{'.'.join(at)}]")
        return value

    def _known(self, content: Iterable[str], known: Iterable[str], at: Place, n: int) -> None:
        names = list(known)
        for name in content:
            if name not in names:
                raise self._wrong((*at, name), n, f"no key {name!r} is known here{meant(name, names)}")

    def _wrong(self, at: Place, n: int, text: str) -> ConfigError:
        return ConfigError(f"{self.path}:{line_of(self.text, at, n)}: {'.'.join(at)}: {text}")
