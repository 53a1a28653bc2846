"""A real Prometheus sees the first joule, the first second and the first gap of a machine that nobody knew before.

A counter that appears has not risen: what it appears with is lost to `increase()`. So every counter has to be scraped
at 0 first, and what rises between the samples is then all that there is.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.invariants import pages
from tests.invariants.processes import Site, site, wait_for
from tests.peers.test_first_light import EVERY_BOOKED, Prometheus

Peer = Callable[[str], str]
DROPPED = "thinwatt_collector_dropped_messages_total"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as found:
        yield found


@pytest.mark.slow
def test_the_first_increase_of_every_counter_is_seen(place: Site, tmp_path: Path, peer: Peer) -> None:
    collector = place.collector(commit="0.5 s")
    machine = place.machine("host-0", [(collector.port, "collector")], interval="1 s", frame="6 s", meter="counter")
    prometheus = Prometheus(peer("prometheus"), tmp_path, collector)
    place.programs.append(prometheus)
    collector.up()
    prometheus.start()
    wait_for(lambda: prometheus.query("up == 1"), "the first scrape")
    agents = place.agents(machine)
    agents.start()
    wait_for(lambda: prometheus.number("sum(thinwatt_device_energy_joules_total)") > 0, "energy in Prometheus")
    assert {row["value"][1] for row in prometheus.query("thinwatt_device_gap_seconds_total")} == {"0"}
    agents.kill()
    shutil.rmtree(machine.state)  # else the next one goes on where this one stood, and nothing is missing
    shutil.rmtree(place.folder / "run")
    time.sleep(8)
    agents.start()
    wait_for(lambda: prometheus.number("sum(thinwatt_device_gap_seconds_total)") > 0, "the gap in Prometheus")
    agents.terminate()
    agents.ended()
    shown = pages.booked(collector.page("/metrics")[1])
    wait_for(lambda: prometheus.booked() == shown, "the last totals in Prometheus")

    rose = {series for series, total in shown.items() if total > 0}
    # This machine carries no desktops, so nothing of it is shared.
    assert {family for family, _ in rose} == set(pages.BOOKED.values()) - {"SHARED"}
    for row in prometheus.query(f"{EVERY_BOOKED[:-1]}}}[10m]"):
        samples = [float(value) for _, value in row["values"]]
        assert samples[0] == 0.0, row["metric"]
        assert samples == sorted(samples), row["metric"]
    # And `increase()` itself, which draws its lines on to the ends of its window, or to where the counter was 0.
    for name in ("thinwatt_energy_joules_total", "thinwatt_device_gap_seconds_total"):
        seen, there = prometheus.number(f"sum(increase({name}[10m]))"), prometheus.number(f"sum({name})")
        assert seen == pytest.approx(there, rel=0.1), name
    assert len(prometheus.query(f"{DROPPED} == 0")) == 16
