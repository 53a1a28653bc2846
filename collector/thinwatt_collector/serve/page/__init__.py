"""The page that people look at: static files, read once, served at / and /page. All its figures come from /api/v1."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

HERE: Final = Path(__file__).parent
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
FOLDERS: Final = ("static", "vendor")
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "cache-control": "no-cache",
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "vary": "Accept-Encoding",
    "x-content-type-options": "nosniff",
}
"""``no-cache``: kept, and asked for each time by its tag, so that an upgrade shows at once."""


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is served."""

    body: bytes
    packed: bytes
    media: str
    tag: str


@cache
def files() -> dict[str, File]:
    """Return the files by name; those of the chart library are missing where the build could not fetch it."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((HERE / folder).glob("*")):
            if path.suffix in TYPES:
                body = path.read_bytes()
                tag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
                found[path.name] = File(body, gzip.compress(body, 6, mtime=0), TYPES[path.suffix], tag)
    return found


async def page(request: Request) -> Response:
    """Answer with the page, or with one of its files.

    Raises:
        HTTPException: 404; there is no such file.
    """
    file = files().get(request.path_params.get("name", "index.html"))
    if file is None:
        raise HTTPException(404)
    headers = HEADERS | {"etag": file.tag}
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if file.tag in known:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.packed, media_type=file.media, headers=headers | {"content-encoding": "gzip"})
    return Response(file.body, media_type=file.media, headers=headers)
