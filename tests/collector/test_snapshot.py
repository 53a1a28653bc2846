"""What readers see: committed totals that stay, devices that go, and nobody's own figures."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.collector.sending import LOAD, NOTHING_KNOWN, NOW, PLUG, RAPL, SECOND, Bench, Sender
from thinwatt_agent.wire import OFFSET_KNOWN, Column, Group, Schema
from thinwatt_collector.catalogue import CATALOGUE
from thinwatt_collector.labels import Ints, Totals
from thinwatt_collector.serve.exposition import render
from thinwatt_collector.snapshot import AGGREGATES, K_ANONYMITY, PER_DEVICE, PerDevice, Rules, Snapshots

OWN = Schema(
    (
        Group(
            ("",),
            (
                *PLUG.groups[0].columns,
                Column("agent", "cpu", "counter", "s"),
                Column("agent", "rss", "gauge", "B"),
                Column("agent", "spool_rows", "gauge", "1"),
            ),
        ),
    )
)
ON_HOST = (
    Column("libvirt", "memory_capacity", "counter", "B s"),
    *(
        Column("libvirt", quantity, "counter", unit, consumer=f"tp/{n}")
        for n in range(K_ANONYMITY)
        for quantity, unit in (("cpu", "s"), ("covered", "s"), ("present", "s"), ("memory", "B s"))
    ),
)
"""Of the desktops on a host what attribution needs to know."""
READS = (
    *(Column("rapl", quantity, "counter", "1") for quantity in ("wraps", "restarts", "failures", "gaps")),
    Column("agent", "read_seconds", "counter", "s", "rapl"),
    Column("agent", "read_failures", "counter", "1", "rapl"),
    Column("agent", "lost_resolution", "counter", "s"),
)
STALE = 300.0
Shown = dict[str, dict[tuple[str, ...], float]]


class Page:
    """/metrics as Prometheus reads it: by name and by the labels' values, those of real machines unmarked."""

    def __init__(self, bench: Bench, per_device: PerDevice = "hosts") -> None:
        self.bench = bench
        self.snapshots = Snapshots(Rules(per_device, STALE))

    def read(self, after: float = 0.0) -> Shown:
        step = self.bench.step
        now = self.bench.now + round(after * SECOND)
        families = self.snapshots.of(step.fleet, step.tallies.skew, step.tallies.conflicts.now(), now)
        names = [f.metric.name for f in families]
        assert len(set(names)) == len(names)
        assert set(names) <= set(CATALOGUE)
        text = render(families, openmetrics=False).decode()
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
        shown: Shown = {}
        for s in samples:
            labels = {k: v for k, v in s.labels.items() if (k, v) != ("simulated", "false")}
            rows = shown.setdefault(s.name.removeprefix("thinwatt_"), {})
            key = tuple(labels[k] for k in sorted(labels))
            assert key not in rows
            rows[key] = s.value
        return shown


def minute(s: Sender, n: int = 0, watts: float = 50.0) -> bytes:
    rest = [0.0] * (s.schema.width - 2)
    return s.frame(6 * n, [(t, 10.0 * t, [watts * 10 * t, 10.0 * t, *rest]) for t in range(6 * n + 1, 6 * n + 7)])


def machines(bench: Bench, kind: str, count: int, **more: object) -> list[Sender]:
    senders = [Sender(f"{kind}-{n}") for n in range(count)]
    bench.now = NOW + 60 * SECOND
    for s in senders:
        bench.hello(s, {"class": kind, **more})
        assert bench.book(s, minute(s)) == 6
    return senders


def test_a_host_is_shown_by_itself_and_in_its_class() -> None:
    bench = Bench()
    machines(bench, "host", 1)
    shown = Page(bench).read(after=5.0)
    assert shown["energy_joules_total"] == {("measured", "host"): 3000.0}
    assert shown["covered_seconds_total"] == {("host",): 60.0}
    assert shown["device_energy_joules_total"] == {("measured", "host", "host-0"): 3000.0}
    assert shown["source_energy_joules_total"] == {("measured", "host-0", "", "wall", "plug"): 3000.0}
    assert shown["device_power_watts"] == {("measured", "host", "host-0"): 50.0}
    assert shown["device_last_row_age_seconds"] == {("host-0",): 5.0}
    assert shown["power_watts"] == {("host",): 50.0}
    assert shown["power_uncertainty_watts"] == {("host",): 1.0}  # 2 % of a wall meter (sending.HOST)
    assert shown["devices"] == {("host",): 1.0}


