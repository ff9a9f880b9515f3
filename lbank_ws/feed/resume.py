"""The small file of `resume=`: how far each subscription had come when the program last ran.

Decided here: what stands in it, and which file is one. It is written whole, beside itself, and then put in the place of
the old one, so that whoever reads it finds the one or the other. What is torn or damaged all the same is no reason to
fail: then the next run begins as a first one does, and says so in the log. A file of somebody else's is never replaced.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, Protocol

from lbank_ws.channels import Topic, topic
from lbank_ws.errors import UsageError
from lbank_ws.events import Side
from lbank_ws.feed.merging import REMEMBERED, Identity
from lbank_ws.quoting import quoted

log = logging.getLogger("lbank_ws")

VERSION = 1
MAX_BYTES = 64 * 1024 * 1024  # a thousand trades of four hundred pairs have half of it
_MARK = "lbank_ws resume"
_HEAD = f'{{"file":"{_MARK}"'


@dataclass(frozen=True)
class Mark:
    """How far a subscription had come.

    Attributes:
        received_at: When the last good push was received, on this machine's clock.
        happened_at: When what it told of happened, on the exchange's clock: when the newest trade was made, where the
            newest bar starts; None where that is not known.
        trades: The last trades, the oldest first, for telling those that were handed out; empty on other channels.
    """

    received_at: datetime
    happened_at: datetime | None = None
    trades: tuple[Identity, ...] = ()


class Resume(Protocol):
    """Where marks come from: the file of `resume=`, or the store of a collector, which knows better what it has."""

    def read(self) -> dict[Topic, Mark]:
        """Give how far each subscription had come; called once, at the start."""

    def write(self, marks: Mapping[Topic, Mark]) -> None:
        """Keep how far each has come; called every few seconds and at the end, on a thread of the client's.

        Raises:
            OSError: The disk does not take it.
        """


class ResumeFile:
    """Where marks are kept. Used by one thread at a time.

    Args:
        path: What it is called.

    Raises:
        UsageError: There is something else by that name.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.read()

    def read(self) -> dict[Topic, Mark]:
        """Give what the last run wrote; empty where there was none, or where nothing of it can be read.

        Raises:
            UsageError: The file is not ours, or cannot be opened.
        """
        content = self._content()
        if not content:
            return {}
        if not content.startswith(_HEAD[: len(content)].encode()):
            raise UsageError(
                f"{quoted(self.path)} is no file of resume=, and is left as it is; name another one, or one that does "
                "not exist yet"
            )
        try:
            said = json.loads(content)
            version = said["version"]
            if version == VERSION:
                return dict(_mark_of(entry) for entry in said["marks"])
        except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as damage:
            log.warning("%s is damaged (%s), so what came before is not known", quoted(self.path), quoted(repr(damage)))
            return {}
        raise UsageError(
            f"{quoted(self.path)} was written by another version of lbank_ws (its format is {quoted(repr(version))}, "
            f"this one reads {VERSION}); name another file, or use that version"
        )

    def write(self, marks: Mapping[Topic, Mark]) -> None:
        """Put these in the place of what the file says.

        Raises:
            OSError: The disk does not take it; the file is as it was.
        """
        text = json.dumps(
            {"file": _MARK, "version": VERSION, "marks": [_entry_of(each, mark) for each, mark in marks.items()]},
            separators=(",", ":"),
        )
        beside = f"{self.path}.{os.getpid()}.tmp"
        with contextlib.suppress(FileNotFoundError):  # left by a run that was killed
            os.unlink(beside)
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        try:
            with open(fd, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
        except BaseException:  # whatever it was, the half of a file must not stay
            with contextlib.suppress(OSError):
                os.unlink(beside)
            raise
        _sync_folder(os.path.dirname(self.path) or ".")

    def _content(self) -> bytes:
        try:
            fd = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
        except FileNotFoundError:
            folder = os.path.dirname(self.path) or "."
            if not os.path.isdir(folder):
                raise UsageError(f"there is no folder {quoted(folder)}; make it first") from None
            return b""
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read {quoted(self.path)}: {getattr(error, 'strerror', error)}") from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise UsageError(f"{quoted(self.path)} is not a regular file; name an ordinary one")
        with open(fd, "rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UsageError(f"{quoted(self.path)} has more than {MAX_BYTES} bytes, so it is no file of resume=")
        return content


def _sync_folder(folder: str) -> None:
    """Let the new name reach the disk too, where the system can do that."""
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _entry_of(of: Topic, mark: Mark) -> dict[str, Any]:
    return {
        "channel": str(of.channel),
        "pair": of.pair,
        "levels": of.levels,
        "interval": of.interval,
        "received_at": mark.received_at.isoformat(),
        "happened_at": None if mark.happened_at is None else mark.happened_at.isoformat(),
        "trades": [
            [known.traded_at.isoformat(), str(known.price), str(known.amount), known.taker] for known in mark.trades
        ],
    }


def _mark_of(entry: Mapping[str, Any]) -> tuple[Topic, Mark]:
    of = topic(entry["channel"], entry["pair"], levels=entry["levels"], interval=entry["interval"])
    happened_at = entry["happened_at"]
    return of, Mark(
        received_at=moment_of(entry["received_at"]),
        happened_at=None if happened_at is None else moment_of(happened_at),
        trades=tuple(_identity_of(*known) for known in _last(entry["trades"])),
    )


def _identity_of(traded_at: str, price: str, amount: str, taker: str) -> Identity:
    side: Side
    if taker == "buy":
        side = "buy"
    elif taker == "sell":
        side = "sell"
    else:
        raise ValueError(f"{taker!r} is no side")
    return Identity(moment_of(traded_at), _number(price), _number(amount), side)


def _number(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError(f"{text!r} is no number")
    return number


def moment_of(text: str) -> datetime:
    """Read a moment as a mark is written with it; raises `ValueError` when it is none, or has no time zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(timezone.utc)


def _last(trades: Sequence[Any]) -> Sequence[Any]:
    return trades[-REMEMBERED:]
