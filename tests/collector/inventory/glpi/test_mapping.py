"""The mapping file: every mistake names its file, line and key, and says what to write."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinwatt_agent.places import ConfigError
from thinwatt_collector.inventory.glpi.mapping import Meanings, folded, parse, parts
from thinwatt_collector.inventory.glpi.places import Place, place_of
from thinwatt_collector.inventory.glpi.talk import line

FILE = Path("etc/glpi.toml")


@pytest.mark.parametrize(
    "text, problem",
    [
        ('[api]\nurl = "http://glpi.example.org"', "2: api.url: 'http://glpi.example.org': tokens would travel"),
        ('[api]\nurl = "glpi.example.org"', "2: api.url: 'glpi.example.org' is no address of a GLPI: write https://"),
        ('[api]\nurl = "https://me:pw@glpi"', "2: api.url: it holds more than an address: write https://"),
        ('[api]\n\npassword = "x"', "3: api.password: a secret does not stand here: write [api] password_file"),
        ('[api]\nuser_tokn_file = "x"', "2: api.user_tokn_file: no key 'user_tokn_file' is known here: did you mean"),
        ("[api]\npage = 1", "2: api.page: 1 is no whole number from 2 to 5000"),
        ('[api]\ntimeout = "soon"', "2: api.timeout: 'soon' is no time from 1 s to 600 s: write '30 s'"),
        ('[api]\nitems = "Printer"', "2: api.items: 'Printer' is none of Computer, Monitor"),
        ('[api]\nentity = "0"', "2: api.entity: '0' is no number of an entity: write it without quotes"),
        ('[api]\npurchases = "no"', "2: api.purchases: 'no' is neither true nor false"),
        ('[api]\nkind = "v3"', "2: api.kind: 'v3' is none of legacy, v2"),
        ('[states]\n"Prêt" = "used"', "2: states.Prêt: 'used' is none of use, stock, scrapped, leave_out"),
        ('[types]\nBorne = "kiosk"', "2: types.Borne: 'kiosk' is none of host, thin_client"),
        ('[models]\nX = { modle = "Y" }', "2: models.X.modle: no key 'modle' is known here: did you mean 'model'?"),
        ("[models]\nX = 3", "2: models.X: write it as a table"),
        ('[locations]\nlevels = "building > room"', "2: locations.levels: 'building > room': each of site, building"),
        ('[locations]\nlevels = "site > flat"', "2: locations.levels: 'flat' is none of site, building, room and -"),
        ('[locations.names]\n"" = "x"', "it names nothing"),
        ("[entities]\nnames = 3", "2: entities.names: write it as a table"),
        ('[colums]\nname = "x"', "1: colums: no table [colums] is known: did you mean 'columns'?"),
        ('[export]\ndates = "us"', "2: export.dates: 'us' is none of day-first, month-first"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_where_it_stands(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(text + "\n", FILE)
    assert problem in str(error.value)
    assert str(error.value).startswith(f"{FILE}:")


def test_all_mistakes_are_told_at_once_and_no_secret_with_them() -> None:
    text = '[api]\nclient_secret = "hidden"\npage = 0\n[states]\na = "b"\n[export]\ndates = 3\n'
    with pytest.raises(ConfigError) as error:
        parse(text, FILE)
    assert len(error.value.problems) == 4
    assert "hidden" not in str(error.value)


@pytest.mark.parametrize(
    "tail", ["", "/", "/apirest.php", "/apirest.php/", "/api.php", "/api.php/v2", "/api.php/v2.1/"]
)
def test_an_address_may_be_that_of_glpi_or_of_its_api(tail: str) -> None:
    access = parse(f'[api]\nurl = "https://glpi.example.org/glpi{tail}"\n', FILE).access
    assert access is not None
    assert access.url == "https://glpi.example.org/glpi"
    assert line(access, "x").fetcher.tls is None


def test_paths_are_relative_to_the_file() -> None:
    access = parse('[api]\nca_file = "ca.pem"\n', FILE).access
    assert access is not None
    assert access.ca_file == Path("etc/ca.pem")


def test_words_are_compared_without_capitals_accents_and_spaces() -> None:
    meanings = parse('[states]\n"En  Prêt" = "stock"\n', FILE)
    assert [meanings.states[folded(text)] for text in ("en pret", "EN PRÊT", "En service", "Réformé")] == [
        *("stock", "stock", "use", "scrapped")
    ]


@given(st.lists(st.text(st.sampled_from("abÉ 1.-/"), min_size=1, max_size=5), max_size=6))
def test_every_location_has_a_site_a_building_and_a_room(names: list[str]) -> None:
    location = " > ".join(names)
    found = place_of(location, Meanings())
    path = parts(location, ">")
    assert (found is None) == (not path)
    if found:
        assert all((found.site, found.building, found.room))
        assert found.site == path[0]
    if len(path) == 3:
        assert found == Place(*path)