def test_endpoints_are_shown_in_groups_of_five_and_never_one_by_one() -> None:
    bench = Bench()
    machines(bench, "desktop", K_ANONYMITY - 1)
    shown = Page(bench).read()
    assert not any("desktop" in text for rows in shown.values() for key in rows for text in key if "-" not in text)
    assert "device_power_watts" not in shown
    machines(bench, "laptop", K_ANONYMITY)
    shown = Page(bench).read()
    assert shown["energy_joules_total"] == {("measured", "laptop"): 3000.0 * K_ANONYMITY}
    assert shown["devices"] == {("laptop",): K_ANONYMITY}
    assert shown["power_uncertainty_watts"] == {("laptop",): 1.0 * K_ANONYMITY}  # common to them: it adds up
    assert "device_energy_joules_total" not in shown
    assert len(Page(bench, "all").read()["device_energy_joules_total"]) == 2 * K_ANONYMITY - 1
    bench, _ = Bench(), machines(bench, "host", 1)
    assert "device_energy_joules_total" not in Page(bench, "none").read()


def test_a_departed_device_goes_and_what_it_used_stays() -> None:
    bench = Bench()
    machines(bench, "host", 2)
    page = Page(bench)
    before = page.read(after=STALE)
    after = page.read(after=STALE + 1)
    assert len(before["device_energy_joules_total"]) == 2
    assert not {name for name in after if name.startswith("device_")}
    assert "devices" not in after
    assert "power_watts" not in after
    assert after["energy_joules_total"] == before["energy_joules_total"] == {("measured", "host"): 6000.0}


def test_after_a_restart_totals_are_shown_at_once_and_devices_when_they_are_heard() -> None:
    bench = Bench()
    (s,) = machines(bench, "host", 1)
    later = Sender(s.name, base=90.0)
    bench.book(later, later.frame(0, [(1, 100.0, [500.0, 10.0])]))
    before = Page(bench).read()
    assert before["device_gap_seconds_total"] == {("host-0",): 30.0}
    bench.restart()
    shown = Page(bench).read()
    assert shown["energy_joules_total"] == before["energy_joules_total"]
    assert "device_energy_joules_total" not in shown
    bench.book(later, later.frame(1, [(2, 110.0, [1000.0, 20.0])]))
    shown = Page(bench).read()
    assert shown["device_energy_joules_total"] == {("measured", "host", "host-0"): 4000.0}
    assert shown["device_gap_seconds_total"] == {("host-0",): 30.0}


def test_a_late_backlog_adds_to_totals_and_is_no_power_of_now() -> None:
    bench = Bench()
    s = Sender("host-0")
    bench.hello(s)
    bench.now = NOW + 86_400 * SECOND
    bench.book(s, minute(s))
    shown = Page(bench).read()
    assert shown["energy_joules_total"] == {("measured", "host"): 3000.0}
    assert "device_power_watts" not in shown
    assert shown["device_last_row_age_seconds"] == {("host-0",): 86_340.0}


def test_a_device_without_any_estimate_has_gaps_and_no_power() -> None:
    bench = Bench(model=NOTHING_KNOWN)
    s = Sender("host-0", schema=Schema((Group(("",), (*RAPL, *LOAD)),)))
    bench.hello(s)
    bench.now = NOW + 10 * SECOND
    bench.book(s, s.frame(0, [(1, 10.0, [500.0, 10.0, 4.0, 40.0, 10.0])]))
    shown = Page(bench).read()
    assert shown["gap_seconds_total"] == {("host",): 10.0}
    assert shown["source_energy_joules_total"] == {("modelled", "host-0", "package-0", "component", "rapl"): 500.0}
    assert "device_power_watts" not in shown
    assert "energy_joules_total" not in shown


def on_host(seconds: float) -> list[float]:
    return [64e9 * seconds, *[0.1 * seconds, seconds, seconds, 8e9 * seconds] * K_ANONYMITY]


