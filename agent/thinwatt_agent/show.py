"""``once`` and ``sources``: what this machine says of itself, for people and as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from math import isnan
from pathlib import Path
from typing import Any, TextIO

from thinwatt_agent import sources as registry
from thinwatt_agent.loop import OUTCOMES, SECOND, Instant, Sampler, SamplerOptions, Source
from thinwatt_agent.machine import clock
from thinwatt_agent.meters import EnergyMeter
from thinwatt_agent.sources import Denied, Energy, Power

LIVE = Path("/")


def once(
    root: Path = LIVE,
    options: SamplerOptions | None = None,
    as_json: bool = False,
    out: TextIO | None = None,
    seconds: float = 1.0,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Read everything twice, ``seconds`` apart, and print power, load and what is missing; return the exit code.

    ``--json``: ``machine``; ``elapsed`` [s]; ``sources`` → ``status`` (works, absent, denied, failed), ``parts`` →
    ``watts``, ``joules``, ``covered``, ``scope``, ``basis``, ``total`` (whether it counts) and ``role`` (else what it
    lies in or repeats); ``total`` of the processors' counters → ``watts``, ``joules``, ``covered``, ``made_of``;
    ``readings`` → value (null: not to be had).
    """
    options, out = options or SamplerOptions(), out or sys.stdout
    sampler, now = Sampler(root, options), clock()
    before = now()
    sampler.sample(before)
    sleep(seconds)
    after = now()
    row = sampler.sample(after)
    result = {
        "machine": sampler.machine(),
        "elapsed": (after.boottime - before.boottime) / SECOND,
        "sources": {source.name: _source(source, sampler.roles()) for source in sampler.sources},
        "total": _total(sampler),
    }
    readings: dict[str, dict[str, Any]] = {}
    for column, value in zip(sampler.schema.groups[0].columns, row, strict=True):
        if column in sampler.totals.columns or column.scope:
            continue
        if column.quantity not in ("covered", *OUTCOMES):
            name = f"{column.quantity} {column.part}".strip()
            readings.setdefault(column.source, {})[name] = {"value": _number(value), "unit": column.unit}
    result["readings"] = readings
    out.write(_json(result) if as_json else _once_for_people(result))
    return 0


def _source(source: Source, roles: Mapping[EnergyMeter, str]) -> dict[str, Any]:
    parts = {m.part: _part(m, roles[m]) for m in source.energy if m.columns}
    return {"status": source.status} | ({"parts": parts} if parts else {})


def _total(sampler: Sampler) -> dict[str, Any] | None:
    if not sampler.totals.columns:
        return None
    joules, covered, _ = sampler.totals.values()
    return {
        "watts": joules / covered if covered else None,
        "joules": joules,
        "covered": covered,
        "made_of": [leaf.label for leaf in sampler.totals.counting()],
    }


def _part(m: EnergyMeter, role: str) -> dict[str, Any]:
    joules, covered = m.values()
    column = m.columns[0]
    return {
        "watts": joules / covered if covered else None,
        "joules": joules,
        "covered": covered,
        "scope": column.scope,
        "basis": column.basis,
        "total": role == "counts",
        "role": role,
    }


def _number(value: float) -> float | None:
    return None if isnan(value) else value


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _once_for_people(result: Mapping[str, Any]) -> str:
    machine = result["machine"]
    named = ", ".join(str(v) for v in (machine["class"], machine["model"], machine["os"]) if v)
    lines = [f"{named or 'this machine'}, over {result['elapsed']:.2f} s"]
    for name, told in result["sources"].items():
        for part, energy in told.get("parts", {}).items():
            how = f"{energy['scope']}, {energy['basis']}, {energy['role']}"
            lines.append(f"  {f'{name} {part}':<32} {_watts(energy):>14}   {how}")
    if total := result["total"]:
        lines.append(f"  {'processors together':<32} {_watts(total):>14}   {' + '.join(total['made_of'])}")
    for name, readings in result["readings"].items():
        lines += [f"  {f'{name} {k}':<32} {_told(v):>14}" for k, v in readings.items() if name != "agent"]
    missing = [f"{name} {told['status']}" for name, told in result["sources"].items() if told["status"] != "works"]
    lines += [f"  {', '.join(missing)}: `thinwatt-agent sources` says why"] if missing else []
    return "\n".join(lines) + "\n"


