"""The marker in folders that anybody may write to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from thinwatt_agent.marker import Marker

BOOT, OTHER = bytes(range(16)), bytes(16)


def path_of(folder: Path) -> Path:
    marker = Marker([folder], "/var/lib/a", BOOT)
    marker.set()
    [path] = folder.iterdir()
    marker.clear()
    assert list(folder.iterdir()) == []
    return path


def test_it_stands_for_one_spool_and_one_boot(tmp_path: Path) -> None:
    folders = [tmp_path / "missing", tmp_path]
    Marker(folders, "/var/lib/a", BOOT).set()
    assert Marker(folders, "/var/lib/a", BOOT).is_set
    assert not Marker(folders, "/var/lib/a", OTHER).is_set
    assert not Marker(folders, "/var/lib/b", BOOT).is_set
    Marker(folders, "/var/lib/a", OTHER).set()
    assert not Marker(folders, "/var/lib/a", BOOT).is_set, "that of an earlier boot is replaced"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    folder, precious = tmp_path / "shm", tmp_path / "precious"
    folder.mkdir()
    precious.write_text("precious")
    path = path_of(folder)
    path.symlink_to(precious)
    marker = Marker([folder], "/var/lib/a", BOOT)
    marker.set()
    assert not marker.is_set
    assert precious.read_text() == "precious"


def test_a_fifo_does_not_hold_it_up(tmp_path: Path) -> None:
    path = path_of(tmp_path)
    os.mkfifo(path)
    marker = Marker([tmp_path], "/var/lib/a", BOOT)
    marker.set()
    assert not marker.is_set


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of another user")
def test_a_file_of_somebody_else_says_nothing(tmp_path: Path) -> None:
    path = path_of(tmp_path)
    path.write_text(BOOT.hex())
    os.chown(path, 12_345, 12_345)
    assert not Marker([tmp_path], "/var/lib/a", BOOT).is_set
