"""The package: dropping a file in is the registration, and every source keeps the contract."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from thinwatt_collector import factors
from thinwatt_collector.factors import KINDS, FactorError, load, names, source

SOURCES = ["csv", "eco2mix", "electricitymaps", "fixed", "table", "uk_carbon_intensity"]


def test_these_are_the_sources() -> None:
    assert names() == SOURCES
    with pytest.raises(FactorError, match=f"called 'ademe'; there are {', '.join(SOURCES)}"):
        load("ademe", {})


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_keeps_the_contract(name: str) -> None:
    module = source(name)
    assert module.KINDS
    assert set(module.KINDS) <= set(KINDS)
    assert {"kind", "zone"} <= set(module.OPTIONS)
    assert list(inspect.signature(module.load).parameters) == ["options"]
    assert module.__doc__
    if hasattr(module, "fetch"):
        assert list(inspect.signature(module.fetch).parameters) == ["options", "fetcher", "now"]
        assert {"archive", "url"} <= set(module.OPTIONS)
    with pytest.raises(FactorError, match=f"factors.{name}: unknown option 'colour'"):
        module.load({"colour": "red"})


def test_a_method_that_no_source_has_is_told_with_those_that_there_are() -> None:
    with pytest.raises(
        FactorError, match="no 'marginal' method, but record; methods are record, live, profile, market"
    ):
        load("table", {"kind": "marginal"})


def test_only_the_way_out_opens_a_connection() -> None:
    """Loading and parsing reach no network by any import of their own: what asks is handed over."""
    folder = Path(str(factors.__file__)).parent
    for path in folder.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        found |= {(n.module or "").split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        parse = {
            n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) if (n.module or "").startswith("urllib")
        }
        assert not found & {"socket", "http", "ssl", "requests", "httpx"}, path
        assert parse <= {"urllib.parse"}, path
