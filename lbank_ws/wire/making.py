"""Makes the events of pushes, quickly.

The `__init__` of a frozen dataclass takes many times as long as what is done here, for every push: an event is filled
as an object of a twin of its class that is not frozen, and becomes one of its class then. Moments stay numbers until
they are looked at: `ms` is when it was sent, in milliseconds of Unix time, None where it does not say.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from lbank_ws.events import Depth, Receipt, Side, Ticker, Trade
from lbank_ws.wire.levels import Levels


def _twin(kind: type) -> type:
    """Give a class whose objects have the same slots, and can be changed."""
    # Both of these, or none is as quick as those of an object.
    thawed = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    return type(f"{kind.__name__}Twin", kind.__bases__, {"__slots__": kind.__dict__["__slots__"], **thawed})


_new = object.__new__
_TICKER, _DEPTH, _TRADE = _twin(Ticker), _twin(Depth), _twin(Trade)


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
    event: Any = _new(_TICKER)
    event.pair = pair
    event._sent_ms = ms
    event.receipt = receipt
    event.raw = frame
    event.last = last
    event.high = high
    event.low = low
    event.volume = volume
    event.turnover = turnover
    event.change_pct = change_pct
    event.side = side
    event.__class__ = Ticker
    made: Ticker = event
    return made


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
    event: Any = _new(_DEPTH)
    event.pair = pair
    event._sent_ms = ms
    event.receipt = receipt
    event.raw = frame
    event.bids = bids
    event.asks = asks
    event.levels = levels
    event.node = node
    event.fault = None
    event.__class__ = Depth
    made: Depth = event
    return made


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
    event: Any = _new(_TRADE)
    event.pair = pair
    event._sent_ms = ms
    event.receipt = receipt
    event.raw = frame
    event.price = price
    event.amount = amount
    event.value = value
    event.side, event.order_type = direction
    event._traded_ms = traded_ms
    event.__class__ = Trade
    made: Trade = event
    return made
