"""Recordings that are wrong in every way that was thought of: each is counted by what is good in it, or refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from tests.agent.recording import RAPL_RANGE, SECOND, at, clock, record, write, zone
from thinwatt_agent import replay

WATTS, STEP, BASE = 20, 10, 90_000_000_000
Files = dict[str, object]


def shows(state: int, watts: float = WATTS) -> int:
    return BASE + round(watts * STEP * 1e6) * state


def told(folder: Path) -> dict[str, Any]:
    """Replay, and check what holds of any recording whatever."""
    out, err = StringIO(), StringIO()
    assert replay.main(folder, True, None, out, err) == 0, err.getvalue()
    found: dict[str, Any] = json.loads(out.getvalue())
    assert replay.main(folder, False, None, StringIO(), err) == 0
    parts = [part for of in found["sources"].values() for part in of.values()]
    for part in [*parts, *([found["total"]] if found["total"] else [])]:
        assert math.isfinite(part["joules"])
        assert 0 <= part["covered"] <= found["elapsed"] + 1e-9
        assert part["covered"] + part["uncovered"] == pytest.approx(found["elapsed"], rel=1e-12)
        assert 0 <= part["joules"] <= 2000 * part["covered"] + 1e-6
    return found


def package(folder: Path) -> dict[str, Any]:
    part: dict[str, Any] = told(folder)["sources"]["rapl"]["package-0"]
    return part


ENERGY = "sys/class/powercap/intel-rapl:0/energy_uj"
HOSTILE: dict[str, Callable[[int], Files]] = {
    "empty": lambda _: {ENERGY: b""},
    "blank": lambda _: {ENERGY: b" \n\n"},
    "missing": lambda _: {ENERGY: None},
    "words": lambda _: {ENERGY: "unknown"},
    "zeros of bytes": lambda _: {ENERGY: b"\0" * 4096},
    "no text": lambda _: {ENERGY: bytes(range(256))},
    "negative": lambda _: {ENERGY: -5},
    "huge": lambda _: {ENERGY: 2**64 - 1},
    "huger": lambda _: {ENERGY: "9" * 4000},
    "a fraction": lambda i: {ENERGY: f"{shows(i)}.5"},
    "an exponent": lambda _: {ENERGY: "9e10"},
    "two lines": lambda i: {ENERGY: f"{shows(i)}\n{shows(i)}"},
    "signed": lambda i: {ENERGY: f"+{shows(i)}"},
    "other digits": lambda _: {ENERGY: "٩٠٢".encode()},
    "torn": lambda i: {ENERGY: str(shows(i))[:4]},
    "the head of it": lambda i: {ENERGY: str(shows(i))[:-1]},
    "another's digits behind": lambda i: {ENERGY: f"{shows(i)}7"},
    "a megabyte": lambda i: {ENERGY: f"{shows(i)}" + " " * (1 << 20) + "1"},
    "a folder": lambda _: {ENERGY: None, f"{ENERGY}/0": ""},
    "zero": lambda _: {ENERGY: 0},
    "without its name": lambda i: {"sys/class/powercap/intel-rapl:0/name": None},
    "with an empty name": lambda i: {"sys/class/powercap/intel-rapl:0/name": b""},
    "with another name": lambda i: {"sys/class/powercap/intel-rapl:0/name": "package-7"},
    "with a name of bytes": lambda i: {"sys/class/powercap/intel-rapl:0/name": b"package-0\xff"},
    "named like a path": lambda i: {"sys/class/powercap/intel-rapl:0/name": "../../package-0"},
}


@pytest.mark.parametrize("wrong", HOSTILE)
def test_one_wrong_state_costs_at_most_its_own_interval_of_the_total(wrong: str, tmp_path: Path) -> None:
    """The part whose reading was wrong goes on from its last good one; one that came up under its name is no part."""
    record(
        tmp_path,
        ((at(5000 + STEP * i), zone("package-0", shows(i)) | (HOSTILE[wrong](i) if i == 3 else {})) for i in range(8)),
    )
    found = told(tmp_path)
    part = found["sources"]["rapl"]["package-0"]
    assert (part["joules"], part["covered"]) == (1400.0, 70.0)
    assert {e["state"] for e in part["events"]} == {3}
    assert found["total"]["joules"] in (1400.0, 1000.0)


RANGE = "sys/class/powercap/intel-rapl:0/max_energy_range_uj"


@pytest.mark.parametrize("range_", [0, -1, 1, 2**70, "", "all", b"\xff", None])
def test_a_range_that_is_none_wraps_nothing_and_breaks_nothing(range_: object, tmp_path: Path) -> None:
    record(tmp_path, ((at(5000 + STEP * i), zone("package-0", shows(i), range_)) for i in range(4)))
    part = package(tmp_path)
    assert (part["joules"], part["covered"], part["events"]) == (600.0, 30.0, [])


@pytest.mark.parametrize("range_", [0, "", b"\xff", None, 26_214_332, "2621433288500"])
def test_a_range_that_is_torn_once_loses_no_wrap(range_: object, tmp_path: Path) -> None:
    start = RAPL_RANGE - 500_000_000
    values = [(start + 200_000_000 * i) % RAPL_RANGE for i in range(8)]
    record(
        tmp_path,
        ((at(5000 + STEP * i), zone("package-0", v, range_ if i == 5 else RAPL_RANGE)) for i, v in enumerate(values)),
    )
    part = package(tmp_path)
    assert (part["joules"], part["covered"]) == (1400.0, 70.0)


@pytest.mark.parametrize("limit", [0, -1, 1, 2**63, "none", b"\xff"])
def test_a_limit_that_is_none_is_not_believed(limit: object, tmp_path: Path) -> None:
    place = "sys/class/powercap/intel-rapl:0/constraint_0_max_power_uw"
    record(tmp_path, ((at(5000 + STEP * i), zone("package-0", shows(i)) | {place: limit}) for i in range(4)))
    assert package(tmp_path)["joules"] == 600.0


def clocks(folder: Path, *instants: tuple[float, float, str]) -> Path:
    """A recording whose registers count true boottime: (boottime, true time, boot)."""
    for number, (boottime, true, boot) in enumerate(instants):
        write(
            clock(folder / str(number), at(boottime, boot=boot, utc=1e9 + true)),
            zone("package-0", shows(0) + round(true * WATTS * 1e6)),
        )
    return folder


def test_the_same_clock_twice_counts_once(tmp_path: Path) -> None:
    part = package(clocks(tmp_path, (0, 0, "a"), (10, 10, "a"), (10, 10, "a"), (20, 20, "a"), (20, 20, "a")))
    assert (part["joules"], part["covered"]) == (400.0, 20.0)


def test_the_same_clock_twice_with_another_reading_waits_for_the_next(tmp_path: Path) -> None:
    clocks(tmp_path, (0, 0, "a"), (10, 10, "a"), (10, 10, "a"), (20, 20, "a"))
    write(tmp_path / "2", zone("package-0", shows(0) + 10**9))
    assert package(tmp_path)["joules"] == 400.0


def test_a_clock_that_goes_back_is_another_boot(tmp_path: Path) -> None:
    part = package(clocks(tmp_path, (0, 0, "a"), (10, 10, "a"), (5, 20, "a"), (15, 30, "a"), (25, 40, "a")))
    assert (part["joules"], part["covered"], part["uncovered"]) == (600.0, 30.0, 10.0)
    assert part["events"] == [{"event": "restart", "state": 2}]


def test_a_boot_that_changes_and_changes_back_counts_within_each(tmp_path: Path) -> None:
    part = package(
        clocks(tmp_path, (0, 0, "a"), (10, 10, "a"), (3, 20, "b"), (13, 30, "b"), (40, 40, "a"), (50, 50, "a"))
    )
    assert (part["joules"], part["covered"]) == (600.0, 30.0)
    assert [e["event"] for e in part["events"]] == ["restart", "restart"]


def test_a_boot_that_changes_at_every_state_counts_nothing(tmp_path: Path) -> None:
    part = package(clocks(tmp_path, *((10.0 * i, 10.0 * i, f"boot {i}") for i in range(5))))
    assert (part["joules"], part["covered"], part["uncovered"]) == (0.0, 0.0, 40.0)


def test_time_that_does_not_pass_covers_nothing(tmp_path: Path) -> None:
    part = package(clocks(tmp_path, *((0.0, float(i), "a") for i in range(5))))
    assert (part["joules"], part["covered"], part["uncovered"]) == (0.0, 0.0, 0.0)


def test_a_nanosecond_holds_no_joule(tmp_path: Path) -> None:
    instants = [at(5000), at(5000 + 1 / SECOND), at(5010), at(5020)]
    values = [shows(0), shows(0) + 10**6, shows(1), shows(2)]
    record(tmp_path, zip(instants, (zone("package-0", v) for v in values), strict=True))
    assert package(tmp_path)["joules"] == 400.0


def test_a_register_that_shows_two_machines_in_turn_counts_neither(tmp_path: Path) -> None:
    values = [shows(i) if i % 2 else 30_000_000_000 + 10**8 * i for i in range(12)]
    record(tmp_path, ((at(5000 + STEP * i), zone("package-0", v)) for i, v in enumerate(values)))
    part = package(tmp_path)
    assert part["joules"] <= WATTS * STEP * 11


def test_a_recording_in_which_all_is_away_but_once_counts_nothing(tmp_path: Path) -> None:
    record(tmp_path, ((at(5000 + STEP * i), zone("package-0", shows(i)) if i == 2 else {}) for i in range(6)))
    part = package(tmp_path)
    assert (part["joules"], part["covered"], part["uncovered"]) == (0.0, 0.0, 50.0)


def test_a_thousand_zones_of_one_name_count_once_at_most(tmp_path: Path) -> None:
    def crowd(i: int) -> Files:
        found: Files = {}
        for n in range(60):
            found |= zone("package-0", shows(i), id_=f"intel-rapl:{n}")
        return found

    record(tmp_path, ((at(5000 + STEP * i), crowd(i)) for i in range(4)))
    found = told(tmp_path)
    assert len(found["sources"]["rapl"]) == 60
    assert found["total"]["joules"] == 600.0


@pytest.mark.parametrize(
    "name", ["psys-99999999999999999999", "package-00", "package-0-die-", "dram", "CORE", "psys\n"]
)
def test_a_zone_of_no_known_name_is_read_and_left_out_of_the_total(name: str, tmp_path: Path) -> None:
    def machine(i: int) -> Files:
        return zone("package-0", shows(i)) | zone(name, shows(i), id_="intel-rapl:4")

    record(tmp_path, ((at(5000 + STEP * i), machine(i)) for i in range(4)))
    assert told(tmp_path)["total"]["joules"] <= 1200.0
