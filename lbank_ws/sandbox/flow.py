"""The synthetic traders of one pair: quotes around a walking price, and takers, all of them orders in the one book.

Decided here: where they quote, how much, and what they do about users' orders. When they do so is decided in `pit.py`.

A user's order is nobody's but the user's: it is neither overwritten nor skipped. When the walk comes to a price that a
user has bettered, somebody trades with the user until the order is gone, and the quotes keep off it meanwhile. How
much of the way that users push the price is kept by the walk is an assumption of the box.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from random import Random

from lbank_ws.sandbox.listings import Listing
from lbank_ws.sandbox.matching import OrderBook
from lbank_ws.sandbox.orders import Fill, Kind, Order, Side

LEVELS = 200

_MOVE_PARTS = 25_000  # the widest move of the best prices, as a part of the price
_PULL = 20_000  # an n-th of the way back to the listing's price in each move
_SPREAD_PARTS = 100_000  # the widest spread, and the widest hole between two levels, as parts of the price
_STIRRED = 2  # levels a side whose amount changes at a move; they lie near the top, where people trade
_NEAR = 30
_EATEN = 8  # how far down a usual move looks for holes, counted in levels that were there before
_MENDED = 60  # how many new levels a side a move may bring into holes near the top; a swept side is whole after a few
_DEEPEST = 3  # how many levels a taker goes into; the rest of the amount is let go
_MARKET_ORDERS = 0.005  # how many takers send a market order
_KEPT = 4  # an n-th of the way that a user's order pushes the price stays when the book has healed


class _Quotes:
    """The synthetic orders of one side, one a level; keys as in `matching.HalfBook`."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.sign = 1 if side == "buy" else -1
        self.keys: list[int] = []
        self.orders: dict[int, Order] = {}


