"""Tokens: made, found, refused, and read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from thinwatt_collector.serve.api.tokens import PREFIX, TokenError, Tokens, digest, make, parse

GOOD = f'[[token]]\nname = "a"\nrole = "admin"\nsha256 = "{digest("x")}"\n'


def test_a_token_is_told_once_and_found_by_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    one, two = make(path, "grafana", "technical"), make(path, "page", "public")
    tokens = Tokens(path)
    assert one != two
    assert one.startswith(PREFIX)
    assert one not in path.read_text()
    found = tokens.find(one)
    assert found is not None
    assert (found.name, found.role) == ("grafana", "technical")
    assert tokens.find("") is tokens.find(one + "x") is tokens.find(found.sha256) is None
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_name_stands_once(tmp_path: Path) -> None:
    make(tmp_path / "t", "a", "public")
    before = (tmp_path / "t").read_text()
    with pytest.raises(TokenError, match="stands there already"):
        make(tmp_path / "t", "a", "admin")
    assert (tmp_path / "t").read_text() == before


@pytest.mark.parametrize(
    "text, words",
    [
        ("[[token]\n", "t.toml"),
        ("[token]\n", "two brackets"),
        ('[[tokens]]\nname = "a"\n', r"\[\[token\]\]"),
        (GOOD.replace("admin", "root"), "public, technical, admin"),
        (GOOD.replace('name = "a"', 'name = "a b"'), "no name"),
        (GOOD.replace(digest("x"), "secret"), "api-token a"),
        (GOOD.replace("role", "rôle"), "t.toml"),
        (GOOD + GOOD, "token 2: a token named a"),
        (GOOD + 'until = "2027"\n', "nothing else"),
    ],
)
def test_a_wrong_file_is_told_with_the_entry(text: str, words: str) -> None:
    with pytest.raises(TokenError, match=words):
        parse(text, Path("t.toml"))


def test_a_name_cannot_write_toml(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match="no name"):
        make(tmp_path / "t", 'a"\nrole = "admin', "public")
    assert not (tmp_path / "t").exists()


def test_without_a_file_nobody_has_a_token(tmp_path: Path) -> None:
    assert Tokens(None).find("x") is None
    late = Tokens(tmp_path / "later.toml")
    assert late.find("x") is None
    assert late.find(make(tmp_path / "later.toml", "a", "admin")) is not None
    (tmp_path / "later.toml").unlink()
    assert late.find("x") is None


def test_a_wrong_file_at_the_start_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("token")
    with pytest.raises(TokenError):
        Tokens(tmp_path / "t")
