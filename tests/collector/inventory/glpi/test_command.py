"""The command as a person calls it: the report in both languages, what is written and when, and what stops it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.collector.inventory.glpi import servers
from tests.collector.inventory.glpi.imports import Row, export, pc
from tests.conftest import Golden
from thinwatt_collector import fetch
from thinwatt_collector.__main__ import main
from thinwatt_collector.inventory.files import TABLES
from thinwatt_collector.inventory.glpi import mapping
from thinwatt_collector.inventory.glpi.phrases import PHRASES

GOLDEN = Path(__file__).parents[3] / "golden" / "inventory" / "glpi"
MAPPING = '[types]\n"Serveur VDI" = "host"\n'


def campus() -> list[Row]:
    rows = [pc(n, room=f"Campus Nord > Bât. B > B{300 + n % 4}") for n in range(1, 9)]
    rows += [pc(n, type="Client léger", model="FUTRO S740", room="Campus Nord > Bât. A > 101") for n in range(9, 13)]
    rows += [
        pc(13, name="PC-é", serial="", room="Campus Nord > Bat B > b302", bought="31-31-2023", model="LATITUDE"),
        pc(14, state="En stock"), pc(15, state="Réformé"), pc(16, state="En réparation", bought=""),
        pc(17, type="Borne", model="Kiosk"), pc(18, type="Borne", model="Kiosk"), pc(19, type="VMware", model=""),
        pc(20, name="vdi-1", type="Serveur VDI", model="PowerEdge R640", room="Campus Nord > Bât. A > Salle machine"),
        pc(21, name="PC-5", serial=""), pc(22, room=""), pc(23, room="Campus Sud", entity="Racine > Autre"),
        pc(24, serial="S22", name="PC-22-bis", room="Campus Sud > C > 101", price="1,234"),
    ]  # fmt: skip
    return rows


def later() -> list[Row]:
    rows = {row["id"]: row for row in campus()}
    rows[1] |= {"room": "Campus Nord > Bât. B > B310"}
    rows[2] |= {"model": "Latitude 5540"}
    rows[3] |= {"state": "En stock"}
    rows[4] |= {"state": "Réformé", "end": "20-09-2026"}
    rows[6] |= {"name": "PC-6-RH"}
    rows[7] |= {"price": "655,00", "bought": "02-09-2023"}
    rows[14] |= {"state": "En service"}
    del rows[8]
    rows[30] = pc(30, name="PC-8", bought="01-09-2026")
    del rows[12]
    return list(rows.values())


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("map.toml").write_text(MAPPING)
    Path("glpi.csv").write_bytes(export(campus()))
    Path("later.csv").write_bytes(export(later()))
    for name in [name for name in os.environ if name.startswith(("LC_", "LANG", "THINWATT_GLPI_"))]:
        monkeypatch.delenv(name)


def run(*words: str) -> int:
    return main(["inventory", "glpi", "inventory", "--mapping", "map.toml", *words])


FIRST = ("--csv", "glpi.csv", "--day", "2026-09-01")
SECOND = ("--csv", "later.csv", "--day", "2026-10-01", "--gone-limit", "20")


def files() -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8-sig") for path in sorted(Path("inventory").glob("*"))}


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_report_says_in_words_what_would_change(
    language: str, capsys: pytest.CaptureFixture[str], golden: Golden
) -> None:
    assert run(*FIRST, "--language", language) == 0
    golden(capsys.readouterr().out, GOLDEN / f"first.{language}.txt")
    assert not Path("inventory").exists(), "a dry run writes nothing"
    assert run(*FIRST, "--write") == 0
    capsys.readouterr()
    before = files()
    assert run(*SECOND, "--language", language) == 0
    golden(capsys.readouterr().out, GOLDEN / f"second.{language}.txt")
    assert files() == before


def test_what_is_written_is_a_spreadsheet_s_file(golden: Golden, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*FIRST, "--write") == 0
    assert run(*SECOND, "--write") == 0
    text = "".join(f"== {name}\n{content}" for name, content in files().items())
    golden(text, GOLDEN / "written.txt")
    capsys.readouterr()
    assert run(*SECOND, "--write") == 0
    assert capsys.readouterr().out.endswith("\nnothing to do: the inventory says so already\n")
    assert main(["inventory", "check", "inventory", "--day", "2026-10-01"]) == 0
    assert main(["inventory", "estimate", "inventory", "--day", "2026-10-01"]) == 0


def test_a_report_for_programs(capsys: pytest.CaptureFixture[str], golden: Golden) -> None:
    assert run(*FIRST, "--write", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert run(*SECOND, "--json") == 0
    golden(capsys.readouterr().out, GOLDEN / "second.json")
    assert found["touched"] == [f"{name}.glpi.csv" for name in TABLES if name not in ("pools", "seats", "events")]


def test_a_write_that_breaks_off_leaves_a_good_inventory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(*FIRST, "--write")
    whole = fetch.write_atomic
    for broken_off in range(1, 6):
        left = [broken_off]

        def cut(path: Path, content: bytes, mode: int, left: list[int] = left) -> None:
            if not left[0]:
                raise OSError("no space left on device")
            left[0] -= 1
            whole(path, content, mode)

        for name in ("devices", "hosts", "rooms", "buildings", "sites", "establishments", "models"):
            Path("inventory", f"{name}.glpi.csv").unlink(missing_ok=True)
        monkeypatch.setattr(fetch, "write_atomic", cut)
        assert run(*FIRST, "--write") == 1
        monkeypatch.setattr(fetch, "write_atomic", whole)
        assert main(["inventory", "check", "inventory", "--day", "2026-09-01"]) == 0, "what others name is there first"
        assert run(*FIRST, "--write") == 0
        capsys.readouterr()
        assert run(*FIRST) == 0
        assert "nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize("spoilt", [b'"PC-99;\r\n', b"PC-99;a;b;c;d;e;f;g;h;i;j;k;l;m\r\n"])
def test_an_export_that_lost_its_shape_is_not_written(spoilt: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*FIRST, "--write") == 0
    head, *rows = export(campus()).splitlines(keepends=True)
    Path("torn.csv").write_bytes(b"".join([head, *rows[:-1], spoilt, rows[-1]]))
    before = files()
    assert run("--csv", "torn.csv", "--day", "2026-10-01", "--write", "--gone-limit", "100") == 1
    assert "the export could not be read whole" in capsys.readouterr().err
    assert files() == before


def test_who_may_read_a_file_stays_as_it_was() -> None:
    assert run(*FIRST, "--write") == 0
    path = Path("inventory", "devices.glpi.csv")
    path.chmod(0o640)
    assert run(*SECOND, "--write") == 0
    assert path.stat().st_mode & 0o777 == 0o640


def test_an_export_cut_short_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*FIRST, "--write") == 0
    Path("short.csv").write_bytes(export(campus()[:4]))
    before = files()
    assert run("--csv", "short.csv", "--day", "2026-10-01", "--write") == 1
    captured = capsys.readouterr()
    assert "known machines would be gone, more than 10 %: is the export whole? If it is: --gone-limit" in captured.err
    assert files() == before
    assert run("--csv", "short.csv", "--day", "2026-10-01", "--write", "--gone-limit", "100") == 0


@pytest.mark.parametrize(
    "words, status, text",
    [
        (("--csv", "none.csv"), 1, "none.csv cannot be read: No such file"),
        (("--api",), 1, "map.toml: the table [api] is missing"),
        (
            ("--mapping", "none.toml", "--csv", "glpi.csv"),
            2,
            "none.toml is not there; to begin with: thinwatt-collector",
        ),
        (("--mapping", "bad.toml", "--csv", "glpi.csv"), 2, "bad.toml:2: states.Prêt: 'lent' is none of use, stock"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(
    words: tuple[str, ...], status: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.toml").write_text('[states]\n"Prêt" = "lent"\n')
    assert run(*words) == status
    assert text in capsys.readouterr().err


def test_without_a_folder_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inventory", "glpi", "--csv", "glpi.csv"]) == 2
    assert "folder of the inventory is missing" in capsys.readouterr().err
    Path("file").touch()
    assert main(["inventory", "glpi", "file", "--csv", "glpi.csv"]) == 1
    assert "file is no folder" in capsys.readouterr().err


def test_the_example_of_a_mapping_file_is_one(capsys: pytest.CaptureFixture[str], golden: Golden) -> None:
    assert main(["inventory", "glpi", "--mapping-example"]) == 0
    text = capsys.readouterr().out
    golden(text, GOLDEN / "mapping.toml")
    assert mapping.parse(text, Path("m.toml")).types == mapping.Meanings().types
    every = text.replace('# "', '"')
    assert mapping.parse(every, Path("m.toml")).models == {"optiplex_3070_mff": "OptiPlex 3070"}


@pytest.mark.parametrize("kind", ["legacy", "v2"])
def test_the_api_leads_to_the_same_inventory(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, secret in (("user_token", servers.USER_TOKEN), ("app_token", servers.APP_TOKEN)):
        monkeypatch.setenv(f"THINWATT_GLPI_{name.upper()}", secret)
    monkeypatch.setenv("THINWATT_GLPI_PASSWORD", servers.PASSWORD)
    monkeypatch.setenv("THINWATT_GLPI_CLIENT_SECRET", servers.SECRET)
    with servers.server() as glpi:
        for n in range(1, 24):
            glpi.add(n, location=f"Nord > B > B30{n % 3}")
        api = (
            f'[api]\nkind = "{kind}"\nurl = "{glpi.url}/"\nuser = "{servers.ACCOUNT}"\nclient_id = "{servers.CLIENT}"\n'
        )
        Path("map.toml").write_text(api + "page = 5\n")
        assert run("--api", "--day", "2026-09-01", "--write") == 0
        capsys.readouterr()
        assert run("--api", "--day", "2026-09-02", "--write") == 0
        assert "nothing to do" in capsys.readouterr().out
        computers = glpi.computers
    lines = files()["devices.glpi.csv"].splitlines()
    assert lines[1:] == [
        f"PC-{c['id']};Latitude 5400;B30{c['id'] % 3};2022-09-01;812.50;S{c['id']};{c['id']}" for c in computers
    ]


def test_nothing_is_asked_of_anybody_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("called out")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    Path("map.toml").write_text('[api]\nurl = "https://glpi.example.org"\n')
    assert run(*FIRST, "--write") == 0


def test_both_languages_say_the_same_things() -> None:
    for what, (english, french) in PHRASES.items():
        fields = [sorted(re.findall(r"{(\w+)", text)) for text in (english, french)]
        assert fields[0] == fields[1], what
