"""A TOML file on its way to a configuration: its keys, and all that is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from thinwatt_agent.places.lines import Place, line_of, split, statements
from thinwatt_agent.places.values import Read, shown

Look = Callable[[Any], Iterable[str]]
"""What it means → what is wrong with it on this machine."""


class ConfigError(ValueError):
    """A configuration that can't be used; ``problems`` name file, line, key and what to write instead, a line each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def nothing(_: Any) -> Iterable[str]:
    """Find nothing wrong."""
    return ()


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its table and name in the file, the field it fills, how it is read, its default as written, help.

    ``look`` finds what is wrong with it on this machine, ``closer`` what a program can begin with all the same; a
    ``needed`` key has an example in the place of a default.
    """

    table: str
    name: str
    field: str
    read: Read
    default: Any
    help: str
    look: Look = nothing
    closer: Look = nothing
    needed: bool = False


def told(keys: Iterable[tuple[str, Any, str]]) -> list[str]:
    """Return the lines of an example: name, default and help of each key."""
    return [line for name, default, text in keys for line in (f"# {text}", f"{name} = {toml(default)}")]


def toml(value: bool | float | str) -> str:
    """Return a value as TOML writes it."""
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else f"{value}"


def meant(word: str, known: Iterable[str]) -> str:
    """Return the end of an error about an unknown name: the known one that is close, or all of them."""
    import difflib

    names = sorted(known)
    close = difflib.get_close_matches(word, names, 1)
    return f": did you mean {close[0]!r}?" if close else f"; known: {', '.join(names)}"


def read(path: Path, begin: str) -> str:
    """Return the text of a configuration; ``begin`` is the command that makes a first one.

    Raises:
        ConfigError: it is not there, can't be read or is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError([f"{path} is not there; to begin with: {begin}"]) from None
    except OSError as error:
        raise ConfigError([f"{path} can't be read: {error.strerror}"]) from None
    try:
        return data.decode("utf-8-sig")  # editors of Windows put a mark at the start
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path}:{line}: can't be read: this line is not UTF-8; save the file as UTF-8"]) from None


class File:
    """A TOML file on its way to a configuration; what is wrong with it is collected until :meth:`done`.

    Args:
        text: what stands in it.
        path: where it came from; paths in it are relative to its folder.
        here: whether to look at this machine as well, at the files, folders and addresses that it names.
        closely: whether to do so for what a program can begin with, too.

    Raises:
        ConfigError: it is no TOML.
    """

    def __init__(self, text: str, path: Path, here: bool = False, closely: bool = False) -> None:
        self.here = here or closely
        self._closely = closely
        self._text, self._path = text, path
        self._problems: list[tuple[int, str]] = []
        self.document = self._document()

    def wrong(self, at: Place, text: str, n: int = 0) -> None:
        """Note what is wrong with a key or table."""
        name = ".".join(part if re.fullmatch(r"[\w-]+", part) else shown(part) for part in at)
        line = line_of(self._text, at, n)
        self._problems.append((line, f"{self._path}:{line}: {name}: {text}"))

    def done(self) -> None:
        """Raise all that was noted, by lines; nothing if it was nothing."""
        if self._problems:
            raise ConfigError(text for _, text in sorted(self._problems, key=lambda problem: problem[0]))

    def names(self, tables: Iterable[str], homes: Callable[[], Iterable[tuple[str, str]]]) -> None:
        """Note tables that are not known, and keys outside of any; ``homes`` gives tables and the keys in them."""
        known = list(tables)
        for name, content in self.document.items():
            if name not in known:
                single = not isinstance(content, dict) and not (content and _all_tables(content))
                text = _astray(name, known, homes()) if single else f"no table [{name}] is known{meant(name, known)}"
                self.wrong((name,), text)

    def mapping(self, value: Any, at: Place, n: int = 0) -> Mapping[str, Any]:
        """Return a table, an empty one for what is none, which is noted."""
        if isinstance(value, dict):
            return value
        self.wrong(at, f"write it as a table: [{'.'.join(at)}]", n)
        return {}

    def keys(self, content: Iterable[str], known: Iterable[str], at: Place, n: int = 0, what: str = "key") -> None:
        """Note names that are not known, of keys or ``what`` they are."""
        names = list(known)
        for name in content:
            if name not in names:
                self.wrong((*at, name), f"no {what} {shown(name)} is known here{meant(name, names)}", n)

    def table(self, value: Any, keys: Iterable[Key], at: Place, n: int = 0) -> dict[str, Any]:
        """Return what the keys of a table say, by field; a key with something wrong is noted and left out."""
        if not isinstance(value, dict):
            self.mapping(value, at, n)
            return {}
        content, known = value, {key.name: key for key in keys}
        self.keys(content, known, at, n)
        found: dict[str, Any] = {}
        for name, key in known.items():
            if key.needed and name not in content:
                self.wrong(at, f"{name} is missing: {key.help}", n)
                continue
            try:
                found[key.field] = key.read(content.get(name, key.default), self._path.parent)
            except ValueError as error:
                self.wrong((*at, name), str(error), n)
                continue
            silent = "" if name in content else f"by default {key.default!r}: "
            for look in (key.look,) * self.here + (key.closer,) * self._closely:
                for text in look(found[key.field]):
                    self.wrong((*at, name), silent + text, n)
        return found

    def _document(self) -> dict[str, Any]:
        import tomllib

        try:
            return tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            line, why = _syntax(self._text, str(error))
        except (ValueError, RecursionError):
            lines = self._text.split("\n")
            line = 1 + max(range(len(lines)), key=lambda i: len(lines[i]))
            why = f"{shown(lines[line - 1].strip())}: too many digits, or too many brackets in brackets"
        raise ConfigError([f"{self._path}:{line}: {why}"])


