"""Columns to PostgreSQL and back: every value as it was."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from tests.postgresql import Server
from thinwatt_collector.book import objects
from thinwatt_collector.ledger import open_ledger
from thinwatt_collector.ledger.binary_copy import encoded
from thinwatt_collector.ledger.session import given as standing
from thinwatt_collector.ledger.tables import Tables

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9)
KINDS = {
    "whole": (st.integers(-(2**63), 2**63 - 1), np.int64),
    "real": (st.floats(allow_nan=False), np.float64),
    "truth": (st.booleans(), np.bool_),
    "text": (TEXT, None),
    "raw": (st.binary(max_size=9), None),
}


def test_the_bytes_are_those_of_the_manual() -> None:
    found = encoded({"a": np.array([1, -1]), "b": objects(["x", "é"])})
    assert found[:19] == b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"
    first, second = b"\0\x02\0\0\0\x08" + (1).to_bytes(8, "big"), b"\0\x02\0\0\0\x08" + b"\xff" * 8
    assert found[19:] == first + b"\0\0\0\x01x" + second + b"\0\0\0\x02" + "é".encode() + b"\xff\xff"
    assert encoded({"a": np.zeros(0)})[19:] == encoded({"a": objects([])})[19:] == b"\xff\xff"


@pytest.fixture(scope="module")
def opened(postgresql: Server) -> Any:
    ledger = open_ledger(postgresql.url(), 0)
    yield ledger
    ledger.close()


@pytest.mark.peer
@settings(max_examples=60)
@given(st.data(), st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=6), st.integers(0, 5))
def test_what_goes_in_comes_out(opened: Tables, data: st.DataObject, kinds: list[str], rows: int) -> None:
    columns: dict[str, Any] = {}
    for i, kind in enumerate(kinds):
        strategy, dtype = KINDS[kind]
        values = data.draw(st.lists(strategy, min_size=rows, max_size=rows))
        columns[f"c{i}"] = objects(values) if dtype is None else np.array(values, dtype)
    with opened.session.whole(), standing(opened.session, {"things": columns}):
        tuples = opened.session.execute("SELECT * FROM things").fetchall()
        arrays = opened.session.execute("SELECT * FROM things").fetchnumpy()
    assert tuples == list(zip(*(c.tolist() for c in columns.values()), strict=True))
    for name, values in columns.items():
        assert arrays[name].tolist() == values.tolist()
        if values.dtype.kind != "O":
            assert arrays[name].dtype == values.dtype
