"""Commands beside a running collector: a local ZeroMQ socket in the state folder, for the owner of the folder.

DuckDB lets no second process open the ledger, so a backup is made by the collector itself, between two commits.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import zmq

log = logging.getLogger(__name__)

API_SOCKET: Final = "api.sock"
"""In the state folder: the whole API for the folder's owner."""
TIMEOUT: Final = 600_000
"""How long a command waits for its answer [ms]: a backup of a large ledger takes its time."""

Handler = Callable[[dict[str, Any]], dict[str, Any]]


class ControlError(Exception):
    """The running collector could not do it; the text says why."""


def address(state: Path) -> str:
    """Return where the control socket of a state folder is.

    Raises:
        ControlError: the path is longer than a socket's may be.
    """
    path = state.resolve() / "control.sock"
    if len(os.fsencode(path)) > zmq.IPC_PATH_MAX_LEN:
        raise ControlError(f"{path} is too long for a socket: choose a shorter [collector] state")
    return f"ipc://{path}"


class Control:
    """The collector's end: polled between two steps."""

    def __init__(self, state: Path, handlers: dict[str, Handler]) -> None:
        self._handlers = handlers
        self._path = state.resolve() / "control.sock"
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.REP)
        before = os.umask(0o077)
        try:
            self._socket.bind(address(state))
        finally:
            os.umask(before)

    def serve(self) -> None:
        """Do what was asked since the last call."""
        while self._socket.poll(0):
            self._socket.send_json(self._answer(self._socket.recv()))

    def _answer(self, message: bytes) -> dict[str, Any]:
        try:
            request = json.loads(message)
            return {"ok": self._handlers[request["command"]](request)}
        except Exception as error:  # noqa: BLE001  # whatever went wrong is the asker's answer, not the collector's end
            log.warning("a command failed: %r", error)
            return {"error": str(error)}

    def close(self) -> None:
        """Close and remove the socket."""
        self._socket.close(0)
        self._context.term()
        self._path.unlink(missing_ok=True)


def alive(state: Path) -> bool:
    """Return whether a collector runs on this state folder."""
    try:
        ask(state, "status", timeout=5_000)
    except ControlError:
        return False
    return True


def ask(state: Path, command: str, timeout: int = TIMEOUT, **arguments: Any) -> dict[str, Any]:
    """Have the running collector do something and return its answer.

    Args:
        state: its state folder.
        command: one of its handlers.
        timeout: how long to wait [ms].
        arguments: of the command.

    Raises:
        ControlError: it failed, or did not answer.
    """
    where = address(state)
    if not (state / "control.sock").exists():
        raise ControlError(f"no collector runs on {state}")
    context = zmq.Context()
    socket = context.socket(zmq.REQ)
    try:
        socket.connect(where)
        socket.send_json({"command": command, **arguments})
        if not socket.poll(timeout):
            raise ControlError(f"the collector of {state} did not answer in {timeout // 1000} s")
        answer: Any = socket.recv_json()
    finally:
        socket.close(0)
        context.term()
    if "error" in answer:
        raise ControlError(str(answer["error"]))
    return dict(answer["ok"])
