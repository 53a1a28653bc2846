"""Text of /metrics: µs a series, ours beside prometheus-client's ``generate_latest``, the same samples.

100,000 series of 25,000 devices. Before each scrape one device in a hundred leaves and another comes, and some numbers
are NaN or infinite. ``generate_latest`` is measured twice: over one ``Gauge`` child a series, as most exporters do it,
and over a custom collector, the cheaper way. All take turns in one process; both texts are parsed and compared.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from benchmarks import measure
from thinwatt_collector.catalogue import CATALOGUE
from thinwatt_collector.serve.exposition import Family, LabelSet, label_text, render

NAMES: Final = (
    "thinwatt_device_energy_joules_total",
    "thinwatt_device_covered_seconds_total",
    "thinwatt_device_gap_seconds_total",
    "thinwatt_device_power_watts",
)
LABELS: Final = ("device", "class", "basis")
CHURN: Final = 100
Row = tuple[str, str, str]


class Campus(Collector):
    """The same series for all: rows of labels, one array of numbers a metric."""

    def __init__(self, devices: int, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._came = devices
        self.rows: list[Row] = [self._row(i) for i in range(devices)]
        self.values: list[NDArray[np.float64]] = []
        self.registry = CollectorRegistry()
        self.children = [
            (Counter if n.endswith("_total") else Gauge)(n, "x", LABELS, registry=self.registry) for n in NAMES
        ]
        self.texts = [label_text(dict(zip(LABELS, row, strict=True))) for row in self.rows]

    @staticmethod
    def _row(number: int) -> Row:
        return (f"site-{number % 40:02d}/host-{number:06d}", "host", ("measured", "modelled", "assumed")[number % 3])

    def turn(self) -> None:
        """Let one row in a hundred leave and another come; every number changes."""
        for at in self._random.choice(len(self.rows), len(self.rows) // CHURN, replace=False).tolist():
            for child in self.children:
                child.remove(*self.rows[at])
            self.rows[at] = self._row(self._came)
            self.texts[at] = label_text(dict(zip(LABELS, self.rows[at], strict=True)))
            self._came += 1
        counters = [self._random.uniform(0.0, 10.0**k, len(self.rows)) for k in (12, 7, 5)]
        power = np.round(self._random.lognormal(4.0, 1.5, len(self.rows)), 3)
        power[::97], power[1::97], power[2::97], power[3::97] = np.nan, np.inf, -np.inf, -0.0
        power[4::97] = self._random.uniform(0.0, 1e-6, len(power[4::97]))
        self.values = [*counters, power]
        for child, values in zip(self.children, self.values, strict=True):
            for row, value in zip(self.rows, values.tolist(), strict=True):
                _set(child, row, value)

    def collect(self) -> Iterator[Metric]:
        """Return the families for ``generate_latest``, made at each scrape."""
        for name, values in zip(NAMES, self.values, strict=True):
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = kind(name, CATALOGUE[name].help, labels=LABELS)
            for row, value in zip(self.rows, values.tolist(), strict=True):
                family.add_metric(row, value)
            yield family

    def ours(self, *, openmetrics: bool) -> bytes:
        """Return our text; the labels of the changed rows are made anew, as after a commit."""
        labels = LabelSet(self.texts)
        families = [Family(CATALOGUE[n], labels, v) for n, v in zip(NAMES, self.values, strict=True)]
        return render(families, openmetrics)


def _set(child: Counter | Gauge, row: Row, value: float) -> None:
    if isinstance(child, Gauge):
        child.labels(*row).set(value)
    else:
        cell = child.labels(*row)
        cell.reset()
        cell.inc(value)


def samples(text: bytes, *, openmetrics: bool) -> dict[tuple[str, Row], str]:
    """Return series → number of a text, with prometheus-client's parser; NaN rows left out, as /metrics does."""
    parse: Callable[[str], Iterable[Metric]] = text_string_to_metric_families
    if openmetrics:
        parse = openmetrics_parser.text_string_to_metric_families
    found: list[Sample] = [s for family in parse(text.decode()) for s in family.samples]
    return {
        (s.name, (s.labels["device"], s.labels["class"], s.labels["basis"])): float(s.value).hex()
        for s in found
        if s.name in NAMES and s.value == s.value
    }


def main() -> None:
    options = measure.parser(__doc__).parse_args()
    devices, turns = (2_500, 3) if options.quick else (25_000, 15)
    campus = Campus(devices, seed=2026)
    series = devices * len(NAMES)
    custom = CollectorRegistry()
    custom.register(campus)
    ways: dict[str, Callable[[], bytes]] = {
        "ours": lambda: campus.ours(openmetrics=False),
        "ours, OpenMetrics": lambda: campus.ours(openmetrics=True) + b"# EOF\n",
        "generate_latest, one child a series": lambda: generate_latest(campus.registry),
        "generate_latest, custom collector": lambda: generate_latest(custom),
        "generate_latest, OpenMetrics, custom collector": lambda: openmetrics.generate_latest(custom),  # type: ignore[no-untyped-call]  # theirs has no types
    }
    cost: dict[str, list[float]] = {name: [] for name in ways}
    texts: dict[str, bytes] = {}
    for _ in range(turns):
        campus.turn()
        gc.collect()
        for name, way in ways.items():
            start = time.thread_time()
            texts[name] = way()
            cost[name].append((time.thread_time() - start) * 1e6 / series)
    _compare(texts)
    _tell(cost, series, len(texts["ours"]))


def _compare(texts: dict[str, bytes]) -> None:
    expected = samples(texts["generate_latest, one child a series"], openmetrics=False)
    for name, text in texts.items():
        found = samples(text, openmetrics="OpenMetrics" in name)
        assert found == expected, f"{name} says something else than generate_latest"


def _tell(cost: dict[str, list[float]], series: int, size: int) -> None:
    text = f"{series:,} series, 1 % of the labels new at each scrape"
    figures = [
        measure.Figure(f"CPU a series, {name}", measure.spread(found), "µs", "", reached=None, against=text)
        for name, found in cost.items()
    ]
    for ours, theirs in (
        ("ours", "generate_latest, one child a series"),
        ("ours", "generate_latest, custom collector"),
        ("ours, OpenMetrics", "generate_latest, OpenMetrics, custom collector"),
    ):
        ratio = measure.spread([b / a for a, b in zip(cost[ours], cost[theirs], strict=True)])
        name = f"{theirs} ÷ {ours}"
        figures.append(measure.Figure(name, ratio, "", "≥ 30", reached=ratio.median >= 30, against="the same turn"))
    notes = (f"the same samples in all {len(cost)} texts, NaN rows left out; {size:,} bytes of text",)
    measure.report("exposition", figures, notes)


if __name__ == "__main__":
    main()
