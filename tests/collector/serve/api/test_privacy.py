"""Law 7 against an attacker who may ask anything, combine every answer with /metrics, and watch the ledger grow.

The energy of the n-th reading is 2**n J, so every sum that is shown says which readings are in it. What the attacker
can learn by adding and subtracting is the row space of these sets; no vector of it, save 0, may lie within the readings
of four devices.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import event, example, given, settings
from numpy.typing import NDArray

from thinwatt_collector import snapshot
from thinwatt_collector.factors import table
from thinwatt_collector.inventory.places import LEVELS, Pinned, Place, Whereabouts
from thinwatt_collector.inventory.terms import Price
from thinwatt_collector.inventory.watched import Standing
from thinwatt_collector.serve.api import calendar, privacy
from thinwatt_collector.serve.api.books import TooFineError, UnreadableError
from thinwatt_collector.serve.api.calendar import Grain
from thinwatt_collector.serve.api.energy import _meets
from thinwatt_collector.serve.api.privacy import FINE, OTHER, Cells, Cuts, K, answer, cells, together
from thinwatt_collector.serve.api.published import LATE, OVER, SETTLED, Published, Read
from thinwatt_collector.serve.api.rows import Rows, empty, texts

PARIS = ZoneInfo("Europe/Paris")
ZONES = (PARIS, ZoneInfo("UTC"), ZoneInfo("Asia/Kolkata"))
BEGIN = 1_700_002_800  # a midnight in Paris
DAY = 86_400
MOST = 50
"""Readings of a fleet: sums of so many powers of two are exact."""
FRANCE = table.load({"zone": "FR"})
ROOMS = {
    "": Place(),
    "a1": Place("U", "north", "a", "a1", "tp", Price(0.2, None, "site north")),
    "a2": Place("U", "north", "a", "a2", "tp", Price(0.2, None, "site north")),
    "b1": Place("U", "north", "b", "b1", "", Price(0.15, None, "room b1")),
    "c1": Place("U", "south", "c", "c1", "", Price(0.3, None, "site south")),
}


@dataclass(frozen=True)
class Reading:
    device: int
    slot: int
    basis: str


@dataclass(frozen=True)
class Fleet:
    """Class, model and room of each device, and what was read of it, in slots since BEGIN; some move at a midnight.

    ``rooms`` tells the rooms day after day; the last ones stay.
    """

    kinds: tuple[tuple[str, str], ...]
    readings: tuple[Reading, ...]
    rooms: tuple[tuple[str, ...], ...] = ()

    def room(self, device: int, day: int) -> str:
        return self.rooms[min(day, len(self.rooms) - 1)][device] if self.rooms else ""

    def fine(self, begin: int, end: int, places: Whereabouts | None = None, known: int | None = None) -> Rows:
        """Return what a ledger would answer, knowing the first ``known`` readings."""
        places = places or At(self)
        groups: dict[tuple[object, ...], tuple[float, set[int]]] = {}
        for n, r in enumerate(self.readings[:known]):
            at = BEGIN + r.slot * 900
            if begin <= at < end:
                key = (at, *self.kinds[r.device], r.basis, "false", places.key_at(str(r.device), at))
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

    def read(self, known: int | None = None) -> Read:
        def read(begin: int, end: int, _: Grain, places: Whereabouts) -> Rows:
            return self.fine(begin, end, places, known)

        return read

    def standing(self, edited: bool = False) -> Standing:
        return Standing(None, At(self, edited))  # type: ignore[arg-type]  # as much of them as is asked


@dataclass(frozen=True)
class At:
    """Where a fleet stands; an edited inventory has forgotten room a1 and put all of a2 elsewhere."""

    fleet: Fleet
    edited: bool = False

    def __contains__(self, name: object) -> bool:
        return True

    def key_at(self, name: str, time: int) -> str:
        room = self.fleet.room(int(name), (time - BEGIN) // DAY)
        return ROOMS[{"a1": "", "a2": "c1"}.get(room, room) if self.edited else room].key

    def pinned(self, time: int) -> Pinned:
        names = [str(d) for d in range(len(self.fleet.kinds))]
        return Pinned({name: self.key_at(name, time) for name in names}, ROOMS[""].key)

    def within(self, names: Sequence[str], begin: int, end: int) -> tuple[list[str], list[int]]:
        raise NotImplementedError


SLOTS = (0, 1, 2, 3, 31, 32, 33, 94, 95)
"""Of a day: night, morning, the last ones."""


@st.composite
def fleets(draw: st.DrawFn, days: int = 1, largest: int = 13) -> Fleet:
    others = draw(st.sampled_from([[], [("pc", "b")], [("pc", "b"), ("thin", "a")]]))
    count = draw(st.integers(4, largest))
    kinds = [draw(st.sampled_from([("pc", "a"), ("pc", "a"), *others])) for _ in range(count)]
    slots = draw(st.lists(st.sampled_from(SLOTS), min_size=1, max_size=4, unique=True))
    some = draw(st.sampled_from([["a1"], ["a1", "a2"], ["a1", "c1"], ["a1", "b1", ""], ["a1", "a2", "b1", "c1"]]))
    rooms = []
    for _ in range(days):
        at = draw(st.integers(0, count))  # so many in the first room, the others anywhere
        rooms.append((*(some[0] for _ in range(at)), *(draw(st.sampled_from(some)) for _ in range(count - at))))
    found = []
    for day in range(days):
        for slot in slots:
            missing = draw(st.sets(st.integers(0, count - 1), max_size=draw(st.sampled_from([0, 2, 4, count]))))
            found += [(d, slot + 96 * day) for d in range(count) if d not in missing]
    bases = st.sampled_from(draw(st.sampled_from([["modelled"], ["measured", "modelled", "modelled"]])))
    readings = [Reading(d, slot, draw(bases)) for d, slot in found]
    readings = draw(st.permutations(readings))[:MOST]
    return Fleet(tuple(kinds), tuple(readings), tuple(rooms))


BY = [
    tuple(by)
    for n in range(4)
    for by in itertools.combinations(("class", "model", "basis", "site", "building", "room", "price"), n)
]


def asked(select: Callable[[int, int, bool, bool], Cells], last: int) -> Iterator[float]:
    """Yield every number that any question would be answered with."""
    known = select(BEGIN, BEGIN + last, False, False).rows.dims
    filters: list[tuple[str, str] | None] = [None]
    for name in ("class", "model", "basis", "site", "building", "room", "pool"):
        filters += [(name, text) for text in sorted(set(known[name].tolist()))]
    limits = [BEGIN + 900 * s for s in (0, 2, 32, 95, 96, 128, 191, 192) if 900 * s <= last]
    for wanted, window in itertools.product(filters, itertools.combinations(limits, 2)):
        grains: Sequence[Grain] = ("slot", "hour", "day", "month")
        for grain, zone in [(g, z) for g in grains for z in ZONES if z is PARIS or g in ("day", "hour")]:
            edges = calendar.edges(*window, grain, zone)
            for by in BY if wanted is None and zone is PARIS else BY[:4]:
                coarse = {*by, *(() if wanted is None else wanted[:1])} <= {"class"}
                mine = select(*window, coarse, grain in ("day", "month") and zone is PARIS)
                mine = mine.at(_meets(mine.rows, {wanted[0]: [wanted[1]]} if wanted else {}))
                sums, _ = answer(mine, edges, by, window)
                yield from sums.joules.tolist()
                assert (sums.devices >= K).all()


def both(cuts: Cuts) -> Callable[[int, int, bool, bool], Cells]:
    return lambda _begin, _end, coarse, _whole: cuts.time if coarse else cuts.place


def of(shelf: Published, read: Read, now: int) -> Callable[[int, int, bool, bool], Cells]:
    kept: dict[tuple[int, int, bool, bool], Cells] = {}

    def select(begin: int, end: int, coarse: bool, whole: bool) -> Cells:
        key = begin, end, coarse, whole
        if key not in kept:
            kept[key] = shelf.cells(read, begin, end, now, coarse, whole)
        return kept[key]

    return select


def counted(shelf: Published, read: Read, now: int) -> list[float]:
    """Return what /metrics shows."""
    shelf.bring_all(read, BEGIN, now)
    found = shelf.counters(FRANCE)
    assert found is not None
    return [joules for counter in found.values() for joules in (*counter.joules.values(), counter.covered)]


def learnt(numbers: Iterable[float]) -> NDArray[np.float64]:
    """Return the sets behind numbers, one row each, 0 or 1 for each reading."""
    sets = sorted({int(x) for x in numbers if x})
    return np.array([[s >> n & 1 for n in range(MOST)] for s in sets], np.float64).reshape(len(sets), MOST)


def assert_no_few(fleet: Fleet, numbers: Iterable[float], k: int = K) -> None:
    """No sum of answers, with any weights, is a figure of fewer than k devices."""
    known = learnt(numbers)
    if not len(known):
        return
    # Independent rows tell as much as all of them.
    _, kept = np.linalg.qr(known)
    known = kept[np.abs(kept).max(axis=1) > 1e-9]
    rank = np.linalg.matrix_rank(known)
    owner = np.array([r.device for r in fleet.readings] + [-1] * (MOST - len(fleet.readings)))
    few = list(itertools.combinations(range(len(fleet.kinds)), min(k - 1, len(fleet.kinds))))
    others = np.stack([known * ~np.isin(owner, devices) for devices in few])
    ranks = np.linalg.matrix_rank(others)
    assert (ranks == rank).all(), f"devices {few[int(np.argmin(ranks))]} can be told from the others"


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
SHIFTS = Fleet(  # two rooms in turn, each with somebody who comes in the other's time
    (("pc", "a"),) * 12,
    tuple(Reading(d, 32, "modelled") for d in (0, 1, 2, 3, 4, 5, 6))
    + tuple(Reading(d, 60, "modelled") for d in (0, 1, 6, 7, 8, 9, 10, 11)),
    (("a1",) * 6 + ("a2",) * 6,),
)
OFFICE = Fleet(  # a room of one
    (("pc", "a"),) * 7,
    tuple(Reading(d, s, "modelled") for s in (32, 33) for d in range(7)),
    (("a1",) * 6 + ("a2",),),
)
EXAMPLES = (NIGHT, MODELS, CROSSED, SHIFTS, OFFICE)


def every(fleet: Fleet) -> Cuts:
    return cells(fleet.fine(BEGIN, BEGIN + DAY), over=True)


@settings(max_examples=200, deadline=None)
@given(fleets(), st.sampled_from([2, 3, 5]))
@example(NIGHT, 5)
@example(MODELS, 5)
@example(CROSSED, 5)
@example(SHIFTS, 5)
@example(OFFICE, 5)
def test_no_combination_of_cells_of_both_cuts_is_a_figure_of_fewer_than_five_endpoints(fleet: Fleet, k: int) -> None:
    """All that can be asked is a sum of cells: whoever has each of them by itself has more.

    The same with another number in the place of five, of which a small fleet makes more cells.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(privacy, "K", k)
        found = every(fleet)
    event(f"{min(len(found.time), 2)} cells in time or more, {min(len(found.place), 3)} in place or more")
    assert_no_few(fleet, [*found.time.rows.joules.tolist(), *found.place.rows.joules.tolist()], k)


