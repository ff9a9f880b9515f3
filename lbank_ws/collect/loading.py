"""Reads a store again: the events of it, or a table of them.

Decided here: which of the records of a store count, and in which order they come. Not decided here: what a table of
them looks like (`columns.py`, `arrow.py`). Nothing is changed; a store that is being written can be read.

What counts: every ticker, book and trade that was kept, because a store keeps none twice; and of a bar the version that
stands last. See docs/reference/segments.md, "A line".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lbank_ws.channels import MARKET, Channel, checked_channel, checked_pair
from lbank_ws.collect import ledger
from lbank_ws.collect.lines import Head, Record
from lbank_ws.collect.naming import PART, RAW, date_of, segment_name
from lbank_ws.collect.segments import read_head, records, segment_paths
from lbank_ws.errors import UsageError
from lbank_ws.events import Event, Gap, Kline
from lbank_ws.quoting import quoted
from lbank_ws.storage_errors import StoreDamaged

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

_NS = 10**9


class Segment(NamedTuple):
    """One file of a store.

    Attributes:
        path: Inside the store.
        head: Its first line.
        bytes: How large it is.
    """

    path: str
    head: Head
    bytes: int


class Day(NamedTuple):
    """What one pair brought on one channel in one day.

    Attributes:
        channel: Which one.
        pair: Which one.
        date: The day in UTC on which it was received: `2026-11-22`.
        segments: In the order in which they were begun.
    """

    channel: Channel
    pair: str
    date: str
    segments: tuple[Segment, ...]


def load(
    store: str | os.PathLike[str],
    channel: str | Iterable[str] | None = None,
    *,
    pairs: str | Iterable[str] | None = None,
    from_at: datetime | None = None,
    to_at: datetime | None = None,
) -> Loaded:
    """Open a store of files for reading.

    Args:
        store: The folder that `lbank-ws collect` has filled.
        channel: `ticker`, `depth`, `trade` or `kline`, or several; all when None.
        pairs: One or several; all when None.
        from_at: Only what was received from this moment on; an aware `datetime`.
        to_at: Only what was received before this moment.

    Raises:
        UsageError: It is no store of files, or an argument is not understood.
    """
    root = Path(store)
    if os.fspath(store).startswith("sqlite:"):
        raise UsageError("a database is read with any SQLite tool; name a folder that `lbank-ws collect` has filled")
    if not (root / RAW).is_dir():
        raise UsageError(f"{quoted(os.fspath(store))} is no folder that `lbank-ws collect` has filled")
    channels = _several(channel, _market_channel, list(MARKET))
    known = None if pairs is None else frozenset(_several(pairs, checked_pair, []))
    bounds = [None if at is None else _ns(at) for at in (from_at, to_at)]
    return Loaded(root, tuple(channels), known, bounds[0], bounds[1])


class Loaded:
    """What a store holds, or a part of it. Iterate over it for the events; it can be read any number of times.

    By channel, pair and day; inside of a day segment by segment, each in the order in which it was written. Only what
    is looked at is in memory, but for the names of a pair's bars.

    Raises:
        StoreDamaged: While reading: a segment does not hold what was written.
        MissingExtra: While reading: there are `.zst` segments, and zstandard is not installed.
    """

    def __init__(
        self,
        root: Path,
        channels: tuple[Channel, ...],
        pairs: frozenset[str] | None,
        from_ns: int | None,
        to_ns: int | None,
    ) -> None:
        self.root = root
        self._channels = channels
        self._pairs = pairs
        self._from_ns = from_ns
        self._to_ns = to_ns

    def __iter__(self) -> Iterator[Event]:
        """Give the events, as callbacks got them."""
        return (record.event for _, record in self.records())

    def records(self) -> Iterator[tuple[Head, Record]]:
        """Give each event with its receive moment, line and number, and the head of the segment that holds it."""
        for _, found in self.by_day():
            yield from found

    def by_day(
        self,
        on_bytes: Callable[[int], object] | None = None,
        channel: Channel | None = None,
        *,
        every_version: bool = False,
    ) -> Iterator[tuple[Day, Iterator[tuple[Head, Record]]]]:
        """Give each day with its records; those of one must be read before the next.

        Args:
            on_bytes: Called behind each segment with its size.
            channel: Of this one alone.
            every_version: Give every version of a bar that was kept, not the last one alone.
        """
        newest: dict[tuple[str, datetime], tuple[str, int]] = {}
        before: str | None = None
        days = [day for day in self.days() if channel in (None, day.channel)]
        for day in days:
            if day.channel is Channel.KLINE and day.pair != before and not every_version:
                before = day.pair
                newest = self._newest(one for one in days if (one.channel, one.pair) == (day.channel, day.pair))
            yield day, self._of_day(day, None if every_version else newest, on_bytes)

    def days(self) -> list[Day]:
        """Give what there is, sorted by channel, pair and day."""
        found: dict[tuple[Channel, str, str], list[Segment]] = {}
        for path in [*segment_paths(self.root), *segment_paths(self.root, parts=True)]:
            name = segment_name(path)
            assert name is not None  # noqa: S101 - segment_paths gives no others
            if name.channel not in self._channels or not self._has(name.pair):
                continue
            if self._from_ns is not None and name.date < date_of(self._from_ns):
                continue
            if self._to_ns is not None and name.date > date_of(self._to_ns):
                continue
            if (segment := self._segment(path)) is not None:
                found.setdefault((name.channel, name.pair, name.date), []).append(segment)
        order = list(MARKET)
        return [
            Day(*key, tuple(sorted(found[key], key=_begun)))
            for key in sorted(found, key=lambda key: (order.index(key[0]), *key[1:]))
        ]

    def gap_rows(self) -> list[dict[str, Any]]:
        """Give the entries of the ledger about the holes of what was chosen, one a hole, whenever they were."""
        rows = ledger.gap_rows(ledger.entries(self.root))
        return [row for row in rows if row["channel"] in self._channels and self._has(row["pair"])]

    def gaps(self) -> list[Gap]:
        """Give the holes of what was chosen, as they were told of last; `gap.ended_at` None is open."""
        return [ledger.gap_of(row) for row in self.gap_rows()]

    def channels(self) -> list[Channel]:
        """Give the channels of which there is something, in the order of `Channel`."""
        present = {day.channel for day in self.days()}
        return [channel for channel in MARKET if channel in present]

    def arrow(self) -> pyarrow.Table:
        """Give a table of pyarrow, a row an event; docs/howto/export.md tells of its columns.

        Raises:
            UsageError: Several channels are there, and each has columns of its own.
            MissingExtra: pyarrow is not installed.
        """
        from lbank_ws.collect.arrow import table

        return table(self, self.only_channel())

    def pl(self) -> polars.DataFrame:
        """Give a table of polars; the rest as for `arrow`."""
        from lbank_ws.collect.arrow import imported

        frames: Any = imported("polars", "frames")
        frame: polars.DataFrame = frames.from_arrow(self.arrow())
        return frame

    def df(self) -> pandas.DataFrame:
        """Give a table of pandas; numbers of money are `Decimal`, the rest as for `arrow`."""
        from lbank_ws.collect.arrow import imported

        imported("pandas", "frames")
        table: Any = self.arrow()
        frame: pandas.DataFrame = table.to_pandas()
        return frame

    def only_channel(self) -> Channel:
        """Give the channel of everything that was chosen.

        Raises:
            UsageError: There are several.
        """
        if len(self._channels) == 1:
            return self._channels[0]
        present = self.channels()
        if len(present) != 1:
            names = ", ".join(map(str, present)) or "nothing at all"
            raise UsageError(f"a table holds one channel, and here is {names}; name one: load(store, channel='trade')")
        return present[0]

    def last_ns(self, segment: Segment) -> int:
        """Give when the last event of a segment was received, in nanoseconds of Unix time; it is read for that."""
        return max((record.ns for record in self._chosen(segment)), default=segment.head.opened_ns)

    def _has(self, pair: str) -> bool:
        return self._pairs is None or pair in self._pairs

    def _segment(self, path: str) -> Segment | None:
        """Give a segment; None for a part in which nothing is yet."""
        try:
            return Segment(path, read_head(self.root, path), (self.root / path).stat().st_size)
        except (StoreDamaged, UsageError, FileNotFoundError):
            if not path.endswith(PART):
                raise
        whole = path.removesuffix(PART)  # closed since the folder was listed
        if (self.root / whole).exists():
            return Segment(whole, read_head(self.root, whole), (self.root / whole).stat().st_size)
        return None

    def _of_day(
        self,
        day: Day,
        newest: dict[tuple[str, datetime], tuple[str, int]] | None,
        on_bytes: Callable[[int], object] | None = None,
    ) -> Iterator[tuple[Head, Record]]:
        for segment in day.segments:
            for record in self._chosen(segment):
                bar = record.event
                if isinstance(bar, Kline) and not _is_last(segment, record.seq, bar, newest):
                    continue
                yield segment.head, record
            if on_bytes is not None:
                on_bytes(segment.bytes)

    def _newest(self, days: Iterable[Day]) -> dict[tuple[str, datetime], tuple[str, int]]:
        """Give of each bar which version stands last: its run, and its number in that."""
        found = {}
        for day in days:
            for segment in day.segments:
                for record in self._chosen(segment):
                    if isinstance(bar := record.event, Kline):
                        found[bar.interval, bar.opened_at] = segment.head.run, record.seq
        return found

    def _chosen(self, segment: Segment) -> Iterator[Record]:
        for record in self._records(segment.path):
            if self._from_ns is not None and record.ns < self._from_ns:
                continue
            if self._to_ns is not None and record.ns >= self._to_ns:
                continue
            yield record

    def _records(self, path: str) -> Iterator[Record]:
        whole = path.removesuffix(PART)
        if whole != path:
            with suppress(UsageError):  # a part that was closed since has its name now
                yield from records(self.root, path)
                return
        yield from records(self.root, whole)


def _is_last(
    segment: Segment, seq: int, bar: Kline, newest: dict[tuple[str, datetime], tuple[str, int]] | None
) -> bool:
    return newest is None or newest[bar.interval, bar.opened_at] == (segment.head.run, seq)


def _begun(segment: Segment) -> tuple[int, str, int]:
    number = segment.path.rpartition("/")[2].partition(".")[0].rpartition("-")[2]
    return segment.head.opened_ns, segment.head.run, int(number)


def _several(named: Any, checked: Callable[[str], Any], otherwise: list[Any]) -> list[Any]:
    if named is None:
        return otherwise
    return [checked(name) for name in ([named] if isinstance(named, str) else named)]


def _market_channel(name: str) -> Channel:
    channel = checked_channel(name)
    if channel.is_private:
        raise UsageError(f"a store holds what the market does, and nothing of an account; {channel} is not in it")
    return channel


def _ns(at: datetime) -> int:
    if at.tzinfo is None:
        raise UsageError(f"{at!r} has no time zone; write datetime(..., tzinfo=timezone.utc)")
    since = at - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (since.days * 86400 + since.seconds) * _NS + since.microseconds * 1000
