"""A campus's months become hours, days and groups beside agents, readers, kills and a backup: no joule moves.

The months are written as the demonstration writes them. ``THINWATT_MONTHS`` makes them more: 12 take some minutes.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from http.client import HTTPException
from math import isclose
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest

from tests.invariants import laws
from tests.invariants.pages import Follower
from tests.invariants.processes import TOKEN, Collector, Site, site, wait_for
from tests.invariants.settling import booked_more, settle
from thinwatt_collector.demo.campus.__main__ import run as write_history

pytestmark = pytest.mark.slow

MONTHS = int(os.environ.get("THINWATT_MONTHS", "2"))
KILLS = 6
KEPT = 45
TIRELESS = ("tests.invariants.tireless",)
HURRIED = "tests.invariants.hurried"
ENOUGH = 1800.0


Sums = dict[tuple[str, str, str, bool], tuple[float, float, float]]
"""Joules, bias and seconds by source, basis, class and whether made up."""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as found:
        yield found


class Readers:
    """Ask the API for the closed days of the campus, by grains and groups, and keep every answer's sums."""

    QUESTIONS = ("grain=month&by=class", "grain=day&by=class", "grain=month&by=class,basis", "grain=hour&by=class")

    def __init__(self, collector: Collector, token: str, window: tuple[date, date]) -> None:
        self._collector, self._token, self._window = collector, token, window
        self._stop = threading.Event()
        self.answers: list[dict[str, float]] = []
        self.slowest = 0.0
        self._threads = [threading.Thread(target=self._run, args=(q,), daemon=True) for q in self.QUESTIONS]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, question: str) -> None:
        begin, end = self._window
        path = f"/api/v1/energy?{question}&begin={begin}&end={end}&limit=10000"
        while not self._stop.wait(0.3):
            began = time.monotonic()
            status, found = self._ask(path)
            if status not in (0, 429, 503):
                assert (status, found.get("next")) == (200, None), found
                self.answers.append(sums_of(found["rows"]))
                self.slowest = max(self.slowest, time.monotonic() - began)

    def _ask(self, path: str) -> tuple[int, Any]:
        request = urllib.request.Request(self._collector.url + path, headers={"Authorization": f"Bearer {self._token}"})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
        except (OSError, HTTPException, ValueError):  # killed while it answered
            return 0, None


