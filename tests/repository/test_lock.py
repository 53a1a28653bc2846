"""requirements.lock: every package pinned, every pin with hashes, no addresses, nothing that is not asked for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[^ ;]+)(?P<marker> ; [^\\]+)?")


@pytest.fixture(scope="module")
def pins(root: Path) -> dict[str, tuple[str, int]]:
    """Name → (version, number of hashes)."""
    found: dict[str, tuple[str, int]] = {}
    name = ""
    for line in (root / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        if match := PIN.match(line):
            name = match["name"]
            assert name not in found, f"{name} is pinned twice"
            found[name] = (match["version"], 0)
        else:
            assert re.fullmatch(r" {4}--hash=sha256:[0-9a-f]{64}( \\)?", line), line
            found[name] = (found[name][0], found[name][1] + 1)
    return found


def test_every_pin_has_hashes(pins: dict[str, tuple[str, int]]) -> None:
    assert pins
    assert [name for name, (_, hashes) in pins.items() if hashes == 0] == []


def test_no_address_stands_in_it(root: Path) -> None:
    text = (root / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"--(index|extra-index|find-links|trusted)", text)


def normal(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_whatever_pyproject_asks_for_is_pinned(root: Path, pins: dict[str, tuple[str, int]]) -> None:
    document = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    asked = [*document["project"]["dependencies"], *document["build-system"]["requires"]]
    for extra in document["project"]["optional-dependencies"].values():
        asked += extra
    for group in document["dependency-groups"].values():
        asked += [entry for entry in group if isinstance(entry, str)]
    assert sorted({normal(entry) for entry in asked} - set(pins)) == [], "run: make lock"


def test_each_dependency_has_its_reason(root: Path) -> None:
    document = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    page = (root / "docs" / "decisions" / "dependencies.md").read_text(encoding="utf-8")
    asked = [*document["project"]["dependencies"]]
    for extra in document["project"]["optional-dependencies"].values():
        asked += extra
    for group in document["dependency-groups"].values():
        asked += [entry for entry in group if isinstance(entry, str)]
    for entry in asked:
        assert f"`{normal(entry)}`" in page, f"docs/decisions/dependencies.md has no line on {normal(entry)}"
