"""Every calibration that was ever taken, on disk: ``calibrations.jsonl`` in the state folder, one a line, none removed.

The file is replaced whole, so a power cut leaves the old one or the new one. A line is never changed: what it says of
its ``valid_from`` is what the ledger's slots were booked with. Beside it ``calibrations-refused.json`` says what could
not be learnt the last time, and why; it may be lost.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from thinwatt_collector.calibrated import Calibrations, Learnt
from thinwatt_collector.fetch import write_atomic

NAME: Final = "calibrations.jsonl"
REFUSED: Final = "calibrations-refused.json"


class ArchiveError(Exception):
    """The archive cannot be read; ``str()`` says what to do."""


def read(path: Path) -> Calibrations:
    """Return the calibrations of a file, none where there is no file.

    Raises:
        ArchiveError: it can't be read. Nothing is booked then: by which model would not be known afterwards.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return Calibrations()
    except (OSError, UnicodeDecodeError) as error:
        raise ArchiveError(f"{path} can't be read ({error}): restore it from the backup of the ledger") from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            told: dict[str, Any] = json.loads(line)
            restates = tuple(told["restates"]) if told.get("restates") else None
            found.append(Learnt(**{**told, "assumed": tuple(told["assumed"]), "restates": restates}))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ArchiveError(
                f"{path}, line {number}, is no calibration ({error}): restore the file from the backup of the ledger"
            ) from error
    return Calibrations(found)


def write(path: Path, calibrations: Calibrations) -> None:
    """Write all calibrations; OSError where that fails."""
    write_atomic(path, "".join(json.dumps(asdict(each)) + "\n" for each in calibrations.every).encode())


def refused(path: Path) -> dict[str, Any]:
    """Return what was refused the last time, and on which day; {} where nobody knows."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def beside(backup: Path) -> Path:
    """Return where the calibrations of a backup of the ledger lie: beside it."""
    return backup.with_name(f"{backup.name}.{NAME}")
