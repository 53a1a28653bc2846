"""Asking a public server over HTTP: a time limit for the whole answer, patience that ends, a copy on disk.

Nothing here knows what is asked for. A reader, handed over, makes something of the body; a body that it refuses (cut
off, an HTML page of a proxy in the place of JSON) is a failed attempt like an answer 500, and is never kept.

- 429 and 5xx, a broken connection and a refused body are tried again after a pause that doubles, with a spread so that
  a hundred collectors do not come back together. A server that says how long to wait is obeyed; one that wants more
  than our patience is left alone, and the error says from when on to ask it.
- An answer with an ETag is kept, and the next question asks only for what is newer (RFC 9110 §13.1).
- Only http and https; a redirection leads to the same server or nowhere, so that no token goes astray.
"""

from __future__ import annotations

import email.message
import hashlib
import http.client
import json
import os
import random
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, Any, Final, TypeVar
from urllib.parse import urlsplit

from thinwatt_agent import __version__

T = TypeVar("T")
AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same question may be asked again."""
CHUNK: Final = 1 << 16
KEPT: Final = 30 * 86_400.0
"""An answer that nobody asked for again is kept this long [s]."""
BELIEVED: Final = 366 * 86_400.0
"""A server that wants to be left alone for longer has said something else [s]."""
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class FetchError(RuntimeError):
    """A server did not give what was asked; ``str()`` says which, what it said and what to do.

    Attributes:
        again: UTC from when on it may be asked again [s], 0 if it did not say.
        status: HTTP status, 0 where there was none.
    """

    def __init__(self, text: str, again: float = 0.0, status: int = 0) -> None:
        super().__init__(text)
        self.again, self.status = again, status


class _FaultError(Exception):
    """One attempt failed, and another may not; ``pause`` [s] is what the server asked for."""

    def __init__(self, text: str, pause: float = 0.0, status: int = 0) -> None:
        super().__init__(text)
        self.pause, self.status = pause, status


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on.

    Attributes:
        whole: limit of one attempt, connecting and reading [s].
        attempts: how many.
        first: pause after the first; the next is twice as long [s].
        longest: pause that is still waited for [s].
        biggest: body that is still read [B].
    """

    whole: float = 60.0
    attempts: int = 4
    first: float = 2.0
    longest: float = 60.0
    biggest: int = 64 << 20


