"""The build hook takes a file by its hash, and says what to do where it cannot."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from hatch_build import UnreachableError, fetch


def archive() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as inside:
        member = tarfile.TarInfo("package/dist/a.js")
        member.size = 5
        inside.addfile(member, io.BytesIO(b"a = 1"))
    return packed.getvalue()


ARCHIVE = archive()
INTEGRITY = "sha512-" + base64.b64encode(hashlib.sha512(ARCHIVE).digest()).decode()


class Registry(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = self.path == "/charts/-/charts-1.0.0.tgz"
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(ARCHIVE if found else b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the standard library's name
        pass


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_it_is_fetched_once_and_then_needs_no_network(
    registry: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch("charts", "1.0.0", INTEGRITY, ["dist/a.js"], tmp_path / "vendor")
    assert (tmp_path / "vendor" / "a.js").read_bytes() == b"a = 1"
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    fetch("charts", "1.0.0", INTEGRITY, ["dist/a.js"], tmp_path / "vendor")
    (tmp_path / "vendor" / "a.js").unlink()
    with pytest.raises(UnreachableError, match=r"Set npm_config_registry .* or copy a\.js and VERSION"):
        fetch("charts", "1.0.0", INTEGRITY, ["dist/a.js"], tmp_path / "vendor")


def test_another_hash_is_refused_and_nothing_is_written(registry: HTTPServer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not the archive that was pinned"):
        fetch("charts", "1.0.0", "sha512-AAAA", ["dist/a.js"], tmp_path / "vendor")
    assert not (tmp_path / "vendor").exists()
