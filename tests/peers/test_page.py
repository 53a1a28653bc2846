"""The page in the Chromium of Debian: both languages, three widths, light and dark, with what axe-core finds."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

from hatch_build import UnreachableError, fetch
from tests.collector.serve.api.conftest import SOURCES, Campus, Shelf, application, served
from tests.peers.conftest import Peer
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger

ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
AXE = "4.14.1", "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
VIEWS = [(360, "light"), (360, "dark"), (768, "light"), (768, "dark"), (1280, "light"), (1280, "dark")]


@pytest.fixture(scope="module")
def axe(request: pytest.FixtureRequest) -> str:
    """The source of axe-core, kept in pytest's cache."""
    folder = Path(request.config.cache.mkdir("axe-core"))
    try:
        fetch("axe-core", *AXE, ["axe.min.js"], folder)
    except UnreachableError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    return (folder / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Two hosts and six PCs that are real, and a host that is made up: three days up to now."""
    folder = tmp_path_factory.mktemp("page")
    ledger = DuckDBLedger(folder / "ledger.duckdb")
    for number, name, basis in SOURCES:
        ledger._connection.execute("INSERT INTO source VALUES (?, ?, '', 'wall', ?)", [number, name, basis])
    campus = Campus(ledger)
    now = int(time.time())
    slots = range(now // 900 - 3 * 96, now // 900, 4)
    for n in range(2):
        campus.energy(campus.device(f"host-{n}", "host", "R650"), slots, 180_000.0, source=0)
    campus.energy(campus.device("host-x", "host", "R650", simulated=True), slots, 7_200_000.0, source=0)
    for n in range(6):
        campus.energy(campus.device(f"pc-{n}", "desktop", "OptiPlex"), slots, 18_000.0, bias=900.0)
    with served(application(Shelf(ledger), folder / "tokens.toml", "public", [now])) as found:
        yield found
    ledger.close()


@pytest.fixture(scope="module")
def browser(peer: Peer) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=peer("chromium"), args=ARGUMENTS)
        yield found
        found.close()


@pytest.fixture
def said() -> list[str]:
    """What the console said, and the hosts asked that are not ours."""
    return []


def opened(browser: Browser, base: str, said: list[str], **options: Any) -> Page:
    page = browser.new_context(bypass_csp=False, **options).new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith((base, "data:")) else said.append(r.url))
    page.goto(base)
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    return page


def base_of(client: httpx.Client) -> str:
    return str(client.base_url).rstrip("/")


@pytest.mark.slow
@pytest.mark.parametrize("language", ["fr-FR", "en-GB"])
def test_it_is_clean_at_every_width_in_light_and_dark(
    browser: Browser, client: httpx.Client, axe: str, said: list[str], language: str
) -> None:
    for width, scheme in VIEWS:
        view = {"width": width, "height": 900}
        page = opened(browser, base_of(client), said, viewport=view, color_scheme=scheme, locale=language)
        assert page.locator("html").get_attribute("lang") == language[:2]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".chart[role=img]").count() == 3
        page.evaluate(axe)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        wrong = [(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in found["violations"]]
        assert wrong == [], f"{width} px, {scheme}"
        page.context.close()
    assert said == []


def test_its_numbers_are_those_of_the_api_and_made_up_ones_stand_apart(
    browser: Browser, client: httpx.Client, said: list[str]
) -> None:
    page = opened(browser, base_of(client), said, locale="fr-FR", timezone_id="Asia/Tokyo")

    def booked(simulated: str) -> float:
        answer = client.get("/api/v1/energy", params={"by": "", "simulated": simulated, "zone": "Europe/Paris"})
        return float(answer.json()["rows"][0]["kwh"])

    def shown() -> float:
        return float(page.locator("#kwh-today").get_attribute("data-kwh") or "nan")

    assert shown() == pytest.approx(booked("false"))
    assert "Chiffres réels" in page.locator("#kind-mark").inner_text()
    page.get_by_role("button", name="Simulés").click()
    page.wait_for_selector("html[data-shows=true]")
    assert shown() == pytest.approx(booked("true"))
    assert page.locator("#kind-mark").inner_text().startswith("Simulé")
    assert said == []
    page.context.close()


def test_it_is_reached_by_keyboard_and_speaks_the_language_that_is_chosen(
    browser: Browser, client: httpx.Client, said: list[str]
) -> None:
    page = opened(browser, base_of(client), said, locale="fr-FR")
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim()"))
    assert reached[:4] == ["Aller au contenu", "FR", "EN", "Accès technique"]
    page.get_by_role("button", name="EN", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("html[data-ready=en]")
    assert page.evaluate("document.activeElement.textContent.trim()") == "EN"
    assert page.get_by_role("heading", level=1).inner_text() == "Energy of the desktops"
    assert not re.search(r"Aujourd|Puissance|Énergie", page.locator("main").inner_text())
    assert said == []
    page.context.close()


ESTIMATE = {
    "devices": 700,
    "agents": 6,
    "energy": {"kwh": 52_000.0, "kwh_low": 30_000.0, "kwh_high": 80_000.0},
    "advice": [
        {
            "site": "Saint-Jean",
            "building": "Bât. B",
            "room": "B305",
            "class": "desktop",
            "model": "OptiPlex",
            "devices": 24,
            "kwh_removed": 4_100.0,
            "share_removed": 0.082,
        }
    ],
}


def test_places_prices_and_advice_show_where_the_api_knows_them(
    browser: Browser, client: httpx.Client, axe: str, said: list[str]
) -> None:
    base = base_of(client)
    page = browser.new_context(locale="fr-FR").new_page()
    page.on("console", lambda message: said.append(message.text))

    def energy(route: Route) -> None:
        placed = "building" in route.request.url
        url = re.sub(r"by=site[^&]*", "by=class", route.request.url)
        document = client.get(url).json()
        for row in document["rows"]:
            row.update({"eur": 12.5, "eur_low": 10.0, "eur_high": 15.0})
            row.update({"site": "Saint-Jean", "building": "Bât. B", "room": row["class"]} if placed else {})
        route.fulfill(json=document)

    paths = {"/energy": {"by": "site|building|room"}, "/me": {}, "/estimate": {}}
    page.route("**/api/v1/energy?*", energy)
    page.route("**/api/v1/openapi.json", lambda route: route.fulfill(json={"info": {"version": "1"}, "paths": paths}))
    page.route("**/api/v1/me", lambda route: route.fulfill(json={"inventory": True}))
    page.route("**/api/v1/estimate", lambda route: route.fulfill(json=ESTIMATE))
    page.goto(base)
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    page.get_by_text("Saint-Jean").first.click()
    page.get_by_text("Bât. B").first.click()
    assert page.locator("#places").get_by_role("rowheader").all_inner_texts() == ["desktop", "host"]
    assert re.sub(r"\s", " ", page.locator("#advice tbody").inner_text()).startswith(
        "Saint-Jean · Bât. B · B305 PC fixes"
    )
    assert re.search(r"12,50\s€", page.locator("#periods").inner_text())
    page.evaluate(axe)
    assert page.evaluate("axe.run(document).then(found => found.violations.map(v => v.id))") == []
    assert said == []
    page.context.close()
