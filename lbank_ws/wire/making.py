"""Makes the events of pushes, quickly.

Events are filled slot by slot: the `__init__` of a frozen dataclass takes twice as long, and this is done for every
push. Moments stay numbers until they are looked at: `ms` is when it was sent, in milliseconds of Unix time, None where
it does not say.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from lbank_ws.events import Depth, MarketEvent, Receipt, Side, Ticker, Trade
from lbank_ws.wire.levels import Levels


def _setters(kind: type, *slots: str) -> list[Callable[[object, object], None]]:
    return [getattr(kind, slot).__set__ for slot in slots]


_new = object.__new__
_receipt, _raw, _sent_ms, _traded_ms = _setters(MarketEvent, "receipt", "raw", "_sent_ms", "_traded_ms")
_ticker_pair, _last, _high, _low, _volume, _turnover, _change_pct, _ticker_side = _setters(
    Ticker, "pair", "last", "high", "low", "volume", "turnover", "change_pct", "side"
)
_depth_pair, _bids, _asks, _levels, _node, _fault = _setters(Depth, "pair", "bids", "asks", "levels", "node", "fault")
_trade_pair, _price, _amount, _value, _trade_side, _order_type = _setters(
    Trade, "pair", "price", "amount", "value", "side", "order_type"
)


def ticker(
    pair: str,
    ms: float | None,
    receipt: Receipt,
    frame: str,
    last: Decimal,
    high: Decimal | None,
    low: Decimal | None,
    volume: Decimal | None,
    turnover: Decimal | None,
    change_pct: Decimal | None,
    side: Side | None,
) -> Ticker:
    """Make a ticker."""
    event = _new(Ticker)
    _ticker_pair(event, pair)
    _last(event, last)
    _high(event, high)
    _low(event, low)
    _volume(event, volume)
    _turnover(event, turnover)
    _change_pct(event, change_pct)
    _ticker_side(event, side)
    _sent_ms(event, ms)
    _receipt(event, receipt)
    _raw(event, frame)
    return event


def depth(
    pair: str,
    ms: float | None,
    receipt: Receipt,
    frame: str,
    bids: Levels,
    asks: Levels,
    levels: int | None,
    node: str | None,
) -> Depth:
    """Make a book."""
    event = _new(Depth)
    _depth_pair(event, pair)
    _bids(event, bids)
    _asks(event, asks)
    _levels(event, levels)
    _node(event, node)
    _fault(event, None)
    _sent_ms(event, ms)
    _receipt(event, receipt)
    _raw(event, frame)
    return event


def trade(
    pair: str,
    ms: float | None,
    receipt: Receipt,
    frame: str,
    price: Decimal,
    amount: Decimal,
    value: Decimal | None,
    direction: tuple[Side, str | None],
    traded_ms: float,
) -> Trade:
    """Make a trade."""
    event = _new(Trade)
    _trade_pair(event, pair)
    _price(event, price)
    _amount(event, amount)
    _value(event, value)
    _trade_side(event, direction[0])
    _order_type(event, direction[1])
    _traded_ms(event, traded_ms)
    _sent_ms(event, ms)
    _receipt(event, receipt)
    _raw(event, frame)
    return event
