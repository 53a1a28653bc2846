"""The fleet is a cache of the ledger: what it holds is what the ledger would give, and what goes can come back."""

from __future__ import annotations

import numpy as np
import pytest

from tests.collector.sending import GAUGE, HOST, NOTHING_KNOWN, NOW, PLUG, SECOND, Bench, Sender, pair
from thinwatt_agent.wire import Group, Schema
from thinwatt_collector.clock import Pin
from thinwatt_collector.fleet import Fleet, Latest
from thinwatt_collector.models.devices import DeviceModel
from thinwatt_collector.named import printable
from thinwatt_collector.placed import Rows

ROWS = [(1, 10.0, [500.0, 10.0]), (2, 20.0, [1000.0, 20.0])]


def fleet_of(bench: Bench) -> Fleet:
    return bench.step.fleet


def booked() -> tuple[Bench, Sender]:
    bench, s = Bench(), Sender()
    bench.hello(s, {"class": "host", "model": "R640"})
    bench.now = NOW + 20 * SECOND
    assert bench.book(s, s.frame(0, ROWS)) == 2
    return bench, s


def test_columns_grow_without_losing_a_row() -> None:
    rows = Rows(a=(np.int64, ()), b=(np.float64, (2,)))
    for n in range(100):
        at = rows.append()
        assert at == n
        assert rows["a"][at] == 0
        rows["a"][at], rows["b"][at] = n, n / 2
    assert rows["a"].tolist() == list(range(100))
    assert rows["b"].tolist() == [[n / 2, n / 2] for n in range(100)]


def test_a_stream_that_was_forgotten_is_read_from_the_ledger_and_goes_on() -> None:
    bench, s = booked()
    fleet_of(bench).forget_streams()
    assert not fleet_of(bench).stream.size
    assert bench.book(s, s.frame(0, ROWS)) == 2
    assert bench.book(s, s.frame(2, [(3, 30.0, [1500.0, 30.0])])) == 3
    assert bench.slots() == {0: (1500.0, 30.0)}
    assert ("GAP", "host") not in bench.totals()


def test_ended_streams_leave_memory_when_they_are_most_of_it() -> None:
    bench, s = booked()
    for n in range(70):
        other = Sender(f"b{n}")
        bench.book(other, other.frame(0, ROWS))
    fleet_of(bench).forget_silent(bench.now)
    assert fleet_of(bench).stream.size == 71
    bench.now += 3600 * SECOND
    bench.book(s, s.frame(2, [(3, 30.0, [1500.0, 30.0])]))
    fleet_of(bench).forget_silent(bench.now)
    assert not fleet_of(bench).stream.size
    assert bench.book(s, s.frame(3, [(4, 40.0, [2000.0, 40.0])])) == 4


def test_what_the_ledger_is_to_hold_of_a_stream_is_what_memory_holds() -> None:
    bench, s = booked()
    fleet = fleet_of(bench)
    wide = Sender("b", schema=Schema((Group(("",), (*PLUG.groups[0].columns, GAUGE)),)), base=3.0, offset=NOW + 5)
    bench.hello(wide)
    bench.book(wide, wide.frame(0, [(7, 70.0, [1.0, 2.0, 3.0])]))
    rows = fleet.moves(np.array([1, 0]), np.array([0, 0])).rows
    assert rows.agent.tolist() == ["b", "a"]
    assert rows.stream.tolist() == [wide.stream, s.stream]
    # Behind the columns: what coarser estimates filled in for the device since the finest one had a reading.
    assert [np.frombuffer(state).tolist() for state in rows.state] == [[1.0, 2.0, 3.0, 0.0], [1000.0, 20.0, 0.0]]
    assert rows.pos.tolist() == [7, 2]
    assert rows.t_pos.tolist() == [70 * SECOND, 20 * SECOND]
    assert rows.base.tolist() == [3 * SECOND, 0]
    assert rows.utc_offset.tolist() == [NOW + 5, NOW]
    for row in bench.ledger.streams([("a", s.stream), ("b", wide.stream)]):
        at = rows.agent.tolist().index(row.agent)
        assert (row.position, row.state, row.schema) == (rows.pos[at], rows.state[at], rows.schema_id[at])


