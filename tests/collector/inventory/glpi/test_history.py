"""What the inventory says on each day is what GLPI said on it, however GLPI goes its way, and nothing is ever lost."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.collector.inventory.glpi.imports import DAY, Row, imported, pc, stands
from thinwatt_collector.inventory import check
from thinwatt_collector.inventory.tables import Inventory, load

ROOMS = ("Nord > B > B305", "Nord > B > B306", "Nord > A > B305", "Sud > B > 1", "", "Nord")
MODELS = ("Latitude", "OptiPlex", "")
STATES = ("En service", "En stock", "Réformé")


@dataclass
class Machine:
    number: int
    name: str
    serial: str
    room: str = ROOMS[0]
    model: str = MODELS[0]
    state: str = STATES[0]

    @property
    def row(self) -> Row:
        told = {"name": self.name, "serial": self.serial, "room": self.room, "model": self.model, "state": self.state}
        return pc(self.number, **told)


class Campus(RuleBasedStateMachine):
    """GLPI goes its way; after each import the inventory says the same of that day, and of all days before."""

    def __init__(self) -> None:
        super().__init__()
        self.machines: list[Machine] = []
        self.day = DAY
        self.number = 0
        self.history: dict[date, Mapping[str, tuple[str, str]]] = {}
        self.lines = Counter[str]()

    @initialize()
    def folder(self) -> None:
        self.keep = tempfile.TemporaryDirectory()
        self.path = Path(self.keep.name)

    def teardown(self) -> None:
        self.keep.cleanup()

    @rule(serial=st.booleans(), room=st.sampled_from(ROOMS), model=st.sampled_from(MODELS), name=st.integers(0, 5))
    def buy(self, serial: bool, room: str, model: str, name: int) -> None:
        self.number += 1
        if not any(m.name == f"N{name}" for m in self.machines):
            self.machines.append(Machine(self.number, f"N{name}", f"S{self.number}" if serial else "", room, model))

    @precondition(lambda self: self.machines)
    @rule(data=st.data(), what=st.sampled_from(["room", "model", "state", "name", "remove"]))
    def change(self, data: st.DataObject, what: str) -> None:
        machine = data.draw(st.sampled_from(self.machines))
        if what == "remove":
            self.machines.remove(machine)
        elif what == "name":
            name = f"N{data.draw(st.integers(0, 5))}"
            if not any(m.name == name for m in self.machines):
                machine.name = name
        else:
            allowed = {"room": ROOMS, "model": MODELS, "state": STATES}[what]
            setattr(machine, what, data.draw(st.sampled_from(allowed)))

    @rule(days=st.integers(1, 3))
    def wait(self, days: int) -> None:
        self.day += timedelta(days=days)

    @precondition(lambda self: self.history or any(m.state == STATES[0] for m in self.machines))
    @rule()
    def take_over(self) -> None:
        imported(self.path, [machine.row for machine in self.machines], self.day)
        self.history[self.day] = stands(self.path, self.day)
        wanted = {m.name for m in self.machines if m.state == STATES[0]}
        assert set(self.history[self.day]) == wanted
        for machine in self.machines:
            if machine.state == STATES[0]:
                room, model = self.history[self.day][machine.name]
                assert model == machine.model or not machine.model
                assert room.endswith(machine.room.rpartition(" > ")[2]) or machine.room == "Nord" or not machine.room

    @invariant()
    def nothing_is_lost(self) -> None:
        if not self.history:
            return
        inventory: Inventory = load(self.path)[0]
        assert Counter(r.name for r in inventory.records("devices")) >= self.lines
        self.lines = Counter(r.name for r in inventory.records("devices") if r.span[0] < self.day)
        assert {day: dict(stands(self.path, day)) for day in self.history} == self.history
        assert [str(p) for p in check.whole(inventory, self.day) if p.severity == "error"] == []


TestCampus = Campus.TestCase
TestCampus.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
