"""The page in Chromium: how it is opened, and collectors that answer otherwise than the one that runs."""

from __future__ import annotations

import re
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, Route

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
    fleet: dict[str, Any] = {"classes": [], "agents": [], "since": None}

    def nothing(route: Route) -> None:
        document: dict[str, Any] = {"zone": "Europe/Paris", "carbon": {"factors": []}, "rows": [], "next": None}
        route.fulfill(json=document)

    page.route("**/api/v1/fleet", lambda route: route.fulfill(json=fleet))
    page.route("**/api/v1/energy?*", nothing)


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


def shown_number(text: str) -> float:
    """Return the number of a French figure."""
    found = re.sub(r"[^\d,]", "", text.replace("CO₂", "")).replace(",", ".")
    return float(found)
