"""Bounds of one's own: what breaks one is refused before it has an id, and nothing but code widens them."""

from __future__ import annotations

import os
import threading
from dataclasses import FrozenInstanceError
from decimal import Decimal
from typing import Any

import pytest

from lbank_ws import Bounds, Credentials, Depth, LBankClient, Level, OrderOutOfBounds, StaleBook, UsageError
from lbank_ws.errors import Refused
from lbank_ws.sandbox import Sandbox
from lbank_ws.trading.account import AccountRest
from lbank_ws.trading.desks import ExchangeDesk
from lbank_ws.trading.journal import Journal
from lbank_ws.trading.orders import Orders
from lbank_ws.trading.ticket import order_request
from lbank_ws.trading_errors import OrderUnknown
from tests.waiting import wait_until

KEY, SECRET = "key-of-ann-0123", "secret-of-ann-4567"


def level(price: str, amount: str) -> Level:
    return Level(Decimal(price), Decimal(amount))


BOOK = Depth(
    "btc_usdt",
    bids=[level("100", "1"), level("98", "1"), level("90", "5")],
    asks=[level("101", "1"), level("103", "1"), level("120", "5")],
)
EMPTY = Depth("btc_usdt", bids=[], asks=[])


def order(side: str, order_type: str, pair: str = "btc_usdt", **numbers: str):
    return order_request(pair, side, order_type, **numbers, client_id="mine")


def limit(side: str, price: str, amount: str, pair: str = "btc_usdt"):
    return order(side, "limit", pair, price=price, amount=amount)


@pytest.mark.parametrize(
    ("bounds", "asked", "broken"),
    [
        ({"amounts": {"btc": "1"}}, limit("buy", "100", "1"), None),
        ({"amounts": {"btc": "1"}}, limit("sell", "100", "1.00001"), "amounts"),
        ({"amounts": {"btc": "1"}}, limit("buy", "1", "1", "eth_usdt"), "amounts"),
        ({"amounts": {"btc": "1"}}, order("buy", "market", value="101"), None),  # at the best ask that is 1 btc
        ({"amounts": {"btc": "1"}}, order("buy", "market", value="101.1"), "amounts"),
        ({"amounts": {}}, limit("buy", "1", "1"), "amounts"),
        ({"values": {"usdt": "100"}}, limit("buy", "100", "1"), None),
        ({"values": {"usdt": "100"}}, limit("buy", "100", "1.01"), "values"),
        ({"values": {"usdt": "100"}}, order("buy", "market", value="100"), None),
        ({"values": {"usdt": "100"}}, order("buy", "market", value="100.01"), "values"),
        ({"values": {"usdt": "100"}}, order("sell", "market", amount="1"), None),  # at the best bid
        ({"values": {"usdt": "100"}}, order("sell", "market", amount="1.1"), "values"),
        ({"values": {"usdt": "100"}}, limit("buy", "0.01", "1", "eth_btc"), "values"),
        ({"price_off": "0.02"}, limit("buy", "103.02", "1"), None),
        ({"price_off": "0.02"}, limit("buy", "103.03", "1"), "price_off"),
        ({"price_off": "0.02"}, limit("buy", "1", "1"), None),  # it rests, and costs nobody anything
        ({"price_off": "0.02"}, limit("sell", "98", "1"), None),
        ({"price_off": "0.02"}, limit("sell", "97.99", "1"), "price_off"),
        ({"price_off": "0.02"}, order("sell", "market", amount="2"), None),
        ({"price_off": "0.02"}, order("sell", "market", amount="2.1"), "price_off"),
        ({"price_off": "0.02"}, order("buy", "market", value="204"), None),
        ({"price_off": "0.02"}, order("buy", "market", value="204.1"), "price_off"),
        ({"price_off": "0.9"}, order("sell", "market", amount="7.1"), "price_off"),  # more than the whole book
        ({}, limit("buy", "1000000", "1000000"), None),
    ],
)
def test_an_order_is_held_against_each_bound(bounds: dict[str, Any], asked, broken):
    """A comma in the wrong place costs what the account holds."""
    bound = Bounds(**bounds)

    if broken is None:
        bound.check(asked, BOOK if bound.needs_book(asked) else None)
    else:
        with pytest.raises(OrderOutOfBounds) as refused:
            bound.check(asked, BOOK if bound.needs_book(asked) else None)
        assert refused.value.bound == broken
        assert "nothing was sent" in str(refused.value)


def test_what_cannot_be_judged_is_refused():
    """An empty side of the book is no reason to pay any price; a book that nobody gives is none either."""
    with pytest.raises(OrderOutOfBounds):
        Bounds(price_off="0.02").check(limit("buy", "1", "1"), EMPTY)
    with pytest.raises(UsageError, match="live book"):
        Bounds(values={"usdt": "1"}).check(order("sell", "market", amount="1"), None)


