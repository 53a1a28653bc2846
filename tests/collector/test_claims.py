"""What an agent may claim: no more energy than a device can have drawn, no more time than has passed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.sending import NOW, PLUG, SECOND, Bench, Sender, pair
from thinwatt_agent import wire
from thinwatt_agent.config import parse as agent_config
from thinwatt_agent.places import ConfigError
from thinwatt_agent.sequence import WRONG
from thinwatt_agent.wire import Column, Group, Schema
from thinwatt_collector import accept
from thinwatt_collector.accept import BEFORE, DEVICE_POWER
from thinwatt_collector.allowance import TIME
from thinwatt_collector.config import parse
from thinwatt_collector.layout import layout_of

HONEST = [(n, 10.0 * n, [500.0 * n, 10.0 * n]) for n in range(1, 3)]
IMPOSSIBLE = {
    "energy at once": [(1, 10.0, [500.0, 10.0]), (2, 20.0, [9e14, 20.0])],
    "energy little by little": [(n, 10.0 * n, [n * 4e7, 10.0 * n]) for n in range(1, 13)],
    "energy of a row that is long past in its frame": [(1, 10.0, [4e8, 10.0]), (2, 9000.0, [4e8, 9000.0])],
    "time at once": [(1, 10.0, [500.0, 10.0]), (2, 20.0, [1000.0, 1e9])],
    "time an hour and more before it began": [(1, 10.0, [500.0, 10.0 + BEFORE + 0.01])],
}


def known(*senders: Sender) -> Bench:
    bench = Bench()
    for s in senders:
        bench.hello(s)
    return bench


@pytest.mark.parametrize("claim", IMPOSSIBLE)
def test_what_cannot_be_is_refused_by_its_own_name_and_costs_nobody_else(claim: str) -> None:
    liar, other = Sender("liar"), Sender("other")
    bench = known(liar, other)
    bench.give(other, other.frame(0, HONEST))
    bench.give(liar, liar.frame(0, IMPOSSIBLE[claim]))
    positions, (refused,) = bench.commit()
    assert (refused.reason, refused.stream) == ("too_much", liar.stream)
    assert "plug" in refused.text
    assert positions == {other.stream: 2, liar.stream: 0}
    assert bench.totals()["ENERGY", "measured, host"] == 1000.0
    assert bench.slots("liar") == {}
    assert bench.step.tallies.dropped == {"too_much": 1}
    assert bench.step.tallies.refusals.now()["liar"].reason == "too_much"
    assert bench.book(liar, liar.frame(0, HONEST)) == 2


def test_a_stream_may_cover_an_hour_before_it_began_and_the_ceiling_all_the_time() -> None:
    s = Sender()
    bench = known(s)
    covered = 10.0 + BEFORE
    assert bench.book(s, s.frame(0, [(1, 10.0, [DEVICE_POWER * covered, covered])])) == 1
    assert bench.book(s, s.frame(1, [(2, 20.0, [DEVICE_POWER * covered + 1e6, covered + 10.0])])) == 2
    assert sum(joules for joules, _ in bench.slots().values()) == pytest.approx(DEVICE_POWER * (covered + 10), rel=1e-9)


def test_a_site_may_have_devices_that_draw_more() -> None:
    s = Sender()
    bench = known(s)
    rows = [(1, 10.0, [2e9, 10.0])]
    assert bench.book(s, s.frame(0, rows)) == "too_much"
    bench.step._device_power = parse('[link]\ndevice_power = "1 MW"', Path("collector.toml")).device_power
    assert bench.book(s, s.frame(0, rows)) == 1


def test_the_refusal_says_which_device_and_which_key() -> None:
    s = Sender("gw", Schema((Group(("a", "b"), pair("plug", "outlet 1")), Group(("c",), pair("pdu")))))
    bench = known(s)
    row = [500.0, 10.0, 9e14, 10.0, 500.0, 10.0]
    bench.give(s, s.frame(0, [(1, 10.0, row)]))
    (refused,) = bench.commit()[1]
    assert refused.text.startswith("plug outlet 1 energy of b: 9e+14 J")
    assert "device_power in [link] of collector.toml" in refused.text
    bench.give(s, s.frame(0, [(1, 10.0, [500.0, 10.0, 500.0, 10.0, 500.0, 9e5])]))
    (refused,) = bench.commit()[1]
    assert refused.text == "pdu covered of c: 9e+05 s are more than the 3610 s in which that could be"


def test_other_counters_are_no_energy_and_no_covered_time() -> None:
    other = (Column("load", "cpu_capacity", "counter", "s"), Column("net", "bytes", "counter", "B"))
    s = Sender(schema=Schema((Group(("",), (*PLUG.groups[0].columns, *other)),)))
    bench = known(s)
    assert bench.book(s, s.frame(0, [(1, 10.0, [500.0, 10.0, 1e9, 1e18])])) == 1
    assert layout_of(s.schema).amounts.tolist() == [0, 1]


@given(st.data())
def test_the_verdict_is_that_of_the_law_row_by_row(data: st.DataObject) -> None:
    rows, watts = data.draw(st.integers(1, 6)), data.draw(st.floats(1.0, 1e6))
    times = np.cumsum(data.draw(st.lists(st.floats(0.0, 5000.0), min_size=rows + 1, max_size=rows + 1)))
    adds = st.lists(st.floats(0.0, 6000.0), min_size=rows + 1, max_size=rows + 1)
    covered, joules = np.cumsum(data.draw(adds)), np.cumsum(data.draw(adds)) * watts
    most = np.array([watts, 1.0])
    (fits,) = accept.possible(np.array([[joules, covered]]), times[None] + BEFORE, np.array([0, 1]), most)
    law = [c <= t + BEFORE and j <= watts * (t + BEFORE) for t, c, j in zip(times, covered, joules, strict=True)]
    assert bool(fits) == all(law)


def test_time_is_told_of_once_by_an_honest_agent_and_so_much_by_one_that_makes_up_streams() -> None:
    bench, year, at_once = Bench(), 365 * 86_400.0, 0
    streams = [Sender(offset=NOW - round(year) * SECOND) for _ in range(5)]
    bench.hello(streams[0])
    for s in streams:
        at_once += bench.book(s, s.frame(0, [(1, year, [500.0, 10.0])])) == 1
    assert at_once == 2 == TIME[0] // round(year + BEFORE)
    assert bench.step.tallies.frames["postponed"] == 3
    bench.now += 30 * 86_400 * SECOND
    assert bench.book(streams[2], streams[2].frame(0, [(1, year, [500.0, 10.0])])) == 1


def test_gaps_between_made_up_boots_are_of_that_time_too() -> None:
    bench, decade = Bench(), 10 * 365 * 86_400.0
    first = Sender(boot=b"boot".ljust(16))
    bench.hello(first)
    assert bench.book(first, first.frame(0, HONEST)) == 2
    gaps = []
    for n in range(1, 6):
        s = Sender(base=n * decade, boot=b"boot".ljust(16))
        gaps.append(bench.book(s, s.frame(0, [(1, n * decade + 10.0, [500.0, 10.0])], at=n * decade + 10.0)))
    assert gaps == [0, 0, 0, 0, 0], "the first took a little, so that a decade is more than is left"
    assert bench.totals().get(("GAP", "host"), 0.0) == 0.0
    bench.now += 3600 * SECOND
    s = Sender(base=decade, boot=b"boot".ljust(16))
    rows = [(1, decade + 10.0, [500.0, 10.0])]
    assert bench.book(s, s.frame(0, rows)) == 1, (
        "whoever was away for longer than all of it gets through when it is full"
    )
    assert bench.totals()["GAP", "host"] == pytest.approx(decade - 20.0)


def test_an_agent_takes_it_for_a_wrong_frame_and_bridges_no_more_than_is_believed() -> None:
    assert wire.REASONS[-1] == "too_much", "old agents know reasons by their place"
    assert "too_much" in WRONG
    with pytest.raises(ConfigError, match="1 h"):
        agent_config('[agent]\nmax_gap = "2 h"', Path("agent.toml"))
    assert math.isclose(BEFORE, 3600.0)
