"""Orders and balances as V2 pushes them, and the traps in their fields."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from lbank_ws.channels import topic
from lbank_ws.errors import DecodeError
from lbank_ws.events import BalanceUpdate, Fill, OrderStatus, OrderUpdate, Receipt
from lbank_ws.wire import V2, Denial, Push
from tests.samples import sample

D = Decimal
ORDER = json.loads(sample("v2", "order_update_coinalpha_hbot_2022").frame)
BALANCE = json.loads(sample("v2", "asset_update_usdt_2021").frame)


def order(**said: object) -> OrderUpdate:
    """Read the captured push with some of its fields changed, or left out where they are None."""
    told = {key: value for key, value in {**ORDER["orderUpdate"], **said}.items() if value is not None}
    (event,) = read({**ORDER, "orderUpdate": told})
    assert isinstance(event, OrderUpdate)
    return event


def balance(**said: object) -> BalanceUpdate:
    (event,) = read({**BALANCE, "data": {**BALANCE["data"], **said}})
    assert isinstance(event, BalanceUpdate)
    return event


def read(frame: dict[str, Any]) -> tuple[object, ...]:
    message = V2().decode(json.dumps(frame), Receipt(1))
    assert isinstance(message, Push)
    return message.events


# Orders.


@pytest.mark.parametrize(
    ("number", "status", "is_final"),
    [
        (-1, OrderStatus.CANCELLED, True),
        (0, OrderStatus.OPEN, False),
        (1, OrderStatus.PARTLY_FILLED, False),
        (2, OrderStatus.FILLED, True),
        (3, OrderStatus.PARTLY_CANCELLED, True),
        (4, OrderStatus.CANCELLING, False),
    ],
)
def test_cancelling_is_not_cancelled(number: int, status: OrderStatus, is_final: bool):
    """A widely used client takes 4 for closed; such an order may still be filled."""
    told = order(orderStatus=number)

    assert (told.status, told.status.is_final) == (status, is_final)


@pytest.mark.parametrize("price", ["0", "20000"])
def test_the_limit_is_that_of_the_order_whatever_price_says(price: str):
    """On a new order `price` was seen to be 0, and to be the limit; nobody may take 0 for a limit."""
    told = order(price=price)

    assert (told.price, told.fill) == (D("20000"), None)


def test_what_remains_of_a_buy_is_told_in_both_currencies():
    """`remainAmt` is money on a buy; taken for an amount, 0.0012 of a coin would look like 24 coins."""
    told = order(orderStatus=1, accAmt="0.0005", remainAmt="14", amount="0.0005", price="20000", volumePrice="10")

    assert (told.remaining, told.remaining_value) == (D("0.0007"), D("14"))


def test_what_remains_of_a_sell_has_no_value():
    """On a sell the same field is an amount."""
    told = order(type="sell", orderStatus=1, accAmt="0.0005", remainAmt="0.0007", amount="0.0005")

    assert (told.remaining, told.remaining_value) == (D("0.0007"), None)


def test_a_market_buy_is_given_by_its_value():
    """`orderAmt` is the money to spend there, and `orderPrice` where the market stood; neither is the order's own."""
    told = order(type="buy_market", orderAmt="5", remainAmt="5", orderPrice="0.009834")

    assert (told.amount, told.value, told.price, told.remaining, told.remaining_value) == (
        None,
        D("5"),
        None,
        None,
        D("5"),
    )


def test_a_market_sell_is_given_by_its_amount():
    """Only a buy is given as money."""
    told = order(type="sell_market", orderAmt="5", remainAmt="5")

    assert (told.amount, told.value, told.price, told.remaining) == (D("5"), None, None, D("5"))


@pytest.mark.parametrize(
    ("said", "side", "order_type"),
    [
        ("buy", "buy", "limit"),
        ("sell", "sell", "limit"),
        ("buy_market", "buy", "market"),
        ("sell_maker", "sell", "maker"),
        ("buy_ioc", "buy", "ioc"),
        ("sell_fok", "sell", "fok"),
    ],
)
def test_the_type_is_split_into_side_and_order_type(said: str, side: str, order_type: str):
    """The words that `orders.place` takes."""
    told = order(type=said)

    assert (told.side, told.order_type) == (side, order_type)


def test_a_role_without_a_fill_means_nothing():
    """Creation pushes say `taker` before anything was taken."""
    assert order(role="taker").fill is None


def test_a_fill_carries_its_own_price_amount_value_id_and_role():
    """The limit was 20000; it was taken for less."""
    told = order(
        orderStatus=1, accAmt="0.0007", avgPrice="19990", amount="0.0002", price="19980", volumePrice="3.996",
        txUuid="da88", role="maker",
    )  # fmt: skip

    assert told.fill == Fill(D("19980"), D("0.0002"), D("3.996"), "da88", "maker")
    assert (told.price, told.filled, told.average_price) == (D("20000"), D("0.0007"), D("19990"))


