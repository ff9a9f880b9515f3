"""The lock of a store: one writer at a time.

Decided here: who may write, and what a second one is told. It is a lock of the system's on an open file, which ends
with the process that holds it, however that ends; what stands in the file is for people.
"""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from lbank_ws.errors import UsageError
from lbank_ws.quoting import quoted
from lbank_ws.storage_errors import StoreBusy

try:
    import fcntl
except ImportError:  # Windows: nothing refuses a second writer there
    fcntl = None  # type: ignore[assignment]  # the name stays, and is asked before use

_POLL_S = 0.1
_LONGEST_HOLDER = 200
_HOLDER = b"process "


class StoreLock:
    """Held between `take` and `free`. Used by one thread.

    Args:
        path: The file; it is made, and stays.
        store: What a second writer is told it wanted.
    """

    def __init__(self, path: str | os.PathLike[str], store: str) -> None:
        self._path = Path(path)
        self._store = store
        self._fd: int | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it is held by this object."""
        return self._fd is not None

    def take(self, *, wait_s: float = 0.0, until: Callable[[], bool] | None = None) -> None:
        """Take it, and leave for those who come later who did: process, host, since when.

        Args:
            wait_s: How long to wait for another writer's end, in seconds.
            until: Asked ten times a second meanwhile; True ends the waiting.

        Raises:
            StoreBusy: Somebody else writes; it names him.
            UsageError: There is something else by that name; it stays as it is.
            OSError: The system does not let us.
        """
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        fd = os.open(self._path, flags | getattr(os, "O_CLOEXEC", 0), 0o640)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise UsageError(f"{quoted(str(self._path))} is not a regular file; name another store")
            over_s = time.monotonic() + wait_s
            while not _is_ours(fd):
                left_s = over_s - time.monotonic()
                if left_s <= 0 or (until is not None and until()):
                    raise StoreBusy(self._store, os.read(fd, _LONGEST_HOLDER).decode(errors="replace").strip())
                threading.Event().wait(min(_POLL_S, left_s))
            os.lseek(fd, 0, os.SEEK_SET)
            before = os.read(fd, _LONGEST_HOLDER)
            if not before.startswith(_HOLDER[: len(before)]):
                raise UsageError(f"{quoted(str(self._path))} is none of ours, and is left as it is; name another store")
            os.ftruncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)
            since = f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
            os.write(fd, f"process {os.getpid()} on {socket.gethostname()} since {since}\n".encode())
        except BaseException:  # whatever it was, the descriptor must not leak
            os.close(fd)
            raise
        self._fd = fd

    def free(self) -> None:
        """Give it back; may be called twice."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)


def _is_ours(fd: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
