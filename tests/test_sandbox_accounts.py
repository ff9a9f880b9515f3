"""Money on the practice exchange: nothing is lost, nothing is made, nothing is spent twice."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbank_ws.sandbox.accounts import in_coins, in_units
from lbank_ws.sandbox.orders import AssetChanged, OrderChanged, OrderStatus
from tests.trading_floor import KEY, TradingFloor

D = Decimal


def test_an_order_holds_back_what_it_may_cost_and_gives_it_back_when_cancelled():
    """Otherwise a second order could spend the same money."""
    floor = TradingFloor()
    floor.open_account()

    placed = floor.order("buy", "50000", "0.5")["data"]
    open_view = floor.view()
    floor.post("/v2/supplement/cancel_order.do", symbol="btc_usdt", orderId=placed["order_id"])

    assert (open_view.free["usdt"], open_view.locked["usdt"]) == (75_000, 25_000)
    assert [order.id for order in open_view.open_orders] == [placed["order_id"]]
    after = floor.view()
    assert (after.free["usdt"], after.locked["usdt"]) == (100_000, 0)
    assert after.open_orders == ()
    assert after.orders[0].status is OrderStatus.CANCELLED


def test_a_sell_holds_back_the_amount():
    """What is sold is the base currency."""
    floor = TradingFloor()
    floor.open_account()

    floor.order("sell", "99000", "0.5")

    assert (floor.view().free["btc"], floor.view().locked["btc"]) == (D("1.5"), D("0.5"))


def test_a_buy_pays_its_commission_in_what_it_receives():
    """Base units for a buy; and it pays the maker's price, not its limit."""
    floor = TradingFloor()
    floor.open_account(fee="0.002")
    price, best_amount = floor.market.book("btc_usdt").asks[0]
    listing = floor.market.listing("btc_usdt")
    price, amount = listing.price_of(price), min(listing.amount_of(best_amount), D("0.01"))

    floor.order("buy", price + 50, amount)

    view = floor.view()
    assert view.free["usdt"] == 100_000 - price * amount
    assert view.locked["usdt"] == 0
    assert view.fees == {"usdt": 0, "btc": amount * D("0.002")}
    assert view.free["btc"] == 2 + amount * D("0.998")


def test_a_sell_pays_its_commission_in_what_it_receives():
    """Quote units for a sell."""
    floor = TradingFloor()
    floor.open_account(fee="0.002")

    floor.order("sell_market", amount="0.001")

    view = floor.view()
    (order,) = view.orders
    value = order.listing.value_of(order.filled_value)
    assert view.free["btc"] == D("1.999")
    assert view.fees["usdt"] == value * D("0.002")
    assert view.free["usdt"] == 100_000 + value * D("0.998")


def test_a_market_buy_spends_no_more_than_it_was_given():
    """What cannot buy a whole step any more comes back."""
    floor = TradingFloor()
    floor.open_account()

    floor.order("buy_market", price="1234.5678901")

    view = floor.view()
    spent = 100_000 - view.free["usdt"]
    assert view.locked["usdt"] == 0
    assert D("1233") < spent <= D("1234.5678901")
    told = [each for each in floor.happened if isinstance(each, AssetChanged) and each.asset == "usdt"]
    assert {in_coins(each.free) for each in told[:-1]} == {100_000 - D("1234.5678901")}
    assert spent == view.orders[0].listing.value_of(view.orders[0].filled_value)


@pytest.mark.parametrize(
    ("direction", "price", "amount"),
    [("buy", "50000", "2.00001"), ("sell", "90000", "2.00001"), ("buy_market", "100000.01", None)],
)
def test_what_is_not_there_cannot_be_spent(direction, price, amount):
    """Not even for a moment."""
    floor = TradingFloor()
    before = floor.open_account()

    answer = floor.order(direction, price, amount)

    assert (answer["result"], answer["error_code"]) == (False, 10014)
    assert floor.view() == before


def test_a_maker_is_settled_when_the_flow_meets_it():
    """An order that rests is filled while nobody asks."""
    floor = TradingFloor()
    floor.open_account(fee="0")
    listing = floor.market.listing("btc_usdt")
    price = floor.best("asks") - listing.price_of(1)
    floor.order("sell", price, "0.002")
    for _ in range(600):
        floor.play(1)
        if not floor.view().open_orders:
            break

    assert floor.view().orders[0].status is OrderStatus.FILLED
    assert floor.view().free == {"usdt": 100_000 + price * D("0.002"), "btc": D("1.998")}


def test_an_order_of_nobody_moves_nothing():
    """A test may place orders under a name that has no account."""
    floor = TradingFloor()

    assert all(floor.desk.noticed(each) == [] for each in floor.market.advance(floor.now_ms + 5000))


moves = st.one_of(
    st.tuples(
        st.just("place"),
        st.sampled_from(["ann", "bob"]),
        st.sampled_from(["buy", "sell", "buy_maker", "sell_maker", "buy_ioc", "sell_ioc", "buy_fok", "sell_fok"]),
        st.integers(-300, 300),
        st.integers(1, 200_000),
    ),
    st.tuples(
        st.just("place"), st.sampled_from(["ann", "bob"]), st.just("sell_market"), st.just(0), st.integers(1, 50_000)
    ),
    st.tuples(
        st.just("place"), st.sampled_from(["ann", "bob"]), st.just("buy_market"), st.integers(2, 90_000), st.just(0)
    ),
    st.tuples(st.just("cancel"), st.sampled_from(["ann", "bob"]), st.just(""), st.integers(0, 5), st.just(0)),
    st.tuples(st.just("wait"), st.just(""), st.just(""), st.integers(1, 30), st.just(0)),
)


