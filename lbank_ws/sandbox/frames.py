"""What the frames of both dialects look like from the exchange's side: one function a frame.

Decided here: keys, their order, how numbers and times are printed. Who gets which frame is decided in `visitor.py`.
V2 follows captures and LBank's documentation; of the simple dialect no capture is known, so that everything about it
but `ch`, `tick`, `close` and `vol` is an assumption of the box. Numbers are printed from whole steps, so that no binary
float comes near a price. One rendering serves every visitor, hence the caches.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

from lbank_ws.sandbox.bars import EPOCH, Bar
from lbank_ws.sandbox.listings import CNY_PER_USD, USD_RATES, Listing
from lbank_ws.sandbox.market import Book, Tick, Trade
from lbank_ws.sandbox.matching import Step

SIMPLE_LEVELS = 20  # the simple dialect's depth topic names no number of levels; an assumption

_DOUBLE_DIGITS = 17  # what a Java double can print
_PLAIN_FROM, _PLAIN_BELOW = -3, 7  # Java prints 0.001 to 9999999 plainly, as powers of ten
_cached = lru_cache(maxsize=128)
_cached_text = lru_cache(maxsize=16_384)  # most levels and many figures of a push were in the one before


@_cached_text
def clock(at_ms: int) -> str:
    """Give a time as LBank prints it: the wall clock of UTC+8, without an offset."""
    return (EPOCH + timedelta(milliseconds=at_ms)).replace(tzinfo=None).isoformat(timespec="milliseconds")


@_cached_text
def number(steps: int, places: int) -> str:
    """Give `steps` / 10^`places` as Java prints a double: 19.0, 0.7054, 2.5046901191E8, 4.0E-5."""
    digits = str(abs(steps))
    if len(digits) > _DOUBLE_DIGITS:
        surplus = len(digits) - _DOUBLE_DIGITS
        digits, places = str((abs(steps) + 10**surplus // 2) // 10**surplus), places - surplus
    exponent = len(digits) - 1 - places
    digits = digits.rstrip("0")
    if not digits:
        return "0.0"
    sign = "-" if steps < 0 else ""
    if not _PLAIN_FROM <= exponent < _PLAIN_BELOW:
        return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole = exponent + 1
    return f"{sign}{digits[:whole].ljust(whole, '0')}.{digits[whole:] or '0'}"


def plain(steps: int, places: int) -> str:
    """Give `steps` / 10^`places`, zero or more, without an exponent and without closing zeros: 73917.1, 0.00008."""
    if not places:
        return str(steps)
    digits = str(steps).rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}".rstrip("0").rstrip(".")


def _number_of(value: Decimal, places: int) -> str:
    """Give a derived value, such as a price in CNY, rounded and printed like the others."""
    return number(int(value.scaleb(places).to_integral_value(ROUND_HALF_EVEN)), places)


def _envelope(kind: str, payload: str, pair: str, at_ms: int) -> str:
    return f'{{"SERVER":"V2","{kind}":{payload},"type":"{kind}","pair":"{pair}","TS":"{clock(at_ms)}"}}'


@_cached
def v2_tick(tick: Tick, at_ms: int) -> str:
    """A tick push; the reply to a one-shot request looks the same."""
    listing, places = tick.listing, tick.listing.price_places
    rate = Decimal(USD_RATES.get(listing.quote, 1))
    usd = listing.price_of(tick.latest) * rate
    return _envelope(
        "tick",
        f'{{"to_cny":{_number_of(rate * CNY_PER_USD, 2)},"high":{number(tick.high, places)}'
        f',"vol":{number(tick.volume, listing.amount_places)},"low":{number(tick.low, places)}'
        f',"change":{number(tick.change_hundredths, 2)},"usd":{_number_of(usd, max(2, places))}'
        f',"to_usd":{_number_of(rate, 2)},"dir":"{tick.side}","turnover":{number(tick.turnover, listing.value_places)}'
        f',"latest":{number(tick.latest, places)},"cny":{_number_of(usd * CNY_PER_USD, max(2, places))}}}',
        listing.pair,
        at_ms,
    )


@_cached
def v2_depth(book: Book, levels: int, node: str, at_ms: int) -> str:
    """A depth push: the best `levels` a side as text, and the node that published it."""
    sides = f'{{"asks":{_text_levels(book, "asks", levels)},"bids":{_text_levels(book, "bids", levels)}}}'
    return (
        f'{{"depth":{sides},"count":{levels},"s":"{node}","type":"depth","pair":"{book.listing.pair}"'
        f',"SERVER":"V2","TS":"{clock(at_ms)}"}}'
    )


@_cached
def v2_trade(trade: Trade) -> str:
    """A trade push; `amount` is the value in the quote currency."""
    listing = trade.listing
    return _envelope(
        "trade",
        f'{{"volume":{number(trade.volume, listing.amount_places)},"amount":{number(trade.value, listing.value_places)}'
        f',"price":{number(trade.price, listing.price_places)},"direction":"{trade.direction}"'
        f',"TS":"{clock(trade.traded_at_ms)}"}}',
        listing.pair,
        trade.at_ms,
    )


@_cached
def v2_kbar(listing: Listing, interval: str, bar: Bar, at_ms: int) -> str:
    """A kbar push; `t` is where the bar starts."""
    places = listing.price_places
    return _envelope(
        "kbar",
        f'{{"a":{number(bar.turnover, listing.value_places)},"c":{number(bar.close, places)}'
        f',"t":"{clock(bar.start_ms)}","v":{number(bar.volume, listing.amount_places)},"h":{number(bar.high, places)}'
        f',"slot":"{interval}","l":{number(bar.low, places)},"n":{bar.trades},"o":{number(bar.open, places)}}}',
        listing.pair,
        at_ms,
    )


def v2_kbar_reply(listing: Listing, interval: str, bars: Sequence[Bar], at_ms: int) -> str:
    """The reply to a one-shot request for bars; their times are epoch seconds."""
    places = listing.price_places
    records = ",".join(
        f"[{bar.start_ms // 1000},{number(bar.open, places)},{number(bar.high, places)},{number(bar.low, places)}"
        f",{number(bar.close, places)},{number(bar.volume, listing.amount_places)}"
        f",{number(bar.turnover, listing.value_places)},{bar.trades}]"
        for bar in bars
    )
    columns = '["timestamp","open","high","low","close","volume","turnover","count"]'
    return (
        f'{{"records":[{records}],"columns":{columns},"SERVER":"V2","count":{len(bars)},"kbar":"{interval}"'
        f',"type":"kbar","pair":"{listing.pair}","TS":"{clock(at_ms)}"}}'
    )


def v2_depth_reply(book: Book, levels: int, at_ms: int) -> str:
    """The reply to a one-shot request for depth: no wrapper around the sides, and levels as numbers."""
    return (
        f'{{"SERVER":"V2","asks":{_number_levels(book, "asks", levels)},"bids":{_number_levels(book, "bids", levels)}'
        f',"count":{levels},"type":"depth","pair":"{book.listing.pair}","TS":"{clock(at_ms)}"}}'
    )


def v2_trades_reply(listing: Listing, trades: Sequence[Trade], size: int, at_ms: int) -> str:
    """The reply to a one-shot request for trades; `count` is what was asked for.

    The only capture has an empty list. That times are epoch ms is how ccxt reads them.
    """
    rows = ",".join(
        f"[{trade.traded_at_ms},{number(trade.price, listing.price_places)}"
        f',{number(trade.volume, listing.amount_places)},"{trade.direction}"]'
        for trade in trades
    )
    return (
        f'{{"columns":["timestamp","price","volume","direction"],"SERVER":"V2","count":{size},"trades":[{rows}]'
        f',"type":"trade","pair":"{listing.pair}","TS":"{clock(at_ms)}"}}'
    )


def v2_error(words: str, at_ms: int) -> str:
    """An error; it does not say which request it answers."""
    return f'{{"SERVER":"V2","message":{json.dumps(words)},"status":"error","TS":"{clock(at_ms)}"}}'


def v2_ping(number_of_ping: str) -> str:
    """The exchange's question whether the client is there."""
    return f'{{"ping":{json.dumps(number_of_ping)},"action":"ping"}}'


