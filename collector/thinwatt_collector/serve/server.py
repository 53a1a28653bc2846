"""The HTTP server: uvicorn in a thread of its own, with TLS and passwords from the web-config file.

The web-config file and the files that it names are looked at every second. Passwords, headers and a renewed
certificate take effect without a restart; the other keys of ``tls_server_config`` need one. A file that has become
wrong is told in the log, and what was there before stays.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from pathlib import Path
from ssl import SSLContext
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from thinwatt_collector.serve.connections import Connection
from thinwatt_collector.serve.guard import Guard
from thinwatt_collector.serve.web_config import WebConfig, WebConfigError, load

log = logging.getLogger(__name__)

CONNECTIONS: Final = 128
REQUEST_WITHIN: Final = 8.0
"""A connection that has sent no whole request after this time is cut at the next look [s]."""
KEEP_ALIVE: Final = 75
"""A connection between two requests is kept this long [s]: longer than the usual minute between scrapes."""
STOP_WITHIN: Final = 2


class LiveConfig:
    """The web-config file as it stands, read again when it, or a file that it names, has changed.

    Raises:
        WebConfigError: it cannot be used at the start.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._config = load(path) if path else WebConfig()
        self._seen = self._stamp()
        self.tls: SSLContext | None = self._config.tls.context() if self._config.tls else None

    def current(self) -> WebConfig:
        """Return it."""
        return self._config

    def look(self) -> None:
        """Take what has changed since the last look."""
        stamp = self._stamp()
        if self._path is None or stamp == self._seen:
            return
        self._seen = stamp
        try:
            fresh = load(self._path)
            if fresh.tls is not None and self.tls is not None:
                fresh.tls.load_certificate(self.tls)
        except WebConfigError as error:
            log.error("%s; what was there before stays", error)
            return
        if _apart_from_files(fresh) != _apart_from_files(self._config):
            log.warning("%s: tls_server_config has changed: restart for it to take effect", self._path)
        self._config = fresh
        log.info("%s is read again", self._path)

    def _stamp(self) -> list[tuple[int, int, int]]:
        return [_stamp(path) for path in (self._path, *self._config.files())] if self._path else []


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _apart_from_files(config: WebConfig) -> tuple[object, ...]:
    tls = config.tls
    return () if tls is None else (tls.client_auth, tls.client_ca_file, tls.min_version, tls.max_version)


class Connections:
    """Cuts connections that hold on to the server without asking for anything."""

    def __init__(self) -> None:
        self._idle: dict[Connection, tuple[tuple[object, bool], float]] = {}

    def sweep(self, connections: set[Connection], now: float) -> None:
        """Cut those that have been without a request under way for too long.

        Args:
            connections: all that are open.
            now: monotonic [s].
        """
        idle: dict[Connection, tuple[tuple[object, bool], float]] = {}
        for connection in connections:
            cycle: object | None = connection.cycle
            closing = connection.transport.is_closing()
            if cycle is not None and not connection.cycle.response_complete and not closing:
                continue
            state = cycle, connection.half
            last, since = self._idle.get(connection, (state, now))
            since = since if last == state else now
            if now - since > (REQUEST_WITHIN if closing or connection.half else KEEP_ALIVE + REQUEST_WITHIN):
                connection.transport.abort()
            else:
                idle[connection] = (state, since)
        self._idle = idle


class Handle:
    """A running server: its port, and how to stop it."""

    def __init__(self, app: ASGIApp, live: LiveConfig, listener: socket.socket) -> None:
        name = listener.getsockname()
        self.port: int = name[1] if isinstance(name, tuple) else 0
        self.tls = live.tls is not None
        swept = Connections()

        async def look() -> None:
            live.look()
            open_now = self._server.server_state.connections
            swept.sweep(open_now, time.monotonic())  # type: ignore[arg-type] # uvicorn names two protocols; ours is one

        config = uvicorn.Config(
            Guard(app, live.current),
            http=Connection,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=STOP_WITHIN,
            timeout_notify=1,
            callback_notify=look,
        )
        config.load()
        config.ssl = live.tls
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="serve", daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)
        if not self._server.started:
            raise RuntimeError("the web server's thread ended before it began; the log above says why")

    def close(self) -> None:
        """Stop: answers under way get two seconds."""
        self._server.should_exit = True
        self._thread.join(STOP_WITHIN + 5.0)


def serve(app: ASGIApp, web_config: Path | None, bind: str) -> Handle:
    """Serve an application until the handle is closed.

    Args:
        app: it runs in a thread of its own.
        web_config: file with TLS and passwords, or None for neither.
        bind: ``host:port``, ``[::1]:port``, or ``:port`` for every address of the machine; port ``*`` takes a free one.

    Raises:
        WebConfigError: the file cannot be used.
        OSError: the address cannot be had; the text names it.
    """
    live = LiveConfig(web_config)
    listener = listen(bind)
    try:
        return Handle(app, live, listener)
    except BaseException:
        listener.close()
        raise


def serve_local(app: ASGIApp, path: Path) -> Handle:
    """Serve an application on a unix socket, that its owner alone may open, until the handle is closed.

    Raises:
        OSError: the socket can't be made there.
    """
    path.unlink(missing_ok=True)  # of a collector that was killed; a live one was asked for before
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise OSError(f"{path}: no socket can be made there: {error}") from error
    finally:
        os.umask(before)
    listener.listen(CONNECTIONS)
    return Handle(app, LiveConfig(None), listener)


def listen(bind: str) -> socket.socket:
    """Return a socket that listens on ``bind``.

    Its connections send at once: else the second answer on one waits 40 ms, for the acknowledgement of its own head.
    """
    listener = _listening(bind)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _listening(bind: str) -> socket.socket:
    host, colon, port = bind.rpartition(":")
    port = "0" if port == "*" else port
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise OSError(f"{bind!r} is no address to listen on: write 127.0.0.1:9466, [::1]:9466 or :9466")
    host = host.removeprefix("[").removesuffix("]")
    try:
        if not host and socket.has_dualstack_ipv6():
            return socket.create_server(("", int(port)), family=socket.AF_INET6, dualstack_ipv6=True)
        asked = host or "0.0.0.0"  # noqa: S104 - no host was given: that is what the person asked for
        family = socket.getaddrinfo(asked, int(port), type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, int(port)), family=family)
    except OSError as error:
        raise OSError(
            f"cannot listen on {bind}: {error.strerror}; is another program there? choose another port"
        ) from error
