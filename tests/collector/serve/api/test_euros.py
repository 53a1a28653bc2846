"""Euros do not depend on the grain: those of hours are those of their day, of days those of their month."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings

from tests.collector.serve.api.conftest import Campus, Shelf
from tests.collector.serve.api.test_places import PARIS, _memory, line, moved, standing
from thinwatt_collector.factors import table
from thinwatt_collector.inventory.terms import Price
from thinwatt_collector.serve.api import calendar
from thinwatt_collector.serve.api.documents import Boundary
from thinwatt_collector.serve.api.energy import Accounts, Energy
from thinwatt_collector.serve.api.published import Published
from thinwatt_collector.serve.api.question import question

ROOMS: Final = ["B1", "dc", "C1"]
"""At 0.20, 0.10 and the collector's 0.30 EUR/kWh; the second has a PUE of 1.5."""
FIRSTS: Final = [date(2026, 3, 27), date(2026, 10, 23), date(2026, 11, 29)]
"""Four days from each hold the spring change, the autumn change, the end of a month."""
DAYS: Final = 4
DRAWN: Final = [0, 9, 10, 11, 12, 13, 14, 15, 20, 21]
"""Slots of a local morning and its night, some of which are one hour."""


def asked(
    accounts: Accounts,
    books: Shelf,
    days: tuple[str, str],
    grain: Any,
    by: list[str],
    now: int,
    boundary: Boundary = "machines",
) -> Energy:
    reader = books.reader()
    try:
        q = question(*days, grain, "Europe/Paris", by, {"class": ("desktop",)}, "public", now)
        return accounts.energy(reader, replace(q, boundary=boundary), "public", now)
    finally:
        reader.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_euros_of_hours_are_those_of_days_and_of_months(data: st.DataObject) -> None:
    first = data.draw(st.sampled_from(FIRSTS), "first day")
    count = data.draw(st.integers(5, 12), "devices")
    places = [(data.draw(st.sampled_from(ROOMS)), data.draw(st.sampled_from([*ROOMS, ""]))) for _ in range(count)]
    ledger = _memory()
    campus, lines = Campus(ledger), ""
    for n, (before, after) in enumerate(places):
        number = campus.device(f"pc-{n}", "desktop", "m")
        there = first + timedelta(days=1)
        lines += moved(f"pc-{n}", before, after, str(there)) if after else line(f"pc-{n}", before)
        for day in range(DAYS):
            midnight = int(datetime.combine(first + timedelta(days=day), datetime.min.time(), PARIS).timestamp())
            on = data.draw(st.sampled_from([DRAWN, DRAWN, DRAWN[2:], DRAWN[:3], []]))
            if on:
                campus.energy(number, [midnight // 900 + s for s in on], float(data.draw(st.integers(1, 9))) * 1e5)
    known = standing(lines, Price(0.3, None, "collector"))
    published = Published(PARIS, None, lambda: known)
    accounts, books = Accounts(table.load({"zone": "FR"}), published, lambda: known, "Europe/Paris"), Shelf(ledger)
    begin = data.draw(st.integers(0, DAYS - 1))
    window = first + timedelta(days=begin), first + timedelta(days=data.draw(st.integers(begin + 1, DAYS)))
    days = (str(window[0]), str(window[1]))
    # After all of it, or in the middle of its last day, of which nothing is told by place yet.
    end = int(datetime.combine(window[1], datetime.min.time(), PARIS).timestamp())
    now = end + data.draw(st.sampled_from([30 * 86_400, -60_000]), "now")
    boundary: Boundary = data.draw(st.sampled_from(["machines", "room"]), "boundary")
    grains = ("slot", "hour", "day", "month")
    found = {grain: asked(accounts, books, days, grain, ["class"], now, boundary) for grain in grains}
    rates = dict(_rates(found["day"]))
    for grain, answer in found.items():
        shown = ~answer.withheld
        likely = answer.eur[shown]
        held = np.isnan(likely) | (answer.eur_low[shown] <= likely * (1 + 1e-9))
        assert (held & (np.isnan(likely) | (likely <= answer.eur_high[shown] * (1 + 1e-9)))).all(), grain
        if shown.all():
            drawn = float(answer.rows.joules.sum()), float(found["day"].rows.joules.sum())
            assert drawn[0] == pytest.approx(drawn[1]), grain
            for column in ("eur", "grams"):
                sums = float(getattr(answer, column).sum()), float(getattr(found["day"], column).sum())
                assert sums[0] == pytest.approx(sums[1], nan_ok=True), (grain, column)
            event(f"{grain} is whole")
        if grain in ("slot", "hour"):
            for day, rate in _rates(answer):
                assert rate == pytest.approx(rates[day], nan_ok=True), grain
    ledger.close()


def _rates(found: Energy) -> list[tuple[int, float]]:
    """Return the day and the price of each row that is shown [EUR/J]."""
    shown = ~found.withheld & (found.rows.joules > 0)
    days = [calendar.midnight(int(at), PARIS) for at in found.rows.begin[shown].tolist()]
    return list(zip(days, (found.eur[shown] / found.rows.joules[shown]).tolist(), strict=True))


@pytest.mark.parametrize("hour, expected", [(10, np.nan), (34, 0.2)])
def test_a_day_that_is_not_over_costs_what_the_last_one_did_or_nobody_knows(hour: int, expected: float) -> None:
    """Five PCs at 0.10 and five at 0.30 EUR/kWh; what each of the two rooms draws today is not told yet."""
    ledger = _memory()
    campus, lines = Campus(ledger), ""
    begin = int(datetime(2026, 11, 2, tzinfo=PARIS).timestamp())
    for n in range(10):
        slots = [begin // 900 + s for s in range(144)]
        campus.energy(campus.device(f"pc-{n}", "desktop", "m"), slots, 3.6e6)
        lines += line(f"pc-{n}", "dc" if n < 5 else "C1")
    known = standing(lines, Price(0.3, None, "collector"))
    published = Published(PARIS, None, lambda: known)
    accounts, books = Accounts(table.load({"zone": "FR"}), published, lambda: known, "Europe/Paris"), Shelf(ledger)
    now = begin + hour * 3600
    if hour > 24:  # its day is read when it is asked for; the collector's keeper reads them all
        asked(accounts, books, ("2026-11-02", "2026-11-03"), "day", ["class"], now)
    today = str(date(2026, 11, 2 + hour // 24)), str(date(2026, 11, 3 + hour // 24))
    for grain in ("hour", "day", "month"):
        found = asked(accounts, books, today, grain, ["class"], now)
        kwh = found.rows.joules / 3.6e6
        shown = ~found.withheld
        assert found.eur[shown] / kwh[shown] == pytest.approx(expected, nan_ok=True)
        assert found.eur_low[shown] == pytest.approx(0.1 * kwh[shown])
        assert found.eur_high[shown] == pytest.approx(0.3 * kwh[shown])
    ledger.close()


def test_what_a_room_needs_is_the_same_whatever_the_grain_and_the_place(tmp_path: Path) -> None:
    """Six PCs, three of them in the room with a PUE: 3 + 3 × 1.5 kWh a slot, of which nobody sees which are where."""
    ledger = _memory()
    campus, lines = Campus(ledger), ""
    begin = int(datetime(2026, 11, 2, tzinfo=PARIS).timestamp())
    for n in range(6):
        campus.energy(campus.device(f"pc-{n}", "desktop", "m"), [begin // 900 + s for s in range(96)], 3.6e6)
        lines += line(f"pc-{n}", "dc" if n < 3 else "B1")
    known = standing(lines)
    published = Published(PARIS, tmp_path, lambda: known)
    accounts, books = Accounts(table.load({"zone": "FR"}), published, lambda: known, "Europe/Paris"), Shelf(ledger)
    days, now = ("2026-11-02", "2026-11-03"), begin + 30 * 86_400
    for grain, by in (("slot", ["class"]), ("day", ["class"]), ("day", ["class", "room"]), ("month", ["building"])):
        found = asked(accounts, books, days, grain, by, now, "room")
        assert not found.withheld.any()
        assert found.rows.joules.sum() == pytest.approx(96 * 7.5 * 3.6e6, rel=1e-9)
        assert found.eur.sum() == pytest.approx(96 * (3 * 0.20 + 4.5 * 0.10), rel=1e-9)
        assert (found.half > 0).all()
    ledger.close()
