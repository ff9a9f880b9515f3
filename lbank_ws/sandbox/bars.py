"""Bars of one pair: where a bar starts, the ones in progress, the closed ones, and the last 24 hours.

Closed bars are kept as minutes for a day or two, before that as hours, before that as days; longer bars are put
together from these, so that a day is always the sum of its hours. What happened before the box opened is invented in
`past.py`. All prices and amounts are steps on the pair's grids.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from itertools import groupby
from typing import NamedTuple

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
UTC8_MS = 8 * HOUR_MS
UTC8 = timezone(timedelta(hours=8))
EPOCH = datetime(1970, 1, 1, 8, tzinfo=UTC8)

# Lengths in ms; a month and a year stand with their shortest length, which only tells which pieces fit into them.
LENGTHS_MS = {
    "1min": MINUTE_MS,
    "5min": 5 * MINUTE_MS,
    "15min": 15 * MINUTE_MS,
    "30min": 30 * MINUTE_MS,
    "1hr": HOUR_MS,
    "4hr": 4 * HOUR_MS,
    "day": DAY_MS,
    "week": 7 * DAY_MS,
    "month": 28 * DAY_MS,
    "year": 365 * DAY_MS,
}
INTERVALS = tuple(LENGTHS_MS)

_DAY_MINUTES = DAY_MS // MINUTE_MS
_DAY_HOURS = DAY_MS // HOUR_MS
_KEPT_MINUTES = 2 * _DAY_MINUTES
_KEPT_HOURS = 30 * _DAY_HOURS
_FIRST_MONDAY_MS = 4 * DAY_MS  # 1970-01-05


class Bar(NamedTuple):
    """One bar.

    Attributes:
        start_ms: Where it starts, in UTC epoch ms.
        open: The first price; the close of the bar before, so that bars join.
        high: The highest.
        low: The lowest.
        close: The last.
        volume: In amount steps.
        turnover: Price x amount, in value steps.
        trades: How many.
    """

    start_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    turnover: int
    trades: int

    def with_trade(self, price: int, volume: int) -> Bar:
        """Give the bar with one more trade in it."""
        return Bar(
            self.start_ms,
            self.open,
            max(self.high, price),
            min(self.low, price),
            price,
            self.volume + volume,
            self.turnover + price * volume,
            self.trades + 1,
        )


def flat_bar(start_ms: int, price: int) -> Bar:
    """Give a bar in which nobody has traded yet."""
    return Bar(start_ms, price, price, price, price, 0, 0, 0)


def merged(start_ms: int, pieces: Iterable[Bar]) -> Bar:
    """Give the one bar that the pieces make; there is at least one, and they are in time order."""
    parts = list(pieces)
    return Bar(
        start_ms,
        parts[0].open,
        max(part.high for part in parts),
        min(part.low for part in parts),
        parts[-1].close,
        sum(part.volume for part in parts),
        sum(part.turnover for part in parts),
        sum(part.trades for part in parts),
    )


def bar_start(interval: str, at_ms: int) -> int:
    """Give the start of the bar that holds a moment, both in UTC epoch ms.

    Bars are cut on the UTC+8 clock: day bars of LBank's REST interface start at 16:00 UTC. That weeks start on Monday
    is an assumption of the box.
    """
    local_ms = at_ms + UTC8_MS
    if interval == "week":
        return (local_ms - _FIRST_MONDAY_MS) // (7 * DAY_MS) * (7 * DAY_MS) + _FIRST_MONDAY_MS - UTC8_MS
    if interval in ("month", "year"):
        day = EPOCH + timedelta(milliseconds=at_ms)
        first = datetime(day.year, day.month if interval == "month" else 1, 1, tzinfo=UTC8)
        return (first - EPOCH) // timedelta(milliseconds=1)
    length_ms = LENGTHS_MS[interval]
    return local_ms // length_ms * length_ms - UTC8_MS


class LastDay(NamedTuple):
    """The last 24 hours of a pair; they move on in steps of a minute.

    Attributes:
        open: The price at their beginning.
        high: The highest price.
        low: The lowest.
        volume: In amount steps.
        turnover: In value steps.
    """

    open: int
    high: int
    low: int
    volume: int
    turnover: int


class Bars:
    """All bars of one pair.

    The three lists of the past are closed bars in time order, each list going on where the one before ends; there are
    at least 24 hours of minutes.
    """

    def __init__(self, days: Sequence[Bar], hours: Sequence[Bar], minutes: Sequence[Bar]) -> None:
        self._days, self._hours, self._minutes = list(days), list(hours), list(minutes)
        self._last_day: LastDay | None = None
        start_ms, price = self._minutes[-1].start_ms + MINUTE_MS, self._minutes[-1].close
        self._open = {interval: self._in_progress(interval, start_ms, price) for interval in INTERVALS}

    @property
    def price(self) -> int:
        """The price of the last trade."""
        return self._open["1min"].close

    def trade(self, price: int, volume: int) -> None:
        """Put a trade into every bar in progress."""
        for interval, bar in self._open.items():
            self._open[interval] = bar.with_trade(price, volume)

    def roll(self, at_ms: int) -> list[str]:
        """Close what has ended by a moment; give the intervals that began a new bar."""
        minute_ms = bar_start("1min", at_ms)
        begun: list[str] = []
        while (closed := self._open["1min"]).start_ms < minute_ms:
            self._minutes.append(closed)
            self._last_day = None
            for interval, bar in self._open.items():
                start_ms = bar_start(interval, closed.start_ms + MINUTE_MS)
                if start_ms > bar.start_ms:
                    self._open[interval] = flat_bar(start_ms, closed.close)
                    begun.append(interval)
            self._coarsen()
        return list(dict.fromkeys(begun))

    def current(self, interval: str) -> Bar:
        """Give the bar in progress."""
        return self._open[interval]

    def series(self, interval: str) -> list[Bar]:
        """Give the bars that are remembered, in time order, the one in progress last.

        Bars shorter than an hour reach back a day or two, hours and four hours some weeks, longer ones for years.
        """
        current = self._open[interval]
        closed = (piece for piece in self._pieces(interval) if piece.start_ms < current.start_ms)
        groups = groupby(closed, key=lambda piece: bar_start(interval, piece.start_ms))
        return [*(merged(start_ms, pieces) for start_ms, pieces in groups), current]

    def last_day(self) -> LastDay:
        """Give the figures of the last 24 hours, up to and including the last trade."""
        if self._last_day is None:
            day = merged(0, self._minutes[-_DAY_MINUTES:])
            self._last_day = LastDay(day.open, day.high, day.low, day.volume, day.turnover)
        opened, high, low, volume, turnover = self._last_day
        minute = self._open["1min"]
        return LastDay(
            opened, max(high, minute.high), min(low, minute.low), volume + minute.volume, turnover + minute.turnover
        )

    def _pieces(self, interval: str) -> list[Bar]:
        """Give the closed pieces that are short enough to make bars of that length."""
        length_ms = LENGTHS_MS[interval]
        days = self._days if length_ms >= DAY_MS else []
        hours = self._hours if length_ms >= HOUR_MS else []
        return [*days, *hours, *self._minutes]

    def _in_progress(self, interval: str, at_ms: int, price: int) -> Bar:
        start_ms = bar_start(interval, at_ms)
        begun = [piece for piece in self._pieces(interval) if piece.start_ms >= start_ms]
        return merged(start_ms, begun) if begun else flat_bar(start_ms, price)

    def _coarsen(self) -> None:
        """Fold the oldest minutes into an hour and the oldest hours into a day, so that memory stays bounded."""
        if len(self._minutes) >= _KEPT_MINUTES:
            self._hours.append(merged(self._minutes[0].start_ms, self._minutes[: HOUR_MS // MINUTE_MS]))
            del self._minutes[: HOUR_MS // MINUTE_MS]
        if len(self._hours) >= _KEPT_HOURS:
            self._days.append(merged(self._hours[0].start_ms, self._hours[:_DAY_HOURS]))
            del self._hours[:_DAY_HOURS]
