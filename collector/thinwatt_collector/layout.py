"""What the columns of one wire schema mean to the models: index arrays, worked out once a schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_agent.wire import Column, Group, Schema

Indices = NDArray[np.intp]

OF_DESKTOP: Final = ("cpu", "covered", "present", "memory")
"""What attribution needs to know of a desktop."""
OF_SESSION: Final = ("active", "disconnected")
"""The time of a desktop's sessions by state: with somebody at it, and left running."""
OF_SOURCE: Final = ("read_failures", "read_seconds")
"""What an agent counts of each of its sources."""
OUTCOMES: Final = ("wraps", "restarts", "failures", "gaps")
"""What it counts of the readings of a source of energy."""
LARGEST: Final = 1e15
"""Joules or seconds beyond it are none, a kilowatt for 30,000 years: to a total that large nobody's minute is added."""
OTHERS: Final = 1e24
"""Likewise of other counters: bytes × seconds of a host pass 1e18 within a month."""
COVERED: Final = frozenset({"covered", "platform"})
"""Quantities in seconds of which no more can pass than time does: what power is multiplied by."""
TOTAL: Final = "total"
"""The part of the source rapl that holds what its registers make together, each joule once."""
WHOLE: Final = {"wall": 0, "node": 1}
"""Of several energies of the whole machine the one that covers more of the machine wins (METHOD §1)."""


def visible(name: str) -> str:
    r"""Return a name with what nobody can see written out.

    >>> print(visible("outlet 3"), visible("room\N{RIGHT-TO-LEFT OVERRIDE}1"))
    outlet 3 room\u202e1
    """
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


@dataclass(frozen=True, slots=True)
class SourceKey:
    """One energy series of a device: where its joules come from and what they cover."""

    source: str
    part: str
    scope: str
    basis: str


@dataclass(frozen=True, slots=True)
class DesktopColumns:
    """Columns of the desktops on a host, named ``pool/desktop``: offsets inside a device's columns, shape (n,) each.

    ``pools`` are the pools' names in order, ``pool`` the place of each desktop's among them. A desktop without a pool
    is in the pool "". ``capacity`` is the host's memory × time, None where nobody tells it; ``sessions`` the columns of
    :data:`OF_SESSION`, shape (2, n), None where they are not told of all.
    """

    names: tuple[str, ...]
    pools: tuple[str, ...]
    pool: Indices
    cpu: Indices
    covered: Indices
    present: Indices
    memory: Indices
    capacity: int | None
    sessions: Indices | None


@dataclass(frozen=True, slots=True)
class GroupLayout:
    """Columns of the devices of one group, as offsets inside a device's columns.

    ``components`` are the processors' total that the agent works out, from an older agent the counters that it calls
    parts of a sum. ``platform`` says that these hold the whole platform (psys), so nothing stands beside them; for a
    total that is so in some of its covered seconds: those of the column ``platform_seconds``.
    ``modelled`` and ``assumed`` are energies of the whole machine that the agent itself tells as such.
    """

    devices: tuple[str, ...]
    start: int
    columns: int
    sources: tuple[SourceKey, ...]
    joules: Indices
    covered: Indices
    meters: tuple[tuple[int, ...], ...]
    modelled: tuple[tuple[int, ...], ...]
    assumed: tuple[tuple[int, ...], ...]
    components: tuple[int, ...]
    platform: bool
    platform_seconds: int | None
    cpu: int | None
    cpu_capacity: int | None
    load_covered: int | None
    desktops: DesktopColumns | None

    @property
    def stop(self) -> int:
        """First column behind the group."""
        return self.start + self.columns * len(self.devices)


