"""Real servers of Redis and PostgreSQL on loopback, each with a folder of its own, ended by their process id.

    apt-get install redis-server postgresql

brings both on Debian; where one is missing its tests are skipped, and say so.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

READY_S = 20.0


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


class Server:
    """A server that can be started, killed and started again on its port."""

    words: list[str]
    account: str | None = None

    def __init__(self, name: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"lbank-{name}-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers; after a kill its port may take a moment to be free."""
        over_s = time.monotonic() + READY_S
        while True:
            with open(self.folder / "log", "ab") as log:
                self._process = subprocess.Popen(
                    self.words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self.as_account()
                )
            while self._process.poll() is None:
                if self.is_ready():
                    return
                if time.monotonic() > over_s:
                    self.kill()
                    break
                time.sleep(0.02)
            if time.monotonic() > over_s:
                raise AssertionError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.1)

    def as_account(self) -> dict[str, Any]:
        if self.account is None:
            return {}
        return {"user": self.account, "group": self.account, "extra_groups": []}

    def kill(self) -> None:
        """End it at once, as a power cut.

        A session of PostgreSQL is a process of its own, and may outlive its parent by one transaction.
        """
        if self._process is not None:
            self.freeze()  # so that it starts no other one meanwhile
            self._send_all(signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    def freeze(self) -> None:
        """Let it stand still: it holds its connections, and answers nothing."""
        self._send_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send_all(signal.SIGCONT)

    def _send_all(self, what: signal.Signals) -> None:
        """Send a signal to the children of the process and to itself; PostgreSQL has one for each session."""
        assert self._process is not None
        parent = self._process.pid
        for known in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if int(known.read_text().rpartition(")")[2].split()[1]) == parent:
                    os.kill(int(known.parent.name), what)
        self._process.send_signal(what)  # last: who loses his parent is nobody's child any more

    def end(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def is_ready(self) -> bool:
        raise NotImplementedError

    @property
    def url(self) -> str:
        raise NotImplementedError


class RedisServer(Server):
    """Every write reaches the system before it is answered, so that a kill loses nothing."""

    def __init__(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed: apt-get install redis-server")
        super().__init__("redis")
        self.words = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        self.words += ["--appendonly", "yes", "--save", ""]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as line:
            line.sendall(b"PING\r\n")
            return line.recv(64).startswith(b"+PONG")
        return False


class PostgresServer(Server):
    """PostgreSQL does not run as root: then it runs as its own account."""

    def __init__(self) -> None:
        folders = sorted(glob.glob("/usr/lib/postgresql/*/bin")) or [""]
        program = shutil.which("postgres") or f"{folders[-1]}/postgres"
        if not os.access(program, os.X_OK):
            pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
        super().__init__("postgres")
        if os.getuid() == 0:
            self.account = "postgres"
            shutil.chown(self.folder, "postgres", "postgres")
        data = str(self.folder / "data")
        making = [str(Path(program).with_name("initdb")), "-D", data, "-U", "lbank", "--auth=trust", "--no-sync"]
        subprocess.run(making, check=True, capture_output=True, cwd=self.folder, **self.as_account())
        self.words = [program, "-D", data, "-p", str(self.port), "-k", str(self.folder), "-h", "127.0.0.1"]
        self.words += ["-c", "fsync=off"]  # a kill of the process loses nothing by that

    @property
    def url(self) -> str:
        return f"postgresql://lbank@127.0.0.1:{self.port}/postgres"

    def is_ready(self) -> bool:
        import psycopg

        try:
            with psycopg.connect(self.url, connect_timeout=1):
                return True
        except psycopg.Error:
            return False
