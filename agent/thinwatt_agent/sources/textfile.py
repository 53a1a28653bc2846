"""Whatever a script can write down: files in Prometheus text format, the way in for meters that have no source yet.

In every ``*.prom`` file of the folder, ``*_joules_total`` is a register of energy and ``*_watts`` a power, integrated
here; other counters and gauges are sent under their own name. Labels ``part``, ``scope`` (wall, node, component),
``basis`` (measured, modelled, assumed) and ``total`` (false: inside another part) say what an energy covers; unlabelled
it is taken for what claims least, a modelled component. All labels travel: write no names of people into them.

Write a file under another name and rename it, so that no half of it is ever read::

    plug_joules_total{part="plug",scope="wall",basis="measured"} 123456.7

One whose last line has no end is such a half: its samples are missing until it is whole. So are those of a file whose
time lies ahead of the clock, for nobody can say how old it is. (More than a day ahead it was copied with a recording.)
"""

from __future__ import annotations

import logging
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import floor, isfinite
from pathlib import Path
from typing import Any, Final

from thinwatt_agent import places
from thinwatt_agent.counters import Instant
from thinwatt_agent.files import LARGEST, children
from thinwatt_agent.sources import Count, Denied, Energy, Gauge, Option, Power, Read, Spec, Values, above_zero, option
from thinwatt_agent.sources._allow import by_hand

log = logging.getLogger(__name__)


def _folder(value: Any, folder: Path) -> Any:
    if not places.text(value, folder).startswith("/"):
        raise ValueError(f"{places.shown(value)} is no whole path: write one that starts with /")
    return value


ABSENT = "no *.prom file in its folder"
OPTIONS = (
    Option("folder", "/var/lib/thinwatt/textfile", "where the *.prom files are", read=_folder),
    Option("max_age", 300.0, "a file older than this is a failed reading", "s", above_zero),
    Option("max_power", 100_000.0, "highest power believed of any series", "W", above_zero),
)
REMEDY: Final = "sudo chmod a+rx {folder} && sudo find {folder} -maxdepth 1 -name '*.prom' -exec chmod a+r {{}} +"
MOST_SERIES: Final = 500
MICRO: Final = 1e-6
AHEAD: Final = (60.0, 86400.0)
"""A file so far ahead of the clock [s] was written before the clock was set back."""
SAMPLE: Final = re.compile(r"([a-zA-Z_:][\w:]*)\s*(?:\{(.*)\})?\s+(\S+)(?:\s+(-?\d+))?")
LABEL: Final = re.compile(r'\s*([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
UNITS: Final = {"seconds": "s", "bytes": "B", "joules": "J", "watts": "W", "celsius": "celsius", "ratio": "1"}
SCOPES: Final = ("component", "node", "wall")
BASES: Final = ("modelled", "measured", "assumed")


@dataclass(frozen=True, slots=True)
class Sample:
    """One line: metric, labels, value and whether its file calls it a counter."""

    name: str
    labels: Mapping[str, str]
    value: float
    counter: bool

    @property
    def key(self) -> str:
        """The series' identity."""
        return self.name + "".join(f" {k}={v}" for k, v in sorted(self.labels.items()))


def probe(root: Path, options: Mapping[str, Any]) -> Read | None:
    """Return the series of all files; those that come up later are found at the next look."""
    folder = root / str(option(options, OPTIONS, "folder")).lstrip("/")
    oldest, highest = (float(option(options, OPTIONS, key)) for key in ("max_age", "max_power"))
    if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
        raise _denied(folder, folder)
    paths = [folder / name for name in children(folder) if name.endswith(".prom")]
    specs: dict[str, Spec] = {}
    for path in paths:
        try:
            specs |= {s.key: _spec(s, highest) for s in parse(_text(path))}
        except PermissionError:
            raise _denied(path, folder) from None
        except (OSError, ValueError) as error:
            log.warning("%s: %s; this file is left out until it is right", path, error)
    if len(specs) > MOST_SERIES:
        raise ValueError(f"{folder} holds {len(specs)} series; at most {MOST_SERIES} are taken: leave some out")
    if not specs:
        return None

    def read(now: Instant) -> Values:
        found = {s.key: s for path in paths for s in _fresh(path, now, oldest)}
        return [_value(spec, found.get(key)) for key, spec in specs.items()]

    return Read(tuple(specs.values()), read)


def _denied(path: Path, folder: Path) -> Denied:
    return Denied(f"{path} is not readable", REMEDY.format(folder=shlex.quote(str(folder))), by_hand())


def _text(path: Path) -> str:
    return path.read_bytes()[:LARGEST].decode("utf-8", "replace")


def _fresh(path: Path, now: Instant, oldest: float) -> list[Sample]:
    """Return the samples of a file that was written lately, none of one that is stale, wrong or gone."""
    try:
        age = now.utc * 1e-9 - path.stat().st_mtime
        if age > oldest or AHEAD[0] < -age < AHEAD[1]:
            return []
        return list(parse(_text(path)))
    except (OSError, ValueError):
        return []


def parse(text: str) -> Iterator[Sample]:
    r"""Yield the samples of a file.

    >>> [(s.name, dict(s.labels), s.value) for s in parse('# TYPE a_total counter\na_total{x="1,\\"2"} 3e1 1700\n')]
    [('a_total', {'x': '1,"2'}, 30.0)]

    Raises:
        ValueError: A line is not in the format; the text says which.
    """
    if text and not text.endswith("\n"):
        raise ValueError("its last line has no end: half a file; write it under another name and rename it")
    types: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split(None, 3)
        if words[:2] == ["#", "TYPE"] and len(words) == 4:
            types[words[2]] = words[3].strip()
        if not words or line.lstrip().startswith("#"):
            continue
        found = SAMPLE.fullmatch(line.strip())
        if not found:
            raise ValueError(f"line {number}: not 'name{{label=\"…\"}} value': {line[:60]!r}")
        kind = types.get(found[1], "counter" if found[1].endswith("_total") else "gauge")
        if kind in ("counter", "gauge", "untyped"):
            yield Sample(found[1], _labels(found[2] or "", number), _float(found[3], number), kind == "counter")


def _labels(text: str, number: int) -> dict[str, str]:
    labels: dict[str, str] = {}
    place = 0
    while text[place:].strip():
        found = LABEL.match(text, place)
        if not found:
            raise ValueError(f'line {number}: labels are written name="text", not {text[place:][:60]!r}')
        labels[found[1]] = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else str(m[1]), found[2])[:100]
        place = found.end()
    return labels


