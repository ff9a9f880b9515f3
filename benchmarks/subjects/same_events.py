"""The very events of this package, made by hand of what another parser has read.

`by_hand.py` makes as little as a user can do with. Here every field is filled that ours fill, and checked by the
constructors that every user may call; so what differs from ours is the reading, and the work that is done for a line.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from tally import Tally

from lbank_ws.events import LATE_AFTER_S, Depth, Receipt, Ticker, Trade
from lbank_ws.wire.levels import Levels
from subjects.by_hand import Reader


class EventReader(Reader):
    """Turns frames into events of this package, and calls back."""

    def frame(self, frame: str | bytes | memoryview) -> None:
        """Take a frame."""
        raw = frame if isinstance(frame, str) else str(frame, "utf-8")
        fields = self._loads(raw)
        callback = _CALLBACKS.get(fields.get("type"))
        if callback is not None:
            callback(self._tally, fields, raw)


def _ticker(tally: Tally, fields: dict[str, Any], raw: str) -> None:
    tick = fields["tick"]
    ticker = Ticker(
        pair=fields["pair"],
        last=Decimal(str(tick["latest"])),
        high=Decimal(str(tick["high"])),
        low=Decimal(str(tick["low"])),
        volume=Decimal(str(tick["vol"])),
        turnover=Decimal(str(tick["turnover"])),
        change_pct=Decimal(str(tick["change"])),
        side=tick["dir"],
        exchange_at=_moment(fields["TS"]),
        receipt=_receipt(),
        raw=raw,
    )
    tally.tick(ticker.last)


def _trade(tally: Tally, fields: dict[str, Any], raw: str) -> None:
    made = fields["trade"]
    side, _, order_type = made["direction"].partition("_")
    trade = Trade(
        pair=fields["pair"],
        price=Decimal(str(made["price"])),
        amount=Decimal(str(made["volume"])),
        value=Decimal(str(made["amount"])),
        side=side,
        order_type=order_type or None,
        traded_at=_moment(made["TS"]),
        exchange_at=_moment(fields["TS"]),
        receipt=_receipt(),
        raw=raw,
    )
    tally.trade(trade.price)


def _depth(tally: Tally, fields: dict[str, Any], raw: str) -> None:
    book = fields["depth"]
    depth = Depth(
        pair=fields["pair"],
        bids=Levels(book["bids"], raw),
        asks=Levels(book["asks"], raw),
        levels=fields["count"],
        node=fields.get("s"),
        exchange_at=_moment(fields["TS"]),
        receipt=_receipt(),
        raw=raw,
    )
    bid, ask = depth.best_bid, depth.best_ask
    if bid and ask:
        tally.depth(bid.price, ask.price)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text + "+08:00")


def _receipt() -> Receipt:
    return Receipt(time.time_ns(), 0.0, LATE_AFTER_S)


_CALLBACKS: dict[str, Callable[[Tally, dict[str, Any], str], None]] = {
    "tick": _ticker,
    "trade": _trade,
    "depth": _depth,
}