@dataclass(frozen=True, slots=True)
class Layout:
    """A schema with its groups worked out; ``counters`` are the columns that may not fall, ``largest`` their bounds.

    ``own`` are columns of the agent itself, ``reads`` those of (quantity, source) that tell how readings went.
    ``amounts`` are those that hold energy or covered seconds, ``joules`` says which of them are energy.
    """

    schema: Schema
    groups: tuple[GroupLayout, ...]
    counters: Indices
    largest: NDArray[np.float64]
    own: dict[str, int]
    reads: dict[tuple[str, str], Indices]
    amounts: Indices
    joules: NDArray[np.bool_]

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.schema.width

    @property
    def bounds(self) -> tuple[Indices, NDArray[np.float64]]:
        """Which columns may not fall, and what each of these may be at most."""
        return self.counters, self.largest

    def most(self, watts: float) -> NDArray[np.float64]:
        """Return what one second may add to each of ``amounts``, where a device draws ``watts`` at most."""
        return np.where(self.joules, watts, 1.0)

    def excess(self, row: NDArray[np.float64], seconds: float, most: NDArray[np.float64]) -> str:
        """Return what a row tells that can't be, for people.

        Args:
            row: cumulative columns, (columns,).
            seconds: that it may cover at most.
            most: see :meth:`most`.
        """
        k = int(np.argmax(row[self.amounts] / (most * seconds)))
        told = f"{self._name(int(self.amounts[k]))}: {row[self.amounts[k]]:.4g} {'J' if self.joules[k] else 's'}"
        if not self.joules[k]:
            return f"{told} are more than the {seconds:.0f} s in which that could be"
        return (
            f"{told} in {seconds:.0f} s at most: a device is believed to draw {most[k]:g} W; if it draws more, raise "
            "device_power in [link] of collector.toml"
        )

    def _name(self, at: int) -> str:
        """Return what a column is of, for people: source, part, quantity and device."""
        for group in self.groups:
            if at < group.stop:
                device, column = divmod(at - group.start, group.columns)
                c = next(g for g in self.schema.groups if g.devices == group.devices).columns[column]
                words = (c.source, c.part, c.consumer, c.quantity)
                of = f" of {visible(group.devices[device])}" if group.devices[device] else ""
                return " ".join(visible(word) for word in words if word) + of
        raise IndexError(at)


def layout_of(schema: Schema) -> Layout:
    """Return the layout of ``schema``."""
    groups, counters, largest, amounts, start = [], [], [], [], 0
    own: dict[str, int] = {}
    reads: dict[tuple[str, str], list[int]] = {}
    for group in schema.groups:
        groups.append(_group(group, start))
        for device in range(len(group.devices)):
            for i, column in enumerate(group.columns):
                at = start + device * len(group.columns) + i
                if column.kind == "counter":
                    counters.append(at)
                    largest.append(LARGEST if column.unit in ("J", "s") else OTHERS)
                    if column.unit == "J" or (column.unit == "s" and column.quantity in COVERED):
                        amounts.append((at, column.unit == "J"))
                if column.source == "agent" and not column.part:
                    own.setdefault(column.quantity, at)
                if (source := _read_by(column)) and column.kind == "counter":
                    reads.setdefault((column.quantity, source), []).append(at)
        start += len(group.devices) * len(group.columns)
    return Layout(
        schema,
        tuple(groups),
        np.array(counters, np.intp),
        np.array(largest, np.float64),
        own,
        {key: np.array(columns, np.intp) for key, columns in reads.items()},
        np.array([at for at, _ in amounts], np.intp),
        np.array([joules for _, joules in amounts], np.bool_),
    )


def _read_by(column: Column) -> str:
    """Return the source of which a column tells how its readings went; "" for what tells no such thing."""
    if column.source == "agent":
        return column.part if column.quantity in OF_SOURCE else ""
    return column.source if column.quantity in OUTCOMES and not column.consumer else ""


