"""Full disks and killed processes: what was acknowledged is there, and nothing is there by half."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from tests.collector.ledger.transactions import STATE, energy, stream_row
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger

WRITER = """
import resource
import sys
from pathlib import Path
from tests.collector.ledger.transactions import named, stream_row, transaction
from thinwatt_collector.ledger import LedgerError
from thinwatt_collector.ledger.duckdb_file import DuckDBLedger

path, limit, more = Path(sys.argv[1]), int(sys.argv[2]), 10**9
ledger = DuckDBLedger(path)
rows = ledger.streams([("a", stream_row(1).stream)])
n, fresh = rows[0].position if rows else 0, not ledger.dimensions().devices
top = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, top))
print("open", n, flush=True)
while more:
    slots = [(0, d, n * 50 + k, s, 1.0) for d in range(2) for s in range(2) for k in range(50)]
    totals = [(0, label, 100.0) for label in range(2)]
    t = transaction([(stream_row(1, n + 1), n, n > 0)], slots, totals, **(named() if fresh else {}))
    try:
        assert ledger.commit(t).tolist() == [0]
        n, fresh, more = n + 1, False, more - 1
        print("took", n, flush=True)
        if n % 7 == 0:
            ledger.seal(n * 50 - 70)
    except LedgerError as error:
        print("refused", error, flush=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (top, top))
        ledger.reopen()
        rows = ledger.streams([("a", stream_row(1).stream)])
        n, fresh, more = rows[0].position if rows else 0, not ledger.dimensions().devices, 5
        print("open", n, flush=True)
"""


def writer(path: Path, limit: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(limit)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


def check_whole(path: Path, acknowledged: int) -> int:
    """Return the position; what was acknowledged is there, and slots and totals are those of the position."""
    opened = DuckDBLedger(path)
    try:
        rows = opened.streams([("a", stream_row(1).stream)])
        position = rows[0].position if rows else 0
        assert acknowledged <= position <= acknowledged + 1
        assert sum(amounts[0] for amounts in energy(opened).values()) == 200.0 * position
        assert [total for *_, total in opened.dimensions().labels] == [100.0 * position] * (2 if position else 0)
        assert all(row.state == STATE for row in rows)
    finally:
        opened.close()
    return position


def test_what_was_acknowledged_is_there_after_any_kill(tmp_path: Path) -> None:
    """kill -9 at ten instants of one ledger's life, in commits, seals and openings."""
    path, position = tmp_path / "l.duckdb", 0
    pause = np.random.default_rng(7).exponential(0.15, 10)
    for wait in pause.tolist():
        with writer(path) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.split() == ["open", str(position)], process.stderr.read() if process.stderr else ""
            time.sleep(wait)
            process.send_signal(signal.SIGKILL)
            said = [line.split() for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        assert process.returncode == -signal.SIGKILL
        assert all(words[0] == "took" for words in said)
        position = check_whole(path, int(said[-1][1]) if said else position)
    assert position > 10


def test_a_full_disk_refuses_a_transaction_whole_and_takes_it_when_there_is_room(tmp_path: Path) -> None:
    """Files may grow to a bound (RLIMIT_FSIZE): a commit or a seal fails in its midst; then there is room again."""
    path, position = tmp_path / "l.duckdb", 0
    DuckDBLedger(path).close()
    for room in (50_000, 120_000):
        limit = max(f.stat().st_size for f in tmp_path.iterdir()) + room
        with writer(path, limit) as process:
            out, err = process.communicate()
        assert process.returncode == 0, err
        said = [line.split() for line in out.splitlines()]
        refused = [words[0] for words in said].index("refused")
        taken, reopened = int(said[refused - 1][1]), int(said[refused + 1][1])
        assert taken <= reopened <= taken + 1
        assert [int(words[1]) for words in said[refused + 2 :]] == list(range(reopened + 1, reopened + 6))
        assert int(said[0][1]) == position
        position = check_whole(path, reopened + 5)
    assert position > 10
