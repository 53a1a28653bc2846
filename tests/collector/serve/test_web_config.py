"""The web-config file: what exporters take is taken, what would protect less than it says is refused by name."""

from __future__ import annotations

import ssl
from pathlib import Path

import bcrypt
import pytest

from tests.certificates import Authority
from thinwatt_collector.serve.guard import nobody
from thinwatt_collector.serve.web_config import BCRYPT, WebConfig, WebConfigError, load

HASH = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"  # as htpasswd writes it


def written(folder: Path, text: str) -> Path:
    path = folder / "web.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_file_asks_for_nothing(tmp_path: Path) -> None:
    assert load(written(tmp_path, "")) == WebConfig()
    assert load(written(tmp_path, "# nothing\nbasic_auth_users:\n")) == WebConfig()


def test_a_whole_file_with_paths_beside_it(tmp_path: Path, authority: Authority) -> None:
    authority.issue("server", tmp_path)
    (tmp_path / "ca.pem").write_bytes(authority.certificate.read_bytes())
    found = load(
        written(
            tmp_path,
            f"""
tls_server_config:
  cert_file: server.pem
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  min_version: TLS13
http_server_config:
  http2: true
  headers:
    X-Frame-Options: deny
basic_auth_users:
  prometheus: {HASH}
""",
        )
    )
    assert found.tls is not None
    assert (found.tls.client_auth, found.tls.min_version) == (ssl.CERT_REQUIRED, ssl.TLSVersion.TLSv1_3)
    assert found.files() == [tmp_path / "server.pem", tmp_path / "server.key", tmp_path / "ca.pem"]
    assert found.headers == {"X-Frame-Options": "deny"}
    assert found.users == {"prometheus": HASH}


PAIR = "tls_server_config: {cert_file: s.pem, key_file: s.key"


@pytest.mark.parametrize(
    "text, told",
    [
        ("tls_config: {}", "tls_config: no such key; there are tls_server_config"),
        ("- a\n- b", "the file is no table"),
        ("basic_auth_users: [a]", "basic_auth_users is no table"),
        ("a: [", "is no YAML"),
        ("basic_auth_users:\n  a: secret", "basic_auth_users.a: is not a bcrypt hash"),
        ("basic_auth_users:\n  a: 5", "basic_auth_users.a: is not a bcrypt hash"),
        (f"basic_auth_users:\n  a: {HASH}\n  a: {HASH}", "'a' stands twice"),
        ("tls_server_config: {cert_file: s.pem}", "tls_server_config.key_file: is missing"),
        ("tls_server_config: {key_file: s.key}", "tls_server_config.cert_file: is missing"),
        ("tls_server_config: {cert_file: 5, key_file: s.key}", "tls_server_config.cert_file: 5 is no path"),
        (PAIR + "}", "s.pem with "),
        (PAIR + ", ca_file: x}", "tls_server_config.ca_file: no such key"),
        (PAIR + ", cipher_suites: [X]}", "tls_server_config.cipher_suites: other exporters know it, thinwatt cannot"),
        (PAIR + ", client_allowed_sans: [X]}", "tls_server_config.client_allowed_sans: other exporters know it"),
        (PAIR + ", client_auth_type: RequireAnyClientCert}", "without checking it"),
        (PAIR + ", client_auth_type: Always}", "'Always' is none of NoClientCert"),
        (PAIR + ", client_auth_type: RequireAndVerifyClientCert}", "tls_server_config.client_ca_file: is missing"),
        (PAIR + ", client_ca_file: ca.pem}", "for client_ca_file to have an effect"),
        (PAIR + ", min_version: TLS9}", "tls_server_config.min_version: 'TLS9' is none of TLS10"),
        (PAIR + ", min_version: TLS13, max_version: TLS12}", "tls_server_config.min_version: is above max_version"),
        ("http_server_config: {http2: maybe}", "http_server_config.http2: 'maybe' is neither"),
        ("http_server_config: {headers: {Server: x}}", "http_server_config.headers.Server: no such key"),
        ('http_server_config: {headers: {X-Frame-Options: "a\\nb"}}', "headers.X-Frame-Options: is not one line"),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_file_and_key(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(WebConfigError) as caught:
        load(path)
    assert told in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


def test_files_that_do_not_fit_are_told_at_the_start(tmp_path: Path, authority: Authority) -> None:
    with pytest.raises(WebConfigError, match="cannot be read"):
        load(tmp_path / "none.yml")
    authority.issue("a", tmp_path)
    authority.issue("b", tmp_path)
    with pytest.raises(WebConfigError, match="belong together"):
        load(written(tmp_path, "tls_server_config: {cert_file: a.pem, key_file: b.key}"))
    (tmp_path / "ca.pem").write_text("nothing")
    text = "tls_server_config: {cert_file: a.pem, key_file: a.key, client_auth_type: VerifyClientCertIfGiven, "
    with pytest.raises(WebConfigError, match="client_ca_file"):
        load(written(tmp_path, text + "client_ca_file: ca.pem}"))


def test_nobodys_hash_costs_what_the_dearest_of_the_file_costs() -> None:
    hashes = [bcrypt.hashpw(b"x", bcrypt.gensalt(cost)).decode() for cost in (4, 5)]
    assert nobody(hashes).startswith("$2b$05$")
    assert BCRYPT.fullmatch(nobody(hashes))
    assert not bcrypt.checkpw(b"x", nobody(hashes).encode())
