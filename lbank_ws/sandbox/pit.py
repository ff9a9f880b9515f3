"""Where one pair is traded: its book, its bars, and when something happens.

Decided here: when the quotes move, when a taker comes, when a tick, a book and bars are published, and what a user's
order makes happen. Where the quotes go is decided in `flow.py`, who meets whom in `matching.py`.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Sequence
from hashlib import md5
from random import Random

from lbank_ws.sandbox.bars import INTERVALS, MINUTE_MS
from lbank_ws.sandbox.flow import LEVELS, Flow
from lbank_ws.sandbox.happenings import Book, Happening, Klines, Tick, Trade
from lbank_ws.sandbox.listings import Listing
from lbank_ws.sandbox.matching import OrderBook
from lbank_ws.sandbox.orders import Fill, Kind, Order, OrderChanged, OrderStatus
from lbank_ws.sandbox.past import invented_past

SLOT_MS = 100
KEPT_TRADES = 2000

_DEPTH_SLOTS = 6  # LBank was seen to publish depth on a tick of roughly 600 ms
_HEALS_WITHIN = (1, 3)  # slots until the quotes answer a user who took from them


class Pit:
    """One pair.

    Args:
        listing: The pair.
        rng: Where all its numbers come from.
        opened_at_ms: When it opens, in UTC epoch ms.
        name: What the ids of its trades are made from, so that they repeat with the seed.

    Attributes:
        bars: All its bars.
        trades: The last trades in time order.
    """

    def __init__(self, listing: Listing, rng: Random, opened_at_ms: int, *, name: str) -> None:
        slot = opened_at_ms // SLOT_MS
        self.listing = listing
        self.bars = invented_past(listing, rng, opened_at_ms, slots_a_minute=MINUTE_MS // SLOT_MS)
        self.trades: deque[Trade] = deque(maxlen=KEPT_TRADES)
        self._rng = rng
        self._name = name
        self._made = 0
        self._orders = OrderBook(self._new_id)
        self._flow = Flow(listing, rng, self._orders, opened_at_ms)
        self._side = "buy"
        self._moved = False
        self._traded: list[str] = []  # intervals whose bars have changed between two slots
        self._touched_ms = 0
        self._quote_slot = slot + self._within(listing.quote_gap)
        self._trade_slot = slot + self._within(listing.trade_gap)
        self._tick_slot = slot + self._within(listing.tick_gap)
        self._depth_slot = slot + self._within((0, _DEPTH_SLOTS - 1))

    def play(self, slot: int) -> list[Happening]:
        """Give what happens in one slot, in time order, and is published at its end."""
        at_ms = (slot + 1) * SLOT_MS
        happened: list[Happening] = []
        changed = self.bars.roll(slot * SLOT_MS)
        if self._traded:
            changed, self._traded = list(INTERVALS), []
            self._tick_slot = slot
        if slot >= self._quote_slot:
            happened += self._told(self._flow.move(at_ms), at_ms)
            self._moved = True
            self._quote_slot = slot + self._within(self.listing.quote_gap)
        if slot >= self._trade_slot:
            happened += self._told(self._flow.deal(at_ms), at_ms)
            self._moved = True
            self._trade_slot = slot + self._within(self.listing.trade_gap)
        if happened:
            changed = list(INTERVALS)
        if happened or slot >= self._tick_slot:
            happened.append(self.tick(at_ms))
            self._tick_slot = slot + self._within(self.listing.tick_gap)
        if self._moved and slot >= self._depth_slot:
            happened.append(self.book(at_ms))
            self._depth_slot = slot + _DEPTH_SLOTS
            self._moved = False
        if changed:
            bars = tuple([(interval, self.bars.current(interval)) for interval in changed])
            happened.append(Klines(self.listing, at_ms, bars))
        return happened

    def place(self, order: Order, at_ms: int) -> list[Happening]:
        """See `Market.place`."""
        if order.owner is None:
            raise ValueError("a user's order has an owner")
        before = copy.copy(order)
        before.updated_ms = at_ms
        fills = self._orders.place(order, at_ms)
        self._touched(at_ms)
        happened: list[Happening] = [OrderChanged(self.listing, at_ms, before)]
        if fills:
            self._traded = list(INTERVALS)
            self._flow.met(fills)
            soon = at_ms // SLOT_MS + self._within(_HEALS_WITHIN)
            self._quote_slot = min(self._quote_slot, soon)
        happened += self._told(fills, at_ms, traded_at_ms=at_ms)
        if order.status in (OrderStatus.CANCELLED, OrderStatus.PARTLY_CANCELLED):
            happened.append(OrderChanged(self.listing, at_ms, copy.copy(order)))
        return happened

    def cancel(self, order_id: str, at_ms: int) -> list[Happening]:
        """See `Market.cancel`."""
        order = self.order(order_id)
        if order is None:
            return []
        self._orders.cancel(order_id, at_ms)
        self._touched(at_ms)
        return [OrderChanged(self.listing, at_ms, copy.copy(order))]

    def order(self, order_id: str) -> Order | None:
        """Give a user's order that rests, or None."""
        order = self._orders.order(order_id)
        return None if order is None or order.owner is None else order

    def tick(self, at_ms: int) -> Tick:
        """Give the tick as it stands; a side on which nobody rests shows the price next to the other's best."""
        bid, ask = self._orders.bids.best, self._orders.asks.best
        if bid is None:
            bid = self.bars.price if ask is None else ask - 1
        return Tick(
            self.listing,
            at_ms,
            self.bars.price,
            *self.bars.last_day(),
            bid=bid,
            ask=bid + 1 if ask is None else ask,
            side=self._side,
        )

    def book(self, at_ms: int) -> Book:
        """Give the book as it stands, the best `LEVELS` a side, users' orders among them."""
        return Book(self.listing, at_ms, self._orders.bids.top(LEVELS), self._orders.asks.top(LEVELS))

    def _told(self, fills: Sequence[Fill], at_ms: int, traded_at_ms: int | None = None) -> list[Happening]:
        """Turn fills into trades and what they change for users; the taker is the same in all of them."""
        if not fills:
            return []
        if traded_at_ms is None:
            # LBank's trades are 3 to 30 ms older than their frames.
            traded_at_ms = max(at_ms - 3 - int(28 * self._rng.random()), self._touched_ms)
        told: list[Happening] = []
        taker = fills[-1].taker
        self._side = taker.side
        direction = f"{taker.side}_market" if taker.kind is Kind.MARKET else taker.side
        filled = filled_value = 0
        for fill in fills:
            maker = fill.maker
            trade = Trade(
                self.listing,
                at_ms,
                traded_at_ms,
                fill.price,
                fill.amount,
                direction,
                fill.id,
                maker.id,
                taker.id,
                maker.owner,
                taker.owner,
            )
            self.bars.trade(fill.price, fill.amount)
            self.trades.append(trade)
            told.append(trade)
            if maker.owner is not None:
                told.append(OrderChanged(self.listing, at_ms, copy.copy(maker), fill, is_maker=True))
            if taker.owner is not None:
                filled, filled_value = filled + fill.amount, filled_value + fill.value
                now = copy.copy(taker)
                now.filled, now.filled_value = filled, filled_value
                is_last = fill is fills[-1] and taker.status is OrderStatus.FILLED
                now.status = OrderStatus.FILLED if is_last else OrderStatus.PARTLY_FILLED
                told.append(OrderChanged(self.listing, at_ms, now, fill))
        return told

    def _touched(self, at_ms: int) -> None:
        """Note that a user did something: the book has changed, and what the market does next is later than that."""
        self._touched_ms = at_ms
        self._moved = True
        self.bars.roll(at_ms)

    def _new_id(self) -> str:
        self._made += 1
        return md5(f"{self._name}/{self._made}".encode(), usedforsecurity=False).hexdigest()

    def _within(self, gap: tuple[int, int]) -> int:
        shortest, longest = gap
        return shortest + int(self._rng.random() * (longest - shortest + 1))
