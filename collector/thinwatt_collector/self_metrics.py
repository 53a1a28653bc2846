"""The collector's own series, in the registry of prometheus-client: what it took, dropped, booked, and at what cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from thinwatt_agent import __version__, wire
from thinwatt_collector.calibrated import WAYS, Calibrations
from thinwatt_collector.receive import REASONS
from thinwatt_collector.tallies import Tallies

RESULTS = ("booked", "duplicate", "hole", "elsewhere", "postponed")
BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


@dataclass(slots=True)
class Gauges:
    """What the loop knows at this moment; written by the loop, read by scrapes."""

    uncommitted_bytes: int = 0
    ledger_bytes: int = 0
    commits: int = 0
    failed_commits: int = 0
    ledger_up: bool = True
    calibrations: Callable[[], Calibrations] = Calibrations


class OwnSeries(Collector):
    """Reads the tallies at each scrape; counters here start again with the process."""

    def __init__(self, tallies: Tallies, dropped: Mapping[str, int], gauges: Gauges) -> None:
        self._tallies, self._dropped, self._gauges = tallies, dropped, gauges

    def collect(self) -> Iterator[Metric]:
        """Return the families."""
        t, g = self._tallies, self._gauges
        frames = CounterMetricFamily("thinwatt_collector_frames", "Frames by what became of them.", labels=["result"])
        for result in RESULTS:
            frames.add_metric([result], t.frames[result])
        dropped = CounterMetricFamily(
            "thinwatt_collector_dropped_messages", "Messages not taken, by reason.", labels=["reason"]
        )
        reasons = dict.fromkeys((*wire.REASONS, *REASONS), 0) | dict(t.dropped)
        for reason, count in dict(self._dropped).items():
            reasons[reason] = reasons.get(reason, 0) + count
        for reason, count in sorted(reasons.items()):
            dropped.add_metric([reason], count)
        commits = CounterMetricFamily("thinwatt_collector_commits", "Transactions, by outcome.", labels=["result"])
        commits.add_metric(["committed"], g.commits)
        commits.add_metric(["failed"], g.failed_commits)
        yield from (frames, dropped, commits)
        yield CounterMetricFamily("thinwatt_collector_rows", "Rows booked.", value=t.rows)
        yield CounterMetricFamily(
            "thinwatt_collector_factor_fallbacks",
            "Commits whose carbon used a factor of another year for want of the year's own.",
            value=t.factor_fallbacks,
        )
        for name, text, value in (
            (
                "refused_agents",
                "Agents that get nothing through since a message was refused; thinwatt-collector status names them.",
                len(t.refusals.now()),
            ),
            ("uncommitted_bytes", "Bytes of frames received and not yet in the ledger.", g.uncommitted_bytes),
            ("ledger_bytes", "Size of the ledger on disk.", g.ledger_bytes),
            ("ledger_up", "1 while the ledger takes transactions, 0 while it fails.", int(g.ledger_up)),
        ):
            yield GaugeMetricFamily(f"thinwatt_collector_{name}", text, value=value)
        yield from _calibrations(g.calibrations())
        build = GaugeMetricFamily("thinwatt_collector_build_info", "Version of the collector.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build


def _calibrations(known: Calibrations) -> Iterator[Metric]:
    newest = known.newest()
    count = GaugeMetricFamily(
        "thinwatt_collector_calibrated_models", "Hardware models with a calibrated power model.", labels=["way"]
    )
    labels = ["class", "model", "way", "simulated"]
    residual = GaugeMetricFamily(
        "thinwatt_collector_calibration_residual_ratio",
        "What an hour of a metered machine is missed by, root mean square, of its mean.",
        labels=labels,
    )
    uncertainty = GaugeMetricFamily(
        "thinwatt_collector_calibration_uncertainty_ratio",
        "Relative standard uncertainty of one unmetered machine of the model.",
        labels=labels,
    )
    for way in WAYS:
        count.add_metric([way], sum(each.way == way for each in newest))
    for each in newest:
        of = [each.kind, each.model, each.way, str(each.simulated).lower()]
        residual.add_metric(of, each.residual)
        uncertainty.add_metric(of, each.uncertainty)
    yield from (count, residual, uncertainty)


def registry(tallies: Tallies, dropped: Mapping[str, int], gauges: Gauges) -> tuple[CollectorRegistry, Histogram]:
    """Return the registry and the histogram of the steps' durations."""
    found = CollectorRegistry()
    found.register(OwnSeries(tallies, dropped, gauges))
    ProcessCollector(namespace="thinwatt_collector", registry=found)
    steps = Histogram("thinwatt_collector_step_seconds", "Duration of a step.", registry=found, buckets=BUCKETS)
    return found, steps
