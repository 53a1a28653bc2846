"""Pages: a cursor names the last row that was shown, so that rows which come meanwhile shift nothing."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

from thinwatt_collector.serve.api.problems import unfit


def cursor(asked: str, last: list[Any]) -> str:
    """Return the cursor behind a row.

    Args:
        asked: what tells the question from others.
        last: the row's key.
    """
    return base64.urlsafe_b64encode(orjson.dumps([asked, last])).decode().rstrip("=")


def behind(text: str | None, asked: str, length: int) -> list[Any] | None:
    """Return the key that a cursor names; None for the first page.

    Raises:
        ProblemError: it is no cursor of this question.
    """
    if text is None:
        return None
    remedy = "take `next` of the page before as it stands, with the same other parameters; without it: the first page"
    try:
        found = orjson.loads(base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
        of, last = found
    except (ValueError, TypeError, binascii.Error, UnicodeEncodeError):
        raise unfit("cursor", "it is no cursor", remedy) from None
    if not isinstance(last, list) or len(last) != length or not all(isinstance(x, str | int) for x in last):
        raise unfit("cursor", "it is no cursor", remedy)
    if of != asked:
        raise unfit("cursor", "it belongs to another question", remedy)
    return last
