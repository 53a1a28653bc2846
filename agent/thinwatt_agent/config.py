"""The agent's configuration: one TOML file to a frozen dataclass.

The table :data:`KEYS`, and the ``OPTIONS`` of each source, are the only places that know a key: they read the file,
make the errors and write the example.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path
from typing import Any, Final

from thinwatt_agent import places, sources
from thinwatt_agent.loop import SamplerOptions
from thinwatt_agent.places import ConfigError, File, Key, Place, path, shown, within
from thinwatt_agent.sources import Option

__all__ = ["DEFAULT", "KEYS", "PEER", "Config", "ConfigError", "Peer", "check", "example", "load", "parse"]

DEFAULT: Final = Path("/etc/thinwatt/agent.toml")
MOST_ROWS: Final = 600
"""Rows of a frame: those of 1,700 values each, a host with 200 desktops, still go into one message."""
ROW: Final = 2048
"""What a row of a large host takes: 256 values [bytes]."""


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
        raise ValueError(
            f"{shown(value)} is no number with one of the units {', '.join(known)}: write {EXAMPLES[unit]!r}"
        )
    if not isfinite(read := float(found[1]) * known[found[2]]):
        raise ValueError(f"{shown(value)} is too large: write {EXAMPLES[unit]!r}")
    return read


def _seconds(value: Any, _: Path) -> float:
    return quantity(value, "s")


def _bytes(value: Any, _: Path) -> int:
    return int(quantity(value, "B"))


def _address(value: Any, _: Path) -> str:
    host, _port = places.endpoint(value, EXAMPLE, "tcp://")
    if host in ("0.0.0.0", "[::]"):  # noqa: S104 - nothing is bound here
        raise ValueError(f"{shown(value)} is every address of a collector and no one's: write {EXAMPLE!r}")
    return str(value)


def _class(value: Any, folder: Path) -> str:
    if not re.fullmatch(r"(?:[a-z][a-z0-9_]{0,39})?", places.text(value, folder)):
        raise ValueError(f"{shown(value)} is no class: write small letters, digits and _, such as 'thin_client'")
    return str(value)


def _server_key(value: Any, folder: Path) -> Path:
    from thinwatt_agent import keys

    if keys.is_key(places.text(value, folder)):
        raise ValueError(f"{shown(value)} is a key: write it into a file, and here the path of that file")
    return Path(path(value, folder))


# What is looked at on this machine


def _state(folder: Path) -> Iterable[str]:
    """Yield what the spool has no place in; an agent that runs keeps its rows in memory then, and tells it."""
    first = next(place for place in (folder, *folder.parents) if os.path.exists(place))  # noqa: PTH110 - asks, raises not
    if not os.path.isdir(first):  # noqa: PTH112 - the same
        yield f"{first} is no folder: write the path of one, there or not"


def no_machine(root: Path) -> Iterable[str]:
    """Yield why no machine can be read below ``root``."""
    if not os.path.isdir(root):  # noqa: PTH112 - asks, raises not
        yield f"{root} is no folder: write '/', or the folder of a recorded machine"
    elif not any(os.path.isdir(root / name) for name in ("sys", "proc")):  # noqa: PTH112 - the same
        yield f"{root} holds neither sys/ nor proc/: write '/', or the folder of a recorded machine"


def _secret(file: Path) -> Iterable[str]:
    from thinwatt_agent import keys

    return _refused(keys.read_secret, file)


def _public(file: Path) -> Iterable[str]:
    from thinwatt_agent import keys

    return _refused(keys.read_public, file)


def _refused(read: Callable[[Path], bytes], file: Path) -> Iterable[str]:
    try:
        read(file)
    except ValueError as error:  # KeyFileError
        yield str(error)


LEVELS: Final = ("debug", "info", "warning", "error")
EXAMPLE: Final = "tcp://collector.example.org:8466"
INTERVAL: Final = within(_seconds, "0.1 s", "15 min", most="a slot of the ledger")
FRAME: Final = within(_seconds, "0.1 s", "1 h", most="and a collector takes this machine for departed")
GAP: Final = places.maybe(within(_seconds, "0.1 s", "1 h", most="and a collector believes no more of a restart"))
SPOOL: Final = within(_bytes, "64 KiB", "1024 GiB", least="which is what a few frames need")
MEMORY: Final = within(_bytes, "64 KiB", "1 GiB", least="which is what a few frames need")
KEYS: Final = (
    Key("agent", "state", "state", path, "/var/lib/thinwatt-agent", "folder of the spool; may be read-only",
        closer=_state),
    Key("agent", "secret_key", "secret_key", path, "agent.key", "made by: thinwatt-agent keygen agent.key", _secret),
    Key("agent", "interval", "interval", INTERVAL, "10 s", "time between two readings"),
    Key("agent", "frame", "frame", FRAME, "60 s", "rows sent together; '5 min' for very large fleets"),
    Key("agent", "max_gap", "max_gap", GAP, "", "longer without a reading is a gap; empty: 3 intervals"),
    Key("agent", "class", "kind", _class, "", "host, desktop, laptop, thin_client …; empty: as the firmware says"),
    Key("agent", "model", "model", places.text, "", "hardware model; empty: as the firmware says"),
    Key("agent", "root", "root", path, "/", "where sys/ and proc/ are; of a recorded machine: its folder", no_machine),
    Key("agent", "spool", "spool", SPOOL, "64 MiB", "bound of unanswered rows on disk; then they are thinned out"),
    Key("agent", "spool_memory", "spool_memory", MEMORY, "4 MiB", "the same where there is no disk to write to"),
    Key("log", "level", "log_level", places.choice(*LEVELS), "info", ", ".join(LEVELS)),
)  # fmt: skip
PEER: Final = (
    Key("collectors", "address", "address", _address, EXAMPLE, "where it listens", needed=True),
    Key("collectors", "server_key", "server_key", _server_key, "collector.pub", "file of its public key", _public,
        needed=True),
)  # fmt: skip
TABLES: Final = tuple(dict.fromkeys(key.table for key in KEYS))


def example() -> str:
    """Return a configuration file with every key, its default and what it means."""
    lines = ["# thinwatt-agent. Every key with its default; paths are relative to this file."]
    for table in TABLES:
        lines += ["", f"[{table}]", *places.told((k.name, k.default, k.help) for k in KEYS if k.table == table)]
    lines += ["", "# One table a collector, in order of preference: the next is asked when one does not answer."]
    lines += ["[[collectors]]", *places.told((k.name, k.default, k.help) for k in PEER)]
    for name in sources.names():
        lines += ["", f"# {(sources.module(name).__doc__ or name).splitlines()[0]}", f"[sources.{name}]"]
        lines += places.told((o.key, _written(o), o.comment) for o in sources.options(name))
    return "\n".join(lines) + "\n"


def _written(option: Option) -> bool | float | str:
    return f"{option.default:g} {option.unit}" if option.unit else option.default


def load(file: Path) -> Config:
    """Return the configuration in ``file``.

    Raises:
        ConfigError: the file can't be read, or keys or values in it are wrong; it names all of them.
    """
    return parse(_text(file), file)


def check(file: Path, closely: bool = False) -> Config:
    """Return the configuration in ``file`` after a look at what it names on this machine: keys, folders.

    Args:
        file: the configuration.
        closely: whether to raise also for what stops no agent: a folder of the spool that can be none.

    Raises:
        ConfigError: as :func:`load`, or something that it names can't be used here.
    """
    return parse(_text(file), file, here=True, closely=closely)


def _text(file: Path) -> str:
    return places.read(file, f"thinwatt-agent config --example > {file}")


def parse(text: str, place: Path, here: bool = False, closely: bool = False) -> Config:
    """Return the configuration written in ``text``.

    Args:
        text: of the file.
        place: where it came from; paths in it are relative to its folder.
        here: whether to look at what it names on this machine.
        closely: see :func:`check`.

    Raises:
        ConfigError: tables, keys or values are wrong.
    """
    file = File(text, place, here, closely)
    document = file.document
    file.names([*TABLES, "collectors", "sources"], _homes)
    found: dict[str, Any] = {}
    for table in TABLES:
        found |= file.table(document.get(table, {}), [key for key in KEYS if key.table == table], (table,))
    peers = _peers(file)
    options = _sources(file)
    _agree(file, found, peers)
    file.done()
    return Config(**found, collectors=tuple(Peer(**peer) for peer in peers), sources=options)


def _homes() -> Iterator[tuple[str, str]]:
    """Yield table and name of every key; the sources are loaded only when somebody asks, for a mistake."""
    yield from ((f"[{key.table}]", key.name) for key in KEYS)
    yield from ((f"[[{key.table}]]", key.name) for key in PEER)
    yield from ((f"[sources.{name}]", option.key) for name in sources.names() for option in sources.options(name))


def _peers(file: File) -> list[dict[str, Any]]:
    entries = file.document.get("collectors", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        file.wrong(("collectors",), "write a table [[collectors]], in two brackets, for each collector")
        return []
    if file.here and not entries:
        file.wrong(("collectors",), "there is none, so nobody to send to: write a table [[collectors]] for each")
    return [file.table(entry, PEER, ("collectors",), n) for n, entry in enumerate(entries)]


def _sources(file: File) -> dict[str, dict[str, Any]]:
    tables = file.mapping(file.document.get("sources", {}), ("sources",))
    file.keys(tables, sources.names(), ("sources",), what="source")
    return {name: _source(file, name, tables[name]) for name in tables if name in sources.names()}


def _source(file: File, name: str, content: Any) -> dict[str, Any]:
    at, found = ("sources", name), {}
    options = {option.key: option for option in sources.options(name)}
    content = file.mapping(content, at)
    file.keys(content, options, at)
    for key in [key for key in content if key in options]:
        try:
            found[key] = _option(options[key], content[key])
        except ValueError as error:
            file.wrong((*at, key), str(error))
    check_all = getattr(sources.module(name), "check", None)
    if check_all and len(found) == len(content):
        try:
            check_all(found)
        except sources.Unfit as error:
            file.wrong((*at, error.key), str(error))
    return found


def _option(option: Option, value: Any) -> Any:
    kind: Any = type(option.default)
    if option.unit in UNITS:
        value = kind(quantity(value, option.unit))
    elif kind is float and type(value) is int and abs(value) < 1 << 53:
        value = float(value)
    if type(value) is not kind or (kind is float and not isfinite(value)):
        raise ValueError(f"{shown(value)} can't stand here: write {places.toml(option.default)}, or one like it")
    return option.read(value, Path())


def _agree(file: File, found: Mapping[str, Any], peers: Iterable[Mapping[str, Any]]) -> None:
    """Note what can't be beside something else."""
    interval, frame, gap = (found.get(name) for name in ("interval", "frame", "max_gap"))
    if interval and gap and gap <= interval:
        file.wrong(_at("max_gap"), f'every interval of {interval:g} s would be a gap: write more, or ""')
    if interval and frame:
        _hold(file, found, frame / interval, interval)
    if file.here and "secret_key" in found:
        _not_our_own(file, found["secret_key"], peers)