def test_a_pin_is_kept_whole() -> None:
    bench, _ = booked()
    for pin in (Pin(5, uncertain=True, suspect=7, suspected=9), Pin(-3, uncertain=False)):
        fleet_of(bench).set_pin(0, pin)
        assert fleet_of(bench).pin(0) == pin


def test_devices_keep_their_numbers_their_class_and_their_model() -> None:
    bench, _ = booked()
    before = fleet_of(bench).devices
    bench.restart()
    assert fleet_of(bench).devices == before
    assert fleet_of(bench).device_id("a", "") == 0
    assert fleet_of(bench).device_id("a", "x") == 1
    assert fleet_of(bench).devices[1].name == "a/x"
    assert fleet_of(bench).devices[1].kind == "unknown"


def test_no_agent_can_name_another_ones_device() -> None:
    bench = Bench()
    fleet = fleet_of(bench)
    numbers = {fleet.device_id("a", name) for name in ("", "b", "../c", "a")} | {fleet.device_id("b", "")}
    assert len(numbers) == 5
    assert {d.agent for d in fleet.devices if d.name.startswith("a/")} == {"a"}


def test_power_models_are_those_of_class_and_model_in_the_shape_asked_for() -> None:
    bench, _ = booked()
    models = fleet_of(bench).powers.of(np.array([[0], [0]]))
    assert models.watts.shape == (2, 1, 4)
    assert models.watts[1, 0].tolist() == HOST.watts.tolist()
    assert models.base.tolist() == [[HOST.base]] * 2


def test_a_model_follows_the_description() -> None:
    def model_of(kind: str, model: str) -> DeviceModel:
        return HOST if (kind, model) == ("desktop", "X1") else NOTHING_KNOWN

    bench = Bench()
    fleet = Fleet(bench.ledger.dimensions(), model_of, "record")
    fleet.describe_machine("a", {"class": "desktop", "model": "other"}, PLUG)
    assert np.isnan(fleet.powers.of(np.array([0])).base[0])
    fleet.describe_machine("a", {"class": "desktop", "model": "X1"}, PLUG)
    assert fleet.powers.of(np.array([0])).base[0] == HOST.base


def test_gateways_describe_their_devices_and_nonsense_describes_nothing() -> None:
    fleet = fleet_of(Bench())
    schema = Schema((Group(("x", "y", ""), pair("pdu")),))
    machine = {"class": "gateway", "model": "Pi", "simulated": True, "devices": {"x": {"class": "host"}, "y": 7}}
    fleet.describe_machine("gw", machine, schema)
    described = {d.name: (d.kind, d.model, d.simulated) for d in fleet.devices}
    assert described == {"gw/x": ("host", "", True), "gw/y": ("unknown", "", True), "gw": ("gateway", "Pi", True)}
    fleet.describe_machine("b", {"devices": ["x"], "class": {}, "model": 3}, schema)
    assert {d.name: (d.kind, d.model) for d in fleet.devices if d.agent == "b"} == {
        "b/x": ("unknown", ""),
        "b/y": ("unknown", ""),
        "b": ("unknown", "3"),
    }


def test_an_older_row_does_not_overwrite_the_latest_power() -> None:
    fleet = fleet_of(booked()[0])
    assert fleet.device["power"].tolist() == [50.0]
    one = np.array([[0]])

    def told(utc: int, watts: float, unsure: float) -> None:
        latest = Latest(one, np.array([[utc]]), np.array([[watts]]), np.array([[unsure]]), np.array([[0]]))
        fleet.refresh(latest, NOW + 99 * SECOND)

    told(NOW, 999.0, 99.0)
    assert fleet.device["power"].tolist() == [50.0]
    assert fleet.device["seen"].tolist() == [NOW + 99 * SECOND]
    told(NOW + 30 * SECOND, 60.0, 6.0)
    assert (fleet.device["power"].tolist(), fleet.device["unsure"].tolist()) == ([60.0], [6.0])


@pytest.mark.parametrize(
    "value, text",
    [
        (None, ""),
        ("", ""),
        ("Dell R640", "Dell R640"),
        ("é ü", "é ü"),
        ("a\nb\0c\x7f", "abc"),
        ("\ud800x", "x"),
        ([1], "[1]"),
        ("x" * 99, "x" * 10),
    ],
)
def test_what_a_machine_says_of_itself_becomes_text(value: object, text: str) -> None:
    assert printable(value, 10) == text
