"""Law 7 against an attacker who may ask anything, combine every answer, and watch the ledger grow.

The energy of the n-th reading is 2**n J, so every sum that is shown says which readings are in it. What the attacker
can learn by adding and subtracting is the row space of these sets; no vector of it, save 0, may lie within the readings
of four devices.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given, settings
from numpy.typing import NDArray

from thinwatt_collector import snapshot
from thinwatt_collector.serve.api import calendar, privacy
from thinwatt_collector.serve.api.books import TooFineError
from thinwatt_collector.serve.api.calendar import Grain
from thinwatt_collector.serve.api.privacy import FINE, Cells, K, answer, cells, together
from thinwatt_collector.serve.api.published import OVER, SETTLED, Published
from thinwatt_collector.serve.api.rows import Rows, empty, texts

PARIS = ZoneInfo("Europe/Paris")
ZONES = (PARIS, ZoneInfo("UTC"), ZoneInfo("Asia/Kolkata"))
BEGIN = 1_700_002_800  # a midnight in Paris
DAY = 86_400
MOST = 50
"""Readings of a fleet: sums of so many powers of two are exact."""


@dataclass(frozen=True)
class Reading:
    device: int
    slot: int
    basis: str


@dataclass(frozen=True)
class Fleet:
    """Class and model of each device, and what was read of it, in slots since BEGIN."""

    kinds: tuple[tuple[str, str], ...]
    readings: tuple[Reading, ...]

    def fine(self, begin: int, end: int, grain: Grain = "slot", known: int | None = None) -> Rows:
        """Return what a ledger would answer, knowing the first ``known`` readings."""
        groups: dict[tuple[object, ...], tuple[float, set[int]]] = {}
        for n, r in enumerate(self.readings[:known]):
            at = BEGIN + r.slot * 900
            if begin <= at < end:
                key = (at, *self.kinds[r.device], r.basis, "false")
                joules, devices = groups.get(key, (0.0, set()))
                groups[key] = joules + 2.0**n, devices | {r.device}
        keys = sorted(groups, key=repr)
        if not keys:
            return empty(FINE)
        numbers = np.array([groups[k][0] for k in keys])
        return Rows(
            np.array([k[0] for k in keys], np.int64),
            {name: texts(k[i] for k in keys) for i, name in enumerate(FINE, 1)},
            numbers,
            numbers,
            numbers,
            numbers,
            np.array([len(groups[k][1]) for k in keys], np.int64),
        )


SLOTS = (0, 1, 2, 3, 31, 32, 33, 94, 95)
"""Of a day: night, morning, the last ones."""


@st.composite
def fleets(draw: st.DrawFn, days: int = 1) -> Fleet:
    kinds = draw(
        st.lists(st.sampled_from([("pc", "a"), ("pc", "b"), ("pc", "c"), ("thin", "a")]), min_size=4, max_size=11)
    )
    slots = draw(st.lists(st.sampled_from(SLOTS), min_size=1, max_size=4, unique=True))
    found = []
    for day in range(days):
        for slot in slots:
            on = draw(st.lists(st.sampled_from(range(len(kinds))), unique=True))
            found += [(d, slot + 96 * day) for d in on]
    bases = st.sampled_from(["measured", "modelled", "assumed"])
    readings = [Reading(d, slot, draw(bases)) for d, slot in found[:MOST]]
    return Fleet(tuple(kinds), tuple(draw(st.permutations(readings))))


BY = [tuple(by) for n in range(4) for by in itertools.combinations(("class", "model", "basis"), n)]


def asked(published: Cells, last: int) -> Iterable[float]:
    """Yield every number that any question would be answered with."""
    filters: list[tuple[str, str] | None] = [None]
    for name in ("class", "model", "basis"):
        filters += [(name, text) for text in sorted(set(published.rows.dims[name].tolist()))]
    limits = [BEGIN + 900 * s for s in (0, 2, 32, 95, 96, 128, 191, 192) if 900 * s <= last]
    for wanted, window in itertools.product(filters, itertools.combinations(limits, 2)):
        kept = np.ones(len(published.rows), np.bool_)
        if wanted is not None:
            kept = np.array([text == wanted[1] for text in published.rows.dims[wanted[0]]], np.bool_)
        mine = published.at(kept)
        grains: Sequence[Grain] = ("slot", "hour", "day", "month")
        for grain, zone in [(g, z) for g in grains for z in ZONES if z is PARIS or g in ("day", "hour")]:
            edges = calendar.edges(*window, grain, zone)
            for by in BY if wanted is None and zone is PARIS else BY[:4]:
                sums, _ = answer(mine, edges, by, window)
                yield from sums.joules.tolist()
                assert (sums.devices >= K).all()


def learnt(numbers: Iterable[float]) -> NDArray[np.float64]:
    """Return the sets behind numbers, one row each, 0 or 1 for each reading."""
    sets = sorted({int(x) for x in numbers if x})
    return np.array([[s >> n & 1 for n in range(MOST)] for s in sets], np.float64).reshape(len(sets), MOST)


def assert_no_few(fleet: Fleet, numbers: Iterable[float]) -> None:
    """No sum of answers, with any weights, is a figure of four devices or fewer."""
    known = learnt(numbers)
    if not len(known):
        return
    rank = np.linalg.matrix_rank(known)
    owner = np.array([r.device for r in fleet.readings] + [-1] * (MOST - len(fleet.readings)))
    for few in itertools.combinations(range(len(fleet.kinds)), min(K - 1, len(fleet.kinds))):
        others = known[:, ~np.isin(owner, few)]
        assert np.linalg.matrix_rank(others) == rank, f"devices {few} can be told from the others"


NIGHT = Fleet(
    (("pc", "a"),) * 6,
    tuple(Reading(d, s, "assumed") for s, n in ((0, 1), (31, 6), (94, 2)) for d in range(n)),
)
MODELS = Fleet(
    (("pc", "a"),) * 5 + (("pc", "b"),) * 2,
    tuple(Reading(d, s, "modelled") for s in (0, 1) for d in range(7)),
)
CROSSED = Fleet(  # by model and by time alone nothing is small; where they cross there is one device
    (("pc", "a"),) * 5 + (("pc", "b"),) * 5,
    tuple(Reading(d, 0, "modelled") for d in range(5)) + tuple(Reading(d, 1, "modelled") for d in (0, 5, 6, 7, 8, 9)),
)


@settings(max_examples=40)
@given(fleets())
@example(NIGHT)
@example(MODELS)
@example(CROSSED)
def test_no_combination_of_answers_is_a_figure_of_fewer_than_five_endpoints(fleet: Fleet) -> None:
    published = cells(fleet.fine(BEGIN, BEGIN + DAY), over=True)
    assert_no_few(fleet, asked(published, DAY))


@settings(max_examples=40)
@given(fleets())
@example(NIGHT)
@example(CROSSED)
def test_cells_of_a_day_are_one_partition_and_of_a_class_with_five_devices_at_once_nothing_is_lost(
    fleet: Fleet,
) -> None:
    fine = fleet.fine(BEGIN, BEGIN + DAY)
    found = cells(fine, over=True)
    sets = [int(x) for x in found.rows.joules]
    for a, b in itertools.combinations(sets, 2):
        assert a & b == 0
    for kind in {kind for kind, _ in fleet.kinds}:
        on: Counter[tuple[int, str, str]] = Counter()
        for r in fleet.readings:
            if fleet.kinds[r.device][0] == kind:
                on[r.slot, fleet.kinds[r.device][1], r.basis] += 1
        heard: dict[int, dict[str, int]] = {}
        for (slot, model, _), count in on.items():
            of = heard.setdefault(slot, {})
            of[model] = max(of.get(model, 0), count)
        full = any(sum(of.values()) >= K for of in heard.values())
        shown = found.rows.joules[found.rows.dims["class"] == kind].sum()
        whole = fine.joules[fine.dims["class"] == kind].sum()
        assert shown == (whole if full else 0.0)


@settings(max_examples=25)
@given(fleets(days=2), st.lists(st.integers(0, 3 * DAY), min_size=2, max_size=5), st.data())
def test_an_attacker_who_asks_again_and_again_learns_no_more(
    fleet: Fleet, times: list[int], data: st.DataObject
) -> None:
    """Readings come in any order, late ones too; what was shown is never shown otherwise."""
    shelf = Published(PARIS)
    known, numbers = 0, []
    for at in sorted(times):
        known = data.draw(st.integers(known, len(fleet.readings)))
        read = partial(fleet.fine, known=known)
        published = shelf.cells(read, BEGIN, BEGIN + 2 * DAY, BEGIN + at)
        numbers += list(asked(published, 2 * DAY))
    assert_no_few(fleet, numbers)


def test_hosts_are_passed_over() -> None:
    fleet = Fleet((("host", "a"),) * 6, tuple(Reading(d, 0, "measured") for d in range(6)))
    assert len(cells(fleet.fine(BEGIN, BEGIN + DAY), over=True).rows) == 0


def test_a_day_that_is_not_over_is_not_shown_to_its_end() -> None:
    fleet = Fleet((("pc", "a"),) * 5, tuple(Reading(d, s, "assumed") for s in (0, 1, 2) for d in range(5)))
    shelf = Published(PARIS)

    def shown(at: int) -> int:
        return len(shelf.cells(fleet.fine, BEGIN, BEGIN + DAY, BEGIN + at).rows)

    assert shown(900 + SETTLED - 1) == 0
    assert shown(2 * 900 + SETTLED) == 1, "the last block may still grow"
    assert shown(DAY + OVER) == 3


def test_a_slot_is_read_once() -> None:
    asked_for: list[tuple[int, int]] = []

    def read(a: int, b: int, _: Grain) -> Rows:
        asked_for.append((a, b))
        return empty(FINE)

    shelf = Published(PARIS)
    for at in (3 * 3600, 3 * 3600, 5 * 3600, DAY + OVER, 9 * DAY):
        shelf.cells(read, BEGIN, BEGIN + 3 * DAY, BEGIN + at)
    spans = sorted(asked_for)
    assert spans[0][0] == BEGIN
    assert spans[-1][1] == BEGIN + 3 * DAY
    assert all(a[1] == b[0] for a, b in itertools.pairwise(spans)), spans


def test_days_of_which_the_slots_are_gone_are_cut_by_the_hour() -> None:
    fleet = Fleet((("pc", "a"),) * 6, tuple(Reading(d, s, "assumed") for s in (0, 32) for d in range(6)))

    def read(a: int, b: int, grain: Grain) -> Rows:
        if grain == "slot":
            raise TooFineError("hours only")
        return fleet.fine(a, b)

    found = Published(PARIS).cells(read, BEGIN, BEGIN + DAY, BEGIN + 9 * DAY)
    assert (found.end - found.rows.begin).tolist() == [3600, 3600]
    assert found.expected.tolist() == [6 * 3600.0] * 2


def test_rows_that_are_withheld_say_so_and_have_no_number() -> None:
    published = cells(NIGHT.fine(BEGIN, BEGIN + DAY), over=True)
    sums, cut = answer(published, calendar.edges(BEGIN, BEGIN + DAY, "hour", PARIS), ("class",), (BEGIN, BEGIN + DAY))
    assert len(sums) == 0, "the one block of this day is longer than an hour"
    assert np.isnan(cut.joules).all()
    day, none = answer(published, calendar.edges(BEGIN, BEGIN + DAY, "day", PARIS), ("class",), (BEGIN, BEGIN + DAY))
    assert len(none) == 0
    assert day.joules.tolist() == [2.0 ** len(NIGHT.readings) - 1]


def test_single_endpoints_are_folded_after_thirty_days() -> None:
    rows = Rows(
        np.array([BEGIN, BEGIN, BEGIN], np.int64),
        {"class": texts(["pc", "pc", "host"]), "device": texts(["pc-1", "pc-2", "host-1"])},
        np.array([1.0, 2.0, 4.0]),
        np.zeros(3),
        np.zeros(3),
        np.zeros(3),
        np.ones(3, np.int64),
    )
    assert len(privacy.folded(rows, BEGIN + 29 * DAY)) == 3
    late = privacy.folded(rows, BEGIN + 31 * DAY)
    assert dict(zip(late.dims["device"].tolist(), late.joules.tolist(), strict=True)) == {
        privacy.FOLDED: 3.0,
        "host-1": 4.0,
    }


def test_law_7_has_one_number() -> None:
    assert snapshot.K_ANONYMITY == K
    assert snapshot.NO_ENDPOINT == privacy.NOBODYS


@pytest.mark.parametrize("few", [1, 4])
def test_the_attacker_of_these_tests_finds_what_a_naive_rule_lets_through(few: int) -> None:
    """Groups of five, and the total of all: their difference is the few."""
    fleet = Fleet((("pc", "a"),) * (5 + few), tuple(Reading(d, 0, "assumed") for d in range(5 + few)))
    total, group = 2.0 ** (5 + few) - 1, 2.0**5 - 1
    with pytest.raises(AssertionError, match="can be told"):
        assert_no_few(fleet, [total, group])
    assert_no_few(fleet, [total])
    assert len(together([]).rows) == 0
