"""Read tokens: who may see what. A file holds their hashes; it is read again when it has changed."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from thinwatt_collector.serve.api.privacy import ROLES, Role

log = logging.getLogger(__name__)

PREFIX: Final = "tw_"
"""So that a token is recognised where it should not be."""
NAME: Final = re.compile(r"[\w.@-]{1,64}")
HASH: Final = re.compile(r"[0-9a-f]{64}")
KEYS: Final = {"name", "role", "sha256"}


class TokenError(ValueError):
    """A file of tokens that can't be used, or a token that can't be made; ``str()`` says what to do."""


@dataclass(frozen=True, slots=True)
class Token:
    """A reader: a name, a role, and the SHA-256 of what it shows."""

    name: str
    role: Role
    sha256: str


def parse(text: str, path: Path) -> dict[str, Token]:
    """Return the tokens of a file by their hash.

    Raises:
        TokenError: an entry is wrong; the text names it.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TokenError(f"{path}: {error}") from None
    found: dict[str, Token] = {}
    for name in document.keys() - {"token"}:
        raise TokenError(f"{path}: {name!r} is not known; tokens are tables [[token]] with name, role and sha256")
    entries = document.get("token", [])
    if not isinstance(entries, list):
        raise TokenError(f"{path}: write [[token]] with two brackets, one table a token")
    for number, entry in enumerate(entries, 1):
        token = _token(entry, f"{path}: token {number}")
        if token.name in {t.name for t in found.values()}:
            raise TokenError(f"{path}: token {number}: a token named {token.name} stands there already")
        found[token.sha256] = token
    return found


def _token(entry: Any, where: str) -> Token:
    if not isinstance(entry, dict) or set(entry) != KEYS:
        raise TokenError(f"{where}: it needs name, role and sha256, and nothing else")
    name, role, digest = entry["name"], entry["role"], entry["sha256"]
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise TokenError(f"{where}: {name!r} is no name: 1 to 64 letters, digits and . @ - _")
    if role not in ROLES:
        raise TokenError(f"{where}: {role!r} is no role: one of {', '.join(ROLES)}")
    if not isinstance(digest, str) or not HASH.fullmatch(digest):
        raise TokenError(
            f"{where}: sha256 is 64 digits 0-9 a-f; make a token with: thinwatt-collector api-token {name}"
        )
    return Token(name, role, digest)


class Tokens:
    """The file of tokens as it stands; looked at for every request, read when it has changed.

    A file that has become wrong, or is gone, lets in nobody with a token until it is mended: a token taken out of it
    must not live on.

    Args:
        path: the file, None for none.

    Raises:
        TokenError: it can't be used at the start.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._known: Mapping[str, Token] = {}
        if path is not None and path.exists():
            self._stamp = _stamp(path)
            self._known = parse(_read(path), path)

    def find(self, shown: str) -> Token | None:
        """Return whose token it is; None if nobody's.

        Its hash is looked up: how long that takes tells of the hash, not of the token.
        """
        self._look()
        return self._known.get(digest(shown))

    def _look(self) -> None:
        if self._path is None:
            return
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        self._known = {}
        if stamp is None:
            log.warning("the tokens %s are gone: nobody has a role until they are back", self._path)
            return
        try:
            self._known = parse(_read(self._path), self._path)
        except TokenError as error:
            log.error("%s; no token is taken until it is mended", error)


def digest(shown: str) -> str:
    """Return the SHA-256 of a token. It is 256 random bits, so nothing slower is needed."""
    return hashlib.sha256(shown.encode("utf-8", "surrogateescape")).hexdigest()


def make(path: Path, name: str, role: Role) -> str:
    """Add a token to the file, made if need be (mode 0600), and return it: it is told this once.

    Raises:
        TokenError: the name is taken or no name, or the file is wrong or can't be written.
    """
    if not NAME.fullmatch(name):
        raise TokenError(f"{name!r} is no name: 1 to 64 letters, digits and . @ - _")
    text = (
        _read(path) if path.exists() else "# Read tokens of /api/v1. Take a table out and its token is void at once.\n"
    )
    if name in {token.name for token in parse(text, path).values()}:
        raise TokenError(
            f"{path}: a token named {name} stands there already: take its table out, or choose another name"
        )
    token = PREFIX + secrets.token_urlsafe(32)
    _replace(path, f'{text}\n[[token]]\nname = "{name}"\nrole = "{role}"\nsha256 = "{digest(token)}"\n')
    return token


def _replace(path: Path, text: str) -> None:
    """Write a file whole: a reader sees the old one or the new one."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError as error:
        raise TokenError(
            f"{path} can't be written: {error.strerror}; run this as the collector's own account"
        ) from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TokenError(f"{path} can't be read: {error}") from None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
