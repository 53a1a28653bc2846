"""What columns mean: energy with its coverage, meters in order, components that count, and what two schemas share."""

from __future__ import annotations

from dataclasses import replace

from tests.collector.sending import GAUGE, LOAD, RAPL, TOTAL, pair
from thinwatt_agent.wire import Column, Group, Schema
from thinwatt_collector.layout import SourceKey, layout_of, same_columns

WALL, NODE = pair("plug"), pair("dcmi", scope="node")


def test_groups_stand_one_behind_the_other_device_after_device() -> None:
    schema = Schema((Group(("", "b"), (GAUGE, *WALL)), Group(("c",), NODE)))
    layout = layout_of(schema)
    assert [(g.start, g.stop, g.columns) for g in layout.groups] == [(0, 6, 3), (6, 8, 2)]
    assert layout.counters.tolist() == [1, 2, 4, 5, 6, 7]
    assert layout.width == 8


def test_energy_counts_with_its_own_coverage_only() -> None:
    lonely = Column("x", "energy", "counter", "J", "b", scope="wall", basis="measured")
    gauge = Column("y", "energy", "gauge", "J", scope="wall", basis="measured")
    other_unit = Column("z", "energy", "counter", "kWh", scope="wall", basis="measured")
    covered = [Column(s, "covered", "counter", "s") for s in ("y", "z")]
    group = layout_of(Schema((Group(("",), (lonely, gauge, other_unit, *covered, *WALL)),))).groups[0]
    assert group.sources == (SourceKey("plug", "", "wall", "measured"),)
    assert group.joules.tolist() == [5]
    assert group.covered.tolist() == [6]


def test_the_meter_that_covers_more_comes_first_and_all_its_parts_belong_to_it() -> None:
    two = pair("pdu", "outlet-1") + pair("pdu", "outlet-2")
    group = layout_of(Schema((Group(("",), (*NODE, *RAPL, *two)),))).groups[0]
    assert [[group.sources[k].source for k in meter] for meter in group.meters] == [["pdu", "pdu"], ["dcmi"]]
    assert [group.sources[k].part for k in group.components] == ["package-0"]


def test_the_processors_total_is_what_the_agent_worked_out_and_from_an_older_agent_its_parts() -> None:
    psys, inside = pair("rapl", "psys", scope="component"), replace(RAPL[0], total=False)
    group = layout_of(Schema((Group(("",), (*psys, inside, RAPL[1], *TOTAL)),))).groups[0]
    assert [group.sources[k].part for k in group.components] == ["total"]
    assert (group.platform, group.platform_seconds) == (False, 6)
    group = layout_of(Schema((Group(("",), (*psys, inside, RAPL[1])),))).groups[0]
    assert [group.sources[k].part for k in group.components] == ["psys"]
    assert (group.platform, group.platform_seconds) == (True, None)
    group = layout_of(Schema((Group(("",), (*RAPL, TOTAL[2])),))).groups[0]
    assert (group.platform, group.platform_seconds) == (False, None)


def test_what_the_agent_tells_of_the_whole_machine_keeps_its_basis() -> None:
    told = [pair("script", basis, basis=basis) for basis in ("assumed", "modelled")]
    component = pair("script", "gpu", scope="component", basis="modelled")
    group = layout_of(Schema((Group(("",), (*told[0], *told[1], *component)),))).groups[0]
    assert (group.meters, group.modelled, group.assumed) == ((), ((1,),), ((0,),))


def test_a_consumers_share_of_a_meter_is_a_series_and_no_meter_of_the_machine() -> None:
    share = Column("gpu", "energy", "counter", "J", "0", "vm-1", scope="node", basis="measured")
    covered = Column("gpu", "covered", "counter", "s", "0", "vm-1")
    group = layout_of(Schema((Group(("",), (share, covered)),))).groups[0]
    assert group.sources == (SourceKey("gpu", "0/vm-1", "node", "measured"),)
    assert group.meters == ()


def test_load_is_found_by_name_and_only_as_counters() -> None:
    group = layout_of(Schema((Group(("",), LOAD),))).groups[0]
    assert (group.cpu, group.cpu_capacity, group.load_covered) == (0, 1, 2)
    gauges = tuple(Column(c.source, c.quantity, "gauge", c.unit) for c in LOAD)
    group = layout_of(Schema((Group(("",), gauges),))).groups[0]
    assert (group.cpu, group.cpu_capacity, group.load_covered) == (None, None, None)


def test_an_agents_own_cost_is_known_by_quantity() -> None:
    own = (Column("agent", "cpu", "counter", "s"), Column("agent", "rss", "gauge", "B"))
    part = Column("agent", "read_seconds", "counter", "s", "rapl")
    assert layout_of(Schema((Group(("",), (*WALL, *own, part)),))).own == {"cpu": 2, "rss": 3}


def test_columns_of_two_schemas_meet_by_meaning_wherever_they_stand() -> None:
    old = Schema((Group(("", "b"), WALL),))
    new = Schema((Group(("b",), (GAUGE, *WALL)), Group(("", "c"), WALL)))
    before, after = same_columns(old, new)
    assert dict(zip(before.tolist(), after.tolist(), strict=True)) == {0: 3, 1: 4, 2: 1, 3: 2}
    before, after = same_columns(new, old)
    assert sorted(after.tolist()) == [0, 1, 2, 3]