class _SameServer(urllib.request.HTTPRedirectHandler):
    """Follows a redirection within a server; to another it would carry the token."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            raise FetchError(f"{_shown(req.full_url)} leads on to another server, {new.netloc}: set url to that one")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@dataclass(slots=True)
class Fetcher:
    """Asks servers.

    Attributes:
        cache: folder of kept answers; None keeps none.
        patience: how long to go on.
        sleep: waits [s].
        now: UTC [s].
        spread: number in [0, 1) that spreads the pauses.
    """

    cache: Path | None = None
    patience: Patience = field(default_factory=Patience)
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time
    spread: Callable[[], float] = random.random

    def get(self, url: str, read: Callable[[bytes], T], headers: Mapping[str, str] | None = None) -> T:
        """Return what ``read`` makes of the answer to a GET.

        Args:
            url: with its query.
            read: raises ``ValueError`` where a body is not what was asked for.
            headers: a token, say; they are in no error and in no file.

        Raises:
            FetchError: not within our patience, or the server will not.
        """
        _check(url, headers or {})
        said, pause = _FaultError("nothing"), 0.0
        for attempt in range(self.patience.attempts):
            if attempt:
                self.sleep(pause)
            try:
                return self._attempt(url, read, headers or {})
            except _FaultError as fault:
                said = fault
            if said.pause > self.patience.longest:
                break
            pause = max(said.pause, self.patience.first * 2**attempt * (0.5 + self.spread() / 2))
            pause = min(pause, self.patience.longest)
        again = self.now() + said.pause if said.pause else 0.0
        when = f"; ask again from {datetime.fromtimestamp(again, UTC):%Y-%m-%d %H:%M} UTC on" if again else ""
        raise FetchError(f"{_shown(url)}: {said}, after {attempt + 1} attempts{when}", again, said.status)

    def _attempt(self, url: str, read: Callable[[bytes], T], headers: Mapping[str, str]) -> T:
        kept = self._kept(url)
        asked = {"User-Agent": f"thinwatt/{__version__}", "Accept": "application/json", **headers}
        if kept:
            asked |= {"If-None-Match": kept[0]}
        try:
            etag, body = self._ask(urllib.request.Request(url, headers=asked))  # noqa: S310  # _check has seen the scheme
        except urllib.error.HTTPError as error:
            with error:
                if error.code == http.HTTPStatus.NOT_MODIFIED and kept:
                    return self._read_again(url, kept[1], read)
                raise self._refused(url, error) from None
        except (OSError, http.client.HTTPException) as error:
            raise _FaultError(
                f"no answer ({getattr(error, 'reason', None) or str(error) or type(error).__name__})"
            ) from error
        found = self._read(body, read)
        if etag:
            self._keep(url, etag, body)
        return found

    def _ask(self, request: urllib.request.Request) -> tuple[str, bytes]:
        here = urlsplit(request.full_url).hostname in LOOPBACK  # never by a proxy, whatever the environment says
        opener = urllib.request.build_opener(_SameServer, *([urllib.request.ProxyHandler({})] if here else []))
        ends = time.monotonic() + self.patience.whole
        with opener.open(request, timeout=self.patience.whole) as answer:
            body = bytearray()
            while chunk := answer.read1(CHUNK):
                body += chunk
                if len(body) > self.patience.biggest:
                    raise FetchError(
                        f"{_shown(request.full_url)}: more than {self.patience.biggest} bytes: ask for less"
                    )
                if time.monotonic() > ends:
                    raise TimeoutError(f"longer than {self.patience.whole:.0f} s")
            promised = answer.headers["Content-Length"]
            if promised and promised.isdigit() and int(promised) != len(body):
                raise http.client.IncompleteRead(bytes(body), int(promised) - len(body))
            return answer.headers["ETag"] or "", bytes(body)

    def _read(self, body: bytes, read: Callable[[bytes], T]) -> T:
        try:
            return read(body)
        except ValueError as error:
            raise _FaultError(str(error)) from error

    def _read_again(self, url: str, body: bytes, read: Callable[[bytes], T]) -> T:
        try:
            return self._read(body, read)
        except _FaultError:
            if place := self._place(url):  # kept by an earlier version that read it otherwise
                place.unlink(missing_ok=True)
            raise

    def _refused(self, url: str, error: urllib.error.HTTPError) -> Exception:
        try:
            told = _message(error.read(CHUNK))
        except (OSError, http.client.HTTPException):
            told = ""
        text = f"answer {error.code}{f' ({told})' if told else ''}"
        if error.code in AGAIN:
            return _FaultError(text, self._asked_pause(error.headers), error.code)
        remedy = ": is the token right, and does its plan hold this?" if error.code in {401, 402, 403} else ""
        return FetchError(f"{_shown(url)}: {text}{remedy}", 0.0, error.code)

    def _asked_pause(self, headers: email.message.Message) -> float:
        """Return how long a server wants to be left alone [s]; Retry-After is RFC 9110 §10.2.3."""
        after, reset = headers.get("Retry-After") or "", headers.get("X-RateLimit-Reset") or ""
        if after.strip().isdigit() and len(after) < 9:
            return float(after)
        try:
            at = parsedate_to_datetime(after).timestamp() if after else float(reset)
        except (ValueError, OverflowError):
            return 0.0
        pause = at - self.now()
        return pause if 0.0 < pause < BELIEVED else 0.0

    def _place(self, url: str) -> Path | None:
        return self.cache / f"{hashlib.sha256(url.encode()).hexdigest()}.answer" if self.cache else None

    def _kept(self, url: str) -> tuple[str, bytes] | None:
        place = self._place(url)
        if place is None:
            return None
        try:
            head, _, body = place.read_bytes().partition(b"\n")
            said: dict[str, Any] = json.loads(head)
            whole = said["url"] == url and said["sha256"] == hashlib.sha256(body).hexdigest()
            return (str(said["etag"]), body) if whole else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _keep(self, url: str, etag: str, body: bytes) -> None:
        place = self._place(url)
        if place is None:
            return
        head = json.dumps({"url": url, "etag": etag, "sha256": hashlib.sha256(body).hexdigest()})
        write_atomic(place, head.encode() + b"\n" + body)
        for old in place.parent.glob("*.answer"):
            if old.stat().st_mtime < self.now() - KEPT:
                old.unlink(missing_ok=True)


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a power cut, finds the old content or the new and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # noqa: PTH101  # mkstemp makes it for its owner alone; public figures are everybody's
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _check(url: str, headers: Mapping[str, str]) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise FetchError(f"{_shown(url)!r} is no address of a server: write https://…")
    if headers and parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise FetchError(f"{_shown(url)}: a token would travel in the open: write https://…")


def _shown(url: str) -> str:
    """Return an address without its query: short, and whatever is secret in it stays so."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _message(body: bytes) -> str:
    """Return what a server says is wrong, in one short line."""
    try:
        said = json.loads(body)
    except ValueError:
        return ""
    for key in ("message", "error", "detail"):
        inner = said.get(key) if isinstance(said, dict) else None
        text = inner.get("message") if isinstance(inner, dict) else inner
        if isinstance(text, str) and text:
            return " ".join(text.split())[:200]
    return ""
