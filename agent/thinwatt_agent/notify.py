"""What systemd is told: ready, alive, stopping. Nothing where nobody asked (no ``NOTIFY_SOCKET``)."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


class Notify:
    """The service's side of sd_notify(3).

    Args:
        environment: of the process.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        watched = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = environment.get("WATCHDOG_USEC", "") if watched and self._address else ""
        self.watchdog = int(usec) * 1000 // 2 if usec.isdigit() else None
        """How often :meth:`alive` is to be called [ns]: twice in the time after which systemd kills; None: never."""

    def ready(self) -> None:
        """Say that the first readings are taken."""
        self._send(b"READY=1")

    def alive(self) -> None:
        """Say that the loop turns."""
        self._send(b"WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the end began."""
        self._send(b"STOPPING=1")

    def _send(self, text: bytes) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s, suppress(OSError):
            s.sendto(text, socket.MSG_DONTWAIT, self._address)  # if it fails, systemd's watchdog will tell
