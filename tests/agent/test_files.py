from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from thinwatt_agent.files import LARGEST, File


def opened() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_file_kept_open_shows_what_is_written_to_it(tmp_path: Path) -> None:
    path = tmp_path / "energy_uj"
    path.write_text("1\n")
    file = File(path)
    assert file.integer() == 1
    with path.open("r+") as open_:
        open_.write("22\n")
    assert file.integer() == 22


def test_a_file_that_failed_is_opened_anew(tmp_path: Path) -> None:
    file = File(tmp_path / "energy_uj")
    assert file.integer() is None
    with pytest.raises(FileNotFoundError):
        file.read()
    file.path.write_text("5\n")
    assert file.integer() == 5


def test_a_driver_that_goes_away_closes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = File(tmp_path / "energy_uj")
    file.path.write_text("5\n")
    assert file.integer() == 5
    before = opened()

    def gone(*_: object) -> bytes:
        raise OSError(19, "No such device")

    with monkeypatch.context() as patch:
        patch.setattr("os.pread", gone)
        assert file.integer() is None
    assert opened() == before - 1
    assert file.integer() == 5


def test_files_of_any_size_are_read_whole_up_to_a_bound(tmp_path: Path) -> None:
    for size in (0, 1, 3071, 3072, 4097, 65_536, 100_000, LARGEST + 5):
        path = tmp_path / str(size)
        path.write_bytes(b"x" * size)
        assert len(File(path).read()) == min(size, LARGEST)


def test_a_list_that_the_kernel_gives_by_the_page_is_read_to_its_end() -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        while Path(f"/proc/{sleeper.pid}/comm").read_text() != "sleep\n":
            pass  # it is still the test's copy
        sleeper.send_signal(signal.SIGSTOP)  # or its loader maps more in the meantime
        while b"State:\tT" not in Path(f"/proc/{sleeper.pid}/status").read_bytes():
            pass
        path = Path(f"/proc/{sleeper.pid}/smaps")
        file, whole = File(path), path.read_bytes()
        read = [file.read() for _ in range(3)]
        sleeper.kill()
    assert len(whole) > 2 * 4096
    assert [data.count(b"\nSize:") for data in read] == [whole.count(b"\nSize:")] * 3


def test_nothing_stays_open(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = opened()
    for _ in range(50):
        assert File(tmp_path / "a").integer() == 1
    assert opened() == before


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert File(tmp_path / "pipe").integer() is None
