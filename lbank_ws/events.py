"""What a callback receives.

Every event is a frozen value under this package's own names: money is `Decimal`, exactly as the exchange printed it;
moments are aware UTC. Nothing is decided here; `wire/` makes the market events, `feed/session.py` the `Status`,
`feed/dispatch.py` the `Gap`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from lbank_ws.causes import Flaw, GapCause
from lbank_ws.channels import Channel, Topic
from lbank_ws.errors import ConnectionLost, SubscriptionRefused

Side = Literal["buy", "sell"]
Source = Literal["live", "backfill"]
Kind = Literal["opened", "lost", "failed", "reconnected", "moved", "live", "stale", "refused"]

LATE_AFTER_S = 3.0

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(slots=True)
class Receipt:
    """When frames were read, and how the clocks stood; the events of what was read together share one.

    The session fills it in before anybody sees it; afterwards it does not change.

    Attributes:
        ns: In nanoseconds of Unix time, on this machine's clock.
        ahead_s: How far this machine's clock was ahead of the exchange's, in seconds; None while that is not known.
        late_after_s: From which age on its events are late.
        line: The number of the line that brought it, as statuses name it; 0 where none did.
    """

    ns: int = 0
    ahead_s: float | None = field(default=0.0, compare=False)
    late_after_s: float = field(default=LATE_AFTER_S, compare=False)
    line: int = field(default=0, compare=False)


class _Sent:
    """Moments of an event in milliseconds of Unix time; a `datetime` is made of one when it is looked at.

    Either is made of the other at the first look, in a slot that is empty until then. So is the usual `source`.
    """

    __slots__ = ("_sent_ms", "_traded_ms")

    _sent_ms: float | None
    _traded_ms: float

    if not TYPE_CHECKING:  # else every misspelt attribute would pass the type check

        def __getattr__(self, name):
            if name == "exchange_at":
                value = None if self._sent_ms is None else _EPOCH + timedelta(milliseconds=self._sent_ms)
            elif name == "source":
                value = "live"
            elif name == "traded_at":
                value = _EPOCH + timedelta(milliseconds=self._traded_ms)
            elif name == "_sent_ms":
                value = None if self.exchange_at is None else self.exchange_at.timestamp() * 1000
            else:
                raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
            object.__setattr__(self, name, value)
            return value


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketEvent(_Sent):
    """What every market event carries beside its own fields.

    Attributes:
        exchange_at: When the exchange says it was sent, or None where the frame names no time.
        receipt: When it was read from the socket, and how the clocks stood.
        raw: The whole frame as text; empty where it was fetched over REST.
        source: `live` when it was pushed, `backfill` when it was fetched to fill a gap.
    """

    exchange_at: datetime | None = None
    receipt: Receipt = field(default_factory=Receipt, hash=False, repr=False)
    raw: str = field(default="", repr=False)
    source: Source = "live"

    @property
    def received_ns(self) -> int:
        """When it was read from the socket, in nanoseconds of Unix time on this machine's clock."""
        return self.receipt.ns

    @property
    def received_at(self) -> datetime:
        """When it was read from the socket, on this machine's clock."""
        return _EPOCH + timedelta(microseconds=self.receipt.ns // 1000)

    @property
    def sent_s(self) -> float | None:
        """When the exchange says it was sent, in seconds of Unix time; None without `exchange_at`."""
        return None if self._sent_ms is None else self._sent_ms / 1000

    @property
    def age_s(self) -> float | None:
        """How old it was when it came, in seconds; None without `exchange_at`, or while the clocks are not compared.

        The exchange's clock is not ours; the difference, as far as the client knows it, is taken out.
        """
        sent_s, receipt = self.sent_s, self.receipt
        if sent_s is None or receipt.ahead_s is None:
            return None
        return receipt.ns / 1e9 - receipt.ahead_s - sent_s

    @property
    def late(self) -> bool:
        """Whether it came later than it should; False where the age is not known."""
        age_s = self.age_s
        return age_s is not None and age_s > self.receipt.late_after_s


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


Event = Ticker | Depth | Trade | Kline


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
        started_at: Where it begins, on this machine's clock: when the last good push came, or, with `slow callback`,
            the first event that is missing.
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
