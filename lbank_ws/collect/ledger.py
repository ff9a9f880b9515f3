"""The ledger of a store, `gaps.jsonl`: every hole, and everything else that somebody who trusts the data must know.

Decided here: what an entry says, and how the two entries of one hole belong together. When a hole is one is decided in
`feed/gaps.py`. It is only added to; a torn last line, left by a kill, is cut off at the next start.

The fields are explained in docs/reference/segments.md, "The ledger".
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lbank_ws.causes import GapCause
from lbank_ws.channels import Topic, topic
from lbank_ws.collect.naming import LEDGER
from lbank_ws.collect.segments import MODE, Salvage, sync_folder
from lbank_ws.errors import UsageError
from lbank_ws.events import Gap
from lbank_ws.quoting import quoted
from lbank_ws.storage_errors import StoreDamaged

_TAIL = 1 << 16
_BEGIN = b'{"kind":"'


def gap_row(gap: Gap, run: str) -> dict[str, Any]:
    """Give the entry of a hole; one that is open has no end, and gets a second entry when it is closed."""
    return {
        "kind": "gap",
        "run": run,
        "channel": str(gap.topic.channel),
        "pair": gap.topic.pair,
        "levels": gap.topic.levels,
        "interval": gap.topic.interval,
        "started_at": gap.started_at.isoformat(),
        "ended_at": None if gap.ended_at is None else gap.ended_at.isoformat(),
        "cause": str(gap.cause),
        "missed": gap.missed,
        "filled": gap.filled,
        "missing_before": None if gap.missing_before is None else gap.missing_before.isoformat(),
    }


def salvage_row(done: Salvage, run: str) -> dict[str, Any]:
    """Give the entry of a part that a killed run left behind."""
    return {"kind": "salvaged", "run": run, "path": done.path, "kept": done.kept, "cut_bytes": done.cut_bytes}


def append(root: str | os.PathLike[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Add entries.

    Raises:
        OSError: The disk does not take them; the ledger is as it was.
    """
    content = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows).encode()
    path = Path(root) / LEDGER
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    fd = os.open(path, flags, MODE)
    try:
        size = os.fstat(fd).st_size
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[os.write(fd, rest) :]
        except OSError:
            os.ftruncate(fd, size)
            raise
    finally:
        os.close(fd)


def mend(root: str | os.PathLike[str]) -> int:
    """Cut off a torn last line, and give how many bytes that were.

    Raises:
        OSError: The disk refuses.
        UsageError: There is something else by that name; it stays as it is.
    """
    path = Path(root) / LEDGER
    try:
        fd = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return 0
    try:
        first = os.read(fd, len(_BEGIN))
        if first != _BEGIN[: len(first)]:
            raise UsageError(f"{quoted(str(path))} is no ledger of ours, and is left as it is; name another store")
        at = size = os.fstat(fd).st_size
        while at:
            begin = max(0, at - _TAIL)
            os.lseek(fd, begin, os.SEEK_SET)
            found = os.read(fd, at - begin).rfind(b"\n")
            at = begin + found + 1 if found >= 0 else begin
            if found >= 0:
                break
        if at < size:
            os.ftruncate(fd, at)
    finally:
        os.close(fd)
    return size - at


def settle(root: str | os.PathLike[str]) -> None:
    """Force the ledger to the disk."""
    path = Path(root) / LEDGER
    if path.exists():
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        sync_folder(root)


def entries(root: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Give every entry, the oldest first; a torn last line is left out. Empty where there is no ledger.

    Raises:
        StoreDamaged: A line is none.
    """
    try:
        content = (Path(root) / LEDGER).read_bytes()
    except FileNotFoundError:
        return []
    rows = []
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), 1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or not isinstance(row.get("kind"), str):
            raise StoreDamaged(LEDGER, f"line {number} is no entry")
        rows.append(row)
    return rows


def gap_rows(rows: Sequence[Mapping[str, Any]], run: str | None = None) -> list[dict[str, Any]]:
    """Give one entry a hole: the last one that tells of it, in the order in which the holes were first told of.

    Args:
        rows: From `entries`.
        run: Of one run alone.
    """
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        if row["kind"] == "gap" and run in (None, row.get("run")):
            named = ("run", "channel", "pair", "levels", "interval", "started_at", "cause")
            found[tuple(row.get(name) for name in named)] = dict(row)
    return list(found.values())


def gap_of(row: Mapping[str, Any]) -> Gap:
    """Give the hole that an entry tells of.

    Raises:
        StoreDamaged: The entry cannot be read.
    """
    try:
        return Gap(
            topic=topic_of(row),
            started_at=_moment(row["started_at"]),
            ended_at=None if row["ended_at"] is None else _moment(row["ended_at"]),
            cause=GapCause(row["cause"]),
            missed=row["missed"],
            filled=row["filled"],
            missing_before=None if row["missing_before"] is None else _moment(row["missing_before"]),
        )
    except (KeyError, TypeError, ValueError) as bad:
        raise StoreDamaged(LEDGER, f"an entry cannot be read ({bad!r})") from None


def topic_of(row: Mapping[str, Any]) -> Topic:
    """Give the subscription that an entry, or a row of a manifest, names; raises `ValueError` or `KeyError`."""
    return topic(row["channel"], row["pair"], levels=row["levels"], interval=row["interval"])


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(timezone.utc)