def test_made_up_machines_are_marked_wherever_they_show() -> None:
    """One label that is missing, and a made-up machine stands among the real ones."""
    bench = Bench()
    schema = Schema((Group(("",), (*OWN.groups[0].columns, *LOAD, *ON_HOST, *READS)),))
    nothing = [0.0] * len(READS)
    s = Sender("made-up", schema=schema, flags=2)
    bench.hello(s, {"class": "host", "simulated": True, "agent_version": "1.0"})
    bench.now = NOW + 10 * SECOND
    bench.book(s, s.frame(0, [(1, 10.0, [500.0, 8.0, 0.25, 2e7, 6.0, 4.0, 40.0, 8.0, *on_host(10.0), *nothing])]))
    later = Sender("made-up", schema=schema, base=30.0, flags=2)
    values = [500.0, 10.0, 0.25, 2e7, 6.0, 4.0, 40.0, 10.0, *on_host(10.0), *nothing]
    bench.book(later, later.frame(0, [(1, 40.0, values)], at=10.0))
    shown = Page(bench).read()
    fleet = {name.removeprefix("thinwatt_") for name, metric in CATALOGUE.items() if metric.labels and not metric.own}
    assert set(shown) == fleet
    assert {name for name, rows in shown.items() if not all("true" in key for key in rows)} == set()


def test_an_agent_whose_hello_has_not_come_yet_is_marked_as_the_ledger_knows_it() -> None:
    bench = Bench()
    (s,) = machines(bench, "host", 1, simulated=True)
    gateway = Sender("gw", schema=Schema((Group(("rack",), PLUG.groups[0].columns),)))
    bench.hello(gateway, {"simulated": True, "devices": {"rack": {"class": "host"}}})
    bench.book(gateway, minute(gateway))
    bench.restart()
    bench.book(s, minute(s, 1))
    bench.book(gateway, minute(gateway, 1))
    shown = Page(bench).read()
    assert shown["agent_identity_conflict"] == {("gw", "true"): 0.0, ("host-0", "true"): 0.0}
    assert set(shown["device_covered_seconds_total"]) == {("gw/rack", "true"), ("host-0", "true")}


ALL = Schema((Group(("",), (*PLUG.groups[0].columns, *RAPL, *LOAD, *ON_HOST)),))
COUNTERS = {name.removeprefix("thinwatt_") for name in (*AGGREGATES.values(), *PER_DEVICE.values())}


def test_every_counter_of_a_machine_stands_at_zero_from_its_first_words_on() -> None:
    bench, s = Bench(), Sender("host-0", schema=ALL)
    page = Page(bench)
    bench.hello(s)
    bench.commit()
    before = page.read()
    assert set(before) == COUNTERS, "and nothing else is known of it"
    assert {value for rows in before.values() for value in rows.values()} == {0.0}
    assert len(before["device_energy_joules_total"]) == len(before["energy_joules_total"]) == 3
    bench.now += 120 * SECOND
    bench.book(s, s.frame(0, [(1, 10.0, [500.0, 10.0, 400.0, 10.0, 1.0, 40.0, 10.0, *on_host(10.0)])]))
    bench.book(s, s.frame(1, [(2, 20.0, [500.0, 10.0, 800.0, 20.0, 2.0, 80.0, 20.0, *on_host(20.0)])]))
    bench.book(s, s.frame(2, [(9, 90.0, [500.0, 10.0, 800.0, 20.0, 9.0, 360.0, 50.0, *on_host(90.0)])]))
    after = page.read()
    for name in COUNTERS:
        assert after[name].keys() == before[name].keys(), name
        assert min(after[name].values()) > 0 or name == "shared_energy_joules_total", name
    assert sum(after["shared_energy_joules_total"].values()) == sum(after["device_energy_joules_total"].values())


def test_only_what_can_ever_rise_stands_at_zero() -> None:
    bench = Bench(model=NOTHING_KNOWN)
    bench.hello(Sender("host-0", schema=Schema((Group(("",), (*RAPL, *LOAD)),))))
    bench.commit()
    shown = Page(bench).read()
    assert set(shown) == {"gap_seconds_total", "device_gap_seconds_total", "source_energy_joules_total"}
    bench = Bench()
    bench.hello(Sender("host-0", schema=Schema((Group(("",), LOAD),))))
    bench.commit()
    assert list(Page(bench).read()["device_energy_joules_total"]) == [("assumed", "host", "host-0")]


