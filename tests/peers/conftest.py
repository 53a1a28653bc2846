"""Real servers and programs: a missing one skips the test here and fails it where ``CI=true``."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, sync_playwright

from hatch_build import UnreachableError, fetch
from tests.collector.serve.api.conftest import SOURCES, Campus, Shelf, application, served
from thinwatt_collector.book import in_both
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger

HERE = Path(__file__).parent

# Program → Debian package that brings it: those that .ci/peers installs.
PACKAGES = {"prometheus": "prometheus", "promtool": "prometheus", "chromium": "chromium"}

ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
AXE = "4.14.1", "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="

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


@pytest.fixture(scope="module")
def axe(request: pytest.FixtureRequest) -> str:
    """The source of axe-core, kept in pytest's cache."""
    folder = Path(request.config.cache.mkdir("axe-core"))
    try:
        fetch("axe-core", *AXE, ["axe.min.js"], folder)
    except UnreachableError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    return (folder / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Two hosts and six PCs that are real, and a host that is made up: three days up to now."""
    folder = tmp_path_factory.mktemp("page")
    ledger = DuckDBLedger(folder / "ledger.duckdb")
    for number, name, basis in SOURCES:
        ledger._connection.execute("INSERT INTO source VALUES (?, ?, '', 'wall', ?)", [number, name, basis])
    event = [
        time.time_ns(),
        "restated",
        "carbon",
        in_both("Carbone recalculé de −5,8 kg.\nLe détail.", "Restated.\nMore."),
    ]
    ledger._connection.execute("INSERT INTO event VALUES (?, ?, ?, ?)", event)
    campus = Campus(ledger)
    now = int(time.time())
    slots = range(now // 900 - 3 * 96, now // 900, 4)
    for n in range(2):
        campus.energy(campus.device(f"host-{n}", "host", "R650"), slots, 180_000.0, source=0)
    campus.energy(campus.device("host-x", "host", "R650", simulated=True), slots, 7_200_000.0, source=0)
    for n in range(6):
        campus.energy(campus.device(f"pc-{n}", "desktop", "OptiPlex"), slots, 18_000.0, bias=900.0)
    with served(application(Shelf(ledger), folder / "tokens.toml", "public", [now])) as found:
        yield found
    ledger.close()


@pytest.fixture(scope="module")
def browser(peer: Peer) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=peer("chromium"), args=ARGUMENTS)
        yield found
        found.close()


@pytest.fixture
def said() -> list[str]:
    """What the console said, and the hosts asked that are not ours."""
    return []
