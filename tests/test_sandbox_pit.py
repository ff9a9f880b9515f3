"""Users and the synthetic traders in one book: fills come by themselves, nobody is skipped, and the book heals."""

from __future__ import annotations

from itertools import count, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbank_ws.sandbox.bars import INTERVALS
from lbank_ws.sandbox.flow import LEVELS
from lbank_ws.sandbox.listings import LISTINGS, listing_of
from lbank_ws.sandbox.market import SLOT_MS, Book, Happening, Klines, Market, OrderChanged, Tick, Trade
from lbank_ws.sandbox.orders import Kind, Order, OrderStatus, Side

OPENED_AT_MS = 1_795_399_447_000
PAIR = "btc_usdt"
FEW = settings(max_examples=20, deadline=None)
seeds = st.integers(min_value=0, max_value=2**32)
sides: st.SearchStrategy[Side] = st.sampled_from(["buy", "sell"])
names = count(1)


def opened_market(pair: str = PAIR, seed: int = 1) -> Market:
    return Market([pair], seed, OPENED_AT_MS)


def an_order(side: Side, price: int, amount: int, kind: Kind = Kind.LIMIT, pair: str = PAIR, value: int = 0) -> Order:
    return Order(f"order-{next(names)}", listing_of(pair), side, kind, price, amount, value, owner="user")


def play(market: Market, seconds: float) -> list[Happening]:
    return market.advance(market.now_ms + round(seconds * 1000))


def trades(happened: list[Happening]) -> list[Trade]:
    return [each for each in happened if isinstance(each, Trade)]


def changes(happened: list[Happening]) -> list[OrderChanged]:
    return [each for each in happened if isinstance(each, OrderChanged)]


# --- what placing tells


def test_placing_is_told_first_and_then_every_fill():
    """Whoever keeps accounts needs the order before its fills, and each fill with the order as it then stood."""
    market = opened_market()
    asks = market.book(PAIR).asks[:3]
    order = an_order("buy", asks[1][0], asks[0][1] + asks[1][1] + 7)

    happened = market.place(order, market.now_ms)

    told = changes(happened)
    assert happened[0] is told[0]
    assert [(each.order.status, each.order.filled) for each in told] == [
        (OrderStatus.OPEN, 0),
        (OrderStatus.PARTLY_FILLED, asks[0][1]),
        (OrderStatus.PARTLY_FILLED, asks[0][1] + asks[1][1]),
    ]
    assert [each.fill is None for each in told] == [True, False, False]
    assert market.order(order.id) is order
    assert market.book(PAIR).bids[0] == (asks[1][0], 7)


@pytest.mark.parametrize(
    ("kind", "statuses"),
    [
        (Kind.MAKER, [OrderStatus.OPEN, OrderStatus.CANCELLED]),
        (Kind.FOK, [OrderStatus.OPEN, OrderStatus.CANCELLED]),
        (Kind.IOC, [OrderStatus.OPEN, OrderStatus.PARTLY_FILLED, OrderStatus.PARTLY_CANCELLED]),
    ],
)
def test_an_order_that_may_not_rest_is_told_to_the_end(kind, statuses):
    """Placed, filled as far as it may be, then cancelled."""
    market = opened_market()
    price, amount = market.book(PAIR).asks[0]
    order = an_order("buy", price, amount + 1, kind)

    happened = market.place(order, market.now_ms)

    assert [each.order.status for each in changes(happened)] == statuses
    assert market.order(order.id) is None


def test_copies_in_happenings_do_not_change_any_more():
    """A log whose past changes is no log."""
    market = opened_market()
    order = an_order("buy", market.book(PAIR).bids[0][0], 5)

    (placed,) = changes(market.place(order, market.now_ms))
    (cancelled,) = changes(market.cancel(order.id, market.now_ms))

    assert (placed.order.status, cancelled.order.status) == (OrderStatus.OPEN, OrderStatus.CANCELLED)


def test_only_an_open_order_of_a_user_can_be_cancelled():
    """The others are nobody's to cancel."""
    market = opened_market()
    order = an_order("buy", 5_000_000, 5)
    market.place(order, market.now_ms)
    market.cancel(order.id, market.now_ms)

    assert market.cancel(order.id, market.now_ms) == []
    assert market.cancel("no such order", market.now_ms) == []
    assert market.cancel(f"{PAIR}-1", market.now_ms) == []  # of the synthetic flow


def test_an_order_without_an_owner_is_refused():
    """Nobody could be told what becomes of it."""
    market = opened_market()
    order = an_order("buy", 5_000_000, 5)
    order.owner = None

    with pytest.raises(ValueError, match="owner"):
        market.place(order, market.now_ms)


# --- the market comes to users


