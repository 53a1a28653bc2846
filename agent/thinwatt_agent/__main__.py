"""``thinwatt-agent``: the commands, wired here and nothing else."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from thinwatt_agent import __version__

MOMENT, DAY = 1e-3, 86_400.0
TYPE_CHECKING = False
if TYPE_CHECKING:
    from thinwatt_agent.loop import SamplerOptions


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that ``arguments`` name; return the exit code (2: something is to be put right first)."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except ValueError as error:  # ConfigError, KeyFileError, RecordingError: each says what to do
        for line in getattr(error, "problems", (f"thinwatt-agent: {error}",)):
            print(line, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="thinwatt-agent",
        description="Reads what this machine draws and does.",
        epilog="exit code: 0, 1 if it failed, 2 if call or configuration are to be put right first",
    )
    parser.add_argument("--version", action="version", version=f"thinwatt-agent {__version__}")
    commands = parser.add_subparsers(required=True, metavar="run | once | replay | sources | keygen | config")

    run = commands.add_parser("run", help="read and send until told to stop")
    run.add_argument("--config", type=Path, action="append", help="several: one agent each, in one process")
    run.add_argument("--log-level", choices=("debug", "info", "warning", "error"), help="instead of the configured one")
    run.set_defaults(command=_run)

    once = commands.add_parser("once", help="read everything once and print it")
    once.add_argument("--seconds", type=float, default=1.0, help="between the two readings that power comes from")
    once.set_defaults(command=_once)

    sources = commands.add_parser("sources", help="say which sources work here, and how to allow those that are denied")
    sources.set_defaults(command=_sources)
    for command in (once, sources):
        command.add_argument("--root", type=Path, help="read a recorded machine below this folder")

    replay = commands.add_parser("replay", help="count over a recorded sequence of machine states")
    replay.add_argument("folder", type=Path, help="holds 0/, 1/, …: each with sys/, proc/ and clock.toml")
    replay.add_argument("--interval", type=_seconds, help="of the recording [s]: max_gap is three of it, at least 30 s")
    replay.add_argument("--max-gap", type=_seconds, help="longer without a reading is a gap [s]")
    replay.set_defaults(command=_replay)
    for command in (once, sources, replay):
        command.add_argument("--json", action="store_true", help="for machines")
        command.add_argument("--config", type=Path, help="whose [sources] count")

    keygen = commands.add_parser("keygen", help="make a pair of keys")
    keygen.add_argument("file", type=Path, help="the secret key; the public one is written to FILE.pub")
    keygen.set_defaults(command=_keygen)

    config = commands.add_parser("config", help="say all that is wrong with a configuration, or print one")
    config.add_argument("file", type=Path, nargs="?", help="the file to check")
    config.add_argument("--example", action="store_true", help="print every key with its default and what it means")
    config.set_defaults(command=_config)
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not MOMENT <= seconds <= DAY:
        raise argparse.ArgumentTypeError(f"{text} s is not between {MOMENT:g} s and a day ({DAY:g} s)")
    return seconds


def _run(options: argparse.Namespace) -> int:
    import zmq

    from thinwatt_agent import run
    from thinwatt_agent.config import DEFAULT, Config, ConfigError, check

    configs: list[Config] = []
    wrong: list[str] = []
    for path in options.config or [DEFAULT]:
        try:
            configs.append(check(path))
        except ConfigError as error:
            wrong += error.problems
    if wrong:
        raise ConfigError(wrong)
    _log(options.log_level or configs[0].log_level)
    with zmq.Context() as context:
        run.run([run.build(config, context) for config in configs])
    return 0


def _log(level: str) -> None:
    """Log to standard error; with systemd's priorities where it reads them."""
    for number, priority in ((logging.DEBUG, 7), (logging.INFO, 6), (logging.WARNING, 4), (logging.ERROR, 3)):
        if "JOURNAL_STREAM" in os.environ:
            logging.addLevelName(number, f"<{priority}>{logging.getLevelName(number)}")
    logging.basicConfig(level=level.upper(), format="%(levelname)s %(name)s: %(message)s")


def _once(options: argparse.Namespace) -> int:
    from thinwatt_agent import show

    config, root = _machine(options)
    return show.once(root, config, options.json, seconds=options.seconds)


def _sources(options: argparse.Namespace) -> int:
    from thinwatt_agent import show

    config, root = _machine(options)
    return show.sources(root, config, options.json)


def _replay(options: argparse.Namespace) -> int:
    from thinwatt_agent import replay

    config, _ = _settings(options)
    interval, max_gap = options.interval or config.interval, options.max_gap or config.max_gap
    return replay.main(options.folder, options.json, replace(config, interval=interval, max_gap=max_gap))


def _settings(options: argparse.Namespace) -> tuple[SamplerOptions, Path]:
    from thinwatt_agent.config import load
    from thinwatt_agent.loop import SamplerOptions

    given = getattr(options, "root", None)
    if options.config is None:
        return SamplerOptions(), given or Path("/")
    config = load(options.config)
    return config.sampler_options(), given or config.root


def _machine(options: argparse.Namespace) -> tuple[SamplerOptions, Path]:
    from thinwatt_agent.config import no_machine

    config, root = _settings(options)
    for why in no_machine(root):
        raise ValueError(f"{'--root' if options.root else f'{options.config}: agent.root'}: {why}")
    return config, root


def _keygen(options: argparse.Namespace) -> int:
    from thinwatt_agent import keys

    print(keys.generate(options.file))
    print(f"secret key: {options.file}; public key, for the collector's list: the line above", file=sys.stderr)
    return 0


def _config(options: argparse.Namespace) -> int:
    from thinwatt_agent import config

    if options.example:
        print(config.example(), end="")
        return 0
    path = options.file or config.DEFAULT
    config.check(path, closely=True)
    print(f"{path}: good")
    return 0


if __name__ == "__main__":
    sys.exit(main())
