"""First light, whole: real agents, the real collector, and a real Prometheus that scrapes it.

Without a backlog the increase that Prometheus sees is the ledger's within a scrape; a collector that is restarted or
killed resets nothing; after a backlog the totals are equal. promtool has nothing to say about the live endpoint.
"""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from tests.invariants.processes import Collector, Site, free_port, site, wait_for

Peer = Callable[[str], str]
TOTAL = "sum(thinwatt_energy_joules_total)"


class Prometheus:
    """A real server that scrapes one collector every second."""

    def __init__(self, program: str, folder: Path, target: Collector) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        config = folder / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s}\n"
            "scrape_configs:\n"
            f"  - {{job_name: thinwatt, static_configs: [{{targets: ['127.0.0.1:{target.web}']}}]}}\n"
        )
        listen = self.url.removeprefix("http://")
        command = [program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
        with (folder / "prometheus.log").open("w") as log:
            self.process = subprocess.Popen([*command, f"--web.listen-address={listen}"], stdout=log, stderr=log)

    def ask(self, query: str, at: float | None = None) -> float | None:
        """Return the one number that a query gives; None if there is none."""
        asked = {"query": query} | ({"time": f"{at:.3f}"} if at else {})
        try:
            with urllib.request.urlopen(
                f"{self.url}/api/v1/query?{urllib.parse.urlencode(asked)}", timeout=5
            ) as answer:
                found = json.load(answer)["data"]["result"]
        except OSError:
            return None
        return float(found[0]["value"][1]) if found else None

    def grows(self) -> None:
        """Wait until the total is more than it is now."""
        now = self.ask(TOTAL) or 0.0
        wait_for(lambda: (self.ask(TOTAL) or 0.0) > now, "more energy in Prometheus")

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as found:
        yield found


def booked(collector: Collector, folder: Path) -> float:
    """Return the joules of the winners in the ledger, looked at in a copy that the running collector makes."""
    copy = folder / f"copy-{time.monotonic_ns()}"
    collector.command("backup", str(copy))
    with duckdb.connect(str(copy), read_only=True) as ledger:
        query = "SELECT sum(joules) FROM energy JOIN source ON source.id = energy.source WHERE source.name = 'booked'"
        return float(ledger.execute(query).fetchall()[0][0])


@pytest.mark.slow
def test_a_real_prometheus_counts_what_the_ledger_holds(place: Site, tmp_path: Path, peer: Peer) -> None:
    collector = place.collector(commit="1 s")
    machines = [
        place.machine(f"host-{i}", [(collector.port, "collector")], interval="0.5 s", frame="1 s") for i in range(3)
    ]
    collector.up()
    agents = place.agents(*machines)
    agents.start()
    prometheus = Prometheus(peer("prometheus"), tmp_path, collector)
    try:
        wait_for(lambda: (prometheus.ask(TOTAL) or 0) > 0, "energy in Prometheus")

        # Without a backlog: the increase is the ledger's, within what two scrapes and a commit can hold.
        watts = prometheus.ask("sum(thinwatt_power_watts)") or 0.0
        assert watts > 0
        before, started = booked(collector, tmp_path), time.time()
        time.sleep(15)
        after, lasted = booked(collector, tmp_path), time.time() - started
        seen = prometheus.ask(f"sum(increase(thinwatt_energy_joules_total[{lasted:.0f}s]))")
        assert seen == pytest.approx(after - before, abs=4 * watts)

        # Restarted, then killed: the total never falls, so nothing is taken for a reset.
        for end in (collector.down, collector.kill):
            end()
            collector.up()
            prometheus.grows()

        # A backlog: what the agents kept arrives, and the totals are equal.
        collector.down()
        time.sleep(8)
        collector.up()
        agents.terminate()
        agents.ended()
        wait_for(lambda: (prometheus.ask(TOTAL) or 0) == pytest.approx(booked(collector, tmp_path), rel=1e-9), "totals")
        assert prometheus.ask("sum(resets(thinwatt_energy_joules_total[5m]))") == 0
        check = subprocess.run(
            [peer("promtool"), "check", "metrics"],
            input=collector.page("/metrics")[1],
            text=True,
            capture_output=True,
            check=False,
        )
        assert (check.returncode, check.stdout, check.stderr) == (0, "", "")
    finally:
        prometheus.close()
