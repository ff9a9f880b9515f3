"""What the page is told.

Decided here: what is kept of what a client brings, how much of it, and how it is spelt. Not decided here: who may look
(`server`), and how it is drawn (`page/`). Every number is text, exactly as the exchange printed it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from threading import Lock
from typing import Any

from lbank_ws.channels import checked_pair
from lbank_ws.client import LBankClient
from lbank_ws.errors import LBankError
from lbank_ws.events import Depth, Gap, Kline, Level, Status, Ticker, Trade

LEVELS = 12
INTERVAL = "1min"
_TRADES, _BARS, _NOTES = 60, 600, 30


class View:
    """The newest of every pair, and how the client does. One lock guards it; any thread may ask.

    Args:
        client: Not started yet; callbacks for every pair are registered with it.
        pairs: Which, in the order in which the page shows them.
    """

    def __init__(self, client: LBankClient, pairs: Sequence[str]) -> None:
        self._client = client
        self.pairs = tuple(dict.fromkeys(checked_pair(pair) for pair in pairs))
        self._lock = Lock()
        self._count = 0
        self._tickers: dict[str, dict[str, Any]] = {}
        self._books: dict[str, dict[str, Any]] = {}
        self._trades: dict[str, deque[tuple[int, dict[str, Any]]]] = {
            pair: deque(maxlen=_TRADES) for pair in self.pairs
        }
        self._bars: dict[str, dict[int, tuple[int, dict[str, Any]]]] = {pair: {} for pair in self.pairs}
        self._came_s: dict[str, float] = {}
        self._ages_s: dict[str, float | None] = {}
        self._gaps: dict[str, dict[str, Any]] = {}
        self._notes: deque[dict[str, Any]] = deque(maxlen=_NOTES)
        client.on_ticker(*self.pairs)(self.ticker)
        client.on_depth(*self.pairs, levels=50)(self.book)
        client.on_trade(*self.pairs)(self.trade)
        client.on_kline(*self.pairs, interval=INTERVAL)(self.bar)
        client.on_status(self.status)
        client.on_gap(self.gap)
        client.on_error(self.fault)

    def ticker(self, ticker: Ticker) -> None:
        """Take a ticker."""
        with self._lock:
            self._tickers[ticker.pair] = {
                "last": _text(ticker.last),
                "change_pct": _text(ticker.change_pct),
                "high": _text(ticker.high),
                "low": _text(ticker.low),
                "volume": _text(ticker.volume),
            }
            self._came(ticker.pair, ticker.age_s)

    def book(self, depth: Depth) -> None:
        """Take a book; one with a fault is not shown."""
        if depth.fault is not None:
            return
        book = {"bids": _side(depth.bids), "asks": _side(depth.asks), "spread": _text(depth.spread)}
        with self._lock:
            self._books[depth.pair] = book
            self._came(depth.pair, depth.age_s)

    def trade(self, trade: Trade) -> None:
        """Take a trade."""
        at = trade.traded_at or trade.exchange_at or trade.received_at
        told = {"price": _text(trade.price), "amount": _text(trade.amount), "side": trade.side, "at": f"{at:%H:%M:%S}"}
        with self._lock:
            self._count += 1
            self._trades[trade.pair].append((self._count, told))

    def bar(self, bar: Kline) -> None:
        """Take a bar; a newer version replaces the one before, and one with a fault is not shown."""
        if bar.fault is not None:
            return
        opened_s = int(bar.opened_at.timestamp())
        told: dict[str, Any] = {"time": opened_s}
        told |= {name: _text(getattr(bar, name)) for name in ("open", "high", "low", "close", "volume")}
        with self._lock:
            self._count += 1
            bars = self._bars[bar.pair]
            bars[opened_s] = (self._count, told)
            if len(bars) > _BARS:
                del bars[min(bars)]

    def status(self, status: Status) -> None:
        """Take what happened to a line or a subscription."""
        about = f"line {status.line}" if status.topic is None else str(status.topic)
        cause = "" if status.cause is None else f": {status.cause}"
        outage = "" if status.outage_s is None else f" after {status.outage_s:.1f} s"
        self._note(f"{status.at:%H:%M:%S}", f"{about} {status.kind}{outage}{cause}")

    def gap(self, gap: Gap) -> None:
        """Take a hole, when it opens and when it closes."""
        key = f"{gap.topic} {gap.started_at.isoformat()}"
        with self._lock:
            self._gaps.pop(key, None)
            self._gaps[key] = {
                "topic": str(gap.topic),
                "from": f"{gap.started_at:%H:%M:%S}",
                "to": None if gap.ended_at is None else f"{gap.ended_at:%H:%M:%S}",
                "length_s": None if gap.ended_at is None else _seconds(gap.ended_at - gap.started_at),
                "cause": str(gap.cause),
                "filled": gap.filled,
                "missed": gap.missed,
            }
            while len(self._gaps) > _NOTES:
                del self._gaps[next(iter(self._gaps))]

    def fault(self, error: LBankError) -> None:
        """Take what went wrong."""
        self._note(time.strftime("%H:%M:%S", time.gmtime()), str(error))

    def news(self, since: int) -> tuple[int, dict[str, Any]]:
        """Give what is newer than a number, and the number to ask with next; 0 asks for everything that is kept."""
        lines, stats = self._client.lines(), self._client.stats()
        now_s = time.monotonic()
        with self._lock:
            pairs = {
                pair: {
                    "ticker": self._tickers.get(pair),
                    "book": self._books.get(pair),
                    "trades": [told for number, told in self._trades[pair] if number > since],
                    "bars": [told for _, (number, told) in sorted(self._bars[pair].items()) if number > since],
                    "quiet_s": None if pair not in self._came_s else round(now_s - self._came_s[pair], 3),
                    "age_s": self._ages_s.get(pair),
                    "states": {str(each.topic.channel): str(each.state) for each in stats if each.topic.pair == pair},
                }
                for pair in self.pairs
            }
            told = {
                "all": since == 0,
                "pairs": pairs,
                "lines": [
                    {"number": each.number, "state": str(each.state), "host": each.host, "losses": each.losses}
                    for each in lines
                ],
                "gaps": list(self._gaps.values())[::-1],
                "notes": list(self._notes)[::-1],
            }
            return self._count, told

    def _came(self, pair: str, age_s: float | None) -> None:
        self._came_s[pair] = time.monotonic()
        self._ages_s[pair] = None if age_s is None else round(age_s, 3)

    def _note(self, at: str, text: str) -> None:
        with self._lock:
            self._notes.append({"at": at, "text": text})


def _text(number: Decimal | None) -> str | None:
    return None if number is None else f"{number:f}"


def _side(levels: Sequence[Level]) -> list[list[str | None]]:
    return [[_text(level.price), _text(level.amount)] for level in levels[:LEVELS]]


def _seconds(length: timedelta) -> float:
    return round(length.total_seconds(), 1)
