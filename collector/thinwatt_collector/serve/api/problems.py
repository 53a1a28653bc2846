"""Errors as RFC 9457 documents: which parameter is wrong, and what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.responses import Response

MEDIA: Final = "application/problem+json"
TITLES: Final = {
    400: "A parameter is wrong",
    401: "The token is not known",
    403: "The role does not see this",
    404: "There is no such page",
    405: "The method is not allowed",
    422: "The parameters do not go together",
    500: "A mistake of the collector's",
    503: "Not now",
}


class ProblemError(Exception):
    """What the asker can mend.

    Args:
        status: of HTTP.
        detail: what is wrong, in a sentence.
        parameter: that is wrong.
        remedy: what to do.
        headers: of the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        parameter: str | None = None,
        remedy: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.parameter, self.remedy = status, detail, parameter, remedy
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Return it as an answer."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": TITLES.get(self.status, "The request failed"),
            "status": self.status,
            "detail": self.detail,
        }
        if self.parameter is not None:
            document["parameter"] = self.parameter
        if self.remedy:
            document["remedy"] = self.remedy
        return Response(orjson.dumps(document), self.status, self.headers, MEDIA)


def wrong(parameter: str, detail: str, remedy: str) -> ProblemError:
    """Return the problem of a parameter that can't be used."""
    return ProblemError(400, f"{parameter}: {detail}", parameter, remedy)


def unfit(parameter: str, detail: str, remedy: str) -> ProblemError:
    """Return the problem of a parameter that is right by itself, but not beside the others or what the ledger has."""
    return ProblemError(422, f"{parameter}: {detail}", parameter, remedy)


SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "RFC 9457: what is wrong and what to do.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "parameter": {"type": "string", "description": "the parameter that is wrong"},
        "remedy": {"type": "string", "description": "what to write instead"},
    },
}