@pytest.mark.parametrize("fleet", EXAMPLES)
def test_every_answer_is_a_sum_of_cells(fleet: Fleet) -> None:
    found = every(fleet)
    known = learnt([*found.time.rows.joules.tolist(), *found.place.rows.joules.tolist()])
    answers = learnt(asked(both(found), DAY))
    assert np.linalg.matrix_rank(np.concatenate((known, answers))) == np.linalg.matrix_rank(known)
    assert_no_few(fleet, asked(both(found), DAY))


@settings(max_examples=60, deadline=None)
@given(fleets())
@example(NIGHT)
@example(CROSSED)
@example(SHIFTS)
def test_each_cut_is_a_partition_and_of_a_class_with_five_devices_at_once_nothing_is_lost(fleet: Fleet) -> None:
    fine, found = fleet.fine(BEGIN, BEGIN + DAY), every(fleet)
    for cut in (found.time, found.place):
        for a, b in itertools.combinations([int(x) for x in cut.rows.joules], 2):
            assert a & b == 0
    for kind in {kind for kind, _ in fleet.kinds}:
        on: dict[int, set[int]] = {}
        for r in fleet.readings:
            if fleet.kinds[r.device][0] == kind:
                on.setdefault(r.slot, set()).add(r.device)
        whole = fine.joules[fine.dims["class"] == kind].sum()
        for cut in (found.time, found.place):
            shown = cut.rows.joules[cut.rows.dims["class"] == kind].sum()
            assert shown in (whole, 0.0)
            assert shown == 0.0 or max(map(len, on.values())) >= K
        if len({r.basis for r in fleet.readings}) == 1 and on and max(map(len, on.values())) >= K:
            assert all(
                cut.rows.joules[cut.rows.dims["class"] == kind].sum() == whole for cut in (found.time, found.place)
            )