# How long a walk takes to come back has no bound: the seed is fixed, and the order stands where the market is.
@pytest.mark.parametrize("pair", [*LISTINGS, "new_usdt"])
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_an_order_at_the_best_price_fills_by_itself(pair, side):
    """Otherwise a practice exchange has nothing to practise."""
    market = opened_market(pair)
    book = market.book(pair)
    price = (book.bids if side == "buy" else book.asks)[0][0]
    order = an_order(side, price, max(1, listing_of(pair).lot // 2), pair=pair)

    happened = market.place(order, market.now_ms)
    for _ in range(30):
        if order.is_done:
            break
        happened += play(market, 60)

    assert order.status is OrderStatus.FILLED
    mine = [each for each in trades(happened) if order.id in (each.maker_id, each.taker_id)]
    told = [each for each in changes(happened) if each.order.id == order.id]
    assert sum(each.volume for each in mine) == order.filled == order.amount
    assert [each.fill.id for each in told if each.fill] == [each.id for each in mine]
    assert all(each.price == order.price and each.maker == "user" for each in mine)


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_who_offers_more_than_the_market_is_met_within_seconds_on_the_thinnest_pair(side):
    """Somebody always sees a bargain, long before the next taker comes by chance."""
    pair = "lbk_usdt"
    market = opened_market(pair)
    facing = market.book(pair).asks if side == "buy" else market.book(pair).bids
    amount = sum(amount for _, amount in facing[:11])
    order = an_order(side, facing[10][0], amount + 1, pair=pair)
    market.place(order, market.now_ms)
    assert order.filled == amount

    play(market, 0.4)

    assert order.status is OrderStatus.FILLED


@FEW
@given(seed=seeds, plan=st.lists(st.tuples(sides, st.integers(-150, 150), st.integers(1, 40)), max_size=12))
def test_nobody_trades_or_quotes_through_a_user(seed, plan):
    """A better price that is passed over would be the end of all trust in the box."""
    market = opened_market(seed=seed)
    lot = listing_of(PAIR).lot
    mine: list[Order] = []
    for side, away, lots in plan:
        order = an_order(side, market.tick(PAIR).latest + away, lots * lot)
        mine.append(order)
        market.place(order, market.now_ms)
        for _ in range(30):
            before = {each.id for each in mine if not each.is_done}
            happened = play(market, SLOT_MS / 1000)
            met = {each.maker_id for each in trades(happened)}
            for trade in trades(happened):
                for each in mine:
                    if each.id in before and each.id not in met:
                        assert (trade.price >= each.price) if each.side == "buy" else (trade.price <= each.price)
            book = market.book(PAIR)
            assert book.bids[0][0] < book.asks[0][0]
            for each in mine:
                if not each.is_done:
                    levels = dict(book.bids if each.side == "buy" else book.asks)
                    assert levels.get(each.price, 0) >= each.amount - each.filled or len(levels) == LEVELS
                    assert market.order(each.id) is each


def test_a_users_order_goes_first_at_its_price_only_behind_those_that_came_before():
    """Time priority holds between users and the synthetic flow."""
    market = opened_market()
    price, resting = market.book(PAIR).bids[0]
    order = an_order("buy", price, 9)
    market.place(order, market.now_ms)

    market.place(an_order("sell", price, resting, Kind.IOC), market.now_ms)
    assert order.filled == 0
    market.place(an_order("sell", price, 9, Kind.IOC), market.now_ms)

    assert order.status is OrderStatus.FILLED


def test_a_wall_holds_until_it_is_eaten_and_then_the_market_comes_back():
    """A large bid far above the market is sold into; the quotes keep off it meanwhile."""
    market = opened_market()
    start = market.tick(PAIR).latest
    price = start * 101 // 100
    wall = an_order("buy", price, 2_000_000)
    market.place(wall, market.now_ms)

    happened: list[Happening] = []
    while not wall.is_done and market.now_ms < OPENED_AT_MS + 300_000:
        happened += play(market, 1)
        if not wall.is_done:
            assert market.tick(PAIR).bid == price < market.tick(PAIR).ask
    play(market, 20)

    assert wall.status is OrderStatus.FILLED
    assert {each.price for each in trades(happened) if each.maker_id == wall.id} == {price}
    assert abs(market.tick(PAIR).ask - start) < price - start


# --- users move the market


@pytest.mark.parametrize("pair", [PAIR, "doge_usdt", "lbk_usdt"])
@pytest.mark.parametrize("levels", [20, 150, LEVELS])
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_large_order_moves_the_market_and_the_book_heals_within_seconds(pair, levels, side):
    """Slippage is what people want to see in practice; a box that stays broken is not."""
    market = opened_market(pair)
    before = market.book(pair)
    facing = before.asks if side == "buy" else before.bids
    usual = max(abs(sooner[0] - later[0]) for sooner, later in pairwise(facing))
    order = an_order(side, facing[levels - 1][0], sum(amount for _, amount in facing[:levels]), Kind.IOC, pair)

    market.place(order, market.now_ms)

    assert order.status is OrderStatus.FILLED
    assert abs(market.tick(pair).latest - facing[0][0]) == abs(facing[levels - 1][0] - facing[0][0])
    play(market, 8)
    book = market.book(pair)
    assert len(book.bids) == len(book.asks) == LEVELS
    assert book.asks[0][0] - book.bids[0][0] <= 2 * usual
    for half in (book.bids, book.asks):
        assert max(abs(sooner[0] - later[0]) for sooner, later in pairwise(half)) <= 2 * usual


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_part_of_the_way_that_a_user_pushed_the_price_stays(side):
    """The market believes somebody who pays that much, but not all of it."""
    market = opened_market()
    facing = market.book(PAIR).asks if side == "buy" else market.book(PAIR).bids
    (first, _), (last, _) = facing[0], facing[-1]
    market.place(an_order(side, last, sum(amount for _, amount in facing), Kind.IOC), market.now_ms)

    play(market, 0.6)

    tick = market.tick(PAIR)
    assert 0.1 < ((tick.bid + tick.ask) / 2 - first) / (last - first) < 0.5


def test_a_swept_side_has_a_tick_and_is_back_within_a_second():
    """A tick without a price would break clients that LBank does not break."""
    market = opened_market()
    asks = market.book(PAIR).asks
    market.place(an_order("buy", asks[-1][0], sum(amount for _, amount in asks), Kind.IOC), market.now_ms)

    assert market.book(PAIR).asks == ()
    assert market.tick(PAIR).bid < market.tick(PAIR).ask
    play(market, 1)
    assert len(market.book(PAIR).asks) == LEVELS


def test_users_trades_are_in_trades_tick_bars_and_pushes():
    """Whoever rebuilds bars from trades must find the same bars, also of his own trades."""
    market = opened_market()
    bars = {interval: market.bar(PAIR, interval) for interval in INTERVALS}
    price, amount = market.book(PAIR).asks[0]

    (made,) = trades(market.place(an_order("buy", price, amount), market.now_ms))
    happened = play(market, SLOT_MS / 1000)

    assert market.trades(PAIR)[0] == made
    assert (made.taker, made.maker, made.direction, made.traded_at_ms) == ("user", None, "buy", OPENED_AT_MS)
    since = [made, *trades(happened)]
    for interval, before in bars.items():
        assert market.bar(PAIR, interval).volume - before.volume == sum(each.volume for each in since)
        assert market.bar(PAIR, interval).trades - before.trades == len(since)
    assert any(isinstance(each, Tick) and each.latest == since[-1].price for each in happened)
    assert any(isinstance(each, Klines) and len(each.bars) == len(INTERVALS) for each in happened)


def test_depth_shows_users_orders():
    """It is the first thing that one looks for."""
    market = opened_market()
    bids = dict(market.book(PAIR).bids)
    price = market.book(PAIR).bids[100][0]
    market.place(an_order("buy", price, 12_345), market.now_ms)

    assert dict(market.book(PAIR).bids)[price] == bids[price] + 12_345
    books = [each for each in play(market, 2) if isinstance(each, Book)]
    assert books
    assert dict(books[-1].bids).get(price, 0) >= 12_345


def test_a_market_buy_spends_its_value_and_no_more():
    """It is given as money, not as an amount."""
    market = opened_market()
    asks = market.book(PAIR).asks[:2]
    value = asks[0][0] * asks[0][1] + asks[1][0] + 1
    order = an_order("buy", 0, 0, Kind.MARKET, value=value)

    made = trades(market.place(order, market.now_ms))

    assert (order.status, order.filled) == (OrderStatus.FILLED, asks[0][1] + 1)
    assert value - order.filled_value == 1
    assert {each.direction for each in made} == {"buy_market"}


def test_ids_of_trades_are_32_hex_digits_and_differ():
    """Clients use them to drop what they have seen."""
    market = Market([PAIR, "eth_usdt"], 1, OPENED_AT_MS)
    made = trades(play(market, 60))

    assert len({each.id for each in made}) == len(made) > 100
    assert all(len(each.id) == 32 and int(each.id, 16) >= 0 for each in made)


def test_the_same_orders_at_the_same_moments_give_the_same_market():
    """A failing test with orders must fail again tomorrow, too."""

    def once() -> list[Happening]:
        market = opened_market()
        happened = play(market, 5)
        order = Order("mine", listing_of(PAIR), "buy", Kind.LIMIT, 7_402_000, 40_000, owner="user")
        happened += market.place(order, market.now_ms)
        return happened + play(market, 20)

    assert once() == once()


def test_a_thousand_far_orders_of_users_do_not_grow_the_synthetic_book():
    """Users' orders beyond the quotes must neither push the quotes out nor be pushed out."""
    market = opened_market()
    for number in range(1000):
        market.place(an_order("buy", 5_000_000 + number, 1), market.now_ms)

    play(market, 30)

    orders = market._pits[PAIR]._orders.orders()
    assert sum(each.owner == "user" for each in orders) == 1000
    assert sum(each.owner is None for each in orders) == 2 * LEVELS
