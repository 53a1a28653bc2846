"""What is known of the dies of a socket, and of a register that stands still: machines made for one question each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.agent.recording import at, write, zone
from thinwatt_agent.loop import Sampler, SamplerOptions

ONLY = {name: {"enabled": False} for name in ("load", "sessions", "battery", "textfile", "hwmon")}
FAR = 50_000
"""How far the two registers of real dies are apart [J]."""


class Machine:
    """A socket with two dies, read every 10 s, from what each shows [J], None for what can't be read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tick = 0
        self.begin()

    def begin(self) -> None:
        self.sampler = Sampler(self.root, SamplerOptions(interval=10, sources=ONLY))

    def restart(self) -> None:
        """Another process goes on from what this one saw."""
        state = json.loads(json.dumps(self.sampler.state()))
        self.begin()
        self.sampler.restore(state)

    def show(self, *joules: float | None) -> tuple[float, float]:
        """Return the joules and covered seconds of the total after a tick."""
        for i, j in enumerate(joules):
            value = "" if j is None else round(j * 1e6)
            write(self.root, zone(f"package-0-die-{i}", value, id_=f"intel-rapl:{i}"))
        self.sampler.sample(at(1000 + 10 * self.tick))
        self.tick += 1
        total, covered, _ = self.sampler.totals.values()
        return round(total, 6), covered


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def shown(machine: Machine, looks: Sequence[tuple[float | None, float | None]]) -> list[tuple[float, float]]:
    return [machine.show(*look) for look in looks]


def test_dies_of_their_own_count_all_from_the_first_interval(machine: Machine) -> None:
    assert shown(machine, [(90_000 + 30 * i, FAR + 20 * i) for i in range(3)]) == [(0, 0), (50, 10), (100, 20)]


def test_dies_that_show_one_register_count_once_from_the_first_interval(machine: Machine) -> None:
    assert shown(machine, [(90_000 + 30 * i, 90_000.001 + 30 * i) for i in range(3)]) == [(0, 0), (30, 10), (60, 20)]


def test_as_long_as_it_cannot_be_known_nothing_counts_and_then_all_that_is_bridged(machine: Machine) -> None:
    before = shown(machine, [(90_000, None), (90_030, None), (90_060, None)])
    assert before == [(0, 0)] * 3
    assert machine.show(90_090, 90_090) == (90, 30)


def test_a_die_held_up_or_torn_once_does_not_make_two_of_one(machine: Machine) -> None:
    shown(machine, [(90_000, 90_000), (90_030, 90_030)])
    assert shown(machine, [(90_060, 90_260), (90_290, 90_290)]) == [(60, 20), (290, 30)]


def test_dies_that_met_by_chance_count_one_until_they_part(machine: Machine) -> None:
    """Never too much; when they part, what was left out within max_gap is made good: all but 20 J of the first 10 s."""
    assert shown(machine, [(90_000, 90_000.001), (90_030, 90_020), (90_060, 90_040)]) == [(0, 0), (30, 10), (60, 20)]
    assert shown(machine, [(90_960, 90_060), (91_860, 90_080)]) == [(960, 30), (1940 - 20, 40)]


def test_one_register_that_was_taken_for_several_is_one_again_after_three_looks(machine: Machine) -> None:
    """Twice in a row the agent is held up between the two reads: the documented worst, and its end."""
    shown(machine, [(90_000 + 30 * i, 90_000 + 30 * i + late) for i, late in enumerate((0, 0, 200, 200, 0, 0))])
    before = machine.show(90_180, 90_180)[0]
    assert shown(machine, [(90_210, 90_210), (90_240, 90_240)]) == [(before + 30, 70), (before + 60, 80)]


def test_a_new_process_loses_no_interval_of_dies_of_their_own(machine: Machine) -> None:
    shown(machine, [(90_000 + 30 * i, FAR + 20 * i) for i in range(3)])
    machine.restart()
    assert machine.show(90_090, FAR + 60) == (0, 0), "one look does not tell"
    assert machine.show(90_120, FAR + 80) == (100, 20), "two do, and nothing since the old process is lost"


def test_a_new_process_never_doubles_one_register(machine: Machine) -> None:
    shown(machine, [(90_000 + 30 * i, 90_000 + 30 * i) for i in range(3)])
    machine.restart()
    assert machine.show(90_090, None) == (0, 0)
    assert machine.show(90_120, 90_120) == (60, 20)


def test_one_die_alone_counts_if_the_other_was_never_there(machine: Machine) -> None:
    assert [machine.show(90_000 + 30 * i) for i in range(2)] == [(0, 0), (30, 10)]
    assert machine.show(90_060, 90_060) == (60, 20)


def test_what_a_register_missed_while_it_stood_still_over_a_gap_is_not_counted_at_once(machine: Machine) -> None:
    """The other shows it all the time; the stale one shows 50 J when it goes on, of which 40 were counted."""
    shown(machine, [(90_000, 90_000)] + [(None, 90_000 + 10 * i) for i in (1, 2, 3)] + [(90_000, 90_040)])
    assert machine.show(90_050, None)[0] <= 50
    assert machine.show(90_060, 90_060) == (60, 60)


def test_memory_that_is_not_wired_is_not_missed_after_a_gap(tmp_path: Path) -> None:
    sampler = Sampler(tmp_path, SamplerOptions(interval=10, sources=ONLY))
    for when, joules in ((0, 90_000), (10, 90_030), (500, 90_500), (510, 90_530)):
        write(tmp_path, zone("package-0", joules * 10**6) | zone("dram", 7_000_000, id_="intel-rapl:0:0"))
        sampler.sample(at(1000 + when))
    assert sampler.totals.values()[:2] == pytest.approx((60, 20))


def test_a_boot_begins_anew_whatever_was_gone_before_it(tmp_path: Path) -> None:
    """A socket went at 5000 s of the boot before; in this one, 5000 s are still to come."""
    sampler = Sampler(tmp_path, SamplerOptions(interval=10, sources=ONLY))
    second = zone("package-1", 70_000 * 10**6, id_="intel-rapl:1")
    for when, joules, boot in ((5000, 90_000, "a"), (5010, 90_030, "a"), (20, 500, "b"), (30, 530, "b")):
        write(tmp_path, zone("package-0", joules * 10**6) | (second if when == 5000 else {}))
        if when == 5010:
            shutil.rmtree(tmp_path / "sys/class/powercap/intel-rapl:1")
        sampler.reroot(tmp_path)
        sampler.sample(at(when, boot=boot))
    assert sampler.totals.values()[:2] == pytest.approx((60, 20))


@pytest.mark.parametrize("still", [1, 2])
def test_a_register_that_stood_still_when_the_old_process_looked_last_loses_nothing(still: int, tmp_path: Path) -> None:
    """Nothing was counted at that look, and what it shows to the new process rose since then."""
    machine = Machine(tmp_path)
    seen = [machine.show(90_000 + 30 * i) for i in (0, 1, *(1,) * still)]
    assert seen[-1] == pytest.approx((30, 10))
    machine.restart()
    assert [machine.show(90_060 + 30 * i)[0] for i in range(2)] == [30, 60]