@settings(max_examples=60, deadline=None)
@given(
    story=st.lists(moves, max_size=25), fees=st.tuples(*[st.sampled_from(["0", "0.001", "0.0033333333", "0.2"])] * 2)
)
def test_money_is_conserved_and_never_below_zero(story, fees):
    """Two traders and the flow: what they have and have paid changes only by what the flow paid and received."""
    floor = TradingFloor()
    owners = ("ann", "bob")
    for owner, fee in zip(owners, fees, strict=True):
        floor.open_account(owner, "s", fee=fee)
    begun = wealth(floor, owners)

    for what, owner, direction, number, amount in story:
        if what == "place":
            price = D(number) if direction == "buy_market" else floor.best("asks") + number
            floor.order(direction, price, D(amount).scaleb(-5), key=owner, secret="s")
        elif what == "cancel":
            wanted = floor.view(owner).orders[number : number + 1]
            for order in wanted:
                floor.post("/v2/supplement/cancel_order.do", owner, "s", symbol="btc_usdt", orderId=order.id)
        else:
            floor.play(number)
        for each in owners:
            view = floor.view(each)
            assert min(*view.free.values(), *view.locked.values()) >= 0
            assert view.locked == held_by(view.open_orders)

    received: Counter[str] = Counter()
    for each in floor.happened:
        if isinstance(each, AssetChanged):
            assert min(each.free, each.locked) >= 0
        if isinstance(each, OrderChanged) and each.fill is not None:
            other = each.fill.taker if each.is_maker else each.fill.maker
            if other.owner is None:
                sign = 1 if each.order.side == "buy" else -1
                received["btc"] += sign * each.listing.amount_of(each.fill.amount)
                received["usdt"] -= sign * each.listing.value_of(each.fill.value)
    assert wealth(floor, owners) == {asset: begun[asset] + received[asset] for asset in begun}


def wealth(floor: TradingFloor, owners: tuple[str, ...]) -> dict[str, Decimal]:
    """What all have, and all commission that was ever paid."""
    views = [floor.view(owner) for owner in owners]
    return {
        asset: sum((view.free[asset] + view.locked[asset] + view.fees[asset] for view in views), D(0))
        for asset in ("usdt", "btc")
    }


def held_by(orders) -> dict[str, Decimal]:
    """What open orders may still cost, reckoned a second time."""
    held = {"usdt": D(0), "btc": D(0)}
    for order in orders:
        left = order.amount - order.filled
        if order.side == "buy":
            held["usdt"] += order.listing.value_of(order.price * left)
        else:
            held["btc"] += order.listing.amount_of(left)
    return held


def test_every_change_of_a_balance_is_told_right_after_the_change_of_the_order():
    """LBank's assetUpdate came 14 ms after its orderUpdate."""
    floor = TradingFloor()
    floor.open_account()
    listing = floor.market.listing("btc_usdt")

    floor.order("buy_ioc", floor.best("asks"), listing.amount_of(floor.market.book("btc_usdt").asks[0][1] + 5))

    told = [
        (each.cause, each.asset, in_coins(each.locked)) if isinstance(each, AssetChanged) else each.order.status.name
        for each in floor.happened
        if isinstance(each, AssetChanged | OrderChanged)
    ]
    assert told[0] == "OPEN"
    assert told[1][:2] == ("ORDER_CREATE", "usdt")
    assert told[1][2] > 0
    assert [each[:2] for each in told if isinstance(each, tuple)][1:3] == [
        ("ORDER_DEAL", "usdt"),
        ("ORDER_DEAL", "btc"),
    ]
    assert told[-2:] == ["PARTLY_CANCELLED", ("ORDER_CANCEL", "usdt", 0)]
    for each in floor.happened:
        if isinstance(each, AssetChanged):
            assert each.owner == KEY


@given(st.decimals(min_value=0, max_value=10**15, places=20))
def test_balances_are_exact(coins):
    """No rounding between what a test says and what it reads."""
    assert in_coins(in_units(coins)) == coins
    assert in_units(str(coins)) == Fraction(coins) * 10**20


@pytest.mark.parametrize("coins", ["-1", "nan", "1e-21", "much", "inf", D("NaN")])
def test_a_balance_that_cannot_be_is_refused(coins):
    """At once, not in a strange balance later."""
    with pytest.raises(ValueError, match="a balance is"):
        in_units(coins)


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "MD5"},
        {"fee": "1"},
        {"fee": "-0.001"},
        {"permissions": ["fly"]},
        {"secret": ""},
        {"balances": {"usdt": "-5"}},
    ],
)
def test_an_account_that_cannot_be_is_refused(wrong):
    """With a sentence about what is wrong."""
    with pytest.raises(ValueError, match=r"signature method|fee|permissions|secret|balance"):
        TradingFloor().open_account(**wrong)


def test_a_key_is_used_once():
    """The second account would silently replace the first."""
    floor = TradingFloor()
    floor.open_account()

    with pytest.raises(ValueError, match="already"):
        floor.open_account()


def test_the_secret_is_in_no_repr():
    """A failing test prints what it has."""
    floor = TradingFloor()
    floor.open_account(secret="canary")

    assert "canary" not in repr(floor.desk.accounts.get(KEY))
    assert "canary" not in repr(floor.view())
