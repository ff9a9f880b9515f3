"""A client that speaks the simple dialect of LBank's published guide.

Decided here: what this dialect answers. The guide shows `sub`, `unsub`, `id`, and a ticker push; the rest are the
assumptions that `frames.py` names, and these: an acknowledgement comes first, then a snapshot of ticker and depth;
topics are spelt exactly; what is refused is refused with `bad-symbol`, `bad-topic` or `bad-request`. What `op`
frames are answered is decided in `simple_orders.py`; without accounts they are a bad request.
"""

from __future__ import annotations

from typing import Any

from lbank_ws.sandbox import frames
from lbank_ws.sandbox.market import Book, Market, Tick, Trade
from lbank_ws.sandbox.simple_orders import SimpleOrders
from lbank_ws.sandbox.visitor import NotJson, Visitor, read_object

_CHANNELS = ("ticker", "depth", "trade")


class SimpleVisitor(Visitor):
    """A client on `/ws`."""

    dialect = "simple"

    def __init__(self, number: int, market: Market, **how: Any) -> None:
        super().__init__(number, market, **how)
        self._orders = SimpleOrders(self._desk, market) if self._desk is not None else None

    def received(self, text: str, at_ms: int) -> list[str]:
        """Give the answers to a text frame of the client."""
        try:
            said = read_object(text)
        except NotJson:
            return [frames.simple_error(None, "bad-request", "not a JSON object", at_ms)]
        if "sub" in said:
            return self._subscription(said, "sub", at_ms)
        if "unsub" in said:
            return self._subscription(said, "unsub", at_ms)
        if "ping" in said:
            return [frames.simple_pong(said["ping"])]
        if "pong" in said:
            self._ponged(said["pong"])
            return []
        answers = self._orders.received(said, at_ms) if self._orders is not None and "op" in said else None
        if answers is not None:
            return answers
        return [frames.simple_error(said.get("id"), "bad-request", "no sub, unsub, ping or pong", at_ms)]

    def _subscription(self, said: dict[str, Any], verb: str, at_ms: int) -> list[str]:
        topic, asked_id = str(said[verb]), said.get("id")
        market, _, rest = topic.partition(".")
        symbol, _, channel = rest.partition(".")
        if market != "market" or channel not in _CHANNELS:
            return [frames.simple_error(asked_id, "bad-topic", f"invalid topic {topic}", at_ms)]
        pair = next((pair for pair in self._market.pairs if pair.replace("_", "") == symbol), None)
        if pair is None:
            return [frames.simple_error(asked_id, "bad-symbol", f"invalid symbol {symbol}", at_ms)]
        ack = frames.simple_ack(asked_id, verb, topic, at_ms)
        if verb == "unsub":
            self._unsubscribe((channel, pair))
            return [ack]
        self._subscribe((channel, pair))
        if channel == "ticker":
            return [ack, self._tick_push(self._market.tick(pair), at_ms)]
        if channel == "depth":
            return [ack, self._depth_push(self._market.book(pair), "", at_ms)]
        return [ack]

    def _ping(self, now_ms: int) -> tuple[int, str]:
        return now_ms, frames.simple_ping(now_ms)

    def _tick_push(self, tick: Tick, at_ms: int) -> str:
        return frames.simple_ticker(_topic(tick.listing.pair, "ticker"), tick, at_ms)

    def _depth_push(self, book: Book, detail: int | str, at_ms: int) -> str:
        return frames.simple_depth(_topic(book.listing.pair, "depth"), book, at_ms)

    def _trade_push(self, trade: Trade) -> str:
        return frames.simple_trade(_topic(trade.listing.pair, "trade"), trade)


def _topic(pair: str, channel: str) -> str:
    return f"market.{pair.replace('_', '')}.{channel}"
