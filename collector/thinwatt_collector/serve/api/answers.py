"""From columns to what is sent: kWh and kgCO2e beside joules, a null where a figure is withheld."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector import units
from thinwatt_collector.factors import Factor, Intensity
from thinwatt_collector.serve.api import calendar
from thinwatt_collector.serve.api.books import Agent
from thinwatt_collector.serve.api.energy import Z95, Energy, View
from thinwatt_collector.serve.api.question import Question
from thinwatt_collector.serve.api.rows import Rows, texts

Columns = dict[str, NDArray[Any]]
KG: Final = 1000.0


def energy_columns(found: Energy, asked: Question) -> Columns:
    """Return energy and carbon as columns, named as in the OpenAPI document; NaN where a figure is withheld."""
    kwh = units.scale("kWh", "J")
    rows, hidden = found.rows, found.withheld
    grams = np.where(hidden, np.nan, found.grams)

    def around(middle: NDArray[np.float64], half: NDArray[np.float64], unit: float, name: str) -> Columns:
        # Of a quantity that is never negative the interval is not either.
        return {
            name: middle / unit,
            f"{name}_low": np.maximum(middle - half, 0.0) / unit,
            f"{name}_high": (middle + half) / unit,
        }

    return (
        {
            "begin": _times(np.maximum(rows.begin, asked.begin), asked.zone),
            "end": _times(np.minimum(found.end, asked.end), asked.zone),
        }
        | {name: rows.dims[name] for name in asked.by}
        | around(rows.joules, found.half, 1.0, "joules")
        | around(rows.joules, found.half, kwh, "kwh")
        | around(grams, found.grams_half, KG, "kgco2e")
        | {
            name: np.where(hidden, np.nan, of)
            for name, of in (("eur", found.eur), ("eur_low", found.eur_low), ("eur_high", found.eur_high))
        }
        | {
            "covered_seconds": rows.covered,
            "devices": np.where(hidden, np.nan, rows.devices),
            "fallback": found.fallback,
            "withheld": hidden,
        }
    )


def coverage_columns(rows: Rows, expected: NDArray[np.float64], end: NDArray[np.int64], asked: Question) -> Columns:
    """Return covered and gap time as columns.

    Args:
        rows: sums.
        expected: seconds of the slots in which devices were heard [s].
        end: of the buckets [s].
        asked: the question.
    """
    gap = np.maximum(expected - rows.covered, 0.0)
    whole = rows.covered + gap
    return {
        "begin": _times(np.maximum(rows.begin, asked.begin), asked.zone),
        "end": _times(np.minimum(end, asked.end), asked.zone),
        **{name: rows.dims[name] for name in asked.by},
        "covered_seconds": rows.covered,
        "gap_seconds": gap,
        "coverage": np.divide(rows.covered, whole, out=np.full(len(rows), np.nan), where=whole > 0),
        "withheld": np.isnan(rows.covered),
    }


def _times(at: NDArray[np.int64], zone: ZoneInfo) -> NDArray[Any]:
    moments, inverse = np.unique(at, return_inverse=True)
    return texts([calendar.text(int(t), zone) for t in moments])[inverse.reshape(len(at))]


def page(rows: Rows, by: Sequence[str], last: list[Any] | None, limit: int) -> tuple[slice, list[Any] | None]:
    """Return which rows stand on a page, and the key of its last row if more follow.

    Args:
        rows: sorted by ``begin`` and ``by``.
        by: dimensions.
        last: key of the last row of the page before.
        limit: rows on a page.
    """

    def key(row: int) -> list[Any]:
        return [int(rows.begin[row]), *(str(rows.dims[name][row]) for name in by)]

    try:
        start = 0 if last is None else bisect.bisect_right(range(len(rows)), last, key=key)
    except TypeError:  # texts where numbers should be: a cursor that somebody made up
        start = len(rows)
    stop = start + limit
    return slice(start, stop), key(stop - 1) if stop < len(rows) else None


def records(columns: Columns, chosen: slice) -> list[dict[str, Any]]:
    """Return the chosen rows as objects, null for NaN."""
    lists = {name: _plain(column[chosen]) for name, column in columns.items()}
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def _plain(column: NDArray[Any]) -> list[Any]:
    if column.dtype.kind != "f":
        return list(column.tolist())
    return [None if x != x else x for x in column.tolist()]  # noqa: PLR0124  # NaN is what is not itself


def carbon(intensity: Intensity, factors: Sequence[Factor], view: View = "restated") -> dict[str, Any]:
    """Return the method of the carbon figures, when its factors were known, and which they are."""
    per = units.scale("kg/kWh", "g/J")
    return {
        "method": intensity.method,
        "zone": intensity.zone,
        "known": intensity.vintage if view == "restated" else "on each day",
        "factors": [
            {
                "name": f.name,
                "version": f.version,
                "vintage": f.vintage,
                "published": f.published,
                "source": f.source,
                "kg_per_kwh": f.intensity / per,
                "uncertainty": f.uncertainty,
            }
            for f in factors
        ],
    }


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at / 1e9, UTC).isoformat(timespec="seconds")


def agent(found: Agent) -> dict[str, Any]:
    """Return an agent as an object."""
    return {
        "agent": found.name,
        "last_seen": _moment(found.seen),
        "skew_seconds": found.skew,
        "spool_rows": found.spool_rows,
        "spool_bytes": found.spool_bytes,
        "version": found.version,
        "simulated": found.simulated,
        "conflict": found.conflict,
        "refused": found.refused
        and {
            "reason": found.refused.reason,
            "text": found.refused.text,
            "since": _moment(found.refused.since),
            "messages": found.refused.messages,
        },
    }


def _power(watts: float | None, unsure: float | None) -> dict[str, float | None]:
    """Return power with the ends of its 95 % interval [W]; None of what is withheld."""
    if watts is None or unsure is None:
        return {"watts": watts, "watts_low": None, "watts_high": None}
    half = Z95 * unsure
    return {"watts": watts, "watts_low": max(watts - half, 0.0), "watts_high": watts + half}


def fleet(rows: Mapping[str, Mapping[tuple[str, ...], float]]) -> list[dict[str, Any]]:
    """Return what the fleet draws now, by class.

    Args:
        rows: of the families that /metrics shows: name → labels' texts → number. What is not there is withheld.
    """
    power, devices = rows.get("thinwatt_power_watts", {}), rows.get("thinwatt_devices", {})
    unsure = rows.get("thinwatt_power_uncertainty_watts", {})
    booked: dict[tuple[str, str], dict[str, float]] = {}
    for (kind, basis, simulated), joules in rows.get("thinwatt_energy_joules_total", {}).items():
        booked.setdefault((kind, simulated), {})[basis] = joules
    found = []
    for kind, simulated in sorted({*power, *devices, *booked}):
        of = booked.get((kind, simulated))
        total = sum(of.values()) if of else 0.0
        count = devices.get((kind, simulated))
        found.append(
            {
                "class": kind,
                "simulated": simulated == "true",
                "devices": None if count is None else int(count),
                **_power(power.get((kind, simulated)), unsure.get((kind, simulated))),
                "share": {basis: joules / total for basis, joules in of.items()} if of and total > 0 else None,
            }
        )
    return found
