"""The calls of the exchange's REST interface that need no key: clock, pairs and their rules, past trades and bars.

Decided here: what is asked, and what the rows of an answer mean. How a call is made is decided in `calling.py`; who
calls, and what happens after a failure, by neither. Reads of the past may be sent twice, when the connection breaks;
the others are not. Source: docs/reference/wire.md, "REST".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TypeVar

from lbank_ws.channels import checked_interval, checked_pair, is_pair
from lbank_ws.errors import RestFailed, UsageError
from lbank_ws.events import Kline, Receipt, Side, Trade
from lbank_ws.trading.calling import Caller
from lbank_ws.trading.ticket import PairRules
from lbank_ws.wire import values
from lbank_ws.wire.values import BadValueError

DEFAULT_URLS = ("https://api.lbkex.com", "https://api.lbank.info", "https://www.lbkex.net")

_TIMESTAMP = "/v2/timestamp.do"
_PAIRS = "/v2/currencyPairs.do"
_TRADES = "/v2/supplement/trades.do"
_KLINES = "/v2/kline.do"
_ACCURACY = "/v2/accuracy.do"
_STATUS = "/v2/supplement/system_status.do"
MOST_TRADES = 500
MOST_BARS = 2000
# Bars of a year are not to be had over REST. Source: docs/reference/wire.md, "REST".
BAR_TYPES = {
    "1min": "minute1",
    "5min": "minute5",
    "15min": "minute15",
    "30min": "minute30",
    "1hr": "hour1",
    "4hr": "hour4",
    "day": "day1",
    "week": "week1",
    "month": "month1",
}
_REPEATS = 2  # so often a read of the past is sent again when the connection breaks
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_COLUMNS = 6
_FIRST_MS = 100_000_000_000  # epoch seconds reach this in the year 5138
_Row = TypeVar("_Row")


class Rest(Caller):
    """Asks the exchange what everybody may know; see `Caller` for how. Used by one thread at a time."""

    def time_ms(self) -> int:
        """Give what the exchange's clock says, in epoch milliseconds.

        A first call takes a few round trips to connect, a second one takes one; so the second tells the time better.

        Raises:
            RestFailed: There was no answer, or a refusal.
        """
        answer = self.get(_TIMESTAMP).content
        if not isinstance(answer, int) or answer < _FIRST_MS:
            raise RestFailed(_TIMESTAMP, "the answer is no time in epoch milliseconds")
        return answer

    def pairs(self) -> frozenset[str]:
        """Give the pairs that the exchange lists; a name that is not spelt like a pair is left out.

        Raises:
            RestFailed: There was no answer, or a refusal.
        """
        answer = self.get(_PAIRS).content
        if not isinstance(answer, list):
            raise RestFailed(_PAIRS, "the answer is no list of pairs")
        return frozenset(pair for pair in answer if isinstance(pair, str) and is_pair(pair))

    def is_up(self) -> bool:
        """Tell whether the exchange says that it works; False while it is being maintained.

        Raises:
            RestFailed: There was no answer, or a refusal.
        """
        answer = self.post(_STATUS, {}).content
        status = answer.get("status") if isinstance(answer, dict) else None
        if status not in ("0", "1", 0, 1):
            raise RestFailed(_STATUS, "the answer is no status")
        return str(status) == "1"

    def rules(self, pair: str | None = None) -> dict[str, PairRules]:
        """Give by pair what its orders must keep to: places of price and amount, and the least that is taken.

        Args:
            pair: The only one to ask for; all when None.

        Raises:
            RestFailed: There was no answer, or a refusal.
            UsageError: The pair is not spelt like one.
        """
        asked = None if pair is None else {"symbol": checked_pair(pair)}
        answer = self.get(_ACCURACY, asked, repeats=_REPEATS).content
        return {each.pair: each for each in read_rows(_ACCURACY, answer, _rules)}

    def trades(self, pair: str, *, size: int = MOST_TRADES, after: datetime | None = None) -> list[Trade]:
        """Give trades of a pair in time order, with `source="backfill"`.

        Assumption: with `after` they are the first `size` that were made later than that. Who needs to know checks
        where the answer begins.

        Args:
            pair: For example `btc_usdt`.
            size: How many at most, 1 to 500.
            after: Trades made later than this; the newest when None.

        Raises:
            RestFailed: There was no answer, or a refusal.
            UsageError: The pair, the size or the moment cannot be used.
        """
        asked = {"symbol": checked_pair(pair), "size": _checked_size(size, MOST_TRADES)}
        if after is not None:
            asked["time"] = str((_aware(after) - _EPOCH) // timedelta(milliseconds=1))
        answer, sent_at, _ = self.get(_TRADES, asked, repeats=_REPEATS)
        receipt = Receipt(time.time_ns(), None)
        trades = read_rows(_TRADES, answer, lambda row: _trade(pair, row, sent_at, receipt))
        trades.sort(key=lambda trade: trade.traded_at or _EPOCH)
        return trades

    def klines(
        self, pair: str, interval: str, *, start_at: datetime, end_at: datetime | None = None, size: int = MOST_BARS
    ) -> list[Kline]:
        """Give bars of a pair in order, with `source="backfill"`; REST tells neither turnover nor number of trades.

        Args:
            pair: For example `btc_usdt`.
            interval: One of `INTERVALS`, bars of a year excepted.
            start_at: Bars that start here or later.
            end_at: Bars that start here or earlier; None for all that there are.
            size: How many at most, 1 to 2000.

        Raises:
            RestFailed: There was no answer, or a refusal.
            UsageError: The pair, the interval, the size or a moment cannot be used.
        """
        kind = BAR_TYPES.get(checked_interval(interval))
        if kind is None:
            raise UsageError(f"REST has no bars of {interval}; write one of: {', '.join(BAR_TYPES)}")
        until_at = None if end_at is None else _aware(end_at)
        asked = {
            "symbol": checked_pair(pair),
            "size": _checked_size(size, MOST_BARS),
            "type": kind,
            "time": str((_aware(start_at) - _EPOCH) // timedelta(seconds=1)),
        }
        answer, sent_at, _ = self.get(_KLINES, asked, repeats=_REPEATS)
        receipt = Receipt(time.time_ns(), None)
        bars = read_rows(_KLINES, answer, lambda row: _kline(pair, interval, row, sent_at, receipt))
        bars = [bar for bar in bars if start_at <= bar.opened_at and (until_at is None or bar.opened_at <= until_at)]
        bars.sort(key=lambda bar: bar.opened_at)
        return bars


def _checked_size(size: int, most: int) -> str:
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= most:
        raise UsageError(f"size is a whole number from 1 to {most}, not {size!r}")
    return str(size)


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise UsageError(f"{moment!r} has no time zone; write datetime(..., tzinfo=timezone.utc)")
    return moment


def read_rows(path: str, answer: object, read: Callable[[object], _Row]) -> list[_Row]:
    """Read every row of an answer."""
    try:
        return [read(row) for row in values.rows(answer, "the answer")]
    except BadValueError as bad:
        raise RestFailed(path, f"the answer cannot be read: {bad}") from None


def _rules(row: object) -> PairRules:
    """Read what orders of a pair must keep to; numbers come as text."""
    rules = values.mapping(row, "the rules of a pair")
    least: dict[str, Decimal | None] = {
        key: values.decimal_or_none(rules, key) for key in ("minTranQua", "minOrderAmount")
    }
    return PairRules(
        pair=values.pair_name(values.member(rules, "symbol")),
        price_places=values.whole(values.member(rules, "priceAccuracy"), "priceAccuracy"),
        amount_places=values.whole(values.member(rules, "quantityAccuracy"), "quantityAccuracy"),
        least_amount=least["minTranQua"] or Decimal(0),
        least_value=least["minOrderAmount"] or Decimal(0),
    )


def _trade(pair: str, row: object, sent_at: datetime | None, receipt: Receipt) -> Trade:
    """Read a past trade. The taker is the other side of a maker who buys."""
    trade = values.mapping(row, "a trade")
    is_buyer_maker = values.member(trade, "isBuyerMaker")
    if not isinstance(is_buyer_maker, bool):
        raise BadValueError("isBuyerMaker is neither true nor false")
    taker: Side = "sell" if is_buyer_maker else "buy"
    return Trade(
        pair=pair,
        price=values.positive(values.member(trade, "price"), "price"),
        amount=values.positive(values.member(trade, "qty"), "qty"),
        value=values.decimal_or_none(trade, "quoteQty"),
        side=taker,
        traded_at=values.epoch(values.member(trade, "time"), "time"),
        exchange_at=sent_at,
        receipt=receipt,
        source="backfill",
    )


def _kline(pair: str, interval: str, row: object, sent_at: datetime | None, receipt: Receipt) -> Kline:
    """Read a past bar."""
    cells = values.rows(row, "a bar")
    if len(cells) < _COLUMNS:
        raise BadValueError(f"a bar has {len(cells)} columns, not {_COLUMNS}")
    _, opened, high, low, close, volume, *_ = cells
    return Kline(
        pair=pair,
        interval=interval,
        opened_at=values.epoch(cells[0], "the time of a bar"),
        open=values.positive(opened, "open"),
        high=values.positive(high, "high"),
        low=values.positive(low, "low"),
        close=values.positive(close, "close"),
        volume=values.positive(volume, "volume"),
        exchange_at=sent_at,
        receipt=receipt,
        source="backfill",
    )
