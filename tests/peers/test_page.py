"""The page in the Chromium of Debian: both languages, three widths, light and dark, with what axe-core finds."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Route

from tests.peers.showing import ALONE, ESTIMATE, base_of, opened, shown_number, with_estimate

VIEWS = [(360, "light"), (360, "dark"), (768, "light"), (768, "dark"), (1280, "light"), (1280, "dark")]


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
