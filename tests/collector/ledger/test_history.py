"""Any window in any state of compaction reads as the sum of the slots that were booked, each once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from tests.collector.ledger.engines import Engine, enter
from thinwatt_collector.ledger import history
from thinwatt_collector.ledger.compaction import Plan, compact
from thinwatt_collector.ledger.days import DAY, Grain
from thinwatt_collector.ledger.history import Page, TooFineError, energy
from thinwatt_collector.ledger.session import Session

FOR_EVER = 1_000_000 * DAY
START = int(datetime(2025, 10, 25, tzinfo=UTC).timestamp())
"""The day before Paris has one of 25 hours."""
SPAN = 5 * 96
DEVICES = [
    ("h", "host", "R640", False),
    ("p1", "desktop", "a", False),
    ("p2", "desktop", "b", False),
    ("p3", "desktop", "b", True),
    ("t", "thin_client", "c", False),
]
SOURCES = [
    ("booked", "", "wall", "measured"),
    ("booked", "", "wall", "modelled"),
    ("rapl", "package-0", "component", "modelled"),
    ("rapl", "core", "component", "modelled"),
]
ROOMS = ([0, 1, 2, 3], ["A", "B", "B", "A"])
Row = tuple[int, int, int, float, float, float, float]

slots = st.integers(START // 900, START // 900 + SPAN - 1)
amounts = st.floats(1e-3, 1e6, allow_nan=False)
rows = st.tuples(st.integers(0, 4), slots, st.integers(0, 3), amounts, amounts, amounts, st.floats(0, 900))
"""Device, slot, source, joules, variance, bias, covered."""
written = st.lists(rows, max_size=25)
zones = st.sampled_from(["Europe/Paris", "UTC", "Asia/Kolkata", "Pacific/Tahiti"])
grains: st.SearchStrategy[Grain] = st.sampled_from(("slot", "hour", "day", "month"))
windows = st.tuples(slots, slots).map(lambda w: (min(w) * 900, (max(w) + 1) * 900))
whole_hours = windows.map(lambda w: (w[0] // 3600 * 3600, -(-w[1] // 3600) * 3600))
dimensions = st.lists(
    st.sampled_from(["class", "basis", "simulated", "part", "scope", "room"]), unique=True, max_size=3
)
works = st.lists(
    st.tuples(written, st.booleans(), st.integers(0, 8), st.integers(0, 4), st.sampled_from([3, 100])), max_size=4
)
"""Turns of: rows that come in, whether they stay open, days that pass, pieces of compaction, their limit."""
relaxed = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])


@contextmanager
def ledger(engine: Engine) -> Iterator[Session]:
    with engine.session() as session:
        enter(session, "device", [(i, name, "a", *rest) for i, (name, *rest) in enumerate(DEVICES)])
        enter(session, "source", [(i, *s) for i, s in enumerate(SOURCES)])
        yield session


def put(session: Session, new: Sequence[Row], table: str = "sealed_slot") -> None:
    enter(session, table, new)


def seal(session: Session) -> None:
    session.execute("INSERT INTO sealed_slot SELECT * FROM open_slot")
    session.execute("DELETE FROM open_slot")


def run(session: Session, turns: Any, plan: Plan) -> list[Row]:
    """Have energy come in and days pass; return all that came in."""
    everything: list[Row] = []
    now = START
    for arrived, opened, days, pieces, limit in turns:
        new = arrived
        if opened:
            seal(session)
            new = list({row[:3]: row for row in arrived}.values())
        put(session, new, "open_slot" if opened else "sealed_slot")
        everything += new
        now += days * DAY
        for _ in range(pieces):
            compact(session, now, limit, plan)
    return everything


def begin_of(at: int, grain: Grain, zone: str) -> int:
    """By looking at the clock on the wall, not by counting."""
    while grain != "slot":
        clock = datetime.fromtimestamp(at, ZoneInfo(zone))
        if clock.minute == 0 and (
            grain == "hour" or (clock.hour == 0 and clock.fold == 0 and (grain == "day" or clock.day == 1))
        ):
            break
        at -= 900
    return at


def labels(row: Row) -> dict[str, str]:
    name, kind, model, simulated = DEVICES[row[0]]
    source, part, scope, basis = SOURCES[row[2]]
    return {
        "device": name, "class": kind, "model": model, "simulated": str(simulated).lower(), "source": source,
        "part": part, "scope": scope, "basis": basis, "room": dict(zip(*ROOMS, strict=True)).get(row[0], ""),
    }  # fmt: skip


def added(
    everything: Sequence[Row], window: tuple[int, int], grain: Grain, zone: str, by: Sequence[str], name: str = "booked"
) -> dict[tuple[Any, ...], tuple[list[float], int]]:
    sums: dict[tuple[Any, ...], list[float]] = defaultdict(lambda: [0.0] * 4)
    devices: dict[tuple[Any, ...], set[int]] = defaultdict(set)
    for row in everything:
        label = labels(row)
        if window[0] <= row[1] * 900 < window[1] and label["source"] == name:
            key = (begin_of(row[1] * 900, grain, zone), *(label[d] for d in by))
            sums[key] = [a + b for a, b in zip(sums[key], row[3:], strict=True)]
            devices[key].add(row[0])
    return {key: (sums[key], len(devices[key])) for key in sorted(sums)}


def read(table: history.Table) -> dict[tuple[Any, ...], tuple[list[float], int]]:
    keys = zip(table.begin.tolist(), *(d.tolist() for d in table.dims.values()), strict=True)
    sums = zip(table.joules, table.variance, table.bias, table.covered, strict=True)
    found = {k: ([float(x) for x in s], int(n)) for k, s, n in zip(keys, sums, table.devices, strict=True)}
    assert len(found) == len(table)
    return found


def close(amounts: Sequence[float]) -> Any:
    return pytest.approx(amounts, rel=1e-12, abs=1e-12)


def same(found: Any, expected: Any, counted: bool = True) -> None:
    assert list(found) == list(expected)
    for key, (sums, devices) in expected.items():
        assert found[key][0] == close(sums), key
        assert found[key][1] == devices if counted else found[key][1] <= devices, key


@relaxed
@given(
    works,
    windows,
    grains,
    zones,
    zones.filter(lambda z: z != "Asia/Kolkata"),
    dimensions,
    st.sampled_from([(), ("device", "model")]),
    st.sampled_from([0, history.BITS]),
)
def test_any_window_in_any_state_is_the_sum_of_its_slots(
    engine: Engine,
    turns: Any,
    window: tuple[int, int],
    grain: Grain,
    zone: str,
    kept_in: str,
    by: list[str],
    more: tuple[str, ...],
    bits: int,
) -> None:
    by = [*by, *more]
    with ledger(engine) as session, pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "BITS", bits)
        everything = run(session, turns, Plan(kept_in, keep_slots=FOR_EVER, keep_endpoints=FOR_EVER))
        found = energy(session, *window, grain, zone, by, groups={"room": ROOMS})
        same(read(found), added(everything, window, grain, zone, by))


@relaxed
@given(works, whole_hours, st.sampled_from(["hour", "day", "month"]), zones.filter(lambda z: z != "Asia/Kolkata"))
def test_what_is_folded_and_forgotten_is_the_same_energy(
    engine: Engine, turns: Any, window: tuple[int, int], grain: Grain, zone: str
) -> None:
    by = ["class", "basis", "simulated"]
    plan = Plan("Europe/Paris", keep_slots=2 * DAY, keep_endpoints=4 * DAY)
    with ledger(engine) as session:
        everything = run(session, turns, plan)
        # Of groups no more devices are claimed than there are.
        same(
            read(energy(session, *window, grain, zone, by)),
            added(everything, window, grain, zone, by),
            counted=False,
        )
        (total,) = session.execute("SELECT coalesce(sum(joules), 0) FROM energy").fetchall()
        assert total == close([sum(row[3] for row in everything)])


@relaxed
@given(works)
def test_days_are_sums_of_hours_and_kept_slots_their_parts(engine: Engine, turns: Any) -> None:
    with ledger(engine) as session:
        run(session, turns, Plan(keep_slots=FOR_EVER, keep_endpoints=4 * DAY))
        for source in ("day_slot", "kept_slot"):
            values = "sum(joules), sum(variance), sum(bias), sum(covered), sum(slots)"
            (a,) = session.execute(f"SELECT {values} FROM {source}").fetchall()  # noqa: S608  # a name of ours
            (b,) = session.execute(f"SELECT {values} FROM hour_slot").fetchall()  # noqa: S608  # a name of ours
            if b[0] is not None:
                assert a == close(b)


def full(session: Session, devices: Sequence[int], days: int = 3) -> list[Row]:
    new = [(d, START // 900 + s, 0, 1.0 + d, 1.0, 0.5, 900.0) for d in devices for s in range(96 * days)]
    put(session, new)
    return new


def settle(session: Session, now: int, plan: Plan, limit: int = 1000) -> int:
    calls = 0
    while compact(session, now, limit, plan):
        calls += 1
        assert calls < 1000
    return calls


def test_a_day_has_the_hours_of_its_zone(engine: Engine) -> None:
    with ledger(engine) as session:
        full(session, [0], days=3)
        settle(session, START + 20 * DAY, Plan("Europe/Paris"))
        lengths = dict(
            session.execute("SELECT day * 3600 - ?, past - day FROM local_day ORDER BY 1", [START]).fetchall()
        )
        assert lengths == {-2 * 3600: 24, 22 * 3600: 25, 47 * 3600: 24, 71 * 3600: 24}
        assert session.execute("SELECT slots FROM day_slot ORDER BY day").fetchall() == [(88,), (100,), (96,), (4,)]


def test_another_zone_makes_other_days_of_the_same_hours(engine: Engine) -> None:
    with ledger(engine) as session:
        full(session, [0, 1])
        for zone in ("Europe/Paris", "UTC"):
            settle(session, START + 20 * DAY, Plan(zone))
        assert session.execute("SELECT DISTINCT day % 24 FROM day_slot").fetchall() == [(0,)]
        assert session.execute("SELECT sum(joules) FROM day_slot").fetchall() == [(96 * 3 * 3.0,)]
        with pytest.raises(ValueError, match=r"Asia/Kolkata do not begin at a full hour"):
            compact(session, START, plan=Plan("Asia/Kolkata"))


def test_endpoints_older_than_thirty_days_are_one_and_hosts_stay(engine: Engine) -> None:
    with ledger(engine) as session:
        full(session, range(5))
        settle(session, START + 33 * DAY, Plan(dimension="room", groups=lambda _: ([1, 2], ["B", "B"])))
        ((past,),) = session.execute("SELECT max(past) FROM local_day WHERE folded").fetchall()
        for table in ("kept_slot", "hour_slot", "day_slot"):
            grain = {"kept_slot": "slot >> 2", "hour_slot": "hour", "day_slot": "day"}[table]
            text = f"SELECT DISTINCT device FROM {table} WHERE {grain} < ? AND device >= 0"  # noqa: S608  # a name of ours
            alone = session.execute(text, [past]).fetchall()
            assert alone == [(0,)], table
        window = START, START + DAY
        found = energy(session, *window, "day", "UTC", ["room", "class"], groups={"room": ([0], ["server"])})
        assert list(zip(*(d.tolist() for d in found.dims.values()), found.devices.tolist(), strict=True)) == [
            ("", "desktop", 1),
            ("", "thin_client", 1),
            ("B", "desktop", 2),
            ("server", "host", 1),
        ]
        assert found.joules.tolist() == close([96 * 4.0, 96 * 5.0, 96 * 5.0, 96 * 1.0])


def test_late_energy_of_a_folded_day_is_folded_and_no_device_counts_twice(engine: Engine) -> None:
    with ledger(engine) as session:
        full(session, [1, 2])
        now, window = START + 60 * DAY, (START, START + DAY)
        settle(session, now, Plan())
        put(session, [(1, START // 900, 0, 7.0, 0.0, 0.0, 0.0)])
        settle(session, now, Plan())
        found = energy(session, *window, "day", "UTC", ["class", "device"])
        assert (found.joules.tolist(), found.devices.tolist()) == ([96 * 5.0 + 7.0], [2])
        assert found.dims["device"].tolist() == [""]


def test_slots_that_are_gone_are_said_to_be_and_hours_go_on(engine: Engine) -> None:
    with ledger(engine) as session:
        full(session, [0])
        settle(session, START + 500 * DAY, Plan())
        assert session.execute("SELECT count(*) FROM kept_slot").fetchall() == [(0,)]
        with pytest.raises(TooFineError, match="ask for whole hours of UTC"):
            energy(session, START + 900, START + 7200, "hour", "UTC", [])
        assert energy(session, START, START + 7200, "hour", "UTC", []).joules.tolist() == [4.0, 4.0]
        assert session.execute("SELECT sum(joules), max(slot) FROM energy").fetchall() == [
            (3 * 96.0, START // 900 + 3 * 96 - 4)
        ]


def test_pages_are_the_whole_in_order(engine: Engine) -> None:
    with ledger(engine) as session:
        full(session, range(5))
        window = START, START + 2 * DAY
        whole = list(read(energy(session, *window, "hour", "UTC", ["device"])).items())
        parts = [energy(session, *window, "hour", "UTC", ["device"], page=Page(at, 7)) for at in range(0, 245, 7)]
        assert [item for part in parts for item in read(part).items()] == whole
        assert len(whole) == 240


def test_other_series_are_read_by_name_and_never_added_up(engine: Engine) -> None:
    with ledger(engine) as session:
        new = [(0, START // 900, s, 2.0**s, 0.0, 0.0, 900.0) for s in range(4)]
        put(session, new)
        window = START, START + 900
        assert energy(session, *window, "day", "UTC", []).joules.tolist() == [3.0]
        assert energy(session, *window, "day", "UTC", [], {"basis": ["modelled"]}).joules.tolist() == [2.0]
        assert energy(session, *window, "day", "UTC", ["source", "part", "scope"]).joules.tolist() == [3.0, 8.0, 4.0]
        one = {"source": ["rapl"], "part": ["core"], "scope": ["component"]}
        assert energy(session, *window, "day", "UTC", [], one).joules.tolist() == [8.0]
        for where in ({"source": ["rapl"]}, {"source": ["rapl", "booked"], "part": [""], "scope": ["wall"]}):
            with pytest.raises(ValueError, match="not added up"):
                energy(session, *window, "day", "UTC", [], where)


@pytest.mark.parametrize(
    "by, groups, said",
    [
        (["colour"], {}, "no dimension 'colour'"),
        (["class", "class"], {}, "twice"),
        ([], {'x"; DROP TABLE device': ([], [])}, "can't be named"),
        ([], {"class": ([], [])}, "taken"),
        ([], {"room": ([1, 1], ["A", "B"])}, "two labels"),
    ],
)
def test_questions_without_sense_are_refused(engine: Engine, by: list[str], groups: Any, said: str) -> None:
    with ledger(engine) as session:
        with pytest.raises(ValueError, match=said):
            energy(session, 0, 900, "day", "UTC", by, groups=groups)
        with pytest.raises(ValueError, match="on a slot"):
            energy(session, 1, 900, "day", "UTC", [])
        assert len(energy(session, 0, 900, "day", "UTC", ["class"], {"class": ["host"]})) == 0


@relaxed
@given(works, windows, grains, zones, st.lists(slots.map(lambda s: s * 900), max_size=4))
def test_cut_buckets_are_parts_of_the_whole_ones(
    engine: Engine, turns: Any, window: tuple[int, int], grain: Grain, zone: str, cuts: list[int]
) -> None:
    with ledger(engine) as session:
        run(session, turns, Plan(keep_endpoints=FOR_EVER))
        begin, end = window
        cut = energy(session, begin, end, grain, zone, ("class",), cuts=cuts)
        whole = energy(session, begin, end, grain, zone, ("class",))
    edges = sorted({*whole.begin.tolist(), end})
    parts: dict[tuple[int, str], float] = defaultdict(float)
    for at, kind, joules in zip(cut.begin.tolist(), cut.dims["class"], cut.joules.tolist(), strict=True):
        assert at in cuts or at in edges
        parts[max(e for e in edges if e <= at), kind] += joules
    expected = dict(
        zip(zip(whole.begin.tolist(), whole.dims["class"], strict=True), whole.joules.tolist(), strict=True)
    )
    assert parts == pytest.approx(expected)
