"""A real PostgreSQL server of our own: a new cluster in a folder of its own, on a free port and a socket there.

The packaged cluster is not touched. The server refuses to run as root, so root starts it as an unprivileged user.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

PASSWORD = "not a secret: it guards tests"
PROGRAMS = "/usr/lib/postgresql"


def programs() -> Path | None:
    """Return the folder of initdb and postgres, which Debian puts where no PATH looks; None if there is none."""
    found = sorted(Path(PROGRAMS).glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    anywhere = shutil.which("initdb")
    return Path(anywhere).resolve().parent if anywhere else None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as s:
        return int(s.getsockname()[1])


class Server:
    """A cluster that is made, started, stopped, killed and started again."""

    def __init__(self, folder: Path | None = None) -> None:
        found = programs()
        assert found is not None
        self._bin = found
        self._account: dict[str, Any] = {}
        # Pytest's own folders are closed to the account that the server runs as.
        self.folder = Path(tempfile.mkdtemp(prefix="thinwatt-pg-", dir=folder))
        if os.geteuid() == 0:
            try:
                account = pwd.getpwnam("postgres")
            except KeyError:
                account = pwd.getpwnam("nobody")
            self._account = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self.port = _free_port()
        self.password_file = self.folder / "password"
        self.password_file.write_text(PASSWORD + "\n")
        self.password_file.chmod(0o644)
        self._process: subprocess.Popen[bytes] | None = None
        self._schemas = itertools.count()
        self._run(
            "initdb", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=fr",
            "--username=thinwatt", "--auth-local=trust", "--auth-host=scram-sha-256",
            f"--pwfile={self.password_file}", f"--pgdata={self.folder / 'data'}",
        )  # fmt: skip
        self.password_file.chmod(0o600)
        os.chown(self.password_file, os.geteuid(), os.getegid())
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            **self._account,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "fsync": "off",  # collectors are killed here, machines are not
            "shared_buffers": "64MB",
            "max_connections": "60",
            "logging_collector": "off",
        }
        told = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self.folder / "data", *told],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._account,
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.02)

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(host=str(self.folder), port=self.port, user="thinwatt", dbname="postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: fast, every connection is closed; or with SIGQUIT as a crash does."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def pause(self) -> None:
        """Stop every process of it where it stands."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, which: signal.Signals) -> None:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in [*map(int, children), self._process.pid]:
            os.kill(pid, which)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, schema: str = "", tcp: bool = False) -> str:
        """Return the address of a ledger in ``schema``; a new one each time if "" is given."""
        schema = schema or f"ledger_{next(self._schemas)}"
        if tcp:
            where, more = f"127.0.0.1:{self.port}/postgres", f"&password_file={self.password_file}"
        else:
            where, more = "/postgres", f"&host={quote(str(self.folder), safe='')}&port={self.port}"
        return f"postgresql://thinwatt@{where}?schema={schema}{more}"
