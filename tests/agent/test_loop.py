from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.agent.recording import SECOND, at, write, zone
from thinwatt_agent import sources
from thinwatt_agent.counters import Instant
from thinwatt_agent.loop import Sampler, SamplerOptions
from thinwatt_agent.sources import Count, Energy, Gauge, Power, Read, Spec, Values
from thinwatt_agent.wire import Hello, decode_hello, encode_hello

PACKAGE = Energy("zone", "package-0", 1e-6, 10**12, 600.0, "component", "modelled")
Probe = Callable[[Path, Mapping[str, Any]], Read | None]


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the agent have these sources and no others: ``only(name=probe, …)``."""

    def install(**probes: Probe) -> None:
        for name, probe in probes.items():
            module = ModuleType(name)
            module.probe = probe  # type: ignore[attr-defined]  # a module made on the spot
            monkeypatch.setitem(sys.modules, f"{sources.__name__}.{name}", module)
        monkeypatch.setattr(sources, "names", lambda: sorted(probes))

    return install


def reads(specs: tuple[Spec, ...], *rows: Values | Exception) -> Probe:
    """A source that gives one row after the other, or raises one."""
    left = iter(rows)

    def values(_: Instant) -> Values:
        row = next(left)
        if isinstance(row, Exception):
            raise row
        return row

    return lambda root, options: Read(specs, values)


def named(sampler: Sampler, row: list[float]) -> dict[tuple[str, str, str], float]:
    columns = sampler.schema.groups[0].columns
    return {(c.source, c.quantity, c.part): v for c, v in zip(columns, row, strict=True)}


def ticks(sampler: Sampler, count: int) -> list[dict[tuple[str, str, str], float]]:
    return [named(sampler, sampler.sample(at(100 + 10 * i))) for i in range(count)]


def test_a_row_holds_joules_and_covered_seconds_since_the_first_tick(only: Callable[..., None]) -> None:
    only(rapl=reads((PACKAGE,), [10**9], [10**9 + 200_000_000], [10**9 + 500_000_000]))
    rows = ticks(Sampler(Path("/"), SamplerOptions()), 3)
    assert [r["rapl", "energy", "package-0"] for r in rows] == [0.0, 200.0, 500.0]
    assert [r["rapl", "covered", "package-0"] for r in rows] == [0.0, 10.0, 20.0]


def test_the_schema_goes_over_the_wire_as_it_is(only: Callable[..., None]) -> None:
    power = Power("gpu", "gpu", 300.0, "component", "modelled", total=False)
    only(rapl=reads((PACKAGE, power, Count("disk_read", "B"), Gauge("cpus", "1")), [1, 2.0, 3, 4]))
    sampler = Sampler(Path("/"), SamplerOptions())
    row = sampler.sample(at(0))
    assert len(row) == sampler.schema.width
    assert decode_hello(encode_hello(Hello(sampler.schema, sampler.machine()))).schema == sampler.schema
    energy = {c.part: c for c in sampler.schema.groups[0].columns if c.quantity == "energy"}
    assert (energy["package-0"].total, energy["gpu"].total) == (True, False)
    assert (energy["package-0"].scope, energy["package-0"].basis, energy["package-0"].unit) == (
        "component",
        "modelled",
        "J",
    )


def test_a_failing_source_costs_no_other_and_is_warned_of_once(
    only: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    bad = OSError("Input/output error")
    only(
        first=reads((PACKAGE,), [0], bad, bad, [600_000_000], bad),
        second=reads((PACKAGE,), [0], [10**8], [2 * 10**8], [3 * 10**8], [4 * 10**8]),
    )
    rows = ticks(Sampler(Path("/"), SamplerOptions()), 5)
    assert [r["second", "energy", "package-0"] for r in rows] == [0, 100, 200, 300, 400]
    assert [r["first", "energy", "package-0"] for r in rows] == [0, 0, 0, 600, 600]
    assert [r["first", "failures", ""] for r in rows] == [0, 1, 2, 2, 3]
    assert rows[-1]["agent", "read_failures", "first"] == 3
    assert rows[-1]["agent", "read_failures", "second"] == 0
    assert [r.message.count("Input/output error") for r in caplog.records] == [1, 1], "once a row of failures"


def test_one_part_that_fails_costs_no_other_part(only: Callable[..., None]) -> None:
    other = Energy("other", "package-1", 1e-6, 10**12, 600.0, "component", "modelled")
    only(rapl=reads((PACKAGE, other), [0, 0], [10**8, None], [2 * 10**8, None], [3 * 10**8, None], [4 * 10**8, None]))
    last = ticks(Sampler(Path("/"), SamplerOptions()), 5)[-1]
    assert (last["rapl", "energy", "package-0"], last["rapl", "energy", "package-1"]) == (400.0, 0.0)
    assert (last["rapl", "covered", "package-0"], last["rapl", "covered", "package-1"]) == (40.0, 0.0)


@pytest.mark.parametrize("bug", [ZeroDivisionError("division by zero"), KeyError("x"), RuntimeError("x")])
def test_a_bug_turns_its_source_off_till_the_next_look_with_a_traceback_and_costs_no_other(
    bug: Exception, only: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    only(
        broken=reads((PACKAGE, Gauge("cpus", "1")), [0, 1], bug, [10**8, 1]),
        sound=reads((PACKAGE,), [0], [10**8], [2 * 10**8]),
    )
    last = ticks(Sampler(Path("/"), SamplerOptions()), 3)[-1]
    assert last["sound", "energy", "package-0"] == 200.0
    assert last["broken", "energy", "package-0"] == 0.0
    assert math.isnan(last["broken", "cpus", ""]), "what is not read any more is missing, not what it was"
    assert [bool(r.exc_info) for r in caplog.records if r.levelno == logging.ERROR] == [True]


def test_a_bug_is_counted_at_each_look_and_over_as_soon_as_it_is_not_met_again(
    only: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    left: list[Values | Exception] = [[0], KeyError("x"), KeyError("x"), [10**8], [2 * 10**8], [3 * 10**8]]
    only(rapl=reads((PACKAGE,), *left))
    values = reads((PACKAGE,), *left)(Path("/"), {})
    only(rapl=lambda root, options: values)
    sampler = Sampler(Path("/"), SamplerOptions(probe_every=20, max_gap=100))
    rows = ticks(sampler, 7)
    assert [r["rapl", "energy", "package-0"] for r in rows] == [0, 0, 0, 0, 100, 200, 300]
    assert [r["rapl", "covered", "package-0"] for r in rows] == [0, 0, 0, 0, 40, 50, 60]
    assert [r["agent", "read_failures", "rapl"] for r in rows] == [0, 1, 2, 2, 2, 2, 2]
    told = [bool(r.exc_info) for r in caplog.records if "bug" in r.message]
    assert told == [True, False], "the traceback once, a line each further time"
    assert sampler.sources[0].status == "works"


@pytest.mark.parametrize("bad", [math.inf, -math.inf, 1e300, 10**400])
def test_a_number_that_no_meter_shows_is_a_failed_reading(
    bad: float, only: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    endless = Energy("plug", "plug", 1e-6, None, 1e308, "wall", "measured")
    specs = (PACKAGE, endless, Power("gpu", "gpu", 1e308, "component", "modelled"), Count("n", "1"), Gauge("g", "1"))
    good = [[i * 10**8, i * 10**8, 10.0, i, i] for i in range(4)]
    only(rapl=reads(specs, good[0], good[1], [bad] * 5, good[3], [bad, bad, bad, bad, bad]))
    rows = ticks(Sampler(Path("/"), SamplerOptions()), 5)
    assert "bug" not in caplog.text
    assert math.isnan(rows[2]["rapl", "g", ""])
    assert [rows[4]["rapl", "energy", part] for part in ("package-0", "plug", "gpu")] == [300, 300, 300]
    assert rows[4]["rapl", "n", ""] == 3
    assert rows[4]["agent", "read_failures", "rapl"] == 2


def test_a_source_whose_values_are_not_its_specs_is_a_bug(only: Callable[..., None]) -> None:
    only(rapl=reads((PACKAGE,), [0], [1, 2]))
    sampler = Sampler(Path("/"), SamplerOptions())
    ticks(sampler, 2)
    assert sampler.sources[0].off


def test_a_missing_gauge_is_not_a_number(only: Callable[..., None]) -> None:
    only(load=reads((Gauge("memory", "B"),), [5.0], [None]))
    rows = ticks(Sampler(Path("/"), SamplerOptions()), 2)
    assert rows[0]["load", "memory", ""] == 5.0
    assert math.isnan(rows[1]["load", "memory", ""])


def test_devices_that_come_up_change_the_schema_and_those_that_go_are_failed_reads(tmp_path: Path) -> None:
    options = SamplerOptions(probe_every=60, sources={"load": {"enabled": False}, "sessions": {"enabled": False}})
    sampler = Sampler(tmp_path, options)
    first, ids = sampler.sample(at(0)), [sampler.schema.id]
    write(tmp_path, zone("package-0", 10**9))
    for t in (10, 20, 60, 70):
        sampler.sample(at(t))
        ids.append(sampler.schema.id)
    assert ids[0] == ids[1] == ids[2] != ids[3] == ids[4]
    assert len(first) < sampler.schema.width
    (tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj").unlink()
    sampler.sample(at(130))
    assert [e.kind for _, _, e in sampler.events()] == ["failed"]
    assert sampler.schema.id == ids[4]


def test_a_new_process_goes_on_from_the_state_and_counts_from_0(only: Callable[..., None]) -> None:
    power = Power("gpu", "gpu", 300.0, "component", "modelled")
    specs = (PACKAGE, power, Count("disk_read", "B"))
    only(rapl=reads(specs, [10**9, 50.0, 7000], [10**9 + 10**8, 50.0, 7100]))
    before = Sampler(Path("/"), SamplerOptions())
    ticks(before, 2)
    state = json.loads(json.dumps(before.state()))
    only(rapl=reads(specs, [10**9 + 3 * 10**8, 100.0, 7500]))
    after = Sampler(Path("/"), SamplerOptions())
    after.restore(state)
    row = named(after, after.sample(at(120)))
    assert (row["rapl", "energy", "package-0"], row["rapl", "covered", "package-0"]) == (200.0, 10.0)
    assert row["rapl", "energy", "gpu"] == 750.0
    assert row["rapl", "disk_read", ""] == 400


@pytest.mark.parametrize("away, seen", [(20, 30.0), (75, 10.0)])
def test_time_without_an_agent_is_covered_up_to_max_gap_and_a_gap_beyond(away: int, seen: float) -> None:
    """Or a model of the load would invent energy for the time that nobody looked."""
    options = SamplerOptions(sources={"fake": {"enabled": True}})
    before, after = Sampler(Path("/"), options), Sampler(Path("/"), options)
    before.sample(at(0))
    before.sample(at(10))
    after.restore(json.loads(json.dumps(before.state())))
    after.sample(at(10 + away))
    row = named(after, after.sample(at(20 + away)))
    assert row["load", "covered", ""] == pytest.approx(seen)
    assert row["load", "cpu_capacity", ""] == pytest.approx(seen * row["load", "cpus", ""])
    assert row["fake", "covered", "wall"] == pytest.approx(seen)


def test_a_state_of_another_boot_is_left_alone(only: Callable[..., None]) -> None:
    only(rapl=reads((PACKAGE,), [10**9], [10**8]))
    sampler = Sampler(Path("/"), SamplerOptions())
    sampler.restore({"boot_id": "another", "meters": {"rapl": {"zone": [[5, 0, 0, 0]]}}})
    row = named(sampler, sampler.sample(at(100)))
    assert (row["rapl", "energy", "package-0"], row["rapl", "restarts", ""]) == (0.0, 0)


def test_the_same_column_from_two_sources_is_sent_once(only: Callable[..., None]) -> None:
    only(another=reads((Gauge("cpus", "1", source="load"),), [4.0]), load=reads((Gauge("cpus", "1"),), [2.0]))
    sampler = Sampler(Path("/"), SamplerOptions())
    row = sampler.sample(at(0))
    columns = [c for c in sampler.schema.groups[0].columns if c.quantity == "cpus"]
    assert len(row) == sampler.schema.width
    assert [c.source for c in columns] == ["load"]


def test_what_only_the_caller_knows_is_sent_as_told(only: Callable[..., None]) -> None:
    only(rapl=reads((PACKAGE,), [0]))
    sampler = Sampler(Path("/"), SamplerOptions())
    sampler.own = {"spool_rows": 7.0, "spool_bytes": 4096.0, "rows": 12.0, "lost_resolution": 30.0}
    row = named(sampler, sampler.sample(at(0)))
    assert [row["agent", k, ""] for k in sampler.own] == [7.0, 4096.0, 12.0, 30.0]
    assert row["agent", "rss", ""] > 2**20
    assert row["agent", "read_seconds", "rapl"] > 0


@pytest.mark.parametrize(
    "interval,max_gap,gap", [(10.0, None, 30.0), (1.0, None, 30.0), (60.0, None, 180.0), (10.0, 45.0, 45.0)]
)
def test_max_gap_is_three_intervals_and_at_least_30_s(interval: float, max_gap: float | None, gap: float) -> None:
    assert SamplerOptions(interval=interval, max_gap=max_gap).gap == gap


def test_a_made_up_machine_reads_nothing_real() -> None:
    asked = {"fake": {"enabled": True}, "load": {"enabled": True}}
    assert SamplerOptions(sources=asked).enabled() == ["fake"]
    assert "fake" not in SamplerOptions().enabled()
    assert "load" not in SamplerOptions(sources={"load": {"enabled": False}}).enabled()


def test_the_file_dropped_in_is_the_registration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        tmp_path,
        {
            "plug.py": '"""A plug."""\n'
            "from thinwatt_agent.sources import Power, Read\n"
            "def probe(root, options):\n"
            '    return Read((Power("p", "plug", 9e9, "wall", "measured"),), lambda now: [5.0])\n'
        },
    )
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path)])
    assert "plug" in sources.names()
    sampler = Sampler(tmp_path, SamplerOptions())
    sampler.sample(at(0))
    row = named(sampler, sampler.sample(at(10)))
    assert row["plug", "energy", "plug"] == 50.0
    monkeypatch.delitem(sys.modules, "thinwatt_agent.sources.plug")


def test_every_source_of_this_machine_can_be_read_and_costs_are_counted() -> None:
    sampler = Sampler(Path("/"), SamplerOptions())
    now = Instant(5 * SECOND, 5 * SECOND, 10**18, "b")
    row = named(sampler, sampler.sample(now))
    assert not [s.name for s in sampler.sources if s.off]
    assert row["load", "cpus", ""] >= 1
    assert row["load", "memory_size", ""] > row["load", "memory", ""] > 0
