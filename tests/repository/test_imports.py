"""Who may import whom. import-linter checks the layers; here stands the exact list, read off the source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

AGENT = {"psutil", "zmq", "thinwatt_agent"}
NOT_IN_AGENT = {"asyncio", "concurrent", "multiprocessing"}
# The collector speaks the agent's wire and reads the same key files; the rest of the agent is not its business.
FROM_AGENT = {"thinwatt_agent", "thinwatt_agent.wire", "thinwatt_agent.keys", "thinwatt_agent.places"}
# Names taken from `thinwatt_agent` itself, not from a module of it.
FROM_AGENT_PACKAGE = {"__version__", "wire", "keys"}


def imports(path: Path) -> Iterator[tuple[str, tuple[str, ...], int]]:
    """Yield (module, names, line) of every import in a file, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, (), node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            yield node.module or "", tuple(alias.name for alias in node.names), node.lineno


def modules(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*.py"))
    assert found, f"no module under {folder}"
    return found


def test_the_agent_needs_psutil_pyzmq_and_the_standard_library_only(root: Path) -> None:
    allowed = (AGENT | sys.stdlib_module_names) - NOT_IN_AGENT
    for path in modules(root / "agent" / "thinwatt_agent"):
        for module, _, line in imports(path):
            assert module.split(".")[0] in allowed, f"{path}:{line} imports {module}"


def test_the_collector_takes_little_from_the_agent(root: Path) -> None:
    package = root / "collector" / "thinwatt_collector"
    for path in modules(package):
        if "demo" in path.relative_to(package).parts[0]:
            continue  # the demo runs real agents beside a real collector: that is what it is for
        for module, names, line in imports(path):
            if module.split(".")[0] != "thinwatt_agent":
                continue
            assert module in FROM_AGENT, f"{path}:{line} imports {module}"
            if module == "thinwatt_agent":
                assert set(names) <= FROM_AGENT_PACKAGE, f"{path}:{line} imports {names} from {module}"


def test_pint_stands_at_the_border_only(root: Path) -> None:
    for path in modules(root / "collector"):
        if path.name == "units.py":
            continue
        for module, _, line in imports(path):
            assert module.split(".")[0] not in {"pint", "flexparser", "flexcache"}, f"{path}:{line} imports {module}"


PURE = ("accept.py", "book.py", "models")
RIM = {
    *("socket", "ssl", "selectors", "subprocess", "threading", "time", "asyncio", "http", "urllib"),
    *("zmq", "duckdb", "psutil", "prometheus_client", "starlette", "uvicorn", "os", "shutil", "tempfile", "random"),
    "psycopg",
}


@pytest.mark.parametrize("name", PURE)
def test_protocol_and_physics_never_touch_socket_clock_or_disk(root: Path, name: str) -> None:
    place = root / "collector" / "thinwatt_collector" / name
    for path in modules(place) if place.is_dir() else [place]:
        for module, _, line in imports(path):
            assert module.split(".")[0] not in RIM, f"{path}:{line} imports {module}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            opens = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open"
            assert not opens, f"{path}:{node.lineno} opens a file" if isinstance(node, ast.Call) else ""
