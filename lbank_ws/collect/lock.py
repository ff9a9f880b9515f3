"""The lock of a store: one writer at a time.

Decided here: who may write, and what a second one is told. It is a lock of the system's on an open file, which ends
with the process that holds it, however that ends; what stands in the file is for people.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

from lbank_ws.errors import StoreBusy, UsageError

try:
    import fcntl
except ImportError:  # Windows: nothing refuses a second writer there
    fcntl = None  # type: ignore[assignment]  # the name stays, and is asked before use

_POLL_S = 0.1
_LONGEST_HOLDER = 200


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

    def take(self, holder: str, *, wait_s: float = 0.0, until: Callable[[], bool] | None = None) -> None:
        """Take it.

        Args:
            holder: Who takes it, for those who come later: process, host, since when.
            wait_s: How long to wait for another writer's end, in seconds.
            until: Asked ten times a second meanwhile; True ends the waiting.

        Raises:
            StoreBusy: Somebody else writes; it names him.
            UsageError: There is something else by that name.
            OSError: The system does not let us.
        """
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        fd = os.open(self._path, flags | getattr(os, "O_CLOEXEC", 0), 0o640)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise UsageError(f"{self._path} is not a regular file; name another store")
            over_s = time.monotonic() + wait_s
            while not _is_ours(fd):
                left_s = over_s - time.monotonic()
                if left_s <= 0 or (until is not None and until()):
                    raise StoreBusy(self._store, os.pread(fd, _LONGEST_HOLDER, 0).decode(errors="replace").strip())
                threading.Event().wait(min(_POLL_S, left_s))
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{holder}\n".encode(), 0)
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
