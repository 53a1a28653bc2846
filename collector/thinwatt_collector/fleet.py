"""The fleet in memory: arrays, one row a stream or a device; a cache of the ledger, read again whenever in doubt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_agent.wire import Schema, WireError, schema_of
from thinwatt_collector.allowance import Allowances
from thinwatt_collector.book import Moves, StreamRow, StreamRows, objects
from thinwatt_collector.calibrated import Calibrations, Hardware
from thinwatt_collector.clock import Past, Pin
from thinwatt_collector.labels import Family, Totals
from thinwatt_collector.layout import SourceKey, layout_of, same_columns, visible
from thinwatt_collector.ledger import Dimensions
from thinwatt_collector.models.devices import ModelOf
from thinwatt_collector.named import Device, Group, Unsaved, printable
from thinwatt_collector.placed import NOTHING, Placed, Rows, rows_of
from thinwatt_collector.powers import Powers
from thinwatt_collector.sharing import line_of
from thinwatt_collector.winner import WINNERS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SOURCES: Final = 1 << 22
"""Kinds of meters that the collector knows at most: a total's key has 24 bits for them."""
CACHE: Final = 256 << 20
"""States of streams beyond so many bytes are thrown out when most were not heard for :data:`COLD` [ns]."""
COLD: Final = 3600 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Latest:
    """The latest power of devices, (frames, devices) each.

    Attributes:
        devices: their numbers.
        utc: of the last row [ns].
        watts: mean of the frame [W]; NaN where nothing is known of it.
        unsure: its standard uncertainty, which devices of a kind have in common [W].
        basis: place in ``WINNERS``.
    """

    devices: Ints
    utc: Ints
    watts: Floats
    unsure: Floats
    basis: Ints


