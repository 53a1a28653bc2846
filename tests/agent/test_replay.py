from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agent import traces
from tests.agent.recording import RAPL_RANGE, SECOND, at, record, write, zone
from tests.conftest import Golden
from thinwatt_agent import replay
from thinwatt_agent.__main__ import main
from thinwatt_agent.loop import SamplerOptions

ROOT = Path(__file__).parents[1]
CASES = sorted(p.parent for p in ROOT.glob("sources/*/*/0"))


def told(folder: Path, options: SamplerOptions | None = None) -> dict[str, Any]:
    out = StringIO()
    assert replay.main(folder, True, options, out) == 0
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def package(folder: Path, options: SamplerOptions | None = None) -> dict[str, Any]:
    part: dict[str, Any] = told(folder, options)["sources"]["rapl"]["package-0"]
    return part


@pytest.mark.parametrize("case", CASES, ids=[f"{p.parent.name}/{p.name}" for p in CASES])
def test_the_recorded_machine_is_counted_as_accepted(case: Path, golden: Golden) -> None:
    out = StringIO()
    assert replay.main(case, True, None, out) == 0
    golden(out.getvalue(), case / "expected.json")
    found = json.loads(out.getvalue())
    for parts in found["sources"].values():
        for part in parts.values():
            assert part["covered"] + part["uncovered"] == pytest.approx(found["elapsed"], rel=1e-12)


def test_people_read_the_same(golden: Golden) -> None:
    out = StringIO()
    for case in ("wrap-of-two-ranges", "bad-reads-of-one-socket", "gap-of-several-wraps", "psys-over-all"):
        assert replay.main(ROOT / "sources/rapl" / case, False, None, out) == 0
    golden(out.getvalue(), ROOT / "golden/replay/people.txt")


def trace_folder(folder: Path, trace: traces.Trace) -> Path:
    return record(folder, ((at(5000 + t), zone("package-0", v)) for t, v in trace))


@pytest.mark.parametrize("name", ["A", "B", "C", "D"])
def test_the_four_traces(name: str, tmp_path: Path, golden: Golden) -> None:
    made = {"A": traces.wraps(), "B": traces.restarts(), "C": traces.unreadable(), "D": traces.unread_for()}
    trace_folder(tmp_path, made[name])
    golden(json.dumps(told(tmp_path)["sources"], indent=2) + "\n", ROOT / f"golden/replay/trace-{name}.json")


@settings(max_examples=6)
@given(st.integers(1, 120), st.integers(2, 58), st.sampled_from([2.0, 5.0, 10.0, 15.0]), st.data())
def test_traces_of_the_same_kinds_with_other_numbers(power: int, when: int, dt: float, data: st.DataObject) -> None:
    import tempfile

    whole = 60 * dt * power
    start = RAPL_RANGE - data.draw(st.integers(1, round(whole * 1e6)))
    with tempfile.TemporaryDirectory() as name:
        part = package(trace_folder(Path(name) / "wrap", traces.wraps(power, start, dt)))
        assert part["joules"] == pytest.approx(whole, rel=1e-12)
        assert [e["event"] for e in part["events"]] == ["wrap"]
        part = package(trace_folder(Path(name) / "restart", traces.restarts(power, at=when, dt=dt)))
        assert part["joules"] == pytest.approx(whole - dt * power, rel=1e-12)
        assert part["events"] == [{"event": "restart", "state": when}]
        assert (part["covered"], part["uncovered"]) == (59 * dt, dt)


def test_states_are_taken_in_numeric_order_and_keep_their_numbers(tmp_path: Path) -> None:
    for number in range(7, 22):
        bad = "torn" if number == 11 else 10**9 + 200_000_000 * number
        now = at(5000 + 10 * number)
        record_one(tmp_path / f"{number:02}", now.boottime / SECOND, zone("package-0", bad))
    write(tmp_path, {"README.md": "not a state", "notes/1": "neither"})
    found = told(tmp_path)
    assert (found["states"], found["elapsed"]) == (15, 140.0)
    assert found["sources"]["rapl"]["package-0"]["joules"] == 2800.0
    assert found["sources"]["rapl"]["package-0"]["events"] == [{"event": "failed", "state": 11}]


def record_one(folder: Path, boottime: float, files: dict[str, object], utc: str = "1764000000") -> None:
    text = f'utc = {utc}\nmonotonic = {boottime}\nboottime = {boottime}\nboot_id = "b"'
    write(folder, {"clock.toml": text, **files})


