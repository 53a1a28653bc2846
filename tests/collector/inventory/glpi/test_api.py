"""Both APIs of GLPI, against a server of ours that says what GLPI's documents and code say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.certificates import Authority
from tests.collector.inventory.glpi import servers
from tests.collector.inventory.glpi.servers import Glpi
from thinwatt_collector.fetch import Fetcher, Patience
from thinwatt_collector.inventory.glpi import legacy, mapping, talk, v2, wishes
from thinwatt_collector.inventory.glpi.access import Access
from thinwatt_collector.inventory.glpi.assets import Asset, Read
from thinwatt_collector.inventory.glpi.export import GlpiError
from thinwatt_collector.inventory.glpi.pages import PATIENCE, RestlessError, rows
from thinwatt_collector.inventory.tables import Inventory

KINDS = ("legacy", "v2")
SECRETS = {
    "user_token": servers.USER_TOKEN,
    "app_token": servers.APP_TOKEN,
    "password": servers.PASSWORD,
    "client_secret": servers.SECRET,
}


@pytest.fixture
def glpi() -> Iterator[Glpi]:
    with servers.server() as found:
        yield found


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in SECRETS.items():
        monkeypatch.setenv(f"THINWATT_GLPI_{name.upper()}", text)


def access(glpi: Glpi, kind: str, more: str = "") -> Access:
    usual = f'kind = "{kind}"\nurl = "{glpi.url}"\nuser = "{servers.ACCOUNT}"\nclient_id = "{servers.CLIENT}"\n'
    lines = {line.split("=")[0].strip(): line for line in (usual + more).splitlines() if line}
    found = mapping.parse("[api]\n" + "\n".join(lines.values()), Path("glpi.toml")).access
    assert found is not None
    return found


def ask(glpi: Glpi, kind: str, more: str = "", waits: list[float] | None = None) -> Read:
    found = access(glpi, kind, more)
    slept = waits if waits is not None else []
    patience = Patience(found.timeout, found.attempts, first=0.01)
    line = talk.line(found, "glpi.toml", Fetcher(patience=patience, sleep=slept.append))
    return legacy.read(line) if kind == "legacy" else v2.read(line)


@pytest.mark.parametrize("kind", KINDS)
def test_an_asset_is_the_same_by_either_api(glpi: Glpi, kind: str) -> None:
    glpi.add(12, name="PC-Été", otherserial="INV-7")
    (found,) = ask(glpi, kind).assets
    assert found == Asset(
        where="Computer 12", name="PC-Été", number="12", serial="S12", inventory_number="INV-7",
        entity="Root entity > Université", location="Nord > Bât. B > B305", state="En service", type="Notebook",
        model="Latitude 5400", maker="Dell", bought=date(2022, 9, 1), price=812.5,
    )  # fmt: skip
    assert "a.person" not in repr(found)


@pytest.mark.parametrize("kind", KINDS)
def test_monitors_have_numbers_of_their_own(glpi: Glpi, kind: str) -> None:
    glpi.add(1)
    glpi.monitors.append(glpi.add(1, name="Écran 1", serial="M1", type="LCD") | {"infocom": None})
    glpi.computers.pop()
    found = ask(glpi, kind, 'items = "Computer, Monitor"\npurchases = false\n').assets
    assert [(a.number, a.name, a.type, a.model) for a in found] == [
        ("1", "PC-1", "Notebook", "Latitude 5400"),
        ("Monitor/1", "Écran 1", "LCD", "Latitude 5400"),
    ]
    told = wishes.wishes(found[1:], mapping.Meanings(), Inventory({"models": {}}), date(2026, 9, 1))
    assert [wish.kind for wish in told.wished] == ["monitor"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_glpi_leaves_empty_is_missing(glpi: Glpi, kind: str) -> None:
    glpi.add(1, serial=None, type="", model="", state="", maker="", location="", infocom=None)
    glpi.add(2, infocom={"buy": None, "use": "2023-01-02", "end": "2025-01-02", "value": "0.0000"})
    one, two = ask(glpi, kind).assets
    assert one == Asset("Computer 1", "PC-1", "1", entity="Root entity > Université")
    assert (two.bought, two.used, two.scrapped, two.price) == (None, date(2023, 1, 2), date(2025, 1, 2), None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 9, 10, 11, 28, 30, 31])
@pytest.mark.parametrize("overshoots", [True, False])
def test_every_computer_is_read_once_whatever_the_pages(glpi: Glpi, kind: str, n: int, overshoots: bool) -> None:
    glpi.overshoots = overshoots
    for number in range(n, 0, -1):
        glpi.add(number)
    found = ask(glpi, kind, "page = 10\npurchases = false\n")
    assert [asset.number for asset in found.assets] == [str(number) for number in range(1, n + 1)]
    asked = sum("Computer" in path for path in glpi.asked)
    assert asked == max(1, -(-(n - 1) // 9)), "as many questions as pages of ten that overlap by one"


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_that_changes_while_it_is_read_loses_nobody(glpi: Glpi, kind: str) -> None:
    for number in range(1, 41):
        glpi.add(number)
    steps: list[Any] = [
        lambda: None,
        lambda: glpi.add(100),
        lambda: glpi.computers.remove(next(row for row in glpi.computers if row["id"] == 3)),
        lambda: glpi.add(101),
        lambda: [glpi.computers.pop(0) for _ in range(12)],
    ]

    def before(_: Glpi, path: str) -> None:
        if path.endswith("Computer") and steps:
            steps.pop(0)()

    glpi.before = before
    found = {int(asset.number) for asset in ask(glpi, kind, "page = 7\npurchases = false\n").assets}
    assert found >= {row["id"] for row in glpi.computers}
    assert not steps


@given(data=st.data(), size=st.integers(2, 8), n=st.integers(0, 30))
def test_no_removal_between_two_pages_hides_a_row(data: st.DataObject, size: int, n: int) -> None:
    there = list(range(1, n + 1))
    added = iter(range(1000, 1010))

    def page(start: int, size: int) -> tuple[list[dict[str, Any]], int]:
        for _ in range(data.draw(st.integers(0, 2)) if len(there) < n + 8 else 0):
            if bool(there) and data.draw(st.booleans()):
                there.pop(data.draw(st.integers(0, len(there) - 1)))
            elif number := next(added, 0):
                there.append(number)
        return [{"id": number} for number in there[start : start + size]], len(there)

    found = [row["id"] for row in rows(page, size)]
    assert found == sorted(set(found))
    # What was added after the last page was asked for cannot be there.
    assert set(found) >= set(there)


def test_a_server_that_never_ends_is_left() -> None:
    asked = []

    def page(start: int, size: int) -> tuple[list[dict[str, Any]], int]:
        asked.append(start)
        return [{"id": number} for number in range(size)], 10**9

    with pytest.raises(RestlessError):
        rows(page, 5)
    assert len(asked) <= PATIENCE + 2


def test_the_session_is_asked_for_all_entities_and_killed(glpi: Glpi) -> None:
    glpi.add(1)
    ask(glpi, "legacy")
    assert (glpi.begun, glpi.killed, glpi.sessions, glpi.entity) == (1, 1, set(), "all")
    ask(glpi, "legacy", "entity = 5\n")
    assert glpi.entity == 5
    assert any("expand_dropdowns=true" in path and "range=0-499" in path for path in glpi.asked)


def test_v2_is_asked_for_an_entity_and_what_is_below_it(glpi: Glpi) -> None:
    ask(glpi, "v2", "entity = 5\n")
    assert glpi.entity == ("5", "true")


@pytest.mark.parametrize("after", [2, 3, 4])
def test_the_session_is_killed_whatever_goes_wrong(glpi: Glpi, after: int) -> None:
    glpi.add(1)
    calls = []

    def before(here: Glpi, path: str) -> None:
        calls.append(path)
        if len(calls) == after:
            here.faults.append((400, {}, b'["ERROR_SQL", "something broke"]'))

    glpi.before = before
    with pytest.raises(GlpiError, match="ERROR_SQL"):
        ask(glpi, "legacy")
    assert (glpi.begun, glpi.killed, glpi.sessions) == (1, 1, set())


def test_the_session_is_killed_when_a_person_interrupts(glpi: Glpi, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(legacy, "_list", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ask(glpi, "legacy")
    assert (glpi.killed, glpi.sessions) == (1, set())


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_that_ends_half_way_is_begun_anew(glpi: Glpi, kind: str) -> None:
    for number in range(1, 31):
        glpi.add(number)
    calls = []

    def before(here: Glpi, path: str) -> None:
        calls.append(path)
        if len(calls) == 4:
            here.sessions.clear()
            here.tokens.clear()

    glpi.before = before
    found = ask(glpi, kind, "page = 10\npurchases = false\n")
    assert len(found.assets) == 30
    assert glpi.begun == 2
    assert not glpi.sessions


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_that_never_holds_is_told(glpi: Glpi, kind: str) -> None:
    glpi.add(1)

    def before(here: Glpi, _: str) -> None:
        here.sessions.clear()
        here.tokens.clear()

    glpi.before = before
    with pytest.raises(GlpiError, match="401"):
        ask(glpi, kind)
    assert glpi.begun <= 20


def test_a_damaged_token_of_v2_is_had_anew(glpi: Glpi) -> None:
    glpi.add(1)
    calls = []

    def before(here: Glpi, path: str) -> None:
        calls.append(path)
        if path.endswith("Location"):
            here.before = lambda *_: None
            here.faults.append((400, {}, b'{"status": "ERROR_INVALID_PARAMETER", "title": "Invalid OAuth token"}'))

    glpi.before = before
    assert len(ask(glpi, "v2").assets) == 1
    assert glpi.begun == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status, wait", [(429, "7"), (503, ""), (500, ""), (502, "")])
def test_a_busy_glpi_is_asked_again(glpi: Glpi, kind: str, status: int, wait: str) -> None:
    glpi.add(1)
    waits: list[float] = []

    def before(here: Glpi, path: str) -> None:
        if path.endswith("Computer"):
            here.before = lambda *_: None
            here.faults += [(status, {"Retry-After": wait} if wait else {}, b"<html>busy</html>")] * 2

    glpi.before = before
    assert len(ask(glpi, kind, waits=waits).assets) == 1
    assert len(waits) == 2
    assert not wait or waits == [7.0, 7.0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_glpi_that_stays_busy_is_left_and_told(glpi: Glpi, kind: str) -> None:
    glpi.before = lambda here, path: here.faults.append((429, {"Retry-After": "3600"}, b""))
    with pytest.raises(GlpiError, match=r"answer 429, after 1 attempts; ask again from 20\d\d-"):
        ask(glpi, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_of_html_is_no_answer(glpi: Glpi, kind: str) -> None:
    glpi.before = lambda here, path: here.faults.append((200, {}, b"<html>please log in</html>"))
    with pytest.raises(GlpiError, match="no JSON came"):
        ask(glpi, kind, "attempts = 1\n")


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'"x"', b"[1]", b'[{"id": "x"}]', b'[{"name": 1}]'])
@pytest.mark.parametrize("kind", KINDS)
def test_json_of_another_shape_is_told_not_a_crash(glpi: Glpi, kind: str, body: bytes) -> None:
    glpi.before = lambda here, path: here.faults.append((200, {}, body))
    with pytest.raises(GlpiError):
        ask(glpi, kind, "attempts = 1\n")


@pytest.mark.parametrize(
    "kind, wrong, text",
    [
        ("legacy", {"user_token": "x"}, r"ERROR_GLPI_LOGIN_USER_TOKEN.*glpi\.toml: .*THINWATT_GLPI_USER_TOKEN"),
        ("legacy", {"app_token": "x"}, r"ERROR_WRONG_APP_TOKEN.*glpi\.toml: .*THINWATT_GLPI_APP_TOKEN"),
        ("legacy", {"app_token": ""}, r"ERROR_APP_TOKEN_PARAMETERS_MISSING.*THINWATT_GLPI_APP_TOKEN"),
        ("legacy", {"user_token": "", "password": "x"}, r"ERROR_GLPI_LOGIN: .*\[api\] user, and .*GLPI_PASSWORD"),
        ("legacy", {"user_token": "", "password": ""}, r"\[api\] user has no password: .*password_file.*GLPI_PASSWORD"),
        ("v2", {"client_secret": "x"}, r"Client authentication failed.*\[api\] client_id, and .*GLPI_CLIENT_SECRET"),
        ("v2", {"client_secret": ""}, r"client_id and its secret are needed: .*client_secret_file"),
        ("v2", {"password": "x"}, r"credentials were incorrect.*\[api\] user, and .*GLPI_PASSWORD"),
        ("v2", {"password": ""}, r"user and its password are needed: .*password_file"),
    ],
)
def test_each_wrong_secret_names_its_key_and_is_never_shown(
    glpi: Glpi, kind: str, wrong: dict[str, str], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in wrong.items():
        monkeypatch.setenv(f"THINWATT_GLPI_{name.upper()}", value and f"{value}-not-to-be-shown")
    with pytest.raises(GlpiError, match=text) as error:
        ask(glpi, kind)
    shown = str(error.value)
    assert not [secret for secret in (*SECRETS.values(), "not-to-be-shown") if secret in shown]


@pytest.mark.parametrize(
    "kind, more, text",
    [
        ("legacy", 'user = ""\n', r"who asks is not told: write \[api\] user_token_file"),
        ("v2", 'client_id = ""\n', r"client_id and its secret are needed"),
        ("v2", 'grant = "client_credentials"\n', r"ERROR_UNAUTHENTICATED|not authenticated.*\[api\] grant"),
        ("v2", 'filter = "colour==red"\n', r"invalid filters.*\[api\] filter"),
        ("legacy", "entity = 99\n", r"\[api\] entity 99"),
    ],
)
def test_each_wrong_key_is_named(glpi: Glpi, kind: str, more: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "user =" in more:
        monkeypatch.delenv("THINWATT_GLPI_USER_TOKEN")
    with pytest.raises(GlpiError, match=text):
        ask(glpi, kind, more)


@pytest.mark.parametrize("kind", KINDS)
def test_an_address_where_nobody_is_or_something_else_is_told(glpi: Glpi, kind: str) -> None:
    with pytest.raises(GlpiError, match=r"404.*is \[api\] url the address of GLPI"):
        ask(glpi, kind, f'url = "{glpi.url}/elsewhere"\n')
    with pytest.raises(GlpiError, match=r"no answer.*is \[api\] url right"):
        ask(glpi, kind, 'url = "http://127.0.0.1:9"\nattempts = 1\n')


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_right_to_purchases_the_rest_is_read(glpi: Glpi, kind: str) -> None:
    glpi.add(1)
    glpi.add(2)
    glpi.rights = {"computer", "location"}
    found = ask(glpi, kind)
    assert [asset.bought for asset in found.assets] == [None, None]
    assert found.kept_back == [("no-purchases", {"items": "Computer"})]
    assert sum("Infocom" in path for path in glpi.asked) == 1


def test_a_glpi_without_a_list_of_purchases_tells_them_with_the_computers(glpi: Glpi) -> None:
    for number in range(1, 121):
        glpi.add(number, infocom={"buy": f"2022-09-{number % 28 + 1:02d}", "value": "10.0000"} if number % 3 else None)
    wanted = ask(glpi, "legacy").assets
    glpi.lists_infocoms = False
    assert ask(glpi, "legacy").assets == wanted

    def before(here: Glpi, path: str) -> None:
        if path.endswith("getMultipleItems"):  # one is deleted between the list and its purchase
            here.before = lambda *_: None
            here.computers = [row for row in here.computers if row["id"] != 17]

    glpi.before = before
    found = ask(glpi, "legacy").assets
    assert [a for a in found if a.number != "17"] == [a for a in wanted if a.number != "17"]
    glpi.rights.discard("infocom")
    assert ask(glpi, "legacy").kept_back == [("no-purchases", {"items": "Computer"})]


def test_without_the_right_to_locations_v2_tells_their_last_level(glpi: Glpi) -> None:
    glpi.add(1)
    glpi.rights.discard("location")
    found = ask(glpi, "v2")
    assert found.assets[0].location == "B305"
    assert found.kept_back == [("short-locations", {})]


def test_deleted_computers_and_templates_are_none(glpi: Glpi) -> None:
    glpi.add(1)
    glpi.add(2, is_deleted=1)
    assert [asset.number for kind in KINDS for asset in ask(glpi, kind).assets] == ["1", "1"]
    glpi.add(3, is_template=1)
    assert [asset.number for asset in ask(glpi, "legacy").assets] == ["1"]


def test_a_filter_lets_through_what_it_says(glpi: Glpi) -> None:
    glpi.add(1)
    glpi.add(2, state="En stock")
    found = ask(glpi, "v2", 'filter = "status.name==En stock"\n')
    assert [asset.number for asset in found.assets] == ["2"]


def test_a_secret_in_a_file_that_others_read_is_refused(glpi: Glpi, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(servers.USER_TOKEN + "\n")
    file.chmod(0o644)
    with pytest.raises(GlpiError, match=r"others may read it: chmod 600"):
        ask(glpi, "legacy", f'user_token_file = "{file}"\n')
    file.chmod(0o600)
    ask(glpi, "legacy", f'user_token_file = "{file}"\n')
    file.write_text("wrong-and-secret")
    with pytest.raises(GlpiError, match=rf"\[api\] user_token_file {file}") as error:
        ask(glpi, "legacy", f'user_token_file = "{file}"\n')
    assert "wrong-and-secret" not in str(error.value)
    for wrong in ("jeton à accent", "two\nlines", ""):
        file.write_text(wrong)
        with pytest.raises(GlpiError, match="holds no secret alone in a line"):
            ask(glpi, "legacy", f'user_token_file = "{file}"\n')
    file.unlink()
    with pytest.raises(GlpiError, match=r"user_token_file .* cannot be read"):
        ask(glpi, "legacy", f'user_token_file = "{file}"\n')


def test_a_certificate_is_verified_and_ca_file_says_by_whom(authority: Authority, tmp_path: Path) -> None:
    with servers.server(authority.issue("glpi", tmp_path)) as glpi:
        glpi.add(1)
        with pytest.raises(GlpiError, match=r"certificate is not trusted.*\[api\] ca_file"):
            ask(glpi, "legacy")
        assert not glpi.asked
        found = ask(glpi, "legacy", f'ca_file = "{authority.certificate}"\n')
        assert len(found.assets) == 1
        (tmp_path / "none.pem").write_text("no certificate")
        with pytest.raises(GlpiError, match=r"\[api\] ca_file .*none\.pem"):
            ask(glpi, "legacy", f'ca_file = "{tmp_path / "none.pem"}"\n')
