"""A ledger in memory for laws of the API: devices with a day's energy in one slot, answered as the engine would."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from thinwatt_collector.inventory.places import Whereabouts
from thinwatt_collector.serve.api import calendar
from thinwatt_collector.serve.api.books import PLACE, Census, Happened, Known
from thinwatt_collector.serve.api.calendar import Grain
from thinwatt_collector.serve.api.rows import Ints, Rows, codes, texts

PARIS = ZoneInfo("Europe/Paris")
DAY = 86_400


@dataclass
class Told:
    """What a device said: its energy of a local day [J], all of which is covered, in the slot at noon."""

    device: Known
    basis: str
    days: Mapping[datetime, float]


@dataclass
class Memory:
    """A reader over what devices said."""

    told: list[Told] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)

    def first(self) -> int | None:
        return min((_noon(day) for t in self.told for day in t.days), default=None)

    def census(self) -> Census:
        return Census([t.device for t in self.told], self.seen)

    def events(self, before: int | None, limit: int) -> list[Happened]:
        return []

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        pass

    def energy(
        self,
        begin: int,
        end: int,
        grain: Grain,
        zone: str,
        by: Sequence[str],
        where: Mapping[str, Sequence[str]],
        places: Whereabouts | None = None,
    ) -> Rows:
        def label(name: str, at: int) -> str:
            return places.key_at(name, at) if places is not None else ""

        return self._rows(begin, end, calendar.edges(begin, end, grain, ZoneInfo(zone)), by, where, label)

    def labelled(
        self,
        limits: Sequence[int],
        by: Sequence[str],
        where: Mapping[str, Sequence[str]],
        labels: Mapping[str, str],
    ) -> Rows:
        months = calendar.edges(limits[0], limits[-1], "month", ZoneInfo("UTC"))
        edges = np.union1d(months, np.array(limits, np.int64))
        return self._rows(limits[0], limits[-1], edges, by, where, lambda name, _: labels.get(name, ""))

    def _rows(
        self,
        begin: int,
        end: int,
        edges: Ints,
        by: Sequence[str],
        where: Mapping[str, Sequence[str]],
        place: Callable[[str, int], str],
    ) -> Rows:
        found = []
        for number, t in enumerate(self.told):
            d = t.device
            dims = {"class": d.kind, "model": d.model, "basis": t.basis, "simulated": str(d.simulated).lower()}
            dims["device"] = d.name
            if any(dims[name] not in wanted for name, wanted in where.items()):
                continue
            for day, joules in t.days.items():
                at = _noon(day)
                if begin <= at < end:
                    every = {**dims, PLACE: place(d.name, at)}
                    found.append((at, number, joules, *(every[name] for name in by)))
        return _summed(found, edges, by)


def _noon(day: datetime) -> int:
    return int(day.replace(hour=12, tzinfo=PARIS).timestamp())


def _summed(found: list[tuple[object, ...]], edges: Ints, by: Sequence[str]) -> Rows:
    columns = [texts(column) for column in zip(*found, strict=True)] or [texts(()) for _ in range(3 + len(by))]
    at, number, joules = (column.astype(np.float64) for column in columns[:3])
    begin = edges[np.searchsorted(edges, at, side="right") - 1] if len(at) else np.zeros(0, np.int64)
    dims = dict(zip(by, columns[3:], strict=True))
    if not found:
        none = np.zeros(0)
        return Rows(begin, dims, none, none, none, none, begin)
    group, first = codes(begin, *dims.values())
    count = len(first)
    sums = np.bincount(group, joules, count).astype(np.float64)
    pairs = np.unique(np.stack([group, number.astype(np.int64)]), axis=1)[0]
    covered = np.bincount(group, np.full(len(group), float(DAY)), count).astype(np.float64)
    devices = np.bincount(pairs, minlength=count)
    return Rows(begin[first], {n: c[first] for n, c in dims.items()}, sums, 0 * sums, 0.05 * sums, covered, devices)
