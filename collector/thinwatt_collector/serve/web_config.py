"""The web-config file that Prometheus' exporters share: TLS, passwords and headers, in YAML.

The keys are those of github.com/prometheus/exporter-toolkit, docs/web-configuration.md, so that one file serves every
exporter of a machine. A key that we cannot honour is refused by name: a file that asks for more protection than it
gets is worse than none.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

BCRYPT: Final = re.compile(r"\$2[abxy]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
VERSIONS: Final = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
CLIENT_AUTH: Final = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
UNVERIFIED: Final = ("RequestClientCert", "RequireAnyClientCert")
HEADERS: Final = (
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
)
NOT_OURS: Final = (
    "cert",
    "key",
    "client_ca",
    "client_allowed_sans",
    "cipher_suites",
    "prefer_server_cipher_suites",
    "curve_preferences",
)
"""Keys of the exporters' file that cannot be honoured here."""


def _no_password() -> str:
    return ""  # in place of OpenSSL's question at the terminal


class WebConfigError(ValueError):
    """A web-config file that cannot be used; ``str()`` names file, key and remedy."""


@dataclass(frozen=True, slots=True)
class Tls:
    """``tls_server_config``."""

    cert_file: Path
    key_file: Path
    client_auth: ssl.VerifyMode = ssl.CERT_NONE
    client_ca_file: Path | None = None
    min_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    max_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3

    def context(self) -> ssl.SSLContext:
        """Return a server's TLS context.

        Raises:
            WebConfigError: a file that cannot be read, or a key that does not belong to the certificate.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = self.min_version, self.max_version
        self.load_certificate(context)
        if self.client_ca_file is not None:
            try:
                context.load_verify_locations(self.client_ca_file)
            except (OSError, ssl.SSLError) as error:
                raise WebConfigError(
                    f"tls_server_config.client_ca_file: {self.client_ca_file} cannot be used: {error}"
                ) from error
        context.verify_mode = self.client_auth
        return context

    def load_certificate(self, context: ssl.SSLContext) -> None:
        """Have new connections of ``context`` use the certificate as it stands in the files now."""
        try:
            context.load_cert_chain(self.cert_file, self.key_file, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise WebConfigError(
                f"tls_server_config.cert_file, key_file: {self.cert_file} with {self.key_file} cannot be used: "
                f"{error}; two PEM files that this user can read and that belong together are needed, the key without "
                "a password"
            ) from error


@dataclass(frozen=True, slots=True)
class WebConfig:
    """A web-config file. ``users`` is name → bcrypt hash; empty: no password is asked for."""

    tls: Tls | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict)

    @property
    def asks(self) -> bool:
        """Whether it lets in only who has a password or a client's certificate."""
        return bool(self.users) or (self.tls is not None and self.tls.client_auth is ssl.CERT_REQUIRED)

    def files(self) -> list[Path]:
        """Return the files that it names."""
        if self.tls is None:
            return []
        named = (self.tls.cert_file, self.tls.key_file, self.tls.client_ca_file)
        return [path for path in named if path is not None]


def load(path: Path) -> WebConfig:
    """Return what a web-config file says; its certificate is tried as well.

    Raises:
        WebConfigError: the file, or a file that it names, cannot be used.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _Unique)  # noqa: S506  # a SafeLoader
        found = _web_config(document, path.parent)
        if found.tls is not None:
            found.tls.context()
    except OSError as error:
        raise WebConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WebConfigError(f"{path}: is no YAML: {error}") from error
    except WebConfigError as error:
        raise WebConfigError(f"{path}: {error}") from error
    return found


class _Unique(yaml.SafeLoader):
    """Refuses a key that stands twice: the second would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((key for i, key in enumerate(keys) if key in keys[:i]), None)
        if twice is not None:
            raise WebConfigError(f"line {node.start_mark.line + 1}: {twice!r} stands twice in one table")
        return super().construct_mapping(node, deep)


def _web_config(document: Any, folder: Path) -> WebConfig:
    top = _table(document, "", ("tls_server_config", "http_server_config", "basic_auth_users"))
    tls = top.get("tls_server_config")
    return WebConfig(
        tls=None if tls is None else _tls(tls, folder),
        headers=_http(top.get("http_server_config")),
        users=_users(top.get("basic_auth_users")),
    )