class Fleet:
    """Streams, devices, sources and booked totals.

    Args:
        known: what the ledger holds of names and totals.
        model_of: the power model of a class and a hardware model.
        carbon_method: name of the method of the booked carbon.
        calibrations: what was learnt of hardware models; None: nothing.
    """

    def __init__(
        self, known: Dimensions, model_of: ModelOf, carbon_method: str, calibrations: Calibrations | None = None
    ) -> None:
        self._model_of = model_of
        self._method = carbon_method
        self.unsaved = Unsaved()
        self.schemas: dict[bytes, str] = dict(known.schemas)
        self.layouts: dict[bytes, Placed] = {}
        self.machines: dict[str, Mapping[str, Any]] = {}
        self.descriptions = 0
        self.allowances = Allowances()
        self._told: dict[tuple[bytes, str], list[int]] = {}
        self.sources = [SourceKey(*row[1:]) for row in known.sources]
        self._source_ids = {key: i for i, key in enumerate(self.sources)}
        self.winner_ids = np.array([self.source_id(w) for w in WINNERS], np.int64)
        self.groups: list[Group] = []
        self._group_ids: dict[Group, int] = {}
        self.devices: list[Device] = []
        self._device_ids: dict[str, int] = {}
        self.device = Rows(
            group=(np.int64, ()),
            seen=(np.int64, ()),
            told=(np.int64, ()),
            last_utc=(np.int64, ()),
            power=(np.float64, ()),
            unsure=(np.float64, ()),
            basis=(np.int64, ()),
        )
        self.powers = Powers(calibrations or Calibrations())
        for row in known.devices:
            self._add_device(Device(*row))
        self._devices_saved = len(self.devices)
        self.totals = Totals(self.describe)
        self.totals.load(known.labels, self._named)
        self.past = Past()
        self._streams: dict[tuple[str, bytes], int] = {}
        self._newest: dict[str, int] = {}
        self.forget_streams()

    def forget_streams(self) -> None:
        """Empty the stream cache: each stream is read from the ledger again when it is next heard."""
        self._streams.clear()
        self._newest.clear()
        self._places: dict[tuple[int, bytes], int] = {}
        self.layouts.clear()
        self.past = Past()
        self.stream_rows: list[tuple[str, bytes, bytes]] = []
        self.stream_layout: list[bytes] = []
        self.stream = Rows(
            pos=(np.int64, ()),
            t_pos=(np.int64, ()),
            offset=(np.int64, ()),
            base=(np.int64, ()),
            uncertain=(np.bool_, ()),
            suspect=(np.int64, ()),
            suspected=(np.int64, ()),
            seen=(np.int64, ()),
            place=(np.int64, ()),
            saved=(np.bool_, ()),
        )

    def forget_silent(self, before: int) -> None:
        """Empty the stream cache when most of it was last heard before ``before`` [UTC ns]: ended streams pile up.

        Much earlier when they take much memory.
        """
        seen = self.stream["seen"]
        if len(seen) and sum(p.rows["state"].nbytes for p in self.layouts.values()) > CACHE:
            before = max(before, int(seen.max()) - COLD)
        if len(seen) > 64 and (seen < before).sum() > len(seen) // 2:
            self.forget_streams()

    def missing(self, wanted: Iterable[tuple[str, bytes]]) -> set[tuple[str, bytes]]:
        """Return the (agent, stream) pairs that are not in memory."""
        return {pair for pair in wanted if pair not in self._streams}

    def stream_id(self, agent: str, stream: bytes) -> int:
        """Return the number of a stream in memory; KeyError if it is not."""
        return self._streams[agent, stream]

    def add_stream(self, row: StreamRow, saved: bool) -> int:
        """Take a stream's row into memory and return its number; ``saved`` says whether the ledger has it."""
        number = self.stream.append()
        self._streams[row.agent, row.stream] = number
        self.stream_rows.append((row.agent, row.stream, row.boot))
        s = self.stream
        s["pos"][number], s["t_pos"][number], s["base"][number] = row.position, row.position_time, row.base
        s["offset"][number], s["uncertain"][number], s["seen"][number] = row.utc_offset, row.uncertain, row.seen
        placed, kept = self.placed(row.schema), np.frombuffer(row.state, np.float64)
        at, width = self._place(placed, row.agent), placed.layout.width
        placed.rows["state"][at] = kept[:width]
        placed.take_filled(at, kept[width:], self._filled_before(row))
        s["place"][number] = at
        s["saved"][number] = saved
        self._newest[row.agent] = number
        self.stream_layout.append(row.schema)
        return number

    def _filled_before(self, row: StreamRow) -> tuple[Placed, int] | None:
        """Return the state that a new stream goes on from: that of its agent's last one in this boot."""
        last = self._newest.get(row.agent, -1)
        if last < 0 or row.position or self.stream_rows[last][2] != row.boot:
            return None
        return self.placed(self.stream_layout[last]), int(self.stream["place"][last])

    def _place(self, placed: Placed, agent: str) -> int:
        at = placed.rows.append()
        names = [d for g in placed.layout.groups for d in g.devices]
        placed.rows["device"][at] = [self.device_id(agent, name) for name in names]
        return at

    def may_begin(self, agent: str, schema: bytes, now: int) -> bool:
        """Return whether an agent may have the state of one more stream kept; ``now`` is the collector's UTC [ns]."""
        width = self.placed(schema).layout.width
        return self.allowances.a_state(agent, width, now)

    def move_to_schema(self, number: int, schema: bytes, now: int) -> bool:
        """Carry a stream's state over to another schema, column by column of the same meaning; new ones start at 0.

        Returns:
            False where the agent has had so many states kept that it must wait.

        Raises:
            WireError: ``bad_schema``; columns of a stream may be added, never taken away: what they had counted
                would be counted again when they came back. A stream of which nothing is booked may have any schema:
                its frames may have come in another order.
        """
        agent = self.stream_rows[number][0]
        old, new = self.placed(self.stream_layout[number]), self.placed(schema)
        at = self._places.get((number, schema))
        if at is None and not self.may_begin(agent, schema, now):
            return False
        before, after = same_columns(old.layout.schema, new.layout.schema)
        if len(before) < old.layout.width and self.stream["pos"][number] > 0:
            raise WireError("bad_schema", "the new schema of this stream lacks columns that the old one had")
        was = self.stream["place"][number]
        self._places[number, self.stream_layout[number]] = was
        at = self._place(new, agent) if at is None else at
        new.rows["state"][at] = 0.0
        new.rows["state"][at][after] = old.rows["state"][was][before]
        new.take_filled(at, NOTHING, (old, int(was)))
        self.stream["place"][number] = at
        self.stream_layout[number] = schema
        return True

    def moves(self, index: Ints, old: Ints) -> Moves:
        """Return the streams ``index`` as the ledger is to hold them.

        Args:
            index: numbers of streams.
            old: the position that the ledger is expected to have for each.
        """
        s, numbers = self.stream, index.tolist()
        names = [self.stream_rows[n] for n in numbers]
        rows = StreamRows(
            agent=objects([agent for agent, _, _ in names]),
            stream=objects([stream for _, stream, _ in names]),
            schema_id=objects([self.stream_layout[n] for n in numbers]),
            boot=objects([boot for _, _, boot in names]),
            base=s["base"][index],
            pos=s["pos"][index],
            t_pos=s["t_pos"][index],
            utc_offset=s["offset"][index],
            uncertain=s["uncertain"][index],
            seen=s["seen"][index],
            state=self._states(index),
        )
        return Moves(index, old, rows, s["saved"][index])

    def _states(self, index: Ints) -> NDArray[np.object_]:
        """Return states of streams as bytes, schema by schema without a loop over streams."""
        out = np.empty(len(index), object)
        for placed, which in self.by_schema(index):
            places = self.stream["place"][index[which]]
            states = np.concatenate((placed.rows["state"][places], placed.rows["filled"][places]), axis=1)
            out[which] = states.view(f"V{states.itemsize * states.shape[1]}").ravel().tolist()
        return out

    def by_schema(self, index: Ints) -> Iterator[tuple[Placed, Ints]]:
        """Yield each schema's layout and states, and the places in ``index`` of the streams that use it."""
        found: dict[bytes, list[int]] = {}
        for i, number in enumerate(index.tolist()):
            found.setdefault(self.stream_layout[number], []).append(i)
        for schema, which in found.items():
            yield self.layouts[schema], np.array(which, np.int64)

    def pin(self, number: int) -> Pin:
        """Return where a stream's boottime lies in UTC."""
        s = self.stream
        return Pin(*(s[n][number].item() for n in ("offset", "uncertain", "suspect", "suspected")))

    def set_pin(self, number: int, pin: Pin) -> None:
        """Set it for the rows from now on."""
        s = self.stream
        s["offset"][number], s["uncertain"][number] = pin.offset, pin.uncertain
        s["suspect"][number], s["suspected"][number] = pin.suspect, pin.suspected

    def learn_schema(self, agent: str, schema: Schema, at: int = 0) -> bool:
        """Remember what an agent's columns mean; False when it has sent too much that is new lately.

        ``at`` is the collector's UTC [ns] when it came.
        """
        new = sum(self._full(agent, name) not in self._device_ids for g in schema.groups for name in g.devices)
        if not self.allowances.names(agent, new, at):
            return False
        if schema.id not in self.schemas:
            if len(self.sources) + schema.width > SOURCES or not self.allowances.a_schema(agent, schema.width, at):
                return False
            text = json.dumps(schema.document(), sort_keys=True)
            self.schemas[schema.id] = self.unsaved.schemas[schema.id] = text
        return True

    def placed(self, schema: bytes) -> Placed:
        """Return the layout and states of a known schema; KeyError if it is not."""
        found = self.layouts.get(schema)
        if found is None:
            layout = layout_of(schema_of(json.loads(self.schemas[schema])))
            devices = sum(len(g.devices) for g in layout.groups)
            rows = rows_of(layout.width, devices)
            sources = [np.array([self.source_id(k) for k in g.sources], np.int64) for g in layout.groups]
            found = self.layouts[schema] = Placed(layout, sources, rows)
        return found

    def source_id(self, key: SourceKey) -> int:
        """Return the number of an energy series' kind, a new one if it was never seen."""
        found = self._source_ids.get(key)
        if found is None:
            found = self._source_ids[key] = len(self.sources)
            self.sources.append(key)
            self.unsaved.sources.append((found, key))
        return found

    def describe_machine(self, agent: str, machine: Mapping[str, Any], schema: Schema, at: int = 0) -> None:
        """Take a machine's description: class and model of the agent's own device and of those it reports for.

        ``at`` is the collector's UTC [ns] when it came, 0 if nobody knows any more.
        """
        self.machines[agent] = machine
        self.descriptions += 1
        others = machine.get("devices")
        others = others if isinstance(others, dict) else {}
        simulated = bool(machine.get("simulated", False))
        known, numbers, renamed = len(self.devices), [], []
        for group in schema.groups:
            for name in group.devices:
                about = others.get(name, {}) if name else machine
                numbers.append(self.device_id(agent, name))
                if self._describe_device(numbers[-1], about if isinstance(about, dict) else {}, simulated):
                    renamed.append(numbers[-1])
        if any(number < known for number in renamed):
            self.totals.rename(np.array(renamed))
        self.device["told"][numbers] = at
        self._told[schema.id, agent] = numbers

    def _describe_device(self, number: int, about: Mapping[str, Any], simulated: bool) -> bool:
        """Take what is said of a device; return whether that is new."""
        old = self.devices[number]
        kind = self.allowances.a_class(old.agent, printable(about.get("class"), 64))
        model = printable(about.get("model"), 200)
        new = Device(number, old.name, old.agent, kind, model, simulated)
        if new != old:
            self.devices[number] = self.unsaved.devices[number] = new
            self._set_model(new)
        return new != old

    def newly_told(self) -> Iterator[tuple[bytes, Ints]]:
        """Yield each schema of the machines described since the last call, with their devices, (machines, devices)."""
        told, self._told = self._told, {}
        for schema, those in groupby(sorted(told), key=itemgetter(0)):
            yield schema, np.array([told[key] for key in those], np.int64)

    def device_id(self, agent: str, name: str) -> int:
        """Return the number of an agent's device, a new one if it was never seen."""
        full = self._full(agent, name)
        number = self._device_ids.get(full)
        if number is None:
            device = Device(len(self.devices), full, agent, "unknown", "", simulated=False)
            number = self._add_device(device)
            self.unsaved.devices[number] = device
        return number

    @staticmethod
    def _full(agent: str, name: str) -> str:
        return f"{agent}/{visible(name)}" if name else agent

    def device_number(self, name: str) -> int | None:
        """Return the number of a device by its whole name; None if there is none."""
        return self._device_ids.get(name)

    def _add_device(self, device: Device) -> int:
        number = self.device.append()
        self.devices.append(device)
        self._device_ids[device.name] = number
        self.device["power"][number] = self.device["unsure"][number] = np.nan
        self._set_model(device)
        return number

    def _set_model(self, device: Device) -> None:
        group = Group(device.kind, device.simulated)
        if group not in self._group_ids:
            self._group_ids[group] = len(self.groups)
            self.groups.append(group)
        self.device["group"][device.id] = self._group_ids[group]
        hardware = Hardware(device.kind, device.model, device.simulated)
        self.powers.take(device.id, hardware, self._model_of(device.kind, device.model))

    def refresh(self, latest: Latest, now: int) -> None:
        """Take the latest power of devices where it is newer than what is known."""
        d, devices = self.device, latest.devices
        newer = latest.utc >= d["last_utc"][devices]
        which = devices[newer]
        d["last_utc"][which], d["basis"][which] = latest.utc[newer], latest.basis[newer]
        d["power"][which], d["unsure"][which] = latest.watts[newer], latest.unsure[newer]
        d["seen"][devices] = now

    def recall(self, other: Fleet) -> None:
        """Take over from ``other`` what the ledger does not hold: when devices were seen last, and their power."""
        self.allowances = other.allowances
        for device in other.devices:
            number = self._device_ids.get(device.name)
            if number is not None:
                for name in ("seen", "told", "last_utc", "power", "unsure", "basis"):
                    self.device[name][number] = other.device[name][device.id]

    def _named(self, labels: dict[str, str]) -> int:
        number = self._device_ids.get(labels["device"], -1)
        if number < 0:
            return -1
        present = {"class": self.devices[number].kind, "simulated": self.devices[number].marked}
        return number if all(labels.get(name, text) == text for name, text in present.items()) else -1

    def describe(self, family: Family, first: int, second: int) -> dict[str, str]:
        """Return the labels of a booked total."""
        if family in (Family.ENERGY, Family.CARBON, Family.COVERED, Family.GAP):
            labels = self.groups[first].labels()
            if family is Family.ENERGY:
                labels["basis"] = self.sources[second].basis
            elif family is Family.CARBON:
                labels["method"] = self._method
            return labels
        device = self.devices[first]
        labels = {"device": device.name, "simulated": device.marked}
        if family is Family.DEVICE_ENERGY:
            labels |= {"class": device.kind, "basis": self.sources[second].basis}
        elif family is Family.SOURCE_ENERGY:
            key = self.sources[second]
            labels |= {"source": key.source, "part": key.part, "scope": key.scope, "basis": key.basis}
        elif family is Family.SHARED:
            key = self.sources[second]
            line = line_of(key.part)
            labels |= {"pool": line.pool, "part": line.part, "policy": key.scope, "basis": key.basis}
        return labels

    @property
    def in_ledger(self) -> tuple[int, int, int, int]:
        """How many schemas, devices, sources and labels the ledger has, as far as is known here."""
        new, labels = self.unsaved, len(self.totals.values) - len(self.totals.unsaved())
        return len(self.schemas) - len(new.schemas), self._devices_saved, len(self.sources) - len(new.sources), labels

    def unwritten(self) -> set[str]:
        """Return the agents that have said something of their machines that the ledger does not have yet."""
        return {device.agent for device in self.unsaved.devices.values()} | {agent for _, agent in self._told}

    def saved(self, devices: Sequence[Device], schemas: Iterable[bytes], sources: int) -> None:
        """Forget what a transaction has written."""
        self._devices_saved = max([self._devices_saved, *(device.id + 1 for device in devices)])
        for device in devices:
            if self.unsaved.devices.get(device.id) == device:
                del self.unsaved.devices[device.id]
        for schema in schemas:
            self.unsaved.schemas.pop(schema, None)
        del self.unsaved.sources[:sources]
