"""What a configuration names, looked at on this machine before anything is begun.

Folders that can be written, addresses that are ours, files that can be used. Each function yields what is wrong and
what to do; nothing is changed but that a folder is made and removed again to see whether one can be.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from thinwatt_agent.keys import KeyFileError, public_of, read_secret

MAGIC: Final = slice(8, 12), b"DUCK"
"""Where in a DuckDB file its mark stands, and the mark."""


def state(folder: Path) -> Iterator[str]:
    """What the collector writes must have a place, and the socket of its commands a path that is short enough."""
    from thinwatt_collector import control

    if why := _unwritable(folder):
        yield f"{why}: write a folder that this account can write to, such as '/var/lib/thinwatt-collector'"
        return
    try:
        control.address(folder)
    except control.ControlError as error:
        yield str(error)


def nobody_proves(tokens: Path | None, web_config: Path | None, look: bool) -> Iterator[str]:
    """Endpoints one by one are for the technical role, which somebody must be able to prove.

    Args:
        tokens: file of tokens, None for none.
        web_config: file of passwords, None for none.
        look: whether to look into it, and not only whether it is named.
    """
    if tokens is not None or (web_config is not None and (not look or _asks(web_config))):
        return
    yield (
        "endpoints one by one are shown to a scraper that proves the technical role, and nothing here lets it: write "
        '[api] tokens = "tokens.toml" and make one with api-token NAME --role technical, or have the web_config ask '
        'for a password or a client\'s certificate; per_device = "hosts" needs neither'
    )


def _asks(web_config: Path) -> bool:
    """Return whether a web-config file asks for a password or a certificate; of a wrong one is told elsewhere."""
    from thinwatt_collector.serve.web_config import WebConfigError, load

    try:
        return load(web_config).asks
    except WebConfigError:
        return True


def ledger(where: str) -> Iterator[str]:
    """A ledger that is there must be one that can be written."""
    if not where.startswith("duckdb:"):
        yield from _postgresql(where)
        return
    file = Path(where.partition(":")[2])
    if not os.path.lexists(file):
        return
    if why := _unreadable(file):
        yield why
    elif not os.access(file, os.W_OK):
        yield f"{file} can't be written by this account: see ls -l {file}"
    elif not _is_duckdb(file):
        remedy = "write another path, or put a backup in its place: thinwatt-collector restore BACKUP"
        yield f"{file} is no ledger, nor any DuckDB file: {remedy}"


def _postgresql(where: str) -> Iterator[str]:
    """The driver must be there, and a password that nobody else reads; the server may come later."""
    from thinwatt_collector.ledger.address import MISSING, address_of

    if find_spec("psycopg") is None:
        yield MISSING
    file = address_of(where).password_file
    if file is None:
        return
    if why := _unreadable(file):
        yield why
    elif file.stat().st_mode & 0o077:
        yield f"{file} holds a password and others can read it: chmod 600 {file}"


def ledger_folder(where: str, state: Path) -> Iterator[str]:
    """The ledger's folder must be there: what a person mounts is not made here. That of ``state`` is."""
    if not where.startswith("duckdb:"):
        return
    folder, state = Path(os.path.normpath(where.partition(":")[2])).parent, Path(os.path.normpath(state))
    if folder == state or state in folder.parents:
        return
    if not os.path.isdir(folder):  # noqa: PTH112 - asks, raises not
        yield f"{folder} is not there: make it, or mount it, or write 'duckdb:{state / 'ledger.duckdb'}'"
    elif why := _unwritable(folder):
        yield f"{why}: write a folder that this account can write to"


def secret(file: Path) -> Iterator[str]:
    """The collector's key, which nobody else may read."""
    try:
        read_secret(file, "thinwatt-collector")
    except KeyFileError as error:
        yield str(error)


def key_of_an_agent(secret: Path, agents: Path) -> Iterator[str]:
    """The collector's key is no agent's: who can read it there could be the collector to all of them."""
    from thinwatt_collector.keys import parse

    if _unreadable(agents):
        return  # told already
    try:
        public = public_of(read_secret(secret, "thinwatt-collector")).decode()
        name = parse(agents.read_text("utf-8", errors="replace"))[0].get(public)
    except (KeyFileError, OSError):
        return  # told already
    if name:
        yield (
            f"{secret} is the key of the agent {name!r} in {agents}: make one that only the collector has with "
            "thinwatt-collector keygen, and give agents the .pub beside it as their server_key"
        )


