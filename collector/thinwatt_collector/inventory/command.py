"""``thinwatt-collector inventory …``: reads its arguments, writes what the others found."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinwatt_collector.inventory.glpi import command as glpi
from thinwatt_collector.models.rules import DEFAULT, RULES
from thinwatt_collector.words import LANGUAGES, Words, language

if TYPE_CHECKING:
    from thinwatt_collector.inventory.messages import Problem
    from thinwatt_collector.inventory.tables import Inventory

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # has no public name


def register(commands: Commands) -> None:
    """Add the command and what stands behind it."""
    text = "what stands where: check it, and estimate a year from it before the first agent"
    inner = commands.add_parser("inventory", help=text, description=text).add_subparsers(required=True, metavar="WHAT")
    glpi.arguments(inner.add_parser("glpi", help=glpi.TOLD, description=glpi.TOLD))
    for name, told, do in (
        ("check", "find what is wrong in a folder, and say what to write", _check),
        ("example", "write a small inventory with every column explained", _example),
        ("estimate", "kWh, EUR and kgCO2e of a year from the inventory alone, and what to connect next", _estimate),
        ("making", "kgCO2e of making the devices: what a period bears, and what was bought in it", _making),
    ):
        command = inner.add_parser(name, help=told, description=told)
        command.set_defaults(do=do)
        command.add_argument("folder", type=Path)
        if name != "example":
            command.add_argument("--json", action="store_true", help="for programs")
        spoken = "language of what is printed; else that of LC_ALL, LC_MESSAGES or LANG"
        command.add_argument("--lang", choices=LANGUAGES, default=None, help=spoken)
        if name in ("check", "estimate"):
            command.add_argument("--day", type=date.fromisoformat, help="as of this day, 2025-01-31; else today")
        if name == "making":
            command.add_argument(
                "--begin", type=date.fromisoformat, help="first day, 2025-01-01; else a year before end"
            )
            command.add_argument("--end", type=date.fromisoformat, help="first day no more of it; else today")
            who = "who bears the making of what has a second life; all three are shown"
            command.add_argument("--rule", choices=RULES, default=DEFAULT, help=who)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _words(options: argparse.Namespace) -> Words:
    return Words(options.lang or language())


def _day(options: argparse.Namespace) -> date:
    found: date = options.day or datetime.now(UTC).date()
    return found


def _errors(problems: Iterable[Problem]) -> int:
    return sum(problem.severity == "error" for problem in problems)


def _example(options: argparse.Namespace) -> int:
    from thinwatt_collector.inventory.example import write

    for path in write(options.folder):
        _say(str(path))
    _say(_words(options)("next", command=f"thinwatt-collector inventory check {options.folder}"))
    return 0


def _check(options: argparse.Namespace) -> int:
    from thinwatt_collector.inventory.check import check

    found = check(options.folder, _day(options))
    errors = _errors(found)
    if options.json:
        _say(json.dumps([_plain(problem) for problem in found], ensure_ascii=False, indent=1))
    else:
        words = _words(options)
        for problem in found:
            _say(f"{words(f'severity.{problem.severity}')}{words('colon')} {problem.said(words.language)}")
        told, notes = words.counted("errors", errors), words.counted("notes", len(found) - errors)
        _say(words("check.sum", folder=options.folder, errors=told, notes=notes))
    return 1 if errors else 0


def _plain(problem: Problem) -> dict[str, Any]:
    where = {"id": problem.id, "file": problem.file, "line": problem.line, "key": problem.key}
    return {**where, "severity": problem.severity, "what": problem.what(), "remedy": problem.remedy()}


def _making(options: argparse.Namespace) -> int:
    from thinwatt_collector.inventory import reuse
    from thinwatt_collector.inventory.bearing import Bearing
    from thinwatt_collector.inventory.life_cycle import of_folder
    from thinwatt_collector.inventory.making_page import document, page

    end: date = options.end or datetime.now(UTC).date()
    begin: date = options.begin or date(end.year - 1, end.month, min(end.day, 28))
    if end <= begin:
        sys.stderr.write(f"thinwatt-collector: --end {end} is not behind --begin {begin}\n")
        return 2
    cycle = of_folder(_inventory(options.folder)[0])
    found = Bearing(cycle, [where.told(("class",)) for where in cycle.wheres]).rows((begin, end))
    years = range(begin.year, date.fromordinal(end.toordinal() - 1).year + 1)
    used = reuse.by_year(cycle, years, [where.told(("establishment",)) for where in cycle.wheres])
    if options.json:
        told = document(found, used, (begin, end), ("class",), options.rule, digits=3)
        _say(json.dumps(told, ensure_ascii=False, indent=1))
    else:
        _say(page(found, used, (begin, end), options.rule, _words(options)))
    return 0


def _inventory(folder: Path) -> tuple[Inventory, list[Problem]]:
    from thinwatt_collector.inventory.tables import load

    inventory, problems = load(folder)
    if unread := [problem for problem in problems if problem.id == "folder"]:
        raise FileNotFoundError(f"{folder}: {unread[0].what()}; {unread[0].remedy()}")
    return inventory, problems


def _estimate(options: argparse.Namespace) -> int:
    from thinwatt_collector.inventory.campus import Fleet
    from thinwatt_collector.inventory.check import whole
    from thinwatt_collector.inventory.page import document, page

    day = _day(options)
    inventory, problems = _inventory(options.folder)
    errors = _errors([*problems, *whole(inventory, day)])
    found = Fleet(inventory, day)
    if options.json:
        _say(json.dumps({**document(found), "errors": errors}, ensure_ascii=False, indent=1))
        return 0
    words = _words(options)
    _say(page(found, words))
    if errors:
        again = f"thinwatt-collector inventory check {options.folder}"
        _say("\n" + words("estimate.errors", errors=words.counted("errors", errors), command=again))
    return 0
