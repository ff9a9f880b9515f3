"""What the public addresses of the REST interface answer: market data, and whether the exchange is up.

Decided here: parameters and what stands under `data`. Known from LBank's documentation and captures: which values are
text and which are numbers, and that symbols are lower case. Assumptions of the box: what is left out is 10001 and what
is not understood is 10003; trades come in time order; `kline` gives the first `size` bars from `time` on. The bars
`hour8` and `hour12` are documented, but were seen refused, and are refused here. Every asset can be withdrawn over one
chain that has its name and costs nothing, and there are no perpetuals: ccxt asks for both before anything else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lbank_ws.sandbox.desk import least_value
from lbank_ws.sandbox.frames import number, plain
from lbank_ws.sandbox.listings import Listing
from lbank_ws.sandbox.market import Market, Trade
from lbank_ws.sandbox.refusals import Refusal
from lbank_ws.sandbox.rest_text import Number

MOST_LEVELS = 200
MOST_BARS = 2000
MOST_TRADES = 500
MOST_OLD_TRADES = 600  # a 601 was seen refused
BAR_TYPES = {
    "minute1": "1min",
    "minute5": "5min",
    "minute15": "15min",
    "minute30": "30min",
    "hour1": "1hr",
    "hour4": "4hr",
    "day1": "day",
    "week1": "week",
    "month1": "month",
}

_WHOLE = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True)
class PublicRequest:
    """What a public address is asked.

    Attributes:
        asked: The parameters.
        market: What is asked about.
        now_ms: The market's clock, in UTC epoch ms.
        clock_ms: The exchange's clock, which signatures go by; another one only where the market is not played in
            real time.
    """

    asked: Mapping[str, str]
    market: Market
    now_ms: int
    clock_ms: int


def timestamp(request: PublicRequest) -> object:
    """The time by which signed requests are judged."""
    return request.clock_ms


def currency_pairs(request: PublicRequest) -> object:
    """What is listed."""
    return list(request.market.pairs)


def accuracy(request: PublicRequest) -> object:
    """The grids of one pair or all."""
    return [
        {
            "symbol": listing.pair,
            "quantityAccuracy": str(listing.amount_places),
            "minTranQua": plain(1, listing.amount_places),
            "priceAccuracy": str(listing.price_places),
            "minOrderAmount": f"{least_value(listing):f}",
        }
        for listing in _listings(request)
    ]


def depth(request: PublicRequest) -> object:
    """The book, best levels first, as text."""
    book = request.market.book(pair_of(request.asked, request.market))
    levels = whole(request.asked, "size", most=MOST_LEVELS)
    price_places, amount_places = book.listing.price_places, book.listing.amount_places
    asks, bids = (
        [[plain(price, price_places), plain(amount, amount_places)] for price, amount in side[:levels]]
        for side in (book.asks, book.bids)
    )
    return {"asks": asks, "bids": bids, "timestamp": request.now_ms}


def ticker_24hr(request: PublicRequest) -> object:
    """The last 24 hours of one pair, or of `all`."""
    return [_ticker(request, listing) for listing in _listings(request, everything="all")]


def _ticker(request: PublicRequest, listing: Listing) -> object:
    tick = request.market.tick(listing.pair)
    change = plain(abs(tick.change_hundredths), 2)
    return {
        "symbol": listing.pair,
        "ticker": {
            "high": plain(tick.high, listing.price_places),
            "vol": plain(tick.volume, listing.amount_places),
            "low": plain(tick.low, listing.price_places),
            "change": f"-{change}" if tick.change_hundredths < 0 else change,
            "turnover": plain(tick.turnover, listing.value_places),
            "latest": plain(tick.latest, listing.price_places),
        },
        "timestamp": request.now_ms,
    }


def ticker_price(request: PublicRequest) -> object:
    """The last price of one pair or all."""
    return [
        {"symbol": listing.pair, "price": plain(request.market.tick(listing.pair).latest, listing.price_places)}
        for listing in _listings(request)
    ]


def book_ticker(request: PublicRequest) -> object:
    """The best level on both sides; zeros for a side on which nobody rests, an assumption."""
    book = request.market.book(pair_of(request.asked, request.market))
    listing = book.listing
    (ask, ask_amount), (bid, bid_amount) = (side[0] if side else (0, 0) for side in (book.asks, book.bids))
    return {
        "symbol": listing.pair,
        "askPrice": plain(ask, listing.price_places),
        "askQty": plain(ask_amount, listing.amount_places),
        "bidQty": plain(bid_amount, listing.amount_places),
        "bidPrice": plain(bid, listing.price_places),
    }


def kline(request: PublicRequest) -> object:
    """Bars, the oldest first, in epoch seconds."""
    pair = pair_of(request.asked, request.market)
    listing = request.market.listing(pair)
    size = whole(request.asked, "size", most=MOST_BARS)
    interval = BAR_TYPES.get(given(request.asked, "type"))
    if interval is None:
        raise Refusal(10003)
    from_ms = whole(request.asked, "time", least=0) * 1000
    bars = [bar for bar in request.market.bars(pair, interval) if bar.start_ms >= from_ms][:size]
    return [
        [
            bar.start_ms // 1000,
            *(Number(plain(price, listing.price_places)) for price in (bar.open, bar.high, bar.low, bar.close)),
            Number(plain(bar.volume, listing.amount_places)),
        ]
        for bar in bars
    ]


def trades(request: PublicRequest) -> object:
    """The last trades with their ids, or the first ones after `time`, in epoch ms."""
    return [
        {
            "quoteQty": Number(plain(trade.value, trade.listing.value_places)),
            "price": Number(plain(trade.price, trade.listing.price_places)),
            "qty": Number(plain(trade.volume, trade.listing.amount_places)),
            "id": trade.id,
            "time": trade.traded_at_ms,
            "isBuyerMaker": trade.side == "sell",
        }
        for trade in _trades(request, most=MOST_TRADES)
    ]


def old_trades(request: PublicRequest) -> object:
    """The same in the shape of before 2022."""
    return [
        {
            "date_ms": trade.traded_at_ms,
            "amount": Number(number(trade.volume, trade.listing.amount_places)),
            "price": Number(number(trade.price, trade.listing.price_places)),
            "type": trade.direction,
            "tid": trade.id,
        }
        for trade in _trades(request, most=MOST_OLD_TRADES)
    ]


def _trades(request: PublicRequest, *, most: int) -> list[Trade]:
    made = request.market.trades(pair_of(request.asked, request.market))
    size = whole(request.asked, "size", most=most)
    if not request.asked.get("time"):
        return made[-size:]
    after_ms = whole(request.asked, "time", least=0)
    return [trade for trade in made if trade.traded_at_ms > after_ms][:size]


def withdraw_configs(request: PublicRequest) -> object:
    """How each asset leaves the exchange."""
    assets = dict.fromkeys(asset for pair in request.market.pairs for asset in pair.split("_"))
    return [
        {
            "amountScale": "4",
            "chain": asset,
            "assetCode": asset,
            "min": "1",
            "transferAmtScale": "4",
            "canWithDraw": True,
            "fee": "0",
            "minTransfer": "0.0001",
            "type": "1",
        }
        for asset in assets
        if request.asked.get("assetCode", asset) == asset
    ]


def instruments(request: PublicRequest) -> object:
    """The perpetuals that are listed: none."""
    return []


def system_ping(request: PublicRequest) -> object:
    """Nothing: that there is an answer is the answer."""
    return {}


def system_status(request: PublicRequest) -> object:
    """1 is up, 0 would be maintenance."""
    return {"status": "1"}


PublicAnswer = Callable[[PublicRequest], object]


def given(asked: Mapping[str, str], key: str) -> str:
    """Give a parameter that must be there.

    Raises:
        Refusal: It is not.
    """
    if not asked.get(key):
        raise Refusal(10001)
    return asked[key]


def pair_of(asked: Mapping[str, str], market: Market) -> str:
    """Give the pair that `symbol` names, in lower case only.

    Raises:
        Refusal: It is left out or not listed.
    """
    pair = given(asked, "symbol")
    if pair not in market.pairs:
        raise Refusal(10008)
    return pair


def whole(asked: Mapping[str, str], key: str, *, least: int = 1, most: int = 10**18, code: int = 10003) -> int:
    """Give a parameter that is a whole number between two others.

    Raises:
        Refusal: It is left out, or with `code`: it is no such number.
    """
    text = given(asked, key)
    if not _WHOLE.fullmatch(text) or not least <= int(text) <= most:
        raise Refusal(code)
    return int(text)


def _listings(request: PublicRequest, everything: str = "") -> list[Listing]:
    """Give the listing of the pair that is asked for, or all where it is left out or spelt `everything`."""
    if request.asked.get("symbol", "") == everything:
        return [request.market.listing(pair) for pair in request.market.pairs]
    return [request.market.listing(pair_of(request.asked, request.market))]
