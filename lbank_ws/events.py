"""What a callback receives.

Every event is a frozen value under this package's own names: money is `Decimal`, exactly as the exchange printed it;
moments are aware UTC. Nothing is decided here; `wire/` makes the market events, `feed/session.py` the `Status`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import ClassVar, Literal, NamedTuple

from lbank_ws.channels import Channel
from lbank_ws.errors import ConnectionLost

Side = Literal["buy", "sell"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stamps:
    """What every market event carries beside its own fields.

    Attributes:
        exchange_at: When the exchange says it was sent, or None where the frame names no time.
        received_ns: When it was read from the socket, in nanoseconds of Unix time on this machine's clock.
        raw: The whole frame as text.
    """

    exchange_at: datetime | None = None
    received_ns: int = 0
    raw: str = field(default="", repr=False)

    @property
    def received_at(self) -> datetime:
        """When it was read from the socket, on this machine's clock."""
        return _EPOCH + timedelta(microseconds=self.received_ns // 1000)

    @property
    def age_s(self) -> float | None:
        """How old it was when it came, in seconds; None without `exchange_at`.

        It compares two clocks, so a wrong clock on either side shows here; below zero means just that.
        """
        if self.exchange_at is None:
            return None
        return self.received_ns / 1e9 - self.exchange_at.timestamp()


@dataclass(frozen=True, slots=True)
class Ticker(_Stamps):
    """The last price of a pair and its last 24 hours.

    Attributes:
        pair: For example `btc_usdt`.
        last: The latest price, in the quote currency.
        high: The highest price of 24 hours, or None where the exchange did not say; so for all below.
        low: The lowest.
        volume: What was traded, in the base currency.
        turnover: The same in the quote currency.
        change_pct: The change of price in percent; -10.46 is -10.46 %.
        side: Which side the last trade took.
    """

    channel: ClassVar[Channel] = Channel.TICKER

    pair: str
    last: Decimal
    high: Decimal | None = None
    low: Decimal | None = None
    volume: Decimal | None = None
    turnover: Decimal | None = None
    change_pct: Decimal | None = None
    side: Side | None = None


class Level(NamedTuple):
    """One line of an order book.

    Attributes:
        price: In the quote currency.
        amount: In the base currency.
    """

    price: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Depth(_Stamps):
    """The best levels of an order book, a full snapshot.

    The levels become numbers when they are first looked at.

    Attributes:
        pair: For example `btc_usdt`.
        bids: Best (highest) first. Looking at a level that is not two numbers raises `DecodeError`.
        asks: Best (lowest) first.
        levels: How many a side were asked for, or None where the exchange does not say.
        node: The publishing node, such as `t-3`, or None. `m-` nodes were seen to publish other books.
    """

    channel: ClassVar[Channel] = Channel.DEPTH

    pair: str
    bids: Sequence[Level]
    asks: Sequence[Level]
    levels: int | None = None
    node: str | None = None

    @property
    def best_bid(self) -> Level | None:
        """The highest bid, or None when nobody bids."""
        return self.bids[0] if self.bids else None

    @property
    def best_ask(self) -> Level | None:
        """The lowest ask, or None when nobody asks."""
        return self.asks[0] if self.asks else None

    @property
    def mid(self) -> Decimal | None:
        """Half-way between best bid and best ask, or None when a side is empty."""
        bid, ask = self.best_bid, self.best_ask
        return None if bid is None or ask is None else (bid.price + ask.price) / 2

    @property
    def spread(self) -> Decimal | None:
        """Best ask less best bid, or None when a side is empty; below zero in a crossed book."""
        bid, ask = self.best_bid, self.best_ask
        return None if bid is None or ask is None else ask.price - bid.price


@dataclass(frozen=True, slots=True)
class Trade(_Stamps):
    """One deal.

    Attributes:
        pair: For example `btc_usdt`.
        price: In the quote currency.
        amount: In the base currency.
        value: In the quote currency, or None where the exchange did not say.
        side: The prefix of the exchange's direction. With `order_type` `maker` it names the maker's side.
        order_type: The rest of the direction: `market`, `maker`, `ioc`, `fok`; None for a plain `buy` or `sell`.
        traded_at: When it was made; None where the exchange does not say.
    """

    channel: ClassVar[Channel] = Channel.TRADE

    pair: str
    price: Decimal
    amount: Decimal
    value: Decimal | None
    side: Side
    order_type: str | None = None
    traded_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Kline(_Stamps):
    """One bar. The bar in progress comes again and again; the next `opened_at` shows that it ended.

    Attributes:
        pair: For example `btc_usdt`.
        interval: One of `INTERVALS`.
        opened_at: Where the bar starts.
        open: The first price.
        high: The highest.
        low: The lowest.
        close: The last so far.
        volume: In the base currency.
        turnover: In the quote currency, or None where the exchange did not say.
        trades: How many, or None likewise.
    """

    channel: ClassVar[Channel] = Channel.KLINE

    pair: str
    interval: str
    opened_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    turnover: Decimal | None = None
    trades: int | None = None


Event = Ticker | Depth | Trade | Kline


@dataclass(frozen=True, slots=True)
class Status:
    """What happened to the line.

    Attributes:
        kind: `opened` the first time, `lost` at each drop, `failed` when a dial did not succeed, `reconnected`
            when the line is back.
        at: When, on this machine's clock.
        cause: Why it was lost or the dial failed; None on the others.
        outage_s: How long the line was away, in seconds; only on `reconnected`.
        attempts: How many dials there were since the line was last open; 0 on `lost`.
    """

    kind: Literal["opened", "lost", "failed", "reconnected"]
    at: datetime
    cause: ConnectionLost | None = None
    outage_s: float | None = None
    attempts: int = 0
