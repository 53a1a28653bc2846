"""Connections that wait: how many there may be, of one peer and of all, and which one goes first.

A connection *waits* while no request of it is under way: half open, its request has not come whole, or kept for the
next scrape. A server that holds no more than so many connections is closed by whoever holds them all; so those that
wait make room for what comes: the oldest half-open one first, of the peer that has too many, or else the most.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

OF_A_PEER: Final = 32
"""Connections of one address that wait at one time: more than a browser or a proxy keeps."""
OF_ALL: Final = 96
"""Connections of all addresses that wait; the rest of the server's places is for requests under way."""


class Connection(H11Protocol):
    """A connection that knows since when it waits, and for what."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.peer = ""
        self.half = True
        self.since = time.monotonic()

    @property
    def waits(self) -> bool:
        """Whether no request of it is under way."""
        cycle: object | None = self.cycle
        return not self.transport.is_closing() and (cycle is None or self.cycle.response_complete)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take its place; have another one leave if there are too many."""
        super().connection_made(transport)
        self.peer = peer(self.client[0] if self.client else "")
        others: set[Any] = self.connections
        leaves = too_many(self, (c for c in others if isinstance(c, Connection)))
        if leaves is not None:
            leaves.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Note whether a request has begun to come and is not whole."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self.half = False
        elif self.waits and not self.half:
            self.half, self.since = True, time.monotonic()

    def on_response_complete(self) -> None:
        """Note that it waits for the next request."""
        self.half, self.since = False, time.monotonic()
        super().on_response_complete()


def too_many(newest: Connection, connections: Iterable[Connection]) -> Connection | None:
    """Return which connection leaves for a new one, None where there is room.

    Args:
        newest: the new one; it stays.
        connections: all that are open.
    """
    waiting = [c for c in connections if c is not newest and c.waits]
    of_peer = Counter(c.peer for c in waiting)
    crowd = newest.peer
    if of_peer[crowd] < OF_A_PEER:
        if len(waiting) < OF_ALL:
            return None
        crowd = of_peer.most_common(1)[0][0]
    return min((c for c in waiting if c.peer == crowd), key=lambda c: (not c.half, c.since))


def peer(address: str) -> str:
    """Return by what a client is counted: its address, of IPv6 the network of 2**64 of them that one customer has.

    >>> peer("::ffff:192.0.2.1"), peer("2001:db8::1:2:3:4")
    ('192.0.2.1', '2001:db8::/64')
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # a unix socket has none
        return ""
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))
