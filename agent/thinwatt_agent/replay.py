"""``replay FOLDER``: what the agent would have counted on a recorded machine, by the code that counts live.

``FOLDER`` holds numbered machine states ``0/``, ``1/`` … (in numeric order; other names are left alone). A state is a
recorded root (``sys/``, ``proc/`` …) with ``clock.toml``: ``boottime`` and ``monotonic`` [s], ``utc`` [s since 1970, or
a date and time] and ``boot_id``, all four of them. Other devices may come and go from state to state; a part that was
there once and is not any more is a failed read. ``--json`` prints::

    {"sources": {"rapl": {"package-0": {"joules": 350.0, "covered": 3.0, "uncovered": 0.0, "scope": "component",
                                        "basis": "modelled", "total": true, "role": "counts",
                                        "events": [{"event": "wrap", "state": 2}]}}},
     "total": {"joules": 350.0, "covered": 3.0, "uncovered": 0.0, "platform": 0.0,
               "made_of": [{"state": 0, "parts": ["rapl package-0"]}]},
     "readings": {"load": {"cpus": 2.0, …}},
     "states": 4, "elapsed": 3.0, "max_gap": 30.0, "notes": []}

``joules`` [J] are counted, ``covered`` [s] is the time they were counted in; ``covered + uncovered = elapsed``, which
is boottime within a boot and wall clock across boots. Events are ``wrap``, ``restart``, ``failed`` and ``gap`` (with
``at_least`` [J]), each with the number of its state. A part whose ``total`` is false lies inside another or repeats it:
``role`` says which. Which of the processors' counters count can change from state to state: ``total`` of a part is how
it was in the end, and the ``total`` of them all is the energy that no overlap counts twice (null: there are none):
``made_of`` says from which state on it was made of what, ``platform`` how many of the covered seconds psys saw.
``readings`` are those of the last state that are no energy: counters since the first state, gauges as read.

``max_gap`` is the agent's own: three intervals of the configuration, at least 30 s. A recording whose states lie
further apart than that is all gap, as it would be live with that configuration; ``notes`` says so, with the option
to give.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from math import isnan
from pathlib import Path
from statistics import median
from typing import Any, Final, TextIO

from thinwatt_agent.counters import Instant, elapsed
from thinwatt_agent.loop import OUTCOMES, SECOND, Sampler, SamplerOptions
from thinwatt_agent.meters import EnergyMeter
from thinwatt_agent.places import line_of

CLOCKS: Final = ("boottime", "monotonic", "utc")
EXAMPLES: Final = {
    "boottime": "boottime = 86400.5",
    "monotonic": "monotonic = 86400.5 (less than boottime by what the machine slept)",
    "utc": "utc = 1764000000.5, or a date and time",
    "boot_id": 'boot_id = "…", the text of /proc/sys/kernel/random/boot_id',
}
LATEST: Final = 1 << 33
"""No clock of a recording says more [s]: in ns it still fits 64 bits."""


class RecordingError(ValueError):
    """The folder is no recording; the text says what is missing where."""


def main(
    folder: Path,
    as_json: bool,
    options: SamplerOptions | None = None,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """Print what is counted over the states of ``folder``; return the exit code."""
    out, err = out or sys.stdout, err or sys.stderr
    try:
        result = replay(folder, options or SamplerOptions())
    except RecordingError as error:
        err.write(f"{error}\n")
        return 2
    out.write(json.dumps(result, indent=2, ensure_ascii=False) + "\n" if as_json else for_people(result))
    return 0


def replay(folder: Path, options: SamplerOptions) -> dict[str, Any]:
    """Return what the module's docstring shows.

    Raises:
        RecordingError: The folder holds no states, or one without a clock.
    """
    states = numbered(folder)
    instants = [instant(path / "clock.toml") for _, path in states]
    sampler = Sampler(states[0][1], options)
    events: dict[tuple[str, str], list[dict[str, Any]]] = {}
    number_at: dict[Instant, int] = {}
    made_of: list[dict[str, Any]] = []
    row: list[float] = []
    for (number, path), now in zip(states, instants, strict=True):
        number_at.setdefault(now, number)
        sampler.reroot(path)
        row = sampler.sample(now)
        _note_events(sampler, number_at, events)
        parts = [leaf.label for leaf in sampler.totals.counting()]
        if parts and parts != (made_of[-1]["parts"] if made_of else None):
            made_of.append({"state": number, "parts": parts})
    sampler.settle()
    _note_events(sampler, number_at, events)
    steps = [elapsed(a, b) for a, b in pairwise(instants)]
    return {
        "sources": _parts(sampler, sum(steps), events),
        "total": _total(sampler, sum(steps), made_of),
        "readings": _readings(sampler, row),
        "states": len(states),
        "elapsed": sum(steps) / SECOND,
        "max_gap": options.gap,
        "notes": _notes(steps, options.gap),
    }


def numbered(folder: Path) -> list[tuple[int, Path]]:
    """Return number and folder of every state, in numeric order."""
    try:
        found = [(int(p.name), p) for p in folder.iterdir() if p.name.isascii() and p.name.isdigit() and p.is_dir()]
    except OSError as error:
        raise RecordingError(f"{folder} can't be read: {error.strerror}") from None
    if not found:
        raise RecordingError(f"{folder} holds no numbered states: folders 0, 1, … with sys/, proc/ and clock.toml")
    return sorted(found)


def instant(path: Path) -> Instant:
    """Return the clocks of a state: all four keys, each of its kind.

    Raises:
        RecordingError: The file is missing, is no TOML, lacks a key or has one that can't be used; the text names
            file, line and key.
    """
    try:
        written = path.read_text(encoding="utf-8")
        read = tomllib.loads(written, parse_float=Decimal)
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror}; every state needs one: {', '.join(CLOCKS)}, boot_id") from None
    except ValueError as error:
        raise RecordingError(f"{path}: {error}") from None
    found: dict[str, Any] = {}
    for key in (*CLOCKS, "boot_id"):
        try:
            if key not in read:
                raise ValueError(f"it is missing; write {EXAMPLES[key]}")
            found[key] = _boot_id(read[key]) if key == "boot_id" else _nanoseconds(read[key], dates=key == "utc")
        except (ValueError, ArithmeticError) as error:
            raise RecordingError(f"{path}:{line_of(written, (key,))}: {key}: {error}") from None
    return Instant(**found)


def _boot_id(found: Any) -> str:
    if not isinstance(found, str) or not found.strip():
        raise ValueError(f"{told(found)} is no text that names a boot; write {EXAMPLES['boot_id']}")
    return found


def _nanoseconds(found: Any, dates: bool) -> int:
    """Return seconds, or a date where ``dates`` are allowed, in ns."""
    if dates and isinstance(found, str):
        found = datetime.fromisoformat(found)
    if dates and isinstance(found, datetime):
        aware = found if found.tzinfo else found.replace(tzinfo=UTC)
        since = aware - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * 1000
    if not isinstance(found, int | Decimal) or isinstance(found, bool) or not Decimal(found).is_finite():
        raise ValueError(f"{told(found)} is no number of seconds" + (" and no date and time" if dates else ""))
    if not 0 <= found < LATEST:
        raise ValueError(f"{told(found)} lies outside 0 to {LATEST} s")
    return round(found * SECOND)


def told(found: Any) -> str:
    """Return a TOML value as a person would write it."""
    return str(found).lower() if isinstance(found, bool | Decimal) else repr(found)


def _note_events(
    sampler: Sampler, number_at: Mapping[Instant, int], events: dict[tuple[str, str], list[dict[str, Any]]]
) -> None:
    for source, part, event in sampler.events():
        note: dict[str, Any] = {"event": event.kind, "state": number_at[event.at]}
        if event.kind == "gap":
            note["at_least"] = event.at_least
        events.setdefault((source, part), []).append(note)


def _parts(
    sampler: Sampler, whole: int, events: Mapping[tuple[str, str], list[dict[str, Any]]]
) -> dict[str, dict[str, Any]]:
    sources: dict[str, dict[str, Any]] = {}
    roles = sampler.roles()
    for source in sampler.sources:
        for m in source.meters.values():
            if not isinstance(m, EnergyMeter) or not m.columns:
                continue
            column, covered = m.columns[0], m.counter.covered
            sources.setdefault(source.name, {})[m.part] = {
                "joules": m.counter.joules,
                "covered": covered / SECOND,
                "uncovered": (whole - covered) / SECOND,
                "scope": column.scope,
                "basis": column.basis,
                "total": roles[m] == "counts",
                "role": roles[m],
                "events": sorted(events.get((source.name, m.part), []), key=lambda note: int(note["state"])),
            }
    return sources


def _total(sampler: Sampler, whole: int, made_of: list[dict[str, Any]]) -> dict[str, Any] | None:
    if not sampler.totals.columns:
        return None
    joules, covered, platform = sampler.totals.values()
    uncovered = (whole - sampler.totals.covered) / SECOND
    return {"joules": joules, "covered": covered, "uncovered": uncovered, "platform": platform, "made_of": made_of}


def _readings(sampler: Sampler, row: Sequence[float]) -> dict[str, dict[str, float | None]]:
    readings: dict[str, dict[str, float | None]] = {}
    for column, value in zip(sampler.schema.groups[0].columns, row, strict=True):
        if column in sampler.totals.columns or column.source == "agent" or column.scope:
            continue
        if column.quantity not in ("covered", *OUTCOMES):
            name = f"{column.quantity} {column.part}".strip()
            readings.setdefault(column.source, {})[name] = None if isnan(value) else value
    return readings


def _notes(steps: Sequence[int], gap: float) -> list[str]:
    if not steps or median(steps) <= gap * SECOND:
        return []
    usual = median(steps) / SECOND
    apart = f"the states lie {usual:g} s apart, more than max_gap ({gap:g} s), so nothing is counted between them"
    return [f"{apart}; if that was the agent's interval, say --interval {usual:g}"]


def for_people(result: Mapping[str, Any]) -> str:
    """Return the result as lines to read."""
    lines = [f"{result['states']} states, {result['elapsed']:g} s"]
    for source, parts in result["sources"].items():
        lines.append(source)
        for part, told in parts.items():
            lines.append(f"{_line(part, told)}   ({told['scope']}, {told['basis']}, {told['role']})")
            for note in told["events"]:
                least = f", at least {note['at_least']:.6f} J" if "at_least" in note else ""
                lines.append(f"      state {note['state']}: {note['event']}{least}")
    if total := result["total"]:
        lines.append("the processors' total, nothing twice")
        lines.append(_line("", total) + (f"   platform {total['platform']:g} s" if total["platform"] else ""))
        lines += [f"      state {m['state']}: made of {', '.join(m['parts'])}" for m in total["made_of"]]
    if not result["sources"]:
        lines.append("no source of energy in any state")
    lines += [f"note: {note}" for note in result["notes"]]
    return "\n".join(lines) + "\n"


def _line(name: str, told: Mapping[str, Any]) -> str:
    seconds = f"covered {told['covered']:g} s   uncovered {told['uncovered']:g} s"
    return f"  {name:<24} {told['joules']:>16.6f} J   {seconds}"
