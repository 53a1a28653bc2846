"""thinwatt-collector run | check-config | config | keygen | api-token | backup | restore."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import zmq

from thinwatt_agent import __version__
from thinwatt_agent.keys import KeyFileError, generate, read_secret
from thinwatt_collector import config, control, logs
from thinwatt_collector.config import Config, ConfigError
from thinwatt_collector.inventory import command as inventory
from thinwatt_collector.ledger import LedgerError
from thinwatt_collector.serve.api import tokens
from thinwatt_collector.serve.api.privacy import ROLES

log = logging.getLogger("thinwatt_collector")
EXPECTED = (ConfigError, KeyFileError, LedgerError, control.ControlError, tokens.TokenError, OSError, zmq.ZMQError)
"""What a person can mend: told in a line, without a traceback."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 where it failed, 2 for a wrong call."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.do(options))
    except EXPECTED as error:
        print(f"thinwatt-collector: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="thinwatt-collector", description="From agents' counters to kWh and CO2e.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, text: str, do: object) -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=text, description=text)
        found.set_defaults(do=do)
        if name not in ("config", "keygen"):
            found.add_argument("--config", type=Path, default=Path("/etc/thinwatt/collector.toml"), metavar="FILE")
        return found

    command("run", "receive, book and show until told to stop", _run)
    command("check-config", "say whether the configuration can be used", _check)
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
    inventory.register(commands)
    return parser


def _run(options: argparse.Namespace) -> int:
    from thinwatt_collector.run import Collector
    from thinwatt_collector.serve.app import create_app
    from thinwatt_collector.serve.server import serve

    settings = config.load(options.config)
    logs.configure(settings.log_level, settings.log_format)
    stopping = []

    def stop(number: int, _: FrameType | None) -> None:
        stopping.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    collector = Collector(settings, read_secret(settings.secret_key))
    try:
        web = serve(create_app(collector, collector.api), settings.web_config, settings.listen)
    except BaseException:
        collector.close()
        raise
    log.info("agents: %s  metrics: port %d  ledger: %s", collector.receiver.address, web.port, settings.ledger)
    try:
        while not stopping:
            collector.turn()
    finally:
        collector.close()
        web.close()
    return 0


def _check(options: argparse.Namespace) -> int:
    settings = config.load(options.config)
    wrong = [text for text in _problems(settings) if text]
    for text in wrong:
        print(f"{options.config}: {text}", file=sys.stderr)
    if not wrong:
        print(f"{options.config}: good")
    return 1 if wrong else 0


def _problems(settings: Config) -> list[str]:
    from thinwatt_collector.factors import table
    from thinwatt_collector.keys import parse
    from thinwatt_collector.serve.web_config import WebConfigError, load

    found = []
    try:
        read_secret(settings.secret_key)
    except KeyFileError as error:
        found.append(f"link.secret_key: {error}")
    try:
        found += [f"link.agents: {settings.agents} {text}" for text in parse(settings.agents.read_text("utf-8"))[1]]
    except OSError as error:
        found.append(f"link.agents: {settings.agents} can't be read: {error.strerror}")
    try:
        table.load({"zone": settings.zone})
    except ValueError as error:
        found.append(f"carbon.zone: {error}")
    if settings.web_config is not None:
        try:
            load(settings.web_config)
        except (WebConfigError, OSError) as error:
            found.append(f"web.web_config: {error}")
    if settings.tokens is not None:
        try:
            tokens.Tokens(settings.tokens)
        except tokens.TokenError as error:
            found.append(f"api.tokens: {error}")
    return found


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
        raise ConfigError(f'{options.config}: no file of tokens: write [api] tokens = "tokens.toml" in it')
    print(tokens.make(path, options.name, options.role))
    print(f"this is not told again; {path} holds its hash and takes effect at once", file=sys.stderr)
    return 0


def _backup(options: argparse.Namespace) -> int:
    from thinwatt_collector.ledger import copies

    settings, target = config.load(options.config), options.file.resolve()
    ledger, made = copies.file_of(settings.ledger), target.with_name(f"{target.name}.new")
    copies.keep_apart(ledger, target)
    if control.alive(settings.state):
        control.ask(settings.state, "backup", path=str(made))
    else:
        copies.alone(ledger, made)
    print(f"{target}: {copies.accepted(made, target)} bytes")
    return 0


def _restore(options: argparse.Namespace) -> int:
    from thinwatt_collector.ledger import copies

    settings = config.load(options.config)
    if control.alive(settings.state):
        raise LedgerError("a collector is running on this ledger: stop it first")
    ledger = copies.file_of(settings.ledger)
    version, kept = copies.restore(options.file, ledger)
    if kept is not None:
        print(f"the ledger as it was: {kept}")
    print(f"{ledger}: restored from {options.file} (version {version}); agents send again what it does not hold")
    return 0


if __name__ == "__main__":
    sys.exit(main())