def _table(document: Any, name: str, known: tuple[str, ...] | None) -> dict[str, Any]:
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise WebConfigError(f"{name or 'the file'} is no table of keys: write 'key: …' lines under it")
    for key in document:
        full = f"{name}.{key}" if name else str(key)
        if known is not None and key not in known:
            ours = name == "tls_server_config" and key in NOT_OURS
            why = "other exporters know it, thinwatt cannot honour it: remove it" if ours else "no such key"
            raise WebConfigError(f"{full}: {why}; there are {', '.join(known)}")
    return document


def _tls(document: Any, folder: Path) -> Tls:
    name = "tls_server_config"
    keys = ("cert_file", "key_file", "client_auth_type", "client_ca_file", "min_version", "max_version")
    table = _table(document, name, keys)
    files = {}
    for key in ("cert_file", "key_file", "client_ca_file"):
        text = table.get(key)
        if text is not None and not (isinstance(text, str) and text):
            raise WebConfigError(f"{name}.{key}: {text!r} is no path")
        files[key] = None if text is None else folder / text
    if files["cert_file"] is None or files["key_file"] is None:
        missing = "cert_file" if files["cert_file"] is None else "key_file"
        raise WebConfigError(f"{name}.{missing}: is missing: TLS needs a certificate and its key, in PEM files")
    client_auth = _client_auth(table.get("client_auth_type"), files["client_ca_file"])
    low = _version(table, "min_version", ssl.TLSVersion.TLSv1_2)
    high = _version(table, "max_version", ssl.TLSVersion.TLSv1_3)
    if low > high:
        raise WebConfigError(f"{name}.min_version: is above max_version")
    return Tls(files["cert_file"], files["key_file"], client_auth, files["client_ca_file"], low, high)


def _client_auth(kind: Any, authority: Path | None) -> ssl.VerifyMode:
    name = "tls_server_config.client_auth_type"
    if kind in UNVERIFIED:
        raise WebConfigError(
            f"{name}: {kind} takes any certificate without checking it, which protects nothing; "
            "write RequireAndVerifyClientCert with a client_ca_file"
        )
    if kind is None or kind == "":
        kind = "NoClientCert"
    if kind not in CLIENT_AUTH:
        raise WebConfigError(f"{name}: {kind!r} is none of {', '.join(CLIENT_AUTH)}")
    checks = CLIENT_AUTH[kind] is not ssl.CERT_NONE
    if checks and authority is None:
        raise WebConfigError(f"tls_server_config.client_ca_file: is missing: {kind} checks certificates against it")
    if authority is not None and not checks:
        raise WebConfigError(f"{name}: must be RequireAndVerifyClientCert for client_ca_file to have an effect")
    return CLIENT_AUTH[kind]


def _version(table: dict[str, Any], key: str, default: ssl.TLSVersion) -> ssl.TLSVersion:
    text = table.get(key)
    if text is None:
        return default
    if text not in VERSIONS:
        raise WebConfigError(f"tls_server_config.{key}: {text!r} is none of {', '.join(VERSIONS)}")
    return VERSIONS[text]


def _http(document: Any) -> dict[str, str]:
    name = "http_server_config"
    table = _table(document, name, ("http2", "headers"))
    # http2 is understood and has no effect: HTTP/1.1 is served, which every scraper speaks.
    if not isinstance(table.get("http2", True), bool):
        raise WebConfigError(f"{name}.http2: {table['http2']!r} is neither true nor false")
    headers = _table(table.get("headers"), f"{name}.headers", HEADERS)
    return _texts(headers, f"{name}.headers", lambda text: text.isascii() and text.isprintable(), "one line of ASCII")


def _users(document: Any) -> dict[str, str]:
    name = "basic_auth_users"
    users = _table(document, name, None)
    return _texts(
        users, name, lambda text: bool(BCRYPT.fullmatch(text)), "a bcrypt hash, as `htpasswd -nBC 10 NAME` prints it"
    )


def _texts(table: dict[Any, Any], name: str, good: Callable[[str], bool], what: str) -> dict[str, str]:
    for key, text in table.items():
        if not isinstance(text, str) or not good(text):
            raise WebConfigError(f"{name}.{key}: is not {what}")
    return {str(key): text for key, text in table.items()}
