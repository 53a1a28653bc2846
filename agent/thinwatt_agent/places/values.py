"""How the values of a configuration are read: each reader returns what one means, or says what to write."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

Read = Callable[[Any, Path], Any]
"""A value as written, and the folder of its file → what it means; ValueError with what to write."""


def shown(value: Any) -> str:
    """Return a value as an error shows it: short whatever it is."""
    try:
        found = repr(value)
    except ValueError:  # Python writes no number of more than some thousand digits
        return "a number of thousands of digits"
    return found if len(found) <= 80 else f"{found[:60]}… ({len(found)} characters)"


def text(value: Any, _: Path) -> str:
    """Return a text, which may be empty."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is no text: write one, in quotes")  # noqa: TRY004 - one kind for all wrong values
    if not value.isprintable():
        raise ValueError(f"{shown(value)} holds a character that nobody sees: write it on one line, without tabs")
    return value


def filled(value: Any, folder: Path) -> str:
    """Return a text that is not empty."""
    if not text(value, folder).strip():
        raise ValueError("it is empty: write something, or leave out the whole line")
    return str(value)


def path(value: Any, folder: Path) -> Path:
    """Return a path; it is relative to the file."""
    if not text(value, folder).strip():
        raise ValueError("it is empty: write a path, absolute or relative to this file")
    if value.startswith("~"):
        raise ValueError(f"{shown(value)}: ~ stands for nobody's home here: write the whole path")
    return folder / str(value)


def maybe(read: Read) -> Read:
    """Return a reader to which an empty text is None."""

    def found(value: Any, folder: Path) -> Any:
        return None if value == "" else read(value, folder)

    return found


def choice(*allowed: str) -> Read:
    """Return a reader of one of some words."""

    def found(value: Any, _: Path) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise ValueError(f"{shown(value)} is none of {', '.join(allowed)}: write one of them, in quotes")
        return value

    return found


def within(read: Read, low: str, high: str, least: str = "", most: str = "") -> Read:
    """Return a reader that takes ``low`` to ``high``; ``least`` and ``most`` say why no less and no more."""

    def found(value: Any, folder: Path) -> Any:
        quantity = read(value, folder)
        if quantity < read(low, folder):
            raise ValueError(f"{shown(value)} is less than {low}{least and f', {least}'}: write {low!r} to {high!r}")
        if quantity > read(high, folder):
            raise ValueError(f"{shown(value)} is more than {high}{most and f', {most}'}: write {low!r} to {high!r}")
        return quantity

    return found


def endpoint(value: Any, example: str, scheme: str, hosts: str = "-", ports: str = "-") -> tuple[str, str]:
    """Return host and port of an address.

    Args:
        value: as written.
        example: one that is good.
        scheme: what it begins with.
        hosts: what is good in the place of a host, such as ``*``.
        ports: the same of a port.

    Raises:
        ValueError: it is none; the text says what to write.
    """
    written = text(value, Path())
    host, colon, port = written.removeprefix(scheme).rpartition(":")
    if not colon or not written.startswith(scheme) or not re.fullmatch(r"\[[^\[\]]*\]|[^:/\[\]@\s]*", host):
        raise ValueError(f"{shown(value)} is no address: write {example!r}")
    if port != ports and not (re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536):
        raise ValueError(f"{shown(value)}: {shown(port)} is no port: write a number from 1 to 65535, as in {example!r}")
    if host != hosts and not _is_host(host):
        raise ValueError(f"{shown(value)}: {shown(host)} is no name or IP address of a machine: write {example!r}")
    return host, port


def _is_host(host: str) -> bool:
    """Return whether this may be a host: an IPv4 address, an IPv6 address in brackets, or a name.

    >>> [_is_host(h) for h in ("10.0.0.1", "[::1]", "srv-1.example.org", "300.1.1.1", "[::1", "a..b", "-a", "")]
    [True, True, True, False, False, False, False, False]
    """
    if host.startswith("["):
        return host.endswith("]") and _is_ip(socket.AF_INET6, host[1:-1].partition("%")[0])
    labels = host.removesuffix(".").split(".")
    if labels[-1].isdigit():
        return _is_ip(socket.AF_INET, host)
    return len(host) < 254 and all(re.fullmatch(r"[A-Za-z0-9_](?:[\w-]{0,61}\w)?", label, re.ASCII) for label in labels)


def _is_ip(family: int, host: str) -> bool:
    try:
        socket.inet_pton(family, host)
    except (OSError, ValueError):
        return False
    return True
