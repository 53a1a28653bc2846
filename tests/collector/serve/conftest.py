"""A source with made-up families, servers that are closed behind each test, and a certificate authority."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Counter
from starlette.types import ASGIApp

from tests.certificates import Authority, make_authority
from thinwatt_collector.catalogue import CATALOGUE
from thinwatt_collector.serve.app import Handle, create_app, serve
from thinwatt_collector.serve.exposition import Family, LabelSet, label_text


@dataclass
class Stub:
    """A source: what it shows can be set."""

    shown: Sequence[Family] = ()
    detailed: Sequence[Family] = ()
    good: bool = True
    said: list[str] = field(default_factory=list)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def families(self, technical: bool = False) -> Sequence[Family]:
        return [*self.shown, *(self.detailed if technical else ())]

    def ready(self) -> tuple[bool, list[str]]:
        return self.good, self.said


def fleet(devices: int, seed: int = 1) -> list[Family]:
    random = np.random.default_rng(seed)
    rows = [{"device": f"site/host-{i:05d}", "class": "host", "basis": "measured"} for i in range(devices)]
    labels = LabelSet([label_text(row) for row in rows])
    return [
        Family(CATALOGUE["thinwatt_device_energy_joules_total"], labels, random.uniform(0.0, 1e12, devices)),
        Family(CATALOGUE["thinwatt_device_power_watts"], labels, random.lognormal(5.0, 1.0, devices)),
        Family(CATALOGUE["thinwatt_oldest_unbooked_seconds"], LabelSet([""]), np.array([0.25])),
    ]


@pytest.fixture
def source() -> Stub:
    stub = Stub(fleet(20))
    rows = Counter("thinwatt_collector_rows_total", "Rows booked.", registry=stub.registry)
    rows.inc(7)
    return stub


Start = Callable[..., Handle]


@pytest.fixture
def start(source: Stub) -> Iterator[Start]:
    """Serve the source on a free port of loopback: ``start()``, ``start(web_config=path)``."""
    running: list[Handle] = []

    def begin(web_config: Path | None = None, app: ASGIApp | None = None, bind: str = "127.0.0.1:0") -> Handle:
        running.append(serve(app or create_app(source), web_config, bind))
        return running[-1]

    yield begin
    for handle in running:
        handle.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))
