"""The catalogue: names that Prometheus' own lint would pass, and a page that says what the code does."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from thinwatt_collector.catalogue import CATALOGUE, LABELS, UNITS, Metric, page

METRICS = sorted(CATALOGUE.values(), key=lambda m: m.name)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
WORDS = re.compile(r"\b(consumption|usage|value|data|manager|user)s?\b", re.IGNORECASE)


def test_the_page_is_the_one_that_the_catalogue_makes() -> None:
    made = io.StringIO()
    page(made)
    assert PAGE.read_text(encoding="utf-8") == made.getvalue(), "run `make docs` and look at the change"


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_a_name_says_kind_and_unit(metric: Metric) -> None:
    assert re.fullmatch(r"thinwatt_[a-z][a-z0-9_]*", metric.name)
    assert metric.name == next(name for name, m in CATALOGUE.items() if m is metric)
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert metric.unit in {*UNITS, ""}
    said = [unit for unit in UNITS if metric.family.endswith(f"_{unit}")]
    assert said == ([metric.unit] if metric.unit else []), "a base unit ends the family's name, and only then"
    assert not re.search(r"_(kwh|kw|kg|ms|percent|ratio_percent|minutes|hours|kilo\w*|milli\w*)\b", metric.name)
    assert not metric.name.endswith(("_count", "_sum", "_bucket", "_created"))
    assert metric.kind == "histogram" or not metric.family.endswith(("_total", "_info")) or metric.own


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_a_metric_tells_a_person_what_it_is(metric: Metric) -> None:
    assert metric.help.endswith("."), "help is a sentence"
    assert metric.help[0].isupper() or metric.help[0].isdigit()
    assert "\n" not in metric.help
    assert "|" not in metric.help, "it stands in a table"
    assert not WORDS.search(metric.help), "a word that the glossary does without"
    assert metric.cardinality
    assert set(metric.labels) <= set(LABELS), "a label that nobody has explained"
    assert len(metric.labels) - metric.labels.count("simulated") <= 5
    assert len(set(metric.labels)) == len(metric.labels)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_whatever_is_told_of_a_machine_says_whether_it_is_made_up(metric: Metric) -> None:
    if {"device", "agent", "class"} & set(metric.labels):
        assert metric.labels[-1] == "simulated"


def test_no_label_can_hold_a_person() -> None:
    people = {
        "user",
        "login",
        "owner",
        "person",
        "session",
        "command",
        "cmdline",
        "window",
        "title",
        "user_id",
        "email",
    }
    assert not people & set(LABELS)
    assert set(LABELS) == {label for m in METRICS for label in m.labels}, "a label that no metric has any more"


def test_families_do_not_run_into_each_other() -> None:
    """In OpenMetrics a family `x` may not stand beside a family `x_total`: their samples would clash."""
    families = [m.family for m in METRICS]
    assert len(set(families)) == len(families)
    suffixes = ("_total", "_info", "_bucket", "_count", "_sum", "_created")
    assert not {f + s for f in families for s in suffixes} & set(families)