@pytest.mark.parametrize("role", ["neither", 5, None])
def test_a_role_that_is_none_costs_no_fill(role: object):
    """A new word must not lose a deal."""
    fill = order(orderStatus=2, amount="0.0012", role=role).fill

    assert fill is not None
    assert fill.role is None


@pytest.mark.parametrize("said", ["", None])
def test_an_empty_client_id_is_none(said: object):
    """The exchange sends an empty text for an order without one."""
    assert order(customerID=said).client_id is None


def test_numbers_are_exact_whatever_their_length():
    """LBank was seen to print twenty places; the usual context of Decimal would round them away."""
    long = "123456789012345678901234567890.12345678901234567890"

    told = order(orderAmt=long, accAmt="0.00000000000000000001")

    assert told.remaining == D("123456789012345678901234567890.12345678901234567889")


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("orderStatus", 5, "orderStatus is 5, which no documentation names"),
        ("orderStatus", None, "'orderStatus' is missing"),
        ("uuid", None, "'uuid' is missing"),
        ("uuid", "", "uuid is '', not an id"),
        ("uuid", "a\n", r"uuid is 'a\n', not an id"),
        ("accAmt", "-1", "accAmt is -1, below zero"),
        ("accAmt", "NaN", "accAmt is 'NaN', not a number"),
        ("type", "hold", "the direction is 'hold', neither buy nor sell"),
    ],
)
def test_what_cannot_be_right_is_a_fault(field: str, value: object, problem: str):
    """A guess about an order is worse than none; the next resync tells it."""
    with pytest.raises(DecodeError) as caught:
        order(**{field: value})

    assert problem in caught.value.problem


# Which of two tells more.

OLDER_THEN_NEWER = [
    ({"orderStatus": 0}, {"orderStatus": 1, "accAmt": "0.0001"}),
    ({"orderStatus": 1, "accAmt": "0.0001"}, {"orderStatus": 1, "accAmt": "0.0002"}),
    ({"orderStatus": 0}, {"orderStatus": 4}),
    ({"orderStatus": 0}, {"orderStatus": -1}),
    ({"orderStatus": 4}, {"orderStatus": -1}),
    ({"orderStatus": 4}, {"orderStatus": 2, "accAmt": "0.0012"}),
    ({"orderStatus": 0, "updateTime": 1655785565476}, {"orderStatus": 0, "updateTime": 1655785565477}),
    # Two sources have two clocks; what is filled counts first, and an end is an end.
    ({"orderStatus": 0, "updateTime": 1655785565477}, {"orderStatus": 1, "accAmt": "0.1", "updateTime": 1655785565476}),
    ({"orderStatus": 0, "updateTime": 1655785565477}, {"orderStatus": -1, "updateTime": 1655785565476}),
]


@pytest.mark.parametrize(("older", "newer"), OLDER_THEN_NEWER)
def test_more_filled_an_end_and_a_later_time_tell_more(older: dict[str, Any], newer: dict[str, Any]):
    """An answer over REST that is older than a push must not undo it."""
    assert order(**older).is_older_than(order(**newer))
    assert not order(**newer).is_older_than(order(**older))


def test_the_same_is_not_older():
    """Else the state after a drop would not be told where nothing has changed."""
    assert not order().is_older_than(order())


# Balances.


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("DEPOSIT", "deposit"),
        ("WITHDRAW", "withdrawal"),
        ("ORDER_CREATE", "order placed"),
        ("ORDER_DEAL", "order filled"),
        ("ORDER_CANCEL", "order cancelled"),
        ("AIRDROP", None),
        (7, None),
    ],
)
def test_the_cause_of_a_balance_is_in_our_words(said: object, cause: str | None):
    """The exchange's words stop at the wire, and a new one costs nothing but itself."""
    assert balance(type=said).cause == cause


def test_a_private_topic_without_a_key_is_a_mistake_of_ours():
    """A frame without it would get an error that names no request."""
    with pytest.raises(LookupError):
        V2().subscribe(topic("order", "all"))


# Errors.


@pytest.mark.parametrize(
    ("text", "is_about_key"),
    [
        ("Invalid parameter ['subscribeKey'], the key is wrong or has expired", True),
        ("Key expired", True),
        ("Invalid order pairs:[key_usdt],remoteIp is: [192.0.2.7]", False),
        ("Missing parameter ['kbar']", False),
    ],
)
def test_an_error_about_the_key_is_told_from_one_about_a_pair(text: str, is_about_key: bool):
    """There is no code; "key" in the words is all that is known. A coin is called KEY as well."""
    message = V2().decode(json.dumps({"SERVER": "V2", "message": text, "status": "error"}), Receipt(1))

    assert isinstance(message, Denial)
    assert message.is_about_key is is_about_key