@pytest.mark.parametrize(
    "given",
    [
        {"values": {"usdt": 100.5}},
        {"amounts": {"btc": "0"}},
        {"price_off": "-1"},
        {"price_off": 0.5},
        {"a_minute": 0},
        {"a_minute": 1.5},
        {"open_orders": True},
    ],
)
def test_bounds_that_are_none_are_refused(given):
    """A bound that does not hold is worse than none."""
    with pytest.raises(UsageError):
        Bounds(**given)


def test_nobody_widens_bounds_once_they_are_given(monkeypatch):
    """Neither what they were made of, nor an attribute, nor the environment."""
    most = {"usdt": "100"}
    bounds = Bounds(values=most)
    most["usdt"] = "100000"
    for name in ("LBANK_BOUNDS", "LBANK_VALUES", "LBANK_MAX_VALUE"):
        monkeypatch.setitem(os.environ, name, "100000")

    with pytest.raises(OrderOutOfBounds):
        bounds.check(limit("buy", "101", "1"), None)
    with pytest.raises(FrozenInstanceError):
        bounds.values = {"usdt": "100000"}


# At the practice exchange.


@pytest.fixture
def box():
    with Sandbox(seed=1, pairs=["btc_usdt", "eth_usdt"]) as box:
        box.add_account(KEY, SECRET, balances={"usdt": "100000", "btc": "2"})
        yield box


@pytest.fixture
def orders_with(box, tmp_path):
    made = []

    def make(bounds: Bounds) -> Orders:
        for _, orders in made:
            orders.close()
        rest = AccountRest(box.rest_url, Credentials(KEY, SECRET), timeout_s=1.0)
        made.append((rest, Orders(ExchangeDesk(rest), Journal(tmp_path / "orders.jsonl", "live"), bounds=bounds)))
        return made[-1][1]

    yield make
    for rest, orders in made:
        orders.close()
        rest.close()


def rest(orders: Orders, client_id: str | None = None, pair: str = "btc_usdt"):
    return orders.buy(pair, price="1000", amount="0.01", client_id=client_id)


def test_what_is_out_of_bounds_uses_no_id_and_never_leaves(box, orders_with):
    """The id may be given to the order that is meant."""
    orders = orders_with(Bounds(values={"usdt": "10"}))

    with pytest.raises(OrderOutOfBounds):
        orders.buy("btc_usdt", price="1000", amount="0.02", client_id="mine")

    assert orders.journal.entries() == []
    assert rest(orders, "mine").client_id == "mine"
    assert [each.custom_id for each in box.account(KEY).orders] == ["mine"]


def test_orders_a_minute_are_counted_over_a_restart(box, orders_with):
    """A program that crashes and is started again, over and over, is the one that such a bound is for."""
    bounds = Bounds(a_minute=2)
    orders = orders_with(bounds)
    first = rest(orders)
    rest(orders)
    with pytest.raises(OrderOutOfBounds, match="a_minute"):
        rest(orders)

    again = orders_with(bounds)

    with pytest.raises(OrderOutOfBounds, match="a_minute"):
        rest(again)
    assert rest(again, first.client_id) == first  # it tells of the order, and places none
    assert len(box.account(KEY).orders) == 2


def test_open_orders_are_those_of_the_exchange_and_those_in_doubt(box, orders_with):
    """An order that may exist counts: nobody has proved that it does not."""
    orders = orders_with(Bounds(open_orders=2))
    placed = rest(orders)
    with (
        box.fault("rest_status", path="/v2/supplement/create_order.do", is_carried_out=False),
        pytest.raises(OrderUnknown),
    ):
        rest(orders, "lost")

    with pytest.raises(OrderOutOfBounds, match="open_orders"):
        rest(orders)
    orders.cancel("btc_usdt", placed.client_id)

    rest(orders)


def test_orders_of_several_threads_are_each_counted(box, orders_with):
    """What is on its way is not listed yet."""
    orders = orders_with(Bounds(open_orders=3))
    refused: list[Exception] = []

    def place() -> None:
        try:
            rest(orders)
        except (OrderOutOfBounds, Refused) as error:
            refused.append(error)

    threads = [threading.Thread(target=place) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(box.account(KEY).open_orders) <= 3
    assert len(refused) == 8 - len(box.account(KEY).open_orders)


def test_a_client_holds_its_orders_against_its_live_book(box):
    """On paper as live; and where the book is not good, nothing leaves."""
    bounds = Bounds(price_off="0.02")
    client = LBankClient(url=box.url, rest_url=box.rest_url, account="paper", bounds=bounds, stale_after_s=0.5)
    with client:
        client.orders.buy("btc_usdt", value="100")
        with pytest.raises(OrderOutOfBounds, match="price_off"):
            client.orders.buy("btc_usdt", price="99999999", amount="0.0001")
        with box.fault("crossed_book"):
            wait_until(lambda: _is_stale(client), 10)
            with pytest.raises(StaleBook):
                client.orders.buy("btc_usdt", price="1000", amount="0.01")
    with pytest.raises(UsageError, match="Bounds"):
        LBankClient(bounds={"values": {"usdt": "1"}})


def _is_stale(client: LBankClient) -> bool:
    try:
        client.book("btc_usdt")
    except StaleBook:
        return True
    return False