def v2_pong(echoed: object) -> str:
    """The answer to a client's ping: its id, whatever its type."""
    return f'{{"action":"pong","pong":{json.dumps(echoed)}}}'


@_cached
def simple_ticker(topic: str, tick: Tick, at_ms: int) -> str:
    """A ticker push."""
    listing, places = tick.listing, tick.listing.price_places
    return _simple_push(
        topic,
        f'{{"open":{number(tick.open, places)},"high":{number(tick.high, places)},"low":{number(tick.low, places)}'
        f',"close":{number(tick.latest, places)},"vol":{number(tick.volume, listing.amount_places)}'
        f',"amount":{number(tick.turnover, listing.value_places)},"bid":{number(tick.bid, places)}'
        f',"ask":{number(tick.ask, places)}}}',
        at_ms,
    )


@_cached
def simple_depth(topic: str, book: Book, at_ms: int) -> str:
    """A depth push: the best levels a side as numbers."""
    bids, asks = _number_levels(book, "bids", SIMPLE_LEVELS), _number_levels(book, "asks", SIMPLE_LEVELS)
    return _simple_push(topic, f'{{"bids":{bids},"asks":{asks}}}', at_ms)


@_cached
def simple_trade(topic: str, trade: Trade) -> str:
    """A trade push."""
    listing = trade.listing
    return _simple_push(
        topic,
        f'{{"price":{number(trade.price, listing.price_places)},"amount":{number(trade.volume, listing.amount_places)}'
        f',"direction":"{trade.side}","ts":{trade.traded_at_ms}}}',
        trade.at_ms,
    )


