"""Whose request it is: a token's role, or that of nobody."""

from __future__ import annotations

from typing import Final, Literal

from starlette.requests import Request

from thinwatt_collector.serve.api.privacy import Role, sees_all
from thinwatt_collector.serve.api.problems import ProblemError
from thinwatt_collector.serve.api.tokens import Tokens

Anonymous = Literal["public", "refuse"]
HEADER: Final = "x-thinwatt-token"
"""For a token beside a password of the web-config file, which takes ``Authorization``."""
CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="thinwatt"'}


class Access:
    """Decides the role of a request.

    Args:
        tokens: who is known.
        anonymous: what a request without a token is: ``public``, or refused.
    """

    def __init__(self, tokens: Tokens, anonymous: Anonymous) -> None:
        self._tokens, self._anonymous = tokens, anonymous

    def role(self, request: Request) -> Role:
        """Return the role of a request.

        Raises:
            ProblemError: 401; the token is not known, or there is none and one is needed.
        """
        shown = _token(request)
        if shown is None:
            if self._anonymous == "refuse":
                raise ProblemError(
                    401,
                    "a token is needed here",
                    remedy="send it as Authorization: Bearer TOKEN; thinwatt-collector api-token makes one",
                    headers=CHALLENGE,
                )
            return "public"
        found = self._tokens.find(shown)
        if found is None:
            raise ProblemError(
                401,
                "the token is not known",
                remedy="ask for a new one (thinwatt-collector api-token makes it); public figures need none",
                headers=CHALLENGE,
            )
        return found.role

    def proves(self, request: Request) -> bool:
        """Return whether a request shows a token that sees all; without one it does not, whatever ``anonymous`` is.

        Raises:
            ProblemError: 401; the token is not known: a scraper with a slip in it must not take less for all.
        """
        return _token(request) is not None and sees_all(self.role(request))


class Owner(Access):
    """Whoever may open the socket owns the ledger, and sees all that is in it."""

    def __init__(self) -> None:
        super().__init__(Tokens(None), "public")

    def role(self, request: Request) -> Role:  # noqa: ARG002  # the form of all of them
        """Return the role of the owner."""
        return "admin"


def _token(request: Request) -> str | None:
    """Return the token that a request shows; a password is none."""
    own = request.headers.get(HEADER)
    if own is not None:
        return own.strip()
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else None