@settings(max_examples=100, deadline=None)
@given(
    fleets(days=2, largest=10),
    st.lists(
        st.tuples(st.integers(0, 10 * DAY) | st.integers(0, 3 * DAY), st.booleans(), st.booleans()),
        min_size=2,
        max_size=5,
    ),
    st.sampled_from([2, 3, 5]),
    st.data(),
)
def test_an_attacker_who_asks_again_and_again_learns_no_more(
    fleet: Fleet, times: list[tuple[int, bool, bool]], k: int, data: st.DataObject
) -> None:
    """Readings come in any order, late ones too; the collector starts anew; the inventory is edited; /metrics counts.

    What is asked are whole cells, each by itself.
    """
    known, numbers = 0, []
    stands = [fleet.standing()]
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(privacy, "K", k)
        shelf = Published(PARIS, Path(folder), lambda: stands[-1])
        for at, anew, edits in sorted(times):
            known = data.draw(st.integers(known, len(fleet.readings)))
            if edits:
                stands.append(fleet.standing(edited=True))
            if anew:
                shelf = Published(PARIS, Path(folder), lambda: stands[-1])
            read, now = fleet.read(known), BEGIN + at
            windows = [(0, 2 * DAY), (0, DAY), (40 * 900, DAY + 40 * 900)]
            for window, coarse, whole in itertools.product(windows, (True, False), (True, False)):
                asked_for = shelf.cells(read, BEGIN + window[0], BEGIN + window[1], now, coarse, whole)
                numbers += asked_for.rows.joules.tolist()
            numbers += counted(shelf, read, now)
    assert_no_few(fleet, numbers, k)


