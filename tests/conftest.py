"""What every test may use: golden files with one flag to accept, hypothesis profiles, pytest's options."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.postgresql import Server, programs

# A shared machine is slow at times: no deadline anywhere. `make fuzz` asks for the third profile.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
# A second Python tries that all of it works there; the laws are tried in full by the first.
settings.register_profile(
    "few", deadline=None, print_blob=True, max_examples=20, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("fuzz", deadline=None, print_blob=True, max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") == "true" else "here"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what came out over the golden files")


Golden = Callable[[str, Path], None]


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare a text with a golden file: ``golden(text, path)``; with ``--update-golden`` the file is written."""
    update = bool(request.config.getoption("--update-golden"))

    def compare(text: str, path: Path) -> None:
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        if not path.exists():
            pytest.fail(f"{path} is not there; look at the output and accept it with --update-golden:\n{text}")
        assert text == path.read_text(encoding="utf-8"), f"{path} differs; if that is meant: --update-golden"

    return compare


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server; mark tests that ask for it ``peer``."""
    if programs() is None:
        remedy = "PostgreSQL is not installed: make peers (or apt-get install postgresql)"
        if os.environ.get("CI") == "true":
            pytest.fail(remedy)
        pytest.skip(remedy)
    server = Server()
    yield server
    server.close()
