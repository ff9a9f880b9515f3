"""A file of lines that is only added to, by one writer at a time, and stays readable however that writer ends.

Decided here: which file may be continued, by whom, and what happens when the disk refuses. How lines become bytes, and
what a torn end is worth, is decided in `packing.py`; what the lines say is none of both.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable

from lbank_ws.errors import UsageError
from lbank_ws.feed.packing import Damaged, packing_of
from lbank_ws.storage_errors import RecordingBusy

try:
    import fcntl
except ImportError:  # Windows: nothing refuses a second writer there
    fcntl = None  # type: ignore[assignment]  # the name stays, and is asked before use


class AppendedFile:
    """A file that is open for adding; used by one thread at a time.

    Args:
        path: What it is called; `.gz` and `.zst` are packed, all others are plain.
        check: Takes the first bytes of a file that is there already, and raises `UsageError` when it is not ours.

    Attributes:
        is_empty: Nothing stands in it yet.

    Raises:
        OSError: The system does not let us.
        RecordingBusy: Somebody else writes it.
        UsageError: It is something else than what we write; it stays as it is.
        MissingExtra: `.zst` without the package zstandard.
    """

    def __init__(self, path: str, check: Callable[[bytes], None]) -> None:
        self._path = path
        self._packing = packing_of(path)
        self._fd = _opened(path)
        try:
            self._lock()
            self._size = os.fstat(self._fd).st_size
            self.is_empty = self._size == 0
            if not self.is_empty:
                self._resume(check)
        except BaseException:  # whatever it was, the descriptor must not leak
            os.close(self._fd)
            raise

    def write(self, lines: bytes) -> None:
        """Add whole lines. When that fails, the file is as it was before, and closed."""
        self._add(self._packing.packed(lines))

    def close(self) -> None:
        """End the packing and free the file."""
        self._add(self._packing.ending())
        os.close(self._fd)

    def _add(self, packed: bytes) -> None:
        rest = memoryview(packed)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            self._abandon()
            raise
        self._size += len(packed)
        self.is_empty = False

    def _abandon(self) -> None:
        """Take back what was half written, and free the file."""
        with contextlib.suppress(OSError):  # readers leave out a torn end
            os.ftruncate(self._fd, self._size)
        os.close(self._fd)

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecordingBusy(self._path) from None

    def _resume(self, check: Callable[[bytes], None]) -> None:
        """Go on behind the last whole line; nothing is changed before the file is known to be ours."""
        check(self._packing.first_line(self._read))
        try:
            end = self._packing.end(self._read, self._size)
        except Damaged as problem:
            raise UsageError(f"{self._path} cannot be continued: {problem}; choose another file") from None
        os.ftruncate(self._fd, end.at)
        os.lseek(self._fd, 0, os.SEEK_END)
        self._size = end.at
        self._add(end.closing)
        self.is_empty = self._size == 0
        if not end.is_line_end:
            self.write(b"\n")

    def _read(self, at: int, size: int) -> bytes:
        os.lseek(self._fd, at, os.SEEK_SET)
        return os.read(self._fd, size)


def _opened(path: str) -> int:
    """Open for reading and writing; never through a link, which somebody else may have put there."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    fd = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o600)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise UsageError(f"{path} is not a regular file; name an ordinary one")
    return fd