def _hold(file: File, found: Mapping[str, Any], rows: float, interval: float) -> None:
    """Note a frame of so many rows that is none, or is larger than what has to hold it."""
    if rows < 1:
        file.wrong(_at("frame"), f"it is shorter than the interval: write '{interval:g} s' or more")
    elif rows > MOST_ROWS:
        most = f"'{MOST_ROWS * interval:g} s' or less"
        file.wrong(_at("frame"), f"{rows:.0f} rows of {interval:g} s go into no message: write {most}")
    else:
        least = 2 * rows * ROW
        for name in ("spool", "spool_memory"):
            if found.get(name, inf) < least:
                why = f"two frames of {rows:.0f} rows may need {least / 2**20:.1f} MiB"
                file.wrong(_at(name), f"{why}: write more, or a shorter frame")


def _not_our_own(file: File, secret: Path, peers: Iterable[Mapping[str, Any]]) -> None:
    from thinwatt_agent import keys

    for n, peer in enumerate(peers):
        try:
            theirs, ours = keys.read_public(peer["server_key"]), keys.read_secret(secret)
        except (KeyError, keys.KeyFileError):
            continue
        what = {ours: "own secret key", keys.public_of(ours): "own key"}.get(theirs)
        if what or keys.is_secret(peer["server_key"]):
            held = f"this agent's {what}" if what else "a secret key, which no other machine should have"
            text = f"{peer['server_key']} holds {held}: copy the collector's collector.key.pub to it"
            file.wrong(("collectors", "server_key"), text, n)


def _at(field: str) -> Place:
    return next((key.table, key.name) for key in KEYS if key.field == field)
