"""This library, as its README shows it; nothing is merged away, so that every message counts."""

from __future__ import annotations

import os
import sys

if os.environ.get("LBANK_WS_FAST") == "0":
    sys.modules["msgspec"] = None  # type: ignore[assignment]  # as if the extra `fast` were not installed

from lbank_ws import LBankClient
from lbank_ws.events import Depth, Ticker, Trade
from subjects import Feed

CALLBACKS = {"tick": "ticker", "trade": "trade", "depth": "depth"}


def listen(feed: Feed) -> None:
    """Run one client; books have a line of their own, as always."""
    tally = feed.tally
    client = LBankClient(
        url=feed.url,
        ca_file=feed.ca_file if feed.is_tls else None,
        policies={"ticker": "keep", "depth": "keep"},
        queue_events=10_000_000,
    )

    def on_ticker(ticker: Ticker) -> None:
        tally.tick(ticker.last)

    def on_trade(trade: Trade) -> None:
        tally.trade(trade.price)

    def on_depth(depth: Depth) -> None:
        bid, ask = depth.best_bid, depth.best_ask
        if bid and ask:
            tally.depth(bid.price, ask.price)

    if "tick" in feed.kinds:
        client.on_ticker("btc_usdt")(on_ticker)
    if "trade" in feed.kinds:
        client.on_trade("btc_usdt")(on_trade)
    if "depth" in feed.kinds:
        client.on_depth("btc_usdt", levels=100)(on_depth)
    client.run()
