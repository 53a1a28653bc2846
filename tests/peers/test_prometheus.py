"""A real Prometheus scrapes the served pages: over TLS with a password, in OpenMetrics and in the text format."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bcrypt
import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.certificates import make_authority
from thinwatt_collector.catalogue import CATALOGUE
from thinwatt_collector.serve.app import create_app, serve
from thinwatt_collector.serve.exposition import Family, LabelSet, label_text

Peer = Callable[[str], str]
PASSWORD = "a password"
# Numbers that a text format could lose: tiny, huge, exact to the last bit, negative zero, infinite.
NUMBERS = [0.1 + 0.2, 1e-300, 1.7976931348623157e308, -0.0, 123456789.123456789, np.inf, -np.inf, 2.0**53 + 2.0]
NAMES = ["plain", 'quote"d', "back\\slash", "salle é", "a,b={c}", " spaced ", "new\nline", "#hash"]


class Shown:
    """Every family of the catalogue, with a row for each awkward name in those that have devices."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        Counter("thinwatt_collector_rows", "Rows booked.", registry=self.registry).inc(7)
        Histogram("thinwatt_collector_step_seconds", "Duration of a step.", registry=self.registry).observe(0.2)
        self.shown = [self._family(name) for name, metric in CATALOGUE.items() if not metric.own]

    @staticmethod
    def _family(name: str) -> Family:
        metric = CATALOGUE[name]
        rows = [dict.fromkeys(metric.labels, device) for device in (NAMES if metric.labels else NAMES[:1])]
        values = np.array(NUMBERS[: len(rows)])
        return Family(
            metric, LabelSet([label_text(row) for row in rows]), np.abs(values) if metric.kind == "counter" else values
        )

    def families(self, technical: bool = False) -> list[Family]:  # the form of all of them
        return self.shown

    def ready(self) -> tuple[bool, list[str]]:
        return True, []


def without_accept(app: ASGIApp) -> ASGIApp:
    """A scraper that asks for no format gets the text format."""

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "headers": [h for h in scope["headers"] if h[0] != b"accept"]}
        await app(scope, receive, send)

    return asked


def get(url: str, **query: str) -> Any:
    with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
        return json.load(answer)["data"]


@pytest.fixture(scope="module")
def source() -> Shown:
    return Shown()


@pytest.fixture(scope="module")
def web_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web")
    (folder / "authority").mkdir()
    make_authority(folder / "authority").issue("server", folder)
    path = folder / "web.yml"
    stored = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(6)).decode()
    path.write_text(
        "tls_server_config: {cert_file: server.pem, key_file: server.key}\n"
        f"basic_auth_users: {{prometheus: {stored}}}\n"
    )
    return path


@pytest.fixture(scope="module")
def prometheus(request: pytest.FixtureRequest, source: Shown, web_config: Path) -> Iterator[str]:
    """Run Prometheus over three targets (jobs openmetrics, text, intruder) and return the address of its API."""
    peer: Peer = request.getfixturevalue("peer")
    program, folder = peer("prometheus"), web_config.parent
    app = create_app(source)
    targets = [serve(app, web_config, "127.0.0.1:0"), serve(without_accept(app), web_config, "127.0.0.1:0")]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def job(name: str, target: int, password: str) -> dict[str, Any]:
        return {
            "job_name": name,
            "scheme": "https",
            "static_configs": [{"targets": [f"127.0.0.1:{targets[target].port}"]}],
            "basic_auth": {"username": "prometheus", "password": password},
            "tls_config": {"ca_file": str(folder / "authority" / "ca.pem")},
        }

    jobs = [job("openmetrics", 0, PASSWORD), job("text", 1, PASSWORD), job("intruder", 0, "another")]
    document = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(json.dumps(document))  # JSON is YAML
    arguments = [
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        server = subprocess.Popen([program, *arguments], stdout=log, stderr=log)
    api = f"http://127.0.0.1:{port}/api/v1"
    try:
        _until_scraped(api, server, folder / "prometheus.log")
        yield api
    finally:
        server.terminate()
        server.wait(20)
        for target in targets:
            target.close()


def _until_scraped(api: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60.0
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        try:
            targets = get(f"{api}/targets")["activeTargets"]
        except OSError:
            targets = []
        if len(targets) == 3 and all(t["health"] != "unknown" for t in targets):
            return
        time.sleep(0.2)
    pytest.fail(f"Prometheus has not scraped:\n{log.read_text()}")


def test_it_is_let_in_with_the_password_only(prometheus: str) -> None:
    targets = {t["labels"]["job"]: t for t in get(f"{prometheus}/targets")["activeTargets"]}
    assert [targets[job]["lastError"] for job in ("openmetrics", "text")] == ["", ""]
    assert "401" in targets["intruder"]["lastError"]


@pytest.mark.parametrize("job", ["openmetrics", "text"])
def test_every_number_arrives_to_the_bit_under_its_labels(prometheus: str, source: Shown, job: str) -> None:
    for family in source.shown:
        result = get(f"{prometheus}/query", query=f'{family.metric.name}{{job="{job}"}}')["result"]
        found = {
            tuple(row["metric"].get(label, "") for label in family.metric.labels): float(row["value"][1])
            for row in result
        }
        names = NAMES if family.metric.labels else NAMES[:1]
        expected = {
            (name,) * len(family.metric.labels): value
            for name, value in zip(names, family.values.tolist(), strict=True)
        }
        assert found.keys() == expected.keys(), family.metric.name
        assert {k: v.hex() for k, v in found.items()} == {k: v.hex() for k, v in expected.items()}
    own = get(f"{prometheus}/query", query=f'thinwatt_collector_rows_total{{job="{job}"}}')["result"]
    assert [row["value"][1] for row in own] == ["7"]


@pytest.mark.parametrize("job", ["openmetrics", "text"])
def test_it_learns_kind_and_help(prometheus: str, job: str) -> None:
    metadata = get(f"{prometheus}/targets/metadata", match_target=f'{{job="{job}"}}')
    found = {row["metric"]: row for row in metadata}
    for metric in CATALOGUE.values():
        if metric.own:
            continue
        row = found[metric.family if job == "openmetrics" else metric.name]
        kind = "gauge" if job == "text" and metric.kind == "info" else metric.kind
        assert (row["type"], row["help"]) == (kind, metric.help)
        assert row["unit"] == (metric.unit if job == "openmetrics" else "")


def test_promtool_has_nothing_to_say(request: pytest.FixtureRequest, source: Shown, web_config: Path) -> None:
    """It reads the text format only; what it makes of OpenMetrics, the server above has shown."""
    peer: Peer = request.getfixturevalue("peer")
    promtool = peer("promtool")
    handle = serve(create_app(source), web_config, "127.0.0.1:0")
    try:
        trusted = ssl.create_default_context(cafile=str(web_config.parent / "authority" / "ca.pem"))
        credentials = base64.b64encode(f"prometheus:{PASSWORD}".encode()).decode()
        connection = http.client.HTTPSConnection("127.0.0.1", handle.port, timeout=10, context=trusted)
        connection.request("GET", "/metrics", headers={"Authorization": f"Basic {credentials}"})
        text = connection.getresponse().read()
        connection.close()
    finally:
        handle.close()
    said = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (0, b"", b"")
