"""A client that speaks V2, the dialect of all known clients of LBank.

Decided here: what V2 answers. Known from captures: no acknowledgement; an error names no request and leaves the
connection open; an unknown channel gets silence; the server writes pairs in lower case; levels that are zero or less
get an empty book; a depth snapshot comes right after the subscription.

Assumptions of the box, because no source tells: tick and kbar bring a snapshot too; subscribing once more brings it
once more; two depths of one pair are two subscriptions; what is left out is named as `Missing parameter [...]` and
what is not understood as `Invalid parameter [...]` on every channel, not on kbar alone; a frame that is no JSON object
gets `Invalid type`; without `size`, bars are the newest one, or all within `start` and `end`. The private
channels are decided in `private.py`; without accounts they are unknown channels.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any

from lbank_ws.sandbox import frames
from lbank_ws.sandbox.bars import EPOCH, INTERVALS, UTC8
from lbank_ws.sandbox.market import Book, Happening, Klines, Market, Tick, Trade
from lbank_ws.sandbox.private import BAD_KEY, EVERY_PAIR, PrivateStream
from lbank_ws.sandbox.private import CHANNELS as PRIVATE_CHANNELS
from lbank_ws.sandbox.visitor import NotJson, Visitor, read_object

MOST_BARS = 1440  # LBank's text of 2018

_CHANNELS = {"tick": "ticker", "depth": "depth", "trade": "trade", "kbar": "kline"}
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?)?(?P<utc>Z)?", re.ASCII)


class Objection(Exception):
    """What V2 says to a client that asks for something it cannot have."""


class V2Visitor(Visitor):
    """A client on `/ws/V2/`."""

    dialect = "v2"

    def __init__(self, number: int, market: Market, **how: Any) -> None:
        super().__init__(number, market, **how)
        self._private = PrivateStream(self._desk) if self._desk is not None else None

    @property
    def subscriptions(self) -> frozenset[str]:
        """What it is subscribed to, private channels too: `orderUpdate/all`, `assetUpdate`."""
        private = self._private.subscriptions if self._private is not None else frozenset()
        return super().subscriptions | private

    def received(self, text: str, at_ms: int) -> list[str]:
        """Give the answers to a text frame of the client."""
        try:
            said = read_object(text)
            action = _needed(said, "action")
            if action in ("subscribe", "unsubscribe"):
                return self._subscription(said, at_ms, wanted=action == "subscribe")
            if action == "request":
                return self._request(said, at_ms)
        except NotJson:
            return [frames.v2_error("Invalid type", at_ms)]
        except Objection as objection:
            return [frames.v2_error(str(objection), at_ms)]
        if action == "ping" and "ping" in said:
            return [frames.v2_pong(said["ping"])]
        if action == "pong":
            self._ponged(said.get("pong"))
        return []

    def _subscription(self, said: dict[str, Any], at_ms: int, *, wanted: bool) -> list[str]:
        channel = _needed(said, "subscribe")
        if self._private is not None and channel in PRIVATE_CHANNELS:
            return self._private_subscription(self._private, said, at_ms, wanted=wanted)
        if channel not in _CHANNELS:
            return []
        pair = self._pair(said)
        detail: int | str = ""
        if channel == "depth":
            detail = _whole(said, "depth")
        elif channel == "kbar":
            detail = _interval(said)
        if not wanted:
            self._unsubscribe((_CHANNELS[channel], pair), detail)
            return []
        self._subscribe((_CHANNELS[channel], pair), detail)
        if channel == "tick":
            return [frames.v2_tick(self._market.tick(pair), at_ms)]
        if isinstance(detail, int):
            return [self._depth_push(self._market.book(pair), detail, at_ms)]
        if channel == "kbar":
            return [frames.v2_kbar(self._market.listing(pair), detail, self._market.bar(pair, detail), at_ms)]
        return []

    def _private_subscription(
        self, private: PrivateStream, said: dict[str, Any], at_ms: int, *, wanted: bool
    ) -> list[str]:
        """Subscribe to orders or balances; a key that opens nothing is objected to."""
        channel = said["subscribe"]
        pair = EVERY_PAIR
        if channel == "orderUpdate" and str(_needed(said, "pair")).lower() != EVERY_PAIR:
            pair = self._pair(said)
        key = str(_needed(said, "subscribeKey"))
        if not private.is_live(key, at_ms):
            raise Objection(BAD_KEY)
        if wanted:
            private.subscribe(channel, pair, key)
        else:
            private.unsubscribe(channel, pair)
        return []

    def _request(self, said: dict[str, Any], at_ms: int) -> list[str]:
        channel = _needed(said, "request")
        if channel not in _CHANNELS:
            return []
        pair = self._pair(said)
        if channel == "tick":
            return [frames.v2_tick(self._market.tick(pair), at_ms)]
        if channel == "depth":
            return [frames.v2_depth_reply(self._market.book(pair), _whole(said, "depth"), at_ms)]
        listing = self._market.listing(pair)
        if channel == "trade":
            size = _whole(said, "size")
            trades = self._market.trades(pair)[-size:] if size > 0 else []
            return [frames.v2_trades_reply(listing, trades, size, at_ms)]
        interval = _interval(said)
        start_ms, end_ms = _moment(said, "start"), _moment(said, "end")
        bars = [
            bar
            for bar in self._market.bars(pair, interval)
            if (start_ms is None or bar.start_ms >= start_ms) and (end_ms is None or bar.start_ms <= end_ms)
        ]
        if "size" in said:
            size = max(0, min(_whole(said, "size"), MOST_BARS))
        else:
            size = 1 if start_ms is end_ms is None else MOST_BARS
        bars = bars[:size] if start_ms is not None else bars[len(bars) - min(size, len(bars)) :]
        return [frames.v2_kbar_reply(listing, interval, bars, at_ms)]

    def _pair(self, said: dict[str, Any]) -> str:
        pair = str(_needed(said, "pair")).lower()
        if pair not in self._market.pairs:
            raise Objection(f"Invalid order pairs:[{pair}],remoteIp is: [{self._remote_ip}]")
        return pair

    def _ping(self, now_ms: int) -> tuple[str, str]:
        # Ids measured in 2026 have room for 13 characters; those of 2022 to 2024 were UUIDs.
        asked = f"{self.number:05x}{self._pings:08x}"
        return asked, frames.v2_ping(asked)

    def _tick_push(self, tick: Tick, at_ms: int) -> str:
        return frames.v2_tick(tick, at_ms)

    def _depth_push(self, book: Book, detail: int | str, at_ms: int) -> str:
        return frames.v2_depth(book, int(detail), self._node, at_ms)

    def _trade_push(self, trade: Trade) -> str:
        return frames.v2_trade(trade)

    def _private_pushes(self, happening: Happening) -> list[str]:
        return self._private.frames(happening) if self._private is not None else []

    def _kline_pushes(self, klines: Klines, intervals: dict[int | str, None]) -> list[str]:
        return [
            frames.v2_kbar(klines.listing, interval, bar, klines.at_ms)
            for interval, bar in klines.bars
            if interval in intervals
        ]


def _needed(said: dict[str, Any], key: str) -> Any:
    """Give a parameter, or object that it is missing. Lists and objects come back as text: no parameter is one."""
    if key not in said:
        raise Objection(f"Missing parameter ['{key}']")
    value = said[key]
    return str(value) if isinstance(value, list | dict) else value


def _whole(said: dict[str, Any], key: str) -> int:
    """Give a whole number, which may be spelt as text."""
    value = _needed(said, key)
    if isinstance(value, bool) or not _WHOLE.fullmatch(str(value)):
        raise Objection(f"Invalid parameter ['{key}']")
    return int(value)


def _interval(said: dict[str, Any]) -> str:
    interval = str(_needed(said, "kbar"))
    if interval not in INTERVALS:
        raise Objection("Invalid parameter ['kbar']")
    return interval


def _moment(said: dict[str, Any], key: str) -> int | None:
    """Give a time in UTC epoch ms: epoch seconds, or ISO, on the UTC+8 clock unless it ends in Z."""
    if key not in said:
        return None
    written = str(said[key])
    if _WHOLE.fullmatch(written):
        return int(written) * 1000
    if (found := _ISO.fullmatch(written)) is None:
        raise Objection(f"Invalid parameter ['{key}']")
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    try:
        at = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc if found["utc"] else UTC8)
    except ValueError:
        raise Objection(f"Invalid parameter ['{key}']") from None
    return (at - EPOCH) // timedelta(seconds=1) * 1000