def simple_ack(asked_id: object, verb: str, topic: str, at_ms: int) -> str:
    """The answer to `sub` and `unsub`; `verb` is one of them."""
    return f'{{"id":{json.dumps(asked_id)},"status":"ok","{verb}bed":{json.dumps(topic)},"ts":{at_ms}}}'


def simple_error(asked_id: object, code: str, words: str, at_ms: int) -> str:
    """A refusal."""
    return (
        f'{{"id":{json.dumps(asked_id)},"status":"error","err-code":{json.dumps(code)}'
        f',"err-msg":{json.dumps(words)},"ts":{at_ms}}}'
    )


def simple_ping(number_of_ping: int) -> str:
    """The exchange's question whether the client is there."""
    return f'{{"ping":{number_of_ping}}}'


def simple_pong(echoed: object) -> str:
    """The answer to a client's ping."""
    return f'{{"pong":{json.dumps(echoed)}}}'


def _simple_push(topic: str, tick: str, at_ms: int) -> str:
    return f'{{"ch":"{topic}","ts":{at_ms},"tick":{tick}}}'


@_cached
def _text_levels(book: Book, side: str, levels: int) -> str:
    places = book.listing.price_places, book.listing.amount_places
    return f"[{','.join([_text_level(step, *places) for step in _best(book, side, levels)])}]"


@_cached
def _number_levels(book: Book, side: str, levels: int) -> str:
    price_places, amount_places = book.listing.price_places, book.listing.amount_places
    rows = (f"[{number(p, price_places)},{number(a, amount_places)}]" for p, a in _best(book, side, levels))
    return f"[{','.join(rows)}]"


@_cached_text
def _text_level(step: Step, price_places: int, amount_places: int) -> str:
    return f'["{plain(step[0], price_places)}","{plain(step[1], amount_places)}"]'


def _best(book: Book, side: str, levels: int) -> Sequence[Step]:
    return (book.bids if side == "bids" else book.asks)[: max(0, levels)]
