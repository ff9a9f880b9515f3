"""How large and how many orders may be, by the wish of who places them.

Decided here: which bounds there are, and which of them an order breaks. They are given in code alone: no variable and
no file widens them. No socket, no thread, no clock. Not decided here: when they are asked, which is `placing.py`, and
which book is a good one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

from lbank_ws.errors import UsageError
from lbank_ws.events import Depth, Level
from lbank_ws.trading.ticket import Number, checked_number, plain
from lbank_ws.trading_errors import OrderOutOfBounds
from lbank_ws.wire import OrderRequest

MINUTE_S = 60.0


@dataclass(frozen=True)
class Bounds:
    """What no order may exceed; what breaks one is refused here, before it has an id or leaves.

    Attributes:
        amounts: The largest amount of an order, by what is bought or sold: `{"btc": "0.1"}`. Once something is named,
            what is not named is not traded. None for any amount.
        values: The largest price x amount of an order, by what it is paid in: `{"usdt": "500"}`; named or not traded,
            as above. A sale at the market counts at the best bid. None for any value.
        price_off: How far beyond the other side's best price of the live book an order may reach, as a fraction of it:
            `"0.02"`; an order at the market counts by the last level that it would take. None for any price.
        a_minute: How many orders may leave within any minute, those of an earlier run included. None for any number.
        open_orders: How many orders may be open on a pair, this one included: those that the exchange lists, and those
            of which nobody knows what became of them. Costs a call for each order. None for any number.

    Raises:
        UsageError: One of them is no number above 0, or is a float.
    """

    amounts: Mapping[str, Number] | None = None
    values: Mapping[str, Number] | None = None
    price_off: Number | None = None
    a_minute: int | None = None
    open_orders: int | None = None
    _most: Mapping[str, Mapping[str, Decimal]] = field(init=False, repr=False, compare=False)
    _off: Decimal | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        given = {"amounts": self.amounts, "values": self.values}
        # Copies, so that nobody widens the bounds of a client that trades.
        most = {
            name: {of: checked_number(number, name) for of, number in numbers.items()}
            for name, numbers in given.items()
            if numbers is not None
        }
        object.__setattr__(self, "_most", MappingProxyType(most))
        off = None if self.price_off is None else checked_number(self.price_off, "price_off")
        object.__setattr__(self, "_off", off)
        for name, count in (("a_minute", self.a_minute), ("open_orders", self.open_orders)):
            if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
                raise UsageError(f"{name} is a whole number above 0, or None for any, not {count!r}")

    def needs_book(self, order: OrderRequest) -> bool:
        """Tell whether the live book has to be looked at to judge an order."""
        if self.price_off is not None:
            return True
        return order.price is None and (
            (self.values is not None and order.value is None) or (self.amounts is not None and order.amount is None)
        )

    def check(self, order: OrderRequest, book: Depth | None) -> None:
        """Check an order alone; `book` is the live one, where it is needed.

        Raises:
            OrderOutOfBounds: It is larger than allowed, or reaches further.
            UsageError: The book is needed and there is none.
        """
        if book is None and self.needs_book(order):
            raise UsageError("these bounds are held against the live book, and nobody gives one")
        base, _, quote = order.pair.rpartition("_")
        price = order.price
        if book is not None:
            levels = book.asks if order.side == "buy" else book.bids
            if not levels:
                raise OrderOutOfBounds(
                    "price_off", "nobody is on the other side of the book", "a price to compare with"
                )
            price = price or levels[0].price
            self._check_reach(order, levels)
        amount = order.amount if order.amount is not None or price is None else (order.value or Decimal(0)) / price
        value = order.value if order.value is not None or price is None else price * (order.amount or Decimal(0))
        self._check_most("amounts", base, amount)
        self._check_most("values", quote, value)

    def check_count(self, within_minute: int, open_orders: int) -> None:
        """Check how many there are without this one.

        Raises:
            OrderOutOfBounds: This one would be too many.
        """
        for name, count, most in (
            ("a_minute", within_minute, self.a_minute),
            ("open_orders", open_orders, self.open_orders),
        ):
            if most is not None and count >= most:
                raise OrderOutOfBounds(name, f"{count} without this one", f"{most} with it")

    def _check_most(self, name: str, of: str, number: Decimal | None) -> None:
        most = self._most.get(name)
        if most is None or number is None:
            return
        if of not in most:
            raise OrderOutOfBounds(name, of, " or ".join(most) or "nothing")
        if number > most[of]:
            raise OrderOutOfBounds(name, f"{plain(number)} {of}", f"{plain(most[of])} {of}")

    def _check_reach(self, order: OrderRequest, levels: Sequence[Level]) -> None:
        if self._off is None:
            return
        best = levels[0].price
        furthest = order.price if order.price is not None else _last_taken(order, levels)
        away = best * self._off
        limit = best + away if order.side == "buy" else best - away
        if furthest is None:
            raise OrderOutOfBounds("price_off", "more than the whole book", plain(limit))
        if furthest > limit if order.side == "buy" else furthest < limit:
            raise OrderOutOfBounds("price_off", plain(furthest), plain(limit))


def _last_taken(order: OrderRequest, levels: Sequence[Level]) -> Decimal | None:
    """Give the price of the last level that an order at the market would take; None when the book does not suffice."""
    left = order.value if order.value is not None else order.amount
    assert left is not None  # noqa: S101 - an order at the market has one of them
    for level in levels:
        left -= level.amount * level.price if order.value is not None else level.amount
        if left <= 0:
            return level.price
    return None
