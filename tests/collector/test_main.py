"""The collector's commands as a person calls them, beside a running collector and without one."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from thinwatt_collector.config import example


def command(*arguments: str, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run one command and return what it said."""
    options = ["--config", str(config)] if config else []
    call = [sys.executable, "-m", "thinwatt_collector", arguments[0], *options, *arguments[1:]]
    return subprocess.run(call, capture_output=True, text=True, check=False, timeout=60)


def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with keys and a configuration; returns the configuration."""
    assert command("keygen", str(tmp_path / "collector.key")).returncode == 0
    (tmp_path / "agents.keys").write_text("# nobody yet\n")
    path = tmp_path / "collector.toml"
    path.write_text(
        f'[link]\nbind = "tcp://127.0.0.1:*"\n[web]\nlisten = "127.0.0.1:{port()}"\n[ledger]\ncommit_every = "200 ms"\n'
    )
    return path


def web(site: Path, path: str) -> str:
    listen = site.read_text().split('listen = "')[1].split('"')[0]
    with urllib.request.urlopen(f"http://{listen}{path}", timeout=5) as response:
        return str(response.read().decode())


@pytest.fixture
def running(site: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", "thinwatt_collector", "run", "--config", str(site)])
    try:
        for _ in range(200):
            assert process.poll() is None
            try:
                web(site, "/readyz")
                break
            except OSError:
                time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.wait()


def test_the_example_is_printed_whole() -> None:
    assert command("config", "--example").stdout == example()


def test_a_good_configuration_is_called_good(site: Path) -> None:
    done = command("check-config", config=site)
    assert (done.returncode, done.stdout) == (0, f"{site}: good\n")


def test_a_good_configuration_that_is_open_to_everybody_is_called_so(site: Path) -> None:
    site.write_text('[link]\nbind = "tcp://127.0.0.1:*"\n[web]\nlisten = "0.0.0.0:*"\n')
    done = command("check-config", config=site)
    assert (done.returncode, done.stdout) == (0, f"{site}: good\n")
    assert done.stderr.startswith(f"{site}: WARNING: [web] listen = '0.0.0.0:*' opens /metrics")


def test_everything_that_is_wrong_is_told_at_once(site: Path) -> None:
    site.with_name("collector.key").unlink()
    site.with_name("agents.keys").write_text("host-1 tooshort\n")
    site.write_text('[carbon]\nzone = "XX"\n[web]\nweb_config = "absent.yml"\nlisten = ":0"\n')
    done = command("check-config", config=site)
    assert done.returncode == 2
    for word in (
        ":1: link.secret_key",
        ":1: link.agents",
        "line 1",
        ":2: carbon.zone",
        "FR",
        ":4: web.web_config",
        ":5: ",
    ):
        assert word in done.stderr
    assert len(done.stderr.splitlines()) == 5
    begun = command("run", config=site)
    assert begun.returncode == 2
    assert begun.stderr.splitlines() == [line for line in done.stderr.splitlines() if "link.agents" not in line]
    assert not (site.parent / "state").exists()


def test_keygen_does_not_overwrite_a_key(site: Path) -> None:
    key = site.with_name("collector.key")
    before = key.read_bytes()
    done = command("keygen", str(key))
    assert done.returncode == 1
    assert "there already" in done.stderr
    assert key.read_bytes() == before
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_missing_configuration_is_told_in_a_line(tmp_path: Path) -> None:
    done = command("run", config=tmp_path / "absent.toml")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "thinwatt-collector config --example > " in done.stderr


def test_a_backup_beside_the_running_collector_is_a_ledger(site: Path, running: subprocess.Popen[bytes]) -> None:
    target = site.with_name("copy.duckdb")
    done = command("backup", str(target), config=site)
    assert done.returncode == 0, done.stderr
    with duckdb.connect(str(target), read_only=True) as copy:
        assert copy.execute("SELECT count(*) FROM stream").fetchall() == [(0,)]
    assert running.poll() is None


def test_restore_refuses_beside_a_running_collector(site: Path, running: subprocess.Popen[bytes]) -> None:
    target = site.with_name("copy.duckdb")
    command("backup", str(target), config=site)
    done = command("restore", str(target), config=site)
    assert done.returncode == 1
    assert "stop it first" in done.stderr
    assert running.poll() is None


def test_a_backup_without_a_collector_and_its_restore(site: Path, running: subprocess.Popen[bytes]) -> None:
    running.send_signal(signal.SIGTERM)
    assert running.wait(20) == 0
    target = site.with_name("copy.duckdb")
    assert command("backup", str(target), config=site).returncode == 0
    ledger = site.parent / "state" / "ledger.duckdb"
    before = ledger.read_bytes()
    done = command("restore", str(target), config=site)
    assert done.returncode == 0, done.stderr
    kept = [p for p in ledger.parent.iterdir() if p.name.startswith("ledger.duckdb.")]
    assert len(kept) == 1
    assert len(kept[0].read_bytes()) == len(before)


@pytest.mark.parametrize("damage", [b"", b"no ledger" * 1000])
def test_a_damaged_ledger_is_kept_aside_and_restored(
    damage: bytes, site: Path, running: subprocess.Popen[bytes]
) -> None:
    target = site.with_name("copy.duckdb")
    assert command("backup", str(target), config=site).returncode == 0
    running.kill()
    running.wait(20)
    ledger = site.parent / "state" / "ledger.duckdb"
    ledger.write_bytes(damage)
    done = command("restore", str(target), config=site)
    assert done.returncode == 0, done.stderr
    kept = [p for p in ledger.parent.iterdir() if p.name.startswith("ledger.duckdb.") and p.suffix != ".wal"]
    assert [p.read_bytes() for p in kept] == [damage] or not damage
    assert not ledger.with_name("ledger.duckdb.wal").exists()
    with duckdb.connect(str(ledger), read_only=True) as restored:
        assert restored.execute("SELECT count(*) FROM stream").fetchall() == [(0,)]


def test_what_is_no_ledger_is_not_restored(site: Path) -> None:
    (site.parent / "junk").write_bytes(b"no ledger" * 1000)
    done = command("restore", str(site.parent / "junk"), config=site)
    assert done.returncode == 1
    assert "is no ledger" in done.stderr
    assert not (site.parent / "state" / "ledger.duckdb").exists()


def test_a_second_collector_on_the_same_ledger_does_not_start(site: Path, running: subprocess.Popen[bytes]) -> None:
    done = command("run", config=site)
    assert done.returncode == 1
    assert "ledger" in done.stderr
    assert "Traceback" not in done.stderr
    assert running.poll() is None


def test_terminated_it_ends_with_0_and_leaves_no_socket(site: Path, running: subprocess.Popen[bytes]) -> None:
    assert (site.parent / "state" / "control.sock").exists()
    running.send_signal(signal.SIGTERM)
    assert running.wait(20) == 0
    assert not (site.parent / "state" / "control.sock").exists()
