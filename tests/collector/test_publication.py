"""Law 7 on /metrics: counters of endpoints are those of the API (whose tests attack them), gauges move by five."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

import hypothesis.strategies as st
import numpy as np
from hypothesis import given
from hypothesis import settings as property_settings
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from tests.collector.sending import HOST, LOAD, NOTHING_KNOWN, PLUG, RAPL, SECOND, Bench, Sender, pair
from thinwatt_agent.wire import Group, Schema
from thinwatt_collector.publication import Counters, Publication
from thinwatt_collector.serve.api import answers
from thinwatt_collector.serve.api.published import Counter
from thinwatt_collector.serve.api.shown import of_classes
from thinwatt_collector.serve.exposition import Family, render
from thinwatt_collector.snapshot import K_ANONYMITY, PerDevice, Rules, Snapshots

STALE = 300.0
BASES = {"measured": PLUG, "modelled": Schema((Group(("",), RAPL),)), "assumed": Schema((Group(("",), LOAD),))}
PLAIN = replace(HOST, base=0.0, efficiency=1.0)
"""Components are the whole machine, so that modelled joules are whole numbers as well."""
Page = dict[tuple[str, ...], float]


@dataclass
class Site:
    """A collector whose readers write down every page; endpoints that book when they are told to."""

    per_device: PerDevice = "hosts"
    bench: Bench = field(default_factory=lambda: Bench(model=PLAIN))
    senders: dict[str, Sender] = field(default_factory=dict)
    at: dict[str, tuple[int, float]] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    pages: list[Page] = field(default_factory=list)
    counted: Counters | None = None

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.bench.restart()
        rules = Rules(self.per_device, STALE)
        self.snapshots, self.publication = Snapshots(rules), Publication(rules, lambda: self.counted, "record")
        self.read()

    def wait(self, seconds: float) -> None:
        self.bench.now += round(seconds * SECOND)

    def book(self, name: str, watts: float = 1.0, basis: str = "measured", kind: str = "desktop") -> None:
        """Have a device send a minute at so many watts; a load model adds what its curve says."""
        s = self.senders.get(name)
        if s is None:
            s = self.senders[name] = Sender(name, schema=BASES[basis], offset=self.bench.now)
        if self.told.get(name) != kind:
            self.bench.hello(s, {"class": kind})
            self.told[name] = kind
        n, joules = self.at.get(name, (0, 0.0))
        self.at[name] = n + 1, joules + 60 * watts
        t = 60.0 * (n + 1)
        counted = [joules + 60 * watts, t] if basis != "assumed" else [0.0, t, t]
        self.bench.give(s, s.frame(n, [(n + 1, t, counted)]))

    def commit(self) -> Page:
        self.wait(10)
        self.bench.commit()
        return self.read()

    def families(self) -> list[Family]:
        step = self.bench.step
        now = self.bench.now
        found = self.snapshots.of(step.fleet, step.tallies.skew, step.tallies.conflicts.now(now), now)
        return self.publication.of(found, step.fleet)

    def text(self, in_openmetrics: bool = False) -> str:
        text = render(self.families(), in_openmetrics).decode()
        return text + "# EOF\n" * in_openmetrics

    def fleet(self) -> tuple[float | None, int | None]:
        """Return the power and the number of desktops that the API tells everybody."""
        rows = answers.fleet(of_classes(self.families()))
        return next(((row["watts"], row["devices"]) for row in rows if row["class"] == "desktop"), (None, None))

    def read(self) -> Page:
        samples = [s for family in plain(self.text()) for s in family.samples]
        page = {
            (s.name.removeprefix("thinwatt_"), *(v for k, v in sorted(s.labels.items()) if k != "simulated")): s.value
            for s in samples
        }
        self.pages.append(page)
        return page


ENERGY = ("energy_joules_total", "measured", "desktop")
MIXED = ("energy_joules_total", "mixed", "desktop")
CARBON = ("carbon_grams_total", "desktop", "record")
COVERED = ("covered_seconds_total", "desktop")
GAP = ("gap_seconds_total", "desktop")
POWER = ("power_watts", "desktop")


def test_the_present_count_and_not_those_once_known() -> None:
    site = Site()
    for _ in range(2):
        for n in range(K_ANONYMITY):
            site.book(f"pc-{n}")
        assert POWER in site.commit()
    site.wait(STALE + 1)
    site.book("pc-0")
    assert not [key for key in site.commit() if "desktop" in key]


def test_five_that_come_one_after_the_other_show_nothing_before_the_fifth() -> None:
    site = Site()
    for n in range(K_ANONYMITY - 1):
        site.book(f"pc-{n}", watts=2.0**n)
        assert not [key for key in site.commit() if "desktop" in key]
    site.book("pc-4", watts=16.0)
    page = site.commit()
    assert page[POWER] == 31.0
    assert page["devices", "desktop"] == K_ANONYMITY


COUNTED = {
    ("desktop", "false"): Counter({"measured": 600.0, "mixed": 40.0}, 7.0, 300.0, 20.0),
    ("virtual_machine", "false"): Counter({}, 0.0, 60.0, 0.0),
}
COMMITS = st.lists(st.sets(st.integers(0, 8), max_size=9), max_size=8)


@given(COMMITS, st.sets(st.integers(0, 8), max_size=5), st.booleans())
def test_counters_of_endpoints_are_those_that_the_api_has_for_everybody_whatever_is_booked(
    commits: list[set[int]], metered: set[int], known: bool
) -> None:
    site = Site(counted=COUNTED if known else None)
    site.read()
    for devices in commits:
        for device in sorted(devices):
            site.book(f"pc-{device}", basis="measured" if device in metered else "modelled")
        site.commit()
    counters = [
        {k: v for k, v in page.items() if k[0].endswith("_total") and "desktop" in k and v} for page in site.pages[1:]
    ]
    expected = {ENERGY: 600.0, MIXED: 40.0, CARBON: 7.0, COVERED: 300.0, GAP: 20.0} if known else {}
    assert all(page == expected for page in counters)


@property_settings(max_examples=150)
@given(COMMITS, st.sets(st.integers(1, 7), max_size=2))
def test_power_and_number_move_by_what_five_did(commits: list[set[int]], restarts: set[int]) -> None:
    """Each minute has a power of its own, so the power of a class tells whose last minutes are in it."""
    site = Site()
    watts: dict[int, float] = {}
    shown: dict[int, float] | None = None
    since: set[int] = set()
    for number, devices in enumerate(commits):
        if number in restarts:
            site.restart()
            watts, shown, since = {}, None, set()
        for device in sorted(devices):
            watts[device] = 1.0 + 16.0 * number + device / 16
            site.book(f"pc-{device}", watts[device])
        since |= devices
        page = site.commit()
        if len(since) >= K_ANONYMITY:
            shown, since = dict(watts), set()
        if shown is None or POWER not in page:
            assert POWER not in page
        else:
            assert page[POWER] == sum(shown.values())
            assert page["devices", "desktop"] == len(shown)


@property_settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sets(st.integers(0, 7), max_size=8), st.sampled_from([0, 0, 0, 1])), max_size=8),
    st.sets(st.integers(1, 7), max_size=2),
)
def test_no_combination_of_powers_is_of_four_devices(commits: list[tuple[set[int], int]], restarts: set[int]) -> None:
    """An attacker reads `/metrics` and `/fleet` after every commit; PCs come, go, fall silent; the collector restarts.

    Each power that a device ever said is an unknown of its own; each power of the class that is shown, one equation.
    Adding and subtracting them, with any weights, leaves nothing that is of four devices.
    """
    site = Site()
    said: dict[tuple[int, float], int] = {}
    present: dict[int, float] = {}
    states: list[dict[int, float]] = []
    shown: set[tuple[tuple[int, float], ...]] = set()
    watts = np.random.default_rng(1).integers(1, 1 << 30, (8, 8))
    for number, (devices, silence) in enumerate(commits):
        if number in restarts:
            site.restart()
            present = {}
        if silence:
            site.wait(STALE + 1)
            for of in (site.senders, site.told, site.at, present):  # switched off, and later on again
                of.clear()
        for device in sorted(devices):
            present[device] = float(watts[number, device])
            said[device, present[device]] = len(said)
            site.book(f"pc-{device}", present[device])
        states.append(dict(present))
        page = site.commit()
        assert site.fleet() == (page.get(POWER), page.get(("devices", "desktop")))
        if POWER in page:
            many = [of for of in states if len(of) == round(page["devices", "desktop"])]
            (behind,) = {tuple(sorted(of.items())) for of in many if sum(of.values()) == page[POWER]}
            shown.add(behind)
    known = np.zeros((len(shown), len(said)))
    for row, powers in enumerate(sorted(shown)):
        known[row, [said[of] for of in powers]] = 1.0
    owner = np.array([device for device, _ in said])
    rank = np.linalg.matrix_rank(known) if known.size else 0
    for few in itertools.combinations(range(8), K_ANONYMITY - 1):
        assert not known.size or np.linalg.matrix_rank(known * ~np.isin(owner, few)) == rank


def everyone(site: Site, count: int = K_ANONYMITY, **of: str) -> Page:
    for n in range(count):
        site.book(f"pc-{n}", **of)  # type: ignore[arg-type] # basis and kind, both texts
    return site.commit()


def test_one_that_works_alone_moves_nothing_until_it_has_company() -> None:
    site = Site()
    before = everyone(site)
    for _ in range(4):
        site.book("pc-0", watts=500.0)
        page = site.commit()
        assert {k: v for k, v in page.items() if "desktop" in k} == {k: v for k, v in before.items() if "desktop" in k}
    page = everyone(site)
    assert page[POWER] == 5.0


def test_the_power_and_the_number_of_a_class_do_not_tell_who_came_or_went() -> None:
    site = Site()
    before = everyone(site, 6)
    site.book("pc-6", watts=64.0)
    page = site.commit()
    assert (page[POWER], page["devices", "desktop"]) == (before[POWER], 6)
    page = everyone(site, 6)
    assert (page[POWER], page["devices", "desktop"]) == (70.0, 7)


def test_four_of_a_class_are_not_shown_and_readers_are_told_why() -> None:
    site = Site()
    page = everyone(site, K_ANONYMITY - 1)
    assert not [key for key in page if "desktop" in key]
    (why,) = [line for line in site.publication.said if "desktop" in line]
    assert "fewer than 5" in why
    assert "4" not in why
    site.wait(STALE + 1)
    site.commit()
    assert site.publication.said == [why], "it must not tell when the last one is switched off"
    everyone(site)
    assert site.publication.said == []


def test_both_formats_tell_the_same() -> None:
    site = Site()
    everyone(site)
    site.book("pc-0", watts=500.0)
    site.commit()
    ours = {(s.name, *sorted(s.labels.items())): s.value for f in plain(site.text()) for s in f.samples}
    families = openmetrics(site.text(True))  # type: ignore[no-untyped-call] # prometheus-client has no types there
    theirs = {(s.name, *sorted(s.labels.items())): s.value for f in families for s in f.samples}
    assert ours == theirs
    assert "pc-" not in site.text()
    assert "pc-" not in site.text(True)


def test_hosts_and_the_technical_role_see_each_commit() -> None:
    site = Site()
    site.book("srv", kind="host")
    assert site.commit()["energy_joules_total", "measured", "host"] == 60.0
    technical = Site(per_device="all")
    technical.book("pc-0")
    assert technical.commit()[ENERGY] == 60.0


def test_a_gap_is_there_before_the_first_one() -> None:
    """Else `increase()` would not see it: a counter that appears has not risen."""
    site = Site()
    site.book("srv", kind="host")
    assert site.commit()["gap_seconds_total", "host"] == 0.0
    s = site.senders["srv"]
    site.bench.give(s, s.frame(1, [(2, 120.0, [60.0, 60.0])]))
    assert site.commit()["gap_seconds_total", "host"] == 60.0


def test_a_class_of_endpoints_stands_at_zero_before_anything_is_published_of_it() -> None:
    """Nothing is nobody's; what comes is then an increase."""
    site = Site(counted={})
    senders = [Sender(f"pc-{n}", schema=PLUG, offset=site.bench.now) for n in range(K_ANONYMITY)]
    for s in senders[:-1]:
        site.bench.hello(s, {"class": "desktop"})
    assert not {ENERGY, CARBON, COVERED, GAP} & site.commit().keys()
    site.bench.hello(senders[-1], {"class": "desktop"})
    page = site.commit()
    assert {page[key] for key in (ENERGY, MIXED, CARBON, COVERED, GAP)} == {0.0}
    site.counted = {("desktop", "false"): Counter({"measured": 60.0}, 1.0, 300.0, 0.0)}
    page = site.commit()
    assert (page[ENERGY], page[MIXED], page[COVERED], page[GAP]) == (60.0, 0.0, 300.0, 0.0)


