"""Everything that the OpenAPI document allows, and what it does not, asked by schemathesis with all that it checks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.collector.serve.api.conftest import NOW, Api, Campus, Shelf, application, served
from thinwatt_collector.inventory.files import parse_toml
from thinwatt_collector.inventory.places import Places
from thinwatt_collector.inventory.tables import records
from thinwatt_collector.inventory.watched import Standing
from thinwatt_collector.serve.api import calendar
from thinwatt_collector.serve.api.question import MOMENT, moment
from thinwatt_collector.serve.api.tokens import make

ROOT = Path(__file__).parents[4]
PARIS = ZoneInfo("Europe/Paris")
INVENTORY = """
[[rooms]]
name = "B1"
building = "B"
[[hosts]]
name = "host-0"
room = "B1"
[[devices]]
name = "pc-0"
class = "desktop"
room = "B1"
[[devices]]
name = "thin clients"
class = "thin_client"
count = 30
agent = "none"
"""


@pytest.fixture
def api(small: Campus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """With an inventory, in a world of three time zones: each of six hundred would be asked for."""
    monkeypatch.setattr(calendar, "zones", lambda: frozenset(["Europe/Paris", "Asia/Kolkata", "UTC"]))
    tokens, now = tmp_path / "tokens.toml", [NOW]
    token, books = make(tokens, "dsi", "technical"), Shelf(small.ledger)
    inventory, _ = records(parse_toml(INVENTORY.encode(), "campus.toml")[0])
    standing = Standing(inventory, Places(inventory, PARIS), 1)
    with served(application(books, tokens, "public", now, lambda: standing)) as client:
        yield Api(client, books, tokens, {"Authorization": f"Bearer {token}"}, now)


@pytest.mark.slow
@pytest.mark.parametrize("role", ["public", "technical"])
def test_the_api_is_what_its_document_says(api: Api, role: str) -> None:
    """All paths and phases, with all checks that are on by themselves; HYPOTHESIS_PROFILE=fuzz asks for more."""
    address = str(api.client.base_url).rstrip("/") + "/api/v1/openapi.json"
    token = api.technical["Authorization"] if role == "technical" else ""
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "--config-file",
        str(ROOT / "schemathesis.toml"),
        "run",
        address,
    ]
    command += ["--max-examples", str(settings().max_examples // 5), "--continue-on-failure", "--no-color"]
    command += ["-H", f"Authorization: {token}"] if token else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    paths = len(api.client.get("/api/v1/openapi.json").json()["paths"])
    assert f"Tested: {paths}" in done.stdout
    passed = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert passed, done.stdout
    assert passed[1] == passed[2]
    assert int(passed[1]) > 30 * paths


def test_every_answer_is_described(api: Api) -> None:
    document = api.client.get("/api/v1/openapi.json").json()
    for path, operations in document["paths"].items():
        content = operations["get"]["responses"]["200"]["content"]
        assert path == "/export" or content["application/json"]["schema"]["$ref"], path
    assert '"null"' not in json.dumps([path["get"].get("parameters") for path in document["paths"].values()])


@pytest.mark.parametrize(
    "text", ["2024-02-29", "2000-02-29T23:59:59.123456789+23:59", "2099-12-31T23:59-23:59", "1970-01-01T00:00+23:59"]
)
def test_a_time_that_its_pattern_allows_is_one(text: str) -> None:
    assert re.fullmatch(MOMENT, text)
    assert 0 <= moment("begin", text, PARIS) <= 4_102_444_800


@pytest.mark.parametrize(
    "text",
    [
        "2023-02-29",
        "2100-02-29",
        "2026-04-31",
        "2026-13-01",
        "2026-01-01T24:00",
        "1969-12-31",
        "2100-01-01",
        "٢٠٢٦-01-01",
    ],
)
def test_a_time_that_is_none_is_none_by_its_pattern(text: str) -> None:
    assert not re.fullmatch(MOMENT, text)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2099, 12, 31)), st.booleans(), st.timezones() | st.none())  # noqa: DTZ001  # by no clocks yet
def test_every_time_that_is_one_is_one_by_its_pattern(at: datetime, day: bool, zone: tzinfo | None) -> None:
    text = at.date().isoformat() if day else at.replace(tzinfo=zone).isoformat()
    assume(len(text) < 33)  # an offset with seconds, of the time before railways
    assert re.fullmatch(MOMENT, text)
    assert 0 <= moment("begin", text, PARIS) <= 4_102_444_800
