"""The typed events that a user of a bare library makes, with the fields of this package's own.

Prices and amounts are `Decimal` with the digits that were printed, the moment is aware. The levels of a book stay as
they were parsed and only the best become numbers, as with this package, whose levels become numbers when looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from tally import Tally


class Ticker:
    """The last price and 24 hours."""

    __slots__ = ("at", "change_pct", "high", "last", "low", "pair", "side", "turnover", "volume")

    def __init__(self, fields: dict[str, Any]) -> None:
        tick = fields["tick"]
        self.pair: str = fields["pair"]
        self.last = Decimal(str(tick["latest"]))
        self.high = Decimal(str(tick["high"]))
        self.low = Decimal(str(tick["low"]))
        self.volume = Decimal(str(tick["vol"]))
        self.turnover = Decimal(str(tick["turnover"]))
        self.change_pct = Decimal(str(tick["change"]))
        self.side: str = tick["dir"]
        self.at = datetime.fromisoformat(fields["TS"] + "+08:00")


class Trade:
    """One deal."""

    __slots__ = ("amount", "at", "order_type", "pair", "price", "side", "traded_at", "value")

    def __init__(self, fields: dict[str, Any]) -> None:
        trade = fields["trade"]
        self.pair: str = fields["pair"]
        self.price = Decimal(str(trade["price"]))
        self.amount = Decimal(str(trade["volume"]))
        self.value = Decimal(str(trade["amount"]))
        self.side, _, self.order_type = trade["direction"].partition("_")
        self.traded_at = datetime.fromisoformat(trade["TS"] + "+08:00")
        self.at = datetime.fromisoformat(fields["TS"] + "+08:00")


class Depth:
    """A book; a level becomes numbers when it is looked at."""

    __slots__ = ("asks", "at", "bids", "pair")

    def __init__(self, fields: dict[str, Any]) -> None:
        book = fields["depth"]
        self.pair: str = fields["pair"]
        self.bids: list[list[str]] = book["bids"]
        self.asks: list[list[str]] = book["asks"]
        self.at = datetime.fromisoformat(fields["TS"] + "+08:00")

    @property
    def best_bid(self) -> tuple[Decimal, Decimal]:
        """Price and amount."""
        price, amount = self.bids[0]
        return Decimal(price), Decimal(amount)

    @property
    def best_ask(self) -> tuple[Decimal, Decimal]:
        """Price and amount."""
        price, amount = self.asks[0]
        return Decimal(price), Decimal(amount)


class Reader:
    """Turns frames into events, and calls back.

    Args:
        tally: What the callbacks tell.
        loads: What parses JSON.
    """

    def __init__(self, tally: Tally, loads: Callable[[Any], Any]) -> None:
        self._tally, self._loads = tally, loads
        self._callbacks: dict[str, Callable[[dict[str, Any]], None]] = {
            "tick": lambda fields: self.on_ticker(Ticker(fields)),
            "trade": lambda fields: self.on_trade(Trade(fields)),
            "depth": lambda fields: self.on_depth(Depth(fields)),
        }

    def frame(self, frame: str | bytes | memoryview) -> None:
        """Take a frame."""
        fields = self._loads(frame)
        callback = self._callbacks.get(fields.get("type"))
        if callback is not None:
            callback(fields)

    def on_ticker(self, ticker: Ticker) -> None:
        """Take a ticker."""
        self._tally.tick(ticker.last)

    def on_trade(self, trade: Trade) -> None:
        """Take a trade."""
        self._tally.trade(trade.price)

    def on_depth(self, depth: Depth) -> None:
        """Take a book."""
        self._tally.depth(depth.best_bid[0], depth.best_ask[0])


def moment(ms: int) -> datetime:
    """Give a moment of the exchanges that count milliseconds."""
    return datetime.fromtimestamp(ms / 1000, timezone.utc)


class OtherTicker(Ticker):
    """The same of Bybit or Binance, by the names of its fields."""

    __slots__ = ()

    def __init__(self, fields: dict[str, Any], names: tuple[str, ...], ms: int) -> None:
        numbers = [Decimal(fields[name]) for name in names]
        self.pair, self.side, self.at = "btc_usdt", "", moment(ms)
        self.last, self.high, self.low, self.volume, self.turnover, self.change_pct = numbers


class OtherTrade(Trade):
    """The same of Bybit or Binance."""

    __slots__ = ()

    def __init__(self, price: str, amount: str, side: str, ms: int, traded_ms: int) -> None:
        self.pair, self.side, self.order_type = "btc_usdt", side, ""
        self.price, self.amount = Decimal(price), Decimal(amount)
        self.value = self.price * self.amount
        self.at, self.traded_at = moment(ms), moment(traded_ms)


class OtherDepth(Depth):
    """The same of Bybit or Binance."""

    __slots__ = ()

    def __init__(self, bids: list[list[str]], asks: list[list[str]], ms: int) -> None:
        self.pair, self.bids, self.asks, self.at = "btc_usdt", bids, asks, moment(ms)
