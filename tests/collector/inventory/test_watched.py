"""The inventory of the running collector: taken when it can be read, and the last good one kept when it can't."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from thinwatt_collector.inventory.watched import Watched

ROOM = '[[rooms]]\nname = "{}"\nbuilding = "B"\n[[devices]]\nname = "pc-1"\nclass = "desktop"\nroom = "{}"\n'


def room(watched: Watched) -> str:
    return watched.now().places.at("pc-1", 0).place.room


def test_a_changed_file_is_read_again_and_a_broken_one_is_not_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "campus.toml"
    file.write_text(ROOM.format("B1", "B1"))
    watched = Watched(tmp_path, "Europe/Paris")
    assert (room(watched), watched.now().said, watched.now().reading) == ("B1", (), 1)
    watched.look()
    assert watched.now().reading == 1, "nothing has changed"

    file.write_text(ROOM.format("B10", "B10") + 'purchased = "Mme Martin"\n')
    watched.look()
    assert room(watched) == "B1"
    (said,) = watched.now().said
    assert "campus.toml:8: purchased" in said
    assert "write 2025-01-31" in said
    assert "Martin" not in said, "everybody may read /readyz"
    assert "Mme Martin" in caplog.text

    file.write_text(ROOM.format("B10", "B10"))
    watched.look()
    assert (room(watched), watched.now().said) == ("B10", ())
    file.unlink()
    watched.look()
    assert room(watched) == "B10"
    assert "inventory example" in watched.now().said[0]


def test_a_folder_that_is_not_there_is_said_and_taken_when_it_comes(tmp_path: Path) -> None:
    folder = tmp_path / "inventory"
    watched = Watched(folder, "Europe/Paris")
    assert "no place is known" in watched.now().said[0]
    folder.mkdir()
    (folder / "a.toml").write_text(ROOM.format("B1", "B1"))
    watched.look()
    assert (room(watched), watched.now().said) == ("B1", ())


def test_it_follows_by_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    (tmp_path / "a.toml").write_text(ROOM.format("B1", "B1"))
    watched = Watched(tmp_path, "Europe/Paris")
    seen = 0
    try:
        watched.follow(0.01)
        (tmp_path / "a.toml").write_text(ROOM.format("B20", "B20"))
        while room(watched) != "B20":
            seen += 1
            watched._stop.wait(0.01)
            assert seen < 1000
    finally:
        watched.close()
