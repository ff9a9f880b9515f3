"""The order book of the practice exchange, held against a model so plain that it can be checked by reading it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbank_ws.sandbox.listings import listing_of
from lbank_ws.sandbox.matching import OrderBook
from lbank_ws.sandbox.orders import Fill, Kind, Order, OrderStatus, Side

LISTING = listing_of("btc_usdt")
NOW_MS = 1_795_399_447_031
MANY = settings(max_examples=150, deadline=None)


def opened_book() -> OrderBook:
    numbers = count(1)
    return OrderBook(lambda: f"{next(numbers):032x}")


def an_order(name: str, side: Side, price: int, amount: int, kind: Kind = Kind.LIMIT, value: int = 0) -> Order:
    return Order(name, LISTING, side, kind, price, amount, value)


def resting(*orders: tuple[str, Side, int, int]) -> OrderBook:
    """Give a book with limit orders: name, side, price, amount."""
    book = opened_book()
    for name, side, price, amount in orders:
        assert book.place(an_order(name, side, price, amount), NOW_MS) == []
    return book


def met(fills: Sequence[Fill]) -> list[tuple[str, int, int]]:
    return [(fill.maker.id, fill.price, fill.amount) for fill in fills]


# --- by example


def test_orders_meet_by_price_and_then_by_time():
    """Who waits longest at the best price is first; everything else would be unfair and unlike every exchange."""
    book = resting(("late", "sell", 101, 5), ("first", "sell", 100, 2), ("second", "sell", 100, 2))

    fills = book.place(an_order("taker", "buy", 101, 6), NOW_MS)

    assert met(fills) == [("first", 100, 2), ("second", 100, 2), ("late", 101, 2)]
    assert book.asks.top(5) == ((101, 3),)


def test_a_fill_is_at_the_price_of_the_order_that_rested():
    """A taker that offers more than it must pays no more than it must."""
    book = resting(("bid", "buy", 105, 3))

    (fill,) = book.place(an_order("taker", "sell", 90, 1), NOW_MS)

    assert (fill.price, fill.value, fill.at_ms) == (105, 105, NOW_MS)
    assert book.asks.best is None


def test_what_is_left_of_a_limit_order_rests():
    """It becomes the new best price."""
    book = resting(("ask", "sell", 100, 2))
    taker = an_order("taker", "buy", 101, 5)

    book.place(taker, NOW_MS)

    assert (taker.status, taker.filled, taker.filled_value) == (OrderStatus.PARTLY_FILLED, 2, 200)
    assert book.bids.top(1) == ((101, 3),)
    assert book.order("taker") is taker


# Each row: kind, price, amount, value, fills of ("a" 100 x 2, "b" 101 x 2), the end.
@pytest.mark.parametrize(
    ("kind", "price", "amount", "value", "fills", "status"),
    [
        (Kind.MAKER, 100, 1, 0, [], OrderStatus.CANCELLED),
        (Kind.MAKER, 99, 1, 0, [], OrderStatus.OPEN),
        (Kind.IOC, 100, 3, 0, [("a", 100, 2)], OrderStatus.PARTLY_CANCELLED),
        (Kind.IOC, 99, 3, 0, [], OrderStatus.CANCELLED),
        (Kind.IOC, 101, 2, 0, [("a", 100, 2)], OrderStatus.FILLED),
        (Kind.FOK, 100, 3, 0, [], OrderStatus.CANCELLED),
        (Kind.FOK, 101, 5, 0, [], OrderStatus.CANCELLED),
        (Kind.FOK, 101, 4, 0, [("a", 100, 2), ("b", 101, 2)], OrderStatus.FILLED),
        (Kind.MARKET, 0, 0, 200, [("a", 100, 2)], OrderStatus.FILLED),
        (Kind.MARKET, 0, 0, 299, [("a", 100, 2)], OrderStatus.FILLED),  # 99 do not pay for a step at 101
        (Kind.MARKET, 0, 0, 301, [("a", 100, 2), ("b", 101, 1)], OrderStatus.FILLED),
        (Kind.MARKET, 0, 0, 500, [("a", 100, 2), ("b", 101, 2)], OrderStatus.PARTLY_CANCELLED),
        (Kind.MARKET, 0, 0, 99, [], OrderStatus.CANCELLED),
    ],
)
def test_each_kind_of_buy_takes_what_it_may_and_ends_as_it_should(kind, price, amount, value, fills, status):
    """The suffixes of LBank's order types, one by one."""
    book = resting(("a", "sell", 100, 2), ("b", "sell", 101, 2))
    taker = an_order("taker", "buy", price, amount, kind, value)

    made = book.place(taker, NOW_MS)

    assert met(made) == fills
    assert taker.status is status
    assert (book.order("taker") is taker) == (status is OrderStatus.OPEN)


