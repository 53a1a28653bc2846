"""Real servers and programs: a missing one skips the test here and fails it where ``CI=true``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent

# Program → Debian package that brings it: those that .ci/peers installs.
PACKAGES = {"prometheus": "prometheus", "promtool": "prometheus", "chromium": "chromium"}

Peer = Callable[[str], str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("peer")


@pytest.fixture(scope="session")
def peer() -> Peer:
    """Return the path of a program of the operating system: ``peer("prometheus")``."""

    def find(program: str) -> str:
        # Debian puts some servers where a plain user's PATH does not look.
        path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if path is not None:
            return path
        remedy = f"{program} is not installed: make peers (or apt-get install {PACKAGES[program]})"
        if os.environ.get("CI") == "true":
            pytest.fail(remedy)
        pytest.skip(remedy)

    return find
