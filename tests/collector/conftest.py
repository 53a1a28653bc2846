"""Every test of what the ledger says runs on both engines: ask for ``engine``, or a new ``ledger`` of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.collector.ledger.engines import Engine
from thinwatt_collector.ledger.tables import Tables


@pytest.fixture(scope="session", params=["duckdb", pytest.param("postgresql", marks=pytest.mark.peer)])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    server = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    return Engine(tmp_path_factory.mktemp("ledgers"), server)


@pytest.fixture
def ledger(engine: Engine) -> Iterator[Tables]:
    made = engine.open()
    yield made
    made.close()