def sums_of(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return joules by class."""
    found: dict[str, float] = defaultdict(float)
    for row in rows:
        found[row["class"]] += row["joules"]
    return found


def copied(ledger: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a copy of a ledger whose collector is not running."""
    with TemporaryDirectory() as folder:
        for path in (ledger, ledger.with_name(f"{ledger.name}.wal")):
            if path.exists():
                shutil.copyfile(path, Path(folder) / path.name)
        with duckdb.connect(str(Path(folder) / ledger.name)) as connection:
            yield connection


def campus(ledger: Path) -> tuple[Sums, Sums, dict[str, int]]:
    """Return what the ledger has of the campus, as energy and as day rows, and how many rows each table has.

    The campus is what no agent of a test sends: its devices are all there before the first start.
    """
    of = """SELECT s.name, s.basis, d.class, d.simulated, sum(e.joules), sum(e.bias), sum(e.covered)
        FROM {} AS e JOIN source AS s ON s.id = e.source JOIN (SELECT id, class, simulated FROM device
        WHERE agent <> 'live' UNION ALL SELECT id, class, simulated FROM folded_device) AS d ON d.id = e.device
        WHERE {} GROUP BY ALL"""
    for connection in copied(ledger):
        tables = ("open_slot", "sealed_slot", "kept_slot", "hour_slot", "day_slot")
        counts = {t: connection.execute(f"SELECT count(*) FROM {t}").fetchall()[0][0] for t in tables}  # noqa: S608 - names of ours
        whole, days = (
            {(a, b, c, s): (j, v, t) for a, b, c, s, j, v, t in connection.execute(text).fetchall()}
            for text in (of.format("energy", "TRUE"), of.format("day_slot", "TRUE"))
        )
        hours = {
            (a, b, c, s): (j, v, t)
            for a, b, c, s, j, v, t in connection.execute(of.format("hour_slot", "TRUE")).fetchall()
        }
        same(days, hours, "days are the sums of hours")
        return whole, days, counts
    raise AssertionError


def same(found: Sums, expected: Sums, text: str) -> None:
    assert found.keys() == expected.keys(), text
    for key, amounts in expected.items():
        for a, b in zip(found[key], amounts, strict=True):
            assert isclose(a, b, rel_tol=1e-9, abs_tol=1e-6), f"{text}: {key}: {found[key]}, not {amounts}"


def left(ledger: Path, before: float) -> int:
    """Return how many rows are still to be folded or forgotten."""
    for connection in copied(ledger):
        hour = int(before - KEPT * 86_400) // 3600 - 24
        ((kept,),) = connection.execute("SELECT count(*) FROM kept_slot WHERE slot < ?", [hour * 4]).fetchall()
        ((unfolded,),) = connection.execute(
            "SELECT count(*) FROM local_day WHERE NOT folded AND past <= ?", [int(before - 32 * 86_400) // 3600]
        ).fetchall()
        return int(kept + unfolded)
    raise AssertionError


def test_months_are_compacted_beside_everything_else(here: Site) -> None:
    seed = int(os.environ.get("THINWATT_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"THINWATT_SEED={seed}")
    rng = random.Random(seed)
    collector = here.collector()
    until = int(time.time()) // 900 * 900
    write_history(collector.ledger.parent, 1, MONTHS, until)
    text = collector.config.read_text()
    collector.config.write_text(text.replace("commit_every", f'keep_slots = "{KEPT} d"\ncommit_every'))
    whole, _, counts = campus(collector.ledger)
    machine = here.machine("live", [(collector.port, "collector")])
    agents = here.agents(machine, program=(HURRIED, "none"))
    collector.play(*TIRELESS)
    collector.up()
    agents.start()
    today = datetime.fromtimestamp(until, UTC).date()
    window = today - timedelta(days=(MONTHS - 1) * 28), today - timedelta(days=3)
    backup, compacted = here.folder / "backup.duckdb", time.monotonic()
    with closing(Follower(collector)) as follower, closing(Readers(collector, TOKEN, window)) as readers:
        wait_for(lambda: len(readers.answers) > 3, "answers")
        for n in range(KILLS):
            time.sleep(rng.uniform(0.5, 5.0))
            if n == KILLS // 2:
                collector.ask("backup", str(backup))
                same(campus(backup)[0], whole, "a backup in the middle of it")
            collector.kill()
            same(campus(collector.ledger)[0], whole, f"after kill {n + 1}")
            laws.check(laws.read(collector.ledger), [machine])
            collector.up()
        assert left(backup, until) > 0, "the backup was to be in the middle of it"
        booked_more(collector)
        while True:
            time.sleep(5)
            collector.kill()
            remaining = left(collector.ledger, until)
            collector.up()
            assert time.monotonic() - compacted < ENOUGH, f"{remaining} rows and days are still to be done"
            if not remaining:
                break
        compacted = time.monotonic() - compacted
        assert not follower.falls, follower.falls
    laws_hold = settle(collector, [agents])
    assert laws_hold.of("live")
    after, _, fewer = campus(collector.ledger)
    same(after, whole, "at the end")
    assert len(readers.answers) > 10
    for answer in readers.answers:
        assert answer.keys() == readers.answers[0].keys()
        assert all(isclose(answer[k], readers.answers[0][k], rel_tol=1e-9) for k in answer), answer
    print(f"{MONTHS} months: {counts} became {fewer} in {compacted:.0f} s beside {len(readers.answers)} answers, "
          f"the slowest {readers.slowest:.2f} s, and {follower.pages} pages of /metrics")  # fmt: skip
