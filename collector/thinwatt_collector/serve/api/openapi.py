"""The OpenAPI document: errors as they are, and no page of another host that would show it."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from thinwatt_collector.serve.api import problems

ABOUT: Final = """
What the ledger holds: energy in joules and kWh, greenhouse gases in kgCO2e, each with its 95 % interval.

Times are ISO 8601; buckets of days and months are by the clocks of `zone`. Figures of endpoints are of at least five
devices for the role `public`; `technical` and `admin` show a token: `Authorization: Bearer TOKEN`, or
`X-Thinwatt-Token: TOKEN` beside a password. Made-up devices of a demonstration are never added to real ones.
"""
_PROBLEM: Final = {problems.MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}}
RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"description": "what is asked can't be answered; the document says why", "content": _PROBLEM},
    503: {"description": "not now; `Retry-After` says when", "content": _PROBLEM},
}


def describe(app: FastAPI) -> None:
    """Have an application make its OpenAPI document with our errors in it."""

    def made() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title="thinwatt",
                version=app.version,
                description=ABOUT.strip(),
                routes=app.routes,
                servers=[{"url": "/api/v1"}],
            )
            parts = document.setdefault("components", {})
            parts.setdefault("schemas", {})["Problem"] = problems.SCHEMA
            parts["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer"},
                "token": {"type": "apiKey", "in": "header", "name": "X-Thinwatt-Token"},
            }
            document["security"] = [{}, {"bearer": []}, {"token": []}]
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = made  # type: ignore[method-assign]  # FastAPI's own way to change the document
