"""How far a store of files had come: what the next run must know of the ones before it.

Decided here: how far back is looked, and that the newest lines are read without those before them. There is no state.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

from lbank_ws.channels import Channel, Topic
from lbank_ws.collect.identity import KEPT_CONTENTS, content_key
from lbank_ws.collect.lines import BadLineError, Record, reader
from lbank_ws.collect.naming import PART, RAW, segment_name
from lbank_ws.collect.packs import GZIP, ZSTD, TornError, packs
from lbank_ws.collect.segments import read_head
from lbank_ws.errors import UsageError
from lbank_ws.events import Kline, Trade
from lbank_ws.feed.merging import REMEMBERED, identity
from lbank_ws.feed.resume import Mark
from lbank_ws.storage_errors import StoreDamaged

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FIRST_TAIL = 1 << 16
_MAGIC = {GZIP: b"\x1f\x8b\x08", ZSTD: b"\x28\xb5\x2f\xfd"}
_MOST_SEGMENTS = 50  # of one subscription; who has fewer trades in so many has none that come again
_ENOUGH_NS = 60 * 10**9  # what is older than this, before the newest, is neither pushed nor fetched again


def past_of(root: str | os.PathLike[str], topic: Topic) -> tuple[Mark | None, list[str]]:
    """Give how far a subscription had come, and the keys of its last tickers, books or bars.

    Args:
        root: The folder of the store.
        topic: Which subscription.

    Returns:
        None where nothing of it is kept.
    """
    wanted = REMEMBERED if topic.channel is Channel.TRADE else KEPT_CONTENTS
    found: list[Record] = []
    for path in _newest_first(root, topic):
        found = [*_tail(root, path, wanted - len(found)), *found]
        times = [record.ns for record in found]
        if len(found) >= wanted or (found and max(times) - min(times) > _ENOUGH_NS):
            break
    if not found:
        return None, []
    received_at = _EPOCH + timedelta(microseconds=max(record.ns for record in found) // 1000)
    events = [record.event for record in found]
    trades = tuple(filter(None, (identity(event) for event in events if isinstance(event, Trade))))
    opened_at = max((event.opened_at for event in events if isinstance(event, Kline)), default=None)
    happened_at = max((known.traded_at for known in trades), default=opened_at)
    contents = [] if trades else [content_key(event) for event in events]
    return Mark(received_at, happened_at, trades), contents


def parts_since(root: str | os.PathLike[str], started_at: datetime) -> list[str]:
    """Give the parts that a run which began then may have left, sorted."""
    return [path for path in _paths_since(root, started_at) if path.endswith(PART)]


def segments_of_run(root: str | os.PathLike[str], run: str, started_at: datetime) -> list[str]:
    """Give the closed segments of a run which began then, sorted; one without a head is left out."""
    found = []
    for path in _paths_since(root, started_at):
        if path.endswith(PART):
            continue
        try:
            if read_head(root, path).run == run:
                found.append(path)
        except (StoreDamaged, UsageError):  # `verify` tells of it
            continue
    return found


def _paths_since(root: str | os.PathLike[str], started_at: datetime) -> list[str]:
    # What is held back for a fetch stands under the day of its push, which may be the one before.
    first = f"{started_at.astimezone(timezone.utc) - timedelta(days=1):%Y-%m-%d}"
    folder = Path(root)
    found = []
    for date in (folder / RAW).glob("channel=*/date=*"):
        if date.name.removeprefix("date=") < first:
            continue
        found += [
            inside
            for path in date.glob("pair=*/*")
            if segment_name(inside := path.relative_to(folder).as_posix()) is not None and not path.is_symlink()
        ]
    return sorted(found)


def _newest_first(root: str | os.PathLike[str], topic: Topic) -> Iterator[str]:
    """Give the closed segments of a subscription, the newest first; as many as are worth a look."""
    channel = Path(root) / RAW / f"channel={topic.channel}"
    left = _MOST_SEGMENTS
    dates = sorted((path.name for path in channel.glob("date=*")), reverse=True) if channel.is_dir() else []
    for date in dates:
        folder = channel / date / f"pair={topic.pair}"
        for path in sorted(folder.glob("*"), key=_by_time, reverse=True) if folder.is_dir() else []:
            inside = path.relative_to(root).as_posix()
            name = segment_name(inside)
            if name is None or name.is_part or path.is_symlink():
                continue
            try:
                if read_head(root, inside).topic != topic:
                    continue
            except (StoreDamaged, UsageError):  # `verify` tells of it
                continue
            yield inside
            left -= 1
            if not left:
                return


def _tail(root: str | os.PathLike[str], path: str, count: int) -> list[Record]:
    """Give the last records of a segment, as many as are asked for, or fewer when it has fewer."""
    full = Path(root) / path
    size = full.stat().st_size
    suffix = path.rpartition(".")[2]
    read = reader(read_head(root, path))
    length = _FIRST_TAIL
    while True:
        with full.open("rb") as file:
            file.seek(max(0, size - length))
            content = file.read()
        texts = _texts(content, suffix)
        if len(texts) > count or length >= size:
            break
        length *= 4
    found = []
    for text in texts[-count:]:
        with contextlib.suppress(BadLineError):  # the head of a short segment
            found.append(read(text))
    return found


def _texts(content: bytes, suffix: str) -> list[str]:
    """Give the lines of the whole packs at the end of a file, from the first one that is found."""
    at = content.find(_MAGIC[suffix])
    while at >= 0:
        lines: list[str] = []
        try:
            for pack in packs(io.BytesIO(content[at:]).read, suffix):
                lines += pack.lines.decode().split("\n")[:-1]
        except (TornError, UnicodeDecodeError):  # the same bytes stand inside a pack by chance
            at = content.find(_MAGIC[suffix], at + 1)
            continue
        return lines
    return []


def _by_time(path: Path) -> tuple[str, int]:
    """Sort segments of a day by when they began; those of one second by their number."""
    clock, *_, number = path.name.partition(".")[0].split("-")
    return clock, int(number) if number.isdigit() else 0
