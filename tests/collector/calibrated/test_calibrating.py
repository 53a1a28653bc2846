"""The nightly look at a ledger: once a day, in its place, and what it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from thinwatt_collector.calibrated import archive
from thinwatt_collector.calibrating import Calibrator
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger
from thinwatt_collector.models.devices import DeviceTable
from thinwatt_collector.readers import LedgerReader

PARIS = ZoneInfo("Europe/Paris")
MIDNIGHT = int(datetime(2026, 11, 22, tzinfo=PARIS).timestamp())
HOURS = 72
SOURCES = (
    "booked//measured",
    "booked//modelled",
    "booked//assumed",
    "model/load/rest/assumed",
    "model/load/moving/assumed",
)


class Shelf:
    def __init__(self, ledger: DuckDBLedger) -> None:
        self.ledger, self.asked = ledger, 0

    def reader(self) -> LedgerReader:
        self.asked += 1
        return LedgerReader(self.ledger.reader())


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    """Six metered PCs that draw 1.5 times what a desktop of their load is taken for, three days before the midnight."""
    ledger = DuckDBLedger(tmp_path / "ledger.duckdb")
    execute = ledger._connection.execute
    for number, text in enumerate(SOURCES):
        name, _, rest = text.partition("/")
        part, _, basis = rest.rpartition("/")
        execute("INSERT INTO source VALUES (?, ?, ?, 'wall', ?)", [number, name, part, basis])
    for pc in range(9):
        model = "OptiPlex" if pc < 6 else ""
        execute("INSERT INTO device VALUES (?, ?, 'gw', 'desktop', ?, false)", [pc, f"gw/pc-{pc}", model])
    rows = []
    for pc in range(9):
        for slot in range(MIDNIGHT // 900 - 4 * HOURS, MIDNIGHT // 900):
            busy = 5.0 + (slot + pc) % 40
            of = {0: 1.5 * (30.0 + busy), 3: 30.0, 4: busy}
            rows += [[pc, slot, source, 900.0 * watts, 0.0, 0.0, 900.0] for source, watts in of.items()]
    ledger._connection.executemany("INSERT INTO open_slot VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    yield Shelf(ledger)
    ledger.close()


def calibrator(shelf: Shelf, folder: Path) -> Calibrator:
    return Calibrator(shelf, folder, DeviceTable.packaged().of, PARIS)


def test_once_a_local_day_when_nobody_works(shelf: Shelf, tmp_path: Path) -> None:
    made = calibrator(shelf, tmp_path)
    made.turn(MIDNIGHT + 2 * 3600)
    assert shelf.asked == 0
    made.turn(MIDNIGHT + 3 * 3600)
    assert shelf.asked == 1
    made.turn(MIDNIGHT + 20 * 3600)
    assert shelf.asked == 1
    (told,) = made.adopt(MIDNIGHT + 3 * 3600)
    assert "étalonnée sur 6 machines" in told
    assert "calibrated on 6 metered machines" in told
    assert "nothing is restated" in told
    again = calibrator(shelf, tmp_path)
    again.turn(MIDNIGHT + 21 * 3600)
    assert again.known.every == made.known.every
    assert shelf.asked == 2, "the day's look was taken before the restart"
    again.turn(MIDNIGHT + 27 * 3600)
    assert again.adopt(MIDNIGHT + 27 * 3600) == [], "nothing new"


def test_what_is_learnt_and_what_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    made = calibrator(shelf, tmp_path)
    made.look(MIDNIGHT)
    made.adopt(MIDNIGHT)
    (found,) = made.known.every
    assert [found.rest, found.moving] == pytest.approx([1.5, 1.5], rel=0.01)
    assert (found.machines, found.hours, found.valid_from) == (6, 6 * HOURS, MIDNIGHT)
    assert found.off == pytest.approx(1 / 1.5 - 1)
    (refused,) = made.refused
    assert refused["model"] == ""
    assert "set model in [agent]" in refused["en"]
    assert json.loads((tmp_path / archive.REFUSED).read_text())["day"] == "2026-11-22"


def test_a_slot_is_never_booked_by_two(shelf: Shelf, tmp_path: Path) -> None:
    """What is booked between the look and its taking moves the midnight on."""
    made = calibrator(shelf, tmp_path)
    made.look(MIDNIGHT)
    shelf.ledger._connection.execute("INSERT INTO open_slot VALUES (0, ?, 0, 1.0, 0, 0, 900)", [MIDNIGHT // 900 + 1])
    made.adopt(MIDNIGHT)
    assert made.known.every[0].valid_from == MIDNIGHT + 86_400


def test_what_cannot_be_kept_is_not_taken(shelf: Shelf, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    made = calibrator(shelf, folder)
    made.look(MIDNIGHT)
    folder.rmdir()
    folder.write_text("a file in its place")
    with pytest.raises(OSError, match="state"):
        made.adopt(MIDNIGHT)
    assert not made.known