def _float(text: str, number: int) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"line {number}: {text[:60]!r} is no number") from None


def _spec(sample: Sample, highest: float) -> Spec:
    """Return what a sample is; its key is the sample's own."""
    labels = dict(sample.labels)
    base = re.sub(r"(_joules_total|_watts)$", "", sample.name)
    part = labels.pop("part", "") or base
    scope, basis = _one_of(labels, "scope", SCOPES), _one_of(labels, "basis", BASES)
    total = _one_of(labels, "total", ("true", "false")) == "true"
    part += "".join(f" {k}={v}" for k, v in sorted(labels.items()))
    if sample.name.endswith("_joules_total"):
        return Energy(sample.key, part, MICRO, None, highest, scope, basis, total, scaled=6)
    if sample.name.endswith("_watts"):
        return Power(sample.key, part, highest, scope, basis, total)
    unit = UNITS.get(sample.name.removesuffix("_total").rpartition("_")[2], "1")
    series = sample.key.partition(" ")[2]
    return Count(sample.name, unit, series) if sample.counter else Gauge(sample.name, unit, series)


def _one_of(labels: dict[str, str], key: str, known: tuple[str, ...]) -> str:
    found = labels.pop(key, known[0])
    if found not in known:
        raise ValueError(f'label {key}="{found}" is none of {", ".join(known)}')
    return found


def _value(spec: Spec, sample: Sample | None) -> float | None:
    if sample is None or not isfinite(sample.value):
        return None
    whole = floor(sample.value)
    return whole * 10**6 + round((sample.value - whole) * 1e6) if isinstance(spec, Energy) else sample.value
