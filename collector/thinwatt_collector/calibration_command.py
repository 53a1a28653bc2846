"""``thinwatt-collector calibration show | learn``: what metered machines have taught of their hardware models."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from thinwatt_collector import control
from thinwatt_collector.calibrated import archive, words
from thinwatt_collector.calibrated.words import Language

if TYPE_CHECKING:
    from thinwatt_collector.config import Config

NOTHING = {
    "en": "No hardware model is calibrated: that takes some metered machines of it, and a day.",
    "fr": "Aucun modèle n’est étalonné : il y faut quelques machines mesurées, et une journée.",
}


def run(what: str, language: Language, settings: Config) -> int:
    """Do what was asked on the command line; return its exit status.

    Raises:
        ControlError: no collector runs that could learn, or it can't.
        ArchiveError: the archive can't be read.
    """
    if what == "learn":
        control.ask(settings.state, "calibrate")
    clock = ZoneInfo(settings.clocks)
    known = archive.read(settings.state / archive.NAME)
    lines = [words.learnt(each, clock, language) for each in known.every] or [NOTHING[language]]
    lines += [each[language] for each in archive.refused(settings.state / archive.REFUSED).get("refused", [])]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
