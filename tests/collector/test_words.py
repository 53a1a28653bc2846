"""What commands say: both languages have the same texts, and every text is asked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from thinwatt_collector.inventory.aliases import FILE, aliases
from thinwatt_collector.inventory.command import register
from thinwatt_collector.inventory.files import TABLES, plain
from thinwatt_collector.inventory.tables import COLUMNS, EVENTS, choice
from thinwatt_collector.models.devices import CLASSES
from thinwatt_collector.words import catalogue, language

KINDS = (
    "class",
    "choice",
    "event",
    "rule",
    "number",
    "what",
    "problem",
    "severity",
    "basis",
    "unit",
    "estimate",
    "demo",
)


def test_both_languages_have_the_same_texts_and_the_same_gaps_in_them() -> None:
    english, french = catalogue("en"), catalogue("fr")
    assert english.keys() == french.keys()
    for key, text in english.items():
        gaps = [set(re.findall(r"\{(\w+)", of)) for of in (text, french[key])]
        # French may leave out what its sentence does not need.
        assert gaps[1] <= gaps[0] | {"value", "key"}, key


def test_every_text_is_asked_for() -> None:
    package = Path(str(register.__code__.co_filename)).parents[1]
    source = "".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    plural = {re.sub(r"\.(one|other)$", "", key) for key in catalogue("en")}
    assert [
        key
        for key in plural
        if key.partition(".")[0] not in KINDS and f'"{key}"' not in source and f"'{key}'" not in source
    ] == []


@pytest.mark.parametrize(
    "environ, found",
    [
        ({"LANG": "fr_FR.UTF-8"}, "fr"),
        ({"LC_ALL": "fr"}, "fr"),
        ({"LC_ALL": "en_GB.UTF-8", "LANG": "fr_FR.UTF-8"}, "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "fr_CA", "LANG": "C"}, "fr"),
        ({"LANG": "fry_NL"}, "en"),  # Frisian
        ({}, "en"),
    ],
)
def test_the_environment_says_the_language(environ: dict[str, str], found: str) -> None:
    assert language(environ) == found


def test_french_names_stand_for_names_that_there_are() -> None:
    assert set(aliases("table").values()) <= set(TABLES)
    assert set(aliases("column").values()) <= {name for columns in COLUMNS.values() for name in columns}
    assert set(aliases("events").values()) <= COLUMNS["events"].keys()
    assert set(aliases("class").values()) == set(CLASSES)
    assert set(aliases("event").values()) == set(EVENTS)
    lines = FILE.read_text(encoding="utf-8").splitlines()[1:]
    assert len({line.rpartition(",")[0] for line in lines}) == len(lines), "a name twice"
    for line in lines:  # as they are looked up: without accents and capitals
        french = line.split(",")[1]
        assert plain(french).replace("_", " ") == french.replace("_", " ")


@pytest.mark.parametrize(
    "cell, word",
    [
        *(("client léger", "thin_client"), ("PC fixe", "desktop"), ("Portable", "laptop"), ("Écran", "monitor")),
        *(("hôte", "host"), ("thin client", "thin_client"), ("Thin-Client", "thin_client")),
    ],
)
def test_classes_are_read_in_french_and_english(cell: str, word: str) -> None:
    assert choice("class", *CLASSES)(cell) == word
