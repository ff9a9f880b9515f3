"""What is written down of an order before it leaves, and what became of it.

Decided here: what stands in the file, which file is one, who may write it, and what a torn end is worth. A line is on
the disk before the call that writes it returns. Lines are only added; a last line that a kill tore is cut off: what it
was to say had not happened yet. No secret stands in it. Not decided here: what an answer proves, which is `fates.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from lbank_ws.errors import UsageError
from lbank_ws.quoting import quoted
from lbank_ws.trading.fates import Fate, Verdict
from lbank_ws.trading.ticket import order_request, plain
from lbank_ws.trading_errors import JournalBusy, JournalFailed
from lbank_ws.wire import OrderRequest

try:
    import fcntl
except ImportError:  # Windows: nothing refuses a second writer there
    fcntl = None  # type: ignore[assignment]  # the name stays, and is asked before use

VERSION = 1
MAX_BYTES = 256 * 1024 * 1024
_MARK = "lbank_ws orders"


@dataclass(frozen=True)
class Entry:
    """An order as the journal knows it.

    Attributes:
        order: What was asked for.
        fate: Where it stands.
        written_at: When it was written down, on this machine's clock.
        order_id: The exchange's id of it, or None.
        code: The number of a refusal, or None.
        reason: What came instead of a yes; empty where a yes came.
        unknown_since_ms: The exchange's clock when it became unknown, in epoch ms; None while that is not known.
    """

    order: OrderRequest
    fate: Fate
    written_at: datetime
    order_id: str | None = None
    code: int | None = None
    reason: str = ""
    unknown_since_ms: int | None = None


class Journal:
    """A file of one client's orders, open for adding. May be used by several threads; a lock guards file and entries.

    Args:
        path: What it is called; it is made when it does not exist. None for a journal that ends with its client, where
            no order can be in doubt: on paper, and in tests of orders.
        owner: Whose orders these are, so that another account's are not looked up in this one; no secret.

    Raises:
        JournalBusy: Another client has it.
        JournalFailed: The system does not let us.
        UsageError: The file is something else, is damaged, or belongs to another account.
    """

    def __init__(self, path: str | os.PathLike[str] | None, owner: str) -> None:
        self.path = "" if path is None else os.fspath(path)
        self._is_kept = path is not None
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._fd = -1
        if not self._is_kept:
            return
        try:
            fd = _opened(self.path)
        except OSError as error:
            raise JournalFailed(self.path, error.strerror or type(error).__name__) from error
        try:
            lock(fd, self.path)
            self._size = self._read(fd, owner)
            self._fd = fd
            if self._size == 0:
                self._write({"journal": _MARK, "version": VERSION, "owner": owner})
                sync_folder(os.path.dirname(self.path) or ".")
        except BaseException:  # whatever it was, the lock must not stay
            os.close(fd)
            self._fd = -1
            raise

    def get(self, client_id: str) -> Entry | None:
        """Give what is known of an order, or None."""
        with self._lock:
            return self._entries.get(client_id)

    def entries(self) -> list[Entry]:
        """Give all orders, in the order of writing."""
        with self._lock:
            return list(self._entries.values())

    def open_entries(self) -> list[Entry]:
        """Give the orders of which nobody knows what became of them."""
        with self._lock:
            return [entry for entry in self._entries.values() if entry.fate.is_open]

    def pairs(self) -> list[str]:
        """Give the pairs of all orders that may exist."""
        gone = (Fate.REFUSED, Fate.UNSENT, Fate.NOT_PLACED)
        with self._lock:
            return list(dict.fromkeys(each.order.pair for each in self._entries.values() if each.fate not in gone))

    def intend(self, order: OrderRequest) -> None:
        """Write an order down; when this returns, it may leave.

        Raises:
            JournalFailed: It could not be written, so it must not leave.
            UsageError: There is one with that id.
        """
        with self._lock:
            if order.client_id in self._entries:
                raise UsageError(f"there is an order with the id {order.client_id} in {quoted(self.path)}")
            said = {
                name: plain(value) if isinstance(value, Decimal) else value for name, value in order._asdict().items()
            }
            at = self._write({"is": "intent", **said})
            self._entries[order.client_id] = Entry(order, Fate.PENDING, at)

    def settle(self, client_id: str, verdict: Verdict, exchange_ms: int | None = None) -> Entry:
        """Write down what became of an order, and give what is known of it then; one that was seen stays placed.

        Args:
            client_id: Which.
            verdict: What.
            exchange_ms: The exchange's clock; counts where it is unknown.

        Raises:
            JournalFailed: It could not be written; it is known all the same until the client ends, and looked up then.
        """
        with self._lock:
            entry = self._entries[client_id]
            if entry.fate is Fate.PLACED and verdict.fate is not Fate.PLACED:
                return entry  # it was seen: whatever a late answer says, it exists
            since_ms = exchange_ms if verdict.fate is Fate.UNKNOWN else None
            self._entries[client_id] = replace(
                entry,
                fate=verdict.fate,
                order_id=verdict.order_id or entry.order_id,
                code=verdict.code,
                reason=verdict.reason,
                unknown_since_ms=since_ms,
            )
            self._write(
                {
                    "is": str(verdict.fate),
                    "client_id": client_id,
                    "order_id": verdict.order_id,
                    "code": verdict.code,
                    "reason": verdict.reason,
                    "exchange_ms": exchange_ms,
                }
            )
            return self._entries[client_id]

    def close(self) -> None:
        """Free the file; may be called twice."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    # How it is done.

    def _write(self, said: Mapping[str, Any]) -> datetime:
        """Add a line, and wait for the disk; when that fails, the file is as it was."""
        at = datetime.now(timezone.utc)
        if not self._is_kept:
            return at
        if self._fd < 0:
            raise JournalFailed(self.path, "it is closed")
        stamped = {name: value for name, value in said.items() if value is not None}
        stamped |= {"at": at.isoformat(), "clock_s": round(time.monotonic(), 6)}
        line = json.dumps(stamped, separators=(",", ":")).encode() + b"\n"
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
            os.fsync(self._fd)
        except OSError as error:
            try:
                os.ftruncate(self._fd, self._size)
            except OSError:  # half a line may stay, and nothing may come behind it
                os.close(self._fd)
                self._fd = -1
            raise JournalFailed(self.path, error.strerror or type(error).__name__) from error
        self._size += len(line)
        return at

    def _read(self, fd: int, owner: str) -> int:
        """Read what is there, cut off a torn end, and give how long the file is."""
        size = os.fstat(fd).st_size
        if size > MAX_BYTES:
            raise UsageError(f"{quoted(self.path)} has more than {MAX_BYTES} bytes; begin another journal")
        content = b""
        while piece := os.read(fd, size - len(content) + 1):
            content += piece
        end = content.rfind(b"\n") + 1
        lines = content[:end].splitlines()
        head = lines[0] if lines else content
        self._check_head(head, owner, is_torn=not lines)
        for number, line in enumerate(lines[1:], 2):
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as damage:
                # What stands there may be an order that exists, so it must not be passed over.
                raise UsageError(
                    f"line {number} of {quoted(self.path)} is damaged ({type(damage).__name__}): look at it, and at "
                    "your orders at the exchange; then begin another journal"
                ) from None
        if end < len(content):
            os.ftruncate(fd, end)
        return end

    def _check_head(self, head: bytes, owner: str, *, is_torn: bool) -> None:
        start = f'{{"journal":"{_MARK}"'.encode()
        if is_torn:  # nothing was ever written, or only a part of the first line
            if not start.startswith(head[: len(start)]):
                self._foreign()
            return
        try:
            said = json.loads(head)
            mark, version, whose = said["journal"], said["version"], said["owner"]
        except (ValueError, KeyError, TypeError, RecursionError):
            self._foreign()
        if mark != _MARK:
            self._foreign()
        if version != VERSION:
            raise UsageError(f"{quoted(self.path)} was written by another version of lbank_ws; name another journal")
        if whose != owner:
            raise UsageError(
                f"{quoted(self.path)} holds orders of another account or key ({quoted(str(whose))}, this is {owner}): "
                "they cannot be looked up here; name another journal"
            )

    def _foreign(self) -> None:
        raise UsageError(f"{quoted(self.path)} is no journal of orders, and is left as it is; name another file")

    def _take(self, said: Mapping[str, Any]) -> None:
        """Take in a line that an earlier run wrote."""
        client_id = said["client_id"]
        if said["is"] == "intent":
            order = order_request(
                said["pair"],
                said["side"],
                said["order_type"],
                **{name: said.get(name) for name in ("price", "amount", "value")},
                client_id=client_id,
            )
            self._entries[client_id] = Entry(order, Fate.PENDING, datetime.fromisoformat(said["at"]))
            return
        fate = Fate(said["is"])
        self._entries[client_id] = replace(
            self._entries[client_id],
            fate=fate,
            order_id=said.get("order_id") or self._entries[client_id].order_id,
            code=said.get("code"),
            reason=said.get("reason", ""),
            unknown_since_ms=said.get("exchange_ms") if fate is Fate.UNKNOWN else None,
        )


def _opened(path: str) -> int:
    """Open for reading and adding; never through a link, which somebody else may have put there."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    fd = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o600)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise UsageError(f"{quoted(path)} is not a regular file; name an ordinary one")
    return fd


def lock(fd: int, path: str) -> None:
    """Take a file that is open, for this descriptor alone; raise `JournalBusy` where somebody has it."""
    if fcntl is None:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise JournalBusy(path) from None


def sync_folder(folder: str) -> None:
    """Let the name of a new file reach the disk too, where the system can do that."""
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
