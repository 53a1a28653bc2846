"""What can be wrong with an inventory: one entry a message, each with what to write. Other languages add a table."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Severity = Literal["error", "note"]

ENGLISH: Final = MappingProxyType(
    {
        "folder": ("{detail}", "write a first one with: thinwatt-collector inventory example {file}"),
        "file-unread": ("cannot be read: {detail}", "check its permissions and that it is a file of less than {limit}"),
        "encoding": ("is neither UTF-8 nor Windows-1252 text", "save it again as 'CSV UTF-8' and look at this line"),
        "csv-broken": ("cannot be read as CSV from here on: {detail}", "close the quotes of the cell before it"),
        "toml-broken": ("is no TOML: {detail}", "see https://toml.io: texts in quotes, dates as 2025-01-31"),
        "table-unknown": ("{value!r} is no table of an inventory{meant}", "name the file or table after one of them"),
        "table-shape": ("{value!r} is not a list of tables", "write [[{value}]] above each of its entries"),
        "column-unknown": ("no column {key!r} is known in {table}{meant}", "rename it, or remove it"),
        "column-double": ("the column {key!r} stands there twice", "remove one of the two"),
        "cells-too-many": (
            "has {found} cells, the first line has {wanted}",
            "put cells with a {delimiter!r} in quotes",
        ),
        "missing": ("{table} need {key!r}, and it is empty", "write {example}"),
        "text-wrong": ("{value!r} is no text", "write {example}"),
        "choice-wrong": ("{value!r} is none of {known}", "write one of them"),
        "date-wrong": ("{value!r} is no date", "write 2025-01-31 or 31/01/2025"),
        "number-wrong": ("{value!r} is no {what}", "write {example}"),
        "number-range": ("{value} is out of range for a {what}: {low} to {high}", "write {example}"),
        "date-future": ("{value} lies in the future", "write the day it happened, or leave {key} empty until then"),
        "date-order": ("{value} lies before {other} {limit}", "correct one of the two"),
        "before-model": (
            "bought on {value}, but its model {model!r} is on sale since {limit} only ({where})",
            "correct {key} here, or 'released' there",
        ),
        "orphan": ("{value!r} is not in {target}{meant}", "{remedy}"),
        "orphan-dates": (
            "{value!r} is in {target} {held} only ({where}), this holds {asked}",
            "give one of the two the right valid_from and valid_to, or name where it went",
        ),
        "double": ("{value!r} stands in {where} too, for days in common", "remove one, or give both dates apart"),
        "near-name": (
            "{value!r} and {other!r} ({where}) may be two names of one thing",
            "if they are one: keep {keep!r}, remove the line of {drop!r}{elsewhere}",
        ),
        "no-power": (
            "nothing tells what {value!r} is, so nothing is known of its power",
            "write its model, or its class",
        ),
        "default-power": (
            "has the watts of an average {value!r}: no figure of this very model is known",
            "write idle, active, sleep and off in W, from its sheet or a plug meter",
        ),
        "no-embodied": (
            "no figure of what making it emitted",
            "write embodied (kgCO2e, without its use) and lifetime (years) from the maker's sheet",
        ),
        "no-zone-factor": ("no emission factor is known for the zone {value!r}", "write one of {known}"),
        "no-tariff": ("no price of electricity, here or at its rooms", "write tariff = 0.21 (EUR/kWh) and tariff_date"),
        "tariff-undated": ("a price without its day", "write tariff_date, the first day on which it was paid"),
        "host-room-pue": (
            "hosts stand in {value!r}, which has no PUE",
            "write pue of the room, 1.0 if nothing cools it",
        ),
        "nowhere": ("stands in no room: no PUE, no zone, no tariff", "write room"),
    }
)
"""Message id → what is wrong, what to write."""

NOTES: Final = frozenset(
    {"near-name", "default-power", "no-embodied", "no-tariff", "tariff-undated", "host-room-pue", "nowhere"}
)
"""What an inventory can live with; the figures get better without."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something to mend. Sorts by where it stands.

    Attributes:
        id: of the message, the same in every language.
        file: in the folder.
        line: from 1.
        key: column or key; "" for the whole line.
        fields: what the message is filled with.
    """

    id: str
    file: str
    line: int
    key: str
    fields: dict[str, object]

    @property
    def severity(self) -> Severity:
        """Return ``error`` for what makes a figure wrong, ``note`` for what makes it less sure."""
        return "note" if self.id in NOTES else "error"

    @property
    def order(self) -> tuple[str, int, str, str]:
        """Return what problems are sorted by."""
        return self.file, self.line, self.key, self.id

    def what(self) -> str:
        """Return what is wrong."""
        return ENGLISH[self.id][0].format_map({"file": self.file, "key": self.key, **self.fields})

    def remedy(self) -> str:
        """Return what to write."""
        return ENGLISH[self.id][1].format_map({"file": self.file, "key": self.key, **self.fields})

    def __str__(self) -> str:
        key = f" {self.key}:" if self.key else ""
        return f"{self.file}:{self.line}:{key} {self.what()}\n    → {self.remedy()}"