class Flow:
    """Everybody on a pair but the users.

    Args:
        listing: The pair.
        rng: Where the numbers come from; nothing else draws from it while a method runs.
        book: Where its orders rest. It is empty at first, and full when the flow has been made.
        opened_at_ms: UTC epoch ms.
    """

    def __init__(self, listing: Listing, rng: Random, book: OrderBook, opened_at_ms: int) -> None:
        self._listing = listing
        self._draw = rng.random
        self._book = book
        self._price = listing.price
        self._hole = max(2, listing.price // _SPREAD_PARTS)
        self._bids, self._asks = _Quotes("buy"), _Quotes("sell")
        self._torn = False
        self._orders = 0
        self._quote(opened_at_ms)

    def move(self, at_ms: int) -> list[Fill]:
        """Move the best prices a little, with a weak pull to where the walk began; give what users got from it."""
        reach = max(1, self._price // _MOVE_PARTS)
        pull = int((self._listing.price - self._price) / _PULL)  # towards zero, so that up and down are alike
        self._walk(int((2 * self._draw() - 1) * (reach + 1)) + pull)
        return self._quote(at_ms)

    def deal(self, at_ms: int) -> list[Fill]:
        """Let one taker come."""
        draw = self._draw
        side: Side = "buy" if draw() < 0.5 else "sell"
        is_market = draw() < _MARKET_ORDERS
        wanted = max(1, int(self._listing.lot * 4 * draw() ** 2))
        facing = self._book.asks if side == "buy" else self._book.bids
        if not facing.keys:
            return []
        worst = facing.keys[-min(_DEEPEST, len(facing.keys))] * facing.sign
        if is_market:
            best = facing.keys[-1]
            order = self._order(side, 0, 0, at_ms, Kind.MARKET)
            if side == "buy":
                order.value = wanted * best * facing.sign
            else:
                order.amount = wanted
        else:
            order = self._order(side, worst, wanted, at_ms, Kind.IOC)
        fills = self._book.place(order, at_ms)
        self._forget(fills)
        self._deepen(self._asks if side == "buy" else self._bids, at_ms)
        return fills

    def met(self, fills: Sequence[Fill]) -> None:
        """Note what a user has taken: the price follows it part of the way."""
        self._walk(int((fills[-1].price - self._price) / _KEPT))
        self._forget(fills)

    def _walk(self, step: int) -> None:
        # A book of 200 levels below half the price still lies above zero.
        self._price = max(self._listing.price // 2, min(self._listing.price * 2, self._price + step))

    def _quote(self, at_ms: int) -> list[Fill]:
        """Bid the price of the walk and ask just above it, as far as users' orders leave room for that."""
        book, bid = self._book, self._price
        ask = bid + 1 + int(self._draw() ** 3 * self._hole)
        self._withdraw(self._bids, bid, at_ms)
        self._withdraw(self._asks, -ask, at_ms)
        fills: list[Fill] = []
        # Only users' orders can still be in the way.
        if book.bids.keys and book.bids.keys[-1] >= ask:
            fills = self._strike("sell", ask, at_ms)
        elif book.asks.keys and -book.asks.keys[-1] <= bid:
            fills = self._strike("buy", bid, at_ms)
        if book.bids.keys:
            ask = max(ask, book.bids.keys[-1] + 1)
        if book.asks.keys:
            bid = min(bid, -book.asks.keys[-1] - 1)
        was_torn, self._torn = self._torn, False
        for quotes, best in ((self._bids, bid), (self._asks, -ask)):
            if not quotes.keys or quotes.keys[-1] < best:
                self._add(quotes, best, at_ms)
            self._mend(quotes, at_ms, most_seen=LEVELS if was_torn else _EATEN)
            self._deepen(quotes, at_ms)
            self._stir(quotes)
        return fills

    def _strike(self, side: Side, price: int, at_ms: int) -> list[Fill]:
        """Trade with users who offer a better price than the quotes would."""
        amount = max(1, int(self._listing.lot * (1 + 8 * self._draw())))
        return self._book.place(self._order(side, price, amount, at_ms, Kind.IOC), at_ms)

    def _withdraw(self, quotes: _Quotes, best: int, at_ms: int) -> None:
        """Cancel the quotes that are better than a key."""
        keys = quotes.keys
        while keys and keys[-1] > best:
            self._book.cancel(quotes.orders.pop(keys.pop()).id, at_ms)

    def _mend(self, quotes: _Quotes, at_ms: int, *, most_seen: int) -> None:
        """Put levels into the holes that a move or a large taker left, from the top on."""
        keys, hole = quotes.keys, self._hole
        at = len(keys) - 1
        end = max(0, at - most_seen)
        added = 0
        while at > end:
            if keys[at] - keys[at - 1] <= hole:
                at -= 1
            elif added == _MENDED:
                self._torn = True
                return
            else:
                self._add(quotes, keys[at] - 1 - int(self._draw() * hole), at_ms)
                added += 1

    def _deepen(self, quotes: _Quotes, at_ms: int) -> None:
        """Keep a side `LEVELS` deep: new levels come at the far end, surplus ones are cancelled there."""
        keys = quotes.keys
        surplus = len(keys) - LEVELS
        if surplus > 0:
            for key in keys[:surplus]:
                self._book.cancel(quotes.orders.pop(key).id, at_ms)
            del keys[:surplus]
            return
        while surplus < 0 and keys:
            key = keys[0] - 1 - int(self._draw() * self._hole)
            if key * quotes.sign < 1:
                return
            self._add(quotes, key, at_ms)
            surplus += 1

    def _stir(self, quotes: _Quotes) -> None:
        keys = quotes.keys
        near = min(_NEAR, len(keys))
        for _ in range(_STIRRED if keys else 0):
            self._book.resize(quotes.orders[keys[-1 - int(self._draw() * near)]], self._amount())

    def _add(self, quotes: _Quotes, key: int, at_ms: int) -> None:
        """Let a new order rest; it is known not to reach the other side."""
        price = key * quotes.sign
        if price < 1:
            return
        order = self._order(quotes.side, price, self._amount(), at_ms, Kind.LIMIT)
        quotes.orders[key] = order
        if quotes.keys and key < quotes.keys[-1]:
            insort(quotes.keys, key)
        else:
            quotes.keys.append(key)
        self._book.rest(order)

    def _forget(self, fills: Iterable[Fill]) -> None:
        """Strike out the quotes that are filled."""
        for fill in fills:
            maker = fill.maker
            if maker.owner is None and maker.filled == maker.amount:
                quotes = self._bids if maker.side == "buy" else self._asks
                key = maker.price * quotes.sign
                if quotes.orders.get(key) is maker:
                    del quotes.orders[key]
                    quotes.keys.remove(key)

    def _order(self, side: Side, price: int, amount: int, at_ms: int, kind: Kind) -> Order:
        self._orders += 1
        name = f"{self._listing.pair}-{self._orders}"
        return Order(name, self._listing, side, kind, price, amount, 0, None, "", at_ms, at_ms)

    def _amount(self) -> int:
        """A level holds a few usual trades, now and then many."""
        return max(1, int(self._listing.lot * (0.05 + 8 * self._draw() ** 3)))
