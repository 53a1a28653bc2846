"""What /readyz says to everybody: what is wrong, and no endpoint by its name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from tests.collector.sending import SECOND, Sender
from thinwatt_collector.config import parse
from thinwatt_collector.receive import Message
from thinwatt_collector.run import Collector


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    _, secret = zmq.curve_keypair()
    (tmp_path / "agents.keys").write_text("# nobody yet\n")
    text = '[link]\nbind = "tcp://127.0.0.1:*"\n'
    made = Collector(parse(text, tmp_path / "collector.toml"), secret)
    yield made
    made.close()


def hear(collector: Collector, name: str, kind: str) -> None:
    """Have two machines of one name be alive: two boots, heard in turn."""
    step, now = collector._step, time.time_ns()
    s = Sender(name, offset=now)
    frame = s.frame(0, [(1, 10.0, [500.0, 10.0])])
    step.take([Message(b"\0r", name, data, now) for data in (s.hello({"class": kind}), frame)])
    collector.commit()
    for at, boot in ((0, b"one"), (1, b"two"), (2, b"one")):
        step.tallies.conflicts.hear(name, boot.ljust(16), now + at * SECOND)


def test_a_cloned_host_is_named_and_a_cloned_endpoint_is_not(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    hear(collector, "srv-1", "host")
    hear(collector, "pc-of-room-12", "desktop")
    ready, said = collector.ready()
    assert ready
    assert any("srv-1" in line for line in said)
    assert any("one endpoint" in line for line in said)
    assert "pc-of-room-12" not in "".join(said)
    collector.commit()
    assert sum("pc-of-room-12" in r.getMessage() for r in caplog.records) == 1
    collector.commit()
    assert sum("pc-of-room-12" in r.getMessage() for r in caplog.records) == 1


def test_a_class_of_too_few_devices_is_explained(collector: Collector) -> None:
    hear(collector, "pc-of-room-12", "desktop")
    (why,) = [line for line in collector.ready()[1] if line.startswith("class desktop")]
    assert "not shown: fewer than 5" in why
    assert not [f for f in collector.families() if 'class="desktop"' in "".join(f.labels.pieces())]