def test_hosts_are_passed_over() -> None:
    fleet = Fleet((("host", "a"),) * 6, tuple(Reading(d, 0, "measured") for d in range(6)))
    found = every(fleet)
    assert (len(found.time), len(found.place)) == (0, 0)


def labels(of_cells: Cells, *names: str) -> list[tuple[str, ...]]:
    return sorted(zip(*(of_cells.rows.dims[name].tolist() for name in names), strict=True))


def room_of(*rooms: str, models: Mapping[int, str] | None = None) -> Fleet:
    kinds = tuple(("pc", (models or {}).get(n, "a")) for n in range(len(rooms)))
    return Fleet(kinds, tuple(Reading(n, 40, "modelled") for n in range(len(rooms))), (rooms,))


def test_rooms_of_five_stand_alone_and_smaller_ones_join_their_building() -> None:
    found = every(room_of(*["a1"] * 6, *["a2"] * 5, *["b1"] * 3, *["c1"] * 7)).place
    assert labels(found, "site", "building", "room") == [
        ("north", "a", "a1"),
        ("north", OTHER, OTHER),
        ("south", "c", "c1"),
    ]


def test_other_models_of_a_room_go_before_other_rooms() -> None:
    found = every(room_of(*["a1"] * 7, *["a2"] * 6, models={0: "b", 1: "b"})).place
    assert labels(found, "room", "model") == [("a1", OTHER), ("a2", "a")]
    assert labels(found, "building", "basis") == [("a", "modelled")] * 2