def open_doors(listen: str, web_config: Path | None) -> Iterator[str]:
    """Say loudly what is open to whoever reaches this machine; behind a proxy or a firewall it may be meant."""
    host = listen.rpartition(":")[0].removeprefix("[").removesuffix("]")
    if web_config is None and not _is_loopback(host):
        where = "every address of this machine" if host in ("", "*", "0.0.0.0", "::") else host  # noqa: S104 - asks
        yield (
            f"[web] listen = {listen!r} opens /metrics, the page and /api/v1 on {where}, unencrypted and to everybody "
            "who reaches it: write a web_config (docs/web-config.md), or '127.0.0.1:9466' behind a proxy of yours"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def agents(file: Path) -> Iterator[str]:
    """The list of agents must be there, also while it is empty."""
    if why := _unreadable(file):
        remedy = f"; begin an empty list with: touch {file}" if not os.path.lexists(file) else ""
        yield why + remedy


def lines_of_agents(file: Path) -> Iterator[str]:
    """Each wrong line of the list of agents: it lets nobody in and stops no collector."""
    from thinwatt_collector.keys import parse

    if not _unreadable(file):
        yield from (f"{file}, {text}" for text in parse(file.read_text("utf-8", errors="replace"))[1])


def web_config(file: Path | None) -> Iterator[str]:
    """TLS and passwords."""
    from thinwatt_collector.serve.web_config import WebConfigError, load

    if file is None:
        return
    if why := _unreadable(file):
        yield f"{why}; docs/web-config.md shows one"
        return
    try:
        load(file)
    except WebConfigError as error:
        yield str(error)


def tokens(file: Path | None) -> Iterator[str]:
    """The readers of the API."""
    from thinwatt_collector.serve.api.tokens import TokenError, Tokens

    if file is None:
        return
    if why := _unreadable(file):
        remedy = "; the first token makes it: thinwatt-collector api-token NAME" if not os.path.lexists(file) else ""
        yield why + remedy
        return
    try:
        Tokens(file)
    except TokenError as error:
        yield str(error)


def machines(file: Path | None) -> Iterator[str]:
    """Powers of the site's own hardware."""
    from thinwatt_collector.data import DataError
    from thinwatt_collector.models.devices import DeviceTable

    if file is None:
        return
    try:
        DeviceTable.packaged(file)
    except (DataError, ValueError) as error:
        yield str(error)


def inventory(folder: Path | None) -> Iterator[str]:
    """What stands where: read again whenever it changes, so that what is wrong in it stops no collector."""
    if folder is not None and not os.path.isdir(folder):  # noqa: PTH112 - asks, raises not
        yield f"{folder} is no folder; begin with: thinwatt-collector inventory example {folder}"


def address(host: str, port: str, interfaces: bool = False) -> Iterator[str]:
    """An address of this machine; whether another program has the port is seen when it is needed.

    Args:
        host: name or IP address; "" and ``*`` are all of them.
        port: a number; ``*`` is any.
        interfaces: whether the name of a network interface will do.
    """
    plain = host.removeprefix("[").removesuffix("]")
    if interfaces and plain in (name for _, name in socket.if_nameindex()):
        return
    where, number = None if plain in ("", "*") else plain, 0 if port == "*" else int(port)
    try:
        found = socket.getaddrinfo(where, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        yield f"{host!r} is no address or name of this machine ({error.strerror}): write '*', or one that ip addr shows"
        return
    reasons = [_unbound(family, place) for family, _, _, _, place in found]
    if all(reasons):
        yield f"{reasons[0]}: write {'a port from 1024' if 'ermission' in reasons[0] else 'one that ip addr shows'}"


def _unbound(family: int, place: tuple[object, ...]) -> str:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        return "" if taken else f"this machine does not give {place[0]} port {place[1]} ({error.strerror})"
    return ""


def _unreadable(file: Path) -> str:
    """Return why no text can be read from a file, "" if it can; a device or a pipe is no file."""
    try:
        if not file.exists():
            return f"{file} is not there"
        if not file.is_file():
            return f"{file} is {'a folder' if file.is_dir() else 'no ordinary file'}: write the path of a file"
    except OSError as error:
        return f"{file} can't be read: {error.strerror}"
    return "" if os.access(file, os.R_OK) else f"{file} can't be read by this account: see ls -l {file}"


def _unwritable(folder: Path) -> str:
    """Return why nothing can be written to a folder, there or to be made; "" if it can."""
    there = next(place for place in (folder, *folder.parents) if os.path.exists(place))  # noqa: PTH110 - raises not
    try:
        if there != folder:
            folder.stat()  # raises, and says why where the name itself can't be
    except FileNotFoundError:
        pass
    except OSError as error:
        return f"{folder} can't be made ({error.strerror})"
    try:
        Path(tempfile.mkdtemp(prefix=".thinwatt-", dir=there)).rmdir()
    except OSError as error:
        return f"nothing can be written to {there.absolute()} ({error.strerror})"
    return ""


def _is_duckdb(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(MAGIC[0].stop)[MAGIC[0]] == MAGIC[1]
