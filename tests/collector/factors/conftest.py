from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.collector.factors.peers import Servers, servers
from thinwatt_collector.fetch import Fetcher, Patience


@pytest.fixture
def peer() -> Iterator[Servers]:
    with servers() as found:
        yield found


@pytest.fixture
def pauses() -> list[float]:
    """The pauses that :func:`fetcher` made, in place of waiting [s]."""
    return []


@pytest.fixture
def fetcher(pauses: list[float]) -> Callable[..., Fetcher]:
    """A fetcher that does not wait between attempts."""

    def made(**options: object) -> Fetcher:
        return Fetcher(
            cache=options.get("cache"),  # type: ignore[arg-type]  # of whatever test
            patience=options.get("patience", Patience(whole=5.0)),  # type: ignore[arg-type]  # likewise
            sleep=pauses.append,
            spread=lambda: 1.0,
        )

    return made
