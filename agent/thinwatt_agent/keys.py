"""CURVE key files: one key a file, Z85 text; the secret one readable by its owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

import zmq

LENGTH: Final = 40
PUBLIC_SUFFIX: Final = ".pub"


class KeyFileError(ValueError):
    """A key file that can't be used; the text says which, why and what to do."""


def generate(path: Path) -> str:
    """Write a new pair, ``path`` (secret, mode 0600) and ``path`` + ``.pub``, and return the public key.

    Raises:
        KeyFileError: one of the two is there already, or the folder can't be written.
    """
    public, secret = zmq.curve_keypair()
    for file, key, mode in ((path, secret, 0o600), (public_path(path), public, 0o644)):
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        except FileExistsError:
            raise KeyFileError(f"{file} is there already; remove it by hand if a new pair is really meant") from None
        except OSError as error:
            raise KeyFileError(f"{file} can't be written: {error.strerror}") from None
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(key + b"\n")
    return public.decode()


def public_path(path: Path) -> Path:
    """Return where the public half of the secret key in ``path`` lies."""
    return path.with_name(path.name + PUBLIC_SUFFIX)


def read_secret(path: Path) -> bytes:
    """Return the secret key in ``path``.

    Raises:
        KeyFileError: the file is not there, holds no key, or others may read it.
    """
    key = _read(path, f"a pair is made with: thinwatt-agent keygen {path}")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise KeyFileError(f"{path} holds a secret and others may read it (mode {mode:04o}): chmod 600 {path}")
    return key


def read_public(path: Path) -> bytes:
    """Return the public key in ``path``.

    Raises:
        KeyFileError: the file is not there or holds no key.
    """
    return _read(path, "copy the other side's .pub file to it (a collector's collector.key.pub); do not make one")


def public_of(secret: bytes) -> bytes:
    """Return the public key that belongs to a secret one."""
    return zmq.curve_public(secret)


def is_key(text: str) -> bool:
    """Return whether ``text`` is a key in Z85: 40 characters that stand for 32 bytes.

    >>> is_key("rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"), is_key("rq:rM"), is_key("é" * 40)
    (True, False, False)
    """
    if len(text) != LENGTH or not text.isascii():
        return False
    from zmq.utils import z85  # small, but not needed to run

    try:
        return len(z85.decode(text)) == 32
    except (KeyError, ValueError):
        return False


def _read(path: Path, remedy: str) -> bytes:
    try:
        text = path.read_text("ascii").strip()
    except FileNotFoundError:
        raise KeyFileError(f"{path} is not there; {remedy}") from None
    except UnicodeDecodeError:
        raise KeyFileError(f"{path} holds no key: 40 characters of Z85 are expected") from None
    except OSError as error:
        raise KeyFileError(f"{path} can't be read: {error.strerror}") from None
    if not is_key(text):
        raise KeyFileError(f"{path} holds no key: 40 characters of Z85 are expected")
    return text.encode()
