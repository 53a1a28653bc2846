"""Passwords and TLS over real sockets: who gets in, what a check costs, what a changed file does."""

from __future__ import annotations

import base64
import http.client
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import bcrypt
import pytest

from tests.certificates import Authority
from tests.collector.serve.conftest import Start, Stub, fleet
from thinwatt_collector.serve import guard
from thinwatt_collector.serve.app import Handle
from thinwatt_collector.serve.web_config import WebConfigError


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def users(folder: Path, **passwords: str) -> Path:
    path = folder / "web.yml"
    lines = [f"  {name}: {hashed(password)}" for name, password in passwords.items()]
    path.write_text("\n".join(["basic_auth_users:", *lines, "http_server_config:", "  headers:",
                               "    X-Content-Type-Options: nosniff", ""]))  # fmt: skip
    return path


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def status(handle: Handle, authorization: str | None, path: str = "/metrics") -> int:
    return response(handle, authorization, path)[0]


def response(handle: Handle, authorization: str | None, path: str = "/metrics") -> tuple[int, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", handle.port, timeout=30)
    connection.request("GET", path, headers={"Authorization": authorization} if authorization else {})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.05)


@pytest.mark.parametrize(
    "authorization, expected",
    [
        (basic("prometheus:secret:with:colons"), 200),
        (basic("prometheus:secret:with:colons").replace("Basic", "basic"), 200),
        (basic("prometheus:wrong"), 401),
        (basic("prometheus:"), 401),
        (basic("nobody:secret:with:colons"), 401),
        (basic("prometheus"), 401),
        (basic(""), 401),
        (basic("prometheus:" + "x" * 1000), 401),
        ("Basic not base64!", 401),
        ("Basic", 401),
        ("Bearer secret", 401),
        (None, 401),
    ],
)
def test_only_a_name_with_its_password_gets_in(
    start: Start, tmp_path: Path, authorization: str | None, expected: int
) -> None:
    handle = start(users(tmp_path, prometheus="secret:with:colons"))
    code, headers = response(handle, authorization)
    assert code == expected
    assert headers["x-content-type-options"] == "nosniff"
    assert (expected == 401) == ("www-authenticate" in headers)


@pytest.mark.parametrize("named", [True, False])
def test_who_comes_through_the_password_has_proven_the_technical_role(
    start: Start, source: Stub, tmp_path: Path, named: bool
) -> None:
    source.shown, source.detailed = [], fleet(30)[:1]
    handle = start(users(tmp_path, a="b") if named else None)
    connection = http.client.HTTPConnection("127.0.0.1", handle.port, timeout=30)
    connection.request("GET", "/metrics", headers={"Authorization": basic("a:b")})
    answer = connection.getresponse()
    assert (answer.status, b"host-00029" in answer.read()) == (200, named)
    connection.close()


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/none"])
def test_every_page_asks(start: Start, tmp_path: Path, path: str) -> None:
    handle = start(users(tmp_path, a="b"))
    assert status(handle, None, path) == 401
    assert status(handle, basic("a:b"), path) in (200, 404)


def test_a_right_password_is_checked_once_a_wrong_one_each_time(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[tuple[bytes, bytes]] = []

    def counted(password: bytes, stored: bytes) -> bool:
        checked.append((password, stored))
        return bcrypt.checkpw(password, stored)

    monkeypatch.setattr(guard, "_matches", counted)
    handle = start(users(tmp_path, a="right"))
    assert [status(handle, basic("a:right")) for _ in range(3)] == [200, 200, 200]
    assert len(checked) == 1
    assert [status(handle, basic("a:wrong")) for _ in range(3)] == [401, 401, 401]
    assert len(checked) == 4
    # A name that does not exist costs a check as well, so that names cannot be told from the time.
    assert status(handle, basic("b:right")) == 401
    assert checked[-1][0] == b"right"
    assert bcrypt.checkpw(b"anything", checked[-1][1]) is False
    assert checked[-1][1][:7] == checked[0][1][:7], "at the cost of the hashes that there are"


def test_a_changed_file_takes_effect_without_a_restart(start: Start, tmp_path: Path) -> None:
    handle = start(users(tmp_path, a="first"))
    assert status(handle, basic("a:first")) == 200
    users(tmp_path, a="second", b="third")
    until(lambda: status(handle, basic("a:second")) == 200)
    assert status(handle, basic("a:first")) == 401, "what was remembered as right is right no more"
    assert status(handle, basic("b:third")) == 200
    users(tmp_path, b="third")
    until(lambda: status(handle, basic("a:second")) == 401)


def test_a_file_that_has_become_wrong_changes_nothing(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = users(tmp_path, a="b")
    handle = start(path)
    path.write_text("basic_auth_users: {a: plain}")
    until(lambda: "what was there before stays" in caplog.text)
    assert status(handle, basic("a:b")) == 200
    assert status(handle, None) == 401, "a broken file does not open the door"
    path.unlink()
    time.sleep(1.5)
    assert status(handle, None) == 401, "nor does one that is gone"


def test_a_wrong_file_at_the_start_is_an_error(start: Start, tmp_path: Path) -> None:
    with pytest.raises(WebConfigError, match="cannot be read"):
        start(tmp_path / "none.yml")


def tls(folder: Path, authority: Authority, more: str = "") -> Path:
    authority.issue("server", folder)
    path = folder / "web.yml"
    path.write_text(f"tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n{more}")
    return path


def peer(handle: Handle, context: ssl.SSLContext) -> tuple[int, bytes, str]:
    """Return status, the server's certificate and the protocol version."""
    connection = http.client.HTTPSConnection("127.0.0.1", handle.port, timeout=20, context=context)
    connection.request("GET", "/metrics")
    assert isinstance(connection.sock, ssl.SSLSocket)
    certificate, version = connection.sock.getpeercert(binary_form=True), connection.sock.version()
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, certificate or b"", version or ""


def client(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.certificate))


def test_tls(start: Start, tmp_path: Path, authority: Authority) -> None:
    handle = start(tls(tmp_path, authority))
    code, _, version = peer(handle, client(authority))
    assert (code, version) == (200, "TLSv1.3")
    assert handle.tls
    with pytest.raises(ssl.SSLCertVerificationError):
        peer(handle, ssl.create_default_context())
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        status(handle, None)  # plain HTTP


def test_the_oldest_version_that_is_spoken(start: Start, tmp_path: Path, authority: Authority) -> None:
    handle = start(tls(tmp_path, authority, "  min_version: TLS13\n"))
    old = client(authority)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        peer(handle, old)
    assert peer(handle, client(authority))[0] == 200


def test_clients_with_certificates(start: Start, tmp_path: Path, authority: Authority) -> None:
    more = f"  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: {authority.certificate}\n"
    handle = start(tls(tmp_path, authority, more))
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        peer(handle, client(authority))
    known = client(authority)
    known.load_cert_chain(*authority.issue("prometheus", tmp_path))
    assert peer(handle, known)[0] == 200


def test_a_renewed_certificate_is_used_without_a_restart(
    start: Start, tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    handle = start(tls(tmp_path, authority))
    before = peer(handle, client(authority))[1]
    new = tmp_path / "new"
    new.mkdir()
    authority.issue("server", new)
    # A renewal half done, certificate without its key, is told and waited out.
    (new / "server.pem").replace(tmp_path / "server.pem")
    until(lambda: "belong together" in caplog.text)
    assert peer(handle, client(authority))[1] == before
    (new / "server.key").replace(tmp_path / "server.key")
    until(lambda: peer(handle, client(authority))[1] != before)
