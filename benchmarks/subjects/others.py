"""Libraries that know exchanges, on the generator in place of their exchange.

ccxt.pro and cryptofeed make events of their own; the other two hand out dictionaries, and events are made by hand.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from subjects import Feed
from subjects.by_hand import OtherDepth, OtherTicker, OtherTrade

_BYBIT_TICKER = ("lastPrice", "highPrice24h", "lowPrice24h", "volume24h", "turnover24h", "price24hPcnt")
_BINANCE_TICKER = ("c", "h", "l", "v", "q", "P")


def with_ccxt(feed: Feed) -> None:
    """Watch with ccxt.pro.

    Counted is what its handlers have parsed into its caches. Its users see less: `watch_ticker` and `watch_order_book`
    give the newest state when several messages came with one read.
    """
    asyncio.run(_ccxt(feed))


async def _ccxt(feed: Feed) -> None:
    import ccxt.pro

    tally = feed.tally

    class Exchange(ccxt.pro.lbank):  # type: ignore[misc]  # it has no types
        def handle_ticker(self, client: Any, message: Any) -> None:
            super().handle_ticker(client, message)
            tally.tick(self.tickers["BTC/USDT"]["last"])

        def handle_trades(self, client: Any, message: Any) -> None:
            super().handle_trades(client, message)
            tally.trade(self.trades["BTC/USDT"][-1]["price"])

        def handle_order_book(self, client: Any, message: Any) -> None:
            super().handle_order_book(client, message)
            book = self.orderbooks["BTC/USDT"]
            tally.depth(book["bids"][0][0], book["asks"][0][0])

    urls = {"api": {"rest": "http://127.0.0.1:9", "contract": "http://127.0.0.1:9", "ws": f"{feed.url}/ws/V2/"}}
    exchange = Exchange({"urls": urls, "cafile": feed.ca_file, "options": {"tradesLimit": 1000}})
    market = exchange.safe_market("btc_usdt", None, "_")
    spot = {**market, "id": "btc_usdt", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "type": "spot"}
    spot |= {"spot": True, "swap": False, "contract": False, "baseId": "btc", "quoteId": "usdt", "active": True}
    exchange.set_markets([spot])

    async def watch(call: Any, *arguments: Any) -> None:
        while True:
            await call("BTC/USDT", *arguments)

    calls = {
        "tick": (exchange.watch_ticker,),
        "trade": (exchange.watch_trades,),
        "depth": (exchange.watch_order_book, 100),
    }
    await asyncio.gather(*(watch(*calls[kind]) for kind in feed.kinds))


def with_pybit(feed: Feed) -> None:
    """Listen with Bybit's own library."""
    from pybit import unified_trading

    tally = feed.tally

    def on_ticker(told: dict[str, Any]) -> None:
        tally.tick(OtherTicker(told["data"], _BYBIT_TICKER, told["ts"]).last)

    def on_trade(told: dict[str, Any]) -> None:
        for each in told["data"]:
            tally.trade(OtherTrade(each["p"], each["v"], each["S"], told["ts"], each["T"]).price)

    def on_depth(told: dict[str, Any]) -> None:
        depth = OtherDepth(told["data"]["b"], told["data"]["a"], told["ts"])
        tally.depth(depth.best_bid[0], depth.best_ask[0])

    os.environ["WEBSOCKET_CLIENT_CA_BUNDLE"] = feed.ca_file
    unified_trading.PUBLIC_WSS = feed.url + "/v5/public/{CHANNEL_TYPE}"
    line = unified_trading.WebSocket("spot", testnet=False)
    if "tick" in feed.kinds:
        line.ticker_stream("BTCUSDT", on_ticker)
    if "trade" in feed.kinds:
        line.trade_stream("BTCUSDT", on_trade)
    if "depth" in feed.kinds:
        line.orderbook_stream(200, "BTCUSDT", on_depth)
    feed.tally.is_over.wait()


def with_cryptofeed(feed: Feed) -> None:
    """Listen with cryptofeed's Bybit."""
    from cryptofeed import FeedHandler
    from cryptofeed.connection import WebsocketEndpoint
    from cryptofeed.defines import L2_BOOK, TICKER, TRADES
    from cryptofeed.exchanges import Bybit
    from cryptofeed.symbols import Symbols

    tally, asset = feed.tally, "BTC-USDT-PERP"

    async def on_ticker(ticker: Any, _received_at: float) -> None:
        tally.tick(ticker.bid)

    async def on_trade(trade: Any, _received_at: float) -> None:
        tally.trade(trade.price)

    async def on_depth(book: Any, _received_at: float) -> None:
        tally.depth(book.book.bids.index(0)[0], book.book.asks.index(0)[0])

    os.environ["SSL_CERT_FILE"] = feed.ca_file
    Symbols.set(Bybit.id, {asset: "BTCUSDT"}, {"instrument_type": {asset: "perpetual"}})
    old = Bybit.websocket_endpoints[0]
    address = f"{feed.url}/v5/public/linear"
    Bybit.websocket_endpoints = [
        WebsocketEndpoint(address, channel_filter=old.channel_filter, options={"compression": None})
    ]
    channels = {"tick": (TICKER, on_ticker), "trade": (TRADES, on_trade), "depth": (L2_BOOK, on_depth)}
    wanted = dict(channels[kind] for kind in feed.kinds)
    handler = FeedHandler({"log": {"disabled": True}, "uvloop": False})
    handler.add_feed(Bybit(symbols=[asset], channels=list(wanted), callbacks=wanted))
    handler.run(install_signal_handlers=False)


def with_python_binance(feed: Feed) -> None:
    """Listen with python-binance; its queue is made long, for it drops what is over 100."""
    asyncio.run(_python_binance(feed))


async def _python_binance(feed: Feed) -> None:
    from binance import AsyncClient, BinanceSocketManager

    tally, streams = feed.tally, {"tick": "ticker", "trade": "trade", "depth": "depth100"}
    os.environ["SSL_CERT_FILE"] = feed.ca_file
    manager = BinanceSocketManager(AsyncClient(), max_queue_size=10_000_000)
    manager.STREAM_URL = feed.url + "/"
    async with manager.multiplex_socket([f"btcusdt@{streams[kind]}" for kind in feed.kinds]) as line:
        while True:
            told = await line.recv()
            fields, stream = told["data"], told["stream"]
            if stream == "btcusdt@ticker":
                tally.tick(OtherTicker(fields, _BINANCE_TICKER, fields["E"]).last)
            elif stream == "btcusdt@trade":
                trade = OtherTrade(fields["p"], fields["q"], "sell" if fields["m"] else "buy", fields["E"], fields["T"])
                tally.trade(trade.price)
            else:
                depth = OtherDepth(fields["bids"], fields["asks"], fields["E"])
                tally.depth(depth.best_bid[0], depth.best_ask[0])
