"""Candles, made of trades.

Decided here: which trade belongs to which candle, and what a candle says where trades are missing. There is no file, no
thread and no clock here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Context, Decimal, Inexact

from lbank_ws.channels import Channel, checked_interval
from lbank_ws.collect.coverage import missing_part
from lbank_ws.errors import UsageError
from lbank_ws.events import Event, Gap, Trade

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MONDAY = datetime(1970, 1, 5, tzinfo=timezone.utc)
_EXACT = Context(prec=10_000, traps=[Inexact])  # sums are exact, however many there are of them
_LENGTHS = {
    "1min": timedelta(minutes=1),
    "5min": timedelta(minutes=5),
    "15min": timedelta(minutes=15),
    "30min": timedelta(minutes=30),
    "1hr": timedelta(hours=1),
    "4hr": timedelta(hours=4),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}


@dataclass(frozen=True, slots=True)
class Candle:
    """What was traded of a pair in one interval.

    Attributes:
        pair: For example `btc_usdt`.
        opened_at: Where the interval begins, in UTC; it ends before `ended_at`.
        ended_at: Where the next one begins.
        open: The first price, in the quote currency.
        high: The highest.
        low: The lowest.
        close: The last.
        volume: What was traded, in the base currency.
        turnover: The same in the quote currency: the sum of price times amount.
        trades: How many.
        is_whole: False where trades of this interval are missing, as far as the given gaps tell.
    """

    pair: str
    opened_at: datetime
    ended_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    turnover: Decimal
    trades: int
    is_whole: bool = True


class _Growing:
    """A candle that grows; the trades come in any order."""

    __slots__ = ("close", "first_at", "high", "last_at", "low", "open", "trades", "turnover", "volume")

    def __init__(self, at: datetime, price: Decimal) -> None:
        self.first_at = self.last_at = at
        self.open = self.high = self.low = self.close = price
        self.volume = self.turnover = Decimal(0)
        self.trades = 0

    def add(self, at: datetime, trade: Trade) -> None:
        price = trade.price
        if at < self.first_at:
            self.first_at, self.open = at, price
        if at >= self.last_at:
            self.last_at, self.close = at, price
        self.high, self.low = max(self.high, price), min(self.low, price)
        self.volume = _EXACT.add(self.volume, trade.amount)
        self.turnover = _EXACT.add(self.turnover, _EXACT.multiply(price, trade.amount))
        self.trades += 1


def candles(trades: Iterable[Event], interval: str | timedelta, *, gaps: Iterable[Gap] = ()) -> list[Candle]:
    """Make candles of trades, sorted by pair and time.

    An interval without a trade has no candle: none is invented, and so a quiet minute and a missing one are told apart
    by the gaps alone. Intervals begin at midnight UTC, weeks on Monday; LBank's own days may begin elsewhere.

    Args:
        trades: In any order, of any number of pairs: `load(DIR, channel="trade")`. Other events are left out.
        interval: One of `INTERVALS`, or a `timedelta` above 0; it is counted from 1970 on.
        gaps: The holes of these trades, `load(DIR, channel="trade").gaps()`; candles that they touch are not whole. A
            hole still open touches everything behind its beginning.

    Raises:
        UsageError: The interval is not understood, or a trade does not say when it was made or sent.
    """
    making = Making(interval)
    for trade in trades:
        if isinstance(trade, Trade):
            making.add(trade)
    return making.made(gaps)


class Making:
    """Makes candles of trades that come one by one; see `candles`."""

    def __init__(self, interval: str | timedelta) -> None:
        if isinstance(interval, timedelta):
            if interval <= timedelta():
                raise UsageError(f"an interval is longer than nothing, not {interval}")
        else:
            checked_interval(interval)
        self._interval = interval
        self._growing: dict[tuple[str, datetime], _Growing] = {}

    def add(self, trade: Trade) -> None:
        """Take a trade."""
        at = trade.traded_at or trade.exchange_at
        if at is None:
            raise UsageError(f"a trade of {trade.pair} does not say when it was made, so it belongs to no candle")
        key = trade.pair, begin_of(at, self._interval)
        if key not in self._growing:
            self._growing[key] = _Growing(at, trade.price)
        self._growing[key].add(at, trade)

    def made(self, gaps: Iterable[Gap] = ()) -> list[Candle]:
        """Give the candles as they stand."""
        holes = _holes(gaps)
        found = []
        for (pair, opened_at), one in sorted(self._growing.items()):
            ended_at = end_of(opened_at, self._interval)
            is_whole = not any(begin < ended_at and end >= opened_at for begin, end in holes.get(pair, ()))
            sums = (one.open, one.high, one.low, one.close, one.volume, one.turnover, one.trades)
            found.append(Candle(pair, opened_at, ended_at, *sums, is_whole=is_whole))
        return found


def begin_of(at: datetime, interval: str | timedelta) -> datetime:
    """Give where the interval begins in which a moment lies."""
    at = at.astimezone(timezone.utc)
    if interval in ("month", "year"):
        month = at.month if interval == "month" else 1
        return datetime(at.year, month, 1, tzinfo=timezone.utc)
    length = interval if isinstance(interval, timedelta) else _LENGTHS[interval]
    origin = _MONDAY if interval == "week" else _EPOCH
    return at - (at - origin) % length


def end_of(opened_at: datetime, interval: str | timedelta) -> datetime:
    """Give where the interval ends that begins at a moment."""
    if interval == "year":
        return opened_at.replace(year=opened_at.year + 1)
    if interval == "month":
        return (opened_at + timedelta(days=31)).replace(day=1)
    return opened_at + (interval if isinstance(interval, timedelta) else _LENGTHS[interval])


def _holes(gaps: Iterable[Gap]) -> dict[str, list[tuple[datetime, datetime]]]:
    found: dict[str, list[tuple[datetime, datetime]]] = {}
    for gap in gaps:
        part = missing_part(gap, datetime.max.replace(tzinfo=timezone.utc))
        if gap.channel is Channel.TRADE and part is not None:
            found.setdefault(gap.pair, []).append(part)
    return found
