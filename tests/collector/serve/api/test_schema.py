"""Everything that the OpenAPI document allows, and what it does not, asked by schemathesis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.collector.serve.api.conftest import NOW, Api, Campus, Shelf, application, served
from thinwatt_collector.inventory.files import parse_toml
from thinwatt_collector.inventory.places import Places
from thinwatt_collector.inventory.tables import records
from thinwatt_collector.inventory.watched import Standing
from thinwatt_collector.serve.api.tokens import make

Case: TypeAlias = schemathesis.Case[Any]
pytestmark = pytest.mark.slow
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


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
def api(small: Campus, tmp_path: Path) -> Iterator[Api]:
    """With an inventory."""
    tokens, now = tmp_path / "tokens.toml", [NOW]
    token, books = make(tokens, "dsi", "technical"), Shelf(small.ledger)
    inventory, _ = records(parse_toml(INVENTORY.encode(), "campus.toml")[0])
    standing = Standing(inventory, Places(inventory, ZoneInfo("Europe/Paris")), 1)
    with served(application(books, tokens, "public", now, lambda: standing)) as client:
        yield Api(client, books, tokens, {"Authorization": f"Bearer {token}"}, now)


@pytest.mark.parametrize("role", ["public", "technical"])
@pytest.mark.parametrize("path", ["/fleet", "/energy", "/coverage", "/agents", "/export", "/estimate", "/me"])
def test_the_api_is_what_its_document_says(api: Api, path: str, role: str) -> None:
    base = str(api.client.base_url).rstrip("/")
    schema = schemathesis.openapi.from_dict(api.client.get("/api/v1/openapi.json").json())
    token = api.technical["Authorization"] if role == "technical" else None
    answered: Counter[int] = Counter()

    @settings(max_examples=60, suppress_health_check=list(HealthCheck))
    @given(case=schema[path]["GET"].as_strategy())
    def ask(case: Case) -> None:
        answer = case.call(base_url=f"{base}/api/v1", headers={"Authorization": token} if token else None)
        answered[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)

    ask()
    refused = path == "/agents" and role == "public"
    assert answered[403 if refused else 200], f"nothing was asked that makes sense: {answered}"
    assert 404 not in answered
