"""Use and making of the year on the page: figures of the API, in both languages, and the parts are the whole."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from playwright.sync_api import Browser

from tests.collector.serve.api import conftest
from tests.collector.serve.api.conftest import SOURCES, Campus, Shelf, application, served
from tests.collector.serve.api.test_making import standing
from tests.peers.showing import base_of, opened, shown_number
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger

PARIS = ZoneInfo("Europe/Paris")
TOLD = 6


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Seven PCs and thirty thin clients of an inventory; six PCs have told of the last three days."""
    folder = tmp_path_factory.mktemp("cycle")
    ledger = DuckDBLedger(folder / "ledger.duckdb")
    for number, name, basis in SOURCES:
        ledger._connection.execute("INSERT INTO source VALUES (?, ?, '', 'wall', ?)", [number, name, basis])
    campus, now = Campus(ledger), int(time.time())
    year = datetime.fromtimestamp(now, PARIS).replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    slots = range(max(int(year.timestamp()), now - 3 * 86_400) // 900, now // 900)
    for n in range(TOLD):
        campus.energy(campus.device(f"pc-{n}", "desktop", "PC"), slots, 18_000.0, bias=900.0)
    lines = "".join(f"pc-{n};PC;B1;;2024-03-01;;;\n" for n in range(7)) + "c;thin;C1;30;2022-01-01;;;\n"
    stands = standing(lines, "")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(conftest, "families", list)  # nobody is there now
        app = application(Shelf(ledger), folder / "tokens.toml", "public", [now], lambda: stands)
    with served(app) as client:
        yield client
    ledger.close()


@pytest.mark.parametrize("language", ["fr-FR", "en-GB"])
def test_use_and_making_are_those_of_the_api_and_make_up_the_whole(
    browser: Browser, told: httpx.Client, axe: str, said: list[str], language: str
) -> None:
    french = language.startswith("fr")
    page = opened(browser, base_of(told), said, locale=language, viewport={"width": 768, "height": 900})
    today = datetime.now(PARIS)
    if (today.month, today.day) == (1, 1):
        assert page.locator("#cycle-section").is_hidden(), "the year has no day behind it yet"
        return
    query = {"begin": f"{today.year}-01-01", "end": today.strftime("%Y-%m-%d")}
    found: dict[str, Any] = told.get("/api/v1/indicators", params=query).json()
    assert (found["devices"], found["agents"]) == (37, TOLD)

    def number(text: str) -> float:
        return shown_number(text if french else text.replace(",", "").replace(".", ","))

    page.locator("#cycle-section").wait_for()
    whole = number(page.locator("#cycle-total").inner_text())
    assert whole == pytest.approx(found["total"]["kgco2e"], rel=0.01)
    use, making = (number(text.split("(")[0]) for text in page.locator("#cycle .pairs dd").all_inner_texts())
    assert use == pytest.approx(found["use"]["kgco2e"], rel=0.01)
    assert use + making == pytest.approx(whole, rel=0.01)
    of_all = ("Pour les 6 appareils sur 37", "Of the 6 devices of 37")[not french]
    assert of_all in page.locator("#cycle").inner_text()
    rows = told.get("/api/v1/making", params=query | {"by": "class"}).json()["rows"]
    lines = page.locator("#cycle table").first.locator("tbody tr").all()
    shown = [line.locator("td").all_inner_texts() for line in lines]
    api = sorted((row["amortised_kgco2e"] for row in rows), reverse=True)
    assert [number(cells[1]) for cells in shown] == pytest.approx(api, rel=0.01)
    assert all(" – " in cells[2] and cells[2].endswith("kgCO₂e") for cells in shown)
    # What it compares to stands behind the raw figure, closed.
    assert page.locator("#cycle details[open]").count() == 0
    for summary in page.locator("#cycle summary").all():
        summary.click()
    text = page.locator("#cycle").inner_text()
    assert all(row["fr" if french else "en"] in text for row in found["equivalences"])
    assert not re.search(r"\bACV\b|neutre|écologique|undefined|NaN|cycle\.", text)
    page.evaluate(axe)
    assert page.evaluate("axe.run(document).then(found => found.violations.map(v => v.id))") == []
    assert said == []
    page.context.close()
