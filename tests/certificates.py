"""A certificate authority for tests: certificates for 127.0.0.1, made with openssl, good for a month."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
DAYS = ("-days", "30")


@dataclass(frozen=True)
class Authority:
    """Makes certificates for 127.0.0.1 with openssl."""

    folder: Path

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.pem"

    def issue(self, name: str, folder: Path) -> tuple[Path, Path]:
        """Write NAME.pem and NAME.key into ``folder``."""
        key, request, certificate = folder / f"{name}.key", folder / f"{name}.csr", folder / f"{name}.pem"
        extra = self.folder / "san.cnf"
        names = (
            "subjectAltName=IP:127.0.0.1,DNS:localhost",
            "subjectKeyIdentifier=hash",
            "authorityKeyIdentifier=keyid",
        )
        extra.write_text("\n".join(names))
        ours = ("-CA", str(self.certificate), "-CAkey", str(self.folder / "ca.key"))
        _openssl("req", *NEW_KEY, "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(request))
        _openssl("x509", "-req", *ours, *DAYS, "-extfile", str(extra), "-in", str(request), "-out", str(certificate))
        return certificate, key


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def make_authority(folder: Path) -> Authority:
    """Return an authority whose own certificate and key lie in ``folder``."""
    if shutil.which("openssl") is None:
        remedy = "openssl is not installed: apt-get install openssl"
        if os.environ.get("CI") == "true":
            pytest.fail(remedy)
        pytest.skip(remedy)
    written = ("-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.pem"))
    # Python 3.13 insists on what RFC 5280 asks of an authority's certificate.
    purpose = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    _openssl("req", "-x509", *NEW_KEY, *DAYS, "-subj", "/CN=test", *purpose, *written)
    return Authority(folder)
