"""The collector's own series are those of the catalogue, under the same help."""

from __future__ import annotations

from tests.collector.calibrated.test_calibrations import LOAD
from thinwatt_collector.calibrated import Calibrations
from thinwatt_collector.catalogue import CATALOGUE
from thinwatt_collector.self_metrics import Gauges, registry
from thinwatt_collector.tallies import Tallies


def test_the_registry_and_the_catalogue_tell_the_same() -> None:
    found, _ = registry(Tallies(), {"not_allowed": 1}, Gauges(calibrations=lambda: Calibrations([LOAD])))
    told = {metric.family: metric for metric in CATALOGUE.values() if metric.own}
    families = {f.name: f for f in found.collect() if not f.name.startswith("thinwatt_collector_process_")}
    assert families.keys() == told.keys()
    for name, family in families.items():
        metric = told[name]
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        assert labels == set(metric.labels)


def test_own_and_fleet_families_do_not_meet() -> None:
    found, _ = registry(Tallies(), {}, Gauges())
    fleet = {name for metric in CATALOGUE.values() if not metric.own for name in (metric.name, metric.family)}
    assert not fleet & {name for f in found.collect() for name in (f.name, *(s.name for s in f.samples))}
