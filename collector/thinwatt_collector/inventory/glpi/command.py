"""``thinwatt-collector inventory glpi``: reads GLPI, tells what would change, and writes it if told to."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thinwatt_collector.inventory.files import Found
    from thinwatt_collector.inventory.glpi.assets import Read
    from thinwatt_collector.inventory.glpi.mapping import Meanings
    from thinwatt_collector.inventory.glpi.phrases import Language

TOLD = "take over what GLPI knows: new, moved, changed, scrapped machines, told in words; --write writes them"


def arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    command.set_defaults(do=run)
    command.add_argument("folder", type=Path, nargs="?", help="the inventory's; it need not be there yet")
    source = command.add_mutually_exclusive_group(required=True)
    source.add_argument("--csv", type=Path, metavar="FILE", help="an export of GLPI's list of computers")
    source.add_argument("--api", action="store_true", help="ask GLPI, as [api] of the mapping file says")
    source.add_argument("--mapping-example", action="store_true", help="print a mapping file with every key explained")
    command.add_argument("--mapping", type=Path, metavar="FILE", help="what GLPI's words mean here")
    command.add_argument("--write", action="store_true", help="write it; without, nothing is changed")
    command.add_argument("--day", type=date.fromisoformat, help="from which on changes hold, 2025-01-31; else today")
    command.add_argument(
        "--gone-limit", type=float, default=10.0, metavar="PERCENT",
        help="do not write where more of the known machines would be gone (default: %(default)g)",
    )  # fmt: skip
    command.add_argument("--language", choices=("en", "fr"), help="of the report; else the system's")
    command.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """Do what was asked; return the exit status: 1 where GLPI or the folder do not let us."""
    from thinwatt_collector.inventory.glpi.export import GlpiError

    if options.mapping_example:
        from thinwatt_collector.inventory.glpi.mapping import example

        sys.stdout.write(example())
        return 0
    if options.folder is None:
        sys.stderr.write("thinwatt-collector: the folder of the inventory is missing: name it behind glpi\n")
        return 2
    try:
        return _import(options)
    except GlpiError as error:
        sys.stderr.write(f"thinwatt-collector: {error}\n")
        return 1


def _import(options: argparse.Namespace) -> int:
    from thinwatt_collector.inventory.glpi import mapping, plan, report, write
    from thinwatt_collector.inventory.glpi.phrases import say

    meanings = mapping.load(options.mapping) if options.mapping else mapping.Meanings()
    words = language(options.language, os.environ)
    entries, problems = _folder(options.folder)
    read = _read(options, meanings)
    found = plan.plan(read, meanings, entries, options.day or datetime.now(UTC).date())
    against = report.stops(found, options.gone_limit, problems, words)
    if options.json:
        sys.stdout.write(json.dumps(report.document(found), ensure_ascii=False, indent=1) + "\n")
    else:
        called = str(options.mapping) if options.mapping else say("mapping-file", words)
        sys.stdout.write(report.page(found, str(options.folder), called, words) + "\n")
    for why in against:
        sys.stderr.write(f"thinwatt-collector: {why}\n")
    done = say("dry", words) if found.touched else say("nothing", words)
    if options.write and found.touched and not against:
        files = write.write(found, options.folder)
        done = say("written", words, files=", ".join(str(path) for path in files))
    if not options.json:
        sys.stdout.write(f"\n{done}\n")
    return 1 if options.write and against else 0


def _folder(folder: Path) -> Found:
    """Return what stands in the inventory's folder; one that is not there, or empty, is a first one."""
    from thinwatt_collector.inventory.files import read_folder
    from thinwatt_collector.inventory.glpi.export import GlpiError

    if folder.exists() and not folder.is_dir():
        raise GlpiError(f"{folder} is no folder: name the inventory's")
    entries, problems = read_folder(folder)
    if folder.exists() and any(p.id == "folder" and "no folder" in p.what() for p in problems):
        raise GlpiError(f"{folder} cannot be read: {problems[0].what()}")
    return entries, problems


def _read(options: argparse.Namespace, meanings: Meanings) -> Read:
    from thinwatt_collector.inventory.glpi import export, legacy, talk, v2

    called = str(options.mapping) if options.mapping else "--mapping FILE"
    if options.csv:
        return export.read(options.csv, meanings.columns, meanings.month_first, called)
    if meanings.access is None:
        raise export.GlpiError(f"{called}: the table [api] is missing, which says where GLPI is")
    line = talk.line(meanings.access, called)
    return legacy.read(line) if meanings.access.kind == "legacy" else v2.read(line)


def language(told: Language | None, environment: Mapping[str, str]) -> Language:
    """Return the language of a report: as told, else the system's, else English.

    >>> language(None, {"LC_ALL": "", "LANG": "fr_FR.UTF-8"})
    'fr'
    """
    usual = next((found for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (found := environment.get(name))), "")
    return told or ("fr" if usual.startswith("fr") else "en")
