"""What a callback receives.

Every event is a frozen value under this package's own names: money is `Decimal`, exactly as the exchange printed it;
moments are aware UTC. Nothing is decided here; `wire/` makes the events of the exchange, `feed/reaction.py` the
`Status`, `feed/gaps.py` and `feed/backlog.py` the `Gap`. Orders and balances stand in `account_events.py`, what all
events have in common in `pushed.py`; both can be imported from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Literal, NamedTuple

from lbank_ws.account_events import AccountEvent, BalanceUpdate, Fill, OrderStatus, OrderUpdate
from lbank_ws.causes import Flaw, GapCause
from lbank_ws.channels import Channel, Topic
from lbank_ws.errors import ConnectionLost, SubscriptionRefused
from lbank_ws.pushed import LATE_AFTER_S, PushedEvent, Receipt, Side, Source

__all__ = [
    "LATE_AFTER_S",
    "AccountEvent",
    "BalanceUpdate",
    "Depth",
    "Event",
    "Fill",
    "Gap",
    "Kind",
    "Kline",
    "Level",
    "MarketEvent",
    "OrderStatus",
    "OrderUpdate",
    "PushedEvent",
    "Receipt",
    "Side",
    "Source",
    "Status",
    "Ticker",
    "Trade",
]

Kind = Literal["opened", "lost", "failed", "reconnected", "moved", "live", "stale", "refused"]


class MarketEvent(PushedEvent):
    """An event of the market; `Ticker`, `Depth`, `Trade` and `Kline` are such."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Ticker(MarketEvent):
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

    def _repr_html_(self) -> str:
        """Give what a notebook shows."""
        from lbank_ws.notebook import ticker_html

        return ticker_html(self)


class Level(NamedTuple):
    """One line of an order book.

    Attributes:
        price: In the quote currency.
        amount: In the base currency.
    """

    price: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Depth(MarketEvent):
    """The best levels of an order book, a full snapshot.

    The levels become numbers when they are first looked at.

    Attributes:
        pair: For example `btc_usdt`.
        bids: Best (highest) first. Looking at a level that is not two numbers raises `DecodeError`.
        asks: Best (lowest) first.
        levels: How many a side were asked for, or None where the exchange does not say.
        node: The publishing node, such as `t-3`, or None. `m-` nodes were seen to publish other books.
        fault: Why `client.book()` does not take it for the book, or None for a good one.
    """

    channel: ClassVar[Channel] = Channel.DEPTH

    pair: str
    bids: Sequence[Level]
    asks: Sequence[Level]
    levels: int | None = None
    node: str | None = None
    fault: Flaw | None = None

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

    def _repr_html_(self) -> str:
        """Give what a notebook shows."""
        from lbank_ws.notebook import depth_html

        return depth_html(self)


@dataclass(frozen=True, slots=True)
class Trade(MarketEvent):
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
class Kline(MarketEvent):
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
        closed: Whether the next bar has started; what it says then is the newest that came of it.
        fault: Why it cannot be a bar, or None for a good one.
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
    closed: bool = False
    fault: Flaw | None = None

    def _repr_html_(self) -> str:
        """Give what a notebook shows."""
        from lbank_ws.notebook import kline_html

        return kline_html(self)


Event = Ticker | Depth | Trade | Kline | OrderUpdate | BalanceUpdate


@dataclass(frozen=True, slots=True)
class Status:
    """What happened to a line, or to a subscription.

    Attributes:
        kind: Of a line: `opened` the first time, `lost` at each drop, `failed` when a dial did not succeed,
            `reconnected` when it is back, `moved` when it goes on with another host. Of a subscription: `live` with its
            first data, again after each `stale`; `stale` when what it brings is late, frozen or missing;
            `refused` by the exchange.
        at: When, on this machine's clock.
        cause: Why it was lost, failed, moved, stale or refused; None on the others.
        outage_s: How long the line was away, in seconds; only on `reconnected`.
        attempts: How many dials there were since the line was last open; 0 on `lost`, and where it is about a
            subscription.
        line: The number of the line; `client.lines()` tells more about it.
        host: Who is at the other end, or will be after `moved`.
        topic: Which subscription; None where it is about a line.
    """

    kind: Kind
    at: datetime
    cause: ConnectionLost | SubscriptionRefused | None = None
    outage_s: float | None = None
    attempts: int = 0
    line: int = 1
    host: str = ""
    topic: Topic | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A hole in what a subscription brought.

    Attributes:
        topic: Which subscription.
        started_at: Where it begins, on this machine's clock: when the last good push came, or was sent where that is
            over a second earlier, or, with `slow callback`, the first event that is missing.
        ended_at: When data came again, or, with `slow callback`, the last event that is missing; None while it is open.
        cause: Why they are missing.
        missed: How many events are missing; None where that is not known.
        filled: How many of them were fetched afterwards; None while that is not decided.
        missing_before: Until when data is missing all the same, on the exchange's clock; None where nothing is, as far
            as is known, and while the gap is open.
    """

    topic: Topic
    started_at: datetime
    ended_at: datetime | None
    cause: GapCause
    missed: int | None = None
    filled: int | None = None
    missing_before: datetime | None = None

    @property
    def pair(self) -> str:
        """The pair."""
        return self.topic.pair

    @property
    def channel(self) -> Channel:
        """The kind of data."""
        return self.topic.channel
