"""The documents: links lead somewhere, commands exist, both languages tell the same, what code makes is up to date."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from thinwatt_collector.catalogue import CATALOGUE

FENCE = re.compile(r"^ *```(?P<language>\w*)\n(?P<body>.*?)^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!`)!?\[[^\]]*\]\((?P<target>[^)\s]+)\)|(?:src|srcset|href)=\"(?P<attribute>[^\"]+)\"")


def pages(tracked: list[Path]) -> list[Path]:
    return [path for path in tracked if path.suffix == ".md"]


def slug(heading: str) -> str:
    """Return the anchor that a heading gets on the forges."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_every_link_leads_to_a_file_and_a_heading(tracked: list[Path]) -> None:
    for page in pages(tracked):
        for match in LINK.finditer(FENCE.sub("", page.read_text(encoding="utf-8"))):
            target = match["target"] or match["attribute"]
            if "://" in target or target.startswith("mailto:"):
                continue
            name, _, anchor = target.partition("#")
            file = (page.parent / name).resolve() if name else page
            assert file.exists(), f"{page}: {target} leads nowhere"
            if anchor:
                headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
                assert anchor in map(slug, headings), f"{page}: no heading for {target}"


def commands(page: Path) -> list[list[str]]:
    """Every command in the fenced `sh` blocks of a page, comments left out."""
    found = []
    for match in FENCE.finditer(page.read_text(encoding="utf-8")):
        if match["language"] == "sh":
            lines = match["body"].splitlines()
            found += [words for line in lines if (words := shlex.split(line, comments=True))]
    return found


@pytest.fixture(scope="module")
def targets(root: Path) -> set[str]:
    """What `make help` lists."""
    printed = subprocess.run(["make", "-C", str(root), "help"], check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"^ +make (\w+)", printed, re.MULTILINE))


def test_make_help_lists_every_target(root: Path, targets: set[str]) -> None:
    assert targets >= {"help", "demo", "test", "check", "bench", "golden", "fuzz", "clean"}
    phony = re.search(r"^\.PHONY: (.+)$", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) - {"venv"} == targets


@pytest.mark.parametrize("name", ["README.md", "README.fr.md", "CONTRIBUTING.md"])
def test_every_command_of_a_page_exists(root: Path, targets: set[str], name: str) -> None:
    found = commands(root / name)
    assert found
    for words in found:
        name = words[0].removeprefix(".venv/bin/")
        if name == "make":
            assert {w for w in words[1:] if "=" not in w and not w.startswith("-")} <= targets, words
        elif name in {"thinwatt-agent", "thinwatt-collector"}:
            assert help_of(name, words[1]), f"{name} has no command {words[1]}"
        else:
            assert name in {"pip", "scp", "sudo", "touch"}, f"no test knows what {words} does"


def help_of(program: str, command: str) -> str:
    """Return what a command of ours says of itself."""
    python = [sys.executable, "-m", program.replace("-", "_")]
    return subprocess.run([*python, command, "--help"], check=True, capture_output=True, text=True).stdout


def test_the_readme_starts_with_two_commands(root: Path) -> None:
    assert commands(root / "README.md")[:2] == [["make", "demo"], ["make", "test"]]


@pytest.mark.parametrize("words", [["make", "help"], ["make", "-n", "test"], ["make", "-n", "demo"]])
def test_the_cheap_commands_run(root: Path, words: list[str]) -> None:
    subprocess.run([*words, "-C", str(root)], check=True, capture_output=True)


def test_both_languages_have_the_same_commands_and_pictures(root: Path) -> None:
    english, french = root / "README.md", root / "README.fr.md"
    assert commands(english) == commands(french)

    def shape(page: Path) -> list[int]:
        return [len(h) for h in re.findall(r"^(#+) ", page.read_text(encoding="utf-8"), re.MULTILINE)]

    def targets(page: Path) -> list[str]:
        found = [m["target"] or m["attribute"] for m in LINK.finditer(page.read_text(encoding="utf-8"))]
        return [t for t in found if not t.startswith("README") and not re.search(r"\.(fr|en)\.(svg|png)$", t)]

    assert shape(english) == shape(french)
    assert [t.split("#")[0] for t in targets(english)] == [t.split("#")[0] for t in targets(french)]


def test_the_page_of_metrics_is_the_one_that_the_catalogue_makes(root: Path) -> None:
    made = subprocess.run([sys.executable, "-m", "thinwatt_collector.catalogue"], check=True, capture_output=True)
    assert (root / "docs" / "metrics.md").read_bytes() == made.stdout, "run: make docs"


def test_every_metric_that_a_page_names_is_in_the_catalogue(root: Path, tracked: list[Path]) -> None:
    for page in pages(tracked):
        if "decisions" in page.parts or page.parent.name == "changelog.d":
            continue
        for name in re.findall(r"`(thinwatt_\w+)(?:\{[^}]*\})?`", page.read_text(encoding="utf-8")):
            assert name in CATALOGUE, f"{page} names {name}, which is no metric"


def test_every_change_has_a_fragment_of_the_changelog(root: Path) -> None:
    kinds = {"added", "changed", "fixed", "removed"}
    fragments = [p for p in (root / "changelog.d").glob("*.md") if p.name != "README.md"]
    for fragment in fragments:
        assert fragment.name.split("-")[0] in kinds, f"{fragment.name}: one of {sorted(kinds)}, a dash, a few words"
        assert fragment.read_text(encoding="utf-8").startswith("- "), f"{fragment}: a list item, as it will be printed"
    version = re.search(r'__version__ = "(.+)"', (root / "agent/thinwatt_agent/__init__.py").read_text())
    assert version is not None
    released = f"## {version[1]} " in (root / "CHANGELOG.md").read_text(encoding="utf-8")
    assert fragments or released, "a version that is not released yet has fragments in changelog.d/"


def test_every_decision_says_what_it_decided_and_why(root: Path) -> None:
    for page in (root / "docs" / "decisions").glob("*.md"):
        if page.name in {"README.md", "dependencies.md"}:
            continue
        text = page.read_text(encoding="utf-8")
        for heading in ("## Decision", "## Why", "## Instead of"):
            assert heading in text, f"{page.name} has no '{heading}'"
        assert len(text.split()) < 700, f"{page.name} is longer than a page"


def test_the_list_of_decisions_is_complete(root: Path) -> None:
    folder = root / "docs" / "decisions"
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", (folder / "README.md").read_text(encoding="utf-8")))
    assert listed == {page.name for page in folder.glob("*.md")} - {"README.md"}