def _watts(energy: Mapping[str, Any]) -> str:
    return "no reading" if energy["watts"] is None else f"{energy['watts']:.2f} W"


def _told(reading: Mapping[str, Any]) -> str:
    value, unit = reading["value"], reading["unit"]
    if value is None:
        return "no reading"
    for factor, larger in ((2**30, "GiB"), (2**20, "MiB")) if unit == "B" else ():
        if value >= factor:
            return f"{value / factor:.2f} {larger}"
    return f"{value:g}" if unit == "1" else f"{value:.3f} {unit}" if unit == "s" else f"{value:g} {unit}"


def sources(
    root: Path = LIVE,
    options: SamplerOptions | None = None,
    as_json: bool = False,
    out: TextIO | None = None,
) -> int:
    """Print of each source whether it works, is absent, denied, failed or switched off; return the exit code.

    ``--json``: source → ``status``, ``reads`` (what it is), ``parts`` where it works, with ``not_summed`` (which of
    these lie in or repeat another), else ``why`` and, where it is denied, the commands that allow it: ``remedy`` (to
    the service) and ``by_hand`` (to one run).
    """
    options, out = options or SamplerOptions(), out or sys.stdout
    now = clock()()
    enabled = options.enabled()
    found = {name: examine(name, root, options, now, name in enabled) for name in registry.names()}
    out.write(_json(found) if as_json else "".join(_for_people(name, told) for name, told in found.items()))
    return 0


def examine(name: str, root: Path, options: SamplerOptions, now: Instant, enabled: bool) -> dict[str, Any]:
    """Return what ``sources --json`` shows of one source."""
    source = registry.module(name)
    told: dict[str, Any] = {"status": "off", "reads": (source.__doc__ or name).strip().splitlines()[0]}
    if not enabled:
        return told | {"why": f"switched off: enabled = true below [sources.{name}] switches it on"}
    try:
        read = source.probe(root, options.sources.get(name, {}))
        if read is None:
            return told | {"status": "absent", "why": getattr(source, "ABSENT", "nothing there")}
        values = read.values(now)
    except Denied as denied:
        return told | {"status": "denied", "why": denied.what, "remedy": denied.remedy, "by_hand": denied.by_hand}
    except (OSError, ValueError) as error:
        return told | {"status": "failed", "why": str(error)}
    parts = [spec.part or spec.quantity for spec in read.specs if not isinstance(spec, Energy | Power)]
    energy = [spec.part for spec in read.specs if isinstance(spec, Energy | Power)]
    if all(value is None for value in values):
        return told | {"status": "failed", "why": f"no good reading of {', '.join(energy or parts)}"}
    apart = {spec.part: spec.role for spec in read.specs if isinstance(spec, Energy | Power) and spec.role}
    found = told | {"status": "works", "parts": energy or sorted(set(parts))}
    return found | ({"not_summed": apart} if apart else {})


def _for_people(name: str, told: Mapping[str, Any]) -> str:
    lines = [f"{name:<10} {told['status']:<8} {told['reads']}"]
    if told["status"] == "works":
        lines.append(f"{'':<19} {', '.join(told['parts'])}")
        lines += [f"{'':<19} not summed: {part}: {role}" for part, role in told.get("not_summed", {}).items()]
    else:
        lines.append(f"{'':<19} {told['why']}")
    if "remedy" in told:
        lines += [f"{'':<19} to allow it to the service, for good:", f"  {told['remedy']}"]
    if told.get("by_hand"):
        lines += [f"{'':<19} to see it work once, by hand:", f"  {told['by_hand']}"]
    return "\n".join(lines) + "\n"