def test_where_the_ledger_was_not_read_yet_nothing_is_shown_as_zero_that_is_none() -> None:
    site = Site(counted=None)
    for n in range(K_ANONYMITY):
        site.book(f"pc-{n}")
    assert not {ENERGY, CARBON, COVERED, GAP} & site.commit().keys()


def test_a_virtual_machine_has_neither_power_nor_gap_of_its_own() -> None:
    site = Site(per_device="all", bench=Bench(model=NOTHING_KNOWN))
    site.book("vm", basis="assumed", kind="virtual_machine")
    page = site.commit()
    of_it = {key[0] for key in page if "virtual_machine" in key or "vm" in key}
    assert page["devices", "virtual_machine"] == 1
    assert not of_it & {"energy_joules_total", "power_watts", "gap_seconds_total", "device_gap_seconds_total"}
    assert "hosts" in site.publication.said[0]


def test_the_desktops_among_virtual_machines_are_somebodys() -> None:
    site = Site()
    everyone(site, K_ANONYMITY - 1, kind="virtual_machine")
    assert not [key for key in site.pages[-1] if "virtual_machine" in key]


def test_an_agent_that_only_reports_for_a_few_endpoints_is_as_quiet_as_they_are() -> None:
    site = Site()
    few = Sender("gw", schema=Schema((Group(("one", "two"), pair("plug")),)), offset=site.bench.now)
    about = {"devices": {"one": {"class": "desktop"}, "two": {"class": "desktop"}}}
    site.bench.hello(few, about)
    site.bench.give(few, few.frame(0, [(1, 60.0, [60.0, 60.0, 60.0, 60.0])]))
    site.commit()
    assert "gw" not in site.text()
    racks = Sender("pdu", schema=Schema((Group(("one",), pair("plug")),)), offset=site.bench.now)
    site.bench.hello(racks, {"devices": {"one": {"class": "host"}}})
    site.bench.give(racks, racks.frame(0, [(1, 60.0, [60.0, 60.0])]))
    site.commit()
    assert 'agent="pdu"' in site.text()


def test_one_that_changes_its_class_brings_no_company_along() -> None:
    site = Site()
    for n in range(K_ANONYMITY - 1):
        site.book(f"pc-{n}")
    site.book("other", kind="laptop")
    site.commit()
    site.bench.hello(site.senders["other"], {"class": "desktop"})
    page = site.commit()
    assert not {ENERGY, CARBON, COVERED, POWER, ("devices", "desktop")} & page.keys()


def test_help_names_nobody() -> None:
    site = Site(per_device="all")
    everyone(site)
    assert not [line for line in site.text().splitlines() if line.startswith("#") and "pc-" in line]