def _all_tables(content: Any) -> bool:
    return isinstance(content, list) and all(isinstance(entry, dict) for entry in content)


def _astray(name: str, tables: Iterable[str], homes: Iterable[tuple[str, str]]) -> str:
    """Return where a key belongs that stands outside the tables."""
    import difflib

    known: dict[str, str] = {}
    for table, key in homes:
        known[key] = f"{known[key]} or {table}" if key in known else table
    if name in known:
        return f"this key belongs in the table {known[name]}: write it below that line"
    if close := difflib.get_close_matches(name, known, 1, 0.7):
        return f"no key {shown(name)} is known: did you mean {close[0]!r}, in the table {known[close[0]]}?"
    return f"no key {shown(name)} is known; each key stands below the line of its table: {', '.join(tables)}"


def _syntax(text: str, said: str) -> tuple[int, str]:
    """Return line and problem of what tomllib said of a text that is no TOML."""
    found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", said)
    why = said[: found.start()] if found else said
    begun = [number for number, written in split(text) if written.strip()]
    line = int(found[1]) if found and found[1] else begun[-1] if begun else 1
    shows = shown(text.split("\n")[line - 1].strip())
    if why.startswith("Cannot "):  # … declare ('agent',) twice, overwrite a value, mutate immutable namespace
        places = [(number, place) for number, place, _, _ in statements(text) if number <= line]
        last = places[-1][1] if places else ()
        first = next((number for number, place in places if place[: len(last)] == last), line)
        other = f", first in line {first}" if first < line else ""
        return line, f"{'.'.join(last)}: {shows} stands there twice{other}: keep one, with all its keys below it"
    bare = re.match(r"\s*[\w.-]+\s*=\s*[^\"'\[{\s]", text.split("\n")[line - 1])
    return line, f"{shows} is no TOML: {why}; {QUOTES if bare else next((r for w, r in REMEDIES if w in why), LOOK)}"


QUOTES: Final = 'texts, paths and numbers with a unit stand in quotes: "10 s"'
LOOK: Final = "see https://toml.io"
REMEDIES: Final = (
    (r"Illegal character '\n'", "a text ends in its line, with the quote that it began with"),
    ("Unterminated string", "a text ends with the quote that it began with"),
    ("escape", r"in a path write / for \, or put the text between 'single quotes'"),
    ("hex value", r"in a path write / for \, or put the text between 'single quotes'"),
    ("Invalid statement", "a line is key = value or [table]"),
    ("Expected '=' after a key", "a line is key = value or [table]"),
    ("at the end of a table declaration", "a table is [name], an entry of several [[name]], alone in its line"),
)
"""What tomllib says, in part → what to do."""
