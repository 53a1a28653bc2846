"""``thinwatt-collector factors``: fetch is the one command that calls out, and only where a table says so."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.collector.factors import rte
from tests.collector.factors.peers import Fault, Servers
from tests.collector.factors.test_table import HEADER, ROW
from thinwatt_collector.__main__ import main
from thinwatt_collector.factors import FactorError, table
from thinwatt_collector.factors.eco2mix import CONSOLIDATED, REALTIME
from thinwatt_collector.factors.grid.latest import Latest


@pytest.fixture
def config(tmp_path: Path, peer: Servers) -> Path:
    now = time.time()
    today = datetime.fromtimestamp(now, rte.PARIS).date()
    rows = [r for d in rte.days(today - timedelta(days=3), today + timedelta(days=1)) for r in rte.day(d, lambda s: 42)]
    known = [r for r in rows if datetime.fromisoformat(r["date_heure"]).timestamp() < now]
    peer.datasets = {REALTIME: known, CONSOLIDATED: []}
    path = tmp_path / "collector.toml"
    path.write_text(
        f"""
[carbon]
method = "live"
source = "eco2mix"
[carbon.eco2mix]
archive = "archive"
url = "{peer.odre}"
since = "{today - timedelta(days=2)}"
[carbon.table]
[carbon.uk_carbon_intensity]
zone = "GB"
archive = "gb"
url = "{peer.url}"
since = "{today - timedelta(days=2)}"
"""
    )
    return path


def test_fetch_asks_the_publishers_that_have_a_table_and_show_tells_what_came(
    config: Path, peer: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["factors", "fetch", "--config", str(config)]) == 0
    fetched = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in fetched] == ["eco2mix", "uk_carbon_intensity"]
    assert "new quarters of an hour" in fetched[0]
    assert "0.0 days ago" in fetched[0]
    asked = len(peer.asked)
    assert main(["factors", "show", "--config", str(config)]) == 0
    shown = capsys.readouterr().out
    assert len(peer.asked) == asked, "show calls nobody"
    assert "record: method ademe_acv_annual, zone FR, published until 2026-05-18" in shown
    assert "live: method rte_direct_15min, zone FR" in shown
    assert "42.0 gCO2e/kWh" in shown
    assert "by fallback" in shown
    assert (config.parent / "state" / "fetched").is_dir()


def test_one_that_does_not_answer_costs_no_other(
    config: Path, peer: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    peer.faults = [Fault(status=404)]
    assert main(["factors", "fetch", "--config", str(config)]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("factors.eco2mix: ")
    assert "the archive" in said.err
    assert said.out.startswith("uk_carbon_intensity: ")


def test_without_a_table_nobody_is_called(tmp_path: Path, peer: Servers, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "collector.toml"
    path.write_text("[carbon]\n")
    assert main(["factors", "fetch", "--config", str(path)]) == 1
    assert "write a table [carbon.eco2mix]" in capsys.readouterr().err
    assert main(["factors", "show", "--config", str(path)]) == 0
    assert "ademe_acv_annual" in capsys.readouterr().out
    assert peer.asked == []


def test_a_mistake_is_told_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "collector.toml"
    path.write_text('[carbon]\nsource = "csv"\n[carbon.csv]\nfile = "none.csv"\n')
    assert main(["factors", "show", "--config", str(path)]) == 1
    assert capsys.readouterr().err == (
        "thinwatt-collector: factors.csv: name is not set: without it nobody can check the figures\n"
    )


def test_what_is_in_use_stays_in_use_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(HEADER + ROW)
    latest = Latest(lambda: table.load({"zone": "GF", "file": path}), {"file": path, "zone": "GF"})
    slots = np.array([int(datetime.combine(date(2024, 6, 1), datetime.min.time(), UTC).timestamp()) // 900])
    assert (latest.refresh(), (latest.at(slots)[0] * 3600.0).round(9).tolist()) == (False, [0.3])
    path.write_text(HEADER + ROW.replace("0.3", "half"))
    with pytest.raises(FactorError, match="line 2"):
        latest.refresh()
    assert latest.refresh() is False, "the next change is waited for"
    assert (latest.at(slots)[0] * 3600.0).round(9).tolist() == [0.3]
    path.write_text(HEADER + ROW.replace("0.3", "0.4"))
    assert latest.refresh()
    assert (latest.at(slots)[0] * 3600.0).round(9).tolist() == [0.4]
    assert (latest.kind, latest.method, latest.zone, latest.vintage) == (
        "record",
        "ademe_acv_annual",
        "GF",
        "2025-01-01",
    )
    assert latest.factor_of(int(slots[0])) in latest.factors
