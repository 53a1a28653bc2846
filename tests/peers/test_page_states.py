"""The page of collectors that have little to show, or are in trouble: it says why, and what to do."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.collector.serve.api import conftest
from tests.collector.serve.api.conftest import SOURCES, Campus, Shelf, application, served
from tests.collector.serve.api.test_places import line
from tests.peers.showing import ALONE, base_of, opened, shown_number, silent, with_estimate
from thinwatt_collector.inventory.files import parse_toml
from thinwatt_collector.inventory.places import Places
from thinwatt_collector.inventory.tables import records
from thinwatt_collector.inventory.watched import Standing
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger
from thinwatt_collector.serve.api.tokens import make

PARIS = ZoneInfo("Europe/Paris")
ROOMS = """
[[sites]]
name = "North"
establishment = "University"
[[buildings]]
name = "B"
site = "North"
[[rooms]]
name = "B1"
building = "B"
[[rooms]]
name = "B2"
building = "B"
"""


@dataclass
class Moved:
    """A collector with seven real PCs, one of which has moved a day ago, and a token of the technical role."""

    client: httpx.Client
    token: str
    campus: Campus

    def only(self, name: str) -> None:
        """Have the ledger know one of them."""
        number = self.campus.devices.index(name)
        for table, column in (("open_slot", "device"), ("device", "id")):
            self.campus.ledger._connection.execute(f"DELETE FROM {table} WHERE {column} <> ?", [number])  # noqa: S608  # names of our own tables

    def rows(self, by: str) -> list[dict[str, Any]]:
        begin = datetime.now(PARIS).strftime("%Y-%m-01")
        query = {"by": by, "begin": begin, "grain": "month", "boundary": "room"}
        answer = self.client.get("/api/v1/energy", params=query, headers={"X-Thinwatt-Token": self.token})
        found: list[dict[str, Any]] = answer.json()["rows"]
        return found

    def kwh(self, device: str) -> float:
        return sum(float(row["kwh"]) for row in self.rows("device") if row["device"] == device)


@pytest.fixture
def moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Moved]:
    monkeypatch.setattr(conftest, "families", list)  # nobody is there now
    ledger = DuckDBLedger(tmp_path / "ledger.duckdb")
    for number, name, basis in SOURCES:
        ledger._connection.execute("INSERT INTO source VALUES (?, ?, '', 'wall', ?)", [number, name, basis])
    campus, now = Campus(ledger), int(time.time())
    today = datetime.fromtimestamp(now, PARIS).date()
    month = int(datetime(today.year, today.month, 1, tzinfo=PARIS).timestamp())
    begin = max(month, now - 3 * 86_400)
    lines = ROOMS
    for n in range(7):
        campus.energy(campus.device(f"pc-{n}", "desktop", "OptiPlex"), range(begin // 900, now // 900), 18_000.0 + n)
        lines += line(f"pc-{n}", "B1" if n < 5 else "B2") if n else place(n, today)
    inventory, wrong = records(parse_toml(lines.encode(), "campus.toml")[0])
    assert not wrong
    standing = Standing(inventory, Places(inventory, PARIS), 1)
    tokens = tmp_path / "tokens.toml"
    token = make(tokens, "dsi", "technical")
    with served(application(Shelf(ledger), tokens, "public", [now], lambda: standing)) as client:
        yield Moved(client, token, campus)
    ledger.close()


def place(n: int, day: date) -> str:
    """Return the lines of a machine that moved when a day began."""
    return line(f"pc-{n}", "B1", f"valid_to = {day - timedelta(days=1)}") + line(f"pc-{n}", "B2", f"valid_from = {day}")


def with_token(page: Page, token: str) -> None:
    """Enter a token as a person does, and wait for what it shows."""
    page.locator("#access > summary").click()
    page.locator("#token").fill(token)
    page.locator("#token-form button[type=submit]").click()
    page.wait_for_selector("#health details", state="attached", timeout=60_000)
    page.locator("#access > summary").click()


@pytest.mark.parametrize("language", ["fr-FR", "en-GB"])
def test_before_the_first_agent_it_opens_with_the_inventorys_estimate(
    browser: Browser, client: httpx.Client, axe: str, said: list[str], language: str
) -> None:
    page = browser.new_context(locale=language, viewport={"width": 1280, "height": 1400}).new_page()
    page.on("console", lambda message: said.append(message.text))
    with_estimate(page, client, ALONE)
    silent(page)
    page.goto(base_of(client))
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    main = page.locator("main").inner_text()
    assert not re.search(r"inconnu|unknown|\b0 kW\b|\bother\b", main.replace("\u202f", " "))
    assert page.locator(".chart").count() == 0  # no empty axes
    assert page.locator("#kind-estimate").is_visible()
    french = language == "fr-FR"
    assert ("supposé, sans agent" if french else "assumed, no agent") in page.locator("#certain").inner_text()
    assert re.search(r"100\s?%", page.locator("#certain").inner_text())
    for period in ("today", "month", "year"):
        tile = page.locator(f"article:has(#whole-{period})").inner_text()
        assert all(unit in tile for unit in ("Wh", "€", "CO₂e", "100"))
    # The mean of a year: 52,000 kWh / 8,760 h, with the ends of its interval.
    power = re.sub(r"\s", "", page.locator("#power").inner_text())
    assert "5936W" in power.replace(",", "")
    assert "3425W" in power.replace(",", "")
    assert "9132W" in power.replace(",", "")
    # What to measure next is in sight without scrolling, what nobody can act on is no advice.
    box = page.locator("#advice li").first.bounding_box()
    assert box is not None
    assert box["y"] < 1400
    assert page.locator("#advice li").count() == 1
    assert "Saint-Jean · Bât. B · B305" in page.locator("#advice li").inner_text()
    page.evaluate(axe)
    assert page.evaluate("axe.run(document).then(found => found.violations.map(v => v.id))") == []
    assert said == []
    page.context.close()


@pytest.mark.parametrize("language, words", [("fr-FR", "ne peut rien comptabiliser"), ("en-GB", "can book nothing")])
def test_a_ledger_that_fails_is_told_at_once_with_its_cause(
    browser: Browser, client: httpx.Client, said: list[str], language: str, words: str
) -> None:
    page = browser.new_context(locale=language).new_page()
    fleet = client.get("/api/v1/fleet").json() | {"trouble": "Read-only file system", "at": "2026-11-26T09:11:00+01:00"}
    page.route("**/api/v1/fleet", lambda route: route.fulfill(json=fleet))
    later = {"status": 503, "headers": {"retry-after": "1"}, "json": {"detail": "no", "remedy": "later"}}
    page.route(re.compile("/api/v1/energy"), lambda route: route.fulfill(**later))
    page.goto(base_of(client))
    page.wait_for_selector("#trouble:not([hidden])")
    told = page.locator("#trouble").inner_text()
    assert words in told
    assert "Read-only file system" in told
    page.wait_for_timeout(4_500)
    assert page.locator("#trouble").inner_text() == told, "what is asked in vain says no less"
    page.context.close()


@pytest.mark.parametrize(
    "language, words", [("fr-FR", "Trop peu de postes"), ("en-GB", "Too few machines to be shown without a token")]
)
def test_of_one_pc_it_says_why_nothing_is_shown_and_shows_all_with_a_token(
    browser: Browser, moved: Moved, axe: str, said: list[str], language: str, words: str
) -> None:
    moved.only("pc-0")
    page = opened(browser, base_of(moved.client), said, locale=language)
    main = page.locator("main").inner_text()
    assert words in main
    assert "api-token my-name --role technical" in main
    assert "inventory example" not in main
    page.evaluate(axe)
    assert page.evaluate("axe.run(document).then(found => found.violations.map(v => v.id))") == []
    with_token(page, moved.token)
    assert words not in page.locator("main").inner_text()
    assert float(page.locator("#kwh-month").get_attribute("data-kwh") or "nan") == pytest.approx(moved.kwh("pc-0"))
    assert said == []
    page.context.close()


def test_with_a_token_a_machine_that_moved_stands_in_both_rooms_with_what_it_drew_there(
    browser: Browser, moved: Moved, said: list[str]
) -> None:
    if datetime.now(PARIS).day == 1:
        pytest.skip("the page shows this month, which has no day before the move yet")
    page = opened(browser, base_of(moved.client), said, locale="fr-FR")
    assert page.locator("#places details details details").count() == 0, "no device without a token"
    with_token(page, moved.token)
    page.wait_for_selector("#places > details > details > details", state="attached")
    shown = {}
    for branch in page.locator("#places > details, #places > details > details").all():
        branch.locator("> summary").click()
    for room in page.locator("#places > details > details > details").all():
        room.locator("> summary").click()
        room.locator("table").wait_for()
        name = room.locator("> summary span").first.inner_text()
        for row in room.locator("tbody tr").all():
            shown[name, row.locator("> *").first.inner_text()] = shown_number(row.locator("td").nth(1).inner_text())
    expected = {(row["room"], row["device"]): row["kwh"] for row in moved.rows("room,device")}
    assert {("B1", "pc-0"), ("B2", "pc-0")} <= expected.keys()
    assert expected["B1", "pc-0"] != pytest.approx(expected["B2", "pc-0"])
    assert shown == {key: pytest.approx(kwh, rel=0.01) for key, kwh in expected.items()}
    assert said == []
    page.context.close()


def test_without_agent_and_inventory_it_says_what_to_do(
    browser: Browser, client: httpx.Client, said: list[str]
) -> None:
    page = browser.new_context(locale="fr-FR").new_page()
    with_estimate(page, client, None)
    silent(page)
    page.goto(base_of(client))
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    main = page.locator("main").inner_text()
    assert "thinwatt-collector inventory example" in main
    assert not re.search(r"inconnu|Coût", main)
    page.context.close()
