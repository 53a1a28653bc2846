"""The wheel: everything a program reads at run time is in it; a thin client's install is small and works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

AGENT_INSTALL = {"thinwatt", "psutil", "pyzmq", "pip", "setuptools"}


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*build, str(root)], check=True, stdin=subprocess.DEVNULL)
    (found,) = folder.glob("thinwatt-*.whl")
    return found


def test_the_wheel_holds_every_file_of_both_packages(wheel: Path, root: Path, tracked: list[Path]) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    for distribution in ("agent", "collector"):
        for path in tracked:
            if (root / distribution) in path.parents:
                name = str(path.relative_to(root / distribution))
                assert name in inside, f"{name} is not in the wheel"
    assert "thinwatt_collector/serve/page/vendor/echarts.min.js" in inside
    assert "thinwatt_collector/serve/page/vendor/LICENSE" in inside
    assert not [name for name in inside if name.startswith(("tests", "docs", "benchmarks"))]


def test_a_bare_install_runs_the_agent_once(root: Path, tmp_path: Path) -> None:
    """What CONTRIBUTING and the README promise of a thin client: `pip install .`, no extras, `thinwatt-agent once`."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", str(root)]
    subprocess.run(install, check=True, stdin=subprocess.DEVNULL, cwd=tmp_path)

    listed = subprocess.run(
        [str(python), "-m", "pip", "list", "--format=json"], check=True, capture_output=True, cwd=tmp_path
    )
    names = {package["name"].lower() for package in json.loads(listed.stdout)}
    assert names <= AGENT_INSTALL, f"a thin client would install {sorted(names - AGENT_INSTALL)} as well"

    bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    agent = [str(python.parent / "thinwatt-agent"), "once", "--json"]
    once = subprocess.run(agent, check=True, capture_output=True, env=bare, cwd=tmp_path, timeout=60)
    assert json.loads(once.stdout)
    people = subprocess.run(agent[:2], check=True, capture_output=True, env=bare, cwd=tmp_path, timeout=60, text=True)
    assert people.stdout.strip()
