"""Rows and cells as files: what was published must be known after a restart, or it would be cut otherwise (law 7).

A file holds columns; texts are kept once, with their number in each row. It is written whole, under another name
first: a reader, or a start after a power cut, finds the old one or the new one.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from thinwatt_collector.serve.api.rows import Objects, Rows

NUMBERS: Final = ("begin", "joules", "variance", "bias", "covered", "devices")
Columns = dict[str, NDArray[Any]]


class BrokenError(Exception):
    """A file that can't be read or written; ``str()`` says which, and what to do."""


def columns_of(rows: Rows, prefix: str = "") -> Columns:
    """Return rows as columns without objects."""
    found: Columns = {prefix + name: getattr(rows, name) for name in NUMBERS}
    for name, column in rows.dims.items():
        known = sorted(set(column.tolist()))
        number = {text: at for at, text in enumerate(known)}
        found[f"{prefix}dim.{name}"] = np.array([number[text] for text in column.tolist()], np.int32)
        found[f"{prefix}texts.{name}"] = np.array(known, np.str_)
    return found


def rows_of(columns: Mapping[str, NDArray[Any]], prefix: str = "") -> Rows:
    """Return the rows that :func:`columns_of` made columns of."""
    start = f"{prefix}dim."
    dims: dict[str, Objects] = {}
    for name in [key.removeprefix(start) for key in columns if key.startswith(start)]:
        known = np.array(columns[f"{prefix}texts.{name}"].tolist(), object)
        dims[name] = known[columns[start + name]] if len(known) else np.empty(0, object)
    begin, joules, variance, bias, covered, devices = (columns[prefix + name] for name in NUMBERS)
    return Rows(begin, dims, joules, variance, bias, covered, devices)


def write(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write columns, whole and durable.

    Raises:
        BrokenError: it can't be written; the old file is as it was.
    """
    fresh = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("wb") as file:
            np.savez_compressed(file, **dict(columns))  # type: ignore[arg-type]  # the stub thinks of its flag
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise BrokenError(
            f"{path} can't be written: {error.strerror}; what can't be kept is not shown: make room, or mend its rights"
        ) from error


def read(path: Path) -> Columns:
    """Return the columns of a file.

    Raises:
        BrokenError: it can't be read.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BrokenError(
            f"{path} can't be read: {error}; nothing of endpoints is shown to everybody. Put it back from a "
            "backup; where there is none, remove it: its days are then cut anew"
        ) from error
