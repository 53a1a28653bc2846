"""The page of collectors that have little to show, or are in trouble: it says why, and what to do."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Browser

from tests.peers.showing import ALONE, base_of, silent, with_estimate


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
