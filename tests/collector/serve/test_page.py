"""The page's files: what a browser is told about them, and that both languages say the same."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.collector.serve.conftest import Start
from tests.collector.serve.test_app import ask
from thinwatt_collector.serve.page import HERE, files

STATIC = HERE / "static"
MESSAGES: dict[str, dict[str, str]] = {
    name: json.loads((STATIC / f"{name}.json").read_text(encoding="utf-8")) for name in ("fr", "en")
}
SCRIPTS = sorted(STATIC.glob("*.js"))


def test_a_file_is_sent_once_and_under_a_strict_policy(start: Start) -> None:
    handle = start()
    status, headers, body = ask(handle, "/page/style.css", Accept_Encoding="gzip")
    assert (status, headers["content-encoding"], headers["cache-control"]) == (200, "gzip", "no-cache")
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert len(body) < len(files()["style.css"].body)
    assert ask(handle, "/page/style.css", If_None_Match=headers["etag"])[::2] == (304, b"")
    assert ask(handle, "/page/style.css", If_None_Match='"other"')[0] == 200


@pytest.mark.parametrize("name", ["none.js", "__init__.py", "..%2F__init__.py", "%2e%2e/app.py", "LICENSE"])
def test_nothing_else_is_served(start: Start, name: str) -> None:
    assert ask(start(), f"/page/{name}")[0] == 404


def test_both_languages_have_the_same_keys_and_placeholders() -> None:
    french, english = MESSAGES["fr"], MESSAGES["en"]
    assert french.keys() == english.keys()
    for key in french:
        places = [sorted(re.findall(r"\{(\w+)\}", texts[key])) for texts in (french, english)]
        assert places[0] == places[1], key
        assert french[key].strip()
        assert english[key].strip()


class Texts(HTMLParser):
    """Collects what is written in the page itself, and the keys that it asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[dict[str, str | None]] = []
        self.texts: list[str] = []
        self.keys: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.keys += [text for name, text in attrs if name in ("data-t", "data-label") and text]
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        if tag not in ("meta", "link", "img", "input"):
            self.open.append(given)

    def handle_endtag(self, tag: str) -> None:
        self.open.pop()

    def handle_data(self, data: Any) -> None:
        own = any("lang" in given or given.get("translate") == "no" for given in self.open[1:])
        if data.strip(" \n·") and not own:
            self.texts.append(data.strip())


def test_no_text_of_the_page_stands_outside_the_messages() -> None:
    page = Texts()
    page.feed((STATIC / "index.html").read_text(encoding="utf-8"))
    assert page.texts == ["thinwatt"]  # its title
    assert page.inline == []
    assert set(page.keys) <= MESSAGES["fr"].keys()


def test_no_text_of_the_scripts_stands_outside_the_messages() -> None:
    asked: set[str] = set()
    for path in SCRIPTS:
        text = re.sub(r"^ *//.*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        asked |= set(re.findall(r"\bt\(\"([\w.]+)\"", text))
        # Two words with a space between them are a sentence; classes of CSS are not.
        said = [s for s in re.findall(r'"([^"\n]*)"', text) if re.search(r"[a-zà-ÿ]{2,} [a-zà-ÿ]{2,}", s)]
        allowed = {"big dim", "system-ui, sans-serif"}
        assert set(said) <= allowed, path
    french = MESSAGES["fr"].keys()
    assert {key for key in asked if key not in french and f"{key}.other" not in french} == set()


def test_no_file_names_another_host() -> None:
    for path in sorted(STATIC.iterdir()):
        addresses = re.findall(r"https?://[^\s\"']+", path.read_text(encoding="utf-8"))
        assert [a for a in addresses if a != "http://www.w3.org/2000/svg"] == [], path
