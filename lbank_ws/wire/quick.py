"""The short pushes of V2, read by msgspec: the extra `fast`.

It reads only what looks as usual in every way, and gives the very events that `v2.py` would; everything else is left
to that, errors among it. Source of the shapes: docs/reference/wire.md, "V2".
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import msgspec

from lbank_ws.events import Receipt, Ticker, Trade
from lbank_ws.wire import making, values

_MOST = 1000  # characters; as long as a number may be
_WORDS = 3  # type, pair and TS


class _Tick(msgspec.Struct):
    latest: Decimal
    high: Decimal | None = None
    low: Decimal | None = None
    vol: Decimal | None = None
    turnover: Decimal | None = None
    change: Decimal | None = None
    dir: str | None = None


class _Trade(msgspec.Struct):
    price: Decimal
    volume: Decimal
    direction: str
    TS: str
    amount: Decimal | None = None


class _Push(msgspec.Struct):
    type: str
    pair: str
    TS: str
    SERVER: str | None = None
    tick: _Tick | None = None
    trade: _Trade | None = None


_decode = msgspec.json.Decoder(_Push).decode


def read(frame: str, receipt: Receipt) -> Ticker | Trade | None:
    """Read a push of a ticker or a trade; None for all else."""
    if len(frame) > _MOST or not frame.isascii():
        return None
    try:
        push = _decode(frame)
        # A number in quotes is a word more than there should be. msgspec takes ` 1_0 ` for a number, and we do not.
        words = _WORDS + (push.SERVER is not None)
        if push.type == "tick" and push.tick is not None and push.trade is None:
            return _ticker(push, push.tick, frame, receipt, words)
        if push.type == "trade" and push.trade is not None and push.tick is None:
            return _trade(push, push.trade, frame, receipt, words)
    except (msgspec.MsgspecError, values.BadValueError, InvalidOperation, RecursionError):
        pass  # whoever reads it next says what is wrong
    return None


def _sent(push: _Push, frame: str, receipt: Receipt) -> making.Sent:
    return making.Sent(values.pair_name(push.pair), values.utc8_ms(push.TS, "TS"), receipt, frame)


def _ticker(push: _Push, tick: _Tick, frame: str, receipt: Receipt, words: int) -> Ticker | None:
    if frame.count('":"') != words + (tick.dir is not None):
        return None
    return making.ticker(
        _sent(push, frame, receipt),
        values.price(tick.latest, "latest"),
        values.figure(tick.high),
        values.figure(tick.low),
        values.figure(tick.vol),
        values.figure(tick.turnover),
        values.figure(tick.change),
        values.side_or_none(tick.dir),
    )


def _trade(push: _Push, trade: _Trade, frame: str, receipt: Receipt, words: int) -> Trade | None:
    if frame.count('":"') != words + 2:
        return None
    return making.trade(
        _sent(push, frame, receipt),
        values.price(trade.price, "price"),
        values.price(trade.volume, "volume"),
        values.figure(trade.amount),
        values.direction(trade.direction),
        values.utc8_ms(trade.TS, "trade.TS"),
    )
