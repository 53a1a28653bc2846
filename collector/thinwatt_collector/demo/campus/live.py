"""The campus goes on: one gateway a building sends what its devices draw, over CURVE, as any agent does.

Rows come every 30 s. What was missed while nothing ran is simulated and sent as well, a row a slot, so that the campus
has no gap where only the demonstration was stopped: as if the gateways had measured on and kept it in their spools.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Final

import numpy as np
import zmq
from numpy.typing import NDArray

from thinwatt_agent import keys, wire
from thinwatt_agent.counters import Instant
from thinwatt_agent.link import Collector, Link
from thinwatt_agent.marker import Marker
from thinwatt_agent.run import run, synchronised, volatile_folders
from thinwatt_agent.spool import Spool
from thinwatt_agent.store import Disk
from thinwatt_collector.demo.campus.gateways import COLUMNS, Pieces, columns, introduction, spoken_for
from thinwatt_collector.demo.campus.places import Places
from thinwatt_collector.demo.campus.simulation import Campus
from thinwatt_collector.models.energy import SLOT_SECONDS

SECOND: Final = 1_000_000_000
EVERY: Final = 30
"""Seconds from row to row; a slot has a whole number of them."""
ROWS: Final = 96
VALUES: Final = 1 << 17
"""Rows and values of a frame at most, where time is caught up."""
BOOTED: Final = 1_600_000_000 * SECOND
"""When the gateways started, for all time [UTC ns]: a made-up machine is never restarted."""
LONGEST: Final = 31 * 86_400
"""More than that is not caught up: it stays a gap [s]."""


def clock() -> Instant:
    """Look at the clocks: a gateway's own goes with the wall clock."""
    now = time.time_ns()
    return Instant(now - BOOTED, time.monotonic_ns(), now, "")


class Gateway:
    """One gateway, which is stepped as an agent is.

    Args:
        name: of the gateway.
        places: of the campus.
        pieces: of the campus, shared by its gateways.
        spool: its rows that are not answered.
        link: to the collector.
        begin: where the ledger's history ends, UTC [s]; counts where no row was ever kept.
        now: looks at the clocks.
    """

    def __init__(
        self,
        name: str,
        places: Places,
        pieces: Pieces,
        spool: Spool,
        link: Link,
        begin: int,
        now: Callable[[], Instant] = clock,
    ) -> None:
        self.spool, self.link, self.taken = spool, link, 0
        self._pieces, self._now = pieces, now
        hello = introduction(places, name)
        self._schema, self._hello = hello.schema, wire.encode_hello(hello)
        link.hello = self._hello
        mine = spoken_for(places, name)
        of = [
            (i, quantity)
            for told, devices in mine.items()
            for i in devices
            # The state alone is what an assumed device has for its own.
            for quantity in range(len(COLUMNS[told]))
        ]
        self._device, self._quantity = (np.array(column) for column in zip(*of, strict=True))
        at = [c in COLUMNS[told] for told, devices in mine.items() for c in columns(places, told) * len(devices)]
        self._of_meters, self._of_desktops = np.flatnonzero(at), np.flatnonzero(~np.array(at))
        utc, resume = now().utc // SECOND, spool.resume()
        if resume is not None:
            begin = (resume.time + BOOTED) // SECOND
        elif spool.streams():
            begin = utc // EVERY * EVERY  # nobody knows what was sent of the last stream
        self._at = max(begin, (utc - LONGEST) // SLOT_SECONDS * SLOT_SECONDS)
        self._base = self._at * SECOND - BOOTED
        self._stream, self._tick = os.urandom(16), 0
        self._sum = np.zeros(len(at))

    def step(self) -> int:
        """Keep the rows that are due, send, and return when to come back at the latest (monotonic, ns)."""
        while self._take():
            pass
        now = self._now()
        next_row = now.monotonic + (self._at + EVERY) * SECOND - now.utc
        return min(next_row, self.link.step())

    def finish(self) -> None:
        """Nothing is pending: the row that has begun is caught up by the next process."""

    def _take(self) -> bool:
        """Put a frame of the rows that are due into the spool; return whether there was any."""
        now, after = self._now().utc // SECOND, self._tick
        times: list[int] = []
        rows: list[NDArray[np.float64]] = []
        while len(rows) < min(ROWS, VALUES // len(self._sum)) and self._at + EVERY <= now:
            slot, within = divmod(self._at, SLOT_SECONDS)
            if not within and self._at + SLOT_SECONDS <= now:
                rise, lasts = self._pieces.of(slot, 1)[:, :, 0], SLOT_SECONDS
            else:
                rise, lasts = self._pieces.of(slot, SLOT_SECONDS // EVERY)[:, :, within // EVERY], EVERY
            self._sum = self._sum.copy()
            self._sum[self._of_meters] += rise[self._quantity, self._device]
            if len(self._of_desktops):
                self._sum[self._of_desktops] += self._pieces.carried(slot).ravel() * (lasts / SLOT_SECONDS)
            self._at += lasts
            times.append(self._at * SECOND - BOOTED)
            rows.append(self._sum)
        if not rows:
            return False
        self._tick += len(rows)
        self.taken += len(rows)
        offset, flags = self.spool.placed(BOOTED, synchronised())
        header = wire.RowsHeader(
            wire.VERSION, self._stream, self.spool.boot, self._schema.id, after, self._base, offset, times[-1],
            len(rows), len(self._sum), flags,
        )  # fmt: skip
        message = wire.encode_rows(header, range(after + 1, self._tick + 1), times, [row.tolist() for row in rows])
        self.spool.append(self._hello, message, b"{}")
        return True


def gateways(folder: Path, address: str, context: zmq.Context[zmq.Socket[bytes]]) -> list[Gateway]:
    """Return the gateways of the campus whose state lies in a folder.

    Args:
        folder: with ``campus.json``, keys and spools.
        address: of the collector.
        context: of their sockets.
    """
    about = json.loads((folder / "campus.json").read_text(encoding="utf-8"))
    campus = Campus(int(about["seed"]))
    pieces = Pieces(campus)
    boot = blake2b(f"campus {campus.seed}".encode(), digest_size=16).digest()
    peers = [Collector(address, keys.read_public(folder / "keys" / "collector.pub"))]
    found = []
    for name in campus.places.gateways:
        spooled = (folder / "agents" / name / "spool").absolute()
        marker = Marker(volatile_folders(), str(spooled), boot)
        spool = Spool(lambda at=spooled: Disk(at), boot, marker=marker)  # type: ignore[misc]  # a default binds it
        link = Link(peers, keys.read_secret(folder / "keys" / name), spool, clock, synchronised, context)
        found.append(Gateway(name, campus.places, pieces, spool, link, int(about["until"])))
    return found


def main() -> int:
    """Read the call and run until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m thinwatt_collector.demo.campus.live", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="with campus.json, keys and spools")
    parser.add_argument("--collector", required=True, metavar="tcp://HOST:PORT", help="where to send")
    options = parser.parse_args()
    with zmq.Context() as context:
        run(gateways(options.folder, options.collector, context))
    return 0


if __name__ == "__main__":
    sys.exit(main())