def test_what_has_not_five_anywhere_is_other() -> None:
    found = every(room_of("a1", "a1", "b1", "c1", "")).place
    assert labels(found, "site", "building", "room", "class") == [(OTHER, OTHER, OTHER, "pc")]
    assert found.rows.dims["price"][0].count("\n") == 3, "of which part which price holds is not told"


def test_rooms_in_turn_are_no_more_told_apart_than_the_hours_allow() -> None:
    found = every(SHIFTS)
    assert len(found.time) == 2
    assert len(found.place) == 1, "of two rooms the difference to the hours would be three people"


def test_an_unknown_place_is_a_place() -> None:
    found = every(room_of(*["a1"] * 6, *[""] * 5)).place
    assert labels(found, "site", "room") == [("", ""), ("north", "a1")]


def test_a_day_that_is_not_over_is_not_shown_to_its_end() -> None:
    fleet = Fleet((("pc", "a"),) * 5, tuple(Reading(d, s, "assumed") for s in (0, 1, 2) for d in range(5)))
    shelf = Published(PARIS, None, fleet.standing)

    def shown(at: int) -> int:
        return len(shelf.cells(fleet.read(), BEGIN, BEGIN + DAY, BEGIN + at, True, False))

    assert shown(900 + SETTLED - 1) == 0
    assert shown(2 * 900 + SETTLED) == 1, "the last block may still grow"
    assert shown(DAY + OVER) == 3


def test_a_slot_is_read_once_and_a_day_twice_more_for_what_came_late() -> None:
    asked_for: list[tuple[int, int]] = []

    def read(a: int, b: int, grain: Grain, places: Whereabouts) -> Rows:
        asked_for.append((a - BEGIN, b - BEGIN))
        return empty(FINE)

    shelf = Published(PARIS)
    for at in (3 * 3600, 3 * 3600, 5 * 3600, DAY + OVER, DAY + LATE[0] - 1):
        shelf.cells(read, BEGIN, BEGIN + DAY, BEGIN + at, True, False)
    spans = sorted(asked_for)
    assert (spans[0][0], spans[-1][1]) == (0, DAY)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(spans)), spans
    del asked_for[:]
    for at in (*LATE, 20 * DAY):
        for _ in range(2):
            shelf.cells(read, BEGIN, BEGIN + DAY, BEGIN + DAY + at, True, False)
    assert asked_for == [(0, DAY)] * 2


def test_what_five_bring_late_is_shown_a_day_later_and_what_one_brings_is_not() -> None:
    on = [Reading(d, 40, "modelled") for d in range(6)]
    five, one = [Reading(d, 41, "modelled") for d in range(5)], [Reading(5, 42, "modelled")]
    fleet = Fleet((("pc", "a"),) * 6, (*on, *five, *one), (("a1",) * 6,))
    with TemporaryDirectory() as folder:

        def shown(at: int, known: int, coarse: bool) -> float:
            shelf = Published(PARIS, Path(folder), fleet.standing)
            select = shelf.cells(fleet.read(known), BEGIN, BEGIN + DAY, BEGIN + DAY + at, coarse, False)
            return float(select.rows.joules.sum())

        for coarse in (True, False):
            assert shown(OVER, 6, coarse) == 2.0**6 - 1
            assert shown(LATE[0] - 1, 11, coarse) == 2.0**6 - 1
        for coarse in (True, False):
            assert shown(LATE[0], 11, coarse) == 2.0**11 - 1
            assert shown(LATE[1], 12, coarse) == 2.0**11 - 1
        assert not list(Path(folder).glob("rows-*")), "it will not be read again"


