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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from thinwatt_agent import __version__

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


@contextmanager
def running(tmp_path: Path, more: str) -> Iterator[tuple[int, Path]]:
    """A collector of its own process: the port of its API, and its configuration."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    assert run("keygen", str(tmp_path / "collector.key")).returncode == 0
    (tmp_path / "agents.keys").write_text("")
    config = tmp_path / "collector.toml"
    text = f'[link]\nbind = "tcp://127.0.0.1:*"\n[web]\nlisten = "127.0.0.1:{port}"\n{more}'
    config.write_text(text)
    if "[api]" in more:
        assert "the first token makes it: thinwatt-collector api-token" in run("run", "--config", str(config)).stderr
        assert run("api-token", "--config", str(config), "first").returncode == 0
    collector = subprocess.Popen([*COMMAND, "run", "--config", str(config)])
    try:
        end = time.monotonic() + 60
        while True:
            try:
                assert ask(port, "me")[0] == 200
                break
            except urllib.error.URLError:
                assert time.monotonic() < end
                assert collector.poll() is None
                time.sleep(0.1)
        yield port, config
    finally:
        collector.send_signal(signal.SIGTERM)
        assert collector.wait(30) == 0


def test_a_collector_serves_its_api_and_takes_a_token_made_while_it_runs(tmp_path: Path) -> None:
    (tmp_path / "collector.toml").write_text("")
    refused = run("api-token", "--config", str(tmp_path / "collector.toml"), "grafana")
    assert (refused.returncode, "[api] tokens" in refused.stderr) == (2, True)
    with running(tmp_path, '[api]\ntokens = "tokens.toml"\n') as (port, config):
        status, fleet = ask(port, "fleet")
        assert (status, fleet.pop("at")[:2]) == (200, "20")
        assert fleet == {"classes": [], "agents": [], "since": None, "trouble": None}
        assert ask(port, "agents")[0] == 403
        made = run("api-token", "--config", str(config), "grafana", "--role", "technical")
        assert made.returncode == 0, made.stderr
        token = made.stdout.strip()
        assert ask(port, "agents", token) == (200, {"agents": [], "next": None})
        assert ask(port, "energy")[1]["rows"] == []
        about = {"zone": "Europe/Paris", "inventory": False, "demo": False, "version": __version__}
        assert ask(port, "me", token) == (200, {"role": "technical", **about})
        assert ask(port, "me") == (200, {"role": "public", **about})
        assert ask(port, "me", "wrong")[0] == 401
        status, why = ask(port, "estimate")
        assert (status, "[inventory]" in why["remedy"]) == (404, True)
        (tmp_path / "tokens.toml").write_text("token = 1\n")
        check = run("check-config", "--config", str(config))
        assert (check.returncode, "api.tokens" in check.stderr) == (2, True)


def test_a_collector_with_nothing_but_an_inventory_says_what_it_may_come_to(tmp_path: Path) -> None:
    assert run("inventory", "example", str(tmp_path / "inventory")).returncode == 0
    shown = json.loads(run("inventory", "estimate", str(tmp_path / "inventory"), "--json").stdout)
    with running(tmp_path, '[inventory]\nfolder = "inventory"\n') as (port, _):
        assert ask(port, "me")[1]["inventory"] is True
        status, found = ask(port, "estimate")
        assert status == 200
        assert (found["agents"], found["measured"], found["modelled"]) == (0, 0.0, 0.0), "all of it is assumed"
        assert found["energy"]["kwh"] == pytest.approx(shown["energy_kwh"]["expected"], abs=0.001)
        assert found["energy"]["kwh_low"] == pytest.approx(shown["energy_kwh"]["low"], abs=0.001)
        assert found["energy"]["kwh_high"] > 1.5 * found["energy"]["kwh_low"]
        assert found["price"]["eur"] == pytest.approx(shown["price_eur"]["expected"], abs=0.001)
        removed = [line["kwh_removed"] for line in found["advice"]]
        assert removed == sorted(removed, reverse=True)
        assert removed[0] > 0
        classes = {row["class"]: row for row in ask(port, "fleet")[1]["classes"]}
        assert {kind: row["expected"] for kind, row in classes.items()} == {
            row["class"]: row["devices"] for row in shown["classes"]
        }
        assert all((row["with_agent"], row["devices"], row["watts"]) == (0, None, None) for row in classes.values())
        assert sum(row["by_design"] for row in classes.values()) == found["by_design"] > 0
        assert found["by_design"] == sum(row["without_agent_by_design"] for row in shown["classes"])


@pytest.mark.parametrize(
    "key, text", [("anonymous", "everybody"), ("clocks", "Paris"), ("tokens", "")], ids=lambda x: str(x) or "none"
)
def test_keys_of_the_configuration(tmp_path: Path, key: str, text: str) -> None:
    config = tmp_path / "collector.toml"
    config.write_text(f'[api]\n{key} = "{text}"\n')
    found = run("check-config", "--config", str(config))
    assert (f"api.{key}" in found.stderr) == (key != "tokens")
