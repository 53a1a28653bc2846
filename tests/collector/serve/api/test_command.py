"""The API of a real collector, with a token that its own command made."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "thinwatt_collector"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=60)


def ask(port: int, path: str, token: str = "") -> tuple[int, Any]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/{path}")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_collector_serves_its_api_and_takes_a_token_made_while_it_runs(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    assert run("keygen", str(tmp_path / "collector.key")).returncode == 0
    (tmp_path / "agents.keys").write_text("")
    config = tmp_path / "collector.toml"
    text = f'[link]\nbind = "tcp://127.0.0.1:*"\n[web]\nlisten = "127.0.0.1:{port}"\n'
    config.write_text(text)
    refused = run("api-token", "--config", str(config), "grafana")
    assert (refused.returncode, "[api] tokens" in refused.stderr) == (2, True)
    config.write_text(text + '[api]\ntokens = "tokens.toml"\n')
    assert "the first token makes it: thinwatt-collector api-token" in run("run", "--config", str(config)).stderr
    assert run("api-token", "--config", str(config), "first").returncode == 0
    collector = subprocess.Popen([*COMMAND, "run", "--config", str(config)])
    try:
        end = time.monotonic() + 60
        while True:
            try:
                status, fleet = ask(port, "fleet")
                assert (status, fleet["classes"]) == (200, [])
                break
            except urllib.error.URLError:
                assert time.monotonic() < end
                assert collector.poll() is None
                time.sleep(0.1)
        assert ask(port, "agents")[0] == 403
        made = run("api-token", "--config", str(config), "grafana", "--role", "technical")
        assert made.returncode == 0, made.stderr
        token = made.stdout.strip()
        assert ask(port, "agents", token) == (200, {"agents": [], "next": None})
        assert ask(port, "energy")[1]["rows"] == []
        (tmp_path / "tokens.toml").write_text("token = 1\n")
        check = run("check-config", "--config", str(config))
        assert (check.returncode, "api.tokens" in check.stderr) == (2, True)
    finally:
        collector.send_signal(signal.SIGTERM)
        assert collector.wait(30) == 0


@pytest.mark.parametrize(
    "key, text", [("anonymous", "everybody"), ("clocks", "Paris"), ("tokens", "")], ids=lambda x: str(x) or "none"
)
def test_keys_of_the_configuration(tmp_path: Path, key: str, text: str) -> None:
    config = tmp_path / "collector.toml"
    config.write_text(f'[api]\n{key} = "{text}"\n')
    found = run("check-config", "--config", str(config))
    assert (f"api.{key}" in found.stderr) == (key != "tokens")
