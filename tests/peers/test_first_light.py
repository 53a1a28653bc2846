"""First light, whole: real agents, the real collector, and a real Prometheus that scrapes it.

Without a backlog the increase that Prometheus sees is the ledger's within a scrape; a collector that is restarted or
killed resets nothing; after a backlog the totals are equal to the last bit. promtool has nothing to say about the live
endpoint.
"""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.invariants import laws, pages
from tests.invariants.processes import TOKEN, Collector, Program, Site, boottime, free_port, site, wait_for
from tests.invariants.settling import settle

Peer = Callable[[str], str]
METERS = ("counter", "counter", "gauge")
TOTAL = "sum(thinwatt_energy_joules_total)"
EVERY_BOOKED = f'{{__name__=~"{"|".join(pages.BOOKED)}"}}'


class Prometheus(Program):
    """A real server that scrapes one collector every second."""

    def __init__(self, program: str, folder: Path, target: Collector) -> None:
        address = f"127.0.0.1:{free_port()}"
        self._api = f"http://{address}/api/v1/query"
        config = folder / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s}\n"
            "scrape_configs:\n"
            f"  - {{job_name: thinwatt, static_configs: [{{targets: ['127.0.0.1:{target.web}']}}],\n"
            f"     authorization: {{credentials: {TOKEN}}}}}\n"
        )
        options = {"config.file": config, "storage.tsdb.path": folder / "tsdb", "web.listen-address": address}
        super().__init__(folder / "prometheus.log", [program, *(f"--{key}={value}" for key, value in options.items())])

    def query(self, query: str, at: float | None = None) -> list[dict[str, Any]]:
        """Return the rows that a query gives at a time, now by default; none where nobody answers yet."""
        asked = {"query": query} | ({"time": f"{at:.3f}"} if at else {})
        try:
            with urllib.request.urlopen(f"{self._api}?{urllib.parse.urlencode(asked)}", timeout=5) as answer:
                found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        except OSError:
            return []
        return found

    def number(self, query: str, at: float | None = None) -> float:
        """Return the one number that a query gives, 0 where there is none."""
        found = self.query(query, at)
        return float(found[0]["value"][1]) if found else 0.0

    def booked(self) -> dict[pages.Series, float]:
        """Return every booked counter as it was last scraped."""
        own = ("__name__", "instance", "job")
        return {
            (pages.BOOKED[m["__name__"]], tuple(sorted((k, v) for k, v in m.items() if k not in own))): float(value)
            for m, (_, value) in ((row["metric"], row["value"]) for row in self.query(EVERY_BOOKED))
        }

    def grows(self) -> None:
        """Wait until the total is more than it is now."""
        now = self.number(TOTAL)
        wait_for(lambda: self.number(TOTAL) > now, "more energy in Prometheus")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as found:
        yield found


def in_ledger(collector: Collector, folder: Path) -> float:
    """Return the joules of the winners in the ledger, looked at in a copy that the running collector makes."""
    copy = folder / f"copy-{time.monotonic_ns()}"
    collector.ask("backup", str(copy))
    return sum(joules for (_, source, _), (joules, _) in laws.read(copy).energy.items() if source == "booked")


@pytest.mark.slow
def test_a_real_prometheus_counts_what_the_ledger_holds(place: Site, tmp_path: Path, peer: Peer) -> None:
    promtool = peer("promtool")
    collector = place.collector(commit="1 s")
    way = [(collector.port, "collector")]
    machines = [place.machine(f"host-{i}", way, interval="0.5 s", frame="1 s", meter=m) for i, m in enumerate(METERS)]
    prometheus = Prometheus(peer("prometheus"), tmp_path, collector)
    place.programs.append(prometheus)
    collector.up()
    agents = place.agents(*machines)
    agents.start()
    prometheus.start()
    prometheus.grows()

    # Without a backlog: the increase is the ledger's, within what a row, a frame, a commit and two scrapes hold back.
    before, started = in_ledger(collector, tmp_path), time.time()
    time.sleep(15)
    after, ended = in_ledger(collector, tmp_path), time.time()
    watts = sum(laws.drawn(m, 0, boottime()) / boottime() * laws.SECOND for m in machines)
    seen = prometheus.number(f"sum(increase(thinwatt_energy_joules_total[{1000 * (ended - started):.0f}ms]))", ended)
    assert after - before > 10 * watts
    assert seen == pytest.approx(after - before, abs=4 * watts)

    # Restarted, then killed, then away for a while: no counter falls, so nothing is taken for a reset.
    for end, away in ((collector.down, 0), (collector.kill, 0), (collector.down, 8)):
        end()
        time.sleep(away)
        collector.up()
        prometheus.grows()
    said = subprocess.run(
        [promtool, "check", "metrics"], input=collector.page("/metrics")[1].encode(), capture_output=True, check=False
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, b"", b"")

    # What the agents kept arrives: totals are equal, in the ledger, on the page and in Prometheus.
    books = settle(collector, [agents])
    collector.up()
    shown = pages.booked(collector.page("/metrics")[1])
    assert {family for family, _ in shown} >= {"ENERGY", "CARBON", "COVERED"}
    pages.are_committed(shown, books, same=True)
    wait_for(lambda: prometheus.booked() == shown, "the last totals in Prometheus")
    # One family at a time: without their names, two families of the same labels are one to Prometheus.
    resets = [row["value"][1] for name in pages.BOOKED for row in prometheus.query(f"resets({name}[10m])")]
    assert len(resets) >= len(shown)
    assert set(resets) == {"0"}