def test_a_day_of_which_nothing_came_in_time_is_shown_when_it_has_come() -> None:
    fleet = Fleet((("pc", "a"),) * 6, tuple(Reading(d, 40, "modelled") for d in range(6)))
    shelf = Published(PARIS, None, fleet.standing)
    assert len(shelf.cells(fleet.read(0), BEGIN, BEGIN + DAY, BEGIN + DAY + OVER, True, False)) == 0
    found = shelf.cells(fleet.read(), BEGIN, BEGIN + DAY, BEGIN + DAY + LATE[0], True, True)
    assert found.rows.joules.tolist() == [2.0**6 - 1]


def test_a_start_shows_what_was_shown(tmp_path: Path) -> None:
    def told(edited: bool, now: int) -> list[object]:
        shelf = Published(PARIS, tmp_path, lambda: SHIFTS.standing(edited))
        select = of(shelf, SHIFTS.read(), now)
        numbers = counted(shelf, SHIFTS.read(), now)
        return [
            numbers,
            *(labels(select(BEGIN, BEGIN + DAY, c, w), *LEVELS) for c in (True, False) for w in (True, False)),
        ]

    for now in (BEGIN + 62 * 900, BEGIN + DAY + OVER, BEGIN + 9 * DAY):
        assert told(False, now) == told(True, now)


def test_a_file_that_is_broken_is_not_made_anew_behind_somebodys_back(tmp_path: Path) -> None:
    shelf = Published(PARIS, tmp_path, OFFICE.standing)
    shelf.bring_all(OFFICE.read(), BEGIN, BEGIN + 9 * DAY)
    (file,) = tmp_path.glob("cells-*")
    file.write_bytes(file.read_bytes()[:100])
    shelf = Published(PARIS, tmp_path, OFFICE.standing)
    with pytest.raises(UnreadableError, match="Put it back from a backup"):
        shelf.cells(OFFICE.read(), BEGIN, BEGIN + DAY, BEGIN + 9 * DAY, True, False)
    assert str(file) in shelf.said[0]
    assert shelf.counters(FRANCE) is None


def test_what_cannot_be_kept_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("no folder")
    shelf = Published(PARIS, tmp_path / "folder", OFFICE.standing)
    with pytest.raises(UnreadableError, match="is not shown"):
        shelf.cells(OFFICE.read(), BEGIN, BEGIN + DAY, BEGIN + 9 * DAY, True, False)


def test_other_clocks_of_the_site_cut_no_day_again(tmp_path: Path) -> None:
    Published(PARIS, tmp_path, OFFICE.standing).bring_all(OFFICE.read(), BEGIN, BEGIN + 9 * DAY)
    shelf = Published(ZoneInfo("Asia/Kolkata"), tmp_path, OFFICE.standing)
    found = shelf.cells(OFFICE.read(), BEGIN - DAY, BEGIN + 2 * DAY, BEGIN + 9 * DAY, True, False)
    assert found.rows.joules.sum() == 2.0 ** len(OFFICE.readings) - 1


def test_days_of_which_the_slots_are_gone_are_cut_by_the_hour() -> None:
    fleet = Fleet((("pc", "a"),) * 6, tuple(Reading(d, s, "assumed") for s in (0, 32) for d in range(6)))

    def read(a: int, b: int, grain: Grain, places: Whereabouts) -> Rows:
        if grain == "slot":
            raise TooFineError("hours only")
        return fleet.fine(a, b, places)

    found = Published(PARIS, None, fleet.standing).cells(read, BEGIN, BEGIN + DAY, BEGIN + 9 * DAY, True, False)
    assert (found.end - found.rows.begin).tolist() == [3600, 3600]
    assert found.expected.tolist() == [6 * 3600.0] * 2


def test_rows_that_are_withheld_say_so_and_have_no_number() -> None:
    published = every(NIGHT).time
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


def test_the_attacker_finds_what_two_cuts_that_are_not_tied_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy, "tied", lambda *_: True)
    found = every(SHIFTS)
    assert len(found.place) == 2
    with pytest.raises(AssertionError, match="can be told"):
        assert_no_few(SHIFTS, [*found.time.rows.joules.tolist(), *found.place.rows.joules.tolist()])
