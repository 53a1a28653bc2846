"""CURVE key files: one key a file, Z85 text; the secret one readable by its owner alone."""

from __future__ import annotations

import os
import stat
import struct
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


def read_secret(path: Path, program: str = "thinwatt-agent") -> bytes:
    """Return the secret key in ``path``; ``program`` makes one.

    Raises:
        KeyFileError: the file is not there, holds no key, or others may read it.
    """
    if path.suffix == PUBLIC_SUFFIX:
        raise KeyFileError(f"{path} is by its name the public half: the secret one is {path.with_suffix('')}")
    key = _read(path, f"make a pair of keys with: {program} keygen {path}")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise KeyFileError(f"{path} holds a secret and others may read it (mode {mode:04o}): chmod 600 {path}")
    return key


def read_public(path: Path) -> bytes:
    """Return the public key in ``path``.

    Raises:
        KeyFileError: the file is not there or holds no key.
    """
    where = "do not make one: a collector's is its collector.key.pub, by thinwatt-collector keygen collector.key"
    return _read(path, f"copy the other side's .pub file to it; {where}")


def public_of(secret: bytes) -> bytes:
    """Return the public key that belongs to a secret one."""
    return zmq.curve_public(secret)


def is_secret(path: Path) -> bool:
    """Return whether the key in a file is a secret one, as far as a public half beside it tells."""
    try:
        return read_public(public_path(path)) == public_of(read_public(path))
    except KeyFileError:
        return False


def is_key(text: str) -> bool:
    """Return whether ``text`` is a key in Z85: 40 characters that stand for 32 bytes.

    >>> is_key("rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"), is_key("rq:rM"), is_key("é" * 40), is_key("#" * 40)
    (True, False, False, False)
    """
    return not fault(text)


def fault(text: str) -> str:
    """Return why ``text`` is no key, without showing much of it; "" if it is one.

    >>> fault("rq:rM"), fault("rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf;")
    ('it has 5 characters instead of 40', "';' is none of the characters of Z85")
    """
    from zmq.utils import z85  # small, but not needed to run

    if len(text) != LENGTH:
        return f"it has {len(text)} characters instead of {LENGTH}"
    known = z85.Z85CHARS.decode()
    if strange := [character for character in text if character not in known]:
        return f"{strange[0]!r} is none of the characters of Z85"
    try:
        z85.decode(text)
    except struct.error:  # five characters that stand for more than four bytes
        return "its characters stand for no 32 bytes"
    return ""


def _read(path: Path, remedy: str) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise KeyFileError(f"{path} is {'a folder' if path.is_dir() else 'no ordinary file'}; {remedy}")
        text = path.read_text("utf-8", errors="replace").strip()
    except FileNotFoundError:
        raise KeyFileError(f"{path} is not there; {remedy}") from None
    except OSError as error:
        raise KeyFileError(f"{path} can't be read ({error.strerror}): see ls -l {path}") from None
    if why := fault(text):
        raise KeyFileError(f"{path} holds no key, {why}; {remedy}")
    return text.encode()
