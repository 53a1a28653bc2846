"""A cloned key: two boots under one name that are both alive. A reboot is none."""

from __future__ import annotations

from thinwatt_collector.identity import Conflicts

MINUTE = 60_000_000_000


def heard(*contacts: tuple[int, bytes], at: int | None = None) -> list[str]:
    conflicts = Conflicts()
    for minute, boot in contacts:
        conflicts.hear("a", boot, minute * MINUTE)
    return conflicts.now() if at is None else conflicts.now(at * MINUTE)


def test_one_machine_is_no_conflict_however_often_it_boots() -> None:
    assert heard((0, b"1"), (1, b"1"), (2, b"2"), (3, b"2"), (4, b"3")) == []


def test_an_older_boot_heard_again_after_a_newer_one_is_a_clone() -> None:
    assert heard((0, b"1"), (1, b"2"), (2, b"1")) == ["a"]


def test_three_machines_under_one_name_are_found_too() -> None:
    assert heard((0, b"1"), (1, b"2"), (2, b"3"), (3, b"2")) == ["a"]


def test_the_alarm_ends_five_minutes_after_one_of_them_falls_silent() -> None:
    clones = ((0, b"1"), (1, b"2"), (2, b"1"))
    assert heard(*clones, (5, b"1"), (6, b"1")) == ["a"]
    assert heard(*clones, (5, b"1"), (7, b"1")) == []


def test_the_alarm_ends_as_well_when_both_fall_silent() -> None:
    clones = ((0, b"1"), (1, b"2"), (2, b"1"))
    assert heard(*clones, at=6) == ["a"]
    assert heard(*clones, at=7) == []
    assert heard(*clones, at=60) == []


def test_names_are_apart() -> None:
    conflicts = Conflicts()
    for minute, agent, boot in ((0, "a", b"1"), (1, "b", b"2"), (2, "a", b"1"), (3, "b", b"2")):
        conflicts.hear(agent, boot, minute * MINUTE)
    assert conflicts.now() == []
