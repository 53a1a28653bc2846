from __future__ import annotations

import os
from pathlib import Path

from tests.agent.recording import at, write
from thinwatt_agent.sources import Read, sessions

PLACE = "run/systemd/sessions"


def counted(read: Read | None) -> dict[str, float | None]:
    assert read is not None
    return {s.part: v for s, v in zip(read.specs[:3], read.values(at(0)), strict=False)}


def test_no_login_service_is_absence(tmp_path: Path) -> None:
    assert sessions.probe(tmp_path, {}) is None


def test_an_empty_folder_is_no_session_and_not_absence(tmp_path: Path) -> None:
    (tmp_path / PLACE).mkdir(parents=True)
    assert counted(sessions.probe(tmp_path, {})) == {"active": 0, "disconnected": 0, "closing": 0}


def test_a_fifo_beside_a_session_blocks_nothing(tmp_path: Path) -> None:
    write(tmp_path, {f"{PLACE}/1": "STATE=active\nCLASS=user", f"{PLACE}/2": "STATE=online"})
    os.mkfifo(tmp_path / PLACE / "1.ref")
    assert counted(sessions.probe(tmp_path, {})) == {"active": 1, "disconnected": 1, "closing": 0}


def test_greeters_lock_screens_and_services_are_nobody(tmp_path: Path) -> None:
    for i, kind in enumerate(("greeter", "lock-screen", "background", "manager", "user", "user-early")):
        write(tmp_path, {f"{PLACE}/{i}": f"STATE=active\nCLASS={kind}"})
    assert counted(sessions.probe(tmp_path, {}))["active"] == 2


def test_no_name_of_anybody_leaves_the_machine(tmp_path: Path) -> None:
    write(tmp_path, {f"{PLACE}/1": "UID=1000\nUSER=agnes\nSTATE=active\nREMOTE_USER=agnes\nSERVICE=sshd"})
    read = sessions.probe(tmp_path, {})
    assert read is not None
    assert "agnes" not in repr(read.specs)
    assert all(isinstance(v, float) for v in read.values(at(0)))
