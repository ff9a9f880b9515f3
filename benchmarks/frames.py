"""Made-up messages of three exchanges, alike in kind and size, with holes where the moment of sending goes.

Decided here: what a message looks like on the wire, WebSocket header included. LBank's are after tests/samples/v2/, the
other two after the exchanges' own pages. Prices walk at random from a fixed seed, so that every run sends the same.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

KINDS = ("tick", "trade", "depth")
LEVELS = 100
MIX = ("tick", "trade", "tick", "trade", "depth")  # 40/40/20
_POOLS = {"tick": 20_000, "trade": 20_000, "depth": 2_000}  # so many differ before they come again
_HOLE = "\0"
_UTC8 = timezone(timedelta(hours=8))
_TEXT_FRAME = 0x81


@dataclass(frozen=True)
class Protocol:
    """What the messages of an exchange look like.

    Attributes:
        messages: For each kind what makes a message of a price, an amount, a number and levels; a NUL is a hole.
        clock_size: How long the text is that fills a hole.
        is_epoch: Whether that is Unix time in milliseconds; else it is `2026-11-30T12:00:00.123` in UTC+8.
    """

    messages: dict[str, Callable[[str, str, int, Sequence[tuple[str, str]]], str]]
    clock_size: int
    is_epoch: bool


def _sides(book: Sequence[tuple[str, str]]) -> tuple[str, str]:
    rows = [f'["{price}","{amount}"]' for price, amount in book]
    half = len(rows) // 2
    return ",".join(rows[:half]), ",".join(rows[half:])


def _lbank_tick(price: str, amount: str, number: int, _: object) -> str:
    return (
        f'{{"tick":{{"to_cny":7.23,"high":69999.91,"vol":{amount}1,"low":58000.37,"change":{number % 900 / 100},'
        f'"usd":{price},"to_usd":1.0,"dir":"sell","turnover":{number}877.0186,"latest":{price},"cny":{number}.41}},'
        f'"type":"tick","pair":"btc_usdt","SERVER":"V2","TS":"{_HOLE}"}}'
    )


def _lbank_trade(price: str, amount: str, number: int, _: object) -> str:
    side = ("buy", "sell", "buy_market", "sell_maker")[number % 4]
    return (
        f'{{"trade":{{"volume":{amount},"amount":{number}.9303,"price":{price},"direction":"{side}","TS":"{_HOLE}"}},'
        f'"SERVER":"V2","type":"trade","pair":"btc_usdt","TS":"{_HOLE}"}}'
    )


def _lbank_depth(_price: str, _amount: str, _number: int, book: Sequence[tuple[str, str]]) -> str:
    bids, asks = _sides(book)
    return (
        f'{{"depth":{{"asks":[{asks}],"bids":[{bids}]}},"count":{LEVELS},"type":"depth","pair":"btc_usdt",'
        f'"SERVER":"V2","TS":"{_HOLE}"}}'
    )


def _bybit_tick(price: str, amount: str, number: int, _: object) -> str:
    return (
        f'{{"topic":"tickers.BTCUSDT","ts":{_HOLE},"type":"snapshot","cs":{number},"data":{{"symbol":"BTCUSDT",'
        f'"lastPrice":"{price}","highPrice24h":"69999.91","lowPrice24h":"58000.37","prevPrice24h":"60704.93",'
        f'"volume24h":"{amount}1","turnover24h":"{number}877.0186","price24hPcnt":"0.0196","bid1Price":"{price}","ask1Price":"{price}"}}}}'
    )


def _bybit_trade(price: str, amount: str, number: int, _: object) -> str:
    return (
        f'{{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":{_HOLE},"data":[{{"T":{_HOLE},"s":"BTCUSDT",'
        f'"S":"Buy","v":"{amount}","p":"{price}","L":"PlusTick","i":"{number}","BT":false}}]}}'
    )


def _bybit_depth(_price: str, _amount: str, number: int, book: Sequence[tuple[str, str]]) -> str:
    bids, asks = _sides(book)
    return (
        f'{{"topic":"orderbook.200.BTCUSDT","type":"snapshot","ts":{_HOLE},"data":{{"s":"BTCUSDT","b":[{bids}],'
        f'"a":[{asks}],"u":{number},"seq":{number}}},"cts":{_HOLE}}}'
    )


def _binance(stream: str, content: str) -> str:
    return f'{{"stream":"btcusdt@{stream}","data":{{{content}}}}}'


def _binance_tick(price: str, amount: str, number: int, _: object) -> str:
    return _binance(
        "ticker",
        f'"e":"24hrTicker","E":{_HOLE},"s":"BTCUSDT","p":"15.10","P":"0.25","w":"64018.3","c":"{price}","Q":"0.1",'
        f'"o":"60704.93","h":"69999.91","l":"58000.37","v":"{amount}1","q":"{number}877.0186","n":{number}',
    )


def _binance_trade(price: str, amount: str, number: int, _: object) -> str:
    return _binance(
        "trade",
        f'"e":"trade","E":{_HOLE},"s":"BTCUSDT","t":{number},"p":"{price}","q":"{amount}","T":{_HOLE},"m":true,"M":true',
    )


def _binance_depth(_price: str, _amount: str, number: int, book: Sequence[tuple[str, str]]) -> str:
    bids, asks = _sides(book)
    return _binance("depth100", f'"lastUpdateId":{number},"E":{_HOLE},"bids":[{bids}],"asks":[{asks}]')


PROTOCOLS = {
    "lbank": Protocol({"tick": _lbank_tick, "trade": _lbank_trade, "depth": _lbank_depth}, 23, is_epoch=False),
    "bybit": Protocol({"tick": _bybit_tick, "trade": _bybit_trade, "depth": _bybit_depth}, 13, is_epoch=True),
    "binance": Protocol({"tick": _binance_tick, "trade": _binance_trade, "depth": _binance_depth}, 13, is_epoch=True),
}


class Pool:
    """Messages of one exchange, made beforehand; the same index always gives the same one."""

    def __init__(self, protocol: str, *, levels: int = LEVELS) -> None:
        self._protocol = PROTOCOLS[protocol]
        self._levels = levels
        self._made: dict[str, list[tuple[bytes, ...]]] = {}
        self.prices: dict[str, list[str]] = {}

    def pieces(self, kind: str) -> list[tuple[bytes, ...]]:
        """Give the frames of a kind, cut at their holes: `moment.join(pieces)` is one to send."""
        if kind not in self._made:
            self._made[kind], self.prices[kind] = [], []
            for frame, price in self._walk(kind):
                self._made[kind].append(frame)
                self.prices[kind].append(price)
        return self._made[kind]

    def price(self, kind: str, index: int) -> str:
        """Give the price that a callback sees of the message with that index: last, price, or best bid."""
        prices = self.prices[kind]
        return prices[index % len(prices)]

    def moment(self, time_s: float) -> bytes:
        """Give the text that fills a hole, to the millisecond."""
        if self._protocol.is_epoch:
            return b"%d" % (time_s * 1000)
        text = datetime.fromtimestamp(time_s, _UTC8).isoformat(timespec="milliseconds")
        return text[: self._protocol.clock_size].encode()

    def _walk(self, kind: str) -> Iterator[tuple[tuple[bytes, ...], str]]:
        dice = random.Random(kind)  # noqa: S311  # the same walk in every run
        make, cents = self._protocol.messages[kind], 6_400_000
        for number in range(100_000, 100_000 + _POOLS[kind]):
            cents += dice.choice((-31, -7, -1, 1, 8, 30))
            price, amount = f"{cents // 100}.{cents % 100:02}", f"{dice.randrange(1, 99)}.{dice.randrange(1000, 9999)}"
            text = make(price, amount, number, self._book(cents, dice) if kind == "depth" else ())
            yield self._framed(text), price

    def _book(self, cents: int, dice: random.Random) -> list[tuple[str, str]]:
        steps = [*range(cents, cents - self._levels, -1), *range(cents + 1, cents + 1 + self._levels)]
        return [
            (f"{step // 100}.{step % 100:02}", f"{dice.randrange(10)}.{dice.randrange(1000, 9999)}") for step in steps
        ]

    def _framed(self, text: str) -> tuple[bytes, ...]:
        parts = text.encode().split(_HOLE.encode())
        size = sum(map(len, parts)) + self._protocol.clock_size * (len(parts) - 1)
        parts[0] = header(size) + parts[0]
        return tuple(parts)


def header(size: int) -> bytes:
    """Give the header of an unmasked text frame."""
    if size < 126:
        return struct.pack("!BB", _TEXT_FRAME, size)
    if size < 65536:
        return struct.pack("!BBH", _TEXT_FRAME, 126, size)
    return struct.pack("!BBQ", _TEXT_FRAME, 127, size)


def kinds_of(workload: str) -> tuple[str, ...]:
    """Give the kinds of a workload in the order in which they come, to be repeated; those of `mix` are five."""
    return MIX if workload == "mix" else (workload,)