def test_a_market_sell_goes_by_amount():
    """Its value is not known before."""
    book = resting(("a", "buy", 100, 2), ("b", "buy", 99, 2))
    taker = an_order("taker", "sell", 0, 3, Kind.MARKET)

    assert met(book.place(taker, NOW_MS)) == [("a", 100, 2), ("b", 99, 1)]
    assert (taker.status, taker.filled_value) == (OrderStatus.FILLED, 299)


def test_a_cancelled_order_is_gone_and_cannot_be_cancelled_again():
    """The second cancel is a race that every client loses at times."""
    book = resting(("a", "buy", 100, 2), ("b", "buy", 100, 3))

    cancelled = book.cancel("a", NOW_MS + 5)

    assert cancelled is not None
    assert (cancelled.status, cancelled.updated_ms) == (OrderStatus.CANCELLED, NOW_MS + 5)
    assert book.cancel("a", NOW_MS + 6) is None
    assert book.bids.top(5) == ((100, 3),)


@pytest.mark.parametrize(("left", "first"), [(1, "a"), (2, "a"), (3, "b")])
def test_an_order_that_grows_goes_to_the_back_and_one_that_shrinks_stays(left, first):
    """The synthetic flow changes its amounts, and must not keep users waiting behind what came later."""
    book = resting(("a", "buy", 100, 2), ("b", "buy", 100, 5))
    order = book.order("a")
    assert order is not None

    book.resize(order, left)

    assert book.bids.top(1) == ((100, left + 5),)
    assert book.place(an_order("taker", "sell", 100, 1), NOW_MS)[0].maker.id == first


