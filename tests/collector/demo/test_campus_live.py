"""The campus goes on: what its gateways send is what its history would have said, over a stop and a new start."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.collector.demo.test_campus import Floats, few
from tests.collector.sending import Bench, Carbon
from thinwatt_agent import wire
from thinwatt_agent.counters import Instant
from thinwatt_agent.spool import Spool
from thinwatt_agent.store import Disk
from thinwatt_collector.demo.campus import shares
from thinwatt_collector.demo.campus.gateways import Pieces, introduction
from thinwatt_collector.demo.campus.live import BOOTED, SECOND, Gateway
from thinwatt_collector.demo.campus.reports import BASES
from thinwatt_collector.demo.campus.simulation import Campus
from thinwatt_collector.models.devices import DeviceTable
from thinwatt_collector.receive import Message
from thinwatt_collector.step import Step

MONDAY = date(2026, 3, 16)
BEGIN = int(datetime(2026, 3, 16, 5, tzinfo=UTC).timestamp())
"""Six o'clock in the morning in Paris."""


class Silent:
    """A link that is never connected."""

    hello = b""

    def step(self) -> int:
        return 1 << 62

    def close(self, linger_ms: int = 0) -> None:
        pass


def gateway(name: str, campus: Campus, spool: Spool, seconds: int, utc: list[int]) -> Gateway:
    """Run a gateway from one time to another, as a process would that looks every ten seconds."""

    def now() -> Instant:
        return Instant(utc[0] * SECOND - BOOTED, 0, utc[0] * SECOND, "")

    found = Gateway(name, campus.places, Pieces(campus), spool, Silent(), BEGIN, now)  # type: ignore[arg-type]  # no socket
    for _ in range(seconds // 10):
        found.step()
        utc[0] += 10
    return found


def frames(spool: Spool) -> Iterator[bytes]:
    for stream, last in spool.streams():
        tick = 0
        while tick < last:
            frame = spool.take(stream, tick, 1)
            assert frame is not None
            yield wire.restamp(frame.message, replace(frame.header, after=tick))
            tick = frame.last


@pytest.mark.parametrize("name", ["sim-bat-e", "sim-bat-a", "sim-adm", "sim-bu"])
def test_what_is_sent_is_what_the_history_would_have_said_and_no_stop_takes_any(tmp_path: Path, name: str) -> None:
    """From 06:00: an hour caught up, two live, four stopped, and live again until 14:45 in the middle of nothing."""
    campus, boot, utc = Campus(1, few()), b"boot".ljust(16), [BEGIN + 3_700]
    bench = Bench()
    bench.step = Step(bench.ledger, DeviceTable.packaged().of, Carbon())
    hello = introduction(campus.places, name)
    bench.step.take([Message(b"\0r", name, wire.encode_hello(hello), bench.now)])
    for stop in (4 * 3_600 - 77, 0):
        spool = Spool(lambda: Disk(tmp_path / "spool"), boot)
        gateway(name, campus, spool, 2 * 3_600 - 100, utc).spool.close()
        utc[0] += stop
    sent = list(frames(Spool(lambda: Disk(tmp_path / "spool"), boot)))
    for frame in sent:
        bench.now = utc[0] * SECOND
        assert bench.step.take([Message(b"\0r", name, frame, bench.now)]) == []
    positions, refusals = bench.commit()
    assert (len(positions), refusals) == (2, [])
    block = campus.block(MONDAY, MONDAY + timedelta(days=1))
    known = bench.ledger.dimensions()
    devices, sources = ({row[0]: row[1:] for row in rows} for rows in (known.devices, known.sources))
    booked: defaultdict[tuple[str, int, str], float] = defaultdict(float)
    for (device, slot, source), (joules, *_) in bench.ledger.energy().items():
        if sources[source][0] == "booked":
            booked[devices[device][0], slot, sources[source][3]] += joules
    assert {(d[0], d[2], d[3]) for d in devices.values()} == {
        (d.name, d.kind, d.model) for d in campus.places.devices if d.agent == name and d.has_agent == "yes"
    }
    assert all(d[4] for d in devices.values()), "all are simulated"
    first, past = BEGIN // 900, utc[0] // 900
    assert past - first > 30
    said, compared = block.reports, 0
    for device, basis, joules in zip(said.device.tolist(), said.basis.tolist(), said.joules, strict=True):
        about = campus.places.devices[device]
        if about.agent != name or about.has_agent != "yes":
            continue
        # A PC's state when off is known by pieces of 30 s, and not for the end of a frame in which it went off.
        off_for_pieces = 100.0 if about.basis == "modelled" and BASES[basis] == "assumed" else 0.01
        expected = joules[first - block.first : past - block.first]
        got = np.array([booked[about.name, slot, BASES[basis]] for slot in range(first, past)])
        assert got == pytest.approx(expected, abs=off_for_pieces), (about.name, BASES[basis])
        compared += int((expected > 0).sum())
    assert compared > 100
    if name == "sim-bat-e":
        shared_as_the_history_has_it(bench, campus, (first, past))


def shared_as_the_history_has_it(bench: Bench, campus: Campus, slots: tuple[int, int]) -> None:
    """Hosts' lines are the hosts, and the history's but for what power wavers within a slot; hours are the same."""
    first, past = slots
    known = bench.ledger.dimensions()
    hosts = {row[0]: i for i, host in enumerate(campus.places.hosts) for row in known.devices if row[1] == host.name}
    got: defaultdict[tuple[str, str], Floats] = defaultdict(lambda: np.zeros((3, len(hosts), past - first)))
    for (device, slot, source), (joules, _, bias, covered) in bench.ledger.energy().items():
        if device in hosts and first <= slot < past:
            _, kind, part, *_ = known.sources[source]
            got[kind, part][:, hosts[device], slot - first] += (joules, bias, covered)
    lines = {part: of[0] for (kind, part), of in got.items() if kind == "shared"}
    whole = got["booked", ""][0]
    assert sum(lines.values()) == pytest.approx(whole, rel=1e-9)
    block = campus.block(MONDAY, MONDAY + timedelta(days=1))
    said = block.reports.of(range(len(hosts)))
    idle = np.array([DeviceTable.packaged().of(h.kind, h.model).watts[0] for h in campus.places.hosts])
    for key, *written in shares.series(campus.places, said, block.carried, idle, campus.parameters.hosts.memory):
        joules, _, covered = (of[:, first - block.first : past - block.first] for of in written)
        if key.source == "shared":
            assert lines.get(key.part, np.zeros(1)).sum() == pytest.approx(joules.sum(), abs=0.002 * whole.sum()), key
        else:
            assert got["sessions", key.part][2] == pytest.approx(covered, rel=1e-6, abs=1e-3), key


def test_power_wavers_from_piece_to_piece_and_the_slot_is_kept() -> None:
    campus = Campus(1, few())
    pieces = Pieces(campus)
    for hour in range(0, 12, 3):
        slot = BEGIN // 900 + 4 * hour
        whole, cut = pieces.of(slot, 1), pieces.of(slot, 30)
        assert cut[:2].sum(axis=2) == pytest.approx(whole[:2, :, 0])
        assert cut[0, 0].std() > 0
        assert (cut >= 0).all()
        assert cut[1].max() <= 30.0 + 1.0
