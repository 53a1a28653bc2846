"""The text formats of Prometheus, written column by column.

A family is one array of numbers beside one list of label texts. The numbers become text in one call (orjson writes an
array in C, the shortest digits that read back the same), and one join weaves name, labels and numbers. So the label
texts are the only thing made for each row in Python, once for each change of rows, and every family of the same rows
shares them.

>>> from thinwatt_collector.catalogue import Metric
>>> power = Metric("thinwatt_power_watts", "gauge", "watts", "Latest power.", ("class",), "one a class")
>>> rows = LabelSet(['class="host"', 'class="desktop"', 'class="laptop"'])
>>> print(render([Family(power, rows, np.array([1234.5, np.nan, 1e300]))], openmetrics=False).decode(), end="")
# HELP thinwatt_power_watts Latest power.
# TYPE thinwatt_power_watts gauge
thinwatt_power_watts{class="host"} 1234.5
thinwatt_power_watts{class="laptop"} 1e+300
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import orjson
from numpy.typing import NDArray

from thinwatt_collector.catalogue import Metric

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class LabelSet:
    """Labels of the rows of a family, ready to be written. Immutable; keep it as long as the rows stay the same.

    Args:
        texts: one a row, like ``device="a",class="host"``, values escaped (see :func:`label_text`); unique.

    Raises:
        ValueError: a line feed in a text.
    """

    __slots__ = ("_pieces",)

    def __init__(self, texts: Sequence[str]) -> None:
        # A line feed cannot stand in an escaped text, so one join and one split serve all rows.
        pieces = ("} \n".join(texts) + "} ").split("\n") if texts else []
        if len(pieces) != len(texts):
            raise ValueError("a label text holds a line feed: escape label values with label_text()")
        self._pieces = pieces

    def __len__(self) -> int:
        return len(self._pieces)

    def pieces(self) -> list[str]:
        """Return what stands between the opening brace and the number of each row: ``device="a"} ``."""
        return self._pieces


def label_text(labels: Mapping[str, str]) -> str:
    r"""Return labels as text, values escaped.

    >>> print(label_text({"device": 'a "b"', "class": "host"}))
    device="a \"b\"",class="host"
    """
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with its rows at one moment: ``values`` has one number a row, shape (len(labels),).

    A NaN row is left out, unless the metric says that NaN means something.
    """

    metric: Metric
    labels: LabelSet
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        if np.shape(self.values) != (len(self.labels),):
            raise ValueError(
                f"{self.metric.name}: {np.shape(self.values)} values beside {len(self.labels)} label texts"
            )


def render(families: Iterable[Family], openmetrics: bool) -> bytes:
    """Return the text of families, in their order, without OpenMetrics' ``# EOF``.

    Args:
        families: of different metrics.
        openmetrics: OpenMetrics 1.0 text; else Prometheus text 0.0.4.

    Raises:
        ValueError: a metric stands there twice.
    """
    parts: list[str] = []
    names: set[str] = set()
    for family in families:
        if family.metric.name in names:
            raise ValueError(f"{family.metric.name} stands twice among the families: join their rows")
        names.add(family.metric.name)
        parts.append(_head(family.metric, openmetrics))
        parts += _rows(family)
    return "".join(parts).encode()


def _head(metric: Metric, openmetrics: bool) -> str:
    text = metric.help.replace("\\", r"\\").replace("\n", r"\n")
    if not openmetrics:
        kind = "gauge" if metric.kind == "info" else metric.kind
        return f"# HELP {metric.name} {text}\n# TYPE {metric.name} {kind}\n"
    name = metric.family
    text = text.replace('"', r"\"")
    unit = f"# UNIT {name} {metric.unit}\n" if metric.unit else ""
    return f"# HELP {name} {text}\n# TYPE {name} {metric.kind}\n{unit}"


def _rows(family: Family) -> list[str]:
    """Return the pieces of a family's lines, to be joined."""
    name, labels, values = family.metric.name, family.labels.pieces(), family.values
    if not family.metric.nan:
        there = ~np.isnan(values)
        if not there.all():
            labels, values = list(compress(labels, there.tolist())), values[there]
    if not labels:
        return []
    if labels == ["} "]:  # a metric without labels
        return [f"{name} ", *_numbers(values), "\n"]
    woven = [f"\n{name}{{"] * (3 * len(labels))
    woven[0] = f"{name}{{"
    woven[1::3], woven[2::3] = labels, _numbers(values)
    woven.append("\n")
    return woven


def _numbers(values: NDArray[np.float64]) -> list[str]:
    """Return each number as text that reads back the same."""
    plain = np.ascontiguousarray(values, np.float64)
    numbers = orjson.dumps(plain, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode("ascii").split(",")
    for i in np.flatnonzero(~np.isfinite(plain)).tolist():  # JSON has no such numbers: orjson writes null
        x = plain[i]
        numbers[i] = "NaN" if np.isnan(x) else "+Inf" if x > 0 else "-Inf"
    return numbers
