"""Everything that the OpenAPI document allows, and what it does not, asked by schemathesis."""

from __future__ import annotations

from collections import Counter
from typing import Any, TypeAlias

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

from tests.collector.serve.api.conftest import Api

Case: TypeAlias = schemathesis.Case[Any]
pytestmark = pytest.mark.slow
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.mark.parametrize("role", ["public", "technical"])
@pytest.mark.parametrize("path", ["/fleet", "/energy", "/coverage", "/agents", "/export"])
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
