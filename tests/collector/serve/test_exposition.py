"""The text of /metrics against prometheus-client: its writer says the same, its parsers read the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric as ClientMetric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector, CollectorRegistry

from thinwatt_collector.catalogue import Metric
from thinwatt_collector.serve.exposition import Family, LabelSet, label_text, render

ENERGY = Metric("t_energy_joules_total", "counter", "joules", "Energy.", ("device", "class"), "one")
POWER = Metric("t_power_watts", "gauge", "watts", 'Power: "now"\\then,\nhere.', ("device",), "one")
NANS = Metric("t_nan_watts", "gauge", "watts", "NaN is news.", ("device",), "one", nan=True)
INFO = Metric("t_agent_info", "info", "", "An agent.", ("device",), "one")
ALONE = Metric("t_oldest_seconds", "gauge", "seconds", "Alone.", (), "one")

Bits = dict[tuple[str, tuple[tuple[str, str], ...]], bytes]


def bits(text: bytes, *, openmetrics: bool) -> Bits:
    """Return every sample of a text with the bytes of its number, so that -0.0 and NaN count."""
    parse = parse_openmetrics if openmetrics else parse_text
    samples = [s for family in parse(text.decode()) for s in family.samples]
    found = {(s.name, tuple(sorted(s.labels.items()))): np.float64(s.value).tobytes() for s in samples}
    assert len(found) == len(samples)
    return found


class Client(Collector):
    def __init__(self, *families: ClientMetric) -> None:
        self._families = families

    def collect(self) -> Sequence[ClientMetric]:
        return self._families


def client_text(families: Sequence[ClientMetric], *, openmetrics: bool) -> bytes:
    registry = CollectorRegistry()
    registry.register(Client(*families))
    encode: Callable[[CollectorRegistry], bytes] = generate_openmetrics if openmetrics else generate_latest
    return encode(registry)


def ours(families: Sequence[Family], *, openmetrics: bool) -> bytes:
    return render(families, openmetrics) + (b"# EOF\n" if openmetrics else b"")


numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(
        [0.0, -0.0, 5e-324, 1.7976931348623157e308, 1e16, 1e17, 1e-5, 123456.789, 2.0**53, 1e22, 1e21, 1e23]
    ),
    st.integers(-(2**60), 2**60).map(float),
)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@pytest.mark.parametrize("openmetrics", [False, True])
@given(rows=st.dictionaries(names, st.tuples(numbers, numbers), max_size=8))
def test_the_same_samples_as_generate_latest(openmetrics: bool, rows: dict[str, tuple[float, float]]) -> None:
    # The parsers of prometheus-client split lines where Python does; Prometheus does at line feeds only.
    rows = {k: v for k, v in rows.items() if len(k.splitlines()) <= 1 and "\r" not in k}
    labels = LabelSet([label_text({"device": name}) for name in rows])
    gauge = np.array([v[0] for v in rows.values()], float)
    # OpenMetrics has no negative counters and none that is NaN.
    count = np.array([abs(v[1]) if v[1] == v[1] else 0.0 for v in rows.values()], float)
    one = Metric("t_energy_joules_total", "counter", "joules", "Energy.", ("device",), "one")

    theirs_gauge = GaugeMetricFamily("t_nan_watts", NANS.help, labels=["device"], unit="watts")
    theirs_count = CounterMetricFamily("t_energy_joules", "Energy.", labels=["device"], unit="joules")
    for name, a, b in zip(rows, gauge.tolist(), count.tolist(), strict=True):
        theirs_gauge.add_metric([name], a)
        theirs_count.add_metric([name], b)
    text = ours([Family(NANS, labels, gauge), Family(one, labels, count)], openmetrics=openmetrics)
    expected = client_text([theirs_gauge, theirs_count], openmetrics=openmetrics)
    assert bits(text, openmetrics=openmetrics) == bits(expected, openmetrics=openmetrics)
    heads = [line for line in text.splitlines() if line.startswith(b"#")]
    assert heads == [line for line in expected.splitlines() if line.startswith(b"#")]


@pytest.mark.parametrize("openmetrics", [False, True])
def test_heads_are_those_of_prometheus_client(openmetrics: bool) -> None:
    families = [
        Family(ENERGY, LabelSet(['device="a",class="host"']), np.array([1.0])),
        Family(POWER, LabelSet(['device="a"']), np.array([2.0])),
        Family(INFO, LabelSet(['device="a"']), np.array([1.0])),
        Family(ALONE, LabelSet([""]), np.array([0.5])),
    ]
    count = CounterMetricFamily("t_energy_joules", "Energy.", labels=["device", "class"], unit="joules")
    count.add_metric(["a", "host"], 1.0)
    power = GaugeMetricFamily("t_power_watts", POWER.help, labels=["device"], unit="watts")
    power.add_metric(["a"], 2.0)
    info = InfoMetricFamily("t_agent", "An agent.", labels=[])
    info.add_metric([], {"device": "a"})
    alone = GaugeMetricFamily("t_oldest_seconds", "Alone.", value=0.5, unit="seconds")
    expected = client_text([count, power, info, alone], openmetrics=openmetrics).decode()
    text = ours(families, openmetrics=openmetrics).decode()
    # Only the order of labels may differ: prometheus-client sorts them.
    assert text.replace('device="a",class="host"', 'class="host",device="a"') == expected


def test_a_row_without_a_number_is_absent_unless_nan_says_something() -> None:
    labels = LabelSet(['device="a"', 'device="b"', 'device="c"'])
    values = np.array([np.nan, 1.0, np.inf])
    text = render([Family(POWER, labels, values)], openmetrics=False)
    assert b'{device="a"}' not in text
    assert text.endswith(b't_power_watts{device="b"} 1.0\nt_power_watts{device="c"} +Inf\n')
    assert render([Family(NANS, labels, values)], openmetrics=False).count(b"t_nan_watts{") == 3
    assert labels.pieces()[0] == 'device="a"} ', "the label set is as it was"


@pytest.mark.parametrize("values", [np.zeros(0), np.array([np.nan])])
def test_a_family_without_rows_is_its_head(values: np.ndarray) -> None:
    labels = LabelSet([f'device="{i}"' for i in range(len(values))])
    text = render([Family(ENERGY, labels, values)], openmetrics=True)
    assert text.splitlines()[-1] == b"# UNIT t_energy_joules joules"
    assert bits(text + b"# EOF\n", openmetrics=True) == {}


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8, ">f8"])
def test_arrays_of_other_kinds_and_shapes_in_memory(dtype: str) -> None:
    values = np.arange(10).astype(dtype)[::3]
    text = render([Family(POWER, LabelSet([f'device="{i}"' for i in range(4)]), values)], openmetrics=False)
    assert [float(line.split()[-1]) for line in text.splitlines()[-4:]] == [0.0, 3.0, 6.0, 9.0]


def test_texts_beyond_ascii_are_utf8() -> None:
    labels = LabelSet([label_text({"device": "salle é/☂", "class": 'a\\b"c\nd'})])
    text = render([Family(ENERGY, labels, np.array([1.0]))], openmetrics=False)
    assert text.splitlines()[-1] == 't_energy_joules_total{device="salle é/☂",class="a\\\\b\\"c\\nd"} 1.0'.encode()


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(ValueError, match="line feed"):
        LabelSet(['device="a\nt_power_watts{device=\\"b\\"} 5"'])
    with pytest.raises(ValueError, match="beside 2 label texts"):
        Family(POWER, LabelSet(["a", "b"]), np.zeros(3))
    twice = Family(POWER, LabelSet(['device="a"']), np.zeros(1))
    with pytest.raises(ValueError, match="stands twice"):
        render([twice, twice], openmetrics=False)


def test_numbers_read_back_to_the_bit() -> None:
    random = np.random.default_rng(7)
    values = random.integers(0, 2**64, 20_000, np.uint64).view(np.float64)
    values = values[~np.isnan(values)]
    text = render([Family(NANS, LabelSet([f'device="{i}"' for i in range(len(values))]), values)], openmetrics=False)
    back = np.array([float(line.split(b" ")[-1]) for line in text.splitlines()[2:]])
    assert back.tobytes() == values.tobytes()
    assert math.isinf(back.max()) or back.max() > 1e300
