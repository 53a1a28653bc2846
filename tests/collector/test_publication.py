"""Law 7 under attack: what is published of endpoints, however subtracted, is never of fewer than five of them.

Power of each device is a number that no sum of others makes (a power of two), so a difference tells who is in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as property_settings
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from tests.collector.sending import GRAMS_PER_JOULE, HOST, LOAD, NOTHING_KNOWN, PLUG, RAPL, SECOND, Bench, Sender, pair
from thinwatt_agent.wire import Group, Schema
from thinwatt_collector.publication import STALLED, Publication
from thinwatt_collector.serve.exposition import render
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
    memory: Path | None = None

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.bench.restart()
        rules = Rules(self.per_device, STALE)
        self.snapshots, self.publication = Snapshots(rules), Publication(rules, self.memory)
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

    def text(self, in_openmetrics: bool = False) -> str:
        step = self.bench.step
        now = self.bench.now
        found = self.snapshots.of(step.fleet, step.tallies.skew, step.tallies.conflicts.now(now), now)
        text = render(self.publication.of(found, step.fleet), in_openmetrics).decode()
        return text + "# EOF\n" * in_openmetrics

    def read(self) -> Page:
        samples = [s for family in plain(self.text()) for s in family.samples]
        page = {
            (s.name.removeprefix("thinwatt_"), *(v for k, v in sorted(s.labels.items()) if k != "simulated")): s.value
            for s in samples
        }
        self.pages.append(page)
        return page

    def booked(self) -> dict[tuple[str, str], float]:
        return self.bench.totals()


ENERGY = ("energy_joules_total", "measured", "desktop")
CARBON = ("carbon_grams_total", "desktop", "record")
COVERED = ("covered_seconds_total", "desktop")
GAP = ("gap_seconds_total", "desktop")
POWER = ("power_watts", "desktop")


def test_the_present_count_and_not_those_once_known() -> None:
    site = Site()
    for _ in range(2):
        for n in range(K_ANONYMITY):
            site.book(f"pc-{n}")
        assert ENERGY in site.commit()
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
    assert page[ENERGY] == 31 * 60.0
    assert page[COVERED] == 300.0
    assert page[POWER] == 31.0
    assert page["devices", "desktop"] == K_ANONYMITY


def cells_of(joules: float) -> list[int]:
    """The minutes, by number, that add up to this energy."""
    left = round(joules / 60)
    return [n for n in range(left.bit_length()) if left >> n & 1]


def isolated(pages: list[Page], device_of: list[int]) -> tuple[int, ...] | None:
    """Return at most four devices whose energy alone follows from all pages by adding and subtracting, if there are.

    Each figure of each page is a row over all minutes booked. A sum of rows that is zero but for some devices exists
    just when leaving those devices' columns out lowers the rank.
    """
    found = set()
    for page in pages:
        for key, amount in page.items():
            if key[0] == "energy_joules_total":
                found.add(tuple(cells_of(amount)))
            elif key[0] == "carbon_grams_total":
                found.add(tuple(cells_of(amount / GRAMS_PER_JOULE)))
    figures = np.zeros((len(found), len(device_of)))
    for row, cells in enumerate(found):
        figures[row, list(cells)] = 1
    whose = np.array(device_of)
    rank = np.linalg.matrix_rank(figures) if figures.size else 0
    for few in combinations(sorted(set(device_of)), K_ANONYMITY - 1):
        others = figures[:, ~np.isin(whose, few)]
        if rank > (np.linalg.matrix_rank(others) if others.size else 0):
            return few
    return None


class Ladder:
    """Devices that book minutes of 2⁰, 2¹, 2² … watts, so that every figure says whose minutes are in it."""

    def __init__(self, memory: Path | None = None) -> None:
        self.site = Site(memory=memory)
        self.device_of: list[int] = []

    def book(self, *devices: int, basis: str) -> None:
        for device in devices:
            self.site.book(f"pc-{device}", 2.0 ** len(self.device_of), basis)
            self.device_of.append(device)

    def commit(self) -> Page:
        page = self.site.commit()
        assert isolated(self.site.pages, self.device_of) is None
        return page


MINUTES = 40
COMMITS = st.lists(
    st.lists(st.tuples(st.integers(0, 8), st.booleans()), unique_by=lambda d: d[0], max_size=9), max_size=8
)


@property_settings(max_examples=150)
@given(COMMITS, st.sets(st.integers(0, 8), max_size=5), st.sets(st.integers(1, 7), max_size=2), st.booleans())
def test_nothing_that_can_be_added_and_subtracted_is_of_fewer_than_five(
    commits: list[list[tuple[int, bool]]], metered: set[int], restarts: set[int], forgets: bool
) -> None:
    """Successive scrapes, complements, bases, restarts: each booked minute is a power of two, so none can hide."""
    with TemporaryDirectory() as folder:
        ladder = Ladder(None if forgets else Path(folder) / "published.json")
        for number, devices in enumerate(commits):
            if number in restarts:
                ladder.site.restart()
            for device, other in devices:
                if len(ladder.device_of) < MINUTES:
                    ladder.book(device, basis="measured" if (device in metered) != other else "modelled")
            ladder.site.commit()
        assert isolated(ladder.site.pages, ladder.device_of) is None


@given(COMMITS, st.sets(st.integers(0, 8), max_size=9))
def test_what_is_published_never_falls_and_never_exceeds_what_is_booked(
    commits: list[list[tuple[int, bool]]], metered: set[int]
) -> None:
    site = Site()
    for devices in commits:
        before = site.pages[-1]
        for device, again in devices:
            for _ in range(1 + again):
                site.book(f"pc-{device}", basis="measured" if device in metered else "modelled")
        page = site.commit()
        booked = site.bench.totals()
        for basis in ("measured", "modelled"):
            key = ("energy_joules_total", basis, "desktop")
            assert page.get(key, 0.0) <= booked.get(("ENERGY", f"{basis}, desktop"), 0.0)
        assert all(page[key] >= before[key] for key in before if key[0].endswith("_total") and key in page)
        if len(devices) >= K_ANONYMITY:
            assert page[COVERED] == booked["COVERED", "desktop"]


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
    assert page[ENERGY] == site.bench.totals()["ENERGY", "measured, desktop"]


def test_the_power_and_the_number_of_a_class_do_not_tell_who_came_or_went() -> None:
    site = Site()
    before = everyone(site, 6)
    site.book("pc-6", watts=64.0)
    page = site.commit()
    assert (page[POWER], page["devices", "desktop"]) == (before[POWER], 6)
    page = everyone(site, 6)
    assert (page[POWER], page["devices", "desktop"]) == (70.0, 7)


def test_a_basis_of_few_holds_the_split_back_and_nothing_else() -> None:
    site = Site()
    for n in range(9):
        site.book(f"pc-{n}", basis="measured" if n < 2 else "modelled")
    page = site.commit()
    assert not [key for key in page if key[0] == "energy_joules_total"]
    assert page[CARBON] == pytest.approx(9 * 60 * GRAMS_PER_JOULE)
    assert page[COVERED] == 540.0


def test_energy_waits_for_a_round_in_which_every_basis_has_its_five() -> None:
    """Carbon is of all bases: minus the energy of one it would be that of the few of the other."""
    ladder = Ladder()
    ladder.book(*range(5), basis="measured")
    ladder.book(*range(5, 10), basis="modelled")
    first = ladder.commit()
    ladder.book(*range(5), basis="measured")
    ladder.book(5, basis="modelled")
    second = ladder.commit()
    ladder.book(*range(5), basis="measured")
    third = ladder.commit()
    assert first[ENERGY] == second[ENERGY] == third[ENERGY]
    assert first[CARBON] < second[CARBON] < third[CARBON]
    ladder.book(*range(5), basis="measured")
    ladder.book(*range(5, 10), basis="modelled")
    last = ladder.commit()
    assert last[CARBON] / GRAMS_PER_JOULE == pytest.approx(
        sum(amount for key, amount in last.items() if key[0] == "energy_joules_total")
    )


def test_after_a_restart_the_few_of_a_basis_are_still_few() -> None:
    ladder = Ladder()
    ladder.book(0, 1, basis="measured")
    ladder.book(*range(2, 8), basis="modelled")
    assert CARBON in ladder.commit()
    ladder.site.wait(STALE + 1)
    ladder.site.restart()
    ladder.book(*range(2, 8), basis="modelled")
    page = ladder.commit()
    assert CARBON in page
    assert not [key for key in page if key[0] == "energy_joules_total"]


def test_a_restart_goes_on_where_it_was_even_if_a_basis_has_died_out(tmp_path: Path) -> None:
    ladder = Ladder(tmp_path / "published.json")
    ladder.book(*range(5), basis="measured")
    ladder.book(*range(5, 10), basis="modelled")
    before = ladder.commit()
    ladder.site.wait(STALE + 1)
    ladder.site.restart()
    ladder.book(*range(5, 10), basis="modelled")
    page = ladder.commit()
    assert page[ENERGY] == before[ENERGY]
    assert page["energy_joules_total", "modelled", "desktop"] > before["energy_joules_total", "modelled", "desktop"]


def test_a_memory_that_nobody_can_read_makes_careful(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "published.json").write_text("[]")
    site = Site(memory=tmp_path / "published.json")
    assert "published.json" in caplog.text
    assert everyone(site)[ENERGY] == 300.0


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


def test_readers_are_told_why_energy_is_held_back() -> None:
    site = Site()
    for _ in range(STALLED):
        for n in range(6):
            site.book(f"pc-{n}", basis="measured" if n < 1 else "modelled")
        site.commit()
    assert "bases" in site.publication.said[0]


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
    assert everyone(site)[GAP] == 0.0


def test_a_class_of_endpoints_stands_at_zero_before_its_first_round() -> None:
    """Nothing is nobody's; what the first round shows is then an increase."""
    site = Site()
    senders = [Sender(f"pc-{n}", schema=PLUG, offset=site.bench.now) for n in range(K_ANONYMITY)]
    for s in senders[:-1]:
        site.bench.hello(s, {"class": "desktop"})
    assert not {ENERGY, CARBON, COVERED, GAP} & site.commit().keys()
    site.bench.hello(senders[-1], {"class": "desktop"})
    nothing = dict.fromkeys((ENERGY, CARBON, COVERED, GAP), 0.0)
    assert site.commit() == nothing
    for s in senders[:-1]:
        site.bench.give(s, s.frame(0, [(1, 60.0, [60.0, 60.0])]))
    four = site.commit()
    assert {four.get(key, 0.0) for key in nothing} == {0.0}
    site.bench.give(senders[-1], senders[-1].frame(0, [(1, 60.0, [60.0, 60.0])]))
    page = site.commit()
    assert (page[ENERGY], page[COVERED], page[GAP]) == (60.0 * K_ANONYMITY, 60.0 * K_ANONYMITY, 0.0)


def test_after_a_restart_nothing_is_shown_as_zero_that_is_none() -> None:
    site = Site()
    everyone(site)
    assert site.pages[-1][CARBON] > 0
    site.restart()
    for n in range(K_ANONYMITY):
        site.bench.hello(site.senders[f"pc-{n}"], {"class": "desktop"})
    page = site.commit()
    assert not {CARBON, COVERED} & page.keys()
    assert page.get(GAP, 0.0) == 0.0


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
    assert not {ENERGY, CARBON, COVERED, POWER} & page.keys()


def test_help_names_nobody() -> None:
    site = Site(per_device="all")
    everyone(site)
    assert not [line for line in site.text().splitlines() if line.startswith("#") and "pc-" in line]
