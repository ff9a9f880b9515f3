"""The order book of one pair, in which orders meet by price, then by time.

Decided here: who is filled by whom, at which price, and what becomes of the rest. Pure: no clock, no random numbers.
Where the synthetic orders come from is decided in `flow.py`, who may place one in `accounts.py`. Prices, amounts and
values are whole grid steps.

Assumptions of the box, because no source tells: an account's orders meet its own others like anybody's; a market buy
is filled when what is left of its value does not pay for one more step of the amount; what a market order does not get
is cancelled, it never rests.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable

from lbank_ws.sandbox.orders import Fill, Kind, Order, OrderStatus, Side

Step = tuple[int, int]
"""Price and amount of one level."""

_RESTING = (Kind.LIMIT, Kind.MAKER)


class HalfBook:
    """The orders of one side that rest, by price level; changed by `OrderBook` alone.

    A level's key is its price, on the sell side its negative, so that the best key is the highest on both sides.

    Attributes:
        sign: 1 for bids, -1 for asks.
        keys: One for each level, the best last.
        levels: The orders of a key by their ids, the oldest first.
        steps: Price of a key, and what is left of all its orders, in amount steps.
    """

    def __init__(self, side: Side) -> None:
        self.sign = 1 if side == "buy" else -1
        self.keys: list[int] = []
        self.levels: dict[int, OrderedDict[str, Order]] = {}
        self.steps: dict[int, Step] = {}

    @property
    def best(self) -> int | None:
        """The best price, or None when nobody rests here."""
        return self.keys[-1] * self.sign if self.keys else None

    def top(self, most: int) -> tuple[Step, ...]:
        """Give price and amount of the best levels, the best first."""
        return tuple(map(self.steps.__getitem__, self.keys[: -most - 1 : -1])) if most > 0 else ()

    def add(self, order: Order) -> None:
        """Put an order behind the others of its price."""
        key = order.price * self.sign
        left = order.amount - order.filled
        level = self.levels.get(key)
        if level is None:
            level = self.levels[key] = OrderedDict()
            if self.keys and key < self.keys[-1]:
                insort(self.keys, key)
            else:
                self.keys.append(key)
        else:
            left += self.steps[key][1]
        level[order.id] = order
        self.steps[key] = (order.price, left)

    def remove(self, order: Order) -> None:
        """Take an order out; its level goes with the last one."""
        key = order.price * self.sign
        level = self.levels[key]
        del level[order.id]
        if level:
            self._add(key, order.filled - order.amount)
        else:
            self._drop(key)

    def resize(self, order: Order, left: int) -> None:
        """See `OrderBook.resize`."""
        key = order.price * self.sign
        more = order.filled + left - order.amount
        order.amount += more
        self._add(key, more)
        if more > 0:
            self.levels[key].move_to_end(order.id)

    def shrink(self, key: int, amount: int) -> None:
        """Note that the oldest order of a level has been filled by so much, which may be all of it."""
        self._add(key, -amount)
        level = self.levels[key]
        oldest = next(iter(level.values()))
        if oldest.filled == oldest.amount:
            level.popitem(last=False)
            if not level:
                self._drop(key)

    def _add(self, key: int, amount: int) -> None:
        price, left = self.steps[key]
        self.steps[key] = (price, left + amount)

    def _drop(self, key: int) -> None:
        del self.levels[key], self.steps[key]
        if self.keys[-1] == key:
            self.keys.pop()
        else:
            del self.keys[bisect_left(self.keys, key)]


class OrderBook:
    """Both sides of one pair.

    Args:
        new_id: Gives the id of a new trade.

    Attributes:
        bids: Who buys.
        asks: Who sells.
    """

    def __init__(self, new_id: Callable[[], str]) -> None:
        self.bids = HalfBook("buy")
        self.asks = HalfBook("sell")
        self._new_id = new_id
        self._open: dict[str, Order] = {}

    def __len__(self) -> int:
        return len(self._open)

    def order(self, order_id: str) -> Order | None:
        """Give an order that rests, or None."""
        return self._open.get(order_id)

    def orders(self) -> list[Order]:
        """Give all orders that rest, in no useful order."""
        return list(self._open.values())

    def half(self, side: Side) -> HalfBook:
        """Give one side."""
        return self.bids if side == "buy" else self.asks

    def place(self, order: Order, at_ms: int) -> list[Fill]:
        """Let a new order meet the others, at their prices; rest or cancel what is left of it, as its kind says.

        The order and those it meets are changed.

        Raises:
            ValueError: Its id is that of an order that rests, or it has no amount, value or price where it needs one.
        """
        _check(order, self._open)
        order.updated_ms = at_ms
        facing = self.asks if order.side == "buy" else self.bids
        fills: list[Fill] = []
        if order.kind is Kind.MAKER:
            if facing.keys and self._reaches(order, facing):
                order.status = OrderStatus.CANCELLED
                return []
        elif order.kind is not Kind.FOK or self._can_fill(order, facing):
            fills = self._take(order, facing, at_ms)
        if order.status is OrderStatus.FILLED:
            return fills
        if order.kind in _RESTING:
            self.rest(order)
        else:
            _cancelled(order)
        return fills

    def rest(self, order: Order) -> None:
        """Let an order rest that is known not to reach the other side, behind the others of its price."""
        self._open[order.id] = order
        (self.bids if order.side == "buy" else self.asks).add(order)

    def cancel(self, order_id: str, at_ms: int) -> Order | None:
        """Take an order out and give it; None when it does not rest here."""
        order = self._open.pop(order_id, None)
        if order is None:
            return None
        self.half(order.side).remove(order)
        order.updated_ms = at_ms
        _cancelled(order)
        return order

    def resize(self, order: Order, left: int) -> None:
        """Leave so much of an order that rests; with more than before it goes behind the others of its price."""
        half = self.bids if order.side == "buy" else self.asks
        half.resize(order, left)

    def _take(self, order: Order, facing: HalfBook, at_ms: int) -> list[Fill]:
        """Fill an order from the best price on, at each price from the oldest order on."""
        fills: list[Fill] = []
        while facing.keys and self._reaches(order, facing):
            key = facing.keys[-1]
            price = key * facing.sign
            maker = next(iter(facing.levels[key].values()))
            wanted = (order.value - order.filled_value) // price if order.value else order.amount - order.filled
            if not wanted:
                order.status = OrderStatus.FILLED if fills else order.status
                break
            amount = min(wanted, maker.amount - maker.filled)
            for each in (maker, order):
                each.filled += amount
                each.filled_value += price * amount
                each.updated_ms = at_ms
                each.status = OrderStatus.PARTLY_FILLED
            fills.append(Fill(self._new_id(), price, amount, maker, order, at_ms))
            if maker.filled == maker.amount:
                maker.status = OrderStatus.FILLED
                del self._open[maker.id]
            facing.shrink(key, amount)
            if order.filled == order.amount or (order.value and order.filled_value == order.value):
                order.status = OrderStatus.FILLED
                break
        return fills

    def _can_fill(self, order: Order, facing: HalfBook) -> bool:
        """Tell whether the whole order could be filled at once."""
        left = order.amount
        for key in reversed(facing.keys):
            if left <= 0 or key < order.price * facing.sign:
                break
            left -= facing.steps[key][1]
        return left <= 0

    @staticmethod
    def _reaches(order: Order, facing: HalfBook) -> bool:
        """Tell whether an order would take from the best level of the other side."""
        return order.kind is Kind.MARKET or facing.keys[-1] >= order.price * facing.sign


def _cancelled(order: Order) -> None:
    order.status = OrderStatus.PARTLY_CANCELLED if order.filled else OrderStatus.CANCELLED


def _check(order: Order, known: dict[str, Order]) -> None:
    """Refuse what can only be a mistake of the caller."""
    is_market = order.kind is Kind.MARKET
    by_value = is_market and order.side == "buy"
    needed = (order.value,) if by_value else (order.amount,) if is_market else (order.amount, order.price)
    unneeded = (order.amount, order.price) if by_value else (order.value, order.price) if is_market else (order.value,)
    if order.id in known or order.filled or order.status is not OrderStatus.OPEN:
        raise ValueError(f"order {order.id} has been placed before")
    if min(needed) <= 0 or any(unneeded):
        raise ValueError(
            f"order {order.id}, {order.side} {order.kind.value}: not with amount {order.amount}, price {order.price}"
            f" and value {order.value}"
        )
