"""The OpenAPI document: errors as they are, and no page of another host that would show it."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from thinwatt_collector.serve.api import calendar, problems

ABOUT: Final = """
What the ledger holds: energy in joules and kWh, greenhouse gases in kgCO2e, each with its 95 % interval.

Times are ISO 8601; buckets of days and months are by the clocks of `zone`. Figures of endpoints are of at least five
devices for the role `public`; `technical` and `admin` show a token: `Authorization: Bearer TOKEN`, or
`X-Thinwatt-Token: TOKEN` beside a password. Made-up devices of a demonstration are never added to real ones.
"""
_PROBLEM: Final = {problems.MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_AGAIN: Final = {"description": "when to ask again [s]", "required": True, "schema": {"type": "integer"}}
_REFUSALS: Final[dict[int, dict[str, Any]]] = {
    400: {"description": "a parameter is wrong, or there is no such parameter"},
    401: {"description": "the token is not known, or one is needed"},
    403: {"description": "the role does not see this"},
    404: {"description": "there is no such thing here"},
    422: {"description": "parameters that are right, but not beside each other or what the ledger has"},
    503: {"description": "not now", "headers": {"Retry-After": _AGAIN}},
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what an endpoint may answer instead, beside a wrong parameter and a wrong token."""
    return {status: {**_REFUSALS[status], "content": _PROBLEM} for status in (400, 401, *statuses)}


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
            parts = document["components"]
            parts["schemas"]["Problem"] = problems.SCHEMA
            for theirs in ("HTTPValidationError", "ValidationError"):
                parts["schemas"].pop(theirs, None)
            parts["schemas"]["Zone"] = {"type": "string", "enum": sorted(calendar.zones())}
            for path in document["paths"].values():
                answered = path["get"]["responses"]
                if problems.MEDIA not in answered.get("422", {}).get("content", {problems.MEDIA: None}):
                    del answered["422"]  # FastAPI's own, which is never given
                for parameter in path["get"].get("parameters", ()):
                    parameter["schema"] = _written(parameter)
            parts["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer"},
                "token": {"type": "apiKey", "in": "header", "name": "X-Thinwatt-Token"},
            }
            document["security"] = [{}, {"bearer": []}, {"token": []}]
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = made  # type: ignore[method-assign]  # FastAPI's own way to change the document


def _written(parameter: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter: in an address there is no null, and a list of all zones stands there once."""
    if parameter["name"] == "zone":
        return {"$ref": "#/components/schemas/Zone"}
    schema = dict(parameter["schema"])
    for form in schema.pop("anyOf", ()):
        if form["type"] != "null":
            schema |= form | ({"items": form["items"] | schema.get("items", {})} if "items" in form else {})
    return schema
