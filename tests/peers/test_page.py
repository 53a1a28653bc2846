"""The page in the Chromium of Debian: both languages, three widths, light and dark, with what axe-core finds."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

from hatch_build import UnreachableError, fetch
from tests.collector.serve.api.conftest import SOURCES, Campus, Shelf, application, served
from tests.peers.conftest import Peer
from thinwatt_collector.book import in_both
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
    event = [
        time.time_ns(),
        "restated",
        "carbon",
        in_both("Carbone recalculé de −5,8 kg.\nLe détail.", "Restated.\nMore."),
    ]
    ledger._connection.execute("INSERT INTO event VALUES (?, ?, ?, ?)", event)
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
        answer = client.get(
            "/api/v1/energy",
            params={"by": "", "simulated": simulated, "zone": "Europe/Paris", "boundary": "room"},
        )
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


GROUP = {"site": "Saint-Jean", "building": "Bât. B", "room": "B305", "class": "desktop", "by_design": 0}
ESTIMATE: dict[str, Any] = {
    "devices": 700,
    "agents": 6,
    "by_design": 4,
    "unlisted": 0,
    "simulated": False,
    "energy": {"kwh": 52_000.0, "kwh_low": 30_000.0, "kwh_high": 80_000.0},
    "carbon": {"kgco2e": 2_600.0, "kgco2e_low": 1_400.0, "kgco2e_high": 4_200.0},
    "price": {"eur": 10_400.0, "eur_low": 6_000.0, "eur_high": 16_000.0, "tariffs": ["0.2"], "share_priced": 1.0},
    "groups": [
        {**GROUP, "devices": 100, "with_agent": 6, "kwh": 12_000.0, "kwh_low": 6_000.0, "kwh_high": 20_000.0},
        {
            **GROUP,
            "room": "B306",
            "devices": 600,
            "with_agent": 0,
            "kwh": 40_000.0,
            "kwh_low": 20_000.0,
            "kwh_high": 65e3,
        },
    ],
    "advice": [
        {**dict.fromkeys(("site", "building", "room", "class", "model"), "other"), "devices": 5}
        | {"kwh_removed": 9_000.0, "share_removed": 0.18},
        {**GROUP, "model": "OptiPlex", "devices": 24, "kwh_removed": 4_100.0, "share_removed": 0.082},
    ],
}
ALONE = {**ESTIMATE, "agents": 0, "groups": [{**of, "with_agent": 0} for of in ESTIMATE["groups"]]}


def with_estimate(page: Page, client: httpx.Client, estimate: dict[str, Any] | None) -> None:
    """Answer as a collector with an inventory and prices; its places are the classes."""

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
    page.route("**/api/v1/me", lambda route: route.fulfill(json={"inventory": estimate is not None}))
    page.route("**/api/v1/estimate", lambda route: route.fulfill(json=estimate))


def silent(page: Page) -> None:
    """Answer as a collector that nobody has told anything."""
    fleet: dict[str, Any] = {"classes": [], "agents": {"known": 0, "silent": 0}, "since": None}

    def nothing(route: Route) -> None:
        document: dict[str, Any] = {"zone": "Europe/Paris", "carbon": {"factors": []}, "rows": [], "next": None}
        route.fulfill(json=document)

    page.route("**/api/v1/fleet", lambda route: route.fulfill(json=fleet))
    page.route("**/api/v1/energy?*", nothing)


def shown_number(text: str) -> float:
    """Return the number of a French figure."""
    found = re.sub(r"[^\d,]", "", text.replace("CO₂", "")).replace(",", ".")
    return float(found)


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


UNTOLD = """async ([estimate, days, begin, end]) => {
    const { untold } = await import("/page/estimate.js");
    return untold(estimate, days, new Date(begin), new Date(end));
}"""


def test_what_is_told_replaces_what_is_assumed_and_both_are_never_counted_at_once(
    browser: Browser, client: httpx.Client, said: list[str]
) -> None:
    page = opened(browser, base_of(client), said)

    def rest(estimate: dict[str, Any], days: list[dict[str, Any]], begin: str, end: str) -> dict[str, float]:
        found: dict[str, float] = page.evaluate(UNTOLD, [estimate, days, f"{begin}T00:00Z", f"{end}T00:00Z"])
        return found

    # Nobody is connected: it is the estimate itself, by the hours that have passed.
    whole = rest(ALONE, [], "2026-01-01", "2027-01-01")
    for name, of in (("kwh", "energy"), ("eur", "price"), ("kgco2e", "carbon")):
        for ending in ("", "_low", "_high"):
            assert whole[name + ending] == pytest.approx(ALONE[of][name + ending]), name + ending
    assert rest(ALONE, [], "2026-11-01", "2026-11-11")["kwh"] == pytest.approx(52_000.0 * 240 / 8760)

    def day(at: int, devices: int | None) -> dict[str, Any]:
        return {"begin": f"2026-11-{at:02d}T00:00:00+01:00", "class": "desktop", "devices": devices}

    # Six of 700 are: those were assumed until the day on which they were heard.
    none, all_days = rest(ESTIMATE, [], "2026-11-01", "2026-11-11"), [day(n, 6) for n in range(1, 11)]
    told = rest(ESTIMATE, all_days, "2026-11-01", "2026-11-11")
    half = rest(ESTIMATE, [day(5, 3), *(day(n, 6) for n in range(6, 11))], "2026-11-01", "2026-11-11")
    year = 240 / 8760
    assert told["kwh"] == pytest.approx((12_000.0 * 94 / 100 + 40_000.0) * year)
    assert none["kwh"] == pytest.approx(52_000.0 * year)
    # Four days without, one with half of them, five with all.
    assert half["kwh"] == pytest.approx(told["kwh"] + (none["kwh"] - told["kwh"]) * 0.45)
    for name in ("kwh", "eur", "kgco2e"):
        assert told[f"{name}_low"] < told[name] < told[f"{name}_high"]
        assert told[f"{name}_high"] - told[f"{name}_low"] < none[f"{name}_high"] - none[f"{name}_low"]
    # A day on which nobody may be counted tells nothing.
    assert rest(ESTIMATE, [day(1, None)], "2026-11-01", "2026-11-11")["kwh"] == pytest.approx(none["kwh"])
    everybody = {**ESTIMATE, "agents": 700, "groups": [{**g, "with_agent": g["devices"]} for g in ESTIMATE["groups"]]}
    full = rest(everybody, [{**day(1, 700)}], "2026-11-02", "2026-11-11")
    assert full["kwh"] == pytest.approx(0.0)
    assert said == []
    page.context.close()


WIDTHS = (320, 360, 480, 640, 671, 672, 768, 800, 960, 1024, 1400, 1600)
LONG = """() => {
    const figures = document.querySelectorAll("#periods dd, td, .far, .gain strong");
    for (const big of document.querySelectorAll(".big")) big.firstChild.textContent = "1\u202f234\u202f567";
    for (const figure of figures) figure.textContent = "1\u202f234\u202f567\u202fkgCO₂e";
    for (const figure of document.querySelectorAll(".how td")) figure.textContent = "1\u202f234\u202f567";
    for (const shown of document.querySelectorAll("details.how, details.branch")) shown.open = true;
}"""
OVER = """() => [...document.querySelectorAll("main *, header *, footer *")]
    .filter((e) => !e.closest(".unseen, thead, canvas, form") && getComputedStyle(e).display !== "inline")
    .filter((e) => e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1)
    .map((e) => `${e.tagName} ${e.id} ${e.className} ${e.clientWidth}<${e.scrollWidth} ${e.textContent.slice(0, 9)}`)"""


@pytest.mark.slow
@pytest.mark.parametrize("language", ["fr-FR", "en-GB"])
def test_nothing_runs_over_its_border_at_any_width_with_long_numbers(
    browser: Browser, client: httpx.Client, said: list[str], language: str
) -> None:
    page = browser.new_context(locale=language, viewport={"width": 1280, "height": 900}).new_page()
    page.on("pageerror", lambda error: said.append(str(error)))
    with_estimate(page, client, ESTIMATE)
    page.goto(base_of(client))
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    page.evaluate(LONG)
    found = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(150)
        found[width] = page.evaluate(OVER)
    assert {width: over for width, over in found.items() if over} == {}
    interval = "Intervalle à 95\xa0%" if language == "fr-FR" else "95\xa0% interval"
    assert page.locator(".legend li").all_inner_texts().count(interval) == 2  # one of each chart, on no second page
    assert said == []
    page.context.close()


def test_last_year_is_compared_with_what_the_ledger_has_of_it(
    browser: Browser, client: httpx.Client, said: list[str]
) -> None:
    """A ledger that begins in the midst of last year: the same days are compared, and it is said which."""
    page = browser.new_context(locale="fr-FR", timezone_id="Europe/Paris").new_page()
    page.clock.set_fixed_time("2026-11-26T15:00:00+01:00")

    def energy(route: Route) -> None:
        asked = httpx.URL(route.request.url).params
        begin = max(asked.get("begin", "2026-11-26T00:00"), "2025-09-30T00:00")[:10]
        end = asked.get("end", "2026-11-26T15:00")
        rows = []
        at = date.fromisoformat(begin)
        while f"{at}T00:00" < end:
            past = at + timedelta(days=1)
            kwh = 100.0 if at.year == 2025 else 80.0
            row: dict[str, Any] = {
                "begin": f"{at}T00:00:00+01:00",
                "end": f"{past}T00:00:00+01:00",
                "class": "host",
                "basis": "measured",
            }
            row |= dict.fromkeys(("kwh", "kwh_low", "kwh_high", "kgco2e", "kgco2e_low", "kgco2e_high"), kwh)
            rows.append(row | {"eur": None, "simulated": False, "devices": 2, "covered_seconds": 1.0})
            at = past
        route.fulfill(json={"zone": "Europe/Paris", "carbon": {"factors": []}, "rows": rows, "next": None})

    page.route("**/api/v1/energy?*", energy)
    page.goto(base_of(client))
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    today, month, year = (re.sub(r"\s", " ", text) for text in page.locator("#periods article").all_inner_texts())
    assert "-20 % à 14:00 par rapport au 27 novembre 2025 (80 kWh contre 100 kWh)" in today
    assert "-20 % par rapport à la même partie du mois depuis le 1er novembre 2025" in month
    assert "-20 % par rapport aux mêmes jours de l’an dernier depuis le 1er octobre 2025" in year
    assert "ne remonte pas plus loin" in year
    assert said == []
    page.context.close()


def test_why_earlier_figures_changed_is_told_in_the_language_of_the_page(
    browser: Browser, client: httpx.Client, said: list[str]
) -> None:
    """With figures for the technical role; everybody sees that something did, and when."""
    page = opened(browser, base_of(client), said, locale="fr-FR")
    told = page.locator("#changes-section")
    assert "Facteurs d’émission plus récents" in told.inner_text()
    assert "−5,8 kg" not in told.inner_text()
    public = client.get("/api/v1/events").json()
    assert [event["text"] for event in public["events"]] == [None]
    text = {"fr": "Carbone recalculé de −5,8 kg.\nLe détail.", "en": "Restated by −5.8 kg.\nMore."}
    document = public | {"events": [event | {"text": text} for event in public["events"]]}
    page.route("**/api/v1/events?*", lambda route: route.fulfill(json=document))
    page.reload()
    page.wait_for_selector("html[data-ready=fr]", timeout=60_000)
    assert "−5,8 kg" in told.inner_text()
    told.get_by_text("Le détail", exact=True).click()
    assert "Le détail." in told.inner_text()
    page.get_by_role("button", name="EN").click()
    page.wait_for_selector("html[data-ready=en]", timeout=60_000)
    assert "Restated by −5.8 kg." in told.inner_text()
    assert said == []
    page.context.close()


def test_places_prices_and_advice_show_where_the_api_knows_them(
    browser: Browser, client: httpx.Client, axe: str, said: list[str]
) -> None:
    base = base_of(client)
    page = browser.new_context(locale="fr-FR").new_page()
    page.on("console", lambda message: said.append(message.text))
    with_estimate(page, client, ESTIMATE)
    page.goto(base)
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    page.locator("#places").get_by_text("Saint-Jean").click()
    page.locator("#places").get_by_text("Bât. B").click()
    assert page.locator("#places").get_by_role("rowheader").all_inner_texts() == ["desktop", "host"]
    advice = re.sub(r"\s", " ", page.locator("#advice li").first.inner_text())
    assert advice.startswith("Saint-Jean · Bât. B · B305 24 machines : PC fixes · OptiPlex 4 100 kWh 8,2 %")
    assert re.search(r"6 appareils sur 700 relevés", re.sub(r"\s", " ", page.locator("#told").inner_text()))
    # Energy and euros of the page: what the API has booked, and the assumed of those without an agent.
    told = client.get("/api/v1/energy", params={"by": "", "simulated": "false", "boundary": "room"}).json()["rows"][0]
    assert float(page.locator("#kwh-today").get_attribute("data-kwh") or "nan") == pytest.approx(told["kwh"])
    assert shown_number(page.locator("#whole-today").inner_text()) > told["kwh"]
    page.evaluate(axe)
    assert page.evaluate("axe.run(document).then(found => found.violations.map(v => v.id))") == []
    assert said == []
    page.context.close()
