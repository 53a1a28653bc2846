"""A ledger with a small campus in it, and the API over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from thinwatt_collector.catalogue import CATALOGUE
from thinwatt_collector.factors import table
from thinwatt_collector.inventory.watched import Now, nothing_known
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger
from thinwatt_collector.readers import LedgerReader
from thinwatt_collector.serve.api.access import Access, Anonymous
from thinwatt_collector.serve.api.books import Agent
from thinwatt_collector.serve.api.routes import Setting, create_api
from thinwatt_collector.serve.api.tokens import Tokens, make
from thinwatt_collector.serve.app import create_app
from thinwatt_collector.serve.exposition import Family, LabelSet, label_text
from thinwatt_collector.serve.server import serve

NOW = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp())
DAY = int(datetime(2026, 11, 21, 23, tzinfo=UTC).timestamp())
"""The 22nd of November in Paris, over and settled."""
SOURCES = [(0, "booked", "measured"), (1, "booked", "modelled"), (2, "booked", "assumed"), (3, "rapl", "modelled")]


@dataclass
class Campus:
    """Fills a ledger: devices by class and model, energy by slot."""

    ledger: DuckDBLedger
    devices: list[str] = field(default_factory=list)

    def device(self, name: str, kind: str, model: str = "", simulated: bool = False) -> int:
        self.devices.append(name)
        number = len(self.devices) - 1
        row = [number, name, name, kind, model, simulated]
        self.ledger._connection.execute("INSERT INTO device VALUES (?, ?, ?, ?, ?, ?)", row)
        return number

    def energy(
        self,
        device: int,
        slots: Sequence[int],
        joules: float,
        source: int = 1,
        covered: float = 900.0,
        bias: float = 0.0,
    ) -> None:
        rows = [[device, slot, source, joules, 0.0, bias, covered] for slot in slots]
        self.ledger._connection.executemany(
            "INSERT INTO open_slot VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (device, slot, source) DO UPDATE "
            "SET joules = open_slot.joules + excluded.joules, covered = open_slot.covered + excluded.covered",
            rows,
        )


@dataclass
class Shelf:
    """Books over a ledger."""

    ledger: DuckDBLedger
    known: list[Agent] = field(default_factory=list)

    def reader(self) -> LedgerReader:
        return LedgerReader(self.ledger.reader())

    def agents(self, after: str, limit: int) -> list[Agent]:
        return [a for a in self.known if a.name > after][:limit]


@dataclass
class Pages:
    """The pages' source."""

    shown: list[Family] = field(default_factory=list)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def families(self, technical: bool = False) -> Sequence[Family]:  # the form of all of them
        return self.shown

    def ready(self) -> tuple[bool, list[str]]:
        return True, []


@pytest.fixture
def campus(tmp_path: Path) -> Iterator[Campus]:
    ledger = DuckDBLedger(tmp_path / "ledger.duckdb")
    for number, name, basis in SOURCES:
        ledger._connection.execute("INSERT INTO source VALUES (?, ?, '', 'wall', ?)", [number, name, basis])
    yield Campus(ledger)
    ledger.close()


@pytest.fixture
def small(campus: Campus) -> Campus:
    """Two hosts and six PCs on the 22nd of November 2026: one PC at night, all from 08:00 to 10:00."""
    night, morning = range(DAY // 900, DAY // 900 + 8), range(DAY // 900 + 32, DAY // 900 + 40)
    for n in range(2):
        host = campus.device(f"host-{n}", "host", "R650")
        campus.energy(host, [*night, *morning], 180_000.0, source=0)
        campus.energy(host, [*night, *morning], 99_000.0, source=3)  # beside the winner
    for n in range(6):
        pc = campus.device(f"pc-{n}", "desktop", "OptiPlex")
        campus.energy(pc, morning, 18_000.0, bias=900.0)
        if n == 0:
            campus.energy(pc, night, 9_000.0)
    return campus


def families() -> list[Family]:
    def of(name: str, rows: list[tuple[dict[str, str], float]]) -> Family:
        return Family(CATALOGUE[name], LabelSet([label_text(r) for r, _ in rows]), np.array([x for _, x in rows]))

    host = {"class": 'ho"st, {x="1"}', "simulated": "false"}
    pc = {"class": "desktop", "simulated": "false"}
    return [
        of("thinwatt_power_watts", [(host, 400.0)]),
        of("thinwatt_power_uncertainty_watts", [(host, 10.0)]),
        of("thinwatt_devices", [(host, 2.0), (pc, 6.0)]),
        of(
            "thinwatt_energy_joules_total",
            [
                (host | {"basis": "measured", "simulated": "false"}, 300.0),
                (host | {"basis": "modelled", "simulated": "false"}, 100.0),
            ],
        ),
    ]


@dataclass
class Api:
    """A client, and the tokens of each role."""

    client: httpx.Client
    books: Shelf
    tokens: Path
    technical: dict[str, str]
    now: list[int]


def application(
    books: Shelf, tokens: Path, anonymous: Anonymous, now: list[int], inventory: Now = nothing_known
) -> Starlette:
    access = Access(Tokens(tokens), anonymous)
    pages = Pages(families())
    setting = Setting(pages, books, table.load({"zone": "FR"}), access, "Europe/Paris", lambda: now[0], inventory)
    return create_app(pages, create_api(setting))


@contextmanager
def served(app: Starlette) -> Iterator[httpx.Client]:
    """Serve an application over a real socket."""
    handle = serve(app, None, "127.0.0.1:0")
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{handle.port}", timeout=30, trust_env=False) as client:
            yield client
    finally:
        handle.close()


@pytest.fixture
def api(small: Campus, tmp_path: Path) -> Iterator[Api]:
    tokens = tmp_path / "tokens.toml"
    token = make(tokens, "dsi", "technical")
    books, now = Shelf(small.ledger), [NOW]
    with served(application(books, tokens, "public", now)) as client:
        yield Api(client, books, tokens, {"Authorization": f"Bearer {token}"}, now)
