"""Commands beside a running collector: clients of its own API on a unix socket, that the folder's owner may open.

Where no collector runs, the same API is served for the moment of the question, over the ledger itself: a file that
nobody else has open then. So a command has one way to ask, whoever answers.
"""

from __future__ import annotations

import http.client
import json
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn

from thinwatt_collector import control
from thinwatt_collector.config import Config
from thinwatt_collector.serve.exposition import Family

PATIENCE: Final = 60.0
"""The collector gives up a question after 30 s; nobody waits much longer [s]."""
CHUNK: Final = 1 << 16
REFUSED_SHOWN: Final = 20


class BesideError(control.ControlError):
    """The API refused, or nobody answered; ``str()`` says what to do."""


class _Nothing:
    """The fleet now of a collector that does not run."""

    def families(self, technical: bool = False) -> Sequence[Family]:  # noqa: ARG002  # the form of all of them
        """Return nothing."""
        return ()


NOTHING_NOW: Final = _Nothing()


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@contextmanager
def asked(where: Path, path: str, query: Sequence[tuple[str, str]]) -> Iterator[http.client.HTTPResponse]:
    """Yield the answer to a question.

    Args:
        where: the socket.
        path: below /api/v1.
        query: parameters; a name may stand several times.

    Raises:
        BesideError: the API refused, with its own remedy, or nobody answered.
    """
    connection = _Connection(where)
    try:
        connection.request("GET", f"/api/v1/{path}?{urlencode(query)}")
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise BesideError(_refusal(answer.read()))
        yield answer
    except OSError as error:
        raise BesideError(f"{where}: nobody answers ({error})") from error
    finally:
        connection.close()


def _refusal(body: bytes) -> str:
    try:
        told: Mapping[str, Any] = json.loads(body)
    except ValueError:
        return body[:300].decode("utf-8", "replace")
    return ": ".join(str(told[key]) for key in ("detail", "remedy") if told.get(key))


@contextmanager
def served(settings: Config) -> Iterator[Path]:
    """Yield the socket of the API: the running collector's, or one that is there for the moment.

    Raises:
        LedgerError: no collector runs, and the ledger can't be opened.
    """
    if control.alive(settings.state):
        yield settings.state / control.API_SOCKET
        return
    from thinwatt_collector.calibrated import archive
    from thinwatt_collector.factors import table
    from thinwatt_collector.inventory.watched import Watched
    from thinwatt_collector.ledger import open_ledger
    from thinwatt_collector.models.devices import DeviceTable
    from thinwatt_collector.readers import LedgerBooks
    from thinwatt_collector.serve.api.access import Owner
    from thinwatt_collector.serve.api.calibrations import Nobody
    from thinwatt_collector.serve.api.routes import Setting, create_api
    from thinwatt_collector.serve.app import below
    from thinwatt_collector.serve.server import serve_local
    from thinwatt_collector.step import Step

    kind, _, file = settings.ledger.partition(":")
    if kind == "duckdb" and not Path(file).exists():
        raise BesideError(f"no collector runs on {settings.state}, and there is no ledger {file} yet")
    ledger = open_ledger(settings.ledger, settings.ledger_memory)
    try:
        intensity, assumed = table.load({"zone": settings.zone}), DeviceTable.packaged(settings.machines).of
        books = LedgerBooks(ledger, Step(ledger, assumed, intensity))
        models = Nobody(archive.read(settings.state / archive.NAME))
        known = Watched(settings.inventory, settings.clocks, settings.price).now
        setting = Setting(
            NOTHING_NOW,
            books,
            intensity,
            Owner(),
            settings.clocks,
            inventory=known,
            calibrations=models,
            second_life=settings.second_life,
            assumed=assumed,
        )
        api = create_api(setting)
        with tempfile.TemporaryDirectory(prefix="thinwatt-") as folder:
            web = serve_local(below(api), Path(folder) / control.API_SOCKET)
            try:
                yield Path(folder) / control.API_SOCKET
            finally:
                web.close()
    finally:
        ledger.close()


def export(settings: Config, query: Sequence[tuple[str, str]], target: Path) -> int:
    """Write the rows of /api/v1/export to a file, with a bar while it lasts; return its bytes.

    The file appears whole or not at all.

    Raises:
        BesideError: the API refused, nobody answered, or there is no such folder.
        OSError: the file can't be written.
    """
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    if not target.parent.is_dir():
        raise BesideError(f"the folder {target.parent} is not there: make it, or name another file")
    partial = target.with_name(f"{target.name}.partial")
    written = 0
    try:
        with (
            Progress(*columns, console=Console(stderr=True), transient=True) as progress,
            served(settings) as where,
        ):
            task = progress.add_task("asking the ledger", total=None)
            # The file first: that it can't be written is no silence of the collector's.
            with partial.open("wb") as file, asked(where, "export", query) as answer:
                expected = int(answer.headers["content-length"])
                progress.update(task, description=f"writing {target.name}", total=expected)
                while chunk := answer.read(CHUNK):
                    written += file.write(chunk)
                    progress.advance(task, len(chunk))
        if written != expected:
            raise BesideError(f"the answer ended after {written} of {expected} bytes: ask again")
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return written


def status(state: Path) -> dict[str, Any]:
    """Return what the running collector says of itself.

    Raises:
        ControlError: none runs on this state folder, or it does not answer.
    """
    return control.ask(state, "status", timeout=5_000)


def told(found: Mapping[str, Any]) -> str:
    """Return a collector's state as a person reads it."""
    classes = ", ".join(f"{n:,} {kind}" for kind, n in found["devices"].items()) or "none"
    agents = f"{found['agents']:,}, {found['silent']:,} of them silent"
    last = f"{found['last_commit'] or 'none since it started'}; oldest row not booked: {found['oldest_unbooked']:.0f} s"
    size = f"{found['ledger']} ({found['ledger_bytes'] / 2**20:,.1f} MiB)"
    pairs = {
        "collector": f"thinwatt {found['version']}, {'ready' if found['ready'] else 'NOT READY'}",
        "devices": classes,
        "agents": agents,
        "last commit": last,
        "ledger": size,
    }
    lines = [f"  {name:<12}{text}" for name, text in pairs.items()]
    lines += [f"  refused     {line}" for line in _refused(found.get("refused", {}))]
    return "\n".join([*lines, *(f"  note        {line}" for line in found["said"])])


def _refused(agents: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield of whom nothing is booked, and why."""
    for name, why in list(agents.items())[:REFUSED_SHOWN]:
        since = datetime.fromtimestamp(why["since"] / 1e9, UTC).isoformat(" ", "seconds")
        yield f"{name}: nothing booked since {since}, {why['messages']:,} refused: {why['reason']}, {why['text']}"
    if len(agents) > REFUSED_SHOWN:
        yield f"and {len(agents) - REFUSED_SHOWN:,} more agents; --json names all"
