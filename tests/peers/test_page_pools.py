"""The page's pools of desktops: for the technical role alone, and their figures are those of the API."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.collector.serve.api.conftest import SOURCES, Campus, Shelf, application, served
from tests.peers.showing import base_of, opened, shown_number
from tests.peers.test_page_states import with_token
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger
from thinwatt_collector.serve.api.tokens import make

PARIS = ZoneInfo("Europe/Paris")
LINES = {"tp/idle": 30_000.0, "tp/dynamic": 90_000.0, "other/idle": 6_000.0, "idle": 40_000.0, "overhead": 14_000.0}
"""Joules of a host in a quarter of an hour, 180 kJ of them."""
STATES = {"tp/present": 9_000.0, "tp/told": 9_000.0, "tp/active": 3_600.0}


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, str]]:
    """Two hosts with desktops, this month up to now; and a token of the technical role."""
    folder = tmp_path_factory.mktemp("pools")
    ledger = DuckDBLedger(folder / "ledger.duckdb")
    kinds = [(*row[:2], "", "wall", row[2]) for row in SOURCES]
    kinds += [(10 + n, "shared", part, "reservation", "measured") for n, part in enumerate(LINES)]
    kinds += [(20 + n, "sessions", part, "", "measured") for n, part in enumerate(STATES)]
    ledger._connection.executemany("INSERT INTO source VALUES (?, ?, ?, ?, ?)", kinds)
    campus, now = Campus(ledger), int(time.time())
    month = datetime.fromtimestamp(now, PARIS).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    slots = range(max(int(month.timestamp()), now - 86_400) // 900, now // 900)
    for n in range(2):
        host = campus.device(f"host-{n}", "host", "R650")
        campus.energy(host, slots, sum(LINES.values()), source=0, bias=5_400.0)
        for at, joules in enumerate(LINES.values()):
            campus.energy(host, slots, joules, source=10 + at, bias=0.03 * joules)
        for at, seconds in enumerate(STATES.values()):
            campus.energy(host, slots, 0.0, source=20 + at, covered=seconds)
    token = make(folder / "tokens.toml", "dsi", "technical")
    with served(application(Shelf(ledger), folder / "tokens.toml", "public", [now])) as client:
        yield client, token
    ledger.close()


def booked(client: httpx.Client, token: str) -> dict[str, dict[str, Any]]:
    query = {"begin": datetime.now(PARIS).strftime("%Y-%m-01"), "grain": "month"}
    rows = client.get("/api/v1/pools", params=query, headers={"X-Thinwatt-Token": token}).json()["rows"]
    return {row["pool"]: row for row in rows}


def cells(page: Page) -> dict[str, list[str]]:
    lines = page.locator("#pools tbody tr").all()
    read = [[text.replace("\u202f", " ") for text in line.locator("th, td").all_inner_texts()] for line in lines]
    return {name: texts for name, *texts in read}


def test_everybody_else_sees_none(browser: Browser, carried: tuple[httpx.Client, str], said: list[str]) -> None:
    page = opened(browser, base_of(carried[0]), said, locale="en-GB")
    assert page.locator("#pools-section").is_hidden()
    assert said == []
    page.context.close()


def test_no_desktops_no_pools(browser: Browser, client: httpx.Client, said: list[str]) -> None:
    """As asked by the technical role of a collector whose hosts carry none."""
    page = browser.new_context(locale="en-GB").new_page()
    page.on("console", lambda message: said.append(message.text))
    page.route("**/api/v1/me", lambda route: route.fulfill(json={"role": "technical", "inventory": False}))
    for path in ("pools", "shares"):
        page.route(f"**/api/v1/{path}?*", lambda route: route.fulfill(json={"rows": [], "next": None}))
    page.goto(base_of(client))
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    assert page.locator("#pools-section").is_hidden()
    assert said == []
    page.context.close()


@pytest.mark.parametrize("language, width, scheme", [("fr-FR", 1280, "light"), ("en-GB", 360, "dark")])
def test_pools_have_the_figures_of_the_api(
    browser: Browser,
    carried: tuple[httpx.Client, str],
    axe: str,
    said: list[str],
    language: str,
    width: int,
    scheme: Any,
) -> None:
    client, token = carried
    view: Any = {"width": width, "height": 900}
    page = opened(browser, base_of(client), said, locale=language, viewport=view, color_scheme=scheme)
    with_token(page, token)
    page.wait_for_selector("#pools tbody tr", timeout=60_000)
    french = language == "fr-FR"
    heading = "Groupes de bureaux virtuels, ce mois" if french else "Pools of desktops, this month"
    assert page.locator("#pools-section h2").inner_text() == heading
    names = ["tp", "Petits groupes, ensemble", "Hors de tout groupe"]
    assert list(cells(page)) == (names if french else ["tp", "Small pools, together", "Carried by no pool"])
    found, api = list(cells(page).values()), booked(client, token)
    for texts, pool in zip(found, ("tp", "other", ""), strict=True):
        row = api[pool]
        assert shown_number(texts[0] if french else texts[0].replace(".", ",")) == pytest.approx(row["kwh"], rel=0.01)
        assert re.fullmatch(r"[\d,. ]+ – [\d,. ]+ kWh", texts[1])
        # Without sessions told nobody knows the hours: no zero stands for them.
        assert (texts[5] == texts[6] == texts[7] == "–") is (pool != "tp")
    assert [re.sub(r"\s", "", texts[2]) for texts in found] == ["67%", "3%", "30%"]
    per_hour = found[0][6]
    assert per_hour.endswith(" Wh")
    assert shown_number(per_hour.replace(".", ",")) == pytest.approx(api["tp"]["wh_per_active_hour"], rel=0.01)
    parts = [re.sub(r"\D", "", text) for text in page.locator("#pools .pairs dd").all_inner_texts()]
    assert parts == ["20", "50", "22", "8"]
    page.locator("#pools details.how summary").focus()
    page.keyboard.press("Enter")
    assert ("Règle «" if french else "Policy “reservation”") in page.locator("#pools details.how").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate(axe)
    assert page.evaluate("axe.run(document).then(found => found.violations.map(v => v.id))") == []
    assert said == []
    page.context.close()