@pytest.mark.parametrize(
    "utc", ["1764000000", "1764000000.0", '"2025-11-24T16:00:00Z"', "2025-11-24T16:00:00Z", "2025-11-24T17:00:00+01:00"]
)
def test_the_wall_clock_may_be_seconds_or_a_date(utc: str, tmp_path: Path) -> None:
    record_one(tmp_path, 5.0, {}, utc)
    assert replay.instant(tmp_path / "clock.toml").utc == 1_764_000_000 * SECOND


def test_clocks_keep_their_nanoseconds(tmp_path: Path) -> None:
    write(
        tmp_path, {"clock.toml": "utc = 1764000000.123456789\nboottime = 86400.000000001\nmonotonic = 3\nboot_id = 'b'"}
    )
    now = replay.instant(tmp_path / "clock.toml")
    assert (now.boottime, now.monotonic, now.utc) == (86_400_000_000_001, 3 * SECOND, 1_764_000_000_123_456_789)


CLOCK = {"utc": "1764000000", "monotonic": "5", "boottime": "5", "boot_id": '"b"'}


def refused(folder: Path, content: str | None) -> str:
    write(folder / "0", {"clock.toml": content, "proc/stat": ""})
    out, err = StringIO(), StringIO()
    assert replay.main(folder, True, None, out, err) == 2
    assert out.getvalue() == ""
    return err.getvalue().removesuffix("\n")


@pytest.mark.parametrize("content,named", [(None, "every state needs one"), ("boottime = ", "line 1")])
def test_a_clock_that_is_no_toml_is_named(content: str | None, named: str, tmp_path: Path) -> None:
    text = refused(tmp_path, content)
    assert text.startswith(f"{tmp_path}/0/clock.toml: ")
    assert named in text


@pytest.mark.parametrize("key", CLOCK)
def test_every_key_of_a_clock_is_needed_alike(key: str, tmp_path: Path) -> None:
    text = refused(tmp_path, "\n".join(f"{k} = {v}" for k, v in CLOCK.items() if k != key))
    assert text.startswith(f"{tmp_path}/0/clock.toml:1: {key}: it is missing; write {key} = ")


@pytest.mark.parametrize("key", CLOCK)
@pytest.mark.parametrize(
    "value", ["nan", "inf", "-inf", "true", "[]", "{}", '"yesterday"', '""', "-1", "1e300", "12:00:00", "2025-11-24"]
)
def test_a_wrong_value_of_a_clock_is_told_with_file_line_and_key(key: str, value: str, tmp_path: Path) -> None:
    if key == "boot_id" and value == '"yesterday"':
        value = "3"
    text = refused(tmp_path, "# clocks\n" + "\n".join(f"{k} = {v}" for k, v in (CLOCK | {key: value}).items()))
    assert text.startswith(f"{tmp_path}/0/clock.toml:{2 + list(CLOCK).index(key)}: {key}: ")
    assert "\n" not in text


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_a_folder_that_is_no_recording_is_named(folder: str, tmp_path: Path) -> None:
    err = StringIO()
    assert replay.main(tmp_path / folder, True, None, StringIO(), err) == 2
    assert str(tmp_path) in err.getvalue()


def test_a_recording_of_another_interval_says_which_option_to_give(tmp_path: Path) -> None:
    record(tmp_path, ((at(60 * i), zone("package-0", 10**9 * i)) for i in range(5)))
    found = told(tmp_path)
    assert found["sources"]["rapl"]["package-0"]["joules"] == 0
    assert "--interval 60" in found["notes"][0]
    assert package(tmp_path, SamplerOptions(interval=60))["joules"] == 4000.0
    assert package(tmp_path, SamplerOptions(max_gap=60))["joules"] == 4000.0


def test_a_machine_without_meters_is_no_error(tmp_path: Path) -> None:
    record(tmp_path, [(at(0), {}), (at(10), {})])
    found = told(tmp_path)
    assert (found["sources"], found["elapsed"]) == ({}, 10.0)


def test_the_command_takes_the_interval_and_the_gap_of_the_recording(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path, ((at(60 * i), zone("package-0", 10**9 * i)) for i in range(3)))
    counted = []
    for extra in ([], ["--interval", "60"], ["--max-gap", "60"]):
        assert main(["replay", str(tmp_path), "--json", *extra]) == 0
        counted.append(json.loads(capsys.readouterr().out)["sources"]["rapl"]["package-0"]["joules"])
    assert counted == [0.0, 2000.0, 2000.0]


@pytest.mark.parametrize("option", ["--interval", "--max-gap"])
@pytest.mark.parametrize("seconds", ["inf", "nan", "-1", "0", "1e9", "soon"])
def test_an_option_that_is_no_duration_is_refused_by_name(
    option: str, seconds: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["replay", str(tmp_path), f"{option}={seconds}"])
    assert f"argument {option}" in capsys.readouterr().err
