"""The rows of /metrics' families that the API shows as well, by the texts of their labels."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

from thinwatt_collector.serve.exposition import Family

LABEL: Final = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*")')
NOW: Final = {
    "thinwatt_power_watts": ("class", "simulated"),
    "thinwatt_power_uncertainty_watts": ("class", "simulated"),
    "thinwatt_devices": ("class", "simulated"),
    "thinwatt_energy_joules_total": ("class", "basis", "simulated"),
}
"""Families of classes, and their labels."""


def of_classes(families: Sequence[Family]) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the rows of the families of classes, by the texts of their labels."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in families:
        if (names := NOW.get(family.metric.name)) is not None:
            labels = [_labels(piece) for piece in family.labels.pieces()]
            rows = (tuple(of[name] for name in names) for of in labels)
            found[family.metric.name] = dict(zip(rows, family.values.tolist(), strict=True))
    return found


def _labels(piece: str) -> dict[str, str]:
    """Return labels as they stand in an exposition, where texts are escaped as in JSON."""
    return {name: json.loads(text) for name, text in LABEL.findall(piece)}
