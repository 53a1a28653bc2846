"""thinwatt-collector run, check-config, keygen, backup, restore, move-ledger, factors, inventory and more."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

import zmq

from thinwatt_agent import __version__
from thinwatt_agent.keys import KeyFileError, generate, read_secret
from thinwatt_collector import calibration_command, config, control, factors_command, logs, preflight
from thinwatt_collector.calibrated import archive, words
from thinwatt_collector.config import ConfigError
from thinwatt_collector.factors import FactorError
from thinwatt_collector.inventory import command as inventory
from thinwatt_collector.ledger import LedgerError
from thinwatt_collector.serve.api import tokens
from thinwatt_collector.serve.api.privacy import ROLES

log = logging.getLogger("thinwatt_collector")
EXPECTED = (
    *(FactorError, KeyFileError, LedgerError, archive.ArchiveError, control.ControlError, tokens.TokenError),
    *(OSError, zmq.ZMQError),
)
"""What a person can mend: told in a line, without a traceback."""
EXIT_CODES: Final = "exit code: 0, 1 if it failed, 2 if call or configuration are to be put right first"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code, see :data:`EXIT_CODES`."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.do(options))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except EXPECTED as error:
        print(f"thinwatt-collector: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="thinwatt-collector", description="From agents' counters to kWh and CO2e.", epilog=EXIT_CODES
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, text: str, do: object) -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=text, description=text)
        found.set_defaults(do=do)
        if name not in ("config", "keygen", "move-ledger"):
            found.add_argument("--config", type=Path, default=config.DEFAULT, metavar="FILE")
        return found

    command("run", "receive, book and show until told to stop", _run)
    checked = "say all that is wrong with the configuration; call it as the account that is to run"
    command("check-config", checked, _check)
    command("config", "print a configuration with every key explained", _example).add_argument(
        "--example", action="store_true", help="the only thing it prints"
    )
    command("keygen", "make the collector's pair of keys", _keygen).add_argument(
        "file", type=Path, nargs="?", default=Path("collector.key")
    )
    token = command("api-token", "make a read token of /api/v1 and print it, this once", _api_token)
    token.add_argument("name")
    token.add_argument("--role", choices=ROLES, default="public", help="what it sees (default: %(default)s)")
    command("backup", "write a whole copy of the ledger, beside a running collector or without", _backup).add_argument(
        "file", type=Path
    )
    command("restore", "put a backup in place of the ledger, which is kept beside it", _restore).add_argument(
        "file", type=Path
    )
    move = command("move-ledger", "copy a ledger into a new one: from a file to a server, or back", _move)
    for name in ("source", "target"):
        move.add_argument(name, metavar=name.upper(), help="duckdb:PATH or postgresql://USER@HOST/DATABASE?…")
    export = command(
        "export", "write energy, euros and carbon to a file, beside a running collector or without", _export
    )
    export.add_argument("file", type=Path, help="ends in .csv or .parquet")
    export.add_argument("--begin", default="", metavar="TIME", help="2026-01-01, or a time of ISO 8601; else today")
    export.add_argument("--end", default="", metavar="TIME", help="likewise; else now")
    export.add_argument(
        "--grain", default="day", choices=("slot", "hour", "day", "month"), help="(default: %(default)s)"
    )
    export.add_argument("--by", default="class", help="dimensions with commas, as in the API (default: %(default)s)")
    export.add_argument("--where", action="append", default=[], metavar="NAME=TEXT", help="rows of that text only")
    status = command("status", "say how the running collector is", _status)
    status.add_argument("--json", action="store_true", help="for programs")
    command(
        "factors", "show what carbon is worked out with, or fetch what its publishers have new", _factors
    ).add_argument("what", choices=("show", "fetch"), help="fetch is the one command that calls out")
    calibration = command(
        "calibration", "say what metered machines have taught of their hardware models, or have it learnt now", _models
    )
    calibration.add_argument("what", choices=("show", "learn"), help="learn is done by itself every night")
    calibration.add_argument("--language", choices=words.LANGUAGES, default="en", help="(default: %(default)s)")
    inventory.register(commands)
    return parser


def _run(options: argparse.Namespace) -> int:
    from thinwatt_collector.run import Collector
    from thinwatt_collector.serve.app import below, create_app
    from thinwatt_collector.serve.server import serve, serve_local

    settings = config.check(options.config)
    logs.configure(settings.log_level, settings.log_format)
    for text in preflight.open_doors(settings.listen, settings.web_config):
        log.warning("%s", text)
    stopping = []

    def stop(number: int, _: FrameType | None) -> None:
        stopping.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    collector = Collector(settings, read_secret(settings.secret_key))
    try:
        web = serve(create_app(collector, collector.api, collector.access), settings.web_config, settings.listen)
        local = serve_local(below(collector.own_api), settings.state / control.API_SOCKET)
    except BaseException:
        collector.close()
        raise
    log.info("agents: %s  metrics: port %d  ledger: %s", collector.receiver.address, web.port, settings.ledger)
    try:
        while not stopping:
            collector.turn()
    finally:
        collector.close()
        local.close()
        web.close()
        (settings.state / control.API_SOCKET).unlink(missing_ok=True)
    return 0


def _check(options: argparse.Namespace) -> int:
    settings = config.check(options.config, closely=True)
    for text in preflight.open_doors(settings.listen, settings.web_config):
        print(f"{options.config}: WARNING: {text}", file=sys.stderr)
    print(f"{options.config}: good")
    return 0


def _factors(options: argparse.Namespace) -> int:
    return factors_command.run(options.what, config.load(options.config))


def _models(options: argparse.Namespace) -> int:
    return calibration_command.run(options.what, options.language, config.load(options.config))


def _example(_: argparse.Namespace) -> int:
    print(config.example(), end="")
    return 0


def _keygen(options: argparse.Namespace) -> int:
    public = generate(options.file)
    print(f"secret key: {options.file}\npublic key: {public}   (also in {options.file}.pub: agents need it)")
    return 0


def _api_token(options: argparse.Namespace) -> int:
    path = config.load(options.config).tokens
    if path is None:
        raise ConfigError([f'{options.config}: no file of tokens: write [api] tokens = "tokens.toml" in it'])
    print(tokens.make(path, options.name, options.role))
    print(f"this is not told again; {path} holds its hash and takes effect at once", file=sys.stderr)
    return 0


def _export(options: argparse.Namespace) -> int:
    from thinwatt_collector import beside

    kind = options.file.suffix.removeprefix(".")
    if kind not in ("csv", "parquet"):
        raise beside.BesideError(f"{options.file}: call it .csv or .parquet, which says the format")
    wanted = [tuple(text.partition("=")[::2]) for text in options.where]
    if wrong := [text for text in options.where if "=" not in text]:
        raise beside.BesideError(f"--where {wrong[0]!r}: write NAME=TEXT, like class=host")
    named = {"begin": options.begin, "end": options.end, "grain": options.grain, "by": options.by, "format": kind}
    query = [*((name, text) for name, text in named.items() if text or name == "by"), *wanted]
    size = beside.export(config.load(options.config), query, options.file)
    print(f"{options.file}: {size:,} bytes")
    return 0


def _status(options: argparse.Namespace) -> int:
    from thinwatt_collector import beside

    found = beside.status(config.load(options.config).state)
    print(json.dumps(found, indent=1) if options.json else beside.told(found))
    return 0 if found["ready"] else 1


def _backup(options: argparse.Namespace) -> int:
    from thinwatt_collector.ledger import copies

    settings, target = config.load(options.config), options.file.resolve()
    ledger, made = copies.file_of(settings.ledger), target.with_name(f"{target.name}.new")
    copies.keep_apart(ledger, target)
    if control.alive(settings.state):
        control.ask(settings.state, "backup", path=str(made))
    else:
        copies.alone(ledger, made)
    size = copies.accepted(made, target)
    # Later than the copy: what was learnt in between holds for no slot of it yet.
    archive.write(archive.beside(target), archive.read(settings.state / archive.NAME))
    print(f"{target}: {size} bytes")
    return 0


def _restore(options: argparse.Namespace) -> int:
    from thinwatt_collector.ledger import copies

    settings = config.load(options.config)
    if control.alive(settings.state):
        raise LedgerError("a collector is running on this ledger: stop it first")
    # Read before anything is replaced: of calibrations that can't be read nothing is restored either.
    beside = archive.beside(options.file)
    known = archive.read(beside) if beside.exists() else None
    ledger = copies.file_of(settings.ledger)
    version, kept = copies.restore(options.file, ledger)
    if known is not None:
        archive.write(settings.state / archive.NAME, known)
    if kept is not None:
        print(f"the ledger as it was: {kept}")
    print(f"{ledger}: restored from {options.file} (version {version}); agents send again what it does not hold")
    return 0


def _move(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from thinwatt_collector.ledger import moving

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("opening both", total=None)

        def told(table: str, done: int, total: int) -> None:
            progress.update(task, description=table, completed=done, total=total)

        moved = moving.move(options.source, options.target, told)
    print(
        f"{sum(moved.rows.values())} rows and {moved.joules:.0f} J are in {options.target}, compared column by column"
    )
    print("now write it as ledger in [ledger] of the configuration, and start the collector")
    return 0


if __name__ == "__main__":
    sys.exit(main())
