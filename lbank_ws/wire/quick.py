"""The usual pushes of V2, read by msgspec: the extra `fast`.

It reads only what looks as usual in every way, and gives the very events that `v2.py` would; everything else is left
to that, errors among it. Source of the shapes: docs/reference/wire.md, "V2".
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import msgspec

from lbank_ws.events import Depth, Receipt, Ticker, Trade
from lbank_ws.wire import making, values
from lbank_ws.wire.levels import Levels

_SHORT = 1000  # characters; nothing but a book is longer

# A number is as yet what it was in JSON, a fraction a `Decimal`: what counts as one is decided in `values.py`.
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


_decode = msgspec.json.Decoder(_Push, float_hook=Decimal).decode


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
    except (msgspec.MsgspecError, values.BadValueError, InvalidOperation, RecursionError):
        pass  # whoever reads it next says what is wrong
    return None


def _ticker(push: _Push, tick: _Tick, frame: str, receipt: Receipt) -> Ticker:
    figure = values.figure
    return making.ticker(
        values.pair_name(push.pair),
        values.utc8_ms(push.TS, "TS"),
        receipt,
        frame,
        values.price(tick.latest, "latest"),
        figure(tick.high),
        figure(tick.low),
        figure(tick.vol),
        figure(tick.turnover),
        figure(tick.change),
        values.side_or_none(tick.dir),
    )


def _trade(push: _Push, trade: _Trade, frame: str, receipt: Receipt) -> Trade:
    return making.trade(
        values.pair_name(push.pair),
        values.utc8_ms(push.TS, "TS"),
        receipt,
        frame,
        values.price(trade.price, "price"),
        values.price(trade.volume, "volume"),
        values.figure(trade.amount),
        values.direction(trade.direction),
        values.utc8_ms(trade.TS, "trade.TS"),
    )


def _depth(push: _Push, sides: _Sides, frame: str, receipt: Receipt) -> Depth | None:
    bids, asks = str(sides.bids, "ascii"), str(sides.asks, "ascii")
    if not bids.startswith("[[") or not asks.startswith("[["):
        return None
    return making.depth(
        values.pair_name(push.pair),
        values.utc8_ms(push.TS, "TS"),
        receipt,
        frame,
        Levels(bids, frame),
        Levels(asks, frame),
        None if push.count is None else values.whole(push.count, "count"),
        values.word(push.s),
    )
