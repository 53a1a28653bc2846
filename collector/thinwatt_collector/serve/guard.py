"""Passwords and headers of the web-config file, in front of the application."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import bcrypt
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thinwatt_collector.serve.web_config import WebConfig

PROVEN: Final = "thinwatt.proven"
"""In the scope of a request: whether it came with a password or a certificate of the web-config file."""
REMEMBERED: Final = 100
"""Passwords found right are remembered, this many: a check costs a tenth of a second of a core, on purpose."""
_NOBODYS: Final = "4GqNiv1t7MDwAhjrAy2ALu0dKEiHaoHm1qOGx6qfuxFeNZpwx3PQi"


def nobody(hashes: Iterable[str]) -> str:
    """Return a hash that no password has, as dear to check as the dearest of ``hashes``.

    An unknown name is checked against it, so that it takes as long as a wrong password.
    """
    return f"$2b${max(stored.split('$')[2] for stored in hashes)}${_NOBODYS}"


class Passwords:
    """Checks passwords against bcrypt hashes, one at a time; what was right once is remembered by a keyed digest."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._turn = asyncio.Lock()

    async def allows(self, users: Mapping[str, str], header: bytes | None) -> bool:
        """Return whether an Authorization header holds a name of ``users`` and its password."""
        name, password = _credentials(header)
        if name is None:
            return False
        stored = users[name] if name in users else nobody(users.values())
        digest = hmac.digest(self._key, b"\0".join((stored.encode(), name.encode(), password)), hashlib.sha256)
        if digest in self._right:
            self._right.move_to_end(digest)
            return True
        async with self._turn:  # so a flood of wrong passwords takes one core at most
            right = await run_in_threadpool(_matches, password, stored.encode())
        if not right or name not in users:
            return False
        self._right[digest] = None
        if len(self._right) > REMEMBERED:
            self._right.popitem(last=False)
        return True


def _credentials(header: bytes | None) -> tuple[str | None, bytes]:
    scheme, _, encoded = (header or b"").partition(b" ")
    if scheme.lower() != b"basic":
        return None, b""
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (name.decode() if colon else None), password
    except (binascii.Error, UnicodeDecodeError):
        return None, b""


def _matches(password: bytes, stored: bytes) -> bool:
    try:
        return bcrypt.checkpw(password, stored)
    except ValueError:  # bcrypt takes 72 bytes; a longer password is a wrong one
        return False


class Guard:
    """Asks for a password where the web-config file has users, and adds its headers to every answer.

    Args:
        app: what stands behind.
        current: the web-config file as it stands now.
    """

    def __init__(self, app: ASGIApp, current: Callable[[], WebConfig]) -> None:
        self._app, self._current = app, current
        self._passwords = Passwords()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, or hand the request on."""
        config = self._current()
        headers = [(name.lower().encode(), text.encode()) for name, text in config.headers.items()]

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *headers]
            await send(message)

        if scope["type"] == "http" and config.users:
            given = [text for name, text in scope["headers"] if name == b"authorization"]
            if not await self._passwords.allows(config.users, given[0] if len(given) == 1 else None):
                await _refuse(sent)
                return
        await self._app({**scope, PROVEN: config.asks}, receive, sent)


async def _refuse(send: Send) -> None:
    body = b"Unauthorized\n"
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"www-authenticate", b'Basic realm="thinwatt"'),
    ]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": body})
