"""What no tracked file may hold, and how long one may get."""

from __future__ import annotations

import re
from pathlib import Path

TEXT = {".py", ".md", ".toml", ".csv", ".sql", ".lock", ".svg", ".html", ".css", ".js", ".yml", ".yaml", ".json", ""}
# Where packages come from is a site's business: a mirror, a proxy, a disk.
# The brackets keep a pattern from finding itself.
ADDRESSES = re.compile(r"[-]-(extra-)?index-url|[-]-find-links|[-]-registry\b|\bdeb(-src)? (\[\S+\] )?http|inde[x]_url")
MACHINE = re.compile(r"(?<![\w.])[/]work/|[.][.]/share[d]|[/]root/[.]|(?<![\w.])[/]opt/\w|/tmp/[c]ontracts")
NOT_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
LINES = 450
# Longer than that for a reason that stands here.
LONG = {
    "tests/agent/test_run.py": "every scenario of one agent process over the same stand-in collector",
    "tests/agent/test_sequence.py": "one model of agent, network and collector, and its variants",
    "tests/collector/serve/api/test_privacy.py": "one proof of law 7 over one made-up campus",
    "collector/thinwatt_collector/catalogue.py": "every metric of the exposition, in one table",
    "tests/agent/test_spool.py": "every failure of one spool over the same faulty disks",
}


def texts(tracked: list[Path]) -> list[tuple[Path, str]]:
    return [(p, p.read_text(encoding="utf-8", errors="replace")) for p in tracked if p.suffix in TEXT]


def test_no_file_names_a_registry_or_a_place_of_the_machine_it_was_written_on(tracked: list[Path]) -> None:
    for path, text in texts(tracked):
        for number, line in enumerate(text.splitlines(), 1):
            assert not ADDRESSES.search(line), f"{path}:{number} holds the address of a package registry"
            assert not MACHINE.search(line), f"{path}:{number} holds a path of one machine: {line.strip()}"


def test_no_file_is_longer_than_one_can_keep_in_mind(tracked: list[Path], root: Path) -> None:
    lengths = {
        str(path.relative_to(root)): len(path.read_text(encoding="utf-8").splitlines())
        for path in tracked
        if path.suffix == ".py"
    }
    long = {name: lines for name, lines in lengths.items() if lines > LINES and name not in LONG}
    assert long == {}, "is each of them one thing? If it is, give LONG its reason"


def test_every_long_file_is_still_long(root: Path) -> None:
    for name in LONG:
        assert len((root / name).read_text(encoding="utf-8").splitlines()) > LINES, f"take {name} out of LONG"


def test_every_file_is_named_for_what_it_holds(tracked: list[Path]) -> None:
    for path in tracked:
        assert path.stem not in NOT_NAMES, f"{path}: say what it is"


def test_an_exception_from_a_check_carries_its_reason_on_the_line(tracked: list[Path], root: Path) -> None:
    bare = re.compile(r"#\s*(?:noqa: [A-Z0-9, ]+|type: ignore\[[\w, -]+\]|pragma: no cover)\s*$", re.MULTILINE)
    found = {
        str(path.relative_to(root)): lines
        for path in tracked
        if path.suffix == ".py" and (lines := bare.findall(path.read_text(encoding="utf-8")))
    }
    assert found == {}, "say behind each exception why it stands"
