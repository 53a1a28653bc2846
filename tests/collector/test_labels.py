"""Booked totals: an accumulator a label set, whatever number stands for it, through renaming and restarts."""

from __future__ import annotations

import json

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from thinwatt_collector.labels import Family, Totals, key

KINDS = ["host", "desktop"]


class World:
    """Devices of which the class may change."""

    def __init__(self) -> None:
        self.kind = {0: "host", 1: "host", 2: "desktop"}
        self.totals = Totals(self.describe)

    def describe(self, family: Family, first: int, second: int) -> dict[str, str]:
        if family in (Family.ENERGY, Family.GAP):
            return {"class": KINDS[first]}
        return {"device": str(first), "class": self.kind[first], "source": str(second)}

    def add(self, family: Family, first: int, second: int, amount: float) -> None:
        rows = self.totals.rows(key(family, np.array([first]), second))
        self.totals.committed(len(self.totals.unsaved()), rows, np.array([amount]))

    def saved(self) -> list[tuple[int, str, str, float]]:
        t = self.totals
        return [
            (i, Family(f).name, text, v)
            for i, (f, text, v) in enumerate(zip(t.family.tolist(), t.texts, t.values.tolist(), strict=True))
        ]


@given(
    st.lists(
        st.tuples(
            st.sampled_from((Family.ENERGY, Family.DEVICE_ENERGY, Family.SOURCE_ENERGY)),
            st.integers(0, 1),
            st.integers(0, 3),
            st.floats(0, 1e6),
            st.sampled_from(("add", "rename", "restart")),
        )
    )
)
def test_every_label_set_has_one_total_that_is_the_sum_of_what_was_added(
    steps: list[tuple[Family, int, int, float, str]],
) -> None:
    world = World()
    expected: dict[tuple[str, str], float] = {}
    for family, first, second, amount, what in steps:
        if what == "rename":
            world.kind[first] = KINDS[second % 2]
            world.totals.rename(np.array([first]))
        elif what == "restart":
            saved, world.totals = world.saved(), Totals(world.describe)
            world.totals.load(saved, lambda labels: int(labels["device"]))
        name = (family.name, json.dumps(world.describe(family, first, second), sort_keys=True))
        world.add(family, first, second, amount)
        expected[name] = expected.get(name, 0.0) + amount
    assert {(family, text): total for _, family, text, total in world.saved()} == expected


def test_keys_of_families_devices_and_sources_do_not_meet() -> None:
    made = {
        int(key(family, np.array([first]), second)[0])
        for family in Family
        for first in (0, 1, (1 << 32) - 1)
        for second in (0, 1, (1 << 24) - 1)
    }
    assert len(made) == len(Family) * 9


def test_many_keys_at_once_give_the_row_of_each() -> None:
    world = World()
    firsts = np.array([1, 0, 1, 2, 0])
    rows = world.totals.rows(key(Family.DEVICE_ENERGY, firsts, 5))
    assert [json.loads(world.totals.texts[r])["device"] for r in rows.tolist()] == ["1", "0", "1", "2", "0"]
    assert world.totals.rows(key(Family.DEVICE_ENERGY, firsts, 5)).tolist() == rows.tolist()
    assert sorted(world.totals.of(Family.DEVICE_ENERGY).tolist()) == sorted(set(rows.tolist()))
    assert not len(world.totals.of(Family.GAP))


def test_what_is_not_committed_is_not_shown_and_is_offered_again() -> None:
    world = World()
    world.totals.rows(key(Family.ENERGY, np.array([0, 1])))
    assert world.totals.values.tolist() == [0.0, 0.0]
    offered = world.totals.unsaved()
    assert offered == world.totals.unsaved() != []
    world.totals.rows(key(Family.GAP, np.array([0])))
    world.totals.committed(len(offered), np.array([1]), np.array([3.0]))
    assert world.totals.values.tolist() == [0.0, 3.0, 0.0]
    assert [family for _, family, _ in world.totals.unsaved()] == ["GAP"]


def test_after_a_restart_totals_are_known_to_their_devices_before_they_grow_again() -> None:
    world = World()
    world.add(Family.DEVICE_GAP, 2, 0, 60.0)
    saved, world.totals = world.saved(), Totals(world.describe)
    world.totals.load(saved, lambda labels: int(labels["device"]))
    assert world.totals.first.tolist() == [2]
    assert world.totals.values.tolist() == [60.0]


def test_a_renamed_device_leaves_its_old_series_and_keeps_its_totals() -> None:
    world = World()
    world.add(Family.DEVICE_ENERGY, 0, 1, 5.0)
    world.add(Family.ENERGY, 0, 0, 5.0)
    world.kind[0] = "desktop"
    world.totals.rename(np.array([0]))
    assert world.totals.first.tolist() == [-1, 0]
    world.add(Family.DEVICE_ENERGY, 0, 1, 2.0)
    assert world.totals.values.tolist() == [5.0, 5.0, 2.0]
    world.kind[0] = "host"
    world.totals.rename(np.array([0]))
    world.add(Family.DEVICE_ENERGY, 0, 1, 1.0)
    assert world.totals.values.tolist() == [6.0, 5.0, 2.0]
    assert world.totals.first.tolist() == [0, 0, -1]


def test_rows_may_be_loaded_with_numbers_left_out() -> None:
    totals = Totals(World().describe)
    totals.load([(4, "ENERGY", '{"class": "host"}', 9.0)], lambda labels: -1)
    assert totals.rows(key(Family.ENERGY, np.array([0]))).tolist() == [4]
    assert totals.rows(key(Family.ENERGY, np.array([1]))).tolist() == [5]
    assert totals.values.tolist() == pytest.approx([0, 0, 0, 0, 9.0, 0])
