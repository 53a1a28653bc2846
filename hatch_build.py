"""Build hook: puts the chart library of the page beside it, as pinned in pyproject.toml by version and hash.

It runs for wheels, editable installs and source archives, with the standard library alone and without node. A library
that is there already with its version is left alone. Where the registry cannot be reached the build goes on without
charts, since a thin client never shows the page: the page then says so and shows its tables. THINWATT_CHARTS=require
makes that an error.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import os
import sys
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LARGEST = 64 << 20
"""Of an archive [B]."""


class UnreachableError(OSError):
    """The registry does not answer; the text says what to do."""


def fetch(package: str, version: str, integrity: str, files: list[str], folder: Path) -> None:
    """Put files of an npm package into a folder, unless they are there.

    Args:
        package: its name.
        version: exact.
        integrity: ``sha512-`` and the hash of the archive in base64, as the registry states it.
        files: paths in the archive; each is written under its last name.
        folder: where to; a file VERSION in it says what it holds.

    Raises:
        UnreachableError: the registry cannot be reached.
        ValueError: what came is not what was pinned.
    """
    pinned = f"{package} {version} {integrity}\n"
    stamp = folder / "VERSION"
    names = [Path(path).name for path in files]
    if stamp.is_file() and stamp.read_text() == pinned and all((folder / name).is_file() for name in names):
        return
    registry = os.environ.get("npm_config_registry") or "https://registry.npmjs.org"  # noqa: SIM112  # npm's spelling
    url = f"{registry.rstrip('/')}/{package}/-/{package.rpartition('/')[2]}-{version}.tgz"
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"npm_config_registry: {registry!r} is no http address")
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310  # http and https only, see above
            archive = answer.read(LARGEST)
    except (urllib.error.URLError, OSError) as error:
        raise UnreachableError(
            f"{package} {version} cannot be had from {url}: {error}. Set npm_config_registry to a registry that this "
            f"machine reaches, or copy {', '.join(names)} and VERSION into {folder} from a machine that has them"
        ) from error
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if not hmac.compare_digest(found, integrity):
        raise ValueError(f"{url} is not the archive that was pinned: its hash is {found}, not {integrity}")
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as inside:
        for path, name in zip(files, names, strict=True):
            member = inside.extractfile(f"package/{path}")
            if member is None:
                raise ValueError(f"{url} holds no file {path}")
            (folder / name).write_bytes(member.read())
    stamp.write_text(pinned)


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]  # its parameter is the builder's configuration
    """Fetches what ``[tool.hatch.build.hooks.custom]`` names."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  # hatchling's signature
        """Run before each build."""
        pin = self.config
        try:
            fetch(pin["package"], pin["version"], pin["integrity"], pin["files"], Path(self.root) / pin["folder"])
        except UnreachableError as error:
            if os.environ.get("THINWATT_CHARTS") == "require":
                raise
            sys.stderr.write(f"thinwatt: built without charts: {error}\n")
