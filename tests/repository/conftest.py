"""The repository's own promises: what stands in it, who imports whom, what a stranger is told to type."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Every file that git tracks, and those that a next commit could bring; outside a clone, every file."""
    git = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    found = subprocess.run(git, check=False, capture_output=True, text=True)
    if found.returncode != 0:
        pytest.skip("no git here: this promise is about what is tracked")
    return [path for name in found.stdout.split("\0") if name and (path := ROOT / name).is_file()]
