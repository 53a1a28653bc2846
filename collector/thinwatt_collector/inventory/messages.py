"""What can be wrong with an inventory: a message has an id, and in each language what is wrong and what to write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from thinwatt_collector.inventory.aliases import in_french
from thinwatt_collector.words import Language, Phrase, Words, catalogue

Severity = Literal["error", "note"]
IDS: Final = tuple(key.split(".")[1] for key in catalogue("en") if key.startswith("problem.") and key.endswith(".what"))
"""All messages; their texts stand in ``texts/*.json``."""
NAMES: Final = {"table": "table", "target": "table", "key": "column"}
"""Fields that name a table or a column, which the French may write in French."""

NOTES: Final = frozenset(
    {"near-name", "default-power", "no-embodied", "no-tariff", "tariff-undated", "host-room-pue", "nowhere"}
    | {"no-reconditioning"}
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

    def what(self, language: Language = "en") -> str:
        """Return what is wrong."""
        return self._said("what", language)

    def remedy(self, language: Language = "en") -> str:
        """Return what to write."""
        return self._said("remedy", language)

    def said(self, language: Language) -> str:
        """Return where it is, what is wrong and what to write."""
        key = f" {named('column', self.key, language)}{Words(language)('colon')}" if self.key else ""
        return f"{self.file}:{self.line}:{key} {self.what(language)}\n    → {self.remedy(language)}"

    def _said(self, part: str, language: Language) -> str:
        words = Words(language)
        fields = _named({"file": self.file, "key": self.key, **self.fields}, language)
        if self.id in ("date-order", "event-apart"):
            fields["other"] = named("column", str(fields["other"]), language)
        for name in ("event", "before"):
            if name in fields:
                fields[name] = words.named("event", str(fields[name]))
        if "what" in fields:
            fields["what"] = words.named("number", str(fields["what"]))
        if self.id == "choice-wrong":
            kind = self.key if self.key in ("class", "event") else "choice"
            fields["known"] = ", ".join(words.named(kind, word) for word in str(fields["known"]).split(", "))
        return words(f"problem.{self.id}.{part}", **fields)

    def __str__(self) -> str:
        return self.said("en")


def _named(fields: Mapping[str, object], language: Language) -> dict[str, object]:
    """Return fields with the names of tables and columns as they may be written in a language; also within phrases."""
    found: dict[str, object] = {}
    kind = str(fields.get("kind", ""))  # of the names that are meant
    for name, of in fields.items():
        if isinstance(of, Phrase):
            found[name] = Phrase(of.key, _named(of.fields, language))
        elif kind and name in ("close", "known"):
            found[name] = ", ".join(named(kind, one, language) for one in str(of).split(", "))
        else:
            found[name] = named(NAMES[name], str(of), language) if name in NAMES else of
    return found


def named(kind: str, name: str, language: Language) -> str:
    """Return a table or column as it may be written in a language."""
    return in_french(kind, name) if language == "fr" else name
