"""What commands say, in French or English: the same catalogues as the page's, a text a key in ``texts/*.json``.

A text's ``{names}`` are filled in; a number ``n`` chooses ``key.one`` or ``key.other``. Numbers are written as the
language does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args

Language = Literal["en", "fr"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
HERE: Final = Path(__file__).parent / "texts"
ASKED: Final = ("LC_ALL", "LC_MESSAGES", "LANG")
"""Where POSIX says the language: the first that is set counts."""
SEPARATORS: Final = {"en": (",", "."), "fr": ("\u202f", ",")}
"""Between thousands, and before decimals."""


def language(environ: Mapping[str, str] | None = None) -> Language:
    """Return the language that the environment asks for.

    >>> language({"LANG": "fr_FR.UTF-8"}), language({"LC_ALL": "C", "LANG": "fr_FR.UTF-8"}), language({})
    ('fr', 'en', 'en')
    """
    found = os.environ if environ is None else environ
    asked = next((found[name] for name in ASKED if found.get(name)), "")
    return "fr" if asked[:2].lower() == "fr" and asked[2:3] in ("", "_", ".", "-", "@") else "en"


@cache
def catalogue(of: Language) -> dict[str, str]:
    """Return the texts of a language by key."""
    found: dict[str, str] = json.loads((HERE / f"{of}.json").read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True, slots=True)
class Words:
    """Says things in one language.

    >>> Words("fr").number(12345.6, 1), Words("en").number(12345.6, 1)
    ('12\u202f345,6', '12,345.6')
    """

    language: Language

    def __call__(self, key: str, /, **fields: object) -> str:
        """Return the text of a key."""
        return self._filled(catalogue(self.language)[key], fields)

    def counted(self, key: str, n: int, /, **fields: object) -> str:
        """Return the text of a key for a number of things, which it may name as ``{n}``.

        >>> Words("en").counted("errors", 1), Words("fr").counted("errors", 0)
        ('1 error', '0 erreur')
        """
        one = n == 1 or (n == 0 and self.language == "fr")
        return self(f"{key}.{'one' if one else 'other'}", n=self.number(n), **fields)

    def named(self, kind: str, name: str) -> str:
        """Return the word for something that the code names; its own name where there is no word."""
        return catalogue(self.language).get(f"{kind}.{name}", name)

    def number(self, x: float, digits: int = 0) -> str:
        """Return a number with its decimals."""
        thousands, decimals = SEPARATORS[self.language]
        return f"{x:,.{digits}f}".translate({ord(","): thousands, ord("."): decimals})

    def figure(self, x: float) -> str:
        """Return a number to three digits: more would claim what nobody knows.

        >>> Words("en").figure(123456.0), Words("en").figure(0.0), Words("fr").figure(12.345)
        ('123,000', '0', '12,3')
        """
        rounded = float(f"{x:.3g}")
        whole = abs(rounded) >= 100 or rounded == round(rounded)
        return self.number(rounded) if whole else f"{rounded:g}".replace(".", SEPARATORS[self.language][1])

    def _filled(self, text: str, fields: Mapping[str, object]) -> str:
        said = {name: of.said(self) if isinstance(of, Phrase) else of for name, of in fields.items()}
        return text.format_map(said)


@dataclass(frozen=True)
class Phrase:
    """A part of a message that is said in its reader's language: a key, and what it is filled with."""

    key: str
    fields: Mapping[str, object] = field(default_factory=dict[str, object])

    def said(self, words: Words) -> str:
        """Return it in a language."""
        return words(self.key, **self.fields)

    def __str__(self) -> str:
        return self.said(Words("en"))