def _group(group: Group, start: int) -> GroupLayout:
    # A gauge may be NaN and may fall: none takes part in counting, whatever it is called.
    find = {(c.source, c.quantity, c.part, c.consumer): i for i, c in enumerate(group.columns) if c.kind == "counter"}
    energy = [
        (i, j)
        for i, c in enumerate(group.columns)
        if c.quantity == "energy" and c.unit == "J" and c.kind == "counter"
        if (j := find.get((c.source, "covered", c.part, c.consumer))) is not None
    ]
    columns = [group.columns[i] for i, _ in energy]
    components, told = _components(columns), find.get(("rapl", "platform", TOTAL, ""))
    return GroupLayout(
        devices=group.devices,
        start=start,
        columns=len(group.columns),
        sources=tuple(SourceKey(*map(visible, (c.source, _part(c), c.scope, c.basis))) for c in columns),
        joules=np.array([i for i, _ in energy], np.intp),
        covered=np.array([j for _, j in energy], np.intp),
        meters=_whole(columns, "measured"),
        modelled=_whole(columns, "modelled"),
        assumed=_whole(columns, "assumed"),
        components=components,
        platform=any(columns[k].part.startswith("psys") for k in components),
        platform_seconds=told if [columns[k].part for k in components] == [TOTAL] else None,
        cpu=find.get(("load", "cpu", "", "")),
        cpu_capacity=find.get(("load", "cpu_capacity", "", "")),
        load_covered=find.get(("load", "covered", "", "")),
        desktops=_desktops(group),
    )


def _desktops(group: Group) -> DesktopColumns | None:
    """Return the columns of the desktops of which all are told; None where the device is no host of any.

    One that tells the memory which it has for desktops is a host of some, also while there are none.
    """
    counters = [(i, c) for i, c in enumerate(group.columns) if c.kind == "counter"]
    of: dict[str, dict[str, int]] = {}
    for i, c in counters:
        if c.consumer and not c.part and c.quantity in (*OF_DESKTOP, *OF_SESSION):
            of.setdefault(c.consumer, {}).setdefault(c.quantity, i)
    whole = {name: at for name, at in sorted(of.items()) if at.keys() >= set(OF_DESKTOP)}
    capacity = next((i for i, c in counters if c.quantity == "memory_capacity" and not c.part and not c.consumer), None)
    if not whole and capacity is None:
        return None
    pool_of = [name.rpartition("/")[0] for name in whole]
    pools = tuple(sorted(set(pool_of)))
    columns = {q: np.array([at[q] for at in whole.values()], np.intp) for q in OF_DESKTOP}
    places = np.array([pools.index(pool) for pool in pool_of], np.intp)
    sessions = None
    if all(at.keys() >= set(OF_SESSION) for at in whole.values()):
        sessions = np.array([[at[q] for at in whole.values()] for q in OF_SESSION], np.intp)
    return DesktopColumns(tuple(whole), pools, places, capacity=capacity, sessions=sessions, **columns)


def _components(columns: list[Column]) -> tuple[int, ...]:
    """Return the columns that together are the energy of the processors and what their counters hold beside them."""
    ours = [k for k, c in enumerate(columns) if c.source == "rapl" and c.scope == "component" and not c.consumer]
    worked_out = [k for k in ours if columns[k].part == TOTAL]
    return tuple(worked_out or (k for k in ours if columns[k].total))


def _part(column: Column) -> str:
    return f"{column.part}/{column.consumer}" if column.consumer else column.part


def _whole(columns: list[Column], basis: str) -> tuple[tuple[int, ...], ...]:
    """Return, finest first, the columns that make up each energy of the whole device that is told on a basis."""
    found: dict[tuple[int, str], list[int]] = {}
    for k, c in enumerate(columns):
        if c.basis == basis and c.scope in WHOLE and c.total and not c.consumer:
            found.setdefault((WHOLE[c.scope], c.source), []).append(k)
    return tuple(tuple(found[key]) for key in sorted(found))


def same_columns(old: Schema, new: Schema) -> tuple[Indices, Indices]:
    """Return the indices in ``old`` and in ``new`` of the columns that both have, by their meaning."""
    before = {key: i for i, key in enumerate(_keys(old))}
    pairs = [(before[key], i) for i, key in enumerate(_keys(new)) if key in before]
    return np.array([a for a, _ in pairs], np.intp), np.array([b for _, b in pairs], np.intp)


def _keys(schema: Schema) -> list[tuple[str, str, str, str, str]]:
    return [
        (device, c.source, c.quantity, c.part, c.consumer)
        for g in schema.groups
        for device in g.devices
        for c in g.columns
    ]
