"""A small file that holds the present state of something, whole or not at all, for one owner at a time.

Decided here: which file is one, and who may have it. It is written beside itself, and then put in the place of the old
one. The lock is on a file beside it, which stays, because the file itself is replaced.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Mapping
from typing import Any

from lbank_ws.errors import UsageError
from lbank_ws.quoting import quoted
from lbank_ws.trading.journal import lock, sync_folder
from lbank_ws.trading_errors import JournalFailed

MAX_BYTES = 64 * 1024 * 1024


class Holding:
    """The file, held until `close`. Used under a lock of its owner's.

    Args:
        path: What it is called; it is made at the first `write`.
        mark: What it says of itself.
        version: Which form it has.

    Raises:
        JournalBusy: Somebody else holds it.
        JournalFailed: The system does not let us.
    """

    def __init__(self, path: str | os.PathLike[str], mark: str, version: int) -> None:
        self.path = os.fspath(path)
        self._mark = mark
        self._version = version
        try:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            self._fd = os.open(f"{self.path}.lock", flags, 0o600)
        except OSError as error:
            raise JournalFailed(self.path, error.strerror or type(error).__name__) from error
        try:
            lock(self._fd, self.path)
        except BaseException:  # whatever it was, the descriptor must not leak
            self.close()
            raise

    def read(self) -> Mapping[str, Any] | None:
        """Give what was written last; None where nothing was.

        Raises:
            UsageError: The file is not ours, or is damaged; it stays as it is.
        """
        content = self._content()
        if content is None:
            return None
        try:
            said = json.loads(content)
            mark, version, state = said["file"], said["version"], said["state"]
        except (ValueError, KeyError, TypeError, RecursionError):
            mark, version, state = "", 0, None
        if mark != self._mark or not isinstance(state, dict):
            self.close()
            raise UsageError(f"{quoted(self.path)} is no {self._mark}, and is left as it is; name another file")
        if version != self._version:
            self.close()
            raise UsageError(f"{quoted(self.path)} was written by another version of lbank_ws; name another file")
        return state

    def write(self, state: Mapping[str, Any]) -> None:
        """Put this in the place of what the file says, and wait for the disk.

        Raises:
            JournalFailed: The disk does not take it; the file is as it was.
        """
        text = json.dumps({"file": self._mark, "version": self._version, "state": state}, separators=(",", ":"))
        beside = f"{self.path}.tmp"
        try:
            with contextlib.suppress(FileNotFoundError):  # left by a run that was killed
                os.unlink(beside)
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
            with open(fd, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
        except OSError as error:
            raise JournalFailed(self.path, error.strerror or type(error).__name__) from error
        sync_folder(os.path.dirname(self.path) or ".")

    def close(self) -> None:
        """Let it go; may be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _content(self) -> bytes | None:
        try:
            fd = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
        except FileNotFoundError:
            return None
        except OSError as error:
            self.close()
            raise JournalFailed(self.path, error.strerror or type(error).__name__) from error
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                self.close()
                raise UsageError(f"{quoted(self.path)} is not a regular file; name an ordinary one")
            return file.read(MAX_BYTES)
