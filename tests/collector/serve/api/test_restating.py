"""Restated energy at the API: by hand, for every role, and nothing about fewer than five devices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.collector.calibrated.test_calibrations import LOAD
from tests.collector.serve.api.conftest import DAY, NOW, Campus, Pages, Shelf, served
from thinwatt_collector.calibrated import Calibrations
from thinwatt_collector.factors import table
from thinwatt_collector.serve.api.access import Access
from thinwatt_collector.serve.api.calibrations import Nobody
from thinwatt_collector.serve.api.privacy import Cells
from thinwatt_collector.serve.api.restating import cells_now, rows_now
from thinwatt_collector.serve.api.routes import Setting, create_api
from thinwatt_collector.serve.api.rows import Rows, texts
from thinwatt_collector.serve.api.tokens import Tokens, make
from thinwatt_collector.serve.app import create_app

HOURS = range(DAY // 900 + 32, DAY // 900 + 40)
"""Two hours of the 22nd of November."""
NEXT = DAY + 86_400
PC = replace(LOAD, model="OptiPlex", valid_from=NEXT, restates=(DAY, NEXT, 3.6e6, 7.2e6))
"""At rest 1.2 × 30 W, above that 0.8 of what was assumed; from the 23rd on."""
HOST = replace(
    LOAD,
    kind="host",
    model="R650",
    way="components",
    valid_from=NEXT,
    assumed=(90.0, 0.9),
    rest_watts=100.0,
    machines=3,
)


class Asked:
    """The API in two views and two roles."""

    def __init__(self, client: httpx.Client, token: str) -> None:
        self.client, self._token = client, token

    def document(self, path: str, role: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token}"} if role == "technical" else {}
        answer = self.client.get(f"/api/v1/{path}", headers=headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def rows(self, role: str, view: str, query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.document(
            f"energy?begin=2026-11-22&end=2026-11-24&view={view}&{query}", role
        )["rows"]
        return found


@pytest.fixture
def api(campus: Campus, tmp_path: Path) -> Iterator[Asked]:
    """Eight PCs of one model: six by their load, two metered; two others; two hosts by the counters of components."""
    for n in range(8):
        pc = campus.device(f"pc-{n}", "desktop", "OptiPlex")
        # 40 W assumed: 1.2 × 30 + 0.8 × 10 = 44 W. The day after it is 44 W by what is known then.
        campus.energy(pc, HOURS, 36_000.0, source=2 if n < 6 else 0, bias=10_800.0)
        campus.energy(pc, [s + 96 for s in HOURS], 39_600.0, source=1 if n < 6 else 0, bias=2_600.0)
    for n in range(5):
        other = campus.device(f"tower-{n}", "desktop", "Tower")
        campus.energy(other, [*HOURS, *(s + 96 for s in HOURS)], 45_000.0, source=2, bias=13_500.0)
    for n in range(2):
        host = campus.device(f"host-{n}", "host", "R650")
        # 150 W: 1.2 × 100 + 0.8 × 50 = 160 W.
        campus.energy(host, HOURS, 135_000.0, source=1, bias=20_000.0)
    tokens = tmp_path / "tokens.toml"
    token = make(tokens, "dsi", "technical")
    known = Nobody(
        Calibrations([PC, HOST]), [{"class": "desktop", "model": "Tower", "simulated": False, "way": "load"}]
    )
    setting = Setting(
        Pages(),
        Shelf(campus.ledger),
        table.load({"zone": "FR"}),
        Access(Tokens(tokens), "public"),
        "Europe/Paris",
        lambda: NOW,
        calibrations=known,
    )
    with served(create_app(Pages(), create_api(setting))) as client:
        yield Asked(client, token)


def joules(rows: list[dict[str, Any]], *by: str) -> dict[Any, float]:
    return {tuple(row[name] for name in by): row["joules"] for row in rows}


SECONDS = 8 * 900.0


def test_by_hand(api: Asked) -> None:
    rows = api.rows("technical", "restated", "grain=day&by=model,basis&class=desktop")
    found = {(row["begin"][8:10], row["model"], row["basis"]): row["joules"] for row in rows}
    assert found == {
        ("22", "OptiPlex", "measured"): pytest.approx(2 * 40 * SECONDS),
        ("22", "OptiPlex", "modelled"): pytest.approx(6 * 44 * SECONDS),
        ("22", "Tower", "assumed"): pytest.approx(5 * 50 * SECONDS),
        ("23", "OptiPlex", "measured"): pytest.approx(2 * 44 * SECONDS),
        ("23", "OptiPlex", "modelled"): pytest.approx(6 * 44 * SECONDS),
        ("23", "Tower", "assumed"): pytest.approx(5 * 50 * SECONDS),
    }
    booked = api.rows("technical", "booked", "grain=day&by=model,basis&class=desktop")
    assert joules(booked, "begin", "model", "basis") == {
        (f"2026-11-{day}T00:00:00+01:00", model, basis): pytest.approx(watts * SECONDS)
        for day, model, basis, watts in (
            (22, "OptiPlex", "assumed", 6 * 40),
            (22, "OptiPlex", "measured", 2 * 40),
            (22, "Tower", "assumed", 5 * 50),
            (23, "OptiPlex", "measured", 2 * 44),
            (23, "OptiPlex", "modelled", 6 * 44),
            (23, "Tower", "assumed", 5 * 50),
        )
    }


def test_the_interval_is_that_of_the_model_and_shrinks_with_its_machines(api: Asked) -> None:
    (row,) = api.rows("technical", "restated", "grain=day&by=basis&class=desktop&basis=modelled")[:1]
    sigma = np.hypot(PC.common, PC.own / np.sqrt(6))
    assert row["devices"] == 6
    assert row["joules_high"] - row["joules"] == pytest.approx(1.96 * sigma * row["joules"], rel=1e-4)
    (one,) = api.rows("technical", "restated", "grain=day&by=&device=pc-1")[:1]
    assert one["joules_high"] / one["joules"] - 1 == pytest.approx(1.96 * PC.uncertainty, rel=1e-4)
    (before,) = api.rows("technical", "booked", "grain=day&by=basis&class=desktop&basis=assumed&model=OptiPlex")
    assert before["joules_high"] / before["joules"] - 1 == pytest.approx(1.96 * 0.3, rel=1e-4)


@pytest.mark.parametrize("grain", ["slot", "hour", "day", "month"])
def test_sums_agree_whatever_is_asked(api: Asked, grain: str) -> None:
    whole = (6 * 44 + 2 * 40 + 5 * 50 + 8 * 44 + 5 * 50 + 2 * 160) * SECONDS
    for by in ("", "class", "basis", "model,basis", "class,device"):
        rows = api.rows("technical", "restated", f"grain={grain}&by={by}")
        assert sum(row["joules"] for row in rows) == pytest.approx(whole), by
    counts = [row["devices"] for row in api.rows("technical", "restated", f"grain={grain}&by=class&class=desktop")]
    assert set(counts) == {13}
    (hosts,) = api.rows("public", "restated", "grain=month&by=class&class=host")
    assert hosts["joules"] == pytest.approx(2 * 160 * SECONDS), "hosts are nobody's"


def test_carbon_and_nothing_else_follows_the_energy(api: Asked) -> None:
    booked, restated = (api.rows("technical", v, "grain=month&by=class&class=host")[0] for v in ("booked", "restated"))
    assert restated["kgco2e"] / booked["kgco2e"] == pytest.approx(160 / 150)
    assert restated["covered_seconds"] == booked["covered_seconds"]


def test_everybody_sees_cells_restated_and_totals_by_class_agree_with_those_by_model(api: Asked) -> None:
    by_model = api.rows("public", "restated", "grain=day&by=model,basis&class=desktop")
    by_class = api.rows("public", "restated", "grain=day&by=class&class=desktop")
    for row in by_class:
        same = [other["joules"] for other in by_model if other["begin"] == row["begin"]]
        assert row["joules"] == pytest.approx(sum(same))
    # The two metered PCs are in a cell with the towers, "other" and "mixed": that is as it was booked.
    booked = api.rows("public", "booked", "grain=day&by=model,basis&class=desktop")
    first = {(row["model"], row["basis"]): row["joules"] for row in booked if row["begin"][8:10] == "22"}
    now = {(row["model"], row["basis"]): row["joules"] for row in by_model if row["begin"][8:10] == "22"}
    mixed = pytest.approx((2 * 40 + 5 * 50) * SECONDS)
    assert first == {("OptiPlex", "assumed"): pytest.approx(6 * 40 * SECONDS), ("other", "mixed"): mixed}
    assert now == {("OptiPlex", "modelled"): pytest.approx(6 * 44 * SECONDS), ("other", "mixed"): mixed}


def test_a_series_asked_for_by_name_is_as_it_was_told(api: Asked) -> None:
    assert api.document("shares?begin=2026-11-22&end=2026-11-24", "technical")["rows"] == []


def test_which_model_a_device_has_and_what_is_told_to_whom(api: Asked) -> None:
    found = api.document("calibrations", "public")
    assert [(c["class"], c["model"], c["way"], c["machines"]) for c in found["calibrations"]] == [
        ("desktop", "OptiPlex", "load", 5),
        ("host", "R650", "components", 3),
    ]
    assert found["calibrations"][0]["watts"] == pytest.approx([36.0, 40.8, 60.0, 84.0])
    assert "étalonnée sur 5 machines" in found["calibrations"][0]["said"]["fr"]
    assert "1.000 kWh to 2.000 kWh" not in found["calibrations"][0]["said"]["en"], "it may be that of one machine"
    told = api.document("calibrations", "technical")["calibrations"][0]["said"]
    assert "from 1.000 kWh to 2.000 kWh (+100.0 %)" in told["en"]
    assert "de 1,000 kWh à 2,000 kWh (+100,0 %)" in told["fr"]
    assert found["refused"] is None
    assert api.client.get("/api/v1/calibrations?device=pc-1").status_code == 403
    of = api.document("calibrations?device=pc-1", "technical")
    assert of["device"]["calibrated"] == {"components": None, "load": 1}
    assert of["device"]["percent"]["load"] == pytest.approx(196 * PC.uncertainty, rel=1e-3)
    assert of["refused"][0]["model"] == "Tower"
    tower = api.document("calibrations?device=tower-1", "technical")["device"]
    assert tower["calibrated"]["load"] is None
    assert tower["percent"]["load"] > of["device"]["percent"]["load"]


def cells(joules_of: list[float], basis: list[str], model: list[str]) -> Cells:
    n = len(joules_of)
    dims = {"class": ["desktop"] * n, "model": model, "basis": basis, "simulated": ["false"] * n}
    numbers = np.array(joules_of)
    rows = Rows(
        np.full(n, DAY), {k: texts(v) for k, v in dims.items()}, numbers, 0 * numbers, 0.3 * numbers,
        np.full(n, 6 * SECONDS), np.full(n, 6),
    )  # fmt: skip
    return Cells(rows, np.full(n, NEXT), rows.covered)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arrays(np.float64, 3, elements=st.floats(1e6, 1e7)),
    st.lists(st.sampled_from(["assumed", "modelled", "measured", "mixed"]), min_size=3, max_size=3),
    st.lists(st.sampled_from(["OptiPlex", "Tower", "other"]), min_size=3, max_size=3),
)
def test_what_a_cell_is_restated_to_depends_on_no_other_cell(
    numbers: np.ndarray[Any, Any], basis: list[str], model: list[str]
) -> None:
    known = Calibrations([PC])
    together = cells_now(cells(numbers.tolist(), basis, model), NOTHING, False, known, lambda _: DAY).rows
    for n in range(3):
        alone = cells([float(numbers[n])], [basis[n]], [model[n]])
        found = cells_now(alone, NOTHING, False, known, lambda _: DAY).rows
        assert found.joules[0] == together.joules[n]
        assert found.dims["basis"][0] == together.dims["basis"][n]
    # By class it is one ratio, the same for all that is cut in time of that day.
    place = cells(numbers.tolist(), basis, model)
    in_time = cells([1e6, 3e6], ["mixed"] * 2, ["other"] * 2)
    ratio = rows_now(place.rows, known).joules.sum() / numbers.sum()
    found = cells_now(in_time, place, True, known, lambda _: DAY).rows
    assert found.joules.tolist() == pytest.approx([1e6 * ratio, 3e6 * ratio])


NOTHING = cells([], [], [])


@pytest.mark.parametrize("zone", ["Europe/Paris", "UTC", "Pacific/Auckland"])
def test_a_bucket_that_goes_over_the_midnight_of_the_site_is_restated_in_two_parts(api: Asked, zone: str) -> None:
    rows = api.rows("technical", "restated", f"grain=month&by=basis&class=desktop&model=OptiPlex&zone={zone}")
    shown = {(row["basis"]): (row["joules"], row["devices"]) for row in rows}
    assert shown == {
        "measured": (pytest.approx((2 * 40 + 2 * 44) * SECONDS), 2),
        "modelled": (pytest.approx(12 * 44 * SECONDS), 6),
    }