def test_who_said_what_it_is_and_sends_nothing_departs_as_well() -> None:
    bench = Bench()
    bench.hello(Sender("host-0"))
    bench.commit()
    page = Page(bench)
    assert page.read(after=STALE)["device_gap_seconds_total"] == {("host-0",): 0.0}
    assert "device_gap_seconds_total" not in page.read(after=STALE + 1)


def test_a_thousand_machines_that_say_the_same_are_learnt_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One at a time, each would sort the labels of all before it."""
    learnt, of_old = [], Totals._learn

    def learn(totals: Totals, fresh: Ints) -> None:
        learnt.append(len(fresh))
        of_old(totals, fresh)

    monkeypatch.setattr(Totals, "_learn", learn)
    bench = Bench()
    for n in range(1000):
        bench.hello(Sender(f"host-{n}"))
    bench.commit()
    assert len(learnt) == 1


def test_agents_say_what_they_cost_and_how_their_clock_stands() -> None:
    bench, s = Bench(), Sender("a", schema=OWN, flags=2, offset=NOW + 3 * SECOND)
    bench.hello(s, {"class": "host", "agent_version": '1.0 "x"\n\ud7ff'})
    bench.now = NOW + 10 * SECOND
    bench.book(s, s.frame(0, [(1, 10.0, [500.0, 10.0, 0.25, 2e7, 6.0])], at=10.0))
    shown = Page(bench).read()
    assert shown["agent_clock_skew_seconds"] == {("a",): -3.0}
    assert shown["agent_identity_conflict"] == {("a",): 0.0}
    assert shown["agent_cpu_seconds_total"] == {("a",): 0.25}
    assert shown["agent_rss_bytes"] == {("a",): 2e7}
    assert shown["agent_spool_rows"] == {("a",): 6.0}
    assert list(shown["agent_info"].values()) == [1.0]


def test_a_source_that_fails_and_a_clock_that_is_a_guess_are_series_of_their_own() -> None:
    schema = Schema((Group(("",), (*PLUG.groups[0].columns, *READS)),))
    bench = Bench()
    bench.now = NOW + 60 * SECOND
    for name, flags in (("a", OFFSET_KNOWN), ("b", 0)):
        s = Sender(name, schema=schema, flags=flags)
        bench.hello(s, {"class": "host"})
        bench.book(s, s.frame(0, [(6, 60.0, [3000.0, 60.0, 1.0, 2.0, 3.0, 4.0, 0.5, 7.0, 30.0])]))
    shown = Page(bench).read()
    assert shown["agent_read_failures_total"] == {("a", "rapl"): 7.0, ("b", "rapl"): 7.0}
    assert shown["agent_read_seconds_total"]["a", "rapl"] == 0.5
    events = {key[1]: value for key, value in shown["agent_reading_events_total"].items() if key[0] == "a"}
    assert events == {"wrap": 1.0, "restart": 2.0, "failed": 3.0, "gap": 4.0}
    assert shown["agent_lost_resolution_seconds_total"]["a",] == 30.0
    assert shown["agent_time_uncertain"] == {("a",): 0.0, ("b",): 1.0}


def test_a_snapshot_does_not_change_when_the_fleet_does() -> None:
    bench = Bench()
    (s,) = machines(bench, "host", 1)
    step = bench.step
    families = Snapshots(Rules("hosts", STALE)).of(step.fleet, step.tallies.skew, [], bench.now)
    before = render(families, openmetrics=True)
    bench.book(s, minute(s, 1, watts=80.0))
    machines(bench, "server", 3)
    bench.hello(s, {"class": "desktop"})
    assert render(families, openmetrics=True) == before


def test_a_class_that_changes_moves_the_device_to_its_new_series() -> None:
    bench = Bench()
    (s,) = machines(bench, "host", 1)
    page = Page(bench, "all")
    page.read()
    bench.hello(s, {"class": "server"})
    bench.book(s, minute(s, 1))
    shown = page.read()
    assert shown["device_energy_joules_total"] == {("measured", "server", "host-0"): 3000.0}
    assert shown["energy_joules_total"] == {("measured", "host"): 3000.0, ("measured", "server"): 3000.0}