@pytest.mark.parametrize(
    "wrong",
    [
        an_order("x", "buy", 100, 0),
        an_order("x", "buy", 0, 1),
        an_order("x", "buy", -1, 1),
        an_order("x", "buy", 0, 1, Kind.MARKET),
        an_order("x", "sell", 0, 0, Kind.MARKET, 5),
        an_order("x", "sell", 100, 1, Kind.LIMIT, 5),
        an_order("a", "buy", 100, 1),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_and_changes_nothing(wrong):
    """It is a mistake of the caller, who must hear of it."""
    book = resting(("a", "buy", 100, 2))

    with pytest.raises(ValueError, match=r"placed before|not with amount"):
        book.place(wrong, NOW_MS)

    assert book.bids.top(5) == ((100, 2),)


# --- against a plain model


@dataclass
class Model:
    """The same rules with one sorted list a side."""

    rest: list[Order] = field(default_factory=list)

    def reachable(self, order: Order) -> list[Order]:
        """Give the orders that a new one may take, the best and oldest first."""
        buys = order.side == "buy"
        facing = [
            each
            for each in self.rest
            if each.side != order.side
            and (order.kind is Kind.MARKET or (each.price <= order.price if buys else each.price >= order.price))
        ]
        return sorted(facing, key=lambda each: each.price if buys else -each.price)  # stable: the oldest first

    def place(self, order: Order) -> list[tuple[str, int, int]]:
        makers = self.reachable(order)
        if order.kind is Kind.MAKER and makers:
            return []
        if order.kind is Kind.FOK and sum(each.amount - each.filled for each in makers) < order.amount:
            return []
        fills = []
        for maker in makers:
            wanted = (order.value - order.filled_value) // maker.price if order.value else order.amount - order.filled
            amount = min(wanted, maker.amount - maker.filled)
            if amount == 0:
                break
            fills.append((maker.id, maker.price, amount))
            order.filled_value += amount * maker.price
            order.filled += amount
            maker.filled += amount
        self.rest = [each for each in self.rest if each.filled < each.amount]
        if order.kind in (Kind.LIMIT, Kind.MAKER) and order.filled < order.amount:
            self.rest.append(order)
        return fills

    def cancel(self, order_id: str) -> bool:
        before = len(self.rest)
        self.rest = [each for each in self.rest if each.id != order_id]
        return len(self.rest) < before

    def levels(self, side: Side) -> list[tuple[int, int]]:
        prices = sorted({each.price for each in self.rest if each.side == side}, reverse=side == "buy")
        return [
            (price, sum(each.amount - each.filled for each in self.rest if (each.side, each.price) == (side, price)))
            for price in prices
        ]


sides: st.SearchStrategy[Side] = st.sampled_from(["buy", "sell"])
prices = st.integers(min_value=95, max_value=105)
amounts = st.integers(min_value=1, max_value=12)
limited = st.builds(
    lambda side, price, amount, kind: an_order("", side, price, amount, kind),
    sides,
    prices,
    amounts,
    st.sampled_from([Kind.LIMIT, Kind.LIMIT, Kind.MAKER, Kind.IOC, Kind.FOK]),
)
market_buys = st.builds(lambda value: an_order("", "buy", 0, 0, Kind.MARKET, value), st.integers(1, 2500))
market_sells = st.builds(lambda amount: an_order("", "sell", 0, amount, Kind.MARKET), amounts)
cancels = st.integers(min_value=0, max_value=40)
doings = st.lists(st.one_of(limited, limited, limited, market_buys, market_sells, cancels), max_size=40)


@MANY
@given(doings=doings)
def test_a_book_does_what_the_plain_model_does(doings):
    """Price-time priority, every kind, every cancel: fill for fill and level for level."""
    book, model = opened_book(), Model()

    for number, doing in enumerate(doings):
        if isinstance(doing, int):
            assert (book.cancel(f"{doing}", NOW_MS) is not None) == model.cancel(f"{doing}")
        else:
            order = copy.copy(doing)
            order.id = f"{number}"
            fills = book.place(order, NOW_MS)
            twin = copy.copy(doing)
            twin.id = order.id
            assert met(fills) == model.place(twin)
            assert (order.filled, order.filled_value) == (twin.filled, twin.filled_value)

        assert list(book.bids.top(99)) == model.levels("buy")
        assert list(book.asks.top(99)) == model.levels("sell")
        assert {order.id for order in book.orders()} == {order.id for order in model.rest}


@MANY
@given(doings=doings)
def test_nothing_is_lost_made_up_or_crossed(doings):
    """Money and amounts are conserved whatever comes, and the best bid stays below the best ask."""
    book = opened_book()
    placed: list[Order] = []
    fills: list[Fill] = []

    for number, doing in enumerate(doings):
        if isinstance(doing, int):
            book.cancel(f"{doing}", NOW_MS)
            continue
        order = copy.copy(doing)
        order.id = f"{number}"
        placed.append(order)
        made = book.place(order, NOW_MS)
        fills += made

        for fill in made:
            assert fill.taker is order
            assert fill.maker.kind in (Kind.LIMIT, Kind.MAKER)
            assert fill.price == fill.maker.price
        assert order.kind is not Kind.MAKER or not made
        assert order.kind is not Kind.FOK or order.filled in (0, order.amount)
        assert order.kind in (Kind.LIMIT, Kind.MAKER) or book.order(order.id) is None
        assert book.bids.best is None or book.asks.best is None or book.bids.best < book.asks.best
        for keys in (book.bids.keys, book.asks.keys):
            assert all(worse < better for worse, better in pairwise(keys))

    for side in ("buy", "sell"):
        mine = [order for order in placed if order.side == side]
        assert sum(order.filled for order in mine) == sum(fill.amount for fill in fills)
        assert sum(order.filled_value for order in mine) == sum(fill.value for fill in fills)
    for order in placed:
        assert order.value or order.filled <= order.amount
        assert not order.value or order.filled_value <= order.value
        assert order.is_done == (book.order(order.id) is None)
        assert (order.status is OrderStatus.FILLED) <= (order.filled > 0)
    assert len({fill.id for fill in fills}) == len(fills)
