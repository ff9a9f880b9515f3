"""The usual pushes of V2, read by msgspec: the extra `fast`.

It reads only what looks as usual in every way, and gives the very events that `v2.py` would; everything else is left
to that, errors among it. Source of the shapes: docs/reference/wire.md, "V2".
"""

from __future__ import annotations

from decimal import Decimal, DecimalException

import msgspec

from lbank_ws.events import Depth, Receipt, Ticker, Trade
from lbank_ws.wire import making, values
from lbank_ws.wire.levels import Levels

_SHORT = 1000  # characters; nothing but a book is longer

# A number is as yet what it was in JSON: what counts as one is decided in `values.py`. A fraction that is not zero is
# one: it is a `Decimal` that `values.fraction` has made.
_Value = object


class _Tick(msgspec.Struct):
    latest: _Value
    high: _Value = None
    low: _Value = None
    vol: _Value = None
    turnover: _Value = None
    change: _Value = None
    dir: _Value = None


class _Trade(msgspec.Struct):
    price: _Value
    volume: _Value
    direction: _Value
    TS: _Value
    amount: _Value = None


class _Sides(msgspec.Struct):
    asks: msgspec.Raw
    bids: msgspec.Raw


class _Push(msgspec.Struct):
    type: str
    pair: str
    TS: str
    tick: _Tick | None = None
    trade: _Trade | None = None
    depth: _Sides | None = None
    count: _Value = None  # of a book: its levels
    s: _Value = None  # of a book: its node


_decode = msgspec.json.Decoder(_Push, float_hook=values.fraction).decode
_ZERO = Decimal(0)


def read(frame: str, receipt: Receipt) -> Ticker | Trade | Depth | None:
    """Read a push of a ticker, a trade or a book; None for all else."""
    if not frame.isascii() or (len(frame) > _SHORT and '"depth":{' not in frame):
        return None
    try:
        push = _decode(frame)
        if push.type == "trade" and push.trade is not None:
            return _trade(push, push.trade, frame, receipt)
        if push.type == "tick" and push.tick is not None:
            return _ticker(push, push.tick, frame, receipt)
        if push.type == "depth" and push.depth is not None:
            return _depth(push, push.depth, frame, receipt)
    except (msgspec.MsgspecError, values.BadValueError, DecimalException, RecursionError):
        pass  # whoever reads it next says what is wrong
    return None


def _ticker(push: _Push, tick: _Tick, frame: str, receipt: Receipt) -> Ticker:
    last, high, low, volume, turnover, change = tick.latest, tick.high, tick.low, tick.vol, tick.turnover, tick.change
    figure = values.figure
    return making.ticker(
        values.pair_name(push.pair),
        values.utc8_ms(push.TS, "TS"),
        receipt,
        frame,
        last if type(last) is Decimal and last > _ZERO else values.price(last, "latest"),
        high if type(high) is Decimal and high else figure(high),
        low if type(low) is Decimal and low else figure(low),
        volume if type(volume) is Decimal and volume else figure(volume),
        turnover if type(turnover) is Decimal and turnover else figure(turnover),
        change if type(change) is Decimal and change else figure(change),
        values.side_or_none(tick.dir),
    )


def _trade(push: _Push, trade: _Trade, frame: str, receipt: Receipt) -> Trade:
    price, amount, value = trade.price, trade.volume, trade.amount
    return making.trade(
        values.pair_name(push.pair),
        values.utc8_ms(push.TS, "TS"),
        receipt,
        frame,
        price if type(price) is Decimal and price > _ZERO else values.price(price, "price"),
        amount if type(amount) is Decimal and amount > _ZERO else values.price(amount, "volume"),
        value if type(value) is Decimal and value else values.figure(value),
        values.direction(trade.direction),
        values.utc8_ms(trade.TS, "trade.TS"),
    )


def _depth(push: _Push, sides: _Sides, frame: str, receipt: Receipt) -> Depth | None:
    bids, asks = Levels.of_json(sides.bids, frame), Levels.of_json(sides.asks, frame)
    if bids is None or asks is None:
        return None
    return making.depth(
        values.pair_name(push.pair),
        values.utc8_ms(push.TS, "TS"),
        receipt,
        frame,
        bids,
        asks,
        None if push.count is None else values.whole(push.count, "count"),
        values.word(push.s),
    )
