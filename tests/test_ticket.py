"""What a valid order is: refused before anything is written down or sent, and never rounded."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbank_ws.errors import UsageError
from lbank_ws.trading.ticket import (
    PairRules,
    asked_of_rest,
    check_rules,
    checked_id,
    checked_number,
    new_client_id,
    order_request,
    plain,
)

RULES = PairRules("btc_usdt", 2, 5, Decimal("0.0001"), Decimal("5"))


def order(side="buy", order_type="limit", **numbers):
    return order_request("btc_usdt", side, order_type, **numbers, client_id="mine")


@pytest.mark.parametrize(
    ("side", "order_type", "numbers", "asked"),
    [
        ("buy", "limit", {"price": "100.5", "amount": "0.1"}, {"type": "buy", "price": "100.5", "amount": "0.1"}),
        ("sell", "limit", {"price": 100, "amount": "1"}, {"type": "sell", "price": "100", "amount": "1"}),
        ("buy", "market", {"value": "25"}, {"type": "buy_market", "price": "25"}),
        ("sell", "market", {"amount": "0.5"}, {"type": "sell_market", "amount": "0.5"}),
        ("buy", "maker", {"price": "1", "amount": "9"}, {"type": "buy_maker", "price": "1", "amount": "9"}),
        ("sell", "ioc", {"price": "1", "amount": "9"}, {"type": "sell_ioc", "price": "1", "amount": "9"}),
        ("buy", "fok", {"price": "1", "amount": "9"}, {"type": "buy_fok", "price": "1", "amount": "9"}),
    ],
)
def test_every_kind_of_order_is_spelt_as_the_exchange_takes_it(side, order_type, numbers, asked):
    """A market buy gives what it may spend as its price; that is where most clients buy the wrong amount."""
    said = asked_of_rest(order(side, order_type, **numbers))

    assert said == {"symbol": "btc_usdt", "custom_id": "mine", **asked}


@pytest.mark.parametrize(
    ("side", "order_type", "numbers", "words"),
    [
        ("buy", "market", {"amount": "1"}, "takes value and nothing else"),
        ("buy", "market", {"value": "1", "price": "1"}, "takes value and nothing else"),
        ("sell", "market", {"value": "1"}, "takes amount and nothing else"),
        ("sell", "market", {"amount": "1", "price": "1"}, "takes amount and nothing else"),
        ("buy", "limit", {"amount": "1"}, "takes amount and price"),
        ("buy", "limit", {"price": "1", "value": "1"}, "takes amount and price"),
        ("hold", "limit", {}, "'buy' or 'sell'"),
        ("buy", "stop", {}, "limit, market, maker, ioc, fok"),
    ],
)
def test_an_order_that_is_none_says_what_it_takes(side, order_type, numbers, words):
    """Nothing is guessed where money is meant."""
    with pytest.raises(UsageError, match=words):
        order(side, order_type, **numbers)


@pytest.mark.parametrize(
    "number",
    [
        0.1,
        1e-8,
        float("nan"),
        "1e5",
        "0",
        0,
        -1,
        "-1",
        "NaN",
        Decimal("Infinity"),
        " 1",
        "1,5",
        True,
        "\u0661",
        None,
        b"1",
    ],
)
def test_what_is_no_exact_number_is_refused(number):
    """A float is seldom what was written; and no rounding is done silently."""
    with pytest.raises(UsageError):
        checked_number(number, "price")


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"price": "100.123", "amount": "1"}, r"at most 2 decimal places, such as 100\.12"),
        ({"price": "100", "amount": "0.123456"}, r"at most 5 decimal places, such as 0\.12345"),
        ({"price": "100", "amount": "0.00001"}, r"it is 0\.0001 or more"),
        ({"price": "1", "amount": "1"}, r"worth 1; on btc_usdt it is 5 or more"),
    ],
)
def test_what_the_pair_does_not_take_is_refused_and_not_rounded(numbers, words):
    """The exchange cuts digits off without a word, so another price would be paid than was named."""
    with pytest.raises(UsageError, match=words):
        check_rules(order(**numbers), RULES)


def test_closing_zeros_are_no_digits_too_many():
    """Decimal("1.50000") is what a calculation gives."""
    check_rules(order(price="100.500000", amount=Decimal("1.0000000")), RULES)


@given(st.decimals(min_value=Decimal("1e-20"), max_value=Decimal("1e20"), allow_nan=False, allow_infinity=False))
def test_numbers_are_spelt_plainly_and_exactly(number):
    """`8.47E-8` is refused by the exchange, or read as 8.47."""
    assert re.fullmatch(r"[0-9]+(\.[0-9]+)?", plain(number))
    assert Decimal(plain(number)) == number


def test_ids_are_made_so_that_none_comes_twice_and_the_exchange_takes_them():
    """The id is all that finds an order whose answer was lost."""
    ids = {new_client_id() for _ in range(1000)}

    assert len(ids) == 1000
    assert all(checked_id(each) == each for each in ids)
    for bad in ("", "x" * 33, "a b", "käse", None, "a&b=c", "a\n"):
        with pytest.raises(UsageError):
            checked_id(bad)  # type: ignore[arg-type]
